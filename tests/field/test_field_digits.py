"""Keys as devices send them, at the menu and at the other party's end."""

import asyncio
import re

import msgspec
import pytest

from media import tones
from tests.acd.voice import running
from tests.field.cases import story
from tests.field.parties import NO_EVENTS, Far, pressed, talk, until, with_menu

pytestmark = pytest.mark.slow

FORMS = {
    "plain": ("application/dtmf", b"2", "2"),
    "plain, with a line end": ("application/dtmf", b"#\r\n", "#"),
    "relay": ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
    "relay with blanks": ("application/dtmf-relay", b"Signal = 5\r\nDuration = 160\r\n", "5"),
    "the code of *": ("application/dtmf-relay", b"Signal=10\r\nDuration=250\r\n", "*"),
    "the code of #": ("application/dtmf-relay", b"Signal=11\r\nDuration=250\r\n", "#"),
    "* itself": ("application/dtmf-relay", b"Signal=*\r\nDuration=250\r\n", "*"),
    "no duration": ("application/dtmf-relay", b"Signal=3", "3"),
}


def told_cases():
    """INFO of the cases from outside."""
    for name in ("f13-info-application-dtmf", "f13b-info-signal-11"):
        told = story(name)
        if told is not None:
            for step in told["steps"]:
                content_type, body = re.fullmatch(r'INFO Content-Type: (\S+), body "(.*)"', step, re.DOTALL).groups()
                key = re.search(r"takes option (\S)", told["expect"])[1]
                yield pytest.param(content_type, body.encode().decode("unicode_escape").encode(), key, id=name)


async def in_menu(service, **able):
    """A caller in the first menu, as its far end."""
    phone = await service.caller()
    phone.capabilities = msgspec.structs.replace(phone.capabilities, **able)
    far = Far(await phone.call("600"))
    await far.call.answered()
    await until(lambda: len(far.audio_packets()) > 2)
    return far


@pytest.mark.parametrize(("content_type", "body", "key"), [*(pytest.param(*form, id=name) for name, form in FORMS.items()), *told_cases()])
async def test_menu_takes_the_key_of_an_info(tmp_path, content_type, body, key):
    async with running(tmp_path, with_menu(key)) as service:
        far = await in_menu(service)
        assert await far.info(content_type, body) == 200
        assert await far.info("application/dtmf-relay", b"Signal=7\r\nDuration=160\r\n") == 200  # which hangs up in the second menu only
        assert await far.call.ended() == "remote"
    assert pressed(tmp_path) == [key, "7"]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/dtmf-relay", b"Signal=16\r\nDuration=250\r\n", 400),  # hook flash
        ("application/dtmf", b"!", 400),
        ("application/dtmf", b"12345", 400),
        ("application/dtmf-relay", b"\xff\xfe", 400),
        ("application/vnd.nortelnetworks.digits", b"p=Digit-Collection\r\nd=5\r\n", 415),
        ("application/hook-flash", b"flash", 415),
    ],
)
async def test_what_is_not_read_is_refused_and_not_lost_unsaid(tmp_path, content_type, body, status):
    async with running(tmp_path, with_menu("2")) as service:
        far = await in_menu(service)
        assert await far.info(content_type, body) == status
        assert far.call.is_up
    assert pressed(tmp_path) == []


def f14(far, code=2, *, moves=160, begins=None):
    """Four packets of an event, then three end packets whose timestamps move on."""
    begins = far.call.audio._timestamp if begins is None else begins
    for step in range(4):
        far.event(code, begins, 160 * (step + 1), marker=step == 0)
    for step in range(3):
        far.event(code, (begins + moves * step) & 0xFFFFFFFF, 800, end=True)


async def test_end_packets_with_new_timestamps_are_one_press(tmp_path):
    """f14-end-packets-new-timestamp."""
    async with running(tmp_path, with_menu("2")) as service:
        far = await in_menu(service)
        f14(far)
        f14(far, 7, begins=far.call.audio._timestamp + 1600)
        assert await far.call.ended() == "remote"
    assert pressed(tmp_path) == ["2", "7"]


async def test_two_quick_presses_of_one_key_are_two(tmp_path):
    async with running(tmp_path, with_menu("2")) as service:
        far = await in_menu(service)
        await far.call.press("22")
        assert await far.call.ended() == "remote"
    assert pressed(tmp_path) == ["2", "2"]


async def test_a_key_by_event_and_by_info_counts_once(tmp_path):
    async with running(tmp_path, with_menu("2")) as service:
        far = await in_menu(service)
        await asyncio.gather(far.call.press("2"), far.info("application/dtmf-relay", b"Signal=2\r\nDuration=100\r\n"))
        await until(lambda: service.voice.switch.counters["digits_told_twice"] == 1)
        assert far.call.is_up  # a second 2 would have hung up
    assert pressed(tmp_path) == ["2"]


