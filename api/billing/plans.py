"""A tenant's own tariff plans: for the voice service, the one thing of billing that the telephony setup needs, and as a book to rate by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqlalchemy import Text, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId, TrunkId
from api.billing.models import TariffRow
from billing_cdr.book import read_book
from billing_cdr.rating import PlanBook


async def plan_documents(session: AsyncSession) -> tuple[tuple[bytes, ...], dict[TrunkId, tuple[bytes, ...]]]:
    """The tenant's own plan versions, and those of its own carriers by trunk; JSON documents of `billing_cdr.tariff`."""
    own: list[bytes] = []
    trunks: dict[TrunkId, tuple[bytes, ...]] = {}
    # The text as it is kept: ten thousand rates are a tenth of a second to read and write again, on the loop.
    kept = select(TariffRow.trunk, type_coerce(TariffRow.document, Text)).order_by(TariffRow.valid_from, TariffRow.key)
    for trunk, text in await session.execute(kept):
        if trunk is None:
            own.append(text.encode())
        else:
            trunks[TrunkId(trunk)] = (*trunks.get(TrunkId(trunk), ()), text.encode())
    return tuple(own), trunks


async def plan_book(session: AsyncSession, tenant: TenantId, own_carriers: Iterable[str]) -> PlanBook:
    """The book that the voice service rates by, read beside the loop; the transaction ends before that."""
    own, trunks = await plan_documents(session)
    await session.commit()
    by_trunk = {str(trunk): documents for trunk, documents in trunks.items()}
    return await asyncio.to_thread(read_book, tenant, own, by_trunk, own_carriers=own_carriers)
