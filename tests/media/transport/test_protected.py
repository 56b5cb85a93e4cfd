"""A transport that protects stands between a leg and the network, and no leg knows: RTP and RTCP, both ways, to one port and to two."""

import pytest

from media import tones
from media.codecs import PCMA
from media.control import LegLatched
from media.errors import NotAuthentic
from media.rtp import packet as rtp
from media.rtp import rtcp
from media.rtp.rtcp import Goodbye, ReceiverReport, compound
from media.transport.protected import ProtectedTransport
from tests.media.rig import Rig
from tests.media.transport.xor import RTCP, RTP, Xor

SPEECH = tones.probe(440, 0.1)


@pytest.fixture(scope="module")
def protected(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("protected"), pairs=20, program=("-m", "tests.media.transport.xor"))
    yield rig
    rig.end()
    assert "failed (" not in rig.log_path.read_text()


@pytest.fixture
def rig(protected):
    yield protected
    protected.clear()


def say(far_end, audio=SPEECH, change=lambda datagram: datagram):
    """Send it protected; the packets as they were before."""
    encoded = PCMA.encode(audio)
    packets = [far_end.packet(encoded[at : at + 160]) for at in range(0, len(encoded), 160)]
    for packet in packets:
        far_end.rtp.sendto(change(Xor().seal(bytes(packet), RTP)), far_end.target)
    return packets


def hear(far_end, count):
    return [rtp.parse(Xor().open(far_end.rtp.recv(2048), RTP)) for _ in range(count)]


@pytest.mark.interop
def test_audio_passes_protected_both_ways_over_a_bridge(rig):
    a, b = rig.leg(), rig.leg()
    rig.arrange((a, b), (b, a))
    for speaker, listener in ((a, b), (b, a)):
        sent = say(speaker)
        heard = hear(listener, 5)
        assert [packet.payload for packet in heard] == [packet.payload for packet in sent]
    assert {rig.wait_for(LegLatched).leg for _ in range(2)} == {a.name, b.name}


@pytest.mark.interop
def test_a_packet_that_does_not_unprotect_is_counted_and_is_as_if_it_had_not_come(rig):
    a, b = rig.leg(), rig.leg()
    rig.arrange((a, b), (b, a))
    before = rig.status()
    say(a, change=lambda datagram: datagram[:20] + b"\x00" + datagram[21:])
    a.speak(SPEECH)  # plain
    while rig.status().packets_rejected < before.packets_rejected + 10:
        pass
    after = rig.status()
    assert (after.packets_received, after.packets_rejected) == (before.packets_received, before.packets_rejected + 10)
    assert b.hear_nothing()
    assert rig.have(LegLatched) == []
    assert len(say(a)) == len(hear(b, 5))
    quality = rig.close_leg(a)
    assert quality.packets_received == 5
    assert rig.status().packets_rejected == after.packets_rejected


@pytest.mark.interop
@pytest.mark.parametrize("muxed", [False, True])
def test_reports_are_protected_both_ways(rig, muxed):
    a = rig.leg(described=False)
    rig.describe(a, **({"remote_rtcp_port": a.port} if muxed else {}))
    say(a)
    report = compound(ReceiverReport(a.ssrc), Goodbye((a.ssrc,)))
    before = rig.status().packets_rejected
    sender, target = (a.rtp, a.target) if muxed else (a.rtcp, a.rtcp_target)
    sender.sendto(Xor().seal(report, RTCP), target)
    sender.sendto(report, target)  # plain: is rejected
    while rig.status().packets_rejected == before:
        pass
    rig.close_leg(a)
    packets = rtcp.parse(Xor().open(sender.recv(2048), RTCP))
    assert isinstance(packets[-1], Goodbye)


class Line:
    """A transport in memory."""

    def __init__(self, *datagrams):
        self.datagrams = list(datagrams)
        self.sent = []
        self.rejected = 0

    def receive(self, buffer):
        datagram = self.datagrams.pop(0)
        buffer[: len(datagram)] = datagram
        return len(datagram), ("192.0.2.1", 4000)

    def send(self, packet, address):
        self.sent.append((bytes(packet), address))
        return len(packet)


def test_what_is_neither_rtp_nor_rtcp_passes_unseen():
    """STUN and DTLS on the same port are not under these keys (RFC 7983)."""
    stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    buffer = bytearray(2048)
    transport = ProtectedTransport(Line(stun), Xor())
    octets, address = transport.receive(buffer)
    assert (bytes(buffer[:octets]), address, transport.rejected) == (stun, ("192.0.2.1", 4000), 0)


def test_another_key_opens_nothing():
    packet = rtp.HEADER.pack(0x80, 8, 1, 2, 3) + b"hello"
    with pytest.raises(NotAuthentic):
        Xor(1).open(Xor(2).seal(packet, RTP), RTP)
    transport = ProtectedTransport(Line(Xor(2).seal(packet, RTP)), Xor(1))
    with pytest.raises(BlockingIOError):
        transport.receive(bytearray(2048))
    assert transport.rejected == 1
