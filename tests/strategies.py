"""Any value of a declared type, for Hypothesis: structs field by field, by their own type hints, so that a new word needs nothing here."""

from __future__ import annotations

import datetime as dt
import enum
import types
import typing
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NewType, Union

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

LEAST, MOST = -(2**63), 2**64 - 1
"""The integers of MessagePack."""

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
"""JSON has no others (RFC 8259 §6), and nothing here is without end."""
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
BUILT_IN: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(LEAST, MOST) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
"""What a field of `Any` may hold: it has no type to be read as, so these are all that come back as what they were."""

_PLAIN: Mapping[Any, SearchStrategy[Any]] = {
    Any: BUILT_IN,
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(LEAST, MOST),
    float: FLOATS,
    bytes: st.binary(max_size=12),
    type(None): st.none(),
    None: st.none(),
    dt.date: st.dates(),
    dt.datetime: st.datetimes(timezones=st.just(dt.UTC)),
    Decimal: st.decimals(-(10**9), 10**9, places=4, allow_nan=False),
}


@cache
def values_of(kind: Any) -> SearchStrategy[Any]:
    """Strategy for one type.

    Raises: TypeError: a type that nothing is known of.
    """
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, NewType):
        return values_of(kind.__supertype__)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    return _compound(typing.get_origin(kind), typing.get_args(kind), kind)


def _struct(kind: type[msgspec.Struct]) -> SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.deferred(lambda: st.builds(kind, **{name: values_of(hints[name]) for name in kind.__struct_fields__}))


def _compound(origin: Any, arguments: tuple[Any, ...], kind: Any) -> SearchStrategy[Any]:
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in {Union, types.UnionType}:
        return st.one_of(*map(values_of, arguments))
    if origin is tuple and arguments[-1:] == (...,):
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=2)
    if origin in {set, frozenset}:
        return st.sets(values_of(arguments[0]), max_size=2).map(origin)
    if origin in {dict, Mapping}:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
    raise TypeError(f"no values are known of {kind}")
