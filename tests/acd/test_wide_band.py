"""Who has G.722 with whom: offered where it is listed, kept through a session, and not given to one side of a call alone."""

import asyncio
import contextlib

import msgspec
import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from load.phones import SyntheticPhone
from tests.acd.voice import TENANT, carrier_phone, free_port, running, setup

WIDE = ("PCMA", "PCMU", "G722")
DESK = ("G722", "PCMA", "PCMU")
"""What a desk phone has, in its order."""


def lines(port=5999, **codecs):
    """Trunks by id and the codecs they have."""
    made = setup(port)
    trunks = tuple(msgspec.structs.replace(line, codecs=codecs.get(line.id, line.codecs)) for line in made.trunks)
    return msgspec.structs.replace(made, trunks=trunks)


def offered(call):
    return next(row for row in call.request.body.decode().splitlines() if row.startswith("m=audio")).split()[3:]


def codec(call):
    return call.negotiated.codec.encoding


@contextlib.asynccontextmanager
async def agent(service, codecs):
    async with SyntheticPhone(service.address, user="anna", password="anna-secret", codecs=codecs) as phone:
        await phone.register()
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
        yield phone


async def test_two_with_g722_have_it_through_hold_and_back_and_nothing_is_converted(tmp_path):
    async with (
        running(tmp_path, lines(callers=DESK), phone_codecs=WIDE) as service,
        agent(service, DESK) as anna,
        SyntheticPhone(service.address, user="+498955555", codecs=DESK) as caller,
    ):
        call = await caller.call("601")
        rung = await anna.incoming()
        assert offered(rung) == ["9", "8", "0", "101"]  # the caller was greeted in G.722
        await rung.answer()
        assert (codec(call), codec(rung)) == ("G722", "G722")
        call.start_tone(440, 2.0)
        await rung.hears_tone(440)
        await call.hold()
        await call.retrieve()
        rung.start_tone(700, 2.0)
        await call.hears_tone(700)
        assert (codec(call), codec(rung)) == ("G722", "G722")
        call.hang_up()
        (entry,) = await service.cdrs()
    assert {(leg.codec, leg.quality.mos) for leg in entry.cdr.legs} == {("G722", None)}


async def test_where_nobody_has_listed_it_offers_and_answers_are_what_they_were(tmp_path):
    async with (
        running(tmp_path) as service,
        agent(service, DESK) as anna,
        SyntheticPhone(service.address, user="+498955555", codecs=DESK) as caller,
    ):
        call = await caller.call("601")
        rung = await anna.incoming()
        assert offered(rung) == ["8", "0", "101"]
        await rung.answer()
        assert (codec(call), codec(rung)) == ("PCMA", "PCMA")


@pytest.mark.parametrize("spoken", ["PCMA", "PCMU"])
async def test_a_phone_that_could_have_g722_is_offered_first_what_the_caller_speaks(tmp_path, spoken):
    async with (
        running(tmp_path, phone_codecs=("G722", "PCMA", "PCMU")) as service,
        agent(service, DESK) as anna,
        SyntheticPhone(service.address, user="+498955555", codecs=(spoken,)) as caller,
    ):
        call = await caller.call("601")
        rung = await anna.incoming()
        assert offered(rung) == {"PCMA": ["8", "0", "9", "101"], "PCMU": ["0", "8", "9", "101"]}[spoken]
        await rung.answer()
        assert codec(rung) == spoken
        call.start_tone(440, 2.0)
        await rung.hears_tone(440)


