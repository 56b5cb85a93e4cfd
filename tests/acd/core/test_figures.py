"""The formulas on numbers worked out by hand, and the estimate of a wait."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Number, Relaxation, Schedule, SkillRequirement, TenantConfiguration, ToAgent
from acd.core.configuration_changes import difference
from acd.core.engine import Engine
from acd.core.replay import fold
from acd.core.routing import estimates
from acd.core.state import statistics
from media.wave_file import read_as_alaw
from tests.acd.core.shell import T0, Phone, Shell, agent, call, house, open_house, queue
from tests.acd.core.test_menus_and_numbers import moment

TALLY = statistics.QueueTally(
    offered=100, answered=80, abandoned=15, short_abandoned=5, overflowed=3, exited=2, answered_in_time=60, abandoned_in_time=7,
    answer_wait_s=1600.0, handled=80, talk_s=14400.0, hold_s=800.0, wrap_s=800.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        (statistics.average_speed_of_answer, 20.0),  # 1600 / 80
        (statistics.service_level, 60 / 95),  # 80 + 15 - 5 + 3 + 2
        (statistics.service_level_of_answered, 0.75),  # 60 / 80
        (statistics.service_level_with_abandons, 67 / 95),  # (60 + 7) / (80 + 15)
        (statistics.abandon_rate, 10 / 90),  # (15 - 5) / (80 + 15 - 5)
        (statistics.average_handle_time, 200.0),  # 16000 / 80
    ],
)
def test_formula(formula: object, value: float) -> None:
    assert formula(TALLY) == pytest.approx(value)  # type: ignore[operator]
    assert formula(statistics.QueueTally()) is None  # type: ignore[operator]


def test_occupancy_counts_work_against_readiness_only() -> None:
    assert statistics.occupancy(statistics.AgentTally(busy_s=300.0, idle_s=100.0, not_ready_s=9999.0)) == 0.75


def test_a_worked_call_is_counted_to_the_second() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=10.0, service_level_s=2.0),)), anna=Phone(answers_after_s=3.0))
    shell.run(7)
    call(shell, name="c")
    shell.run(3 + 60)
    shell.send(inp.Hold(agent="anna", call="c"))
    shell.run(20)
    shell.send(inp.Retrieve(agent="anna", call="c"))
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(10)
    tally = shell.engine.state.statistics.queues["support"]
    assert (tally.talk_s, tally.hold_s, tally.wrap_s) == pytest.approx((90.0, 20.0, 10.0))
    assert (tally.answered, tally.answered_in_time, tally.answer_wait_s) == (1, 0, pytest.approx(3.0))
    person = shell.engine.state.statistics.agents["anna"]
    assert (person.busy_s, person.idle_s) == pytest.approx((3 + 110 + 10, 7.0))


def test_short_abandons_are_told_from_the_others() -> None:
    shell = open_house(ready=False)
    for name, patience in (("short", 3.0), ("long", 40.0)):
        call(shell, name=name)
        shell.run(patience)
        shell.send(inp.LegReleased(leg=f"{name}-in"))
    tally = shell.engine.state.statistics.queues["support"]
    assert (tally.abandoned, tally.short_abandoned, tally.longest_wait_s) == (2, 1, pytest.approx(40.0))
    assert statistics.service_level(tally) == 0.0


def test_daily_figures_begin_again_at_midnight() -> None:
    shell = open_house(ready=False)
    shell.run(until=moment(2025, 6, 15, 23, 59, 0))
    call(shell, name="a")
    shell.send(inp.LegReleased(leg="a-in"))
    assert shell.engine.live().queues[0].offered_today == 1
    shell.run(until=moment(2025, 6, 16, 0, 0, 1))
    assert shell.engine.live_at(shell.now).queues[0].offered_today == 0
    call(shell, name="b")
    assert shell.engine.live().queues[0].offered_today == 1


def test_a_board_says_when_its_day_is_over() -> None:
    """Midnight in Berlin, also when nothing has happened since: who shows the figures must know when they begin anew."""
    shell = open_house(ready=False)
    for day in (16, 17):
        shell.run(until=moment(2025, 6, day, 8, 1, 0))
        assert shell.engine.live_at(shell.now).day_ends_at == moment(2025, 6, day + 1, 0, 0, 0)
    assert shell.engine.live_at(moment(2025, 6, 18, 0, 0, 0)).day_ends_at == moment(2025, 6, 19, 0, 0, 0)


def test_the_first_day_ends_at_midnight_of_the_first_schedule() -> None:
    """It is Monday there already, and Monday's end is 17:00 of Monday in Berlin."""
    shell = open_house(house(schedules=(Schedule(id="s", timezone="Asia/Tokyo"),)))
    assert shell.engine.state.statistics.day_ends_at == moment(2025, 6, 16, 17, 0, 0)
    assert fold(shell.journal, "demo").state_hash() == shell.engine.state_hash()


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_day_ends_as_it_was_told_to_though_the_zone_was_changed_on_it(zone: str) -> None:
    """Berlin's midnight is the end of it; what was idle before is of that day, whatever the new zone's midnight."""
    before = Schedule(id="s", timezone="Europe/Berlin")
    shell = open_house(house(schedules=(before,)))
    shell.run(until=moment(2025, 6, 16, 12, 0, 0))
    shell.send(inp.Configured(configuration=house(schedules=(msgspec.structs.replace(before, timezone=zone),))))
    shell.run(until=moment(2025, 6, 17, 0, 0, 30))
    (anna,) = shell.engine.live_at(shell.now).agents
    assert anna.idle_today_s == pytest.approx(30.0)
    shell.send(inp.GoNotReady(agent="anna", reason="break"), inp.GoReady(agent="anna"))
    (anna,) = shell.engine.live_at(shell.now).agents
    assert anna.idle_today_s == pytest.approx(30.0)


