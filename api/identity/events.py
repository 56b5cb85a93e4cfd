"""What identity tells of: people who may log in, by their user names."""

from __future__ import annotations

from api.kit.outbox import EventType, Payload


class UserRef(Payload):
    id: str
    role: str


class UserGone(Payload):
    id: str


CREATED = EventType("user.created", "Somebody may log in.", UserRef, "id", "users:read")
CHANGED = EventType(
    "user.changed", "A user has another name, role, agent or state; passwords are told of to nobody.", UserRef, "id", "users:read"
)
DELETED = EventType("user.deleted", "A user was removed.", UserGone, "id", "users:read")
EVENTS = (CREATED, CHANGED, DELETED)
