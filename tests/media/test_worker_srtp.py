"""A leg that is described with keys: protected from then on, whatever it is bridged with; renewed, taken off, and told in no log."""

import select
import socket
import time
from itertools import permutations

import pytest

from media import tones
from media.codecs import PCMA
from media.control import LegLatched, SendDigits
from media.rtp import packet as rtp
from media.rtp import rtcp
from media.rtp.rtcp import Goodbye, ReceiverReport, SenderReport, compound
from media.transport.keys import LENGTHS, SrtpKeys, Suite
from media.transport.srtp import SrtpProtection
from tests.media.rig import Rig, level

pytestmark = pytest.mark.interop

SPEECH = tones.probe(440, 0.1)
CM, GCM = Suite.AES_CM_128_HMAC_SHA1_80, Suite.AEAD_AES_128_GCM


def key(suite, number):
    return bytes((number * 37 + index) % 256 for index in range(LENGTHS[suite].master))


def keys(suite=CM, send=1, receive=2):
    """As the worker is told."""
    return SrtpKeys(suite=suite, send=key(suite, send), receive=key(suite, receive))


class Phone:
    """The far end of a leg that has keys."""

    def __init__(self, rig, suite=CM, send=1, receive=2, **fields):
        self.rig = rig
        self.end = rig.leg(described=False)
        self.fields = fields
        self.there = None
        self.renew(suite, send, receive)

    def renew(self, suite=CM, send=1, receive=2):
        """New keys for both, as of now."""
        theirs = SrtpKeys(suite=suite, send=key(suite, receive), receive=key(suite, send))
        if self.there is None:
            self.there = SrtpProtection(theirs, time.monotonic)
        else:
            self.there.renew(theirs)
        self.describe(srtp=keys(suite, send, receive))
        self.rig.status()

    def describe(self, **fields):
        self.rig.describe(self.end, **(self.fields | fields))

    def seal(self, octets, work=None):
        buffer = bytearray(octets) + bytes(64)
        return bytes(buffer[: (work or self.there.protect_rtp)(buffer, len(octets))])

    def unseal(self, datagram, work=None):
        buffer = bytearray(datagram)
        return bytes(buffer[: (work or self.there.unprotect_rtp)(buffer, len(datagram))])

    def say(self, audio=SPEECH):
        encoded = PCMA.encode(audio)
        packets = [self.end.packet(encoded[at : at + 160]) for at in range(0, len(encoded), 160)]
        sealed = [self.seal(bytes(packet)) for packet in packets]
        for datagram in sealed:
            self.end.rtp.sendto(datagram, self.end.target)
        return [packet.payload for packet in packets], sealed

    def hear(self, count):
        """What comes; anything that is plain is not authentic here."""
        return [rtp.parse(self.unseal(self.end.rtp.recv(2048))) for _ in range(count)]


def heard(packets):
    return [packet.payload for packet in packets]


@pytest.mark.parametrize("suite", Suite)
def test_an_encrypted_leg_and_a_plain_one_hear_each_other(rig, suite):
    phone, carrier = Phone(rig, suite), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    said, _ = phone.say()
    assert heard(carrier.hear(5)) == said
    spoken = carrier.speak(SPEECH)
    assert heard(phone.hear(5)) == [packet.payload for packet in spoken]


def test_two_encrypted_legs_have_different_keys_and_suites(rig):
    one, other = Phone(rig, CM, 1, 2), Phone(rig, GCM, 3, 4)
    rig.arrange((one.end, other.end), (other.end, one.end))
    for speaker, listener in ((one, other), (other, one)):
        said, _ = speaker.say()
        assert heard(listener.hear(5)) == said


def test_what_is_plain_replayed_or_under_another_key_is_rejected_and_counted(rig):
    phone, carrier = Phone(rig), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    _, sealed = phone.say()
    carrier.hear(5)
    before = rig.status()
    phone.end.speak(SPEECH)  # plain
    for datagram in sealed:  # again
        phone.end.rtp.sendto(datagram, phone.end.target)
    phone.there = SrtpProtection(keys(CM, 8, 9), time.monotonic)
    phone.say()  # under another key
    while (after := rig.status()).packets_rejected < before.packets_rejected + 15:
        pass
    assert (after.packets_received, after.packets_rejected) == (before.packets_received, before.packets_rejected + 15)
    assert carrier.hear_nothing()
    assert rig.close_leg(phone.end).packets_received == 5
    assert rig.status().packets_rejected == after.packets_rejected


