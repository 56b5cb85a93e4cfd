"""The worker end to end: a real process, real UDP sockets, the control protocol."""

import itertools
import os
import random
import signal
import socket
import wave

import numpy as np
import pytest

from media import tones
from media.codecs import PCMA, PCMU
from media.control import (
    ArrangeAudio,
    CloseLeg,
    DigitReceived,
    LegClosed,
    LegLatched,
    LegSilent,
    OpenLeg,
    PauseRecording,
    Play,
    PlayEnded,
    RecordingEnded,
    Refused,
    SendDigits,
    Shutdown,
    StartRecording,
    Stop,
    StopRecording,
    TakeOver,
)
from media.dtmf import ToneDetector, event_packets, parse_event
from media.rtp import packet as rtp
from media.rtp.latch import RELATCH_AFTER
from media.rtp.packet import HeaderExtension, RtpPacket
from media.rtp.rtcp import Goodbye, ReceiverReport, ReportBlock, SdesItem, SenderReport, SourceDescription, compound
from media.rtp.rtcp import parse as parse_rtcp
from media.wave_file import alaw_file
from tests.media.rig import DEADLINE_S, Rig, free_ports

pytestmark = pytest.mark.interop

TONE_A, TONE_B = 440, 1000


def silence(frames):
    return np.zeros(160 * frames, dtype=np.int16)


def tone(frequency, frames):
    return tones.probe(frequency, frames * 0.02)


def frequency_of(far_end, packets):
    return tones.dominant_frequency(far_end.audio(packets))


@pytest.fixture
def call(rig):
    """Two bridged A-law legs."""
    a, b = rig.leg(), rig.leg()
    rig.bridge(a, b)
    return a, b


# ------------------------------------------------------------------ relay


def test_relay_passes_the_identical_payload_under_our_own_ssrc(call):
    a, b = call
    sent = a.speak(tone(TONE_A, 20))
    heard = b.hear(20)
    assert [packet.payload for packet in heard] == [packet.payload for packet in sent]
    assert len({packet.ssrc for packet in heard}) == 1
    assert heard[0].ssrc != a.ssrc


def test_relay_keeps_the_distances_of_numbers_and_timestamps_across_the_wrap(call):
    a, b = call
    sent = a.speak(tone(TONE_A, 20), lose={3, 7})
    heard = b.hear(18)
    numbers = [(packet.sequence_number - heard[0].sequence_number) & 0xFFFF for packet in heard]
    times = [(packet.timestamp - heard[0].timestamp) & 0xFFFFFFFF for packet in heard]
    assert numbers == [(packet.sequence_number - sent[0].sequence_number) & 0xFFFF for packet in sent]
    assert times == [(packet.timestamp - sent[0].timestamp) & 0xFFFFFFFF for packet in sent]
    assert [packet.marker for packet in heard] == [True] + [False] * 17


def test_both_directions_flow_at_once(call):
    a, b = call
    a.speak(tone(TONE_A, 10))
    b.speak(tone(TONE_B, 10))
    assert frequency_of(b, b.hear(10)) == pytest.approx(TONE_A, abs=3)
    assert frequency_of(a, a.hear(10)) == pytest.approx(TONE_B, abs=3)


@pytest.mark.parametrize(("one", "other"), [(PCMA, PCMU), (PCMU, PCMA)])
def test_codecs_are_converted_sample_by_sample(rig, one, other):
    a, b = rig.leg(one.name), rig.leg(other.name)
    rig.bridge(a, b)
    sent = a.speak(tone(TONE_A, 10))
    heard = b.hear(10)
    assert {packet.payload_type for packet in heard} == {other.payload_type}
    assert [packet.payload for packet in heard] == [other.encode(one.decode(packet.payload)) for packet in sent]


def test_far_end_that_switches_to_the_other_g711_is_still_understood(call):
    """RFC 3264 §5.1: any format of the answer may be sent at any time."""
    a, b = call
    a.speak(tone(TONE_A, 1))
    b.hear(1)
    a.send(a.packet(PCMU.encode(tone(TONE_A, 1)), payload_type=0))
    heard = b.hear(1)[0]
    assert heard.payload_type == 8
    assert heard.payload == PCMA.encode(PCMU.decode(PCMU.encode(tone(TONE_A, 1))))


@pytest.mark.parametrize("samples", [80, 240, 320])
def test_other_packet_lengths_pass_as_they_are(call, samples):
    a, b = call
    for _ in range(3):
        a.send(a.packet(b"\x55" * samples, advance=samples))
    heard = b.hear(3)
    assert {len(packet.payload) for packet in heard} == {samples}
    assert (heard[2].timestamp - heard[0].timestamp) & 0xFFFFFFFF == 2 * samples


def test_csrcs_extension_and_padding_are_not_passed_on(call):
    a, b = call
    a.speak(tone(TONE_A, 1))
    plain = a.packet(b"\x11" * 160)
    a.send(
        RtpPacket(
            8,
            plain.sequence_number,
            plain.timestamp,
            plain.ssrc,
            plain.payload,
            csrcs=(1, 2),
            extension=HeaderExtension(0xBEDE, b"abcd"),
            padding=b"\0\2",
        )
    )
    heard = b.hear(2)[1]
    assert (heard.payload, heard.csrcs, heard.extension, heard.padding) == (b"\x11" * 160, (), None, b"")


def test_duplicates_are_not_passed_on_and_late_ones_are(rig, call):
    a, b = call
    packets = [a.packet(bytes([index]) * 160) for index in range(5)]
    for index in (0, 1, 3, 3, 2, 2, 4):
        a.send(packets[index])
    assert [packet.payload[0] for packet in b.hear(5)] == [0, 1, 3, 2, 4]
    rig.status()
    assert b.hear_nothing()


def test_noise_stun_and_foreign_payload_types_are_not_passed_on(rig, call):
    a, b = call
    a.speak(tone(TONE_A, 1))
    b.hear(1)
    before = rig.status().packets_received
    noise = [b"", b"\x80", bytes(12), b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), b"\x16\xfe\xfd" + bytes(60)]
    noise += [bytes(a.packet(b"x" * 20, payload_type=18)), b"\x90" + bytes(a.packet(b"xx"))[1:]]
    for datagram in noise:
        a.rtp.sendto(datagram, a.target)
    rig.settle(before + len(noise))
    assert b.hear_nothing()
    a.speak(tone(TONE_A, 1))
    assert len(b.hear(1)) == 1


