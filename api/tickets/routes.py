"""Routes of tickets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from api.audit import record
from api.errors import NotFound, Outdated, responses
from api.kit.ids import Slug
from api.kit.outbox import publish
from api.kit.paging import Page
from api.kit.preconditions import IfMatch, etag_of
from api.kit.schema import Limit
from api.tickets import events, service
from api.tickets.models import Ticket
from api.tickets.permissions import ReadsTickets, WritesTickets
from api.tickets.schemas import State, TicketChange, TicketGiven, TicketTold

router = APIRouter(prefix="/api/v1/tickets", tags=["tickets"])
Number = Annotated[int, Path(ge=1, le=2_000_000_000)]


@router.get("", operation_id="listTickets")
async def list_tickets(
    access: ReadsTickets,
    limit: Annotated[Limit, Query()] = 50,
    after: Annotated[int | None, Query(ge=1, le=2_000_000_000, description="`next` of the page before.")] = None,
    state: Annotated[State | None, Query()] = None,
    contact: Annotated[Slug | None, Query()] = None,
) -> Page[TicketTold]:
    """Tickets, the newest first."""
    rows = await service.some(access.session, limit + 1, after, state, contact)
    items = [TicketTold.model_validate(row) for row in rows[:limit]]
    access.gave(len(items))
    return Page(items=items, next=str(items[-1].number) if len(rows) > limit else None)


@router.post("", operation_id="createTicket", status_code=status.HTTP_201_CREATED)
async def create_ticket(access: WritesTickets, given: TicketGiven, response: Response) -> TicketTold:
    """Open a ticket; its number is the next one, without a gap."""
    created = await service.create(access.session, given, access.principal.name, access.now)
    record(access.session, access.now, access.by, "created", "ticket", str(created.number))
    publish(access.session, access.now, events.CREATED, events.ref(created))
    return _told(created, response)


@router.get("/{number}", operation_id="getTicket", responses=responses(NotFound))
async def get_ticket(access: ReadsTickets, number: Number, response: Response) -> TicketTold:
    """One ticket."""
    return _told(await service.get(access.session, number), response)


@router.patch("/{number}", operation_id="changeTicket", responses=responses(NotFound, Outdated))
async def change_ticket(
    access: WritesTickets, number: Number, given: TicketChange, response: Response, if_match: IfMatch = None
) -> TicketTold:
    """Change what is given. Tickets cannot be deleted."""
    row, is_changed = await service.change(access.session, number, given, access.now, if_match)
    if is_changed:
        record(access.session, access.now, access.by, "changed", "ticket", str(number))
        publish(access.session, access.now, events.CHANGED, events.ref(row))
    return _told(row, response)


def _told(row: Ticket, response: Response) -> TicketTold:
    told = TicketTold.model_validate(row)
    response.headers["ETag"] = etag_of(told)
    return told
