"""A phone's transport with DTLS-SRTP and without ICE: RFC 5763, RFC 5764, and RFC 7983 for what lies where in a port.

The leg keeps the far end's true addresses, and follows them as it does those of a plain one. Nothing of the leg leaves before there are
keys, and nothing reaches it. Where RTCP has a port of its own it has an association of its own (RFC 5764 §4.1): a far end that makes none
there gets no reports.

    RTP port  -> 20..63 DTLS: Handshakes -> datagrams; keys when one stands
                 128..191 SRTP, SRTCP -> the leg
    RTCP port -> the same, for reports alone
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from media.io.pacer import Timer
from media.rtp import packet as rtp
from media.rtp.latch import Address
from media.rtp.packet import DatagramKind
from media.transport.base import Protection, Transport
from media.transport.dtls import Dtls, Fingerprint, Identity, State
from media.transport.handshakes import Datagram, Handshakes
from media.transport.ice_dtls import Event, News, nothing
from media.transport.keys import SrtpKeys
from media.transport.protected import ProtectedTransport

log = logging.getLogger("media.transport.dtls_srtp")

_LEAST_OCTETS: Final = 4
"""What is shorter is neither RTP nor RTCP (`media.rtp.packet.kind_of`)."""


class _Port:
    """One port: its handshakes, and what they are sent by."""

    __slots__ = ("_failed", "_keyed_by", "_send", "handshakes", "remote")

    def __init__(self, identity: Identity, send: Callable[[bytes, Address], None]) -> None:
        self.handshakes = Handshakes(identity)
        self.remote: Address | None = None
        """Where we began."""
        self._send = send
        self._keyed_by: Dtls | None = None
        self._failed: Dtls | None = None

    def expect(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        self.handshakes.expect(fingerprints)
        self.remote = None

    def begin(self, remote: Address, now: float) -> None:
        """With whoever is there; nothing happens where that was done."""
        if remote != self.remote:
            self.remote = remote
            self.emit(self.handshakes.begin(remote, now))

    def emit(self, flights: list[Datagram]) -> None:
        for datagram, address in flights:
            try:
                self._send(datagram, address)
            except OSError as error:  # as lost as on the way: whoever misses it asks again
                log.debug("! %d octets to %s:%d: %s", len(datagram), address[0], address[1], error)

    def new_keys(self) -> SrtpKeys | None:
        """Those of an association that stands since the last call."""
        association = self.handshakes.association
        if association is None or association is self._keyed_by or association.state is not State.ESTABLISHED:
            return None
        self._keyed_by = association
        return association.keys()

    def new_end(self) -> Dtls | None:
        """An association that is over, or a handshake that came to nothing when there was no other: told once."""
        standing, failed = self.handshakes.association, self.handshakes.failed
        if standing is not None:
            ended = standing if standing.state in {State.CLOSED, State.FAILED} else None
        else:
            ended = None if self.handshakes.is_running else failed
        if ended is None or ended is self._failed:
            return None
        self._failed = ended
        return ended


class _Line:
    """Implements `Transport` below the protection: what is not SRTP goes to the handshakes."""

    __slots__ = ("_socket", "_take_at_rtcp", "_take_at_rtp", "receive", "rejected", "send")

    def __init__(
        self, line: Transport, take_at_rtp: Callable[[bytes, Address], None], take_at_rtcp: Callable[[bytes, Address], None]
    ) -> None:
        self._socket = line
        self._take_at_rtp, self._take_at_rtcp = take_at_rtp, take_at_rtcp
        self.receive: Callable[[bytearray], tuple[int, Any]] = self._receive
        self.send = line.send
        self.rejected = 0

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._socket.descriptors

    @property
    def is_v6(self) -> bool:
        return self._socket.is_v6

    def _receive(self, buffer: bytearray) -> tuple[int, Address]:
        octets, address = self._socket.receive(buffer)
        if octets >= _LEAST_OCTETS and buffer[0] >> 6 == rtp.VERSION:
            return octets, address
        self._take_at_rtp(bytes(memoryview(buffer)[:octets]), address)
        raise nothing()

    def receive_reports(self) -> tuple[bytes, Address]:
        datagram, address = self._socket.receive_reports()
        if len(datagram) >= _LEAST_OCTETS and datagram[0] >> 6 == rtp.VERSION:
            return datagram, address
        self._take_at_rtcp(datagram, address)
        raise nothing()

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:
        self._socket.send_reports(datagram, address, at_rtp_port=at_rtp_port)

    def drops(self) -> int:
        return self._socket.drops()

    def close(self) -> None:
        self._socket.close()


class DtlsSrtpTransport:
    """Implements `Transport` over plain ports."""

    __slots__ = (
        "_at",
        "_clock",
        "_expected",
        "_identity",
        "_line",
        "_named",
        "_protect",
        "_protected",
        "_reports",
        "_rtcp",
        "_rtp",
        "_socket",
        "_tell",
        "_timer",
        "receive",
        "rejected",
        "send",
    )

    def __init__(
        self,
        line: Transport,
        identity: Identity,
        *,
        protect: Callable[[SrtpKeys], Protection],
        at: Callable[[float, Callable[[float], None]], Timer],
        clock: Callable[[], float],
        tell: Callable[[Event], None],
    ) -> None:
        """Wait to be told who is expected; the arguments are as those of `IceDtlsTransport`."""
        self._socket = line
        self._identity = identity
        self._protect = protect
        self._at, self._clock, self._tell = at, clock, tell
        self._rtp = _Port(identity, self._send_at_rtp)
        self._rtcp = _Port(identity, self._send_at_rtcp)
        self._line = _Line(line, self.hear, lambda datagram, address: self._take(self._rtcp, datagram, address))
        self._expected: frozenset[Fingerprint] | None = None
        self._named: tuple[Address, Address] | None = None
        self._protected: ProtectedTransport | None = None
        self._reports: ProtectedTransport | None = None
        """Over the RTCP port."""
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
    def is_open(self) -> bool:
        """There are keys to send with."""
        return self._protected is not None

    @property
    def fingerprint(self) -> Fingerprint:
        """Of our certificate."""
        return self._identity.fingerprint

    @property
    def peer(self) -> Address | None:
        """Where the far end proved to be; None before it did, and since it said that it is elsewhere."""
        return self._rtp.handshakes.peer

    # ---------------------------------------------------------------- what the description says

    def place(self, rtp_at: Address, rtcp_at: Address) -> None:
        """Where the far end says that it receives, as the kernel writes addresses; the same twice where RTCP shares the port (RFC 5761).
        Another place than before is believed until a handshake tells better.
        """
        if (rtp_at, rtcp_at) != self._named:
            self._named = rtp_at, rtcp_at
            for port in (self._rtp, self._rtcp):
                port.handshakes.peer = None

    def expect(self, fingerprints: Iterable[Fingerprint], *, is_client: bool = False) -> None:
        """What the far end's description says of it; the same changes nothing, others than before begin another association, and so does
        another place where we are the one who begins. The keys of the old one hold until there are new ones.

        Args:
            is_client: we are the active one; nothing begins as long as it is in no place.
        """
        expected = frozenset(fingerprints)
        if expected != self._expected:
            self._expected = expected
            for port in (self._rtp, self._rtcp):
                port.expect(tuple(expected))
        now = self._clock()
        if is_client and self._named is not None:
            rtp_at, rtcp_at = self._named
            self._rtp.begin(rtp_at, now)
            if rtcp_at != rtp_at:
                self._rtcp.begin(rtcp_at, now)
        self._arm(now)

    # ---------------------------------------------------------------- packets

    def _receive(self, buffer: bytearray) -> tuple[int, Address]:
        protected = self._protected
        if protected is None:
            octets, address = self._line.receive(buffer)
            self._reject(octets, address, "no keys yet")
            raise nothing()
        try:
            return protected.receive(buffer)
        except BlockingIOError:
            self._count(protected)
            raise

    def _send(self, packet: memoryview, address: Address) -> int:
        return self._open(self._protected).send(packet, address)

    def receive_reports(self) -> tuple[bytes, Address]:
        reports = self._reports
        if reports is None:
            datagram, address = self._line.receive_reports()
            self._reject(len(datagram), address, "no keys for reports yet")
            raise nothing()
        try:
            return reports.receive_reports()
        except BlockingIOError:
            self._count(reports)
            raise

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:
        if at_rtp_port:
            self._open(self._protected).send_reports(datagram, address, at_rtp_port=True)
        else:
            # Where its association is, there it is.
            self._open(self._reports).send_reports(datagram, self._rtcp.handshakes.peer or address, at_rtp_port=False)

    def _open(self, protected: ProtectedTransport | None) -> ProtectedTransport:
        if protected is None:
            raise OSError(errno.ENOTCONN, "there are no keys to send with")
        return protected

    def _count(self, protected: ProtectedTransport) -> None:
        self.rejected += protected.rejected
        protected.rejected = 0

    def _reject(self, octets: int, address: Address, why: str) -> None:
        self.rejected += 1
        log.debug("! %d octets from %s:%d dropped: %s", octets, address[0], address[1], why)

    def drops(self) -> int:
        return self._socket.drops()

    def close(self) -> None:
        """Say goodbye, and close the sockets."""
        for port in (self._rtp, self._rtcp):
            port.emit(port.handshakes.close())
        if self._timer is not None:
            self._timer.cancel()
        self._protected = self._reports = None
        self._socket.close()

    # ---------------------------------------------------------------- DTLS

    def hear(self, datagram: bytes, address: Address) -> None:
        """What is not SRTP, at the RTP port; also what came there before it was known whose leg it is."""
        self._take(self._rtp, datagram, address)

    def _take(self, port: _Port, datagram: bytes, address: Address) -> None:
        """What is not SRTP."""
        kind = rtp.kind_of(datagram)
        if kind is not DatagramKind.DTLS:
            self._reject(len(datagram), address, kind.name)
            return
        now = self._clock()
        port.emit(port.handshakes.receive(datagram, address, now))
        self._go_on(now)

    def _send_at_rtp(self, datagram: bytes, address: Address) -> None:
        self._socket.send(memoryview(datagram), address)

    def _send_at_rtcp(self, datagram: bytes, address: Address) -> None:
        self._socket.send_reports(datagram, address, at_rtp_port=False)

    def _go_on(self, now: float) -> None:
        """See what became of the associations."""
        if (keys := self._rtcp.new_keys()) is not None:
            self._reports = ProtectedTransport(self._line, self._protect(keys))
        if (keys := self._rtp.new_keys()) is not None:
            self._protected = ProtectedTransport(self._line, self._protect(keys))
            self._tell(Event(News.CONNECTED))
        if self._rtcp.new_end() is not None:
            self._reports = None
        if (ended := self._rtp.new_end()) is not None:
            self._protected = None
            reason = f"{ended.reason}: {ended.detail}" if ended.detail else str(ended.reason or "")
            self._tell(Event(News.FAILED if ended.state is State.FAILED else News.CLOSED, reason))
        self._arm(now)

    # ---------------------------------------------------------------- time

    def _arm(self, now: float) -> None:
        """Be called when a handshake wants to be; a timer that is early looks, and sets the next."""
        wanted = [at for port in (self._rtp, self._rtcp) if (at := port.handshakes.next_timeout(now)) is not None]
        if not wanted or (self._timer is not None and self._timer.deadline <= min(wanted)):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._at(min(wanted), self._timed_out)

    def _timed_out(self, now: float) -> None:
        self._timer = None
        for port in (self._rtp, self._rtcp):
            port.emit(port.handshakes.handle_timeout(now))
        self._go_on(now)

    def describe(self) -> dict[str, object]:
        """For who looks from outside; no key is in it."""
        associations = {"rtp": self._rtp.handshakes.association, "rtcp": self._rtcp.handshakes.association}
        standing = {name: None if each is None else each.describe() for name, each in associations.items()}
        return {"peer": self.peer, "has_keys": self.is_open, **standing}
