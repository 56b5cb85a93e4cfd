"""Databases of the API: one for control, one a tenant (DESIGN.md §5); a unit of work is one transaction, committed at the edge.

SQLite files are the default; PostgreSQL and MariaDB databases are created on demand, by name from a template. Alembic brings each
to the newest revision at the start, in a thread of its own so that the exchange's loop is not held up.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event, inspect, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from acd.core.ids import TenantId
from acd.errors import CannotStart
from api import keyring
from api.config import Settings
from api.kit.sealing import Keys, Sealer
from api.outages import DataLeft, DataMissing, Outages, place
from api.quotas import CountedSession, Quotas
from api.tenant_lock import OnLost, TenantLock
from api.write_turns import WAIT_S, engine_in_turns
from billing_cdr.outage import Unreachable, outage_of

log = logging.getLogger(__name__)

Kind = Literal["control", "tenant"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = threading.Lock()
"""Alembic's `context` and `op` are process-wide proxies."""
CONNECT_S = 5
"""A server that does not take a connection within so long is away."""
POOL_S = 10.0
"""So long a request waits for a connection; a server that hangs must not gather requests for half a minute."""


_SEALER = "sealer"
WORK = "work"
"""In the `info` of a session: its transaction leaves something to be done (jobs, events), so whoever does it is told of the commit."""
_TELL = "tell"
_SCRUBBED = 1
"""`PRAGMA user_version` of a SQLite file that holds no secrets in clear, not even where nobody looks."""


class UnknownTenant(LookupError):
    """No database is open for the tenant."""


