"""The versions of the journal's vocabulary: older entries are read through one small step a version (HOUSE.md §3; pure).

An entry is written in today's words and stays as it was written. Who renames a word or a field, or makes one mean something else, raises
`WORDS`, adds the step from the version before to `STEPS`, and lets `tests/releases` write down the new vocabulary. New words and new
optional fields need a version too: an older program then says that it is too old, instead of losing what it does not know.

| version | written by | what changed |
|---|---|---|
| 1 | 0.1.0 | |
| 2 | 0.2.0 | configuration by changes, dialogs of legs, signs of life, what a start knows, clocks, who acts at desks; no renaming |
| 3 | | dates resolved (ADR 0015); queues, offers, work speak of contacts, a leg says what it rings for (ADR 0016): `acd.journal.steps_3` |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from acd.core.replay import Entry, decode
from acd.journal.steps_3 import know_contacts, resolve_dates

WORDS: Final = 3

Raw = list[Any]
"""An entry in built-in types: sequence number, time, input, events; words are dictionaries with their name under `type`."""


def _as_it_is(entry: Raw) -> Raw:
    return entry


def _to_3(entry: Raw) -> Raw:
    return know_contacts(resolve_dates(entry))


STEPS: dict[int, Callable[[Raw], Raw]] = {1: _as_it_is, 2: _to_3}
"""Version -> how an entry of it reads in the next one. A step may change the entry it is given."""
MARKS: dict[int, tuple[bytes, ...]] = {2: (b"onfigur", b"Queued", b"QueueLeft", b"Offer", b"Work", b"Disposition", b"LegCleared")}
"""Version -> octets of which some stand in every entry that its step changes; without: it may change any. The others are read at once."""


class LaterWords(msgspec.DecodeError):
    """Nothing is damaged: the entry was written by a later release."""


_RAW = msgspec.msgpack.Decoder(list[Any])


def read(payload: bytes, words: int) -> Entry:
    """An entry of any version in today's words.

    Raises: msgspec.DecodeError (ValidationError): it is none of its version's words; LaterWords: it is of a version to come.
    """
    if words > WORDS:
        raise LaterWords(f"words of version {words}, of a later release; this program knows up to {WORDS}")
    steps = [STEPS[version] for version in range(words, WORDS) if any(mark in payload for mark in MARKS.get(version, (b"",)))]
    if all(step is _as_it_is for step in steps):
        return decode(payload)
    raw = _RAW.decode(payload)
    try:
        for step in steps:
            raw = step(raw)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise msgspec.DecodeError(f"not in words of version {words}: {error!r}") from error
    return msgspec.convert(raw, Entry)
