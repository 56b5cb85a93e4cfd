"""Runs the jobs of open tenants (shell): one loop a tenant, which sleeps until something is due or a commit says that there is more.

Fair between tenants, kinds of jobs and the machines they go to: a job is claimed only when it may begin (`pools`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from api.db import Databases, UnknownTenant
from api.kit.clock import Clock
from api.kit.jobs import store
from api.kit.jobs.definitions import Again, Definition, Done, Held, Inside, Later, Never, Outcome, Outside
from api.kit.jobs.models import JobRow
from api.kit.jobs.pools import SHARED, Machines, Pool
from api.kit.jobs.rules import State, next_run
from api.outages import say, sentence

log = logging.getLogger(__name__)

SHARED_POOL = ""
LEASE_MORE_S = 30.0
"""A lease ends so long after the time a try may take: what it leaves is written by then."""
LOOK_AGAIN_S = 60.0
"""Where something waits for its time it is looked at at least so often: the machine's clock may be set."""
TROUBLE_FIRST_S, TROUBLE_LAST_S = 1.0, 60.0
"""A database that is away is asked again after so long, doubled up to so long."""
COUNT_EVERY_S = 5.0
GRACE_S = 5.0
"""So long jobs that run may go on when the tenant is closed."""

Chore = Callable[[TenantId, datetime], Awaitable[None]]
"""What is done at every look, before jobs: the outbox's events become jobs."""


class Jobs:
    """All jobs of one process.

    Args:
        definitions: of every job there is; names are unique.
        chance: from 0 up to 1, for the distances of retries.
    """

    def __init__(
        self, databases: Databases, clock: Clock, definitions: Iterable[Definition] = (), chance: Callable[[], float] = random.random
    ) -> None:
        self.databases = databases
        self.clock = clock
        self.chance = chance
        self.definitions: dict[str, Definition] = {}
        self.chores: list[Chore] = []
        self.endings: list[Callable[[TenantId], Awaitable[None]]] = []
        """Told that a tenant is going to be closed, when its jobs have ended."""
        self.pools: dict[str, Pool] = {SHARED_POOL: Pool(SHARED, (), but=True)}
        """By the job whose own it is."""
        self.counters: Counter[tuple[str, TenantId, str]] = Counter()
        """(figure, tenant, name of the job) -> how often."""
        self._runners: dict[TenantId, Runner] = {}
        self.define(definitions)
        databases.on_work = self.wake
        databases.on_closing = self.end

    def define(self, definitions: Iterable[Definition]) -> None:
        """Add some."""
        for one in definitions:
            assert one.name not in self.definitions, one.name
            self.definitions[one.name] = one
            if isinstance(one, Outside) and one.places is not None:
                self.pools[one.name] = Pool(one.places, (one.name,))
        self.pools[SHARED_POOL].names = tuple(name for name in self.pools if name != SHARED_POOL)

    def pool_of(self, name: str) -> str:
        """In which the jobs of this name have their places."""
        return name if name in self.pools else SHARED_POOL

    def wake_first(self, pool: Pool) -> None:
        """Places of it may be free: who stands first in its queue comes."""
        for tenant in pool.first():
            self.wake(tenant)

    def leave(self, tenant: TenantId) -> None:
        """It stands in no queue any more."""
        for pool in self.pools.values():
            pool.leave(tenant)
            self.wake_first(pool)

    def begin(self, tenant: TenantId) -> None:
        """The tenant is open: run its jobs."""
        if tenant not in self._runners:
            self._runners[tenant] = Runner(self, tenant)
            self._runners[tenant].start()

    async def end(self, tenant: TenantId) -> None:
        """It is going to be closed."""
        runner = self._runners.pop(tenant, None)
        if runner is not None:
            await runner.close()
            self.leave(tenant)
            for act in self.endings:
                await act(tenant)

    async def close(self) -> None:
        """All of them are."""
        await asyncio.gather(*(self.end(tenant) for tenant in tuple(self._runners)))

    def wake(self, tenant: TenantId) -> None:
        """There is something new to do."""
        runner = self._runners.get(tenant)
        if runner is not None:
            runner.wake()

    async def settled(self, tenant: TenantId) -> None:
        """Wait until nothing of the tenant is due or running (for tests, and for whoever wants to see what became of it)."""
        await self._runners[tenant].settled()

    async def count(self, tenant: TenantId) -> None:
        """Count now what `figures` tells, which is done every few seconds while something happens."""
        await self._runners[tenant].count()

    def figures(self) -> dict[str, float]:
        """For /metrics; the numbers of rows are those of the last look."""
        found: dict[str, float] = {
            f'fernamt_jobs_{figure}_total{{tenant="{tenant}",job="{name}"}}': number
            for (figure, tenant, name), number in self.counters.items()
        }
        now = self.clock()
        for tenant, runner in self._runners.items():
            for state in (State.WAITING, State.RUNNING, State.DEAD):
                found[f'fernamt_jobs{{tenant="{tenant}",state="{state}"}}'] = runner.counted.get(state, 0)
            late_s = (now - runner.oldest).total_seconds() if runner.oldest is not None else 0.0
            found[f'fernamt_jobs_oldest_seconds{{tenant="{tenant}"}}'] = max(0.0, late_s)
        return found