def test_how_long_the_notice_is_stands_in_the_page_as_it_is() -> None:
    """docs/figures.md §8 says what it leaves of a threshold of 20 s."""
    root = Path(__file__).resolve().parents[3]
    page = (root / "docs" / "figures.md").read_text()
    figure = r"([\d.]+)"
    (told,) = re.findall(
        rf"leaves {figure} with the German notice as delivered \({figure} s\), {figure} with the\s+English one \({figure} s\)", page
    )
    sounds = [root / "media" / "sounds" / language / "recording.notice.wav" for language in ("de", "en")]
    seconds = [len(read_as_alaw(sound.read_bytes())) / 8000 for sound in sounds]
    assert [float(one) for one in told] == [one for length in seconds for one in (round(20 - length, 1), round(length, 1))]


def test_occupancy_has_the_stretch_that_is_running() -> None:
    """10 minutes of work, then an hour ready: 600 / 4,200, though nothing has happened since."""
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)), anna=Phone(answers_after_s=0.0, alerts=False))
    call(shell, name="c")
    shell.run(600)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(3600)
    (anna,) = shell.engine.live_at(shell.now).agents
    assert anna.occupancy == pytest.approx(600 / 4200, abs=1e-4)
    assert anna.busy_today_s == pytest.approx(600.0)


def test_who_was_ready_overnight_has_been_idle_on_this_day_since_midnight() -> None:
    """Ready from 06:00 on the day before: 26.02 h in all at 08:01, 8.02 h of this day, whether anything happened since or not."""
    shell = open_house(ready=False)
    shell.run(until=moment(2025, 6, 16, 6, 0, 0))
    shell.send(inp.LogOn(agent="anna", ready=True))
    shell.run(until=moment(2025, 6, 17, 8, 1, 0))
    for happened in (False, True):
        if happened:
            shell.send(inp.GoNotReady(agent="anna", reason="break"), inp.GoReady(agent="anna"))
        (anna,) = shell.engine.live_at(shell.now).agents
        assert anna.idle_today_s == pytest.approx(8 * 3600 + 60)
        assert anna.since == pytest.approx(moment(2025, 6, 17, 8, 1, 0) if happened else moment(2025, 6, 16, 6, 0, 0))


