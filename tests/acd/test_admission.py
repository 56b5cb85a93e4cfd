"""Channels at their real cost, and what a full line does, with real SIP: keys, IPv6, longer packets, corrections, refusal (R9, U10)."""

import asyncio
import contextlib

import msgspec
import pytest

from acd.config import Listen
from acd.core import configuration as conf
from acd.core import inputs as inp
from acd.core.events import ChannelAdjusted, ChannelRefused, ChannelReserved, OfferMade
from acd.core.ids import AgentId, SiteId, TrunkId
from acd.journal import read
from load.phones import CallFailed, SyntheticPhone
from sip.sdp.crypto import SrtpUse
from tests.acd.voice import TENANT, agent, carrier_phone, running, setup
from tests.ports import free_port

ANNA, BEN = AgentId("anna"), AgentId("ben")
CARRIER = conf.Trunk(id=TrunkId("carrier"), name="Carrier")
pytestmark = pytest.mark.interop


def callers(upload, *plan, sources=("127.0.0.0/9", "::1/128"), **more):
    """A house whose callers come over a line with this upload."""
    line = conf.Trunk(id=TrunkId("callers"), name="Callers", outbound=False, upload_kbits=upload, degrade=plan or ("refuse",))
    made = setup(trunks=(line, CARRIER), **more)
    return msgspec.structs.replace(
        made, trunks=tuple(msgspec.structs.replace(one, sources=sources) if one.id == "callers" else one for one in made.trunks)
    )


def ledger(service, line="trunk:callers"):
    return next(one for one in service.voice.live(TENANT).lines if one.line == line)