def test_re_targeted_leg_hears_one_continuous_stream(rig):
    """Prompt, first partner, music, second partner: one SSRC, numbers without a step, time forward, marker at each change."""
    caller, first, second = rig.leg(), rig.leg(), rig.leg()
    heard = []
    rig.order(Play(leg=caller.name, play="p1", sounds=("tone/probe-500",)))
    heard += caller.hear(5)
    rig.order(Stop(leg=caller.name))
    rig.bridge(caller, first)
    caller.drain()
    before = rig.status()
    assert before.bridges == 1
    first.speak(tone(TONE_A, 5))
    relayed = caller.hear(5)
    rig.order(rig.parting(caller), Play(leg=caller.name, play="p2", sounds=("music/default",), loop=True))
    music = caller.hear(5)
    rig.order(Stop(leg=caller.name))
    rig.bridge(caller, second)
    caller.drain()
    second.speak(tone(TONE_B, 5))
    last = caller.hear(5)
    assert {packet.ssrc for packet in heard + relayed + music + last} == {heard[0].ssrc}
    for part in (heard, relayed, music, last):
        assert [packet.marker for packet in part] == [True, False, False, False, False]
        assert [(packet.sequence_number - part[0].sequence_number) & 0xFFFF for packet in part] == list(range(5))
        assert [(packet.timestamp - part[0].timestamp) & 0xFFFFFFFF for packet in part] == list(range(0, 800, 160))
    # Frames of the prompt that were on their way when the bridge came were drained, so only "no step back" can be said across parts.
    for earlier, later in ((heard, relayed), (relayed, music), (music, last)):
        assert 0 < (later[0].sequence_number - earlier[-1].sequence_number) & 0xFFFF < 50
        assert 160 <= (later[0].timestamp - earlier[-1].timestamp) & 0xFFFFFFFF < 80_000
    assert (music[0].sequence_number - relayed[-1].sequence_number) & 0xFFFF == 1


def test_bridging_again_changes_partners(rig):
    a, b, c = rig.leg(), rig.leg(), rig.leg()
    rig.bridge(a, b)
    rig.bridge(a, c)
    assert rig.status().bridges == 1
    a.speak(tone(TONE_A, 2))
    assert len(c.hear(2)) == 2
    assert b.hear_nothing()


def test_unbridged_and_held_legs_hear_nothing(rig, call):
    a, b = call
    rig.describe(b, sends=False)
    read = rig.status().packets_received
    a.speak(tone(TONE_A, 3))
    rig.settle(read + 3)
    assert b.hear_nothing()
    rig.describe(b)
    rig.status()
    a.speak(tone(TONE_A, 2))
    resumed = b.hear(2)
    assert resumed[0].marker
    rig.order(rig.parting(b))
    read = rig.status().packets_received
    a.speak(tone(TONE_A, 3))
    rig.settle(read + 3)
    assert b.hear_nothing()


def test_leg_that_does_not_receive_passes_nothing_on_and_counts_no_loss(rig, call):
    a, b = call
    a.speak(tone(TONE_A, 3))
    b.hear(3)
    rig.describe(a, receives=False)
    rig.status()
    a.speak(tone(TONE_A, 50))
    rig.status()
    rig.describe(a)
    rig.status()
    b.drain()
    a.speak(tone(TONE_A, 3))
    heard = b.hear(3)
    assert heard[0].marker
    assert rig.close_leg(a).packets_lost == 0


def test_relay_over_ipv6(rig):
    a, b = rig.leg(address="::1"), rig.leg(address="::1")
    rig.bridge(a, b)
    sent = a.speak(tone(TONE_A, 5))
    assert [packet.payload for packet in b.hear(5)] == [packet.payload for packet in sent]


def test_address_of_zeros_is_a_hold_and_nothing_is_sent_to_ourselves(rig, call):
    """RFC 3264 §8.4."""
    a, b = call
    rig.describe(b, remote_address="0.0.0.0")
    rig.status()
    sent = rig.status().packets_sent
    a.speak(tone(TONE_A, 3))
    rig.settle(rig.status().packets_received)
    assert rig.status().packets_sent == sent


@pytest.mark.parametrize("said", ["127.0.0.1", "127.0.0.9", "::1", "a-name.example"])
def test_nothing_is_sent_to_an_address_that_is_only_said_until_its_packets_come(rig, said):
    a, b = rig.leg(), rig.leg()
    rig.describe(b, remote_address=said, signals_from=("127.0.0.1",), until_heard=True)
    rig.bridge(a, b)
    before = rig.status().packets_sent
    a.speak(tone(TONE_A, 3))
    rig.settle(rig.status().packets_received)
    assert rig.status().packets_sent == before
    assert b.hear_nothing()
    b.speak(tone(TONE_B, 1))
    a.hear(1)
    a.speak(tone(TONE_A, 2))
    assert len(b.hear(2)) == 2


def test_description_of_another_address_family_is_ignored(rig, call):
    a, b = call
    rig.describe(b, remote_address="::1")
    rig.status()
    a.speak(tone(TONE_A, 2))
    assert len(b.hear(2)) == 2


def test_random_octets_at_every_port_harm_nothing(rig, call):
    """Plain noise, and noise behind the beginnings of RTP, RTCP, STUN and DTLS; the fixture looks for faults caught inside."""
    a, b = call
    a.speak(tone(TONE_A, 1))
    b.hear(1)
    before = rig.status().packets_received
    draw = random.Random(4733)
    beginnings = [
        b"",
        b"\x80\x08",
        b"\x80\x65",
        b"\x9f\x08",
        b"\xb0\x88",
        b"\x80\xc8",
        b"\x81\xc9\x00\x07",
        b"\x00\x01\x00\x00\x21\x12\xa4\x42",
        b"\x16\xfe",
    ]
    for number in range(400):
        noise = draw.choice(beginnings) + draw.randbytes(draw.randrange(120))
        a.rtp.sendto(noise, a.target)
        a.rtcp.sendto(noise, a.rtcp_target)
        if number % 100 == 99:
            rig.settle(before + number + 1)
    b.drain()
    rig.order(rig.parting(a))
    rig.bridge(a, b)
    a.ssrc += 1
    sent = a.speak(tone(TONE_A, 3))
    assert [packet.payload for packet in b.hear(3)] == [packet.payload for packet in sent]


# ------------------------------------------------------------------ latching (RFC 4961)


