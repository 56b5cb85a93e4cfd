"""Whole calls with keys: an encrypted side beside a plain one, held, retrieved, renewed, and never made plain."""

import contextlib

import msgspec
import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from load.phones import CallFailed, SyntheticPhone
from sip.sdp.crypto import SrtpUse
from tests.acd.voice import TENANT, running, setup

pytestmark = pytest.mark.interop


@contextlib.asynccontextmanager
async def talking(tmp_path, *, of_phone="required", caller=SrtpUse.WISHED):
    """Anna, whose phone has keys, and a caller: the house, the caller's call, and hers."""
    made = msgspec.structs.replace(setup(), phones_srtp={AgentId("anna"): of_phone})
    async with (
        running(tmp_path, made) as house,
        SyntheticPhone(house.address, user="anna", password="anna-secret", srtp=SrtpUse.ACCEPTED) as anna,
        SyntheticPhone(house.address, user="+498955555", srtp=caller) as outside,
    ):
        await anna.register()
        await house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
        call = await outside.call("601")
        await call.answered()
        offered = await anna.incoming()
        await offered.answer()
        yield house, call, offered


async def hear_each_other(call, offered, low=440, high=1000):
    call.start_tone(low, 0.6)
    offered.start_tone(high, 0.6)
    await offered.hears_tone(low)
    await call.hears_tone(high)


def plans(house):
    return {leg.leg.rpartition(".")[2]: leg.plan for leg in house.voice.switch._legs.values()}


async def end(house, call):
    rejected = [call.audio.rejected]
    call.hang_up()
    (entry,) = await house.cdrs()
    assert rejected == [0]
    return entry.cdr.cause


@pytest.mark.parametrize("caller", [SrtpUse.OFF, SrtpUse.REQUIRED])
async def test_an_encrypted_phone_and_a_caller_with_or_without_keys_hear_each_other_and_their_keys(tmp_path, caller):
    async with talking(tmp_path, caller=caller) as (house, call, offered):
        assert {name: plan.is_protected for name, plan in plans(house).items()} == {"0": caller is not SrtpUse.OFF, "1": True}
        await hear_each_other(call, offered)
        call.audio.press("5", 100)
        await offered.audio.wait_for(10, 5)
        while offered.digits != "5":
            await offered.audio.wait_for(10, 5)
        assert await end(house, call) == "hang_up"


async def test_a_hold_changes_no_key_a_new_one_of_theirs_brings_one_of_ours_and_nobody_makes_the_call_plain(tmp_path):
    async with talking(tmp_path) as (house, call, offered):
        await hear_each_other(call, offered)
        before = plans(house)["0"].audio.srtp
        await call.hold()
        await call.retrieve()
        assert plans(house)["0"].audio.srtp == before
        await hear_each_other(call, offered, 600, 1200)
        call.phone.renews_keys = True
        await call.hold()
        held = plans(house)["0"].audio.srtp
        assert held.receive != before.receive
        assert held.send != before.send
        await call.retrieve()
        await hear_each_other(call, offered, 700, 1400)
        assert len(call.audio.numbers) == 2  # each key of ours has a source of its own; on hold nothing was sent
        keys = {name: plan.audio.srtp for name, plan in plans(house).items()}
        for side in (call, offered):
            side.phone.renews_keys, side.phone.gives_up_keys = False, True
            with pytest.raises(CallFailed, match="488"):
                await side.hold()
        assert {name: plan.audio.srtp for name, plan in plans(house).items()} == keys
        await hear_each_other(call, offered, 500, 1100)
        assert await end(house, call) == "hang_up"


async def test_a_phone_that_has_no_keys_is_not_reached_where_they_are_required(tmp_path):
    made = msgspec.structs.replace(setup(), phones_srtp={AgentId("anna"): "required"})
    async with running(tmp_path, made) as house:
        anna, caller = await house.phone("anna"), await house.caller()
        await house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
        call = await caller.call("601")
        await call.answered()
        offered = await anna.incoming()
        with pytest.raises(CallFailed):
            await offered.answer()
        assert offered.response_status == 488
        call.hang_up()
        (entry,) = await house.cdrs()
    assert entry.cdr.outcome == "abandoned"