class Unit:
    """One transaction, or several with a `rest` between them, and what hangs on the outcome."""

    def __init__(self, session: AsyncSession, held: AsyncExitStack) -> None:
        self.session = session
        self._held = held
        self._locks: list[asyncio.Lock] = []
        self._then: list[Callable[[], Awaitable[None]]] = []
        self._undo: list[Callable[[], Awaitable[None]]] = []
        self.draft: object = None
        """What a slice has made of what it knows in this transaction, and nobody else may see yet."""
        self.is_certain = True
        """False from the moment the commit is tried: until it has come back, either may have become of the transaction."""

    async def hold_once(self, lock: asyncio.Lock) -> bool:
        """Hold the lock until the unit is done, its `then` included; False: it was held already, and nothing changes."""
        if lock in self._locks:
            return False
        await self._held.enter_async_context(lock)
        self._locks.append(lock)
        return True

    async def rest(self) -> None:
        """End the transaction and give its connection back, before something is waited for that is not the database: the next statement
        begins another one. What was written until now stays, whatever comes; what hangs on the outcome hangs on the last transaction.
        """
        await self.session.commit()

    def then(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do this once the transaction is committed, before the client is answered."""
        self._then.append(act)

    def let_go(self) -> None:
        """It is done: what hung on it mostly holds the unit itself, and the collector, which looks seldom, is not to find such circles."""
        self._then.clear()
        self._undo.clear()
        self.draft = None

    def otherwise(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do this when the transaction is rolled back: what was done outside of it is undone."""
        self._undo.append(act)


def sealer_of(session: AsyncSession) -> Sealer:
    """What seals and opens the stored secrets of the tenant whose transaction this is."""
    found: Sealer = session.info[_SEALER]
    return found


def control_url(settings: Settings) -> URL:
    """Address of the control database."""
    if settings.database.control is not None:
        return make_url(settings.database.control)
    return make_url(f"sqlite+aiosqlite:///{settings.data / 'control.sqlite'}")


def tenant_url(settings: Settings, tenant: TenantId) -> URL:
    """Address of a tenant's database: from the template, beside the control database on its server, or a file in the data folder."""
    if settings.database.tenant_url is not None:
        return make_url(settings.database.tenant_url.replace("{tenant}", tenant))
    control = control_url(settings)
    if control.get_backend_name() != "sqlite":
        return control.set(database=f"{control.database}_{tenant}")
    return make_url(f"sqlite+aiosqlite:///{tenant_directory(settings, tenant) / 'tenant.sqlite'}")


def tenant_directory(settings: Settings, tenant: TenantId) -> Path:
    """Journal, recordings and (with SQLite) the database of a tenant."""
    return settings.data / "tenants" / tenant


def make_engine(url: URL, pool: int) -> AsyncEngine:
    """An engine with the options of its database. Its errors tell statements without their values: those are people's, or secret."""
    match url.get_backend_name():
        case "sqlite":
            engine = engine_in_turns(url, pool_size=pool, max_overflow=pool, hide_parameters=True)
            event.listen(engine.sync_engine, "connect", _sqlite_pragmas)
            return engine
        case "mysql" | "mariadb":
            # A long-lived snapshot would read yesterday's counters; the other two read what is committed.
            return create_async_engine(
                url.update_query_dict({"charset": "utf8mb4"}),
                hide_parameters=True,
                pool_size=pool,
                max_overflow=pool,
                pool_pre_ping=True,
                pool_timeout=POOL_S,
                isolation_level="READ COMMITTED",
                connect_args={"connect_timeout": CONNECT_S},
            )
        case _:
            return create_async_engine(
                url,
                hide_parameters=True,
                pool_size=pool,
                max_overflow=pool,
                pool_pre_ping=True,
                pool_timeout=POOL_S,
                connect_args={"timeout": CONNECT_S},
            )


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={WAIT_S * 1000:.0f}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@contextmanager
def _unreachable(url: URL) -> Iterator[None]:
    """Let an outage leave as `Unreachable`, with the database's name and without a password."""
    try:
        yield
    except Exception as error:
        outage = outage_of(error)
        if outage is None or isinstance(error, Unreachable):
            raise
        raise Unreachable(place(url), outage) from error


async def _nobody_told(tenant: TenantId, reason: str) -> None:
    log.critical("! tenant %s was lost: %s", tenant, reason)


async def _nobody_waits(_tenant: TenantId) -> None:
    return


class Databases:
    """Engines of the installation, by tenant; each open tenant is locked against other processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = settings.database.pool
        self._tenants: dict[TenantId, AsyncEngine] = {}
        self._locks: dict[TenantId, TenantLock] = {}
        self._control: AsyncEngine | None = None
        self._keys: Keys | None = None
        self.outages = Outages()
        self.quotas = Quotas(settings.limits)
        """How much each tenant may store."""
        self.on_lost: OnLost = _nobody_told
        """Told when another process has taken an open tenant."""
        self.on_work: Callable[[TenantId], None] = lambda _tenant: None
        """Told when a transaction of a tenant has left something to be done."""
        self.on_closing: Callable[[TenantId], Awaitable[None]] = _nobody_waits
        """Awaited before a tenant's connections are closed: whoever works with them beside requests ends."""

    @property
    def control(self) -> AsyncEngine:
        """Engine of the control database."""
        assert self._control is not None, "open() comes first"
        return self._control

    @property
    def keys(self) -> Keys:
        """The keys of stored secrets."""
        assert self._keys is not None, "open() comes first"
        return self._keys

    async def read_keys(self) -> None:
        """Read the keys of stored secrets, again where a key was put back.

        Raises: CannotStart
        """
        self._keys = await asyncio.to_thread(keyring.load, self._settings)

    async def open(self) -> None:
        """Bring the control database to the newest revision and open it.

        Raises: Unreachable; CannotStart: no key of stored secrets can be read.
        """
        url = control_url(self._settings)
        with _unreachable(url):
            await _create_database(url)
        # Only now: a key that was made for a start that came to nothing would be in the way of the databases that were meant.
        await self.read_keys()
        with _unreachable(url):
            self._control = await self._prepared(url, "control")

    async def look(self, keys: Keys) -> None:
        """Open the control database as it is, beside a service that runs.

        Raises: DataMissing
        """
        self._keys = keys
        self._control = await self._as_it_is(control_url(self._settings), "the control database")

    async def look_at_tenant(self, tenant: TenantId) -> None:
        """Open a tenant's database as it is: nothing is migrated, nobody is kept from it.

        Raises: DataMissing
        """
        self._tenants[tenant] = await self._as_it_is(tenant_url(self._settings, tenant), f"the database of tenant {tenant}")

    async def refuse_later(self, tenant: TenantId | None) -> None:
        """See that a database that was opened as it is was not written by a later release; None: the control database.

        Raises: CannotStart; Unreachable
        """
        engine = self.control if tenant is None else self.tenant(tenant)
        with _unreachable(engine.url):
            async with engine.connect() as connection:
                await connection.run_sync(_revision, "control" if tenant is None else "tenant")

    async def _as_it_is(self, url: URL, what: str) -> AsyncEngine:
        with _unreachable(url):
            if not await _database_exists(url):
                raise DataMissing(f"{place(url)}: {what} is not there")
        return self._engine(url)

    async def _prepared(self, url: URL, kind: Kind) -> AsyncEngine:
        """Open a database that is there, at the newest revision."""
        engine = make_engine(url, self._pool)
        try:
            if not await _is_at_newest(engine, kind):
                await engine.dispose()
                await prepare(url, kind)
        except BaseException:
            await engine.dispose()
            raise
        self.outages.watch(engine, url)
        return engine

    def _engine(self, url: URL) -> AsyncEngine:
        engine = make_engine(url, self._pool)
        self.outages.watch(engine, url)
        return engine

    async def open_tenant(self, tenant: TenantId, *, new: bool = False) -> AsyncEngine:
        """Lock the tenant's database, bring it to the newest revision, open it.

        Args:
            new: it is created where there is none, and nothing of a tenant may be there yet. Otherwise it must be there: an empty one that
                is made in its place would hide that a volume is not mounted, or a restore not done.

        Raises: Unreachable; TenantInUse: another process has it, and its revision is left as that one needs it; DataMissing, DataLeft.
        """
        if tenant not in self._tenants:
            url = tenant_url(self._settings, tenant)
            directory = tenant_directory(self._settings, tenant)
            with _unreachable(url):
                fresh = not await _database_exists(url)
                if fresh and not new:
                    raise DataMissing(f"{place(url)}: the database of tenant {tenant} is not there; restore it, or mount its volume")
                if new and any(directory.glob("journal-*.log")):
                    raise DataLeft(f"{directory} holds the journal of a tenant {tenant}")
                directory.mkdir(parents=True, exist_ok=True)
                await _create_database(url)
                lock = await TenantLock.take(url, tenant, self.outages, self._lost)
                try:
                    if new and await _has_people(url):
                        raise DataLeft(f"{place(url)} holds the data of a tenant {tenant}")
                    self._tenants[tenant] = await self._prepared(url, "tenant")
                except BaseException:
                    if lock is not None:
                        await lock.release()
                    if fresh:  # nothing but what was made just now, lest the name be burnt
                        await drop_database(url)
                    raise
            if lock is not None:
                self._locks[tenant] = lock
        return self._tenants[tenant]

    async def _lost(self, tenant: TenantId, reason: str) -> None:
        await self.on_lost(tenant, reason)

    async def scrub(self, tenant: TenantId, *, anew: bool = False) -> None:
        """Leave nothing in an open tenant's SQLite file that no row holds any more: 0.1.0 wrote secrets in clear, and an update leaves the
        old octets in free pages and in the WAL. Once a database is enough, so it is noted there; servers have their own ways.

        Args:
            anew: though it was done before.
        Raises: DBAPIError: there is no room for a copy, which VACUUM makes; it is tried again when the tenant is opened next.
        """
        engine = self.tenant(tenant)
        if engine.dialect.name != "sqlite":
            return
        async with engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            if anew:
                await connection.execute(text("PRAGMA user_version = 0"))
            elif await connection.scalar(text("PRAGMA user_version")) == _SCRUBBED:
                return
            await connection.execute(text("VACUUM"))
            await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            await connection.execute(text(f"PRAGMA user_version = {_SCRUBBED}"))

    async def close_tenant(self, tenant: TenantId) -> None:
        """Close the tenant's connections; the data stays."""
        await self.on_closing(tenant)
        engine = self._tenants.pop(tenant, None)
        self.quotas.forget(tenant)
        if engine is not None:
            await engine.dispose()
        lock = self._locks.pop(tenant, None)
        if lock is not None:  # last: until then nobody else may write
            await lock.release()

    async def close(self) -> None:
        """Close every connection."""
        for tenant in tuple(self._tenants):
            await self.close_tenant(tenant)
        if self._control is not None:
            await self._control.dispose()
            self._control = None

    @property
    def opened(self) -> tuple[TenantId, ...]:
        """The open tenants."""
        return tuple(self._tenants)

    def is_locked(self, tenant: TenantId) -> bool:
        """Whether the tenant is open and locked against other processes at this moment; with SQLite it need not be."""
        lock = self._locks.get(tenant)
        return tenant in self._tenants and (lock is None or lock.is_held)

    def tenant(self, tenant: TenantId) -> AsyncEngine:
        """Engine of an open tenant.

        Raises: UnknownTenant: it is not open.
        """
        try:
            return self._tenants[tenant]
        except KeyError:
            raise UnknownTenant(tenant) from None

    @asynccontextmanager
    async def unit(self, tenant: TenantId | None) -> AsyncIterator[Unit]:
        """One transaction in the tenant's database, or (None) in the control database."""
        engine = self.control if tenant is None else self.tenant(tenant)
        async with AsyncExitStack() as held, AsyncSession(engine, sync_session_class=CountedSession, expire_on_commit=False) as session:
            if tenant is not None:
                self.quotas.watch(session.sync_session, tenant)
                session.info[_SEALER] = Sealer(self.keys, tenant, secrets.token_bytes)
                session.info[_TELL] = lambda: self.on_work(tenant)
            unit = Unit(session, held)
            try:
                try:
                    yield unit
                    unit.is_certain = False
                    await session.commit()
                except BaseException:
                    await session.rollback()
                    for undo in reversed(unit._undo):  # noqa: SLF001 - one thing with the unit
                        await undo()
                    raise
                for act in unit._then:  # noqa: SLF001
                    await act()
            finally:
                unit.let_go()


@event.listens_for(CountedSession, "after_commit")
def _after_commit(session: Session) -> None:
    """A unit may have several transactions, and may end well or badly after them: what one of them has left is to be done now."""
    if session.info.pop(WORK, False) and (tell := session.info.get(_TELL)) is not None:
        tell()


@event.listens_for(CountedSession, "after_rollback")
def _after_rollback(session: Session) -> None:
    session.info.pop(WORK, None)


# ---------------------------------------------------------------------- migrations


def alembic_config(kind: Kind) -> Config:
    """Configuration of one of the two lines of revisions. A slice may keep its revisions beside its tables: it is one line all the same."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS / kind).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    places = [_MIGRATIONS / kind / "versions", *sorted(_MIGRATIONS.parent.glob(f"*/migrations/{kind}"))]
    config.set_main_option("version_locations", os.pathsep.join(map(str, places)).replace("%", "%%"))
    return config


@functools.cache
def _newest(kind: Kind) -> str | None:
    """Read from the revisions' files, once a process."""
    return ScriptDirectory.from_config(alembic_config(kind)).get_current_head()


async def _is_at_newest(engine: AsyncEngine, kind: Kind) -> bool:
    """Whether there is nothing to be done, as at nearly every start; where nothing is there yet, nothing is made by the question."""
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():  # noqa: ASYNC240 - one stat
        return False
    async with engine.connect() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision()) == _newest(kind)


