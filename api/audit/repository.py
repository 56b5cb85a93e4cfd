"""All SQL of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Insert, Table, delete, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from api.audit.models import AuditRow, OperatorAuditRow
from api.kit.paging import Cut, cut

Rows = type[AuditRow] | type[OperatorAuditRow]


async def count_alike(session: AsyncSession, rows: Rows, values: dict[str, Any]) -> None:
    """Add the entry, or count it where its like is there already."""
    table = cast("Table", rows.__table__)
    statement = _counting(session.get_bind().dialect.name, table)
    columns = {"before": "document_before", "after": "document_after"}
    await session.execute(statement, {columns.get(name, name): value for name, value in values.items()})


def _counting(dialect: str, table: Table) -> Insert:
    if dialect in {"mysql", "mariadb"}:
        return mysql.insert(table).on_duplicate_key_update(times=table.c.times + 1)
    new: postgresql.Insert | sqlite.Insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    return new.on_conflict_do_update(index_elements=[table.c.id], set_={"times": table.c.times + 1})


async def some(
    session: AsyncSession, rows: Rows, page: Cut, kind: str | None, subject: str | None, who: str | None, acts: Sequence[str]
) -> Sequence[Any]:
    statement = select(rows)
    if kind is not None:
        statement = statement.where(rows.kind == kind)
    if subject is not None:
        statement = statement.where(rows.subject == subject)
    if who is not None:
        statement = statement.where(rows.who == who)
    if acts:
        statement = statement.where(rows.act.in_(acts))
    return (await session.scalars(cut(statement, rows.id, page, newest_first=True))).all()


async def forget(session: AsyncSession, rows: Rows, below: str, acts: Sequence[str], *, others: bool, most: int) -> int:
    """Delete the oldest entries whose id sorts below; those of these acts, or (others) of all but these. Returns how many."""
    of_these = rows.act.not_in(acts) if others else rows.act.in_(acts)
    # Two steps: MariaDB takes no LIMIT inside IN.
    ids = (await session.scalars(select(rows.id).where(rows.id < below, of_these).order_by(rows.id).limit(most))).all()
    if not ids:
        return 0
    gone = cast("CursorResult[Any]", await session.execute(delete(rows).where(rows.id.in_(ids))))
    return gone.rowcount
