"""Addresses that tenants and callers name, against the operator's rule, on real sockets: a whole service with the product's defaults."""

import asyncio
import contextlib
import logging
import socket
from itertools import count

import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from acd.networks import EVERYTHING, LOOPBACK
from acd.switch.lines import Lines
from load.phone_audio import PhoneAudio
from load.phones import PhoneCall
from media.rtp.packet import RtpPacket
from sip.sdp.offer_answer import LocalMedia, audio_offer
from tests.acd.carrier import carrier_at
from tests.acd.test_tenants_at_one_door import named, other
from tests.acd.test_trunks import OUTSIDE, callers, house, line, registration, state_of, trunk, until
from tests.acd.test_voice import ready
from tests.acd.voice import TENANT, free_port, running

pytestmark = pytest.mark.slow
DENIED = "not allowed by the operator"
ELSEWHERE = "127.0.0.9"


def denied(service) -> float:
    return service.voice.figures()["fernamt_switch_requests_denied_total"]


@contextlib.contextmanager
def listening(address: str, port: int = 0):
    """Somebody who is there, and must hear nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((address, port))
        one.setblocking(False)
        yield one
        with pytest.raises(BlockingIOError):
            one.recv(1)


@pytest.fixture
def stands_for(monkeypatch):
    """What names mean, by the name server of the test."""
    known: dict[str, str] = {}

    async def getaddrinfo(_loop, host, port, **asked):
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(asked.get("family", 0), asked["type"], 0, "", (known[host], port or 0))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("sip.io.resolver.REMEMBER_S", 0.0)
    return known


@pytest.mark.parametrize("fields", [{"probe_every_s": 0.1}, {"probe_every_s": 0.1, "transport": "tcp"}, {"registration": True}])
async def test_a_trunk_to_ourselves_is_down_with_the_same_words_whether_anybody_is_there_or_not(tmp_path, caplog, fields):
    there, nobody = free_port(), free_port()
    given = [fields | ({"registration": registration(port)} if "registration" in fields else {}) for port in (there, nobody)]
    lines = [line("there", there, **given[0]), line("nobody", nobody, **given[1])]
    with listening("127.0.0.1", there), caplog.at_level(logging.WARNING):
        async with running(tmp_path, house([trunk("there"), trunk("nobody", 1)], lines), reach_allow=EVERYTHING) as service:
            for name in ("there", "nobody"):
                assert (await until(service, name, up=False, detail=DENIED)).detail == DENIED
    told = [record.getMessage() for record in caplog.records if "allows no calls" in record.getMessage()]
    assert told == [
        f"! trunk demo/{name} leads to 127.0.0.1 (127.0.0.1), where the operator allows no calls" for name in ("there", "nobody")
    ]


async def test_a_call_over_a_trunk_to_ourselves_fails_without_a_packet(tmp_path):
    port = free_port()
    with listening("127.0.0.1", port):
        tenant = house([trunk("there"), callers()[0]], [line("there", port, probe_every_s=0), callers()[1]])
        async with running(tmp_path, tenant, reach_allow=EVERYTHING) as service:
            assert not state_of(service, "there").up
            phone = await service.phone("anna")
            await ready(service, "anna")
            call = service.voice.mint_call()
            await service.voice.command(TENANT, inp.Dial(agent=AgentId("anna"), call=call, number=OUTSIDE))
            mine = await phone.incoming()
            await mine.answer()
            await mine.ended()


async def test_a_name_that_comes_to_mean_ourselves_takes_its_line_down_and_says_why(tmp_path, stands_for):
    """DNS rebinding: what the name meant when it was saved is of no interest."""
    port = free_port()
    stands_for["peer.example"] = "127.0.0.1"
    with listening(ELSEWHERE, port):
        peer = line("first", port, peer=f"peer.example:{port}", probe_every_s=0.05)
        async with carrier_at(port), running(tmp_path, house([trunk("first")], [peer]), reach_allow=(*EVERYTHING, "127.0.0.1")) as service:
            await until(service, "first", up=True)
            assert denied(service) == 0
            stands_for["peer.example"] = ELSEWHERE
            assert (await until(service, "first", up=False)).detail == DENIED
            assert denied(service) >= 1
            stands_for["peer.example"] = "127.0.0.1"
            await until(service, "first", up=True)


async def test_a_registrar_whose_name_comes_to_mean_ourselves_is_not_asked(tmp_path, stands_for):
    port = free_port()
    stands_for["registrar.example"] = ELSEWHERE
    with listening(ELSEWHERE, port):
        own = line("own", port, peer=f"registrar.example:{port}", registration=registration(port, registrar=f"registrar.example:{port}"))
        async with running(tmp_path, house([trunk("own")], [own]), reach_allow=EVERYTHING) as service:
            assert (await until(service, "own", up=False, detail=DENIED)).detail == DENIED


async def test_phones_of_this_machine_register_call_and_are_called_though_it_is_not_allowed(tmp_path):
    """Whoever was heard is answered where it was heard."""
    async with running(tmp_path, reach_allow=EVERYTHING) as service:
        phone = await service.phone("anna")
        await ready(service, "anna")
        caller = await service.caller()
        call = await caller.call("601")
        await call.answered()
        mine = await phone.incoming()
        await mine.answer()
        await call.send_tone(440.0, 0.5)
        await mine.hears_tone(440.0)
        await mine.send_tone(620.0, 0.5)
        await call.hears_tone(620.0)
        mine.hang_up()
        await call.ended()
        assert denied(service) == 0
        assert service.voice.figures()["fernamt_switch_audio_addresses_denied_total"] == 0


async def test_audio_goes_to_an_address_of_ours_in_a_description_only_when_audio_came_from_the_caller(tmp_path, monkeypatch):
    def elsewhere(call: PhoneCall):
        return audio_offer(LocalMedia(ELSEWHERE, victim.getsockname()[1]), session_id=7, capabilities=call.phone.capabilities)

    monkeypatch.setattr(PhoneCall, "_offer", elsewhere)
    with listening(ELSEWHERE) as victim:
        async with running(tmp_path, reach_allow=EVERYTHING) as service:
            caller = await service.caller()
            call = await caller.call("600")
            await call.answered()
            await call.send_tone(440.0, 0.3)
            await call.audio.wait_for(800, 5.0)
            assert service.voice.figures()["fernamt_switch_audio_addresses_denied_total"] == 1
            call.hang_up()
            await call.ended()


BEGINS = "! trunk demo/first: sip.example.net has no address: Name or service not known"
IS_OVER = "= trunk demo/first: sip.example.net has an address again"


async def test_name_without_an_address_is_what_the_trunk_says_and_the_log_says_it_once_and_when_it_is_over(
    tmp_path, monkeypatch, stands_for, caplog
):
    port = free_port()
    peer = line("first", port, peer=f"sip.example.net:{port}", probe_every_s=0.05)
    missed, tell, many = count(1), Lines.unresolved, asyncio.Event()

    def unresolved(lines, host, error):
        tell(lines, host, error)
        if next(missed) == 5:
            many.set()

    monkeypatch.setattr(Lines, "unresolved", unresolved)
    with caplog.at_level(logging.INFO):
        async with running(tmp_path, house([trunk("first")], [peer]), reach_allow=(*EVERYTHING, "127.0.0.1")) as service:
            await until(service, "first", up=False, detail="sip.example.net has no address")
            async with asyncio.timeout(5):
                await many.wait()
            async with carrier_at(port):
                stands_for["sip.example.net"] = "127.0.0.1"
                await until(service, "first", up=True)
    assert [record.getMessage() for record in caplog.records if "address" in record.getMessage()] == [BEGINS, IS_OVER]
    assert "gaierror" not in caplog.text


@pytest.mark.usefixtures("stands_for")
async def test_registrar_without_an_address_is_said_in_the_same_words(tmp_path, caplog):
    port = free_port()
    given = registration(port, registrar=f"sip.example.net:{port}")
    peer = line("first", port, peer=f"sip.example.net:{port}", registration=given)
    async with running(tmp_path, house([trunk("first")], [peer]), reach_allow=EVERYTHING) as service:
        await until(service, "first", up=False, detail="sip.example.net has no address")
    assert [record.getMessage() for record in caplog.records if "no address" in record.getMessage()] == [BEGINS]


@pytest.mark.parametrize(
    ("described", "ours", "waits"),
    [
        ("192.0.2.2", ["192.0.2.2"], None),  # a phone on this machine that writes the machine's address in the network
        ("127.0.0.9", [], logging.INFO),
        ("169.254.169.254", [], logging.WARNING),
    ],
)
async def test_address_that_a_phone_on_this_machine_describes_is_used_waited_for_or_warned_of(
    tmp_path, monkeypatch, caplog, described, ours, waits
):
    monkeypatch.setattr("acd.own_addresses.OwnAddresses.__contains__", lambda _, address: str(address) in ours)
    monkeypatch.setattr(
        PhoneCall, "_offer", lambda call: audio_offer(LocalMedia(described, 40_000), session_id=7, capabilities=call.phone.capabilities)
    )
    with caplog.at_level(logging.INFO):
        async with running(tmp_path, reach_allow=EVERYTHING) as service:
            call = await (await service.caller()).call("600")
            await call.answered()
            call.hang_up()
            await call.ended()
            counted = service.voice.figures()["fernamt_switch_audio_addresses_denied_total"]
    told = [(record.levelno, record.getMessage()) for record in caplog.records if "audio begins when" in record.getMessage()]
    assert (counted, [level for level, _ in told]) == ((0, []) if waits is None else (1, [waits]))
    assert all(f"names {described}, which is not sent to unasked; it signals from 127.0.0.1" in text for _, text in told)


async def test_who_sends_nothing_hears_the_call_alone_whoever_sprays_its_port(tmp_path, monkeypatch):
    """The caller's telephone is muted and sends no comfort noise: ten packets from anywhere drew the call to whoever sent them."""
    monkeypatch.setattr(PhoneAudio, "_send", lambda *_, **__: None)
    async with running(tmp_path) as service:
        call = await (await service.caller()).call("600")
        await call.answered()
        with listening("127.0.0.66") as stranger:
            media = call.negotiated
            assert media is not None
            await call.audio.wait_for(800, 5.0)  # it is a call by now
            for number in range(60):
                packet = RtpPacket(media.codec.number, number, number * 160, 0xBAD, b"\xd5" * 160)
                stranger.sendto(bytes(packet), (media.remote_address, media.remote_port))
            await call.audio.wait_for(len(call.heard()) + 4000, 5.0)  # half a second more, after all of them
            call.hang_up()
            await call.ended()


