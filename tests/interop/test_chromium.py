"""A browser's leg against Chromium: it takes our answers and our offers, and hears what it said."""

import asyncio
import contextlib
import json

import pytest

from media.transport.ice_dtls import News
from sip.sdp.description import Direction
from sip.sdp.offer_answer import answer, audio_offer, read_answer, reoffer
from sip.sdp.parser import parse_sdp
from tests import browser
from tests.interop.echo import Echo

pytestmark = pytest.mark.interop

PAGE = """(async () => {
  const context = new AudioContext();
  const oscillator = context.createOscillator();
  const out = context.createMediaStreamDestination();
  oscillator.connect(out);
  oscillator.start();
  await context.resume();
  window.connection = () => {
    window.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
    pc.ontrack = event => {
      window.streams = event.streams.length;
      window.loudspeaker = new Audio();  // without one nothing is decoded
      loudspeaker.srcObject = event.streams[0];
      loudspeaker.play();
    };
    pc.addTrack(out.stream.getAudioTracks()[0], out.stream);
  };
  window.heard = async () => {
    for (const report of (await pc.getStats()).values())
      if (report.type === "inbound-rtp") return {packets: report.packetsReceived, energy: report.totalAudioEnergy};
    return {packets: 0, energy: 0};
  };
  return context.state;
})()"""
"""Nobody has touched the page: only by this does audio run at once."""


@contextlib.asynccontextmanager
async def an_echo(address="127.0.0.1"):
    echo = Echo(address)
    try:
        yield echo
    finally:
        echo.close()


async def hears_its_echo(page, echo):
    await page.until("heard().then(found => found.packets > 25 && found.energy > 0.001)")
    assert await page.says("streams") == 1
    assert {len(packet.payload) for packet in echo.heard} == {160}
    assert {packet.extension for packet in echo.heard} == {None}


async def hears_more(echo):
    before = len(echo.heard)
    async with asyncio.timeout(20):
        while len(echo.heard) < before + 10:
            await asyncio.sleep(0.01)


async def answered_by(page, offer):
    return await page.says(
        f"pc.setRemoteDescription({{type: 'offer', sdp: {json.dumps(str(offer))}}}).then(() => pc.createAnswer())"
        ".then(answer => pc.setLocalDescription(answer)).then(() => pc.localDescription.sdp)"
    )


async def test_chromium_calls_restarts_says_goodbye_is_called_and_held(tmp_path):
    async with browser.page("about:blank", tmp_path) as page:
        run = await page.do("Runtime.evaluate", expression=PAGE, awaitPromise=True, userGesture=True, returnByValue=True)
        assert run["result"]["value"] == "running"

        async with an_echo() as echo:
            await page.says("connection()")
            await page.says("void pc.addTransceiver('video')")  # is refused, in one BUNDLE with the audio
            offer = await page.says("pc.createOffer().then(offer => pc.setLocalDescription(offer)).then(() => pc.localDescription.sdp)")
            both = answer(parse_sdp(offer), echo.local, session_id=1)
            echo.expect(both.audio.dtls)
            await page.says(f"pc.setRemoteDescription({{type: 'answer', sdp: {json.dumps(str(both.description))}}})")
            assert [media.port != 0 for media in both.description.media] == [True, False]
            assert await echo.news() is News.CONNECTED
            await hears_its_echo(page, echo)
            assert echo.transport.rejected == 0

            # The network was another for a moment: ICE anew, under the same keys.
            again = await page.says(
                "pc.createOffer({iceRestart: true}).then(offer => pc.setLocalDescription(offer)).then(() => pc.localDescription.sdp)"
            )
            renewed = echo.renewed()
            restarted = answer(parse_sdp(again), renewed, session_id=1, previous=both.description)
            assert restarted.audio.dtls.peer.restarts_ice(both.audio.dtls.peer)
            assert restarted.audio.dtls.peer.is_same_association(both.audio.dtls.peer)
            echo.expect(restarted.audio.dtls)
            await page.says(f"pc.setRemoteDescription({{type: 'answer', sdp: {json.dumps(str(restarted.description))}}})")
            async with asyncio.timeout(20):
                while len(echo.transport.describe()["ice"]["ufrags"]) > 1:
                    await asyncio.sleep(0.01)
            await hears_more(echo)
            await page.says("pc.close()")
            assert await echo.news() is News.CLOSED

        async with an_echo() as echo:
            await page.says("connection()")
            offer = audio_offer(echo.local, session_id=1)
            answered = await answered_by(page, offer)
            audio = read_answer(offer, parse_sdp(answered))
            assert audio.dtls.is_client is False
            await page.until("pc.connectionState === 'connected'")  # its side is done before we know the fingerprint
            assert echo.events.empty()
            echo.expect(audio.dtls)
            assert await echo.news() is News.CONNECTED
            await hears_its_echo(page, echo)

            # Held by us and taken back: the same session, the same keys.
            for direction, theirs in ((Direction.SENDONLY, Direction.RECVONLY), (Direction.SENDRECV, Direction.SENDRECV)):
                offer = reoffer(offer, echo.local, direction=direction)
                described = parse_sdp(await answered_by(page, offer))
                assert described.media[0].direction is theirs
                again = read_answer(offer, described)
                before, now = audio.dtls.peer, again.dtls.peer
                assert (now.restarts_ice(before), now.is_same_association(before), again.dtls.is_client) == (False, True, False)
                assert again.direction is direction
                echo.expect(again.dtls)
            await hears_more(echo)
            assert echo.events.empty()
