"""All SQL of the outbox.

What is to be told is what was not told, not what stands behind a position: numbers are drawn before a transaction is committed, so a lower
one may become visible later. Whoever changes a thing holds its row until the commit (`api.kit.preconditions.hold_row`), so the events of
one subject are visible in the order of their numbers.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.dml import Insert

from api.db import WORK
from api.kit.outbox.catalogue import Event, EventType, Payload, row_of
from api.kit.outbox.models import OutboxRow

P = TypeVar("P", bound=Payload)


def publish(session: AsyncSession, now: datetime, kind: EventType[P], payload: P) -> None:
    """Add an event to the transaction that makes it true: both come about or neither."""
    session.info[WORK] = True
    session.add(OutboxRow(**row_of(kind, payload, now, secrets.token_hex(16))))


async def put(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """The same on a connection, whose owner commits; one whose id is there already is left out.

    Args:
        rows: of `row_of`.
    """
    if rows:
        await connection.execute(_insert_if_absent(connection.dialect.name), list(rows))


def _insert_if_absent(dialect: str) -> Insert:
    table = OutboxRow.__table__
    if dialect in {"mysql", "mariadb"}:
        return mysql.insert(OutboxRow).on_duplicate_key_update(id=table.c.id)
    new: postgresql.Insert | sqlite.Insert = (postgresql if dialect == "postgresql" else sqlite).insert(OutboxRow)
    return new.on_conflict_do_nothing(index_elements=[table.c.id])


async def untold(session: AsyncSession, most: int) -> list[tuple[int, Event]]:
    """The first events that nobody was told of, with their numbers."""
    rows = await session.scalars(select(OutboxRow).where(OutboxRow.told_at.is_(None)).order_by(OutboxRow.seq).limit(most))
    return [(row.seq, _event(row)) for row in rows]


def _event(row: OutboxRow) -> Event:
    return Event(row.id, row.kind, row.subject, row.at, row.document)


async def get(session: AsyncSession, event: str) -> Event | None:
    """By its id."""
    row = await session.scalar(select(OutboxRow).where(OutboxRow.id == event))
    return None if row is None else _event(row)


async def told(session: AsyncSession, numbers: Sequence[int], now: datetime) -> None:
    """The subscribers were."""
    mark = update(OutboxRow).where(OutboxRow.seq.in_(numbers)).values(told_at=now)
    await session.execute(mark, execution_options={"synchronize_session": False})


async def forget(session: AsyncSession, before: datetime, most: int) -> int:
    """Delete the oldest of those that were told before; returns how many."""
    old = select(OutboxRow.seq).where(OutboxRow.told_at < before).order_by(OutboxRow.told_at, OutboxRow.seq).limit(most)
    numbers = (await session.scalars(old)).all()
    if not numbers:
        return 0
    gone = cast("CursorResult[Any]", await session.execute(delete(OutboxRow).where(OutboxRow.seq.in_(numbers))))
    return gone.rowcount