def test_a_stranger_who_has_no_key_is_not_followed(rig):
    phone, carrier = Phone(rig), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    before = rig.status()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        for _ in range(60):
            stranger.sendto(bytes(phone.end.packet(b"\xd5" * 160)), phone.end.target)
    while rig.status().packets_rejected < before.packets_rejected + 60:
        pass
    assert rig.have(LegLatched) == []
    spoken = carrier.speak(SPEECH)
    assert heard(phone.hear(5)) == [packet.payload for packet in spoken]


def test_the_same_description_again_keeps_the_replay_window_and_the_counter(rig):
    """A hold, a session refresh, another codec: the keys are the same, and so is all that is known of both streams."""
    phone, carrier = Phone(rig), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    said, sealed = phone.say()  # its numbers begin below the wrap
    carrier.hear(5)
    said, again = phone.say()
    carrier.hear(5)
    before = rig.status()
    phone.describe(srtp=keys(), sends=False)
    phone.describe(srtp=keys())
    for datagram in sealed + again:
        phone.end.rtp.sendto(datagram, phone.end.target)
    while rig.status().packets_rejected < before.packets_rejected + 10:
        pass
    assert carrier.hear_nothing()
    said, _ = phone.say()  # beyond the wrap
    assert heard(carrier.hear(5)) == said


def test_new_keys_begin_a_new_stream_and_nothing_is_lost_of_what_crosses_them(rig):
    phone, carrier = Phone(rig), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    said, _ = phone.say()
    assert heard(carrier.hear(5)) == said
    carrier.speak(SPEECH)
    first = phone.hear(5)
    late = [phone.seal(bytes(phone.end.packet(bytes([number]) * 160))) for number in range(3)]
    phone.renew(CM, 3, 4)
    for datagram in late:
        phone.end.rtp.sendto(datagram, phone.end.target)
    assert heard(carrier.hear(3)) == [bytes([number]) * 160 for number in range(3)]
    said, _ = phone.say()
    assert heard(carrier.hear(5)) == said
    carrier.speak(SPEECH)
    second = phone.hear(5)
    # Whether a far end counts on or anew under a new key (RFC 3711 §3.3.1): of another source all begin with 0.
    assert {packet.ssrc for packet in first}.isdisjoint(packet.ssrc for packet in second)
    assert second[0].sequence_number < 0x8000 + 5
    assert (second[0].timestamp - first[-1].timestamp) % 0x100000000 < 8000 * 20
    before = rig.status().packets_rejected
    phone.end.rtp.sendto(late[0], phone.end.target)
    while rig.status().packets_rejected == before:
        pass


def test_a_new_key_of_theirs_alone_leaves_our_stream_as_it_is(rig):
    phone, carrier = Phone(rig), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    phone.say()
    carrier.hear(5)
    carrier.speak(SPEECH)
    first = phone.hear(5)
    phone.renew(CM, 1, 5)
    said, _ = phone.say()
    assert heard(carrier.hear(5)) == said
    carrier.speak(SPEECH)
    second = phone.hear(5)
    assert second[0].ssrc == first[0].ssrc
    assert second[0].sequence_number == first[-1].sequence_number + 1


def test_a_leg_may_become_encrypted_and_plain_again(rig):
    """Early media of one far end, and the answer of another."""
    carrier, end = rig.leg(), rig.leg()
    rig.arrange((end, carrier), (carrier, end))
    end.speak(SPEECH)
    carrier.hear(5)
    rig.describe(end, srtp=keys())
    before = rig.status().packets_rejected
    end.speak(SPEECH)
    while rig.status().packets_rejected < before + 5:
        pass
    rig.describe(end)
    rig.status()
    spoken = end.speak(SPEECH)
    assert heard(carrier.hear(5)) == [packet.payload for packet in spoken]
    assert rig.status().packets_rejected == before + 5
    carrier.speak(SPEECH)
    plain = end.hear(5)
    rig.describe(end, srtp=keys())
    rig.status()
    carrier.speak(SPEECH)
    there = SrtpProtection(SrtpKeys(suite=CM, send=key(CM, 2), receive=key(CM, 1)), time.monotonic)
    for _ in range(5):
        datagram = bytearray(end.rtp.recv(2048))
        packet = rtp.parse(bytes(datagram[: there.unprotect_rtp(datagram, len(datagram))]))
        assert packet.ssrc != plain[0].ssrc  # no number goes out twice under a key that comes again


