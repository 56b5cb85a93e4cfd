"""Entries of version 2 get the dates that programs looked up then; entries that are no configuration pass untouched (ADR 0015)."""

import datetime as dt

import msgspec
import pytest

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration_changes import SchedulePut, SettingsPut, difference
from acd.core.ids import TenantId
from acd.core.replay import Entry, fold, redrive
from acd.core.schedule import is_open
from acd.journal import words
from acd.journal.steps_3 import resolve_dates
from acd.resolve import resolved

NOW = dt.datetime(2026, 6, 3, 10, tzinfo=dt.UTC).timestamp()
CORPUS_CHRISTI = dt.datetime(2026, 6, 4, 10, tzinfo=dt.UTC).timestamp()
OPENINGS = [{"weekday": day, "opens": 480, "closes": 1080} for day in range(5)]
OFFICE = {"id": "office", "openings": OPENINGS, "holiday_region": "DE-BY", "exceptions": [{"date": "2026-12-24"}]}
TOKYO = {"id": "away", "timezone": "Asia/Tokyo", "openings": OPENINGS}
QUEUE = {"id": "support", "name": "Support", "schedule": "office"}
WHOLE = {"tenant": "t", "queues": [QUEUE], "schedules": [OFFICE]}


def entry(seq: int, given: dict, *events: dict) -> list:
    return [seq, NOW + seq, given, list(events)]


def of_version_2(raw: list) -> Entry:
    return words.read(msgspec.msgpack.encode(raw), 2)


CONFIGURED = entry(1, {"type": "Configured", "configuration": WHOLE}, {"type": "ConfigurationChanged", "configuration": WHOLE})
CHANGES = [{"type": "SchedulePut", "at": 0, "value": TOKYO}]
RECONFIGURED = entry(
    2, {"type": "Reconfigured", "changes": CHANGES}, {"type": "ConfigurationAltered", "changes": CHANGES, "zone": "Asia/Tokyo"}
)


def test_a_whole_configuration_gets_its_dates_in_the_input_and_in_the_event():
    read = of_version_2(CONFIGURED)
    configuration = read.input.configuration
    assert read.events == (ev.ConfigurationChanged(configuration=configuration),)
    (office,) = configuration.schedules
    assert configuration.zone == office.zone
    assert office.zone.name == "Europe/Berlin"
    assert is_open(office, NOW)
    assert not is_open(office, CORPUS_CHRISTI)


def test_figures_of_a_tenant_without_schedules_have_the_days_of_berlin():
    bare = {"tenant": "t"}
    read = of_version_2(entry(1, {"type": "Configured", "configuration": bare}, {"type": "ConfigurationChanged", "configuration": bare}))
    assert read.input.configuration.zone.name == "Europe/Berlin"
    assert fold([read], TenantId("t")).state.statistics.zone.name == "Europe/Berlin"


def test_another_zone_of_the_figures_is_a_setting_now():
    read = of_version_2(RECONFIGURED)
    settings, put = read.input.changes
    assert isinstance(settings, SettingsPut)
    assert isinstance(put, SchedulePut)
    assert settings.zone == put.value.zone
    assert settings.zone.name == "Asia/Tokyo"
    assert read.events == (ev.ConfigurationAltered(changes=read.input.changes),)


def test_a_setting_that_was_changed_beside_it_keeps_what_it_said():
    changes = [{"type": "SettingsPut", "language": "en"}, *CHANGES]
    raw = entry(2, {"type": "Reconfigured", "changes": changes}, {"type": "ConfigurationAltered", "changes": changes, "zone": "Asia/Tokyo"})
    settings, _ = of_version_2(raw).input.changes
    assert (settings.language, settings.zone.name) == ("en", "Asia/Tokyo")


def test_a_first_configuration_that_came_as_changes_has_the_usual_zone():
    changes = [{"type": "SettingsPut", "tenant": "t"}, {"type": "SchedulePut", "at": 0, "value": OFFICE}]
    raw = entry(1, {"type": "Reconfigured", "changes": changes}, {"type": "ConfigurationAltered", "changes": changes})
    assert of_version_2(raw).input.changes[0].zone.name == "Europe/Berlin"


def test_the_inputs_of_then_decide_as_they_did():
    journal = [of_version_2(one) for one in (CONFIGURED, RECONFIGURED)]
    assert redrive(journal, TenantId("t")) is None
    state = fold(journal, TenantId("t")).state
    assert state.statistics.zone.name == "Asia/Tokyo"
    assert [one.zone.name for one in state.configuration.schedules] == ["Asia/Tokyo", "Europe/Berlin"]


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe"])
def test_a_zone_that_is_known_no_more_does_not_make_a_journal_unreadable(name):
    raw = {"tenant": "t", "schedules": [{"id": "s", "timezone": name, "holiday_region": "XX"}]}
    read = of_version_2(entry(1, {"type": "Configured", "configuration": raw}, {"type": "ConfigurationChanged", "configuration": raw}))
    assert read.input.configuration.schedules[0].holidays == ()


def test_the_first_start_writes_down_what_was_resolved_at_reading():
    """The next libraries must not decide what this journal says from here on; once it is written, it is not written again."""
    known = fold([of_version_2(CONFIGURED)], TenantId("t")).state.configuration
    wanted = resolved(known, NOW, known)
    assert [type(one) for one in difference(known, wanted)] == [SettingsPut, SchedulePut]
    assert resolved(known, NOW, wanted) == wanted


def test_an_entry_that_is_no_configuration_passes_untouched():
    raw = entry(3, {"type": "GoReady", "agent": "anna"}, {"type": "AgentReady", "agent": "anna"})
    assert resolve_dates(raw) is raw
    assert of_version_2(raw) == Entry(3, NOW + 3, inp.GoReady(agent="anna"), (ev.AgentReady(agent="anna"),))


@pytest.mark.parametrize("broken", [[1, NOW, {"type": "Configured"}, []], [1, NOW], [1, NOW, {"type": "Reconfigured", "changes": 7}, []]])
def test_what_is_no_entry_is_said_to_be_none(broken):
    with pytest.raises(msgspec.DecodeError):
        words.read(msgspec.msgpack.encode([*broken, "Configured"] if len(broken) < 3 else broken), 2)
