"""The ICE-lite agent: what it answers, where it then sends, whether the peer is there; and aioice as the one who checks."""

import asyncio
import itertools

import aioice
import pytest
from aioice import stun as foreign
from hypothesis import given, settings
from hypothesis import strategies as st

from media.transport import ice, stun
from media.transport.ice import Credentials, IceLite, State
from media.transport.stun import AttributeType, MessageClass

OURS = Credentials("abcd", "x" * 22)
NEW = Credentials("efgh", "y" * 24)
PEER, OTHER = ("192.0.2.1", 4000), ("198.51.100.2", 4001)
CONTROLLING = (AttributeType.ICE_CONTROLLING, bytes(8))
PRIORITY = (AttributeType.PRIORITY, bytes(4))
NOMINATION = (AttributeType.USE_CANDIDATE, b"")
NETWORK_COST = (0xC057, bytes(4))
"""What Chromium adds."""
numbers = itertools.count()


def check(*more, credentials=OURS, username=None, password=None, message_class=MessageClass.REQUEST):
    name = (AttributeType.USERNAME, f"{credentials.ufrag}:peer".encode() if username is None else username)
    transaction = next(numbers).to_bytes(12, "big")
    return stun.compose(message_class, transaction, [name, CONTROLLING, PRIORITY, *more], password=password or credentials.pwd)


def error_of(reaction):
    message = foreign.parse_message(reaction.answer)
    assert message.message_class == foreign.Class.ERROR
    return message.error_code


def test_a_check_is_answered_signed_with_the_address_it_came_from():
    agent = IceLite(OURS)
    asked = check(NETWORK_COST)
    reaction = agent.receive(asked, PEER, 1.0)
    message = foreign.parse_message(reaction.answer)
    assert message.message_class == foreign.Class.RESPONSE
    assert message.transaction_id == asked[8:20]
    assert message.attributes["XOR-MAPPED-ADDRESS"] == PEER
    assert "FINGERPRINT" in message.attributes
    assert message.check_message_integrity(OURS.pwd.encode())
    assert (reaction.state, reaction.moved_to, agent.last_check_at) == (State.CONNECTED, None, 1.0)
    # Nothing is nominated, but the peer may begin with DTLS.
    assert (agent.selected, agent.remote) == (None, PEER)


def test_an_ipv6_peer_is_told_its_address_without_the_zone():
    reaction = IceLite(OURS).receive(check(), ("fe80::1%eth0", 5000, 0, 2), 0.0)
    assert foreign.parse_message(reaction.answer).attributes["XOR-MAPPED-ADDRESS"] == ("fe80::1", 5000)


def test_the_latest_nomination_says_where_to_send():
    agent = IceLite(OURS)
    assert agent.receive(check(NOMINATION), PEER, 0.0).moved_to == PEER
    assert agent.receive(check(NOMINATION), PEER, 1.0).moved_to is None
    assert agent.receive(check(), OTHER, 2.0).moved_to is None
    assert agent.remote == PEER
    assert agent.receive(check(NOMINATION), OTHER, 3.0).moved_to == OTHER
    assert agent.remote == agent.selected == OTHER


@pytest.mark.parametrize(
    ("wrong", "code", "is_signed"),
    [
        (check(password="z" * 22), 401, False),
        (check(username=b"zzzz:peer"), 401, False),
        (check(username=b"abcd"), 401, False),
        (check(username=b"\xff\xfe:\xfd"), 401, False),
        # Wrong integrity comes before all that is wrong beside it.
        (check((0x7777, b""), (AttributeType.ICE_CONTROLLED, bytes(8)), password="z" * 22), 401, False),
        (stun.compose(MessageClass.REQUEST, bytes(12), [(AttributeType.USERNAME, b"abcd:peer")]), 400, False),
        (stun.compose(MessageClass.REQUEST, bytes(12), [PRIORITY], password=OURS.pwd), 400, False),
        (check((0x7777, b"x"), (0x7778, b""), (0x7777, b"")), 420, True),
        (check((AttributeType.ICE_CONTROLLED, bytes(8))), 487, True),
    ],
)
def test_what_is_wrong_with_a_check_is_said_and_changes_nothing(wrong, code, is_signed):
    agent = IceLite(OURS)
    reaction = agent.receive(wrong, PEER, 1.0)
    assert error_of(reaction) == code
    assert foreign.parse_message(reaction.answer).check_message_integrity(OURS.pwd.encode()) is is_signed
    assert reaction.why_not.startswith(str(code))
    assert (reaction.state, reaction.moved_to, agent.state, agent.remote) == (None, None, State.WAITING, None)


