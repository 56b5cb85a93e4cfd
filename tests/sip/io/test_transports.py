"""Transports by name, and flows by id: a third transport is one row, and whoever is behind it is reached over the flow it has opened."""

import asyncio
import secrets

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.errors import LocalMisuse
from sip.events import IncomingInvite, Registered, SessionAccepted, SessionEnded, SessionFailed, Unregistered
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.io.registry import TRANSPORTS
from sip.io.transport import Flows, Kind
from sip.registrar import Registrar
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.io.test_driver import SDP, Phone

pytestmark = pytest.mark.interop

HERE = ("exchange.invalid", 1)
AOR = Uri("sip", user="browser", host="house")


class Pipe:
    """One flow of the transport in memory, opened at its far end."""

    def __init__(self, owner, name):
        self.owner, self.far_end = owner, None
        self.is_open = True
        self.flow = Flow("pipe", HERE, (f"{name}.invalid", 1), id=owner.shell.flows.enter(self))
        self.was_let_in = False

    def write(self, octets):
        self.owner.shell.loop.call_soon(self.far_end, octets)

    def say(self, octets):
        """The far end sends."""
        self.owner.shell.on_datagram(octets, self.flow)

    def break_off(self):
        self.is_open = False
        self.owner.shell.flows.leave(self.flow.id)
        self.owner.shell.on_lost(self.flow)


class Pipes:
    """A transport without any address that could be dialled."""

    dials = False

    def __init__(self, shell, address):
        self.shell, self.address = shell, address
        self.pipes = []

    def connect(self, name):
        self.pipes.append(Pipe(self, name))
        return self.pipes[-1]

    def send(self, _octets, _remote, _flow):
        pytest.fail("nobody can be dialled here")

    def let_in(self, flow):
        for pipe in self.pipes:
            pipe.was_let_in |= pipe.flow.id == flow.id

    def figures(self):
        return {"pipes": len(self.pipes)}

    def stop_reading(self):
        pass

    async def leave(self, within_s):
        pass

    async def close(self):
        pass


async def open_pipes(shell, address):
    return Pipes(shell, address)


WITH_PIPES = {**TRANSPORTS, "pipe": Kind(open_pipes, ("pipes",))}


class Browser:
    """A user agent at the far end of a pipe: its Contact and Via name hosts that do not exist (RFC 7118 §5)."""

    def __init__(self, pipes, name):
        self.loop = asyncio.get_running_loop()
        self.agent = UserAgent(UserAgentConfig(classify=lambda *_: TRUNK), lambda: secrets.token_hex(8))
        self.events = []
        self.open(pipes, name)

    def open(self, pipes, name):
        self.pipe = pipes.connect(name)
        self.pipe.far_end = self.heard
        self.flow = Flow("pipe", (f"{name}.invalid", 1), HERE)

    def heard(self, octets):
        self.agent.receive(octets, self.flow, self.loop.time())
        self.drain()

    def drain(self):
        for event in self.agent.events():
            self.events.append(event)
            if isinstance(event, IncomingInvite):
                self.agent.ring(event.session, self.loop.time())
                self.agent.accept(event.session, SDP, self.loop.time())
        for _, octets in self.agent.datagrams_to_send():
            self.pipe.say(octets)

    def register(self):
        self.agent.register(secrets.token_hex(4), RegistrationPlan(AOR, Uri("sip", host="house"), self.flow), self.loop.time())
        self.drain()


@pytest.fixture
async def house():
    """An exchange that listens on UDP and on pipes, and its registrar."""
    registrar = Registrar(lambda uri, _who: f"{uri.user}@{uri.host}")
    phone = Phone(UserAgentConfig(classify=lambda *_: TRUNK, registrar=registrar), answers=False)
    phone.registrar = registrar
    phone.endpoint = SipEndpoint(phone.agent, [("udp", "127.0.0.1", 0), ("pipe", *HERE)], phone.on_event, transports=WITH_PIPES)
    await phone.endpoint.start()
    [phone.pipes] = phone.endpoint.transports.of("pipe").values()
    yield phone
    await phone.endpoint.close()


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


async def reached(browser, kind):
    async with asyncio.timeout(5):
        while not (found := [event for event in browser.events if isinstance(event, kind)]):
            await asyncio.sleep(0)
    return found[0]


async def test_a_phone_without_an_address_registers_is_called_and_is_hung_up_over_its_flow(house):
    browser = Browser(house.pipes, "df7jal23ls0d")
    browser.register()
    registered = await house.wait(Registered)
    assert registered.flow.id == browser.pipe.flow.id
    assert browser.pipe.was_let_in
    [binding] = house.registrar.lookup("browser@house", house.endpoint.now())
    assert binding.contact.host == "df7jal23ls0d.invalid"

    call(house, binding)
    accepted = await house.wait(SessionAccepted)
    assert accepted.response.headers.get("Contact").startswith("<sip:fernamt@df7jal23ls0d.invalid:1;transport=pipe>")
    assert (await reached(browser, IncomingInvite)).request.headers.get("Via").startswith("SIP/2.0/PIPE exchange.invalid:1;")
    house.agent.cancel_or_bye("call", house.endpoint.now())
    house.endpoint.flush()
    ended = await reached(browser, SessionEnded)
    assert (ended.by, house.endpoint.failures, house.endpoint.figures()["pipes"]) == ("remote", 0, 1)