def written(tmp_path, kind):
    return [event for entry in read(tmp_path / "journal") for event in entry.events if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def up(tmp_path, made, host="127.0.0.1", **phone):
    """A service that listens there, and a caller's phone beside it."""
    port = free_port()
    listen = (Listen(transport="udp", host=host, port=port),)
    async with running(tmp_path, made, listen=listen) as service:
        address = (host, port)
        async with SyntheticPhone(address, user="+498955555", address=host, **phone) as caller:
            yield service, caller, address


@pytest.mark.parametrize(
    ("host", "srtp", "cost", "fits", "shape"),
    [
        ("127.0.0.1", SrtpUse.OFF, 100, 10, "PCMA 20 ms IPv4"),
        ("127.0.0.1", SrtpUse.REQUIRED, 107, 9, "PCMA 20 ms IPv4 SRTP GCM"),
        ("::1", SrtpUse.REQUIRED, 116, 8, "PCMA 20 ms IPv6 SRTP GCM"),
    ],
)
async def test_a_megabit_carries_ten_plain_nine_encrypted_eight_encrypted_over_ipv6(tmp_path, host, srtp, cost, fits, shape):
    async with up(tmp_path, callers(1000), host, srtp=srtp) as (service, caller, _):
        calls = [await caller.call("601") for _ in range(fits)]
        for call in calls:
            await call.answered()
        line = ledger(service)
        assert [(one.kbits, one.shape) for one in line.reservations] == [(cost, shape)] * fits
        with pytest.raises(CallFailed, match="503"):
            await (await caller.call("601")).answered()
        for call in calls:
            call.hang_up()
        await service.cdrs(fits + 1)
    (refused,) = written(tmp_path, ChannelRefused)
    assert refused.reason == f"trunk callers: {fits * cost} of 1000 kbit/s reserved, {cost} needed"


async def test_the_caller_who_does_not_fit_as_usual_is_answered_with_longer_packets_and_is_heard(tmp_path, caplog):
    caplog.set_level("INFO", "acd.calls")
    async with up(tmp_path, callers(190, "longer_ptime", "refuse")) as (service, caller, address):
        first = await caller.call("601")
        await first.answered()
        second = await caller.call("601")
        await second.answered()
        assert (first.negotiated.ptime_ms, second.negotiated.ptime_ms, second.negotiated.maxptime_ms) == (20, 40, 40)
        line = ledger(service)
        assert [(one.kbits, one.shape, one.step) for one in line.reservations] == [
            (100, "PCMA 20 ms IPv4", None),
            (84, "PCMA 40 ms IPv4", "longer_ptime"),
        ]
        with pytest.raises(CallFailed, match="503"):
            await (await caller.call("601")).answered()
        first.hang_up()
        await service.cdrs(2)
        async with SyntheticPhone(address, user="anna", password="anna-secret") as anna:
            await anna.register()
            await service.voice.command(TENANT, inp.LogOn(agent=ANNA, ready=True))
            offered = await anna.incoming()
            await offered.answer()
            second.start_tone(440, 1.0)
            offered.start_tone(1000, 1.0)
            await offered.hears_tone(440)
            await second.hears_tone(1000)
            second.hang_up()
            await service.cdrs(3)
        assert service.voice.figures()['fernamt_channels_by_plan_total{tenant="demo",step="longer_ptime"}'] == 1
    assert [(one.kbits, one.step) for one in written(tmp_path, ChannelReserved)] == [(100, None), (84, "longer_ptime")]
    assert written(tmp_path, ChannelAdjusted) == []
    (logged,) = [line for line in caplog.messages if "event=degraded" in line]
    assert "role=caller line=trunk:callers step=longer_ptime kbits=84 reserved_kbits=184 upload_kbits=190" in logged


async def test_what_a_phone_takes_of_the_keys_we_offer_is_what_its_site_carries(tmp_path):
    """Keys are wished: 107 are reserved while it rings; it takes none, and 7 are given back."""
    people = (agent("anna", "11", site=SiteId("office")), agent("ben", "12", site=SiteId("office"), skills={"support": 3}))
    made = msgspec.structs.replace(setup(agents=people), phones_srtp={ANNA: "wished", BEN: "required"})
    async with up(tmp_path, made) as (service, caller, address), SyntheticPhone(address, user="anna", password="anna-secret") as anna:
        await anna.register()
        await service.voice.command(TENANT, inp.LogOn(agent=ANNA, ready=True))
        call = await caller.call("601")
        offered = await anna.incoming()
        assert [(one.kbits, one.shape) for one in ledger(service, "site:office").reservations] == [(107, "PCMA 20 ms IPv4 SRTP GCM")]
        await offered.answer()
        async with asyncio.timeout(5):
            while [one.kbits for one in ledger(service, "site:office").reservations] != [100]:
                await offered.audio.wait_for(1, 1)
        call.hang_up()
        await service.cdrs()
    assert [(one.line, one.kbits, one.shape) for one in written(tmp_path, ChannelAdjusted)] == [("site:office", 100, "PCMA 20 ms IPv4")]


async def test_a_phone_at_a_full_site_is_rung_with_longer_packets_by_its_plan(tmp_path):
    people = (agent("anna", "11", site=SiteId("office")),)
    sites = (conf.Site(id=SiteId("office"), upload_kbits=99, degrade=("longer_ptime",)),)
    async with (
        up(tmp_path, setup(agents=people, sites=sites)) as (service, caller, address),
        SyntheticPhone(address, user="anna", password="anna-secret") as anna,
    ):
        await anna.register()
        await service.voice.command(TENANT, inp.LogOn(agent=ANNA, ready=True))
        call = await caller.call("601")
        offered = await anna.incoming()
        assert b"a=ptime:40\r\na=maxptime:40\r\n" in offered.request.body
        await offered.answer()
        offered.start_tone(1000, 0.6)
        call.start_tone(440, 0.6)
        await call.hears_tone(1000)
        await offered.hears_tone(440)
        call.hang_up()
        await service.cdrs()
    (made,) = written(tmp_path, OfferMade)
    assert made.decision.degraded == {"longer_ptime": (ANNA,)}
    assert [(one.line, one.kbits, one.step) for one in written(tmp_path, ChannelReserved)][-1] == ("site:office", 84, "longer_ptime")


async def test_a_full_carrier_is_offered_longer_packets_or_the_next_one_has_the_call(tmp_path):
    port = free_port()
    numbers = (conf.Number(number="602", target=conf.ToOutside(number="+491711234567")),)
    trunks = (
        conf.Trunk(id=TrunkId("callers"), name="Callers", outbound=False),
        conf.Trunk(id=TrunkId("carrier"), name="Carrier", internal=True, upload_kbits=190, degrade=("longer_ptime",)),
    )
    async with up(tmp_path, setup(port, trunks=trunks, numbers=numbers)) as (service, caller, _), carrier_phone(service, port) as carrier:
        asked = []
        for _ in range(2):
            call = await caller.call("602")
            came = await carrier.incoming()
            asked.append(b"a=ptime:40" in came.request.body)
            await came.answer()
            await call.answered()
        assert asked == [False, True]
        assert [one.step for one in ledger(service, "trunk:carrier").reservations] == [None, "longer_ptime"]
        with pytest.raises(CallFailed, match="503"):
            await (await caller.call("602")).answered()
