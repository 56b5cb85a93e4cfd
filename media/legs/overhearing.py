"""What a leg says, as linear audio at 8 kHz, for whoever listens besides: recordings and keys in band (house).

Of a codec whose packets are even the recording keeps the packets themselves, and nothing of this is needed. Of an uneven one each packet is
decoded as it comes: what is missing before it is made up, the last of it from the copy that the packet may hold (RFC 7587 §3.3), and what
comes late finds its place taken.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from media.codecs.base import UnevenCodec
from media.frame import SAMPLE_RATE, Samples
from media.rtp.sequence import sequence_distance

MOST_MADE_UP_S: Final = 0.06
"""As concealment elsewhere: 60 ms (G.711 Appendix I)."""


class Overhearing:
    """Of one leg."""

    __slots__ = ("_codec", "_decoder", "_expected", "_number")

    def __init__(self, codec: UnevenCodec) -> None:
        self._codec = codec
        self._decoder = codec.decoder_at(SAMPLE_RATE)
        self._number = -1
        self._expected = 0

    def begin_stream(self) -> None:
        """Other numbers, another time."""
        self._number = -1

    def hear(self, sequence_number: int, timestamp: int, payload: bytes) -> tuple[int, Samples]:
        """One packet, in the order they come. Returns: the timestamp that the audio begins with, and the audio; empty where it is late."""
        codec = self._codec
        made: Samples | None = None
        begins = timestamp
        if self._number >= 0:
            ahead = sequence_distance(sequence_number, self._number)
            if ahead <= 0:
                return timestamp, np.zeros(0, dtype=np.int16)
            missing = (timestamp - self._expected) & 0xFFFFFFFF
            if ahead > 1 and 0 < missing <= MOST_MADE_UP_S * codec.clock_rate:
                made = self._decoder.lost(missing * SAMPLE_RATE // codec.clock_rate, payload)
                begins = self._expected
        self._number = sequence_number
        self._expected = (timestamp + codec.ticks(payload)) & 0xFFFFFFFF
        audio = self._decoder.decode(payload)
        return begins, audio if made is None else np.concatenate([made, audio])
