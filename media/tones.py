"""Tones as samples: German ring-back (425 Hz, 1 s on, 4 s off; ITU-T E.180 Supplement 2), DTMF (Q.23), probe tones for self-tests."""

from __future__ import annotations

import numpy as np

from media.frame import SAMPLE_RATE, Samples

RINGBACK_HZ = 425
RINGBACK_ON_S = 1.0
RINGBACK_OFF_S = 4.0
"""E.180 Suppl. 2, Germany: ringing tone 425 Hz, 1.0 on, 4.0 off."""
DTMF_LEVEL_DBFS = -12.0
"""Each of the two frequencies; together -9 dBFS, which leaves room for twist."""
WARNING_HZ = 1000
WARNING_S = 0.2
WARNING_TIMES = 3
"""3GPP TS 23.078 §4.5.7.1.2: three tones of 200 ms, 200 ms apart; the frequency is ours."""
SUPERVISED_HZ = 1400
"""House: as high as recorders beep (about 1400 Hz), and well above `WARNING_HZ`, so that nobody takes the one tone for the other."""
SUPERVISED_S = 0.12
SUPERVISED_TIMES = 2
_RAMP_S = 0.005
"""Attack and decay: a tone that begins at full level clicks."""

DTMF_ROWS_HZ = (697, 770, 852, 941)
DTMF_COLUMNS_HZ = (1209, 1336, 1477, 1633)
DTMF_KEYS = ("123A", "456B", "789C", "*0#D")
"""Q.23: rows by low, columns by high frequency."""


def frequencies_of(digit: str) -> tuple[int, int]:
    """Low and high frequency of a DTMF digit.

    Raises: ValueError: not one of 0-9 A-D * #.
    """
    for row, keys in zip(DTMF_ROWS_HZ, DTMF_KEYS, strict=True):
        column = keys.find(digit)
        if len(digit) == 1 and column >= 0:
            return row, DTMF_COLUMNS_HZ[column]
    raise ValueError(f"{digit!r} is no DTMF digit")


def tone(frequencies_hz: tuple[float, ...], seconds: float, level_dbfs: float = -18.0, *, ramp: bool = True) -> Samples:
    """A sum of sines, each with a root mean square of `level_dbfs`."""
    samples = round(seconds * SAMPLE_RATE)
    time = np.arange(samples) / SAMPLE_RATE
    amplitude = 32768.0 * 10 ** (level_dbfs / 20) * np.sqrt(2.0)
    wave = np.zeros(samples)
    for frequency in frequencies_hz:
        wave += amplitude * np.sin(2 * np.pi * frequency * time)
    if ramp:
        wave *= _envelope(samples)
    return np.clip(np.rint(wave), -32768, 32767).astype(np.int16)


def _envelope(samples: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    ramp = min(round(_RAMP_S * SAMPLE_RATE), samples // 2)
    shape = np.ones(samples)
    if ramp:
        rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(ramp) / ramp)
        shape[:ramp] = rise
        shape[samples - ramp :] = rise[::-1]
    return shape


def ringback() -> Samples:
    """One period of the German ringing tone; repeat it."""
    return np.concatenate([tone((RINGBACK_HZ,), RINGBACK_ON_S), np.zeros(round(RINGBACK_OFF_S * SAMPLE_RATE), dtype=np.int16)])


def warning() -> Samples:
    """The end of the call is near."""
    return _bursts(WARNING_HZ, WARNING_S, WARNING_TIMES)


def supervised() -> Samples:
    """Somebody listens to the conversation, or whispers, from now on: two short beeps, higher than those of `warning`."""
    return _bursts(SUPERVISED_HZ, SUPERVISED_S, SUPERVISED_TIMES)


def _bursts(frequency_hz: float, seconds: float, times: int) -> Samples:
    """So many tones, and as much silence between each two."""
    burst, gap = tone((frequency_hz,), seconds), np.zeros(round(seconds * SAMPLE_RATE), dtype=np.int16)
    return np.concatenate([burst, *[gap, burst] * (times - 1)])


def dtmf(digit: str, duration_ms: int) -> Samples:
    """One digit in band."""
    low, high = frequencies_of(digit)
    return tone((low, high), duration_ms / 1000, DTMF_LEVEL_DBFS)


def probe(frequency_hz: float, seconds: float) -> Samples:
    """A plain sine for self-tests; whole periods of it repeat without a click."""
    return tone((frequency_hz,), seconds, -12.0, ramp=False)


def dominant_frequency(audio: Samples) -> float:
    """The strongest frequency in `audio` in Hz, by a windowed FFT with parabolic interpolation: what self-tests measure.

    Returns: 0.0 for silence.
    """
    if audio.size < 16 or not np.any(audio):
        return 0.0
    spectrum = np.abs(np.fft.rfft(audio.astype(np.float64) * np.hanning(audio.size)))
    spectrum[0] = 0.0
    peak = int(np.argmax(spectrum))
    if 0 < peak < spectrum.size - 1:
        left, middle, right = np.log(spectrum[peak - 1 : peak + 2] + 1e-9)
        curve = left - 2 * middle + right
        shift = 0.5 * (left - right) / curve if curve else 0.0
    else:
        shift = 0.0
    return float((peak + shift) * SAMPLE_RATE / audio.size)
