"""Many phones on one SIP port: the user agent engine, its shell, and who gets which event (RFC 3261 §8, §10).

A bank is what a multi-line gateway is: one address, one engine, any number of lines. Who is called is told by the user part of
the Request-URI, which is the contact the line registered.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from sip.classified import TRUNK, Classified
from sip.config import UserAgentConfig
from sip.events import Event, IncomingInvite, MessageDropped, RegistrationDown, RegistrationUp
from sip.flow import Flow, HostPort, TransportName
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.io.transport import Contexts
from sip.message import Request
from sip.overload import OverloadPolicy
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent

LOG = logging.getLogger("load.phones")


def new_id() -> str:
    """A token nobody guesses (RFC 3261 §19.3)."""
    return secrets.token_hex(8)


def _everybody(_request: Request, _flow: Flow) -> Classified:
    return TRUNK


class Line(Protocol):
    """Who is told what happens to a session or a registration."""

    def on_event(self, event: Event) -> None:
        """One event of it, in order."""


Taker = Callable[[IncomingInvite], Line | None]
"""Who is called: gives the line that takes the session, or None (answered 480)."""


class PhoneBank:
    """One user agent on one port, shared by lines."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        transport: TransportName = "udp",
        *,
        agent_name: str = "Fernamt synthetic phone",
        tls: Contexts | None = None,
    ) -> None:
        """Args:
        tls: what handshakes are made with, where the transport is TLS.
        """
        self.address = address
        self.transport = transport
        # A generator must never be the one who refuses.
        overload = OverloadPolicy(invites_per_s=1e6, burst=1_000_000, live_sessions=1_000_000)
        self.user_agent = UserAgent(UserAgentConfig(agent_name=agent_name, classify=_everybody, overload=overload), new_id)
        self._endpoint = SipEndpoint(self.user_agent, [(transport, address, port)], self._on_event, tls=tls)
        self._lines: dict[str, Line] = {}
        self._takers: dict[str, Taker] = {}
        self.dropped: list[str] = []
        """Why messages could not be used, the first hundred."""

    async def start(self) -> None:
        """Open the port.

        Raises: OSError: it cannot be bound.
        """
        await self._endpoint.start()

    async def close(self) -> None:
        """Close the port; sessions are not ended by that."""
        await self._endpoint.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._endpoint.addresses[0][2]

    def now(self) -> float:
        """The time the engine lives in: monotonic seconds."""
        return self._endpoint.now()

    @staticmethod
    def clock() -> float:
        """The time for measuring: the same clock, read now. uvloop's own stands still within an iteration and counts whole milliseconds."""
        return time.monotonic()

    def flow_to(self, peer: HostPort) -> Flow:
        """The way to a peer."""
        return self._endpoint.flow_to(peer[0], peer[1], self.transport)

    def flush(self) -> None:
        """Send what the last commands asked for; harmless inside an event."""
        self._endpoint.flush()

    def answer_for(self, user: str, taker: Taker) -> None:
        """Calls to `user` go to `taker`; the empty name takes what nobody else does."""
        self._takers[user] = taker

    def attach(self, session: str, line: Line) -> None:
        """Events of this session, or registration, go to that line."""
        self._lines[session] = line

    def detach(self, session: str) -> None:
        """Nobody listens any more."""
        self._lines.pop(session, None)

    def register(self, registration: str, plan: RegistrationPlan, line: Line) -> None:
        """Register and stay registered."""
        self.attach(registration, line)
        self.user_agent.register(registration, plan, self.now())
        self.flush()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, IncomingInvite):
            taker = self._takers.get(event.request.uri.user or "") or self._takers.get("")
            line = taker(event) if taker is not None else None
            if line is None:
                self.user_agent.reject(event.session, 480, self.now())
            else:
                self.attach(event.session, line)
                line.on_event(event)
            return
        if isinstance(event, MessageDropped):
            if len(self.dropped) < 100:
                self.dropped.append(event.why)
            return
        name = event.registration if isinstance(event, RegistrationUp | RegistrationDown) else getattr(event, "session", None)
        line = self._lines.get(name) if name is not None else None
        if line is None:
            LOG.debug("= nobody waits for %s", type(event).__name__)
        else:
            line.on_event(event)


def name_addr(uri: str, display_name: str = "") -> NameAddr:
    """From and To of a call.

    Raises: ParseError: no URI.
    """
    return NameAddr(Uri.parse(uri), display_name)
