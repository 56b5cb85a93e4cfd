"""A page that freezes, blocks, crashes, reloads, loses its WebSocket or its network: what the caller hears, and what the ledger says."""

import pytest

from tests.journeys.fates import fates

pytestmark = [pytest.mark.journey, pytest.mark.interop]

PINGS = {"FERNAMT_SIP__PING_PAGES_EVERY_S": "1"}
QUICK = ("idle_blocked", "call_reloaded", "call_without_websocket", "idle_frozen")
SLOW = ("idle_crashed", "idle_hidden", "call_frozen", "call_blocked", "call_elsewhere", "call_crashed", "call_closed")
"""A crash is known after 8 s."""


async def test_a_dead_page_is_offered_nothing_and_one_that_is_loaded_again_takes_its_call_back(tmp_path):
    async with fates(tmp_path, **PINGS) as one:
        for fate in QUICK:
            await getattr(one, fate)()
    assert {fate for fate, _, _ in one.seen} == {"idle, frozen", "idle, blocked", "in a call, reloaded", "in a call, WebSocket lost"}


@pytest.mark.storm
async def test_each_fate_ten_times(tmp_path):
    async with fates(tmp_path, **PINGS) as one:
        for fate in (QUICK + SLOW) * 10:
            await getattr(one, fate)()
    assert max(seconds for _, what, seconds in one.seen if what == "music") < 12
    assert sum(what == "hear each other again" for _, what, _ in one.seen) == 10
