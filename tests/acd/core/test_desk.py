"""What agents and supervisors do: availability, dialling, hold, transfer, hanging up."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Forwarding, Number, Reason, Site, ToAgent, ToOutside, ToQueue, Trunk
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.ids import LegId
from acd.core.replay import restore, snapshot
from acd.core.state import limits
from acd.switch.causes import telling
from tests.acd.core.shell import QUOTE, Phone, Shell, agent, call, house, open_house, queue

NEVER = Phone(answers_after_s=None)


def talking(**more: object) -> Shell:
    shell = open_house(house(**more)) if more else open_house()
    call(shell, name="c")
    shell.run(5)
    assert shell.bridges
    return shell


def test_not_ready_asked_during_a_call_holds_after_it() -> None:
    shell = talking()
    shell.send(inp.GoNotReady(agent="anna", reason="break"))
    assert shell.bridges
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(20)
    call(shell, name="next")
    shell.run(5)
    assert [one.contact for one in shell.of(ev.OfferMade)] == ["c"]


def test_logging_off_during_a_call_happens_after_it() -> None:
    shell = talking()
    shell.send(inp.LogOff(agent="anna"))
    assert shell.of(ev.AgentLoggedOff) == []
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(20)
    assert shell.of(ev.AgentLoggedOff) == [ev.AgentLoggedOff(agent="anna")]
    assert shell.engine.state.agents["anna"].state == "logged_off"


def test_logging_off_again_in_after_call_work_ends_it_at_once() -> None:
    """Found by the storm: the second request met the log-off that the first had left behind."""
    shell = talking()
    shell.send(inp.LogOff(agent="anna"), inp.LegReleased(leg="c-in"))
    events = shell.send(inp.LogOff(agent="anna"))
    assert [type(one).__name__ for one in events] == ["WorkDone", "AgentLoggedOff"]


def test_after_call_work_ends_by_itself_or_by_the_agent() -> None:
    shell = talking()
    shell.send(inp.LegReleased(leg="c-in"), inp.SetDisposition(agent="anna", contact="c", code="sold"))
    assert shell.of(ev.DispositionSet) == [ev.DispositionSet(contact="c", agent="anna", code="sold")]
    call(shell, name="next")
    assert len(shell.of(ev.OfferMade)) == 1
    events = shell.send(inp.EndAfterCallWork(agent="anna"))
    assert [type(one).__name__ for one in events][:2] == ["WorkDone", "OfferMade"]


def test_unknown_names_are_told() -> None:
    shell = open_house(house(reasons=(Reason(code="break", name="Break"),)))
    for command in (inp.GoReady(agent="nobody"), inp.ClearCall(call="c", by="x"), inp.GoNotReady(agent="anna", reason="tired")):
        with pytest.raises(UnknownName):
            shell.send(command)
    shell.send(inp.GoNotReady(agent="anna", reason="break"))


def test_hold_plays_music_to_the_other_and_retrieve_connects_again() -> None:
    shell = talking()
    shell.send(inp.Hold(agent="anna", call="c"))
    assert shell.plays["c-in"].sounds == ("music/default",)
    assert not shell.bridges
    assert [type(one).__name__ for one in shell.journal[-1].events] == ["LegHeld", "CallHeld", "SoundsStarted"]
    shell.send(inp.Retrieve(agent="anna", call="c"))
    assert shell.bridges
    assert not shell.plays
    assert shell.engine.state.calls["c"].state == "established"


def test_hold_by_the_phone_and_by_both_sides() -> None:
    shell = talking()
    shell.send(inp.LegHeldByParty(leg="c.1"))
    assert "c-in" in shell.plays
    shell.send(inp.LegHeldByParty(leg="c-in"))
    assert "c.1" in shell.plays
    shell.send(inp.LegRetrievedByParty(leg="c.1"))
    assert not shell.bridges
    assert shell.engine.state.calls["c"].state == "held"
    shell.send(inp.LegRetrievedByParty(leg="c-in"))
    assert shell.bridges
    assert shell.engine.state.calls["c"].state == "established"


def test_what_the_phone_holds_is_not_retrieved_at_the_desk() -> None:
    shell = talking()
    shell.send(inp.LegHeldByParty(leg="c.1"))
    with pytest.raises(IllegalTransition, match="the phone holds: retrieve the call there"):
        shell.send(inp.Retrieve(agent="anna", call="c"))
    assert not shell.bridges
    shell.send(inp.LegRetrievedByParty(leg="c.1"))
    assert shell.bridges


@pytest.mark.parametrize("desk_first", [True, False])
@pytest.mark.parametrize("desk_back_first", [True, False])
def test_who_holds_at_the_desk_and_by_the_phone_is_back_when_both_are_over(desk_first: bool, desk_back_first: bool) -> None:
    shell = talking()
    holds: list[inp.Input] = [inp.Hold(agent="anna", call="c"), inp.LegHeldByParty(leg="c.1")]
    over: list[inp.Input] = [inp.Retrieve(agent="anna", call="c"), inp.LegRetrievedByParty(leg="c.1")]
    shell.send(*(holds if desk_first else holds[::-1]))
    assert shell.engine.state.legs["c.1"].state == "held_by_both"
    first, last = over if desk_back_first else over[::-1]
    shell.run(5)
    shell.send(first)
    (anna,) = shell.engine.live().agents
    assert (anna.work[0].state, shell.engine.state.calls["c"].state, shell.bridges) == ("held", "held", set())
    assert shell.plays.keys() == {"c-in"}
    shell.run(5)
    shell.send(last)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    assert not shell.plays
    (anna,) = shell.engine.live().agents
    assert (anna.work[0].state, shell.engine.state.calls["c"].state) == ("connected", "established")
    shell.run(5)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(60)
    assert shell.engine.state.statistics.agents["anna"].hold_s == pytest.approx(10.0)


def test_a_hold_that_0_1_0_wrote_is_ended_by_whichever_retrieve_it_wrote() -> None:
    """Its `LegRetrieved` does not say whose hold is over."""
    for by in (None, "anna"):
        shell = talking()
        engine = restore(snapshot(shell.engine))
        engine.apply(ev.LegHeld(leg="c.1", by=by), shell.now)
        engine.apply(ev.LegRetrieved(leg="c.1"), shell.now)
        assert engine.state.legs["c.1"].state == "connected"


def test_who_waits_with_the_phone_on_hold_is_connected_when_it_comes_back() -> None:
    """Found by the storm: the two were bridged although one of them, or both, were not there."""
    shell = open_house(anna=Phone(answers_after_s=0.5))
    call(shell, name="c")
    shell.send(inp.LegHeldByParty(leg="c-in"))
    shell.run(1)
    assert shell.engine.state.calls["c"].state == "held"
    assert not shell.bridges
    shell.send(inp.LegHeldByParty(leg="c.1"))
    assert shell.engine.state.calls["c"].state == "held"
    assert not shell.bridges
    shell.send(inp.LegRetrievedByParty(leg="c-in"))
    assert not shell.bridges
    assert "c-in" in shell.plays
    shell.send(inp.LegRetrievedByParty(leg="c.1"))
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    assert not shell.plays


def test_agent_hangs_up_and_the_caller_is_released() -> None:
    shell = talking()
    shell.send(inp.HangUp(agent="anna", call="c"))
    assert {one.leg for one in shell.done(ef.ReleaseLeg)} == {"c-in", "c.1"}
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="hang_up")]


def test_blind_transfer_to_a_queue_frees_the_agent_and_keeps_the_caller() -> None:
    shell = talking(agents=(agent("anna"), agent("ben", skills={"sales": 5})), queues=(queue(), queue("sales", requirements=())))
    shell.send(inp.Transfer(agent="anna", call="c", target=ToQueue(queue="sales")))
    shell.run(5)
    assert shell.of(ev.CallTransferred) == [ev.CallTransferred(call="c", by="anna", to="queue:sales")]
    assert [(one.a, one.b) for one in shell.of(ev.CallEstablished)] == [("c-in", "c.1"), ("c-in", "c.2")]
    assert shell.engine.state.agents["anna"].works["c"].state == "after_call_work"


def test_transfer_to_a_colleague_and_to_outside() -> None:
    shell = talking(agents=(agent("anna"), agent("ben", skills={})))
    shell.send(inp.Transfer(agent="anna", call="c", target=ToAgent(agent="ben")))
    assert shell.plays["c-in"].sounds == ("tone/ringback",)
    shell.run(3)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    shell.send(inp.Transfer(agent="ben", call="c", target=ToOutside(number="+4930123")))
    shell.run(3)
    assert shell.of(ev.CallForwarded) == [ev.CallForwarded(call="c", number="+4930123", reason="transfer", by="ben")]
    assert shell.bridges == {frozenset(("c-in", "c.3"))}


def test_a_recording_that_broke_off_goes_on_as_the_next_one() -> None:
    shell = talking(queues=(queue(record=True),))
    shell.send(inp.Hold(agent="anna", call="c"))
    shell.break_off("c/r1")
    assert shell.recordings == {"c/r2"}
    assert [(one.recording, one.duration_ms, one.error) for one in shell.of(ev.RecordingKept)] == [("c/r1", 500, "gone")]
    assert [one.legs for one in shell.done(ef.BeginRecording)] == [("c-in", "c.1")] * 2
    shell.send(inp.HangUp(agent="anna", call="c"))
    shell.run(1)
    assert [one.recording for one in shell.of(ev.RecordingKept)] == ["c/r1", "c/r2"]
    assert shell.engine.state.recordings == {}


@pytest.mark.parametrize("end", [inp.HangUp(agent="anna", call="c"), inp.Transfer(agent="anna", call="c", target=ToQueue(queue="sales"))])
def test_a_recording_that_breaks_off_after_its_conversation_has_no_successor(end) -> None:
    shell = talking(queues=(queue(record=True), queue("sales", requirements=())))
    shell.send(end)
    shell.send(inp.RecordingEnded(recording="c/r1", path="x.wav", duration_ms=500, error="gone", broke_off=True))
    assert len(shell.done(ef.BeginRecording)) == 1
    assert [one.recording for one in shell.of(ev.RecordingKept)] == ["c/r1"]


def test_a_recording_pauses_while_a_transferred_caller_waits_and_ends_with_the_call() -> None:
    shell = talking(queues=(queue(record=True), queue("sales", requirements=())))
    shell.send(inp.Transfer(agent="anna", call="c", target=ToQueue(queue="sales")))
    shell.run(1)
    assert shell.recordings == shell.paused == {"c/r1"}
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(1)
    assert [one.recording for one in shell.of(ev.RecordingKept)] == ["c/r1"]
    assert shell.engine.state.recordings == {}


# ---------------------------------------------------------------------- outbound


def test_click_to_dial_rings_the_agent_first_then_the_number() -> None:
    shell = open_house(house(agents=(agent("anna", outbound_caller_id="+498912345", auto_answer=True),)))
    shell.send(inp.Dial(agent="anna", call="d", number="+4930123", quote=QUOTE))
    first = shell.done(ef.OriginateToAgent)[0]
    assert (first.auto_answer, first.calling) == (True, "+4930123")
    assert shell.of(ev.CallOffered)[0].quote == QUOTE
    shell.run(2)
    placed = shell.done(ef.OriginateToOutside)[0]
    assert (placed.number, placed.caller_id, placed.trunk) == ("+4930123", "+498912345", "pbx")
    shell.run(1)
    assert shell.plays["d.1"].sounds == ("tone/ringback",)
    shell.run(2)
    assert shell.bridges == {frozenset(("d.1", "d.2"))}
    shell.send(inp.LegReleased(leg="d.2"))
    assert shell.of(ev.WorkDone) == [ev.WorkDone(agent="anna", contact="d", outcome="handled")]


CUT_AFTER_AN_HOUR = QUOTE | {"number": "499001123456", "cut_after_ms": 3_600_000}
"""0900 is cut after 60 minutes, as the house tariff says."""


def dialled(**quote: object) -> Shell:
    """Anna talks to a number outside since T0 + 4 s; with a price that says `quote`."""
    shell = open_house()
    shell.quotes["+499001123456"] = CUT_AFTER_AN_HOUR | quote
    shell.send(inp.Dial(agent="anna", call="d", number="+499001123456", quote=QUOTE))
    shell.run(4)
    assert shell.bridges
    return shell


def test_a_number_that_is_cut_after_an_hour_is_cut_then_and_both_sides_are_released() -> None:
    shell = dialled()
    answered_at = next(entry.now for entry in shell.journal if ev.LegConnected(leg="d.2") in entry.events)
    shell.run(until=answered_at + 3600 - 0.001)
    assert shell.bridges
    shell.run(until=answered_at + 3600)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="d", cause="time_limit")]
    assert [(one.leg, one.cause) for one in shell.of(ev.LegCleared)] == [("d.1", "time_limit"), ("d.2", "time_limit")]
    assert {one.leg for one in shell.done(ef.ReleaseLeg)} == {"d.1", "d.2"}
    assert shell.of(ev.WorkDone) == [ev.WorkDone(agent="anna", contact="d", outcome="handled")]
    assert not shell.engine.state.timers.keys() - {"binding anna"}


def test_the_agent_is_warned_30_and_10_seconds_before_and_the_number_outside_hears_nothing_of_it() -> None:
    shell = dialled()
    answered_at = next(entry.now for entry in shell.journal if ev.LegConnected(leg="d.2") in entry.events)
    told: list[float] = []
    while shell.bridges:
        shell.effects.clear()
        shell.run(until=shell.engine.next_timeout())
        told += [shell.now - answered_at for one in shell.done(ef.WarnLeg) if one.leg == "d.1"]
        assert not [one for one in shell.done(ef.WarnLeg) if one.leg != "d.1"]
    assert told == [3570.0, 3590.0]


@pytest.mark.parametrize(("cut_after_ms", "warnings"), [(9_000, 0), (10_000, 0), (10_001, 1), (30_000, 1), (30_001, 2)])
def test_there_is_no_warning_for_which_there_is_no_time(cut_after_ms: int, warnings: int) -> None:
    shell = dialled(cut_after_ms=cut_after_ms)
    shell.run(60)
    assert len(shell.done(ef.WarnLeg)) == warnings
    assert not [timer for timer in shell.engine.state.timers if timer.startswith("warn")]


def test_of_several_ends_the_earliest_holds_and_one_that_is_lifted_is_none() -> None:
    """What budgets and prepaid accounts set beside it: `Fold.limit`, which an event brings about."""
    shell = dialled(cut_after_ms=60_000)
    fold, now = restore(snapshot(shell.engine))._step.fold, shell.now
    leg = fold.state.legs[LegId("d.2")]
    end = fold.state.timers["time_limit d.2"]
    fold.limit(leg, "budget", now + 20, now)
    assert (limits.end_of(leg), fold.state.timers["time_limit d.2"]) == ((now + 20, "budget"), now + 20)
    assert fold.state.timers["warn d.2"] == now + 10
    fold.limit(leg, "budget", None, now)
    assert (fold.state.timers["time_limit d.2"], fold.state.timers["warn d.2"]) == (end, end - 30)
    fold.limit(leg, "time_limit", None, now)
    assert not fold.state.timers.keys() & {"time_limit d.2", "warn d.2"}


def test_hold_does_not_lengthen_it() -> None:
    shell = dialled(cut_after_ms=60_000)
    shell.send(inp.Hold(agent="anna", call="d"))
    shell.run(30)
    shell.send(inp.Retrieve(agent="anna", call="d"))
    shell.run(29)
    assert shell.of(ev.CallCleared) == []
    shell.run(2)
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["time_limit"]


@pytest.mark.parametrize("cut_after_ms", [None, 0, "3600000"])
def test_a_number_without_such_an_end_is_not_cut(cut_after_ms: object) -> None:
    shell = dialled(cut_after_ms=cut_after_ms)
    shell.run(100_000)
    assert shell.bridges


def test_who_hangs_up_before_takes_the_deadline_along() -> None:
    shell = dialled()
    shell.send(inp.LegReleased(leg="d.2"))
    assert not [timer for timer in shell.engine.state.timers if timer.startswith("time_limit")]


def test_a_caller_who_was_forwarded_to_such_a_number_is_cut_as_well() -> None:
    premium = Number(number="700", target=ToOutside(number="+499001123456"))
    shell = open_house(house(numbers=(premium,)))
    shell.quotes["+499001123456"] = CUT_AFTER_AN_HOUR
    call(shell, "700", "c")
    shell.run(3601)
    assert shell.bridges
    shell.run(3)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="time_limit")]
    assert not shell.legs


def test_a_clock_that_is_set_moves_the_end_with_it() -> None:
    shell = dialled(cut_after_ms=60_000)
    shell.now += 3600
    shell.send(inp.ClockStepped(by_s=3600.0))
    shell.run(55)
    assert shell.bridges
    shell.run(5)
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["time_limit"]


NO_MONEY = "The budget is used up."


def test_a_call_ends_when_its_money_does_and_both_sides_are_released() -> None:
    shell = dialled(cut_after_ms=None)
    shell.send(inp.CreditEnds(leg="d.2", at=shell.now + 9, reason=NO_MONEY))
    assert shell.of(ev.CreditLimited) == [ev.CreditLimited(leg="d.2", call="d", at=shell.now + 9, reason=NO_MONEY)]
    shell.run(8.9)
    assert shell.bridges
    shell.run(0.2)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="d", cause="budget")]
    assert {one.leg for one in shell.done(ef.ReleaseLeg)} == {"d.1", "d.2"}
    assert not shell.engine.state.timers.keys() - {"binding anna"}


def test_a_call_goes_on_when_there_is_money_again() -> None:
    shell = dialled(cut_after_ms=None)
    shell.send(inp.CreditEnds(leg="d.2", at=shell.now + 9, reason=NO_MONEY))
    shell.run(5)
    shell.send(inp.CreditEnds(leg="d.2", at=None, reason="There is more again."))
    shell.run(600)
    assert shell.bridges
    shell.send(inp.CreditEnds(leg="d.2", at=shell.now + 5, reason=NO_MONEY), inp.CreditEnds(leg="d.2", at=shell.now + 9, reason=NO_MONEY))
    shell.run(8)
    assert shell.bridges
    shell.send(inp.LegReleased(leg="d.2"))
    assert not [timer for timer in shell.engine.state.timers if timer.startswith(("time_limit", "warn"))]


def test_that_money_ends_is_dropped_where_it_changes_nothing() -> None:
    shell = dialled(cut_after_ms=None)
    shell.send(inp.CreditEnds(leg="d.2", at=None, reason="There is more again."), inp.CreditEnds(leg="gone", at=1.0, reason=NO_MONEY))
    assert shell.of(ev.CreditLimited) == []


@pytest.mark.parametrize(("cause", "status"), [("budget", 603), ("not_allowed", 403)])
def test_an_attempt_without_budget_or_permission_tries_no_other_trunk(cause: str, status: int) -> None:
    """Another carrier would be dialled behind the back of whoever set the limit."""
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="second", name="B", order=1))
    shell = open_house(house(trunks=trunks), pbx=Phone(fails=cause))
    shell.send(inp.CallArrived(call="d", leg="d-in", agent="anna", calling="11", called="+4930123"))
    shell.run(3)
    assert [one.on_account_of for one in shell.done(ef.OriginateToOutside)] == ["anna"]
    assert [telling(one.cause).status for one in shell.done(ef.RefuseCaller)] == [status]
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="d", cause=cause)]


def test_a_call_goes_on_the_account_of_whoever_dials_or_forwards_and_of_nobody_where_a_rule_does() -> None:
    premium = Number(number="700", target=ToOutside(number="+4930999"))
    away = agent("ben", extension="12", forwarding=Forwarding(always="+4930998"))
    shell = open_house(house(agents=(agent("anna", extension="11"), away), numbers=(premium,)))
    shell.send(inp.CallArrived(call="a", leg="a-in", trunk="pbx", calling="+4989", called="700"))
    shell.send(inp.CallArrived(call="b", leg="b-in", agent="anna", calling="11", called="12"))
    assert [one.on_account_of for one in shell.done(ef.OriginateToOutside)] == [None, "ben"]


@pytest.mark.parametrize(("by", "account"), [(None, "anna"), ("sophie", None)])
def test_a_transfer_outside_is_on_the_account_of_whoever_transfers(by: str | None, account: str | None) -> None:
    """docs/budgets.md: a supervisor's is on the tenant's alone, on every trunk that is tried; a call that was dialled is the agent's."""
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="second", name="B", order=1))
    direct = Number(number="700", target=ToAgent(agent="anna"))
    shell = open_house(house(trunks=trunks, numbers=(direct,)), anna=Phone(answers_after_s=0.0), pbx=Phone(fails="congestion"))
    shell.send(inp.CallArrived(call="a", leg="a-in", trunk="pbx", calling="+4989", called="700"))
    shell.run(5)
    shell.send(inp.Transfer(agent="anna", call="a", target=ToOutside(number="+4930999"), by=by))
    shell.run(5)
    assert [(one.trunk, one.on_account_of) for one in shell.done(ef.OriginateToOutside)] == [("pbx", account), ("second", account)]
    assert {one.forwarded_by for one in shell.of(ev.LegInitiated) if one.role == "forward"} == {by or "anna"}


