"""What a frame of audio is: 8 kHz linear int16, 20 ms unless said (RFC 3551 §4.5.14, G.711). The only place that says so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8000
"""Samples a second, which is also the RTP clock of G.711 and of telephone-event (RFC 3551 table 4, RFC 4733 §2.5.1)."""
PTIME_MS = 20
"""RFC 3551 §4.2: 'the default packetization interval SHOULD have a duration of 20 ms'."""
PTIMES_MS = (10, 20, 30, 40, 60)
"""Packet times that we send: the usual ones, of which each divides the round of the clock (`media.io.pacer`)."""
FRAME_SAMPLES = SAMPLE_RATE * PTIME_MS // 1000
FRAME_S = PTIME_MS / 1000

Samples = NDArray[np.int16]
"""Audio: shape (samples,), int16."""


def sent_ptime(asked_ms: int) -> int:
    """The longest packet time of ours that is no longer than what was asked for; the shortest where that is too long still."""
    return max((ptime for ptime in PTIMES_MS if ptime <= asked_ms), default=PTIMES_MS[0])


def silence(samples: int = FRAME_SAMPLES) -> Samples:
    """Digital silence."""
    return np.zeros(samples, dtype=np.int16)


def level_dbfs(audio: Samples) -> float:
    """Root mean square of `audio` in dB below full scale; -inf for silence. 0 dBFS is a square wave of full amplitude."""
    if audio.size == 0:
        return float("-inf")
    mean_square = float(np.mean(np.square(audio.astype(np.float64))))
    return float(10.0 * np.log10(mean_square / 32768.0**2)) if mean_square > 0.0 else float("-inf")


def saturate(audio: NDArray[np.int32] | NDArray[np.float64]) -> Samples:
    """Clip to the int16 range instead of wrapping round."""
    return np.clip(audio, -32768, 32767).astype(np.int16)
