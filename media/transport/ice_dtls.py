"""A browser's transport: ICE-lite, DTLS and SRTP over the RTP port (RFC 7983, RFC 8834; RTCP goes where RTP goes, RFC 5761).

As long as nothing is `expect`ed, the far end may be a browser or not: checks are answered and the handshake is held, nothing else passes.
If it is none, `bare` gives the ports back as they were. Several pages may ring with one leg, and two of them begin at once: each has an
association of its own until it is known whose certificate is the right one.

What ICE and DTLS send and hear does not reach the leg, nor does any packet before there are keys; what the leg sends before that does not
leave, least of all unprotected. Where the peer is, is ICE's affair: for the leg it has one address, `peer`, that is on no line, so that a
browser that goes from one network to another moves nothing up there. DTLS is heard only from where a good check came from.

    socket -> 0..3 STUN: IceLite -> answer
              20..63 DTLS: Dtls -> datagrams; keys when it is established
              128..191 SRTP, SRTCP -> the leg
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from media.io.pacer import Timer
from media.rtp import packet as rtp
from media.rtp.latch import Address
from media.rtp.packet import DatagramKind
from media.transport import dtls, ice
from media.transport.base import Protection, Transport
from media.transport.dtls import Dtls, Fingerprint, Identity
from media.transport.handshakes import random_of
from media.transport.ice import Credentials, IceLite
from media.transport.keys import SrtpKeys
from media.transport.protected import ProtectedTransport

log = logging.getLogger("media.transport.ice_dtls")

PEER_V4: Final[Address] = ("192.0.2.1", 9)
PEER_V6: Final[Address] = ("2001:db8::1", 9, 0, 0)
"""Of documentation (RFC 5737, RFC 3849), and the discard port: nothing goes there, `send` does not look at it."""
_MAX_VALID: Final = 8
"""Addresses with a good check that are kept: a browser has a few interfaces."""
_MAX_BESIDE: Final = 3
"""Handshakes beside the first: of more pages than four the oldest is forgotten."""
_LEAST_OCTETS: Final = 4
"""What is shorter is neither RTP nor RTCP (`media.rtp.packet.kind_of`)."""
_VERSION: Final = rtp.VERSION
_SUSPECT: Final = ice.State.SUSPECT
_GONE: Final = ice.State.GONE
"""See `media.transport.ice` for why they have names of their own."""


class News(StrEnum):
    """What the exchange wants to know of a browser's leg."""

    CONNECTED = "connected"
    """Keys are there, audio flows; or the peer is there again."""
    SUSPECT = "suspect"
    GONE = "gone"
    CLOSED = "closed"
    """The peer said goodbye: the page was left, or closed the connection."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    news: News
    reason: str = ""


@dataclass(slots=True, eq=False)
class _Begun:
    """A handshake of one page beside that of another."""

    association: Dtls
    random: bytes
    address: Address


class _Line:
    """Implements `Transport` below the protection: between SRTP and the socket."""

    __slots__ = ("_agent", "_ours", "_socket", "peer", "receive", "rejected", "send")

    def __init__(self, line: Transport, agent: IceLite, ours: Callable[[bytes, Address], bool]) -> None:
        self._socket = line
        self._agent = agent
        self._ours = ours
        self.peer = PEER_V6 if line.is_v6 else PEER_V4
        self.receive: Callable[[bytearray], tuple[int, Any]] = self._receive
        self.send: Callable[[memoryview, Address], int] = self._send
        self.rejected = 0

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._socket.descriptors

    @property
    def is_v6(self) -> bool:
        return self._socket.is_v6

    def _receive(self, buffer: bytearray) -> tuple[int, Address]:
        octets, address = self._socket.receive(buffer)
        if octets >= _LEAST_OCTETS and buffer[0] >> 6 == _VERSION:
            return octets, self.peer
        if self._ours(bytes(memoryview(buffer)[:octets]), address):
            raise nothing()
        return octets, address

    def _send(self, packet: memoryview, _: Address) -> int:
        agent = self._agent
        remote = agent.remote
        # RFC 7675 §5.1: no consent, no packet.
        if remote is None or agent.state is _GONE:
            raise OSError(errno.ENOTCONN, "there is no browser to send to")
        return self._socket.send(packet, remote)

    def receive_reports(self) -> tuple[bytes, Address]:
        raise nothing()

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:  # noqa: ARG002 - there is one port
        self._send(memoryview(bytearray(datagram)), address)

    def drops(self) -> int:
        return self._socket.drops()

    def close(self) -> None:
        self._socket.close()


class IceDtlsTransport:
    """Implements `Transport` over plain ports, of which the one for RTCP is not used."""

    __slots__ = (
        "_agent",
        "_at",
        "_beside",
        "_clock",
        "_dtls",
        "_ended",
        "_expected",
        "_identity",
        "_keyed_by",
        "_line",
        "_protect",
        "_protected",
        "_random",
        "_socket",
        "_tell",
        "_timer",
        "_valid",
        "receive",
        "rejected",
        "send",
    )

    def __init__(
        self,
        line: Transport,
        identity: Identity,
        credentials: Credentials,
        *,
        protect: Callable[[SrtpKeys], Protection],
        at: Callable[[float, Callable[[float], None]], Timer],
        clock: Callable[[], float],
        tell: Callable[[Event], None],
    ) -> None:
        """Wait for the peer's checks, and for its handshake.

        Args:
            line: the sockets.
            identity: of the worker.
            protect: makes SRTP of keys.
            at, clock: the loop's timers, and its monotonic clock.
            tell: who wants to know what becomes of the peer; called from within `receive`, `describe` and timers.
        """
        self._socket = line
        self._identity = identity
        self._protect = protect
        self._at, self._clock, self._tell = at, clock, tell
        self._agent = IceLite(credentials)
        self._line = _Line(line, self._agent, self._take)
        self._dtls = Dtls(identity)
        self._random: bytes | None = None
        """Of the ClientHello that it began with."""
        self._beside: list[_Begun] = []
        """The newest last."""
        self._expected: frozenset[Fingerprint] | None = None
        self._keyed_by: Dtls | None = None
        """The association whose keys are in use; the one that is being made may be another."""
        self._ended: Dtls | None = None
        """The association whose end was told."""
        self._protected: ProtectedTransport | None = None
        self._valid: dict[Address, None] = {}
        self._timer: Timer | None = None
        self.receive: Callable[[bytearray], tuple[int, Any]] = self._receive
        self.send: Callable[[memoryview, Address], int] = self._send
        self.rejected = line.rejected

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._socket.descriptors

    @property
    def is_v6(self) -> bool:
        return self._socket.is_v6

    @property
    def is_expecting(self) -> bool:
        """The far end was described as a browser."""
        return self._expected is not None

    @property
    def is_open(self) -> bool:
        """There are keys to send with."""
        return self._protected is not None

    @property
    def fingerprint(self) -> Fingerprint:
        """Of our certificate."""
        return self._identity.fingerprint

    @property
    def peer(self) -> Address:
        """What the leg is to be described with, and hears from."""
        return self._line.peer

    # ---------------------------------------------------------------- what the description says

    def expect(self, fingerprints: Iterable[Fingerprint], *, is_client: bool = False) -> None:
        """What the peer's description says of it. Other fingerprints than before begin another association (RFC 8842 §5.1), and the keys of
        the old one hold until there are new ones; the same change nothing.

        Args:
            is_client: we are the active one.
        """
        expected = frozenset(fingerprints)
        if expected == self._expected:
            return
        if self._expected is not None or is_client:
            self._dtls, self._random = Dtls(self._identity, is_client=is_client), None
            self._beside.clear()
        self._expected = expected
        self._send_dtls(self._dtls.expect(tuple(expected)))
        for each in self._beside:
            self._send_to(each.address, each.association.expect(tuple(expected)))
        self._go_on(self._clock())

    def bare(self) -> Transport:
        """The far end is no browser: the ports without anything in between. Whoever was about to shake hands is told that it is over.

        Raises: RuntimeError: it is one, and what has no keys is nothing to it.
        """
        if self.is_expecting:
            raise RuntimeError("the ports of a browser are not to be had without protection")
        self._end()
        self._socket.rejected = self.rejected
        return self._socket

    def restart(self, credentials: Credentials) -> None:
        """ICE anew, as the peer's description has another ufrag."""
        self._agent.restart(credentials)

    # ---------------------------------------------------------------- packets

    def _receive(self, buffer: bytearray) -> tuple[int, Address]:
        protected = self._protected
        if protected is None:
            octets, address = self._line.receive(buffer)
            if self.is_expecting:
                self._reject(octets, address, "no keys yet")
            elif address != self.peer:
                return octets, address
            raise nothing()
        try:
            received = protected.receive(buffer)
        except BlockingIOError:
            self.rejected += protected.rejected
            protected.rejected = 0
            raise
        now, agent = self._clock(), self._agent
        if agent.state is _SUSPECT:
            self._tell_of(agent.heard(now))
            self._arm(now)
        agent.last_heard_at = now
        return received

    def _send(self, packet: memoryview, address: Address) -> int:
        protected = self._protected
        return protected.send(packet, address) if protected is not None else self._open().send(packet, address)

    def receive_reports(self) -> tuple[bytes, Address]:
        """There is no port of their own: what comes to it is read and dropped."""
        datagram, address = self._socket.receive_reports()
        if self.is_expecting:
            self._reject(len(datagram), address, "at the RTCP port")
        raise nothing()

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:
        self._open().send_reports(datagram, address, at_rtp_port=at_rtp_port)

    def _open(self) -> ProtectedTransport:
        if self._protected is None:
            raise OSError(errno.ENOTCONN, "there are no keys to send with")
        return self._protected

    def drops(self) -> int:
        return self._socket.drops()

    def close(self) -> None:
        """Say goodbye, and close the sockets."""
        self._end()
        self._socket.close()

    def _end(self) -> None:
        self._send_dtls(self._dtls.close())
        for each in self._beside:
            self._send_to(each.address, each.association.close())
        if self._timer is not None:
            self._timer.cancel()
        self._protected = None

    # ---------------------------------------------------------------- ICE

    def _take(self, datagram: bytes, address: Address) -> bool:
        """What is not SRTP. Returns: False: the handshake of somebody who checks nothing and may be a phone: its leg keeps it until it is
        described.
        """
        now = self._clock()
        kind = rtp.kind_of(datagram)
        if kind is DatagramKind.STUN:
            self._check(datagram, address, now)
        elif kind is DatagramKind.DTLS and address in self._valid:
            self._shake_hands(datagram, address, now)
            self._go_on(now)
        elif kind is DatagramKind.DTLS and not self.is_expecting:
            return False
        else:
            self._reject(len(datagram), address, kind.name)
        return True

    def _check(self, datagram: bytes, address: Address, now: float) -> None:
        reaction = self._agent.receive(datagram, address, now)
        if reaction.answer is not None:
            self._send_now(reaction.answer, address)
        if reaction.why_not is not None:
            self._reject(len(datagram), address, reaction.why_not)
            return
        self._valid.pop(address, None)
        self._valid[address] = None  # the newest last
        if len(self._valid) > _MAX_VALID:
            del self._valid[next(iter(self._valid))]
        if reaction.moved_to is not None:
            log.debug("= the browser is at %s:%d", address[0], address[1])
        self._tell_of(reaction.state)
        self._go_on(now)

    def _tell_of(self, state: ice.State | None) -> None:
        news = None if state is None else _NEWS.get(state)
        if news is not None and self._protected is not None:
            self._tell(Event(news))

    def _reject(self, octets: int, address: Address, why: str) -> None:
        self.rejected += 1
        log.debug("! %d octets from %s:%d dropped: %s", octets, address[0], address[1], why)

    # ---------------------------------------------------------------- DTLS

    def _shake_hands(self, datagram: bytes, address: Address, now: float) -> None:
        """With whom it is of; what comes from elsewhere goes on with the first, whose page may have moved."""
        random = random_of(datagram)
        begun = next((each for each in self._beside if each.address == address), None)
        if random is not None and self._dtls.state is not dtls.State.NEW and random != self._random and self._keyed_by is None:
            begun = next((each for each in self._beside if each.random == random), None) or self._begin_beside(random, address)
            begun.address = address
        elif random is not None and self._dtls.state is dtls.State.NEW:
            self._random = random
        if begun is not None and random != self._random:
            self._send_to(address, begun.association.receive(datagram, now))
        else:
            self._send_dtls(self._dtls.receive(datagram, now))

    def _begin_beside(self, random: bytes, address: Address) -> _Begun:
        begun = _Begun(Dtls(self._identity), random, address)
        if self._expected is not None:
            begun.association.expect(tuple(self._expected))
        self._beside.append(begun)
        if len(self._beside) > _MAX_BESIDE:
            del self._beside[0]
        return begun

    def _choose(self) -> None:
        """Of several associations the one that stands; of those that are over none, as long as another is not."""
        standing = next((each for each in self._beside if each.association.state is dtls.State.ESTABLISHED), None)
        self._beside = [each for each in self._beside if each.association.state not in _OVER]
        if standing is not None and self._dtls.state is not dtls.State.ESTABLISHED:
            self._dtls, self._random = standing.association, standing.random
        elif self._dtls.state in _OVER and self._keyed_by is not self._dtls and (self._beside or not self.is_expecting):
            first = self._beside.pop(0) if self._beside else None
            self._dtls, self._random = (Dtls(self._identity), None) if first is None else (first.association, first.random)
        if self._dtls.state is dtls.State.ESTABLISHED:
            self._beside.clear()

    def _go_on(self, now: float) -> None:
        """Begin, if that is ours and there is somebody to begin with; then see what became of the association."""
        self._choose()
        if self._agent.remote is not None:
            self._send_dtls(self._dtls.start(now))
        association = self._dtls
        if association.state is dtls.State.ESTABLISHED and association is not self._keyed_by:
            self._keyed_by = association
            self._protected = ProtectedTransport(self._line, self._protect(association.keys()))
            self._tell(Event(News.CONNECTED))
        elif association.state in {dtls.State.CLOSED, dtls.State.FAILED} and association is not self._ended:
            self._ended = association
            self._protected = None
            is_failed = association.state is dtls.State.FAILED
            reason = f"{association.reason}: {association.detail}" if association.detail else str(association.reason or "")
            self._tell(Event(News.FAILED if is_failed else News.CLOSED, reason))
        self._arm(now)

    def _send_dtls(self, flight: list[bytes]) -> None:
        remote = self._agent.remote
        if remote is not None:
            self._send_to(remote, flight)

    def _send_to(self, address: Address, flight: list[bytes]) -> None:
        for datagram in flight:
            self._send_now(datagram, address)

    def _send_now(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket.send(memoryview(datagram), address)
        except OSError as error:  # as lost as on the way: whoever misses it asks again
            log.debug("! %d octets to %s:%d: %s", len(datagram), address[0], address[1], error)

    # ---------------------------------------------------------------- time

    def _arm(self, now: float) -> None:
        """Be called when ICE or DTLS want to be; a timer that is early looks, and sets the next."""
        associations = (self._dtls, *[each.association for each in self._beside])
        deadlines = (self._agent.next_timeout(), *[each.next_timeout(now) for each in associations])
        wanted = [each for each in deadlines if each is not None]
        if not wanted or (self._timer is not None and self._timer.deadline <= min(wanted)):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._at(min(wanted), self._timed_out)

    def _timed_out(self, now: float) -> None:
        self._timer = None
        self._send_dtls(self._dtls.handle_timeout(now))
        for each in self._beside:
            self._send_to(each.address, each.association.handle_timeout(now))
        self._tell_of(self._agent.handle_timeout(now))
        self._go_on(now)

    def describe(self) -> dict[str, object]:
        """For who looks from outside."""
        return {"ice": self._agent.describe(), "dtls": self._dtls.describe(), "has_keys": self._protected is not None}


_OVER: Final = frozenset((dtls.State.CLOSED, dtls.State.FAILED))
_NEWS: Final = {ice.State.CONNECTED: News.CONNECTED, ice.State.SUSPECT: News.SUSPECT, ice.State.GONE: News.GONE}


def nothing() -> BlockingIOError:
    """What a non-blocking socket says when nothing is there."""
    return BlockingIOError(errno.EAGAIN, "nothing of use was there")
