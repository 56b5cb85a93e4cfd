"""Every state and every input of every machine of the core: what is in the table happens, what is not is refused in the one stated way."""

from __future__ import annotations

from typing import Any

import pytest

from acd.core import inputs as i
from acd.core.engine import Engine
from acd.core.errors import BrokenHistory, CoreError, IllegalTransition
from acd.core.events import AgentReady, Event, LegAlerted
from acd.core.machines import agent, call, leg, queue, queue_entry, work
from acd.core.machines.kit import allows
from acd.core.state import values as s
from acd.core.state.fold import agents, calls, configuration, contacts, kit, lines, queues
from acd.core.state.fold.table import HANDLERS, LEAVE_THE_STATE
from acd.core.state.statistics import Statistics
from tests.acd.core.shell import Phone, house, open_house
from tests.acd.core.shell import agent as person
from tests.acd.core.shell import call as caller

MACHINES = {"call": call, "leg": leg, "agent": agent, "work": work, "queue": queue, "queue_entry": queue_entry}
PAIRS = [(name, state, step) for name, machine in MACHINES.items() for state in machine.State for step in machine.Input]


@pytest.mark.parametrize(("name", "state", "step"), PAIRS, ids=str)
def test_every_pair_leads_to_a_state_of_the_machine_or_is_refused(name: str, state: Any, step: Any) -> None:
    machine = MACHINES[name]
    table = getattr(kit, {"queue_entry": "ENTRY"}.get(name, name.upper()))
    edge = machine.TRANSITIONS[state].get(step)
    bound = table[state].get(step)
    assert allows(machine.TRANSITIONS, state, step) == (edge is not None)
    if edge is None:
        assert bound is None
        return
    assert edge.state in machine.State
    assert bound[0] is edge.state
    assert [one.__name__ for one in bound[1]] == [action.value for action in edge.actions]


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_is_reached_and_every_action_is_used(name: str) -> None:
    machine = MACHINES[name]
    reached, frontier = set(), [next(iter(machine.TRANSITIONS))]
    while frontier:
        state = frontier.pop()
        reached.add(state)
        frontier += [edge.state for edge in machine.TRANSITIONS[state].values() if edge.state not in reached]
    assert reached == set(machine.State)
    assert {action for row in machine.TRANSITIONS.values() for edge in row.values() for action in edge.actions} == set(machine.Do)


def test_a_final_state_has_no_way_out() -> None:
    for machine, final in ((call, call.State.CLEARED), (leg, leg.State.CLEARED), (leg, leg.State.FAILED), (work, work.State.DONE)):
        assert machine.TRANSITIONS[final] == {}


def test_an_event_that_does_not_fit_is_a_broken_history() -> None:
    engine = Engine("demo", s.State(tenant="demo", statistics=Statistics()))
    with pytest.raises(BrokenHistory, match="LegAlerted"):
        engine.apply(LegAlerted(leg="none"), 1.0)
    shell = open_house(ready=False)
    with pytest.raises(BrokenHistory, match="logged_off"):
        shell.engine.apply(AgentReady(agent="anna"), shell.now)


def test_every_event_has_its_handler_or_its_reason_for_none() -> None:
    events = set(Event.__args__)  # type: ignore[attr-defined]
    assert HANDLERS.keys() | LEAVE_THE_STATE == events
    assert not HANDLERS.keys() & LEAVE_THE_STATE
    for module in (configuration, contacts, calls, queues, agents, lines):
        assert module.HANDLERS.items() <= HANDLERS.items()


SITUATIONS = ("logged_off", "not_ready", "ready", "ringing", "talking", "held", "after_call_work")
COMMANDS: dict[str, tuple[i.Command, set[str]]] = {
    "LogOn": (i.LogOn(agent="anna"), {"logged_off"}),
    "LogOff": (i.LogOff(agent="anna"), {"not_ready", "ready", "ringing", "talking", "held", "after_call_work"}),
    "GoReady": (i.GoReady(agent="anna"), {"not_ready", "ready", "ringing", "talking", "held", "after_call_work"}),
    "GoNotReady": (i.GoNotReady(agent="anna", reason="break"), {"not_ready", "ready", "ringing", "talking", "held", "after_call_work"}),
    "EndAfterCallWork": (i.EndAfterCallWork(agent="anna"), {"after_call_work"}),
    "Dial": (i.Dial(agent="anna", call="d1", number="+4930123"), {"not_ready", "ready", "after_call_work"}),
    "Answer": (i.Answer(agent="anna"), {"ringing"}),
    "Decline": (i.Decline(agent="anna"), {"ringing"}),
    "Hold": (i.Hold(agent="anna", call="c"), {"talking"}),
    "Retrieve": (i.Retrieve(agent="anna", call="c"), {"held"}),
    "HangUp": (i.HangUp(agent="anna", call="c"), {"talking", "held"}),
    "Transfer": (i.Transfer(agent="anna", call="c", target=house().numbers[0].target), {"talking", "held"}),
    "SetDisposition": (i.SetDisposition(agent="anna", contact="c", code="ok"), {"talking", "held", "after_call_work"}),
    "ClearCall": (i.ClearCall(call="c", by="boss"), {"ringing", "talking", "held"}),
    "OpenContact": (i.OpenContact(contact="mail:1", channel="mail", queue="support"), set(SITUATIONS)),
    "WithdrawContact": (i.WithdrawContact(contact="c", by="boss"), set()),
    "CloseContact": (i.CloseContact(agent="anna", contact="c"), set()),
    "Pick": (i.Pick(agent="anna"), set()),
    "MoveContact": (i.MoveContact(contact="c", queue="support", by="boss"), set()),
    "PrioritiseContact": (i.PrioritiseContact(contact="c", priority_s=9.0, by="boss"), {"ringing", "talking", "held"}),
    "ReskillContact": (i.ReskillContact(contact="c", requirements=None, by="boss"), {"ringing", "talking", "held"}),
    "AssignContact": (i.AssignContact(contact="c", agent="anna", by="boss"), set()),
}


def situation(name: str) -> Any:
    shell = open_house(house(agents=(person("anna"),)), ready=False, anna=Phone(answers_after_s=None))
    if name == "logged_off":
        return shell
    shell.send(i.LogOn(agent="anna"))
    if name == "not_ready":
        return shell
    shell.send(i.GoReady(agent="anna"))
    if name == "ready":
        return shell
    caller(shell, name="c")
    if name == "ringing":
        return shell
    shell.send(i.LegAnswered(leg="c.1"))
    if name == "held":
        shell.send(i.Hold(agent="anna", call="c"))
    if name == "after_call_work":
        shell.send(i.LegReleased(leg="c-in"))
    return shell


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_desk_command_fits_or_is_refused_and_changes_nothing(name: str, command: str) -> None:
    given, fits = COMMANDS[command]
    shell = situation(name)
    before = shell.engine.state_hash()
    if name in fits:
        shell.send(given)
        return
    with pytest.raises(CoreError) as refused:
        shell.send(given)
    assert refused.value.status_hint in {404, 409}
    assert shell.engine.state_hash() == before
    if isinstance(refused.value, IllegalTransition):
        assert command in str(refused.value)
