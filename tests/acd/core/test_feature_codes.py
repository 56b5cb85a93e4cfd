"""Feature codes: what a handset dials does what a desk's button does, says so, and is no conversation and no caller's wait."""

from __future__ import annotations

import msgspec
import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import FeatureCodes, Number, Reason, ToQueue
from acd.core.configuration_changes import difference
from acd.core.steps.feature_codes import find
from acd.switch.causes import telling
from tests.acd.core.shell import Shell, agent, call, house, open_house, queue


def handset(shell: Shell, code: str, name: str = "code") -> tuple[str, ...]:
    """anna dials a code; what she hears. Afterwards the call is over."""
    before = len(shell.done(ef.PlaySounds))
    shell.send(inp.CallArrived(call=name, leg=f"{name}-in", agent="anna", calling="11", called=code))
    heard = shell.done(ef.PlaySounds)[before:]
    shell.run(20)
    assert name not in shell.engine.state.calls
    return heard[0].sounds if heard else ()


def small(*, ready: bool = True, **more) -> Shell:
    return open_house(house(agents=(agent("anna", extension="11"),), **more), ready=ready)


def anna(shell: Shell):
    return shell.engine.state.agents["anna"]


def test_ready_logs_on_if_need_be_and_the_waiting_caller_comes_when_the_code_s_call_is_over():
    shell = small(ready=False)
    waiting = call(shell)
    shell.send(inp.CallArrived(call="code", leg="code-in", agent="anna", calling="11", called="*20"))
    assert anna(shell).state == "ready"
    assert shell.of(ev.OfferMade) == []  # her phone is off the hook
    shell.run(10)
    assert [one.contact for one in shell.of(ev.OfferMade)] == [waiting]
    assert [one.cause for one in shell.of(ev.CallCleared) if one.call == "code"] == ["feature_code"]


def test_ready_ends_after_call_work():
    shell = small()
    call(shell, name="c")
    shell.run(4)
    shell.send(inp.LegReleased(leg="c-in"))
    assert anna(shell).works["c"].state == "after_call_work"
    assert handset(shell, "*20") == ("agent.ready",)
    assert [one.outcome for one in shell.of(ev.WorkDone) if one.contact == "c"] == ["handled"]


@pytest.mark.parametrize(("dialled", "reason"), [("*21", "break"), ("*212", "lunch"), ("*2133", "33"), ("*219", None), ("*210", None)])
def test_not_ready_takes_the_reason_by_its_code_or_its_place(dialled, reason):
    shell = small(reasons=(Reason(code="break", name="Break"), Reason(code="lunch", name="Lunch"), Reason(code="33", name="Training")))
    assert handset(shell, dialled) == (("agent.not_ready",) if reason else ("invalid_choice",))
    assert (anna(shell).state, anna(shell).reason) == (("not_ready", reason) if reason else ("ready", None))


@pytest.mark.parametrize(("dialled", "reason"), [("*21", "handset"), ("*217", "7")])
def test_without_a_list_of_reasons_any_will_do(dialled, reason):
    shell = small()
    handset(shell, dialled)
    assert anna(shell).reason == reason


def test_who_is_logged_off_cannot_have_a_break_and_logs_on_with_the_code_that_logs_off():
    shell = small(ready=False)
    assert handset(shell, "*21") == ("invalid_choice",)
    assert handset(shell, "*22", "on") == ("agent.logged_on",)
    assert anna(shell).state == "not_ready"
    assert handset(shell, "*22", "off") == ("agent.logged_off",)
    assert anna(shell).state == "logged_off"


def test_the_last_call_is_tagged_and_who_had_none_is_told():
    shell = small(queues=(queue(after_call_work_s=0.0),))
    assert handset(shell, "*235", "early") == ("invalid_choice",)
    call(shell, name="c")
    shell.run(4)
    shell.send(inp.LegReleased(leg="c-in"))
    assert handset(shell, "*23", "bare") == ("invalid_choice",)
    assert handset(shell, "*2342", "tag") == ("agent.tagged", "number.4", "number.2")
    assert shell.of(ev.DispositionSet) == [ev.DispositionSet(contact="c", agent="anna", code="42")]


def test_how_many_wait_and_how_long_of_the_queues_that_are_ones_own():
    shell = small(ready=False, queues=(queue(), queue("other", requirements=(), members=())))
    assert handset(shell, "*24", "none") == ("agent.waiting", "number.0")
    call(shell)
    call(shell, called="602")
    shell.run(130)
    call(shell)
    assert handset(shell, "*24") == ("agent.waiting", "number.2", "agent.longest_wait", "number.2")


