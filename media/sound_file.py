"""A recorded sound as somebody sends it, made into one that calls can hear: WAVE in, A-law at 8 kHz out, with its length and level.

Read are PCM of 8, 16, 24 and 32 bit, float of 32 and 64, A-law and µ-law, mono and stereo, at the rates of `RATES`, plain or as
WAVE_FORMAT_EXTENSIBLE (RFC 2361; Microsoft "Multiple channel audio data and WAVE files"). Channels become their mean. The resampler is a
polyphase low-pass (windowed sinc, Kaiser; Crochiere and Rabiner, "Multirate Digital Signal Processing", §3.3): what would fold into the
telephone band is 70 dB down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, gcd
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from media.codecs.g711 import PCMA, PCMU
from media.errors import ParseError
from media.frame import FRAME_SAMPLES, SAMPLE_RATE, Samples, silence
from media.wave_file import alaw_file

RATES: Final = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)
ACCEPTED: Final = (
    "a WAV file: PCM of 8, 16, 24 or 32 bit, float of 32 or 64 bit, A-law or µ-law, one or two channels, at "
    + ", ".join(f"{rate / 1000:g}" for rate in RATES)
    + " kHz"
)
"""What is taken, for people."""
SPEECH_DBFS: Final = -20.0
"""The level of the packaged announcements while somebody speaks, and what normalising makes."""
SILENCE_DBFS: Final = -60.0
"""Below it there is nothing to hear: a quiet room is recorded at about -60 dBFS, and A-law has no step below -66."""
QUIET_DBFS: Final = -32.0
"""12 dB below the packaged announcements: callers turn their phones up, and the next announcement shouts."""
LOUD_DBFS: Final = -12.0
CLIPPED_PART: Final = 1e-4
"""Of the samples at full scale: a single one is no fault, and hard clipping has a hundred times as many."""
SHORTEST_S: Final = 0.1
OTHERS: Final = {b"ID3": "MP3", b"\xff\xfb": "MP3", b"\xff\xf3": "MP3", b"\xff\xf2": "MP3", b"OggS": "OGG", b"fLaC": "FLAC"}
"""What people have and we do not read, by how it begins."""
_UNKNOWN_LENGTH: Final = 0x7FFF0000
"""From here on a chunk's length says that the writer did not know it (sox 0x7FFFFFFF less its header, ffmpeg 0xFFFFFFFF)."""

_FULL_SCALE = 0.999
_PASS_HZ, _STOP_HZ = 3500.0, 4100.0
"""G.712 wants 3400 Hz whole; what lies between 4000 and 4100 folds no lower than 3900."""
_ATTENUATION_DB = 70.0
_PEAK = 0.89 * 32768
_ACTIVE = 1e-3
"""30 dB below the loudest frame: pauses do not count."""

_FORMAT = Struct("<HHIIHH")
_SUBFORMAT_AT = 24
_TAG = Struct("<H")
PCM, FLOAT, ALAW, ULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_BITS: Final = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), ALAW: (8,), ULAW: (8,)}

Audio = NDArray[np.float32]
"""Full scale is 1."""


@dataclass(frozen=True, slots=True)
class Source:
    """What was sent."""

    encoding: str
    """`PCM 16`, `float 32`, `A-law`, `µ-law`."""
    rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class Converted:
    """A sound that can be played."""

    file: bytes
    """A-law WAVE, mono, 8 kHz."""
    duration_ms: int
    level_dbfs: float
    """While there is something to hear, as it is stored."""
    peak_dbfs: float
    """Of what was sent."""
    clipped: bool
    """What was sent is cut off at full scale."""
    source: Source


