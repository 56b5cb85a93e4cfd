"""What calls leave behind in an exchange once they are over: nothing that the cycle collector would have to walk.

Its look at the young lasts about a millisecond for a thousand objects that stay, during which nobody is served.
"""

from __future__ import annotations

import gc
from pathlib import Path

from acd.bus import MemoryBus
from acd.cdr_feed import CdrFeed
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import CallId, ContactId, LegId, TenantId, TrunkId
from acd.exchange import TenantExchange
from tests.acd.core.shell import T0, agent, house, queue

TENANT = TenantId("demo")
CALLS = 300


class Exchange:
    """An exchange with ten agents, whose clock is told the time and whose effects are let go."""

    def __init__(self, directory: Path) -> None:
        self.now = T0
        self.ringing: LegId | None = None
        feed = CdrFeed(TENANT, lambda _cdr: None, self._save)
        self.exchange = TenantExchange(
            TENANT, directory, lambda: self.now, self._carry_out, feed, lambda _tenant, _why: None, MemoryBus().publisher("events")
        )
        people = tuple(agent(f"a{n}") for n in range(10))
        self.tell(0, inp.Configured(configuration=house(agents=people, queues=(queue(after_call_work_s=1.0),))))
        for one in people:
            self.tell(0, inp.DeviceRegistered(agent=one.id, contact="sip:x", expires_at=T0 + 1e8))
            self.tell(0, inp.LogOn(agent=one.id, ready=True))

    async def _save(self, *_rows: object) -> None:
        """The database takes everything."""

    def _carry_out(self, _tenant: TenantId, effect: ef.Effect) -> None:
        if isinstance(effect, ef.OriginateToAgent):
            self.ringing = effect.leg

    def tell(self, after: float, given: inp.Input) -> None:
        self.now += after
        self.exchange.tell(given)

    def call(self, number: int) -> None:
        """From its arrival to the end of its after-call work."""
        call = CallId(ContactId(f"c{number}"))
        leg, phone = LegId(f"{call}-in"), LegId(f"{call}.1")
        self.tell(10, inp.CallArrived(call=call, leg=leg, trunk=TrunkId("pbx"), calling="+49891234", called="601"))
        self.tell(1, inp.LegAnswered(leg=phone))
        self.tell(60, inp.LegReleased(leg=leg))
        for one in (leg, phone):
            self.tell(0, inp.QualityMeasured(leg=one, quality={"mos": 4.4}))
        self.tell(2, inp.TimePassed())

    async def tracked_after(self, calls: range) -> int:
        """Objects that the collector walks when these calls are over."""
        for number in calls:
            self.call(number)
        await self.exchange.settle()
        gc.collect()
        return len(gc.get_objects())


async def test_a_call_that_is_over_leaves_nothing_for_the_collector_to_walk(tmp_path: Path) -> None:
    one = Exchange(tmp_path)
    before = await one.tracked_after(range(CALLS))
    left = await one.tracked_after(range(CALLS, 2 * CALLS)) - before
    assert len(await one.exchange.decisions(ContactId("c0"))) == 1
    await one.exchange.close()
    assert left < CALLS / 10


async def test_offers_are_remembered_in_order_with_their_instants(tmp_path: Path) -> None:
    one = Exchange(tmp_path)
    call = CallId(ContactId("c0"))
    one.tell(10, inp.CallArrived(call=call, leg=LegId("c0-in"), trunk=TrunkId("pbx"), calling="+49891234", called="601"))
    await one.exchange.settle()
    assert one.ringing is not None
    one.tell(1, inp.LegFailed(leg=one.ringing, cause="rejected", status=603))
    await one.exchange.settle()
    records = await one.exchange.decisions(call)
    await one.exchange.close()
    assert [(record["offer"], record["at"]) for record in records] == [("c0/o1", T0 + 10), ("c0/o2", T0 + 11)]
    assert [[(told["outcome"], told["at"]) for told in record["outcomes"]] for record in records] == [[("declined", T0 + 11)], []]
