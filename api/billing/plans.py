"""A tenant's own tariff plans: for the voice service, the one thing of billing that the telephony setup needs, and as a book to rate by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId, TrunkId
from api.billing.models import TariffRow
from billing_cdr.book import read_book
from billing_cdr.rating import PlanBook


async def plan_documents(session: AsyncSession) -> tuple[tuple[bytes, ...], dict[TrunkId, tuple[bytes, ...]]]:
    """The tenant's own plan versions, and those of its own carriers by trunk; JSON documents of `billing_cdr.tariff`."""
    own: list[bytes] = []
    trunks: dict[TrunkId, tuple[bytes, ...]] = {}
    for row in await session.scalars(select(TariffRow).order_by(TariffRow.valid_from, TariffRow.key)):
        document = json.dumps(row.document, ensure_ascii=False, sort_keys=True).encode()  # as read back: one plan, the same octets
        if row.trunk is None:
            own.append(document)
        else:
            trunks[TrunkId(row.trunk)] = (*trunks.get(TrunkId(row.trunk), ()), document)
    return tuple(own), trunks


async def plan_book(session: AsyncSession, tenant: TenantId, own_carriers: Iterable[str]) -> PlanBook:
    """The book that the voice service rates by, read beside the loop."""
    own, trunks = await plan_documents(session)
    by_trunk = {str(trunk): documents for trunk, documents in trunks.items()}
    return await asyncio.to_thread(read_book, tenant, own, by_trunk, own_carriers=own_carriers)
