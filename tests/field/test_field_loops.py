"""Forward loops: Max-Forwards goes down by one on each way out (RFC 7332 §5), and a carrier that hands every call back ends after a few."""

import asyncio
import logging

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core.steps.loops import SAME_FORWARDS
from load.phones import CallFailed, PhoneCall, SyntheticPhone
from tests.acd.test_voice import ready
from tests.acd.voice import carrier_phone, free_port, running, setup
from tests.field.cases import message
from tests.field.stories import DID, invite, peer

pytestmark = pytest.mark.slow
FORWARDED, OUTSIDE = "602", "+491711234567"
LIMIT_S = 20


async def hand_back(carrier: SyntheticPhone, call: PhoneCall, *, told: int | None) -> None:
    """What a carrier does whose number is forwarded to us: a new call, with what became of it passed on, or with a status of its own."""
    round_ = await carrier.call(FORWARDED)
    try:
        await round_.answered(LIMIT_S)
    except CallFailed as end:
        call.decline(told or end.status)


@pytest.mark.parametrize("told", [None, 503])
async def test_a_carrier_that_hands_every_call_back_is_asked_a_few_times_and_nothing_is_charged(tmp_path, caplog, told):
    """Whatever the carrier makes of our 482 on the way back: a 503 must not send each round over the second trunk, which doubles them."""
    port = free_port()
    tenant = setup(
        port,
        trunks=(
            conf.Trunk(id="callers", name="Callers", outbound=False),
            conf.Trunk(id="carrier", name="Carrier"),
            conf.Trunk(id="again", name="The same by another name", order=1),
        ),
    )
    again = msgspec.structs.replace(tenant.trunks[1], id="again")
    tenant = msgspec.structs.replace(tenant, trunks=(*tenant.trunks, again))
    with caplog.at_level(logging.INFO, "acd.calls"):
        async with running(tmp_path, tenant) as service, carrier_phone(service, port) as carrier, asyncio.TaskGroup() as rounds:
            asked: list[PhoneCall] = []

            def back(call: PhoneCall) -> None:
                asked.append(call)
                rounds.create_task(hand_back(carrier, call, told=told))

            carrier.on_incoming = back
            customer = await service.caller("+498912345")
            call = await customer.call(FORWARDED)
            with pytest.raises(CallFailed) as end:
                await call.answered(LIMIT_S)
            assert end.value.status == 482
            assert len(asked) == SAME_FORWARDS + 1  # the customer's own, and the rounds that show the carrier's number
            records = await service.cdrs(SAME_FORWARDS + 2)
    assert {record.cdr.cause for record in records} == {"routing_loop"}
    assert [record.charge for record in records if record.charge is not None and record.charge.net.amount] == []
    assert sum("event=loop" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(("came", "sent"), [(5, 4), (2, 1), (70, 69), (255, 70)])
async def test_what_is_forwarded_has_one_hop_less_than_what_came(tmp_path, came, sent):
    port = free_port()
    async with running(tmp_path, setup(port)) as service, carrier_phone(service, port) as carrier:
        customer = await service.caller("+498912345")
        customer.max_forwards = came
        call = await customer.call(FORWARDED)
        forwarded = await carrier.incoming()
        assert forwarded.request.max_forwards == sent
        call.hang_up()
        await call.ended()
        await service.cdrs()


async def test_the_case_of_five_hops(tmp_path):
    """f15, and the same of our own: what came with 5 goes out with 4, to a number that leads outside."""
    port = free_port()
    tenant = setup(port, numbers=(conf.Number(number=DID, target=conf.ToOutside(number=OUTSIDE)),))
    async with running(tmp_path, tenant) as service, carrier_phone(service, port) as carrier:
        for told in (message("f15-max-forwards"), invite().replace("Max-Forwards: 70", "Max-Forwards: 5")):
            if told is None:
                continue
            async with peer(service.address) as (gateway, rtp):
                gateway.play(told, rtp, DID)
                forwarded = await carrier.incoming()
                assert forwarded.request.max_forwards == 4
                gateway.give_up()
                await forwarded.ended()


async def test_at_the_last_hop_the_next_exchange_refuses_and_nothing_else_is_tried(tmp_path):
    port = free_port()
    async with running(tmp_path, setup(port)) as service, carrier_phone(service, port) as carrier:
        customer = await service.caller("+498912345")
        customer.max_forwards = 1
        call = await customer.call(FORWARDED)
        with pytest.raises(CallFailed, match="482"):
            await call.answered()
        assert carrier.calls == []
        (record,) = await service.cdrs()
        assert [leg.cause for leg in record.cdr.legs if leg.role == "forward"] == ["routing_loop"]


async def test_an_agent_s_phone_too_is_rung_with_one_hop_less(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        customer = await service.caller("+498912345")
        customer.max_forwards = 9
        call = await customer.call("601")
        rings = await anna.incoming()
        assert rings.request.max_forwards == 8
        call.hang_up()
        await call.ended()
        await service.cdrs()
