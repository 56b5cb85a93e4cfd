"""Version 1 only grows: what was promised stays as it is written in `tests/vectors/contract/1`."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.api.contract import golden


def test_schemas_and_documents_are_those_that_are_written_down() -> None:
    """When this fails: `python -m tests.api.contract.golden`, which refuses what no client of today could read."""
    assert golden.read(golden.SCHEMAS) == golden.components()
    assert golden.read(golden.DOCUMENTS) == golden.documents()


def schemas() -> dict[str, Any]:
    return {
        "Kind": {
            "title": "Kind",
            "type": "object",
            "properties": {"name": {"type": "string"}, "of": {"type": "string", "enum": ["a", "b"]}, "at": {"type": "number"}},
            "required": ["name", "of"],
        },
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
