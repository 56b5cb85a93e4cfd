"""Browsers as phones: JsSIP in Chromium, from the log-in over the ring to the end, beside phones that are none."""

import pytest

from load.phones import SyntheticPhone
from tests.journeys.service import service
from tests.page.softphone import softphone
from tests.ports import HOST

pytestmark = [pytest.mark.journey, pytest.mark.interop]


async def test_an_agent_in_a_browser_takes_a_call(tmp_path):
    async with service(tmp_path, FERNAMT_MEDIA__ADDRESSES=HOST) as house:
        await house.provision(("anna",))
        async with (
            softphone(house, tmp_path / "browser") as anna,
            SyntheticPhone(house.sip, user="+498955555") as caller,
        ):
            await anna.start()
            await house.registered("anna")
            await house.ready("anna")
            call = await caller.call("601")
            await call.answered()
            await anna.rings()
            await anna.answer()
            call.start_tone(440, 20)
            await anna.hears(440)
            await call.hears_tone(1000)
            figures = await anna.figures()
            assert figures["codec"] == "audio/PCMA"
            call.hang_up()
            await anna.state("ended")
            (record,) = await house.cdrs(1)
    assert record["cdr"]["outcome"] == "answered"
