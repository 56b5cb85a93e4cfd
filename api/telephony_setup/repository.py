"""All SQL of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, inspect, literal_column, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from api.kit.paging import Cut, cut
from api.telephony_setup.models import (
    AgentRow,
    DeviceName,
    DeviceRow,
    DiallingRow,
    GeneralRow,
    MenuRow,
    NumberRow,
    PinRow,
    QueueRow,
    ReasonRow,
    Row,
    ScheduleRow,
    SiteRow,
    SoundRow,
    TrunkRow,
)

AnyRow = AgentRow | QueueRow | MenuRow | NumberRow | ScheduleRow | SiteRow | TrunkRow | ReasonRow | GeneralRow | DiallingRow | SoundRow
TABLES: dict[str, type[AnyRow]] = {
    "agent": AgentRow,
    "queue": QueueRow,
    "menu": MenuRow,
    "number": NumberRow,
    "schedule": ScheduleRow,
    "site": SiteRow,
    "trunk": TrunkRow,
    "reason": ReasonRow,
    "general": GeneralRow,
    "dialling": DiallingRow,
    "sound": SoundRow,
}


async def get(session: AsyncSession, kind: str, key: str, *, anew: bool = False) -> AnyRow | None:
    return await session.get(TABLES[kind], key, populate_existing=anew)


async def some(session: AsyncSession, kind: str, page: Cut) -> Sequence[Row]:
    table = TABLES[kind]
    return (await session.scalars(cut(select(table), table.id, page))).all()


class Named(NamedTuple):
    """What a setup needs of a row."""

    id: str
    document: dict[str, Any]


_EVERYTHING = union_all(*(select(literal_column(f"'{kind}'").label("kind"), table.id, table.document) for kind, table in TABLES.items()))


async def everything(session: AsyncSession) -> dict[str, list[Named]]:
    """Kind -> all of its rows, in any order; asked at once, since each question to a database has its price."""
    await session.flush()
    found: dict[str, list[Named]] = {kind: [] for kind in TABLES}
    for kind, key, document in await session.execute(_EVERYTHING):
        found[kind].append(Named(key, document))
    return found


async def rows(session: AsyncSession, kind: str) -> Sequence[Row]:
    table = TABLES[kind]
    found: Sequence[Any] = (await session.scalars(select(table).order_by(table.id))).all()
    return found


async def device(session: AsyncSession, agent: str) -> DeviceRow | None:
    return await session.get(DeviceRow, agent)


async def pin(session: AsyncSession, agent: str) -> PinRow | None:
    return await session.get(PinRow, agent)


async def devices(session: AsyncSession) -> Sequence[DeviceRow]:
    return (await session.scalars(select(DeviceRow).order_by(DeviceRow.agent))).all()


async def digests_as_they_are(session: AsyncSession, columns: Sequence[str]) -> Sequence[Any]:
    """Agent and those of the columns that the database has: one that waits for its migration lacks the younger ones."""
    connection = await session.connection()
    there = {one["name"] for one in await connection.run_sync(lambda sync: inspect(sync).get_columns(DeviceRow.__tablename__))}
    wanted = [DeviceRow.__table__.c[name] for name in ("agent", *columns) if name in there]
    return (await session.execute(select(*wanted).order_by(DeviceRow.agent))).all()


async def device_of_name(session: AsyncSession, username: str) -> DeviceRow | None:
    return await session.scalar(select(DeviceRow).where(DeviceRow.username == username))


async def device_name(session: AsyncSession, username: str) -> DeviceName | None:
    return await session.get(DeviceName, username)


async def free_device_name(session: AsyncSession, username: str, tenant: str) -> None:
    await session.execute(delete(DeviceName).where(DeviceName.username == username, DeviceName.tenant == tenant))
