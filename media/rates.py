"""The rate that a conversation is mixed at (house)."""

from __future__ import annotations

from collections.abc import Iterable

from media.codecs.base import AudioCodec
from media.frame import SAMPLE_RATE

WIDE_RATE = 16_000
"""ITU-T G.722."""


def mixing_rate(codecs: Iterable[AudioCodec]) -> int:
    """Samples a second: wideband where two members or more could hear the difference from each other."""
    return WIDE_RATE if sum(codec.rate >= WIDE_RATE for codec in codecs) >= 2 else SAMPLE_RATE
