"""The shell on real loopback sockets: UDP and TCP, IPv4 and IPv6, one process, free ports."""

import asyncio
import itertools
import logging
import secrets
import socket

import pytest

from sip import trace
from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, DigestCredentials, ha1
from sip.events import (
    Event,
    IncomingInvite,
    OptionsAnswered,
    Registered,
    RegistrationUp,
    SessionAccepted,
    SessionConfirmed,
    SessionEnded,
    SessionFailed,
)
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.registrar import Registrar
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.io.handshakes import contexts_for

pytestmark = pytest.mark.interop

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
WAYS = [(transport, host) for host in ("127.0.0.1", "::1") for transport in ("udp", "tcp", "tls")]
CASES = [f"{transport}-{host}" for transport, host in WAYS]


class Phone:
    """An endpoint that keeps its events and lets a test wait for one."""

    def __init__(self, config: UserAgentConfig, answers=True):
        self.agent = UserAgent(config, lambda: secrets.token_hex(8))
        self.events: list[Event] = []
        self.answers = answers
        self._news = asyncio.Event()

    async def start(self, transport, host):
        self.endpoint = SipEndpoint(self.agent, [(transport, host, 0)], self.on_event, tls=contexts_for(transport))
        await self.endpoint.start()
        _, self.host, self.port = self.endpoint.addresses[0]
        return self

    def on_event(self, event):
        self.events.append(event)
        self._news.set()
        if self.answers and isinstance(event, IncomingInvite):
            self.agent.ring(event.session, self.endpoint.now())
            self.agent.accept(event.session, SDP, self.endpoint.now())

    async def wait(self, kind):
        async with asyncio.timeout(5):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._news.clear()
                await self._news.wait()

    @property
    def uri(self):
        return Uri(scheme="sip", user="phone", host=self.host, port=self.port)


def open_config():
    return UserAgentConfig(classify=lambda _request, _flow: TRUNK)


def call(a: Phone, b: Phone, transport: str, session="call"):
    endpoint = a.endpoint
    a.agent.invite(
        session=session,
        target=b.uri.with_param("transport", "tcp") if transport == "tcp" else b.uri,
        flow=endpoint.flow_to(b.host, b.port, transport),
        from_=NameAddr(a.uri),
        to=NameAddr(b.uri),
        sdp=SDP,
        now=endpoint.now(),
    )
    endpoint.flush()


@pytest.fixture
async def phones():
    made: list[Phone] = []

    async def make(transport, host, config=None, **kwargs):
        phone = await Phone(config or open_config(), **kwargs).start(transport, host)
        made.append(phone)
        return phone

    yield make
    for phone in made:
        await phone.endpoint.close()


@pytest.mark.parametrize(("transport", "host"), WAYS, ids=CASES)
@pytest.mark.parametrize("who", ["caller", "callee"])
async def test_a_call_is_set_up_and_hung_up_by_either_side(phones, transport, host, who):
    a, b = await phones(transport, host), await phones(transport, host)
    call(a, b, transport)
    accepted = await a.wait(SessionAccepted)
    assert accepted.sdp == SDP
    incoming = await b.wait(IncomingInvite)
    await b.wait(SessionConfirmed)
    if who == "caller":
        a.agent.cancel_or_bye("call", a.endpoint.now(), reason_header="Q.850;cause=16")
        a.endpoint.flush()
        assert (await b.wait(SessionEnded)).reason_header == "Q.850;cause=16"
        assert (await a.wait(SessionEnded)).by == "local"
    else:
        b.agent.cancel_or_bye(incoming.session, b.endpoint.now())
        b.endpoint.flush()
        assert (await a.wait(SessionEnded)).by == "remote"


