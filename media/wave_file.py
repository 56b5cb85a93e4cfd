"""RIFF/WAVE: reading 8 kHz mono prompts (PCM 16, A-law, µ-law), headers for writing (IBM/Microsoft RIFF specification 1.0, RFC 2361).

Python's own `wave` refuses A-law and seeks at every header fix; this is the little that telephony needs.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

import numpy as np

from media.codecs.g711 import PCMA, ULAW_TO_ALAW
from media.errors import ParseError
from media.frame import SAMPLE_RATE

HEADER_OCTETS = 44
_CHUNK = Struct("<4sI")
_FORMAT = Struct("<HHIIHH")
_SIZE = Struct("<I")


class WaveFormat(IntEnum):
    """RFC 2361 format tags."""

    PCM = 1
    ALAW = 6
    ULAW = 7


def pcm_header(channels: int, data_octets: int) -> bytes:
    """The 44 octets in front of 8 kHz 16-bit samples."""
    block = 2 * channels
    size = min(data_octets, 0xFFFFFFFF - 36)
    return b"".join(
        (
            _CHUNK.pack(b"RIFF", 36 + size),
            b"WAVE",
            _CHUNK.pack(b"fmt ", 16),
            _FORMAT.pack(WaveFormat.PCM, channels, SAMPLE_RATE, SAMPLE_RATE * block, block, 16),
            _CHUNK.pack(b"data", size),
        )
    )


def pcm_duration_ms(header: bytes) -> int:
    """How long a file plays whose first 44 octets these are, in the form of `pcm_header`.

    Raises: ParseError: they are not.
    """
    if len(header) < HEADER_OCTETS or header[:4] != b"RIFF" or header[8:16] != b"WAVEfmt " or header[36:40] != b"data":
        raise ParseError("not the header of a recording")
    *_, octets_per_s, _, _ = _FORMAT.unpack_from(header, 20)
    (octets,) = _SIZE.unpack_from(header, 40)
    if not octets_per_s:
        raise ParseError("not the header of a recording")
    return int(octets) * 1000 // int(octets_per_s)


def alaw_file(payload: bytes) -> bytes:
    """A whole A-law WAV file; non-PCM formats carry `cbSize` and a fact chunk (RFC 2361 §2)."""
    header = _FORMAT.pack(WaveFormat.ALAW, 1, SAMPLE_RATE, SAMPLE_RATE, 1, 8) + b"\0\0"
    pad = b"\0" if len(payload) & 1 else b""
    body = b"".join(
        (
            b"WAVE",
            _CHUNK.pack(b"fmt ", len(header)) + header,
            _CHUNK.pack(b"fact", 4) + len(payload).to_bytes(4, "little"),
            _CHUNK.pack(b"data", len(payload)) + payload + pad,
        )
    )
    return _CHUNK.pack(b"RIFF", len(body)) + body


def read_as_alaw(file: bytes) -> bytes:
    """The audio of a prompt file as A-law octets.

    Raises: ParseError: no WAVE, or none at 8 kHz mono in a format telephony knows.
    """
    if len(file) < 12 or file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise ParseError("not a RIFF/WAVE file")
    tag = 0
    offset = 12
    while offset + 8 <= len(file):
        name, size = _CHUNK.unpack_from(file, offset)
        offset += 8
        if name == b"fmt " and size >= 16 and offset + 16 <= len(file):
            tag, channels, rate, _, _, bits = _FORMAT.unpack_from(file, offset)
            if channels != 1 or rate != SAMPLE_RATE or bits != (16 if tag == WaveFormat.PCM else 8):
                raise ParseError(f"{channels} channel(s) at {rate} Hz, {bits} bit: a prompt is mono at {SAMPLE_RATE} Hz")
        elif name == b"data":
            return _to_alaw(tag, file[offset : offset + size])
        offset += size + (size & 1)
    raise ParseError("WAVE file without audio")


def _to_alaw(tag: int, audio: bytes) -> bytes:
    match tag:
        case WaveFormat.ALAW:
            return audio
        case WaveFormat.ULAW:
            return audio.translate(ULAW_TO_ALAW)
        case WaveFormat.PCM:
            return PCMA.encode(np.frombuffer(audio[: len(audio) & ~1], dtype="<i2").astype(np.int16))
        case _:
            raise ParseError(f"WAVE format {tag} is neither PCM, A-law nor µ-law")
