"""The demonstration as a visitor finds it: dial 600, choose, and hear somebody for as long as one likes."""

import asyncio
import re

import numpy as np
import pytest

from load.phones import SyntheticPhone
from media.frame import SAMPLE_RATE
from tests.journeys.service import service

pytestmark = [pytest.mark.journey, pytest.mark.slow]
SILENCE_S = 1.0
"""What the service takes for a dead line here: far less than its usual minute, so that the call below is a long one."""
HEARD_S = 3


@pytest.mark.storm
async def test_visitor_who_dials_600_and_presses_1_hears_an_agent_for_longer_than_silence_is_borne(tmp_path):
    async with service(tmp_path, "--demo", FERNAMT_MEDIA__SILENCE_S=str(SILENCE_S), FERNAMT_LOG_LEVEL="info") as house:
        async with SyntheticPhone(house.sip, user="+4989555501") as visitor:
            call = await visitor.call("600")
            await call.answered()
            await call.press("1")
            agent = await answered_by(house, "from=*501")
            since = call.audio.position
            heard = await call.audio.wait_for(HEARD_S * SAMPLE_RATE, 4 * HEARD_S, since)
            assert call.is_up
            call.hang_up()
        assert await house.stop() == 0
    seconds = heard.astype(np.float64).reshape(HEARD_S, SAMPLE_RATE)
    assert np.sqrt((seconds**2).mean(axis=1)).min() > 300  # words in every second; a quiet line has none
    assert agent not in {"anna", "ben"}  # those are left to real phones
    assert "media_silent" not in house.log  # nor was any of the demonstration's own calls cut


async def answered_by(house, caller):
    """Waits for the line that says who took this caller's call."""
    async with asyncio.timeout(40):
        while True:
            begin = re.search(rf"(call=\S+) .*{re.escape(caller)} ", house.log)
            answer = re.search(rf"{begin[1]} .*event=answer .*agent=(\w+)", house.log) if begin else None
            if answer is not None:
                return answer[1]
            await asyncio.sleep(0.1)
