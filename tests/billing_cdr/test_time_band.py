"""Bands: every minute of the nights that matter, against a plain reading of the clock on the wall."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_cdr.instant import between_ms, epoch_ms, from_epoch_ms
from billing_cdr.time_band import DAYS, Band, Schedule, Window
from tests.billing_cdr.plans import hand_plan

BERLIN = ZoneInfo("Europe/Berlin")
SCHEDULE = hand_plan().schedule


def plain_band(schedule: Schedule, at: datetime) -> str:
    """What anybody would say who looks at the calendar and at the clock."""
    local = at.astimezone(ZoneInfo(schedule.zone))
    day = "holiday" if local.date() in schedule.holidays else DAYS[local.weekday()]
    minute = local.hour * 60 + local.minute
    for band in schedule.bands:
        for window in band.windows:
            if day in window.days and window.from_minute <= minute < window.to_minute:
                return band.name
    return schedule.rest


@pytest.mark.parametrize(
    "day", [date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25), date(2026, 4, 30), date(2026, 12, 24)]
)
def test_every_minute_of_two_days_has_the_band_the_clock_says(day):
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for minute in range(2 * 1440):
        at = start + timedelta(minutes=minute)
        for shifted in (at, at + timedelta(seconds=59, milliseconds=999)):
            assert SCHEDULE.band_at(epoch_ms(shifted))[0] == plain_band(SCHEDULE, shifted), shifted


MINUTES = st.integers(0, 1439)


@st.composite
def schedules(draw) -> Schedule:
    """Any week without overlaps: each kind of day is cut at random minutes."""
    windows: dict[str, list[Window]] = {"a": [], "b": []}
    for day in DAYS:
        cuts = sorted(draw(st.sets(MINUTES, max_size=6)))
        for place, (start, end) in enumerate(zip(cuts[::2], cuts[1::2], strict=False)):
            windows["ab"[place % 2]].append(Window((day,), start, end))
    zone = draw(st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]))
    return Schedule(zone, "rest", tuple(Band(name, tuple(members)) for name, members in windows.items()), (date(2026, 3, 29),))


@given(schedules(), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
@settings(max_examples=150, deadline=None)
def test_the_band_is_the_same_until_the_instant_it_names(schedule, at):
    assert schedule.overlaps() == []
    band, until = schedule.band_at(epoch_ms(at))
    assert band == plain_band(schedule, at)
    assert until is not None
    assert epoch_ms(at) < until <= epoch_ms(at) + 25 * 3_600_000
    for step in range(16):
        inside = from_epoch_ms(epoch_ms(at) + (until - 1 - epoch_ms(at)) * step // 15)
        assert plain_band(schedule, inside) == band


@pytest.mark.parametrize(("month", "day"), [(3, 29), (10, 25)])
def test_walking_from_change_to_change_meets_the_change_of_the_clocks(month, day):
    """The instants named on a DST night are whole minutes and never jump over the change."""
    at = epoch_ms(datetime(2026, month, day, tzinfo=BERLIN))
    change = epoch_ms(datetime(2026, month, day, 1, tzinfo=UTC))
    seen = []
    while at < change + 3 * 3_600_000:
        _, at = SCHEDULE.band_at(at)
        assert at is not None
        assert at % 60_000 == 0
        seen.append(at)
    assert change in seen


def test_a_plan_without_bands_has_one_for_ever():
    assert Schedule("Europe/Berlin", "always").band_at(0) == ("always", None)


def test_an_overlap_is_told():
    window = Window(("mon",), 60, 120)
    twice = Schedule("UTC", "rest", (Band("a", (window,)), Band("b", (Window(("mon", "tue"), 119, 130),))))
    assert twice.overlaps() == ["mon: a and b both claim 01:59"]


def test_an_instant_needs_a_time_zone():
    with pytest.raises(ValueError, match="time zone"):
        epoch_ms(datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.sampled_from([UTC, BERLIN])))  # noqa: DTZ001
def test_instants_are_whole_milliseconds_and_come_back(at):
    milliseconds = epoch_ms(at)
    back = from_epoch_ms(milliseconds)
    assert timedelta() <= at.astimezone(UTC) - back < timedelta(milliseconds=1)
    assert between_ms(back, at) == 0
