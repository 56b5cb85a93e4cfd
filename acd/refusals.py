"""Refusals as values: an error that crosses a bus is written by the name of its class and what it says, and raised again as what it is.

What is not in the table is a defect, and no answer: it is logged where it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from acd.core.errors import IllegalTransition, UnknownName
from acd.errors import (
    CannotStart,
    CheckRefused,
    DialRefused,
    JournalAhead,
    JournalDamaged,
    JournalStopped,
    NoSuchNumber,
    PhoneRefused,
    PriceRefused,
    VoiceServiceError,
)
from billing_cdr.errors import Outage, Unreachable


class Refusal(msgspec.Struct, frozen=True):
    """Why a request was not carried out."""

    word: str
    """The name of the class of the error."""
    said: tuple[str | int | bool | None, ...]
    """What it is made from again."""


Said = tuple[str | int | bool | None, ...]


def _text(error: Exception) -> Said:
    return (str(error),)


def _outage(error: Any) -> Said:
    return error.place, error.outage.reason, error.outage.writes_only, error.outage.of_one_database


def _unreachable(place: str, reason: str, writes_only: bool, of_one_database: bool) -> Unreachable:
    return Unreachable(place, Outage(reason=reason, writes_only=writes_only, of_one_database=of_one_database))


_TABLE: Mapping[type[Exception], tuple[Callable[[Any], Said], Callable[..., Exception]]] = {
    IllegalTransition: (lambda error: (error.machine, error.state, error.command, error.why), IllegalTransition),
    UnknownName: (lambda error: (error.kind, error.name), UnknownName),
    NoSuchNumber: (lambda error: (error.number,), NoSuchNumber),
    DialRefused: (lambda error: (error.cause, str(error)), DialRefused),
    PriceRefused: (_text, PriceRefused),
    PhoneRefused: (_text, PhoneRefused),
    CheckRefused: (_text, CheckRefused),
    JournalStopped: (_text, JournalStopped),
    JournalDamaged: (_text, JournalDamaged),
    JournalAhead: (_text, JournalAhead),
    CannotStart: (_text, CannotStart),
    VoiceServiceError: (_text, VoiceServiceError),
    Unreachable: (_outage, _unreachable),
    OSError: (lambda error: (error.errno, error.strerror, error.filename) if error.errno else (str(error),), OSError),
    ValueError: (_text, ValueError),
    RuntimeError: (_text, RuntimeError),
}
"""Class -> what it says, and how it is made again; a subclass that is not here goes as the nearest of its bases."""
_BY_WORD = {kind.__name__: make for kind, (_, make) in _TABLE.items()}


def refusal_of(error: Exception) -> Refusal | None:
    """The error as a value; None: it is a defect."""
    for kind in type(error).__mro__:
        found = _TABLE.get(kind)
        if found is not None:
            return Refusal(kind.__name__, found[0](error))
    return None


def raised(refusal: Refusal) -> Exception:
    """The error again."""
    return _BY_WORD[refusal.word](*refusal.said)
