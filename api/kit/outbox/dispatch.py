"""Tells subscribers of events (shell): a batch in one transaction, with the mark that it was told.

A subscriber works inside that transaction, and leaves jobs there for what it does elsewhere; so a kill costs nothing and doubles nothing.
One that fails at an event holds up nobody else: the batch is told again, and what that one is to know of that subject becomes jobs in one
line, until they are done.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from api.db import Unit
from api.kit.jobs import Held, Inside, Jobs
from api.kit.jobs import put as put_job
from api.kit.jobs.store import unfinished_lines
from api.kit.outbox import store
from api.kit.outbox.catalogue import Catalogue, Event
from billing_cdr.outage import outage_of

log = logging.getLogger(__name__)

BATCH = 100
FORGET_EVERY_S = 3600.0
FORGET_BATCH, FORGET_MOST = 500, 20_000
TELL = "outbox.tell"
FORGET = "outbox.forget"


class Subscriber(Protocol):
    """Who is told of events."""

    name: str

    async def wants(self, session: AsyncSession, kinds: Sequence[str]) -> frozenset[str]:
        """Those of the kinds there are that somebody of the tenant wants at this moment."""

    async def take(self, session: AsyncSession, event: Event, now: datetime) -> None:
        """Be told, in a transaction; the same event is never told twice by a transaction that was committed."""


class Telling(msgspec.Struct):
    """Argument of `outbox.tell`."""

    event: str
    subscriber: str


class _Failed(Exception):
    """A subscriber failed at an event: the batch is rolled back."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


class Outbox:
    """The events of all tenants of one process.

    Args:
        kept_days: so long an event stays when it was told.
    """

    def __init__(self, jobs: Jobs, kept_days: int) -> None:
        self._jobs = jobs
        self.kinds = Catalogue()
        """Those that slices say there are."""
        self._subscribers: dict[str, Subscriber] = {}
        self._kept = timedelta(days=kept_days)
        self._wanted: dict[TenantId, frozenset[str]] = {}
        self.on_wanted: list[Callable[[TenantId, frozenset[str]], Awaitable[None]]] = []
        """Told what is wanted, whenever that was asked."""
        self.counters: Counter[tuple[str, TenantId]] = Counter()
        """(figure, tenant) -> how many."""
        jobs.define((Inside(TELL, Telling, self._tell_again), Inside(FORGET, type(None), self._forget, every_s=FORGET_EVERY_S)))
        jobs.chores.append(self.tell)
        jobs.endings.append(self.forget)

    def subscribe(self, one: Subscriber) -> None:
        """Before any tenant is open."""
        assert one.name not in self._subscribers, one.name
        self._subscribers[one.name] = one

    def is_wanted(self, tenant: TenantId, kind: str) -> bool:
        """Whether an event of this kind is to be written; as long as nobody has asked the subscribers, it is."""
        wanted = self._wanted.get(tenant)
        return wanted is None or kind in wanted

    async def ask(self, tenant: TenantId) -> frozenset[str]:
        """Ask the subscribers what they want: when the tenant is opened, and when one has changed its mind."""
        async with self._jobs.databases.unit(tenant) as unit:
            found = frozenset[str]().union(*[await one.wants(unit.session, self.kinds.names) for one in self._subscribers.values()])
        self._wanted[tenant] = found
        for act in self.on_wanted:
            await act(tenant, found)
        return found

    async def forget(self, tenant: TenantId) -> None:
        """It is closed."""
        self._wanted.pop(tenant, None)

    async def tell(self, tenant: TenantId, now: datetime) -> None:
        """Tell of everything that nobody was told of."""
        if tenant not in self._wanted:
            await self.ask(tenant)
        aside: set[str] = set()
        more = True
        while more:
            try:
                more = await self._tell_some(tenant, now, aside)
            except _Failed as error:
                aside.add(error.line)

    async def _tell_some(self, tenant: TenantId, now: datetime, aside: set[str]) -> bool:
        """A batch; returns whether there may be more."""
        async with self._jobs.databases.unit(tenant) as unit:
            batch = await store.untold(unit.session, BATCH)
            if not batch:
                return False
            # First, so that the database holds back whoever else writes, and not at the last of the statements.
            await store.told(unit.session, [seq for seq, _ in batch], now)
            behind = aside | await unfinished_lines(unit.session, TELL)
            for _, event in batch:
                await self._tell_one(unit.session, event, now, behind)
        self.counters["told", tenant] += len(batch)
        return len(batch) == BATCH

    async def _tell_one(self, session: AsyncSession, event: Event, now: datetime, behind: set[str]) -> None:
        for name, subscriber in self._subscribers.items():
            line = f"{name}/{event.subject}"[:250]
            if line in behind:
                await put_job(session, TELL, Telling(event.id, name), now, line=line)
                continue
            try:
                await subscriber.take(session, event, now)
                await session.flush()
            except Exception as error:
                if outage_of(error) is not None:
                    raise
                log.exception("! %s could not be told of %s %s, which becomes a job", name, event.kind, event.id)
                raise _Failed(line) from error

    async def _tell_again(self, unit: Unit, told: Telling, held: Held) -> None:
        subscriber, event = self._subscribers.get(told.subscriber), await store.get(unit.session, told.event)
        if subscriber is not None and event is not None:
            await subscriber.take(unit.session, event, held.now)

    async def _forget(self, unit: Unit, _argument: None, held: Held) -> None:
        gone = 0
        while gone < FORGET_MOST:
            some = await store.forget(unit.session, held.now - self._kept, FORGET_BATCH)
            gone += some
            if some < FORGET_BATCH:
                break
        if gone:
            log.info("> %d events that were told are gone", gone)

    def figures(self) -> Mapping[str, float]:
        """For /metrics."""
        return {f'fernamt_events_{figure}_total{{tenant="{tenant}"}}': number for (figure, tenant), number in self.counters.items()}
