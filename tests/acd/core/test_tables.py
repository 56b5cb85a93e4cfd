"""Every state and every input of every machine of the core: what is in the table happens, what is not is refused in the one stated way."""

from __future__ import annotations

from typing import Any

import pytest

from acd.core import engine
from acd.core import inputs as inp
from acd.core.engine import Engine
from acd.core.errors import BrokenHistory, CoreError, IllegalTransition
from acd.core.events import AgentReady, Event, LegAlerted
from acd.core.machines import agent as agents
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import queue as queues
from acd.core.machines import queue_entry as entries
from acd.core.machines import work as works
from acd.core.machines.kit import allows
from acd.core.state import fold
from acd.core.state import values as s
from acd.core.state.fold import kit
from acd.core.state.fold.table import HANDLERS, LEAVE_THE_STATE
from acd.core.state.statistics import Statistics
from tests.acd.core.shell import Phone, house, open_house
from tests.acd.core.shell import agent as person
from tests.acd.core.shell import call as caller

MACHINES = {"call": calls, "leg": legs, "agent": agents, "work": works, "queue": queues, "queue_entry": entries}
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
    for machine, final in ((calls, calls.State.CLEARED), (legs, legs.State.CLEARED), (legs, legs.State.FAILED), (works, works.State.DONE)):
        assert machine.TRANSITIONS[final] == {}


def test_an_event_that_does_not_fit_is_a_broken_history() -> None:
    engine = Engine("demo", s.State(tenant="demo", statistics=Statistics()))
    with pytest.raises(BrokenHistory, match="LegAlerted"):
        engine.apply(LegAlerted(leg="none"), 1.0)
    shell = open_house(ready=False)
    with pytest.raises(BrokenHistory, match="logged_off"):
        shell.engine.apply(AgentReady(agent="anna"), shell.now)


def test_every_input_is_decided_by_somebody() -> None:
    """One without a row would stop the tenant with a bare KeyError."""
    assert engine._ACT.keys() == set(inp.Input.__args__)  # type: ignore[attr-defined]
    assert engine._COMMANDS.keys() == set(inp.Command.__args__)  # type: ignore[attr-defined]


def test_every_event_has_its_handler_or_its_reason_for_none() -> None:
    events = set(Event.__args__)  # type: ignore[attr-defined]
    where = "handler and row in acd/core/state/fold/, or its reason in LEAVE_THE_STATE of its table.py"
    wrong = [f"{one.__name__} has neither: {where}" for one in events - HANDLERS.keys() - LEAVE_THE_STATE]
    wrong += [f"{one.__name__} has both: {where}" for one in HANDLERS.keys() & LEAVE_THE_STATE]
    wrong += [f"{one.__name__} is not in the union of acd/core/events.py" for one in (HANDLERS.keys() | LEAVE_THE_STATE) - events]
    assert not wrong, "\n".join(wrong)
    for module in (fold.configuration, fold.contacts, fold.calls, fold.queues, fold.agents, fold.lines):
        assert module.HANDLERS.items() <= HANDLERS.items()


SITUATIONS = ("logged_off", "not_ready", "ready", "ringing", "talking", "held", "after_call_work")
COMMANDS: dict[str, tuple[inp.Command, set[str]]] = {
    "LogOn": (inp.LogOn(agent="anna"), {"logged_off"}),
    "LogOff": (inp.LogOff(agent="anna"), {"not_ready", "ready", "ringing", "talking", "held", "after_call_work"}),
    "GoReady": (inp.GoReady(agent="anna"), {"not_ready", "ready", "ringing", "talking", "held", "after_call_work"}),
    "GoNotReady": (inp.GoNotReady(agent="anna", reason="break"), {"not_ready", "ready", "ringing", "talking", "held", "after_call_work"}),
    "EndAfterCallWork": (inp.EndAfterCallWork(agent="anna"), {"after_call_work"}),
    "Dial": (inp.Dial(agent="anna", call="d1", number="+4930123"), {"not_ready", "ready", "after_call_work"}),
    "Answer": (inp.Answer(agent="anna"), {"ringing"}),
    "Decline": (inp.Decline(agent="anna"), {"ringing"}),
    "Hold": (inp.Hold(agent="anna", call="c"), {"talking"}),
    "Retrieve": (inp.Retrieve(agent="anna", call="c"), {"held"}),
    "HangUp": (inp.HangUp(agent="anna", call="c"), {"talking", "held"}),
    "Transfer": (inp.Transfer(agent="anna", call="c", target=house().numbers[0].target), {"talking", "held"}),
    "SetDisposition": (inp.SetDisposition(agent="anna", contact="c", code="ok"), {"talking", "held", "after_call_work"}),
    "ClearCall": (inp.ClearCall(call="c", by="boss"), {"ringing", "talking", "held"}),
    "OpenContact": (inp.OpenContact(contact="mail:1", channel="mail", queue="support"), set(SITUATIONS)),
    "WithdrawContact": (inp.WithdrawContact(contact="c", by="boss"), set()),
    "CloseContact": (inp.CloseContact(agent="anna", contact="c"), set()),
    "Pick": (inp.Pick(agent="anna"), set()),
    "MoveContact": (inp.MoveContact(contact="c", queue="support", by="boss"), set()),
    "PrioritiseContact": (inp.PrioritiseContact(contact="c", priority_s=9.0, by="boss"), {"ringing", "talking", "held"}),
    "ReskillContact": (inp.ReskillContact(contact="c", requirements=None, by="boss"), {"ringing", "talking", "held"}),
    "AssignContact": (inp.AssignContact(contact="c", agent="anna", by="boss"), set()),
}


def situation(name: str) -> Any:
    shell = open_house(house(agents=(person("anna"),)), ready=False, anna=Phone(answers_after_s=None))
    if name == "logged_off":
        return shell
    shell.send(inp.LogOn(agent="anna"))
    if name == "not_ready":
        return shell
    shell.send(inp.GoReady(agent="anna"))
    if name == "ready":
        return shell
    caller(shell, name="c")
    if name == "ringing":
        return shell
    shell.send(inp.LegAnswered(leg="c.1"))
    if name == "held":
        shell.send(inp.Hold(agent="anna", call="c"))
    if name == "after_call_work":
        shell.send(inp.LegReleased(leg="c-in"))
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
