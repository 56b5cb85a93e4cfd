"""Business hours minute by minute against a plain second opinion, over DST nights and holidays (R22)."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acd.core.configuration import Exception_, Opening, Schedule, Zone
from acd.core.schedule import day_begin, day_end, is_open, local_date, next_change
from acd.resolve import hours_for_years, zone
from tests.acd.core import local_hours

BERLIN = ZoneInfo("Europe/Berlin")
YEARS = (2024, 2030)
ZONES = (
    "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Santiago", "America/Asuncion", "Asia/Tokyo", "UTC",
    "Asia/Kathmandu", "Asia/Beirut", "Asia/Almaty", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Casablanca", "Africa/Cairo",
    "Antarctica/Troll",
)  # fmt: skip
"""Both hemispheres; whole hours and parts of one; clocks set at midnight, by half an hour, by two, four times a year, never."""


def hours(**more: object) -> Schedule:
    return hours_for_years(Schedule(id="x", **more), YEARS)


def at(*when: int) -> float:
    return dt.datetime(*when, tzinfo=BERLIN).timestamp()


def plain(schedule: Schedule, now: float) -> bool:
    """The second opinion: local wall clock of the moment against the table."""
    local = dt.datetime.fromtimestamp(now, tz=ZoneInfo(schedule.timezone))
    minute = local.hour * 60 + local.minute
    for exception in schedule.exceptions:
        if exception.date == local.date():
            return any(opens <= minute < closes for opens, closes in exception.openings)
    if local_hours.is_holiday(schedule.holiday_region, local.date()):
        return False
    return any(one.weekday == local.weekday() and one.opens <= minute < one.closes for one in schedule.openings)


OFFICE = hours(
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
    schedule = hours(openings=OFFICE.openings[: size * 2], holiday_region="DE-BY")
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
    always = hours(openings=tuple(Opening(weekday=day, opens=0, closes=1440) for day in range(7)))
    assert is_open(always, at(2025, 3, 30, 2, 30))
    assert next_change(always, at(2025, 1, 1)) is None
    assert is_open(None, 0.0)
    assert next_change(None, 0.0) is None


def test_open_past_midnight_in_two_pieces_is_one_opening() -> None:
    late = hours(openings=(Opening(weekday=4, opens=1320, closes=1440), Opening(weekday=5, opens=0, closes=120)))
    assert next_change(late, at(2025, 6, 20, 23, 0)) == at(2025, 6, 21, 2, 0)


@pytest.mark.parametrize(("now", "hours"), [((2025, 3, 30, 12), 23), ((2025, 10, 26, 12), 25), ((2025, 6, 15, 12), 24)])
def test_a_day_is_as_long_as_the_zone_says(now: tuple[int, ...], hours: int) -> None:
    berlin = zone("Europe/Berlin", YEARS)
    _, ends = day_end(berlin, at(*now))
    _, before = day_end(berlin, at(*now) - 86400 * 0.9)
    assert ends - before == hours * 3600


# ---------------------------------------------------------------------- resolved beforehand (ADR 0015)


OFFICE_DAY = st.tuples(st.integers(0, 1440), st.integers(0, 1440)).map(sorted).filter(lambda two: two[0] < two[1]).map(tuple)
IN_THE_YEARS = st.datetimes(dt.datetime(2024, 1, 2), dt.datetime(2028, 11, 1)).map(lambda one: one.replace(tzinfo=dt.UTC).timestamp())  # noqa: DTZ001


@st.composite
def near_a_change(draw: st.DrawFn, name: str) -> float:
    """Within a day and a half of a moment at which the clocks are set, if they ever are, or any one."""
    changes = [moment for moment, _ in zone(name, YEARS).offsets[1:] if moment < at(2028, 11, 1)]
    if not changes or draw(st.booleans()):
        return float(int(draw(IN_THE_YEARS)))
    return float(draw(st.sampled_from(changes)) + draw(st.integers(-130_000, 130_000)))


@st.composite
def moments_of_schedules(draw: st.DrawFn) -> tuple[Schedule, float]:
    name = draw(st.sampled_from(ZONES))
    now = draw(near_a_change(name))
    date = local_hours.local_date(name, now)
    exceptions = draw(st.dictionaries(st.integers(-2, 3), st.lists(OFFICE_DAY, max_size=3), max_size=3))
    return hours(
        timezone=name,
        openings=tuple(
            Opening(weekday=day, opens=opens, closes=closes)
            for day, (opens, closes) in draw(st.lists(st.tuples(st.integers(0, 6), OFFICE_DAY), max_size=12))
        ),
        holiday_region=draw(st.sampled_from((None, "DE-BY", "US", "US-CA", "JP", "CL"))),
        exceptions=tuple(Exception_(date=date + dt.timedelta(days=day), openings=tuple(some)) for day, some in exceptions.items()),
    ), now


@given(moments_of_schedules())
@settings(max_examples=400, deadline=None)
def test_what_was_resolved_decides_as_the_libraries_do(drawn: tuple[Schedule, float]) -> None:
    schedule, now = drawn
    assert is_open(schedule, now) == local_hours.is_open(schedule, now)
    assert next_change(schedule, now) == local_hours.next_change(schedule, now)
    today = local_hours.local_date(schedule.timezone, now)
    assert local_date(schedule.zone, now) == today
    assert day_begin(schedule.zone, now) == local_hours.moment(schedule.timezone, today, 0)
    assert day_end(schedule.zone, now) == (today.toordinal(), local_hours.moment(schedule.timezone, today, 1440))


@pytest.mark.parametrize("name", ZONES)
def test_every_minute_around_a_change_of_the_clocks_is_where_the_zone_has_it(name: str) -> None:
    resolved = zone(name, YEARS)
    for moment, _ in resolved.offsets[1:]:
        date = local_hours.local_date(name, moment - 43_200)
        for day in (date, date + dt.timedelta(days=1)):
            for minute in range(0, 1440, 30):
                pair = Exception_(date=day, openings=((minute, 1440),))
                schedule = Schedule(id="x", timezone=name, zone=resolved, exceptions=(pair,))
                opens = local_hours.moment(name, day, minute)
                if opens < local_hours.moment(name, day, 1440):
                    assert next_change(schedule, opens - 1) == opens, (day, minute)


def test_what_the_libraries_would_say_by_now_does_not_decide() -> None:
    """Here 17 June has become a public holiday, and the zone has a time of its own: the schedule says so, and nothing else is asked."""
    moved = Zone(name="Europe/Berlin", offsets=((0, 7200),), until=OFFICE.zone.until)
    schedule = msgspec.structs.replace(OFFICE, zone=moved, holidays=(dt.date(2025, 6, 17),))
    assert is_open(OFFICE, at(2025, 6, 17, 12))
    assert not is_open(schedule, at(2025, 6, 17, 12))
    assert is_open(schedule, at(2025, 1, 7, 7))  # 08:00 where clocks are not set back


def test_beyond_what_is_resolved_the_last_offset_goes_on_without_holidays() -> None:
    assert is_open(OFFICE, at(YEARS[1], 12, 25, 8))  # a Wednesday
    in_summer = at(YEARS[1], 7, 22, 8)
    assert not is_open(OFFICE, in_summer)  # still by winter time
    assert is_open(OFFICE, in_summer + 3600)


def test_an_unresolved_schedule_is_kept_in_utc() -> None:
    schedule = Schedule(id="x", openings=(Opening(weekday=1, opens=480, closes=1080),))
    assert next_change(schedule, at(2025, 6, 17, 1)) == at(2025, 6, 17, 10)
