"""Instants as whole milliseconds since 1970 UTC, the resolution in which conversations are measured (house).

An instant is cut to its millisecond once, when it enters; every duration is then a difference of whole numbers, so parts always
add up to their whole and § 63 TKG's "exact duration" has one meaning everywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS_PER_DAY = 86_400_000


def epoch_ms(at: datetime) -> int:
    """Say how many whole milliseconds have passed since 1970-01-01 UTC.

    Raises: ValueError: `at` names no time zone.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} names no time zone")
    passed = at - _EPOCH
    return passed.days * _MS_PER_DAY + passed.seconds * 1000 + passed.microseconds // 1000


def from_epoch_ms(milliseconds: int) -> datetime:
    """Give back the aware UTC datetime of an instant."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def between_ms(began_at: datetime, ended_at: datetime) -> int:
    """Measure from one instant to another, both cut to their millisecond first."""
    return epoch_ms(ended_at) - epoch_ms(began_at)