def test_unknown_attributes_are_named_once_each():
    reaction = IceLite(OURS).receive(check((0x7777, b"x"), (0x7778, b""), (0x7777, b"")), PEER, 1.0)
    assert stun.parse(reaction.answer).attribute(AttributeType.UNKNOWN_ATTRIBUTES) == bytes.fromhex("77777778")


@pytest.mark.parametrize(
    "ignored",
    [
        check(message_class=MessageClass.INDICATION),
        check(message_class=MessageClass.SUCCESS),
        check(message_class=MessageClass.ERROR),
        b"\x00\x03" + check()[2:],
        check()[:-8],
        b"\x80\x08hello",
        b"",
    ],
)
def test_what_asks_nothing_is_not_answered(ignored):
    agent = IceLite(OURS)
    reaction = agent.receive(ignored, PEER, 1.0)
    assert reaction.answer is None
    assert reaction.why_not
    assert agent.state is State.WAITING


def test_a_check_without_a_fingerprint_is_not_answered():
    """RFC 8445 §7.2.2 has it in each check (by RFC 8489 §7)."""
    with_one = check()
    without = with_one[:2] + (len(with_one) - 28).to_bytes(2, "big") + with_one[4:-8]
    assert IceLite(OURS).receive(without, PEER, 1.0).answer is None


class TestConsent:
    def connected(self):
        agent = IceLite(OURS)
        agent.receive(check(NOMINATION), PEER, 100.0)
        return agent

    def test_nobody_is_missed_before_the_first_check(self):
        agent = IceLite(OURS)
        assert agent.next_timeout() is None
        assert agent.handle_timeout(1000.0) is None
        assert agent.state is State.WAITING

    def test_8_seconds_without_anything_are_suspect_and_30_are_the_end(self):
        agent = self.connected()
        assert agent.next_timeout() == 108.0
        assert agent.handle_timeout(107.9) is None
        assert agent.handle_timeout(108.0) is State.SUSPECT
        assert agent.handle_timeout(108.1) is None
        assert agent.next_timeout() == 130.0
        assert agent.handle_timeout(130.0) is State.GONE
        assert agent.next_timeout() is None

    def test_packets_are_a_sign_of_life_as_checks_are(self):
        agent = self.connected()
        assert agent.heard(105.0) is None
        assert agent.next_timeout() == 113.0
        assert agent.handle_timeout(113.0) is State.SUSPECT
        assert agent.heard(114.0) is State.CONNECTED
        assert agent.handle_timeout(122.0) is State.SUSPECT
        assert agent.receive(check(), PEER, 123.0).state is State.CONNECTED

    def test_after_the_end_a_packet_revives_nobody_and_a_check_does(self):
        agent = self.connected()
        assert agent.handle_timeout(200.0) is State.GONE
        assert agent.heard(201.0) is None
        assert agent.state is State.GONE
        assert agent.receive(check(), PEER, 202.0).state is State.CONNECTED

    def test_a_wrong_check_is_no_sign_of_life(self):
        agent = self.connected()
        agent.receive(check(password="z" * 22), PEER, 107.0)
        assert agent.next_timeout() == 108.0

    def test_every_state_takes_every_input(self):
        for state, event in itertools.product(State, ice.Input):
            agent = IceLite(OURS)
            agent.state = state
            edge = ice.TRANSITIONS[state].get(event)
            changed = agent._step(event)
            assert agent.state is (edge.state if edge else state)
            assert changed is (None if agent.state is state else agent.state)


class TestRestart:
    def test_the_old_credentials_are_answered_until_the_first_good_check_with_the_new(self):
        agent = IceLite(OURS)
        agent.receive(check(NOMINATION), PEER, 0.0)
        agent.restart(NEW)
        assert (agent.ufrag, agent.ufrags) == ("efgh", ("efgh", "abcd"))
        old = agent.receive(check(), PEER, 1.0)
        assert foreign.parse_message(old.answer).check_message_integrity(OURS.pwd.encode())
        assert error_of(agent.receive(check(credentials=NEW, password=OURS.pwd), OTHER, 2.0)) == 401
        assert agent.ufrags == ("efgh", "abcd")
        new = agent.receive(check(NOMINATION, credentials=NEW), OTHER, 3.0)
        assert foreign.parse_message(new.answer).check_message_integrity(NEW.pwd.encode())
        assert new.moved_to == OTHER
        assert agent.ufrags == ("efgh",)
        assert error_of(agent.receive(check(), PEER, 4.0)) == 401

    def test_the_old_credentials_nominate_nothing_any_more(self):
        agent = IceLite(OURS)
        agent.receive(check(NOMINATION), PEER, 0.0)
        agent.restart(NEW)
        assert agent.receive(check(NOMINATION), OTHER, 1.0).moved_to is None
        assert agent.selected == PEER

    def test_the_same_credentials_again_are_no_restart(self):
        agent = IceLite(OURS)
        agent.restart(Credentials(OURS.ufrag, OURS.pwd))
        assert agent.ufrags == ("abcd",)


