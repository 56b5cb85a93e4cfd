"""A browser's leg against aiortc, which nobody here wrote: descriptions, ICE, DTLS and SRTP both ways, and the echo of a tone."""

import asyncio
import contextlib
import fractions

import aioice
import aiortc
import av
import numpy as np
import pytest

from media import tones
from media.codecs import PCMA
from media.transport.ice_dtls import News
from sip.sdp.offer_answer import answer, audio_offer, read_answer
from sip.sdp.parser import parse_sdp
from tests.interop.echo import IDENTITY, Echo

pytestmark = pytest.mark.interop

FREQUENCY = 440


class Tone(aiortc.MediaStreamTrack):
    """20 ms frames of 8 kHz on absolute deadlines."""

    kind = "audio"

    def __init__(self, frequency=FREQUENCY):
        super().__init__()
        self._audio = tones.probe(frequency, 1.0)
        self._sent = 0

    async def recv(self):
        loop = asyncio.get_running_loop()
        if not self._sent:
            self._began = loop.time()
        await asyncio.sleep(max(0.0, self._began + self._sent * 0.02 - loop.time()))
        at = self._sent * 160 % 8000
        frame = av.AudioFrame.from_ndarray(self._audio[at : at + 160].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, self._sent * 160, fractions.Fraction(1, 8000)
        self._sent += 1
        return frame


@contextlib.asynccontextmanager
async def both_ends(monkeypatch, address="127.0.0.1"):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: [address])
    echo, page = Echo(address), aiortc.RTCPeerConnection()
    tracks = asyncio.Queue()
    page.on("track", tracks.put_nowait)
    try:
        yield echo, page, tracks
    finally:
        await page.close()
        echo.close()


async def hears_the_tone(track, frequency=FREQUENCY):
    """Whether what comes is mostly what was sent, at the latest after two seconds."""
    for _ in range(100):
        async with asyncio.timeout(5):
            frame = await track.recv()
        samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0].astype(float)
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        loudest = np.argmax(spectrum) * frame.sample_rate / len(samples)
        if spectrum.max() > 1000 and abs(loudest - frequency) < 50:
            return True
    return False


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_aiortc_offers_is_answered_hears_its_echo_and_says_goodbye(monkeypatch, address):
    async with both_ends(monkeypatch, address) as (echo, page, tracks):
        page.addTrack(Tone())
        await page.setLocalDescription(await page.createOffer())
        both = answer(parse_sdp(page.localDescription.sdp), echo.local, session_id=1)
        assert both.audio.codec.encoding == "PCMA"
        echo.expect(both.audio.dtls)
        await page.setRemoteDescription(aiortc.RTCSessionDescription(str(both.description), "answer"))
        assert await echo.news() is News.CONNECTED
        assert await hears_the_tone(await tracks.get())
        assert np.abs(PCMA.decode(echo.heard[-1].payload)).max() > 1000
        assert echo.transport.rejected == 0
        await page.close()
        assert await echo.news() is News.CLOSED
        with pytest.raises(OSError, match="no keys"):
            echo.transport.send(memoryview(bytearray(180)), echo.transport.peer)


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_we_offer_and_what_comes_before_the_answer_is_held_until_it_is_there(monkeypatch, setup):
    """As a 200 that is slower than checks and ClientHello; and a peer that leaves the beginning to us."""
    async with both_ends(monkeypatch) as (echo, page, tracks):
        offer = audio_offer(echo.local, session_id=1)
        text = str(offer) if setup == "active" else str(offer).replace("setup:actpass", "setup:active")
        await page.setRemoteDescription(aiortc.RTCSessionDescription(text, "offer"))
        page.addTrack(Tone())
        await page.setLocalDescription(await page.createAnswer())
        audio = read_answer(offer, parse_sdp(page.localDescription.sdp))
        assert audio.dtls.is_client is (setup == "passive")
        if setup == "active":
            async with asyncio.timeout(5):
                while page.connectionState != "connected":  # its side is done, ours awaits the fingerprint
                    await asyncio.sleep(0.01)
            assert echo.events.empty()
            assert echo.heard == []
        echo.expect(audio.dtls)
        assert await echo.news() is News.CONNECTED
        assert await hears_the_tone(await tracks.get())


async def test_another_certificate_than_the_described_one_hears_nothing(monkeypatch):
    async with both_ends(monkeypatch) as (echo, page, _):
        page.addTrack(Tone())
        await page.setLocalDescription(await page.createOffer())
        both = answer(parse_sdp(page.localDescription.sdp), echo.local, session_id=1)
        echo.transport.expect([IDENTITY.fingerprint])
        await page.setRemoteDescription(aiortc.RTCSessionDescription(str(both.description), "answer"))
        async with asyncio.timeout(5):
            event = await echo.events.get()
        assert event.news is News.FAILED
        assert "certificate" in event.reason
        assert echo.heard == []