async def test_a_key_by_tone_and_by_info_counts_once(tmp_path):
    async with running(tmp_path, with_menu("2")) as service:
        far = await in_menu(service, **NO_EVENTS)
        far.call.audio.say(tones.dtmf("2", 120))
        assert await far.info("application/dtmf-relay", b"Signal=2\r\nDuration=120\r\n") == 200
        await until(lambda: service.voice.switch.counters["digits_told_twice"] == 1)
        assert far.call.is_up
    assert pressed(tmp_path) == ["2"]


# ------------------------------------------------------------------ between two parties


@pytest.mark.parametrize("back", [False, True], ids=["to the agent", "to the caller"])
@pytest.mark.parametrize("understands", ["event", "info", "tone"])
async def test_info_is_carried_on_in_the_way_the_other_side_understands(tmp_path, understands, back):
    able = {} if understands == "event" else NO_EVENTS
    rule = {"media_info_digits": "never" if understands == "tone" else "allowed"}
    async with talk(tmp_path, caller=able if back else None, agent=None if back else able, **rule) as (_, caller, agent):
        source, sink = (agent, caller) if back else (caller, agent)
        for key in "5#":
            assert await source.info("application/dtmf-relay", f"Signal={key}\r\nDuration=100\r\n".encode()) == 200
        match understands:
            case "event":
                await until(lambda: len(sink.call.digits) >= 2)
            case "info":
                await until(lambda: len(sink.infos) >= 2)
            case "tone":
                await until(lambda: len(sink.tones()) >= 2)
        assert (sink.call.digits, sink.tones(), "".join(one.pressed.key for one in sink.infos)) == {
            "event": ("5#", "", ""),
            "info": ("", "", "5#"),
            "tone": ("", "5#", ""),
        }[understands]


@pytest.mark.parametrize("understands", ["event", "info", "tone"])
async def test_an_event_with_a_tone_beneath_it_and_an_info_is_one_press_at_the_other_end(tmp_path, understands):
    able = {} if understands == "event" else NO_EVENTS
    rule = {"media_info_digits": "never" if understands == "tone" else "allowed"}
    async with talk(tmp_path, agent=able, **rule) as (service, caller, agent):
        audio = caller.call.audio
        audio.is_muted = True  # the clock of the phone stands aside: tone and events are interleaved here, packet by packet
        begins, payloads = audio._timestamp, audio._encoder.encode(tones.dtmf("5", 300))
        for step in range(15):
            caller.event(5, begins, 160 * (step + 1), end=step > 12, marker=step == 0)
            audio._send(audio._audio, audio._audio.codec.number, begins + 160 * step, payloads[160 * step : 160 * step + 160], marker=False)
            await asyncio.sleep(0.02)
            if step == 2:
                assert await caller.info("application/dtmf-relay", b"Signal=5\r\nDuration=300\r\n") == 200
        audio.is_muted = False
        await until(lambda: service.voice.switch.counters["digits_told_twice"] == 1)
        caller.call.start_tone(700, 0.4)
        await agent.call.hears_tone(700)  # whatever was to come before it has come
        assert (agent.call.digits, agent.tones(), "".join(one.pressed.key for one in agent.infos)) == {
            "event": ("5", "", ""),
            "info": ("", "", "5"),
            "tone": ("", "5", ""),
        }[understands]


async def test_end_packets_with_new_timestamps_are_put_right_for_the_other_side(tmp_path):
    async with talk(tmp_path) as (_, caller, agent):
        f14(caller)
        number = agent.call.negotiated.receive_telephone_event
        await until(lambda: sum(packet.payload_type == number for packet in agent.packets) == 7)
        assert len({packet.timestamp for packet in agent.packets if packet.payload_type == number}) == 1
        assert agent.call.digits == "2"


async def test_who_lists_info_and_refuses_keys_by_it_gets_the_tone(tmp_path):
    async with talk(tmp_path, agent=NO_EVENTS) as (_, caller, agent):
        bank = agent.call.phone.bank
        bank.user_agent.config = type(bank.user_agent.config)(
            **{name: getattr(bank.user_agent.config, name) for name in bank.user_agent.config.__struct_fields__}
            | {"info_types": frozenset()}
        )
        await caller.call.press("5")
        await until(lambda: agent.tones() == "5")
        await caller.call.press("6")
        await until(lambda: agent.tones() == "56")
        assert agent.infos == []
