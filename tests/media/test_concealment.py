"""Concealment: method of G.711 Appendix I."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import tones
from media.concealment import Concealer, find_pitch
from media.frame import level_dbfs


def voice(frequency=125.0, seconds=1.0):
    """A buzz with eight harmonics, as a vowel has."""
    return tones.tone(tuple(frequency * harmonic for harmonic in range(1, 9)), seconds, -30.0, ramp=False)


@pytest.mark.parametrize(("frequency", "lag"), [(100, 80), (125, 64), (160, 50)])
def test_pitch_is_found(frequency, lag):
    found, likeness = find_pitch(voice(frequency).astype(np.float64)[-390:])
    assert found == lag
    assert likeness > 0.99


def test_lost_frame_of_a_vowel_sounds_as_the_vowel():
    concealer, audio = Concealer(), voice()
    for start in range(0, 1600, 160):
        concealer.good(audio[start : start + 160])
    made = concealer.lost(80).astype(float)
    error = made - audio[1600:1680]
    assert np.sqrt((error**2).mean()) < 0.1 * np.sqrt((audio[1600:1680].astype(float) ** 2).mean())


def test_join_makes_no_click():
    concealer, audio = Concealer(), voice()
    heard = [concealer.good(audio[start : start + 160]) for start in range(0, 1600, 160)]
    heard.append(concealer.lost(160))
    heard += [concealer.good(audio[start : start + 160]) for start in range(1760, 3200, 160)]
    natural = np.abs(np.diff(audio.astype(int))).max()
    assert np.abs(np.diff(np.concatenate(heard).astype(int))).max() < 1.3 * natural


def test_long_loss_fades_to_silence_within_60_ms():
    concealer, audio = Concealer(), voice()
    concealer.good(audio)
    levels = [level_dbfs(concealer.lost(80)) for _ in range(8)]
    assert levels[0] > level_dbfs(audio) - 1
    assert levels[:6] == sorted(levels[:6], reverse=True)
    assert levels[6:] == [float("-inf")] * 2


def test_noise_is_repeated_softer_than_it_was_and_without_a_click():
    concealer, noise = Concealer(), np.random.default_rng(1).normal(0, 2000, 1600).astype(np.int16)
    concealer.good(noise)
    made = concealer.lost(80).astype(float)
    assert 0.1 < np.sqrt((made[40:] ** 2).mean()) / 2000 < 0.7


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_at_either_rate_a_vowel_goes_on_for_10_ms_and_is_silent_after_60(rate):
    concealer, scale = Concealer(rate), rate // 8000
    time = np.arange(rate) / rate
    audio = sum(1000 * np.sin(2 * np.pi * 125 * harmonic * time) for harmonic in range(1, 9)).astype(np.int16)
    for start in range(0, 1600 * scale, 160 * scale):
        concealer.good(audio[start : start + 160 * scale])
    made = concealer.lost(640 * scale).astype(float)
    error = made[: 80 * scale] - audio[1600 * scale : 1680 * scale]
    assert np.sqrt((error**2).mean()) < 0.1 * np.sqrt((audio.astype(float) ** 2).mean())
    assert made[400 * scale : 470 * scale].any()
    assert not made[480 * scale :].any()


def test_loss_before_anything_was_heard_is_silence():
    assert not Concealer().lost(160).any()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=20))
def test_time_is_never_gained_or_lost(plan):
    concealer = Concealer()
    audio = voice(seconds=0.05)
    for arrives, samples in plan:
        made = concealer.good(audio[:samples]) if arrives else concealer.lost(samples)
        assert made.dtype == np.int16
        assert made.size == (min(samples, audio.size) if arrives else samples)
