"""Opus: speech and music from 6 to 510 kbit/s (RFC 6716), over RTP by RFC 7587; the one codec of the house whose packets are uneven.

RFC 7587 §4.1: the RTP clock is 48 000 whatever is in the packets, and the rtpmap says two channels whatever is sent. We send mono,
wide-band at 24 kbit/s, and hear whatever comes: the decoder makes one channel of two, and gives any rate, so nothing is resampled on the
way in. What is lost is made up by the decoder, of the copy in the packet behind it where there is one (in-band FEC, RFC 6716 §2.1.7).

What the far end's `a=fmtp` says of what it likes to hear (§6.1) is kept: `useinbandfec`, `usedtx`, `maxplaybackrate`,
`maxaveragebitrate`, `cbr`. With DTX the encoder gives nothing for a moment of silence: no packet goes out, and time goes on.

The arithmetic is libopus's, of the wheel `opuslib-next-bundled`, whose own Python makes lists of the samples; the few functions that are
needed are bound here. Encoding is dear and decoding is not, see `load.codec_bench`; no lock of the interpreter is held meanwhile.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from media.codecs.base import UnevenCodec
from media.frame import Samples
from media.quality import Impairments

RATE = 16_000
"""Of what we encode, and of what is mixed at most (`media.rates`)."""
CLOCK_RATE = 48_000
BIT_RATE = 24_000
"""RFC 7587 §3.1.1: 16 to 20 kbit/s are the sweet spot of wide-band speech; the rest is for the copies."""
_COMPLEXITY = 2
"""Of 10: a third of the price of 10, and half of 5's; what it loses is heard in music first (measured: `load.codec_bench`)."""
MOST_LOSS_PERCENT = 30
"""What is expected at most: beyond, copies cost more than they save (house)."""
_LONGEST_MS = 120
"""RFC 6716 §3.2: no packet lasts longer."""
_MOST_OCTETS = 1275
"""RFC 6716 §3.2.1: the longest frame."""
DTX_OCTETS = 2
"""A packet of no more is one that need not be sent (`opus_encode`), and one that came tells of silence."""

# opus_defines.h
_VOIP, _VOICE, _NARROW, _MEDIUM, _WIDE = 2048, 3001, 1101, 1102, 1103
_SET_BITRATE, _SET_MAX_BANDWIDTH, _SET_VBR, _SET_COMPLEXITY, _SET_INBAND_FEC = 4002, 4004, 4006, 4010, 4012
_SET_PACKET_LOSS_PERC, _SET_DTX, _SET_SIGNAL = 4014, 4016, 4024


def _library() -> ctypes.CDLL:
    """The libopus of the wheel, without its package.

    Raises: ImportError: it is not installed.
    """
    found = find_spec("opuslib_next")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    for path in (Path(folder) / "_native" / "libopus.so" for folder in folders):
        if path.exists():
            return ctypes.CDLL(str(path))
    raise ImportError("libopus is not there: is opuslib-next-bundled of requirements.lock installed?")


_lib = _library()
_lib.opus_encoder_get_size.argtypes = (ctypes.c_int,)
_lib.opus_decoder_get_size.argtypes = (ctypes.c_int,)
_lib.opus_encoder_init.argtypes = (ctypes.c_void_p, ctypes.c_int32, ctypes.c_int, ctypes.c_int)
_lib.opus_decoder_init.argtypes = (ctypes.c_void_p, ctypes.c_int32, ctypes.c_int)
_lib.opus_encoder_ctl.argtypes = (ctypes.c_void_p, ctypes.c_int)  # and whatever follows: it is variadic
_lib.opus_encode.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int32)
_lib.opus_encode.restype = ctypes.c_int32
_lib.opus_decode.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
_encode, _decode = _lib.opus_encode, _lib.opus_decode
_ENCODER_OCTETS, _DECODER_OCTETS = _lib.opus_encoder_get_size(1), _lib.opus_decoder_get_size(1)


