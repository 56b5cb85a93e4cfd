"""RTCP packets and compounds: RFC 3550 §6.4-6.7, validity A.2; unknown types are kept whole (§6.1: "should be ignored").

Of extended reports (RFC 3611) the block of VoIP metrics is read (§4.7), which phones send of what they hear.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from media.errors import ParseError

_HEADER = Struct("!BBH")
_SENDER = Struct("!QIII")
_BLOCK = Struct("!IIIIII")
_XR_BLOCK = Struct("!BBH")
_VOIP = Struct("!IBBBBHHHHbbBBBBBBBBHHH")
_VOIP_METRICS = 7
"""Block type (RFC 3611 §4.7)."""
_SIGN_24 = 0x800000


class PacketType(IntEnum):
    """RFC 3550 §12.1; RFC 3611 §2."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    GOODBYE = 203
    APPLICATION = 204
    EXTENDED_REPORT = 207


class SdesItem(IntEnum):
    """RFC 3550 §12.2."""

    CNAME = 1
    NAME = 2
    EMAIL = 3
    PHONE = 4
    LOC = 5
    TOOL = 6
    NOTE = 7
    PRIV = 8


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """§6.4.1: what a receiver says of one source."""

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    """Signed 24 bit; duplicates may make it negative."""
    extended_highest: int
    interarrival_jitter: int
    last_sr: int
    delay_since_last_sr: int

    def __bytes__(self) -> bytes:
        lost = max(-_SIGN_24, min(_SIGN_24 - 1, self.cumulative_lost)) & 0xFFFFFF
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost << 24 | lost,
            self.extended_highest,
            self.interarrival_jitter,
            self.last_sr,
            self.delay_since_last_sr,
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """§6.4.1. `ntp` is the 64-bit NTP timestamp, `extension` what a profile appended."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets_sent: int
    octets_sent: int
    blocks: tuple[ReportBlock, ...] = ()
    extension: bytes = b""

    def __bytes__(self) -> bytes:
        body = self.ssrc.to_bytes(4, "big")
        body += _SENDER.pack(self.ntp, self.rtp_timestamp, self.packets_sent & 0xFFFFFFFF, self.octets_sent & 0xFFFFFFFF)
        body += b"".join(map(bytes, self.blocks)) + self.extension
        return _frame(len(self.blocks), PacketType.SENDER_REPORT, body)


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """§6.4.2."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()
    extension: bytes = b""

    def __bytes__(self) -> bytes:
        body = self.ssrc.to_bytes(4, "big") + b"".join(map(bytes, self.blocks)) + self.extension
        return _frame(len(self.blocks), PacketType.RECEIVER_REPORT, body)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """§6.5: (ssrc, ((item, text), ...)) per chunk; texts stay octets, since §6.5 promises UTF-8 and senders break it."""

    chunks: tuple[tuple[int, tuple[tuple[int, bytes], ...]], ...]

    def __bytes__(self) -> bytes:
        body = b""
        for ssrc, items in self.chunks:
            chunk = ssrc.to_bytes(4, "big") + b"".join(bytes((item, len(text))) + text for item, text in items)
            # §6.5: "terminated by one or more null octets ... until the next 32-bit boundary".
            body += chunk + bytes(4 - len(chunk) % 4)
        return _frame(len(self.chunks), PacketType.SOURCE_DESCRIPTION, body)


@dataclass(frozen=True, slots=True)
class Goodbye:
    """§6.6."""

    ssrcs: tuple[int, ...]
    reason: bytes = b""

    def __bytes__(self) -> bytes:
        body = b"".join(ssrc.to_bytes(4, "big") for ssrc in self.ssrcs)
        if self.reason:
            text = bytes((len(self.reason),)) + self.reason
            body += text + bytes(-len(text) % 4)
        return _frame(len(self.ssrcs), PacketType.GOODBYE, body)


