"""A clock that was set: every instant of the state moves, durations stay, business hours are civil (house)."""

import typing

import msgspec
import pytest

from acd.core import inputs as inp
from acd.core.configuration import Opening, Schedule, TenantConfiguration
from acd.core.engine import Engine
from acd.core.ids import ScheduleId, TenantId
from acd.core.replay import fold, redrive
from acd.core.state import statistics
from acd.core.state import values as s
from acd.core.state.moved import move
from tests.acd.core.shell import T0, Shell, call, house, open_house, queue

DURATIONS = {
    "Contact.priority_s",
    "Contact.waited_s",
    "Entry.priority_s",
    "Leg.cut_after_s",
    "PageLine.figures",
    "_OpenWork.talk_s",
    "_OpenWork.hold_s",
    "_OpenWork.wrap_s",
    "Statistics.in_time_s",
    "State.clock",  # set by the fold to the entry's own time
    "Statistics.day_ends_at",  # civil: computed anew
}


def struct_types() -> list[type]:
    found: list[type] = []

    def walk(kind: object) -> None:
        for argument in typing.get_args(kind):
            walk(argument)
        ours = isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ in {s.__name__, statistics.__name__}
        if ours and kind not in found:
            found.append(kind)
            for hint in typing.get_type_hints(kind).values():
                walk(hint)

    walk(s.State)
    return found


def float_fields() -> set[str]:
    """`Type.field` of everything in the state that holds a float and is no tally of a day."""

    def holds_float(kind: object) -> bool:
        return kind is float or any(holds_float(one) for one in typing.get_args(kind))

    return {
        f"{kind.__name__}.{name}"
        for kind in struct_types()
        if not kind.__name__.endswith("Tally")
        for name, hint in typing.get_type_hints(kind).items()
        if holds_float(hint)
    }


def test_every_instant_of_the_state_moves_and_no_duration_does():
    """Built from the types: a new field of the state has to say which of the two it is."""
    state = _filled(s.State)
    before = _floats(state)
    move(state, 1000.0)
    after = _floats(state)
    assert {name for name in before if before[name] != after[name]} == float_fields() - DURATIONS
    assert all(after[name] == [value + 1000.0 for value in before[name]] for name in float_fields() - DURATIONS)


def _filled(kind: object):
    """A value with something in every place."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, TenantConfiguration):
        return TenantConfiguration(tenant=TenantId("acme"))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: _filled(hint) for name, hint in typing.get_type_hints(kind).items()})
    if isinstance(kind, typing.NewType) or kind is str:
        return "name"
    if origin is dict:
        return {_filled(arguments[0]): _filled(arguments[1])}
    if origin is list:
        return [_filled(arguments[0])]
    if origin is tuple:
        return tuple(_filled(one) for one in arguments if one is not Ellipsis)
    if origin is typing.Literal:
        return arguments[0]
    if arguments:  # a union: the part that is not None
        return _filled(next(one for one in arguments if one is not type(None)))
    if kind is float:
        return 500.0
    if kind is int:
        return 7
    if kind is bool:
        return False
    return next(iter(kind))  # type: ignore[call-overload] - a state machine's enum


def _floats(state: s.State) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}

    def walk(value: object, where: str) -> None:
        if isinstance(value, float):
            found.setdefault(where, []).append(value)
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                walk(getattr(value, name), f"{type(value).__name__}.{name}")
        elif isinstance(value, dict):
            for one in value.values():
                walk(one, where)
        elif isinstance(value, list | tuple):
            for one in value:
                walk(one, where)

    walk(state, "State")
    return found


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 400 * 86400.0, -400 * 86400.0])
def test_a_story_goes_on_as_if_nothing_had_been_set(by_s):
    """The same inputs, once with the clock set in between: the same events follow, as much later or earlier."""
    plain, stepped = _story(None), _story(by_s)
    told = [[(entry.now, event) for event in entry.events] for entry in stepped.journal if not isinstance(entry.input, inp.ClockStepped)]
    moved = [entry.now for entry in plain.journal]
    assert [[type(event) for _, event in one] for one in told] == [[type(event) for event in entry.events] for entry in plain.journal]
    at = next(number for number, entry in enumerate(stepped.journal) if isinstance(entry.input, inp.ClockStepped))
    assert [entry.now for entry in stepped.journal[at + 1 :]] == pytest.approx([now + by_s for now in moved[at:]])
    entries = stepped.journal
    assert redrive(entries, stepped.engine.tenant) is None
    assert fold(entries, stepped.engine.tenant).state_hash() == stepped.engine.state_hash()


def _story(by_s: float | None) -> Shell:
    shell = open_house()
    call(shell, name="c1")
    call(shell, name="c2")
    shell.run(10)
    if by_s is not None:
        shell.now += by_s
        shell.agenda = [(at + by_s, ticket, fact) for at, ticket, fact in shell.agenda]
        shell.send(inp.ClockStepped(by_s=by_s))
    shell.run(300)
    return shell


def test_business_hours_are_those_of_the_clock_that_holds():
    """T0 is a Sunday afternoon in Berlin; Monday to Friday, 9 to 17. An hour of nothing, then the clock is set to Monday noon."""
    week = Schedule(id=ScheduleId("week"), openings=tuple(Opening(weekday=day, opens=540, closes=1020) for day in range(5)))
    engine = Engine(TenantId("acme"))
    configuration = house(queues=(queue(schedule=week.id),), schedules=(week,))
    engine.handle(inp.Configured(configuration=configuration), T0)
    assert engine.state.queues["support"].state == "closed"
    monday_noon = T0 + 19 * 3600
    engine.handle(inp.ClockStepped(by_s=19 * 3600), monday_noon)
    assert engine.state.queues["support"].state == "open"
