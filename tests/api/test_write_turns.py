"""Transactions that write to one SQLite file come one after the other, in the order they asked; nothing that ends keeps a turn."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.sql import column, table

from api import write_turns
from api.db import make_engine
from billing_cdr.outage import outage_of

SOON_S = 5.0
"""What comes at all comes within so long."""
MANY = 60
_FORGETS = pytest.mark.filterwarnings(
    "ignore:The garbage collector:sqlalchemy.exc.SAWarning", "ignore:.*was deleted before being closed:ResourceWarning"
)


def _hurry(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=50")
    cursor.close()


async def _engine(file: Path) -> AsyncEngine:
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{file}"), MANY)
    event.listen(engine.sync_engine, "connect", _hurry)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS note (who INTEGER PRIMARY KEY, at INTEGER)"))
    return engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = await _engine(tmp_path / "x.sqlite")
    yield engine
    await engine.dispose()
    assert not write_turns._turns
    assert not write_turns._waiting


async def _note(connection: AsyncConnection | AsyncSession, who: int) -> None:
    await connection.execute(text("INSERT INTO note (who, at) SELECT :who, count(*) FROM note"), {"who": who})


async def _whole(engine: AsyncEngine, who: int) -> None:
    async with engine.begin() as connection:
        await _note(connection, who)


async def _fail_after_writing(engine: AsyncEngine, who: int) -> None:
    async with engine.begin() as connection:
        await _note(connection, who)
        raise ZeroDivisionError


async def _noted(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return list(await connection.scalars(text("SELECT who FROM note ORDER BY at")))


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not is_so():
            await asyncio.sleep(0)


def _see_it_unlocked(file: Path) -> None:
    """A connection that the collector found is closed by its own thread, a little later."""
    with contextlib.closing(sqlite3.connect(file, timeout=SOON_S)) as shell:
        shell.execute("BEGIN IMMEDIATE")


def _waiting() -> int:
    return sum(len(one) for one in write_turns._waiting.values())


# ---------------------------------------------------------------------- the order


async def test_sixty_transactions_at_once_all_write_in_the_order_they_asked(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 50 ms of SQLite's own patience: without turns most of them are told that the database is locked."""
    asked: list[int] = []
    together, is_writing = asyncio.Barrier(MANY), write_turns.is_writing

    def asks(statement: str) -> bool:
        if found := is_writing(statement):
            task = asyncio.current_task()
            assert task is not None
            asked.append(int(task.get_name()))
        return found

    async def work(who: int) -> None:
        async with engine.connect() as connection:
            await together.wait()
            await _note(connection, who)
            await connection.commit()

    monkeypatch.setattr(write_turns, "is_writing", asks)
    async with asyncio.TaskGroup() as tasks:
        for who in range(MANY):
            tasks.create_task(work(who), name=str(who))
    assert sorted(asked) == list(range(MANY))
    assert await _noted(engine) == asked


async def test_sessions_that_write_several_times_and_read_in_between_take_one_turn_each(engine: AsyncEngine) -> None:
    async def work(who: int) -> None:
        async with AsyncSession(engine) as session:
            for step in range(3):
                await session.scalar(text("SELECT count(*) FROM note"))
                await _note(session, 10 * who + step)
            await session.commit()

    await asyncio.gather(*(work(who) for who in range(20)))
    noted = await _noted(engine)
    assert len(noted) == 60
    assert all(noted[at + 1] == noted[at] + 1 == noted[at + 2] - 1 for at in range(0, 60, 3))


async def test_reader_is_not_held_up_by_a_writer_that_keeps_its_turn(engine: AsyncEngine) -> None:
    async with engine.begin() as writer:
        await _note(writer, 1)
        async with asyncio.timeout(SOON_S):
            assert await _noted(engine) == []


async def test_two_files_do_not_wait_for_each_other(engine: AsyncEngine, tmp_path: Path) -> None:
    other = await _engine(tmp_path / "y.sqlite")
    try:
        async with engine.begin() as writer:
            await _note(writer, 1)
            async with asyncio.timeout(SOON_S):
                await _whole(other, 2)
    finally:
        await other.dispose()


