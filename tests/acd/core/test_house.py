"""Configuration, restart, shutdown, registrations: the exchange itself."""

from __future__ import annotations

from typing import get_args

import msgspec

from acd.core import configuration as conf
from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import SkillRequirement
from acd.core.replay import fold
from tests.acd.core.ledger import Ledger
from tests.acd.core.shell import Phone, Shell, agent, call, house, open_house, queue

NEVER = Phone(answers_after_s=None)


def books(shell: Shell) -> Ledger:
    ledger = Ledger()
    for event in shell.events:
        ledger.note(event)
    return ledger


def test_after_a_crash_every_open_call_is_written_off_without_effects() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), ben=NEVER)
    call(shell, name="talks")
    shell.run(3)
    call(shell, name="rings")
    call(shell, name="waits")
    shell.run(1)
    engine = fold(shell.journal, "demo")
    assert engine.state_hash() == shell.engine.state_hash()
    again = Shell(engine, now=shell.now + 3600)
    again.journal = shell.journal
    again.send(inp.ServiceStarted())
    assert again.effects == []
    assert {(one.call, one.cause) for one in again.of(ev.CallCleared)} == {("talks", "restart"), ("rings", "restart"), ("waits", "restart")}
    ledger = books(again)
    assert not any((ledger.legs, ledger.entries, ledger.offers, ledger.works, ledger.channels))
    assert engine.state.agents["anna"].state == "ready"
    assert engine.state.agents["anna"].bindings
    call(again, name="new")
    again.run(3)
    assert again.bridges


def test_after_a_crash_every_leg_whose_dialog_is_known_is_ended_by_it() -> None:
    """The newest dialog of each leg: of the ringing one what was told as it rang, of the talking one what was told with its answer."""
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=NEVER, ben=NEVER)
    shell.send(inp.CallArrived(call="talks", leg="talks-in", trunk="pbx", calling="+49891", called="601", dialog="offer of talks"))
    shell.send(inp.LegAlerting(leg="talks.1", dialog="anna rings"))
    shell.send(inp.LegAnswered(leg="talks.1", dialog="anna talks"))
    shell.send(inp.CallArrived(call="rings", leg="rings-in", trunk="pbx", calling="+49892", called="601", dialog="offer of rings"))
    shell.send(inp.LegAlerting(leg="rings.1", dialog="ben rings"))
    answered = {leg.id: leg.state for leg in shell.engine.state.legs.values()}
    assert (answered["talks-in"], answered["rings-in"]) == ("connected", "connected")
    engine = fold(shell.journal, "demo")
    assert engine.state_hash() == shell.engine.state_hash()
    effects = engine.handle(inp.ServiceStarted(), shell.now + 60).effects
    assert {type(effect) for effect in effects} == {ef.EndDialog}
    assert {(one.leg, one.dialog, one.cause, one.trunk, one.waits) for one in effects} == {
        ("talks-in", "offer of talks", "restart", "pbx", False),
        ("talks.1", "anna talks", "restart", None, False),
        ("rings-in", "offer of rings", "restart", "pbx", False),
        ("rings.1", "ben rings", "restart", None, False),
    }
    assert engine.handle(inp.ServiceStarted(), shell.now + 61).effects == []


def test_after_a_crash_a_caller_that_waits_for_an_answer_is_refused_and_asked_to_come_back() -> None:
    number = conf.Number(number="610", target=conf.ToAgent(agent="anna"))
    shell = open_house(house(agents=(agent("anna"),), numbers=(number,)), anna=NEVER)
    shell.send(inp.CallArrived(call="c", leg="c-in", trunk="pbx", calling="+49891", called="610", dialog="offer"))
    effects = fold(shell.journal, "demo").handle(inp.ServiceStarted(), shell.now + 1).effects
    assert effects == [ef.EndDialog(leg="c-in", dialog="offer", cause="restart", trunk="pbx", waits=True)]


