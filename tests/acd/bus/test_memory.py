"""The bus of one process: what it promises holds by reference and with every message written as octets."""

import asyncio

import pytest

from acd.bus import MemoryBus, Unanswered
from acd.bus.protocol import matches
from acd.core.ids import TenantId
from acd.errors import StreamOverrun
from acd.service import IsOwn, OwnersOf, TenantState, Troubles, codec

ACME = TenantId("acme")


@pytest.fixture(params=["by reference", "as octets"])
def bus(request: pytest.FixtureRequest) -> MemoryBus:
    return MemoryBus(codec() if request.param == "as octets" else None)


def state(trouble: str | None = None) -> TenantState:
    return TenantState(tenant=ACME, is_open=True, trouble=trouble)


async def answering(reply: object) -> object:
    return reply


class TestRequests:
    async def test_a_request_is_answered_with_what_its_class_says(self, bus: MemoryBus) -> None:
        bus.serve("voice", lambda asked: answering(frozenset({asked.tenant})))
        assert await bus.request("voice", OwnersOf(host="192.0.2.1", tenant=ACME)) == frozenset({ACME})

    async def test_nobody_who_serves_is_no_answer(self, bus: MemoryBus) -> None:
        with pytest.raises(Unanswered, match="nobody serves voice"):
            await bus.request("voice", Troubles())
        stop = bus.serve("voice", lambda _: answering({}))
        assert await bus.request("voice", Troubles()) == {}
        stop()
        with pytest.raises(Unanswered):
            await bus.request("voice", Troubles())

    async def test_a_pattern_serves_every_topic_that_it_means(self, bus: MemoryBus) -> None:
        bus.serve("voice/+", lambda asked: answering(asked.host == "::1"))
        assert await bus.request("voice/acme", IsOwn(host="::1")) is True
        assert await bus.request("voice/bolt", IsOwn(host="::2")) is False
        with pytest.raises(Unanswered):
            await bus.request("voice/acme/more", IsOwn(host="::1"))

    async def test_two_cannot_serve_one_topic_in_one_process(self, bus: MemoryBus) -> None:
        bus.serve("voice", lambda _: answering({}))
        with pytest.raises(ValueError, match="served already"):
            bus.serve("voice", lambda _: answering({}))

    async def test_a_defect_is_raised_as_it_is(self, bus: MemoryBus) -> None:
        async def broken(_asked: object) -> object:
            raise ZeroDivisionError

        bus.serve("voice", broken)
        with pytest.raises(ZeroDivisionError):
            await bus.request("voice", Troubles())


async def test_what_cannot_travel_is_found_by_the_bus_that_writes() -> None:
    """By reference it would pass, and only a second process would show it."""
    bus = MemoryBus(codec())
    bus.serve("voice", lambda _: answering({"acme": lambda: None}))
    with pytest.raises(TypeError):
        await bus.request("voice", Troubles())
    bus = MemoryBus()
    told = {ACME: "the disk is full"}
    bus.serve("voice", lambda _: answering(told))
    assert await bus.request("voice", Troubles()) is told  # nothing is copied in production


class TestEvents:
    async def test_events_come_in_order_from_the_subscription_on(self, bus: MemoryBus) -> None:
        bus.publish("state/acme", state("before"))
        heard = bus.subscribe("state/acme")
        for trouble in ("one", "two"):
            bus.publish("state/acme", state(trouble))
        assert [(await anext(heard)).trouble for _ in range(2)] == ["one", "two"]

    async def test_what_is_retained_comes_first_to_who_comes_late_until_it_is_taken_away(self, bus: MemoryBus) -> None:
        for trouble in ("old", "last word"):
            bus.publish("state/acme", state(trouble), retained=True)
        bus.publish("state/acme", state("passing"))
        late = bus.subscribe("state/+")
        assert (await anext(late)).trouble == "last word"
        bus.publish("state/acme", None, retained=True)
        later = bus.subscribe("state/acme")
        bus.publish("state/acme", state("new"))
        assert (await anext(later)).trouble == (await anext(late)).trouble == "new"

    async def test_a_pattern_hears_topics_that_come_after_it(self, bus: MemoryBus) -> None:
        heard = bus.subscribe("state/+", "other")
        publisher = bus.publisher("state/acme")
        assert publisher.is_heard
        assert not bus.publisher("elsewhere").is_heard
        publisher(state("one"))
        assert (await anext(heard)).trouble == "one"

    async def test_who_is_too_far_behind_is_told_and_loses_all(self, bus: MemoryBus) -> None:
        slow, quick = bus.subscribe("state/acme", depth=2), bus.subscribe("state/acme")
        for number in range(3):
            bus.publish("state/acme", state(str(number)))
        with pytest.raises(StreamOverrun):
            await anext(slow)
        assert [(await anext(quick)).trouble for _ in range(3)] == ["0", "1", "2"]

    async def test_closing_ends_who_reads_and_leaves_no_listener(self, bus: MemoryBus) -> None:
        heard = bus.subscribe("state/acme")
        reading = asyncio.ensure_future(_all(heard))
        await asyncio.sleep(0)
        bus.publish("state/acme", state("one"))
        await asyncio.sleep(0)
        heard.close()
        assert [one.trouble for one in await reading] == ["one"]
        assert not bus.publisher("state/acme").is_heard


async def _all(heard) -> list:
    return [event async for event in heard]


@pytest.mark.parametrize(
    ("pattern", "topic", "meant"),
    [("a/b", "a/b", True), ("a/+", "a/b", True), ("+/b", "a/b", True), ("a/+", "a", False), ("a/+", "a/b/c", False), ("a/b", "a/c", False)],
)
def test_a_plus_stands_for_one_word(pattern: str, topic: str, meant: bool) -> None:
    """MQTT 5 §4.7.1.3."""
    assert matches(pattern, topic) is meant