async def test_two_engines_of_one_file_wait_for_each_other(engine: AsyncEngine, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    other = await _engine(tmp_path / "here" / "x.sqlite")
    try:
        async with engine.begin() as writer:
            await _note(writer, 1)
            second = asyncio.create_task(_whole(other, 2))
            await _until(lambda: _waiting() == 1)
        await second
        assert await _noted(engine) == [1, 2]
    finally:
        await other.dispose()


# ---------------------------------------------------------------------- giving it back


async def _commit(connection: AsyncConnection) -> None:
    await connection.commit()


async def _roll_back(connection: AsyncConnection) -> None:
    await connection.rollback()


async def _close(connection: AsyncConnection) -> None:
    await connection.close()


async def _invalidate(connection: AsyncConnection) -> None:
    await connection.invalidate()


async def _detach(connection: AsyncConnection) -> None:
    await connection.run_sync(lambda sync: sync.detach())
    await connection.close()


@pytest.mark.parametrize("end", [_commit, _roll_back, _close, _invalidate, _detach])
async def test_turn_is_given_back_with_the_end_of_the_transaction(
    engine: AsyncEngine, end: Callable[[AsyncConnection], Awaitable[None]]
) -> None:
    """A connection that goes on to be held after that holds nobody up."""
    connection = await engine.connect()
    try:
        await _note(connection, 1)
        second = asyncio.create_task(_whole(engine, 2))
        await _until(lambda: _waiting() == 1)
        await end(connection)
        async with asyncio.timeout(SOON_S):
            await second
        assert await _noted(engine) == ([1, 2] if end is _commit else [2])
    finally:
        await connection.close()


async def test_statement_that_fails_keeps_the_turn_no_longer_than_its_transaction(engine: AsyncEngine) -> None:
    await _whole(engine, 1)
    with pytest.raises(IntegrityError):
        await _whole(engine, 1)
    with pytest.raises(OperationalError, match="no such table"):
        async with engine.begin() as connection:
            await connection.execute(insert(table("nowhere", column("who"))), {"who": 1})
    with pytest.raises(ZeroDivisionError):
        await _fail_after_writing(engine, 2)
    await _whole(engine, 3)
    assert await _noted(engine) == [1, 3]


async def test_connection_whose_commit_failed_is_rolled_back_when_it_is_closed(engine: AsyncEngine) -> None:
    """Until then SQLite's lock is its own, and so is the turn; the library would put it away with its transaction open."""
    connection = await engine.connect()
    await connection.execute(text("CREATE TABLE part (of_note INTEGER REFERENCES note (who) DEFERRABLE INITIALLY DEFERRED)"))
    await connection.commit()
    await connection.execute(text("INSERT INTO part VALUES (7)"))
    with pytest.raises(IntegrityError):
        await connection.commit()
    second = asyncio.create_task(_whole(engine, 2))
    await _until(lambda: _waiting() == 1)
    await connection.close()
    await second


# ---------------------------------------------------------------------- cancelled


async def test_whoever_is_cancelled_while_waiting_is_passed_over(engine: AsyncEngine) -> None:
    async with engine.begin() as writer:
        await _note(writer, 1)
        waiting = []
        for who in (2, 3, 4):
            waiting.append(asyncio.create_task(_whole(engine, who)))
            await _until(lambda: _waiting() == len(waiting))
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        assert _waiting() == 2
    await asyncio.gather(*waiting[1:])
    assert waiting[0].cancelled()
    assert await _noted(engine) == [1, 3, 4]


async def test_whoever_is_cancelled_in_the_moment_of_its_turn_passes_it_on(engine: AsyncEngine) -> None:
    writer = await engine.connect()
    await _note(writer, 1)
    waiting = []
    for who in (2, 3):
        waiting.append(asyncio.create_task(_whole(engine, who)))
        await _until(lambda: _waiting() == len(waiting))
    await writer.run_sync(lambda sync: (sync.commit(), waiting[0].cancel()))
    await writer.close()
    async with asyncio.timeout(SOON_S):
        await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    assert await _noted(engine) == [1, 3]


@pytest.mark.parametrize("statements", [1, 1000])
async def test_whoever_is_cancelled_with_the_turn_gives_it_back(engine: AsyncEngine, statements: int) -> None:
    """Between statements as well as in one: what the driver's thread is at is done before anybody else writes."""
    at = asyncio.Event()

    async def hold() -> None:
        async with engine.begin() as connection:
            await _note(connection, 1)
            at.set()
            if statements == 1:
                await asyncio.Event().wait()
            for who in range(2, statements):
                await _note(connection, who)

    holder = asyncio.create_task(hold())
    await asyncio.wait_for(at.wait(), SOON_S)
    second = asyncio.create_task(_whole(engine, 9999))
    await _until(lambda: _waiting() == 1)
    holder.cancel()
    async with asyncio.timeout(SOON_S):
        await asyncio.wait([holder, second])
    assert holder.cancelled()
    await second
    assert await _noted(engine) == [9999]


@_FORGETS
async def test_connection_that_was_forgotten_gives_its_turn_back(engine: AsyncEngine, tmp_path: Path) -> None:
    """The collector may find it in any thread."""

    async def forget() -> None:
        connection = await engine.connect()
        await _note(connection, 1)

    await forget()
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    assert not write_turns._turns
    _see_it_unlocked(tmp_path / "x.sqlite")
    async with asyncio.timeout(SOON_S):
        await _whole(engine, 2)
    assert await _noted(engine) == [2]


# ---------------------------------------------------------------------- no end of waiting, no turn


async def test_wait_ends_as_sqlites_own_does_and_the_next_one_comes(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that waits for another one of its own task would wait for ever."""
    monkeypatch.setattr(write_turns, "WAIT_S", 0.05)
    async with engine.begin() as writer:
        await _note(writer, 1)
        with pytest.raises(OperationalError) as lost:
            await _whole(engine, 2)
        assert isinstance(lost.value.orig, sqlite3.OperationalError)
        assert str(lost.value.orig) == "database is locked"
        outage = outage_of(lost.value)
        assert outage is not None
        assert outage.reason == "database is locked"
    assert not write_turns._waiting
    await _whole(engine, 3)
    assert await _noted(engine) == [1, 3]


async def test_whoever_takes_no_turn_is_waited_for_by_sqlite(engine: AsyncEngine, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.sqlite")) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            await _whole(engine, 1)
        shell.rollback()
    await _whole(engine, 2)
    assert await _noted(engine) == [2]


@_FORGETS
def test_engine_works_in_two_loops_one_after_the_other(tmp_path: Path) -> None:
    """A turn that the first one left behind is nobody's in the second."""
    engine = asyncio.run(_engine(tmp_path / "x.sqlite"))

    async def work(start: int) -> list[int]:
        await engine.dispose(close=False)
        await asyncio.gather(*(_whole(engine, who) for who in range(start, start + 10)))
        noted = await _noted(engine)
        await engine.dispose()
        return sorted(noted)

    async def leave() -> None:
        await _note(await engine.connect(), 50)

    assert asyncio.run(work(0)) == [*range(10)]
    asyncio.run(leave())
    gc.collect()
    assert not write_turns._turns
    assert not write_turns._waiting
    _see_it_unlocked(tmp_path / "x.sqlite")
    assert asyncio.run(work(100)) == [*range(10), *range(100, 110)]


# ---------------------------------------------------------------------- what writes


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO note VALUES (1)",
        " \n update note set at = 1",
        "-- why\nDELETE FROM note",
        "/* why */ REPLACE INTO note VALUES (1)",
        "BEGIN IMMEDIATE",
        "begin exclusive transaction",
        "CREATE INDEX i ON note (at)",
        "DROP TABLE note",
        "ALTER TABLE note ADD COLUMN b",
        "VACUUM",
        "WITH a AS (SELECT 1)\nINSERT OR IGNORE INTO note SELECT * FROM a",
        "WITH a AS (SELECT 1) DELETE FROM note",
        "PRAGMA user_version = 1",
        "PRAGMA main.wal_checkpoint(TRUNCATE)",
    ],
)
def test_statement_that_writes_is_known(statement: str) -> None:
    assert write_turns.is_writing(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM note",
        "SELECT replace(a, 'INSERT INTO', 'b') FROM note",
        "WITH a AS (SELECT replace(1, 1, 1)) SELECT updated_at, deleted FROM a",
        "BEGIN",
        "BEGIN DEFERRED",
        "SAVEPOINT a",
        "PRAGMA user_version",
        "PRAGMA table_info(note)",
        "EXPLAIN QUERY PLAN DELETE FROM note",
        "COMMIT",
    ],
)
def test_statement_that_reads_is_known(statement: str) -> None:
    assert not write_turns.is_writing(statement)
