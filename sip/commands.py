"""What an application asks of the user agent (RFC 3261 §8.1, §13, §14, §15).

A command for a session that has ended meanwhile is counted and otherwise ignored: the application learns of the end by its event.
"""

from collections.abc import Sequence
from typing import Any

from sip import kept as keeping
from sip import living
from sip.core import UserAgentCore
from sip.digest import ClientDigest, DigestCredentials
from sip.errors import LocalMisuse
from sip.flow import Flow
from sip.headers.cseq import CSeq
from sip.headers.name_addr import NameAddr
from sip.message import MAX_FORWARDS, Request
from sip.registration import Registration, RegistrationPlan
from sip.session import SDP_TYPE, Fields, Input, Session, State, reinvite
from sip.session_timer import headers_of_request
from sip.uri import Uri
from sip.usage.options import OptionsUsage
from sip.usage.refer import ReferUsage


class Commands(UserAgentCore):
    """The commands of a user agent."""

    def ring(self, session: str, now: float, *, status: int = 180, sdp: bytes | None = None, headers: Fields = ()) -> None:
        """Send a provisional response 101-199, with early media if an SDP is given."""
        if not 100 < status < 200:
            raise LocalMisuse(f"{status} is no provisional response with a tag")
        self._command(session, Input.RING, now, (status, sdp, headers))

    def accept(self, session: str, sdp: bytes, now: float, *, headers: Fields = ()) -> None:
        """Send 200 with the answer (or the offer, if the INVITE had none)."""
        self._command(session, Input.ACCEPT, now, (sdp, headers))

    def reject(self, session: str, status: int, now: float, *, reason: str | None = None, headers: Fields = ()) -> None:
        """Send a final refusal 300-699."""
        if not 300 <= status < 700:
            raise LocalMisuse(f"{status} is no refusal")
        self._command(session, Input.REJECT, now, (status, reason, headers))

    def invite(
        self,
        *,
        session: str,
        target: Uri,
        flow: Flow,
        from_: NameAddr,
        to: NameAddr,
        sdp: bytes | None,
        now: float,
        headers: Fields = (),
        credentials: DigestCredentials | None = None,
        route: Sequence[Uri] = (),
        max_forwards: int = MAX_FORWARDS,
        call_id: str | None = None,
        contact_user: str | None = None,
        patience_s: float | None = None,
        account: str | None = None,
    ) -> None:
        """Call `target` over `flow`.

        Args:
            session: a fresh id chosen by the application; all events carry it.
            sdp: the offer; None asks the callee for one, and SessionAccepted's sdp must then be answered with `acknowledge`.
            route: a pre-loaded route set (an outbound proxy), top first.
            max_forwards: for a back-to-back user agent, one less than what came in, so that loops end.
            patience_s: how long there may be no answer at all, not even 100; None: timer B, 32 s. SessionFailed 408 follows, and whatever
                is heard later is cancelled or hung up without another word.
            account: the address of record that is called: when its phone registers over another connection, the dialog goes on over that.
        """
        if session in self._sessions:
            raise LocalMisuse(f"session id {session} is in use")
        tag = self._ids()
        from_ = from_.with_tag(tag)
        via = self.via(flow)
        call_id = call_id or self._ids()
        fields: list[tuple[str, str]] = [
            ("Via", via),
            *[("Route", f"<{uri}>") for uri in route],
            ("Max-Forwards", str(max_forwards)),
            ("From", str(from_)),
            ("To", str(to.without_params())),
            ("Call-ID", call_id),
            ("CSeq", "1 INVITE"),
            ("Contact", self.contact(flow, contact_user, is_sips="sips" in {target.scheme, *(uri.scheme for uri in route[:1])})),
            *self.invite_headers,
            *(headers_of_request(self.session_timer, None) if self.session_timer else ()),
            *headers,
        ]
        request = Request.build(
            "INVITE", target.without_headers() if target.headers else target, fields, sdp or b"", SDP_TYPE if sdp else None
        )
        # What the dialog is made of is known: it need not be read out of the text again.
        request.headers.put_read(**{"call-id": call_id, "cseq": CSeq(1, "INVITE"), "from": from_})
        call = Session(self, session, request, flow, is_caller=True)
        call.local_tag = tag
        call.delayed_offer = sdp is None
        call.local_sdp = sdp
        call.patience_s = patience_s
        if credentials is not None:
            call.digest = ClientDigest(credentials)
        self.enter_session(call, account)
        call.call(now)

    def flow_of(self, session: str) -> Flow | None:
        """Where requests of a session go; None: it is over."""
        found = self._sessions.get(session)
        return None if found is None else found.flow if found.dialog is None else found.dialog.send_flow

    def acknowledge(self, session: str, sdp: bytes, now: float) -> None:
        """Answer, in the ACK, the offer that came in the 2xx to an INVITE without one."""
        del now
        found = self._find(session)
        if found is not None:
            found.acknowledge(sdp)

    def cancel_or_bye(self, session: str, now: float, *, reason_header: str | None = None) -> None:
        """End a session in whatever state it is: CANCEL, BYE, or refusal with 480; races are the engine's affair.

        Behind the last NOTIFY of a REFER the BYE waits for its answer, `sip.usage.refer.LAST_NOTIFY_S` at most.
        """
        found = self._find(session)
        if found is None:
            return
        found.bye_reason = reason_header
        for holds_back in self.usages.holding_back:
            if holds_back(found, now):
                return
        found.fire(Input.HANG_UP, now)

    def wait_no_longer(self, now: float) -> None:
        """End now what was to be ended and waits for an answer alone: the sockets are about to be closed."""
        for usage in self.usages.every:
            usage.wait_no_longer(now)

    def reinvite(self, session: str, sdp: bytes | None, now: float) -> None:
        """Offer a change of the session; ReInviteAnswered follows (491 when the peer's offer is in the way)."""
        found = self._find(session)
        if found is not None and found.state is State.ESTABLISHED:
            found.modification.fire(reinvite.Input.SEND, now, sdp)
        elif found is not None:
            self.count(f"session.{found.state.value}.reinvite")

    def accept_reinvite(self, session: str, sdp: bytes, now: float) -> None:
        """Agree to the peer's change, with the answer (or our offer, if it had none)."""
        found = self._find(session)
        if found is not None:
            found.modification.fire(reinvite.Input.ACCEPT, now, sdp)

    def reject_reinvite(self, session: str, status: int, now: float, *, headers: Fields = ()) -> None:
        """Refuse the peer's change (488 as a rule); the session goes on unchanged."""
        found = self._find(session)
        if found is not None:
            found.modification.fire(reinvite.Input.REJECT, now, (status, headers))

    def info(self, session: str, content_type: str, body: bytes, now: float) -> None:
        """Send an INFO inside the session; InfoAnswered follows."""
        found = self._find(session)
        if found is not None:
            found.send_info(content_type, body, now)

    def talk(self, session: str, now: float) -> None:
        """Ask the phone we call to take the call by itself; it answers or goes on ringing."""
        found = self._find(session)
        if found is not None:
            found.send_talk(now)

    def ask_whether_there(self, session: str, now: float) -> None:
        """Offer again what is in force; SessionEnded follows when the peer does not answer, ReInviteAnswered only when it answers anew."""
        found = self._find(session)
        if found is not None:
            found.ask_whether_there(now)

    def answer_refer(self, session: str, status: int, now: float, *, reason: str = "") -> None:
        """Accept the peer's REFER (below 300), or refuse it with a sentence; after a refusal the session is as it was."""
        found = self.usages.of(ReferUsage).referrals.get(session)
        if found is not None:
            found.answer(status, reason, now)

    def notify_referrer(self, session: str, status: int, now: float, *, final: bool = False) -> None:
        """Tell the peer whose REFER was accepted how its target fares; `final`: for the last time."""
        found = self.usages.of(ReferUsage).referrals.get(session)
        if found is not None:
            found.notify(status, now, final=final)

    def refer(self, session: str, refer_to: NameAddr | str, now: float, *, headers: Fields = ()) -> None:
        """Ask the peer to call somebody; ReferAnswered follows, then ReferProgress."""
        found = self._find(session)
        if found is not None:
            self.usages.of(ReferUsage).send(found, refer_to, now, headers)

    def kept(self, session: str) -> str | None:
        """What it takes to end this session after a restart, as one line of text without secrets; None: there is no such session.

        It holds as of now: write it down when the session begins, when it rings and when it is answered.
        """
        found = self._sessions.get(session)
        return None if found is None else keeping.keep(found)

    def restore(self, session: str, kept: str, now: float, *, credentials: DigestCredentials | None = None, answered: bool = False) -> None:
        """Take a session up again that was written down before a restart, in order to end it: `cancel_or_bye`, or `reject` where it waits
        for our answer. SessionEnded follows at once, EndingFailed when the peer could not be told.

        Args:
            session: a fresh id.
            credentials: for a peer that challenges; they are not in `kept`.
            answered: an INVITE of theirs was answered after it was written down. Whether the 200 was still sent nobody knows: if the BYE
                finds no dialog (481), the INVITE is refused.

        Raises: ParseError: that is no session written down.
        """
        if session in self._sessions:
            raise LocalMisuse(f"session id {session} is in use")
        self._sessions[session] = keeping.restore(self, session, kept, now, credentials=credentials, answered=answered)

    def keep_living(self, session: str) -> bytes | None:
        """All that it takes to go on with this session after a restart (`resume`), without secrets; None: there is no such session.

        It holds as of now: note it anew after each event or command that concerns the session, and when `changed` tells of it. What is
        missed is made up for as far as can be: CSeq jumps ahead, a change that was under way is taken back.
        """
        found = self._sessions.get(session)
        return None if found is None else living.write(self, found)

    def resume(self, session: str, note: bytes, now: float, *, credentials: DigestCredentials | None = None) -> None:
        """Go on with a session that was written down before a restart, in the state it had. No event tells of it, but for ReInviteReceived
        once more where a change of theirs waits for an answer.

        To be done before anything is received (`SipEndpoint.start(listening=False)`), and after the registrar's bindings were restored:
        these know a phone whose connection died better than the call does. What its state asks for is sent at once: an INVITE of ours of
        which nothing was heard once more, a 2xx whose ACK has not come, a CANCEL or BYE whose answer has not. Of requests of ours within
        the dialog nothing is known any more: no event tells of their answers, and a change that the peer has agreed to meanwhile is taken
        back by offering again what is in force.

        Args:
            session: a fresh id, or that which it had: its refresh is spread by it.
            note: what `keep_living` gave, also of another version.
            now: on the same clock as before the restart.
            credentials: for a peer that challenges; they are not in the note.

        Raises: ParseError: that is no session written down; nothing is left of it.
        """
        if session in self._sessions:
            raise LocalMisuse(f"session id {session} is in use")
        living.resume(self, session, note, now, credentials=credentials)

    def standing(self, session: str) -> living.Standing | None:
        """How a session stands, for whoever compares what was resumed with a record of their own; None: there is no such session."""
        found = self._sessions.get(session)
        return None if found is None else living.standing(found)

    def options(
        self, probe: str, target: Uri, flow: Flow, now: float, *, patience_s: float | None = None, route: Sequence[Uri] = ()
    ) -> None:
        """Ask whether a peer is alive; OptionsAnswered follows, always exactly one (after `patience_s` without answer; None: 32 s)."""
        self.usages.of(OptionsUsage).ask(probe, target, flow, now, patience_s=patience_s, route=route)

    def register(self, registration: str, plan: RegistrationPlan, now: float) -> None:
        """Register at a carrier and keep it so; RegistrationUp and RegistrationDown tell how it stands."""
        if registration in self._registrations:
            raise LocalMisuse(f"registration id {registration} is in use")
        self._registrations[registration] = made = Registration(self, registration, plan)
        made.begin(now)

    def unregister(self, registration: str, now: float) -> None:
        """Take a registration at a carrier back."""
        found = self._registrations.get(registration)
        if found is not None:
            found.stop(now)

    def service_route(self, registration: str) -> tuple[Uri, ...]:
        """What the registrar said that new requests have to pass, as of its last 200 (RFC 3608)."""
        found = self._registrations.get(registration)
        return () if found is None else found.service_route

    def _find(self, session: str) -> Session | None:
        found = self._sessions.get(session)
        if found is None:
            self.counters["stale_command"] += 1
        return found

    def _command(self, session: str, event: Input, now: float, argument: Any) -> None:
        found = self._find(session)
        if found is not None:
            found.fire(event, now, argument)
