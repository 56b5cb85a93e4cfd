"""A session written down, and taken up again to be ended: what a crash leaves of it (RFC 3261 §9.1, §12, §15.1.1, §17.1.1, §17.2.1).

Three things can be written down: an INVITE of ours that has no final answer yet, one of theirs that has none, and a dialog. Each holds
what ending it properly takes, and no more: session timers, SDP and credentials are not in it. What is taken up again is an ordinary
session in an ordinary transaction; `RestoredSession` only tells besides when nobody answered its end.
"""

from typing import TYPE_CHECKING

import msgspec

from sip.dialog import Dialog, flow_to
from sip.dialog import Input as DialogInput
from sip.dialog import State as DialogState
from sip.digest import ClientDigest, DigestCredentials
from sip.errors import ParseError
from sip.events import EndingFailed
from sip.flow import Flow, TransportName, default_port
from sip.headers.fields import Headers
from sip.headers.name_addr import parse_name_addr
from sip.headers.route import parse_routes
from sip.message import Request, Response
from sip.session import Session, State
from sip.timers import Timer
from sip.transaction.base import Transaction
from sip.uri import Uri

if TYPE_CHECKING:
    from sip.core import UserAgentCore

CSEQ_GAP = 1000
"""A refresh or re-INVITE may have used numbers after the dialog was written down. §12.2.1.1 wants them strictly increasing and no more;
§12.2.2: a number "higher than the remote sequence number by more than one [...] is not an error condition"."""

KeptFlow = tuple[TransportName, str, int, str, int]
"""Transport (with a SEAL behind it: the flow was sealed), our host and port, the peer's host and port."""
SEAL = "!"


class _Kept(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Written as arrays: the texts are journalled with every leg of every call, so that each octet counts."""

    flow: KeptFlow
    call_id: str
    cseq: int
    """Of the INVITE; in a dialog the last number we have used."""


class KeptInvite(_Kept, frozen=True, kw_only=True, tag="calling"):
    """Our INVITE without a final answer: what its CANCEL must repeat (§9.1), and what the ACK to its 487 must (§17.1.1.3)."""

    uri: str
    via: str
    local: str
    """From, with our tag."""
    remote: str
    """To, without a tag."""
    routes: tuple[str, ...] = ()


class KeptOffer(_Kept, frozen=True, kw_only=True, tag="offered"):
    """Their INVITE that we have not answered: what every response repeats (§8.2.6.2), and what the dialog will stand on (§12.1.1)."""

    uri: str
    vias: tuple[str, ...]
    """As they came, the top one with `received` and `rport`."""
    remote: str
    local: str
    """To, as it came."""
    local_tag: str
    contact: str
    """The peer's; "" where there was none."""
    record_routes: tuple[str, ...] = ()


class KeptDialog(_Kept, frozen=True, kw_only=True, tag="dialog"):
    """A confirmed dialog (§12)."""

    is_caller: bool
    local: str
    remote: str
    remote_cseq: int | None
    target: str
    is_nat: bool
    routes: tuple[str, ...] = ()


Kept = KeptInvite | KeptOffer | KeptDialog
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Kept)


def call_id_of(text: str | None) -> str | None:
    """The Call-ID in what `keep` wrote; None: nothing was written, or it is of another version."""
    if text is None:
        return None
    try:
        kept: Kept = _DECODER.decode(text)
    except msgspec.DecodeError:
        return None
    return kept.call_id


# ---------------------------------------------------------------------- writing down


def keep(session: Session) -> str:
    """A living session as one line of text. Never a password in it, nor what was made of one."""
    invite, dialog = session.invite, session.dialog
    if session.is_caller and dialog is None:
        return _text(
            KeptInvite(
                flow=_kept_flow(session.flow),
                call_id=invite.call_id,
                cseq=session.sequence_number,
                uri=str(invite.uri),
                via=invite.headers.get("Via") or "",
                local=invite.headers.get("From") or "",
                remote=invite.headers.get("To") or "",
                routes=tuple(invite.headers.get_all("Route")),
            )
        )
    assert dialog is not None
    if session.state is State.OFFERED:
        return _text(
            KeptOffer(
                flow=_kept_flow(session.flow),
                call_id=invite.call_id,
                cseq=session.sequence_number,
                uri=str(invite.uri),
                vias=tuple(invite.headers.get_all("Via")),
                remote=invite.headers.get("From") or "",
                local=invite.headers.get("To") or "",
                local_tag=session.local_tag,
                contact=str(dialog.remote_target) if invite.contacts else "",
                record_routes=tuple(invite.headers.get_all("Record-Route")),
            )
        )
    # A 2xx of ours whose ACK has not come counts as confirmed: after a crash nobody knows whether it came, so §15's "until it has received
    # an ACK for its 2xx response or until the server transaction times out" cannot be kept. A caller that has the 2xx takes the BYE.
    return _text(
        KeptDialog(
            flow=_kept_flow(dialog.flow),
            call_id=dialog.call_id,
            cseq=dialog.local_sequence_number,
            is_caller=session.is_caller,
            local=dialog.local,
            remote=dialog.remote,
            remote_cseq=dialog.remote_sequence_number,
            target=str(dialog.remote_target),
            is_nat=dialog.is_nat,
            routes=tuple([str(route) for route in dialog.route_set]),
        )
    )