def test_time_in_state_is_that_of_the_state_the_board_shows() -> None:
    """Free since the last work ended or since ready, whichever is later; with work, since the work is where it is."""
    shell = open_house(house(queues=(queue(after_call_work_s=30.0),)), ready=False, anna=Phone(answers_after_s=5.0))

    def shown() -> tuple[str, float]:
        (anna,) = shell.engine.live_at(shell.now).agents
        assert anna.category_since is not None
        return anna.category, round(shell.now - anna.category_since, 3)

    shell.send(inp.LogOn(agent="anna"))
    shell.run(100)
    assert shown() == ("not_ready", 100.0)
    shell.send(inp.GoReady(agent="anna"))
    shell.run(50)
    shell.send(inp.GoReady(agent="anna"))
    shell.run(10)
    assert shown() == ("free", 60.0)
    call(shell, name="c")
    shell.run(65)
    assert shown() == ("busy", 60.0)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(10)
    assert shown() == ("busy", 10.0)  # after-call work
    shell.run(27)
    assert shown() == ("free", 7.0)
    shell.send(inp.GoNotReady(agent="anna", reason="break"))
    shell.run(3)
    assert shown() == ("not_ready", 3.0)


def test_who_asks_for_a_break_during_a_call_is_in_it_since_the_call_is_over() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)), anna=Phone(answers_after_s=1.0))
    call(shell, name="c")
    shell.run(10)
    shell.send(inp.GoNotReady(agent="anna", reason="break"))
    shell.run(20)
    state = shell.engine.live_at(shell.now)
    assert (state.agents[0].category, state.agents[0].state) == ("busy", "not_ready")
    assert (state.queues[0].busy, state.queues[0].not_ready, state.queues[0].logged_on) == (1, 0, 1)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(5)
    (anna,) = shell.engine.live_at(shell.now).agents
    assert (anna.category, anna.reason) == ("not_ready", "break")
    assert shell.now - anna.category_since == pytest.approx(5.0)


def test_since_when_a_phone_is_missing_is_not_told() -> None:
    shell = open_house(house())
    shell.send(inp.DeviceUnregistered(agent="anna", contact=next(iter(shell.engine.state.agents["anna"].bindings))))
    (anna,) = shell.engine.live_at(shell.now).agents
    assert (anna.category, anna.category_since) == ("unregistered", None)


def test_a_call_counts_on_the_day_it_arrived_and_beside_it_when_it_was_taken() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)), ready=False, anna=Phone(answers_after_s=0.0, alerts=False))
    shell.run(until=moment(2025, 6, 15, 23, 59, 0))
    call(shell, name="late")
    shell.run(until=moment(2025, 6, 16, 0, 1, 0))
    shell.send(inp.LogOn(agent="anna", ready=True))
    shell.run(60)
    shell.send(inp.LegReleased(leg="late-in"))
    statistics = shell.engine.state.statistics
    (of_yesterday,) = statistics.earlier.values()
    assert (of_yesterday["support"].offered, of_yesterday["support"].answered, of_yesterday["support"].handled) == (1, 1, 1)
    assert of_yesterday["support"].talk_s == pytest.approx(60.0)
    (board,) = shell.engine.live().queues
    assert (board.offered_today, board.answered_today, board.answered_this_day) == (0, 0, 1)
    assert statistics.agents["anna"].answered == 1
    shell.run(until=moment(2025, 6, 17, 0, 0, 1))
    call(shell, name="next")
    assert statistics.earlier == {}


def test_hold_by_either_side_is_hold_for_the_agent_too() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)), anna=Phone(answers_after_s=0.0, alerts=False))
    call(shell, name="c")
    shell.run(10)
    shell.send(inp.Hold(agent="anna", call="c"))
    shell.run(5)
    shell.send(inp.LegHeldByParty(leg="c-in"))
    shell.run(5)
    shell.send(inp.Retrieve(agent="anna", call="c"))
    shell.run(10)
    shell.send(inp.LegRetrievedByParty(leg="c-in"))
    shell.run(10)
    shell.send(inp.LegReleased(leg="c-in"))
    person = shell.engine.state.statistics.agents["anna"]
    assert (person.talk_s, person.hold_s) == pytest.approx((20.0, 20.0))


def test_a_transferred_call_counts_at_the_agent_who_took_it() -> None:
    people = (agent("anna"), agent("ben", skills={}))
    shell = open_house(house(agents=people), anna=Phone(answers_after_s=1.0), ben=Phone(answers_after_s=8.0))
    call(shell, name="c")
    shell.run(59)
    shell.send(inp.Transfer(agent="anna", call="c", target=ToAgent(agent="ben")))
    shell.run(60)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(60)
    tallies = shell.engine.state.statistics.agents
    assert [(tallies[one].offered, tallies[one].answered, tallies[one].handled) for one in ("anna", "ben")] == [(1, 1, 1), (1, 1, 1)]
    assert (tallies["anna"].talk_s, tallies["ben"].talk_s) == pytest.approx((58.0, 52.0))


