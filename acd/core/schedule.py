"""Business hours in local time with DST and public holidays (DESIGN.md §8, R22): pure functions of a schedule and a moment."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from acd.core.configuration import Schedule

DEFAULT_ZONE = "Europe/Berlin"
HORIZON_DAYS = 400
"""A schedule without a change for more than a year has none that matters; it is looked at again then."""


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=512)
def _holidays_of(region: str, year: int) -> frozenset[dt.date]:
    country, _, subdivision = region.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


def is_holiday(region: str | None, date: dt.date) -> bool:
    """Whether `date` is a public holiday in `region` (`DE`, `DE-BY`)."""
    return region is not None and date in _holidays_of(region, date.year)


@lru_cache(maxsize=4096)
def spans(schedule: Schedule, date: dt.date) -> tuple[tuple[float, float], ...]:
    """When a schedule is open on one civil date, as epoch seconds, in order, overlaps joined.

    Local wall times are turned into moments one by one, so 02:30 on the night of a DST change is where the zone says it is
    (the first of the two when the hour comes twice, moved on by the gap when it does not come at all).
    """
    for exception in schedule.exceptions:
        if exception.date == date:
            minutes = list(exception.openings)
            break
    else:
        if is_holiday(schedule.holiday_region, date):
            return ()
        minutes = [(opening.opens, opening.closes) for opening in schedule.openings if opening.weekday == date.weekday()]
    joined: list[tuple[float, float]] = []
    for opens, closes in sorted((_moment(schedule.timezone, date, a), _moment(schedule.timezone, date, b)) for a, b in minutes):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(closes, joined[-1][1]))
        elif opens < closes:
            joined.append((opens, closes))
    return tuple(joined)


def _moment(timezone: str, date: dt.date, minute: int) -> float:
    day, minute_of_day = divmod(minute, 1440)
    local = dt.datetime.combine(date + dt.timedelta(days=day), dt.time(minute_of_day // 60, minute_of_day % 60), tzinfo=zone(timezone))
    return local.timestamp()


def local_date(timezone: str, now: float) -> dt.date:
    """Civil date in a zone."""
    return dt.datetime.fromtimestamp(now, tz=zone(timezone)).date()


def is_open(schedule: Schedule | None, now: float) -> bool:
    """Open at this moment; always, without a schedule. The opening moment is open, the closing moment is closed."""
    if schedule is None:
        return True
    return any(opens <= now < closes for opens, closes in spans(schedule, local_date(schedule.timezone, now)))


def next_change(schedule: Schedule | None, now: float) -> float | None:
    """The first moment after `now` at which `is_open` changes; None when it never does within the horizon."""
    if schedule is None:
        return None
    opened = is_open(schedule, now)
    today = local_date(schedule.timezone, now)
    end: float | None = None
    for offset in range(HORIZON_DAYS):
        for opens, closes in spans(schedule, today + dt.timedelta(days=offset)):
            if closes <= now:
                continue
            if not opened:
                return opens
            # Open until midnight and again from midnight is one opening.
            if end is not None and opens > end:
                return end
            end = closes
        if opened and end is not None and end < _moment(schedule.timezone, today + dt.timedelta(days=offset), 1440):
            return end
    return None


def day_begin(timezone: str, now: float) -> float:
    """The moment at which the civil day began that `now` lies in."""
    return _moment(timezone, local_date(timezone, now), 0)


def day_end(timezone: str, now: float) -> tuple[int, float]:
    """Ordinal of the civil day `now` lies in, and the moment it ends."""
    date = local_date(timezone, now)
    return date.toordinal(), _moment(timezone, date, 1440)
