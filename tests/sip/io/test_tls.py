"""SIP over TLS on real loopback sockets: two endpoints of ours, and peers that behave badly (RFC 3261 §26, RFC 5922, RFC 5630)."""

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl

import pytest
from msgspec.structs import replace

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.errors import LocalMisuse
from sip.events import (
    IncomingInvite,
    OptionsAnswered,
    Registered,
    ReInviteReceived,
    SessionAccepted,
    SessionConfirmed,
    SessionEnded,
    SessionFailed,
)
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.io.resolver import Resolver
from sip.io.tls import dialling_context, listening_context
from sip.io.transport import Contexts
from sip.registrar import Registrar
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.certificates import Authority
from tests.sip.io.test_driver import SDP, Phone

pytestmark = pytest.mark.interop

HOST = "127.0.0.1"
DOMAIN = "sip.example.com"
_dialling = {}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other"), "another")


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Every name is this machine's."""
    real = Resolver.resolve

    async def resolve(self, host, family):
        return (HOST,) if host.endswith(".example.com") else await real(self, host, family)

    monkeypatch.setattr(Resolver, "resolve", resolve)


def contexts(authority, certificate=None):
    if authority.file not in _dialling:  # the system's authorities are read each time
        _dialling[authority.file] = dialling_context(authority.file)
    if certificate is None:
        certificate = authority.folder / "ours.pem"
        if not certificate.exists():
            authority.issue(HOST, DOMAIN, file="ours.pem")
    return Contexts(listening_context(certificate, None), _dialling[authority.file])


class Secure(Phone):
    """An endpoint that listens on TLS."""

    async def begin(self, tls, listen=(("tls", HOST, 0),), **settings):
        self.tls = tls
        self.endpoint = SipEndpoint(self.agent, listen, self.on_event, tls=tls, **settings)
        await self.endpoint.start()
        _, self.host, self.port = self.endpoint.addresses[-1]
        return self

    def failures(self):
        found = {name.partition('"')[2][:-2]: value for name, value in self.endpoint.figures().items() if "handshake_failures" in name}
        return {reason: count for reason, count in found.items() if count}

    def ask(self, port, host=HOST, scheme="sip"):
        flow = self.endpoint.flow_to(host, port, "tls")
        self.agent.options("probe", Uri(scheme, None, host, port), flow, self.endpoint.now(), patience_s=4)
        self.endpoint.flush()


@pytest.fixture
async def phones(authority):
    made = []

    async def make(tls=None, config=None, **settings):
        phone = await Secure(config or UserAgentConfig(classify=lambda *_: TRUNK)).begin(tls or contexts(authority), **settings)
        made.append(phone)
        return phone

    yield make
    for phone in made:
        await phone.endpoint.close()


def call(a, b, host=DOMAIN, scheme="sip", session="call"):
    a.agent.invite(
        session=session,
        target=Uri(scheme, "phone", host, b.port),
        flow=a.endpoint.flow_to(host, b.port, "tls"),
        from_=NameAddr(a.uri),
        to=NameAddr(b.uri),
        sdp=SDP,
        now=a.endpoint.now(),
    )
    a.endpoint.flush()


