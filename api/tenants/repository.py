"""All SQL of tenants."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.kit.paging import Cut, cut
from api.tenants.models import Tenant


async def get(session: AsyncSession, tenant: str) -> Tenant | None:
    return await session.get(Tenant, tenant)


async def some(session: AsyncSession, page: Cut) -> Sequence[Tenant]:
    return (await session.scalars(cut(select(Tenant), Tenant.id, page))).all()


async def states(session: AsyncSession) -> dict[str, str]:
    """All of them, the closed ones too, in order."""
    rows = await session.execute(select(Tenant.id, Tenant.state).order_by(Tenant.id))
    return {row.id: row.state for row in rows}


async def active(session: AsyncSession) -> Sequence[Tenant]:
    """The oldest first: where two want one thing, it had it before."""
    return (await session.scalars(select(Tenant).where(Tenant.state == "active").order_by(Tenant.created_at, Tenant.id))).all()
