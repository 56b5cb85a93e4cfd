"""Packet loss concealment for G.711: pitch repetition with fade, after the method of ITU-T G.711 Appendix I (own implementation).

Lost audio is replaced by the last pitch period, repeated; after 10 ms it fades by 20 % each 10 ms and is silent after 60 ms. The first
good frame is faded in over the continued repetition. What is played at 16 kHz is made up alike, every length doubled.

Differences from the appendix: no 3.75 ms look-ahead delay (the end of the good audio is not smoothed in advance), one pitch period is used
throughout instead of one to three, and what does not repeat itself (a consonant) is repeated as much softer as it is unlike itself a period
earlier, which is the level with the least error.
"""

from __future__ import annotations

import numpy as np

from media.frame import SAMPLE_RATE, Samples, silence

HISTORY_SAMPLES = 390
"""Appendix I keeps 48.75 ms."""
PITCH_MIN = 40
PITCH_MAX = 120
"""5 ms to 15 ms: 200 Hz down to 66 Hz."""
_CORRELATION = 160
_FULL_SAMPLES = 80
_FADE_SAMPLES = 480
"""10 ms at full level, silent at 60 ms."""
_OVERLAP = 32
"""4 ms of cross-fade where repetition and good audio meet."""


class Concealer:
    """One direction of one call. `good` and `lost` are called in the order of time.

    Args:
        rate: samples a second, a multiple of 8000.
    """

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        self._scale = rate // SAMPLE_RATE
        self._history = np.zeros(HISTORY_SAMPLES * self._scale, dtype=np.int16)
        self._period: Samples | None = None
        self._likeness = 1.0
        self._lost_samples = 0

    def good(self, audio: Samples) -> Samples:
        """Audio that arrived; its beginning is blended with the repetition when something was lost before it."""
        if self._period is not None:
            overlap = min(_OVERLAP * self._scale, audio.size)
            rising = np.linspace(0.0, 1.0, overlap, endpoint=False)
            continued = self._repeat(overlap)
            blended = audio.copy()
            blended[:overlap] = np.rint(audio[:overlap] * rising + continued * (1.0 - rising)).astype(np.int16)
            audio = blended
            self._period = None
            self._lost_samples = 0
        self._remember(audio)
        return audio

    def lost(self, samples: int) -> Samples:
        """Something to hear in place of `samples` that never came."""
        if self._period is None:
            self._period = self._last_period()
            self._lost_samples = 0
        if self._lost_samples >= _FADE_SAMPLES * self._scale:
            self._lost_samples += samples
            self._history[:] = 0
            return silence(samples)
        made = self._repeat(samples)
        self._lost_samples += samples
        return made

    def _repeat(self, samples: int) -> Samples:
        period = self._period
        if period is None:
            return silence(samples)
        position = self._lost_samples + np.arange(samples)
        full, fade = _FULL_SAMPLES * self._scale, _FADE_SAMPLES * self._scale
        gain = np.clip(1.0 - (position - full) / (fade - full), 0.0, 1.0)
        if self._likeness < 1.0:
            gain *= np.maximum(self._likeness, 1.0 - position / (_OVERLAP * self._scale))
        return np.rint(period[position % period.size] * gain).astype(np.int16)

    def _last_period(self) -> Samples:
        """The newest pitch period, its end blended with what came a period earlier so that it joins itself without a click."""
        history = self._history.astype(np.float64)
        found, self._likeness = find_pitch(history[:: self._scale])
        lag = found * self._scale
        period = history[-lag:].copy()
        overlap = lag // 4
        rising = np.linspace(0.0, 1.0, overlap, endpoint=False)
        period[-overlap:] = period[-overlap:] * (1.0 - rising) + history[-lag - overlap : -lag] * rising
        return np.rint(period).astype(np.int16)

    def _remember(self, audio: Samples) -> None:
        if audio.size >= self._history.size:
            self._history = audio[-self._history.size :].copy()
        elif audio.size:
            self._history = np.concatenate([self._history[audio.size :], audio])


def find_pitch(history: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[int, float]:
    """Samples of one pitch period at 8 kHz, and how like the newest 20 ms are to what came a period before, 0 to 1.

    Source: the best normalised correlation.
    """
    template = history[-_CORRELATION:]
    best, best_lag = -1.0, PITCH_MAX
    for lag in range(PITCH_MIN, PITCH_MAX + 1):
        earlier = history[-_CORRELATION - lag : -lag]
        energy = float(earlier @ earlier)
        if energy > 0.0:
            correlation = float(template @ earlier) / energy**0.5
            if correlation > best:
                best, best_lag = correlation, lag
    energy = float(template @ template)
    return best_lag, min(1.0, max(0.0, best / energy**0.5)) if energy > 0.0 else 1.0
