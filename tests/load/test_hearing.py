import numpy as np
import pytest

from load.hearing import dominant_hz, has_sound, has_tone, tone_share
from media.codecs.registry import CODECS
from media.tones import tone


@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
@pytest.mark.parametrize("frequency", [440.0, 1000.0, 2600.0])
def test_tone_is_found_after_g711(codec, frequency):
    heard = CODECS[codec].decode(CODECS[codec].encode(tone((frequency,), 0.3)))
    assert has_tone(heard, frequency)
    assert dominant_hz(heard) == pytest.approx(frequency, abs=5)


def test_other_tone_noise_and_silence_are_not_taken_for_it():
    rng = np.random.default_rng(1)
    assert not has_tone(tone((700.0,), 0.3), 440.0)
    assert not has_tone(rng.normal(0, 3000, 2400).astype(np.int16), 440.0)
    silent = np.zeros(2400, dtype=np.int16)
    assert tone_share(silent, 440.0) == 0.0
    assert dominant_hz(silent) is None
    assert not has_sound(silent)


def test_two_tones_are_neither_alone():
    both = tone((440.0, 620.0), 0.3)
    assert tone_share(both, 440.0) == pytest.approx(0.5, abs=0.1)
    assert not has_tone(both, 440.0)


def test_a_single_frame_less_than_20_ms_proves_nothing():
    assert not has_tone(tone((440.0,), 0.015), 440.0)
