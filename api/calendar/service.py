"""Use cases of the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from api.calendar import repository
from api.calendar.errors import AppointmentUnknown, NoSuchContact
from api.calendar.models import Appointment
from api.calendar.schemas import AppointmentGiven, AppointmentTold
from api.crm import get as get_contact
from api.errors import NotFound
from api.kit.ids import drawn_id
from api.kit.paging import Cut
from api.kit.preconditions import hold_row, require_match


async def some(session: AsyncSession, page: Cut, contact: str | None) -> Sequence[Appointment]:
    """A page of appointments, and one more."""
    return await repository.some(session, page, contact)


async def get(session: AsyncSession, appointment: str) -> Appointment:
    """One appointment.

    Raises: AppointmentUnknown
    """
    found = await repository.get(session, appointment)
    if found is None:
        raise AppointmentUnknown(appointment)
    return found


async def next_of(session: AsyncSession, contact: str, now: datetime) -> Appointment | None:
    """The contact's appointment that runs or comes next."""
    return await repository.next_of(session, contact, now)


async def create(session: AsyncSession, given: AppointmentGiven, now: datetime) -> Appointment:
    """Make an appointment.

    Raises: NoSuchContact
    """
    await _check(session, given.contact)
    row = Appointment(id=drawn_id(), created_at=now, **given.model_dump())
    session.add(row)
    await session.flush()
    return row


async def replace(
    session: AsyncSession, appointment: str, given: AppointmentGiven, if_match: str | None = None
) -> tuple[Appointment, bool]:
    """Change an appointment; returns whether anything became otherwise.

    Raises: AppointmentUnknown, NoSuchContact, Outdated
    """
    row = await _held(session, appointment, if_match)
    wanted = (given.contact, given.title, given.starts_at, given.ends_at)
    if (row.contact, row.title, row.starts_at, row.ends_at) == wanted:
        return row, False
    await _check(session, given.contact)
    row.contact, row.title, row.starts_at, row.ends_at = wanted
    await session.flush()
    return row, True


async def delete(session: AsyncSession, appointment: str, if_match: str | None = None) -> None:
    """Call an appointment off.

    Raises: AppointmentUnknown, Outdated
    """
    await session.delete(await _held(session, appointment, if_match))
    await session.flush()


async def _held(session: AsyncSession, appointment: str, if_match: str | None) -> Appointment:
    """The appointment as it is going to be changed."""
    await hold_row(session, Appointment.id, appointment)
    row = await get(session, appointment)
    require_match(if_match, AppointmentTold.model_validate(row))
    return row


async def _check(session: AsyncSession, contact: str) -> None:
    try:
        await get_contact(session, contact)
    except NotFound:
        raise NoSuchContact(contact) from None
