"""One two-party RTP session as a whole: outgoing stream, received source, reports and round trip (RFC 3550 §6.3-6.4).

Two times meet here and are never mixed: `now` is monotonic seconds, `wallclock` is seconds since 1970 and goes nowhere but
into NTP timestamps.
"""

from __future__ import annotations

from media.rtp.outgoing import OutgoingStream
from media.rtp.report_interval import next_average_octets, rtcp_interval
from media.rtp.rtcp import (
    ExtendedReport,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesItem,
    SenderReport,
    SourceDescription,
    VoipMetrics,
    compound,
)
from media.rtp.source import Source

_NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905 §6)."""
_RTCP_OCTETS_PER_S = 80_000 * 0.05 / 8
"""5 % of G.711's 80 kbit/s at IP level (RFC 3550 §6.2; FACTS: packet of 200 octets, 50 a second)."""
_UDP_IP_OCTETS = 28
_REPORT_OCTETS = 120.0
"""First guess of a compound's size: SR with one block and a CNAME."""


def ntp_timestamp(wallclock: float) -> int:
    """RFC 3550 §4: 32 bits of seconds since 1900 and 32 of their fraction."""
    return int((wallclock + _NTP_EPOCH_S) * 4294967296) & 0xFFFFFFFFFFFFFFFF


def middle_32(ntp: int) -> int:
    """§4: the middle 32 bits, 1/65536 s."""
    return ntp >> 16 & 0xFFFFFFFF