def test_media_goes_where_packets_come_from_not_where_the_sdp_says(rig):
    a, b = rig.leg(), rig.leg(described=False)
    rig.describe(b, remote_address="127.0.0.9", remote_port=9, remote_rtcp_port=10, signals_from=("127.0.0.1",))
    rig.bridge(a, b)
    b.speak(tone(TONE_B, 1))
    latched = rig.wait_for(LegLatched, leg=b.name)
    assert (latched.remote_address, latched.remote_port) == ("127.0.0.1", b.port)
    a.speak(tone(TONE_A, 2))
    assert len(b.hear(2)) == 2


def test_stranger_is_neither_heard_nor_followed(rig, call):
    a, b = call
    a.speak(tone(TONE_A, 2))
    b.hear(2)
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.1", 0))
    before = rig.status().packets_received
    for number in range(3 * RELATCH_AFTER):
        stranger.sendto(bytes(RtpPacket(8, number, number * 160, 666, b"\x99" * 160)), a.target)
        if number % 5 == 4:
            a.speak(tone(TONE_A, 1))
    rig.settle(before + 3 * RELATCH_AFTER + 6)
    assert [packet for packet in b.hear(6) if packet.payload[0] == 0x99] == []
    assert b.hear_nothing()
    b.speak(tone(TONE_B, 1))
    assert len(a.hear(1)) == 1
    stranger.close()


@pytest.fixture
def stranger():
    """A socket at an address of its own that knows a leg's port, and nothing else."""
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.66", 0))
    found.settimeout(10)
    yield found
    found.close()


def spray(found, target, packets, payload=b"\x99" * 160, *, first=0):
    """So many packets of one stream."""
    for number in range(first, first + packets):
        found.sendto(bytes(RtpPacket(8, number, number * 160, 666, payload)), target)


def nothing_came(found):
    found.setblocking(False)
    with pytest.raises(BlockingIOError):
        found.recv(2048)
    return True


def test_a_silent_party_hears_its_call_where_it_said_whoever_sprays_its_port(rig, stranger):
    """A muted phone without comfort noise never sends: ten packets from anywhere drew the call to whoever sent them."""
    a, b = rig.leg(), rig.leg(described=False)
    rig.describe(b, signals_from=("127.0.0.1",))
    rig.bridge(a, b)
    before = rig.status().packets_received
    spray(stranger, b.target, 5 * RELATCH_AFTER)
    rig.settle(before + 5 * RELATCH_AFTER)
    a.drain()
    sent = a.speak(tone(TONE_A, 5))
    assert [packet.payload for packet in b.hear(5)] == [packet.payload for packet in sent]
    assert nothing_came(stranger)
    # The phone is unmuted: it has its stream at once.
    b.speak(tone(TONE_B, 1))
    assert rig.wait_for(LegLatched, leg=b.name).remote_port == b.port
    assert len(a.hear(1)) == 1


def test_a_carrier_that_sends_from_elsewhere_is_heard_and_hears_where_it_said(rig, stranger):
    """RFC 3264 §5.1: the address is where to send to; nothing is said of where it sends from."""
    a, b = rig.leg(), rig.leg(described=False)
    rig.describe(b, signals_from=("127.0.0.20",))
    rig.bridge(a, b)
    spray(stranger, b.target, RELATCH_AFTER + 4, b"\x42" * 160)
    assert {packet.payload for packet in a.hear(5)} == {b"\x42" * 160}
    a.speak(tone(TONE_A, 3))
    assert len(b.hear(3)) == 3
    assert [report for report in rig.have(LegLatched) if report.leg == b.name] == []
    # Its reports come from there too, and are read; ours go where it said.
    stranger.sendto(compound(ReceiverReport(666, ())), b.rtcp_target)
    rig.order(CloseLeg(leg=b.name))
    assert any(isinstance(packet, Goodbye) for packet in b.reports())
    assert nothing_came(stranger)


def test_behind_nat_the_port_is_only_known_by_what_comes_from_it(rig, stranger):
    a, b = rig.leg(), rig.leg(described=False)
    rig.describe(b, remote_address="127.0.0.9", signals_from=("198.51.100.7",))  # to the latch 127/8 is as local as 10/8
    rig.bridge(a, b)
    spray(stranger, b.target, RELATCH_AFTER)
    assert rig.wait_for(LegLatched, leg=b.name).remote_port == stranger.getsockname()[1]
    a.speak(tone(TONE_A, 1))
    assert rtp.parse(stranger.recv(2048)).payload_type == 8


def test_after_a_new_description_the_old_address_has_to_prove_itself_again(rig, stranger):
    a, b = rig.leg(), rig.leg(described=False)
    rig.describe(b, remote_address="127.0.0.66", remote_port=stranger.getsockname()[1], signals_from=("127.0.0.20",))
    rig.bridge(a, b)
    spray(stranger, b.target, 1)
    rig.wait_for(LegLatched, leg=b.name)
    a.hear(1)
    rig.describe(b, signals_from=("127.0.0.20",))
    before = rig.status().packets_received
    spray(stranger, b.target, RELATCH_AFTER - 1, first=1)
    rig.settle(before + RELATCH_AFTER - 1)
    assert a.hear_nothing()
    a.speak(tone(TONE_A, 2))
    assert len(b.hear(2)) == 2
    assert nothing_came(stranger)


def test_a_description_that_names_another_port_is_followed_although_the_old_one_goes_on(rig, call):
    """RFC 3264 §8.3.1: the offerer "MUST be prepared to receive media on both the old and new ports"; it is sent to the new one."""
    a, b = call
    a.speak(tone(TONE_A, 2))
    b.speak(tone(TONE_B, 2))
    a.hear(2)
    b.hear(2)
    moved = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    moved.bind(("127.0.0.1", 0))
    moved.settimeout(DEADLINE_S)
    rig.describe(a, remote_port=moved.getsockname()[1], signals_from=("127.0.0.1",))
    rig.status()
    a.speak(tone(TONE_A, 2 * RELATCH_AFTER))  # from the old port still
    assert len(b.hear(2 * RELATCH_AFTER)) == 2 * RELATCH_AFTER  # and it is heard
    b.speak(tone(TONE_B, 3))
    assert [rtp.parse(moved.recv(2048)).payload_type for _ in range(3)] == [8] * 3
    rig.status()
    assert a.hear_nothing()
    moved.close()


def test_after_the_new_port_was_heard_the_old_one_is_a_stranger(rig, call):
    a, b = call
    a.speak(tone(TONE_A, 2))
    b.hear(2)
    old, a.rtp = a.rtp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.rtp.bind(("127.0.0.1", 0))
    a.rtp.settimeout(DEADLINE_S)
    rig.describe(a, signals_from=("127.0.0.1",))
    rig.status()
    a.speak(tone(TONE_A, 2))
    b.hear(2)
    before = rig.status().packets_received
    spray(old, a.target, 2 * RELATCH_AFTER)
    rig.settle(before + 2 * RELATCH_AFTER)
    assert b.hear_nothing()
    b.speak(tone(TONE_B, 2))
    assert len(a.hear(2)) == 2
    old.close()


