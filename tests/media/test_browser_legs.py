"""A browser's leg in the real worker, with aiortc for the browser: bridged with a plain leg, told of, refused, closed; and legs whose far
end turns out to be a browser or not when it is described.
"""

import asyncio
import contextlib
import socket
import threading
import time

import aioice
import aiortc
import msgspec
import pytest

from media import tones
from media.control import ArrangeAudio, AskHeld, Browser, BrowserChanged, CloseLeg, DescribeLeg, LegClosed, LegOpened, OpenLeg, Play
from media.transport import stun
from media.transport.ice import Credentials
from media.transport.keys import LENGTHS, SrtpKeys, Suite
from media.transport.stun import AttributeType, MessageClass
from sip.sdp import webrtc
from sip.sdp.offer_answer import LocalMedia, answer
from sip.sdp.parser import parse_sdp
from tests.interop.test_aiortc import FREQUENCY, Tone, hears_the_tone
from tests.media.rig import DEADLINE_S, Rig, level

pytestmark = pytest.mark.interop

ICE = Credentials("workersufrag", "workerspasswordof24chars")
SUITE = Suite.AES_CM_128_HMAC_SHA1_80
NAME = "browser"


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("browser"), pairs=20)
    yield rig
    rig.end()
    assert "failed (" not in rig.log_path.read_text()


