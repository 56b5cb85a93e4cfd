"""A browser's leg in the real worker, with aiortc for the browser: bridged with a plain leg, told of, refused, closed."""

import asyncio
import contextlib
import threading

import aioice
import aiortc
import pytest

from media import tones
from media.control import ArrangeAudio, AskHeld, Browser, BrowserChanged, CloseLeg, DescribeLeg, LegClosed, LegOpened, OpenLeg, Play
from media.transport.ice import Credentials
from media.transport.keys import LENGTHS, SrtpKeys, Suite
from sip.sdp import webrtc
from sip.sdp.offer_answer import LocalMedia, answer
from sip.sdp.parser import parse_sdp
from tests.interop.test_aiortc import FREQUENCY, Tone, hears_the_tone
from tests.media.rig import Rig, level

pytestmark = pytest.mark.interop

ICE = Credentials("workersufrag", "workerspasswordof24chars")
NAME = "browser"


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("browser"), pairs=20)
    yield rig
    rig.end()
    assert "failed (" not in rig.log_path.read_text()


@pytest.fixture
def rig(worker, monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    yield worker
    worker.order(CloseLeg(leg=NAME))
    worker.clear()


def opened_by(rig, ice=ICE):
    opened = rig.ask(OpenLeg(request=next(rig.requests), leg=NAME, address="127.0.0.1", ice=ice))
    assert isinstance(opened, LegOpened)
    return opened


def described(audio, fingerprints=None):
    texts = tuple(map(str, audio.dtls.peer.fingerprints)) if fingerprints is None else fingerprints
    return DescribeLeg(
        leg=NAME,
        remote_address=audio.remote_address,
        remote_port=audio.remote_port,
        remote_rtcp_port=audio.remote_rtcp_port,
        codec="PCMA",
        payload_type=audio.codec.number,
        telephone_event=audio.telephone_event,
        browser=Browser(fingerprints=texts, is_client=audio.dtls.is_client),
    )


@contextlib.asynccontextmanager
async def a_page(rig, opened, fingerprints=None):
    """Its offer is answered and its leg described."""
    page = aiortc.RTCPeerConnection()
    page.tracks = asyncio.Queue()
    page.on("track", page.tracks.put_nowait)
    page.addTrack(Tone())
    try:
        await page.setLocalDescription(await page.createOffer())
        ours = webrtc.Ours(ICE.ufrag, ICE.pwd, webrtc.Fingerprint(*opened.fingerprint.split()))
        local = LocalMedia(opened.address, opened.rtp_port, opened.rtcp_port, dtls=ours)
        both = answer(parse_sdp(page.localDescription.sdp), local, session_id=1)
        rig.order(described(both.audio, fingerprints))
        await page.setRemoteDescription(aiortc.RTCSessionDescription(str(both.description), "answer"))
        yield page
    finally:
        await page.close()


async def told(rig, state):
    """The loop of the page goes on meanwhile."""
    return await asyncio.to_thread(rig.wait_for, BrowserChanged, leg=NAME, state=state)


async def test_a_browser_and_a_phone_hear_each_other_over_a_bridge(rig):
    phone, opened = rig.leg(), opened_by(rig)
    assert opened.rtcp_port == opened.rtp_port
    assert opened.fingerprint.startswith("sha-256 ")
    rig.order(ArrangeAudio(room="room", hears=((NAME, phone.name), (phone.name, NAME))))
    is_over = threading.Event()

    def speak():
        while not is_over.is_set():
            phone.speak(tones.probe(FREQUENCY, 0.2), pace=True)

    async with a_page(rig, opened) as page:
        assert (await told(rig, "connected")).reason == ""
        speaking = asyncio.create_task(asyncio.to_thread(speak))
        try:
            assert await hears_the_tone(await page.tracks.get())
            heard = await asyncio.to_thread(phone.hear, 30)
        finally:
            is_over.set()
            await speaking
        assert level(phone.audio(heard[10:]), FREQUENCY) > -30
        assert {len(packet.payload) for packet in heard} == {160}
        await page.close()
        await told(rig, "closed")
    rig.order(CloseLeg(leg=NAME))
    quality = rig.wait_for(LegClosed, leg=NAME).quality
    assert quality.packets_received >= 30
    assert quality.packets_sent > 0
    assert quality.packets_lost == 0
    assert rig.status().packets_dropped == 0


async def test_a_sound_waits_for_nobody_and_nothing_of_it_leaves_before_the_browser_is_there(rig):
    opened = opened_by(rig)
    rig.order(Play(leg=NAME, play="play", sounds=("de/queue.greeting",), loop=True))
    before = rig.status()
    async with a_page(rig, opened) as page:
        await told(rig, "connected")
        track = await page.tracks.get()
        async with asyncio.timeout(5):
            while not (await track.recv()).to_ndarray().any():
                pass
        # Before the page is left: what is played on after its goodbye does not leave either, and counts.
        assert rig.status().packets_dropped == before.packets_dropped


async def test_who_shows_another_certificate_is_told_of_and_hears_nothing(rig):
    phone, opened = rig.leg(), opened_by(rig)
    rig.order(ArrangeAudio(room="room", hears=((NAME, phone.name), (phone.name, NAME))))
    async with a_page(rig, opened, fingerprints=(opened.fingerprint, "nonsense")):
        failed = await told(rig, "failed")
    assert "certificate" in failed.reason
    assert phone.hear_nothing()


def test_each_worker_has_one_certificate_and_holds_its_browsers_legs(rig):
    first = opened_by(rig)
    rig.order(CloseLeg(leg=NAME))
    rig.wait_for(LegClosed, leg=NAME)
    again = opened_by(rig, Credentials("another1", "y" * 22))
    assert again.fingerprint == first.fingerprint
    (held,) = rig.ask(AskHeld(request=next(rig.requests))).legs
    assert (held.rtp_port, held.rtcp_port, held.fingerprint) == (again.rtp_port, again.rtp_port, first.fingerprint)


def test_a_plain_leg_is_not_described_as_a_browsers(rig):
    phone = rig.leg(described=False)
    rig.describe(phone, browser=Browser(fingerprints=()))
    rig.status()
    assert f"leg={phone.name} is described as a browser's" in rig.log_path.read_text()


def test_a_browsers_leg_has_no_other_keys_than_its_handshakes(rig):
    opened = opened_by(rig)
    suite = Suite.AES_CM_128_HMAC_SHA1_80
    keys = SrtpKeys(suite=suite, send=b"s" * LENGTHS[suite].master, receive=b"r" * LENGTHS[suite].master)
    rig.order(
        DescribeLeg(leg=NAME, remote_address="127.0.0.1", remote_port=4000, remote_rtcp_port=4001, codec="PCMA", payload_type=8, srtp=keys)
    )
    (held,) = rig.ask(AskHeld(request=next(rig.requests))).legs
    assert (held.fingerprint, held.rtcp_port) == (opened.fingerprint, opened.rtp_port)
