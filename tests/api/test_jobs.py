"""Durable jobs: done once the transaction that wants them is committed, whatever happens then; on three databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from acd.core.ids import TenantId
from api.db import Unit
from api.kit.jobs import Again, Done, Held, Inside, Later, Never, Outcome, Outside, Places, Retry, forget, put, store
from api.kit.jobs.pools import SHARED, Machines, Pool
from api.kit.jobs.rules import RETRY, TRANSITIONS, Input, State, error_text
from api.kit.paging import Cut
from tests.api.conftest import ACME
from tests.api.work import Work, working
from tests.servers import DATABASES, databases_to_test

TWICE = Retry((10,))
FAR = Places(of_tenant=4, own=1, in_all=2, of_machine=2)
ONE, TWO, THREE = TenantId("one"), TenantId("two"), TenantId("three")
ALL = Cut(100, None)


class Note(msgspec.Struct):
    text: str = ""


class Diary:
    """Jobs of the tests: what they did, and what they are told to do next."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.outcomes: list[Outcome | Exception] = []
        self.holds: asyncio.Event | None = None
        self.most = self.now = 0
        self.hangs: dict[str, asyncio.Event] = {}
        """Of jobs that go far, by their text: until when they hang."""
        self.far_now: list[str] = []
        self.definitions = (
            Inside("write", Note, self.write, TWICE),
            Outside("send", Note, self.send, TWICE),
            Outside("far", Note, self.far, TWICE, places=FAR),
            Inside("tidy", type(None), self.tidy, TWICE, every_s=3600),
        )

    async def write(self, unit: Unit, note: Note, held: Held) -> None:
        await unit.session.execute(text("INSERT INTO written (said) VALUES (:said)"), {"said": note.text})
        self._next()
        self.lines.append(f"{note.text} {held.attempt}")

    async def send(self, tenant: str, note: Note, held: Held) -> Outcome:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.holds is not None:
            await self.holds.wait()
        self.now -= 1
        self.lines.append(f"{tenant} {note.text} {held.attempt}{' last' if held.last else ''}")
        return self._next() or Done()

    async def far(self, _tenant: str, note: Note, held: Held) -> Outcome:
        self.far_now.append(note.text)
        if note.text in self.hangs:
            await self.hangs[note.text].wait()
        self.far_now.remove(note.text)
        self.lines.append(f"{note.text} {held.attempt}")
        return self._next() or Done()

    async def tidy(self, _unit: Unit, _note: None, held: Held) -> None:
        self.lines.append(f"tidy {held.attempt}")
        self._next()

    def _next(self) -> Outcome | None:
        found = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
async def work(tmp_path: Path, diary: Diary) -> AsyncIterator[Work]:
    async with working("sqlite", tmp_path, diary.definitions) as made:
        await _table(made)
        made.jobs.begin(ACME)
        yield made


async def _table(work: Work) -> None:
    async with work.databases.unit(ACME) as unit:
        await unit.session.execute(text("CREATE TABLE written (said VARCHAR(100))"))


async def have(work: Work, name: str, said: str, **more: Any) -> bool:
    async with work.databases.unit(ACME) as unit:
        return await put(unit.session, name, Note(said), work.clock(), **more)


async def rows(work: Work, *, state: State | None = None) -> list[Any]:
    async with work.databases.unit(ACME) as unit:
        return [row for row in await store.some(unit.session, ALL, state, None) if row.name != "tidy"]


async def written(work: Work) -> list[str]:
    async with work.databases.unit(ACME) as unit:
        return list(await unit.session.scalars(text("SELECT said FROM written")))


