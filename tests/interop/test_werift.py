"""SRTP and a browser's leg against werift, which nobody here wrote and which uses none of our libraries: packet by packet."""

import asyncio
import contextlib
import random

import msgspec
import pytest

from media.errors import NotAuthentic
from media.rtp import packet as rtp
from media.transport.ice_dtls import News
from media.transport.keys import LENGTHS, SrtpKeys, Suite
from media.transport.srtp import SrtpProtection
from sip.sdp.offer_answer import answer, audio_offer, read_answer
from sip.sdp.parser import parse_sdp
from sip.sdp.webrtc import Setup
from tests.interop.echo import Echo
from tests.interop.werift import werift

pytestmark = [pytest.mark.interop, pytest.mark.slow]

FRAMES = 50
SSRC = 0xCAFEBABE


def worked(work, packet):
    buffer = bytearray(packet) + bytes(64)
    return bytes(buffer[: work(buffer, len(packet))])


@contextlib.asynccontextmanager
async def both_ends_of(suite):
    """Ours and werift's, under random keys of a fixed seed."""
    draw = random.Random(7)
    ours, theirs = (draw.randbytes(LENGTHS[suite].master) for _ in range(2))
    here = SrtpProtection(SrtpKeys(suite=suite, send=ours, receive=theirs), lambda: 0.0)
    async with werift() as there:
        await there.do("keys", suite=suite, local=theirs.hex(), remote=ours.hex())
        yield here, there


