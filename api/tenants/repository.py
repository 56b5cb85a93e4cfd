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


async def ids(session: AsyncSession) -> set[str]:
    """All of them, the closed ones too."""
    return set((await session.scalars(select(Tenant.id))).all())


async def active(session: AsyncSession) -> Sequence[Tenant]:
    """The oldest first: where two want one thing, it had it before."""
    return (await session.scalars(select(Tenant).where(Tenant.state == "active").order_by(Tenant.created_at, Tenant.id))).all()