def test_a_code_counts_for_nothing_in_the_agent_s_day():
    shell = small()
    handset(shell, "*24")
    tally = shell.engine.state.statistics.agents["anna"]
    assert (tally.offered, tally.handled, tally.outbound, tally.talk_s, tally.busy_s) == (0, 0, 0, 0.0, 4.0)
    assert [one.kind for one in shell.of(ev.WorkReserved)] == ["feature_code"]
    assert shell.done(ef.OriginateToOutside) == []
    assert [one.direction for one in shell.of(ev.CallOffered)] == ["internal"]


def test_a_code_during_a_call_holds_after_it():
    shell = small()
    call(shell, name="c")
    shell.run(4)
    assert handset(shell, "*21") == ("agent.not_ready",)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(30)
    assert anna(shell).state == "not_ready"


def test_an_own_number_is_no_code_and_a_code_left_empty_is_none():
    shell = small(feature_codes=FeatureCodes(ready="", waiting="*99"), numbers=(Number(number="*77", target=ToQueue(queue="support")),))
    assert handset(shell, "*99", "w") == ("agent.waiting", "number.0")
    shell.send(inp.CallArrived(call="x", leg="x-in", agent="anna", calling="11", called="*20"))
    shell.run(1)
    assert [one.direction for one in shell.of(ev.CallOffered)][-1] == "outbound"


def test_a_caller_from_outside_has_no_codes():
    shell = small()
    call(shell, called="*20", name="c")
    assert [telling(one.cause).status for one in shell.done(ef.RefuseCaller)] == [404]


@pytest.mark.parametrize(
    ("called", "found"),
    [
        ("*20", ("ready", "")),
        ("*201", None),
        ("*21", ("not_ready", "")),
        ("*2112", ("not_ready", "12")),
        ("*23*", None),
        ("*2", None),
        ("20", None),
        ("*24", ("waiting", "")),
    ],
)
def test_what_is_a_code(called, found):
    assert find(FeatureCodes(), called) == found


def test_the_longest_code_is_meant():
    assert find(FeatureCodes(not_ready="*2", ready="*20"), "*20") == ("ready", "")


@pytest.mark.parametrize(
    ("codes", "problem"),
    [
        ({"ready": "20"}, "codes begin with * or #"),
        ({"ready": "*2a"}, "codes begin with * or #"),
        ({"ready": "*24"}, "is there twice"),
        ({"ready": "*77"}, "also a number"),
    ],
)
def test_codes_that_cannot_be_dialled_are_refused(codes, problem):
    configuration = house(numbers=(Number(number="*77", target=ToQueue(queue="support")),))
    wrong = msgspec.structs.replace(configuration, feature_codes=FeatureCodes(**codes))
    assert [problem in one for one in wrong.problems()] == [True]


def test_changed_codes_hold_for_the_next_call():
    shell = small()
    changed = msgspec.structs.replace(shell.engine.state.configuration, feature_codes=FeatureCodes(ready="*50"))

    shell.send(inp.Reconfigured(changes=difference(shell.engine.state.configuration, changed)))
    assert handset(shell, "*50") == ("agent.ready",)


def test_who_was_about_to_leave_is_ready_again():
    shell = small(queues=(queue(after_call_work_s=60.0),))
    call(shell, name="c")
    shell.run(4)
    shell.send(inp.LogOff(agent="anna"), inp.LegReleased(leg="c-in"))
    assert handset(shell, "*20") == ("agent.ready",)
    assert anna(shell).state == "ready"


def test_a_call_for_help_beside_another_survives_the_removal_of_who_made_it():
    shell = open_house(house(agents=(agent("anna", extension="11"), agent("ben", extension="12"))))
    held = inp.CallArrived(call="c", leg="c-in", agent="anna", calling="11", called="+4930999")
    help_ = inp.CallArrived(call="help", leg="help-in", agent="anna", calling="11", called="112")
    shell.send(held, help_)
    before = shell.engine.state.configuration
    after = msgspec.structs.replace(before, agents=tuple(one for one in before.agents if one.id == "ben"))
    shell.send(inp.Reconfigured(changes=difference(before, after)), inp.LegReleased(leg="c-in"), inp.LogOff(agent="ben"))
    assert "anna" not in shell.engine.state.agents
    shell.run(10)
    assert [one.call for one in shell.of(ev.CallEstablished)] == ["help"]
