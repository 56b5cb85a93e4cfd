"""All SQL of the CRM."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.crm.models import Contact, ContactNumber
from api.kit.paging import Cut, cut


async def get(session: AsyncSession, contact: str) -> Contact | None:
    return await session.get(Contact, contact)


async def some(session: AsyncSession, page: Cut, number: str | None, text: str | None) -> Sequence[Contact]:
    statement = select(Contact)
    if number is not None:
        statement = statement.where(Contact.id.in_(select(ContactNumber.contact).where(ContactNumber.number == number)))
    if text is not None:
        statement = statement.where(or_(Contact.name.icontains(text, autoescape=True), Contact.company.icontains(text, autoescape=True)))
    return (await session.scalars(cut(statement, Contact.id, page))).all()


async def by_number(session: AsyncSession, number: str) -> Contact | None:
    """The contact changed last, of those who have the number."""
    query = select(Contact).join(ContactNumber, ContactNumber.contact == Contact.id).where(ContactNumber.number == number)
    return await session.scalar(query.order_by(Contact.changed_at.desc(), Contact.id).limit(1))


async def company_with(session: AsyncSession, number: str) -> Contact | None:
    """The contact of a company changed last, of those who have the number."""
    query = select(Contact).join(ContactNumber, ContactNumber.contact == Contact.id).where(ContactNumber.number == number)
    named = query.where(Contact.company.is_not(None), Contact.company != "")
    return await session.scalar(named.order_by(Contact.changed_at.desc(), Contact.id).limit(1))


async def numbers(session: AsyncSession, contacts: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {contact: [] for contact in contacts}
    query = select(ContactNumber).where(ContactNumber.contact.in_(contacts)).order_by(ContactNumber.number)
    for row in await session.scalars(query):
        found[row.contact].append(row.number)
    return found


async def set_numbers(session: AsyncSession, contact: str, wanted: Sequence[str]) -> None:
    await session.execute(delete(ContactNumber).where(ContactNumber.contact == contact))
    session.add_all(ContactNumber(contact=contact, number=number) for number in dict.fromkeys(wanted))
    await session.flush()
