"""One process serves a tenant: an advisory lock in the tenant's database on a connection of its own (DESIGN.md §2, "on one core node").

PostgreSQL: `pg_try_advisory_lock` (documentation §13.3.5). MariaDB: `GET_LOCK(name, 0)`. Both hold as long as the connection lives, so
a process that was killed holds none. SQLite needs none: its file lies in the data directory, which one process has.

The connection is looked after every `WATCH_S`. When it is lost the tenant goes on: as long as the server is away nobody else can get the
lock either. It is taken again as soon as the server is back; where another process was faster, this one has lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from acd.core.ids import TenantId
from api.outages import Outages, TenantInUse, place
from billing_cdr.outage import outage_of

log = logging.getLogger(__name__)

WATCH_S = 3.0
"""So often the connection is looked at, and tried again when it is lost."""
PATIENCE_S = 5.0
"""A server that does not answer for so long counts as lost."""
MARIADB_WAIT_S = 60
"""MariaDB notices a host that lost its power only by the silence of its connection: twenty looks."""

OnLost = Callable[[TenantId, str], Awaitable[None]]
"""Told when another process has the tenant: from now on nothing may be decided here."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A connection as its server sees it; two are equal only when they are the same connection."""

    connection: int
    peer: str
    since: str
    application: str

    def __str__(self) -> str:
        since = f", since {self.since}" if self.since else ""
        return f"connection {self.connection} of {self.application or 'a client'} at {self.peer}{since}"


class _PostgreSql:
    """The lock's key is of the database, so that tenants who share one do not meet."""

    SETTINGS = ("idle_session_timeout", "0"), ("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "4")
    TRY = "SELECT pg_try_advisory_lock(:key)"
    HOLDER = """
        SELECT a.pid, coalesce(host(a.client_addr) || ':' || a.client_port, 'its own host'),
               to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' UTC', a.application_name
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND (l.classid::bigint << 32 | l.objid::bigint) = :key"""
    END = "SELECT pg_terminate_backend(:connection)"

    def __init__(self, url: URL, tenant: TenantId) -> None:
        del url
        self.key: int | str = int.from_bytes(hashlib.sha256(f"fernamt:{tenant}".encode()).digest()[:8], "big", signed=True)
        self.options = {"timeout": PATIENCE_S, "server_settings": {"application_name": application()}}

    async def prepare(self, connection: AsyncConnection) -> None:
        """No server setting may end an idle connection; a peer without power is noticed within half a minute."""
        for name, value in self.SETTINGS:  # a server before 14 lacks the first
            await connection.execute(
                text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name"), {"name": name, "value": value}
            )


class _MariaDb:
    """Names of locks are the server's, so the database is a part of it."""

    TRY = "SELECT GET_LOCK(:key, 0)"
    HOLDER = "SELECT id, host, '', '' FROM information_schema.processlist WHERE id = IS_USED_LOCK(:key)"
    END = "KILL :connection"

    def __init__(self, url: URL, tenant: TenantId) -> None:
        self.key: int | str = "fernamt." + hashlib.sha256(f"{url.database}:{tenant}".encode()).hexdigest()[:32]
        self.options = {"connect_timeout": int(PATIENCE_S)}

    async def prepare(self, connection: AsyncConnection) -> None:
        """The session's own patience, whatever the server's is."""
        await connection.execute(text(f"SET SESSION wait_timeout = {MARIADB_WAIT_S}"))


def application() -> str:
    """How this process is named to others: host/pid (64 octets are PostgreSQL's limit)."""
    return f"fernamt {socket.gethostname()[:40]}/{os.getpid()}"


class TenantLock:
    """The lock of one tenant; made by `take`."""

    def __init__(self, url: URL, tenant: TenantId, outages: Outages, on_lost: OnLost) -> None:
        self._tenant = tenant
        self._place = place(url)
        self._outages = outages
        self._on_lost = on_lost
        self._dialect = _PostgreSql(url, tenant) if url.get_backend_name() == "postgresql" else _MariaDb(url, tenant)
        self._engine: AsyncEngine = create_async_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=self._dialect.options, hide_parameters=True
        )
        outages.watch(self._engine, url)
        self._connection: AsyncConnection | None = None
        self._self: Holder | None = None
        """Our connection, as the server told when we got the lock."""
        self._watching: asyncio.Task[None] | None = None
        self._losing: asyncio.Task[None] | None = None

    @classmethod
    async def take(cls, url: URL, tenant: TenantId, outages: Outages, on_lost: OnLost) -> TenantLock | None:
        """Take the lock and look after it; None: the database is SQLite.

        Raises: TenantInUse, Unreachable
        """
        if url.get_backend_name() == "sqlite":
            return None
        lock = cls(url, tenant, outages, on_lost)
        try:
            await lock._acquire()
        except BaseException:
            await lock.release()
            raise
        lock._watching = asyncio.create_task(lock._watch(), name=f"lock of {tenant}")
        return lock

    @property
    def is_held(self) -> bool:
        """Whether the server knows us as its holder, as far as we know."""
        return self._connection is not None

    async def release(self) -> None:
        """Let go of it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._drop()
        await self._engine.dispose()

    async def _acquire(self) -> None:
        connection = await self._engine.connect()
        try:
            await self._dialect.prepare(connection)
            if await connection.scalar(text(self._dialect.TRY), {"key": self._dialect.key}):
                self._self = await self._holder(connection)
                self._connection = connection
                return
            holder = await self._holder(connection)
            if holder is not None and holder == self._self:
                # Our own connection, lost to us and not yet to the server.
                await connection.execute(text(self._dialect.END), {"connection": holder.connection})
                raise TimeoutError("the lost connection still holds the lock")
        except BaseException:
            await _close(connection)
            raise
        await _close(connection)
        raise TenantInUse(f"tenant {self._tenant} is in use by another process ({holder or 'unknown'}) in the database {self._place}")

    async def _holder(self, connection: AsyncConnection) -> Holder | None:
        row = (await connection.execute(text(self._dialect.HOLDER), {"key": self._dialect.key})).first()
        return None if row is None else Holder(int(row[0]), str(row[1]), str(row[2]), str(row[3]))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    if self._connection is None:
                        await self._acquire()
                        log.warning("= tenant %s: the lock in its database is held again", self._tenant)
                    else:
                        await self._connection.execute(text("SELECT 1"))
            except TenantInUse as error:
                # As a task of its own: who is told will release this lock, and so end this one.
                self._losing = asyncio.create_task(self._lost(str(error)), name=f"lost {self._tenant}")
                return
            except Exception as error:
                if outage_of(error) is None:
                    log.warning("! tenant %s: the lock in its database cannot be looked after", self._tenant, exc_info=error)
                await self._drop()

    async def _lost(self, reason: str) -> None:
        try:
            await self._on_lost(self._tenant, reason)
        except Exception:
            log.exception("! tenant %s was lost to another process and could not be closed", self._tenant)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await _close(connection)


async def _close(connection: AsyncConnection) -> None:
    """Close a connection that may be dead; a goodbye that nobody hears is not waited for."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await connection.close()
    except Exception as error:
        log.debug("< closing a lost connection: %s", error)
        if not connection.closed:
            await connection.invalidate()
