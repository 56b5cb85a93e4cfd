"""What webhooks take in and tell."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StringConstraints

from api.kit.schema import Given, Short, Told

EventName = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z_]+\.[a-z_]+)$", max_length=64)]
DeliveryState = Literal["pending", "delivered", "dead"]


class WebhookGiven(Given):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://crm.example.org/fernamt", "events": ["ticket.created", "cdr.rated"]}]}
    )

    url: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    """`https`, unless the operator allows `http`."""
    events: Annotated[tuple[EventName, ...], Field(min_length=1, max_length=100)]
    """Kinds of `GET /api/v1/event-types`; `*`: all, those that come later too."""
    description: Short = ""
    active: StrictBool = True
    """Nothing is sent while it is not, and what happens meanwhile is not sent later."""


class WebhookTold(Told):
    id: str
    url: str
    events: list[str]
    description: str
    active: bool
    created_at: datetime
    changed_at: datetime
    taken_at: datetime | None
    """When it took something last."""
    failing_since: datetime | None
    """Everything since then has failed."""
    disabled_at: datetime | None
    disabled_because: str | None
    """Why it is not active though nobody turned it off."""
    old_secret_until: datetime | None
    """So long it is signed with the secret before, too."""


class WebhookCreated(WebhookTold):
    secret: str
    """Shown this once; it is kept sealed."""


class WebhookSecret(Told):
    secret: str
    """Shown this once."""
    old_secret_until: datetime


class DeliveryTold(Told):
    id: str
    event: str
    """What comes as `webhook-id`."""
    kind: str
    subject: str
    state: DeliveryState
    created_at: datetime
    tries: int
    tried_at: datetime | None
    next_try_at: datetime | None = None
    status: int | None
    duration_ms: int | None
    error: str | None
    excerpt: str | None
    """The beginning of the answer, without what cannot be seen."""


class Replayed(Told):
    deliveries: int


class EventTypeTold(Told):
    name: str
    description: str
    source: Literal["requests", "calls"]
    payload: dict[str, Any]
    """JSON Schema of `data`."""


class EventTypes(Told):
    items: list[EventTypeTold]
