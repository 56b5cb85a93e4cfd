"""Opus at a real worker: beside every other codec, its clock, its terms, its losses; and comfort noise beside it."""

import itertools
import wave

import numpy as np
import pytest

from media import tones
from media.codecs import CODECS, OPUS, encoder_at
from media.control import DigitBegan, DigitReceived, LegSilent, Play, RecordingEnded, SendDigits, StartRecording, Stop, StopRecording
from media.dtmf import DIGITS, event_packets, parse_event
from media.frame import level_dbfs
from media.rtp.rtcp import ReceiverReport, ReportBlock, compound
from tests.media.rig import level, talk

pytestmark = pytest.mark.interop

EVENTS_48K = 110
EVENTS = {"opus": EVENTS_48K}


def leg(rig, codec, **fields):
    return rig.leg(codec, event=EVENTS.get(codec, 101), **fields)


def settled(far_end, packets):
    """What was heard, without the first and last tenth of a second."""
    return far_end.audio(packets)[800:-800]


@pytest.mark.slow
def test_every_codec_beside_every_other_is_heard_at_its_pitch_and_level_both_ways(rig):
    """All pairs in one go: what is relayed, what a table turns, what is decoded and encoded."""
    pairs = []
    for one, other in itertools.combinations_with_replacement(CODECS, 2):
        a, b = leg(rig, one), leg(rig, other)
        rig.bridge(a, b)
        pairs.append((a, b))
    said = {a: tones.probe(700, 1.0) for a, _ in pairs} | {b: tones.probe(1100, 1.0) for _, b in pairs}
    talk(said, frames=50)
    rig.status()
    for a, b in pairs:
        for listener, frequency in ((b, 700), (a, 1100)):
            heard = listener.heard()
            where = (a.codec, b.codec, frequency)
            assert {packet.payload_type for packet in heard} == {listener.payload_type}, where
            audio = settled(listener, heard)
            assert tones.dominant_frequency(audio) == pytest.approx(frequency, abs=3), where
            # A machine that stands for a moment makes holes, and no other level where there is none.
            levels = np.array([level_dbfs(audio[at : at + 160]) for at in range(0, audio.size - 160, 160)])
            assert np.count_nonzero(np.abs(levels + 12.0) < 0.8) >= 6, (where, levels)
            steps = {(later.timestamp - earlier.timestamp) & 0xFFFFFFFF for earlier, later in itertools.pairwise(heard)}
            assert {step % (160 * listener.scale) for step in steps} == {0}, where


def test_a_conference_of_all_codecs_hears_each_of_the_others(rig):
    frequencies = dict(zip(CODECS, (500, 800, 1200, 1700), strict=True))
    members = {codec: leg(rig, codec) for codec in CODECS}
    rig.arrange(*itertools.permutations(members.values(), 2))
    talk({far_end: tones.tone((frequencies[codec],), 0.4, -20.0) for codec, far_end in members.items()}, frames=50)
    rig.status()
    for codec, far_end in members.items():
        audio = settled(far_end, far_end.heard())
        for other, frequency in frequencies.items():
            loud = level(audio, frequency)
            assert loud > -26 if other != codec else loud < -35, (codec, other, loud)


def test_two_of_it_are_relayed_as_they_are_whatever_length_their_packets_have(rig):
    a, b = leg(rig, "opus"), leg(rig, "opus", ptime_ms=20, asks_ptime=True, maxptime_ms=20)
    rig.bridge(a, b)
    encoder, sent = encoder_at(OPUS, 8000), []
    said = tones.probe(440, 0.5)
    at = 0
    for ms in (20, 60, 10, 40, 20):
        sent.append(a.packet(encoder.encode(said[at : at + 8 * ms]), advance=48 * ms))
        at += 8 * ms
        a.send(sent[-1])
    heard = b.hear(5)
    assert [packet.payload for packet in heard] == [packet.payload for packet in sent]
    assert [(packet.timestamp - heard[0].timestamp) & 0xFFFFFFFF for packet in heard] == [0, 960, 3840, 4320, 6240]
    assert rig.status().mixes == 0


