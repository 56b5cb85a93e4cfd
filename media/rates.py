"""The rate that a conversation is mixed at, and what brings a codec's audio to it and back (house)."""

from __future__ import annotations

from collections.abc import Iterable

from media.codecs.base import AudioCodec, Decoder, Encoder
from media.frame import SAMPLE_RATE

WIDE_RATE = 16_000
"""ITU-T G.722."""


def mixing_rate(codecs: Iterable[AudioCodec]) -> int:
    """Samples a second: wideband where two members or more could hear the difference from each other."""
    return WIDE_RATE if sum(codec.rate >= WIDE_RATE for codec in codecs) >= 2 else SAMPLE_RATE


def decoder_at(codec: AudioCodec, rate: int) -> Decoder:
    """A new stream whose linear audio has this rate.

    Raises: ValueError: nothing here leads from the codec's rate to it.
    """
    if codec.rate != rate:
        raise ValueError(f"no way from {codec.rate} to {rate} samples a second")
    return codec.decoder()


def encoder_at(codec: AudioCodec, rate: int) -> Encoder:
    """A new stream that takes linear audio of this rate.

    Raises: ValueError: nothing here leads from it to the codec's rate.
    """
    if codec.rate != rate:
        raise ValueError(f"no way from {rate} to {codec.rate} samples a second")
    return codec.encoder()
