"""What the CRM takes in and tells."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from api.kit.numbers import E164
from api.kit.schema import Given, Long, Name, Short, Told


class ContactGiven(Given):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Erika Muster", "company": "Muster AG", "numbers": ["089 1234567"]}]}
    )

    name: Name
    company: Short | None = None
    email: Short | None = None
    numbers: Annotated[tuple[E164, ...], Field(max_length=20)] = ()
    """In any notation; kept in E.164."""
    note: Long = ""


class ContactTold(Told):
    id: str
    name: str
    company: str | None
    email: str | None
    numbers: list[str]
    note: str
    created_at: datetime
    changed_at: datetime
