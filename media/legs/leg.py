"""One leg: two ports, what comes in and what goes out, and what the exchange orders of it (RFC 3550, 4733, 4961; DESIGN.md §4)."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import time
from typing import TYPE_CHECKING

from media import quality
from media.codecs.registry import CODECS
from media.control import Codec, DescribeLeg, LegClosed, Quality
from media.jitter_buffer import JitterStatistics
from media.legs.one_way import OneWayWatch
from media.legs.quality_watch import QualityWatch
from media.legs.receiver import Receiver, closed_socket
from media.legs.reports import Reports
from media.legs.sender import Sender
from media.legs.silence_watch import SilenceWatch
from media.rtp.latch import Address, Latch
from media.rtp.outgoing import OutgoingStream
from media.rtp.session import RtpSession
from media.transport.dtls_srtp import DtlsSrtpTransport
from media.transport.ice_dtls import IceDtlsTransport
from media.transport.protected import ProtectedTransport
from media.transport.srtp import SrtpProtection
from media.transport.udp import address_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from media.legs.host import Host
    from media.transport.base import Transport
    from media.transport.ice import Credentials
    from media.transport.keys import SrtpKeys

log = logging.getLogger("media.legs.leg")


class Leg:
    """State of one leg; owned by the worker's loop."""

    __slots__ = (
        "_keys",
        "_latch",
        "_one_way",
        "_protection",
        "_quality",
        "_reports",
        "_session",
        "_silence",
        "address",
        "described",
        "host",
        "ice",
        "jitter",
        "loss_concealment",
        "name",
        "ordered",
        "port",
        "receiver",
        "sender",
        "transport",
    )

    def __init__(
        self,
        host: Host,
        name: str,
        address: str,
        port: int,
        transport: Transport,
        *,
        loss_concealment: bool,
        ice: Credentials | None = None,
    ) -> None:
        self.host = host
        self.name = name
        self.address = address
        self.port = port
        self.transport = transport
        self.loss_concealment = loss_concealment
        self.ice = ice
        """By these a browser knows it."""
        self.ordered: DescribeLeg | None = None
        """What was ordered last; `described` is what became of it."""
        self.described: DescribeLeg | None = None
        self.jitter = JitterStatistics()
        """Of the times when it was mixed."""
        # RFC 3550 §5.1, §8.1: SSRC, first sequence number and first timestamp are random; the number in the lower half, so that it
        # does not wrap at once.
        outgoing = OutgoingStream(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32))
        self._session = RtpSession(outgoing, secrets.token_hex(8))  # RFC 7022 §4.2: a short-term persistent random CNAME
        self._keys: SrtpKeys | None = None
        self._protection: SrtpProtection | None = None
        self._latch = Latch()
        self.sender = Sender(host, name, transport.send, outgoing)
        self.receiver = Receiver(host, name, transport, self._session, self._latch, self.sender)
        self._reports = Reports(host, name, transport, self._session, self._latch, self.sender)
        self._silence = SilenceWatch(host, name, lambda: self.receiver.last_heard_at)
        self._one_way = OneWayWatch(
            host, name, lambda: self.receiver.last_heard_at, lambda: self.described is not None and self.described.receives
        )
        self._quality = QualityWatch(host, name, self._session, self._score)
        self.receiver.report_to(self._reports, self._silence)

    @property
    def codec(self) -> Codec:
        """Of both directions."""
        return self.sender.codec

    @property
    def is_protected(self) -> bool:
        """It has keys."""
        return self._keys is not None or (isinstance(self.transport, IceDtlsTransport | DtlsSrtpTransport) and self.transport.is_open)

    def receive_rtcp(self) -> None:
        """One datagram of the RTCP port."""
        try:
            datagram, address = self.transport.receive_reports()
        except BlockingIOError:
            return
        except OSError as error:
            log.debug("! leg=%s RTCP receive: %s", self.name, error)
            return
        now = time.monotonic()
        if self._reports.receive(datagram, address, now, at_rtcp_port=True):
            self._silence.alive_at = now

    def describe(self, order: DescribeLeg, now: float) -> None:
        """Where the far end is and what it understands."""
        self._protect(order.srtp)
        self._run_at(CODECS[order.codec].clock_rate)
        described: Address = (order.remote_address, order.remote_port)
        if not order.until_heard:
            described = address_of(order.remote_address, order.remote_port, is_v6=self.transport.is_v6)
        self._latch.describe(described, order.signals_from, nowhere=order.until_heard)
        self.described = order
        if not self._latch.is_followed:
            self.sender.remote = None if order.until_heard else described
        # RFC 3264 §8.4: an older far end holds with the address 0.0.0.0; the kernel would send that to ourselves.
        is_nowhere = order.remote_port == 0 or (not order.until_heard and _is_unspecified(described))
        self.sender.describe(order, now, is_nowhere=is_nowhere)
        self.receiver.describe(order)
        self._reports.describe(order, described, now)
        self._silence.begin(order, now)
        self._quality.begin(now)

    def _run_at(self, clock_rate: int) -> None:
        """Timestamps count so many ticks a second from now on; RFC 7160 §4.1: under another SSRC, where the clock is another."""
        if clock_rate != self.sender.outgoing.clock_rate:
            self._session.run_at(clock_rate)
            self._begin_anew()

    def _protect(self, keys: SrtpKeys | None) -> None:
        """From now on under these keys; None: plain. The same again change nothing, nor what libsrtp knows of either stream."""
        if keys == self._keys:
            return
        self._keys = keys
        if self._protection is not None and keys is not None:
            if self._protection.renew(keys):
                self._begin_anew()
            return
        if keys is not None:
            self._protection = SrtpProtection(keys, time.monotonic)
            self._begin_anew()  # it may have sent under this key before, in between in plain: no number goes out under it twice
            self._use(ProtectedTransport(self.transport, self._protection))
        elif isinstance(self.transport, ProtectedTransport):
            self._protection = None
            self._use(self.transport.bare())

    def _begin_anew(self) -> None:
        """Another SSRC, if the far end knows one. No goodbye for that (RFC 3550 §8.2): there are far ends that take it for the end of the
        call.
        """
        if self.sender.outgoing.packets_sent:
            self.sender.outgoing.begin_anew(secrets.randbits(32), secrets.randbits(15))

    def use(self, over: Callable[[Transport], Transport]) -> None:
        """Another transport over, or below, the present one; keys of SDES are those of no other kind."""
        self._protect(None)
        self._use(over(self.transport))

    def _use(self, transport: Transport) -> None:
        """Send and receive through this one."""
        self.transport = transport
        self.sender.send_packet = transport.send
        self.receiver.listen_at(transport)
        self._reports.listen_at(transport)

    def watch_silence(self, now: float) -> None:
        """From now on somebody listens to it."""
        self._silence.begin(self.described, now)
        self._one_way.begin(now)

    def close(self, now: float) -> LegClosed:
        """Say goodbye, close both sockets; what was measured. Nobody hears it and it hears nobody by now."""
        self.sender.stop("stopped")
        self._silence.end()
        self._one_way.end()
        self._quality.end()
        self.receiver.close()
        self._reports.end(now)
        closed = LegClosed(leg=self.name, quality=self.measured())
        self.transport.close()
        self.sender.passing_key = None
        self.sender.send_packet = closed_socket
        return closed

    def measured(self) -> Quality:
        """Quality so far: loss and jitter of what we receive, round trip and remote loss from the far end's reports."""
        session = self._session
        expected, lost = session.packets_expected, session.packets_lost
        r = self._rating(lost, expected) if expected else 0.0
        return Quality(
            packets_sent=session.outgoing.packets_sent,
            packets_received=session.packets_received,
            packets_lost=lost,
            packets_late_or_duplicate=session.late_or_duplicate,
            jitter_ms=round(session.jitter_s * 1000, 3),
            round_trip_ms=None if session.round_trip_s is None else round(session.round_trip_s * 1000, 3),
            remote_loss_fraction=session.remote_loss_fraction,
            mos=None if r is None else round(quality.mos(r), 3) if expected else 0.0,
            r_factor=None if r is None else round(r, 2),
            codec=self.codec,
            jitter_buffer_ms=round(self.jitter.mean_ms, 1),
            jitter_buffer_max_ms=round(self.jitter.most_ms, 1),
            concealed_frames=self.jitter.concealed,
        )

    def _rating(self, lost: int, expected: int) -> float | None:
        """R of what came when so many were lost of so many (above 0), at the delay of now; None: no figures of the codec are published."""
        known = CODECS[self.codec].impairments
        if known is None:
            return None
        ptime_s = (self.described.ptime_ms if self.described else 20) / 1000
        delay = quality.mouth_to_ear_s(self._session.round_trip_s, self._session.jitter_s, ptime_s)
        return quality.r_factor(known.concealed if self.loss_concealment else known.plain, lost / expected, delay)

    def _score(self, lost: int, expected: int) -> float | None:
        r = self._rating(lost, expected)
        return None if r is None else round(quality.mos(r), 3)

    def packets_dropped(self) -> int:
        """Lost inside this process: in the socket's buffer, or when sending."""
        return self.transport.drops() + self.sender.drops


def _is_unspecified(address: Address) -> bool:
    return ipaddress.ip_address(address[0].partition("%")[0]).is_unspecified
