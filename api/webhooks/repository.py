"""All SQL of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.kit.paging import Cut, cut
from api.webhooks.models import Delivery, Endpoint


async def get(session: AsyncSession, endpoint: str) -> Endpoint | None:
    return await session.get(Endpoint, endpoint)


async def some(session: AsyncSession, page: Cut) -> Sequence[Endpoint]:
    return (await session.scalars(cut(select(Endpoint), Endpoint.id, page))).all()


async def active(session: AsyncSession) -> Sequence[Endpoint]:
    return (await session.scalars(select(Endpoint).where(Endpoint.active.is_(True)).order_by(Endpoint.id))).all()


async def delivery(session: AsyncSession, key: str) -> Delivery | None:
    return await session.get(Delivery, key)


async def deliveries(session: AsyncSession, endpoint: str, page: Cut, state: str | None) -> Sequence[Delivery]:
    statement = select(Delivery).where(Delivery.endpoint == endpoint)
    if state is not None:
        statement = statement.where(Delivery.state == state)
    return (await session.scalars(cut(statement, Delivery.id, page, newest_first=True))).all()


async def dead(session: AsyncSession, endpoint: str, most: int) -> Sequence[Delivery]:
    """The oldest of them."""
    found = select(Delivery).where(Delivery.endpoint == endpoint, Delivery.state == "dead").order_by(Delivery.id).limit(most)
    return (await session.scalars(found)).all()


async def remove(session: AsyncSession, endpoint: str) -> None:
    """The endpoint and everything of it."""
    await session.execute(delete(Delivery).where(Delivery.endpoint == endpoint))
    await session.execute(delete(Endpoint).where(Endpoint.id == endpoint))


async def hold(session: AsyncSession, endpoint: str) -> None:
    """Nobody else changes the endpoint before the transaction ends."""
    await session.execute(
        update(Endpoint).where(Endpoint.id == endpoint).values(id=Endpoint.id), execution_options={"synchronize_session": False}
    )


async def forget(session: AsyncSession, before: datetime, most: int) -> int:
    """Delete the oldest deliveries that are over and were made before; returns how many."""
    old = select(Delivery.id).where(Delivery.state != "pending", Delivery.created_at < before).order_by(Delivery.created_at).limit(most)
    keys = (await session.scalars(old)).all()
    if not keys:
        return 0
    gone = cast("CursorResult[Any]", await session.execute(delete(Delivery).where(Delivery.id.in_(keys))))
    return gone.rowcount
