"""Kinds of domain events: name, description, typed payload (pure). Names are `<noun>.<past participle>` and never change their meaning.

A payload carries ids, states, times and sums, and no name, number or text of a person: whoever is told fetches those, with the rights and
in the audit of whoever fetches. So nothing of an event has to be erased when a person is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


def _open(schema: dict[str, Any]) -> None:
    """We write no other members; that is no promise."""
    schema.pop("additionalProperties", None)


class Payload(BaseModel):
    """What an event says. Members may come later, none goes or changes: receivers ignore what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_open)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """We write no member that is not declared; receivers are not told that there will never be another."""
        said = handler(schema)
        handler.resolve_ref_schema(said).pop("additionalProperties", None)
        return said


P = TypeVar("P", bound=Payload)


@dataclass(frozen=True, slots=True)
class EventType(Generic[P]):
    """One kind.

    Args:
        named_by: the member of the payload that says which one it is of; with the noun it is the event's subject.
        shown_by: the permission under which everybody else sees what it tells of: a webhook is no way around it.
        source: `requests` write each one; `calls` are written only while somebody wants the kind, since there are many.
    """

    name: str
    description: str
    payload: type[P]
    named_by: str
    shown_by: str
    source: Literal["requests", "calls"] = "requests"

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the payload as it is told: sums are decimal text."""
        return self.payload.model_json_schema(mode="serialization")

    def subject(self, payload: P) -> str:
        """What events are in order of: `ticket:7`."""
        return f"{self.name.partition('.')[0]}:{getattr(payload, self.named_by)}"[:200]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that is true, as subscribers are told it."""

    id: str
    """The same however often it is told: an idempotency key."""
    kind: str
    subject: str
    at: datetime
    data: Mapping[str, Any]


class Catalogue:
    """All kinds there are."""

    def __init__(self, kinds: Iterable[EventType[Any]] = ()) -> None:
        """Raises: ValueError: two have one name."""
        self._kinds: dict[str, EventType[Any]] = {}
        for one in kinds:
            if one.name in self._kinds:
                raise ValueError(f"two kinds of events are called {one.name}")
            self._kinds[one.name] = one

    def __iter__(self) -> Iterator[EventType[Any]]:
        return iter(self._kinds.values())

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def __getitem__(self, name: str) -> EventType[Any]:
        return self._kinds[name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._kinds)


def event_id(*what: object) -> str:
    """The same id for what is the same, however often it is read from its source: 128 bits of a hash."""
    return hashlib.sha256("\x00".join(map(str, what)).encode()).hexdigest()[:32]


def row_of(kind: EventType[P], payload: P, at: datetime, event: str) -> dict[str, Any]:
    """An event as its table has it.

    Args:
        event: its id.
    """
    return {"id": event, "at": at, "kind": kind.name, "subject": kind.subject(payload), "document": payload.model_dump(mode="json")}