def test_reports_go_to_the_port_that_a_new_description_names(rig):
    a = rig.leg()
    a.speak(silence(2))
    rig.wait_for(LegLatched, leg=a.name)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    other.settimeout(DEADLINE_S)
    rig.describe(a, remote_rtcp_port=other.getsockname()[1])
    rig.close_leg(a)  # which says goodbye there
    assert parse_rtcp(other.recv(2048))
    other.close()


def test_a_burst_from_the_far_ends_own_host_does_not_take_the_stream(rig, call):
    """Ten packets at once take no time: whoever shares the host or its NAT waits until the far end has been silent."""
    a, b = call
    a.speak(tone(TONE_A, 2))
    b.hear(2)
    rig.wait_for(LegLatched, leg=a.name)
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.1", 0))
    before = rig.status().packets_received
    for number in range(3 * RELATCH_AFTER):
        stranger.sendto(rtp.HEADER.pack(0x80, 8, number, number * 160, 0xBAD) + b"\x99" * 160, a.target)
        if number % 5 == 4:  # the far end speaks in between
            a.speak(tone(TONE_A, 1))
    rig.settle(before + 3 * RELATCH_AFTER + 6)
    assert not [report for report in rig.have(LegLatched) if report.remote_port == stranger.getsockname()[1]]
    stranger.close()


def test_handover_to_another_address_is_followed(rig, call):
    a, b = call
    a.speak(tone(TONE_A, 2))
    rig.wait_for(LegLatched, leg=a.name)
    moved = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    moved.bind(("127.0.0.1", 0))
    moved.settimeout(10)
    for _ in range(RELATCH_AFTER):
        moved.sendto(bytes(a.packet(b"\x42" * 160)), a.target)
    assert rig.wait_for(LegLatched, leg=a.name).remote_port == moved.getsockname()[1]
    b.speak(tone(TONE_B, 1))
    assert rtp.parse(moved.recv(2048)).payload_type == 8
    moved.close()


# ------------------------------------------------------------------ prompts


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
def test_prompt_is_heard_at_its_frequency_and_ends_once(rig, codec):
    a = rig.leg(codec)
    rig.order(Play(leg=a.name, play="p", sounds=("tone/probe-600", "tone/beep")))
    heard = a.hear(50 + 20)
    assert frequency_of(a, heard[:50]) == pytest.approx(600, abs=1)
    assert frequency_of(a, heard[50:]) == pytest.approx(1000, abs=2)
    assert rig.wait_for(PlayEnded).outcome == "finished"
    rig.status()
    assert rig.have(PlayEnded) == []
    assert a.hear_nothing()


@pytest.mark.slow
def test_frames_are_paced_by_absolute_deadlines(rig):
    """Two legs play 1 s each; no tick may be counted late on an idle machine, and 50 frames are 50 frames."""
    a, b = rig.leg(), rig.leg()
    rig.order(*(Play(leg=leg.name, play=leg.name, sounds=("tone/probe-600",)) for leg in (a, b)))
    for leg in (a, b):
        times = [packet.timestamp for packet in leg.hear(50)]
        assert {(later - earlier) & 0xFFFFFFFF for earlier, later in itertools.pairwise(times)} == {160}
        rig.wait_for(PlayEnded, leg=leg.name, outcome="finished")


@pytest.mark.slow
def test_looped_tone_goes_on_without_a_seam(rig):
    a = rig.leg()
    rig.order(Play(leg=a.name, play="p", sounds=("tone/probe-1000",), loop=True))
    audio = a.audio(a.hear(75)).astype(int)
    assert np.abs(np.diff(audio)).max() <= np.abs(np.diff(audio[:160])).max() + 64
    rig.order(Stop(leg=a.name))
    assert rig.wait_for(PlayEnded).outcome == "stopped"


def test_a_bridge_is_heard_as_soon_as_the_prompt_is_stopped(rig):
    a, b = rig.leg(), rig.leg()
    rig.order(Play(leg=a.name, play="p", sounds=("music/default",), loop=True))
    a.hear(3)
    rig.order(Stop(leg=a.name), ArrangeAudio(room="r", hears=((a.name, b.name), (b.name, a.name))))
    rig.wait_for(PlayEnded, outcome="stopped")
    a.drain()
    b.speak(tone(TONE_B, 5))
    assert frequency_of(a, a.hear(5)) == pytest.approx(TONE_B, abs=5)
    assert a.hear_nothing()


@pytest.mark.slow
def test_another_play_replaces_the_first(rig):
    a = rig.leg()
    rig.order(Play(leg=a.name, play="one", sounds=("music/default",)), Play(leg=a.name, play="two", sounds=("tone/beep",)))
    assert rig.wait_for(PlayEnded).play == "one"
    assert rig.wait_for(PlayEnded, play="two").outcome == "finished"


@pytest.mark.parametrize("sounds", [("de/no.such.sound",), ("../../etc/passwd",), ("xx/yy", "@00")])
def test_a_play_of_unknown_sounds_alone_is_reported_and_nothing_plays(rig, sounds):
    a = rig.leg()
    rig.order(Play(leg=a.name, play="p", sounds=sounds))
    assert rig.wait_for(PlayEnded) == PlayEnded(leg=a.name, play="p", outcome="unknown_sound", left_out=sounds)
    rig.status()
    assert a.hear_nothing()


@pytest.mark.parametrize("outcome", ["finished", "stopped"])
def test_an_unknown_sound_is_left_out_of_a_play_and_told_when_it_ends(rig, outcome):
    a = rig.leg()
    rig.order(Play(leg=a.name, play="p", sounds=("xx/yy", "tone/probe-600"), loop=outcome == "stopped"))
    assert frequency_of(a, a.hear(20)) == pytest.approx(600, abs=2)
    if outcome == "stopped":
        rig.order(Stop(leg=a.name))
    assert rig.wait_for(PlayEnded, outcome=outcome).left_out == ("xx/yy",)