async def until(true):
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def bytes_to(port, octets):
    """What a peer without TLS gets for what it says."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(octets)
    async with asyncio.timeout(5):
        got = await reader.read()
    writer.close()
    return got


@pytest.mark.parametrize("who", ["caller", "callee"])
async def test_a_call_is_set_up_and_hung_up_by_either_side_over_one_connection(phones, who):
    a, b = await phones(), await phones()
    call(a, b)
    await a.wait(SessionAccepted)
    incoming = await b.wait(IncomingInvite)
    assert str(incoming.request.top_via).startswith("SIP/2.0/TLS ")
    assert incoming.request.contact.uri.transport == "tls"
    assert incoming.request.contact.uri.port == a.port
    assert (await a.wait(SessionAccepted)).sdp == SDP
    await b.wait(SessionConfirmed)
    one, other, session = (a, b, "call") if who == "caller" else (b, a, incoming.session)
    one.agent.cancel_or_bye(session, one.endpoint.now())
    one.endpoint.flush()
    assert (await other.wait(SessionEnded)).by == "remote"
    assert a.endpoint.figures()["tls_handshakes_total"] == b.endpoint.figures()["tls_handshakes_total"] == 1
    assert a.endpoint.figures()["tls_connections"] == 1
    assert a.endpoint.figures()["tcp_connections"] == 0


async def test_contacts_are_sips_where_the_request_is(phones):
    """RFC 3261 §8.1.1.8, §12.1.1: "the Contact header field MUST contain a SIPS URI as well"."""
    a, b = await phones(), await phones()
    call(a, b, scheme="sips")
    await b.wait(SessionConfirmed)
    ours = (await b.wait(IncomingInvite)).request.contact.uri
    assert (ours.scheme, ours.transport) == ("sips", None)
    theirs = a.agent._sessions["call"].dialog.remote_target
    assert (theirs.scheme, theirs.port) == ("sips", b.port)
    a.agent.reinvite("call", SDP, a.endpoint.now())
    a.endpoint.flush()
    changed = await b.wait(ReInviteReceived)
    assert b.agent._sessions[changed.session].dialog.remote_target.scheme == "sips"


@pytest.mark.parametrize(
    ("listen", "status", "warning"), [((("tcp", HOST, 0),), 416, None), ((("tls", HOST, 0), ("tcp", HOST, 0)), 480, "380")]
)
async def test_a_sips_uri_without_tls_is_refused(phones, listen, status, warning):
    """RFC 5630 §4: 416 where there is no TLS, 480 with warning 380 where the same request could come under its protection."""
    house = await phones(listen=listen)
    port = house.endpoint.addresses[0][2]
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(
        b"OPTIONS sips:house@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        b"From: <sip:a@b>;tag=1\r\nTo: <sips:house@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    async with asyncio.timeout(5):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    assert answer.startswith(f"SIP/2.0 {status} ")
    assert (warning is None) or f"Warning: {warning} Fernamt" in answer


async def test_a_sips_contact_is_not_registered_without_tls_and_is_with_it(phones):
    registrar = Registrar(lambda uri, _who: f"{uri.user}@house")
    house = await phones(
        config=UserAgentConfig(classify=lambda *_: TRUNK, registrar=registrar), listen=(("tcp", HOST, 0), ("tls", HOST, 0))
    )
    head = (
        "REGISTER sip:house SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@house>;tag=1\r\nTo: <sip:a@house>\r\n"
    )
    rest = "Call-ID: 1\r\nCSeq: 1 REGISTER\r\nContact: <sips:a@127.0.0.1>\r\nContent-Length: 0\r\n\r\n"
    reader, writer = await asyncio.open_connection(HOST, house.endpoint.addresses[0][2])
    writer.write((head + rest).encode())
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"SIP/2.0 400 SIPS Contact Over")
    writer.close()
    phone = await phones()
    flow = phone.endpoint.flow_to(DOMAIN, house.port, "tls")
    plan = RegistrationPlan(Uri("sip", "anna", DOMAIN), Uri("sips", None, DOMAIN, house.port), flow)
    phone.agent.register("r", plan, phone.endpoint.now())
    phone.endpoint.flush()
    assert (await house.wait(Registered)).contact.scheme == "sips"


async def test_a_phone_is_reached_over_the_connection_it_opened(phones):
    registrar = Registrar(lambda uri, _who: f"{uri.user}@house")
    house, phone = await phones(config=UserAgentConfig(classify=lambda *_: TRUNK, registrar=registrar)), await phones()
    aor = Uri("sip", "anna", "house")
    flow = phone.endpoint.flow_to(DOMAIN, house.port, "tls")
    phone.agent.register("r", RegistrationPlan(aor, Uri("sip", None, DOMAIN, house.port), flow), phone.endpoint.now())
    phone.endpoint.flush()
    await house.wait(Registered)
    [binding] = registrar.lookup("anna@house", house.endpoint.now())
    assert binding.flow.transport == "tls"
    assert house.endpoint.figures()["tls_strangers"] == 0
    house.agent.invite(
        session="call",
        target=binding.contact,
        flow=binding.flow,
        from_=NameAddr(aor),
        to=NameAddr(aor),
        sdp=SDP,
        now=house.endpoint.now(),
        account=binding.aor,
    )
    house.endpoint.flush()
    await house.wait(SessionAccepted)
    assert house.endpoint.figures()["tls_handshakes_total"] == 1


async def test_requests_to_one_name_share_a_connection_and_another_name_proves_itself_anew(phones, authority):
    both = contexts(authority, authority.issue("sip:one.example.com", "sip:two.example.com", file="both.pem"))
    a, b = await phones(), await phones(both)
    for number, host in enumerate(("one.example.com", "one.example.com", "two.example.com", "one.example.com", HOST)):
        a.events.clear()
        a.ask(b.port, host)
        assert (await a.wait(OptionsAnswered)).status == 200, number
    # The bare address is what has been proven there last, so nothing new is opened for it.
    assert b.endpoint.figures()["tls_connections"] == 2


async def test_an_address_that_has_proven_a_name_has_to_prove_it_again_when_it_is_called_by_its_number(phones, authority):
    """A Record-Route names the carrier by its address: over a new connection the name that it had proven is asked for."""
    a, b = await phones(), await phones(contexts(authority, authority.issue(DOMAIN, file="nameonly.pem")))
    a.ask(b.port, DOMAIN)
    assert (await a.wait(OptionsAnswered)).status == 200
    [connection] = b.endpoint.transports.of("tls")[(HOST, b.port)]._open.values()
    connection.close()
    await until(lambda: not a.endpoint.figures()["tls_connections"])
    a.events.clear()
    a.ask(b.port)
    assert (await a.wait(OptionsAnswered)).status == 200
    assert b.endpoint.figures()["tls_handshakes_total"] == 2


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_carrier_calls_over_the_connection_we_opened_and_is_hung_up_on_over_another_when_that_is_gone(phones, authority, breaks):
    """It is known by its address then; over a new connection the name that it had proven is asked for."""
    ours, carrier = await phones(), await phones(contexts(authority, authority.issue(DOMAIN, file="nameonly.pem")))
    ours.ask(carrier.port, DOMAIN)
    await ours.wait(OptionsAnswered)
    [connection] = carrier.endpoint.transports.of("tls")[(HOST, carrier.port)]._open.values()
    carrier.agent.invite(
        session="in",
        target=ours.uri,
        flow=connection.flow,
        from_=NameAddr(carrier.uri),
        to=NameAddr(ours.uri),
        sdp=SDP,
        now=carrier.endpoint.now(),
    )
    carrier.endpoint.flush()
    session = (await ours.wait(IncomingInvite)).session
    await ours.wait(SessionConfirmed)
    if breaks:
        connection.close()
        await until(lambda: not ours.endpoint.figures()["tls_connections"])
    ours.agent.cancel_or_bye(session, ours.endpoint.now())
    ours.endpoint.flush()
    assert (await carrier.wait(SessionEnded)).by == "remote"
    assert carrier.endpoint.figures()["tls_handshakes_total"] == 1 + breaks
    assert not ours.failures()


@pytest.mark.parametrize(
    ("named", "days", "by_other", "reason", "words"),
    [
        ((DOMAIN,), 30, True, "certificate", "unable to get local issuer certificate"),
        ((DOMAIN,), -1, False, "certificate", "certificate has expired"),
        (("sip:other.example.com",), 30, False, "identity", "the certificate is not that of sip.example.com, but of other.example.com"),
        (("*.example.com",), 30, False, "identity", "the certificate is not that of sip.example.com, but of *.example.com"),
    ],
)
async def test_a_server_that_is_not_who_was_asked_for_is_not_spoken_to(
    phones, authority, other, caplog, named, days, by_other, reason, words
):
    caplog.set_level(logging.INFO, "sip")
    wrong = (other if by_other else authority).issue(*named, days=days, file="wrong.pem")
    a, b = await phones(), await phones(contexts(authority, wrong))
    call(a, b)
    assert (await a.wait(SessionFailed)).status == 503
    assert a.failures() == {reason: 1}
    assert not any(isinstance(one, IncomingInvite) for one in b.events)
    assert words in caplog.text


@pytest.mark.parametrize("host", ["x..example.com", ".example.com", f"{'x' * 64}.example.com"])
async def test_a_name_that_no_certificate_can_have_fails_at_once_and_again(phones, host):
    """RFC 1035 §2.3.4; it may stand in anybody's Contact."""
    a, b = await phones(), await phones()
    for _ in range(2):
        a.events.clear()
        flow = Flow("tls", (HOST, a.port), (host, b.port), said=True)
        a.agent.options("probe", Uri("sip", None, "nowhere.example"), flow, a.endpoint.now())
        a.endpoint.flush()
        assert (await a.wait(OptionsAnswered)).status is None
    assert not a.endpoint.failures


