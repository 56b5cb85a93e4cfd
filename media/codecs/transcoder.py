"""Between codecs, and between a codec and audio at another rate than its own: decoder, resampler, encoder in a row. Pure.

For whom works at 8 kHz whatever the codec's rate (tones, keys in band, recordings): `decoder_at`, `encoder_at`. A codec whose rate is the
wanted one is used as it is.
"""

from __future__ import annotations

from media.codecs.base import AudioCodec, Decoder, Encoder, is_uneven
from media.frame import Samples
from media.resample import resampler


class _DecoderAt:
    def __init__(self, codec: AudioCodec, rate: int) -> None:
        self._decoder = codec.decoder()
        self._resampler = resampler(codec.rate, rate)

    def decode(self, payload: bytes) -> Samples:
        return self._resampler.resample(self._decoder.decode(payload))


class _EncoderAt:
    def __init__(self, codec: AudioCodec, rate: int, encoder: Encoder) -> None:
        self._encoder = encoder
        self._resampler = resampler(rate, codec.rate)

    def encode(self, audio: Samples) -> bytes:
        return self._encoder.encode(self._resampler.resample(audio))


def decoder_at(codec: AudioCodec, rate: int) -> Decoder:
    """A new stream whose linear audio has this rate.

    Raises: ValueError: as `media.resample.resampler`.
    """
    if is_uneven(codec):
        return codec.decoder_at(rate)
    return codec.decoder() if codec.rate == rate else _DecoderAt(codec, rate)


def encoder_at(codec: AudioCodec, rate: int, encoder: Encoder | None = None) -> Encoder:
    """A new stream that takes linear audio of this rate.

    Args:
        encoder: one of this codec that is in use: the far end has one decoder for whatever it hears.
    Raises: ValueError: as `media.resample.resampler`.
    """
    encoder = encoder or codec.encoder()
    return encoder if codec.rate == rate else _EncoderAt(codec, rate, encoder)


class Transcoder:
    """One direction of one stream from a codec to another; where a table does it (`CONVERSIONS`), that is cheaper."""

    def __init__(self, source: AudioCodec, target: AudioCodec) -> None:
        self._decoder = decoder_at(source, target.rate if is_uneven(source) else source.rate)
        self._encoder = encoder_at(target, target.rate if is_uneven(source) else source.rate)

    def transcode(self, payload: bytes) -> bytes:
        """The same time of audio in the other codec; of or to an uneven one, a packet a call."""
        return self._encoder.encode(self._decoder.decode(payload))