@pytest.mark.parametrize("muxed", [False, True])
@pytest.mark.parametrize("suite", Suite)
def test_reports_are_protected_both_ways(rig, suite, muxed):
    phone = Phone(rig, suite)
    if muxed:
        phone.describe(srtp=keys(suite), remote_rtcp_port=phone.end.port)
    phone.say()
    report = compound(ReceiverReport(phone.end.ssrc), Goodbye((phone.end.ssrc,)))
    before = rig.status().packets_rejected
    sender, target = (phone.end.rtp, phone.end.target) if muxed else (phone.end.rtcp, phone.end.rtcp_target)
    sender.sendto(phone.seal(report, phone.there.protect_rtcp), target)
    sender.sendto(report, target)  # plain: is rejected
    while rig.status().packets_rejected == before:
        pass
    rig.close_leg(phone.end)
    packets = rtcp.parse(phone.unseal(sender.recv(2048), phone.there.unprotect_rtcp))
    assert isinstance(packets[-1], Goodbye)


def test_a_report_after_a_renewal_counts_the_stream_it_is_of(rig):
    """RFC 3550 §6.4.1: the counts begin anew with the SSRC."""
    phone, carrier = Phone(rig), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    phone.say()
    carrier.hear(5)
    carrier.speak(SPEECH)
    phone.hear(5)
    phone.renew(CM, 3, 4)
    carrier.speak(tones.probe(440, 0.04))
    newest = phone.hear(2)[-1]
    quality = rig.close_leg(phone.end)
    datagram = phone.end.rtcp.recv(2048)
    report = rtcp.parse(phone.unseal(datagram, phone.there.unprotect_rtcp))[0]
    assert isinstance(report, SenderReport)
    assert (report.ssrc, report.packets_sent) == (newest.ssrc, 2)
    assert quality.packets_sent == 7


def test_a_packet_that_grew_too_long_is_not_sent_in_plain(rig):
    """The buffer has no room for its tag."""
    phone, carrier = Phone(rig), rig.leg()
    rig.arrange((phone.end, carrier), (carrier, phone.end))
    before = rig.status().packets_dropped
    carrier.send(carrier.packet(b"\xd5" * (2048 - 12 - 9)))
    while rig.status().packets_dropped == before:
        pass
    spoken = carrier.speak(SPEECH)
    assert heard(phone.hear(5)) == [packet.payload for packet in spoken]


def test_no_log_line_at_debug_shows_a_key(tmp_path):
    rig = Rig(tmp_path, pairs=4, program=("-m", "media.worker", "--log-level", "DEBUG"))
    phone = Phone(rig)
    phone.end.speak(SPEECH)
    phone.renew(CM, 3, 4)
    # A description of which no leg comes: it fails, and what was asked is written down.
    phone.describe(srtp=keys(CM, 5, 6), remote_address="not an address", until_heard=True)
    phone.describe(srtp=keys(CM, 5, 6), remote_address="127.0.0.1", ptime_ms=0)
    rig.status()
    rig.clear()
    rig.end()
    log = rig.log_path.read_text()
    for number in range(1, 7):
        secret = key(CM, number)
        for form in (repr(secret)[2:10], secret.hex(), secret[:8].hex()):
            assert form not in log
    assert "dropped:" in log


def test_an_encrypted_leg_is_mixed_with_two_others_and_plays_and_presses_like_any_leg(rig):
    phone, b, c = Phone(rig), rig.leg(), rig.leg()
    parties = (phone.end, b, c)
    rig.arrange(*permutations(parties, 2))
    ours, theirs = PCMA.encode(tones.probe(440, 0.5)), PCMA.encode(tones.probe(1000, 0.5))
    begin = time.monotonic()
    for number in range(50):
        at = number % 25 * 160
        phone.end.rtp.sendto(phone.seal(bytes(phone.end.packet(ours[at : at + 160]))), phone.end.target)
        b.send(b.packet(theirs[at : at + 160]))
        select.select([], [], [], max(0.0, begin + (number + 1) * 0.02 - time.monotonic()))
    rig.status()
    at_c, at_phone = c.audio(c.heard())[4000:], phone.end.audio(phone.hear(40))[2400:]
    assert level(at_c, 440) == pytest.approx(level(at_c, 1000), abs=3)
    assert level(at_phone, 1000) > level(at_phone, 440) + 20
    rig.arrange()
    phone.end.drain()
    rig.order(SendDigits(leg=phone.end.name, digits="5"))
    packets = phone.hear(5)
    assert {(packet.payload_type, packet.payload[0]) for packet in packets} == {(101, 5)}
