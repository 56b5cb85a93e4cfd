"""Comfort noise: what a far end that suppresses silence says of the noise behind it, and noise like that (RFC 3389).

A payload is the level, -dBov in an octet, and any number of reflection coefficients of an all-pole filter that gives the spectrum. Noise is
one long period drawn once for each spectrum, of exactly the level, in which everybody begins at another place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.fft import irfft, rfft  # numpy itself brings these two at their first use, which must not be in the packet loop
from numpy.random import default_rng
from numpy.typing import NDArray

from media.frame import SAMPLE_RATE, Samples, saturate

QUIETEST: Final = 127
"""RFC 3389 §3.1: the level octet is 0 to 127, for 0 to -127 dBov; its first bit is 0."""
MOST_COEFFICIENTS: Final = 12
"""What comes beyond says nothing that is heard; §3: a receiver may use fewer (the appendix to G.711 that it is made for sends 10)."""
_PERIOD: Final = 8192
"""Samples at 8 kHz, a second: nobody hears that it comes again."""
_OVERLOAD: Final = 32768.0
"""0 dBov is the power of a square wave of full scale (§3.1, ITU-T G.100.1): its root mean square."""
_LARGEST: Final = 0.95
"""Of a reflection coefficient: nearer to 1 the filter rings."""
_STEP: Final = 2503
"""Samples between two places where somebody begins: prime to the period, so that two who are heard together are not the same noise."""


@dataclass(frozen=True, slots=True)
class Hush:
    """What one packet says."""

    level: int
    """In -dBov."""
    coefficients: tuple[int, ...] = ()
    """As they are in the packet."""


def parse(payload: bytes) -> Hush:
    """Of any octets; the first bit is left out, and none are the quietest there is."""
    return Hush(payload[0] & 0x7F, tuple(payload[1 : 1 + MOST_COEFFICIENTS])) if payload else Hush(QUIETEST)


def rms(level: int) -> float:
    """Root mean square in steps of 16 bit: 0 dBov is 32768, each 20 less a tenth."""
    return float(_OVERLOAD * 10 ** (-level / 20))


def reflection(octet: int) -> float:
    """§3.2: k = 258 (N - 127) / 32768, of an octet N."""
    return 258 * (octet - 127) / 32768


def predictor(coefficients: tuple[int, ...]) -> NDArray[np.float64]:
    """1, a1, a2, …: the denominator of the filter (Levinson's step-up, Rabiner and Schafer, Digital Processing of Speech Signals, §8.3)."""
    made: NDArray[np.float64] = np.ones(1)
    for octet in coefficients:
        k = min(_LARGEST, max(-_LARGEST, reflection(octet)))
        longer = np.append(made, 0.0)
        made = longer + k * longer[::-1]
    return made


_WHITE: Final = rfft(default_rng(1).normal(size=_PERIOD))
"""Spectrum of what is drawn, once for all."""


@lru_cache(maxsize=64)
def _period(coefficients: tuple[int, ...], rate: int) -> NDArray[np.float64]:
    """A period of the noise, of a root mean square of 1; above 4 kHz nothing is said, and nothing is there. A few tenths of a ms."""
    spectrum = _WHITE / rfft(predictor(coefficients), _PERIOD)
    spectrum[0] = spectrum[-1] = 0.0
    made = irfft(spectrum, _PERIOD * rate // SAMPLE_RATE)  # beyond what is said it pads with nothing
    level: NDArray[np.float64] = made / np.sqrt(np.mean(made**2))
    level.flags.writeable = False
    return level


class Noise:
    """One stream of it.

    Args:
        seed: any number; where in the period it begins.
    """

    __slots__ = ("_at", "_hush", "_period", "_rate", "_rms")

    def __init__(self, hush: Hush, rate: int = SAMPLE_RATE, seed: int = 0) -> None:
        self._rate = rate
        self._hush = hush
        self._at = seed * _STEP % _PERIOD
        self.fit(hush)

    def fit(self, hush: Hush) -> None:
        """Another level or spectrum from now on."""
        self._hush = hush
        self._period = _period(hush.coefficients, self._rate)
        self._rms = rms(hush.level)

    def take(self, samples: int) -> Samples:
        """The next ones."""
        places = (self._at + np.arange(samples)) % self._period.size
        self._at = int((self._at + samples) % self._period.size)
        return saturate(np.rint(self._period[places] * self._rms))
