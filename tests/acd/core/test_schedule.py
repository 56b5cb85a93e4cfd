"""Business hours minute by minute against a plain second opinion, over DST nights and holidays (R22)."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acd.core.configuration import Exception_, Opening, Schedule
from acd.core.schedule import day_end, is_holiday, is_open, next_change

BERLIN = ZoneInfo("Europe/Berlin")


def at(*when: int) -> float:
    return dt.datetime(*when, tzinfo=BERLIN).timestamp()


def plain(schedule: Schedule, now: float) -> bool:
    """The second opinion: local wall clock of the moment against the table."""
    local = dt.datetime.fromtimestamp(now, tz=ZoneInfo(schedule.timezone))
    minute = local.hour * 60 + local.minute
    for exception in schedule.exceptions:
        if exception.date == local.date():
            return any(opens <= minute < closes for opens, closes in exception.openings)
    if is_holiday(schedule.holiday_region, local.date()):
        return False
    return any(one.weekday == local.weekday() and one.opens <= minute < one.closes for one in schedule.openings)


OFFICE = Schedule(
    id="office",
    openings=(*(Opening(weekday=day, opens=480, closes=1080) for day in range(5)), Opening(weekday=6, opens=0, closes=240)),
    holiday_region="DE-BY",
    exceptions=(Exception_(date=dt.date(2025, 12, 24), openings=((480, 720),)), Exception_(date=dt.date(2025, 12, 31))),
)


@pytest.mark.parametrize("first", [dt.date(2025, 3, 28), dt.date(2025, 10, 24), dt.date(2025, 6, 17), dt.date(2025, 12, 23)])
def test_every_quarter_of_an_hour_agrees_with_the_wall_clock(first: dt.date) -> None:
    begin = at(first.year, first.month, first.day)
    for quarter in range(4 * 24 * 9):
        now = begin + quarter * 900
        assert is_open(OFFICE, now) == plain(OFFICE, now), dt.datetime.fromtimestamp(now, tz=BERLIN)


@given(now=st.floats(at(2024, 1, 1), at(2028, 1, 1)), size=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_next_change_is_the_first_moment_that_differs(now: float, size: int) -> None:
    schedule = Schedule(id="x", openings=OFFICE.openings[: size * 2], holiday_region="DE-BY")
    change = next_change(schedule, now)
    if not schedule.openings:
        assert change is None
        return
    assert change is not None
    assert change > now
    assert is_open(schedule, change) != is_open(schedule, now)
    assert is_open(schedule, change - 0.001) == is_open(schedule, now)
    step = (change - now) / 50
    assert all(is_open(schedule, now + n * step) == is_open(schedule, now) for n in range(50))


def test_open_around_the_clock_never_changes() -> None:
    always = Schedule(id="x", openings=tuple(Opening(weekday=day, opens=0, closes=1440) for day in range(7)))
    assert is_open(always, at(2025, 3, 30, 2, 30))
    assert next_change(always, at(2025, 1, 1)) is None
    assert is_open(None, 0.0)
    assert next_change(None, 0.0) is None


def test_open_past_midnight_in_two_pieces_is_one_opening() -> None:
    late = Schedule(id="x", openings=(Opening(weekday=4, opens=1320, closes=1440), Opening(weekday=5, opens=0, closes=120)))
    assert next_change(late, at(2025, 6, 20, 23, 0)) == at(2025, 6, 21, 2, 0)


@pytest.mark.parametrize(("now", "hours"), [((2025, 3, 30, 12), 23), ((2025, 10, 26, 12), 25), ((2025, 6, 15, 12), 24)])
def test_a_day_is_as_long_as_the_zone_says(now: tuple[int, ...], hours: int) -> None:
    _, ends = day_end("Europe/Berlin", at(*now))
    _, before = day_end("Europe/Berlin", at(*now) - 86400 * 0.9)
    assert ends - before == hours * 3600