def test_a_dialog_is_nobodys_business_outside() -> None:
    for event in (
        ev.LegInitiated(leg="l", call="c", role="caller", dialog="secret"),
        ev.LegAlerted(leg="l", dialog="secret"),
        ev.LegConnected(leg="l", dialog="secret"),
    ):
        assert "secret" not in str(ev.without_dialog(event))
        assert ev.without_dialog(event).leg == "l"
    started = ev.Started()
    assert ev.without_dialog(started) is started
    kinds = {kind for kind in get_args(ev.Event) if "dialog" in kind.__struct_fields__}
    assert kinds == ev._HAS_DIALOG


def test_shutdown_releases_everything_in_order() -> None:
    shell = open_house(anna=Phone(answers_after_s=1.0))
    call(shell, name="c1")
    shell.run(2)
    call(shell, name="c2")
    shell.send(inp.ServiceStopping())
    assert {one.cause for one in shell.of(ev.CallCleared)} == {"shutdown"}
    assert not shell.legs
    ledger = books(shell)
    assert not any((ledger.legs, ledger.channels))


def test_new_skills_count_at_once_for_those_who_wait() -> None:
    shell = open_house(house(agents=(agent("anna", skills={}),)))
    call(shell, name="c")
    assert shell.of(ev.OfferMade) == []
    events = shell.send(inp.Configured(configuration=house(agents=(agent("anna"),))))
    assert [one.contact for one in events if isinstance(one, ev.OfferMade)] == ["c"]


def test_changed_requirements_hold_for_those_who_wait() -> None:
    hard = queue(requirements=(SkillRequirement(skill="support", level=10),))
    shell = open_house(house(queues=(hard,)))
    call(shell, name="c")
    events = shell.send(inp.Configured(configuration=house(queues=(queue(),))))
    assert any(isinstance(one, ev.OfferMade) for one in events)


def test_a_removed_agent_finishes_the_call_and_is_gone() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), ben=NEVER)
    call(shell, name="c")
    shell.run(3)
    shell.send(inp.Configured(configuration=house(agents=(agent("ben"),))))
    assert shell.bridges
    call(shell, name="d")
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(15)
    assert "anna" not in shell.engine.state.agents
    assert shell.of(ev.AgentLoggedOff) == [ev.AgentLoggedOff(agent="anna")]


def test_callers_of_a_removed_queue_are_told_and_cleared() -> None:
    shell = open_house(house(queues=(queue(), queue("sales"))), ready=False)
    call(shell, "602", "c")
    shell.send(inp.Configured(configuration=house()))
    shell.run(5)
    assert shell.of(ev.QueueLeft)[0].detail == "queue_removed"
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="not_found")]


def test_a_registration_that_runs_out_takes_the_agent_out_of_the_queue() -> None:
    shell = open_house(ready=False)
    shell.send(
        inp.DeviceRegistered(agent="anna", contact="sip:anna@127.0.0.1", expires_at=shell.now + 60), inp.LogOn(agent="anna", ready=True)
    )
    shell.run(61)
    assert shell.of(ev.DeviceUnbound) == [ev.DeviceUnbound(agent="anna", contact="sip:anna@127.0.0.1", why="expired")]
    call(shell, name="c")
    assert shell.of(ev.OfferMade) == []
    events = shell.send(inp.DeviceRegistered(agent="anna", contact="sip:b", expires_at=shell.now + 60))
    assert any(isinstance(one, ev.OfferMade) for one in events)


def test_late_deadlines_are_met_before_the_fact_that_comes_late() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=NEVER, ben=NEVER)
    call(shell, name="c")
    shell.now += 25  # nobody came with TimePassed at 20
    events = shell.send(inp.LegAnswered(leg="c.1"))
    assert isinstance(events[0], ev.OfferEnded)
    assert shell.done(ef.ReleaseLeg)[0].leg == "c.1"
    assert shell.of(ev.CallEstablished) == []


