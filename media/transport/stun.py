"""STUN messages: RFC 8489 §5 and §14, as much as an ICE-lite agent reads and writes: Binding with short-term credentials (§9.1).

Reading and writing are ours: `aioice.stun` drops what it does not know, so that nobody could answer 420, takes attributes that are cut off,
and brings asyncio and a DNS library into a process that has neither. It is the foreign end of the tests.
"""

from __future__ import annotations

import hmac
import ipaddress
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from media.errors import ParseError

BINDING: Final = 0x001
MAGIC_COOKIE: Final = 0x2112A442
_MAGIC: Final = MAGIC_COOKIE.to_bytes(4, "big")
HEADER: Final = Struct("!HHI12s")
_ATTRIBUTE: Final = Struct("!HH")
_WORD: Final = Struct("!I")
_FINGERPRINT_XOR: Final = 0x5354554E
"""§14.7: "STUN" in ASCII."""
_INTEGRITY_OCTETS: Final = 4 + 20
_FINGERPRINT_OCTETS: Final = 4 + 4
_METHOD_BITS: Final = 0x3EEF
_CLASS_BITS: Final = 0x0110
COMPREHENSION_OPTIONAL: Final = 0x8000
"""§14: attribute types from here on may be ignored by who does not know them."""


class MessageClass(IntEnum):
    """§5: the two C bits, where they lie in the message type."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class AttributeType(IntEnum):
    """§18.3.1, and of ICE RFC 8445 §16.1."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


@dataclass(frozen=True, slots=True)
class StunMessage:
    """One message, as it was sent.

    Attributes:
        attributes: type and value, in their order, up to MESSAGE-INTEGRITY: what stands behind it proves nothing (§14.5).
        signed: what MESSAGE-INTEGRITY signs but for the length in the header; empty where there is none.
        has_fingerprint: it ends in a FINGERPRINT, which was right.
    """

    method: int
    message_class: MessageClass
    transaction_id: bytes
    attributes: tuple[tuple[int, bytes], ...]
    signed: bytes = b""
    has_fingerprint: bool = False

    def attribute(self, wanted: int) -> bytes | None:
        """The value of the first attribute of that type: any but the first are to be ignored (§14)."""
        for found, value in self.attributes:
            if found == wanted:
                return value
        return None

    def is_signed_with(self, password: str) -> bool:
        """Whether MESSAGE-INTEGRITY is there and right (§14.5); the key of short-term credentials is the password (§9.1.1)."""
        found = self.attribute(AttributeType.MESSAGE_INTEGRITY)
        return found is not None and hmac.compare_digest(found, _integrity(self.signed, password))


def _with_length(octets: bytes, behind: int) -> bytes:
    """The same with a header that counts that many octets more: a sum is made as if it stood there already."""
    return octets[:2] + (len(octets) - HEADER.size + behind).to_bytes(2, "big") + octets[4:]


def _integrity(octets: bytes, password: str) -> bytes:
    return hmac.digest(password.encode(), _with_length(octets, _INTEGRITY_OCTETS), "sha1")


def _fingerprint(octets: bytes) -> bytes:
    return _WORD.pack(zlib.crc32(_with_length(octets, _FINGERPRINT_OCTETS)) ^ _FINGERPRINT_XOR)


def parse(datagram: bytes) -> StunMessage:
    """One datagram to one message.

    Raises: ParseError: no STUN, its lengths do not fit, or its FINGERPRINT is wrong or not the last attribute.
    """
    if len(datagram) < HEADER.size:
        raise ParseError(f"{len(datagram)} octets are too few for a STUN header")
    message_type, length, cookie, transaction_id = HEADER.unpack_from(datagram)
    # §5: "The most significant 2 bits of every STUN message MUST be zeroes"; attributes are padded, so the length has two zeroes as well.
    if message_type & 0xC000 or cookie != MAGIC_COOKIE or length % 4:
        raise ParseError("no STUN header")
    end = len(datagram)
    if end != HEADER.size + length:
        raise ParseError(f"a STUN message of {HEADER.size + length} octets in a datagram of {end}")
    attributes: list[tuple[int, bytes]] = []
    signed = b""
    has_fingerprint = False
    at = HEADER.size
    while at < end:
        kind, octets = _ATTRIBUTE.unpack_from(datagram, at)
        value = datagram[at + 4 : at + 4 + octets]
        if len(value) != octets or has_fingerprint:
            raise ParseError(f"STUN attribute {kind:#06x} is cut off, or stands behind FINGERPRINT")
        if kind == AttributeType.FINGERPRINT:
            if value != _fingerprint(datagram[:at]):
                raise ParseError("wrong FINGERPRINT")
            has_fingerprint = True
        elif not signed:
            attributes.append((kind, value))
            if kind == AttributeType.MESSAGE_INTEGRITY:
                signed = datagram[:at]
        at += 4 + octets + -octets % 4
    message_class = MessageClass(message_type & _CLASS_BITS)
    return StunMessage(message_type & _METHOD_BITS, message_class, transaction_id, tuple(attributes), signed, has_fingerprint)


def compose(
    message_class: MessageClass, transaction_id: bytes, attributes: Iterable[tuple[int, bytes]], *, password: str | None = None
) -> bytes:
    """A Binding message with these attributes, MESSAGE-INTEGRITY where there is a password, and FINGERPRINT."""
    body = b"".join([_attribute(kind, value) for kind, value in attributes])
    octets = HEADER.pack(BINDING | message_class, len(body), MAGIC_COOKIE, transaction_id) + body
    if password is not None:
        octets = _with_length(octets, _INTEGRITY_OCTETS) + _attribute(AttributeType.MESSAGE_INTEGRITY, _integrity(octets, password))
    return _with_length(octets, _FINGERPRINT_OCTETS) + _attribute(AttributeType.FINGERPRINT, _fingerprint(octets))


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def xor_mapped_address(host: str, port: int, transaction_id: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS (§14.2).

    Args:
        host: a literal address; the zone of a link-local one is nothing to the peer.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    plain = port.to_bytes(2, "big") + address.packed
    # X-Port is xor'ed with the first half of the cookie, X-Address with the cookie, and the transaction id for IPv6.
    mask = _MAGIC[:2] + _MAGIC + transaction_id
    family = 1 if address.version == 4 else 2
    return bytes((0, family)) + bytes(a ^ b for a, b in zip(plain, mask, strict=False))


def error_code(code: int, reason: str) -> bytes:
    """The value of ERROR-CODE (§14.8)."""
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()


def unknown_attributes(kinds: Iterable[int]) -> bytes:
    """The value of UNKNOWN-ATTRIBUTES (§14.13)."""
    return b"".join([kind.to_bytes(2, "big") for kind in kinds])
