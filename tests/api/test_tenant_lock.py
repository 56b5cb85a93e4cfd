"""One process serves a tenant: advisory locks on real servers, among two installations and two processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from acd.core.ids import TenantId
from api import tenant_lock
from api.config import Database, Settings
from api.db import Databases, drop_database, tenant_url
from api.outages import Outages, TenantInUse, place
from api.tenant_lock import TenantLock
from tests.api.conftest import ACME
from tests.servers import databases_to_test, server

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> URL:
    """Of a database on this kind of server; which one does not matter to the lock."""
    kind: str = request.param
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    monkeypatch.setattr(tenant_lock, "WATCH_S", 0.05)
    return make_url(server(kind).admin_url)


@pytest.fixture
def tenant() -> TenantId:
    """Nobody has had it before."""
    return TenantId(f"tenant{next(_numbers)}")


class Lost:
    """Hears that a tenant was lost."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[TenantId, str]] = asyncio.Queue()

    async def __call__(self, tenant: TenantId, reason: str) -> None:
        await self.told.put((tenant, reason))


@contextlib.asynccontextmanager
async def taken(url: URL, tenant: TenantId, lost: Lost | None = None) -> AsyncIterator[TenantLock]:
    lock = await TenantLock.take(url, tenant, Outages(), lost or Lost())
    assert lock is not None
    try:
        yield lock
    finally:
        await lock.release()


@contextlib.asynccontextmanager
async def taken_in_the_end(url: URL, tenant: TenantId) -> AsyncIterator[TenantLock]:
    async with asyncio.timeout(20), contextlib.AsyncExitStack() as stack:
        while True:
            with contextlib.suppress(TenantInUse):
                lock = await stack.enter_async_context(taken(url, tenant))
                break
        yield lock


async def until_held(lock: TenantLock, *, held: bool = True) -> None:
    async with asyncio.timeout(20):
        while lock.is_held is not held:
            await asyncio.sleep(0.001)


async def cut(url: URL, lock: TenantLock) -> None:
    """Have the server end the connection that holds the lock, as its restart would."""
    assert lock._self is not None
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(lock._dialect.END), {"connection": lock._self.connection})
    await engine.dispose()


async def test_second_process_is_refused_and_told_who_has_the_tenant(url: URL, tenant: TenantId) -> None:
    async with taken(url, tenant):
        with pytest.raises(TenantInUse) as refused:
            await TenantLock.take(url, tenant, Outages(), Lost())
    told = str(refused.value)
    assert re.match(rf"tenant {tenant} is in use by another process \(connection \d+ of .* at (127\.0\.0\.1|localhost):\d+", told), told
    assert told.endswith(f"in the database {place(url)}")
    if url.get_backend_name() == "postgresql":
        assert f"/{os.getpid()} at" in told
        assert re.search(r", since 20\d\d-", told)
    async with taken(url, tenant):
        pass


async def test_a_lock_whose_connection_was_cut_is_taken_again(url: URL, tenant: TenantId) -> None:
    lost = Lost()
    async with taken(url, tenant, lost) as lock:
        await cut(url, lock)
        await until_held(lock, held=False)
        await until_held(lock)
        assert lost.told.empty()
        with pytest.raises(TenantInUse):
            await TenantLock.take(url, tenant, Outages(), Lost())


async def test_who_comes_too_late_after_a_cut_is_told_that_the_tenant_is_lost(
    url: URL, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_lock, "WATCH_S", 0.3)
    lost = Lost()
    async with taken(url, tenant, lost) as slow:
        await cut(url, slow)
        async with taken_in_the_end(url, tenant) as quick:
            told, reason = await asyncio.wait_for(lost.told.get(), 20)
            assert told == tenant
            assert reason.startswith(f"tenant {tenant} is in use by another process (connection ")
            assert (slow.is_held, quick.is_held) == (False, True)
            await slow.release()
            await until_held(quick)


async def test_a_connection_the_server_still_believes_in_is_our_own_and_is_ended(url: URL, tenant: TenantId) -> None:
    """A network that was cut in the middle: we know that the connection is lost, the server does not yet."""
    lost = Lost()
    async with taken(url, tenant, lost) as lock:
        kept, lock._connection = lock._connection, None
        assert kept is not None
        await until_held(lock)
        assert lost.told.empty()
        await tenant_lock._close(kept)


async def test_the_lock_outlives_the_idle_timeout_of_the_server(url: URL, tenant: TenantId) -> None:
    async with taken(url, tenant) as lock:
        assert lock._connection is not None
        if url.get_backend_name() == "postgresql":
            assert await lock._connection.scalar(text("SHOW idle_session_timeout")) == "0"
        else:  # looked at twenty times within it
            assert await lock._connection.scalar(text("SELECT @@SESSION.wait_timeout")) == tenant_lock.MARIADB_WAIT_S


HOLDER = """
import asyncio, sys
from sqlalchemy import make_url
from api.outages import Outages
from api.tenant_lock import TenantLock

async def hold():
    await TenantLock.take(make_url(sys.argv[1]), sys.argv[2], Outages(), None)
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_kill_9_of_the_holder_frees_the_tenant(url: URL, tenant: TenantId) -> None:
    address = url.render_as_string(hide_password=False)
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, address, tenant, stdout=asyncio.subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert await asyncio.wait_for(holder.stdout.readline(), 60) == b"held\n"
        with pytest.raises(TenantInUse) as refused:
            await TenantLock.take(url, tenant, Outages(), Lost())
        if url.get_backend_name() == "postgresql":
            assert f"/{holder.pid} at" in str(refused.value)
        holder.send_signal(signal.SIGKILL)
        await holder.wait()
        async with taken_in_the_end(url, tenant):
            pass
    finally:
        if holder.returncode is None:
            holder.kill()
            await holder.wait()


async def test_a_tenant_is_opened_by_one_installation_at_a_time(url: URL, tmp_path: Path) -> None:
    kind = "postgresql" if url.get_backend_name() == "postgresql" else "mariadb"
    settings = Settings(data=tmp_path, database=Database(tenant_url=server(kind).url(f"lock{next(_numbers)}_{{tenant}}")))
    one, other = Databases(settings), Databases(settings)
    try:
        await one.open_tenant(ACME, new=True)
        with pytest.raises(TenantInUse, match="tenant acme is in use by another process"):
            await other.open_tenant(ACME)
        assert (one.opened, other.opened) == ((ACME,), ())
        await one.close_tenant(ACME)
        await other.open_tenant(ACME)
        assert other.is_locked(ACME)
    finally:
        await one.close()
        await other.close()
        await drop_database(tenant_url(settings, ACME))


async def test_sqlite_needs_no_lock() -> None:
    assert await TenantLock.take(make_url("sqlite+aiosqlite:///x"), ACME, Outages(), Lost()) is None
