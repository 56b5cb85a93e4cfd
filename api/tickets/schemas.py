"""What tickets take in and tell."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import ConfigDict

from api.kit.ids import Slug
from api.kit.schema import Change, Given, Long, Name, Told

State = Literal["open", "waiting", "solved"]


class TicketGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "No dial tone", "text": "Since this morning."}]})

    subject: Name
    text: Long = ""
    contact: Slug | None = None


class TicketChange(Change):
    cleared_by_null: ClassVar[frozenset[str]] = frozenset({"contact"})

    subject: Name | None = None
    text: Long | None = None
    contact: Slug | None = None
    state: State | None = None


class TicketTold(Told):
    number: int
    subject: str
    text: str
    contact: str | None
    state: State
    created_at: datetime
    created_by: str
    changed_at: datetime