def _text(kept: Kept) -> str:
    return _ENCODER.encode(kept).decode()


def _kept_flow(flow: Flow) -> KeptFlow:
    return (kept_transport(flow), *flow.local, *flow.remote)


def kept_transport(flow: Flow) -> str:
    """The name of its transport, as it is written down."""
    return flow.transport + SEAL if flow.sealed else flow.transport


# ---------------------------------------------------------------------- taking up again


class RestoredSession(Session):
    """A session that lives only to be ended: it tells, once, when its BYE, CANCEL or refusal came to nothing."""

    __slots__ = ("_has_failed", "_layer")

    def __init__(self, agent: "UserAgentCore", session: str, invite: Request, flow: Flow, *, is_caller: bool) -> None:
        super().__init__(agent, session, invite, flow, is_caller=is_caller)
        self._has_failed = False
        self._layer = agent.layer

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """As ever; a BYE that finds no dialog means that the caller never saw our 2xx, so that its INVITE is still owed an answer."""
        is_unknown = response.status == 481
        ends = transaction.request.method == "BYE" and response.status >= 200
        if ends and is_unknown and self.uas is not None and not self.uas.is_answered:
            self._refuse(503, now)
        super().on_response(transaction, response, now)
        if ends and response.status >= 300 and not is_unknown and self.state is State.ENDED:
            self._fail(f"BYE was answered {response.status}")
        self._leave_invite()

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        super().on_timeout(transaction, now)
        self._leave_invite()
        self._fail(f"{transaction.request.method} was not answered, or could not be sent")

    def on_transport_error(self, transaction: Transaction, now: float) -> None:
        super().on_transport_error(transaction, now)
        if not self.second_tries:
            self._fail(f"{transaction.request.method} could not be sent")

    def on_server_timeout(self, transaction: Transaction, now: float) -> None:
        super().on_server_timeout(transaction, now)
        self._fail("the refusal was not acknowledged")

    def on_server_transport_error(self, transaction: Transaction, now: float) -> None:
        super().on_server_transport_error(transaction, now)
        self._fail("the refusal could not be sent")

    def _leave_invite(self) -> None:
        """It was answered before the restart: once the BYE is done nothing is owed to it."""
        if self.state is State.ENDED and self.uas is not None and not self.uas.is_answered:
            self._layer.forget(self.uas)

    def _fail(self, why: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            self.agent.emit(EndingFailed(self.id, why))


def restore(
    agent: "UserAgentCore", session: str, text: str, now: float, *, credentials: DigestCredentials | None = None, answered: bool = False
) -> RestoredSession:
    """See `UserAgent.restore`."""
    try:
        kept = _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise ParseError(f"no session was written down here: {error}", where="kept session") from error
    if isinstance(kept, KeptInvite):
        made = _calling(agent, session, kept)
    elif isinstance(kept, KeptOffer):
        made = _offered(agent, session, kept, now, answered=answered)
    else:
        made = _in_dialog(agent, session, kept)
    if credentials is not None:
        made.digest = ClientDigest(credentials)
    return made


def _calling(agent: "UserAgentCore", session: str, kept: KeptInvite) -> RestoredSession:
    """As if 100 had been heard, whether it was or not: the CANCEL that §9.1 holds back until then must not overtake its INVITE, which a
    restart later it cannot. The INVITE itself is not sent again. Its Authorization is not kept, so the ACK of a 2xx goes without.
    """
    routes = [("Route", route) for route in kept.routes]
    fields = [("Via", kept.via), *routes, ("From", kept.local), ("To", kept.remote)]
    invite = _invite(Uri.parse(kept.uri), kept, fields)
    local_tag = invite.from_.tag or ""
    flow = _reached_anew(_flow(kept.flow, said=True), invite.routes[0].uri if routes else invite.uri)
    made = RestoredSession(agent, session, invite, flow, is_caller=True)
    made.local_tag = local_tag
    made.state = State.PROCEEDING
    made.transaction = agent.layer.resume_invite(invite, flow, made)
    return made


def _offered(agent: "UserAgentCore", session: str, kept: KeptOffer, now: float, *, answered: bool) -> RestoredSession:
    fields = [
        *(("Via", via) for via in kept.vias),
        *(("Record-Route", route) for route in kept.record_routes),
        ("From", kept.remote),
        ("To", kept.local),
    ]
    if kept.contact:
        fields.append(("Contact", f"<{kept.contact}>"))
    invite = _invite(Uri.parse(kept.uri), kept, fields)
    source = _flow(kept.flow, said=False)
    reply = agent.reply_flow(invite, source)
    if source.is_reliable:
        # §18.2.2: the connection is gone: one is opened "to the IP address in the 'received' parameter [...], using the port in the
        # 'sent-by' value, or the default port". That address is the one it came from, whatever the header says of it.
        at = source.remote[0], invite.top_via.port or default_port(source.transport)
        reply = Flow(source.transport, source.local, at, sealed=source.sealed)
    routes = invite.record_routes
    peer = invite.contacts[0].uri if kept.contact else invite.from_.uri
    made = RestoredSession(agent, session, invite, _reached_anew(source, routes[0].uri if routes else peer), is_caller=False)
    uas = agent.layer.serve_invite(invite, reply, made, now)
    uas.stop(Timer.TRYING)  # it was sent, or the final answer makes it needless
    made.be_offered(uas, kept.local_tag)
    if answered:
        made.state = State.ESTABLISHED
        made.final_status = 200
        dialog = made.dialog_now
        dialog.fire(DialogInput.FINAL_2XX)
        dialog.local_sequence_number += CSEQ_GAP
    return made


def _in_dialog(agent: "UserAgentCore", session: str, kept: KeptDialog) -> RestoredSession:
    local, remote, target = parse_name_addr(kept.local), parse_name_addr(kept.remote), Uri.parse(kept.target)
    dialog = Dialog(
        call_id=kept.call_id,
        local=local,
        remote=remote,
        local_sequence_number=kept.cseq + CSEQ_GAP,
        remote_sequence_number=kept.remote_cseq,
        remote_target=target,
        route_set=tuple([route for text in kept.routes for route in parse_routes(text, "kept route")]),
        flow=_reached_anew(_flow(kept.flow, said=kept.is_caller), target),
        is_nat=kept.is_nat,
        state=DialogState.CONFIRMED,
        is_opened_here=True,
    )
    caller, callee = (kept.local, kept.remote) if kept.is_caller else (kept.remote, kept.local)
    invite = _invite(target, kept, [("From", caller), ("To", callee)])
    made = RestoredSession(agent, session, invite, dialog.flow, is_caller=kept.is_caller)
    made.local_tag = dialog.local_tag
    made.state = State.ESTABLISHED
    made.final_status = 200
    made.dialog = dialog
    agent.enter_dialog(dialog, made)
    return made


def _invite(uri: Uri, kept: Kept, fields: list[tuple[str, str]]) -> Request:
    """As much of the INVITE as is left, every header of it read."""
    invite = Request("INVITE", uri, Headers([*fields, ("Call-ID", kept.call_id), ("CSeq", f"{kept.cseq} INVITE")]))
    invite.validate()
    return invite


def _flow(kept: KeptFlow, *, said: bool) -> Flow:
    """Args:
    said: we had called that address. Whether anybody was ever heard there is not kept, so that it is asked again whether we may.
    """
    transport, local_host, local_port, remote_host, remote_port = kept
    sealed = transport.endswith(SEAL)
    return Flow(transport.removesuffix(SEAL), (local_host, local_port), (remote_host, remote_port), said, sealed=sealed)


def _reached_anew(flow: Flow, uri: Uri) -> Flow:
    """A connection died with its process: a new one goes to where the peer says it listens. Behind a NAT nobody does."""
    return flow_to(uri, flow) if flow.is_reliable and uri.is_sip else flow


__all__ = ["CSEQ_GAP", "SEAL", "Kept", "KeptDialog", "KeptInvite", "KeptOffer", "RestoredSession", "keep", "kept_transport", "restore"]
