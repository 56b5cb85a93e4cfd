"""A small working day through the real service on each database: set up by API, calls, CDRs, charges, restart in order."""

import asyncio
from decimal import Decimal

import pytest

from tests.journeys.service import service

pytestmark = [pytest.mark.journey, pytest.mark.slow]


async def test_from_an_empty_database_to_a_priced_cdr_and_over_a_restart(tmp_path, database_settings):
    async with service(tmp_path, **database_settings) as house:
        devices = await house.provision()
        async with house.phone(devices["anna"], "anna") as anna, house.phone(devices["ben"], "ben") as ben:
            await asyncio.gather(anna.register(), ben.register())
            await asyncio.gather(house.ready("anna"), house.ready("ben"))
            contact = {"name": "Erika Muster", "numbers": ["+49 89 5555 01"]}
            await house.call(house.api.post, "/api/v1/contacts", contact)
            async with house.phone({"username": "+4989555501"}, "x") as caller:
                caller.credentials = None
                call = await caller.call("600")
                await call.answered()
                await call.press("1")
                offered = await anna.incoming()
                assert offered.calling == "+4989555501"
                await offered.answer()
                await asyncio.gather(
                    call.hears_tone(1000, 8), offered.hears_tone(440, 8), call.send_tone(440, 0.6), offered.send_tone(1000, 0.6)
                )
                call.hang_up()
                await offered.ended()
            (told,) = await house.cdrs(1)
            assert told["cdr"]["outcome"] == "answered"
            assert told["cdr"]["agent"] == "anna"
            charge = await house.call(house.api.get, f"/api/v1/cdrs/{told['cdr']['id']}/charge?language=de")
            assert charge["sentences"]
            assert sum(Decimal(str(line["gross"])) for line in charge["charge"]["lines"]) == 0
            (record,) = (await house.call(house.api.get, f"/api/v1/calls/{told['cdr']['id']}/decisions"))["decisions"]
            assert record["decision"]["chosen"] == ["anna"]
            await house.restart()
            assert len(await house.cdrs(1)) == 1
