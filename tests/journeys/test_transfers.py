"""Twelve transfers walked by API with phones on the wire: to an agent, a queue, a menu, a number outside; blind, attended, semi-attended.

After each the caller hears who took it, the agent who sent it is off the line, and the record says who was where for how long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from load.phone_bank import PhoneBank
from load.phones import PhoneCall, SyntheticPhone
from tests.journeys.service import CALLER_ID, ServiceProcess, service
from tests.ports import HOST, free_port

pytestmark = pytest.mark.journey

OUTSIDE = "+4930231256789"
TARGETS: dict[str, dict[str, str]] = {
    "agent": {"to": "agent", "agent": "ben"},
    "queue": {"to": "queue", "queue": "sales"},
    "menu": {"to": "menu", "menu": "choice"},
    "outside": {"to": "outside", "number": OUTSIDE},
}
HZ = {"caller": 450.0, "taker": 1150.0}


class Walk:
    """One conversation of a caller and anna, and whoever is to take it."""

    def __init__(self, house: ServiceProcess, caller: PhoneCall, anna: PhoneCall, taker: SyntheticPhone, target: dict[str, str]) -> None:
        self.house = house
        self.caller = caller
        self.anna = anna
        self._taker = taker
        self.target = target

    async def desk(self, verb: str, body: dict[str, Any] | None = None) -> None:
        (call,) = (await self.house.call(self.house.api.get, "/api/v1/live"))["calls"]
        await self.house.call(self.house.api.post, f"/api/v1/agents/anna/calls/{call['id']}/{verb}", body or {})

    async def is_rung(self, by: PhoneCall) -> PhoneCall:
        """The phone of who shall take it; of a menu, after whoever hears it has chosen."""
        if self.target["to"] == "menu":
            await by.press("1", 60)
        return await self._taker.incoming()


async def blind(walk: Walk) -> PhoneCall:
    await walk.desk("transfer", {"target": walk.target})
    await walk.anna.ended()
    taken = await walk.is_rung(walk.caller)
    await taken.answer()
    return taken


async def attended(walk: Walk) -> PhoneCall:
    await walk.desk("consult", {"target": walk.target})
    taken = await walk.is_rung(walk.anna)
    await taken.answer()
    taken.start_tone(HZ["taker"], 60)
    await walk.anna.hears_tone(HZ["taker"])
    await walk.desk("complete")
    await walk.anna.ended()
    return taken


async def semi_attended(walk: Walk) -> PhoneCall:
    await walk.desk("consult", {"target": walk.target})
    taken = await walk.is_rung(walk.anna)
    await walk.desk("complete")
    assert not taken.is_up
    await taken.answer()
    await walk.anna.ended()  # not before: had nobody taken it, anna would have the caller back
    return taken


WAYS: tuple[Callable[[Walk], Awaitable[PhoneCall]], ...] = (blind, attended, semi_attended)


async def test_twelve_transfers_end_with_two_who_hear_each_other_and_a_record_that_closes(tmp_path: Path) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack, service(tmp_path) as house:
        devices = await house.provision(outbound=False)
        await house.call(build, house, port)
        bank = PhoneBank(HOST, port)
        await bank.start()
        stack.push_async_callback(bank.close)
        carrier = await stack.enter_async_context(SyntheticPhone(house.sip, user=OUTSIDE, bank=bank))
        anna = await stack.enter_async_context(house.phone(devices["anna"], "anna"))
        ben = await stack.enter_async_context(house.phone(devices["ben"], "ben"))
        caller = await stack.enter_async_context(SyntheticPhone(house.sip, user="+491711234567"))
        for name, phone in (("anna", anna), ("ben", ben)):
            await phone.register()
            await house.ready(name)
        walked = []
        for name, target in TARGETS.items():
            for way in WAYS:
                line = await caller.call("601")
                await line.answered()
                rung = await anna.incoming()
                await rung.answer()
                taken = await way(Walk(house, line, rung, carrier if name == "outside" else ben, target))
                line.start_tone(HZ["caller"], 60)
                if way is not attended:
                    taken.start_tone(HZ["taker"], 60)
                await asyncio.gather(line.hears_tone(HZ["taker"]), taken.hears_tone(HZ["caller"]))
                line.hang_up()
                await taken.ended()
                walked.append((name, way))
        records = [record["cdr"] for record in await house.cdrs(len(walked))]
        for (name, way), cdr in zip(walked, sorted(records, key=lambda cdr: cdr["began_at"]), strict=True):
            closes(cdr, name, way)
        await house.restart()


def closes(cdr: dict[str, Any], target: str, way: Callable[[Walk], Awaitable[PhoneCall]]) -> None:
    """Every millisecond is one of somebody's, and everybody who was there is named once."""
    at = (target, way.__name__)
    assert sum(cdr[f"{kind}_ms"] for kind in ("talk", "hold", "ring", "wait", "treatment", "setup")) == cdr["duration_ms"], at
    assert len(cdr["transferred_by"]) == 1, at
    legs = [leg["agent"] or leg["role"] for leg in cdr["legs"]]
    assert len(legs) == len(set(legs)) == 3, (at, legs)
    kinds = {(leg["agent"] or leg["role"]): [s["kind"] for s in cdr["segments"] if s["leg"] == leg["leg"]] for leg in cdr["legs"]}
    (taker,) = set(kinds) - {"caller", "anna"}
    assert ("consult" in kinds["anna"]) == (way is not blind), (at, kinds)
    assert ("consult" in kinds[taker]) == (way is attended), (at, kinds)
    assert kinds[taker][-1] == kinds["caller"][-1] == "talk", (at, kinds)


def build(house: ServiceProcess, carrier: int) -> None:
    """A second queue that ben alone serves, a menu whose key 1 leads to him, and a carrier."""
    api = house.api
    trunk = {"id": "carrier", "name": "Carrier", "peer": f"{HOST}:{carrier}", "probe_every_s": 0, "caller_id": CALLER_ID}
    api.post("/api/v1/trunks", trunk)
    quiet = {"greeting": [], "announce_position": False, "after_call_work_s": 0}
    api.post("/api/v1/queues", {"id": "sales", "name": "Sales", "requirements": [], "members": ["ben"]} | quiet)
    api.post("/api/v1/menus", {"id": "choice", "sounds": ["menu"], "options": {"1": TARGETS["agent"]}})
    api.put(
        "/api/v1/queues/support", {"name": "Support", "requirements": [{"skill": "support", "level": 1}], "strategy": "best_skill"} | quiet
    )