def convert(file: bytes, *, longest_s: float, normalise: bool = False) -> Converted:
    """Make a sound of a file.

    Args:
        longest_s: how long it may play.
        normalise: bring it to the level of the packaged announcements; peaks bend softly instead of clipping.
    Raises: ParseError: one sentence for whoever sent it: what is wrong, and what would be right.
    """
    source, audio = read(file)
    seconds = audio.size / source.rate
    if not SHORTEST_S <= seconds <= longest_s:
        raise ParseError(f"it plays {round(seconds, 2):g} s; a sound here plays {SHORTEST_S:g} to {longest_s:g} s")
    peak = max(float(audio.max()), -float(audio.min()))
    at_full_scale = np.count_nonzero(audio >= _FULL_SCALE) + np.count_nonzero(audio <= -_FULL_SCALE)
    clipped = bool(at_full_scale > CLIPPED_PART * audio.size)
    heard = resampled(audio, source.rate).astype(np.float64) * 32768.0
    if active_level(heard) < SILENCE_DBFS:
        raise ParseError(f"there is nothing to hear in it: it stays below {SILENCE_DBFS:g} dBFS within the telephone band")
    stored = levelled(heard, SPEECH_DBFS) if normalise else np.clip(np.rint(heard), -32768, 32767).astype(np.int16)
    return Converted(
        file=alaw_file(PCMA.encode(stored)),
        duration_ms=round(seconds * 1000),
        level_dbfs=round(active_level(stored.astype(np.float64)), 1),
        peak_dbfs=round(20 * float(np.log10(max(peak, 1e-9))), 1),
        clipped=clipped,
        source=source,
    )


# ---------------------------------------------------------------------- reading


def read(file: bytes) -> tuple[Source, Audio]:
    """A WAVE file as one channel at its own rate.

    Raises: ParseError
    """
    form: tuple[int, int, int, int, int] | None = None
    for name, body in _chunks(file):
        if name == b"fmt ":
            form = _form(body)
        elif name == b"data":
            if form is None:
                break
            return _decoded(form, body)
    raise ParseError("it is a WAV file without audio")


def _chunks(file: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and body of each; one that says it is as long as can be ends with the file: who writes to a pipe does not know its length."""
    other = next((what for mark, what in OTHERS.items() if file.startswith(mark)), None)
    if other is not None:
        raise ParseError(f"it is {other}, no WAV file; send {ACCEPTED}")
    if len(file) < 12 or file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise ParseError(f"it is no WAV file; send {ACCEPTED}")
    whole, at = memoryview(file), 12
    while at + 8 <= len(file):
        size = int.from_bytes(whole[at + 4 : at + 8], "little")
        there = len(file) - at - 8
        name = bytes(whole[at : at + 4])
        if name == b"data" and there < size < _UNKNOWN_LENGTH:
            raise ParseError(f"it is cut off: {size} octets of audio are announced, {there} are there")
        yield name, whole[at + 8 : at + 8 + size]
        at += 8 + size + (size & 1)


def _form(body: memoryview) -> tuple[int, int, int, int, int]:
    """Tag, channels, rate, octets of one sample of all channels, bits."""
    if len(body) < _FORMAT.size:
        raise ParseError("its format chunk is cut short")
    tag, channels, rate, _, block, bits = _FORMAT.unpack_from(body)
    if tag == EXTENSIBLE and len(body) >= _SUBFORMAT_AT + _TAG.size:
        (tag,) = _TAG.unpack_from(body, _SUBFORMAT_AT)
    if bits not in _BITS.get(tag, ()) or channels not in {1, 2} or rate not in RATES or block != channels * bits // 8:
        raise ParseError(f"it has {channels} channel(s) at {rate} Hz, format {tag} with {bits} bit; send {ACCEPTED}")
    return tag, channels, rate, block, bits


def _decoded(form: tuple[int, int, int, int, int], body: memoryview) -> tuple[Source, Audio]:
    tag, channels, rate, block, bits = form
    octets = body[: len(body) // block * block]
    if not len(octets):
        raise ParseError("it is a WAV file without audio")
    audio = _samples(tag, bits, octets)
    if not np.isfinite(audio).all():
        raise ParseError("some of its samples are no numbers")
    if channels == 2:
        audio = audio.reshape(-1, 2).mean(axis=1, dtype=np.float32)
    encoding = {ALAW: "A-law", ULAW: "µ-law", PCM: f"PCM {bits}", FLOAT: f"float {bits}"}[tag]
    return Source(encoding, rate, channels), audio


def _samples(tag: int, bits: int, octets: memoryview) -> Audio:
    found, full_scale = _numbers(tag, bits, octets)
    audio: Audio = found.astype(np.float32)
    audio /= np.float32(full_scale)
    return audio


def _numbers(tag: int, bits: int, octets: memoryview) -> tuple[NDArray[Any], float]:
    """Samples as they stand in the file, and what full scale is."""
    match tag, bits:
        case (1, 8):  # the only unsigned one
            return np.frombuffer(octets, np.uint8).astype(np.int16) - 128, 128
        case (1, 24):
            shifted = np.zeros((len(octets) // 3, 4), np.uint8)
            shifted[:, 1:] = np.frombuffer(octets, np.uint8).reshape(-1, 3)
            return shifted.view("<i4").reshape(-1), 2.0**31
        case (1, _):
            return np.frombuffer(octets, f"<i{bits // 8}"), 2.0 ** (bits - 1)
        case (3, _):
            # A number beyond full scale is clipped when it is played; one beyond float32 would be infinite here.
            return np.clip(np.frombuffer(octets, f"<f{bits // 8}"), -8.0, 8.0), 1
        case (6, _):
            return PCMA.decode(bytes(octets)), 32768
        case _:
            return PCMU.decode(bytes(octets)), 32768


# ---------------------------------------------------------------------- resampling


def resampled(audio: Audio, rate: int) -> Audio:
    """At 8 kHz, without what would fold into its band. Of audio at 8 kHz nothing is touched.

    Args:
        audio: shape (samples,), at `rate`.
    Returns: shape (samples * 8000 / rate, rounded up,); a sample stands where it stood.
    """
    if rate == SAMPLE_RATE:
        return audio
    common = gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    half = ceil(_half_width_s() * rate)
    rows = ceil((2 * half + 1) / down)
    total = ceil(audio.size * up / down)
    padded = np.concatenate([np.zeros(half, np.float32), audio, np.zeros(half + (rows + 2) * down, np.float32)])
    found = np.zeros(total, np.float32)
    for phase in range(min(up, total)):
        whole, rest = divmod(phase * down, up)
        taps = _taps(half, rest / up, rate, rows * down).reshape(rows, down)
        count = ceil((total - phase) / up)
        for row in range(rows):
            begin = whole + row * down
            found[phase::up] += padded[begin : begin + count * down].reshape(count, down) @ taps[row]
    return found


def _half_width_s() -> float:
    """Kaiser's estimate of the length that a transition needs (Oppenheim and Schafer, "Discrete-Time Signal Processing", §7.6)."""
    return (_ATTENUATION_DB - 7.95) / (2.285 * 2 * np.pi * (_STOP_HZ - _PASS_HZ)) / 2


def _taps(half: int, shift: float, rate: int, length: int) -> Audio:
    """The low-pass seen from between two samples, `shift` behind the first; filled up to `length`."""
    at = np.arange(-half, half + 1) - shift
    cut = (_PASS_HZ + _STOP_HZ) / rate
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)
    window = np.i0(beta * np.sqrt(np.clip(1 - (at / (half + 1)) ** 2, 0, 1))) / np.i0(beta)
    taps = np.sinc(cut * at) * window
    filled = np.zeros(length, np.float32)
    filled[: at.size] = taps / taps.sum()
    return filled