@pytest.fixture
def rig(worker, monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.3"])
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
async def a_page(rig, opened, fingerprints=None, *, is_described=True):
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
        page.described = described(both.audio, fingerprints)
        if is_described:
            rig.order(page.described)
        await page.setRemoteDescription(aiortc.RTCSessionDescription(str(both.description), "answer"))
        yield page
    finally:
        await page.close()


def described_as(phone):
    """A plain far end."""
    return DescribeLeg(
        leg=phone.name,
        remote_address=phone.address,
        remote_port=phone.port,
        remote_rtcp_port=phone.rtcp.getsockname()[1],
        codec="PCMA",
        payload_type=8,
        telephone_event=101,
    )


async def hears_the_tone_of(phone, page):
    """Whether what the phone says is heard in the page."""
    is_over = threading.Event()

    def speak():
        while not is_over.is_set():
            phone.speak(tones.probe(FREQUENCY, 0.2), pace=True)

    speaking = asyncio.create_task(asyncio.to_thread(speak))
    try:
        return await hears_the_tone(await page.tracks.get())
    finally:
        is_over.set()
        await speaking


def until(is_so):
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end


async def told(rig, state):
    """The loop of the page goes on meanwhile."""
    return await asyncio.to_thread(rig.wait_for, BrowserChanged, leg=NAME, state=state)


async def test_a_browser_and_a_phone_hear_each_other_over_a_bridge(rig):
    phone, opened = rig.leg(), opened_by(rig)
    assert opened.rtcp_port == opened.rtp_port + 1
    assert opened.fingerprint.startswith("sha-256 ")
    rig.order(ArrangeAudio(room="room", hears=((NAME, phone.name), (phone.name, NAME))))
    async with a_page(rig, opened) as page:
        assert (await told(rig, "connected")).reason == ""
        assert await hears_the_tone_of(phone, page)
        heard = await asyncio.to_thread(phone.hear, 30)
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
    assert (held.rtp_port, held.rtcp_port, held.fingerprint) == (again.rtp_port, again.rtcp_port, first.fingerprint)


def test_a_leg_that_was_opened_for_no_browser_is_not_described_as_one(rig):
    phone = rig.leg(described=False)
    rig.describe(phone, browser=Browser(fingerprints=()))
    rig.status()
    assert f"leg={phone.name} is described as a browser's" in rig.log_path.read_text()


def check_of(ice, port, number):
    """What a browser sends first: one check, with the socket it came from."""
    name = (AttributeType.USERNAME, f"{ice.ufrag}:page".encode())
    asked = stun.compose(MessageClass.REQUEST, number.to_bytes(12, "big"), [name, (AttributeType.USE_CANDIDATE, b"")], password=ice.pwd)
    browser = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    browser.settimeout(DEADLINE_S)
    browser.connect(("127.0.0.1", port))
    browser.send(asked)
    return browser, asked


def test_a_plain_phone_is_one_although_it_might_have_been_a_browser(rig):
    phone, other = rig.leg(ice=ICE), rig.leg(ice=ICE, described=False)
    browser, asked = check_of(ICE, other.target[1], 1)
    with browser:
        assert stun.parse(browser.recv(2048)).message_class is MessageClass.SUCCESS
        rig.describe(other)
        rig.bridge(phone, other)
        phone.speak(tones.probe(FREQUENCY, 0.2), pace=True)
        other.speak(tones.probe(FREQUENCY, 0.2), pace=True)
        assert {len(packet.payload) for far_end in (phone, other) for packet in far_end.hear(10)} == {160}
        other.rtcp.sendto(bytes.fromhex("80c9000100000003"), other.rtcp_target)
        browser.send(asked)
        assert phone.reports()
        assert other.reports()
        rig.close_leg(other)
        browser.settimeout(0)
        with pytest.raises(BlockingIOError):
            browser.recv(2048)
    assert rig.have(BrowserChanged) == []
    assert rig.status().legs_protected == 0


async def test_who_answers_decides_a_phone(rig):
    opened = opened_by(rig)
    phone, other = rig.leg(described=False), rig.leg()
    rig.order(ArrangeAudio(room="room", hears=((NAME, other.name), (other.name, NAME))))
    phone.name, phone.target, phone.rtcp_target = NAME, (opened.address, opened.rtp_port), (opened.address, opened.rtcp_port)
    async with a_page(rig, opened, is_described=False) as page:
        async with asyncio.timeout(DEADLINE_S):
            while page.connectionState != "connected":
                await asyncio.sleep(0.01)
        rejected = rig.status().packets_rejected
        rig.describe(phone)
        async with asyncio.timeout(DEADLINE_S):  # it is told goodbye
            while page.connectionState != "closed":
                await asyncio.sleep(0.01)
        phone.speak(tones.probe(FREQUENCY, 0.2), pace=True)
        other.speak(tones.probe(FREQUENCY, 0.2), pace=True)
        assert {len(packet.payload) for far_end in (phone, other) for packet in far_end.hear(10)} == {160}
        assert rig.have(BrowserChanged) == []
        assert rig.status().packets_rejected == rejected


async def test_who_answers_decides_a_page(rig):
    opened = opened_by(rig)
    phone, other = rig.leg(described=False), rig.leg()
    rig.order(ArrangeAudio(room="room", hears=((NAME, other.name), (other.name, NAME))))
    phone.target = opened.address, opened.rtp_port
    phone.rtcp_target = opened.address, opened.rtcp_port
    phone.speak(tones.probe(FREQUENCY, 0.2))
    before = rig.status()
    async with a_page(rig, opened):
        await told(rig, "connected")
        during = rig.status()
        assert during.legs_protected == before.legs_protected + 1
        phone.speak(tones.probe(FREQUENCY, 0.2))
        phone.rtcp.sendto(bytes.fromhex("80c9000100000003"), phone.rtcp_target)
        # It says so once more in plain, as a phone would in a re-INVITE, and even so nothing plain passes.
        order = msgspec.structs.replace(described_as(phone), leg=NAME)
        rig.order(order)
        phone.speak(tones.probe(FREQUENCY, 0.2))
        await asyncio.to_thread(until, lambda: rig.status().packets_rejected >= during.packets_rejected + 21)
        assert phone.hear_nothing()
    await told(rig, "closed")


async def test_a_leg_that_was_a_phones_may_become_a_pages(rig):
    opened, other = opened_by(rig), rig.leg()
    keys = SrtpKeys(suite=SUITE, send=b"s" * LENGTHS[SUITE].master, receive=b"r" * LENGTHS[SUITE].master)
    phone = rig.leg(described=False)
    rig.order(msgspec.structs.replace(described_as(phone), leg=NAME, srtp=keys))
    rig.order(ArrangeAudio(room="room", hears=((NAME, other.name), (other.name, NAME))))
    assert rig.status().legs_protected == 1
    async with a_page(rig, opened, is_described=False) as page:
        rig.order(page.described)
        await told(rig, "connected")
        assert await hears_the_tone_of(other, page)
    await told(rig, "closed")
    assert rig.status().legs_protected == 0


def test_a_browsers_leg_has_no_other_keys_than_its_handshakes(rig):
    opened_by(rig)
    phone = rig.leg(described=False)
    plain = msgspec.structs.replace(described_as(phone), leg=NAME)
    rig.order(msgspec.structs.replace(plain, browser=Browser(fingerprints=())))
    keys = SrtpKeys(suite=SUITE, send=b"s" * LENGTHS[SUITE].master, receive=b"r" * LENGTHS[SUITE].master)
    rig.order(msgspec.structs.replace(plain, srtp=keys), Play(leg=NAME, play="play", sounds=("de/queue.greeting",), loop=True))
    assert rig.status().legs_protected == 0
    assert phone.hear_nothing()
