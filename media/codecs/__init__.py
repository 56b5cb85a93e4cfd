"""Codecs: `base` (what one is), `g711` (A-law, µ-law), `g722`, `opus`, `linear` (what Opus is kept in),
`registry` (all, and tables between them), `transcoder` (the rest).
"""

from media.codecs.base import AudioCodec, Decoder, Encoder, SampleCodec, clock_scale, is_uneven, octets_in, ticks_in, ticks_of
from media.codecs.g711 import PCMA, PCMU
from media.codecs.g722 import G722
from media.codecs.opus import OPUS
from media.codecs.registry import CODECS, CONVERSIONS, USUAL, of_payload_type, of_rtpmap
from media.codecs.transcoder import Transcoder, decoder_at, encoder_at

__all__ = [
    "CODECS",
    "CONVERSIONS",
    "G722",
    "OPUS",
    "PCMA",
    "PCMU",
    "USUAL",
    "AudioCodec",
    "Decoder",
    "Encoder",
    "SampleCodec",
    "Transcoder",
    "clock_scale",
    "decoder_at",
    "encoder_at",
    "is_uneven",
    "octets_in",
    "of_payload_type",
    "of_rtpmap",
    "ticks_in",
    "ticks_of",
]
