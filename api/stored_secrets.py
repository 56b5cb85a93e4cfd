"""Every sealed value of a tenant's database: the set-up's (`api.telephony_setup`), and the columns of tables that are `sealed`.

What is checked, counted and sealed anew under another key is all of them together; nothing is changed unless everything opens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from sqlalchemy import inspect, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from api import telephony_setup
from api.db import sealer_of
from api.kit.columns import TenantBase
from api.kit.sealing import SealError, needs_resealing, sealed_under
from api.slices import SLICES


class _Value(NamedTuple):
    model: type[Any]
    row: str
    column: str
    kept: str


def _columns() -> list[tuple[type[Any], str]]:
    assert SLICES  # every table is known
    mappers = sorted(TenantBase.registry.mappers, key=lambda one: str(one.class_.__tablename__))
    return [(one.class_, column) for one in mappers for column in one.class_.sealed]


async def _values(session: AsyncSession) -> AsyncIterator[_Value]:
    """All of them; a database of an older release lacks tables, and so has none of theirs."""
    connection = await session.connection()
    there = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    for model, column in _columns():
        if model.__tablename__ not in there:
            continue
        attribute = getattr(model, column)
        for row, kept in (await session.execute(select(model.id, attribute).where(attribute.is_not(None)).order_by(model.id))).all():
            yield _Value(model, row, column, kept)


async def sealed_values(session: AsyncSession) -> tuple[Counter[str | None], list[str]]:
    """Id of the key (None: in clear) -> how many values are under it; one sentence for each that does not open."""
    under, troubles = await telephony_setup.sealed_values(session)
    sealer = sealer_of(session)
    async for value in _values(session):
        under[sealed_under(value.kept)] += 1
        try:
            sealer.open(value.kept, value.model.__tablename__, value.row, value.column)
        except SealError as error:
            troubles.append(str(error))
    return under, troubles


async def reseal(session: AsyncSession) -> int:
    """Seal everything under the first key; returns how many values were sealed anew.

    Raises: SealError: one does not open; nothing is changed then.
    """
    sealer = sealer_of(session)
    due = []
    async for value in _values(session):
        opened = sealer.open(value.kept, value.model.__tablename__, value.row, value.column)
        if needs_resealing(value.kept, sealer.keys):
            due.append((value, opened))
    for value, opened in due:
        anew = sealer.seal(opened, value.model.__tablename__, value.row, value.column)
        await session.execute(update(value.model).where(value.model.id == value.row).values({value.column: anew}))
    return len(due) + await telephony_setup.seal_rows(session, anew=True)