def test_a_direct_call_that_nobody_takes_is_counted_too() -> None:
    shell = open_house(house(numbers=(Number(number="700", target=ToAgent(agent="anna")),)), anna=Phone(answers_after_s=None))
    shell.send(inp.CallArrived(call="c", leg="c-in", trunk="pbx", calling=None, called="700"))
    shell.run(60)
    tally = shell.engine.state.statistics.agents["anna"]
    assert (tally.offered, tally.answered, tally.no_answer) == (1, 0, 1)


TEAM = estimates.Team(staff=4, free=0, handle_s=120.0)


def waits(count: int, *teams: estimates.Team, leaves_per_s: float = 0.0) -> list[float | None]:
    line = [estimates.Waiter(tuple(range(len(teams))), leaves_per_s)] * count
    return estimates.expected_waits_s(line, teams)


def test_a_wait_grows_with_the_place_and_nothing_is_promised_without_staff() -> None:
    assert waits(2, estimates.Team(staff=0, free=0, handle_s=100.0)) == [None, None]
    assert waits(2, estimates.Team(staff=1, free=1, handle_s=100.0)) == [0.0, 100.0]
    assert waits(3, TEAM) == pytest.approx([30.0, 60.0, 90.0])
    assert waits(3, TEAM._replace(staff=1), TEAM._replace(staff=3)) == pytest.approx([30.0, 60.0, 90.0])


def test_a_wait_behind_people_who_leave_is_that_of_erlang_a() -> None:
    """M/M/s+M: with j ahead, sum over i = 0 ... j of 1 / (s mu + i theta)."""
    mu, theta = 4 / 120, 1 / 60
    exact = [sum(1 / (mu + i * theta) for i in range(j + 1)) for j in range(20)]
    told = waits(20, TEAM, leaves_per_s=theta)
    assert told == [pytest.approx(one, rel=0.15) for one in exact]
    assert told[19] < waits(20, TEAM)[19] / 3


def test_agents_that_queues_share_serve_both() -> None:
    """Two people for both queues: who is third of all waits for three of their conversations, whatever its place in its own queue."""
    both = estimates.Team(staff=2, free=0, handle_s=180.0)
    line = [estimates.Waiter((0,), 0.0)] * 3
    assert estimates.expected_waits_s(line, [both]) == pytest.approx([90.0, 180.0, 270.0])
    own = [both._replace(staff=1), both._replace(staff=1)]
    apart = [estimates.Waiter((0,), 0.0), estimates.Waiter((1,), 0.0), estimates.Waiter((0, 1), 0.0)]
    assert estimates.expected_waits_s(apart, own) == pytest.approx([180.0, 180.0, 270.0])


def test_offers_are_counted_per_agent() -> None:
    shell = open_house(anna=Phone(answers_after_s=None))
    call(shell)
    shell.send(inp.Decline(agent="anna"))
    shell.run(6)
    shell.run(21)
    tally = shell.engine.state.statistics.agents["anna"]
    assert (tally.offered, tally.declined, tally.no_answer) == (2, 1, 1)
    assert isinstance(shell.of(ev.OfferEnded)[0], ev.OfferEnded)


def test_a_late_starter_is_given_no_more_than_a_share_under_fewest_calls() -> None:
    """30 calls before, 30 after cleo has logged on: with the counts as they are, cleo would have had 20 in a row and 23 in all."""
    people = tuple(agent(name) for name in ("anna", "ben", "cleo"))
    busy = house(agents=people, queues=(queue(strategy="fewest_calls", after_call_work_s=0.0),))
    shell = open_house(busy, ready=False, **{one.id: Phone(answers_after_s=0.0, alerts=False) for one in people})
    shell.send(inp.LogOn(agent="anna", ready=True), inp.LogOn(agent="ben", ready=True))
    for number in range(60):
        if number == 30:
            shell.send(inp.LogOn(agent="cleo", ready=True))
        call(shell, name=f"c{number}")
        shell.run(20)
        shell.send(inp.LegReleased(leg=f"c{number}-in"))
        shell.run(10)
    tallies = shell.engine.state.statistics.agents
    assert [tallies[one.id].answered for one in people] == [25, 25, 10]
    assert shell.of(ev.OfferMade)[-1].decision.rule == "fewest_calls/3"


