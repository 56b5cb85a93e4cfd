"""What the set-up of telephony tells of: that something of it is otherwise, not how."""

from __future__ import annotations

from api.kit.outbox import EventType, Payload


class SetupRef(Payload):
    key: str
    """`queue/sales`: kind and id."""
    kind: str
    id: str
    version: int


CREATED = EventType(
    "setup.created", "An agent, queue, menu, number, schedule, site, trunk, reason or sound was added.", SetupRef, "key", "setup:read"
)
CHANGED = EventType("setup.changed", "One of them, or the general or dialling set-up, is otherwise now.", SetupRef, "key", "setup:read")
DELETED = EventType("setup.deleted", "One of them was removed.", SetupRef, "key", "setup:read")
EVENTS = (CREATED, CHANGED, DELETED)
BY_ACT = {"created": CREATED, "changed": CHANGED, "deleted": DELETED}
