"""Audio as it comes in the field: who is silent and there, who is gone, packet times, RTCP ports, re-INVITEs that name another port."""

import itertools
import random

import msgspec
import pytest

from acd.core import events as ev
from acd.journal import read
from load.phone_audio import PhoneAudio, probe_tone
from load.phones import PhoneCall
from media.frame import PTIMES_MS
from sip.sdp.description import Attribute, Direction
from sip.sdp.offer_answer import LocalMedia
from tests.acd.voice import TENANT, running
from tests.field.parties import Far, ready, talk, until

pytestmark = pytest.mark.slow
SILENCE_S = 0.3
"""What stands for the usual minute here."""


async def queued(service, **able):
    """A caller who waits and hears music."""
    phone = await service.caller()
    phone.capabilities = msgspec.structs.replace(phone.capabilities, **able)
    far = Far(await phone.call("601"))
    await far.call.answered()
    await until(lambda: len(far.audio_packets()) > 3)
    return far


def asked(service):
    return service.voice.switch.counters["silent_legs_asked"]


async def test_a_muted_caller_stays_in_the_queue_and_hears_the_music(tmp_path):
    """f19-muted-waiting-caller."""
    async with running(tmp_path, media_silence_s=SILENCE_S) as service:
        phone = await service.caller()
        call = await phone.call("601")
        far = Far(call)
        far.mute()  # from before its first packet
        await call.answered()
        await until(lambda: asked(service) >= 3)
        heard = len(far.audio_packets())
        await until(lambda: len(far.audio_packets()) > heard + 10)
        assert call.is_up
        (queue,) = service.voice.live(TENANT).queues
        assert queue.waiting_count == 1
        anna = await ready(service, "anna")
        offered = await anna.incoming()
        await offered.answer()
        offered.start_tone(900, 0.4)
        await call.hears_tone(900)


async def test_two_muted_parties_who_answer_are_not_cut(tmp_path):
    async with talk(tmp_path, media_silence_s=SILENCE_S) as (service, caller, agent):
        caller.mute()
        agent.mute()
        await until(lambda: asked(service) >= 4)
        assert caller.call.is_up
        assert agent.call.is_up


async def test_a_party_that_reports_is_not_even_asked(tmp_path):
    """It answers every sender report, and says nothing else."""
    async with talk(tmp_path, media_silence_s=6.0) as (service, caller, _):
        caller.call.audio.is_muted = True
        received = caller.call.audio.rtcp_received
        await until(lambda: caller.call.audio.rtcp_received > received + 1, within_s=20)
        assert asked(service) == 0


async def test_a_party_that_lost_its_dialog_ends_the_talk_and_the_record_says_why(tmp_path):
    async with talk(tmp_path, media_silence_s=SILENCE_S) as (service, caller, agent):
        caller.call.phone.refuses_changes_with = 481
        caller.mute()
        assert await agent.call.ended() == "remote"
        await service.cdrs()
    assert "media_silent" in {one.cause for entry in read(tmp_path / "journal") for one in entry.events if isinstance(one, ev.LegCleared)}


async def test_a_party_that_refuses_every_change_is_there(tmp_path):
    async with talk(tmp_path, media_silence_s=SILENCE_S) as (service, caller, agent):
        caller.call.phone.refuses_changes_with = 488
        caller.mute()
        await until(lambda: asked(service) >= 2)
        assert caller.call.is_up
        assert agent.call.is_up


# ------------------------------------------------------------------ packet times


