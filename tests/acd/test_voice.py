"""The voice service with real SIP and real RTP: callers, agents, a carrier; CDRs in a real database."""

import asyncio
import os
import signal
import socket
import time
from decimal import Decimal

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration_changes import AgentPut
from acd.core.engine import UnknownName
from acd.core.events import CallOffered, Decision, LegQuoted, OfferMade
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.core.routing.decision import winner
from acd.directory import device_aor
from acd.errors import JournalDamaged, NoSuchNumber, PriceRefused
from acd.journal import read
from acd.resolve import resolved
from acd.service import ScreenContext, ScreenPop
from acd.switch.channel_costs import with_costs
from acd.switch.phones import _Way
from load.phones import CallFailed, SyntheticPhone
from media import control
from media.client import MediaPlane
from sip.events import Registered
from sip.message import Request, Response
from sip.parser import parse_datagram
from sip.uri import Uri
from tests.acd.voice import TENANT, agent, carrier_phone, free_port, running, setup
from tests.garbage import none_of_ours_left

pytestmark = pytest.mark.slow
ANNA, BEN = AgentId("anna"), AgentId("ben")


async def ready(service, name: str) -> SyntheticPhone:
    phone = await service.phone(name)
    await service.voice.command(TENANT, inp.LogOn(agent=AgentId(name), ready=True))
    return phone


