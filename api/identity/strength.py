"""How easily a password is guessed: zxcvbn's estimate (Wheeler, USENIX Security 2016) with its list of common ones, and the own words.

At the rate the guard allows (docs/security.md: one guess every ten seconds from all strangers together) 10^8 guesses take thirty years.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable

from zxcvbn import zxcvbn

from api.errors import Place, Unprocessable

ESTIMATED_LENGTH = 72
"""Only so much is estimated, zxcvbn's own limit: 1 ms at 16 characters, up to 70 at 72 (measured); what follows only adds."""
MAX_OWN_WORDS = 20
SHORTEST_OWN_WORD = 3
_WORD = re.compile(r"[\W_]+")
_ONE_AT_A_TIME = threading.Lock()
"""zxcvbn keeps the own words of a call in a dictionary of its module."""

HOUSE_WORDS = tuple(
    """
    passwort kennwort geheim hallo hallo123 telefon durchwahl zentrale callcenter hotline anlage agent supervisor
    fernamt büro firma sommer winter herbst frühling fruehling januar februar märz maerz april juni juli august
    september oktober november dezember montag dienstag mittwoch donnerstag freitag samstag sonntag schatz liebe mausi
    hase sonne sonnenschein blume fussball fußball berlin hamburg münchen muenchen köln koeln frankfurt stuttgart
    deutschland bayern schalke dortmund werder willkommen start admin
    """.split()  # noqa: SIM905 - a list of words is read as a list of words
)
"""Common in German passwords, and unknown to zxcvbn, whose lists are English (house)."""


class WeakPassword(Unprocessable):
    """Too easy to guess."""

    kind, title = "weak-password", "The password is too easy to guess"

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(why, [Place(detail=why, pointer=pointer)])


def weakness(password: str, own: Iterable[str | None], score: int) -> str | None:
    """Why a password is refused, in sentences; None: it is not.

    Args:
        own: names of the person, the device, the tenant: an attacker tries them first, so they count for nothing.
        score: what zxcvbn must say at least, 0 to 4.
    """
    words = _words(own)
    reason = _reason(password, words, score)
    if reason is None:
        rest = password.lower()
        for word in words:
            rest = rest.replace(word, "")
        if len(rest) < len(password) and _reason(rest, (), score) is not None:
            reason = "Without the names in it, little is left."
    return None if reason is None else f"This password is too easy to guess. {reason} Take four words that do not belong together."


def _reason(password: str, words: Iterable[str], score: int) -> str | None:
    with _ONE_AT_A_TIME:
        found = zxcvbn(password[:ESTIMATED_LENGTH], user_inputs=[*words, *HOUSE_WORDS])
    if found["score"] >= score:
        return None
    return str(found["feedback"]["warning"] or "It is among the first that a program tries.").rstrip(".") + "."


def _words(own: Iterable[str | None]) -> list[str]:
    """The names whole and in parts, longest first: `anna.amsel@acme` is three words."""
    parts = {part for one in own if one for part in (one.lower(), *_WORD.split(one.lower())) if len(part) >= SHORTEST_OWN_WORD}
    return sorted(parts, key=lambda part: (-len(part), part))[:MAX_OWN_WORDS]


async def require_strong(password: str | None, own: Iterable[str | None], score: int, pointer: str) -> None:
    """Refuse a weak password; computed beside the loop, since it takes milliseconds.

    Args:
        password: as given; None: one will be drawn, which is strong.
        pointer: where it stands in the request (RFC 6901 fragment).
    Raises: WeakPassword
    """
    if password is None or score == 0:
        return
    why = await asyncio.to_thread(weakness, password, tuple(own), score)
    if why is not None:
        raise WeakPassword(pointer, why)
