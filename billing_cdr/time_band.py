"""Time bands: which part of the week an instant belongs to, in the local time of the tariff (house; DST by the tz database).

The band of an instant is a function of its local day and local time alone, so on the night the clocks change nothing is undefined:
the repeated hour is the same band twice, the missing hour belongs to nobody. A public holiday is a kind of day of its own: the
windows of its weekday do not apply, those that name `holiday` do.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from billing_cdr.instant import from_epoch_ms

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
MINUTES_PER_DAY = 1440
_MINUTE_MS = 60_000


class Window(Struct, frozen=True):
    """A stretch of local time on some kinds of day: from `from_minute` on, before `to_minute` (1440 is midnight after)."""

    days: tuple[Day, ...]
    from_minute: int
    to_minute: int


class Band(Struct, frozen=True):
    """A named part of the week, such as `day`."""

    name: str
    windows: tuple[Window, ...]


class Schedule(Struct, frozen=True, dict=True, omit_defaults=True):
    """Every instant's band: the first band with a fitting window, else `rest`."""

    zone: str
    rest: str
    bands: tuple[Band, ...] = ()
    holidays: tuple[date, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All bands, `rest` last."""
        return (*(band.name for band in self.bands), self.rest)

    def overlaps(self) -> list[str]:
        """Name every minute range that two windows claim; a sound schedule has none."""
        found: list[str] = []
        for day in DAYS:
            claimed = sorted((w.from_minute, w.to_minute, band.name) for band in self.bands for w in band.windows if day in w.days)
            found += [
                f"{day}: {one} and {two} both claim {_clock(start)}" for (_, end, one), (start, _, two) in pairwise(claimed) if start < end
            ]
        return found

    @cached_property
    def _profiles(self) -> dict[Day, tuple[list[int], list[str]]]:
        """For each kind of day: the minutes at which a band begins, and its name."""
        profiles: dict[Day, tuple[list[int], list[str]]] = {}
        for day in DAYS:
            starts, names, position = [], [], 0
            for begin, end, name in sorted((w.from_minute, w.to_minute, b.name) for b in self.bands for w in b.windows if day in w.days):
                if begin > position:
                    starts.append(position)
                    names.append(self.rest)
                starts.append(begin)
                names.append(name)
                position = end
            if position < MINUTES_PER_DAY:
                starts.append(position)
                names.append(self.rest)
            profiles[day] = (starts, names)
        return profiles

    @cached_property
    def _holidays(self) -> frozenset[date]:
        return frozenset(self.holidays)

    def band_at(self, at_ms: int) -> tuple[str, int | None]:
        """Say which band an instant lies in, and until when at least it lasts (None: for ever).

        Returns: the name and an instant after `at_ms`; the band is the same everywhere before that instant. It need not change there.
        """
        if not self.bands:
            return self.rest, None
        zone = _zone(self.zone)
        local = from_epoch_ms(at_ms).astimezone(zone)
        day: Day = "holiday" if local.date() in self._holidays else DAYS[local.weekday()]
        starts, names = self._profiles[day]
        minute = local.hour * 60 + local.minute
        index = bisect_right(starts, minute) - 1
        end_minute = starts[index + 1] if index + 1 < len(starts) else MINUTES_PER_DAY
        minute_ms = at_ms - local.second * 1000 - at_ms % 1000
        until_ms = minute_ms + (end_minute - minute) * _MINUTE_MS
        if from_epoch_ms(until_ms - 1).astimezone(zone).utcoffset() != local.utcoffset():
            until_ms = _offset_change(zone, at_ms, until_ms, local.utcoffset())
        return names[index], until_ms


def _offset_change(zone: ZoneInfo, low_ms: int, high_ms: int, offset: timedelta | None) -> int:
    """Find the instant in (low, high] at which the clocks are changed, by halving."""
    while high_ms - low_ms > 1:
        middle = (low_ms + high_ms) // 2
        if from_epoch_ms(middle).astimezone(zone).utcoffset() == offset:
            low_ms = middle
        else:
            high_ms = middle
    return high_ms


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
