"""Time zones and public holidays are resolved for whole years, and for others only when these come to their end (ADR 0015)."""

import asyncio
import datetime as dt
import logging
import time

import msgspec
import pytest

from acd.core import events as ev
from acd.core.configuration import Opening, Schedule, TenantConfiguration
from acd.core.configuration_changes import SchedulePut, SettingsPut, TrunkPut, difference
from acd.core.ids import ScheduleId, TenantId
from acd.journal import read
from acd.journal.framing import batch, file_head
from acd.resolve import AHEAD_S, problems, problems_after, public_holidays, reaches, resolved, zone
from tests.acd.voice import TENANT, running, setup

DAYS = tuple(Opening(weekday=day, opens=480, closes=1080) for day in range(5))
OFFICE = Schedule(id=ScheduleId("office"), openings=DAYS, holiday_region="DE-BY")
WAREHOUSE = Schedule(id=ScheduleId("warehouse"), timezone="Asia/Tokyo", openings=DAYS)


def at(year: int, month: int, day: int) -> float:
    return dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp()


def tenant(*schedules: Schedule) -> TenantConfiguration:
    return TenantConfiguration(tenant=TenantId("t"), schedules=schedules)


def test_four_whole_years_are_resolved_from_the_one_before():
    found = resolved(tenant(OFFICE), at(2026, 11, 28))
    (office,) = found.schedules
    assert (office.zone.since, office.zone.until) == (at(2025, 1, 1), at(2029, 1, 1))
    assert office.zone.offsets[:3] == ((at(2025, 1, 1), 3600), (at(2025, 3, 30) + 3600, 7200), (at(2025, 10, 26) + 3600, 3600))
    assert len(office.zone.offsets) == 9
    assert (office.holidays[0], office.holidays[-1]) == (dt.date(2025, 1, 1), dt.date(2028, 12, 26))
    assert dt.date(2026, 6, 4) in office.holidays  # Corpus Christi
    assert list(office.holidays) == sorted(set(office.holidays))


@pytest.mark.parametrize(("schedules", "name"), [((), "Europe/Berlin"), ((WAREHOUSE, OFFICE), "Asia/Tokyo")])
def test_figures_have_the_days_of_the_first_schedule(schedules, name):
    assert resolved(tenant(*schedules), at(2026, 11, 28)).zone.name == name


def test_nothing_differs_for_the_sake_of_a_new_year():
    known = resolved(tenant(OFFICE, WAREHOUSE), at(2026, 11, 28))
    assert resolved(tenant(OFFICE, WAREHOUSE), at(2027, 10, 20), known) == known
    later = resolved(tenant(OFFICE, WAREHOUSE, msgspec.structs.replace(OFFICE, id="new")), at(2027, 10, 20), known)
    assert [type(one) for one in difference(known, later)] == [SchedulePut]
    assert len({one.zone.until for one in later.schedules}) == 1


def test_more_is_resolved_while_more_than_a_year_is_left():
    known = resolved(tenant(OFFICE), at(2026, 11, 28))
    end = known.zone.until - AHEAD_S
    assert reaches(known, end - 1)
    assert not reaches(known, end)
    assert resolved(tenant(OFFICE), end - 1, known) == known
    longer = resolved(tenant(OFFICE), end, known)
    assert longer.zone.until == at(2030, 1, 1)
    assert [type(one) for one in difference(known, longer)] == [SettingsPut, SchedulePut]
    assert reaches(longer, end + 300 * 86_400)


def test_a_clock_that_was_years_ahead_does_not_leave_its_dates_behind():
    known = resolved(tenant(OFFICE), at(2036, 1, 1))
    assert not reaches(known, at(2026, 1, 1))
    assert resolved(tenant(OFFICE), at(2026, 1, 1), known) == resolved(tenant(OFFICE), at(2026, 1, 1))


def test_dates_that_a_library_knows_better_by_now_are_a_change():
    """As after an update: what is known has a holiday less, and another offset."""
    known = resolved(tenant(OFFICE), at(2026, 11, 28))
    (office,) = known.schedules
    former = msgspec.structs.replace(office, holidays=office.holidays[1:])
    changes = difference(msgspec.structs.replace(known, schedules=(former,)), resolved(tenant(OFFICE), at(2026, 11, 28), known))
    assert changes == (SchedulePut(at=0, value=office),)


def test_an_observed_holiday_is_one_of_its_own_year():
    """New Year 2028 is a Saturday, observed on the Friday before; it is known from the year that the Friday lies in."""
    assert dt.date(2027, 12, 31) in public_holidays("US", (2025, 2029))
    assert all(day.year < 2028 for day in public_holidays("US", (2025, 2028)))


@pytest.mark.parametrize("now", [-1e300, -1.0, 0.0, 1e18, 1e300])
def test_whatever_the_clock_says_there_are_dates(now):
    found = resolved(tenant(OFFICE), now)
    assert resolved(tenant(OFFICE), now, found) == found