class RtpSession:
    """What both directions of one leg know of each other."""

    def __init__(self, outgoing: OutgoingStream, cname: str) -> None:
        self.outgoing = outgoing
        self.source: Source | None = None
        self.round_trip_s: float | None = None
        self.remote_cumulative_lost: int | None = None
        self.remote_jitter: int | None = None
        self.remote_fraction_lost = 0.0
        """Of what we sent, by the newest report alone."""
        self.remote_metrics: VoipMetrics | None = None
        """How the far end says it hears us (RFC 3611), by the newest report."""
        self.reports_of_us = 0
        """Blocks that the far end has sent about our stream."""
        self.remote_said_goodbye = False
        self._cname = cname.encode()
        self._earlier_received = 0
        self._earlier_expected = 0
        self._earlier_lost = 0
        self._earlier_late = 0
        self._last_sr_ntp = 0
        self._last_sr_at = 0.0
        self._sent_at_report = 0
        self._average_octets = _REPORT_OCTETS
        self._initial = True

    # ---------------------------------------------------------------- receive side

    def run_at(self, clock_rate: int) -> None:
        """Timestamps of both directions count so many ticks a second from now on."""
        if clock_rate != self.outgoing.clock_rate:
            self.outgoing.run_at(clock_rate)
            if self.source is not None:
                self.source.run_at(clock_rate)

    def new_source(self, ssrc: int, sequence_number: int) -> Source:
        """The far end (re)starts with another SSRC; figures of the earlier ones are kept."""
        earlier = self.source
        if earlier is not None:
            # Sums, not a list: a far end that changes its SSRC with every packet must not fill our memory.
            self._earlier_received += earlier.received
            self._earlier_expected += earlier.expected
            self._earlier_lost += earlier.cumulative_lost
            self._earlier_late += earlier.late_or_duplicate
        self.source = Source(ssrc, sequence_number, self.outgoing.clock_rate)
        self._last_sr_ntp = 0
        return self.source

    @property
    def packets_received(self) -> int:
        return self._earlier_received + (self.source.received if self.source is not None else 0)

    @property
    def packets_expected(self) -> int:
        return self._earlier_expected + (self.source.expected if self.source is not None else 0)

    @property
    def packets_lost(self) -> int:
        return self._earlier_lost + (self.source.cumulative_lost if self.source is not None else 0)

    @property
    def late_or_duplicate(self) -> int:
        return self._earlier_late + (self.source.late_or_duplicate if self.source is not None else 0)

    @property
    def jitter_s(self) -> float:
        """A.8 jitter of the newest source."""
        return 0.0 if self.source is None else self.source.interarrival_jitter / self.outgoing.clock_rate

    @property
    def remote_loss_fraction(self) -> float | None:
        """Share of our packets the far end did not get, by its last report."""
        if self.remote_cumulative_lost is None or self._sent_at_report == 0:
            return None
        return min(1.0, max(0.0, self.remote_cumulative_lost / self._sent_at_report))

    # ---------------------------------------------------------------- reports

    def receive_reports(self, packets: tuple[RtcpPacket, ...], octets: int, now: float, wallclock: float) -> None:
        """Take in one compound (§6.3.3, §6.3.4, §6.4.1)."""
        self._average_octets = next_average_octets(self._average_octets, octets + _UDP_IP_OCTETS)
        for packet in packets:
            match packet:
                case SenderReport():
                    self._last_sr_ntp, self._last_sr_at = middle_32(packet.ntp), now
                    self._read_blocks(packet.blocks, wallclock)
                case ReceiverReport():
                    self._read_blocks(packet.blocks, wallclock)
                case ExtendedReport():
                    self._read_metrics(packet)
                case Goodbye():
                    self.remote_said_goodbye = True
                case _:
                    pass  # SDES and unknown types carry nothing this plane acts on

    def _read_blocks(self, blocks: tuple[ReportBlock, ...], wallclock: float) -> None:
        for block in blocks:
            if block.ssrc != self.outgoing.ssrc:
                continue
            self.reports_of_us += 1
            self.remote_cumulative_lost = block.cumulative_lost
            self.remote_jitter = block.interarrival_jitter
            self.remote_fraction_lost = block.fraction_lost / 256
            self._sent_at_report = self.outgoing.packets_sent - self.outgoing.packets_before
            if block.last_sr:
                # §6.4.1, figure 2: A - LSR - DLSR, all in 1/65536 s of our own clock.
                trip = (middle_32(ntp_timestamp(wallclock)) - block.last_sr - block.delay_since_last_sr) & 0xFFFFFFFF
                if trip < 0x80000000:  # a clock that was set back, or a far end that lies, gives a "negative" trip
                    self.round_trip_s = trip / 65536

    def _read_metrics(self, report: ExtendedReport) -> None:
        for block in report.blocks:
            if isinstance(block, VoipMetrics) and block.ssrc == self.outgoing.ssrc:
                self.reports_of_us += 1
                self.remote_metrics = block

    def report(self, now: float, wallclock: float) -> bytes:
        """Our compound: SR when we sent since the last report, else RR; SDES with the CNAME always (§6.1)."""
        datagram = compound(*self._report(now, wallclock))
        self._average_octets = next_average_octets(self._average_octets, len(datagram) + _UDP_IP_OCTETS)
        self._initial = False
        return datagram

    def goodbye(self, now: float, wallclock: float) -> bytes:
        """The last compound of the stream (§6.6)."""
        return compound(*self._report(now, wallclock), Goodbye((self.outgoing.ssrc,)))

    def _report(self, now: float, wallclock: float) -> tuple[RtcpPacket, ...]:
        blocks = () if self.source is None else (self._block(self.source, now),)
        outgoing = self.outgoing
        description = SourceDescription(((outgoing.ssrc, ((SdesItem.CNAME, self._cname),)),))
        packets, octets = outgoing.packets_sent - outgoing.packets_before, outgoing.octets_sent - outgoing.octets_before
        if not packets:
            return ReceiverReport(outgoing.ssrc, blocks), description
        timestamp = outgoing.timestamp_now(now)
        report = SenderReport(outgoing.ssrc, ntp_timestamp(wallclock), timestamp, packets, octets, blocks)
        return report, description

    def _block(self, source: Source, now: float) -> ReportBlock:
        delay = min(0xFFFFFFFF, int((now - self._last_sr_at) * 65536)) if self._last_sr_ntp else 0
        return ReportBlock(
            source.ssrc,
            source.close_interval(),
            source.cumulative_lost,
            source.extended_highest,
            int(source.interarrival_jitter),
            self._last_sr_ntp,
            delay,
        )

    def seconds_to_next_report(self, random_unit: float) -> float:
        """A.7 for two members, both of which send."""
        return rtcp_interval(
            members=2,
            senders=2 if self.source is not None else 1,
            rtcp_octets_per_s=_RTCP_OCTETS_PER_S,
            we_sent=self.outgoing.packets_sent > 0,
            average_octets=self._average_octets,
            initial=self._initial,
            random_unit=random_unit,
        )
