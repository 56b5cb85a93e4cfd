"""What the CRM tells of."""

from __future__ import annotations

from api.kit.outbox import EventType, Payload


class ContactRef(Payload):
    id: str


CREATED = EventType("contact.created", "A contact was added.", ContactRef, "id", "contacts:read")
CHANGED = EventType(
    "contact.changed", "A contact is otherwise now: name, company, address, numbers or note.", ContactRef, "id", "contacts:read"
)
DELETED = EventType("contact.deleted", "A contact was removed; its tickets stay.", ContactRef, "id", "contacts:read")
EVENTS = (CREATED, CHANGED, DELETED)
BY_ACT = {"created": CREATED, "changed": CHANGED, "deleted": DELETED}
