"""Every reference that leads nowhere and every figure out of range is named before it can do harm."""

from __future__ import annotations

from typing import Any

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import (
    Menu,
    Number,
    Opening,
    Overflow,
    Relaxation,
    Schedule,
    Site,
    TenantConfiguration,
    ToAgent,
    ToHangUp,
    ToMenu,
    ToQueue,
    Trunk,
)
from tests.acd.core.shell import agent, call, house, open_house, queue

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"numbers": (Number(number="1", target=ToQueue(queue="x")),)}, "number 1 leads to the unknown queue x"),
    ({"numbers": (Number(number="1", target=ToMenu(menu="x")),)}, "number 1 leads to the unknown menu x"),
    ({"numbers": (Number(number="1", target=ToAgent(agent="x")),)}, "number 1 leads to the unknown agent x"),
    ({"numbers": (Number(number="1", target=ToHangUp()),) * 2}, "the number 1 is there twice"),
    ({"queues": (queue("q", schedule="x"),)}, "queue q keeps the unknown schedule x"),
    ({"queues": (queue("q", members=("x",)),)}, "queue q has the unknown member x"),
    ({"queues": (queue("q", exit_key="9"),)}, "queue q has an exit key without a target or a target without a key"),
    ({"queues": (queue("q", ring_timeout_s=0.0),)}, "queue q has ring_timeout_s 0; phones must ring for some time"),
    ({"queues": (queue("q", priority_s=-1.0),)}, "queue q has priority_s -1; it cannot be less than nothing"),
    ({"queues": (queue("q", overflow=(Overflow(target=ToHangUp()),)),)}, "queue q has an overflow without a condition"),
    (
        {"queues": (queue("q", relaxations=(Relaxation(after_s=9, requirements=()), Relaxation(after_s=3, requirements=()))),)},
        "queue q has relaxations that are not in order of after_s",
    ),
    ({"agents": (agent("a", site="x"),)}, "agent a sits at the unknown site x"),
    ({"agents": (agent("a", skills={"s": 11}),)}, "agent a has level 11 in s; levels are 1 to 10"),
    (
        {"agents": (agent("a", extension="1"),), "numbers": (Number(number="1", target=ToHangUp()),)},
        "extension 1 of agent a is also a number",
    ),
    ({"menus": (Menu(id="m", sounds=(), options={"x": ToHangUp()}),)}, "menu m has the key x; keys are 0 to 9, * and #"),
    (
        {"schedules": (Schedule(id="s", openings=(Opening(weekday=0, opens=600, closes=500),)),)},
        "schedule s opens from minute 600 to 500; a day has 0 to 1440",
    ),
    (
        {"schedules": (Schedule(id="s", openings=(Opening(weekday=7, opens=0, closes=500),)),)},
        "schedule s opens on weekday 7; 0 is Monday, 6 Sunday",
    ),
]


@pytest.mark.parametrize(("parts", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_problem_is_named(parts: dict[str, Any], problem: str) -> None:
    assert problem in TenantConfiguration(tenant="t", **parts).problems()


def test_a_sound_configuration_has_no_problems() -> None:
    assert (
        house(
            schedules=(Schedule(id="s", holiday_region="DE-BY"), Schedule(id="u", holiday_region="US", timezone="America/New_York"))
        ).problems()
        == []
    )


# ---------------------------------------------------------------------- emergency numbers


@pytest.mark.parametrize("number", ["110", "112"])
def test_an_emergency_call_is_never_refused_for_mode_bandwidth_or_a_second_call(number: str) -> None:
    people = (agent("inge", mode="inbound", site="s", extension="112"),)
    shell = open_house(house(agents=people, sites=(Site(id="s", upload_kbits=100),), trunks=(Trunk(id="pbx", name="P", upload_kbits=100),)))
    call(shell, name="first")
    shell.run(3)
    assert shell.bridges
    call(shell, number, "help", trunk=None, agent="inge")
    shell.run(3)
    assert shell.done(ef.RefuseCaller) == []
    assert [one.number for one in shell.done(ef.OriginateToOutside)] == [number]
    assert frozenset(("help-in", "help.1")) in shell.bridges
    shell.send(inp.LegReleased(leg="help-in"))
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="help", cause="hang_up")]
    assert len(shell.bridges) == 1


def test_an_emergency_number_can_be_dialled_from_the_desk_by_anybody() -> None:
    shell = open_house(house(agents=(agent("inge", mode="inbound"),)))
    shell.send(inp.Dial(agent="inge", call="d", number="112"))
    shell.run(5)
    assert shell.bridges == {frozenset(("d.1", "d.2"))}
