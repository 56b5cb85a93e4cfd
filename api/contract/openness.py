"""Answers are open: within a version further fields may come in whatever is told (docs/api/contract.md), so no schema of an answer may
forbid what it does not name. Requests stay closed: a misspelt member is refused, and the document says so.

Our models refuse unknown members in both directions, which finds our own mistakes; what that says of answers is taken out of the document.
A component that is given and told keeps its name for what is given, and is told as one of its own: `Hours`, and `HoursTold`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from api.contract.kit import REFERENCE

_REFERENCES = re.compile(re.escape(REFERENCE.format(name="")) + r"([A-Za-z0-9._-]+)")


def open_answers(document: dict[str, Any]) -> None:
    """Open all that an answer of this OpenAPI document can hold.

    Raises: ValueError: what is given and told needs a second name, and another component has it.
    """
    schemas: dict[str, Any] = document["components"]["schemas"]
    operations = [one for some in document["paths"].values() for one in some.values()]
    told = reached(schemas, *(one["responses"] for one in operations))
    given = reached(schemas, *([one.get("requestBody"), one.get("parameters")] for one in operations))
    names = {name: f"{name}Told" for name in told & given if is_closed(_whole(schemas, name))}
    if taken := sorted(names.values() & schemas.keys()):
        raise ValueError(f"there are two components {', '.join(taken)}")
    for name in sorted(told):
        found = opened(_renamed(schemas[name], names))
        if name in names:
            schemas[names[name]] = {**found, "title": names[name]}
        elif name not in given:
            schemas[name] = found
    for one in operations:
        one["responses"] = opened(_renamed(one["responses"], names))


def reached(schemas: Mapping[str, Any], *nodes: Any) -> set[str]:
    """The components that these nodes refer to, and those refer to."""
    found: set[str] = set()
    new = set(_references(nodes))
    while new:
        found |= new
        new = set(_references([schemas[name] for name in new])) - found
    return found


def is_closed(node: Any) -> bool:
    """Whether some object of a schema forbids what it does not name."""
    if isinstance(node, list | tuple):
        return any(map(is_closed, node))
    return isinstance(node, dict) and (_closes(node) or any(map(is_closed, node.values())))


def opened(node: Any) -> Any:
    """The same, and no object in it forbids what it does not name."""
    if isinstance(node, list):
        return [opened(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {key: opened(one) for key, one in node.items() if not (key == "additionalProperties" and one is False)}


def _closes(node: Mapping[str, Any]) -> bool:
    return node.get("additionalProperties") is False


def _whole(schemas: Mapping[str, Any], name: str) -> list[Any]:
    return [schemas[name], *(schemas[one] for one in reached(schemas, schemas[name]))]


def _references(node: Any) -> Iterable[str]:
    if isinstance(node, str):
        found = _REFERENCES.fullmatch(node)
        return [] if found is None else [found[1]]
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return [name for one in inner for name in _references(one)]


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The same, with references to these components leading to those; a discriminator's mapping has them too."""
    if isinstance(node, str) and (found := _REFERENCES.fullmatch(node)) is not None:
        return REFERENCE.format(name=names.get(found[1], found[1]))
    if isinstance(node, list):
        return [_renamed(one, names) for one in node]
    return {key: _renamed(one, names) for key, one in node.items()} if isinstance(node, dict) else node
