"""What is heard under a name: a tenant's own sounds before the packaged ones, language by language, in one place (house, ADR 0018).

The languages are tried in this order: the one asked for, the tenant's, German, English, and last any other that the sound was recorded in.
In each the tenant's own recording comes before the packaged one. `music/…` has no language: what is not there is `music/default`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from media import sounds
from media.errors import ParseError
from media.prompts import LARGEST_NUMBER, OWN, number_sounds
from media.sound_file import ACCEPTED, LOUD_DBFS, QUIET_DBFS, Converted, convert

__all__ = ["ACCEPTED", "LANGUAGES", "LOUD_DBFS", "MUSIC", "QUIET_DBFS", "Converted", "ParseError", "convert"]

LANGUAGES: Final = sounds.languages()
"""Announcements are spoken in these without anybody recording one."""
MUSIC: Final = "music"
"""The folder of what has no language."""
DEFAULT_MUSIC: Final = "music/default"
_LANGUAGE = re.compile(r"[a-z]{2}")
_NUMBER = re.compile(r"number\.(0|[1-9][0-9]{0,5})")

Own = Mapping[str, str]
"""A tenant's own sounds: `de/queue.greeting` -> id of the audio."""


def found(name: str, wished: str, tenants: str, own: Own) -> tuple[str, ...]:
    """The sounds that say `name`, as the media workers know them; empty: there is none in any language.

    Args:
        name: as it is configured: `queue.greeting`, or with a folder: `en/queue.greeting`, `music/default`, `tone/beep`.
        wished: the language of whoever listens.
        tenants: the tenant's language.
    """
    folder, _, base = name.rpartition("/")
    if folder == MUSIC:
        return _in(MUSIC, base, own) or _in(MUSIC, DEFAULT_MUSIC.partition("/")[2], own)
    if folder and not _LANGUAGE.fullmatch(folder):
        return (name,) if name in sounds.packaged() else ()
    for language in dict.fromkeys((folder or wished, tenants, *LANGUAGES)):
        if said := _in(language, base, own):
            return said
    others = sorted(one for one in own if one.partition("/")[2] == base and not one.startswith(f"{MUSIC}/"))
    return (OWN + own[others[0]],) if others else ()


def _in(folder: str, base: str, own: Own) -> tuple[str, ...]:
    """The same in one language; a number that nobody has recorded as a whole is put together."""
    name = f"{folder}/{base}"
    if name in own:
        return (OWN + own[name],)
    if name in sounds.packaged():
        return (name,)
    number = _NUMBER.fullmatch(base)
    if number is None or folder not in LANGUAGES or int(number[1]) > LARGEST_NUMBER:
        return ()
    parts = number_sounds(int(number[1]), folder)
    return () if parts == (name,) else tuple(one for part in parts for one in _in(folder, part.removeprefix(f"{folder}/"), own))


def played(names: Iterable[str], wished: str, tenants: str, own: Own) -> tuple[str, ...]:
    """The sounds of one play. A name that is nowhere stays as it is: the media workers leave it out, and say so."""
    return tuple(one for name in names for one in found(name, wished, tenants, own) or (_nowhere(name, wished),))


def _nowhere(name: str, wished: str) -> str:
    return name if "/" in name else f"{wished}/{name}"


def configured(played: str, own: Own) -> str:
    """What is called so in a tenant's own words: the name behind an id."""
    if not played.startswith(OWN):
        return played
    return next((name for name, audio in own.items() if OWN + audio == played), played)


def missing(name: str, own: Own) -> list[str]:
    """What a play of `name` would look for and not find; asked before a name is stored.

    A name without a folder is there in whatever language. One with a folder means that very sound: what is played instead of it when it
    is gone is for calls, not for who writes it down.
    """
    folder, _, base = name.rpartition("/")
    if folder:
        return [] if _in(folder, base, own) else [name]
    return [] if found(name, LANGUAGES[0], LANGUAGES[0], own) else [f"{language}/{name}" for language in LANGUAGES]


def is_packaged(name: str) -> bool:
    """Whether the house has it, without any tenant."""
    return not missing(name, {})


def packaged() -> Iterator[str]:
    """Every name of the house, in order, each with its folder."""
    return iter(sorted(sounds.packaged()))
