"""All SQL of mails."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from acd.wire_text import fit
from api.kit.ids import timed_id
from api.kit.jobs import put as put_job
from api.kit.mail.compose import LONGEST_SUBJECT, address
from api.kit.mail.models import MailRow
from api.kit.paging import Cut, cut

SEND = "mail.send"
"""The job."""


def job_key(mail: str) -> str:
    """Of the job that sends a mail."""
    return f"{SEND}:{mail}"


async def put(session: AsyncSession, now: datetime, to: str, subject: str, text: str) -> MailRow:
    """Have a mail sent once the session's transaction is committed.

    Raises: AddressWrong
    """
    row = MailRow(
        id=timed_id(now, secrets.token_hex(8)),
        recipient=address(to),
        subject=fit(" ".join(subject.split()), LONGEST_SUBJECT),
        text=text,
        message_id="",  # the domain is the operator's, who may change it until the first try
        state="pending",
        created_at=now,
        tries=0,
    )
    session.add(row)
    await session.flush()
    await put_job(session, SEND, {"mail": row.id}, now, key=job_key(row.id))
    return row


async def again(session: AsyncSession, row: MailRow, now: datetime) -> None:
    """Send one that was given up, under the same Message-ID."""
    row.state, row.tries = "pending", 0
    await session.flush()
    await put_job(session, SEND, {"mail": row.id}, now, key=job_key(row.id))


async def get(session: AsyncSession, mail: str) -> MailRow | None:
    return await session.get(MailRow, mail)


async def some(session: AsyncSession, page: Cut, *, dead: bool) -> Sequence[MailRow]:
    """A page, the newest first, and one more."""
    statement = select(MailRow)
    if dead:
        statement = statement.where(MailRow.state == "dead")
    return (await session.scalars(cut(statement, MailRow.id, page, newest_first=True))).all()


async def written_since(session: AsyncSession, subject: str, since: datetime) -> int:
    """How many mails of this subject were."""
    asked = select(func.count()).select_from(MailRow).where(MailRow.created_at > since, MailRow.subject == subject)
    return int(await session.scalar(asked) or 0)


async def forget(session: AsyncSession, before: datetime, most: int) -> int:
    """Delete the oldest that are over and were written before; returns how many."""
    old = select(MailRow.id).where(MailRow.state != "pending", MailRow.created_at < before).order_by(MailRow.created_at).limit(most)
    keys = (await session.scalars(old)).all()
    if not keys:
        return 0
    gone = cast("CursorResult[Any]", await session.execute(delete(MailRow).where(MailRow.id.in_(keys))))
    return gone.rowcount
