"""What tickets tell of."""

from __future__ import annotations

from api.kit.outbox import EventType, Payload
from api.tickets.models import Ticket


class TicketRef(Payload):
    number: int
    state: str
    contact: str | None


CREATED = EventType("ticket.created", "A ticket was opened.", TicketRef, "number", "tickets:read")
CHANGED = EventType("ticket.changed", "A ticket is otherwise now: state, subject, text or contact.", TicketRef, "number", "tickets:read")
EVENTS = (CREATED, CHANGED)


def ref(row: Ticket) -> TicketRef:
    """A ticket as events tell it."""
    return TicketRef(number=row.number, state=row.state, contact=row.contact)
