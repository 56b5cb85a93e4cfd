"""Routes of the CRM."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from api.audit import Act, record
from api.crm import events, known, service
from api.crm.permissions import ReadsContacts, WritesContacts
from api.crm.schemas import ContactGiven, ContactTold
from api.errors import NotFound, Outdated, responses
from api.identity import Access
from api.kit.numbers import E164
from api.kit.outbox import publish
from api.kit.paging import Page, Paged, paged
from api.kit.preconditions import IfMatch, etag_of
from api.kit.schema import Text

router = APIRouter(prefix="/api/v1/contacts", tags=["crm"])
Key = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


@router.get("", operation_id="listContacts")
async def list_contacts(
    access: ReadsContacts,
    page: Paged,
    number: Annotated[E164 | None, Query(description="Who has this number, in any notation.")] = None,
    text: Annotated[Text | None, Query(max_length=100, description="Part of name or company.")] = None,
) -> Page[ContactTold]:
    """Contacts, in pages."""
    rows = await service.some(access.session, page, number, text)
    items, following = paged(rows, [row.id for row in rows], page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.post("", operation_id="createContact", status_code=status.HTTP_201_CREATED)
async def create_contact(access: WritesContacts, given: ContactGiven, response: Response) -> ContactTold:
    """Add a contact."""
    created = await service.create(access.session, given, access.now)
    _changed(access, "created", created.id)
    return _told(created, response)


@router.get("/{contact}", operation_id="getContact", responses=responses(NotFound))
async def get_contact(access: ReadsContacts, contact: Key, response: Response) -> ContactTold:
    """One contact."""
    return _told(await service.get(access.session, contact), response)


@router.put("/{contact}", operation_id="replaceContact", responses=responses(NotFound, Outdated))
async def replace_contact(
    access: WritesContacts, contact: Key, given: ContactGiven, response: Response, if_match: IfMatch = None
) -> ContactTold:
    """Change a contact."""
    told, is_changed = await service.replace(access.session, contact, given, access.now, if_match)
    if is_changed:
        _changed(access, "changed", contact)
    return _told(told, response)


@router.delete("/{contact}", operation_id="deleteContact", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound, Outdated))
async def delete_contact(access: WritesContacts, contact: Key, if_match: IfMatch = None) -> None:
    """Remove a contact; its tickets stay."""
    await service.delete(access.session, contact, if_match)
    _changed(access, "deleted", contact)


def _told(contact: ContactTold, response: Response) -> ContactTold:
    response.headers["ETag"] = etag_of(contact)
    return contact


def _changed(access: Access, act: Act, contact: str) -> None:
    """It is audited, without what is in it; once it is committed, callers are looked for anew."""
    record(access.session, access.now, access.by, act, "contact", contact)
    publish(access.session, access.now, events.BY_ACT[act], events.ContactRef(id=contact))
    access.unit.then(lambda: known.forget(access.services.databases, access.tenant))
