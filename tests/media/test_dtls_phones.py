"""Phones that shake hands without ICE, in the real worker: with one port and with two, at either end of it, behind NAT, and again."""

import contextlib
import datetime as dt
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.control import Browser, BrowserChanged, CloseLeg, LegClosed
from media.rtp import packet as rtp
from media.rtp import rtcp
from media.transport.dtls import Dtls, Fingerprint, Identity
from media.transport.handshakes import MOST, Handshakes, random_of
from media.transport.ice import Credentials
from tests.media.rig import DEADLINE_S, Rig
from tests.media.transport.public_srtp import PublicSrtp

TODAY = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
THEIRS, OTHERS = Identity(TODAY), Identity(TODAY)
ICE = Credentials("workersufrag", "workerspasswordof24chars")
REPORT = bytes.fromhex("80c9000100000003")


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("phones"), pairs=20)
    yield rig
    rig.end()
    assert "failed (" not in rig.log_path.read_text()


@pytest.fixture
def rig(worker):
    yield worker
    worker.clear()


class Phone:
    """A far end of the rig with DTLS at its ports."""

    def __init__(self, rig, *, is_muxed=True, **fields):
        self.rig, self.is_muxed = rig, is_muxed
        self.far_end = rig.leg(described=False, **fields)
        self.name = self.far_end.name
        self.ours = Fingerprint.parse(self.far_end.fingerprint)
        self.rtp, self.rtcp = self.far_end.rtp, self.far_end.rtcp
        self.number = 0

    def describe(self, *, is_client=False, identity=THEIRS, **fields):
        rtcp_port = self.far_end.port if self.is_muxed else self.rtcp.getsockname()[1]
        browser = Browser(fingerprints=(str(identity.fingerprint),), is_client=is_client, has_ice=False)
        self.rig.describe(self.far_end, **({"remote_rtcp_port": rtcp_port, "browser": browser} | fields))

    def shakes_hands(self, port=None, target=None, *, dtls=None):
        """To its end; as the active one, unless it is another's `dtls`, and from the begin, unless a first flight was sent."""
        port, target = port or self.rtp, target or self.far_end.target
        dtls = dtls or Dtls(THEIRS, is_client=True)
        dtls.expect((self.ours,))
        for datagram in dtls.start(time.monotonic()):
            port.sendto(datagram, target)
        while dtls.state in {"new", "handshaking"}:
            for datagram in dtls.receive(port.recv(2048), time.monotonic()):
                port.sendto(datagram, target)
        return dtls

    def is_connected(self, dtls):
        self.rig.wait_for(BrowserChanged, leg=self.name, state="connected")
        self.srtp = PublicSrtp(dtls.keys())

    def says(self, payload, port=None):
        self.number += 1
        packet = rtp.HEADER.pack(0x80, 8, self.number, self.number * 160, 77) + payload
        (port or self.rtp).sendto(self.srtp.protect_rtp(packet), self.far_end.target)

    def hears(self, port=None):
        """The payload of the next packet of audio."""
        while True:
            datagram = (port or self.rtp).recv(2048)
            if rtp.kind_of(datagram) is rtp.DatagramKind.RTP:
                return rtp.parse(self.srtp.unprotect_rtp(datagram)).payload


def talk(phone, other, port=None):
    """Both hear each other."""
    phone.says(b"\xd5" * 160, port)
    (heard,) = other.hear(1)
    assert heard.payload == b"\xd5" * 160
    other.send(other.packet(b"\x55" * 160))
    assert phone.hears(port) == b"\x55" * 160


def bridged(rig, phone):
    other = rig.leg()
    rig.bridge(phone.far_end, other)
    return other


@pytest.mark.parametrize("ice", [None, ICE])
def test_a_phone_with_one_port_begins_and_is_heard_and_hears(rig, ice):
    phone = Phone(rig, ice=ice)
    other = bridged(rig, phone)
    before = rig.status()
    phone.describe()
    other.send(other.packet(b"\x55" * 160))
    dtls = phone.shakes_hands()
    phone.is_connected(dtls)
    during = rig.status()
    assert during.legs_protected == before.legs_protected + 1
    talk(phone, other)
    phone.rtp.sendto(phone.srtp.protect_rtcp(REPORT), phone.far_end.target)
    # What is plain, or under no keys, is nothing.
    phone.far_end.send(phone.far_end.packet(b"\xd5" * 160))
    phone.rtcp.sendto(REPORT, phone.far_end.rtcp_target)
    talk(phone, other)
    assert other.hear_nothing()
    after = rig.status()
    assert after.packets_rejected == during.packets_rejected + 2
    assert after.packets_dropped == before.packets_dropped
    for datagram in dtls.close():
        phone.rtp.sendto(datagram, phone.far_end.target)
    rig.wait_for(BrowserChanged, leg=phone.name, state="closed")
    assert rig.status().legs_protected == before.legs_protected


