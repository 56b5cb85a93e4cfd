"""From 8 to 16 kHz and back: what passes, what does not, and that not a sample is lost."""

import numpy as np
import pytest

from media.resample import DELAY_S, NARROW, WIDE, Doubler, Halver, Unchanged, resampler

LEVEL = 10_000.0


def sine(frequency, rate, seconds=1.0):
    return np.rint(LEVEL * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


def level_db(audio, frequency, rate):
    """Of one frequency, against `LEVEL`; what the filter remembers of the silence before is left out."""
    settled = audio[rate // 10 :].astype(float)
    place = np.arange(settled.size) / rate
    part = np.abs(settled @ np.exp(-2j * np.pi * frequency * place)) * 2 / settled.size
    return 20 * np.log10(max(part, 1e-3) / LEVEL)


@pytest.mark.parametrize("frequency", [50, 300, 1000, 2000, 3000, 3400])
def test_a_tone_in_the_telephone_band_passes_both_ways_and_its_image_does_not(frequency):
    wide = Doubler().resample(sine(frequency, NARROW))
    assert level_db(wide, frequency, WIDE) == pytest.approx(0.0, abs=0.1)
    assert level_db(wide, NARROW - frequency, WIDE) < -50
    narrow = Halver().resample(sine(frequency, WIDE))
    assert level_db(narrow, frequency, NARROW) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("frequency", [4600, 5000, 6000, 7000, 7700])
def test_a_tone_above_the_telephone_band_does_not_fold_into_it(frequency):
    narrow = Halver().resample(sine(frequency, WIDE))
    assert level_db(narrow, NARROW - frequency, NARROW) < -50
    assert np.abs(narrow[100:]).max() < LEVEL * 10 ** (-50 / 20)


@pytest.mark.parametrize("make", [Doubler, Halver])
def test_packets_give_what_the_whole_gives(make):
    audio = np.random.default_rng(1).integers(-30_000, 30_000, 3200).astype(np.int16)
    whole, stream = make().resample(audio), make()
    assert np.array_equal(np.concatenate([stream.resample(audio[at : at + 320]) for at in range(0, 3200, 320)]), whole)
    one_by_one = make()
    assert np.array_equal(np.concatenate([one_by_one.resample(audio[at : at + 2]) for at in range(0, 3200, 2)]), whole)


def test_twenty_milliseconds_stay_twenty_milliseconds():
    assert Doubler().resample(sine(400, NARROW, 0.02)).size == 320
    assert Halver().resample(sine(400, WIDE, 0.02)).size == 160
    assert Doubler().resample(np.zeros(0, dtype=np.int16)).size == 0
    with pytest.raises(ValueError, match="321 samples cannot be halved"):
        Halver().resample(np.zeros(321, dtype=np.int16))


def test_the_delay_is_the_one_that_is_stated():
    impulse = np.zeros(400, dtype=np.int16)
    impulse[100] = 10_000
    assert np.abs(Doubler().resample(impulse)).argmax() == 200 + round(DELAY_S * WIDE)
    there_and_back = Halver().resample(Doubler().resample(impulse))
    assert np.abs(there_and_back).argmax() == 100 + round(2 * DELAY_S * NARROW)


def test_full_scale_is_clipped_and_does_not_wrap():
    square = np.where(np.arange(800) // 20 % 2, 32767, -32768).astype(np.int16)
    wide = Doubler().resample(square)
    assert (wide.max(), wide.min()) == (32767, -32768)
    assert np.all(wide[1600 - 10 : 1600 - 5] > 0)


def test_one_rate_needs_nothing_and_a_strange_one_is_refused():
    assert isinstance(resampler(NARROW, NARROW), Unchanged)
    assert isinstance(resampler(NARROW, WIDE), Doubler)
    assert isinstance(resampler(WIDE, NARROW), Halver)
    with pytest.raises(ValueError, match="from 8000 to 44100"):
        resampler(NARROW, 44_100)