@pytest.mark.parametrize("kind", DATABASES)
async def test_on_every_database_jobs_are_done_tried_again_given_up_and_tried_by_hand(kind: str, tmp_path: Path, diary: Diary) -> None:
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    async with working(kind, tmp_path, diary.definitions) as work:
        await _table(work)
        for line in ("sick/1", "well/1"):
            await have(work, "far", line, line=line)
        async with work.databases.unit(ACME) as unit:
            found = await store.claim(unit.session, work.clock(), 60, store.Some(("far",), but=False, not_to=("sick",)))
            assert (found is not None and found.line, await store.claim(unit.session, work.clock(), 60, store.Some(("far",)))) == (
                "well/1",
                None,
            )
            await unit.session.execute(text("DELETE FROM job"))
        assert await have(work, "write", "before")
        work.jobs.begin(ACME)
        await work.settled()
        # by key one at a time, in its line in order, and what fails leaves nothing behind it
        diary.outcomes = [ValueError("no"), Again("busy")]
        assert await have(work, "write", "first", line="a", key="k")
        assert not await have(work, "write", "never", key="k")
        await have(work, "write", "second", line="a")
        await work.settled()
        assert (await written(work), [(row.error, row.attempts) for row in await rows(work)]) == (
            ["before"],
            [("ValueError", 1), (None, 0)],
        )
        await work.turn(seconds=10)
        assert await written(work) == ["before", "first", "second"]
        diary.outcomes = [Again("busy"), Again("still busy")]
        await have(work, "send", "x")
        await work.settled()
        await work.turn(seconds=10)
        (dead,) = await rows(work, state=State.DEAD)
        assert (dead.error, dead.attempts, dead.lease) == ("still busy", 2, None)
        async with work.databases.unit(ACME) as unit:
            assert await store.try_again(unit.session, dead.id, work.clock())
        await work.settled()
        assert await rows(work) == []
        assert diary.lines[-1] == "acme x 1"
        # a process that is gone had one; whoever comes next does it again
        await have(work, "send", "later", run_at=work.clock() + timedelta(hours=1))
        async with work.databases.unit(ACME) as unit:
            await unit.session.execute(text("UPDATE job SET state = 'running', lease = 'old', attempts = 1 WHERE name = 'send'"))
        await work.again(diary.definitions)
        await work.settled()
        assert (await rows(work), diary.lines[-1]) == ([], "acme later 2 last")


def test_every_pair_of_state_and_input_is_in_the_table_or_changes_nothing() -> None:
    meant = {(state, one) for state, row in TRANSITIONS.items() for one in row}
    assert meant < set(product(State, Input))
    assert {state for row in TRANSITIONS.values() for state in row.values()} == set(State)


def test_a_job_is_tried_in_growing_distances_and_then_no_more() -> None:
    assert list(RETRY.delays_s) == sorted(RETRY.delays_s)
    assert [TWICE.after(1, 0.0), TWICE.after(1, 1.0), TWICE.after(2, 0.0)] == [10, 11, None]
    assert error_text("a\nb" + "x" * 1000) == "a b" + "x" * 496 + "…"


