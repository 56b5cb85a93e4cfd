"""G.711 A-law and µ-law by tables built from the segment definition of ITU-T G.711 (11/88) tables 1a-2b, as G.191 computes them.

Decoding is a 256-entry table, encoding a 65 536-entry one, both numpy look-ups. A-law to µ-law and back are
256-octet tables for `bytes.translate`, the cheapest thing Python can do to a payload; they are composed of decoder and
encoder, which equals G.711 tables 3 and 4 in all but the few codes where those tables round the other way by one step.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from media.codecs.base import SampleCodec
from media.frame import SAMPLE_RATE, Samples
from media.quality import G711, Impairments

_ALAW_TOGGLE = 0x55
"""G.711 §3.2: the even bits of an A-law code are inverted on the line."""
_MU_BIAS = 33
_MU_CLIP = 8158
"""G.711 table 2a: 14-bit magnitude, decision values biased by 33 so that every segment begins at a power of two."""


def _alaw_decode_one(code: int) -> int:
    """13-bit A-law value of G.711 table 1a/1b, left-justified to 16 bits."""
    code ^= _ALAW_TOGGLE
    segment = (code >> 4) & 0x07
    step = code & 0x0F
    magnitude = (step << 1) + 1 if segment == 0 else ((step << 1) + 33) << (segment - 1)
    return magnitude << 3 if code & 0x80 else -(magnitude << 3)


def _ulaw_decode_one(code: int) -> int:
    """14-bit µ-law value of G.711 table 2a/2b, left-justified to 16 bits."""
    code = ~code & 0xFF
    magnitude = ((((code & 0x0F) << 1) + _MU_BIAS) << ((code >> 4) & 0x07)) - _MU_BIAS
    return -(magnitude << 2) if code & 0x80 else magnitude << 2


def _alaw_encode_table() -> NDArray[np.uint8]:
    """For each int16 (as uint16 index) the code whose interval holds it: G.191 cuts to 12 bits of magnitude, then finds the segment."""
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # G.191 alaw_compress: negative values by one's complement, so that -1 and 0 fall into the two innermost intervals.
    magnitude = np.where(linear < 0, ~linear, linear) >> 4
    segment = np.where(magnitude > 15, np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 3, 0)
    step = np.where(segment == 0, magnitude, (magnitude >> np.maximum(segment - 1, 0)) - 16)
    code = (segment << 4) | (step & 0x0F) | np.where(linear >= 0, 0x80, 0)
    encoded: NDArray[np.uint8] = (code ^ _ALAW_TOGGLE).astype(np.uint8)
    return encoded


def _ulaw_encode_table() -> NDArray[np.uint8]:
    """For each int16 (as uint16 index) its µ-law code: G.191 ulaw_compress, 14 bits of magnitude, biased, clipped."""
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.where(linear < 0, (~linear >> 2), linear >> 2), _MU_CLIP) + _MU_BIAS
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    step = (magnitude >> (segment + 1)) & 0x0F
    code = (segment << 4) | step | np.where(linear < 0, 0x80, 0)
    encoded: NDArray[np.uint8] = (~code & 0xFF).astype(np.uint8)
    return encoded


_ALAW_DECODE = np.array([_alaw_decode_one(code) for code in range(256)], dtype=np.int16)
_ULAW_DECODE = np.array([_ulaw_decode_one(code) for code in range(256)], dtype=np.int16)
_ALAW_ENCODE = _alaw_encode_table()
_ULAW_ENCODE = _ulaw_encode_table()


class _TableCodec(SampleCodec):
    clock_rate = rate = octets_a_second = SAMPLE_RATE
    impairments: Impairments | None = G711

    def __init__(self, name: str, payload_type: int, silence: int, decode: NDArray[np.int16], encode: NDArray[np.uint8]) -> None:
        self.name = name
        self.payload_type = payload_type
        self.silence = silence
        self._decode = decode
        self._encode = encode

    def encoder(self) -> Self:
        return self

    def decoder(self) -> Self:
        return self

    def encode(self, audio: Samples) -> bytes:
        return self._encode[audio.view(np.uint16)].tobytes()

    def decode(self, payload: bytes) -> Samples:
        return self._decode[np.frombuffer(payload, dtype=np.uint8)]


PCMA = _TableCodec("PCMA", 8, 0xD5, _ALAW_DECODE, _ALAW_ENCODE)
PCMU = _TableCodec("PCMU", 0, 0xFF, _ULAW_DECODE, _ULAW_ENCODE)

ALAW_TO_ULAW: bytes = _ULAW_ENCODE[_ALAW_DECODE.view(np.uint16)].tobytes()
ULAW_TO_ALAW: bytes = _ALAW_ENCODE[_ULAW_DECODE.view(np.uint16)].tobytes()