def test_a_tenants_own_sound_is_heard_as_soon_as_its_file_is_there(rig, tmp_path):
    """The worker was started long before; another recording has another id, so nothing of it is remembered for too long."""
    a = rig.leg()
    for ident, hz in (("aa" * 20, 700), ("bb" * 20, 900)):
        (tmp_path / f"{ident}.wav").write_bytes(alaw_file(PCMA.encode(tone(hz, 20))))
        rig.order(Play(leg=a.name, play=ident, sounds=(f"@{ident}",), folder=str(tmp_path)))
        assert frequency_of(a, a.hear(20)) == pytest.approx(hz, abs=3)
        rig.wait_for(PlayEnded, play=ident, outcome="finished")


@pytest.mark.slow
def test_prompt_waits_for_the_description(rig):
    a = rig.leg(described=False)
    rig.order(Play(leg=a.name, play="p", sounds=("tone/beep",)))
    rig.status()
    assert a.hear_nothing()
    rig.describe(a)
    assert len(a.hear(20)) == 20
    rig.wait_for(PlayEnded, outcome="finished")


def test_play_to_a_leg_that_is_gone_ends_at_once(rig):
    rig.order(Play(leg="nobody", play="p", sounds=("tone/beep",)))
    assert rig.wait_for(PlayEnded).outcome == "stopped"


@pytest.mark.slow
def test_play_over_a_bridge_mutes_the_partner_until_it_ends(rig, call):
    a, b = call
    b.speak(tone(TONE_B, 2))
    a.hear(2)
    rig.order(Play(leg=a.name, play="p", sounds=("tone/beep",)))
    first = a.hear(1)
    b.speak(tone(TONE_B, 5))
    beep = first + a.hear(19)
    assert frequency_of(a, beep) == pytest.approx(1000, abs=3)
    rig.wait_for(PlayEnded, outcome="finished")
    b.speak(tone(440, 5))
    after = a.hear(5)
    assert frequency_of(a, after) == pytest.approx(440, abs=5)
    assert (after[0].sequence_number - beep[-1].sequence_number) & 0xFFFF == 1


# ------------------------------------------------------------------ digits (RFC 4733)


def press(far_end, digit, event=101, *, lose=()):
    """Send one digit as a phone does: one timestamp, growing duration."""
    for index, packet in enumerate(event_packets(digit, 100)):
        sent = far_end.packet(packet.payload, payload_type=event, marker=packet.marker, advance=0)
        if index not in lose:
            far_end.send(sent)
    far_end.timestamp += 800 + 160


def test_digits_are_reported_once_each(rig):
    a = rig.leg()
    for digit in "159#":
        press(a, digit)
    digits = [rig.wait_for(DigitReceived) for _ in range(4)]
    assert [(digit.digit, digit.duration_ms) for digit in digits] == [("1", 100), ("5", 100), ("9", 100), ("#", 100)]
    rig.status()
    assert rig.have(DigitReceived) == []


def test_digit_without_its_end_packets_is_reported_all_the_same(rig):
    a = rig.leg()
    press(a, "3", lose={4, 5, 6})
    assert rig.wait_for(DigitReceived).duration_ms == 80


def test_digits_are_relayed_with_the_payload_type_of_the_partner(rig):
    a, b = rig.leg(event=101), rig.leg(event=96)
    rig.bridge(a, b)
    a.speak(tone(TONE_A, 2))
    press(a, "7")
    a.speak(tone(TONE_A, 2))
    heard = b.hear(2 + 7 + 2)
    events = heard[2:9]
    assert [packet.payload_type for packet in heard] == [8] * 2 + [96] * 7 + [8] * 2
    assert [packet.marker for packet in events] == [True] + [False] * 6
    assert len({packet.timestamp for packet in events}) == 1
    assert [parse_event(packet.payload).duration for packet in events] == [160, 320, 480, 640, 800, 800, 800]
    assert rig.wait_for(DigitReceived, leg=a.name).digit == "7"


def test_each_side_sends_events_under_the_number_that_the_other_gave(rig):
    """RFC 3264 §5.1, §6.1: an answer may have another number than the offer, and both hold, each in its direction."""
    a, b = rig.leg(event=96, receive_telephone_event=101), rig.leg()
    rig.bridge(a, b)
    press(a, "7", event=96)
    press(a, "5", event=101)
    assert rig.wait_for(DigitReceived, leg=a.name).digit == "5"
    assert {packet.payload_type for packet in b.hear(7)} == {101}
    press(b, "2")
    assert {packet.payload_type for packet in a.hear(7)} == {96}


def test_events_under_the_senders_own_number_are_taken_too_where_it_is_told(rig):
    a, b = rig.leg(event=96, receive_telephone_event=101, renumbered_telephone_event=96), rig.leg()
    rig.bridge(a, b)
    for key, number in (("7", 96), ("5", 101)):
        press(a, key, event=number)
        assert rig.wait_for(DigitReceived, leg=a.name, digit=key)
        assert {packet.payload_type for packet in b.hear(7)} == {101}


def test_audio_under_either_number_of_a_codec_is_heard(rig):
    """An answer may give PCMA another number (RFC 3264 §6.1): packets come under ours by right, under theirs by habit."""
    a, b = rig.leg(payload_type=97), rig.leg()
    rig.bridge(a, b)
    for number in (97, 8):
        a.payload_type = number
        a.speak(tone(TONE_A, 3))
        assert {packet.payload_type for packet in b.hear(3)} == {8}


def test_packets_of_a_type_nobody_agreed_on_are_counted_and_said_once_a_leg(rig):
    before, read = rig.status().packets_of_unknown_type, rig.status().packets_received
    a = rig.leg()
    a.payload_type = 110
    a.speak(tone(TONE_A, 4))
    rig.settle(read + 4)
    assert rig.status().packets_of_unknown_type == before + 4


def test_digit_for_a_partner_without_events_becomes_a_tone(rig):
    a, b = rig.leg(), rig.leg(event=None)
    rig.bridge(a, b)
    press(a, "4")
    audio = b.audio(b.hear(5))
    assert [digit.digit for digit in ToneDetector().receive(np.concatenate([audio, silence(3)]))] == ["4"]


def test_digit_in_band_is_detected_where_no_events_were_agreed(rig):
    a = rig.leg(event=None)
    a.speak(np.concatenate([silence(2), tones.dtmf("8", 100), silence(3)]))
    assert (rig.wait_for(DigitReceived).digit, rig.have(DigitReceived)) == ("8", [])


