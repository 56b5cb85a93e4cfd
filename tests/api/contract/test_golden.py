"""Version 1 only grows: what was promised stays as it is written in `tests/vectors/contract/1`."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from acd.core import events as ev
from api.contract import events
from tests.api.contract import golden


def test_schemas_and_documents_are_those_that_are_written_down() -> None:
    """When this fails: `python -m tests.api.contract.golden`, which refuses what no client of today could read."""
    wrong = golden.forgotten(events.FROM_JOURNAL, events.KINDS.values())
    assert not wrong, "\n".join(wrong)
    for path, now in ((golden.SCHEMAS, golden.components()), (golden.DOCUMENTS, golden.documents())):
        there = golden.read(path)
        others = sorted(name for name in now.keys() | there.keys() if now.get(name) != there.get(name))
        assert not others, f"{path.name} has {', '.join(others)} otherwise, or not at all: python -m tests.api.contract.golden"


def test_half_an_event_is_named_before_anything_is_written() -> None:
    rows, kinds = dict(events.FROM_JOURNAL), list(events.KINDS.values())
    assert golden.forgotten(rows, kinds) == []
    assert golden.forgotten(rows, [one for one in kinds if one is not events.TrunkUp]) == [
        "api/contract/events.py: TrunkUp has a row in FROM_JOURNAL and no place in `_Kinds`"
    ]
    del rows[ev.TrunkUp]
    assert golden.forgotten(rows, kinds) == [
        "api/contract/events.py: TrunkUp has no row in FROM_JOURNAL: its public class, or None if nobody outside is told",
        "api/contract/events.py: TrunkUp is in `_Kinds`, and no row of FROM_JOURNAL leads to it",
    ]


def schemas() -> dict[str, Any]:
    return {
        "Kind": {
            "title": "Kind",
            "type": "object",
            "properties": {"name": {"type": "string"}, "of": {"type": "string", "enum": ["a", "b"]}, "at": {"type": "number"}},
            "required": ["name", "of"],
        },
        "Shut": {"title": "Shut", "type": "object", "properties": {}, "required": [], "additionalProperties": False},
        "Any": {"oneOf": [{"$ref": "#/components/schemas/Kind"}]},
    }


def field(name: str, schema: dict[str, Any] | None) -> Any:
    def change(found: dict[str, Any]) -> None:
        if schema is None:
            del found["Kind"]["properties"][name]
        else:
            found["Kind"]["properties"][name] = schema

    return change


@pytest.mark.parametrize(
    "change",
    [
        field("more", {"type": "string"}),
        field("name", {"type": "string", "description": "Its name."}),
        field("of", {"type": "string", "enum": ["a", "b", "c"]}),
        lambda found: found["Kind"]["required"].append("at"),
        lambda found: found["Any"]["oneOf"].append({"$ref": "#/components/schemas/Other"}),
        lambda found: found.update(Other={"type": "object"}),
        lambda found: found["Shut"].pop("additionalProperties"),
    ],
)
def test_it_may_grow(change: Any) -> None:
    new = copy.deepcopy(schemas())
    change(new)
    assert list(golden.breaches(schemas(), new)) == []


@pytest.mark.parametrize(
    "change",
    [
        field("name", None),
        field("at", {"type": "string"}),
        field("at", {"anyOf": [{"type": "number"}, {"type": "null"}]}),
        field("of", {"type": "string", "enum": ["a", "c"]}),
        field("at", {"type": "number", "minimum": 0}),
        lambda found: found["Kind"]["required"].remove("of"),
        lambda found: found["Any"]["oneOf"].clear(),
        lambda found: found.pop("Kind"),
        lambda found: found["Kind"].update(additionalProperties=False),
    ],
)
def test_nothing_else_may_change(change: Any) -> None:
    new = copy.deepcopy(schemas())
    change(new)
    assert list(golden.breaches(schemas(), new)) != []


def test_a_document_keeps_what_it_had() -> None:
    old = {"name": "x", "list": [{"at": 1}]}
    assert list(golden.lost(old, {"name": "x", "list": [{"at": 1, "more": 2}], "new": None})) == []
    for new in ({"name": "x"}, {"name": "y", "list": [{"at": 1}]}, {"name": "x", "list": [{"at": "1"}]}, {"name": "x", "list": []}):
        assert list(golden.lost(old, new)) != []