def _frame_ticks(configuration: int) -> int:
    """RFC 6716 §3.1, table 2: what a frame of this configuration lasts, in ticks of 48 kHz."""
    if configuration < 12:
        return (480, 960, 1920, 2880)[configuration % 4]
    if configuration < 16:
        return (480, 960)[configuration % 2]
    return (120, 240, 480, 960)[configuration % 4]


_TICKS = tuple(_frame_ticks(first >> 3) for first in range(256))
"""By the first octet of a packet (TOC)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a far end likes to hear (RFC 7587 §6.1), each as it is where nothing is said."""

    fec: bool = False
    dtx: bool = False
    is_constant: bool = False
    most_rate: int = CLOCK_RATE
    most_bit_rate: int | None = None


def terms(fmtp: str) -> Terms:
    """Of an `a=fmtp` without its payload type; what cannot be read is as if it were not there."""
    said: dict[str, int] = {}
    for part in fmtp.split(";"):
        name, _, value = part.partition("=")
        value = value.strip()
        if value.isascii() and value.isdigit() and len(value) < 10:
            said[name.strip().lower()] = int(value)
    return Terms(
        fec=said.get("useinbandfec") == 1,
        dtx=said.get("usedtx") == 1,
        is_constant=said.get("cbr") == 1,
        most_rate=said.get("maxplaybackrate", CLOCK_RATE),
        most_bit_rate=said.get("maxaveragebitrate"),
    )


class OpusEncoder:
    """One stream, 16 kHz, mono. A packet a call."""

    __slots__ = ("_audio_rate", "_is_silent", "_packet", "_state", "_terms")

    def __init__(self) -> None:
        self._state = ctypes.create_string_buffer(_ENCODER_OCTETS)
        _check(_lib.opus_encoder_init(self._state, RATE, 1, _VOIP))
        self._packet = ctypes.create_string_buffer(_MOST_OCTETS)
        self._set(_SET_COMPLEXITY, _COMPLEXITY)
        self._set(_SET_SIGNAL, _VOICE)
        self._terms = Terms()
        self._audio_rate = RATE
        self._is_silent = False
        self._obey()

    def _set(self, request: int, value: int) -> None:
        _check(_lib.opus_encoder_ctl(self._state, request, ctypes.c_int32(value)))

    def take_terms(self, fmtp: str) -> None:
        """From now on what the far end likes; the stream goes on."""
        said = terms(fmtp)
        if said != self._terms:
            self._terms = said
            self._obey()

    def take_rate(self, rate: int) -> None:
        """What is encoded comes from audio of this rate: nothing is spent on an upper band that is empty."""
        if rate != self._audio_rate:
            self._audio_rate = rate
            self._obey()

    def _obey(self) -> None:
        said = self._terms
        most_rate = min(said.most_rate, self._audio_rate)
        # RFC 7587 §6.1: maxaveragebitrate is 6000 to 510 000; what lies outside says nothing.
        is_rate = said.most_bit_rate is not None and 6000 <= said.most_bit_rate <= 510_000
        self._set(_SET_BITRATE, min(BIT_RATE, said.most_bit_rate) if is_rate and said.most_bit_rate is not None else BIT_RATE)
        self._set(_SET_MAX_BANDWIDTH, _WIDE if most_rate >= 16_000 else _MEDIUM if most_rate >= 12_000 else _NARROW)
        self._set(_SET_INBAND_FEC, said.fec)
        self._set(_SET_DTX, said.dtx)
        self._set(_SET_VBR, not said.is_constant)

    def expect_loss(self, fraction: float) -> None:
        """How much of what we send does not arrive, 0 to 1: how much is spent on copies, where the far end takes them."""
        self._set(_SET_PACKET_LOSS_PERC, max(0, min(MOST_LOSS_PERCENT, round(100 * fraction))))

    def encode(self, audio: Samples) -> bytes:
        """One packet of 10, 20, 40 or 60 ms; empty for silence that need not be sent, after a first one that tells of it by its length.

        Raises: ValueError: audio of another length.
        """
        audio = np.ascontiguousarray(audio, dtype=np.int16)
        octets = _encode(self._state, audio.ctypes.data, audio.size, self._packet, _MOST_OCTETS)
        if octets < 0:
            raise ValueError(f"{audio.size} samples at {RATE} Hz are no packet of Opus")
        was_silent, self._is_silent = self._is_silent, octets <= DTX_OCTETS
        return b"" if was_silent and self._is_silent else self._packet.raw[:octets]


