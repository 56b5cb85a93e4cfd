"""Two hundred calls of every kind over SIP: what board, records, charges, month and invoice say agrees, and with the phones' book too."""

import asyncio

import pytest

from load.day import Where, day_of, read
from load.day_calls import KINDS
from tests.journeys.service import OPERATOR, service
from tests.ports import HOST
from tests.reference.recomputed import compared, unchanged

pytestmark = [pytest.mark.journey, pytest.mark.slow]

CALLS = 200
CELLS = 20


async def test_two_hundred_calls_add_up_wherever_they_are_said_and_after_a_restart_too(tmp_path):
    async with service(tmp_path) as house:
        where = Where(sip=house.sip, url=f"http://{HOST}:{house.http}", operator_password=OPERATOR)
        async with day_of(where, CELLS) as day:
            await day.play(CALLS)
            await day.until_written()
            before = await asyncio.to_thread(read, day.api)
            agreement = compared(day.book, before)
            assert agreement.wrong == []
            assert {page.kind for page in day.book.pages} == set(KINDS)
            assert agreement.compared["figures of conversations"] >= 8 * CALLS
            assert agreement.compared["lines of the invoice"]
            day.api.close()
            await house.stop()
            await house.start()
            assert unchanged(before, await asyncio.to_thread(read, day.api)) == []
