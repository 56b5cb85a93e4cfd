"""Routes of the calendar."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from api.audit import record
from api.calendar import events, service
from api.calendar.models import Appointment
from api.calendar.permissions import ReadsAppointments, WritesAppointments
from api.calendar.schemas import AppointmentGiven, AppointmentTold
from api.errors import NotFound, Outdated, responses
from api.kit.ids import Slug
from api.kit.outbox import publish
from api.kit.paging import Page, Paged, paged
from api.kit.preconditions import IfMatch, etag_of

router = APIRouter(prefix="/api/v1/appointments", tags=["calendar"])
Key = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


@router.get("", operation_id="listAppointments")
async def list_appointments(
    access: ReadsAppointments, page: Paged, contact: Annotated[Slug | None, Query()] = None
) -> Page[AppointmentTold]:
    """Appointments, in pages."""
    rows = await service.some(access.session, page, contact)
    items, following = paged([AppointmentTold.model_validate(row) for row in rows], [row.id for row in rows], page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.post("", operation_id="createAppointment", status_code=status.HTTP_201_CREATED)
async def create_appointment(access: WritesAppointments, given: AppointmentGiven, response: Response) -> AppointmentTold:
    """Make an appointment."""
    created = await service.create(access.session, given, access.now)
    record(access.session, access.now, access.by, "created", "appointment", created.id)
    publish(access.session, access.now, events.CREATED, events.ref(created))
    return _told(created, response)


@router.get("/{appointment}", operation_id="getAppointment", responses=responses(NotFound))
async def get_appointment(access: ReadsAppointments, appointment: Key, response: Response) -> AppointmentTold:
    """One appointment."""
    return _told(await service.get(access.session, appointment), response)


@router.put("/{appointment}", operation_id="replaceAppointment", responses=responses(NotFound, Outdated))
async def replace_appointment(
    access: WritesAppointments, appointment: Key, given: AppointmentGiven, response: Response, if_match: IfMatch = None
) -> AppointmentTold:
    """Change an appointment."""
    row, is_changed = await service.replace(access.session, appointment, given, if_match)
    if is_changed:
        record(access.session, access.now, access.by, "changed", "appointment", appointment)
        publish(access.session, access.now, events.CHANGED, events.ref(row))
    return _told(row, response)


@router.delete(
    "/{appointment}", operation_id="deleteAppointment", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound, Outdated)
)
async def delete_appointment(access: WritesAppointments, appointment: Key, if_match: IfMatch = None) -> None:
    """Call an appointment off."""
    await service.delete(access.session, appointment, if_match)
    record(access.session, access.now, access.by, "deleted", "appointment", appointment)
    publish(access.session, access.now, events.DELETED, events.AppointmentGone(id=appointment))


def _told(row: Appointment, response: Response) -> AppointmentTold:
    told = AppointmentTold.model_validate(row)
    response.headers["ETag"] = etag_of(told)
    return told
