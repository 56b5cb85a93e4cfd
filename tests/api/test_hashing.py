"""Whose password is computed next when many want to be judged at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from api.identity import Passwords
from api.identity.hashing import OURSELVES, Asker, Hashing, TooManyHashes
from tests.api.conftest import PASSWORD, Service


class Judge:
    """One place; what is computed there waits until it may go on, and notes in which order it came."""

    def __init__(self, **bounds: Any) -> None:
        self.hashing = Hashing(1, **bounds)
        self.may_go_on = threading.Event()
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, source: str, user: str = "", *, is_known: bool = False) -> asyncio.Task[None]:
        def compute() -> None:
            self.may_go_on.wait(10)
            self.order.append(name)

        self.tasks[name] = asyncio.create_task(self.hashing.run(compute, Asker(source, user or name, is_known)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.tasks[name]

    async def all(self) -> list[str]:
        self.may_go_on.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        return self.order

    def figure(self, of: str) -> float:
        return self.hashing.figures()[of]


@pytest.fixture
async def judge() -> AsyncIterator[Callable[..., Judge]]:
    made: list[Judge] = []

    def make(**bounds: Any) -> Judge:
        made.append(Judge(**bounds))
        return made[-1]

    yield make
    for one in made:
        await one.all()


class TestTurns:
    async def test_the_turn_goes_round_the_sources_and_in_a_source_round_the_users(self, judge: Callable[..., Judge]) -> None:
        turns = judge()
        await turns.ask("first", "flood")
        for n in range(4):
            await turns.ask(f"flood{n}", "flood", "anna")
        await turns.ask("other user", "flood", "ben")
        await turns.ask("owner", "elsewhere", "anna")
        assert await turns.all() == ["first", "flood0", "owner", "other user", "flood1", "flood2", "flood3"]

    async def test_who_is_known_there_goes_before_strangers_three_to_one(self, judge: Callable[..., Judge]) -> None:
        turns = judge()
        await turns.ask("first", "s0")
        for n in range(3):
            await turns.ask(f"stranger{n}", f"s{n}")
        for n in range(4):
            await turns.ask(f"known{n}", f"k{n}", is_known=True)
        expected = ["first", "known0", "known1", "known2", "stranger0", "known3", "stranger1", "stranger2"]
        assert await turns.all() == expected

    async def test_when_too_many_wait_the_source_with_the_most_gives_way(self, judge: Callable[..., Judge]) -> None:
        turns = judge(most_waiting=4)
        await turns.ask("first", "flood")
        for n in range(4):
            await turns.ask(f"flood{n}", "flood", f"name{n}")
        await turns.ask("owner", "elsewhere")
        refused = await turns.ask("flood4", "flood")
        with pytest.raises(TooManyHashes):
            await refused
        assert await turns.all() == ["first", "flood0", "owner", "flood1", "flood2"]
        assert turns.figure("fernamt_password_hashes_refused_total") == 2

    async def test_strangers_take_no_place_of_who_is_known(self, judge: Callable[..., Judge]) -> None:
        turns = judge(most_waiting=2)
        for n in range(5):
            await turns.ask(f"stranger{n}", f"s{n}")
        await turns.ask("owner", "home", is_known=True)
        assert (await turns.all())[:2] == ["stranger0", "owner"]

    async def test_who_waits_too_long_is_told_to_come_again(self, judge: Callable[..., Judge]) -> None:
        turns = judge(wait_s=0.01)
        await turns.ask("first", "s")
        with pytest.raises(TooManyHashes) as told:
            await (await turns.ask("second", "t"))
        assert (told.value.status, told.value.headers["Retry-After"]) == (429, "2")
        assert await turns.all() == ["first"]

    async def test_who_goes_away_leaves_the_place_when_the_thread_is_through_and_not_before(self, judge: Callable[..., Judge]) -> None:
        turns = judge()
        gone = await turns.ask("gone", "s")
        waiting = await turns.ask("also gone", "s")
        following = await turns.ask("following", "t")
        for task in (gone, waiting):
            task.cancel()
        await asyncio.gather(gone, waiting, return_exceptions=True)
        assert turns.figure('fernamt_password_hashes{state="running"}') == 1
        assert not following.done()
        assert await turns.all() == ["gone", "following"]
        await turns.hashing.run(lambda: None, OURSELVES)
        assert turns.figure('fernamt_password_hashes{state="waiting"}') == 0

    async def test_what_goes_wrong_in_the_thread_reaches_who_asked_and_frees_the_place(self) -> None:
        hashing = Hashing(1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await hashing.run(lambda: 1 / 0)


async def test_the_owner_gets_in_where_he_is_known_while_strangers_fill_every_place(acme: Service, judge: Callable[..., Judge]) -> None:
    """The first log-in of the fixture made the source known; the strangers come from others."""
    await acme.log_in("admin")
    turns = judge(most_waiting=3)
    acme.shared.part(Passwords).hashing = turns.hashing
    for n in range(6):
        await turns.ask(f"stranger{n}", f"s{n}")
    logging_in = asyncio.create_task(acme.log_in("admin", PASSWORD))
    while not turns.hashing._known.count:
        await asyncio.sleep(0)
    turns.may_go_on.set()
    assert await logging_in
    told = (await acme.call("GET", "/metrics")).text
    assert "fernamt_password_hashes_refused_total 2.0" in told
