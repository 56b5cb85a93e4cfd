"""Every codec of the registry at a real worker: what it plays, presses, hears and records, whatever rate and size its packets have."""

import itertools
import wave

import numpy as np
import pytest

from media import tones
from media.codecs import CODECS, CONVERSIONS
from media.control import (
    DigitBegan,
    DigitReceived,
    Play,
    PlayEnded,
    RecordingEnded,
    SendDigits,
    StartRecording,
    Stop,
    StopRecording,
)
from media.dtmf import ToneDetector
from media.frame import level_dbfs
from tests.media.codecs.packets import lasts

pytestmark = [pytest.mark.interop, pytest.mark.parametrize("codec", list(CODECS))]


def tone(frequency, frames):
    return tones.probe(frequency, frames * 0.02)


@pytest.mark.slow
def test_sounds_are_heard_one_after_the_other_at_their_frequency_and_level(rig, codec):
    """All in one stream: pieces that were encoded apart would be noise of full level at the seam."""
    a = rig.leg(codec)
    rig.order(Play(leg=a.name, play="p", sounds=("tone/beep", "tone/beep")))
    heard = a.hear(40)
    assert {packet.payload_type for packet in heard} == {a.payload_type}
    assert lasts(CODECS[codec], [packet.payload for packet in heard]) == {160 * a.scale}
    assert {(later.timestamp - earlier.timestamp) & 0xFFFFFFFF for earlier, later in itertools.pairwise(heard)} == {160 * a.scale}
    audio = a.audio(heard)
    for part in (audio[400:3100], audio[3600:6300]):
        assert tones.dominant_frequency(part) == pytest.approx(1000, abs=2)
        assert level_dbfs(part) == pytest.approx(
            -18.0, abs=0.5
        )  # A-law to µ-law costs 0.27 dB at 1000 Hz, whose eight samples are the same ones
    assert np.abs(audio.astype(int)).max() < 7000
    assert rig.wait_for(PlayEnded).outcome == "finished"


@pytest.mark.parametrize("ptime_ms", [10, 40])
def test_packets_of_another_length_are_that_long(rig, codec, ptime_ms):
    a = rig.leg(codec, ptime_ms=ptime_ms, asks_ptime=True)
    rig.order(Play(leg=a.name, play="p", sounds=("tone/probe-600",)))
    assert lasts(CODECS[codec], [packet.payload for packet in a.hear(5)]) == {8 * ptime_ms * a.scale}
    rig.order(Stop(leg=a.name))
    if CODECS[codec].is_uneven:
        return  # which is not cut for who asks for another length
    b, c = rig.leg(codec), rig.leg(codec, ptime_ms=ptime_ms, asks_ptime=True)
    rig.bridge(b, c)
    b.speak(tone(440, 6))
    heard = c.hear(120 // ptime_ms)
    assert lasts(CODECS[codec], [packet.payload for packet in heard]) == {8 * ptime_ms}
    assert {(later.timestamp - earlier.timestamp) & 0xFFFFFFFF for earlier, later in itertools.pairwise(heard)} == {8 * ptime_ms}
    assert tones.dominant_frequency(c.audio(heard)[200:]) == pytest.approx(440, abs=12)


def test_keys_are_tones_in_band_where_no_events_are_taken(rig, codec):
    a = rig.leg(codec, event=None)
    rig.order(SendDigits(leg=a.name, digits="5#", duration_ms=100))
    heard = a.hear(10)
    line = np.zeros(16_000, dtype=np.int16)
    for packet in heard:
        at = ((packet.timestamp - heard[0].timestamp) & 0xFFFFFFFF) // a.scale
        line[at : at + 160] = a.audio([packet])
    digits = ToneDetector().receive(line)
    assert "".join(digit.digit for digit in digits) == "5#"


def test_a_tone_in_band_is_a_key_where_no_events_are_sent(rig, codec):
    a = rig.leg(codec, event=None)
    a.speak(np.concatenate([tones.dtmf("7", 100), np.zeros(160 * 5, dtype=np.int16)]))
    assert rig.wait_for(DigitBegan).digit == "7"
    received = rig.wait_for(DigitReceived)
    assert (received.digit, received.means) == ("7", "tone")
    assert received.duration_ms == pytest.approx(100, abs=25)


@pytest.mark.slow
def test_a_recording_has_its_tone_at_its_level(rig, codec, tmp_path):
    a = rig.leg(codec)
    path = tmp_path / "call.wav"
    rig.order(StartRecording(recording="r", path=str(path), legs=(a.name,)))
    rig.status()
    a.speak(tone(1000, 20), pace=True)
    rig.order(StopRecording(recording="r"))
    assert rig.wait_for(RecordingEnded).error is None
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 1)
        audio = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert tones.dominant_frequency(audio) == pytest.approx(1000, abs=10)
    assert max(level_dbfs(audio[at : at + 800]) for at in range(0, 2400, 80)) == pytest.approx(-12.0, abs=0.2)


def test_audio_passes_between_two_of_one_codec_as_it_is(rig, codec):
    a, b = rig.leg(codec), rig.leg(codec)
    rig.bridge(a, b)
    sent = a.speak(tone(440, 5))
    assert [packet.payload for packet in b.hear(5)] == [packet.payload for packet in sent]


def test_octets_of_one_codec_never_come_in_packets_of_another(rig, codec):
    """They would be noise at full level: where no table leads from one to the other they are decoded, or nothing is heard."""
    for other in CODECS:
        a, b = rig.leg(codec), rig.leg(other)
        rig.bridge(a, b)
        before = rig.status().packets_received
        sent = a.speak(tone(440, 10))
        rig.settle(before + len(sent))
        heard = b.everything()
        assert len(heard) == len(sent) or (codec, other) not in CONVERSIONS
        if heard:
            assert tones.dominant_frequency(b.audio(heard)[200:]) == pytest.approx(440, abs=12)


@pytest.mark.slow
def test_a_codec_that_changes_while_a_prompt_plays_goes_on_with_it(rig, codec):
    for other in set(CODECS) - {codec}:
        a = rig.leg(other)
        rig.order(Play(leg=a.name, play=a.name, sounds=("tone/probe-600",), loop=True))
        a.hear(2)
        a.speaks(codec)
        rig.describe(a)
        heard = []
        while len(heard) < 12:
            heard += [packet for packet in a.hear(1) if packet.payload_type == a.payload_type]
        assert tones.dominant_frequency(a.audio(heard)[400:]) == pytest.approx(600, abs=12)
        rig.order(Stop(leg=a.name))
        rig.wait_for(PlayEnded, play=a.name)


def test_quality_names_it_and_scores_what_the_scale_knows(rig, codec):
    a = rig.leg(codec)
    before = rig.status().packets_received
    a.speak(tone(440, 20))
    rig.settle(before + 20)
    quality = rig.close_leg(a)
    assert (quality.codec, quality.packets_received) == (codec, 20)
    assert (quality.mos is None) == (quality.r_factor is None) == (CODECS[codec].impairments is None)


def test_nothing_heard_scores_nothing(rig, codec):
    a = rig.leg(codec)
    quality = rig.close_leg(a)
    assert (quality.mos, quality.r_factor) == (0.0, 0.0)
