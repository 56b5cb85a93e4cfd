"""A tenant's own tariff plans for the voice service: the one thing of billing that the telephony setup needs."""

from __future__ import annotations

import json

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TrunkId
from api.billing.models import TariffRow


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
