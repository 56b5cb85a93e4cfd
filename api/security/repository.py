"""All SQL of security."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.security.models import BanRow, KnownSource


async def bans(session: AsyncSession) -> Sequence[BanRow]:
    return (await session.scalars(select(BanRow))).all()


async def known(session: AsyncSession) -> Sequence[KnownSource]:
    return (await session.scalars(select(KnownSource))).all()


async def put_ban(session: AsyncSession, row: BanRow) -> None:
    await session.merge(row)


async def put_known(session: AsyncSession, row: KnownSource) -> None:
    await session.merge(row)


async def delete_ban(session: AsyncSession, source: str) -> None:
    await session.execute(delete(BanRow).where(BanRow.source == source))


async def forget_before(session: AsyncSession, bans_ended: datetime, last_seen: datetime) -> None:
    await session.execute(delete(BanRow).where(BanRow.until < bans_ended))
    await session.execute(delete(KnownSource).where(KnownSource.seen_at < last_seen))