async def test_what_a_name_of_a_trunk_stands_for_is_asked_about_other_tenants_each_time(tmp_path, stands_for):
    """DNS rebinding to another tenant's carrier: it would take our calls for theirs."""
    port = free_port()
    stands_for["peer.example"] = "127.0.0.1"
    theirs = other(named("carl", "carl", domain="other.fernamt"), sources=(f"{ELSEWHERE}/32",))
    with listening(ELSEWHERE, port):
        peer = line("first", port, peer=f"peer.example:{port}", probe_every_s=0.05)
        tenant = house([trunk("first")], [peer])
        async with carrier_at(port), running(tmp_path, tenant, reach_allow=EVERYTHING + LOOPBACK) as service:
            await service.open_tenant(theirs, service.database, tmp_path / "other")
            await until(service, "first", up=True)
            stands_for["peer.example"] = ELSEWHERE
            assert (await until(service, "first", up=False)).detail == DENIED
            phone = await service.phone("anna")
            await ready(service, "anna")
            call = service.voice.mint_call()
            await service.voice.command(TENANT, inp.Dial(agent=AgentId("anna"), call=call, number=OUTSIDE))
            mine = await phone.incoming()
            await mine.answer()
            await mine.ended()
            stands_for["peer.example"] = "127.0.0.1"
            await until(service, "first", up=True)