def test_a_call_that_somebody_has_an_agents_phone_dial_is_the_agents_who_takes_it() -> None:
    shell = open_house(anna=Phone(answers_after_s=1.0))
    shell.send(inp.Dial(agent="anna", call="d", number="+4930123", by="key:crm"))
    shell.run(3)
    assert [one.on_account_of for one in shell.done(ef.OriginateToOutside)] == ["anna"]


@pytest.mark.parametrize("called", ["+4930123", "601", "12"])
def test_the_phone_of_an_agent_who_is_logged_off_dials_nothing(called: str) -> None:
    shell = open_house(house(agents=(agent("anna", extension="11"), agent("ben", extension="12"))), ready=False)
    shell.send(inp.CallArrived(call="d", leg="d-in", agent="anna", calling="11", called=called))
    (refused,) = shell.done(ef.RefuseCaller)
    assert (telling(refused.cause).status, refused.reason) == (403, "Agent anna is logged off and can dial emergency numbers only.")
    with pytest.raises(IllegalTransition, match="logged off"):
        shell.send(inp.Dial(agent="anna", call="e", number=called))


@pytest.mark.parametrize("called", ["110", "112"])
def test_but_emergency_numbers(called: str) -> None:
    shell = open_house(ready=False)
    shell.send(inp.CallArrived(call="d", leg="d-in", agent="anna", calling="11", called=called))
    assert [one.number for one in shell.done(ef.OriginateToOutside)] == [called]
    shell.send(inp.LegReleased(leg="d-in"))
    shell.send(inp.Dial(agent="anna", call="e", number=called))
    shell.run(2.5)
    assert [one.number for one in shell.done(ef.OriginateToOutside)] == [called, called]


