"""Two synthetic phones call each other over loopback: real SIP, real RTP, nothing between them."""

import asyncio
import secrets
import socket

import numpy as np
import pytest

from load.hearing import dominant_hz, has_tone
from load.phones import CallFailed, RegistrationFailed, SyntheticPhone
from media.rtp.rtcp import SenderReport
from media.rtp.rtcp import parse as parse_rtcp
from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, ha1
from sip.io.driver import SipEndpoint
from sip.registrar import Registrar
from sip.user_agent import UserAgent

pytestmark = [pytest.mark.interop, pytest.mark.slow]
NOWHERE = ("127.0.0.1", 9)


@pytest.fixture
async def pair():
    """anna, whose requests go to ben."""
    async with SyntheticPhone(NOWHERE, "ben") as ben, SyntheticPhone(("127.0.0.1", ben.bank.port), "anna") as anna:
        yield anna, ben


async def connected(anna, ben):
    outgoing = await anna.call("ben")
    incoming = await ben.incoming(5)
    await incoming.answer(5)
    await outgoing.answered(5)
    return outgoing, incoming


async def test_each_hears_the_tone_of_the_other(pair):
    outgoing, incoming = await connected(*pair)
    outgoing.start_tone(440, 0.6)
    incoming.start_tone(620, 0.6)
    await asyncio.gather(incoming.hears_tone(440, 5), outgoing.hears_tone(620, 5))
    assert dominant_hz(incoming.heard()) == pytest.approx(440, abs=10)
    assert not has_tone(outgoing.heard(), 440)
    outgoing.hang_up()
    assert await incoming.ended(5) == "remote"
    assert await outgoing.ended(5) == "local"
    assert (outgoing.audio.lost, incoming.audio.lost) == (0, 0)


async def test_recording_is_int16_of_the_length_that_was_sent(pair):
    outgoing, incoming = await connected(*pair)
    start = incoming.audio.position
    await outgoing.send_tone(500, 0.3)
    heard = await incoming.audio.wait_for(2400, 5, since=start)
    assert heard.dtype == np.int16
    assert heard.shape == (2400,)


async def test_keys_pressed_arrive_once_each_and_in_order(pair):
    outgoing, incoming = await connected(*pair)
    await outgoing.press("12#", duration_ms=60)
    async with asyncio.timeout(5):
        while len(incoming.digits) < 3:
            await incoming.audio.wait_for(160, 5)
    assert incoming.digits == "12#"


async def test_hold_silences_the_held_side_and_retrieve_brings_it_back(pair):
    outgoing, incoming = await connected(*pair)
    await outgoing.hold(5)
    assert incoming.is_held_by_peer
    assert not incoming.negotiated.direction.sends
    await outgoing.retrieve(5)
    assert not incoming.is_held_by_peer
    incoming.start_tone(700, 0.5)
    await outgoing.hears_tone(700, 5)


async def test_declined_call_fails_with_its_status(pair):
    anna, ben = pair
    outgoing = await anna.call("ben")
    (await ben.incoming(5)).decline(486)
    with pytest.raises(CallFailed, match="486") as failure:
        await outgoing.answered(5)
    assert failure.value.status == 486
    assert await outgoing.ended(5) == "failed"


async def test_caller_who_hangs_up_while_it_rings_cancels(pair):
    anna, ben = pair
    outgoing = await anna.call("ben")
    incoming = await ben.incoming(5)
    await outgoing.ringing(5)
    outgoing.hang_up()
    await incoming.ended(5)
    assert incoming.answered_at is None
    assert await outgoing.ended(5) in {"local", "failed"}


async def test_auto_answer_takes_the_call_and_numbers_are_shown():
    async with SyntheticPhone(NOWHERE, "ben", auto_answer_s=0.0) as ben, SyntheticPhone(("127.0.0.1", ben.bank.port), "anna") as anna:
        outgoing = await anna.call("ben", calling="+49301234567")
        await outgoing.answered(5)
        assert (await ben.incoming(5)).calling == "+49301234567"


async def test_call_to_a_name_nobody_has_gets_480(pair):
    anna, _ = pair
    outgoing = await anna.call("nobody")
    with pytest.raises(CallFailed, match="480"):
        await outgoing.answered(5)


async def test_codec_is_what_both_have():
    async with SyntheticPhone(NOWHERE, "ben", codecs=("PCMU",)) as ben, SyntheticPhone(("127.0.0.1", ben.bank.port), "anna") as anna:
        outgoing, incoming = await connected(anna, ben)
        assert {call.negotiated.codec.encoding for call in (outgoing, incoming)} == {"PCMU"}


async def test_nothing_in_common_is_488():
    async with (
        SyntheticPhone(NOWHERE, "ben", codecs=("PCMU",), auto_answer_s=0.0) as ben,
        SyntheticPhone(("127.0.0.1", ben.bank.port), "anna", codecs=("PCMA",)) as anna,
    ):
        with pytest.raises(CallFailed) as failure:
            await (await anna.call("ben")).answered(5)
        assert failure.value.status == 488


@pytest.fixture
async def registrar():
    """A registrar that knows anna's password."""
    secret = {("anna", name): ha1("anna", "127.0.0.1", "s3cret", name) for name in ("MD5", "SHA-256")}
    authenticator = Authenticator(
        "127.0.0.1",
        lambda _request, user, _realm, algorithm: Account(user, found) if (found := secret.get((user, algorithm))) else None,
        secrets.token_bytes(16),
    )
    config = UserAgentConfig(authenticator=authenticator, registrar=Registrar(lambda uri, _who: f"{uri.user}@{uri.host}"))
    endpoint = SipEndpoint(UserAgent(config, lambda: secrets.token_hex(8)), [("udp", "127.0.0.1", 0)], lambda _event: None)
    await endpoint.start()
    yield ("127.0.0.1", endpoint.addresses[0][2])
    await endpoint.close()


async def test_phone_registers_with_digest_and_unregisters(registrar):
    async with SyntheticPhone(registrar, "anna", password="s3cret") as phone:
        assert await phone.register(5, expires_s=120) > 0
        await phone.unregister(5)


async def test_wrong_password_is_told(registrar):
    async with SyntheticPhone(registrar, "anna", password="wrong") as phone:
        with pytest.raises(RegistrationFailed) as failure:
            await phone.register(5)
        assert failure.value.status == 401


async def test_sender_report_is_answered_so_that_the_service_learns_the_round_trip(pair):
    outgoing, incoming = await connected(*pair)
    await outgoing.audio.wait_for(800, 5)
    (ssrc,) = incoming.audio.numbers
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", 0))
        service.setblocking(False)
        report = SenderReport(ssrc=ssrc, ntp=0x0123456789ABCDEF, rtp_timestamp=0, packets_sent=1, octets_sent=1)
        service.sendto(bytes(report), ("127.0.0.1", incoming.audio.local.port + 1))
        async with asyncio.timeout(5):
            answer = await asyncio.get_running_loop().sock_recv(service, 2048)
    receiver_report, names = parse_rtcp(answer)
    assert receiver_report.blocks[0].ssrc == ssrc
    assert receiver_report.blocks[0].last_sr == 0x456789AB
    assert receiver_report.blocks[0].cumulative_lost == 0
    assert names.chunks[0][1][0][1] == b"phone@load"