def test_digit_stops_a_prompt_that_wants_it(rig):
    a = rig.leg()
    rig.order(Play(leg=a.name, play="menu", sounds=("de/menu",), stop_on_digit=True))
    a.hear(2)
    press(a, "2", lose={1, 2, 3, 4, 5, 6})
    assert rig.wait_for(PlayEnded).outcome == "stopped"
    rig.order(Play(leg=a.name, play="other", sounds=("music/default",)))
    press(a, "3")
    assert rig.wait_for(DigitReceived, digit="3")
    rig.status()
    assert rig.have(PlayEnded) == []


def test_digits_are_sent_as_events_with_three_ends(rig):
    a = rig.leg(event=101)
    rig.order(SendDigits(leg=a.name, digits="5#", duration_ms=60, gap_ms=40))
    packets = a.hear(10)
    events = [parse_event(packet.payload) for packet in packets]
    assert [event.code for event in events] == [5] * 5 + [11] * 5
    assert [event.duration for event in events] == [160, 320, 480, 480, 480] * 2
    assert [event.is_end for event in events] == [False, False, True, True, True] * 2
    assert [packet.marker for packet in packets] == [True, False, False, False, False] * 2
    first, second = packets[0].timestamp, packets[5].timestamp
    assert {packet.timestamp for packet in packets} == {first, second}
    assert [(packet.sequence_number - packets[0].sequence_number) & 0xFFFF for packet in packets] == list(range(10))
    # five ticks of the first digit, two of the gap: seven frames on the clock, one less where a tick fell, more if the machine stood still
    assert 6 * 160 <= (second - first) & 0xFFFFFFFF < 8000


@pytest.mark.slow
def test_sent_digit_mutes_the_partner_and_keeps_the_time_base(rig, call):
    a, b = call
    b.speak(tone(TONE_B, 2))
    before = a.hear(2)
    rig.order(SendDigits(leg=a.name, digits="1", duration_ms=400))
    heard = a.hear(1)
    muted = b.speak(tone(TONE_B, 3))
    heard += a.hear(21)
    assert {packet.payload_type for packet in heard} == {101}
    rig.status()
    after_sent = b.speak(tone(TONE_B, 2))
    after = a.hear(2)
    assert (after[0].sequence_number - heard[-1].sequence_number) & 0xFFFF == 1
    assert len(muted) == 3
    assert (after[0].timestamp - before[-1].timestamp) & 0xFFFFFFFF == 4 * 160
    assert [packet.payload for packet in after] == [packet.payload for packet in after_sent]


def test_digits_are_sent_in_band_where_no_events_were_agreed(rig):
    a = rig.leg(event=None)
    rig.order(SendDigits(leg=a.name, digits="0", duration_ms=100))
    audio = a.audio(a.hear(5))
    assert tones.dominant_frequency(audio) == pytest.approx(1336, abs=10) or tones.dominant_frequency(audio) == pytest.approx(941, abs=10)


# ------------------------------------------------------------------ recording


def read_wave(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (8000, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, file.getnchannels())


@pytest.mark.slow
def test_recording_has_each_party_in_its_own_channel(rig, tmp_path):
    a, b = rig.leg("PCMA"), rig.leg("PCMU")
    rig.bridge(a, b)
    path = tmp_path / "deep" / "call.wav"
    rig.order(StartRecording(recording="r", path=str(path), legs=(a.name, b.name)))
    rig.status()
    for _ in range(2):
        a.speak(tone(TONE_A, 5))
        b.speak(tone(TONE_B, 5))
        a.hear(5)
        b.hear(5)
    a.speak(tone(TONE_A, 25), pace=True)
    b.drain()
    rig.order(StopRecording(recording="r"))
    ended = rig.wait_for(RecordingEnded)
    assert (ended.error, ended.path) == (None, str(path))
    audio = read_wave(path)
    assert audio.shape[1] == 2
    assert ended.duration_ms == audio.shape[0] * 1000 // 8000
    for channel, frequency in ((0, TONE_A), (1, TONE_B)):
        heard = audio[:, channel]
        assert tones.dominant_frequency(heard) == pytest.approx(frequency, abs=10)
        spectrum = np.abs(np.fft.rfft(heard.astype(float)))
        other = TONE_B if channel == 0 else TONE_A
        bins = np.fft.rfftfreq(heard.size, 1 / 8000)
        assert spectrum[np.abs(bins - other).argmin()] < 0.05 * spectrum.max()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_recording_goes_on_while_a_prompt_plays_and_ends_with_its_legs(rig, tmp_path):
    a = rig.leg()
    rig.order(
        StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name,)), Play(leg=a.name, play="p", sounds=("tone/probe-2000",))
    )
    a.speak(tone(TONE_A, 20), pace=True)
    rig.close_leg(a)
    assert rig.wait_for(RecordingEnded).error is None
    assert tones.dominant_frequency(read_wave(tmp_path / "a.wav")[:, 0]) == pytest.approx(TONE_A, abs=10)


@pytest.mark.slow
def test_pause_writes_silence_of_the_same_length(rig, tmp_path):
    a = rig.leg()
    rig.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name,)))
    rig.status()
    before = rig.status().packets_received
    a.speak(tone(TONE_A, 10), pace=True)
    rig.settle(before + 10)
    rig.order(PauseRecording(recording="r", paused=True))
    rig.status()
    a.speak(tone(TONE_B, 15), pace=True)
    rig.settle(before + 25)
    rig.order(PauseRecording(recording="r", paused=False), StopRecording(recording="r"))
    rig.wait_for(RecordingEnded, error=None)
    audio = read_wave(tmp_path / "a.wav")[:, 0]
    bins = np.fft.rfftfreq(audio.size, 1 / 8000)
    spectrum = np.abs(np.fft.rfft(audio.astype(float)))
    assert spectrum[np.abs(bins - TONE_B).argmin()] < 0.05 * spectrum[np.abs(bins - TONE_A).argmin()]
    assert audio.size >= 24 * 160


def test_recording_over_an_existing_file_is_refused(rig, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"precious")
    a = rig.leg()
    rig.order(StartRecording(recording="r", path=str(path), legs=(a.name,)))
    assert "exists" in rig.wait_for(RecordingEnded).error
    assert path.read_bytes() == b"precious"
    assert rig.status().recordings == 0


def test_recording_of_a_leg_that_is_not_there_is_refused(rig, tmp_path):
    rig.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=("nobody",)))
    assert rig.wait_for(RecordingEnded).error == "not every leg is open"


# ------------------------------------------------------------------ RTCP and quality


