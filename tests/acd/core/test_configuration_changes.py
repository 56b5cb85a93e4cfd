"""A change of the configuration is told as what differs, and comes to the same as the whole one (ADR 0007)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import (
    Agent,
    ChannelCapacity,
    Menu,
    Number,
    Opening,
    Queue,
    Reason,
    Schedule,
    Site,
    TenantConfiguration,
    ToHangUp,
    ToQueue,
    Trunk,
)
from acd.core.configuration_changes import AgentPut, Change, Collection, Removed, SettingsPut, applied, difference, problems_after
from acd.core.engine import Engine
from acd.core.errors import BrokenHistory
from acd.core.replay import Entry, decode, encode, fold, redrive
from acd.resolve import resolved
from tests.acd.core.shell import T0, Shell, agent, call, house, open_house, queue
from tests.acd.core.storm import run

NAMES = st.sampled_from(("a", "b", "c", "d", "e", "f", "g"))
VARIANT = st.integers(0, 2)


def _collection(make: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    """Any of seven names, each once, in any order, each in one of three shapes."""
    pairs = st.lists(st.tuples(NAMES, VARIANT), unique_by=lambda pair: pair[0], max_size=7)
    return pairs.map(lambda chosen: tuple(make(name, shape) for name, shape in chosen))


CONFIGURATIONS = st.builds(
    TenantConfiguration,
    tenant=st.just("demo"),
    agents=_collection(lambda name, n: Agent(id=name, name=f"{name}{n}", device=f"{name}@x", skills={"support": n} if n else {})),
    queues=_collection(lambda name, n: Queue(id=name, name=f"{name}{n}", priority_s=float(n))),
    menus=_collection(lambda name, n: Menu(id=name, sounds=("menu",), options={str(n): ToHangUp()})),
    numbers=_collection(lambda name, n: Number(number=name, target=ToQueue(queue=str(n)))),
    schedules=_collection(lambda name, n: Schedule(id=name, openings=(Opening(weekday=n, opens=0, closes=60),))),
    sites=_collection(lambda name, n: Site(id=name, upload_kbits=n)),
    trunks=_collection(lambda name, n: Trunk(id=name, name=f"{name}{n}", order=n)),
    reasons=_collection(lambda name, n: Reason(code=name, name=str(n))),
    language=st.sampled_from(("de", "en")),
    recording_notice=st.booleans(),
)
_CHANGES = msgspec.msgpack.Decoder(tuple[Change, ...])


@given(old=st.none() | CONFIGURATIONS, new=CONFIGURATIONS)
@settings(deadline=None, derandomize=True, max_examples=100)
def test_what_differs_makes_the_new_configuration_of_the_old_one_in_its_order(
    old: TenantConfiguration | None, new: TenantConfiguration
) -> None:
    changes = difference(old, new)
    assert applied(old, changes) == new
    assert applied(old, _CHANGES.decode(msgspec.msgpack.encode(changes))) == new
    assert (changes == ()) == (old == new)


@given(old=CONFIGURATIONS, new=CONFIGURATIONS)
@settings(deadline=None, derandomize=True, max_examples=100)
def test_a_checked_configuration_is_followed_by_the_same_problems_as_the_whole_has(
    old: TenantConfiguration, new: TenantConfiguration
) -> None:
    sound = msgspec.structs.replace(old, numbers=(), agents=tuple(msgspec.structs.replace(one, skills={}) for one in old.agents))
    assert sound.problems() == []
    wrong = msgspec.structs.replace(
        new, agents=tuple(msgspec.structs.replace(one, site="s", skills={"support": 11}) if one.id == "a" else one for one in new.agents)
    )
    assert problems_after(sound, wrong) == wrong.problems()


def test_everything_that_a_configuration_has_can_be_told_as_a_change() -> None:
    """A field that were forgotten here would be set up and never journalled."""
    whole = set(TenantConfiguration.__struct_fields__)
    assert {*Collection.__args__, *SettingsPut.__struct_fields__} == whole
    nothing = TenantConfiguration(tenant="demo")
    assert {type(getattr(nothing, collection)) for collection in Collection.__args__} == {tuple}


def test_a_capacity_that_is_wrong_is_found_where_nothing_else_has_changed() -> None:
    old = TenantConfiguration(tenant="demo", agents=(agent("anna"),))
    wrong = (
        ChannelCapacity(channel="fax", at_once=-1, not_during=("voice", "telex")),
        ChannelCapacity(channel="voice", at_once=2),
        ChannelCapacity(channel="mail", at_once=5),
        ChannelCapacity(channel="mail", at_once=6),
    )
    sentences = [
        "the tenant has a capacity for the unknown channel fax",
        "the tenant has a capacity for the unknown channel telex",
        "the tenant has the capacity -1 for fax; it cannot be less than nothing",
        "the tenant has the capacity 2 for voice; nobody has more than 1 at once",
        "the tenant has two capacities for mail",
    ]
    assert problems_after(old, msgspec.structs.replace(old, capacity=wrong)) == sentences
    own = msgspec.structs.replace(old, agents=(agent("anna", capacity=wrong),))
    assert problems_after(old, own) == [one.replace("the tenant", "agent anna") for one in sentences]


def test_a_site_that_goes_is_missed_by_agents_that_stayed_as_they_were() -> None:
    old = TenantConfiguration(tenant="demo", agents=(agent("anna", site="main"),), sites=(Site(id="main", upload_kbits=1),))
    new = msgspec.structs.replace(old, sites=())
    assert problems_after(old, new) == ["agent anna sits at the unknown site main"]


def test_a_reason_that_is_there_twice_is_a_problem() -> None:
    """Names are unique in every collection: changes go by them."""
    twice = TenantConfiguration(tenant="demo", reasons=(Reason(code="break", name="Break"), Reason(code="break", name="Pause")))
    assert twice.problems() == ["the reason break is there twice"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ((Removed(collection="agents", key="ben", at=0),), "ben does not stand at place 0 of the agents"),
        ((AgentPut(at=2, value=agent("carl")),), "carl cannot be put at place 2 of 1 agents"),
    ],
)
def test_changes_that_were_made_for_another_configuration_are_dropped_and_no_history(changes: tuple[Change, ...], why: str) -> None:
    shell = open_house(house(agents=(agent("anna"),)))
    before = shell.engine.state_hash()
    assert shell.send(inp.Reconfigured(changes=changes)) == []
    assert shell.engine.state_hash() == before
    assert shell.engine.describe()["dropped"] == {"Reconfigured": 1}
    with pytest.raises(BrokenHistory, match=why):
        shell.engine.apply(ev.ConfigurationAltered(changes=changes), shell.now)


def test_changes_of_nothing_must_say_whose_they_are() -> None:
    with pytest.raises(ValueError, match="must say whose it is"):
        applied(None, (SettingsPut(language="en"),))


def _house_of(agents: int) -> TenantConfiguration:
    people = tuple(agent(f"agent-{n:04}", extension=str(2000 + n)) for n in range(agents))
    return house(agents=people, numbers=(Number(number="777", target=ToHangUp()),))


def _renamed(before: TenantConfiguration, name: str) -> TenantConfiguration:
    return msgspec.structs.replace(before, agents=(msgspec.structs.replace(before.agents[0], name=name), *before.agents[1:]))


def test_the_octets_of_a_change_do_not_depend_on_how_many_agents_there_are() -> None:
    octets = set()
    for agents in (10, 400, 1000):
        before = _house_of(agents)
        engine = Engine("demo")
        engine.handle(inp.Configured(configuration=before), T0)
        change = inp.Reconfigured(changes=difference(before, _renamed(before, "Renamed")))
        step = engine.handle(change, T0 + 1)
        entry = Entry(2, T0 + 1, change, tuple(step.events))
        assert decode(encode(entry)) == entry
        octets.add(len(encode(entry)))
    # Twice (as it came in and as it became true) one agent with name, extension, device and one skill, in field names and values.
    assert len(octets) == 1
    assert octets.pop() < 400


def test_the_first_change_of_an_agent_is_that_agent_alone() -> None:
    before = _house_of(1000)
    after = _renamed(before, "Renamed")
    assert difference(before, after) == (AgentPut(at=0, value=after.agents[0]),)
    without = msgspec.structs.replace(before, agents=before.agents[:500] + before.agents[501:])
    assert difference(before, without) == (Removed(collection="agents", key="agent-0500", at=500),)
    assert difference(without, before) == (AgentPut(at=500, value=before.agents[500]),)


def test_who_moves_only_is_taken_out_and_put_again_and_keeps_calls_and_state() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"), agent("carl"))))
    call(shell, name="c")
    shell.run(3)
    assert shell.engine.state.agents["anna"].works
    old = shell.engine.state.configuration
    assert old is not None
    moved = msgspec.structs.replace(old, agents=(*old.agents[1:], old.agents[0]))
    changes = difference(old, moved)
    assert changes == (Removed(collection="agents", key="anna", at=0), AgentPut(at=2, value=old.agents[0]))
    events = shell.send(inp.Reconfigured(changes=changes))
    assert events == [ev.ConfigurationAltered(changes=changes)]
    assert shell.engine.state.agents["anna"].works
    assert shell.engine.state.configuration == moved


def test_without_changes_nothing_is_written_unless_hours_are_otherwise() -> None:
    office = Schedule(id="office", openings=tuple(Opening(weekday=day, opens=0, closes=1440) for day in range(5)))
    shell = open_house(house(queues=(queue(schedule="office"),), schedules=(office,)))
    assert shell.send(inp.Reconfigured(changes=())) == []
    timers = shell.engine.state.timers
    right = timers["hours support"]
    # As a journal has it that was written when a public holiday was not known yet.
    shell.engine._step.fold.timers.start("hours support", right + 86_400)
    assert shell.send(inp.Reconfigured(changes=())) == [ev.ConfigurationAltered(changes=())]
    assert timers["hours support"] == right


def test_figures_follow_the_zone_of_the_first_schedule_by_events_alone() -> None:
    berlin, tokyo = Schedule(id="b", timezone="Europe/Berlin"), Schedule(id="t", timezone="Asia/Tokyo")
    shell = open_house(house(schedules=(berlin, tokyo)))
    old = shell.engine.state.configuration
    assert old is not None
    changes = difference(old, resolved(msgspec.structs.replace(old, schedules=(tokyo,)), T0, old))
    assert shell.send(inp.Reconfigured(changes=changes)) == [ev.ConfigurationAltered(changes=changes)]
    assert shell.engine.state.statistics.zone.name == "Asia/Tokyo"
    assert fold(shell.journal, "demo").state_hash() == shell.engine.state_hash()
    assert redrive(shell.journal, "demo") is None


def test_a_first_configuration_may_come_as_changes_too() -> None:
    whole, told = Engine("demo"), Engine("demo")
    wanted = _house_of(3)
    whole.handle(inp.Configured(configuration=wanted), T0)
    told.handle(inp.Reconfigured(changes=difference(None, wanted)), T0)
    assert told.state_hash() == whole.state_hash()


def test_whole_numbers_and_seconds_are_the_same_configuration() -> None:
    """15 and 15.0 seconds are written differently and mean the same: the state's hash must not tell them apart, nor is it a change."""
    one, other = (house(queues=(queue(after_call_work_s=seconds),)) for seconds in (15, 15.0))
    assert difference(one, other) == ()
    first, second = Shell(Engine("demo")), Shell(Engine("demo"))
    first.send(inp.Configured(configuration=one))
    second.send(inp.Configured(configuration=other))
    assert first.engine.state_hash() == second.engine.state_hash()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [100, 101])
def test_every_change_in_a_storm_comes_to_the_same_as_the_whole_configuration(seed: int) -> None:
    """`Storm.configure` gives each change both ways: equal events, effects, state, and every index as if computed anew."""
    storm = run(3000, seed, restless=0.1, keep_journal=True)
    assert storm.alterations > 150
    assert redrive(storm.journal, "storm") is None
