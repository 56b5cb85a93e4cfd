"""Business hours in local time with DST and public holidays (DESIGN.md §8, R22): pure functions of a schedule and a moment.

Time zones and public holidays come resolved with the schedule (ADR 0015); here is arithmetic alone: a replay decides as the day did.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from functools import lru_cache
from typing import Final

from acd.core.configuration import Schedule, Zone

HORIZON_DAYS = 400
"""A schedule without a change for more than a year has none that matters; it is looked at again then."""
DAY_S: Final = 86_400
EPOCH_DAY: Final = dt.date(1970, 1, 1).toordinal()


def is_holiday(schedule: Schedule, date: dt.date) -> bool:
    """Whether `date` is a public holiday where the schedule is kept."""
    at = bisect_left(schedule.holidays, date)
    return schedule.holidays[at : at + 1] == (date,)


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
        if is_holiday(schedule, date):
            return ()
        minutes = [(opening.opens, opening.closes) for opening in schedule.openings if opening.weekday == date.weekday()]
    joined: list[tuple[float, float]] = []
    for opens, closes in sorted((_moment(schedule.zone, date, a), _moment(schedule.zone, date, b)) for a, b in minutes):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(closes, joined[-1][1]))
        elif opens < closes:
            joined.append((opens, closes))
    return tuple(joined)


def _moment(zone: Zone, date: dt.date, minute: int) -> float:
    """When a wall clock shows so many minutes after the midnight of `date`, the first time that it does.

    The offset that holds from `at` on shows on the wall from `at` plus the greater of the two: before that the wall has the time of the old
    one, which comes first where the clock is set back, and goes on through the gap where it is set forward (PEP 495, fold 0).
    """
    wall = (date.toordinal() - EPOCH_DAY) * DAY_S + minute * 60
    offsets = zone.offsets
    for index in range(len(offsets) - 1, 0, -1):
        at, offset = offsets[index]
        if wall >= at + max(offset, offsets[index - 1][1]):
            return float(wall - offset)
    return float(wall - offsets[0][1])


def local_date(zone: Zone, now: float) -> dt.date:
    """Civil date in a zone."""
    offset = zone.offsets[0][1]
    for at, following in zone.offsets:
        if at > now:
            break
        offset = following
    return dt.date.fromordinal(EPOCH_DAY + int((now + offset) // DAY_S))


def is_open(schedule: Schedule | None, now: float) -> bool:
    """Open at this moment; always, without a schedule. The opening moment is open, the closing moment is closed."""
    if schedule is None:
        return True
    return any(opens <= now < closes for opens, closes in spans(schedule, local_date(schedule.zone, now)))


def next_change(schedule: Schedule | None, now: float) -> float | None:
    """The first moment after `now` at which `is_open` changes; None when it never does within the horizon."""
    if schedule is None:
        return None
    opened = is_open(schedule, now)
    today = local_date(schedule.zone, now)
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
        if opened and end is not None and end < _moment(schedule.zone, today + dt.timedelta(days=offset), 1440):
            return end
    return None


def day_begin(zone: Zone, now: float) -> float:
    """The moment at which the civil day began that `now` lies in."""
    return _moment(zone, local_date(zone, now), 0)


def day_end(zone: Zone, now: float) -> tuple[int, float]:
    """Ordinal of the civil day `now` lies in, and the moment it ends."""
    date = local_date(zone, now)
    return date.toordinal(), _moment(zone, date, 1440)