def test_dialling_a_busy_number_tells_the_agent_and_then_releases() -> None:
    shell = open_house(pbx=Phone(fails="busy"))
    shell.send(inp.Dial(agent="anna", call="d", number="+4930123"))
    shell.run(3)
    assert shell.plays["d.1"].sounds == ("unavailable",)
    shell.run(3)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="d", cause="busy")]
    assert not shell.legs


def test_agent_who_does_not_take_the_own_phone_dials_nothing() -> None:
    shell = open_house(anna=NEVER)
    shell.send(inp.Dial(agent="anna", call="d", number="+4930123"))
    shell.run(30)
    assert shell.done(ef.OriginateToOutside) == []
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="d", cause="no_answer")]


def test_blended_agent_dials_only_when_no_call_waits_that_she_could_take() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben", skills={"sales": 5}))), ready=False)
    shell.send(inp.LogOn(agent="anna"), inp.LogOn(agent="ben"))
    call(shell)
    with pytest.raises(IllegalTransition, match="waiting in queue support"):
        shell.send(inp.Dial(agent="anna", call="d", number="+4930123"))
    shell.send(inp.Dial(agent="ben", call="d", number="+4930123"))
    shell.run(5)
    assert shell.bridges


def test_modes_are_never_mixed() -> None:
    shell = open_house(house(agents=(agent("inge", mode="inbound"), agent("olaf", mode="outbound"))))
    with pytest.raises(IllegalTransition, match="makes none"):
        shell.send(inp.Dial(agent="inge", call="d1", number="+4930123"))
    shell.send(inp.Dial(agent="olaf", call="d2", number="+4930123"))
    call(shell, name="c1")
    call(shell, name="c2")
    shell.run(5)
    assert {one.decision.chosen for one in shell.of(ev.OfferMade)} == {("inge",)}
    assert shell.of(ev.OfferMade)[0].decision.removed == {"mode": ("olaf",)}


