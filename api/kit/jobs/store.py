"""All SQL of jobs, the same on SQLite, PostgreSQL and MariaDB.

A claim is a row that is looked for and then changed where it is still as it was seen: no `SKIP LOCKED`, which SQLite has not. A try has a
lease of its own; whatever it writes at its end is written under that lease, in one transaction with the new state, or not at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
from sqlalchemy import ColumnElement, CursorResult, Select, and_, delete, false, func, insert, not_, or_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import Insert

from api.db import WORK
from api.kit.jobs.models import JobRow
from api.kit.jobs.rules import TRANSITIONS, Input, State, error_text
from api.kit.paging import Cut

KILLED = "The process ended while it ran, or it took too long."


class LeaseLost(Exception):
    """The job is somebody else's by now; whatever this try has written is taken back."""


async def put(
    session: AsyncSession,
    name: str,
    argument: object,
    now: datetime,
    *,
    run_at: datetime | None = None,
    key: str | None = None,
    line: str | None = None,
) -> bool:
    """Have a job done once the session's transaction is committed; it is not there if that is rolled back.

    Args:
        name: of its definition.
        argument: of the definition's type.
        run_at: not before; None: at once.
        key: nothing is put where a job of this key is not done yet (a dead one counts).
        line: jobs of one line run in order.
    Returns: whether it was put.
    """
    row = {
        "id": secrets.token_hex(16),
        "name": name,
        "argument": msgspec.json.encode(argument).decode(),
        "key": key,
        "line": line,
        "state": State.WAITING,
        "created_at": now,
        "run_at": run_at or now,
        "attempts": 0,
    }
    session.info[WORK] = True
    if key is None:
        await session.execute(insert(JobRow).values(**row))
        return True
    await session.execute(_insert_if_absent(session.get_bind().dialect.name).values(**row))
    return await session.scalar(select(JobRow.id).where(JobRow.key == key)) == row["id"]


def _insert_if_absent(dialect: str) -> Insert:
    """By the key."""
    if dialect in {"mysql", "mariadb"}:
        return mysql.insert(JobRow).on_duplicate_key_update(key=JobRow.__table__.c["key"])
    new: postgresql.Insert | sqlite.Insert = (postgresql if dialect == "postgresql" else sqlite).insert(JobRow)
    return new.on_conflict_do_nothing(index_elements=[JobRow.__table__.c["key"]])


def _rows(result: Any) -> int:
    return cast("CursorResult[Any]", result).rowcount


def _is_first() -> ColumnElement[bool]:
    """No job of its line that was put before it is still to be done."""
    before = aliased(JobRow)
    unfinished = before.state.in_((State.WAITING, State.RUNNING))
    earlier = select(before.seq).where(before.line == JobRow.line, before.seq < JobRow.seq, unfinished).correlate(JobRow)
    return or_(JobRow.line.is_(None), ~earlier.exists())


@dataclass(frozen=True, slots=True)
class Some:
    """Which jobs are looked for: those of these names, or (`but`) of all others, in lines that do not begin so."""

    names: Sequence[str] = ()
    but: bool = True
    not_to: Sequence[str] = ()

    def condition(self) -> ColumnElement[bool]:
        by_name = JobRow.name.not_in(self.names) if self.but else JobRow.name.in_(self.names)
        busy = or_(*(JobRow.line.startswith(f"{one}/", autoescape=True) for one in self.not_to)) if self.not_to else None
        return by_name if busy is None else and_(by_name, or_(JobRow.line.is_(None), not_(busy)))


ANY = Some()


def _due(now: datetime) -> ColumnElement[bool]:
    waiting = and_(JobRow.state == State.WAITING, JobRow.run_at <= now, _is_first())
    return or_(waiting, and_(JobRow.state == State.RUNNING, JobRow.leased_until <= now))


