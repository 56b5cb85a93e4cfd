"""Twenty browsers and twenty phones in one media worker at once, with aiortc for the browsers: each pair hears each other, nobody else."""

import asyncio
import contextlib
import itertools
import threading

import aioice
import aiortc
import numpy as np
import pytest

from media import tones
from media.codecs import CODECS
from media.control import ArrangeAudio, Browser, BrowserChanged, CloseLeg, DescribeLeg, LegClosed, LegOpened, OpenLeg
from media.transport.ice import Credentials
from sip.sdp import webrtc
from sip.sdp.description import PayloadType
from sip.sdp.offer_answer import Capabilities, LocalMedia, answer
from sip.sdp.parser import parse_sdp
from tests.interop.test_aiortc import Tone, hears_the_tone
from tests.media.rig import Rig, level, talk

pytestmark = [pytest.mark.interop, pytest.mark.slow]

CALLS = 20
SPOKEN = ("PCMA", "PCMU")
"""By the browsers in turn; the phones speak PCMA."""
FRAMES = 25


def frequency_of_page(number):
    """Hz; 130 apart, so that the neighbour is not taken for it."""
    return 300 + 130 * number


def frequency_of_phone(number):
    return frequency_of_page((number + CALLS // 2) % CALLS)


class Call:
    """One page, its leg, and the phone it is bridged with."""

    def __init__(self, rig, number):
        self.rig, self.number, self.name = rig, number, f"page {number}"
        self.codec = SPOKEN[number % len(SPOKEN)]
        self.phone = rig.leg()
        self.ice = Credentials(f"ufrag{number:02}", f"passwordof24characters{number:02}")
        self.opened = rig.ask(OpenLeg(request=next(rig.requests), leg=self.name, address="127.0.0.1", ice=self.ice))
        assert isinstance(self.opened, LegOpened)
        rig.order(ArrangeAudio(room=f"call {number}", hears=((self.name, self.phone.name), (self.phone.name, self.name))))
        self.page = aiortc.RTCPeerConnection()
        self.tracks = asyncio.Queue()
        self.page.on("track", self.tracks.put_nowait)
        self.page.addTrack(Tone(frequency_of_page(number)))

    async def begin(self):
        """The page's offer is answered, and its leg described."""
        await self.page.setLocalDescription(await self.page.createOffer())
        ours = webrtc.Ours(self.ice.ufrag, self.ice.pwd, webrtc.Fingerprint(*self.opened.fingerprint.split()))
        local = LocalMedia(self.opened.address, self.opened.rtp_port, self.opened.rtcp_port, dtls=ours)
        codec = CODECS[self.codec]
        only = Capabilities(codecs=(PayloadType(codec.payload_type, self.codec, 8000),))
        both = answer(parse_sdp(self.page.localDescription.sdp), local, session_id=1, capabilities=only)
        audio = both.audio
        self.rig.order(
            DescribeLeg(
                leg=self.name,
                remote_address=audio.remote_address,
                remote_port=audio.remote_port,
                remote_rtcp_port=audio.remote_rtcp_port,
                codec=self.codec,
                payload_type=audio.codec.number,
                telephone_event=audio.telephone_event,
                browser=Browser(fingerprints=tuple(map(str, audio.dtls.peer.fingerprints)), is_client=audio.dtls.is_client),
            )
        )
        await self.page.setRemoteDescription(aiortc.RTCSessionDescription(str(both.description), "answer"))

    async def is_heard_by_page(self):
        return await hears_the_tone(await self.tracks.get(), frequency_of_phone(self.number))


def loudest(phone, packets):
    """Whom a phone hears, by number."""
    audio = phone.audio(packets)
    return int(np.argmax([level(audio, frequency_of_page(number)) for number in range(CALLS)]))


async def test_twenty_pages_and_phones_hear_each_other_and_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    async with contextlib.AsyncExitStack() as stack:
        rig = Rig(tmp_path, pairs=2 * CALLS + 5)
        stack.callback(rig.end)
        stack.callback(rig.clear)
        calls = [Call(rig, number) for number in range(CALLS)]
        for call in calls:
            stack.push_async_callback(call.page.close)
        await asyncio.gather(*(call.begin() for call in calls))
        for call in calls:
            await asyncio.to_thread(rig.wait_for, BrowserChanged, leg=call.name, state="connected")

        is_over = threading.Event()
        speech = {call.phone: tones.probe(frequency_of_phone(call.number), 1.0) for call in calls}

        def speak():
            while not is_over.is_set():
                talk(speech, frames=50)

        speaking = asyncio.create_task(asyncio.to_thread(speak))
        try:
            assert await asyncio.gather(*(call.is_heard_by_page() for call in calls)) == [True] * CALLS
            for call in calls:
                call.phone.drain()
            heard = [await asyncio.to_thread(call.phone.hear, FRAMES) for call in calls]
        finally:
            is_over.set()
            await speaking
        assert [loudest(call.phone, packets) for call, packets in zip(calls, heard, strict=True)] == list(range(CALLS))
        assert {packet.payload_type for packets in heard for packet in packets} == {8}
        for packets in heard:
            assert all((b.sequence_number - a.sequence_number) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))

        rig.order(*(CloseLeg(leg=call.name) for call in calls))
        for call in calls:
            quality = rig.wait_for(LegClosed, leg=call.name).quality
            assert quality.packets_received > FRAMES
            assert quality.packets_sent > FRAMES
            assert quality.packets_lost == 0
        assert rig.status().packets_dropped == 0
