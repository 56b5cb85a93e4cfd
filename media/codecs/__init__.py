"""Codecs: `base` (what one is), `g711` (A-law, µ-law), `g722`, `registry` (all, and tables between them), `transcoder` (the rest)."""

from media.codecs.base import AudioCodec, Decoder, Encoder, SampleCodec, octets_in, ticks_in
from media.codecs.g711 import PCMA, PCMU
from media.codecs.g722 import G722
from media.codecs.registry import CODECS, CONVERSIONS, USUAL, of_payload_type, of_rtpmap
from media.codecs.transcoder import Transcoder, decoder_at, encoder_at

__all__ = [
    "CODECS",
    "CONVERSIONS",
    "G722",
    "PCMA",
    "PCMU",
    "USUAL",
    "AudioCodec",
    "Decoder",
    "Encoder",
    "SampleCodec",
    "Transcoder",
    "decoder_at",
    "encoder_at",
    "octets_in",
    "of_payload_type",
    "of_rtpmap",
    "ticks_in",
]