async def test_what_is_rolled_back_wants_nothing_done(work: Work, diary: Diary) -> None:
    async def fail() -> None:
        async with work.databases.unit(ACME) as unit:
            await put(unit.session, "send", Note("x"), work.clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await work.turn(seconds=1)
    assert diary.lines == []


async def test_a_job_waits_for_its_time_and_is_done_without_being_asked_for(work: Work, diary: Diary) -> None:
    await have(work, "send", "x", run_at=work.clock() + timedelta(seconds=30))
    await work.turn(seconds=29)
    assert diary.lines == []
    await work.turn(seconds=1)
    assert diary.lines == ["acme x 1"]


async def test_what_a_try_leaves_is_written_with_its_completion_or_not_at_all(work: Work, diary: Diary) -> None:
    """A try that took so long that its job is somebody else's changes nothing."""
    became: list[str] = []

    async def then(unit: Unit, what: str) -> None:
        await unit.session.execute(text("INSERT INTO written (said) VALUES ('then')"))
        became.append(what)

    diary.holds = asyncio.Event()
    diary.outcomes = [Never("broken", then), Done(then)]
    await have(work, "send", "x")
    while not diary.now:
        await asyncio.sleep(0)
    async with work.databases.unit(ACME) as unit:
        await unit.session.execute(text("UPDATE job SET lease = 'stolen', leased_until = '2020-01-01 00:00:00' WHERE name = 'send'"))
    diary.holds.set()
    await work.settled()
    assert (became, sorted(diary.lines)) == (["done"], ["acme x 1", "acme x 2 last"])
    assert (await written(work), await rows(work)) == (["then"], [])


async def test_a_job_that_ends_its_process_every_time_is_given_up(work: Work, diary: Diary) -> None:
    await have(work, "send", "x", run_at=work.clock() + timedelta(hours=1))
    async with work.databases.unit(ACME) as unit:
        await unit.session.execute(text("UPDATE job SET state = 'running', lease = 'old', attempts = 2 WHERE name = 'send'"))
    await work.again(diary.definitions)
    await work.settled()
    (dead,) = await rows(work)
    assert (dead.state, dead.error, diary.lines) == ("dead", store.KILLED, [])


async def test_a_job_nobody_knows_or_whose_argument_cannot_be_read_is_dead_at_once(work: Work) -> None:
    async with work.databases.unit(ACME) as unit:
        await put(unit.session, "of another release", None, work.clock())
        await put(unit.session, "send", {"text": 5}, work.clock())
    await work.settled()
    assert [row.state for row in await rows(work)] == ["dead", "dead"]
    async with work.databases.unit(ACME) as unit:
        assert [await store.drop(unit.session, row.id) for row in await store.some(unit.session, ALL, State.DEAD, None)] == [True, True]


async def test_what_comes_again_and_again_does_so_after_a_failure_too(work: Work, diary: Diary) -> None:
    await work.turn(hours=1)
    diary.outcomes = [RuntimeError("no"), RuntimeError("no")]
    await work.turn(hours=1)
    await work.turn(seconds=10)
    await work.turn(hours=1)
    assert diary.lines == ["tidy 1", "tidy 1", "tidy 2", "tidy 1"]
    await work.again(diary.definitions)
    await work.settled()
    assert len(diary.lines) == 4


async def test_a_tenant_has_only_so_many_at_once(work: Work, diary: Diary) -> None:
    diary.holds = asyncio.Event()
    for number in range(SHARED.of_tenant + 2):
        await have(work, "send", str(number))
    while diary.now < SHARED.of_tenant:
        await asyncio.sleep(0)
    diary.holds.set()
    await work.settled()
    assert (diary.most, len(diary.lines)) == (SHARED.of_tenant, SHARED.of_tenant + 2)


async def test_figures_tell_how_many_wait_are_dead_and_how_long_the_oldest_is_due(work: Work, diary: Diary) -> None:
    diary.outcomes = [Never("broken")]
    await have(work, "send", "x")
    await work.settled()
    await work.jobs.count(ACME)
    figures = work.jobs.figures()
    assert figures['fernamt_jobs{tenant="acme",state="dead"}'] == 1
    assert figures['fernamt_jobs{tenant="acme",state="waiting"}'] == 1  # what comes every hour
    assert figures['fernamt_jobs_given_up_total{tenant="acme",job="send"}'] == 1
    assert figures['fernamt_jobs_oldest_seconds{tenant="acme"}'] == 0


async def _until(diary: Diary, *lines: str) -> None:
    """Wait until these are done, whatever hangs meanwhile."""
    async with asyncio.timeout(10):
        while not set(lines) <= set(diary.lines):
            await asyncio.sleep(0)


class TestFairness:
    """What hangs keeps nothing from anything else."""

    async def test_a_machine_that_hangs_holds_one_place_and_neither_others_nor_other_kinds_wait(self, work: Work, diary: Diary) -> None:
        diary.hangs = {f"hangs {number}": asyncio.Event() for number in range(6)}
        for number in range(6):
            await have(work, "far", f"hangs {number}", line=f"sick/{number}")
        for number in range(3):
            await have(work, "far", f"well {number}", line=f"well/{number}")
        await have(work, "send", "mail")
        await have(work, "write", "inside")
        await _until(diary, "well 0 1", "well 1 1", "well 2 1", "acme mail 1", "inside 1")
        assert diary.far_now == ["hangs 0"]
        for one in diary.hangs.values():
            one.set()
        await work.settled()
        assert len(diary.lines) == 11

    async def test_machines_take_turns_however_much_waits_for_one_of_them(self, work: Work, diary: Diary) -> None:
        async with work.databases.unit(ACME) as unit:
            for number in range(60):
                await put(unit.session, "far", Note(f"many {number}"), work.clock(), line=f"many/{number}")
            for number in range(2):
                await put(unit.session, "far", Note(f"few {number}"), work.clock(), line=f"few/{number}")
        await work.settled()
        assert len(diary.lines) == 62
        first = [line.partition(" ")[0] for line in diary.lines[: 2 * FAR.of_tenant]]
        assert first.count("few") == 2, diary.lines[:10]

    async def test_what_ends_as_soon_as_it_began_does_not_keep_the_outbox_from_its_turn(self, work: Work, diary: Diary) -> None:
        done_by_then: list[int] = []

        async def look(_tenant: TenantId, _now: datetime) -> None:
            done_by_then.append(len(diary.lines))

        work.jobs.chores.append(look)
        async with work.databases.unit(ACME) as unit:
            for number in range(40):
                await put(unit.session, "far", Note(f"{number}"), work.clock(), line=f"{number}/x")
        await work.settled()
        assert len(diary.lines) == 40
        assert max(later - sooner for sooner, later in pairwise(done_by_then)) <= 2 * FAR.of_tenant

    async def test_what_waits_for_a_machine_that_is_gone_is_forgotten_and_nothing_else(self, work: Work, diary: Diary) -> None:
        diary.hangs = {"runs": asyncio.Event()}
        await have(work, "far", "runs", line="gone/1")
        async with asyncio.timeout(10):
            while not diary.far_now:
                await asyncio.sleep(0)
        for line in ("gone/2", "gone_too/2"):
            await have(work, "far", line, line=line, run_at=work.clock() + timedelta(hours=2))
        await have(work, "send", "another kind", line="gone/3", run_at=work.clock() + timedelta(hours=2))
        async with work.databases.unit(ACME) as unit:
            await forget(unit.session, "far", "gone")
        assert {row.line for row in await rows(work)} == {"gone/1", "gone_too/2", "gone/3"}
        diary.hangs["runs"].set()
        await work.settled()
        assert diary.lines == ["runs 1"]

    async def test_what_waits_behind_another_of_its_line_is_not_late(self, work: Work, diary: Diary) -> None:
        diary.outcomes = [Again("busy")]
        await have(work, "far", "first", line="a/1")
        await have(work, "far", "second", line="a/1")
        await work.settled()
        await work.jobs.count(ACME)
        assert work.jobs.figures()['fernamt_jobs_oldest_seconds{tenant="acme"}'] == 0
        async with work.databases.unit(ACME) as unit:
            _, oldest = await store.counts(unit.session)
        assert oldest is not None
        assert oldest > work.clock()

    async def test_kinds_that_hang_leave_the_places_of_those_inside_alone(self, work: Work, diary: Diary) -> None:
        diary.hangs = {f"hangs {number}": asyncio.Event() for number in range(FAR.of_tenant)}
        for number in range(FAR.of_tenant):
            await have(work, "far", f"hangs {number}", line=f"{number}/x")
        async with asyncio.timeout(10):
            while len(diary.far_now) < FAR.own + FAR.in_all:
                await asyncio.sleep(0)
        await have(work, "write", "inside")
        await _until(diary, "inside 1")
        assert len(diary.far_now) == FAR.own + FAR.in_all
        for one in diary.hangs.values():
            one.set()
        await work.settled()

    async def test_what_could_not_begin_is_put_back_and_no_try_is_counted(self, work: Work, diary: Diary) -> None:
        diary.outcomes = [Later(5), Later(5), Again("busy")]
        await have(work, "far", "x")
        for _ in range(3):
            await work.settled()
            await work.turn(seconds=5)
        assert [(row.attempts, row.error) for row in await rows(work)] == [(1, "busy")]
        await work.turn(seconds=10)
        assert diary.lines == ["x 1", "x 1", "x 1", "x 2"]
        assert work.jobs.counters["failed", ACME, "far"] == 1

    def test_a_tenant_never_waits_for_what_is_its_own_and_for_the_rest_in_the_order_of_asking(self) -> None:
        pool = Pool(FAR, ("far",))
        assert [pool.ask(ONE) for _ in range(4)] == [True, True, True, False]
        assert pool.ask(TWO)  # its own
        assert not pool.ask(TWO)
        assert (pool.ask(THREE), pool.first()) == (True, ())
        pool.give(ONE)
        assert pool.first() == (ONE,)
        assert not pool.ask(TWO)  # who asked first comes first
        pool.leave(ONE)
        assert (pool.first(), pool.ask(TWO), pool.first()) == ((TWO,), True, ())

    def test_a_machine_has_one_place_until_it_has_done_well_and_again_after_it_has_failed(self) -> None:
        machines = Machines(Places(of_tenant=8, own=1, in_all=1, of_machine=2))
        machines.began("a/1")
        assert machines.busy() == ["a"]
        machines.judge("a/1", is_well=True)
        assert machines.busy() == []
        machines.began("a/2")
        assert machines.busy() == ["a"]
        machines.ended("a/1")
        machines.judge("a/1", is_well=False)
        assert machines.busy() == ["a"]
        machines.judge("a/2", is_well=True)
        for line in ("b/1", "c/1", "d/1"):
            machines.began(line)
        assert machines.busy() == ["a", "b", "c", "d"]  # half of the places are taken
        machines.ended("a/2")
        assert machines.busy() == ["b", "c", "d"]
