"""How a stream is protected: the crypto suite and the two master keys (RFC 3711 §3.2.1, RFC 4568 §6.2, RFC 5764 §4.2, RFC 7714).

Neither text nor log ever has the keys: `repr` names the suite alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec


class Suite(StrEnum):
    """Names as SDES has them (RFC 4568 §6.2, RFC 7714 §14.3); best first."""

    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"


class Lengths(NamedTuple):
    """In octets: of what is agreed on, and of what is added to each packet."""

    key: int
    salt: int
    rtp_tag: int
    rtcp_overhead: int
    """Tag, and the index with the E bit (RFC 3711 §3.4)."""

    @property
    def master(self) -> int:
        """Key and salt, as they are written one behind the other."""
        return self.key + self.salt


LENGTHS: Final[dict[Suite, Lengths]] = {
    Suite.AEAD_AES_128_GCM: Lengths(16, 12, 16, 20),
    Suite.AES_CM_128_HMAC_SHA1_80: Lengths(16, 14, 10, 14),
}


class SrtpKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of both directions of one leg, seen from us: key and salt in one."""

    suite: Suite
    send: bytes
    receive: bytes

    def __post_init__(self) -> None:
        """Raises: ValueError: not as long as the suite wants them; who reads a message gets a `msgspec.ValidationError`."""
        wanted = LENGTHS[self.suite].master
        if len(self.send) != wanted or len(self.receive) != wanted:
            raise ValueError(f"{self.suite} takes {wanted} octets of key and salt")

    def __repr__(self) -> str:
        return f"SrtpKeys({self.suite})"
