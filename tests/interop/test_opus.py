"""Opus with clients nobody here wrote, which have nothing else: baresip at a service, aiortc at a worker, Chromium at an echo."""

import asyncio
import itertools
import json
import threading

import aioice
import aiortc
import numpy as np
import pytest

from acd.switch import media_plan
from load.hearing import dominant_hz
from media import tones
from media.codecs import CODECS, OPUS
from media.control import ArrangeAudio, Browser, BrowserChanged, CloseLeg, DescribeLeg, LegClosed, OpenLeg
from media.frame import level_dbfs
from media.transport.ice_dtls import News
from sip.sdp import webrtc
from sip.sdp.offer_answer import LocalMedia, answer, audio_offer, read_answer
from sip.sdp.parser import parse_sdp
from tests import browser
from tests.acd.voice import HOST, running
from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.interop.test_aiortc import FREQUENCY, Tone, hears_the_tone
from tests.interop.test_chromium import PAGE, an_echo
from tests.interop.test_wide_band import recorded, until, waiting_room
from tests.media.rig import Rig, level
from tests.media.test_browser_legs import ICE

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALL = media_plan.capabilities(tuple(CODECS))
"""What `acd.switch.media_plan` falls back on where an offer has nothing else."""
ALONE = media_plan.capabilities(("opus",))


async def first(echo, count):
    """So many packets that it got."""
    async with asyncio.timeout(20):
        while len(echo.heard) < count:
            await asyncio.sleep(0.01)
    return echo.heard[:count]


def spoken(packets):
    """What they say, at 8 kHz."""
    decoder = OPUS.decoder_at(8000)
    return np.concatenate([decoder.decode(packet.payload) for packet in packets])


def loudest(audio, frequency):
    """dBFS of the frequency in the tenth of a second that has most of it: a machine that stands makes holes, and the phase is another."""
    return max(level(audio[at : at + 800], frequency) for at in range(0, audio.size - 800, 400))


async def test_a_baresip_with_opus_alone_hears_the_service_and_is_heard(tmp_path):
    needs_baresip()
    async with running(tmp_path, waiting_room()) as house:
        account = f"<sip:+498912345@{HOST}:{house.address[1]}>;regint=0;audio_codecs=opus/48000/2"
        async with Baresip(tmp_path / "caller", *ports(), account, 440, modules=("opus.so",)) as caller:
            await caller.do("dial", f"sip:601@{HOST}:{house.address[1]}")
            await caller.event("CALL_ESTABLISHED")
            (leg,) = house.voice.switch._legs.values()
            assert leg.plan.codec == "opus"
            assert leg.offer.media[0].formats[0] == leg.plan.local.media[0].formats[0]
            await until(lambda: abs((caller.heard_hz() or 0) - 700) < 5 and abs(caller.heard_dbfs() + 12.0) < 1.0)
            assert caller.heard_rate() == 48_000
            said = await recorded(house, leg, tmp_path / "said.wav", 1.0)
            await caller.do("hangup")
            (entry,) = await house.cdrs()
    assert dominant_hz(said[2000:8000]) == pytest.approx(440, abs=2)
    assert level_dbfs(said[2000:8000]) > -30
    (heard,) = entry.cdr.legs
    assert (heard.codec, heard.quality.mos) == ("opus", None)
    assert heard.quality.jitter_ms < 200  # by a clock of 8 kHz it would be seconds