def test_quality_with_five_percent_loss(rig, call):
    a, b = call
    lost = set(range(10, 210, 20))
    a.speak(silence(200), lose=lost)
    b.hear(200 - len(lost))
    quality = rig.close_leg(a)
    assert (quality.packets_received, quality.packets_lost) == (190, 10)
    assert quality.codec == "PCMA"
    # Packets come at once here, so jitter and with it the reckoned delay are large; R is what 5 % loss with concealment leaves at most.
    assert 60 < quality.r_factor < 93.2 - 95 * 5 / (5 + 25.1) + 0.05
    partner = rig.close_leg(b)
    assert (partner.packets_sent, partner.packets_received, partner.packets_lost) == (190, 0, 0)
    assert (partner.mos, partner.r_factor) == (0.0, 0.0)  # nothing came, nothing was measured


def test_goodbye_and_last_report_at_the_end(rig, call):
    a, b = call
    a.speak(silence(10))
    b.speak(silence(5))
    a.hear(5)
    b.hear(10)
    rig.order(CloseLeg(leg=a.name))
    report, names, goodbye = a.reports()
    assert isinstance(report, SenderReport)
    assert (report.packets_sent, report.octets_sent) == (5, 800)
    assert (report.blocks[0].ssrc, report.blocks[0].cumulative_lost) == (a.ssrc, 0)
    assert isinstance(names, SourceDescription)
    assert names.chunks[0][1][0][0] == SdesItem.CNAME
    assert goodbye == Goodbye((report.ssrc,))


@pytest.mark.slow
def test_round_trip_and_remote_loss_come_from_the_far_end(rig, call):
    """Waits for our first sender report: 1 to 3 s after the description (RFC 3550 §6.2)."""
    a, b = call
    a.speak(silence(2))
    b.speak(silence(20))
    a.hear(20)
    report = a.reports()[0]
    assert isinstance(report, SenderReport)
    block = ReportBlock(report.ssrc, 25, 2, 100, 8, report.ntp >> 16 & 0xFFFFFFFF, 0)
    a.rtcp.sendto(compound(ReceiverReport(a.ssrc, (block,))), a.rtcp_target)
    a.rtcp.sendto(os.urandom(40), a.rtcp_target)
    rig.status()
    rig.status()
    quality = rig.close_leg(a)
    assert quality.remote_loss_fraction == pytest.approx(0.1)
    assert quality.round_trip_ms is not None
    assert 0 <= quality.round_trip_ms < 10_000


def test_reports_multiplexed_on_the_rtp_port_are_understood(rig):
    """RFC 5761: one port for both when the description says so."""
    a = rig.leg(described=False)
    rig.describe(a, remote_rtcp_port=a.port)
    rig.status()
    a.rtp.sendto(compound(ReceiverReport(a.ssrc), Goodbye((a.ssrc,))), a.target)
    rig.status()
    rig.order(CloseLeg(leg=a.name))
    assert rtp.kind_of(a.rtp.recv(2048)) is rtp.DatagramKind.RTCP


@pytest.mark.slow
def test_silent_leg_is_reported_after_once_and_twice_and_four_times_its_limit(rig):
    a = rig.leg(silence_timeout_s=0.1)
    said = [rig.wait_for(LegSilent, leg=a.name).seconds for _ in range(3)]
    assert [seconds // 0.1 >= times for seconds, times in zip(said, (1, 2, 4), strict=True)] == [True] * 3
    assert said[2] - said[1] >= 0.19


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["comfort noise", "RTCP", "RTCP from its own host", "another payload type"])
def test_whoever_gives_a_sign_of_life_is_not_silent(rig, sign):
    """A party that suppresses silence sends comfort noise (RFC 3389) at most, a muted one RTCP at most."""
    limit = 0.4
    a = rig.leg(silence_timeout_s=limit)
    quiet = rig.leg(silence_timeout_s=limit)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    a.speak(silence(1))
    for _ in range(2):  # as long as the one that says nothing is not twice silent
        while not rig.have(LegSilent, leg=quiet.name):
            match sign:
                case "comfort noise":
                    a.send(a.packet(b"\x40", payload_type=13))
                case "another payload type":
                    a.send(a.packet(b"?", payload_type=121))
                case _:
                    sender = a.rtcp if sign == "RTCP" else other
                    sender.sendto(compound(ReceiverReport(a.ssrc)), a.rtcp_target)
            rig.status()
        rig.wait_for(LegSilent, leg=quiet.name)
    other.close()
    assert rig.have(LegSilent, leg=a.name) == []


def test_comfort_noise_is_received_and_not_lost_and_leaves_no_gap_for_the_other_side(rig, call):
    a, b = call
    a.speak(tone(TONE_A, 2))
    a.send(a.packet(b"\x40", payload_type=13, advance=8000))
    a.speak(tone(TONE_A, 1))
    heard = b.hear(3)
    assert [(one.sequence_number - heard[0].sequence_number) & 0xFFFF for one in heard] == [0, 1, 2]
    assert (heard[2].timestamp - heard[1].timestamp) & 0xFFFFFFFF == 160 + 8000
    assert len({one.payload_type for one in heard}) == 1
    quality = rig.close_leg(a)
    assert (quality.packets_received, quality.packets_lost) == (4, 0)


# ------------------------------------------------------------------ packets of another length


