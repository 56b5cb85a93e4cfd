"""What calls tell of goes into the outbox (shell): from the journal's live stream, with the place in the journal that it is complete to.

Nothing of this is in the way of a call: the exchange publishes what is on disk already, and who reads too slowly reads from the disk. The
place is written in the transaction of the events, so that a kill costs nothing: whoever opens the tenant next reads on in the journal, and
an event that is there already has the same id. It runs only while somebody wants such events, from that moment on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from acd.bus.protocol import Subscription
from acd.client import VoiceClient
from acd.core.errors import UnknownName
from acd.core.ids import TenantId
from acd.errors import StreamOverrun
from acd.journal import Reading, read
from acd.service import LiveEvent, TenantState
from api.db import Databases, UnknownTenant
from api.kit.jobs import Jobs
from api.kit.outbox import Outbox, put
from api.outages import say
from api.telephony.events import OF_CALLS, RATED, rated, rows_of
from billing_cdr import store
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge

log = logging.getLogger(__name__)

FEED = "outbox"
"""Its place in `feed_position`."""
GATHER_S = 0.1
"""Events of so long are written together."""
MOST = 500
AGAIN_S = 5.0


class CallEvents:
    """Of all tenants of one process.

    Args:
        data: the folder of journals.
    """

    def __init__(self, voice: VoiceClient, databases: Databases, jobs: Jobs, outbox: Outbox, data: Path) -> None:
        self._voice = voice
        self._databases = databases
        self._jobs = jobs
        self._outbox = outbox
        self._data = data
        self._readers: dict[TenantId, tuple[asyncio.Task[None], asyncio.Event]] = {}
        """And what tells each that it is over."""
        outbox.on_wanted.append(self.follow)
        jobs.endings.append(self.end)

    # ------------------------------------------------------------------ records

    async def rated(self, tenant: TenantId, connection: AsyncConnection, cdrs: Sequence[Cdr], charges: Mapping[str, Charge]) -> None:
        """Records are stored for the first time: in that transaction."""
        if not self._outbox.is_wanted(tenant, RATED.name):
            return
        now = self._jobs.clock()
        await put(connection, [rated(cdr, charges.get(cdr.id), now) for cdr in cdrs])

    def stored(self, tenant: TenantId) -> None:
        """That transaction is committed."""
        self._jobs.wake(tenant)

    # ------------------------------------------------------------------ calls

    async def follow(self, tenant: TenantId, wanted: frozenset[str]) -> None:
        """Read the calls of an open tenant if somebody wants to be told of them, and no more if nobody does."""
        if wanted & {kind.name for kind in OF_CALLS}:
            if tenant not in self._readers:
                await self._begin(tenant)
                over = asyncio.Event()
                self._readers[tenant] = asyncio.create_task(self._read(tenant, over), name=f"events of calls of {tenant}"), over
        elif tenant in self._readers:
            await self.end(tenant)
            await self._forget(tenant)

    async def end(self, tenant: TenantId) -> None:
        """The tenant is going to be closed."""
        found = self._readers.pop(tenant, None)
        if found is None:
            return
        reader, over = found
        over.set()  # not cancelled in the middle of a transaction: drivers do not like that
        _, late = await asyncio.wait({reader}, timeout=AGAIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    def _directory(self, tenant: TenantId) -> Path:
        return self._data / "tenants" / tenant

    async def _begin(self, tenant: TenantId) -> None:
        """Who wants events for the first time is told of what comes from now on."""
        engine = self._databases.tenant(tenant)
        if await store.position(engine, FEED) is None:
            last = await asyncio.to_thread(_last_seq, self._directory(tenant))
            await store.save(engine, (), (), FEED, last)

    async def _forget(self, tenant: TenantId) -> None:
        async with self._databases.unit(tenant) as unit:
            await unit.session.execute(delete(store.position_table).where(store.position_table.c.feed == FEED))

    async def _read(self, tenant: TenantId, over: asyncio.Event) -> None:
        while not over.is_set():
            try:
                await self._follow(tenant, over)
            except (UnknownTenant, UnknownName, _Ended):
                return
            except StreamOverrun:
                log.warning("= tenant %s: events of calls are read from the journal", tenant)
                continue
            except Exception as error:
                say(log, error, "! tenant %s: events of calls wait", tenant)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await over.wait()

    async def _follow(self, tenant: TenantId, over: asyncio.Event) -> None:
        """Listen first, then read what is on disk already, then write what was heard: so nothing is between the two."""
        stream = self._voice.events(tenant)
        pending, batch = asyncio.ensure_future(_next(stream)), list[LiveEvent]()
        ending = asyncio.ensure_future(over.wait())
        try:
            seq = await self._catch_up(tenant)
            while not over.is_set():
                done, _ = await asyncio.wait({pending, ending}, timeout=GATHER_S if batch else None, return_when=asyncio.FIRST_COMPLETED)
                if pending in done:
                    batch.append(pending.result())
                    pending = asyncio.ensure_future(_next(stream))
                if batch and (not done or ending in done or len(batch) >= MOST):
                    await self._write(tenant, batch, seq)
                    batch.clear()
        finally:
            ending.cancel()
            pending.cancel()
            await asyncio.gather(pending, ending, return_exceptions=True)
            stream.close()

    async def _catch_up(self, tenant: TenantId) -> int:
        """What is in the journal behind the place; returns the new one."""
        engine = self._databases.tenant(tenant)
        seq = await store.position(engine, FEED) or 0
        while True:
            last, rows = await asyncio.to_thread(_some_of_journal, self._directory(tenant), seq)
            if last == seq:
                return seq
            await self._save(tenant, rows, last)
            seq = last

    async def _write(self, tenant: TenantId, batch: Sequence[LiveEvent], seq: int) -> None:
        """What is behind `seq`; the last entry may not be whole yet, so the place is before it."""
        new = [one for one in batch if one.seq > seq and one.only_agent is None]
        rows = [row for one in new for row in rows_of(one.seq, one.at, (one.event,))]
        if rows:
            await self._save(tenant, rows, max(one.seq for one in new) - 1)

    async def _save(self, tenant: TenantId, rows: Sequence[dict[str, Any]], seq: int) -> None:
        wanted = [row for row in rows if self._outbox.is_wanted(tenant, row["kind"])]
        async with self._databases.tenant(tenant).begin() as connection:
            await put(connection, wanted)
            await store.save(connection, (), (), FEED, seq)
        self._jobs.wake(tenant)


class _Ended(Exception):
    """The exchange is closed."""


async def _next(stream: Subscription) -> LiveEvent:
    """Raises: _Ended"""
    while True:
        try:
            heard = await anext(stream)
        except StopAsyncIteration as error:  # a task cannot raise it
            raise _Ended from error
        if isinstance(heard, LiveEvent):
            return heard
        if isinstance(heard, TenantState) and not heard.is_open:
            raise _Ended


def _last_seq(directory: Path) -> int:
    reading = Reading(directory, after=2**62)
    for _ in reading.walk():
        pass
    return reading.tail.seq


def _some_of_journal(directory: Path, after: int) -> tuple[int, list[dict[str, Any]]]:
    """Entries behind a place, some of them: the last of them, and the rows they give."""
    rows: list[dict[str, Any]] = []
    for count, entry in enumerate(read(directory, after), 1):
        after = entry.seq
        rows += rows_of(entry.seq, entry.now, entry.events)
        if count == MOST:
            break
    return after, rows