def lengths(packets):
    return {len(packet.payload) // 8 for packet in packets}


@pytest.mark.parametrize("ptime_ms", PTIMES_MS)
async def test_music_comes_in_packets_of_the_length_that_was_asked_for(tmp_path, ptime_ms):
    async with running(tmp_path) as service:
        far = await queued(service, ptime_ms=ptime_ms)
        await until(lambda: len(far.audio_packets()) >= 12)
        packets = far.audio_packets()
        assert lengths(packets) == {ptime_ms}
        assert {later.timestamp - earlier.timestamp & 0xFFFFFFFF for earlier, later in itertools.pairwise(packets)} == {ptime_ms * 8}
        assert {later.sequence_number - earlier.sequence_number & 0xFFFF for earlier, later in itertools.pairwise(packets)} == {1}


def describing(call, *attributes):
    """The phone writes these attributes into its next descriptions, in place of those of the same names."""
    names = {one.name for one in attributes}
    make = call._offer

    def offer():
        made = make()
        audio = made.media[0]
        kept = tuple(one for one in audio.attributes if one.name not in names)
        return msgspec.structs.replace(made, media=(msgspec.structs.replace(audio, attributes=(*kept, *attributes)),))

    call._offer = offer


async def calls_with(service, monkeypatch, *attributes, number="601"):
    """A caller whose offer has these attributes."""
    init = PhoneCall.__init__

    def made(self, *args, **named):
        init(self, *args, **named)
        describing(self, *attributes)

    phone = await service.caller()
    with monkeypatch.context() as patch:
        patch.setattr(PhoneCall, "__init__", made)
        far = Far(await phone.call(number))
    await far.call.answered()
    return far


@pytest.mark.parametrize(
    ("ptime", "maxptime", "sent"), [("20", "10", 10), ("60", "40", 40), ("25", "200", 20), ("5", "5", 10), ("200", "200", 60)]
)
async def test_a_packet_time_is_within_what_the_receiver_takes_and_one_of_the_usual_ones(tmp_path, monkeypatch, ptime, maxptime, sent):
    async with running(tmp_path) as service:
        far = await calls_with(service, monkeypatch, Attribute("ptime", ptime), Attribute("maxptime", maxptime))
        await until(lambda: len(far.audio_packets()) >= 4)
        assert lengths(far.audio_packets()) == {sent}


@pytest.mark.parametrize("ptime_ms", [10, 30, 60])
async def test_what_is_relayed_has_the_receivers_packet_time_and_not_a_sample_is_lost(tmp_path, ptime_ms):
    async with talk(tmp_path, caller={"ptime_ms": ptime_ms}) as (_, caller, agent):
        before = len(caller.packets)
        agent.call.start_tone(440, 0.6)
        await caller.call.hears_tone(440, 5)
        packets = [packet for packet in caller.packets[before + 2 :] if packet.payload_type == caller.call.negotiated.codec.number]
        assert lengths(packets) == {ptime_ms}
        assert {later.timestamp - earlier.timestamp & 0xFFFFFFFF for earlier, later in itertools.pairwise(packets)} == {ptime_ms * 8}
        assert lengths(agent.audio_packets()) == {20}  # which it asked for, and gets
        assert caller.call.audio.lost == 0


# ------------------------------------------------------------------ RTCP ports


async def test_reports_go_to_their_own_port_although_the_offer_had_rtcp_mux(tmp_path, monkeypatch):
    async with running(tmp_path) as service:
        far = await calls_with(service, monkeypatch, Attribute("rtcp-mux"))
        await until(lambda: far.call.audio.rtcp_received > 0)
        assert far.call.audio.malformed == 0
        assert far.foreign == []


async def test_reports_go_to_the_port_of_the_rtcp_attribute(tmp_path):
    async with running(tmp_path) as service:
        phone = await service.caller()
        other = PhoneAudio("127.0.0.1", random.Random(1))
        phone_call = await phone.call("601")
        await phone_call.answered()
        rtcp_port = other._rtcp.getsockname()[1]
        phone_call.audio.local = LocalMedia("127.0.0.1", phone_call.audio.local.port, rtcp_port)
        await phone_call._modify(Direction.SENDRECV, 5)
        phone_call.audio._report = lambda *_: None
        await until(lambda: other.rtcp_received > 0, within_s=20)
        other.close()


# ------------------------------------------------------------------ another port


async def test_a_reinvite_that_names_another_port_is_followed_while_the_old_one_goes_on(tmp_path):
    async with talk(tmp_path) as (_, caller, agent):
        old = caller.call.audio
        new = caller.call.audio = PhoneAudio("127.0.0.1", random.Random(2))
        await caller.call._modify(Direction.SENDRECV, 5)
        new.is_muted = True  # it listens there, and still sends from where it was
        agent.call.start_tone(440, 1.0)
        await new.wait_for_tone(440, 5)
        old.say(probe_tone(1000, 0.5))
        await agent.call.hears_tone(1000)  # and is heard
        old.close()
