"""One RTP packet and what else may arrive at its port: RFC 3550 §5, RFC 5761 §4 and RFC 7983 §7 (demultiplexing), RFC 5389 §6 (STUN)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct

from media.errors import ParseError

VERSION = 2
HEADER = Struct("!BBHII")
HEADER_OCTETS = 12
STUN_MAGIC_COOKIE = b"\x21\x12\xa4\x42"
_DTLS_FIRST = range(20, 64)
"""RFC 7983 §7; 16-19 is ZRTP, 64-79 a TURN channel: nobody's here."""
_EXTENSION_HEADER = Struct("!HH")
_RTCP_TYPES = range(192, 224)
"""RFC 5761 §4: packet types of RTCP; as RTP they would be payload types 64-95 with the marker, which nobody may use."""


class DatagramKind(Enum):
    """What a datagram looks like from its first octets."""

    RTP = auto()
    RTCP = auto()
    STUN = auto()
    DTLS = auto()
    UNKNOWN = auto()


def kind_of(datagram: bytes | bytearray | memoryview) -> DatagramKind:
    """Tell RTP, RTCP, STUN and DTLS on one port apart (RFC 5761 §4, RFC 7983 §7); says nothing about the rest of the datagram."""
    if len(datagram) < 4:
        return DatagramKind.UNKNOWN
    first = datagram[0]
    if first >> 6 == VERSION:
        return DatagramKind.RTCP if datagram[1] in _RTCP_TYPES else DatagramKind.RTP
    # RFC 5389 §6: "The most significant 2 bits of every STUN message MUST be zeroes", then the magic cookie.
    if first < 4 and len(datagram) >= 20 and bytes(datagram[4:8]) == STUN_MAGIC_COOKIE:
        return DatagramKind.STUN
    if first in _DTLS_FIRST:
        return DatagramKind.DTLS
    return DatagramKind.UNKNOWN


@dataclass(frozen=True, slots=True)
class HeaderExtension:
    """RFC 3550 §5.3.1: the profile's 16 bits and whole 32-bit words."""

    profile: int
    words: bytes


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """RFC 3550 §5.1, field by field; `bytes()` of a parsed packet gives the datagram back octet by octet."""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: HeaderExtension | None = None
    padding: bytes = b""
    """The padding as it came, its last octet being its length; empty when the P bit is 0."""

    def __bytes__(self) -> bytes:
        first = VERSION << 6 | bool(self.padding) << 5 | (self.extension is not None) << 4 | len(self.csrcs)
        parts = [HEADER.pack(first, self.marker << 7 | self.payload_type, self.sequence_number, self.timestamp, self.ssrc)]
        parts.extend(csrc.to_bytes(4, "big") for csrc in self.csrcs)
        if self.extension is not None:
            parts.append(_EXTENSION_HEADER.pack(self.extension.profile, len(self.extension.words) // 4) + self.extension.words)
        parts += [self.payload, self.padding]
        return b"".join(parts)


def parse(datagram: bytes) -> RtpPacket:
    """One datagram to one packet.

    Raises: ParseError: not version 2, an RTCP type, or shorter than its own fields say (RFC 3550 A.1).
    """
    if len(datagram) < HEADER_OCTETS:
        raise ParseError(f"{len(datagram)} octets are too few for an RTP header")
    first, second, sequence_number, timestamp, ssrc = HEADER.unpack_from(datagram)
    if first >> 6 != VERSION:
        raise ParseError(f"RTP version {first >> 6}")
    if second in _RTCP_TYPES:
        raise ParseError(f"RTCP packet type {second} in the place of RTP")
    end = len(datagram)
    offset = HEADER_OCTETS + 4 * (first & 0x0F)
    if offset > end:
        raise ParseError("CSRC list is cut off")
    csrcs = tuple(int.from_bytes(datagram[at : at + 4], "big") for at in range(HEADER_OCTETS, offset, 4))
    extension = None
    if first & 0x10:
        if offset + 4 > end:
            raise ParseError("header extension is cut off")
        profile, words = _EXTENSION_HEADER.unpack_from(datagram, offset)
        extension_end = offset + 4 + 4 * words
        if extension_end > end:
            raise ParseError("header extension is longer than the datagram")
        extension = HeaderExtension(profile, datagram[offset + 4 : extension_end])
        offset = extension_end
    padding = b""
    if first & 0x20:
        count = datagram[-1] if end > offset else 0
        # RFC 3550 A.1: "the last octet of the packet must contain a valid octet count".
        if count == 0 or offset + count > end:
            raise ParseError(f"padding of {count} octets does not fit")
        padding = datagram[end - count :]
        end -= count
    return RtpPacket(second & 0x7F, sequence_number, timestamp, ssrc, datagram[offset:end], bool(second & 0x80), csrcs, extension, padding)
