"""Passes: what a page logs its phone in with for a while (pure). Nothing of them is kept; RFC 7616 §3.4.2 has what is made of a password.

As TURN servers are used from pages (ephemeral credentials): the login says for whose phone and until when, the password is a keyed digest
of that. So whoever has the key knows the password of every login, in this run and the next, and nobody else does.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import Final

import msgspec

PURPOSE: Final = b"fernamt: passes of phones in pages"
"""Keys of one secret have one purpose each (RFC 5869 §3.2)."""
PASSWORD_OCTETS: Final = 24
_LOGIN: Final = re.compile(r"(?P<username>.+)\.(?P<until>[1-9][0-9]{9})\.(?P<nonce>[0-9a-f]{16})")


class Login(msgspec.Struct, frozen=True):
    """What a pass logs in as."""

    username: str
    """Of the device."""
    until: int
    """Epoch seconds."""
    nonce: str
    """16 hexadecimal digits: two passes of one second differ."""

    def __str__(self) -> str:
        return f"{self.username}.{self.until}.{self.nonce}"


def read_login(text: str) -> Login | None:
    """The login of a pass; None: it has not the form of one."""
    found = _LOGIN.fullmatch(text)
    return None if found is None else Login(found["username"], int(found["until"]), found["nonce"])


class Passes:
    """Knows the password of every pass."""

    def __init__(self, secret: bytes) -> None:
        """Args:
        secret: of the house; the key is made from it.
        """
        self._key = hmac.digest(secret, PURPOSE, "sha256")

    def password(self, login: Login, aor: str) -> str:
        """Args:
        aor: address of record of the device, with its tenant (`acd.directory.device_aor`).
        """
        said = f"{aor}\0{login.until}\0{login.nonce}".encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, said, "sha256")[:PASSWORD_OCTETS]).decode()