async def due_names(session: AsyncSession, now: datetime) -> Sequence[str]:
    """Of what there is something to do."""
    return (await session.scalars(select(JobRow.name).where(_due(now)).distinct())).all()


async def claim(session: AsyncSession, now: datetime, lease_s: float, some: Some = ANY) -> JobRow | None:
    """Take the job that is due longest, with a lease; None: there is none, or somebody was faster.

    Args:
        lease_s: so long it is nobody else's.
    """
    due = select(JobRow).where(_due(now), some.condition()).order_by(JobRow.run_at, JobRow.seq).limit(1)
    found = (await session.scalars(due)).first()
    if found is None:
        return None
    seen, lease = (found.state, found.lease, found.error), secrets.token_hex(16)
    lost = seen[0] == State.RUNNING
    values = {
        "state": TRANSITIONS[State.WAITING][Input.CLAIMED],
        "attempts": JobRow.attempts + 1,
        "lease": lease,
        "leased_until": now + timedelta(seconds=lease_s),
        "error": KILLED if lost else seen[2],
    }
    as_seen = (JobRow.seq == found.seq, JobRow.state == seen[0], JobRow.lease == seen[1] if seen[1] else JobRow.lease.is_(None))
    changed = await session.execute(update(JobRow).where(*as_seen).values(values), execution_options={"synchronize_session": False})
    if _rows(changed) != 1:
        return None
    await session.refresh(found)
    return found


async def fence(session: AsyncSession, job: JobRow, until: datetime) -> None:
    """The first statement of a transaction that completes a try: nobody else has the job, and nobody gets it before this one ends.

    Raises: LeaseLost
    """
    mine = update(JobRow).where(JobRow.seq == job.seq, JobRow.lease == job.lease, JobRow.state == State.RUNNING)
    if _rows(await session.execute(mine.values(leased_until=until), execution_options={"synchronize_session": False})) != 1:
        raise LeaseLost(job.id)


async def finish(session: AsyncSession, job: JobRow) -> None:
    """It is done."""
    await session.execute(delete(JobRow).where(JobRow.seq == job.seq), execution_options={"synchronize_session": False})


async def come_again(session: AsyncSession, job: JobRow, run_at: datetime, error: str | None, now: datetime) -> None:
    """One that comes again and again waits for its next time."""
    values = {"state": State.WAITING, "run_at": run_at, "attempts": 0, "lease": None, "leased_until": None}
    failed = {"error": error_text(error), "failed_at": now} if error is not None else {"error": None, "failed_at": None}
    await _set(session, job.seq, {**values, **failed})


async def fail(session: AsyncSession, job: JobRow, error: str, now: datetime, run_at: datetime | None) -> None:
    """A try has failed; it waits for the next, or (None) it is dead."""
    state = TRANSITIONS[State.RUNNING][Input.GIVEN_UP if run_at is None else Input.FAILED]
    values = {"state": state, "lease": None, "leased_until": None, "error": error_text(error), "failed_at": now}
    await _set(session, job.seq, values if run_at is None else {**values, "run_at": run_at})


async def put_back(session: AsyncSession, job: JobRow, run_at: datetime) -> None:
    """It could not begin: this was no try."""
    values = {"state": TRANSITIONS[State.RUNNING][Input.PUT_BACK], "run_at": run_at, "attempts": JobRow.attempts - 1}
    await _set(session, job.seq, {**values, "lease": None, "leased_until": None})


async def _set(session: AsyncSession, seq: int, values: dict[str, Any]) -> None:
    await session.execute(update(JobRow).where(JobRow.seq == seq).values(values), execution_options={"synchronize_session": False})


async def reclaim(session: AsyncSession, now: datetime) -> int:
    """Whoever opens a tenant is alone with it (`api.tenant_lock`): what still runs was a process's that is gone. Returns how many."""
    lost = update(JobRow).where(JobRow.state == State.RUNNING)
    state = TRANSITIONS[State.RUNNING][Input.LEASE_ENDED]
    values = {"state": state, "run_at": now, "lease": None, "leased_until": None, "error": KILLED, "failed_at": now}
    return _rows(await session.execute(lost.values(values), execution_options={"synchronize_session": False}))


