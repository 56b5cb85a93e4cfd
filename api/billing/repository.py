"""All SQL of billing's own table; records and charges are `billing_cdr.store`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.billing.models import TariffRow


async def tariff(session: AsyncSession, key: str) -> TariffRow | None:
    return await session.get(TariffRow, key)


async def tariff_versions(session: AsyncSession) -> Sequence[tuple[str, str | None, str, str, datetime]]:
    """Key, trunk, plan, version and date of every version, without the documents."""
    columns = (TariffRow.key, TariffRow.trunk, TariffRow.plan, TariffRow.version, TariffRow.valid_from)
    return [(row.key, row.trunk, row.plan, row.version, row.valid_from) for row in await session.execute(select(*columns))]


async def tariffs(session: AsyncSession, keys: Sequence[str]) -> Mapping[str, TariffRow]:
    """Versions by key."""
    return {row.key: row for row in await session.scalars(select(TariffRow).where(TariffRow.key.in_(keys)))}