def test_an_agent_in_a_call_cannot_dial_and_a_full_site_says_so() -> None:
    shell = talking()
    with pytest.raises(IllegalTransition, match="has a call already"):
        shell.send(inp.Dial(agent="anna", call="d", number="+4930123"))
    shell = open_house(house(agents=(agent("anna", site="s"),), sites=(Site(id="s", upload_kbits=99),)))
    with pytest.raises(IllegalTransition, match="site s: 0 of 99 kbit/s reserved, 100 needed"):
        shell.send(inp.Dial(agent="anna", call="d", number="+4930123"))


@pytest.mark.parametrize(("is_there", "why"), [(True, "no speech channel to its phone fits"), (False, "the agent's phone cannot be rung")])
def test_a_call_is_given_to_nobody_it_could_not_reach_and_says_why(is_there: bool, why: str) -> None:
    shell = open_house(house(agents=(agent("anna", site="s"),), sites=(Site(id="s", upload_kbits=99),)))
    if not is_there:
        shell.send(inp.DeviceUnregistered(agent="anna", contact="sip:anna@127.0.0.1"))
    call(shell, "601", "c")
    shell.run(2)
    with pytest.raises(IllegalTransition, match=why):
        shell.send(inp.AssignContact(agent="anna", contact="c", by="supervisor:sophie"))


