"""A codec nobody has: 16 bit linear at 8 kHz as RFC 3551 §4.5.11 writes it, under a name and a dynamic number of its own.

As a program: the media worker with one row more in its registry.
"""

import sys

import numpy as np

from media.codecs.base import AudioCodec
from media.codecs.registry import CODECS, CONVERSIONS


class MadeUp(AudioCodec):
    """Two octets a tick, so that whoever takes an octet for a sample is found out."""

    name = "X-TWO"
    payload_type = 118
    clock_rate = rate = 8000
    octets_a_second = 16_000
    silence = 0
    impairments = None

    def encoder(self):
        return self

    def decoder(self):
        return self

    def encode(self, audio):
        return audio.astype(">i2").tobytes()

    def decode(self, payload):
        return np.frombuffer(payload[: len(payload) & ~1], dtype=">i2").astype(np.int16)


MADE_UP = MadeUp()
ROWS = ((CODECS, MADE_UP.name, MADE_UP), (CONVERSIONS, (MADE_UP.name, MADE_UP.name), None))
"""What the one line in the registry comes to."""

if __name__ == "__main__":
    from media.worker import main

    for table, key, value in ROWS:
        table[key] = value
    sys.exit(main())