@pytest.mark.parametrize(("one", "other"), [("opus", "PCMA"), ("PCMA", "opus"), ("opus", "opus")])
def test_a_key_is_a_key_on_either_side_at_its_own_clock(rig, one, other):
    """RFC 4733 §2.1: durations of 48 kHz beside Opus, of 8 kHz beside G.711."""
    a, b = leg(rig, one), leg(rig, other)
    rig.bridge(a, b)
    talk(voices_of(a), frames=5)
    begun = a.timestamp
    for packet in event_packets("5", 100, clock_rate=8000 * a.scale):
        a.send(a.packet(packet.payload, payload_type=EVENTS.get(one, 101), marker=packet.marker, advance=0))
    assert rig.wait_for(DigitBegan).digit == "5"
    received = rig.wait_for(DigitReceived)
    assert (received.digit, received.duration_ms, received.means) == ("5", 100, "event")
    a.timestamp = begun + 960 * a.scale
    heard = []
    while sum(packet.payload_type == EVENTS.get(other, 101) for packet in heard) < 5:
        heard += b.hear(1)
    events = [packet for packet in heard if packet.payload_type == EVENTS.get(other, 101)]
    assert len({packet.timestamp for packet in events}) == 1
    assert {DIGITS[parse_event(packet.payload).code] for packet in events} == {"5"}
    assert parse_event(events[0].payload).duration in {160 * b.scale, 320 * b.scale}


def voices_of(*far_ends):
    return {far_end: tones.probe(440, 0.4) for far_end in far_ends}


def test_keys_of_ours_last_as_long_by_its_clock(rig):
    a = leg(rig, "opus")
    rig.order(SendDigits(leg=a.name, digits="7", duration_ms=80))
    heard = a.hear(6)
    assert [parse_event(packet.payload).duration for packet in heard] == [960, 1920, 2880, 3840, 3840, 3840]
    assert {packet.payload_type for packet in heard} == {EVENTS_48K}


def test_another_clock_is_another_source_for_the_far_end(rig):
    """RFC 7160 §4.1: one SSRC has one clock."""
    a = rig.leg("PCMA")
    rig.order(Play(leg=a.name, play="p", sounds=("tone/probe-600",), loop=True))
    before = a.hear(3)
    a.speaks("opus")
    rig.describe(a, telephone_event=EVENTS_48K)
    after = []
    while len(after) < 5:
        after += [packet for packet in a.hear(1) if packet.payload_type == a.payload_type]
    assert {packet.ssrc for packet in before}.isdisjoint({packet.ssrc for packet in after})
    assert {(later.timestamp - earlier.timestamp) & 0xFFFFFFFF for earlier, later in itertools.pairwise(after)} == {960}
    rig.order(Stop(leg=a.name))


def test_jitter_is_reckoned_by_its_clock(rig):
    """A line without any: by a clock of 8 kHz each packet would be 100 ms off its time, of which 20 of them make 72 ms (RFC 3550 A.8)."""
    a = leg(rig, "opus")
    before = rig.status().packets_received
    a.speak(tones.probe(440, 0.4), pace=True)
    rig.settle(before + 20)
    assert rig.close_leg(a).jitter_ms < 40


def has_copy(packet):
    """RFC 6716 §4.2.3: of one frame of 20 ms in mono the first bit tells of speech, the second of a copy of the frame before."""
    return bool(packet.payload[1] & 0x40)


def report_loss(rig, a, heard, fraction):
    """The far end says how much it did not get, and the worker has read it."""
    block = ReportBlock(heard[-1].ssrc, fraction, 10, heard[-1].sequence_number, 0, 0, 0)
    a.rtcp.sendto(compound(ReceiverReport(a.ssrc, (block,))), a.rtcp_target)
    rig.status()
    rig.status()


