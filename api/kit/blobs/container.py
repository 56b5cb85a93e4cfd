"""A blob as a file: chunks of AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as age has it. Pure.

| octets | what |
|---|---|
| 8 | `MAGIC` |
| 7 | random: the beginning of every nonce |
| 1 | 0 |
| 65 536 + 16 each | chunks, the last one shorter or as long |

The nonce of a chunk is those 7 octets, its number in 4 and whether it is the last in 1, so chunks that were moved, left out, repeated or
cut off do not open; tenant and id of the blob are associated data, and the key is the blob's own, so neither does a file in another's
place. A blob has 2^32 chunks at most, 256 TiB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC: Final = b"FBLOB\x00\x00\x01"
PREFIX_OCTETS: Final = 7
HEAD_OCTETS: Final = 16
CHUNK: Final = 1 << 16
TAG: Final = 16
"""NIST SP 800-38D §5.2.1.2."""
KEY_OCTETS: Final = 32


class Damaged(Exception):
    """The file is not what was written; one sentence with its name, and nothing of what is in it."""


class Span(NamedTuple):
    """Which chunks hold a range, and what of the first and the last belongs to it."""

    first: int
    last: int
    skip: int
    """Octets of the first chunk before the range."""
    octets: int


def chunks_of(size: int) -> int:
    """How many chunks a blob of so many octets has; an empty one has one."""
    return max(1, -(-size // CHUNK))


def file_size(size: int) -> int:
    """How many octets its file has."""
    return HEAD_OCTETS + size + chunks_of(size) * TAG


def offset_of(chunk: int) -> int:
    """Where a chunk begins in the file."""
    return HEAD_OCTETS + chunk * (CHUNK + TAG)


def span(size: int, first: int, last: int) -> Span:
    """The chunks of a range.

    Args:
        first: and `last`: its octets, both included, within the blob.
    """
    assert 0 <= first <= last < size, (size, first, last)
    return Span(first // CHUNK, last // CHUNK, first % CHUNK, last - first + 1)


def head(prefix: bytes) -> bytes:
    """The beginning of a file.

    Args:
        prefix: `PREFIX_OCTETS` random octets.
    """
    assert len(prefix) == PREFIX_OCTETS
    return MAGIC + prefix + b"\x00"


class Cipher:
    """Seals and opens the chunks of one blob."""

    def __init__(self, key: bytes, tenant: str, blob: str, prefix: bytes) -> None:
        self._cipher = AESGCM(key)
        self._prefix = prefix
        self._place = json.dumps(["fernamt blob", 1, tenant, blob]).encode()
        self._name = f"blob {blob} of tenant {tenant}"

    @classmethod
    def of_file(cls, key: bytes, tenant: str, blob: str, beginning: bytes) -> Cipher:
        """For a file that begins so.

        Raises: Damaged
        """
        if len(beginning) < HEAD_OCTETS or not beginning.startswith(MAGIC) or beginning[HEAD_OCTETS - 1]:
            raise Damaged(f"blob {blob} of tenant {tenant}: this is no file of ours")
        return cls(key, tenant, blob, beginning[len(MAGIC) : len(MAGIC) + PREFIX_OCTETS])

    def _nonce(self, number: int, *, last: bool) -> bytes:
        return self._prefix + number.to_bytes(4, "big") + bytes([last])

    def seal(self, number: int, octets: bytes, *, last: bool) -> bytes:
        """A chunk as it stands in the file."""
        assert len(octets) == CHUNK or (last and len(octets) <= CHUNK)
        return self._cipher.encrypt(self._nonce(number, last=last), octets, self._place)

    def open(self, number: int, kept: bytes, *, last: bool) -> bytes:
        """A chunk as it was given.

        Raises: Damaged
        """
        try:
            return self._cipher.decrypt(self._nonce(number, last=last), kept, self._place)
        except (InvalidTag, ValueError):
            raise Damaged(f"{self._name}: chunk {number} was changed, moved or cut off") from None


class Cutting:
    """Octets as they come, in pieces of whole chunks: a chunk is given out when it is known whether another one follows."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.number = 0

    def feed(self, octets: bytes) -> Iterator[tuple[int, bytes]]:
        """Chunks that are not the last."""
        self._held += octets
        while len(self._held) > CHUNK:
            chunk = bytes(self._held[:CHUNK])
            del self._held[:CHUNK]
            yield self.number, chunk
            self.number += 1

    def rest(self) -> tuple[int, bytes]:
        """The last."""
        return self.number, bytes(self._held)
