"""Routes of mails."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from api.audit import record
from api.errors import Conflict, NotFound, responses
from api.kit.paging import Page, Paged, paged
from api.mails import service
from api.mails.permissions import ReadsMails, WritesMails
from api.mails.schemas import MailTold, TestMailGiven

router = APIRouter(prefix="/api/v1/mails", tags=["mails"])
Key = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


@router.get("", operation_id="listMails")
async def list_mails(
    access: ReadsMails, page: Paged, dead: Annotated[bool, Query(description="Only what was given up.")] = False
) -> Page[MailTold]:
    """Mails and what became of them, the newest first."""
    rows = await service.some(access.session, page, dead=dead)
    items, following = paged([MailTold.model_validate(row) for row in rows], [row.id for row in rows], page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.post("/test", operation_id="testMail", status_code=status.HTTP_202_ACCEPTED)
async def test_mail(access: WritesMails, given: TestMailGiven) -> MailTold:
    """Send a mail with a fixed text, to see whether mail arrives."""
    row = await service.test(access.session, given.to, access.now)
    record(access.session, access.now, access.by, "sent", "mail", row.id)
    return MailTold.model_validate(row)


@router.post("/{mail}/retry", operation_id="sendMailAgain", status_code=status.HTTP_202_ACCEPTED, responses=responses(NotFound, Conflict))
async def send_again(access: WritesMails, mail: Key) -> MailTold:
    """Send one that was given up, under the same Message-ID."""
    row = await service.again(access.session, mail, access.now)
    record(access.session, access.now, access.by, "sent", "mail", mail)
    return MailTold.model_validate(row)
