"""What the calendar tells of."""

from __future__ import annotations

from datetime import datetime

from api.calendar.models import Appointment
from api.kit.outbox import EventType, Payload


class AppointmentRef(Payload):
    id: str
    contact: str
    starts_at: datetime
    ends_at: datetime


class AppointmentGone(Payload):
    id: str


CREATED = EventType("appointment.created", "An appointment was made.", AppointmentRef, "id", "appointments:read")
CHANGED = EventType("appointment.changed", "An appointment has another time, title or contact.", AppointmentRef, "id", "appointments:read")
DELETED = EventType("appointment.deleted", "An appointment was called off.", AppointmentGone, "id", "appointments:read")
EVENTS = (CREATED, CHANGED, DELETED)


def ref(row: Appointment) -> AppointmentRef:
    """An appointment as events tell it."""
    return AppointmentRef(id=row.id, contact=row.contact, starts_at=row.starts_at, ends_at=row.ends_at)