@dataclass(frozen=True, slots=True)
class VoipMetrics:
    """RFC 3611 §4.7: how a receiver hears one source. Rates and densities are 1/256, times ms, levels dBm0; 127 of levels, RERL, R and MOS
    (1/10): it does not know.
    """

    ssrc: int
    loss_rate: int
    discard_rate: int
    """What came, and too late to be heard."""
    burst_density: int
    gap_density: int
    burst_duration: int
    gap_duration: int
    round_trip_delay: int
    end_system_delay: int
    signal_level: int
    noise_level: int
    residual_echo_return_loss: int
    gmin: int
    r_factor: int
    external_r_factor: int
    mos_lq: int
    mos_cq: int
    receiver_configuration: int
    reserved: int
    jitter_buffer_nominal: int
    jitter_buffer_maximum: int
    jitter_buffer_absolute_maximum: int

    def __bytes__(self) -> bytes:
        body = _VOIP.pack(*[getattr(self, name) for name in self.__slots__])
        return _XR_BLOCK.pack(_VOIP_METRICS, 0, len(body) // 4) + body


@dataclass(frozen=True, slots=True)
class ExtendedBlock:
    """RFC 3611 §3: a block of a type that is not read, kept whole."""

    block_type: int
    specific: int
    body: bytes

    def __bytes__(self) -> bytes:
        return _XR_BLOCK.pack(self.block_type, self.specific, len(self.body) // 4) + self.body


@dataclass(frozen=True, slots=True)
class ExtendedReport:
    """RFC 3611 §2."""

    ssrc: int
    blocks: tuple[VoipMetrics | ExtendedBlock, ...] = ()

    def __bytes__(self) -> bytes:
        return _frame(0, PacketType.EXTENDED_REPORT, self.ssrc.to_bytes(4, "big") + b"".join(map(bytes, self.blocks)))


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type this plane does not read (APP, RTPFB, PSFB ...), or an extended report that cannot be read, kept whole."""

    packet_type: int
    count: int
    body: bytes

    def __bytes__(self) -> bytes:
        return _frame(self.count, self.packet_type, self.body)


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | ExtendedReport | Unknown


def compound(*packets: RtcpPacket) -> bytes:
    """The datagram of several packets; §6.1: a report comes first."""
    return b"".join(map(bytes, packets))


def parse(datagram: bytes) -> tuple[RtcpPacket, ...]:
    """One compound datagram to its packets, padding of the last one removed.

    Raises: ParseError: A.2: wrong version, first packet no report, padding anywhere but at the end, or lengths that do not add up.
    """
    packets: list[RtcpPacket] = []
    offset, end = 0, len(datagram)
    if end == 0:
        raise ParseError("empty RTCP datagram")
    while offset < end:
        if offset + 4 > end:
            raise ParseError("RTCP header is cut off")
        first, packet_type, words = _HEADER.unpack_from(datagram, offset)
        if first >> 6 != 2:
            raise ParseError(f"RTCP version {first >> 6}")
        if offset == 0 and packet_type not in {PacketType.SENDER_REPORT, PacketType.RECEIVER_REPORT}:
            raise ParseError(f"compound begins with packet type {packet_type}, not with a report")
        following = offset + 4 + 4 * words
        if following > end:
            raise ParseError("RTCP packet is longer than the datagram")
        body = datagram[offset + 4 : following]
        if first & 0x20:
            # A.2: padding "should only be applied, if it is needed, to the last packet in the compound packet".
            count = body[-1] if body else 0
            if following != end or count == 0 or count % 4 or count > len(body):
                raise ParseError("RTCP padding in the wrong place or of a wrong length")
            body = body[:-count]
        packets.append(_parse_one(packet_type, first & 0x1F, body))
        offset = following
    return tuple(packets)


def _parse_one(packet_type: int, count: int, body: bytes) -> RtcpPacket:
    match packet_type:
        case PacketType.SENDER_REPORT:
            if len(body) < 24 + 24 * count:
                raise ParseError("sender report is cut off")
            ntp, rtp_timestamp, packets_sent, octets_sent = _SENDER.unpack_from(body, 4)
            blocks = _blocks(body, 24, count)
            return SenderReport(_word(body, 0), ntp, rtp_timestamp, packets_sent, octets_sent, blocks, body[24 + 24 * count :])
        case PacketType.RECEIVER_REPORT:
            if len(body) < 4 + 24 * count:
                raise ParseError("receiver report is cut off")
            return ReceiverReport(_word(body, 0), _blocks(body, 4, count), body[4 + 24 * count :])
        case PacketType.SOURCE_DESCRIPTION:
            return _source_description(body, count)
        case PacketType.GOODBYE:
            if len(body) < 4 * count:
                raise ParseError("goodbye is cut off")
            reason = body[4 * count :]
            if reason:
                if 1 + reason[0] > len(reason):
                    raise ParseError("reason for leaving is cut off")
                reason = reason[1 : 1 + reason[0]]
            return Goodbye(tuple(_word(body, 4 * index) for index in range(count)), reason)
        case PacketType.EXTENDED_REPORT:
            return _extended_report(body) or Unknown(packet_type, count, body)
        case _:
            return Unknown(packet_type, count, body)


def _extended_report(body: bytes) -> ExtendedReport | None:
    """None: it cannot be read, which must not cost the report that stands before it in the compound."""
    if len(body) < 4:
        return None
    blocks: list[VoipMetrics | ExtendedBlock] = []
    offset = 4
    while offset < len(body):
        if offset + 4 > len(body):
            return None
        block_type, specific, words = _XR_BLOCK.unpack_from(body, offset)
        content = body[offset + 4 : offset + 4 + 4 * words]
        if len(content) != 4 * words:
            return None
        if block_type == _VOIP_METRICS and len(content) == _VOIP.size:
            blocks.append(VoipMetrics(*_VOIP.unpack(content)))
        else:
            blocks.append(ExtendedBlock(block_type, specific, content))
        offset += 4 + len(content)
    return ExtendedReport(_word(body, 0), tuple(blocks))


def _source_description(body: bytes, count: int) -> SourceDescription:
    chunks: list[tuple[int, tuple[tuple[int, bytes], ...]]] = []
    offset = 0
    for _ in range(count):
        if offset + 4 > len(body):
            raise ParseError("source description chunk is cut off")
        start, ssrc = offset, _word(body, offset)
        offset += 4
        items: list[tuple[int, bytes]] = []
        while True:
            if offset >= len(body):
                raise ParseError("source description chunk has no end")
            if body[offset] == 0:
                offset += 4 - (offset - start) % 4
                break
            if offset + 2 > len(body) or offset + 2 + body[offset + 1] > len(body):
                raise ParseError("source description item is cut off")
            items.append((body[offset], body[offset + 2 : offset + 2 + body[offset + 1]]))
            offset += 2 + body[offset + 1]
        chunks.append((ssrc, tuple(items)))
    return SourceDescription(tuple(chunks))


def _blocks(body: bytes, offset: int, count: int) -> tuple[ReportBlock, ...]:
    blocks: list[ReportBlock] = []
    for index in range(count):
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(body, offset + 24 * index)
        lost = ((loss & 0xFFFFFF) ^ _SIGN_24) - _SIGN_24
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
    return tuple(blocks)


def _word(body: bytes, offset: int) -> int:
    return int.from_bytes(body[offset : offset + 4], "big")


def _frame(count: int, packet_type: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body
