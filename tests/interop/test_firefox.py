"""A browser's leg against Firefox over a network of two: it takes our answers and our offers, and hears what it said."""

import asyncio
import json

import pytest

from media.transport.ice_dtls import News
from sip.sdp.description import Direction
from sip.sdp.offer_answer import answer, audio_offer, read_answer, reoffer
from sip.sdp.parser import parse_sdp
from tests import firefox
from tests.interop.test_chromium import an_echo, answered_by, hears_its_echo, hears_more
from tests.namespace import namespace

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PAGE = """(async () => {
  window.speech = await navigator.mediaDevices.getUserMedia({audio: true});  // a tone, by its preferences
  window.connection = () => {
    window.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
    pc.ontrack = event => {
      window.streams = event.streams.length;
      window.loudspeaker = new Audio();  // without one nothing is decoded
      loudspeaker.srcObject = event.streams[0];
      loudspeaker.play();
    };
    pc.addTrack(speech.getAudioTracks()[0], speech);
  };
  window.offer = async options => {
    await pc.setLocalDescription(await pc.createOffer(options));
    return pc.localDescription.sdp;
  };
  window.heard = async () => {
    for (const report of (await pc.getStats()).values())
      if (report.type === "inbound-rtp") return {packets: report.packetsReceived, energy: report.totalAudioEnergy};
    return {packets: 0, energy: 0};
  };
})()"""


async def takes(page, description):
    await page.says(f"pc.setRemoteDescription({{type: 'answer', sdp: {json.dumps(str(description))}}})")


async def test_firefox_calls_restarts_says_goodbye_is_called_and_held(tmp_path):
    async with namespace() as network, firefox.page(network, tmp_path) as page:
        await page.says(PAGE)
        async with an_echo(network.here) as echo:
            await page.says("connection()")
            await page.says("void pc.addTransceiver('video')")  # is refused, in one BUNDLE with the audio
            both = answer(parse_sdp(await page.says("offer()")), echo.local, session_id=1)
            echo.expect(both.audio.dtls)
            await takes(page, both.description)
            assert [media.port != 0 for media in both.description.media] == [True, False]
            assert await echo.news() is News.CONNECTED
            await hears_its_echo(page, echo)
            assert echo.transport.rejected == 0

            # The network was another for a moment: ICE anew, under the same keys.
            again = answer(parse_sdp(await page.says("offer({iceRestart: true})")), echo.renewed(), session_id=1, previous=both.description)
            before, now = both.audio.dtls.peer, again.audio.dtls.peer
            assert (now.restarts_ice(before), now.is_same_association(before)) == (True, True)
            echo.expect(again.audio.dtls)
            await takes(page, again.description)
            async with asyncio.timeout(20):
                while len(echo.transport.describe()["ice"]["ufrags"]) > 1:
                    await asyncio.sleep(0.01)
            await hears_more(echo)
            await page.says("pc.close()")
            assert await echo.news() is News.CLOSED

        async with an_echo(network.here) as echo:
            await page.says("connection()")
            offer = audio_offer(echo.local, session_id=1)
            audio = read_answer(offer, parse_sdp(await answered_by(page, offer)))
            assert audio.dtls.is_client is False
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
                echo.expect(again.dtls)
            await hears_more(echo)
            assert echo.events.empty()
