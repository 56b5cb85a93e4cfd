"""All SQL of tickets."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.tickets.models import Ticket, TicketCounter


async def next_number(session: AsyncSession) -> int:
    """Raise the counter: the row stays locked until the transaction ends, so numbers are unique and without a gap."""
    await session.execute(update(TicketCounter).where(TicketCounter.id == "ticket").values(value=TicketCounter.value + 1))
    number = await session.scalar(select(TicketCounter.value).where(TicketCounter.id == "ticket"))
    assert number is not None, "the migration makes the row"
    return number


async def get(session: AsyncSession, number: int) -> Ticket | None:
    return await session.get(Ticket, number)


async def some(session: AsyncSession, limit: int, before: int | None, state: str | None, contact: str | None) -> Sequence[Ticket]:
    statement = select(Ticket)
    if before is not None:
        statement = statement.where(Ticket.number < before)
    if state is not None:
        statement = statement.where(Ticket.state == state)
    if contact is not None:
        statement = statement.where(Ticket.contact == contact)
    return (await session.scalars(statement.order_by(Ticket.number.desc()).limit(limit))).all()


async def unsolved_of(session: AsyncSession, contact: str, limit: int) -> Sequence[Ticket]:
    query = select(Ticket).where(Ticket.contact == contact, Ticket.state != "solved")
    return (await session.scalars(query.order_by(Ticket.number.desc()).limit(limit))).all()