async def next_at(session: AsyncSession, some: Sequence[Some] = (ANY,)) -> datetime | None:
    """When there is something to do next, of some of the jobs; None: nothing waits."""
    wanted = or_(false(), *(one.condition() for one in some))
    waiting = await session.scalar(select(func.min(JobRow.run_at)).where(JobRow.state == State.WAITING, _is_first(), wanted))
    running = await session.scalar(select(func.min(JobRow.leased_until)).where(JobRow.state == State.RUNNING, wanted))
    return min((one for one in (waiting, running) if one is not None), default=None)


async def unfinished_lines(session: AsyncSession, name: str) -> set[str]:
    """The lines in which jobs of this name are still to be done."""
    unfinished = JobRow.state.in_((State.WAITING, State.RUNNING))
    return set(await session.scalars(select(JobRow.line).where(unfinished, JobRow.name == name, JobRow.line.is_not(None)).distinct()))


async def forget(session: AsyncSession, name: str, machine: str) -> None:
    """Nobody wants any more what waits for this machine: lines that begin with it and a `/`. What runs goes on."""
    theirs = (JobRow.name == name, JobRow.line.startswith(f"{machine}/", autoescape=True), JobRow.state != State.RUNNING)
    await session.execute(delete(JobRow).where(*theirs), execution_options={"synchronize_session": False})


async def times(session: AsyncSession, keys: Sequence[str]) -> dict[str, datetime]:
    """When jobs of these keys are to be done."""
    if not keys:
        return {}
    rows = (await session.execute(select(JobRow.key, JobRow.run_at).where(JobRow.key.in_(keys)))).all()
    return {str(key): run_at for key, run_at in rows}


async def counts(session: AsyncSession) -> tuple[dict[str, int], datetime | None]:
    """How many jobs are in each state, and since when the oldest that is due waits: not what waits for another of its line."""
    rows = (await session.execute(select(JobRow.state, func.count()).group_by(JobRow.state))).all()
    oldest = await session.scalar(select(func.min(JobRow.run_at)).where(JobRow.state == State.WAITING, _is_first()))
    return {state: int(number) for state, number in rows}, oldest


async def some(session: AsyncSession, page: Cut, state: State | None, name: str | None) -> Sequence[JobRow]:
    """A page of jobs as they were put, and one more."""
    statement: Select[Any] = select(JobRow)
    if state is not None:
        statement = statement.where(JobRow.state == state)
    if name is not None:
        statement = statement.where(JobRow.name == name)
    if page.after is not None and page.after.isdigit():
        statement = statement.where(JobRow.seq > int(page.after))
    return (await session.scalars(statement.order_by(JobRow.seq).limit(page.limit + 1))).all()


async def get(session: AsyncSession, job: str) -> JobRow | None:
    """By its id."""
    found: JobRow | None = await session.scalar(select(JobRow).where(JobRow.id == job))
    return found


async def try_again(session: AsyncSession, job: str, now: datetime) -> bool:
    """Let a dead job be tried as often as a new one, or one that waits at once; False: it runs, or is gone."""
    again = update(JobRow).where(JobRow.id == job, JobRow.state.in_((State.DEAD, State.WAITING)))
    values = {"state": TRANSITIONS[State.DEAD][Input.TRIED_AGAIN], "run_at": now, "attempts": 0}
    session.info[WORK] = True
    return _rows(await session.execute(again.values(values), execution_options={"synchronize_session": False})) == 1


async def drop(session: AsyncSession, job: str) -> bool:
    """Take away a dead job; False: it is not dead."""
    return _rows(await session.execute(delete(JobRow).where(JobRow.id == job, JobRow.state == State.DEAD))) == 1
