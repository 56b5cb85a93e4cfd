"""What voice service and platform say to each other: all of it can travel, every message is asked and answered, errors come back whole."""

import ast
import inspect
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec import inspect as types

from acd import client, refusals, service, serving
from acd.bus.codec import reply_of
from acd.bus.protocol import Request
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.ids import AgentId, TenantId
from acd.errors import (
    CannotStart,
    DialRefused,
    DirectoryInUse,
    JournalAhead,
    JournalDamaged,
    JournalStopped,
    NoSuchNumber,
    PhoneRefused,
    PriceRefused,
    VoiceServiceError,
)
from acd.service import CheckPin, LiveEvent, Requests, TenantState, codec
from billing_cdr.errors import Outage, Unreachable

ALL = get_args(Requests)
OF_THE_PLATFORM = {service.WhoIs, service.CheckPin}


def test_every_request_that_is_declared_can_be_said() -> None:
    declared = {
        one for one in vars(service).values() if inspect.isclass(one) and issubclass(one, Request) and one.__module__ == service.__name__
    }
    assert declared == set(ALL)


@pytest.mark.parametrize("kind", [*ALL, LiveEvent, TenantState], ids=lambda kind: kind.__name__)
def test_no_message_holds_what_cannot_be_written(kind: type) -> None:
    """An engine, a callable or a future would be a custom type to msgspec."""
    parts = [kind, *([reply_of(kind)] if issubclass(kind, Request) else [])]
    foreign = [one for part in parts for one in _all_types(types.type_info(part)) if isinstance(one, types.CustomType)]
    assert foreign == []


def _all_types(found: types.Type, seen: set[int] | None = None) -> list[types.Type]:
    seen = set() if seen is None else seen
    if id(found) in seen:
        return []
    seen.add(id(found))
    inner: list[types.Type] = []
    for name in getattr(found, "__struct_fields__", ()):
        value = getattr(found, name)
        for one in value if isinstance(value, tuple) else (value,):
            part = one.type if isinstance(one, types.Field) else one
            if isinstance(part, types.Type):
                inner += _all_types(part, seen)
    return [found, *inner]


def test_every_request_has_a_method_that_asks_and_one_that_answers() -> None:
    asked = {node.id for node in ast.walk(ast.parse(Path(client.__file__).read_text())) if isinstance(node, ast.Name)}
    answered = {node.id for node in ast.walk(ast.parse(Path(serving.__file__).read_text())) if isinstance(node, ast.Name)}
    for kind in set(ALL) - OF_THE_PLATFORM:
        assert kind.__name__ in asked & answered


ERRORS = [
    IllegalTransition("agent", "not_ready", "Pick", "the agent may not pick"),
    IllegalTransition("call", "held", "Hold"),
    UnknownName("queue", "sales"),
    NoSuchNumber("77"),
    DialRefused("budget", "12.40 of 10.00 EUR are used up"),
    DialRefused("not_allowed", "premium numbers are not allowed"),
    PriceRefused("no price for +8821"),
    PhoneRefused("the phone said 486"),
    JournalStopped("tenant acme: journal-1.log is gone"),
    JournalDamaged("journal-1.log, offset 17: no entry"),
    JournalAhead("two days"),
    CannotStart("restore it"),
    VoiceServiceError("something"),
    Unreachable("database acme", Outage(reason="Connect call failed", writes_only=True)),
    FileNotFoundError(2, "No such file or directory", "/data/journal-1.log"),
    OSError(28, "No space left on device"),
    OSError("the journal's disk is full"),
    ValueError("agents: one\nqueues: two"),
    RuntimeError("3 CDRs could not be saved"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__} {error}"[:40])
def test_an_error_that_crosses_is_raised_again_as_what_it_is(error: Exception) -> None:
    words = codec()
    with pytest.raises(type(error)) as raised:
        words.read_reply(service.Troubles(), words.refused(error))
    assert type(raised.value) is type(error)
    assert str(raised.value) == str(error)
    assert {name: value for name, value in vars(raised.value).items() if not name.startswith("__")} == vars(error)
    assert getattr(raised.value, "errno", None) == getattr(error, "errno", None)


def test_every_error_of_the_shell_has_its_word() -> None:
    """One that has none would come back as the nearest of its bases: `DirectoryInUse` does, at a start, and crosses no bus."""
    tree, known = [VoiceServiceError], set()
    while tree:
        kind = tree.pop()
        known.add(kind)
        tree += [one for one in kind.__subclasses__() if one.__module__ == "acd.errors"]
    assert known - refusals._TABLE.keys() == {DirectoryInUse, *(one for one in known if one.__name__ == "StreamOverrun")}


def test_a_defect_is_no_refusal() -> None:
    assert refusals.refusal_of(KeyError("leg")) is None


def test_a_pin_is_not_shown() -> None:
    asked = CheckPin(tenant=TenantId("acme"), agent=AgentId("anna"), at=AgentId("ben"), pin="4711")
    assert "4711" not in f"{asked!r} {asked}"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=CheckPin) == asked