async def prepare(url: URL, kind: Kind) -> None:
    """Create the database where there is none and bring it to the newest revision."""
    await asyncio.to_thread(lambda: asyncio.run(_prepare(url, kind)))


async def _prepare(url: URL, kind: Kind) -> None:
    await _create_database(url)
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _leave_transactions_to_us)
        event.listen(engine.sync_engine, "begin", _begin)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(upgrade, kind)
    finally:
        await engine.dispose()


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    """Python's driver begins a transaction at the first INSERT: a CREATE TABLE before it would stay when the migration fails."""
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def upgrade(connection: Connection, kind: Kind) -> None:
    """Bring the database of an open connection to the newest revision.

    Raises: CannotStart: a later release has written it.
    """
    if _revision(connection, kind) == _newest(kind):
        return
    config = alembic_config(kind)
    with _ONE_AT_A_TIME:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection, kind: Kind) -> str | None:
    """Which one an open database has; None: nothing is in it.

    Raises: CannotStart: a later release has written it.
    """
    there = MigrationContext.configure(connection).get_current_revision()
    if there is None or there == _newest(kind):
        return there
    if there not in {one.revision for one in ScriptDirectory.from_config(alembic_config(kind)).walk_revisions()}:
        known = f"revision {there}; this one knows up to {_newest(kind)}"
        raise CannotStart(f"{place(connection.engine.url)} was written by a later release ({known}): start that")
    return there


