"""Tones: E.180 ringing, Q.23 frequencies, and the measuring of them."""

import numpy as np
import pytest

from media import tones
from media.frame import level_dbfs


def test_german_ringing_is_425_hertz_one_second_on_four_off():
    ringing = tones.ringback()
    assert ringing.size == 5 * 8000
    assert tones.dominant_frequency(ringing[:8000]) == pytest.approx(425, abs=0.5)
    assert not ringing[8000:].any()


@pytest.mark.parametrize(
    ("digit", "pair"), [("1", (697, 1209)), ("5", (770, 1336)), ("#", (941, 1477)), ("A", (697, 1633)), ("0", (941, 1336))]
)
def test_dtmf_frequencies_of_q23(digit, pair):
    assert tones.frequencies_of(digit) == pair


def test_level_is_what_was_asked_for():
    assert level_dbfs(tones.tone((1000,), 1.0, -18.0, ramp=False)) == pytest.approx(-18.0, abs=0.05)
    assert level_dbfs(np.zeros(10, dtype=np.int16)) == float("-inf")
    assert level_dbfs(np.zeros(0, dtype=np.int16)) == float("-inf")


@pytest.mark.parametrize("frequency", [200, 440, 999.5, 3000])
def test_measured_frequency_is_within_half_a_hertz(frequency):
    assert tones.dominant_frequency(tones.probe(frequency, 1.0)) == pytest.approx(frequency, abs=0.5)


def test_silence_has_no_frequency():
    assert tones.dominant_frequency(np.zeros(8000, dtype=np.int16)) == 0.0
    assert tones.dominant_frequency(np.ones(4, dtype=np.int16)) == 0.0


def test_probe_repeats_without_a_click():
    probe = tones.probe(1000, 1.0).astype(int)
    steps = np.abs(np.diff(np.concatenate([probe, probe])))
    assert steps[probe.size - 1] <= steps[: probe.size - 1].max()


def test_wrong_digit_is_refused():
    with pytest.raises(ValueError, match="no DTMF digit"):
        tones.frequencies_of("")
