"""Stored secrets under a key: AES-256-GCM (NIST SP 800-38D; RFC 5116 §5.2), bound to the place where they stand (pure).

A sealed value is text: `sealed:1:<id of the key>:<base64url of nonce, ciphertext and tag>`. Tenant, table, row and column are associated
data, so what was moved to another row or another tenant does not open. Nonces are 96 random bits: one key is good for 2^32 of them (SP
800-38D §8.3), more than any installation has devices and passwords.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
"""The one length for which GCM needs no further hashing (SP 800-38D §5.2.1.1)."""
PREFIX: Final = "sealed:"
"""No hexadecimal digest begins so. A password may, and is told apart by what is around it (`api.telephony_setup.sealed`)."""
_VERSION: Final = "1"
_SEALED: Final = re.compile(rf"{PREFIX}{_VERSION}:(?P<key>[0-9a-f]{{8}}):(?P<rest>[A-Za-z0-9_-]+={{0,2}})")


class SealError(Exception):
    """A sealed value does not open; the text is one sentence that names its place, never a value.

    SealError
      KeyMissing   it was sealed under a key that we do not have
      SealBroken   it was changed, moved from another place, or is none
    """


class KeyMissing(SealError):
    """The key is not among ours."""


class SealBroken(SealError):
    """No value of this place under this key."""


class KeysWrong(ValueError):
    """A file of keys is not of its form; the text names the line and repeats nothing of it."""


class Place(NamedTuple):
    """Where a value stands."""

    tenant: str
    table: str
    row: str
    column: str

    def __str__(self) -> str:
        return f"{self.column} of {self.row!r} in {self.table} of tenant {self.tenant}"

    @property
    def octets(self) -> bytes:
        """As associated data: no two places give the same octets."""
        return json.dumps(["fernamt", _VERSION, *self]).encode()


@dataclass(frozen=True, slots=True)
class Key:
    """256 bits and the name they go by."""

    octets: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Made from the key itself, so that nobody has to give names: the first half of a hash's first 64 bits tells nothing of 256."""
        return hashlib.sha256(b"fernamt key " + self.octets).hexdigest()[:8]

    @property
    def line(self) -> str:
        """As it stands in a file."""
        return base64.b64encode(self.octets).decode()


@dataclass(frozen=True, slots=True)
class Keys:
    """New values are sealed under the first; older ones open with any."""

    every: tuple[Key, ...]
    source: str
    """Where they come from, for people."""
    _ciphers: dict[str, AESGCM] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for key in self.every:
            self._ciphers.setdefault(key.id, AESGCM(key.octets))

    @property
    def first(self) -> Key:
        return self.every[0]

    def cipher(self, key: str) -> AESGCM | None:
        """The cipher of a key by its id; None: we do not have it."""
        return self._ciphers.get(key)


def keys_of(text: str, source: str) -> Keys:
    """A file of keys: one a line in base64, the first seals; empty lines and those that begin with `#` say nothing.

    Raises: KeysWrong
    """
    found: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        try:
            octets = base64.b64decode(written, validate=True)
        except binascii.Error:
            octets = b""
        if len(octets) != KEY_OCTETS:
            raise KeysWrong(f"{source}:{number}: a key is {KEY_OCTETS} random octets in base64; `fernamt secrets new-key` makes one")
        found.append(Key(octets))
    if not found:
        raise KeysWrong(f"{source}: there is no key in it; `fernamt secrets new-key` makes one")
    return Keys(tuple(found), source)


def is_sealed(kept: str) -> bool:
    """Whether it looks like a sealed value."""
    return kept.startswith(PREFIX)


def sealed_under(kept: str) -> str | None:
    """Id of the key a value is sealed under; None: it stands in clear."""
    match = _SEALED.fullmatch(kept)
    return None if match is None else match["key"]


def seal(secret: str, place: Place, key: Key, nonce: bytes) -> str:
    """A value as it is stored at this place.

    Args:
        nonce: `NONCE_OCTETS` random octets, never twice with one key.
    """
    assert len(nonce) == NONCE_OCTETS, len(nonce)
    octets = nonce + AESGCM(key.octets).encrypt(nonce, secret.encode(), place.octets)
    return f"{PREFIX}{_VERSION}:{key.id}:{base64.urlsafe_b64encode(octets).decode()}"


def unseal(kept: str, place: Place, keys: Keys) -> str:
    """The value that was sealed at this place.

    Raises: KeyMissing, SealBroken
    """
    match = _SEALED.fullmatch(kept)
    if match is None:
        raise SealBroken(f"the {place} is no sealed value")
    cipher = keys.cipher(match["key"])
    if cipher is None:
        raise KeyMissing(
            f"the {place} is sealed under key {match['key']}, which is not in {keys.source}: put that key back (docs/secrets.md)"
        )
    try:
        octets = base64.urlsafe_b64decode(match["rest"])
        return cipher.decrypt(octets[:NONCE_OCTETS], octets[NONCE_OCTETS:], place.octets).decode()
    except (InvalidTag, ValueError):  # of a length that base64 or GCM does not have, or no text
        raise SealBroken(f"the {place} does not open: it was changed, or comes from another place") from None


def needs_resealing(kept: str, keys: Keys) -> bool:
    """Whether it stands in clear, or under another key than the first."""
    return sealed_under(kept) != keys.first.id


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals and opens for one tenant."""

    keys: Keys
    tenant: str
    draw: Callable[[int], bytes]
    """So many random octets."""

    def seal(self, secret: str, table: str, row: str, column: str) -> str:
        return seal(secret, Place(self.tenant, table, row, column), self.keys.first, self.draw(NONCE_OCTETS))

    def open(self, kept: str, table: str, row: str, column: str) -> str:
        """Raises: KeyMissing, SealBroken."""
        return unseal(kept, Place(self.tenant, table, row, column), self.keys)