async def test_the_far_end_hangs_up_over_its_flow_too(house):
    browser = Browser(house.pipes, "one")
    browser.register()
    await house.wait(Registered)
    [binding] = house.registrar.lookup("browser@house", house.endpoint.now())
    call(house, binding)
    await house.wait(SessionAccepted)
    offered = await reached(browser, IncomingInvite)
    browser.agent.cancel_or_bye(offered.session, browser.loop.time())
    browser.drain()
    assert (await house.wait(SessionEnded)).by == "remote"


async def test_each_of_two_phones_is_reached_over_its_own_flow(house):
    browsers = [Browser(house.pipes, name) for name in ("one", "two")]
    for browser in browsers:
        browser.register()
    bound = {one.contact.host: one for one in house.registrar.lookup("browser@house", house.endpoint.now())}
    call(house, bound["two.invalid"])
    await house.wait(SessionAccepted)
    assert [sum(isinstance(event, IncomingInvite) for event in browser.events) for browser in browsers] == [0, 1]


async def test_a_flow_that_is_gone_takes_its_registration_with_it_and_a_call_there_fails_at_once(house):
    browser = Browser(house.pipes, "one")
    browser.register()
    await house.wait(Registered)
    [binding] = house.registrar.lookup("browser@house", house.endpoint.now())
    browser.pipe.break_off()
    assert (await house.wait(Unregistered)).why == "removed"
    assert len(house.endpoint.flows) == 0
    call(house, binding)
    assert (await house.wait(SessionFailed)).status == 503


async def test_a_call_goes_on_over_the_flow_that_the_phone_has_registered_anew(house):
    browser = Browser(house.pipes, "one")
    browser.register()
    await house.wait(Registered)
    [binding] = house.registrar.lookup("browser@house", house.endpoint.now())
    call(house, binding)
    await house.wait(SessionAccepted)
    browser.pipe.break_off()
    browser.open(house.pipes, "one")  # the same names, over another flow
    browser.register()
    house.agent.cancel_or_bye("call", house.endpoint.now())
    house.endpoint.flush()
    assert (await reached(browser, SessionEnded)).by == "remote"


async def test_a_connection_taken_over_tcp_has_an_id_and_one_opened_from_here_has_none():
    registrar = Registrar(lambda uri, _who: f"{uri.user}@{uri.host}")
    exchange = await Phone(UserAgentConfig(classify=lambda *_: TRUNK, registrar=registrar)).start("tcp", "127.0.0.1")
    phone = await Phone(UserAgentConfig(classify=lambda *_: TRUNK)).start("tcp", "127.0.0.1")
    try:
        way = phone.endpoint.flow_to(exchange.host, exchange.port, "tcp")
        plan = RegistrationPlan(Uri("sip", user="anna", host="house"), Uri("sip", host=exchange.host), way)
        phone.agent.register("own", plan, phone.endpoint.now())
        phone.endpoint.flush()
        registered = await exchange.wait(Registered)
        assert exchange.endpoint.flows.find(registered.flow.id).flow == registered.flow
        assert (len(exchange.endpoint.flows), len(phone.endpoint.flows)) == (1, 0)
        # A flow of that id is taken whatever the address says of it; one that is gone is dialled by its address, as ever.
        elsewhere = Flow("tcp", registered.flow.local, ("127.0.0.1", 9), id=registered.flow.id)
        gone = Flow("tcp", registered.flow.local, (phone.host, phone.port), id="gone")
        for session, flow in (("by-id", elsewhere), ("by-address", gone)):
            exchange.agent.invite(
                session=session,
                target=registered.contact,
                flow=flow,
                from_=NameAddr(exchange.uri),
                to=NameAddr(phone.uri),
                sdp=SDP,
                now=exchange.endpoint.now(),
            )
            exchange.endpoint.flush()
            async with asyncio.timeout(5):
                while session not in {event.session for event in exchange.events if isinstance(event, SessionAccepted)}:
                    await asyncio.sleep(0.01)
        offered = [event for event in phone.events if isinstance(event, IncomingInvite)]
        assert [event.flow.id == "" for event in offered] == [True, False]
    finally:
        await phone.endpoint.close()
        await exchange.endpoint.close()
    async with asyncio.timeout(5):
        while len(exchange.endpoint.flows):
            await asyncio.sleep(0)


async def test_a_transport_that_does_not_stand_in_the_registry_is_our_own_mistake():
    listen = [("udp", "127.0.0.1", 0), ("pipe", *HERE)]
    endpoint = SipEndpoint(UserAgent(UserAgentConfig(), lambda: "x" * 16), listen, lambda _event: None)
    with pytest.raises(LocalMisuse, match="pipe"):
        await endpoint.start()
    [udp] = endpoint.transports.of("udp").values()
    assert udp._socket.fileno() < 0  # nothing stays open


def test_flows_are_found_by_their_id_while_they_are_open():
    names = iter(["a", "b"])
    flows = Flows(lambda: next(names))

    class Live:
        is_open = True

    one, two = Live(), Live()
    assert (flows.enter(one), flows.enter(two)) == ("a", "b")
    two.is_open = False
    assert (flows.find("a"), flows.find("b"), flows.find(""), len(flows)) == (one, None, None, 2)
    flows.leave("a")
    flows.leave("a")
    assert flows.find("a") is None
