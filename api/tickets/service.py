"""Use cases of tickets. There is no deleting (DESIGN.md §8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from api.crm import get as get_contact
from api.errors import NotFound
from api.kit.preconditions import hold_row, require_match
from api.tickets import repository
from api.tickets.errors import NoSuchContact, TicketUnknown
from api.tickets.models import Ticket
from api.tickets.schemas import TicketChange, TicketGiven, TicketTold


async def some(session: AsyncSession, limit: int, before: int | None, state: str | None, contact: str | None) -> Sequence[Ticket]:
    """Tickets, the newest first."""
    return await repository.some(session, limit, before, state, contact)


async def get(session: AsyncSession, number: int) -> Ticket:
    """One ticket.

    Raises: TicketUnknown
    """
    found = await repository.get(session, number)
    if found is None:
        raise TicketUnknown(number)
    return found


async def unsolved_of(session: AsyncSession, contact: str, limit: int = 10) -> Sequence[Ticket]:
    """Unsolved tickets of a contact, the newest first."""
    return await repository.unsolved_of(session, contact, limit)


async def create(session: AsyncSession, given: TicketGiven, who: str, now: datetime) -> Ticket:
    """Open a ticket under the next number.

    Raises: NoSuchContact
    """
    await _check(session, given.contact)
    number = await repository.next_number(session)
    row = Ticket(
        number=number,
        subject=given.subject,
        text=given.text,
        contact=given.contact,
        state="open",
        created_at=now,
        created_by=who,
        changed_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def change(
    session: AsyncSession, number: int, given: TicketChange, now: datetime, if_match: str | None = None
) -> tuple[Ticket, bool]:
    """Change what is given; returns whether anything became otherwise.

    Raises: TicketUnknown, NoSuchContact, Outdated
    """
    await hold_row(session, Ticket.number, number)
    row = await get(session, number)
    require_match(if_match, TicketTold.model_validate(row))
    before = (row.contact, row.subject, row.text, row.state)
    if "contact" in given.model_fields_set and given.contact != row.contact:
        await _check(session, given.contact)
        row.contact = given.contact
    row.subject = given.subject if given.subject is not None else row.subject
    row.text = given.text if given.text is not None else row.text
    row.state = given.state if given.state is not None else row.state
    if (row.contact, row.subject, row.text, row.state) == before:
        return row, False
    row.changed_at = now
    await session.flush()
    return row, True


async def _check(session: AsyncSession, contact: str | None) -> None:
    if contact is None:
        return
    try:
        await get_contact(session, contact)
    except NotFound:
        raise NoSuchContact(contact) from None
