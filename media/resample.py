"""From 8 to 16 kHz and back by a half-band filter in its two phases (Crochiere and Rabiner, Multirate Digital Signal Processing, §3.4).

One linear-phase filter of 51 coefficients at 16 kHz, a windowed sinc whose every other coefficient is zero: one phase is a mere delay, the
other 26 products a sample. Up to 3.4 kHz it is flat to 0.01 dB, from 4.6 kHz on 60 dB down; between them, about 4 kHz, is what telephony
does not carry (ITU-T G.712: 300 to 3400 Hz). Delay: 25 samples at 16 kHz, 1.6 ms, each way. Pure, but for the samples it remembers.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from media.frame import Samples, saturate

NARROW = 8000
WIDE = 16_000
TAPS = 51
"""By Kaiser's formula for 60 dB over 1.2 kHz: (60 - 7.95) / (14.36 x 1.2 / 16) + 1 = 49.3; a half band has 4n + 3."""
DELAY_S = (TAPS // 2) / WIDE
_BETA = 0.1102 * (60 - 8.7)
"""Kaiser's window for 60 dB."""


def _half_band() -> NDArray[np.float64]:
    """The coefficients, their sum 1, the middle one 1/2."""
    place = np.arange(TAPS) - TAPS // 2
    window = np.sinc(place / 2) / 2 * np.kaiser(TAPS, _BETA)
    window[place % 2 != 0] *= 0.5 / window[place % 2 != 0].sum()
    return window


_PHASE = _half_band()[::2]
"""The coefficients beside the middle: 26, as many on either side."""
_BEHIND = _PHASE.size - 1
_MIDDLE = TAPS // 4
"""What the other phase is late by, in samples at 8 kHz: the middle of the filter is the coefficient 25 = 2 x 12 + 1."""


class Resampler(Protocol):
    """One direction of one stream."""

    def resample(self, audio: Samples) -> Samples:
        """The same time at the other rate."""
        ...


class Unchanged:
    """Both rates are one."""

    def resample(self, audio: Samples) -> Samples:
        return audio


class Doubler:
    """8 to 16 kHz."""

    def __init__(self) -> None:
        self._past = np.zeros(_BEHIND, dtype=np.int16)

    def resample(self, audio: Samples) -> Samples:
        """Twice as many samples."""
        if not audio.size:
            return audio
        joined = np.concatenate([self._past, audio])
        self._past = joined[joined.size - _BEHIND :]
        made = np.empty(2 * audio.size, dtype=np.int16)
        # Between every two samples lies a zero, which halves the level: hence twice the coefficients, and the middle one is 1.
        made[0::2] = saturate(np.rint(np.convolve(joined, 2 * _PHASE, "valid")))
        made[1::2] = joined[_BEHIND - _MIDDLE : joined.size - _MIDDLE]
        return made


class Halver:
    """16 to 8 kHz."""

    def __init__(self) -> None:
        self._past = np.zeros(2 * _BEHIND, dtype=np.int16)

    def resample(self, audio: Samples) -> Samples:
        """Half as many samples, of an even number.

        Raises: ValueError: an odd number.
        """
        if audio.size % 2:
            raise ValueError(f"{audio.size} samples cannot be halved")
        if not audio.size:
            return audio
        joined = np.concatenate([self._past, audio])
        self._past = joined[joined.size - 2 * _BEHIND :]
        odd = joined[1::2]
        filtered = np.convolve(joined[0::2], _PHASE, "valid") + 0.5 * odd[_BEHIND - _MIDDLE - 1 : odd.size - _MIDDLE - 1]
        return saturate(np.rint(filtered))


_RESAMPLERS: dict[tuple[int, int], type[Doubler | Halver]] = {(NARROW, WIDE): Doubler, (WIDE, NARROW): Halver}


def resampler(rate: int, wanted: int) -> Resampler:
    """What brings one stream from a rate to another.

    Raises: ValueError: rates that nothing of ours has.
    """
    if rate == wanted:
        return Unchanged()
    made = _RESAMPLERS.get((rate, wanted))
    if made is None:
        raise ValueError(f"no way from {rate} to {wanted} samples a second")
    return made()
