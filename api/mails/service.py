"""Use cases of mails: list them, send one that was given up, try the way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api.kit.mail import put, store
from api.kit.mail.models import MailRow
from api.kit.paging import Cut
from api.mails.errors import MailUnknown, NotGivenUp, TestedEnough

SUBJECT = "Fernamt: a test"
TEXT = "Somebody wanted to see whether mail of this telephone system arrives. It does.\n"
"""Fixed: the operator's server is lent to nobody who wants to write to strangers."""
TESTS_AN_HOUR = 10


async def some(session: AsyncSession, page: Cut, *, dead: bool) -> Sequence[MailRow]:
    """A page, the newest first, and one more."""
    return await store.some(session, page, dead=dead)


async def again(session: AsyncSession, mail: str, now: datetime) -> MailRow:
    """Send one that was given up.

    Raises: MailUnknown, NotGivenUp
    """
    row = await store.get(session, mail)
    if row is None:
        raise MailUnknown(mail)
    if row.state != "dead":
        raise NotGivenUp(mail)
    await store.again(session, row, now)
    return row


async def test(session: AsyncSession, to: str, now: datetime) -> MailRow:
    """Send a mail with a fixed text.

    Raises: TestedEnough
    """
    if await store.written_since(session, SUBJECT, now - timedelta(hours=1)) >= TESTS_AN_HOUR:
        raise TestedEnough
    return await put(session, now, to, SUBJECT, TEXT)
