"""The far end of a browser's leg: checks, a handshake, keys (RFC 8445 as the controlling agent, RFC 5764); pure but for `connect`.

It is what a browser does as far as the worker sees it, made of the worker's own parts (`media.transport`), so that it costs little. It
proves nothing of them: that is done with real browsers, aiortc and werift.
"""

from __future__ import annotations

import secrets
import select
import socket
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from media.rtp.latch import Address
from media.rtp.packet import DatagramKind, kind_of
from media.transport import stun
from media.transport.dtls import Dtls, Fingerprint, Identity, State
from media.transport.ice import Credentials
from media.transport.keys import SrtpKeys
from media.transport.stun import AttributeType, MessageClass

CHECK_EVERY_S: Final = 2.5
"""As Chromium does (measured: 2.66 s)."""
_AGAIN_S: Final = 0.5
_NAME: Final = "page"
_DATAGRAM_OCTETS: Final = 2048
_PRIORITY: Final = 0x7E0000FF
"""Of a host's candidate (RFC 8445 §5.1.2)."""


class Browser:
    """One association.

    Args:
        credentials: of the worker's leg.
        fingerprint: of the worker's certificate, as `LegOpened` has it.
    """

    def __init__(self, identity: Identity, credentials: Credentials, fingerprint: str) -> None:
        self._credentials = credentials
        self._dtls = Dtls(identity, is_client=True)
        self._dtls.expect((Fingerprint.parse(fingerprint),))

    def check(self) -> bytes:
        """A connectivity check that nominates."""
        attributes = (
            (AttributeType.USERNAME, f"{self._credentials.ufrag}:{_NAME}".encode()),
            (AttributeType.PRIORITY, _PRIORITY.to_bytes(4, "big")),
            (AttributeType.USE_CANDIDATE, b""),
        )
        return stun.compose(MessageClass.REQUEST, secrets.token_bytes(12), attributes, password=self._credentials.pwd)

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        """What is to be sent for it: the answer to the first check begins the handshake."""
        kind = kind_of(datagram)
        if kind is DatagramKind.STUN:
            return self._dtls.start(now)
        return self._dtls.receive(datagram, now) if kind is DatagramKind.DTLS else []

    def handle_timeout(self, now: float) -> list[bytes]:
        """What was lost, again."""
        return self._dtls.handle_timeout(now)

    def keys(self) -> SrtpKeys | None:
        """None: not yet.

        Raises: RuntimeError: the handshake failed.
        """
        if self._dtls.state is State.FAILED:
            raise RuntimeError(f"handshake: {self._dtls.reason} {self._dtls.detail}")
        return self._dtls.keys() if self._dtls.state is State.ESTABLISHED else None


class End(NamedTuple):
    """A browser, its socket, and where the worker's leg is."""

    browser: Browser
    socket: socket.socket
    leg: Address


def connect(ends: Sequence[End], *, every_s: float = 0.0, within_s: float = 10.0) -> list[float]:
    """Connect all of them, one each `every_s`; returns for each how long it took from its check to its keys, in seconds.

    Raises: TimeoutError: not all of them have keys by then; RuntimeError: a handshake failed.
    """
    by_descriptor = {end.socket.fileno(): index for index, end in enumerate(ends)}
    epoll = select.epoll()
    for descriptor in by_descriptor:
        epoll.register(descriptor, select.EPOLLIN)
    began: list[float] = []
    took: dict[int, float] = {}
    first = time.monotonic()
    again = first + _AGAIN_S
    try:
        while len(took) < len(ends):
            now = time.monotonic()
            if now > first + every_s * len(ends) + within_s:
                raise TimeoutError(f"{len(ends) - len(took)} of {len(ends)} browsers have no keys after {now - first:.1f} s")
            while len(began) < len(ends) and now >= first + every_s * len(began):
                end = ends[len(began)]
                end.socket.sendto(end.browser.check(), end.leg)
                began.append(now)
            if now >= again:
                again = now + _AGAIN_S
                _remind(ends, len(began), took, now)
            due = first + every_s * len(began) if len(began) < len(ends) else again
            for descriptor, _ in epoll.poll(max(0.0, min(due, again) - time.monotonic())):
                index = by_descriptor[descriptor]
                end = ends[index]
                now = time.monotonic()
                for flight in end.browser.receive(end.socket.recv(_DATAGRAM_OCTETS), now):
                    end.socket.sendto(flight, end.leg)
                if index not in took and end.browser.keys() is not None:
                    took[index] = time.monotonic() - began[index]
    finally:
        epoll.close()
    return [took[index] for index in range(len(ends))]


def _remind(ends: Sequence[End], begun: int, took: dict[int, float], now: float) -> None:
    """What was lost is sent again."""
    for index, end in enumerate(ends[:begun]):
        if index not in took:
            for datagram in (end.browser.check(), *end.browser.handle_timeout(now)):
                end.socket.sendto(datagram, end.leg)