@pytest.mark.parametrize(("transport", "host"), WAYS, ids=CASES)
async def test_a_phone_registers_with_digest_and_is_reached_at_its_flow(phones, transport, host):
    def lookup(_request, username, realm, algorithm):
        return Account(f"{username}@{realm}", ha1(username, realm, "geheim", algorithm)) if username == "anna" else None

    registrar = Registrar(lambda uri, who: f"{uri.user}@house" if who and who.startswith(f"{uri.user}@") else None)
    config = UserAgentConfig(authenticator=Authenticator("house", lookup, secrets.token_bytes(32)), registrar=registrar)
    server, phone = await phones(transport, host, config), await phones(transport, host)
    aor = Uri(scheme="sip", user="anna", host=server.host, port=server.port)
    plan = RegistrationPlan(
        aor=aor,
        registrar=aor.replaced(user=None),
        flow=phone.endpoint.flow_to(server.host, server.port, transport),
        credentials=DigestCredentials("anna", "geheim"),
        expires_s=600,
    )
    phone.agent.register("house", plan, phone.endpoint.now())
    phone.endpoint.flush()
    assert (await phone.wait(RegistrationUp)).expires == 600
    registered = await server.wait(Registered)
    assert registered.aor == "anna@house"
    [binding] = registrar.lookup("anna@house", server.endpoint.now())
    server.agent.invite(
        session="to-anna",
        target=binding.contact,
        flow=binding.flow,
        from_=NameAddr(server.uri),
        to=NameAddr(aor),
        sdp=SDP,
        now=server.endpoint.now(),
    )
    server.endpoint.flush()
    await server.wait(SessionAccepted)


async def test_a_refused_tcp_connection_fails_the_call_with_503_at_once(phones):
    a = await phones("tcp", "127.0.0.1")
    gone = await phones("tcp", "127.0.0.1")
    await gone.endpoint.close()
    call(a, gone, "tcp")
    failed = await a.wait(SessionFailed)
    assert failed.status == 503


async def test_a_host_name_is_resolved_by_the_shell(phones):
    a, b = await phones("udp", "127.0.0.1"), await phones("udp", "127.0.0.1")
    b.host = "localhost"
    call(a, b, "udp")
    await a.wait(SessionAccepted)


async def test_a_host_name_that_does_not_exist_fails_the_call_with_503(phones, monkeypatch):
    async def nothing(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nothing)
    a, b = await phones("udp", "127.0.0.1"), await phones("udp", "127.0.0.1")
    b.host = "no-such-host.invalid"
    call(a, b, "udp")
    assert (await a.wait(SessionFailed)).status == 503


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_wildcard_socket_shows_its_peers_a_real_address(phones, transport):
    a, b = await phones(transport, "0.0.0.0"), await phones(transport, "127.0.0.1")
    flow = a.endpoint.flow_to(b.host, b.port, transport)
    assert flow.local[0] == "127.0.0.1"
    a.agent.options("probe", b.uri, flow, a.endpoint.now())
    a.endpoint.flush()
    assert (await a.wait(OptionsAnswered)).status == 200


