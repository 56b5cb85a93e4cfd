"""A process leaves its sockets to a successor, or dies and another binds them: real sockets, and a call that goes on."""

import asyncio
import secrets
import socket

import pytest

from sip.events import IncomingInvite, InfoAnswered, OptionsAnswered, SessionConfirmed, SessionEnded
from sip.flow import Flow
from sip.io import aside, driver
from sip.io.aside import Aside
from sip.io.driver import SipEndpoint
from sip.message import Request
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.io.handshakes import contexts_for
from tests.sip.io.test_driver import Phone, call, open_config

pytestmark = pytest.mark.interop

WAYS = ["udp", "tcp", "tls"]


class House:
    """One process of the exchange at an address."""

    def __init__(self, transport, port=0):
        self.agent = UserAgent(open_config(), lambda: secrets.token_hex(8))
        self.events = []
        self._news = asyncio.Event()
        self.endpoint = SipEndpoint(self.agent, [(transport, "127.0.0.1", port)], self.on_event, tls=contexts_for(transport))

    def on_event(self, event):
        self.events.append(event)
        self._news.set()
        if isinstance(event, IncomingInvite):
            self.agent.accept(event.session, b"v=0\r\n", self.endpoint.now())

    wait = Phone.wait

    @property
    def port(self):
        return self.endpoint.addresses[0][2]

    @property
    def host(self):
        return "127.0.0.1"

    @property
    def uri(self):
        return Uri(scheme="sip", user="house", host="127.0.0.1", port=self.port)

    def notes(self):
        return {one: self.agent.keep_living(one) for one in self.agent._sessions}


@pytest.fixture
async def made():
    everyone = []
    yield everyone
    for one in everyone:
        await one.endpoint.close()


@pytest.mark.parametrize("transport", WAYS)
@pytest.mark.parametrize("who", ["house", "phone"])
async def test_a_call_goes_on_in_the_successor(made, transport, who):
    old, phone = House(transport), await Phone(open_config()).start(transport, "127.0.0.1")
    made += [old, phone]
    await old.endpoint.start()
    port = old.port
    call(phone, old, transport)
    await old.wait(SessionConfirmed)
    [session] = notes = old.notes()
    heard = len(phone.events)
    await old.endpoint.leave()
    assert not old.agent.counters["transport_failed"]
    new = House(transport, port)
    made.append(new)
    await new.endpoint.start(listening=False)
    for one, note in notes.items():
        new.agent.resume(one, note, new.endpoint.now())
    new.endpoint.flush()
    new.endpoint.begin()
    assert phone.events[heard:] == []  # nobody told it anything
    new.agent.info(session, "application/dtmf-relay", b"Signal=1\r\nDuration=100\r\n", new.endpoint.now())
    new.endpoint.flush()
    assert (await new.wait(InfoAnswered)).status == 200
    one, other, ended = (new, phone, session) if who == "house" else (phone, new, "call")
    one.agent.cancel_or_bye(ended, one.endpoint.now())
    one.endpoint.flush()
    assert (await other.wait(SessionEnded)).by == "remote"


@pytest.mark.parametrize("transport", WAYS)
async def test_what_comes_before_reading_begins_is_put_aside_and_taken_in_order(made, transport, monkeypatch):
    monkeypatch.setattr(driver, "BATCH", 16)
    house, phone = House(transport), await Phone(open_config()).start(transport, "127.0.0.1")
    made += [house, phone]
    await house.endpoint.start(listening=False)
    taken = []
    house.endpoint.user_agent.receive = lambda data, _flow, _now: taken.append(int(data.split(b"n=")[1][:2]))
    house.endpoint.user_agent.receive_message = lambda message, _flow, _now: taken.append(int(message.headers.get("Subject")[2:]))
    flow = phone.endpoint.flow_to("127.0.0.1", house.port, transport)
    for number in range(10, 70):
        fields = [("Via", f"SIP/2.0/{transport.upper()} 127.0.0.1;branch=z9hG4bK{number}"), ("Subject", f"n={number}")]
        phone.agent.send(flow, Request.build("OPTIONS", house.uri, fields).to_bytes())
    phone.endpoint.flush()
    async with asyncio.timeout(5):
        while house.endpoint.put_aside < 60:
            await asyncio.sleep(0)
    assert taken == []
    house.endpoint.begin()
    async with asyncio.timeout(5):
        while len(taken) < 60:
            await asyncio.sleep(0)
    assert taken == list(range(10, 70))
    assert house.endpoint.figures()["put_aside_total"] == 60
    assert house.endpoint.figures()["put_aside_dropped_total"] == 0


async def test_sending_works_before_reading_begins(made):
    house, phone = House("udp"), await Phone(open_config()).start("udp", "127.0.0.1")
    made += [house, phone]
    await house.endpoint.start(listening=False)
    house.agent.options("probe", phone.uri, house.endpoint.flow_to(phone.host, phone.port), house.endpoint.now())
    house.endpoint.flush()
    async with asyncio.timeout(5):
        while not house.endpoint.put_aside:
            await asyncio.sleep(0)
    assert house.events == []
    house.endpoint.begin()
    assert (await house.wait(OptionsAnswered)).status == 200