@pytest.mark.parametrize("ice", [None, ICE])
def test_a_phone_may_begin_before_it_is_described(rig, ice):
    phone = Phone(rig, ice=ice)
    other = bridged(rig, phone)
    before = rig.status().packets_received
    dtls = Dtls(THEIRS, is_client=True)
    for datagram in dtls.start(time.monotonic()):
        phone.rtp.sendto(datagram, phone.far_end.target)
    rig.settle(before + 1)
    phone.describe()
    phone.is_connected(phone.shakes_hands(dtls=dtls))  # which sends nothing again
    talk(phone, other)


def loss_of(ssrc, packets):
    """A receiver report about our stream (RFC 3550 §6.4.2)."""
    return bytes.fromhex("81c9000700000003") + ssrc.to_bytes(4, "big") + bytes([0, 0, 0, packets]) + bytes(16)


@pytest.mark.parametrize("is_client", [False, True])
def test_a_phone_with_two_ports_has_a_handshake_at_each(rig, is_client):
    phone = Phone(rig, is_muxed=False)
    other = bridged(rig, phone)
    phone.describe(is_client=is_client)
    ends = [Dtls(THEIRS, is_client=not is_client) for _ in range(2)]
    phone.is_connected(phone.shakes_hands(dtls=ends[0]))
    talk(phone, other)  # without waiting for the other one
    before = rig.status()
    reports = PublicSrtp(phone.shakes_hands(phone.rtcp, phone.far_end.rtcp_target, dtls=ends[1]).keys())
    other.send(other.packet(b"\x55" * 160))
    heard = rtp.parse(phone.srtp.unprotect_rtp(phone.rtp.recv(2048)))
    phone.rtcp.sendto(reports.protect_rtcp(loss_of(heard.ssrc, 1)), phone.far_end.rtcp_target)
    rig.settle(before.packets_received + 1)
    phone.rtcp.sendto(phone.srtp.protect_rtcp(REPORT), phone.far_end.rtcp_target)  # of the other port's association
    talk(phone, other)
    rig.order(CloseLeg(leg=phone.name))
    assert rig.wait_for(LegClosed, leg=phone.name).quality.remote_loss_fraction == 0.5
    while rtp.kind_of(goodbye := phone.rtcp.recv(2048)) is not rtp.DatagramKind.RTCP:
        pass
    assert any(isinstance(packet, rtcp.Goodbye) for packet in rtcp.parse(reports.unprotect_rtcp(goodbye)))
    assert rig.status().packets_rejected == before.packets_rejected + 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_where_we_begin_and_it_is_lost_we_begin_again(rig, address):
    phone = Phone(rig, address=address)
    other = bridged(rig, phone)
    phone.describe(is_client=True)
    phone.describe(is_client=True)  # the same changes nothing
    lost = phone.rtp.recv(2048)
    dtls = Dtls(THEIRS)
    again = phone.rtp.recv(2048)
    assert random_of(again) == random_of(lost)
    for datagram in dtls.receive(again, time.monotonic()):
        phone.rtp.sendto(datagram, phone.far_end.target)
    phone.is_connected(phone.shakes_hands(dtls=dtls))
    talk(phone, other)


def test_behind_nat_it_is_where_its_handshake_comes_from(rig):
    phone = Phone(rig)
    other = bridged(rig, phone)
    phone.describe(remote_address="10.0.0.7", remote_port=4000, remote_rtcp_port=4000, signals_from=("203.0.113.5",))
    phone.is_connected(phone.shakes_hands())
    other.send(other.packet(b"\x55" * 160))
    assert phone.hears() == b"\x55" * 160  # a phone that is muted
    phone.describe(remote_address="10.0.0.7", remote_port=4000, remote_rtcp_port=4000, signals_from=("203.0.113.5",), sends=False)
    phone.describe(remote_address="10.0.0.7", remote_port=4000, remote_rtcp_port=4000, signals_from=("203.0.113.5",))
    talk(phone, other)