@pytest.fixture
def rig(tmp_path, monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    started = Rig(tmp_path, pairs=20)
    yield started
    started.clear()
    started.end()
    assert "failed (" not in started.log_path.read_text()


async def test_an_aiortc_page_with_opus_alone_and_a_phone_with_a_law_alone_hear_each_other(rig):
    """Its offer is answered with Opus and with events of 48 kHz, if it has some; it encodes in stereo."""
    phone, name = rig.leg("PCMA"), "page"
    opened = rig.ask(OpenLeg(request=next(rig.requests), leg=name, address="127.0.0.1", ice=ICE))
    rig.order(ArrangeAudio(room="room", hears=((name, phone.name), (phone.name, name))))
    page, tracks, is_over = aiortc.RTCPeerConnection(), asyncio.Queue(), threading.Event()
    page.on("track", tracks.put_nowait)
    page.addTrack(Tone())
    (transceiver,) = page.getTransceivers()
    known = aiortc.RTCRtpSender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([codec for codec in known if codec.mimeType.lower() == "audio/opus"])

    def speak():
        while not is_over.is_set():
            phone.speak(tones.probe(FREQUENCY, 0.2), pace=True)

    try:
        await page.setLocalDescription(await page.createOffer())
        offer = parse_sdp(page.localDescription.sdp)
        assert {one.encoding.lower() for one in offer.media[0].payload_types} == {"opus"}
        ours = webrtc.Ours(ICE.ufrag, ICE.pwd, webrtc.Fingerprint(*opened.fingerprint.split()))
        both = answer(offer, LocalMedia(opened.address, opened.rtp_port, opened.rtcp_port, dtls=ours), session_id=1, capabilities=ALL)
        audio = both.audio
        assert "a=fmtp:96 minptime=10;useinbandfec=1" in str(both.description)
        rig.order(
            DescribeLeg(
                leg=name,
                remote_address=audio.remote_address,
                remote_port=audio.remote_port,
                remote_rtcp_port=audio.remote_rtcp_port,
                codec="opus",
                payload_type=audio.codec.number,
                fmtp=audio.codec.fmtp or "",
                browser=Browser(fingerprints=tuple(map(str, audio.dtls.peer.fingerprints)), is_client=audio.dtls.is_client),
            )
        )
        await page.setRemoteDescription(aiortc.RTCSessionDescription(str(both.description), "answer"))
        await asyncio.to_thread(rig.wait_for, BrowserChanged, leg=name, state="connected")
        speaking = asyncio.create_task(asyncio.to_thread(speak))
        try:
            assert await hears_the_tone(await tracks.get())
            heard = await asyncio.to_thread(phone.hear, 50)
        finally:
            is_over.set()
            await speaking
        assert loudest(phone.audio(heard[20:]), FREQUENCY) > -20
        assert {len(packet.payload) for packet in heard} == {160}
    finally:
        await page.close()
    rig.order(CloseLeg(leg=name))
    quality = rig.wait_for(LegClosed, leg=name).quality
    assert (quality.codec, quality.packets_lost) == ("opus", 0)
    assert quality.jitter_ms < 200


async def test_our_offer_of_opus_is_taken_by_aiortc_and_heard_both_ways(monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    async with an_echo() as echo:
        page, tracks = aiortc.RTCPeerConnection(), asyncio.Queue()
        page.on("track", tracks.put_nowait)
        try:
            offer = audio_offer(echo.local, session_id=1, capabilities=ALONE)
            await page.setRemoteDescription(aiortc.RTCSessionDescription(str(offer), "offer"))
            page.addTrack(Tone())
            await page.setLocalDescription(await page.createAnswer())
            audio = read_answer(offer, parse_sdp(page.localDescription.sdp))
            assert (audio.codec.encoding, audio.codec.clock_rate, audio.receive_payload_type) == ("opus", 48_000, 111)
            echo.expect(audio.dtls)
            assert await echo.news() is News.CONNECTED
            assert await hears_the_tone(await tracks.get())
            said = spoken(await first(echo, 40))
            assert loudest(said[1600:], FREQUENCY) > -20
        finally:
            await page.close()


async def test_a_chromium_that_offers_opus_alone_is_answered_with_it_and_its_events_of_48_khz(tmp_path):
    async with browser.page("about:blank", tmp_path) as page, an_echo() as echo:
        await page.do("Runtime.evaluate", expression=PAGE, awaitPromise=True, userGesture=True, returnByValue=True)
        await page.says("connection()")
        await page.says(
            "void pc.getTransceivers()[0].setCodecPreferences(RTCRtpReceiver.getCapabilities('audio').codecs"
            ".filter(codec => ['audio/opus', 'audio/telephone-event'].includes(codec.mimeType)))"
        )
        text = await page.says("pc.createOffer().then(offer => pc.setLocalDescription(offer)).then(() => pc.localDescription.sdp)")
        offer = parse_sdp(text)
        assert {one.encoding for one in offer.media[0].payload_types} == {"opus", "telephone-event"}
        both = answer(offer, echo.local, session_id=1, capabilities=ALL)
        event = next(one for one in offer.media[0].payload_types if one.is_telephone_event and one.clock_rate == 48_000)
        assert (both.audio.codec.encoding, both.audio.telephone_event) == ("opus", event.number)
        assert both.audio.codec.fmtp == "minptime=10;useinbandfec=1"
        echo.expect(both.audio.dtls)
        await page.says(f"pc.setRemoteDescription({{type: 'answer', sdp: {json.dumps(str(both.description))}}})")
        assert await echo.news() is News.CONNECTED
        await page.until("heard().then(found => found.packets > 25 && found.energy > 0.001)")
        heard = await first(echo, 50)
        said = spoken(heard)
        assert loudest(said[1600:], 440) > -20  # the oscillator's
        times = [packet.timestamp for packet in heard[5:]]
        assert {(after - before) & 0xFFFFFFFF for before, after in itertools.pairwise(times)} == {960}