def stream(first):
    """Packets of every length up to a frame of 30 ms, in which some have CSRCs or an extension header."""
    draw = random.Random(8)
    packets = []
    for index in range(FRAMES):
        head = bytearray(rtp.HEADER.pack(0x80, 8, (first + index) & 0xFFFF, index * 160, SSRC))
        if index % 5 == 1:
            head[0] |= 2
            head += draw.randbytes(8)
        if index % 5 == 2:
            head[0] |= 0x10
            head += bytes.fromhex("bede0001") + bytes((0x10, draw.randrange(256), 0, 0))
        packets.append(bytes(head) + draw.randbytes(1 + index * 240 // FRAMES))
    return packets


@pytest.mark.parametrize("suite", Suite)
async def test_each_reads_every_packet_that_the_other_protected_over_the_wrap_of_the_number(suite):
    async with both_ends_of(suite) as (here, there):
        packets = stream(0xFFFF - FRAMES // 2)
        sealed = [worked(here.protect_rtp, one) for one in packets]
        assert await there.each("unprotect_rtp", sealed) == packets
        back = await there.each("protect_rtp", packets)
        assert [worked(here.unprotect_rtp, one) for one in back] == packets
        with pytest.raises(NotAuthentic, match="replay"):
            worked(here.unprotect_rtp, back[0])
        with pytest.raises(RuntimeError):
            await there.each("unprotect_rtp", [sealed[-1][:-1] + bytes((sealed[-1][-1] ^ 1,))])


@pytest.mark.parametrize("suite", Suite)
async def test_each_makes_the_same_octets_of_the_same_packet_under_the_same_key(suite):
    """Protection is deterministic (RFC 3711 §4.1.1, RFC 7714 §8.1): what two implementations make is the same or wrong."""
    key = random.Random(9).randbytes(LENGTHS[suite].master)
    here = SrtpProtection(SrtpKeys(suite=suite, send=key, receive=key), lambda: 0.0)
    report = bytes.fromhex("80c90001") + SSRC.to_bytes(4, "big") + bytes.fromhex("81ca0002cafebabe01026869")
    async with werift() as there:
        await there.do("keys", suite=suite, local=key.hex(), remote=key.hex())
        packets = stream(0xFFFF - FRAMES // 2)
        assert await there.each("protect_rtp", packets) == [worked(here.protect_rtp, one) for one in packets]
        assert await there.each("protect_rtcp", [report] * 3) == [worked(here.protect_rtcp, report) for _ in range(3)]


@pytest.mark.parametrize("suite", Suite)
async def test_each_reads_the_others_reports(suite):
    compounds = [
        bytes.fromhex("80c90001") + SSRC.to_bytes(4, "big"),
        bytes.fromhex("81c8000b") + SSRC.to_bytes(4, "big") + bytes(range(44)),
    ]
    async with both_ends_of(suite) as (here, there):
        assert await there.each("unprotect_rtcp", [worked(here.protect_rtcp, one) for one in compounds]) == compounds
        back = await there.each("protect_rtcp", compounds)
        assert [worked(here.unprotect_rtcp, one) for one in back] == compounds


# ---------------------------------------------------------------------- the whole peer


def speech():
    draw = random.Random(10)
    return [draw.randbytes(160) for _ in range(FRAMES)]


@contextlib.asynccontextmanager
async def a_leg_and_a_peer():
    echo = Echo()
    echo.ssrc = SSRC
    try:
        async with werift() as peer:
            await peer.do("connect", address="127.0.0.1")
            yield echo, peer
    finally:
        echo.close()


def told(description):
    """werift takes no stream whose SSRC nobody named, as browsers do; ours has one where it is needed (RFC 5576 §4.1)."""
    return f"{description}a=ssrc:{SSRC} cname:echo\r\n"


async def says_and_hears(peer, echo):
    """Every packet came here as it was said, and back as it came."""
    before, said = len(echo.heard), speech()
    await peer.do("speak", payloads=[one.hex() for one in said])
    async with asyncio.timeout(10):
        while len(peer.heard) < before + len(said):
            await asyncio.sleep(0.01)
    assert [packet.payload for packet in echo.heard[before:]] == said
    assert peer.heard[before:] == said
    numbers = [packet.sequence_number for packet in echo.heard[before:]]
    assert [(number - numbers[0]) & 0xFFFF for number in numbers] == list(range(FRAMES))
    assert {packet.payload_type for packet in echo.heard} == {8}


async def test_werift_offers_is_answered_hears_each_packet_again_and_restarts_ice():
    async with a_leg_and_a_peer() as (echo, peer):
        both = answer(parse_sdp(await peer.do("offer")), echo.local, session_id=1)
        assert both.audio.codec.encoding == "PCMA"
        echo.expect(both.audio.dtls)
        await peer.do("accept", sdp=told(both.description))
        assert await echo.news() is News.CONNECTED
        await peer.until("connected")
        await says_and_hears(peer, echo)

        offered = parse_sdp(await peer.do("restart"))
        again = answer(offered, echo.renewed(), session_id=1, previous=both.description)
        before, now = both.audio.dtls.peer, again.audio.dtls.peer
        assert (now.restarts_ice(before), now.is_same_association(before)) == (True, True)
        echo.expect(again.audio.dtls)
        await peer.do("accept", sdp=told(again.description))
        await peer.do("check")
        await says_and_hears(peer, echo)
        assert echo.transport.rejected == 0


async def test_we_begin_the_handshake_where_that_is_left_to_us():
    async with a_leg_and_a_peer() as (echo, peer):
        local = msgspec.structs.replace(echo.local, dtls=msgspec.structs.replace(echo.local.dtls, role=Setup.ACTIVE))
        both = answer(parse_sdp(await peer.do("offer")), local, session_id=1)
        assert both.audio.dtls.is_client
        echo.expect(both.audio.dtls)
        await peer.do("accept", sdp=told(both.description))
        assert await echo.news() is News.CONNECTED
        await peer.until("connected")
        await says_and_hears(peer, echo)


async def test_we_offer_werift_answers_and_hears_each_packet_again():
    async with a_leg_and_a_peer() as (echo, peer):
        offer = audio_offer(echo.local, session_id=1)
        audio = read_answer(offer, parse_sdp(await peer.do("answer", sdp=told(offer))))
        assert audio.dtls.is_client is False
        echo.expect(audio.dtls)
        assert await echo.news() is News.CONNECTED
        await peer.until("connected")
        await says_and_hears(peer, echo)


async def test_another_certificate_than_the_described_one_hears_nothing():
    async with a_leg_and_a_peer() as (echo, peer):
        both = answer(parse_sdp(await peer.do("offer")), echo.local, session_id=1)
        echo.transport.expect([echo.transport.fingerprint])
        await peer.do("accept", sdp=told(both.description))
        async with asyncio.timeout(10):
            event = await echo.events.get()
        assert event.news is News.FAILED
        assert "certificate" in event.reason
        assert echo.heard == []