def test_own_device_dials_outside_with_failover_and_is_answered_only_when_the_far_end_is() -> None:
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="b", name="B", order=1))
    shell = open_house(house(trunks=trunks), pbx=Phone(fails="unreachable"), b=Phone())
    call(shell, "+4930123", "c", trunk=None, agent="anna")
    shell.run(1)
    assert shell.done(ef.AnswerCaller) == []
    assert shell.done(ef.RingCaller)
    shell.run(3)
    assert [one.trunk for one in shell.done(ef.OriginateToOutside)] == ["pbx", "b"]
    assert shell.bridges
    assert shell.of(ev.CallOffered)[0].direction == "outbound"
    assert shell.engine.live().agents[0].category == "busy"


def test_own_device_calls_a_colleague_s_extension() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben", extension="202", skills={}))))
    call(shell, "202", "c", trunk=None, agent="anna")
    shell.run(3)
    assert shell.of(ev.CallOffered)[0].direction == "internal"
    assert [one.kind for one in shell.of(ev.WorkReserved)] == ["outbound", "direct"]
    assert shell.bridges
    shell.send(inp.LegReleased(leg="c.1"))
    assert not shell.legs


def test_own_device_reaches_a_queue_and_another_agent() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))))
    call(shell, "601", "c", trunk=None, agent="anna")
    shell.run(3)
    assert [one.decision.chosen for one in shell.of(ev.OfferMade)] == [("ben",)]
    assert shell.bridges