async def test_why_a_peer_has_not_proved_itself_is_told_before_the_flow_fails(phones, authority):
    told = []
    a = await phones(on_unproven=lambda flow, why: told.append((flow.remote[0], why, list(a.events))))
    b = await phones(contexts(authority, authority.issue("other.example.com", file="others.pem")))
    a.ask(b.port, DOMAIN)
    assert (await a.wait(OptionsAnswered)).status is None
    assert told == [(DOMAIN, "the certificate is not that of sip.example.com, but of other.example.com", [])]


async def test_tls_1_1_is_refused(phones):
    house = await phones()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(HOST, house.port, ssl=context)
    await until(lambda: house.failures() == {"version": 1})


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_have_ciphers_that_authenticate_and_forward_secrecy(phones, authority, version):
    house = await phones()
    context = ssl.create_default_context(cafile=str(authority.file))
    context.minimum_version = context.maximum_version = version
    _, writer = await asyncio.open_connection(HOST, house.port, ssl=context)
    tls = writer.get_extra_info("ssl_object")
    name, _, _ = tls.cipher()
    assert "GCM" in name or "CHACHA20" in name
    assert name.startswith(("ECDHE-", "TLS_"))
    assert tls.compression() is None
    writer.close()


async def test_a_weak_cipher_is_refused(phones):
    house = await phones()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AES+SHA1")
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(HOST, house.port, ssl=context)
    await until(lambda: house.failures() == {"cipher": 1})