def test_stale_facts_are_dropped_and_counted() -> None:
    shell = open_house()
    before = shell.engine.state_hash()
    for fact in (
        inp.LegAlerting(leg="x"),
        inp.LegAnswered(leg="x"),
        inp.LegFailed(leg="x", cause="busy"),
        inp.LegReleased(leg="x"),
        inp.LegHeldByParty(leg="x"),
        inp.LegRetrievedByParty(leg="x"),
        inp.DigitPressed(leg="x", digit="1"),
        inp.SoundsEnded(leg="x", play="x/p1"),
        inp.LegPriced(leg="x", quote={}),
        inp.RecordingEnded(recording="x", path="", duration_ms=0),
        inp.QualityMeasured(leg="x", quality={}),
        inp.DeviceUnregistered(agent="x", contact="x"),
        inp.DeviceRegistered(agent="x", contact="x", expires_at=9e9),
        inp.TrunkChanged(trunk="x", up=True),
    ):
        assert shell.engine.handle(fact, shell.now).events == []
    assert shell.engine.state_hash() == before
    assert sum(shell.engine.describe()["dropped"].values()) == 14


def test_quality_comes_in_after_the_end_of_the_call() -> None:
    shell = open_house()
    call(shell, name="c")
    shell.run(3)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(1)
    assert {one.leg for one in shell.of(ev.LegMeasured)} == {"c-in", "c.1"}
    assert shell.engine.state.ended_legs == {}


def test_the_live_board_is_plain_values() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), ben=NEVER)
    call(shell, name="c1")
    shell.run(3)
    call(shell, name="c2")
    call(shell, name="c3")
    shell.run(4)
    board = shell.engine.live_at(shell.now)
    line = board.queues[0]
    assert (line.waiting_count, line.ready, line.busy, line.logged_on, line.answered_today) == (2, 0, 2, 2, 1)
    assert [(one.call, one.position, round(one.waited_s, 3)) for one in line.waiting] == [("c2", 1, 4.0), ("c3", 2, 4.0)]
    assert line.average_speed_of_answer_s == 2.0
    assert line.service_level == 1.0
    assert {one.category for one in board.agents} == {"busy"}
    assert msgspec.json.decode(msgspec.json.encode(board), type=type(board)) == board


def test_legs_whose_quality_never_came_are_forgotten() -> None:
    shell = open_house()
    call(shell, name="lost")
    shell.send(inp.LegReleased(leg="lost-in"))
    assert set(shell.engine.state.ended_legs) == {"lost-in", "lost.1"}
    shell.now += 121
    call(shell, "none", name="x")
    assert set(shell.engine.state.ended_legs) == {"x-in"}


def wrapping_up() -> Shell:
    """anna has 100 s to write up a call that is over."""
    shell = open_house(house(queues=(queue(after_call_work_s=100.0),)), anna=Phone(answers_after_s=0.0))
    call(shell, name="c")
    shell.run(10)
    shell.send(inp.LegReleased(leg="c-in"))
    return shell


def test_who_writes_up_a_call_is_a_sign_of_life_though_no_call_is_up() -> None:
    shell = wrapping_up()
    shell.run(50)
    assert not shell.engine.state.calls
    assert shell.send(inp.SignOfLife()) == [ev.SignOfLifeGiven()]
    shell.send(inp.EndAfterCallWork(agent="anna"))
    assert shell.send(inp.SignOfLife()) == []


def test_a_start_that_says_nothing_of_the_time_before_leaves_after_call_work_as_it_was_due() -> None:
    """As programs wrote it that let the work run out meanwhile."""
    shell = wrapping_up()
    engine, end = fold(shell.journal, "demo"), shell.now
    engine.apply(ev.Started(), end + 60)
    (work,) = engine.state.agents["anna"].works.values()
    assert (work.since, work.until) == (end, end + 100)
    assert engine.next_timeout() == end + 100
    engine.apply(ev.Started(down_s=60.0), end + 120)
    assert (work.since, work.until) == (end + 60, end + 160)
    assert engine.next_timeout() == end + 160
