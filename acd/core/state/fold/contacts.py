"""Contacts of other channels than voice, and what supervisors do with those that wait (a voice contact comes and goes with its call)."""

from __future__ import annotations

from acd.core import events as ev
from acd.core.state import values as s
from acd.core.state.fold.kit import Handlers, Indexes


def contact_opened(fold: Indexes, event: ev.ContactOpened, now: float) -> None:
    fold.state.contacts[event.contact] = s.Contact(
        id=event.contact,
        channel=event.channel,
        customer=event.customer,
        language=event.language,
        began_at=now,
        personal=event.personal,
        priority_s=event.priority_s,
        subject=event.subject,
        text=event.text,
    )


def contact_closed(fold: Indexes, event: ev.ContactClosed, _now: float) -> None:
    del fold.state.contacts[event.contact]


def contact_moved(fold: Indexes, event: ev.ContactMoved, _now: float) -> None:
    contact = fold.state.contacts[event.contact]
    contact.hops = 0


def contact_prioritised(fold: Indexes, event: ev.ContactPrioritised, now: float) -> None:
    contact = fold.state.contacts[event.contact]
    contact.priority_s = event.priority_s
    entry = fold.state.entries.get(contact.entry) if contact.entry is not None else None
    queue = fold.index.queues.get(entry.queue) if entry is not None else None
    if entry is not None and queue is not None:
        fold.prioritise(entry, queue, event.priority_s, now)


def contact_reskilled(fold: Indexes, event: ev.ContactReskilled, now: float) -> None:
    contact = fold.state.contacts[event.contact]
    contact.requirements = event.requirements
    entry = fold.state.entries.get(contact.entry) if contact.entry is not None else None
    queue = fold.index.queues.get(entry.queue) if entry is not None else None
    if entry is not None and queue is not None:
        fold.ask_otherwise(entry, queue, entry.relaxation, now)


HANDLERS: Handlers = {
    ev.ContactOpened: contact_opened,
    ev.ContactClosed: contact_closed,
    ev.ContactMoved: contact_moved,
    ev.ContactPrioritised: contact_prioritised,
    ev.ContactReskilled: contact_reskilled,
}