def invite_plainly(address, number: str, written: tuple[bytes, bytes, bytes] | None = None) -> Response:
    """One INVITE from a bare socket; returns the final response, with all its headers.

    Args:
        written: display name and user of From and the number called, octet for octet.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.settimeout(5)
        here = f"127.0.0.1:{wire.getsockname()[1]}"
        sdp = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
        headers = [
            ("Via", f"SIP/2.0/UDP {here};branch=z9hG4bKplain;rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:+498900000@{here}>;tag=1"),
            ("To", f"<sip:{number}@127.0.0.1>"),
            ("Call-ID", f"plain{here}@test"),
            ("CSeq", "1 INVITE"),
            ("Contact", f"<sip:{here}>"),
        ]
        octets = Request.build("INVITE", Uri("sip", number, "127.0.0.1"), headers, sdp, "application/sdp").to_bytes()
        if written is not None:
            octets = octets.replace(b"<sip:+498900000@", written[0] + b"<sip:" + written[1] + b"@")
            octets = octets.replace(f"sip:{number}@".encode(), b"sip:" + written[2] + b"@")
        wire.sendto(octets, address)
        while True:
            response = parse_datagram(wire.recv(65535))
            if response.status >= 200:
                return response


async def test_whatever_a_phone_writes_is_read_back(tmp_path):
    """`running` reads the journal at its end. Octets that are no UTF-8 are read as Latin-1, so no half of a surrogate pair can come in."""
    written = {
        (b'"J\xf6rg" ', b"%2B4989777", b"601"): "J\u00f6rg",
        (b'"\xed\xa0\x80" ', b"unavailable", b"601"): "\u00ed\u00a0\ufffd",  # U+D800 as UTF-8 would have it, which RFC 3629 §3 forbids
        (b'"a\\\x01b" ', b"%00%7F", b"60%001"): "a\ufffdb",
        (b'"x" ', b"9" * 3000, b"601"): "x",
        (b'"' + b"n" * 5000 + b'" ', b"%2B4989777", b"9" * 3000): "n" * 79 + "\u2026",
        (b'"   " ', b"%2B4989777", b"601"): None,
    }
    async with running(tmp_path) as service:
        for one in written:
            assert (await asyncio.to_thread(invite_plainly, service.address, "called", one)).status in {200, 404}
        assert service.voice.switch.counters["sip_events_failed"] == 0
        assert service.voice.switch.counters["facts_refused"] == 0
    arrived = [entry.input for entry in read(tmp_path / "journal") if isinstance(entry.input, inp.CallArrived)]
    assert [one.calling_name for one in arrived] == list(written.values())
    assert [one.calling for one in arrived] == ["+4989777", None, "\ufffd\ufffd", "9" * 39 + "\u2026", "+4989777", "+4989777"]
    assert [one.called for one in arrived] == ["601", "601", "60\ufffd1", "601", "9" * 39 + "\u2026", "601"]


async def test_what_a_phone_calls_itself_is_cut_and_can_be_seen_on_the_board(tmp_path):
    async with running(tmp_path) as service:
        await ready(service, "anna")
        (known,) = service.voice.live(TENANT).registrations
        way = msgspec.json.decode(known.flow, type=_Way)
        event = Registered(
            device_aor(TENANT, "anna"),
            Uri.parse(known.contact),
            way.flow,
            60,
            "Phone\x1b" + "x" * 5000,
            way.call_id,
            way.cseq + 1,
            1.0,
            refreshed=True,
        )
        service.voice.phones._registered(event)
        (shown,) = service.voice.live(TENANT).registrations
        assert shown.user_agent == "Phone\ufffd" + "x" * 193 + "\u2026"


async def test_what_could_not_be_read_again_is_not_decided_on(tmp_path):
    async with running(tmp_path) as service:
        await service.voice.command(TENANT, inp.LogOn(agent=ANNA))
        (event,) = await service.voice.command(TENANT, inp.GoNotReady(agent=ANNA, reason="lunch\ud800"))
        assert event.reason == "lunch\ufffd"
        before = service.voice.live(TENANT)
        service.voice._report(TENANT, inp.TrunkChanged(trunk=TrunkId("carrier"), up="no"))
        assert service.voice.switch.counters["facts_refused"] == 1
        assert service.voice.live(TENANT).trunks == before.trunks
        assert service.voice.figures()["fernamt_switch_facts_refused_total"] == 1


async def ringing(service) -> None:
    """Waits until the exchange knows that a phone rings."""
    async with asyncio.timeout(5):
        while not any(party.state == "alerting" for call in service.voice.live(TENANT).calls for party in call.parties):
            await asyncio.sleep(0.01)


async def test_a_caller_hears_music_then_the_best_skilled_agent_and_the_cdr_is_priced(tmp_path):
    async with running(tmp_path) as service:
        anna, ben = await ready(service, "anna"), await ready(service, "ben")
        caller = await service.caller()
        call = await caller.call("601")
        await call.answered()
        offered = await anna.incoming()
        assert offered.calling == "+498955555"
        await offered.answer()
        await asyncio.gather(call.hears_tone(1000, 5), offered.hears_tone(440, 5), call.send_tone(440, 1.5), offered.send_tone(1000, 1.5))
        call.hang_up()
        await offered.ended()
        (entry,) = await service.cdrs()
        assert entry.cdr.outcome == "answered"
        assert entry.cdr.agent == "anna"
        assert entry.cdr.queue == "support"
        assert entry.cdr.talk_ms > 1000
        assert entry.charge is not None
        assert entry.charge.gross.amount == Decimal(0)
        assert all(leg.quality is not None and leg.quality.mos > 4.0 for leg in entry.cdr.legs if leg.billable_ms)
        assert ben.calls == []
        inbound, to_anna = entry.cdr.legs
        assert offered.request is not None
        assert to_anna.sip_call_id == offered.request.call_id != inbound.sip_call_id
        assert inbound.sip_call_id
        assert (inbound.codec, to_anna.codec) == ("PCMA", "PCMA")
        assert to_anna.alerted_at is not None
        assert (entry.cdr.ended_by, inbound.q850) == ("caller", 16)


async def test_the_debug_state_of_a_tenant_is_its_own(tmp_path):
    async with running(tmp_path) as service:
        call = await (await service.caller()).call("601")
        await call.answered()
        described = service.voice.describe(TENANT)["switch"]
        (leg,) = described["legs"].values()
        assert [one["session"] for one in described["sip"]] == [leg["session"]]
        other = service.voice.switch.describe(TenantId("other"))
        assert (other["legs"], other["recordings"], other["sip"]) == ({}, [], [])
        call.hang_up()


async def test_the_winner_of_an_offer_is_recomputed_from_its_record_alone(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        await ready(service, "ben")
        call = await (await service.caller()).call("601")
        await (await anna.incoming()).answer()
        call.hang_up()
        (entry,) = await service.cdrs()
        (record,) = await service.voice.decisions(TENANT, entry.cdr.id)
        assert winner(msgspec.convert(record["decision"], Decision)) == ("anna",)
        assert [one["outcome"] for one in record["outcomes"]] == ["answered"]


async def test_the_menu_takes_a_digit_while_it_speaks(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("600")
        await call.answered()
        await call.press("1")
        await (await anna.incoming()).answer()
        call.hang_up()
        (entry,) = await service.cdrs()
        assert [segment.kind for segment in entry.cdr.segments if segment.leg.endswith(".0")][-3:] == ["menu", "queue", "talk"]


async def test_a_language_that_nothing_is_spoken_in_is_spoken_to_in_the_tenants(tmp_path, monkeypatch):
    """The key says that the caller speaks Turkish, and there are agents who do; but the announcements are German and English."""
    played, send = [], MediaPlane.send

    def watched(plane, call, order):
        played.extend(order.sounds if isinstance(order, control.Play) else ())
        send(plane, call, order)

    monkeypatch.setattr(MediaPlane, "send", watched)
    menu = conf.Menu(id="main", sounds=("menu",), options={"1": conf.ToAnnouncement(sounds=("closed",))}, languages={"1": "tr"})
    async with running(tmp_path, setup(menus=(menu,), language="en")) as service:
        call = await (await service.caller()).call("600")
        await call.answered()
        await call.press("1")
        await call.ended()
        assert played == ["de/menu", "en/closed"]


async def test_a_caller_who_hangs_up_while_the_agent_rings_is_abandoned_and_the_phone_stops(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await call.answered()
        offered = await anna.incoming()
        offered.ring()
        call.hang_up()
        await offered.ended()
        (entry,) = await service.cdrs()
        assert entry.cdr.outcome == "abandoned"
        live = service.voice.live(TENANT)
        assert not live.calls


async def test_hold_by_the_callers_phone_plays_music_to_the_agent_and_resume_connects_again(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await call.answered()
        offered = await anna.incoming()
        await offered.answer()
        await call.hold()
        await call.retrieve()
        await asyncio.gather(offered.hears_tone(700, 5), call.send_tone(700, 0.6))
        call.hang_up()
        await offered.ended()
        (entry,) = await service.cdrs()
        assert "hold" in [segment.kind for segment in entry.cdr.segments]


async def test_hold_and_retrieve_by_the_desk(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        offered = await anna.incoming()
        await offered.answer()
        (live,) = service.voice.live(TENANT).calls
        await service.voice.command(TENANT, inp.Hold(agent=ANNA, call=live.id))
        await service.voice.command(TENANT, inp.Retrieve(agent=ANNA, call=live.id))
        await asyncio.gather(call.hears_tone(900, 5), offered.send_tone(900, 0.6))
        await service.voice.command(TENANT, inp.HangUp(agent=ANNA, call=live.id))
        await call.ended()


async def test_answer_at_the_desk_makes_the_ringing_phone_take_the_call(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        offered = await anna.incoming()
        offered.ring()
        await ringing(service)
        await service.voice.command(TENANT, inp.Answer(agent=ANNA))
        await asyncio.gather(call.hears_tone(800, 5), offered.send_tone(800, 0.6))
        call.hang_up()
        await service.cdrs()


async def test_the_screen_pops_for_the_offered_agent_alone_and_before_the_phone_rings(tmp_path):
    async def lookup(_tenant, number):
        await asyncio.sleep(0.03)  # a database takes its time; the phone waits for the pop
        return ScreenContext(contact={"name": f"Customer of {number}"})

    async with running(tmp_path, lookup=lookup) as service:
        anna = await ready(service, "anna")
        await ready(service, "ben")
        pops: dict[str, list[tuple[float, ScreenPop]]] = {"anna": [], "ben": []}

        async def watch(name: str) -> None:
            async for event in service.stream(TENANT, agent=AgentId(name)):
                if isinstance(event.event, ScreenPop):
                    pops[name].append((time.monotonic(), event.event))

        watchers = [asyncio.create_task(watch(name)) for name in pops]
        await asyncio.sleep(0)
        call = await (await service.caller("+4989777")).call("601")
        offered = await anna.incoming()
        rang = time.monotonic()
        await offered.answer()
        call.hang_up()
        await service.cdrs()
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        ((popped, screen),) = pops["anna"]
        assert popped <= rang
        assert screen.contact == {"name": "Customer of +4989777"}
        assert pops["ben"] == []


async def test_a_wrong_password_and_an_unknown_user_are_answered_alike(tmp_path):
    async with running(tmp_path) as service:
        refusals = []
        for user, password in (("anna", "wrong"), ("nobody", "wrong")):
            async with SyntheticPhone(service.address, user=user, password=password) as phone:
                with pytest.raises(Exception) as refused:  # noqa: PT011 - the phone's own exception, compared below
                    await phone.register()
                refusals.append(str(refused.value))
        assert refusals[0] == refusals[1]


async def test_an_unknown_number_is_404(tmp_path):
    async with running(tmp_path) as service:
        call = await (await service.caller()).call("699")
        with pytest.raises(CallFailed) as refused:
            await call.answered()
        assert refused.value.status == 404


async def test_click_to_dial_rings_the_agent_first_and_the_carrier_leg_is_charged(tmp_path):
    carrier_port = free_port()
    async with (
        running(tmp_path, setup(carrier_port)) as service,
        carrier_phone(service, carrier_port) as carrier,
    ):
        anna = await ready(service, "anna")
        dial = inp.Dial(agent=ANNA, call=service.voice.mint_call(), number="0171 1234567")
        await service.voice.command(TENANT, dial)
        mine = await anna.incoming()
        await mine.answer()
        theirs = await carrier.incoming()
        await theirs.answer()
        await asyncio.gather(mine.hears_tone(500, 5), theirs.send_tone(500, 0.6))
        mine.hang_up()
        await theirs.ended()
        (entry,) = await service.cdrs()
        assert entry.cdr.direction == "outbound"
        assert entry.charge is not None
        assert entry.charge.gross.amount > 0
        leg = next(leg for leg in entry.cdr.legs if leg.role == "destination")
        assert leg.quote is not None
        assert leg.number == "+491711234567"


async def test_a_number_without_a_price_is_refused_before_anything_rings(tmp_path):
    async with running(tmp_path) as service:
        await ready(service, "anna")
        with pytest.raises(PriceRefused):
            await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=service.voice.mint_call(), number="0199123456"))
        assert not service.voice.live(TENANT).calls


async def test_a_number_that_nobody_here_has_is_said_to_be_none_whoever_asks(tmp_path):
    async with running(tmp_path) as service:
        await ready(service, "anna")
        for ask in (
            lambda: service.voice.command(TENANT, inp.Dial(agent=ANNA, call=service.voice.mint_call(), number="77")),
            lambda: service.voice.quote(TENANT, "77"),
        ):
            with pytest.raises(NoSuchNumber, match=r"The number 77 does not exist here\."):
                await ask()
        assert not service.voice.live(TENANT).calls


async def test_a_forwarded_call_is_charged_to_the_tenant_that_forwards(tmp_path):
    carrier_port = free_port()
    async with (
        running(tmp_path, setup(carrier_port)) as service,
        carrier_phone(service, carrier_port) as carrier,
    ):
        call = await (await service.caller()).call("602")
        theirs = await carrier.incoming()
        await theirs.answer()
        await call.answered()
        await asyncio.gather(call.hears_tone(600, 5), theirs.send_tone(600, 0.6))
        call.hang_up()
        await theirs.ended()
        (entry,) = await service.cdrs()
        assert entry.charge is not None
        prices = {line.leg: line.amount for line in entry.charge.lines}
        roles = {leg.role: prices[leg.leg] for leg in entry.cdr.legs}
        assert roles["caller"] == 0
        assert roles["forward"] > 0
        assert {leg.payer for leg in entry.cdr.legs} == {TENANT}


async def test_a_changed_configuration_takes_effect_at_the_next_call(tmp_path):
    async with running(tmp_path) as service:
        ben = await ready(service, "ben")
        await ready(service, "anna")
        await service.voice.configure(setup(agents=(agent("anna", "11", skills={"support": 1}), agent("ben", "12", skills={"support": 9}))))
        call = await (await service.caller()).call("601")
        await (await ben.incoming()).answer()
        call.hang_up()
        (entry,) = await service.cdrs()
        assert entry.cdr.agent == "ben"
        with pytest.raises(ValueError, match="unknown queue"):
            await service.voice.configure(setup(queues=()))  # refused whole: the next call still finds the queue
        call = await (await service.caller()).call("601")
        await call.answered()
        call.hang_up()


async def test_a_change_is_journalled_as_a_change_and_a_restart_writes_no_configuration(tmp_path):
    changed = setup(agents=(agent("anna", "21"), agent("ben", "12", skills={"support": 3})))
    async with running(tmp_path) as service:
        await service.voice.configure(setup())  # as it is
        await service.voice.configure(changed)
    async with running(tmp_path, changed) as service:
        assert "Reconfigured" not in service.voice.describe(TENANT)["core"]["dropped"]
        told = with_costs(resolved(setup().configuration, time.time()), service.voice._directory, str)
    heard = [event for entry in read(tmp_path / "journal") for event in entry.events]
    anna = changed.configuration.agents[0]
    assert [event for event in heard if isinstance(event, ev.ConfigurationChanged | ev.ConfigurationAltered)] == [
        ev.ConfigurationChanged(configuration=told),
        ev.ConfigurationAltered(changes=(AgentPut(at=0, value=anna),)),
    ]


async def test_a_device_that_another_tenant_has_refuses_the_change_and_the_next_one_takes_effect(tmp_path):
    """What was refused half-way is made up for: the exchange is told what differs from what it knows, not from what it was last told."""
    async with running(tmp_path) as service:
        other = setup(tenant=TenantId("other"), agents=(agent("otto", "11"),))
        await service.open_tenant(other, service.database, tmp_path / "other")
        taken = setup(agents=(*setup().configuration.agents, agent("otto", "13")))
        with pytest.raises(ValueError, match="device otto: the bare user name is taken"):
            await service.voice.configure(taken)
        await service.voice.configure(setup(agents=(*setup().configuration.agents, agent("carl", "13"))))
        assert [one.id for one in service.voice.live(TENANT).agents] == ["anna", "ben", "carl"]


async def test_changes_and_refusals_leave_nothing_to_the_collector(tmp_path):
    async with running(tmp_path) as service:
        people = setup().configuration.agents

        async def change(extension: str) -> None:
            await service.voice.configure(setup(agents=(*people, agent("carl", extension))))
            await service.voice.configure(setup())
            with pytest.raises(ValueError, match="unknown queue"):
                await service.voice.configure(setup(queues=()))
            with pytest.raises(PriceRefused):
                await service.voice.quote(TENANT, "+8821612345678")

        await change("13")
        with none_of_ours_left():
            for number in range(3):
                await change(f"2{number}")


async def test_state_is_as_the_journal_says_after_a_restart_in_order(tmp_path):
    async with running(tmp_path) as service:
        await ready(service, "anna")
        await service.voice.command(TENANT, inp.LogOn(agent=BEN))
        call = await (await service.caller()).call("601")
        await call.answered()
    async with running(tmp_path) as service:
        live = {one.id: one for one in service.voice.live(TENANT).agents}
        assert live[ANNA].state == "ready"
        assert service.voice.sip.bindings("anna@demo")
        (entry,) = await service.cdrs()
        assert entry.cdr.cause == "shutdown"


async def test_after_a_click_to_dial_outside_the_tenant_opens_again_with_price_and_record(tmp_path):
    """0.1.0 could never open it again: the price told to the agent was declared narrower than what was put in."""
    carrier_port = free_port()
    async with running(tmp_path, setup(carrier_port)) as service, carrier_phone(service, carrier_port) as carrier:
        anna = await ready(service, "anna")
        told = await service.voice.quote(TENANT, "0171 1234567")
        call = service.voice.mint_call()
        stream = service.stream(TENANT)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        (offered, *_) = await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=call, number="0171 1234567"))
        assert (await first).event == offered
        await stream.aclose()
        mine = await anna.incoming()
        await mine.answer()
        await (await carrier.incoming()).answer()
        mine.hang_up()
        (before,) = await service.cdrs()
    assert isinstance(offered, CallOffered)
    assert offered.quote == told
    assert told["bands"]
    assert isinstance(told["bands"], list)
    async with running(tmp_path, setup(carrier_port)) as service:
        (after,) = await service.cdrs()
        assert after == before
        assert after.charge.gross.amount > 0
    entries = list(read(tmp_path / "journal"))
    assert [event for entry in entries for event in entry.events if isinstance(event, CallOffered)] == [offered]
    (quoted,) = [event for entry in entries for event in entry.events if isinstance(event, LegQuoted)]
    assert quoted.quote["per_minute"] == told["per_minute"]


async def test_offers_are_in_the_stream_after_they_are_on_disk(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        stream = service.stream(TENANT)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        call = await (await service.caller()).call("601")
        await anna.incoming()
        event = await first
        seen = [event]
        async with asyncio.timeout(5):
            while not isinstance(seen[-1].event, OfferMade):
                seen.append(await anext(stream))
        await stream.aclose()
        call.hang_up()
        assert [one.seq for one in seen] == sorted(one.seq for one in seen)


@pytest.mark.parametrize(("upload", "admitted"), [(1000, 10), (999, 9)])
async def test_the_channel_that_does_not_fit_is_refused_with_the_figures(tmp_path, upload, admitted):
    """R9: 1,000 kbit/s carry ten channels of 100; 999 carry nine."""
    trunks = (
        conf.Trunk(id=TrunkId("callers"), name="Callers", outbound=False, upload_kbits=upload),
        conf.Trunk(id=TrunkId("carrier"), name="Carrier"),
    )
    async with running(tmp_path, setup(trunks=trunks)) as service:
        caller = await service.caller()
        calls = []
        for _ in range(admitted):
            call = await caller.call("601")
            await call.answered()
            calls.append(call)
        refusal = await asyncio.to_thread(invite_plainly, service.address, "601")
        assert refusal.status == 503
        # RFC 3261 §20.43: 370 "Insufficient bandwidth"; the text holds the figures.
        assert refusal.headers.get("Warning") == f'370 fernamt "trunk callers: {admitted * 100} of {upload} kbit/s reserved, 100 needed"'
        ledger = {line.line: line for line in service.voice.live(TENANT).lines}
        assert ledger["trunk:callers"].reserved_kbits == admitted * 100
        assert ledger["trunk:callers"].upload_kbits == upload
        for call in calls:
            call.hang_up()


async def test_why_a_caller_still_waits_names_what_stands_against_every_agent(tmp_path):
    async with running(tmp_path) as service:
        await service.voice.command(TENANT, inp.LogOn(agent=ANNA))
        call = await (await service.caller()).call("601")
        await call.answered()
        (live,) = service.voice.live(TENANT).calls
        told = service.voice.why_waiting(TENANT, live.id)
        assert told["queue"] == "support"
        assert {name: list(agents) for name, agents in told["removed"].items()} == {"logged_off": ["ben"], "not_ready": ["anna"]}
        call.hang_up()
        await service.cdrs()
        with pytest.raises(UnknownName):
            service.voice.why_waiting(TENANT, live.id)


async def test_a_snapshot_of_another_version_only_costs_time(tmp_path):
    async with running(tmp_path) as service:
        await ready(service, "anna")
    (tmp_path / "journal" / "snapshot").write_bytes(msgspec.msgpack.encode((1, 2.0, b"\x80", b"\x80")))
    async with running(tmp_path) as service:
        live = {one.id: one for one in service.voice.live(TENANT).agents}
        assert live[ANNA].state == "ready"


async def test_decisions_of_an_old_call_are_read_from_the_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.exchange.REMEMBERED_OCTETS", 0)
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await (await anna.incoming()).answer()
        call.hang_up()
        (entry,) = await service.cdrs()
        (record,) = await service.voice.decisions(TENANT, entry.cdr.id)
        assert winner(msgspec.convert(record["decision"], Decision)) == ("anna",)
        assert [one["outcome"] for one in record["outcomes"]] == ["answered"]


async def test_snapshots_are_taken_while_the_service_runs(tmp_path, monkeypatch):
    """After a kill only what came since the last one is folded."""
    monkeypatch.setattr("acd.exchange.SNAPSHOT_EVERY", 5)
    async with running(tmp_path) as service:
        await ready(service, "anna")
        for _ in range(3):
            await service.voice.command(TENANT, inp.GoNotReady(agent=ANNA, reason="break"))
            await service.voice.command(TENANT, inp.GoReady(agent=ANNA))
        assert (tmp_path / "journal" / "snapshot").exists()


async def test_a_tenant_whose_journal_is_damaged_stays_shut_and_says_where(tmp_path):
    async with running(tmp_path) as service:
        await ready(service, "anna")
        await service.voice.close_tenant(TENANT)
        (file,) = (tmp_path / "journal").glob("journal-*.log")
        octets = bytearray(file.read_bytes())
        octets[20] ^= 0xFF
        file.write_bytes(octets)
        (tmp_path / "journal" / "snapshot").unlink()
        with pytest.raises(JournalDamaged, match=file.name):
            await service.open_tenant(setup(), service.database, tmp_path / "journal")
        call = await (await service.caller()).call("601")
        with pytest.raises(CallFailed):
            await call.answered()


async def test_a_colleague_is_shown_by_extension_and_name_whatever_the_phone_says(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        ben = await service.phone("ben")
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("ben")))
        ben.display_name = "The Director"
        call = await ben.call("11")
        offered = await anna.incoming()
        assert offered.calling == "12"
        await offered.answer()
        call.hang_up()
        (entry,) = await service.cdrs()
        assert (entry.cdr.direction, entry.cdr.calling) == ("internal", "12")


async def test_a_disposition_given_in_after_call_work_reaches_the_record_that_is_stored_already(tmp_path):
    after_call_work = (msgspec.structs.replace(setup().configuration.queues[0], after_call_work_s=60.0),)
    async with running(tmp_path, setup(queues=after_call_work)) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await (await anna.incoming()).answer()
        call.hang_up()
        (entry,) = await service.cdrs()
        assert entry.cdr.disposition is None
        await service.voice.command(TENANT, inp.SetDisposition(agent=ANNA, contact=entry.cdr.id, code="sold"))
        async with asyncio.timeout(5):
            while (await service.cdrs())[0].cdr.disposition != "sold":
                await asyncio.sleep(0.05)
        (after,) = await service.cdrs()
        assert after.charge == entry.charge


async def test_media_figures_come_back_when_a_worker_was_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.runtime.WATCH_S", 0.01)
    async with running(tmp_path) as service:

        async def figures() -> None:
            async with asyncio.timeout(10):
                while 'fernamt_media_legs{worker="0"}' not in service.voice.figures():
                    await asyncio.sleep(0.01)

        await figures()
        (pid,) = service.voice._media.worker_pids()
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while service.voice._media.worker_pids() in ([pid], []):
                await asyncio.sleep(0.01)
        service.voice._media_figures = {}
        await figures()


async def test_everything_that_is_asked_of_the_service_travels_as_octets_with_its_answer(tmp_path):
    """With a call up, on a bus that writes: what the service says by itself, and what the client has read."""
    async with running(tmp_path) as service:
        anna = await service.phone("anna")
        await service.voice.command(TENANT, inp.LogOn(agent=ANNA, ready=True))
        caller = await service.caller()
        calling = await caller.call("601")
        talk = await anna.incoming()
        await talk.answer()
        await calling.answered()
        client, voice = service.client, service.voice
        (call,) = (await client.live(TENANT)).calls
        assert {party.agent for party in call.parties} == {None, ANNA}
        assert await client.parts(TENANT) == voice.parts(TENANT) == {call.id: (ANNA,)}
        assert [one["offer"] for one in await client.decisions(TENANT, call.id)] == [f"{call.id}/o1"]
        assert (await client.spending(TENANT)) == voice.spending(TENANT)
        assert (await client.describe(TENANT))["switch"]["legs"].keys() == voice.describe(TENANT)["switch"]["legs"].keys()
        assert (await client.figures()).keys() == voice.figures().keys()
        assert await client.quote(TENANT, "+491711234567") == await voice.quote(TENANT, "+491711234567")
        assert (await client.troubles(), await client.open_contacts(TENANT)) == ({}, 0)
        assert [one.what for one in await client.sightings()] == ["called"]
        assert await client.registered_in("127.0.0.0/8") == {TENANT}
        assert await client.may_reach("127.0.0.1")
        await client.configure(setup())
        with pytest.raises(UnknownName, match="there is no tenant nobody"):
            await client.live(TenantId("nobody"))
        with pytest.raises(ValueError, match="unknown queue"):
            await client.configure(setup(queues=()))
        events = await client.command(TENANT, inp.HangUp(agent=ANNA, call=call.id))
        assert "CallCleared" in {type(event).__name__ for event in events}
        await client.recount(TENANT)
        await client.close_tenant(TENANT)