@pytest.mark.parametrize(("theirs", "ours"), [(60, 20), (20, 60), (30, 20), (20, 30), (20, 10), (10, 40)])
def test_relayed_audio_is_cut_to_what_the_receiver_asks_for(rig, theirs, ours):
    a, b = rig.leg(), rig.leg(ptime_ms=ours, asks_ptime=True)
    rig.bridge(a, b)
    audio = PCMA.encode(tone(TONE_A, 12))  # 240 ms
    for at in range(0, len(audio), theirs * 8):
        a.send(a.packet(audio[at : at + theirs * 8], advance=theirs * 8))
    heard = b.hear(240 // ours)
    assert b"".join(packet.payload for packet in heard) == audio
    assert {len(packet.payload) for packet in heard} == {ours * 8}
    assert [packet.marker for packet in heard] == [True] + [False] * (len(heard) - 1)
    steps = [
        (later.sequence_number - earlier.sequence_number & 0xFFFF, later.timestamp - earlier.timestamp & 0xFFFFFFFF)
        for earlier, later in itertools.pairwise(heard)
    ]
    assert set(steps) == {(1, ours * 8)}


@pytest.mark.parametrize(
    ("fields", "sent"), [({"ptime_ms": 30}, 20), ({"maxptime_ms": 40, "ptime_ms": 40}, 20), ({"maxptime_ms": 10, "ptime_ms": 10}, 10)]
)
def test_relayed_audio_is_left_as_it_is_unless_the_receiver_asked_or_takes_no_such_length(rig, fields, sent):
    a, b = rig.leg(), rig.leg(**fields)
    rig.bridge(a, b)
    a.speak(tone(TONE_A, 4))
    assert {len(packet.payload) // 8 for packet in b.hear(4)} == {sent}


def test_one_short_packet_at_the_end_of_a_talk_spurt_changes_nothing_for_the_next(rig):
    a, b = rig.leg(), rig.leg(ptime_ms=20, asks_ptime=True)
    rig.bridge(a, b)
    a.speak(tone(TONE_A, 2))
    a.send(a.packet(PCMA.encode(silence(1))[:80], advance=8000))
    a.speak(tone(TONE_A, 3))
    heard = b.hear(6)
    assert {len(packet.payload) for packet in heard} == {160}
    assert [later.sequence_number - earlier.sequence_number & 0xFFFF for earlier, later in itertools.pairwise(heard)] == [1] * 5
    assert [later.timestamp - earlier.timestamp & 0xFFFFFFFF for earlier, later in itertools.pairwise(heard)] == [160, 160, 8000, 160, 160]


# ------------------------------------------------------------------ ports, status, life and death


def test_same_leg_twice_and_a_name_for_an_address_are_refused(rig):
    a = rig.leg()
    again = rig.ask(OpenLeg(request=next(rig.requests), leg=a.name, address="127.0.0.1"))
    assert isinstance(again, Refused)
    assert "open already" in again.reason
    named = rig.ask(OpenLeg(request=next(rig.requests), leg="x", address="localhost"))
    assert "no IP address" in named.reason
    foreign = rig.ask(OpenLeg(request=next(rig.requests), leg="x", address="192.0.2.1"))
    assert "no RTP ports on 192.0.2.1" in foreign.reason


def test_status_counts_what_is_there(rig, call):
    a, b = call
    before = rig.status()
    a.speak(tone(TONE_A, 10))
    b.hear(10)
    after = rig.status()
    assert (after.legs, after.bridges, after.recordings) == (2, 1, 0)
    assert after.packets_received - before.packets_received == 10
    assert after.packets_sent - before.packets_sent == 10
    assert after.packets_dropped == before.packets_dropped
    assert after.cpu_s > 0


def test_packets_lost_in_the_socket_buffer_are_counted(rig):
    """The worker stands still while more comes than its buffer holds: nothing of that may be silent."""
    a = rig.leg()
    before = rig.status()
    sent = 2000
    rig.process.send_signal(signal.SIGSTOP)
    try:
        for number in range(sent):
            a.rtp.sendto(bytes(RtpPacket(8, number, number * 160, 1, bytes(160))), a.target)
    finally:
        rig.process.send_signal(signal.SIGCONT)
    received = lost = 0
    for _ in range(1000):  # every answer comes after a round of packets; all are read long before
        status = rig.status()
        received = status.packets_received - before.packets_received
        lost = status.packets_dropped - before.packets_dropped
        if received + lost >= sent:
            break
    assert lost > 0
    assert received + lost == sent
    assert rig.close_leg(a).packets_received == received
    assert rig.status().packets_dropped - before.packets_dropped == lost


@pytest.mark.slow
def test_port_that_somebody_else_holds_is_passed_over(tmp_path):
    base = free_ports(3)
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    holder.bind(("127.0.0.1", base + 1))
    beside = Rig(tmp_path, pairs=3, base=base)
    try:
        assert {beside.leg().target[1], beside.leg().target[1]} == {base + 2, base + 4}
    finally:
        beside.clear()
        beside.end()
        holder.close()


def test_orders_for_legs_that_are_gone_do_no_harm(rig):
    gone = "nobody"
    rig.order(
        Stop(leg=gone),
        SendDigits(leg=gone, digits="1"),
        CloseLeg(leg=gone),
        ArrangeAudio(room=gone, hears=((gone, gone), (gone, "other"))),
        StopRecording(recording=gone),
    )
    rig.order(PauseRecording(recording=gone, paused=True))
    assert rig.status().legs == 0


@pytest.mark.slow
def test_exhausted_ports_refuse_with_the_reason(tmp_path):
    small = Rig(tmp_path, pairs=2)
    try:
        small.leg()
        far_end = small.leg()
        refused = small.ask(OpenLeg(request=next(small.requests), leg="x", address="127.0.0.1"))
        assert "all RTP ports are in use (2 legs, 0 pairs resting)" in refused.reason
        small.close_leg(far_end)
        assert "(1 legs, 1 pairs resting)" in small.ask(OpenLeg(request=next(small.requests), leg="x", address="127.0.0.1")).reason
    finally:
        small.clear()
        small.end()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["shutdown", "takeover", "sigterm"])
def test_recordings_are_closed_and_goodbyes_said_whatever_ends_the_worker(tmp_path, how):
    ending = Rig(tmp_path, pairs=2)
    try:
        a = ending.leg()
        ending.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name,)))
        ending.status()
        a.speak(tone(TONE_A, 10), pace=True)
        ending.settle(10)
        match how:
            case "shutdown":
                ending.order(Shutdown())
            case "takeover":
                ending.order(TakeOver(request=1))
            case _:
                ending.process.send_signal(signal.SIGTERM)
        ending.wait_for(LegClosed, leg=a.name)
        assert ending.wait_for(RecordingEnded).error is None
        assert isinstance(a.reports()[-1], Goodbye)
        assert ending.process.wait(10) == 0
        assert tones.dominant_frequency(read_wave(tmp_path / "a.wav")[:, 0]) == pytest.approx(TONE_A, abs=10)
        a.close()
    finally:
        ending.end()


@pytest.mark.slow
def test_file_of_a_killed_worker_is_readable(tmp_path):
    killed = Rig(tmp_path, pairs=2)
    try:
        a = killed.leg()
        killed.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name,)))
        a.speak(tone(TONE_A, 80), pace=True)
        killed.process.kill()
        killed.process.wait(10)
        audio = read_wave(tmp_path / "a.wav")
        assert audio.shape[0] >= 1600
        assert tones.dominant_frequency(audio[:, 0]) == pytest.approx(TONE_A, abs=10)
        a.close()
    finally:
        killed.end()


@pytest.mark.slow
def test_control_connection_that_speaks_another_language_ends_a_worker_without_legs(tmp_path):
    broken = Rig(tmp_path, pairs=2)
    try:
        broken.connection.sendall(b"\xff\xff\xff\xff GET / HTTP/1.1\r\n")
        assert broken.process.wait(10) == 0
    finally:
        broken.end()
