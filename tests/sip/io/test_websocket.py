"""SIP over WebSocket (RFC 7118) under a server that is not there: framing, refusals, flows that come and go, calls that stay."""

import asyncio

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.dialog import flow_to
from sip.events import (
    IncomingInvite,
    InfoAnswered,
    Registered,
    SessionAccepted,
    SessionConfirmed,
    SessionEnded,
    SessionFailed,
    Unregistered,
)
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.io import websocket
from sip.io.driver import SipEndpoint
from sip.registrar import Registrar
from sip.uri import Uri
from tests.sip.io.pages import CLIENT, SERVER, Page, Wire
from tests.sip.io.test_driver import SDP, Phone

AOR = Uri("sip", user="anna", host="house")
ANNA = "anna@house"
OPTIONS = (
    b"OPTIONS sip:house SIP/2.0\r\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"
    b"From: <sip:anna@house>;tag=1\r\nTo: <sip:house>\r\nCall-ID: c%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
async def house():
    """An exchange that is handed WebSockets, and its registrar."""
    registrar = Registrar(lambda uri, _who: f"{uri.user}@{uri.host}")
    phone = Phone(UserAgentConfig(classify=lambda *_: TRUNK, registrar=registrar), answers=False)
    phone.registrar = registrar
    phone.endpoint = SipEndpoint(phone.agent, [("udp", "127.0.0.1", 0), ("ws", "", 0), ("wss", "", 0)], phone.on_event)
    await phone.endpoint.start()
    phone.wires, phone.pages = [], []

    def open_(scheme="wss", **more):
        [serves] = phone.endpoint.transports.of(scheme).values()
        phone.wires.append(Wire(serves, **more))
        return phone.wires[-1]

    async def page(**more):
        phone.pages.append(Page(AOR, **more))
        phone.pages[-1].sdp = SDP
        return await phone.pages[-1].on(open_())

    phone.open, phone.page = open_, page
    yield phone
    for one in phone.pages:
        one.close()
    await phone.endpoint.close()
    for wire in phone.wires:
        await wire.ended()
    assert (len(phone.endpoint.flows), phone.endpoint.failures) == (0, 0)


def figures(house):
    return {name.removeprefix("websocket_"): value for name, value in house.endpoint.figures().items() if name.startswith("websocket_")}


async def registered(house, page):
    before = sum(isinstance(one, Registered) for one in house.events)
    page.register()
    async with asyncio.timeout(5):
        while sum(isinstance(one, Registered) for one in house.events) == before:
            await asyncio.sleep(0)
    [binding] = house.registrar.lookup(ANNA, house.endpoint.now())
    return binding


def call(house, binding, session="call"):
    house.agent.invite(
        session=session,
        target=binding.contact,
        flow=binding.flow,
        from_=NameAddr(Uri("sip", user="12", host="house")),
        to=NameAddr(AOR),
        sdp=SDP,
        now=house.endpoint.now(),
        account=binding.aor,
    )
    house.endpoint.flush()


def hang_up(house, session="call"):
    house.agent.cancel_or_bye(session, house.endpoint.now())
    house.endpoint.flush()


class TestMessages:
    @pytest.mark.parametrize("as_text", [True, False], ids=["text", "binary"])
    async def test_each_message_is_one_of_sip_and_is_answered_in_text(self, house, as_text):
        wire = await house.open().accepted()
        wire.say(OPTIONS % (1, 1), as_text=as_text)
        answer = await wire.hears()
        assert answer["text"].startswith("SIP/2.0 200 OK\r\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1;received=203.0.113.7\r\n")

    async def test_a_message_needs_no_length(self, house):
        wire = await house.open().accepted()
        wire.say((OPTIONS % (1, 1)).replace(b"Content-Length: 0\r\n", b""))
        assert (await wire.hears())["text"].startswith("SIP/2.0 200 ")

    async def test_what_is_no_text_is_sent_as_octets(self, house):
        page = await house.page()
        house.endpoint.flows.find((await registered(house, page)).flow.id).write(b"\xff")
        page.close()
        assert await page.wire.hears() == {"type": "websocket.send", "bytes": b"\xff"}

    async def test_a_keep_alive_is_answered_and_its_answer_is_not(self, house):
        wire = await house.open().accepted()
        for octets in (b"", b"\r\n", b"\r\n\r\n"):
            wire.say(octets)
        wire.say(OPTIONS % (1, 1))
        assert (await wire.hears())["text"] == "\r\n"  # RFC 5626 §4.4.1
        assert (await wire.hears())["text"].startswith("SIP/2.0 200 ")

    @pytest.mark.parametrize(
        ("octets", "status"),
        [
            ((OPTIONS % (1, 1)).replace(b"Content-Length: 0", b"Content-Length: 12"), "400"),
            ((OPTIONS % (1, 1)).replace(b"CSeq: 1 OPTIONS", b"CSeq: one OPTIONS"), "400"),
            (OPTIONS % (1, 1) + b" " * 70_000, "513"),
        ],
        ids=["half a message", "a header that is none", "too large"],
    )
    async def test_what_cannot_be_read_is_answered_as_over_any_transport_and_the_next_is_heard(self, house, octets, status):
        wire = await house.open().accepted()
        if status == "513":  # its head is not looked at: nobody is answered
            wire.say(octets)
        else:
            wire.say(octets)
            assert (await wire.hears())["text"].startswith(f"SIP/2.0 {status} ")
        wire.say(OPTIONS % (2, 2))
        assert (await wire.hears())["text"].startswith("SIP/2.0 200 ")
        assert house.agent.counters["malformed"] == 1

    @pytest.mark.parametrize("octets", [b"hello", b"\x00" * 100, b"SIP/2.0 200 OK\r\n\r\n"], ids=["words", "zeros", "a stray answer"])
    async def test_what_is_no_request_is_not_answered(self, house, octets):
        wire = await house.open().accepted()
        wire.say(octets)
        wire.say(OPTIONS % (2, 2))
        assert (await wire.hears())["text"].startswith("SIP/2.0 200 ")

    async def test_the_loop_has_its_turn_between_a_thousand_messages(self, house):
        wire = await house.open().accepted()
        for number in range(1000):
            wire.say(OPTIONS % (number, number))
        turns = 0
        async with asyncio.timeout(20):
            while wire.heard.qsize() < 400:  # what is answered of strangers at once
                await asyncio.sleep(0)
                turns += 1
        assert turns > 400 / websocket.BATCH / 2


class TestRefusals:
    async def test_without_the_subprotocol_there_is_no_handshake(self, house):
        wire = house.open(subprotocols=("fernamt.v1",), extensions={"websocket.http.response": {}})
        assert (await wire.hears())["status"] == 400
        await wire.ended()
        plain = house.open(subprotocols=())
        assert (await plain.hears())["type"] == "websocket.close"
        assert figures(house)["connections_refused_total"] == 2

    async def test_beyond_all_places_one_is_told_to_come_later(self, house, monkeypatch):
        monkeypatch.setattr(websocket, "MAX_CONNECTIONS", 1)
        await house.open().accepted()
        assert (await house.open(extensions={"websocket.http.response": {}}).hears())["status"] == 503
        assert figures(house) == {
            "connections": 1,
            "connections_total": 1,
            "connections_refused_total": 1,
            "connections_cut_off_total": 0,
        }

    async def test_a_client_that_leaves_in_the_middle_of_the_handshake_leaves_nothing(self, house):
        gone = house.open()
        gone.is_gone = True
        await gone.ended()
        wire = house.open()
        wire.serving.cancel()
        await asyncio.wait({wire.serving})
        house.wires.remove(wire)
        assert figures(house)["connections"] == 0

    async def test_a_page_that_does_not_read_is_cut_off_and_the_memory_is_kept(self, house, monkeypatch):
        monkeypatch.setattr(websocket, "MAX_UNSENT_OCTETS", 4096)
        page = await house.page()
        await registered(house, page)
        page.wire.reads.clear()
        for _ in range(100):
            page.wire.say(b"\r\n\r\n")
        await page.wire.ended()
        assert (await house.wait(Unregistered)).why == "removed"
        assert figures(house)["connections_cut_off_total"] == 1

    async def test_a_send_that_fails_is_a_flow_that_is_gone(self, house):
        page = await house.page()
        await registered(house, page)
        page.wire.is_gone = True
        page.wire.say(b"\r\n\r\n")
        await page.wire.ended()
        assert (await house.wait(Unregistered)).why == "removed"


class TestFlows:
    async def test_via_and_contact_are_those_of_a_websocket(self, house):
        page = await house.page()
        binding = await registered(house, page)
        assert (binding.flow.transport, binding.flow.local, binding.flow.remote) == ("wss", SERVER, CLIENT)
        assert (binding.contact.host, binding.contact.transport, binding.instance) == (
            page.name,
            "ws",
            f"<urn:uuid:{page.instance}>",
        )
        call(house, binding)
        offered = (await page.has(IncomingInvite)).request
        assert offered.headers.get("Via").startswith("SIP/2.0/WSS 192.0.2.1:8080;rport")  # RFC 7118 §5.2
        assert offered.headers.get("Contact") == "<sip:fernamt@192.0.2.1:8080;transport=ws>"  # §5.4
        await house.wait(SessionAccepted)
        hang_up(house)
        assert (await page.has(SessionEnded)).by == "remote"

    async def test_a_page_without_tls_is_the_same_over_ws(self, house):
        page = Page(AOR)
        page.sdp = SDP
        house.pages.append(await page.on(house.open("ws")))
        binding = await registered(house, page)
        assert (binding.flow.transport, binding.contact.transport) == ("ws", "ws")
        call(house, binding)
        assert (await page.has(IncomingInvite)).request.headers.get("Via").startswith("SIP/2.0/WS 192.0.2.1:8080;rport")

    async def test_pages_behind_a_proxy_that_names_no_port_have_flows_of_their_own(self, house):
        pages = [await Page(AOR, instance=None).on(house.open(client=("203.0.113.7", 0))) for _ in range(3)]
        house.pages += pages
        for page in pages:
            page.register()
        async with asyncio.timeout(5):
            while len(house.registrar.lookup(ANNA, house.endpoint.now())) < 3:
                await asyncio.sleep(0)
        bound = house.registrar.lookup(ANNA, house.endpoint.now())
        assert len({one.flow.way for one in bound}) == 3
        assert {one.flow.remote[0] for one in bound} == {"203.0.113.7"}
        await pages[0].wire.go()
        assert {one.contact.host for one in house.registrar.lookup(ANNA, house.endpoint.now())} == {pages[1].name, pages[2].name}

    async def test_a_server_that_does_not_say_who_is_there_is_borne(self, house):
        wire = await house.open(client=None, server=None).accepted()
        wire.say(OPTIONS % (1, 1))
        assert ";received=nowhere.invalid" in (await wire.hears())["text"]

    async def test_the_name_of_a_page_is_never_asked_for(self, house, monkeypatch):
        asked = []
        monkeypatch.setattr(house.endpoint._resolver, "lookup", lambda *what: asked.append(what))
        page = await house.page()
        binding = await registered(house, page)
        await page.wire.go()
        assert (await house.wait(Unregistered)).why == "removed"
        assert house.registrar.to_ring(ANNA, house.endpoint.now()) == []
        call(house, binding)
        assert (await house.wait(SessionFailed)).status == 503
        house.agent.options("probe", binding.contact, flow_to(binding.contact, Flow("wss", SERVER, CLIENT)), house.endpoint.now())
        house.endpoint.flush()
        assert asked == []

    def test_whatever_a_uri_asks_for_a_page_is_reached_over_its_flow_or_not_at_all(self):
        for transport in ("ws", "wss"):
            base = Flow(transport, SERVER, CLIENT, id="x")
            for uri in ("sip:a@b.invalid", "sip:a@b.invalid;transport=ws", "sip:a@198.51.100.1:5060;transport=udp", "sip:a@198.51.100.1"):
                assert flow_to(Uri.parse(uri), base).transport == transport


class TestReconnecting:
    @pytest.mark.parametrize("instance", ["00000000-0000-1000-8000-000a95a0e128", None], ids=["with an instance", "by its contact alone"])
    async def test_a_call_goes_on_over_the_websocket_that_has_registered_anew(self, house, instance):
        page = await house.page(instance=instance)
        call(house, await registered(house, page))
        await house.wait(SessionAccepted)
        await page.has(SessionConfirmed)
        await page.wire.go()
        assert house.agent.is_alive("call")
        await page.on(house.open(client=("203.0.113.7", 40_001)))
        await registered(house, page)
        hang_up(house)
        assert (await page.has(SessionEnded)).by == "remote"

    async def test_a_websocket_that_dies_after_the_next_has_registered_takes_nothing_with_it(self, house):
        """A page that changes its network is there again before anybody knows that it had gone."""
        page = await house.page()
        call(house, await registered(house, page))
        await house.wait(SessionAccepted)
        await page.has(SessionConfirmed)
        old = page.wire
        await page.on(house.open(client=("198.51.100.1", 50_000)))
        binding = await registered(house, page)
        await old.go()
        assert house.registrar.lookup(ANNA, house.endpoint.now()) == [binding]
        hang_up(house)
        assert (await page.has(SessionEnded)).by == "remote"

    async def test_a_page_that_was_loaded_anew_is_known_by_its_instance(self, house):
        page = await house.page()
        call(house, await registered(house, page))
        await house.wait(SessionAccepted)
        await page.wire.go()
        page.name = "another.invalid"
        await page.on(house.open(client=("203.0.113.7", 40_001)))
        await registered(house, page)
        hang_up(house)
        async with asyncio.timeout(5):
            while not isinstance(house.events[-1], SessionEnded):
                await asyncio.sleep(0)
        assert (await page.has(SessionEnded)).by == "remote"

    async def test_a_hang_up_while_the_page_is_away_reaches_it_when_it_is_back(self, house):
        page = await house.page()
        call(house, await registered(house, page))
        await house.wait(SessionAccepted)
        await page.has(SessionConfirmed)
        await page.wire.go()
        hang_up(house)
        await page.on(house.open(client=("203.0.113.7", 40_001)))
        await registered(house, page)
        assert (await page.has(SessionEnded)).by == "remote"

    async def test_the_page_hangs_up_over_its_new_websocket_before_it_has_registered(self, house):
        page = await house.page()
        call(house, await registered(house, page))
        await house.wait(SessionAccepted)
        offered = await page.has(IncomingInvite)
        await page.wire.go()
        await page.on(house.open(client=("203.0.113.7", 40_001)))
        page.agent.cancel_or_bye(offered.session, page.loop.time())
        page.drain()
        assert (await house.wait(SessionEnded)).by == "remote"
        assert (await page.has(SessionEnded)).by == "local"

    async def test_what_the_page_says_over_its_new_websocket_moves_the_call(self, house):
        page = await house.page()
        call(house, await registered(house, page))
        await house.wait(SessionAccepted)
        offered = await page.has(IncomingInvite)
        await page.has(SessionConfirmed)
        await page.wire.go()
        await page.on(house.open(client=CLIENT))  # of the same addresses, and yet another
        page.agent.info(offered.session, "application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", page.loop.time())
        page.drain()
        assert (await page.has(InfoAnswered)).status == 200
        hang_up(house)
        assert (await page.has(SessionEnded)).by == "remote"

    async def test_two_pages_of_one_person_keep_each_its_calls(self, house):
        one, two = await house.page(instance=None), Page(AOR, instance=None)
        two.sdp = SDP
        house.pages.append(await two.on(house.open(client=("203.0.113.8", 40_000))))
        for page in (one, two):
            page.register()
        async with asyncio.timeout(5):
            while len(house.registrar.lookup(ANNA, house.endpoint.now())) < 2:
                await asyncio.sleep(0)
        bound = {each.contact.host: each for each in house.registrar.lookup(ANNA, house.endpoint.now())}
        for page, session in ((one, "one"), (two, "two")):
            call(house, bound[page.name], session)
            await page.has(SessionConfirmed)
        await one.wire.go()
        hang_up(house, "two")
        assert (await two.has(SessionEnded)).by == "remote"
        assert house.agent.is_alive("one")


class TestTheEnd:
    async def test_whoever_leaves_sends_what_is_unsent_and_tells_nobody_that_a_phone_is_gone(self, house):
        page = await house.page()
        await registered(house, page)
        page.close()
        page.wire.say(OPTIONS % (1, 1))
        while page.wire._to_app.qsize():
            await asyncio.sleep(0)
        await house.endpoint.leave()
        heard = []
        while not page.wire.heard.empty():
            heard.append(page.wire.heard.get_nowait())
        assert [one["type"] for one in heard] == ["websocket.send", "websocket.close"]
        assert heard[-1]["code"] == websocket.SERVICE_RESTART
        assert not [one for one in house.events if isinstance(one, Unregistered)]

    async def test_a_page_that_does_not_read_does_not_hold_us_up(self, house):
        wire = await house.open().accepted()
        wire.reads.clear()
        wire.say(OPTIONS % (1, 1))
        await house.endpoint.leave(within_s=0.05)
        await wire.ended()
        assert wire.heard.empty()

    async def test_a_server_that_closes_first_is_not_heard_as_pages_that_go(self, house):
        page = await house.page()
        await registered(house, page)
        [serves] = house.endpoint.transports.of("wss").values()
        serves.stop_reading()
        await page.wire.go(1012)
        assert not [one for one in house.events if isinstance(one, Unregistered)]
        assert (await house.open(extensions={"websocket.http.response": {}}).hears())["status"] == 503

    async def test_whoever_cancels_closes_by_himself(self, house):
        page = await house.page()
        await registered(house, page)
        page.close()
        page.wire.serving.cancel()
        await asyncio.wait({page.wire.serving})
        house.wires.remove(page.wire)
        assert (await house.wait(Unregistered)).why == "removed"
        assert all(one["type"] == "websocket.send" for one in iter_of(page.wire.heard))


def iter_of(queue):
    while not queue.empty():
        yield queue.get_nowait()
