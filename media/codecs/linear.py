"""16 bit linear at 8 kHz, in the order of this machine: what is kept of a codec whose packets cannot be laid on a time line (house).

On no wire, and in no description: the registry does not list it.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from media.codecs.base import AudioCodec
from media.frame import SAMPLE_RATE, Samples
from media.quality import Impairments


class _Codec(AudioCodec):
    name = "linear"
    payload_type = -1
    clock_rate = rate = SAMPLE_RATE
    octets_a_second = 2 * SAMPLE_RATE
    silence = 0
    impairments: Impairments | None = None

    def encoder(self) -> Self:
        return self

    def decoder(self) -> Self:
        return self

    @staticmethod
    def encode(audio: Samples) -> bytes:
        return audio.tobytes()

    @staticmethod
    def decode(payload: bytes) -> Samples:
        return np.frombuffer(payload[: len(payload) & ~1], dtype=np.int16)


LINEAR = _Codec()
