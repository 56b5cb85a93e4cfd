"""Time zones and public holidays to the dates the core decides by, resolved before they get there (house, ADR 0015; reads libraries' data).

The data of `zoneinfo` (the IANA time zone database) and `holidays` change from release to release. What they say is written into the
configuration for some whole years, so that the journal holds it, and a replay of years decides as the days did. Beyond these years the last
offset of a zone goes on and there are no holidays; nobody gets there, since more is resolved while `AHEAD_S` are left.
"""

from __future__ import annotations

import datetime as dt
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays
import msgspec

from acd.core import configuration_changes
from acd.core.configuration import Schedule, TenantConfiguration, Zone
from acd.core.schedule import DAY_S, HORIZON_DAYS

DEFAULT_ZONE: Final = "Europe/Berlin"
"""Divides the days of a tenant without a schedule."""
YEARS: Final = 4
"""What is resolved: the year before, since a clock may be set back, this one, and two more."""
AHEAD_S: Final = (HORIZON_DAYS + 30) * DAY_S
"""With less left, more is resolved: the core looks for the next opening so many days ahead, and a month for whoever is switched off."""

_EARLIEST: Final = dt.datetime(dt.MINYEAR + 2, 1, 1, tzinfo=dt.UTC).timestamp()
_LATEST: Final = dt.datetime(dt.MAXYEAR - 2 * YEARS, 1, 1, tzinfo=dt.UTC).timestamp()
Years = tuple[int, int]
"""The first year, and the first that is not resolved any more."""


# ---------------------------------------------------------------------- a configuration


def resolved(configuration: TenantConfiguration, now: float, known: TenantConfiguration | None = None) -> TenantConfiguration:
    """The configuration with the dates it is decided by.

    Args:
        now: seconds since the epoch.
        known: what the exchange has; its years are kept while they last, so that nothing differs for the sake of a new year.
    """
    return for_years(configuration, _years(now, known))


def reaches(known: TenantConfiguration, now: float) -> bool:
    """Whether what is resolved lasts for a while; it costs nothing to ask every second."""
    return known.zone.since <= now < known.zone.until - AHEAD_S


def for_years(configuration: TenantConfiguration, years: Years) -> TenantConfiguration:
    """The configuration with the dates of these years. The figures' days are those of its first schedule."""
    first = configuration.schedules[0].timezone if configuration.schedules else DEFAULT_ZONE
    return msgspec.structs.replace(
        configuration, zone=zone(first, years), schedules=tuple(hours_for_years(one, years) for one in configuration.schedules)
    )


@lru_cache(maxsize=4096)
def hours_for_years(schedule: Schedule, years: Years) -> Schedule:
    """A schedule with the dates of these years; the same one for an equal one, so that what did not change is seen at a glance."""
    return msgspec.structs.replace(schedule, zone=zone(schedule.timezone, years), holidays=public_holidays(schedule.holiday_region, years))


def _years(now: float, known: TenantConfiguration | None) -> Years:
    if known is not None and reaches(known, now):
        first = year_of(known.zone.since)
        if (known.zone.since, known.zone.until) == _seconds((first, first + YEARS)):
            return first, first + YEARS
    first = year_of(now) - 1
    return first, first + YEARS


def year_of(now: float) -> int:
    """The year in UTC; of a moment that no calendar has, one at that end of it which has years on both sides."""
    return dt.datetime.fromtimestamp(min(max(now, _EARLIEST), _LATEST), tz=dt.UTC).year


def _seconds(years: Years) -> tuple[int, int]:
    """From the first moment of the first year to that of the last, UTC."""
    begin, end = (int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp()) for year in years)
    return begin, end


# ---------------------------------------------------------------------- what the libraries say


@lru_cache(maxsize=1024)
def zone(name: str, years: Years) -> Zone:
    """The offsets of a zone in these years; of one that nobody knows, as `problems_after` would have said, those of UTC."""
    begin, end = _seconds(years)
    try:
        known: dt.tzinfo = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = dt.UTC
    offsets = [(begin, _offset(known, begin))]
    for day in range(begin, end, DAY_S):
        # No zone has changed its offset twice in a day: that there was a change is seen from day to day.
        if _offset(known, day + DAY_S) != offsets[-1][1]:
            at = _change(known, day, day + DAY_S)
            if at < end:
                offsets.append((at, _offset(known, at)))
    return Zone(name=name, offsets=tuple(offsets), until=end)


def _change(known: dt.tzinfo, before: int, after: int) -> int:
    """The second from which on the offset is that of `after`; at `before` it is another one."""
    offset = _offset(known, after)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(known, middle) == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(known: dt.tzinfo, at: int) -> int:
    """Seconds east of UTC."""
    return int((dt.datetime.fromtimestamp(at, tz=known).utcoffset() or dt.timedelta()).total_seconds())


@lru_cache(maxsize=1024)
def public_holidays(region: str | None, years: Years) -> tuple[dt.date, ...]:
    """In order; none in a region that nobody knows, as `problems_after` would have said."""
    if region is None or not is_region(region):
        return ()
    return tuple(sorted(day for year in range(*years) for day in _holidays_of(region, year) if day.year == year))


@lru_cache(maxsize=1024)
def _holidays_of(region: str, year: int) -> frozenset[dt.date]:
    country, _, subdivision = region.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


# ---------------------------------------------------------------------- what is wrong


def problems_after(old: TenantConfiguration | None, new: TenantConfiguration) -> list[str]:
    """As the core's own (`acd.core.configuration_changes.problems_after`), and every zone and region that nobody knows."""
    wrong = configuration_changes.problems_after(old, new)
    if old is None or old.schedules != new.schedules:
        wrong += unknown_dates(new)
    return wrong


def problems(configuration: TenantConfiguration) -> list[str]:
    """Everything that is wrong with a configuration, one sentence each; empty when all is well."""
    return problems_after(None, configuration)


def unknown_dates(configuration: TenantConfiguration) -> list[str]:
    """Schedules whose dates cannot be resolved."""
    wrong = []
    for schedule in configuration.schedules:
        try:
            ZoneInfo(schedule.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            wrong.append(f"schedule {schedule.id} is in the unknown time zone {schedule.timezone}")
        if schedule.holiday_region is not None and not is_region(schedule.holiday_region):
            wrong.append(f"schedule {schedule.id} keeps the holidays of the unknown region {schedule.holiday_region}")
    return wrong


def is_region(region: str) -> bool:
    """Whether it is a country whose public holidays are known, or such a part of one."""
    country, _, subdivision = region.partition("-")
    known = _regions().get(country)
    return known is not None and (not subdivision or subdivision in known)


@cache
def _regions() -> dict[str, list[str]]:
    """Country -> subdivisions whose public holidays are known."""
    return dict(holidays.list_supported_countries())