class OpusDecoder:
    """The other direction, mono, at a rate that libopus has: 8, 12, 16, 24 or 48 kHz."""

    __slots__ = ("_pcm", "_rate", "_state")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._state = ctypes.create_string_buffer(_DECODER_OCTETS)
        if _lib.opus_decoder_init(self._state, rate, 1) < 0:
            raise ValueError(f"Opus is not decoded to {rate} samples a second")
        self._pcm = np.zeros(rate * _LONGEST_MS // 1000, dtype=np.int16)

    def decode(self, payload: bytes) -> Samples:
        """One packet; what cannot be read is made up for as long as its first octet says, or is nothing."""
        got = _decode(self._state, payload, len(payload), self._pcm.ctypes.data, self._pcm.size, 0) if payload else -1
        if got < 0:
            return self.lost(OPUS.ticks(payload) * self._rate // CLOCK_RATE)
        return self._pcm[:got].copy()

    def lost(self, samples: int, following: bytes | None = None) -> Samples:
        """In place of what never came; a packet that follows may hold a copy of its last part.

        Args:
            samples: of the decoder's rate, whole multiples of 2.5 ms; a rest is silent.
        """
        made = np.zeros(samples, dtype=np.int16)
        whole = samples - samples % (self._rate // 400)
        copied = 0
        if following:
            copied = min(whole, OPUS.ticks(following) * self._rate // CLOCK_RATE)
        at = 0
        for count in (*_pieces(whole - copied, self._pcm.size), copied):
            if count:
                is_copy = bool(copied) and at == whole - copied
                source, octets = (following, len(following)) if is_copy and following else (None, 0)
                got = _decode(self._state, source, octets, self._pcm.ctypes.data, count, int(is_copy))
                if got > 0:
                    made[at : at + got] = self._pcm[:got]
                at += count
        return made


def _pieces(samples: int, most: int) -> list[int]:
    return [min(most, samples - at) for at in range(0, samples, most)]


def _check(result: int) -> None:
    if result < 0:
        raise RuntimeError(f"libopus refuses what it should take: error {result}")


class _Codec(UnevenCodec):
    name = "opus"
    payload_type = 111
    """The one Chromium has; dynamic."""
    clock_rate = CLOCK_RATE
    channels = 2
    fmtp = "minptime=10;useinbandfec=1"
    """What we say of ourselves: copies are used. DTX is not asked for: a far end that is silent is not told from one that is gone."""
    rate = RATE
    octets_a_second = BIT_RATE // 8
    silence = 0
    ptimes_ms = (10, 20, 40, 60)
    impairments: Impairments | None = None
    """G.107 is a scale of narrow-band speech, on which no figures of it are published."""

    @staticmethod
    def encoder() -> OpusEncoder:
        return OpusEncoder()

    @staticmethod
    def decoder() -> OpusDecoder:
        return OpusDecoder(RATE)

    @staticmethod
    def decoder_at(rate: int) -> OpusDecoder:
        return OpusDecoder(rate)

    @staticmethod
    def ticks(payload: bytes | bytearray | memoryview) -> int:
        if not payload:
            return 0
        frames = (1, 2, 2, 0)[payload[0] & 3]
        if not frames:
            frames = payload[1] & 0x3F if len(payload) > 1 else 0
        ticks = _TICKS[payload[0]] * frames
        return ticks if ticks <= CLOCK_RATE * _LONGEST_MS // 1000 else 0

    @staticmethod
    def is_silence(payload: bytes) -> bool:
        return len(payload) <= DTX_OCTETS


OPUS = _Codec()
