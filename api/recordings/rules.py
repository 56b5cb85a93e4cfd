"""What a request for octets means (RFC 9110 §13, §14), the head of our audio files, and the cursor of the list. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.errors import Outdated, RangeNotSatisfiable
from api.kit.preconditions import is_matched, tags

HEADER_OCTETS = 44
"""RIFF, one format chunk, the head of the data (`media.wave_file`)."""
ABANDONED_AFTER = timedelta(days=1)
"""Nothing was written to a file for so long, and no record names it: its call was lost."""

_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 18
"""A file has fewer octets than that; a longer number is as far behind its end."""
_RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE | re.ASCII)
# RFC 9110 §8.8.3: entity-tag = [ weak ] opaque-tag; opaque-tag = DQUOTE *etagc DQUOTE


@dataclass(frozen=True, slots=True)
class Sound:
    """What the file says of itself."""

    octets: int
    etag: str
    touched_at: datetime
    """When something was last written to it."""
    channels: int | None
    sample_rate: int | None
    bits: int | None
    """Of a sample; None, as the two before: it is no file of ours."""


@dataclass(frozen=True, slots=True)
class Span:
    """The octets to send, first and last included; an empty file has the span 0 to -1."""

    first: int
    last: int

    @property
    def octets(self) -> int:
        """How many."""
        return self.last - self.first + 1


def etag_of(octets: int, touched_ns: int) -> str:
    """A strong validator: a recording is written once, and neither its length nor its time changes when it is closed."""
    return f'"{octets:x}-{touched_ns:x}"'


def sound(head: bytes, octets: int, touched_ns: int) -> Sound:
    """What the first octets of a file, its length and its time tell."""
    touched_at = _EPOCH + timedelta(microseconds=touched_ns // 1000)
    etag = etag_of(octets, touched_ns)
    if len(head) >= HEADER_OCTETS:
        riff, _, wave, chunk, _, _, channels, rate, _, _, bits, _, _ = _HEAD.unpack_from(head)
        if (riff, wave, chunk) == (b"RIFF", b"WAVE", b"fmt "):
            return Sound(octets, etag, touched_at, channels, rate, bits)
    return Sound(octets, etag, touched_at, None, None, None)


def is_unchanged(headers: Mapping[str, str], etag: str) -> bool:
    """The preconditions, in the order of RFC 9110 §13.2.2; dates are not looked at, since we tell none (§13.1.3, §13.1.4).

    Returns: the client has it already (304).
    Raises: Outdated: it wants another one (412).
    """
    wanted = headers.get("if-match")
    if wanted is not None and not is_matched(wanted, etag):
        raise Outdated("The recording is not the one that If-Match names.")
    known = headers.get("if-none-match")
    return known is not None and (known.strip() == "*" or etag in tags(known, strong=False))


def span(headers: Mapping[str, str], etag: str, octets: int) -> Span | None:
    """Which part is asked for; None: the whole.

    A range that cannot be read, is of another unit, or comes with an If-Range that names another file or a date, is ignored, and so are
    several at once, as RFC 9110 §14.2 lets a server do.

    Raises: RangeNotSatisfiable
    """
    asked = headers.get("range")
    condition = headers.get("if-range")
    if asked is None or (condition is not None and condition.strip() != etag):
        return None
    read = _RANGE.fullmatch(asked.strip())
    if read is None or not (read[1] or read[2]):
        return None
    if not read[1]:  # the last so many
        first, last = max(0, octets - _number(read[2])), octets - 1
    else:
        first, last = _number(read[1]), _number(read[2]) if read[2] else octets - 1
        if read[2] and last < first:
            return None
        last = min(last, octets - 1)
    if first >= octets:
        raise RangeNotSatisfiable(octets)
    return Span(first, last)


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS


def disposition(name: str) -> str:
    """Content-Disposition (RFC 6266): the name has no letter that would need quoting, or the route would not have let it in."""
    return f'attachment; filename="{name if name.endswith(".wav") else f"{name}.wav"}"'


def cursor(began_at: datetime, name: str) -> str:
    """Where a page ends: microseconds of the epoch and the name."""
    return f"{(began_at - _EPOCH) // timedelta(microseconds=1):x}~{name}"


def place(after: str) -> tuple[datetime, str]:
    """The same, read.

    Raises: ValueError
    """
    at, _, name = after.partition("~")
    if not name or not re.fullmatch(r"[0-9a-f]{1,16}", at):
        raise ValueError(after)
    try:
        return _EPOCH + timedelta(microseconds=int(at, 16)), name
    except OverflowError as error:
        raise ValueError(after) from error
