"""All SQL of the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.calendar.models import Appointment
from api.kit.paging import Cut, cut


async def get(session: AsyncSession, appointment: str) -> Appointment | None:
    return await session.get(Appointment, appointment)


async def some(session: AsyncSession, page: Cut, contact: str | None) -> Sequence[Appointment]:
    statement = select(Appointment)
    if contact is not None:
        statement = statement.where(Appointment.contact == contact)
    return (await session.scalars(cut(statement, Appointment.id, page))).all()


async def next_of(session: AsyncSession, contact: str, now: datetime) -> Appointment | None:
    query = select(Appointment).where(Appointment.contact == contact, Appointment.ends_at > now)
    return await session.scalar(query.order_by(Appointment.starts_at, Appointment.id).limit(1))
