"""Business hours by `zoneinfo` and `holidays`, as the core computed them until 0.2: the second opinion for what is resolved beforehand."""

from __future__ import annotations

import datetime as dt
from functools import cache
from zoneinfo import ZoneInfo

import holidays

from acd.core.configuration import Schedule
from acd.core.schedule import HORIZON_DAYS


def is_holiday(region: str | None, date: dt.date) -> bool:
    return region is not None and date in _holidays_of(region, date.year)


@cache
def _holidays_of(region: str, year: int) -> frozenset[dt.date]:
    country, _, subdivision = region.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


def moment(timezone: str, date: dt.date, minute: int) -> float:
    day, minute_of_day = divmod(minute, 1440)
    at = dt.time(minute_of_day // 60, minute_of_day % 60)
    return dt.datetime.combine(date + dt.timedelta(days=day), at, tzinfo=ZoneInfo(timezone)).timestamp()


def local_date(timezone: str, now: float) -> dt.date:
    return dt.datetime.fromtimestamp(now, tz=ZoneInfo(timezone)).date()


def spans(schedule: Schedule, date: dt.date) -> list[tuple[float, float]]:
    for exception in schedule.exceptions:
        if exception.date == date:
            minutes = list(exception.openings)
            break
    else:
        if is_holiday(schedule.holiday_region, date):
            return []
        minutes = [(one.opens, one.closes) for one in schedule.openings if one.weekday == date.weekday()]
    joined: list[tuple[float, float]] = []
    for opens, closes in sorted((moment(schedule.timezone, date, a), moment(schedule.timezone, date, b)) for a, b in minutes):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(closes, joined[-1][1]))
        elif opens < closes:
            joined.append((opens, closes))
    return joined


def is_open(schedule: Schedule, now: float) -> bool:
    return any(opens <= now < closes for opens, closes in spans(schedule, local_date(schedule.timezone, now)))


def next_change(schedule: Schedule, now: float) -> float | None:
    opened, today = is_open(schedule, now), local_date(schedule.timezone, now)
    end: float | None = None
    for offset in range(HORIZON_DAYS):
        for opens, closes in spans(schedule, today + dt.timedelta(days=offset)):
            if closes <= now:
                continue
            if not opened:
                return opens
            if end is not None and opens > end:
                return end
            end = closes
        if opened and end is not None and end < moment(schedule.timezone, today + dt.timedelta(days=offset), 1440):
            return end
    return None
