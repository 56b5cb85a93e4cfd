"""The switch's hand on the SIP engine: commands with the time filled in and the wire flushed behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from typing import Any

from sip.digest import DigestCredentials
from sip.flow import Flow, TransportName
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.message import MAX_FORWARDS
from sip.registrar import Binding, Registrar
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent

Fields = Sequence[tuple[str, str]]


class SipPort:
    """One user agent behind one endpoint. All calls come from the loop."""

    def __init__(self, user_agent: UserAgent, endpoint: SipEndpoint) -> None:
        self.user_agent = user_agent
        self._endpoint = endpoint
        self._now = asyncio.get_running_loop().time

    def ring(self, session: str, *, status: int = 180, sdp: bytes | None = None) -> None:
        self.user_agent.ring(session, self._now(), status=status, sdp=sdp)
        self._endpoint.flush()
        self.user_agent.changed(session)

    def accept(self, session: str, sdp: bytes) -> None:
        self.user_agent.accept(session, sdp, self._now())
        self._endpoint.flush()
        self.user_agent.changed(session)

    def reject(self, session: str, status: int, *, headers: Fields = ()) -> None:
        self.user_agent.reject(session, status, self._now(), headers=tuple(headers))
        self._endpoint.flush()

    def invite(
        self,
        *,
        session: str,
        target: Uri,
        flow: Flow,
        from_: NameAddr,
        to: NameAddr,
        sdp: bytes,
        headers: Fields = (),
        credentials: DigestCredentials | None = None,
        max_forwards: int = MAX_FORWARDS,
        patience_s: float | None = None,
        route: Sequence[Uri] = (),
        account: str | None = None,
    ) -> None:
        self.user_agent.invite(
            session=session,
            target=target,
            flow=flow,
            from_=from_,
            to=to,
            sdp=sdp,
            now=self._now(),
            headers=tuple(headers),
            credentials=credentials,
            max_forwards=max_forwards,
            patience_s=patience_s,
            route=route,
            account=account,
        )
        self._endpoint.flush()
        self.user_agent.changed(session)

    def cancel_or_bye(self, session: str, *, reason_header: str | None = None) -> None:
        self.user_agent.cancel_or_bye(session, self._now(), reason_header=reason_header)
        self._endpoint.flush()

    def flow_of(self, session: str) -> Flow | None:
        """Where requests to its far end go; None: it is over."""
        return self.user_agent.flow_of(session)

    def kept(self, session: str) -> str | None:
        """How to end this session after a restart; None: it is over."""
        return self.user_agent.kept(session)

    def tell_changes(self, tell: Callable[[str], None]) -> None:
        """Have it told of sessions of which something was not told otherwise: what `keep_living` writes of them is another."""
        self.user_agent.changed = tell

    def keep_living(self, session: str) -> bytes | None:
        """What a successor goes on from; None: it is over."""
        return self.user_agent.keep_living(session)

    def resume(self, session: str, note: bytes, *, credentials: DigestCredentials | None) -> None:
        """Go on with a session of an earlier run, in the state it had.

        Raises: ParseError: `note` cannot be read.
        """
        self.user_agent.resume(session, note, self._now(), credentials=credentials)
        self._endpoint.flush()

    def restore(self, session: str, kept: str, *, credentials: DigestCredentials | None, answered: bool) -> None:
        """Take a session of an earlier run up again, to end it.

        Raises: ParseError: `kept` cannot be read.
        """
        self.user_agent.restore(session, kept, self._now(), credentials=credentials, answered=answered)

    def reinvite(self, session: str, sdp: bytes) -> None:
        """Offer a change; `ReInviteAnswered` follows, 491 at once when another change is under way."""
        self.user_agent.reinvite(session, sdp, self._now())
        self._endpoint.flush()
        self.user_agent.changed(session)

    def accept_reinvite(self, session: str, sdp: bytes) -> None:
        self.user_agent.accept_reinvite(session, sdp, self._now())
        self._endpoint.flush()
        self.user_agent.changed(session)

    def reject_reinvite(self, session: str, status: int, *, headers: Fields = ()) -> None:
        self.user_agent.reject_reinvite(session, status, self._now(), headers=tuple(headers))
        self._endpoint.flush()

    def ask_to_answer(self, session: str) -> None:
        """NOTIFY with Event: talk inside the early dialog: most desk phones take the call then."""
        self.user_agent.talk(session, self._now())
        self._endpoint.flush()

    def answer_refer(self, session: str, status: int, *, reason: str = "") -> None:
        """Accept the REFER of a phone (below 300), or refuse it."""
        self.user_agent.answer_refer(session, status, self._now(), reason=reason)
        self._endpoint.flush()

    def notify_referrer(self, session: str, status: int, *, final: bool) -> None:
        """Tell a phone whose REFER was accepted how it goes."""
        self.user_agent.notify_referrer(session, status, self._now(), final=final)
        self._endpoint.flush()

    def info(self, session: str, content_type: str, body: bytes) -> None:
        """An INFO; `InfoAnswered` follows."""
        self.user_agent.info(session, content_type, body, self._now())
        self._endpoint.flush()

    def ask_whether_there(self, session: str) -> None:
        """A re-INVITE that changes nothing; the session ends when nobody answers it."""
        self.user_agent.ask_whether_there(session, self._now())
        self._endpoint.flush()

    def options(self, probe: str, target: Uri, flow: Flow, *, patience_s: float | None = None, route: Sequence[Uri] = ()) -> None:
        self.user_agent.options(probe, target, flow, self._now(), patience_s=patience_s, route=route)
        self._endpoint.flush()

    def register(self, registration: str, plan: RegistrationPlan) -> None:
        self.user_agent.register(registration, plan, self._now())
        self._endpoint.flush()

    def unregister(self, registration: str) -> None:
        self.user_agent.unregister(registration, self._now())
        self._endpoint.flush()

    def service_route(self, registration: str) -> tuple[Uri, ...]:
        """What new requests to this carrier have to pass, as its registrar said last (RFC 3608)."""
        return self.user_agent.service_route(registration)

    @property
    def _registrar(self) -> Registrar:
        registrar = self.user_agent.config.registrar
        assert registrar is not None, "the exchange is a registrar"
        return registrar

    def bindings(self, aor: str) -> list[Binding]:
        """Every contact of an address of record."""
        return self._registrar.lookup(aor, self._now())

    def to_ring(self, aor: str) -> list[Binding]:
        """Where a call to it goes: one contact of each phone, of those that give a sign of life."""
        return self._registrar.to_ring(aor, self._now())

    def binding(self, aor: str, contact: Uri) -> Binding | None:
        return next((one for one in self.bindings(aor) if str(one.contact) == str(contact)), None)

    def mark(self, aor: str, contact: Uri, *, is_unreachable: bool) -> None:
        """Whether a contact is left out of `to_ring`, until it registers again."""
        self._registrar.mark(aor, contact, is_unreachable=is_unreachable)

    def possible_twins(self, aor: str, contact: Uri) -> list[Uri]:
        return [one.contact for one in self._registrar.possible_twins(aor, contact)]

    def forget_contact(self, aor: str, contact: Uri) -> None:
        """It was a phone before it started anew; `Unregistered` follows."""
        self._registrar.forget_contact(aor, contact)
        self._endpoint.flush()

    def restore_bindings(self, bindings: Sequence[Binding]) -> None:
        registrar = self.user_agent.config.registrar
        if registrar is not None:
            registrar.restore(bindings, self._now())
            self._endpoint.flush()

    def flow_to(self, transport: TransportName, remote: tuple[str, int], behalf: str, *, asks: bool = False) -> Flow:
        """The way to a peer from the socket we listen on.

        Args:
            asks: what the peer begins is to come where it is asked for a certificate.
        Raises: LookupError: nothing listens on that transport and address family.
        """
        return self._endpoint.flow_to(*remote, transport, behalf, asks=asks)

    @property
    def now(self) -> float:
        return self._now()

    def describe(self, sessions: Container[str]) -> list[dict[str, Any]]:
        """Some sessions, with the seconds left on their timers; the rest of the SIP engine is the whole house's."""
        return [one for one in self.user_agent.describe(self._now())["sessions"] if one["session"] in sessions]