@pytest.mark.parametrize(
    ("calling", "called", "order", "both"),
    [
        (("PCMA",), DESK, ["8", "0", "9", "101"], "PCMA"),
        (DESK, ("PCMU",), ["9", "8", "0", "101"], "PCMU"),
        (DESK, DESK, ["9", "8", "0", "101"], "G722"),
    ],
)
async def test_colleagues_have_one_codec_where_both_can_although_one_rings_before_the_other_is_answered(
    tmp_path, calling, called, order, both
):
    async with (
        running(tmp_path, phone_codecs=DESK) as service,
        agent(service, called) as anna,
        SyntheticPhone(service.address, user="ben", password="ben-secret", codecs=calling) as ben,
    ):
        await ben.register()
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("ben")))
        call = await ben.call("11")
        rung = await anna.incoming()
        assert offered(rung) == order
        await rung.answer()
        await call.answered()
        assert (codec(call), codec(rung)) == (both, both)
        call.start_tone(440, 2.0)
        await rung.hears_tone(440)


async def test_a_caller_who_waits_for_a_carrier_gets_the_codec_that_the_carrier_has(tmp_path):
    port = free_port()
    async with (
        running(tmp_path, lines(port, callers=DESK)) as service,
        carrier_phone(service, port) as carrier,
        SyntheticPhone(service.address, user="+498955555", codecs=DESK) as caller,
    ):
        call = await caller.call("602")
        rung = await carrier.incoming()
        await rung.answer()
        await call.answered()
        assert (codec(rung), codec(call)) == ("PCMA", "PCMA")
        call.start_tone(440, 2.0)
        await rung.hears_tone(440)


async def test_a_caller_with_opus_alone_and_an_agent_with_a_law_alone_hear_each_other_and_their_keys(tmp_path):
    """RFC 7587: listed nowhere, and taken rather than refuse the call; keys by the clock of each side (RFC 4733 §2.1)."""
    async with (
        running(tmp_path) as service,
        agent(service, ("PCMA",)) as anna,
        SyntheticPhone(service.address, user="+498955555", codecs=("opus",)) as caller,
    ):
        call = await caller.call("601")
        rung = await anna.incoming()
        assert offered(rung) == ["8", "0", "101"]
        await rung.answer()
        assert (codec(call), codec(rung)) == ("opus", "PCMA")
        call.start_tone(440, 2.0)
        await rung.hears_tone(440)
        rung.start_tone(700, 2.0)
        await call.hears_tone(700)
        await call.hold()
        await call.retrieve()
        assert codec(call) == "opus"
        for presses, hears, key in ((call, rung, "5"), (rung, call, "7")):
            await presses.press(key)
            async with asyncio.timeout(10):
                while hears.digits != key:
                    await hears.audio.wait_for(10, 5)
        call.hang_up()
        (entry,) = await service.cdrs()
    assert {(leg.codec, leg.quality.mos is None) for leg in entry.cdr.legs} == {("opus", True), ("PCMA", False)}


async def test_two_with_opus_have_it_where_phones_and_trunk_list_it(tmp_path):
    async with (
        running(tmp_path, lines(callers=("opus", "PCMA")), phone_codecs=("opus", "PCMA")) as service,
        agent(service, ("opus", "PCMA")) as anna,
        SyntheticPhone(service.address, user="+498955555", codecs=("opus", "PCMA")) as caller,
    ):
        call = await caller.call("601")
        rung = await anna.incoming()
        assert offered(rung) == ["111", "8", "101", "110"]
        await rung.answer()
        assert (codec(call), codec(rung)) == ("opus", "opus")
        call.start_tone(440, 2.0)
        await rung.hears_tone(440)


async def test_comfort_noise_is_offered_where_it_is_listed_and_answered_where_it_is_offered(tmp_path):
    """RFC 3389 §4: 13 beside what has a clock of 8000."""
    async with (
        running(tmp_path, phone_codecs=("PCMA", "CN")) as service,
        agent(service, ("PCMA",)) as anna,
        SyntheticPhone(service.address, user="+498955555", codecs=("PCMA", "CN")) as caller,
    ):
        call = await caller.call("601")
        rung = await anna.incoming()
        assert offered(rung) == ["8", "13", "101"]
        await rung.answer()
        assert (call.negotiated.comfort_noise, rung.negotiated.comfort_noise) == (13, 13)
        call.start_tone(440, 2.0)
        await rung.hears_tone(440)