def test_what_the_far_end_does_not_get_is_what_copies_are_sent_for(rig):
    """By its reports (RFC 3550 §6.4.1: a fraction of 256), and only where it said that it uses copies (RFC 7587 §6.1)."""
    uses, does_not = leg(rig, "opus", fmtp="useinbandfec=1"), leg(rig, "opus")
    for a in (uses, does_not):
        rig.order(Play(leg=a.name, play=a.name, sounds=("tone/probe-600",), loop=True))
        assert not any(has_copy(packet) for packet in a.hear(10))
        report_loss(rig, a, a.hear(1), fraction=64)
        a.drain()
    after, without = uses.hear(20), does_not.hear(20)
    assert any(has_copy(packet) for packet in after)
    assert not any(has_copy(packet) for packet in without)


def test_silence_is_not_sent_to_who_likes_that(rig):
    """DTX; who does not is not sent to who likes DTX; who does not gets every packet."""
    hushed, always = leg(rig, "opus", fmtp="usedtx=1"), leg(rig, "opus")
    a = rig.leg("PCMA")
    rig.arrange((hushed, a), (always, a))
    talk({a: np.zeros(160, dtype=np.int16)}, frames=60)
    rig.status()
    quiet, whole = hushed.heard(), always.heard()
    assert len(whole) > 50
    assert len(quiet) < len(whole) / 2
    talk({a: tones.probe(440, 0.4)}, frames=10)
    rig.status()
    spoken = hushed.heard()
    assert any(packet.marker for packet in spoken)
    audio = hushed.audio(spoken)
    assert level(audio[-800:], 440) > -20


@pytest.mark.slow
def test_lost_packets_of_it_are_counted_and_the_tone_goes_on_in_a_mix_and_in_a_recording(rig, tmp_path):
    a, b = leg(rig, "opus"), rig.leg("PCMA")
    rig.bridge(a, b)
    path = tmp_path / "call.wav"
    rig.order(StartRecording(recording="r", path=str(path), legs=(a.name,)))
    rig.status()
    a.encoder._encoder.take_terms("useinbandfec=1")
    a.encoder._encoder.expect_loss(0.2)
    talk({a: tones.probe(440, 1.0)}, frames=50, lose=lambda _, number: number in {20, 30, 31})
    rig.order(StopRecording(recording="r"))
    assert rig.wait_for(RecordingEnded).error is None
    with wave.open(str(path)) as file:
        recorded = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    for audio in (settled(b, b.heard()), recorded[np.flatnonzero(np.abs(recorded) > 2000)[0] :][800:7200]):
        assert tones.dominant_frequency(audio) == pytest.approx(440, abs=3)
        parts = [level_dbfs(audio[at : at + 160]) for at in range(0, audio.size - 160, 160)]
        assert np.median(parts) == pytest.approx(-12, abs=1.5)  # to the packet: test_opus.py
    assert rig.close_leg(a).packets_lost == 3


# ------------------------------------------------------------------ comfort noise


def noise(far_end, level_dbov, advance, number=13):
    far_end.send(far_end.packet(bytes((level_dbov,)), payload_type=number, advance=advance))


def test_noise_passes_as_it_is_to_who_has_agreed_on_it(rig):
    a, b = rig.leg("PCMA", comfort_noise=13), rig.leg("PCMU", comfort_noise=97, receive_comfort_noise=13)
    rig.bridge(a, b)
    a.speak(tones.probe(440, 0.04))
    noise(a, 60, 8000)
    noise(a, 62, 4000)
    a.speak(tones.probe(440, 0.02))
    heard = b.hear(5)
    assert [packet.payload_type for packet in heard] == [0, 0, 97, 97, 0]
    assert [packet.payload for packet in heard[2:4]] == [b"\x3c", b"\x3e"]
    assert [(packet.timestamp - heard[0].timestamp) & 0xFFFFFFFF for packet in heard] == [0, 160, 320, 8320, 12_320]
    assert [(packet.sequence_number - heard[0].sequence_number) & 0xFFFF for packet in heard] == [0, 1, 2, 3, 4]
    quality = rig.close_leg(a)
    assert (quality.packets_received, quality.packets_lost) == (5, 0)
    assert rig.status().packets_of_unknown_type == 0