def test_a_late_starter_is_credited_with_those_of_the_same_queue_and_nobody_else() -> None:
    """ida has had one call of `fair`, anna 16 of another queue: jon, who comes then, is one behind ida and not 8.5."""
    people = (agent("ida", skills={}), agent("jon", skills={}), agent("anna"))
    fair = queue("fair", strategy="fewest_calls", requirements=(), members=("ida", "jon"), after_call_work_s=0.0)
    busy = house(agents=people, queues=(queue(strategy="fewest_calls", members=("anna",), after_call_work_s=0.0), fair))
    shell = open_house(busy, ready=False, **{one.id: Phone(answers_after_s=0.0, alerts=False) for one in people})
    shell.send(inp.LogOn(agent="ida", ready=True), inp.LogOn(agent="anna", ready=True))

    def one(called: str, name: str) -> None:
        call(shell, called=called, name=name)
        shell.run(20)
        shell.send(inp.LegReleased(leg=f"{name}-in"))
        shell.run(10)

    for number in range(16):
        one("601", f"a{number}")
    one("602", "first")
    shell.send(inp.LogOn(agent="jon", ready=True))
    for number in range(8):
        one("602", f"f{number}")
    tallies = shell.engine.state.statistics.agents
    assert [tallies[name].answered for name in ("ida", "jon", "anna")] == [5, 4, 16]
    assert tallies["jon"].head_starts == {"fair": 1.0}
    decision = shell.of(ev.OfferMade)[-1].decision
    assert (decision.rule, decision.term_names) == ("fewest_calls/3", ("calls_had", "idle_since", "credit"))
    terms = {candidate.agent: candidate.terms for candidate in decision.candidates}
    assert [(name, terms[name][0], terms[name][2]) for name in ("ida", "jon")] == [("ida", 5.0, 0.0), ("jon", 4.0, 1.0)]


FAIR = ("anna", "ben", "cleo")


def thirty_calls(shell: Shell, first: int) -> None:
    for number in range(first, first + 30):
        call(shell, name=f"c{number}")
        shell.run(20)
        shell.send(inp.LegReleased(leg=f"c{number}-in"))
        shell.run(10)


def changed_to(shell: Shell, told_whole: bool, **more: Any) -> None:
    now = shell.engine.state.configuration
    made = msgspec.structs.replace(now, **more)
    shell.send(inp.Configured(configuration=made) if told_whole else inp.Reconfigured(changes=difference(now, made)))


@pytest.mark.parametrize("told_whole", [True, False])
def test_who_learns_what_a_queue_asks_for_is_given_no_more_than_a_share(told_whole: bool) -> None:
    """cleo has been there all day and could take nothing: as for who logs on, 30 calls of the two others are not made up for."""
    people = tuple(agent(name) for name in FAIR)
    learner = (*people[:2], agent("cleo", skills={}))
    busy = house(agents=learner, queues=(queue(strategy="fewest_calls", after_call_work_s=0.0),))
    shell = open_house(busy, **dict.fromkeys(FAIR, Phone(answers_after_s=0.0, alerts=False)))
    thirty_calls(shell, 0)
    changed_to(shell, told_whole, agents=people)
    thirty_calls(shell, 30)
    tallies = shell.engine.state.statistics.agents
    assert [tallies[one].answered for one in FAIR] == [25, 25, 10]
    # Who loses it and learns it again is not credited once more.
    changed_to(shell, told_whole, agents=learner)
    changed_to(shell, told_whole, agents=people)
    assert tallies["cleo"].head_starts == {"support": 15.0}


@pytest.mark.parametrize("told_whole", [True, False])
def test_a_queue_that_comes_to_fewest_calls_during_the_day_begins_even(told_whole: bool) -> None:
    """cleo came when the others had had 15 each: all calls of the next hour were cleo's."""
    people = tuple(agent(name) for name in FAIR)
    usual = queue(strategy="longest_idle", after_call_work_s=0.0)
    shell = open_house(house(agents=people, queues=(usual,)), ready=False, **dict.fromkeys(FAIR, Phone(answers_after_s=0.0, alerts=False)))
    shell.send(inp.LogOn(agent="anna", ready=True), inp.LogOn(agent="ben", ready=True))
    thirty_calls(shell, 0)
    shell.send(inp.LogOn(agent="cleo", ready=True))
    assert shell.engine.state.statistics.agents["cleo"].head_starts == {}
    changed_to(shell, told_whole, queues=(msgspec.structs.replace(usual, strategy="fewest_calls"),))
    thirty_calls(shell, 30)
    assert [shell.engine.state.statistics.agents[one].answered for one in FAIR] == [25, 25, 10]


