"""Codecs: `base` (what one is), `g711` (A-law, µ-law), `registry` (by name, and conversions)."""

from media.codecs.base import AudioCodec, Decoder, Encoder, SampleCodec
from media.codecs.g711 import PCMA, PCMU
from media.codecs.registry import CODECS, CONVERSIONS

__all__ = ["CODECS", "CONVERSIONS", "PCMA", "PCMU", "AudioCodec", "Decoder", "Encoder", "SampleCodec"]
