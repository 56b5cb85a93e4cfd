"""A page's line is checked against the real workers, with aiortc for the page: what is counted, refused, and what a bad one looks like."""

import asyncio
import contextlib

import aioice
import aiortc
import pytest

from acd.core.errors import UnknownName
from acd.core.ids import AgentId
from acd.errors import CheckRefused
from acd.switch import line_checks
from tests.acd.voice import HOST, TENANT, running
from tests.interop.test_aiortc import Tone, hears_the_tone

pytestmark = pytest.mark.interop

ANNA, BEN = AgentId("anna"), AgentId("ben")
PLAIN = b"v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: [HOST])
    monkeypatch.setattr(line_checks, "CHECK_S", 1.0)


@pytest.fixture
async def house(tmp_path):
    async with running(tmp_path, media_addresses=(HOST,)) as house:
        yield house


@contextlib.asynccontextmanager
async def connections(count):
    """Of a page, and their offers."""
    made = [aiortc.RTCPeerConnection() for _ in range(count)]
    try:
        for one in made:
            one.tracks = asyncio.Queue()
            one.on("track", one.tracks.put_nowait)
            one.addTrack(Tone())
            await one.setLocalDescription(await one.createOffer())
        yield made, tuple(one.localDescription.sdp.encode() for one in made)
    finally:
        await asyncio.gather(*[one.close() for one in made])


def measured(house):
    """What the core knows of anna's line."""
    line = house.voice._exchanges[TENANT].engine.state.agents[ANNA].line
    return [] if line is None else [line.figures["upload_kbits"]]


async def take(made, begun):
    for one, answer in zip(made, begun.answers, strict=True):
        await one.setRemoteDescription(aiortc.RTCSessionDescription(answer.decode(), "answer"))


def nothing_is_left(house):
    assert house.voice.switch.line_checks.streams == 0
    assert house.voice.switch.ports._calls.keys() <= {name for name in house.voice.switch.ports._calls if name.startswith("check:")}


async def test_three_streams_are_echoed_and_counted_and_the_worst_is_told(house):
    async with connections(3) as (made, offers):
        begun = await house.voice.begin_line_check(TENANT, ANNA, HOST, offers)
        with pytest.raises(CheckRefused, match="under way"):
            await house.voice.begin_line_check(TENANT, ANNA, HOST, offers)
        assert house.voice.switch.line_checks.streams == 3
        await take(made, begun)
        assert await hears_the_tone(await made[2].tracks.get())
        told = await house.voice.line_check(TENANT, ANNA)
        assert told.failure is None
        assert len(told.streams) == 3
        assert told.upload_kbits == min(one.upload_kbits for one in told.streams)
        for one in told.streams:
            assert 80 < one.upload_kbits < 125  # 106.7 at an even pace: GCM on IPv4, RTCP with it
            assert one.loss == 0
            assert one.mos > 4
        assert measured(house) == [told.upload_kbits]
        assert told.check == begun.check
        assert await house.voice.line_check(TENANT, ANNA) == told
        assert await house.voice.line_check(TENANT, BEN) is None
    nothing_is_left(house)
    assert house.voice.figures()["fernamt_switch_line_checks_total"] == 1


async def test_a_page_that_leaves_says_nothing_about_its_line(house):
    async with connections(2) as (made, offers):
        begun = await house.voice.begin_line_check(TENANT, ANNA, HOST, offers)
        await take(made, begun)
        await hears_the_tone(await made[0].tracks.get())
        await made[0].close()
        told = await house.voice.line_check(TENANT, ANNA)
    assert told.failure == "the page's connection is closed"
    assert measured(house) == []
    assert told.upload_kbits is None
    nothing_is_left(house)


async def test_streams_that_never_come_up_bear_nothing(house, monkeypatch):
    monkeypatch.setattr(line_checks, "CONNECT_S", 0.2)
    async with connections(2) as (_, offers):
        await house.voice.begin_line_check(TENANT, ANNA, HOST, offers)
        told = await house.voice.line_check(TENANT, ANNA)
    assert told.failure == "2 of 2 streams did not come up within 0.2 s"
    assert (told.upload_kbits, told.streams) == (0.0, ())
    assert measured(house) == [0.0]
    nothing_is_left(house)


@pytest.mark.parametrize(
    ("offers", "why"),
    [
        ((), "1 to 12 streams, not 0"),
        ((b"",) * 13, "1 to 12 streams, not 13"),
        ((b"nonsense",), "offer 1 cannot be used"),
        ((PLAIN,), "offer 1 is none of a browser"),
    ],
)
async def test_what_is_no_browsers_offer_is_refused(house, offers, why):
    with pytest.raises(CheckRefused, match=why):
        await house.voice.begin_line_check(TENANT, ANNA, HOST, offers)
    nothing_is_left(house)
    with pytest.raises(UnknownName):
        await house.voice.begin_line_check(TENANT, AgentId("nobody"), HOST, offers)


async def test_a_worker_that_ends_ends_its_checks(house):
    async with connections(1) as (made, offers):
        begun = await house.voice.begin_line_check(TENANT, ANNA, HOST, offers)
        await take(made, begun)
        await hears_the_tone(await made[0].tracks.get())
        for worker in house.voice._media._workers:
            worker.process.kill()
        told = await house.voice.line_check(TENANT, ANNA)
    assert told.failure == "its media worker ended"
    assert told.upload_kbits is None
    nothing_is_left(house)
