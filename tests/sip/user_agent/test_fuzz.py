"""Whatever arrives, in whatever state: the engine never raises, and what it sends is SIP (RFC 3261 §8.2, §18.3)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.classified import CHALLENGE, TRUNK
from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, ha1
from sip.events import IncomingInvite, ReInviteReceived
from sip.flow import Flow
from sip.parser import parse_datagram
from sip.registrar import Registrar
from sip.uri import Uri
from sip.user_agent import UserAgent

from .network import ANSWER, OPEN, SDP, answering, pair
from .test_uas import request

FLOW = Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 5060))

PIECES = [
    b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKq;rport",
    b"Via: x",
    b"To: <sip:bob@192.0.2.2>;tag=t",
    b"From: <sip:a@b>",
    b"Contact: *",
    b"Contact: <tel:1>",
    b"Contact: <sip:[::1]>",
    b"Record-Route: <sip:p;lr>",
    b"Record-Route: nonsense",
    b"Route: <sip:p>",
    b"Require: timer",
    b"Require: x, y",
    b"Expires: 0",
    b"Expires: x",
    b"Session-Expires: 1;refresher=uac",
    b"Session-Expires: x",
    b"Min-SE: 999999999999",
    b"Supported: timer",
    b"Max-Forwards: 0",
    b"Authorization: Digest",
    b'Authorization: Digest realm="house", username="u", nonce="!", uri="sip:x", response="", nc=zzzzzzzz, cnonce="c", qop=auth',
    b"Content-Type: text/plain",
    b"Content-Type: x",
    b"Content-Encoding: gzip",
    b"Accept: x/y",
    b"Event: talk",
    b"CSeq: 2 BYE",
    b"CSeq: 2147483647 INVITE",
    b"Reason: \x00",
    b"User-Agent: baresip v1.0",
    b"Content-Disposition: ;;",
    b"WWW-Authenticate: Digest nonce",
    b"Retry-After: x",
]
METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "REGISTER", "NOTIFY", "UPDATE", "PRACK", "X"]


def config():
    def lookup(_request, username, realm, algorithm):
        return Account(f"{username}@{realm}", ha1(username, realm, "p", algorithm)) if username == "u" else None

    return UserAgentConfig(
        classify=lambda asked, _flow: CHALLENGE if asked.headers.get("Authorization") else TRUNK,
        authenticator=Authenticator("house", lookup, b"0123456789abcdef"),
        registrar=Registrar(lambda uri, _who: f"{uri.user}@house"),
    )


def mutate(data, draw):
    """Change octets, cut, double, or put foreign header fields in."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=4)):
        at = draw(st.integers(1, len(lines)))
        if draw(st.booleans()) and at < len(lines):
            lines[at] = piece
        else:
            lines.insert(at, piece)
    data = bytearray(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    for at, octet in draw(st.lists(st.tuples(st.integers(0, max(0, len(data) - 1)), st.integers(0, 255)), max_size=3)):
        data[at] = octet
    return bytes(data)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_requests_in_and_out_of_dialogs_never_raise(data):
    serial = iter(range(10**6))
    agent = UserAgent(config(), lambda: f"token{next(serial):06d}")
    agent.receive(request().to_bytes(), FLOW, 0.0)
    [incoming] = agent.events()
    [session] = agent._sessions.values()
    to = f"<sip:bob@192.0.2.2>;tag={session.local_tag}"
    if data.draw(st.booleans()):
        agent.accept(incoming.session, ANSWER, 0.0)
        agent.receive(request("ACK", "ack", to=to).to_bytes(), FLOW, 0.0)
    now = 0.0
    for step in range(data.draw(st.integers(1, 5))):
        method = data.draw(st.sampled_from(METHODS))
        inside = data.draw(st.booleans())
        more = {"to": to} if inside else {"call_id": f"other{step}"}
        message = request(method, f"m{step}", cseq=step + 2, **more)
        now += data.draw(st.floats(0, 40))
        agent.handle_timeout(now)
        agent.receive(mutate(message.to_bytes(), data.draw), FLOW, now)
        for event in agent.events():
            match event:
                case IncomingInvite():
                    agent.ring(event.session, now)
                    agent.accept(event.session, ANSWER, now)
                case ReInviteReceived():
                    agent.accept_reinvite(event.session, ANSWER, now)
        assert all(octets.split(b" ", 1)[0] == b"SIP/2.0" or octets.split(b" ", 1)[0].isalpha() for _, octets in agent.datagrams_to_send())
    agent.describe(now)
    agent.handle_timeout(now + 1000)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_mutated_responses_never_raise(data):
    network, a, b = pair(a=OPEN)
    answering(b)
    held = []
    network.drop = lambda octets: octets.startswith(b"SIP/2.0") and not held.append(octets)
    a.call(b)
    a.agent.options("probe", Uri.parse("sip:192.0.2.2"), a.flow(b), a.now)
    network.run(1)
    for octets in [*held, *held]:
        status = data.draw(st.sampled_from([b"100", b"180", b"200", b"302", b"401", b"407", b"422", b"491", b"503", b"699"]))
        a.agent.receive(mutate(octets.replace(octets[8:11], status, 1), data.draw), a.flow(b), a.now)
        network.run(data.draw(st.floats(0, 10)))
    a.agent.reinvite("call", SDP, a.now)
    a.agent.cancel_or_bye("call", a.now)
    network.run(300)
    assert a.agent.describe(a.now)["sessions"] == []
    assert len(a.endings) == 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_octets_never_raise(data):
    serial = iter(range(100))
    agent = UserAgent(config(), lambda: f"token{next(serial):06d}")
    agent.receive(data, FLOW, 0.0)
    for _, octets in agent.datagrams_to_send():
        parse_datagram(octets)
