"""All SQL of blobs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.kit.blobs.models import BlobRow


async def get(session: AsyncSession, blob: str) -> BlobRow | None:
    return await session.get(BlobRow, blob)


async def octets(session: AsyncSession) -> int:
    """Of all of them."""
    return int(await session.scalar(select(func.coalesce(func.sum(BlobRow.size), 0))) or 0)


async def known(session: AsyncSession) -> Sequence[str]:
    """The ids of all."""
    return (await session.scalars(select(BlobRow.id))).all()


async def remove(session: AsyncSession, blob: str) -> None:
    await session.execute(delete(BlobRow).where(BlobRow.id == blob))