class Runner:
    """The jobs of one tenant."""

    def __init__(self, jobs: Jobs, tenant: TenantId) -> None:
        self._jobs = jobs
        self._tenant = tenant
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._closing = False
        self._running: dict[asyncio.Task[None], JobRow] = {}
        self._machines = {name: Machines(pool.places) for name, pool in jobs.pools.items()}
        self._counted_at = -math.inf
        """On the clock of the loop."""
        self.counted: dict[str, int] = {}
        self.oldest: datetime | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name=f"jobs of {self._tenant}")

    def wake(self) -> None:
        self._idle.clear()
        self._woken.set()

    async def settled(self) -> None:
        await self._idle.wait()

    async def close(self) -> None:
        """Nothing more is begun; what runs has a little time, and is begun again by whoever opens the tenant next."""
        self._closing = True
        self._woken.set()
        if self._loop is not None:  # not cancelled in the middle of a transaction: drivers do not like that
            _, late = await asyncio.wait({self._loop}, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if self._running:
            await asyncio.wait(self._running, timeout=GRACE_S)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self) -> None:
        trouble_s, begun = TROUBLE_FIRST_S, False
        while not self._closing:
            self._woken.clear()
            try:
                if not begun:
                    begun = await self._begin()
                    self._woken.clear()  # by what was put just now, which is looked at in a moment
                pause_s = await self._look()
                trouble_s = TROUBLE_FIRST_S
            except UnknownTenant:
                self._jobs.leave(self._tenant)
                return
            except Exception as error:
                say(log, error, "! jobs of tenant %s wait %.0f s", self._tenant, trouble_s)
                self._jobs.leave(self._tenant)
                pause_s, trouble_s = trouble_s, min(trouble_s * 2, TROUBLE_LAST_S)
            if self._is_over():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()

    def _is_over(self) -> bool:
        return self._closing

    async def _begin(self) -> bool:
        """What a killed process had is to be done again; what comes again and again is put where it is not there yet."""
        now = self._jobs.clock()
        async with self._jobs.databases.unit(self._tenant) as unit:
            lost = await store.reclaim(unit.session, now)
            again = {f"every:{one.name}": one for one in self._jobs.definitions.values() if one.every_s is not None}
            for key in again.keys() - await store.times(unit.session, tuple(again)):
                one = again[key]
                await store.put(unit.session, one.name, None, now, run_at=next_run(now, one.every_s or 0.0), key=key)
        if lost:
            log.warning("= tenant %s: %d jobs that were cut off are done again", self._tenant, lost)
        return True

    async def _look(self) -> float | None:
        """Do what is due; returns how long nothing will be, in seconds; None: until somebody says so."""
        for chore in self._jobs.chores:
            await chore(self._tenant, self._jobs.clock())
        async with self._jobs.databases.unit(self._tenant) as unit:
            due = {self._jobs.pool_of(name) for name in await store.due_names(unit.session, self._jobs.clock())}
        refused = {name for name in self._jobs.pools if name in due and not await self._fill(name)}
        for name in self._jobs.pools.keys() - due:  # what it stood in a queue for is gone
            self._jobs.pools[name].leave(self._tenant)
            self._jobs.wake_first(self._jobs.pools[name])
        return await self._pause(refused)

    async def _fill(self, name: str) -> bool:
        """Begin what is due of a pool; returns whether there was room for all of it.

        Not more at a time than its places: what ends as soon as it began leaves room for ever, and the outbox has its turn in between.
        """
        pool = self._jobs.pools[name]
        for _ in range(pool.places.of_tenant):
            if self._closing or not pool.ask(self._tenant):
                return False
            job = None
            try:
                job = await self._next(name)
            finally:
                if job is None:
                    self._give(pool)
            if job is None:
                return True
            self._machines[name].began(job.line)
            task = asyncio.create_task(self._do(job), name=f"{job.name} of {self._tenant}")
            self._running[task] = job
            task.add_done_callback(self._ended)
        return True

    async def _next(self, name: str) -> JobRow | None:
        """The machines take turns: a thousand jobs for one, and the job for another is the next or the one after."""
        machines = self._machines[name]
        if machines.turns:
            job = await self._claim(self._some(name, machines.turns))
            if job is not None:
                return job
            machines.next_round()
        return await self._claim(self._some(name))

    def _some(self, name: str, not_to: Sequence[str] = ()) -> store.Some:
        pool = self._jobs.pools[name]
        return store.Some(pool.names, pool.but, sorted({*self._machines[name].busy(), *not_to}))

    def _give(self, pool: Pool) -> None:
        pool.give(self._tenant)
        self._jobs.wake_first(pool)

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._running.pop(task)
        name = self._jobs.pool_of(job.name)
        self._machines[name].ended(job.line)
        self._give(self._jobs.pools[name])
        self.wake()

    async def _claim(self, some: store.Some) -> JobRow | None:
        longest = max((one.limit_s for one in self._jobs.definitions.values()), default=0.0)
        async with self._jobs.databases.unit(self._tenant) as unit:
            return await store.claim(unit.session, self._jobs.clock(), longest + LEASE_MORE_S, some)

    async def _pause(self, refused: AbstractSet[str]) -> float | None:
        """What found no room is looked at when there is: whoever makes it wakes us."""
        now = self._jobs.clock()
        async with self._jobs.databases.unit(self._tenant) as unit:
            at = await store.next_at(unit.session, [self._some(name) for name in self._jobs.pools if name not in refused])
            since_s = asyncio.get_running_loop().time() - self._counted_at
            if since_s >= COUNT_EVERY_S:
                await self._count_rows(unit.session)
        wait_s = None if at is None else (at - now).total_seconds()
        if wait_s is not None and wait_s <= 0:
            return 0.0
        if not self._running and not refused and not self._woken.is_set():
            self._idle.set()
        uncounted_s = COUNT_EVERY_S - since_s if since_s < COUNT_EVERY_S else math.inf
        wait_s = min(math.inf if wait_s is None else min(wait_s, LOOK_AGAIN_S), uncounted_s)
        return None if wait_s == math.inf else wait_s

    async def count(self) -> None:
        async with self._jobs.databases.unit(self._tenant) as unit:
            await self._count_rows(unit.session)

    async def _count_rows(self, session: AsyncSession) -> None:
        self._counted_at = asyncio.get_running_loop().time()
        self.counted, self.oldest = await store.counts(session)

    # ------------------------------------------------------------------ one job

    async def _do(self, job: JobRow) -> None:
        try:
            await self._try(job)
        except store.LeaseLost:
            log.warning("! tenant %s: %s %s took too long and is somebody else's", self._tenant, job.name, job.id)
        except UnknownTenant:
            log.info("< tenant %s was closed while %s %s ran", self._tenant, job.name, job.id)
        except Exception as error:  # it is claimed again when its lease ends
            say(log, error, "! tenant %s: what became of %s %s could not be written", self._tenant, job.name, job.id)

    async def _try(self, job: JobRow) -> None:
        definition = self._jobs.definitions.get(job.name)
        if definition is None:
            await self._write(job, None, Never("This release knows no such job."))
            return
        held = Held(job.id, job.name, job.attempts, self._jobs.clock(), last=job.attempts >= definition.retry.most)
        if job.attempts > definition.retry.most:  # each try ended the process
            await self._write(job, definition, Never(job.error or store.KILLED))
            return
        try:
            argument = msgspec.json.decode(job.argument, type=definition.argument)
            async with asyncio.timeout(definition.limit_s):
                if isinstance(definition, Inside):
                    await self._inside(job, definition, argument, held)
                    return
                outcome = await definition.run(self._tenant, argument, held)
        except (store.LeaseLost, UnknownTenant):
            raise
        except msgspec.MsgspecError as error:
            outcome = Never(f"Its argument cannot be read: {error}")
        except TimeoutError:
            outcome = Again(f"It took more than {definition.limit_s:.0f} s.")
        except Exception as error:
            if sentence(error) is None:
                log.exception("! tenant %s: %s %s failed", self._tenant, job.name, job.id)
            outcome = Again(sentence(error) or type(error).__name__)
        if not isinstance(outcome, Later):
            is_well = isinstance(outcome, Done) and outcome.is_well
            self._machines[self._jobs.pool_of(job.name)].judge(job.line, is_well=is_well)
        await self._write(job, definition, outcome)

    def _until(self) -> datetime:
        return self._jobs.clock() + timedelta(seconds=LEASE_MORE_S)

    async def _inside(self, job: JobRow, definition: Inside, argument: object, held: Held) -> None:
        async with self._jobs.databases.unit(self._tenant) as unit:
            await store.fence(unit.session, job, self._until())
            await definition.run(unit, argument, held)
            await self._complete(unit.session, job, definition, None)
        self._count("done", job)

    async def _complete(self, session: AsyncSession, job: JobRow, definition: Definition | None, error: str | None) -> None:
        if definition is not None and definition.every_s is not None:
            now = self._jobs.clock()
            await store.come_again(session, job, next_run(now, definition.every_s), error, now)
        else:
            await store.finish(session, job)

    async def _write(self, job: JobRow, definition: Definition | None, outcome: Outcome) -> None:
        """What became of a try, and what it leaves, in one transaction."""
        now = self._jobs.clock()
        async with self._jobs.databases.unit(self._tenant) as unit:
            await store.fence(unit.session, job, self._until())
            match outcome:
                case Later(after_s=after_s):
                    await store.put_back(unit.session, job, now + timedelta(seconds=after_s))
                case Done(then=then):
                    if then is not None:
                        await then(unit, "done")
                    await self._complete(unit.session, job, definition, None)
                case Again(error=error, then=then) | Never(error=error, then=then):
                    run_at = self._next_try(job, definition, outcome, now)
                    if then is not None:
                        await then(unit, "dead" if run_at is None else "waiting")
                    if run_at is None and definition is not None and definition.every_s is not None:
                        await self._complete(unit.session, job, definition, error)
                    else:
                        await store.fail(unit.session, job, error, now, run_at)
        if isinstance(outcome, Later):
            return
        if isinstance(outcome, Done):
            self._count("done", job)
            return
        self._count("failed", job)
        if run_at is None:
            self._count("given_up", job)
            log.error("! tenant %s: %s %s is given up: %s", self._tenant, job.name, job.id, outcome.error)

    def _next_try(self, job: JobRow, definition: Definition | None, outcome: Again | Never, now: datetime) -> datetime | None:
        if definition is None or isinstance(outcome, Never):
            return None
        wait_s = definition.retry.after(job.attempts, self._jobs.chance())
        if wait_s is None:
            return None
        return now + timedelta(seconds=wait_s if outcome.after_s is None else outcome.after_s)

    def _count(self, figure: str, job: JobRow) -> None:
        self._jobs.counters[figure, self._tenant, job.name] += 1
