"""Use cases of the CRM: contacts, and who calls from a number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from api.crm import repository
from api.crm.errors import ContactUnknown
from api.crm.models import Contact
from api.crm.schemas import ContactGiven, ContactTold
from api.kit.ids import drawn_id
from api.kit.paging import Cut
from api.kit.preconditions import hold_row, require_match


async def some(session: AsyncSession, page: Cut, number: str | None, text: str | None) -> list[ContactTold]:
    """A page of contacts, and one more; those with the number, those with the text in name or company."""
    return await _told(session, await repository.some(session, page, number, text))


async def get(session: AsyncSession, contact: str) -> ContactTold:
    """One contact.

    Raises: ContactUnknown
    """
    return (await _told(session, [await _row(session, contact)]))[0]


async def by_number(session: AsyncSession, number: str) -> ContactTold | None:
    """Who calls from an E.164 number."""
    found = await repository.by_number(session, number)
    return None if found is None else (await _told(session, [found]))[0]


async def by_line(session: AsyncSession, lines: Sequence[str]) -> ContactTold | None:
    """The company one of whose lines a caller's number is a direct dial of: that of the first line that a company has."""
    for line in lines:
        found = await repository.company_with(session, line)
        if found is not None:
            return (await _told(session, [found]))[0]
    return None


async def create(session: AsyncSession, given: ContactGiven, now: datetime) -> ContactTold:
    """Add a contact."""
    row = Contact(id=drawn_id(), name=given.name, company=given.company, email=given.email, note=given.note, created_at=now, changed_at=now)
    session.add(row)
    await session.flush()
    await repository.set_numbers(session, row.id, given.numbers)
    return await get(session, row.id)


async def replace(
    session: AsyncSession, contact: str, given: ContactGiven, now: datetime, if_match: str | None = None
) -> tuple[ContactTold, bool]:
    """Change a contact; returns whether anything became otherwise.

    Raises: ContactUnknown, Outdated
    """
    await hold_row(session, Contact.id, contact)
    before = await get(session, contact)
    require_match(if_match, before)
    wanted = {**given.model_dump(), "numbers": sorted(set(given.numbers))}
    if before.model_dump(include=set(wanted)) == wanted:
        return before, False
    row = await _row(session, contact)
    row.name, row.company, row.email, row.note, row.changed_at = given.name, given.company, given.email, given.note, now
    await session.flush()
    await repository.set_numbers(session, contact, given.numbers)
    return await get(session, contact), True


async def delete(session: AsyncSession, contact: str, if_match: str | None = None) -> None:
    """Remove a contact. Tickets of it stay, without it; appointments go.

    Raises: ContactUnknown, Outdated
    """
    await hold_row(session, Contact.id, contact)
    require_match(if_match, await get(session, contact))
    row = await _row(session, contact)
    await repository.set_numbers(session, contact, ())
    await session.delete(row)
    await session.flush()


async def _row(session: AsyncSession, contact: str) -> Contact:
    row = await repository.get(session, contact)
    if row is None:
        raise ContactUnknown(contact)
    return row


async def _told(session: AsyncSession, rows: Sequence[Contact]) -> list[ContactTold]:
    numbers = await repository.numbers(session, [row.id for row in rows])
    return [
        ContactTold(
            id=row.id,
            name=row.name,
            company=row.company,
            email=row.email,
            numbers=numbers[row.id],
            note=row.note,
            created_at=row.created_at,
            changed_at=row.changed_at,
        )
        for row in rows
    ]