@pytest.mark.parametrize(
    ("ufrag", "pwd"), [("abc", "x" * 22), ("abcd", "x" * 21), ("ab:d", "x" * 22), ("abcd", "x" * 21 + "ü"), ("a" * 257, "x" * 22)]
)
def test_credentials_are_what_a_description_may_hold(ufrag, pwd):
    with pytest.raises(ValueError, match="ice-chars"):
        Credentials(ufrag, pwd)


def test_no_repr_shows_the_password():
    assert OURS.pwd not in repr(OURS)
    assert OURS.pwd not in repr(IceLite(OURS).describe())


@given(st.binary(max_size=120))
@settings(max_examples=40, deadline=None)
def test_no_octets_stop_the_agent(octets):
    agent = IceLite(OURS)
    assert agent.receive(octets, PEER, 0.0).state is None


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_changed_check_stops_the_agent_or_passes(changes):
    original = check(NOMINATION, NETWORK_COST)
    changed = bytearray(original)
    for at, octet in changes:
        changed[at % len(changed)] = octet
    agent = IceLite(OURS)
    reaction = agent.receive(bytes(changed), PEER, 0.0)
    assert (reaction.state is State.CONNECTED) == (bytes(changed) == original)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=5))
@settings(max_examples=40, deadline=None)
def test_no_attributes_in_a_signed_check_stop_the_agent(attributes):
    agent = IceLite(OURS)
    forbidden = {AttributeType.MESSAGE_INTEGRITY, AttributeType.FINGERPRINT}
    agent.receive(check(*[each for each in attributes if each[0] not in forbidden]), PEER, 0.0)


class Socket(asyncio.DatagramProtocol):
    """The agent at a real socket; what is not STUN is sent back, to where the agent says."""

    def __init__(self, agent):
        self.agent = agent
        self.why_not = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, datagram, address):
        now = asyncio.get_running_loop().time()
        if datagram[0] > 3:
            self.transport.sendto(datagram, self.agent.remote)
            return
        reaction = self.agent.receive(datagram, address, now)
        if reaction.answer is not None:
            self.transport.sendto(reaction.answer, address)
        if reaction.why_not is not None:
            self.why_not.append(reaction.why_not)


@pytest.mark.interop
async def test_aioice_as_the_controlling_peer_connects_and_restarts(monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    agent = IceLite(OURS)
    transport, ours = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Socket(agent), ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        for credentials in (OURS, NEW):
            agent.restart(credentials)
            peer = aioice.Connection(ice_controlling=True)
            peer.remote_is_lite = True
            peer.remote_username, peer.remote_password = credentials.ufrag, credentials.pwd
            await peer.gather_candidates()
            await peer.add_remote_candidate(aioice.Candidate("1", 1, "udp", 2130706431, "127.0.0.1", port, "host"))
            await peer.add_remote_candidate(None)
            await peer.connect()
            await peer.send(b"\x80hello")
            assert await peer.recv() == b"\x80hello"
            assert agent.state is State.CONNECTED
            assert agent.selected == ("127.0.0.1", peer.get_default_candidate(1).port)
            await peer.close()
        assert ours.why_not == []
    finally:
        transport.close()


@pytest.mark.interop
async def test_a_peer_that_takes_itself_for_the_controlled_one_is_told_and_takes_over(monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    agent = IceLite(OURS)
    transport, ours = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Socket(agent), ("127.0.0.1", 0))
    peer = aioice.Connection(ice_controlling=False)
    try:
        peer.remote_username, peer.remote_password = OURS.ufrag, OURS.pwd
        await peer.gather_candidates()
        port = transport.get_extra_info("sockname")[1]
        await peer.add_remote_candidate(aioice.Candidate("1", 1, "udp", 2130706431, "127.0.0.1", port, "host"))
        await peer.add_remote_candidate(None)
        await peer.connect()
        assert peer.ice_controlling
        assert ours.why_not == ["487 Role Conflict"]
        assert agent.selected is not None
    finally:
        await peer.close()
        transport.close()