_KNOWN = {
    "postgresql": "SELECT 1 FROM pg_database WHERE datname = :name",
    "mysql": "SELECT 1 FROM information_schema.schemata WHERE schema_name = :name",
}
_CREATE = {
    "postgresql": "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0",
    "mysql": "CREATE DATABASE {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
}


async def _database_exists(url: URL) -> bool:
    if url.get_backend_name() == "sqlite":
        return Path(str(url.database)).exists()  # noqa: ASYNC240 - one stat
    async with _maintenance(url) as connection:
        kind = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
        return await connection.scalar(text(_KNOWN[kind]), {"name": url.database}) is not None


async def _has_people(url: URL) -> bool:
    """Whether a database has been a tenant's: one that was only created (by hand, where we may not) or migrated knows nobody."""
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            there = await connection.run_sync(lambda sync: inspect(sync).has_table("user_account"))
            return there and await connection.scalar(text("SELECT 1 FROM user_account LIMIT 1")) is not None
    finally:
        await engine.dispose()


@asynccontextmanager
async def _maintenance(url: URL) -> AsyncIterator[AsyncConnection]:
    """A connection to the server's own database, in which others are made and removed."""
    assert url.database is not None
    maintenance = url.set(database="postgres" if url.get_backend_name() == "postgresql" else "mysql")
    engine = create_async_engine(maintenance, poolclass=NullPool, hide_parameters=True, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def _create_database(url: URL) -> None:
    """`CREATE DATABASE`, where there is none."""
    if url.get_backend_name() == "sqlite":
        if url.database is not None and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        return
    kind = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
    async with _maintenance(url) as connection:
        if await connection.scalar(text(_KNOWN[kind]), {"name": url.database}) is None:
            name = connection.dialect.identifier_preparer.quote_identifier(str(url.database))
            await connection.execute(text(_CREATE[kind].format(name)))


async def drop_database(url: URL) -> None:
    """Remove a database that was created for a tenant which did not come about."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        for suffix in ("", "-wal", "-shm"):
            Path(f"{url.database}{suffix}").unlink(missing_ok=True)  # noqa: ASYNC240 - three unlinks
        return
    async with _maintenance(url) as connection:
        name = connection.dialect.identifier_preparer.quote_identifier(str(url.database))
        await connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
