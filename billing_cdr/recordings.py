"""The list of recordings in the database (SQLAlchemy 2 Core): found, marked as deleted, and those whose time is over.

`store.save` writes the rows with the record they belong to. A row never goes: that there was a recording, when it was deleted and by whom
is told as long as the record is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing_cdr.store import cdr_table, party_table, recording_table

_NAMES_AT_ONCE = 500


class Party(Struct, frozen=True, kw_only=True):
    """Who is on a channel."""

    channel: int
    """Counted from 1."""
    leg: str
    role: str
    party: str
    number: str | None


class Kept(Struct, frozen=True, kw_only=True):
    """One recording, and what its record says of the conversation."""

    name: str
    cdr: str
    began_at: datetime
    duration_ms: int
    direction: str
    calling: str
    called: str
    queue: str | None
    deleted_at: datetime | None
    deleted_by: str | None
    parties: tuple[Party, ...] = ()


class Wanted(Struct, frozen=True, kw_only=True):
    """Which recordings are wanted; what is None does not matter."""

    began_from: datetime | None = None
    began_before: datetime | None = None
    agents: tuple[str, ...] = ()
    """Each was a party of it."""
    queue: str | None = None
    """Of the talk it recorded."""
    number: str | None = None
    """Calling, called, or that of a party."""
    call: str | None = None


_COLUMNS = (
    recording_table.c.name,
    recording_table.c.cdr,
    recording_table.c.began_at,
    recording_table.c.duration_ms,
    recording_table.c.deleted_at,
    recording_table.c.deleted_by,
    cdr_table.c.direction,
    cdr_table.c.calling,
    cdr_table.c.called,
    recording_table.c.queue,
)


async def find(conn: AsyncConnection, wanted: Wanted, limit: int, after: tuple[datetime, str] | None = None) -> list[Kept]:
    """Recordings that are not deleted, the newest first.

    Args:
        after: beginning and name of the last one of the page before.
    """
    table = recording_table.c
    query = _kept().where(table.deleted_at.is_(None), *_conditions(wanted))
    if after is not None:
        query = query.where(or_(table.began_at < after[0], and_(table.began_at == after[0], table.name < after[1])))
    rows = (await conn.execute(query.order_by(table.began_at.desc(), table.name.desc()).limit(limit))).all()
    return await _with_parties(conn, rows)


async def get(conn: AsyncConnection, name: str) -> Kept | None:
    """One recording, a deleted one too."""
    row = (await conn.execute(_kept().where(recording_table.c.name == name))).first()
    return None if row is None else (await _with_parties(conn, [row]))[0]


async def deleted(conn: AsyncConnection, cdrs: Sequence[str]) -> dict[str, list[Kept]]:
    """The deleted recordings of some records, by record."""
    found: dict[str, list[Kept]] = {}
    for start in range(0, len(cdrs), _NAMES_AT_ONCE):
        some = cdrs[start : start + _NAMES_AT_ONCE]
        query = _kept().where(recording_table.c.cdr.in_(some), recording_table.c.deleted_at.is_not(None))
        for row in (await conn.execute(query.order_by(recording_table.c.began_at, recording_table.c.name))).all():
            found.setdefault(row.cdr, []).append(Kept(**row._mapping))  # noqa: SLF001 - SQLAlchemy's public name
    return found


async def mark_deleted(conn: AsyncConnection, name: str, by: str, at: datetime) -> bool:
    """Whether it is this call that deletes it: of two at once, one."""
    table = recording_table
    marked = update(table).where(table.c.name == name, table.c.deleted_at.is_(None)).values(deleted_at=at, deleted_by=by)
    return (await conn.execute(marked)).rowcount == 1


async def mark_erased(conn: AsyncConnection, name: str, at: datetime) -> None:
    """The file of a deleted one is gone."""
    await conn.execute(update(recording_table).where(recording_table.c.name == name).values(erased_at=at))


async def due(conn: AsyncConnection, before: datetime, limit: int) -> list[str]:
    """Names of recordings that began before, the oldest first."""
    table = recording_table.c
    query = select(table.name).where(table.deleted_at.is_(None), table.began_at < before)
    return list((await conn.scalars(query.order_by(table.began_at, table.name).limit(limit))).all())


async def half_deleted(conn: AsyncConnection, limit: int) -> list[str]:
    """Names of those that are deleted, and whose file was not seen to go."""
    table = recording_table.c
    query = select(table.name).where(table.deleted_at.is_not(None), table.erased_at.is_(None)).order_by(table.deleted_at)
    return list((await conn.scalars(query.limit(limit))).all())


async def known(conn: AsyncConnection, names: Sequence[str]) -> set[str]:
    """Which of these names belong to a record."""
    found: set[str] = set()
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        found.update((await conn.scalars(select(recording_table.c.name).where(recording_table.c.name.in_(some)))).all())
    return found


def _kept() -> Any:
    return select(*_COLUMNS).join(cdr_table, cdr_table.c.id == recording_table.c.cdr)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    table, cdr = recording_table.c, cdr_table.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.began_from is not None:
        conditions.append(table.began_at >= wanted.began_from)
    if wanted.began_before is not None:
        conditions.append(table.began_at < wanted.began_before)
    if wanted.queue is not None:
        conditions.append(table.queue == wanted.queue)
    if wanted.call is not None:
        conditions.append(table.cdr == wanted.call)
    conditions += [_has_party(party_table.c.role == "agent", party_table.c.party == agent) for agent in wanted.agents]
    if wanted.number is not None:
        on_a_channel = _has_party(party_table.c.number == wanted.number)
        conditions.append(or_(cdr.calling == wanted.number, cdr.called == wanted.number, on_a_channel))
    return conditions


def _has_party(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return recording_table.c.name.in_(select(party_table.c.recording).where(*conditions))


async def _with_parties(conn: AsyncConnection, rows: Sequence[Any]) -> list[Kept]:
    parties: dict[str, list[Party]] = {}
    names = [row.name for row in rows]
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        query = select(party_table).where(party_table.c.recording.in_(some)).order_by(party_table.c.recording, party_table.c.channel)
        for one in (await conn.execute(query)).all():
            party = Party(channel=one.channel, leg=one.leg, role=one.role, party=one.party, number=one.number)
            parties.setdefault(one.recording, []).append(party)
    return [Kept(**row._mapping, parties=tuple(parties.get(row.name, ()))) for row in rows]  # noqa: SLF001
