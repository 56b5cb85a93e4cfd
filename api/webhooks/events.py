"""The event by which an administrator sees whether an endpoint hears us."""

from __future__ import annotations

from api.kit.outbox import EventType, Payload


class WebhookRef(Payload):
    endpoint: str


TEST = EventType(
    "webhook.test", "To see whether an endpoint hears us; it comes to that one alone.", WebhookRef, "endpoint", "webhooks:read"
)
EVENTS = (TEST,)