async def test_our_address_towards_a_name_is_that_of_the_default_route_and_asks_no_name_server(phones, monkeypatch):
    a = await phones("udp", "0.0.0.0")
    monkeypatch.setattr(socket, "getaddrinfo", None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            expected = probe.getsockname()[0]
        except OSError:
            expected = "127.0.0.1"  # a machine without a default route
    assert a.endpoint.flow_to("sip.carrier.example", 5060).local[0] == expected


async def test_datagrams_wait_for_a_full_socket_in_order_and_are_lost_beyond_the_backlog(phones, monkeypatch):
    a = await phones("udp", "127.0.0.1")
    [sender] = a.endpoint.transports.of("udp").values()
    real, sent, is_full = sender._socket, [], True

    class Narrow:
        def sendto(self, octets, _remote):
            if is_full:
                raise BlockingIOError
            sent.append(octets)

        def __getattr__(self, name):
            return getattr(real, name)

    monkeypatch.setattr("sip.io.udp.MAX_BACKLOG", 3)
    monkeypatch.setattr(sender, "_socket", Narrow())
    flow = Flow("udp", sender.address, ("127.0.0.1", 9))
    for number in range(5):
        sender.send(b"%d" % number, flow.remote, flow)
    assert (sent, sender.lost_to_backlog) == ([], 2)
    is_full = False
    async with asyncio.timeout(5):
        while len(sent) < 3:
            await asyncio.sleep(0)
    assert sent == [b"0", b"1", b"2"]
    sender.send(b"now", flow.remote, flow)
    assert sent[-1] == b"now"


async def test_a_crlf_ping_on_tcp_is_answered_and_noise_closes_the_connection(phones):
    b = await phones("tcp", "127.0.0.1")
    reader, writer = await asyncio.open_connection(b.host, b.port)
    async with asyncio.timeout(5):
        writer.write(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"\r\n"
        writer.write(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: many\r\n\r\n")
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_datagrams_of_noise_are_counted_and_do_not_disturb(phones):
    a, b = await phones("udp", "127.0.0.1"), await phones("udp", "127.0.0.1")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(b.host, b.port))
    for noise in (b"", b"\x00" * 50, b"GET / HTTP/1.1\r\n\r\n", secrets.token_bytes(2000), b"\r\n\r\n"):
        transport.sendto(noise)
    transport.close()
    call(a, b, "udp")
    await a.wait(SessionAccepted)
    assert b.agent.counters["malformed"] >= 2


async def test_an_event_handler_that_fails_does_not_stop_the_endpoint(phones, caplog):
    a, b = await phones("udp", "127.0.0.1"), await phones("udp", "127.0.0.1")
    rounds = itertools.count()
    original = b.on_event

    def fails_once(event):
        if next(rounds) == 0:
            raise RuntimeError("handler")
        original(event)

    b.endpoint._on_event = fails_once
    call(a, b, "udp", "first")
    call(a, b, "udp", "second")
    await a.wait(SessionAccepted)
    assert "event handler failed" in caplog.text
    assert b.endpoint.failures == 1


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_fault_of_the_engine_costs_one_message_and_is_logged_and_counted(phones, caplog, monkeypatch, transport):
    a, b = await phones(transport, "127.0.0.1"), await phones(transport, "127.0.0.1")
    receive, faults = b.agent.receive_message, iter([True])

    def faulty(message, flow, now):
        if next(faults, False):
            raise RuntimeError("a fault")
        receive(message, flow, now)

    monkeypatch.setattr(b.agent, "receive_message", faulty)
    call(a, b, transport, "first")
    call(a, b, transport, "second")
    await a.wait(SessionAccepted)
    assert b.endpoint.failures == 1
    assert "could not serve b'INVITE" in caplog.text


async def test_an_idle_connection_is_closed():
    agent = UserAgent(open_config(), lambda: secrets.token_hex(8))
    endpoint = SipEndpoint(agent, [("tcp", "127.0.0.1", 0)], lambda _event: None, tcp_idle_s=0.05)
    await endpoint.start()
    reader, writer = await asyncio.open_connection(*endpoint.addresses[0][1:])
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await endpoint.close()


async def test_a_request_over_1300_octets_takes_tcp_when_the_setting_says_so(phones):
    """RFC 3261 §18.1.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    b = Phone(open_config())
    b.endpoint = SipEndpoint(b.agent, [("udp", "127.0.0.1", port), ("tcp", "127.0.0.1", port)], b.on_event)
    await b.endpoint.start()
    b.host, b.port = "127.0.0.1", port
    a = await phones("udp", "127.0.0.1")
    await a.endpoint.close()
    a.endpoint = SipEndpoint(a.agent, [("udp", "127.0.0.1", 0), ("tcp", "127.0.0.1", 0)], a.on_event, large_requests_over_tcp=True)
    await a.endpoint.start()
    a.agent.invite(
        session="large",
        target=b.uri,
        flow=a.endpoint.flow_to(b.host, b.port),
        from_=NameAddr(a.uri),
        to=NameAddr(b.uri),
        sdp=SDP,
        now=a.endpoint.now(),
        headers=[("Subject", "x" * 1300)],
    )
    a.endpoint.flush()
    incoming = await b.wait(IncomingInvite)
    assert incoming.flow.transport == "tcp"
    assert incoming.request.top_via.transport == "TCP"
    await a.wait(SessionAccepted)
    await b.endpoint.close()


async def test_an_address_in_use_is_an_error_and_leaves_nothing_open(phones):
    taken = await phones("udp", "127.0.0.1")
    endpoint = SipEndpoint(UserAgent(open_config(), lambda: "x" * 16), [("tcp", "127.0.0.1", 0), ("udp", "127.0.0.1", taken.port)], print)
    with pytest.raises(OSError, match="in use"):
        await endpoint.start()
    tcp_port = endpoint.addresses[0][2]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", tcp_port))


def test_the_trace_tells_whole_messages_with_direction_and_call_id_without_what_opens_a_door(caplog):
    flow = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))
    octets = (
        b"INVITE sip:x SIP/2.0\r\nVia: v\r\nCall-ID: abc\r\nCSeq: 1 INVITE\r\nSubject: told\r\n"
        b'Authorization: Digest username="anna", realm="fernamt", nonce="secret", response="secret"\r\n\r\n'
    )
    with caplog.at_level(logging.DEBUG, "sip.trace"):
        trace.received(flow, octets)
        trace.sent(flow, octets.replace(b"Call-ID", b"i"))
    assert [record.direction for record in caplog.records] == ["<", ">"]
    assert {record.call_id for record in caplog.records} == {"abc"}
    assert "INVITE sip:x SIP/2.0" in caplog.text
    assert "Subject: told" in caplog.text
    assert 'username="anna", realm="fernamt", ***' in caplog.text
    assert "secret" not in caplog.text


# ---------------------------------------------------------------------- where requests may go


class Gate:
    """The operator's rule of a test."""

    def __init__(self, *allowed):
        self.allowed = set(allowed)
        self.denied = []

    async def phone(self, transport, host, config=None):
        phone = Phone(config or open_config())
        phone.endpoint = SipEndpoint(
            phone.agent,
            [(transport, host, 0)],
            phone.on_event,
            tls=contexts_for(transport),
            may_reach=lambda address, _behalf: address in self.allowed,
            on_denied=lambda flow, address: self.denied.append((flow.remote[0], address)),
        )
        await phone.endpoint.start()
        _, phone.host, phone.port = phone.endpoint.addresses[0]
        return phone


def names(monkeypatch, **known):
    """A name server that tells what `known` says at that moment."""

    async def getaddrinfo(host, _port, **asked):
        return [(asked["family"], asked["type"], 0, "", (address, 0)) for address in known[host]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("sip.io.resolver.REMEMBER_S", 0.0)
    return known


async def probe(phone, host, port, transport="udp"):
    phone.events.clear()
    phone.agent.options("probe", Uri("sip", None, host, port), phone.endpoint.flow_to(host, port, transport), phone.endpoint.now())
    phone.endpoint.flush()
    return (await phone.wait(OptionsAnswered)).status


@pytest.mark.parametrize(("transport", "host"), WAYS, ids=CASES)
async def test_a_request_to_an_address_that_is_not_allowed_is_not_sent_whoever_listens_there(phones, transport, host):
    b, gate = await phones(transport, host), Gate()
    a = await gate.phone(transport, host)
    try:
        assert await probe(a, b.host, b.port, transport) is None
        call(a, b, transport)
        assert (await a.wait(SessionFailed)).status == 503
        assert gate.denied == [(host, host)] * 2
        assert not b.agent.counters
        assert b.events == []
        gate.allowed.add(host)
        assert await probe(a, b.host, b.port, transport) == 200
    finally:
        await a.endpoint.close()


async def test_a_name_is_judged_by_the_address_it_has_at_each_use(phones, monkeypatch):
    b, gate = await phones("udp", "127.0.0.1"), Gate("127.0.0.1")
    known = names(monkeypatch, peer=["127.0.0.1"])
    a = await gate.phone("udp", "127.0.0.1")
    try:
        assert await probe(a, "peer", b.port) == 200
        known["peer"] = ["127.0.0.2"]  # rebinding: what was allowed when it was saved is another machine now
        assert await probe(a, "peer", b.port) is None
        assert gate.denied == [("peer", "127.0.0.2")]
    finally:
        await a.endpoint.close()


async def test_of_the_addresses_of_a_name_only_allowed_ones_are_tried(phones, monkeypatch):
    b, gate = await phones("udp", "127.0.0.1"), Gate("127.0.0.1")
    names(monkeypatch, peer=["127.0.0.7", "127.0.0.1"])
    a = await gate.phone("udp", "127.0.0.1")
    try:
        assert await probe(a, "peer", b.port) == 200
        assert gate.denied == []
    finally:
        await a.endpoint.close()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_whoever_calls_is_answered_and_hung_up_on_where_the_call_came_from(phones, transport):
    a, gate = await phones(transport, "127.0.0.1"), Gate()
    b = await gate.phone(transport, "127.0.0.1")
    try:
        call(a, b, transport)
        await a.wait(SessionAccepted)
        session = (await b.wait(IncomingInvite)).session
        await b.wait(SessionConfirmed)
        b.agent.cancel_or_bye(session, b.endpoint.now())
        b.endpoint.flush()
        assert (await a.wait(SessionEnded)).by == "remote"
        assert gate.denied == []
    finally:
        await b.endpoint.close()


async def test_a_registered_phone_is_called_where_its_registration_came_from(phones):
    gate = Gate()
    server = await gate.phone("udp", "127.0.0.1", UserAgentConfig(registrar=Registrar(lambda _uri, _who: "anna@house")))
    phone = await phones("udp", "127.0.0.1")
    try:
        aor = Uri("sip", "anna", "house")
        flow = phone.endpoint.flow_to(server.host, server.port)
        phone.agent.register("line", RegistrationPlan(aor=aor, registrar=server.uri, flow=flow), phone.endpoint.now())
        phone.endpoint.flush()
        registered = await server.wait(Registered)
        server.agent.invite(
            session="ring",
            target=registered.contact,
            flow=registered.flow,
            from_=NameAddr(server.uri),
            to=NameAddr(registered.contact),
            sdp=SDP,
            now=server.endpoint.now(),
        )
        server.endpoint.flush()
        await server.wait(SessionAccepted)
        await phone.wait(SessionConfirmed)
        assert gate.denied == []
    finally:
        await server.endpoint.close()


NO_NAMES = ("a..b", ".", "x" * 64 + ".example", "xn--" + "a" * 60, "nul\0byte", "fe80::1%nowhere")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("host", NO_NAMES, ids=range(len(NO_NAMES)))
async def test_what_is_sent_to_a_host_that_can_be_no_name_fails_at_once(phones, transport, host):
    """RFC 1035 §2.3.4: labels of 1 to 63 octets. A peer's Contact may hold anything; RFC 3261 §8.1.3.1: as if 503 had come."""
    a = await phones(transport, "127.0.0.1")
    local = a.endpoint.addresses[0][1:]
    flow = Flow(transport, local, (host, 5060), said=True)
    a.agent.options("probe", Uri("sip", None, "nowhere.example"), flow, a.endpoint.now())
    a.endpoint.flush()
    assert (await a.wait(OptionsAnswered)).status is None
    whom = NameAddr(Uri("sip", "x", "nowhere.example"))
    a.agent.invite(session="call", target=whom.uri, flow=flow, from_=whom, to=whom, sdp=SDP, now=a.endpoint.now())
    a.endpoint.flush()
    assert (await a.wait(SessionFailed)).status == 503
    assert a.endpoint.failures == 0