@pytest.mark.parametrize(("said", "heard_in"), [("PCMA", "PCMA"), ("PCMA", "PCMU"), ("G722", "G722")])
def test_who_has_not_agreed_hears_noise_as_audio_in_one_stream_without_a_step(rig, said, heard_in):
    a, b = rig.leg(said, comfort_noise=13), rig.leg(heard_in)
    rig.bridge(a, b)
    a.speak(tones.probe(440, 0.04))
    b.audio(b.hear(2))  # whose decoder may remember
    noise(a, 40, 160 * 10)
    heard = b.hear(10)
    hushed = b.audio(heard)
    assert rig.status().mixes == 0
    a.speak(tones.probe(440, 0.1))
    after = []
    while sum(packet.marker for packet in after) < 1:
        after += b.hear(1)
    after += b.hear(4)
    everything = heard + after
    assert {packet.payload_type for packet in everything} == {b.payload_type}
    assert len({packet.ssrc for packet in everything}) == 1
    steps = [(later.sequence_number - earlier.sequence_number) & 0xFFFF for earlier, later in itertools.pairwise(everything)]
    assert set(steps) == {1}
    times = [(later.timestamp - earlier.timestamp) & 0xFFFFFFFF for earlier, later in itertools.pairwise(everything)]
    assert all(0 < step < 8000 and step % 160 == 0 for step in times)
    assert heard[0].marker
    assert level_dbfs(hushed[800:]) == pytest.approx(-40, abs=2)  # of G.722 each end adapts to what it got before
    assert level_dbfs(b.audio(after)[-320:]) == pytest.approx(-12, abs=2)
    a.drain()
    b.drain()
    rig.status()
    assert b.hear_nothing()  # the noise is over with the silence


@pytest.mark.parametrize("third", [False, True])
def test_who_is_put_on_hold_makes_no_noise(rig, third):
    """Neither on a bridge nor in a mix: what was said last of the line's noise is over with the line."""
    a, b, c = rig.leg("PCMA", comfort_noise=13), rig.leg("PCMA"), rig.leg("PCMA")
    if third:
        rig.arrange((b, a), (c, a))
    else:
        rig.bridge(a, b)
    a.speak(tones.probe(440, 0.04))
    noise(a, 40, 160)
    assert level_dbfs(b.audio(b.hear(20)[10:])) == pytest.approx(-40, abs=2)
    rig.describe(a, comfort_noise=13, receives=False)
    talk({}, frames=25)  # in a mix 200 ms of silence follow
    rig.status()
    b.drain()
    talk({}, frames=5)
    assert b.hear_nothing()


def test_a_third_party_hears_the_noise_and_the_recording_has_it(rig, tmp_path):
    a, b, c = rig.leg("PCMA", comfort_noise=13), rig.leg("G722"), leg(rig, "opus")
    rig.arrange((b, a), (c, a))
    path = tmp_path / "call.wav"
    rig.order(StartRecording(recording="r", path=str(path), legs=(a.name,)))
    rig.status()
    talk({a: tones.probe(440, 0.1)}, frames=5)
    noise(a, 35, 160 * 30)
    talk({}, frames=30)
    rig.order(StopRecording(recording="r"))
    assert rig.wait_for(RecordingEnded).error is None
    with wave.open(str(path)) as file:
        recorded = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    began = np.flatnonzero(np.abs(recorded) > 2000)[0]
    assert level_dbfs(recorded[began + 1200 : began + 3200]) == pytest.approx(-35, abs=1)
    for listener in (b, c):
        heard = listener.heard()
        assert level_dbfs(listener.audio(heard)[2400:]) == pytest.approx(-35, abs=3)
        assert len(heard) > 25
    assert rig.close_leg(a).concealed_frames == 0


def test_a_dynamic_number_that_was_agreed_on_is_noise_and_a_sign_of_life(rig):
    a, b = rig.leg("G722", comfort_noise=98, silence_timeout_s=0.2), rig.leg("G722", comfort_noise=13)
    rig.bridge(a, b)
    quiet = rig.leg("PCMA", silence_timeout_s=0.2)
    while not rig.have(LegSilent, leg=quiet.name):
        noise(a, 60, 160, number=98)
        rig.status()
        assert b.hear(1)[0].payload_type == 13
    assert rig.have(LegSilent, leg=a.name) == []
    assert rig.status().packets_of_unknown_type == 0
