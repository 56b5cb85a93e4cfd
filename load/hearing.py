"""What a recording holds, by Fourier transform: which tone, and whether a given one is there (Oppenheim & Schafer ch. 10; house limits)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from media.frame import FRAME_SAMPLES, SAMPLE_RATE, Samples, level_dbfs

HALF_WIDTH_HZ = 20.0
"""A tone of 0.2 s through a Hann window is 20 Hz wide to its first zeros on either side."""
PURE = 0.6
"""Share of the energy that must lie in the tone: a G.711 tone has 0.99, music and speech seldom 0.3."""
AUDIBLE_DBFS = -50.0


def spectrum(audio: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies in Hz and the energy at each, Hann window, without the mean."""
    wave = audio.astype(np.float64)
    wave = (wave - wave.mean()) * np.hanning(len(wave))
    energy = np.asarray(np.abs(np.fft.rfft(wave)) ** 2, dtype=np.float64)
    return np.asarray(np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE), dtype=np.float64), energy


def tone_share(audio: Samples, frequency_hz: float) -> float:
    """Share of the energy within `HALF_WIDTH_HZ` of a frequency, 0..1; 0 for silence."""
    if len(audio) < FRAME_SAMPLES or level_dbfs(audio) < AUDIBLE_DBFS:
        return 0.0
    frequencies, energy = spectrum(audio)
    whole = float(energy.sum())
    return float(energy[np.abs(frequencies - frequency_hz) <= HALF_WIDTH_HZ].sum()) / whole if whole > 0 else 0.0


def has_tone(audio: Samples, frequency_hz: float) -> bool:
    """The tone is there and nothing else is loud."""
    return tone_share(audio, frequency_hz) >= PURE


def dominant_hz(audio: Samples) -> float | None:
    """The strongest frequency; None when it is silent."""
    if len(audio) < FRAME_SAMPLES or level_dbfs(audio) < AUDIBLE_DBFS:
        return None
    frequencies, energy = spectrum(audio)
    return float(frequencies[int(np.argmax(energy))])


def has_sound(audio: Samples) -> bool:
    """Anything louder than silence: a greeting, music."""
    return len(audio) >= FRAME_SAMPLES and level_dbfs(audio) >= AUDIBLE_DBFS
