"""Which fields of the words hold personal data, and whose: marks in the types, read by whoever seals, shows or erases (GDPR Art. 4, 17).

A marked field holds text (or a document with named texts), so that another text can stand in its place: a sealed one, under a key of the
person's own, needs no other format of the journal. The fold looks into no marked field but for whether two are equal (a phone's contact),
which a seal that gives equal texts for equal ones keeps: a journal whose keys are gone still gives the state
(`tests/acd/core/test_personal.py`). To decide its inputs again needs the keys.

Who is meant: `customer` is the person on the far side of the contact (of the call, leg or contact that the word names), `staff` the agent
or supervisor who acts. Ids of agents, queues and calls are names that the exchange decides by, say nothing outside, and are not marked.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

Whose = Literal["customer", "staff"]

CustomerText = Annotated[str, msgspec.Meta(extra={"personal": "customer"})]
"""A number, an address, a name or words of a customer."""
StaffText = Annotated[str, msgspec.Meta(extra={"personal": "staff"})]
"""A name, an address or a number of somebody who works here."""
CustomerQuote = Annotated[dict[str, Any], msgspec.Meta(extra={"personal": "customer", "texts": ("number",)})]
"""The price of a call to a customer's number (`billing_cdr.quote.Quote`)."""


class Mark(NamedTuple):
    """Of a field."""

    whose: Whose
    texts: tuple[str, ...] = ()
    """Set: the field is a document, and these of its texts are meant."""


@cache
def marks(kind: type[msgspec.Struct]) -> dict[str, Mark]:
    """Field -> its mark, of the fields of a type that have one."""
    found = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        mark = _mark(hint)
        if mark is not None:
            found[name] = mark
    return found


def _mark(hint: Any) -> Mark | None:
    for one in getattr(hint, "__metadata__", ()):
        if isinstance(one, msgspec.Meta) and one.extra and "personal" in one.extra:
            return Mark(one.extra["personal"], tuple(one.extra.get("texts", ())))
    return next((mark for argument in typing.get_args(hint) if (mark := _mark(argument)) is not None), None)


def with_texts(value: Any, change: Callable[[Whose, str], str]) -> Any:
    """A word, or whatever holds words, with every text that is personal changed; the value itself stays as it is."""
    if isinstance(value, msgspec.Struct):
        known = marks(type(value))
        fields = {
            name: _changed(was, known[name], change) if name in known else with_texts(was, change)
            for name in value.__struct_fields__
            if (was := getattr(value, name)) is not None
        }
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, tuple):
        return tuple(with_texts(one, change) for one in value)
    if isinstance(value, list):
        return [with_texts(one, change) for one in value]
    if isinstance(value, dict):
        return {key: with_texts(one, change) for key, one in value.items()}
    return value


def _changed(was: Any, mark: Mark, change: Callable[[Whose, str], str]) -> Any:
    if mark.texts:
        return {key: change(mark.whose, one) if key in mark.texts and isinstance(one, str) else one for key, one in was.items()}
    return change(mark.whose, was)