async def test_a_registrar_whose_name_comes_to_mean_anothers_source_gets_no_password(tmp_path, stands_for):
    port = free_port()
    stands_for["registrar.example"] = ELSEWHERE
    theirs = other(named("carl", "carl", domain="other.fernamt"), sources=(f"{ELSEWHERE}/32",))
    with listening(ELSEWHERE, port):
        tenant = house([], [])
        async with running(tmp_path, tenant, reach_allow=EVERYTHING + LOOPBACK) as service:
            await service.open_tenant(theirs, service.database, tmp_path / "other")
            own = line(
                "own", port, peer=f"registrar.example:{port}", registration=registration(port, registrar=f"registrar.example:{port}")
            )
            await service.voice.configure(house([trunk("own")], [own]))
            assert (await until(service, "own", up=False, detail=DENIED)).detail == DENIED


async def test_with_loopback_listed_the_same_trunk_is_up(tmp_path):
    port = free_port()
    peer = line("first", port, probe_every_s=0.1)
    async with carrier_at(port), running(tmp_path, house([trunk("first")], [peer]), reach_allow=EVERYTHING + LOOPBACK) as service:
        await until(service, "first", up=True)


async def test_a_part_taken_back_from_what_is_allowed_is_denied(tmp_path):
    port = free_port()
    peer = line("first", port, probe_every_s=0.1)
    tenant = house([trunk("first")], [peer])
    async with running(tmp_path, tenant, reach_allow=EVERYTHING + LOOPBACK, reach_deny=("127.0.0.1",)) as service:
        await until(service, "first", up=False, detail=DENIED)