# ---------------------------------------------------------------------- loudness


def active_level(audio: NDArray[np.float64]) -> float:
    """Level in dBFS of the 20 ms frames that are not 30 dB below the loudest; -inf of silence.

    Args:
        audio: shape (samples,), 8 kHz, full scale 32768.
    """
    power = _frame_power(audio)
    loudest = float(power.max(initial=0.0))
    return 10 * float(np.log10(power[power > loudest * _ACTIVE].mean() / 32768.0**2)) if loudest > 0 else float("-inf")


def levelled(audio: NDArray[np.float64], dbfs: float) -> Samples:
    """Bring what is to be heard (`active_level`) to `dbfs`; peaks bend softly instead of clipping."""
    power = _frame_power(audio)
    active = power[power > power.max(initial=0.0) * _ACTIVE]
    if not active.size:
        return silence(audio.size)
    scaled = audio * (32768.0 * 10 ** (dbfs / 20) / np.sqrt(active.mean()))
    knee = 0.6 * _PEAK
    over = np.abs(scaled) > knee
    bent = np.sign(scaled) * (knee + (_PEAK - knee) * np.tanh((np.abs(scaled) - knee) / (_PEAK - knee)))
    shaped: Samples = np.rint(np.where(over, bent, scaled)).astype(np.int16)
    return shaped


def _frame_power(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square of each whole 20 ms frame."""
    frames = audio[: audio.size // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power: NDArray[np.float64] = (frames**2).mean(axis=1)
    return power