async def test_a_connection_that_is_lost_meanwhile_is_lost_after_what_came_over_it(made):
    house = House("tcp")
    made.append(house)
    await house.endpoint.start(listening=False)
    order = []
    house.endpoint.user_agent.receive_message = lambda message, _flow, _now: order.append(message.method)
    house.endpoint.user_agent.transport_failed = lambda _flow, _now: order.append("lost")
    _, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(Request.build("OPTIONS", house.uri, [("Via", "SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa")]).to_bytes())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(5):
        while house.endpoint.figures()["tcp_connections"] or not house.endpoint.put_aside:
            await asyncio.sleep(0)
    house.endpoint.begin()
    async with asyncio.timeout(5):
        while len(order) < 2:
            await asyncio.sleep(0)
    assert order == ["OPTIONS", "lost"]


def test_there_is_room_for_so_many_and_so_much_and_always_for_news_of_a_lost_connection():
    waiting = Aside()
    assert all(waiting.put(1, lambda: None) for _ in range(aside.MOST))
    assert not waiting.put(1, lambda: None)
    assert waiting.put(0, lambda: None)
    assert len(waiting) == aside.MOST + 1
    large = Aside()
    assert large.put(aside.MOST_OCTETS - 1, lambda: None)
    assert not large.put(2, lambda: None)
    assert large.put(1, lambda: None)
    large.take()
    assert large.put(2, lambda: None)


async def test_what_finds_no_room_is_counted(made, monkeypatch):
    monkeypatch.setattr(aside, "MOST", 3)
    house = House("udp")
    made.append(house)
    await house.endpoint.start(listening=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for _ in range(5):
            one.sendto(b"OPTIONS", ("127.0.0.1", house.port))
        async with asyncio.timeout(5):
            while house.endpoint.put_aside_dropped < 2:
                await asyncio.sleep(0)
    assert house.endpoint.put_aside == 3


@pytest.mark.parametrize("transport", WAYS)
async def test_a_successor_that_comes_too_early_waits_for_the_address(made, transport):
    old = House(transport)
    made.append(old)
    await old.endpoint.start()
    new = House(transport, old.port)
    made.append(new)
    with pytest.raises(OSError, match="in use"):
        await new.endpoint.start()
    new = House(transport, old.port)
    made.append(new)
    starting = asyncio.create_task(new.endpoint.start(bind_within_s=5.0))
    await asyncio.sleep(0)
    await old.endpoint.leave()
    await starting
    assert new.port == old.port


async def test_a_listener_is_bound_again_beside_the_connections_of_the_last(made):
    """The port's connections are in FIN_WAIT and TIME_WAIT still: SO_REUSEADDR on the listener."""
    old = House("tcp")
    made.append(old)
    await old.endpoint.start()
    port = old.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        while not old.endpoint.figures()["tcp_connections"]:
            await asyncio.sleep(0)
    await old.endpoint.leave()
    new = House("tcp", port)
    made.append(new)
    await new.endpoint.start()
    assert await reader.read() == b""  # FIN, no RST
    writer.close()
    await writer.wait_closed()


async def test_who_leaves_sends_what_is_to_be_sent_and_ends_nothing(made):
    old = House("tcp")
    made.append(old)
    await old.endpoint.start()
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        old.agent.send(Flow("tcp", ("127.0.0.1", old.port), server.getsockname()), b"x" * 900_000)
        leaving = asyncio.create_task(old.endpoint.leave())
        async with asyncio.timeout(5):
            peer, _ = await loop.sock_accept(server)
            with peer:
                size = 0
                while octets := await loop.sock_recv(peer, 65536):
                    size += len(octets)
            await leaving
    assert size == 900_000


async def test_a_peer_that_does_not_read_holds_nobody_up(made):
    old = House("tcp")
    made.append(old)
    await old.endpoint.start()
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts nobody
        flow = Flow("tcp", ("127.0.0.1", old.port), server.getsockname())
        transport = old.endpoint.transports.of("tcp")[old.endpoint.addresses[0][1:]]
        async with asyncio.timeout(5):
            while not transport._open or transport._open[flow.remote].is_heard:
                old.agent.send(flow, b"x" * 100_000)
                old.endpoint.flush()
                await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await old.endpoint.leave(within_s=0.05)
        assert old.endpoint.figures()["tcp_connections"] == 0


async def test_who_has_left_hears_nothing_more(made):
    old = House("udp")
    made.append(old)
    await old.endpoint.start()
    old.endpoint.user_agent.receive = lambda *_: pytest.fail("it was read")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"OPTIONS", ("127.0.0.1", old.port))
        await old.endpoint.leave()
        await asyncio.sleep(0)
    assert old.events == []