WRONG = [
    (msgspec.structs.replace(OFFICE, timezone="Mars/Olympus"), "schedule office is in the unknown time zone Mars/Olympus"),
    (msgspec.structs.replace(OFFICE, timezone="Europe"), "schedule office is in the unknown time zone Europe"),
    (msgspec.structs.replace(OFFICE, timezone="../etc/passwd"), "schedule office is in the unknown time zone ../etc/passwd"),
    (msgspec.structs.replace(OFFICE, holiday_region="DE-XX"), "schedule office keeps the holidays of the unknown region DE-XX"),
    (msgspec.structs.replace(OFFICE, holiday_region="XX"), "schedule office keeps the holidays of the unknown region XX"),
]


@pytest.mark.parametrize(("schedule", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_a_zone_or_region_that_nobody_knows_is_a_problem(schedule, problem):
    assert problems(tenant(schedule)) == [problem]
    assert problems_after(tenant(OFFICE), tenant(schedule)) == [problem]
    assert problems(tenant(OFFICE)) == []


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in WRONG], ids=lambda one: f"{one.timezone} {one.holiday_region}")
def test_what_nobody_knows_any_more_can_still_be_resolved(schedule):
    """A journal may name a zone that a later database has dropped: it must be readable."""
    (found,) = resolved(tenant(schedule), at(2026, 11, 28)).schedules
    assert found.zone.until == at(2029, 1, 1)
    assert not found.holidays or found.holiday_region == "DE-BY"
    assert zone("Mars/Olympus", (2025, 2029)).offsets == ((at(2025, 1, 1), 0),)


# ---------------------------------------------------------------------- in a running service


def without_costs(configuration):
    """But for what the shell adds besides dates: what channels over the trunks cost."""
    trunks = tuple(msgspec.structs.replace(one, channel=None) for one in configuration.trunks)
    return msgspec.structs.replace(configuration, trunks=trunks)


def with_hours():
    (queue,) = setup().configuration.queues
    return setup(schedules=(OFFICE,), queues=(msgspec.structs.replace(queue, schedule=OFFICE.id),))


def configurations(folder):
    heard = [event for entry in read(folder / "journal") for event in entry.events]
    return [event for event in heard if isinstance(event, ev.ConfigurationChanged | ev.ConfigurationAltered)]


async def test_a_restart_and_a_day_that_goes_by_write_no_dates(tmp_path):
    async with running(tmp_path, with_hours()) as service:
        before = service.voice._exchanges[TENANT].engine.state.configuration
        service.voice._resolve_ahead()
    async with running(tmp_path, with_hours()) as service:
        service.voice._resolve_ahead()
        await service.voice.configure(with_hours())
        assert service.voice._exchanges[TENANT].engine.state.configuration == before
    (told,) = configurations(tmp_path)
    assert told.configuration.schedules[0].holidays
    assert told.configuration.zone == told.configuration.schedules[0].zone


async def test_a_service_that_runs_for_years_is_told_of_those_to_come_before_it_needs_them(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="acd.runtime")
    async with running(tmp_path, with_hours()) as service:
        exchange, wall = service.voice._exchanges[TENANT], service.voice._clock._wall
        first = exchange.engine.state.configuration
        for years in (1, 2, 3, 4):
            service.voice._clock._wall = lambda years=years: wall() + years * 365 * 86_400
            service.voice._follow_clock()
            service.voice._resolve_ahead()
            service.voice._resolve_ahead()
            now = service.voice._clock()
            assert reaches(exchange.engine.state.configuration, now)
        known = exchange.engine.state.configuration
        assert without_costs(known) == resolved(with_hours().configuration, now, without_costs(known))
        await exchange.settle()
        service.voice._clock._wall = wall
        service.voice._follow_clock()
    altered = configurations(tmp_path)[1:]
    assert 1 <= len(altered) <= 4
    assert all([type(one) for one in event.changes] == [SettingsPut, SchedulePut] for event in altered)
    assert altered[0].changes[0].zone.until > first.zone.until
    assert sum("are resolved for the years to come" in one.message for one in caplog.records) == len(altered)


async def test_the_first_start_after_an_update_writes_the_dates_into_a_journal_that_has_none(tmp_path):
    """As 0.2 left it: from then on the journal says by itself when it is open, whatever libraries read it."""
    told, now = msgspec.to_builtins(with_hours().configuration), time.time() - 3600
    entry = [1, now, {"type": "Configured", "configuration": told}, [{"type": "ConfigurationChanged", "configuration": told}]]
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "journal-000000000001.log").write_bytes(file_head(1) + batch(1, [msgspec.msgpack.encode(entry)], 2))
    for _ in range(2):
        async with running(tmp_path, with_hours()) as service:
            known = service.voice._exchanges[TENANT].engine.state.configuration
            assert without_costs(known) == resolved(with_hours().configuration, time.time())
    _, altered = configurations(tmp_path)
    assert {type(one) for one in altered.changes} == {SettingsPut, SchedulePut, TrunkPut}  # and what channels cost


async def test_the_clockwork_of_the_service_looks_ahead(tmp_path, monkeypatch):
    looked = asyncio.Event()
    monkeypatch.setattr("acd.runtime.Voice._resolve_ahead", lambda _voice: looked.set())
    async with running(tmp_path):
        async with asyncio.timeout(5):
            await looked.wait()
