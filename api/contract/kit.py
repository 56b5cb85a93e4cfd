"""What every document of the contract is: a frozen value that msgspec writes, pydantic carries, and OpenAPI names.

A type says by its declaration how it is written: every field always, or, with `omit_defaults`, those alone that differ from what is said
when they are left out. Descriptions in the documents are the docstrings, those under fields too.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

REFERENCE = "#/components/schemas/{name}"
MARK = "x-contract"
"""Stands in pydantic's schemas where OpenAPI is to have a reference: pydantic resolves those to its own types only."""


class Public(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all types of the contract. Values hold no cycles: the collector need not look (`gc=False`)."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """An instance is taken as it is, and written by msgspec."""
        del source, handler
        return core_schema.is_instance_schema(cls, serialization=_WRITTEN)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The name of the component."""
        del schema, handler
        return {MARK: cls.__name__}


_WRITTEN = core_schema.plain_serializer_function_ser_schema(msgspec.to_builtins)


class Named:
    """In `Annotated[A | B, Named("Event")]`: a union of public types that is a component of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As of `Public`: who makes the answer makes the values."""
        del source, handler
        return core_schema.is_instance_schema(Public, serialization=_WRITTEN)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The name of the component."""
        del schema, handler
        return {MARK: self._name}


T = TypeVar("T", bound=Public)


def told(kind: type[T], inner: Any) -> T:
    """A value of ours, a struct or a document, as the public type says it: field by field of the same name, the rest stays here.

    Raises: msgspec.ValidationError: a field holds what the contract does not know; `tests/api/contract` proves that of no type.
    """
    return msgspec.convert(inner, kind, from_attributes=True)


# ---------------------------------------------------------------------- as documents


def public_types(base: type[Public] = Public) -> Iterator[type[Public]]:
    """Every type of the contract that was declared, bases of others included."""
    for kind in base.__subclasses__():
        yield kind
        yield from public_types(kind)


def schemas_of(roots: Iterable[type[Public]]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of these types and of all they hold, by name, with what their docstrings say."""
    _, components = msgspec.json.schema_components(list(roots), ref_template=REFERENCE)
    known = {kind.__name__: kind for kind in public_types()}
    return {name: _said(known[name], schema) for name, schema in sorted(components.items())}


def _said(kind: type[Public], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as the type is written: what is never left out is required, and no default is told that clients would fill in."""
    docs = field_docs(kind)
    texts = {one.encode_name: docs.get(one.name) for one in msgspec.structs.fields(kind)}
    properties = {name: _described(one, texts.get(name)) for name, one in schema["properties"].items()}
    for one in properties.values():
        one.pop("default", None)
    required = schema["required"] if kind.__struct_config__.omit_defaults else list(properties)
    said = {"title": schema["title"], "type": "object", "properties": properties, "required": required}
    if kind.__struct_config__.forbid_unknown_fields:  # it is given too; what is told alone may get further fields
        said["additionalProperties"] = False
    text = inspect.getdoc(kind)
    return said if text is None else {**said, "description": text}


def _described(schema: dict[str, Any], text: str | None) -> dict[str, Any]:
    schema = _typed(schema)
    return schema if text is None else {**schema, "description": text}


def _typed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema; a list of words says that they are text, for readers that go by the type."""
    said = {key: [_typed(one) for one in value] if key == "anyOf" else value for key, value in schema.items()}
    return {"type": "string", **said} if all(isinstance(one, str) for one in said.get("enum", [None])) else said


@cache
def field_docs(kind: type[Public]) -> Mapping[str, str]:
    """The docstrings under the fields of a type, those of its bases too."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if issubclass(one, Public):
            found |= _docs_in(one.__module__).get(one.__name__, {})
    return found


@cache
def _docs_in(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> the text under it, read from the source; none where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    return {one.name: dict(_texts(one.body)) for one in tree.body if isinstance(one, ast.ClassDef)}


def _texts(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, after in pairwise(body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
            case _:
                pass
