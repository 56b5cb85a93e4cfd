"""All SQL of billing's own table; records and charges are `billing_cdr.store`'s."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.billing.models import TariffRow
from api.kit.paging import Cut, cut


async def tariff(session: AsyncSession, key: str) -> TariffRow | None:
    return await session.get(TariffRow, key)


async def tariffs(session: AsyncSession, page: Cut) -> Sequence[TariffRow]:
    return (await session.scalars(cut(select(TariffRow), TariffRow.key, page))).all()