@pytest.mark.parametrize(
    "octets", [b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(64), b"\x00" * 40]
)
async def test_what_is_no_tls_is_answered_by_an_alert_at_most_and_closed(phones, octets):
    house = await phones()
    got = await bytes_to(house.port, octets)
    assert got == b"" or got[0] == 21  # an alert record
    await until(lambda: not house.endpoint.figures()["tls_connections"])
    assert sum(house.failures().values()) == 1
    assert house.failures().keys() <= {"not_tls", "other"}
    assert not house.endpoint.failures


@pytest.mark.parametrize("octets", [b"", b"\x16\x03\x01"])
async def test_half_a_handshake_is_closed_early(phones, octets):
    house = await phones(tcp_stranger_idle_s=1.2)
    assert await bytes_to(house.port, octets) == b""
    assert house.failures() == {"timeout": 1}


async def test_handshakes_count_against_their_source(phones):
    house = await phones(tcp_strangers_per_source=3)
    held = [await asyncio.open_connection(HOST, house.port) for _ in range(5)]
    await until(lambda: house.endpoint.figures()["tls_strangers_displaced_total"] == 2)
    assert house.endpoint.figures()["tls_strangers"] == 3
    # Whom we turned out has not left.
    for reader, _ in held[:2]:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    assert house.failures() == {}
    for _, writer in held:
        writer.close()


async def test_a_flood_of_handshakes_is_told_of_in_few_lines(phones, caplog):
    caplog.set_level(logging.INFO, "sip.trace")
    house = await phones()
    [connections] = house.endpoint.transports.of("tls").values()
    connections.now = lambda: 100.0
    for _ in range(15):
        await bytes_to(house.port, b"GET / HTTP/1.1\r\n\r\n")
    await until(lambda: sum(house.failures().values()) == 15)
    assert sum("no TLS: " in line for line in caplog.messages) == 10
    connections.now = lambda: 101.0
    await bytes_to(house.port, b"GET / HTTP/1.1\r\n\r\n")
    await until(lambda: sum(house.failures().values()) == 16)
    assert sum("no TLS: " in line for line in caplog.messages) == 11
    assert sum("5 handshakes before it that came to nothing are not told of" in line for line in caplog.messages) == 1


