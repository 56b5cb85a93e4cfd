"""Whoever writes to a SQLite file waits for its turn in the process, first come first served.

SQLite has one write lock a file and no queue for it: a connection that finds it taken sleeps and tries again (`busy_timeout`), and under
load some lose for as long as they try. All writers of a file of ours are in one process and one loop (`Databases` locks out the others), so
they can queue there. A connection takes the turn before the first statement of a transaction that writes, and gives it back when the
transaction is over in the file: after COMMIT or ROLLBACK has come back, or the connection is closed. SQLAlchemy tells of these before
they are done (events `commit`, `rollback`, `invalidate`, `close`), so giving back is a matter of the dialect. Reading takes no turn.

A transaction that waits for another one of its own task would wait for ever: it is told what SQLite tells then.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections import deque
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolResetState
from sqlalchemy.util import await_only

WAIT_S = 10.0
"""So long a transaction waits for its turn, and then, in SQLite, for whoever takes none (a backup, a shell)."""

_DRIVER = "aiosqlite_in_turns"
_WRITES = re.compile(
    r"""(?: \s | \( | --[^\n]*(?:\n|$) | /\*.*?\*/ )*
    (?: (?:INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|VACUUM|REINDEX|ANALYZE)\b
      | BEGIN\s+(?:IMMEDIATE|EXCLUSIVE)\b
      | WITH\b .* \b(?:INSERT|REPLACE)\s+(?:OR\s+\w+\s+)?INTO\b
      | WITH\b .* \b(?:UPDATE|DELETE)\b
      | PRAGMA\s+(?:\w+\.)?(?:user_version\s*=|wal_checkpoint|incremental_vacuum|optimize)
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Queue:
    """Whose turn it is is a matter of one file, and of one loop: nothing that waits in a loop can be told from another one."""

    loop: asyncio.AbstractEventLoop
    file: str


_waiting: dict[_Queue, deque[asyncio.Future[None]]] = {}
"""Those who wait, first come first; a queue that is not here is nobody's turn."""
_turns: dict[Any, _Queue] = {}
"""Connection of the driver's adapter -> the queue in which it has the turn."""


def is_writing(statement: str) -> bool:
    """Whether SQLite takes its write lock for a statement."""
    return _WRITES.match(statement) is not None


def engine_in_turns(url: URL, **options: Any) -> AsyncEngine:
    """An engine for a SQLite file, whose transactions write in turn with those of every such engine for the file."""
    engine = create_async_engine(url.set(drivername=f"sqlite+{_DRIVER}"), **options)
    file = os.path.realpath(str(url.database))

    def before(connection: Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        driver = connection.connection.dbapi_connection
        if driver in _turns or not (context.isinsert or context.isupdate or context.isdelete or is_writing(statement)):
            return
        queue = _Queue(asyncio.get_running_loop(), file)
        if queue in _waiting:
            await_only(_wait(queue))
        else:
            _waiting[queue] = deque()
        _turns[driver] = queue

    def reset(driver: Any, _record: Any, state: PoolResetState) -> None:
        # After a COMMIT that failed (a full disk) the library takes its own word for a rollback that was not made: the transaction, and
        # SQLite's lock with it, would lie open in the pool.
        if state.asyncio_safe and driver in _turns:
            driver.rollback()
            _give_back(driver)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "reset", reset)
    return engine


async def _wait(queue: _Queue) -> None:
    waiting, place = _waiting[queue], queue.loop.create_future()
    waiting.append(place)
    patience = queue.loop.call_later(WAIT_S, _lose, place)
    try:
        await place
    except BaseException:
        if _has_come(place):  # in the same moment: nobody else would be told
            _next(queue)
        raise
    finally:
        patience.cancel()
        if place in waiting:  # one who has the turn was taken out
            waiting.remove(place)


def _has_come(place: asyncio.Future[None]) -> bool:
    return place.done() and not place.cancelled() and place.exception() is None


def _lose(place: asyncio.Future[None]) -> None:
    if not place.done():
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
        place.set_exception(error)


def _next(queue: _Queue) -> None:
    waiting = _waiting[queue]
    while waiting:
        place = waiting.popleft()
        if not place.done():
            place.set_result(None)
            return
    del _waiting[queue]


def _give_back(driver: Any) -> None:
    queue = _turns.pop(driver, None)
    if queue is None:
        return
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:  # the collector found the connection, in a thread of the driver
        here = None
    if queue.loop is here:
        _next(queue)
    elif queue.loop.is_closed():  # and nobody waits in it any more
        del _waiting[queue]
    else:
        queue.loop.call_soon_threadsafe(_next, queue)


class InTurns(SQLiteDialect_aiosqlite):
    """The driver's dialect; what ends a transaction gives the turn back, once it is done.

    A COMMIT or ROLLBACK that fails ends nothing: the turn stays until the connection is rolled back or closed, as its pool sees to.
    """

    supports_statement_cache = True

    def do_commit(self, dbapi_connection: Any) -> None:
        super().do_commit(dbapi_connection)  # type: ignore[no-untyped-call]
        _give_back(dbapi_connection.dbapi_connection)

    def do_rollback(self, dbapi_connection: Any) -> None:
        super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call]
        _give_back(dbapi_connection.dbapi_connection)

    def do_close(self, dbapi_connection: Any) -> None:
        try:
            super().do_close(dbapi_connection)  # type: ignore[no-untyped-call]
        finally:
            _give_back(dbapi_connection)

    def do_terminate(self, dbapi_connection: Any) -> None:
        try:
            super().do_terminate(dbapi_connection)
        finally:
            _give_back(dbapi_connection)


registry.register(f"sqlite.{_DRIVER}", __name__, InTurns.__name__)
