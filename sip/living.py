"""A session written down to live on: what a new process goes on from where the last one ended (RFC 3261 §12, §13, §17, RFC 4028).

`sip.kept` writes what ending a session takes, for the journal; this writes what a full life takes, as opaque octets that somebody keeps
who lives longer than the process. What is taken up again is an ordinary `Session` in the state it had. Passwords are not in a note, nor
what was made of them. A note holds deadlines on the clock that `now` is read from, which must go on over the restart: CLOCK_MONOTONIC of
one machine does.

Other requests than INVITE that were under way are not in it. Theirs come again; ours in a dialog, re-INVITE too, are forgotten: their CSeq
is left behind (`CSEQ_GAP`).
"""

import hashlib
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING

import msgspec

from sip.dialog import Dialog
from sip.dialog import State as DialogState
from sip.digest import ClientDigest, DigestCredentials
from sip.errors import ParseError
from sip.flow import Flow, TransportName, default_port
from sip.headers.fields import Headers
from sip.headers.name_addr import parse_name_addr
from sip.headers.route import parse_routes
from sip.kept import CSEQ_GAP, SEAL, kept_transport
from sip.message import Request, Response
from sip.session import Session, State
from sip.session.reinvite import ReInvite
from sip.session.reinvite import State as ReInviteState
from sip.session_timer import Agreement
from sip.share import Share
from sip.timers import Timer
from sip.transaction.invite_client import State as InviteClientState
from sip.transaction.invite_server import InviteServer
from sip.uri import Uri
from sip.usage import refer

if TYPE_CHECKING:
    from sip.core import UserAgentCore

SPREAD_S = 10.0
"""Refreshes that fell due while nobody was there go out within this: a thousand at once would be a flood of our own."""

SECRET = frozenset(("Authorization", "Proxy-Authorization"))
"""Header fields that are made of a password."""
LASTING = frozenset(("Via", "Route", "From", "To", "Call-ID", "CSeq"))
"""Of the INVITE of a dialog: what the ACK to its 2xx is made of, and to one of another branch of a fork."""

NotedFlow = tuple[TransportName, str, int, str, int, bool, str]
"""Transport (with a SEAL behind it: the flow is sealed), our host and port, the peer's, whether it was only said, on whose behalf; its
id dies with its connection."""
Field = tuple[str, str]