async def test_who_says_goodbye_is_said_goodbye_to(phones, authority):
    """RFC 8446 §6.1: close_notify, both ways; the loop has its turn all the while."""
    house = await phones()
    context = ssl.create_default_context(cafile=str(authority.file))
    _, writer = await asyncio.open_connection(HOST, house.port, ssl=context)
    await until(lambda: house.endpoint.figures()["tls_handshakes_total"] == 1)
    writer.close()
    async with asyncio.timeout(5):
        await writer.wait_closed()
    await until(lambda: not house.endpoint.figures()["tls_connections"])
    assert house.failures() == {}


async def test_who_leaves_in_the_handshake_is_counted(phones):
    house = await phones()
    _, writer = await asyncio.open_connection(HOST, house.port)
    writer.close()
    await until(lambda: house.failures() == {"closed": 1})


async def test_a_server_that_answers_no_handshake_fails_the_call(phones, monkeypatch):
    monkeypatch.setattr("sip.io.tcp.CONNECT_TIMEOUT_S", 0.2)
    a = await phones()
    with socket.create_server((HOST, 0)) as mute:
        a.ask(mute.getsockname()[1])
        assert (await a.wait(OptionsAnswered)).status is None
    assert a.failures() == {"timeout": 1}


async def test_a_new_certificate_is_shown_to_new_connections_and_leaves_the_others_alone(phones, other):
    a, b = await phones(), await phones()
    call(a, b)
    await b.wait(SessionConfirmed)
    b.tls.listening = listening_context(other.issue(DOMAIN, file="new.pem"), None)
    a.agent.cancel_or_bye("call", a.endpoint.now())
    a.endpoint.flush()
    assert (await b.wait(SessionEnded)).by == "remote"
    stranger = await phones(Contexts(b.tls.listening, dialling_context(other.file)))
    stranger.ask(b.port, DOMAIN)
    assert (await stranger.wait(OptionsAnswered)).status == 200
    refuses = await phones()
    refuses.ask(b.port, DOMAIN)
    assert (await refuses.wait(OptionsAnswered)).status is None


async def test_what_leaves_another_socket_than_the_call_came_by_names_the_port_of_that_one(phones):
    """A call over TCP leads to a Contact with ;transport=tls: Via and Contact of requests there name the port that listens for TLS."""
    a, b = await phones(listen=(("tcp", HOST, 0), ("tls", HOST, 0))), await phones()
    via_tcp = a.endpoint.flow_to(DOMAIN, b.port, "tcp")
    flow = replace(via_tcp, transport="tls")
    assert a.agent.via(flow).startswith(f"SIP/2.0/TLS 127.0.0.1:{a.port};")
    assert a.agent.contact(flow) == f"<sip:fernamt@127.0.0.1:{a.port};transport=tls>"


async def test_a_large_message_goes_through_many_records(phones):
    a, b = await phones(), await phones()
    body = b"v=0\r\n" + b"a=x-" + b"y" * 60_000 + b"\r\n"
    a.agent.invite(
        session="call",
        target=Uri("sip", "phone", DOMAIN, b.port),
        flow=a.endpoint.flow_to(DOMAIN, b.port, "tls"),
        from_=NameAddr(a.uri),
        to=NameAddr(b.uri),
        sdp=body,
        now=a.endpoint.now(),
    )
    a.endpoint.flush()
    assert (await b.wait(IncomingInvite)).offer == body


async def test_tls_without_a_certificate_is_a_mistake_of_ours():
    agent = UserAgent(UserAgentConfig(), lambda: secrets.token_hex(8))
    endpoint = SipEndpoint(agent, [("tls", HOST, 0)], lambda _: None)
    with pytest.raises(LocalMisuse, match="no certificate"):
        await endpoint.start()