LEVELS = st.sampled_from([0, 1, 5])
PERSON = st.fixed_dictionaries({"on": st.booleans(), "had": st.integers(0, 9), "before": LEVELS, "after": LEVELS})


@given(people=st.lists(PERSON, min_size=1, max_size=6), strategy=st.sampled_from(["longest_idle", "fewest_calls"]))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_whoever_joins_a_queue_of_fewest_calls_stands_with_those_who_are_there(people: list[dict[str, Any]], strategy: str) -> None:
    """Level 5 lets in at once, 1 after a minute. Told as changes or as a whole, the same people are credited with the same."""
    named = {f"a{at}": one for at, one in enumerate(people)}
    eased = (Relaxation(after_s=60.0, requirements=(SkillRequirement(skill="support"),)),)
    asked = (SkillRequirement(skill="support", level=5),)

    def made(when: str, rule: str) -> TenantConfiguration:
        staff = tuple(agent(name, skills={"support": one[when]} if one[when] else {}) for name, one in named.items())
        return house(agents=staff, queues=(queue(strategy=rule, requirements=asked, relaxations=eased),))

    old, new = made("before", strategy), made("after", "fewest_calls")
    engines = [Engine("demo"), Engine("demo")]
    for engine, change in zip(engines, (inp.Configured(configuration=new), inp.Reconfigured(changes=difference(old, new))), strict=True):
        engine.handle(inp.Configured(configuration=old), T0)
        for name, one in named.items():
            if one["on"]:
                engine.handle(inp.LogOn(agent=name, ready=True), T0)
        for name, one in named.items():
            statistics.agent_tally(engine.state.statistics, name).answered = one["had"]
        engine.handle(change, T0)
    assert engines[0].state_hash() == engines[1].state_hash()

    def let_in_at(name: str, when: str) -> int:
        """Relaxations it takes; 2: it is not there, or the queue is of another kind."""
        of_this_kind = when == "after" or strategy == "fewest_calls"
        return {0: 2, 1: 1, 5: 0}[named[name][when]] if named[name]["on"] and of_this_kind else 2

    for name, one in named.items():
        tally = engines[0].state.statistics.agents[name]
        now = let_in_at(name, "after")
        if let_in_at(name, "before") <= now:
            assert tally.head_starts == {}
            continue
        team = [other for other in named if let_in_at(other, "after") <= now]
        there = [named[other]["had"] for other in team if let_in_at(other, "before") <= now]
        stands = sum(there) / len(there) if there else max(named[other]["had"] for other in team)
        assert statistics.contacts_had(tally, "support") == pytest.approx(max(one["had"], stands))


def test_a_phone_that_is_rung_outside_the_shift_makes_nobody_busy() -> None:
    numbers = (Number(number="700", target=ToAgent(agent="anna")),)
    shell = open_house(house(numbers=numbers), ready=False, anna=Phone(answers_after_s=5.0))
    shell.send(inp.CallArrived(call="c", leg="c-in", trunk="pbx", calling=None, called="700"))
    shell.run(60)
    (anna,) = shell.engine.live_at(shell.now).agents
    assert (anna.busy_today_s, anna.occupancy) == (0.0, None)
    shell.send(inp.LogOn(agent="anna"))
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    (anna,) = shell.engine.live_at(shell.now).agents
    assert anna.busy_today_s == pytest.approx(30.0)


def test_who_is_taken_out_by_the_house_is_not_in_the_service_level() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)), anna=Phone(answers_after_s=1.0))
    call(shell, name="served")
    shell.run(5)
    call(shell, name="cleared")
    shell.run(5)
    shell.send(inp.ClearCall(call="cleared", by="eva"))
    (board,) = shell.engine.live().queues
    assert (board.offered_today, board.answered_today, board.withdrawn_today, board.service_level) == (2, 1, 1, 1.0)