def test_strangers_are_answered_and_are_not_the_phone(rig):
    phone = Phone(rig)
    other = bridged(rig, phone)
    phone.describe()
    with contextlib.ExitStack() as open_until_here:
        for _ in range(2 * MOST):
            stranger = open_until_here.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            stranger.settimeout(DEADLINE_S)
            dtls = Dtls(OTHERS, is_client=True)
            for datagram in dtls.start(time.monotonic()):
                stranger.sendto(datagram, phone.far_end.target)
        phone.shakes_hands(stranger, dtls=dtls)
        phone.is_connected(phone.shakes_hands())
    talk(phone, other)
    assert rig.have(BrowserChanged) == []


def test_who_is_not_the_described_one_is_told_of(rig):
    phone = Phone(rig)
    phone.describe(identity=OTHERS)
    phone.shakes_hands()
    assert "certificate" in rig.wait_for(BrowserChanged, leg=phone.name, state="failed").reason
    phone.describe()
    phone.is_connected(phone.shakes_hands())


def test_it_may_begin_again_and_move(rig):
    phone = Phone(rig)
    other = bridged(rig, phone)
    phone.describe()
    phone.is_connected(phone.shakes_hands())
    talk(phone, other)
    old = phone.srtp
    phone.is_connected(phone.shakes_hands())
    talk(phone, other)
    rejected = rig.status().packets_rejected
    phone.rtp.sendto(old.protect_rtp(bytes(phone.far_end.packet(b"\xd5" * 160))), phone.far_end.target)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.settimeout(DEADLINE_S)
        port = elsewhere.getsockname()[1]
        phone.describe(remote_port=port, remote_rtcp_port=port)
        phone.is_connected(phone.shakes_hands(elsewhere))
        talk(phone, other, elsewhere)
        assert rig.status().packets_rejected == rejected + 1
        # As a carrier's re-INVITE to a phone without encryption would have it.
        phone.describe(browser=None)
        phone.far_end.send(phone.far_end.packet(b"\xd5" * 160))
        rig.settle(rig.status().packets_received)
        assert other.hear_nothing()
        other.send(other.packet(b"\x55" * 160))
        assert phone.hears() == b"\x55" * 160


def in_two(hello):
    """A ClientHello in two fragments (RFC 6347 §4.2.3), as one with a long key share comes."""
    header, body = hello[13:25], hello[25:]
    for begin, end in ((0, 100), (100, len(body))):
        part = header[:6] + begin.to_bytes(3, "big") + (end - begin).to_bytes(3, "big") + body[begin:end]
        yield hello[:3] + bytes(6) + bytes([0, begin > 0]) + len(part).to_bytes(2, "big") + part


def test_a_hello_in_two_datagrams_is_one(rig):
    phone = Phone(rig)
    other = bridged(rig, phone)
    phone.describe()
    dtls = Dtls(THEIRS, is_client=True)
    (hello,) = dtls.start(time.monotonic())
    for datagram in in_two(hello):
        assert len(datagram) >= 59
        phone.rtp.sendto(datagram, phone.far_end.target)
    phone.is_connected(phone.shakes_hands(dtls=dtls))
    talk(phone, other)


@given(st.lists(st.tuples(st.sampled_from([b"", b"\x16\xfe\xff\x00\x00", b"\x16\xfe\xfd", b"\x15"]), st.binary(max_size=90)), max_size=8))
@settings(max_examples=20, deadline=None)
def test_no_datagrams_stop_a_handshake(junk):
    handshakes, phone, at, stranger = Handshakes(OTHERS), Dtls(THEIRS, is_client=True), ("192.0.2.1", 4000), ("192.0.2.66", 6666)
    handshakes.expect((THEIRS.fingerprint,))
    phone.expect((OTHERS.fingerprint,))
    flight = phone.start(0.0)
    while flight:
        for first, rest in junk:
            handshakes.receive(first + rest, stranger, 0.0)
        flight = [back for each in flight for reply, _ in handshakes.receive(each, at, 0.0) for back in phone.receive(reply, 0.0)]
    assert (phone.state, handshakes.peer, handshakes.association.state) == ("established", at, "established")
    assert phone.keys().send == handshakes.association.keys().receive