class NotedDialog(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One dialog; Call-ID and our side of it are the session's."""

    local: str
    remote: str
    cseq: int
    remote_cseq: int | None
    target: str
    routes: tuple[str, ...]
    is_nat: bool
    is_opened_here: bool
    has_lost_connection: bool
    flow: NotedFlow | None
    """None: the session's."""
    send_flow: NotedFlow | None
    """None: `flow`."""


class NotedInterval(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The session timer's agreement (RFC 4028), and when its timers run out, on the clock of `now`."""

    interval_s: int
    we_refresh: bool
    refresh_at: float | None
    expires_at: float | None


class NotedAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A 2xx of ours whose ACK has not come: it is repeated as it was."""

    status: int
    reason: str
    fields: tuple[Field, ...]
    body: bytes


class NotedChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A re-INVITE of theirs that waits for our answer, or whose answer waits for its ACK."""

    flow: NotedFlow
    """That of its responses."""
    uri: str
    fields: tuple[Field, ...]
    body: bytes
    last_response: bytes
    answer: NotedAnswer | None


class Note(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="session"):
    """A whole session. What is added later stands at the end and has a default: notes of an older process are read by a newer one."""

    state: State
    is_caller: bool
    flow: NotedFlow
    uri: str
    fields: tuple[Field, ...]
    body: bytes | None
    """None: it is `local_sdp`, or nobody needs it any more."""
    cseq: int
    """Of the INVITE."""
    local_tag: str
    local_sdp: bytes | None
    remote_sdp: bytes | None
    dialog: NotedDialog | None
    account: str | None
    share: Share | None
    """What it holds of the places that all have in common."""
    interval: NotedInterval | None
    min_se_s: int | None
    is_acknowledged: bool
    ack_body: bytes
    delayed_offer: bool
    final_status: int | None
    bye_reason: str | None
    owes_bye: bool
    patience_s: float | None
    last_response: bytes
    """To their INVITE, before the final one."""
    answer: NotedAnswer | None
    forks: tuple[NotedDialog, ...]
    early_answers: dict[str, bytes]
    referral: refer.Noted | None
    is_referring: bool
    """A REFER of ours has made a subscription."""
    change: NotedChange | None


class Standing(msgspec.Struct, frozen=True):
    """What can be said of a session in short."""

    state: State
    is_caller: bool
    call_id: str
    local_sdp: bytes | None
    remote_sdp: bytes | None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Note)

# ---------------------------------------------------------------------- writing down

# Looked up once: finding a member in its enumeration costs more than the rest of the line that names it.
OFFERED, ANSWERED, ESTABLISHED, HANG_UP_PENDING, ENDING = (
    State.OFFERED, State.ANSWERED, State.ESTABLISHED, State.HANG_UP_PENDING, State.ENDING,
)  # fmt: skip
SESSION_REFRESH, SESSION_EXPIRES = Timer.SESSION_REFRESH, Timer.SESSION_EXPIRES


def write(agent: "UserAgentCore", session: Session) -> bytes:
    """A living session as octets."""
    invite, dialog, flow, state = session.invite, session.dialog, session.flow, session.state
    is_settled = state is ESTABLISHED or state is ENDING
    fields = [field for field in invite.headers.fields if (field[0] in LASTING if is_settled else field[0] not in SECRET)]
    body = invite.body if not is_settled and invite.body != session.local_sdp else None
    ok, uas, ack = session.ok, session.uas, session.ack
    referring, change = agent.usages.find(refer.ReferUsage), session.their_change
    return _ENCODER.encode(
        Note(
            state=state,
            is_caller=session.is_caller,
            flow=_noted_flow(flow),
            uri=str(invite.uri),
            fields=tuple(fields),
            body=body,
            cseq=session.sequence_number,
            local_tag=session.local_tag,
            local_sdp=session.local_sdp,
            remote_sdp=session.remote_sdp,
            dialog=None if dialog is None else _noted_dialog(dialog, flow),
            account=session.account,
            share=agent.overload.held_by(session.id),
            interval=None if session.agreement is None else _noted_interval(session, session.agreement),
            min_se_s=session.min_se_s,
            is_acknowledged=ack is not None,
            ack_body=ack[1].partition(b"\r\n\r\n")[2] if ack is not None and session.delayed_offer else b"",
            delayed_offer=session.delayed_offer,
            final_status=session.final_status,
            bye_reason=session.bye_reason,
            owes_bye=session.owes_bye,
            patience_s=session.patience_s,
            last_response=uas.last if state is OFFERED and uas is not None else b"",
            answer=None if ok is None else _noted_answer(ok),
            forks=tuple([_noted_dialog(fork, flow) for fork in session.forks.values()]) if session.forks and dialog is None else (),
            early_answers=session.early_answers,
            referral=None if referring is None else referring.noted(session),
            is_referring=referring is not None and session.id in referring.referring,
            change=None if change is None else _noted_change(change),
        )
    )


def _noted_answer(ok: Response) -> NotedAnswer:
    return NotedAnswer(ok.status, ok.reason, tuple(ok.headers.fields), ok.body)


def _noted_change(change: ReInvite) -> NotedChange | None:
    uas = change.uas
    if uas is None:
        return None
    request = uas.request
    fields = tuple([field for field in request.headers.fields if field[0] not in SECRET])
    answer = None if change.state is ReInviteState.RECEIVED or change.ok is None else _noted_answer(change.ok)
    return NotedChange(_noted_flow(uas.flow), str(request.uri), fields, request.body, uas.last, answer)


def _noted_flow(flow: Flow) -> NotedFlow:
    return (kept_transport(flow), *flow.local, *flow.remote, flow.said, flow.behalf)


def _noted_dialog(dialog: Dialog, base: Flow) -> NotedDialog:
    flow, send_flow = dialog.flow, dialog.send_flow
    return NotedDialog(
        local=dialog.local,
        remote=dialog.remote,
        cseq=dialog.local_sequence_number,
        remote_cseq=dialog.remote_sequence_number,
        target=str(dialog.remote_target),
        routes=tuple([str(route) for route in dialog.route_set]) if dialog.route_set else (),
        is_nat=dialog.is_nat,
        is_opened_here=dialog.is_opened_here,
        has_lost_connection=dialog.has_lost_connection,
        flow=None if flow is base else _noted_flow(flow),
        send_flow=None if send_flow is flow else _noted_flow(send_flow),
    )


def _noted_interval(session: Session, agreement: Agreement) -> NotedInterval:
    refresh, expires = session.timers.get(SESSION_REFRESH), session.timers.get(SESSION_EXPIRES)
    return NotedInterval(
        agreement.interval_s,
        agreement.we_refresh,
        None if refresh is None else refresh[0],
        None if expires is None else expires[0],
    )


def standing(session: Session) -> Standing:
    """See `UserAgent.standing`."""
    return Standing(session.state, session.is_caller, session.invite.call_id, session.local_sdp, session.remote_sdp)


# ---------------------------------------------------------------------- taking up again


def resume(agent: "UserAgentCore", session: str, octets: bytes, now: float, *, credentials: DigestCredentials | None = None) -> Session:
    """See `UserAgent.resume`."""
    try:
        note = _DECODER.decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(f"no session was written down here: {error}", where="note of a session") from error
    go_on = GO_ON.get(note.state)
    if (
        go_on is None
        or (note.dialog is None) == (note.state in HAVE_DIALOG)
        or (note.is_caller and note.state in OF_CALLEE)
        or not (note.is_caller or note.state in HAVE_DIALOG)
    ):
        raise ParseError(f"no session stands like this: {note.state}", where="note of a session")
    if note.share is not None and not all(map(isfinite, (note.share.weight, note.share.part, note.share.line_part))):
        raise ParseError("no share is like this", where="note of a session")
    # Everything is read before anything is entered.
    invite = _invite(note)
    made = Session(agent, session, invite, _flow(note.flow), is_caller=note.is_caller)
    _fill(made, note)
    change = None if note.change is None else _request(note.change.uri, note.change.fields, note.change.body)
    forks = [_dialog(fork, made, DialogState.EARLY) for fork in note.forks]
    if note.dialog is not None:
        made.dialog = _dialog(note.dialog, made, DialogState.EARLY if note.state is OFFERED else DialogState.CONFIRMED)
    if credentials is not None:
        made.digest = ClientDigest(credentials)
    agent.enter_session(made, note.account)
    if note.share is not None:
        agent.overload.began(session, note.share)
    for fork in forks:
        made.forks[fork.remote_tag] = fork
        agent.enter_dialog(fork, made)
    if made.dialog is not None:
        agent.enter_dialog(made.dialog, made)
    _expect_phone(agent, made)
    if note.is_acknowledged:
        made.ack = made.build_ack(note.cseq, note.ack_body or None)
    if note.interval is not None:
        _resume_interval(made, note.interval, now)
    go_on(agent, made, note, now)
    referring = agent.usages.find(refer.ReferUsage)
    if referring is not None and note.is_referring:
        referring.referring.add(session)
    if referring is not None and note.referral is not None and note.state is ESTABLISHED:
        referring.resume(made, note.referral, now)
    if change is not None and note.change is not None and made.state is ESTABLISHED:
        _resume_change(agent, made, note.change, change, now)
    return made


def _invite(note: Note) -> Request:
    """The INVITE, with every header of it read that somebody may ask for."""
    body = note.body if note.body is not None else b""
    if note.body is None and note.is_caller and note.dialog is None:
        body = note.local_sdp or b""
    return _request(note.uri, note.fields, body)


def _request(uri: str, fields: tuple[Field, ...], body: bytes) -> Request:
    invite = Request("INVITE", Uri.parse(uri), Headers.from_wire(list(fields)), body)
    invite.validate()
    if invite.missing_headers or any("\r" in text or "\n" in text for field in fields for text in field):
        raise ParseError("there is no INVITE in it", where="note of a session")
    _ = invite.contacts, invite.routes, invite.record_routes, invite.supported, invite.session_expires, invite.min_se, invite.content_type
    return invite


def _fill(made: Session, note: Note) -> None:
    made.state = note.state
    made.sequence_number = note.cseq
    made.local_tag = note.local_tag
    made.local_sdp, made.remote_sdp = note.local_sdp, note.remote_sdp
    made.account = note.account
    made.min_se_s = note.min_se_s
    made.delayed_offer = note.delayed_offer
    made.final_status = note.final_status
    made.bye_reason = note.bye_reason
    made.owes_bye = note.owes_bye
    made.patience_s = note.patience_s
    made.early_answers = dict(note.early_answers)
    made.is_over = note.state is ENDING
    if made.flow.is_reliable:
        made.gone = made.flow


def _flow(noted: NotedFlow) -> Flow:
    transport, local_host, local_port, remote_host, remote_port, said, behalf = noted
    sealed = transport.endswith(SEAL)
    return Flow(transport.removesuffix(SEAL), (local_host, local_port), (remote_host, remote_port), said, behalf, sealed=sealed)


def _dialog(noted: NotedDialog, session: Session, state: DialogState) -> Dialog:
    flow = session.flow if noted.flow is None else _flow(noted.flow)
    dialog = Dialog(
        call_id=session.invite.call_id,
        local=parse_name_addr(noted.local, "noted dialog"),
        remote=parse_name_addr(noted.remote, "noted dialog"),
        local_sequence_number=noted.cseq + CSEQ_GAP,
        remote_sequence_number=noted.remote_cseq,
        remote_target=Uri.parse(noted.target),
        route_set=tuple([route for text in noted.routes for route in parse_routes(text, "noted route")]),
        flow=flow,
        is_nat=noted.is_nat,
        state=state,
        is_opened_here=noted.is_opened_here,
    )
    dialog.has_lost_connection = noted.has_lost_connection
    dialog.send_flow = flow if noted.send_flow is None else _flow(noted.send_flow)
    # Its connection died with the process. A phone of ours comes back by registering or by a request of its own, and is waited for where
    # it was; where we had called, the same address is called again; any other peer is reached where the dialog says.
    if session.account is None:
        dialog.lose_connection(flow)
    return dialog


def _expect_phone(agent: "UserAgentCore", made: Session) -> None:
    """Its connection is dead; it comes back by registering, perhaps after yet another restart, when nobody knows its binding any more."""
    registrar = agent.config.registrar
    if registrar is None or made.account is None:
        return
    dialog = made.dialog
    flow = made.flow if dialog is None else dialog.flow
    # Whom we called was called at the contact it had registered; in its dialog a phone may call itself otherwise.
    contact = made.invite.uri if made.is_caller or dialog is None else dialog.remote_target
    if flow.is_reliable:
        registrar.expect(made.account, flow, contact)


def _resume_interval(made: Session, interval: NotedInterval, now: float) -> None:
    """Who refreshes goes on as was agreed; a refresh that fell due meanwhile is made up for, not all of them at once."""
    made.agreement = agreement = Agreement(interval.interval_s, interval.we_refresh)
    if made.agent.session_timer is None or interval.expires_at is None or made.state is ENDING:
        return
    # A refresh may have come after the note was made, and what is between us stands: the peer gets a whole interval to refresh.
    made.start(SESSION_EXPIRES, now + agreement.expire_after_s)
    if not agreement.we_refresh:
        return
    soon = now + share_of(made.id) * min(SPREAD_S, max(1.0, (interval.expires_at - now) / 2))
    due = interval.refresh_at
    made.start(SESSION_REFRESH, due if due is not None and soon < due <= now + agreement.refresh_after_s else soon)


def share_of(session: str) -> float:
    """A number in [0, 1) for each session, always the same."""
    return int.from_bytes(hashlib.blake2s(session.encode(), digest_size=4).digest()) / 2**32


# ---------------------------------------------------------------------- what each state goes on with


def _calling(agent: "UserAgentCore", made: Session, note: Note, now: float) -> None:
    """Nothing was heard: the INVITE is sent once more, which for a peer that has it is a retransmission (§17.2.3 matches by branch, not by
    connection). To a phone whose connection died it goes when that is back.
    """
    if note.state is State.GIVEN_UP or (made.flow.is_reliable and agent.may_come_back(note.account)):
        made.transaction = agent.layer.resume_invite(made.invite, made.flow, made, InviteClientState.CALLING)
        made.transaction.start(Timer.B, now + agent.values.give_up)
    else:
        made.transaction = agent.request(made.invite, made.flow, made, now)
    if note.state is State.CALLING and note.patience_s is not None:
        made.start(Timer.PATIENCE, now + note.patience_s)


def _proceeding(agent: "UserAgentCore", made: Session, _note: Note, _now: float) -> None:
    made.transaction = agent.layer.resume_invite(made.invite, made.flow, made)


def _cancelling(agent: "UserAgentCore", made: Session, note: Note, now: float) -> None:
    """The CANCEL again; for the peer that has it, a retransmission."""
    _proceeding(agent, made, note, now)
    made.send_cancel(now, None)


def _waiting(_agent: "UserAgentCore", made: Session, _note: Note, now: float) -> None:
    made.start(Timer.INVITE_RETRY, now + made.pending_wait_s())


def _offered(agent: "UserAgentCore", made: Session, note: Note, now: float) -> None:
    made.uas = _serve(agent, made, made.invite, agent.reply_flow(made.invite, made.flow), note.last_response, now)


def _answered(agent: "UserAgentCore", made: Session, note: Note, now: float) -> None:
    """The 2xx goes out again at once: whether it did before, or its ACK was lost in between, nobody knows."""
    made.uas = _serve(agent, made, made.invite, agent.reply_flow(made.invite, made.flow), b"", now)
    if note.answer is not None:
        made.ok = _answer(note.answer)
        made.interval = agent.values.t1 / 2
        made.resend_2xx(now, None)
    made.start(Timer.ACK, now + agent.values.give_up)


def _established(agent: "UserAgentCore", made: Session, _note: Note, now: float) -> None:
    """The transaction of our INVITE takes 2xx again that were not acknowledged, and those of other branches of a fork (RFC 6026 §7.2)."""
    if made.is_caller:
        made.transaction = agent.layer.resume_invite(made.invite, made.flow, made, InviteClientState.ACCEPTED)
        made.transaction.start(Timer.M, now + agent.values.give_up)


def _ending(agent: "UserAgentCore", made: Session, note: Note, now: float) -> None:
    """Whether the BYE arrived nobody knows; a peer that had it answers 481 to the next."""
    _established(agent, made, note, now)
    if note.owes_bye:
        made.start(Timer.COMES_BACK, now + agent.values.give_up)
    else:
        made.send_bye(now, None)


def _resume_change(agent: "UserAgentCore", made: Session, noted: NotedChange, request: Request, now: float) -> None:
    """The peer heard 100 perhaps, and sends it no more: it is still owed an answer. A repetition finds its transaction."""
    uas = _serve(agent, made, request, _flow(noted.flow), noted.last_response, now)
    made.modification.resume(uas, None if noted.answer is None else _answer(noted.answer), now)


def _answer(noted: NotedAnswer) -> Response:
    return Response(noted.status, noted.reason, Headers.from_wire(list(noted.fields)), noted.body)


def _serve(agent: "UserAgentCore", made: Session, request: Request, flow: Flow, last_response: bytes, now: float) -> InviteServer:
    """The transaction of an INVITE of theirs.

    Args:
        flow: that of its responses, if it is alive. §18.2.2: where a connection is gone, one is opened "to the IP address in the 'received'
            parameter [...], using the port in the 'sent-by' value, or the default port"; that address is the one it came from.
    """
    if flow.is_reliable:
        flow = Flow(flow.transport, flow.local, (flow.remote[0], request.top_via.port or default_port(flow.transport)))
    uas = agent.layer.serve_invite(request, flow, made, now)
    if last_response:
        uas.stop(Timer.TRYING)
        uas.last = last_response
    return uas


GO_ON: dict[State, Callable[["UserAgentCore", Session, Note, float], None]] = {
    State.CALLING: _calling,
    State.CANCEL_PENDING: _calling,
    State.GIVEN_UP: _calling,
    State.PROCEEDING: _proceeding,
    State.RETRY_WAIT: _waiting,
    State.CANCELLING: _cancelling,
    State.TAKEN_BACK: _cancelling,
    State.OFFERED: _offered,
    State.ANSWERED: _answered,
    State.HANG_UP_PENDING: _answered,
    State.ESTABLISHED: _established,
    State.ENDING: _ending,
}
"""ENDED is not written down: what is over has nothing to go on with."""
HAVE_DIALOG = frozenset((OFFERED, ANSWERED, HANG_UP_PENDING, ESTABLISHED, ENDING))
OF_CALLEE = frozenset((OFFERED, ANSWERED, HANG_UP_PENDING))

__all__ = ["SPREAD_S", "Note", "Standing", "resume", "standing", "write"]
