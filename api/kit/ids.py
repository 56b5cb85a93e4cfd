"""Identifiers: slugs that people choose or names give, and secrets the shell draws."""

from __future__ import annotations

import re
import secrets
import unicodedata
from datetime import datetime
from typing import Annotated

from pydantic import StringConstraints

SLUG = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
Slug = Annotated[str, StringConstraints(pattern=SLUG, min_length=1, max_length=63)]
"""Lower case, so that no database's collation can take two for one."""

_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without l, o, 0 and 1: passwords are typed into telephones."""


def slug(text: str) -> str:
    """`Müller & Söhne` -> `mueller-soehne`; empty when nothing of it can stand in an id."""
    lowered = unicodedata.normalize("NFC", text).lower().translate(_GERMAN)
    plain = unicodedata.normalize("NFKD", lowered).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")


def drawn_id(octets: int = 9) -> str:
    """A random id that needs no register (lower case hexadecimal)."""
    return secrets.token_hex(octets)


def timed_id(at: datetime, tail: str) -> str:
    """An id that sorts by time: microseconds of the epoch, then what makes it the only one."""
    return f"{int(at.timestamp() * 1_000_000):015x}-{tail}"


def drawn_password(letters: int = 16) -> str:
    """A random password, 5 bits a letter."""
    return "".join(secrets.choice(_LETTERS) for _ in range(letters))


def drawn_secret() -> str:
    """256 random bits, safe in URLs and headers."""
    return secrets.token_urlsafe(32)