def test_answer_and_decline_from_the_desk() -> None:
    shell = open_house(house(numbers=(Number(number="610", target=ToAgent(agent="anna")),)), anna=NEVER)
    call(shell, name="c1")
    shell.send(inp.Answer(agent="anna"))
    shell.run(1)
    assert shell.bridges
    shell.send(inp.HangUp(agent="anna", call="c1"), inp.EndAfterCallWork(agent="anna"))
    call(shell, "610", "c2")
    shell.send(inp.Decline(agent="anna"))
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == 603
    assert shell.done(ef.ReleaseLeg)[-1] == ef.ReleaseLeg(leg="c2.1", cause="rejected")


def test_supervisor_clears_a_call() -> None:
    shell = talking()
    shell.send(inp.ClearCall(call="c", by="boss"))
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="supervisor")]
    assert not shell.legs


def test_own_device_is_refused_a_second_call() -> None:
    shell = talking()
    call(shell, "+4930123", "second", trunk=None, agent="anna")
    assert shell.done(ef.RefuseCaller) == [ef.RefuseCaller(leg="second-in", reason="Agent anna has another call.", cause="busy")]
    assert shell.bridges


def test_dialling_from_the_own_device_ends_the_after_call_work() -> None:
    shell = talking()
    shell.send(inp.LegReleased(leg="c-in"))
    call(shell, "+4930123", "next", trunk=None, agent="anna")
    shell.run(5)
    assert shell.of(ev.WorkDone) == [ev.WorkDone(agent="anna", contact="c", outcome="handled")]
    assert shell.bridges


def test_blended_agent_s_own_device_is_refused_with_the_reason_while_a_call_waits() -> None:
    shell = open_house(ready=False)
    shell.send(inp.LogOn(agent="anna"))
    call(shell, name="waiting")
    call(shell, "+4930123", "out", trunk=None, agent="anna")
    refused = shell.done(ef.RefuseCaller)[0]
    assert (telling(refused.cause).status, refused.reason) == (403, "A call is waiting in queue support that agent anna could take.")
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="out", cause="not_allowed")]
