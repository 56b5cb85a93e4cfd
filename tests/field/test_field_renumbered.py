"""Devices that answer with payload type numbers of their own, and send by them: what is meant arrives."""

import msgspec
import pytest

from load.phones import PhoneCall
from sip.sdp.description import Attribute
from tests.acd.voice import running
from tests.field.parties import Far, ready, service_connects, until

pytestmark = pytest.mark.slow
THEIRS, OURS = 96, 101


def renumbers(call: PhoneCall, formats: dict[int, int], *, sends_by_its_own: bool = True) -> None:
    """From now on the phone answers with other numbers than it was offered.

    Args:
        formats: offered number -> its own.
        sends_by_its_own: what RFC 3264 §5.1 and §6.1 do not allow; else by those of the offer.
    """
    plainly = call._answer

    def answered(offer):
        agreed = plainly(offer)
        (media,) = agreed.description.media
        numbers = {str(old): str(new) for old, new in formats.items()}

        def renumbered(attribute):
            number, _, rest = (attribute.value or "").partition(" ")
            known = attribute.name in {"rtpmap", "fmtp"} and number in numbers
            return Attribute(attribute.name, f"{numbers[number]} {rest}") if known else attribute

        media = msgspec.structs.replace(
            media, formats=tuple(numbers.get(one, one) for one in media.formats), attributes=tuple(map(renumbered, media.attributes))
        )
        audio = agreed.audio
        own = audio.telephone_event if audio.telephone_event is None else formats.get(audio.telephone_event, audio.telephone_event)
        codec = msgspec.structs.replace(audio.codec, number=formats.get(audio.codec.number, audio.codec.number))
        audio = msgspec.structs.replace(audio, receive_telephone_event=own, receive_payload_type=codec.number)
        if sends_by_its_own:
            audio = msgspec.structs.replace(audio, telephone_event=own, codec=codec)
        call._local = msgspec.structs.replace(agreed.description, media=(media,))
        return msgspec.structs.replace(agreed, description=call._local, audio=audio)

    call._answer = answered


async def connected(service, formats, **habits):
    """A caller and an agent whose phone answers by numbers of its own, both hearing each other."""
    anna = await ready(service, "anna")
    there = Far(await (await service.caller()).call("601"))
    offered = await anna.incoming()
    renumbers(offered, formats, **habits)
    here = Far(offered)
    await offered.answer()
    await there.call.answered()
    await service_connects(service, there.call, here.call)
    return there, here


@pytest.mark.parametrize("sends_by_its_own", [True, False])
async def test_keys_arrive_under_either_number_and_theirs_under_what_was_asked_for(tmp_path, sends_by_its_own):
    async with running(tmp_path) as service:
        caller, agent = await connected(service, {OURS: THEIRS}, sends_by_its_own=sends_by_its_own)
        await agent.call.press("4")
        await until(lambda: caller.call.digits == "4")
        await caller.call.press("7")
        await until(lambda: THEIRS in {packet.payload_type for packet in agent.packets} and agent.call.digits == "7")
        assert OURS not in {packet.payload_type for packet in agent.packets}


async def test_a_codec_under_a_number_of_their_own_is_heard_both_ways(tmp_path):
    async with running(tmp_path) as service:
        caller, agent = await connected(service, {8: 97})
        caller.call.start_tone(700, 0.3)
        await until(lambda: sum(packet.payload_type == 97 for packet in agent.packets) > 10)
        agent.call.start_tone(900, 0.3)
        await caller.call.hears_tone(900)


async def test_a_key_under_the_number_of_audio_stays_audio(tmp_path):
    """0 is PCMU in our offer, whatever the answer says of it: nothing is taken for a key."""
    async with running(tmp_path) as service:
        caller, agent = await connected(service, {OURS: 0})
        await agent.call.press("4")
        agent.call.start_tone(900, 0.3)
        await caller.call.hears_tone(900)
        assert caller.call.digits == ""


async def test_what_is_dropped_for_its_number_can_be_seen(tmp_path):
    async with running(tmp_path) as service:
        _, agent = await connected(service, {OURS: THEIRS})
        audio = agent.call.audio
        for _ in range(5):
            audio._send(audio._audio, 110, audio._timestamp, b"?" * 160, marker=False)
        await until(lambda: service.voice.figures().get('fernamt_media_packets_of_unknown_type_total{worker="0"}') == 5)
