"""What a family of msgspec types looks like on disk: names, fields, types, in order; and its fingerprint (house).

Whatever is kept in a shape that may change carries the fingerprint of it, so that octets of yesterday's are never read as today's.
"""

from __future__ import annotations

import hashlib
import json
import typing
from typing import Any

import msgspec

from acd.core.personal import marks


def shapes(*roots: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """Name of every struct that can be reached from the roots -> its fields in order: type, whether it must be there, whose data it is."""
    kinds: dict[str, type] = {}

    def walk(kind: Any) -> None:
        for argument in typing.get_args(kind):
            walk(argument)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in kinds:
            kinds[kind.__name__] = kind
            for hint in typing.get_type_hints(kind).values():
                walk(hint)

    for root in roots:
        walk(root)
    return {name: _fields(kind) for name, kind in sorted(kinds.items())}


def fingerprint(*roots: Any) -> str:
    """Sha256 of the shapes, hexadecimal, 16 digits of it."""
    return hashlib.sha256(json.dumps(shapes(*roots)).encode()).hexdigest()[:16]


def _fields(kind: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    hints, personal = typing.get_type_hints(kind), marks(kind)
    return {
        one.name: {"type": _name(hints[one.name]), "required": one.required}
        | ({"personal": personal[one.name].whose} if one.name in personal else {})
        for one in msgspec.structs.fields(kind)
    }


def _name(hint: Any) -> str:
    """A type as written, without modules."""
    if isinstance(hint, typing.NewType):
        return _name(hint.__supertype__)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(sorted(map(repr, arguments)))
    if origin is None:
        return "None" if hint is type(None) else str(getattr(hint, "__name__", hint))
    names = [("..." if one is Ellipsis else _name(one)) for one in arguments]
    if origin in {dict, list, tuple, set, frozenset}:
        return f"{origin.__name__}[{', '.join(names)}]"
    return " | ".join(sorted(names))
