"""Three makers' G.722 behind one face, speech to try them with, and how far what is heard is from what was said."""

import ctypes
import ctypes.util
import functools
import os

import numpy as np
import pytest

from media.codecs import G722, PCMA
from media.resample import Doubler
from media.sounds import FOLDER
from media.wave_file import read_as_alaw

RATE = 16_000


class OurLibrary:
    def encode(self, audio):
        return G722.encoder().encode(audio)

    def decode(self, octets):
        return G722.decoder().decode(octets)


class Av:
    """FFmpeg's, by PyAV."""

    def encode(self, audio):
        import av

        encoder = av.CodecContext.create("g722", "w")
        encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
        encoder.open()
        frames = []
        for at in range(0, audio.size, 320):
            frame = av.AudioFrame.from_ndarray(audio[None, at : at + 320], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, at
            frames += [bytes(packet) for packet in encoder.encode(frame)]
        return b"".join(frames + [bytes(packet) for packet in encoder.encode(None)])

    def decode(self, octets):
        import av

        decoder = av.CodecContext.create("g722", "r")
        decoder.sample_rate, decoder.layout = RATE, "mono"
        decoder.open()
        heard = []
        for at in range(0, len(octets), 160):
            heard += [frame.to_ndarray().reshape(-1) for frame in decoder.decode(av.Packet(octets[at : at + 160]))]
        return np.concatenate(heard)


class Spandsp:
    """Debian's libspandsp2, by its own functions."""

    def __init__(self):
        found = ctypes.util.find_library("spandsp")
        if found is None:
            if os.environ.get("CI"):
                pytest.fail("libspandsp2 is not installed, and in CI nothing is skipped")
            pytest.skip("libspandsp2 is not installed")
        self._library = ctypes.CDLL(found)
        for name in ("g722_encode_init", "g722_decode_init"):
            made = getattr(self._library, name)
            made.restype, made.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        for name in ("g722_encode", "g722_decode"):
            done = getattr(self._library, name)
            done.restype, done.argtypes = ctypes.c_int, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        for name in ("g722_encode_free", "g722_decode_free"):
            getattr(self._library, name).argtypes = (ctypes.c_void_p,)

    def encode(self, audio):
        state = self._library.g722_encode_init(None, 64_000, 0)
        given, made = np.ascontiguousarray(audio, dtype=np.int16), ctypes.create_string_buffer(audio.size)
        count = self._library.g722_encode(state, made, given.ctypes.data, given.size)
        self._library.g722_encode_free(state)
        return made.raw[:count]

    def decode(self, octets):
        state = self._library.g722_decode_init(None, 64_000, 0)
        made = np.zeros(2 * len(octets) + 16, dtype=np.int16)
        count = self._library.g722_decode(state, made.ctypes.data, octets, len(octets))
        self._library.g722_decode_free(state)
        return made[:count]


MAKERS = {"g722": OurLibrary, "pyav": Av, "spandsp": Spandsp}


@functools.lru_cache(maxsize=2)
def speech(seconds):
    """Spoken prompts of the house one after the other, at 16 kHz."""
    wanted, spoken, length = round(seconds * 8000), [], 0
    for path in sorted((FOLDER / "de").glob("*.wav")):
        spoken.append(PCMA.decode(read_as_alaw(path.read_bytes())))
        length += spoken[-1].size
        if length >= wanted:
            break
    assert length >= wanted
    return Doubler().resample(np.concatenate(spoken)[:wanted])


def delayed_snr(said, heard, longest=64):
    """In dB, at the delay and the level where they are nearest: those are no distortion."""
    best = -np.inf
    for delay in range(longest):
        a = said[: said.size - longest].astype(float)
        b = heard[delay : delay + a.size].astype(float)
        a = a[: b.size]
        error = a - b * ((a @ b) / (b @ b))
        best = max(best, 10 * np.log10((a @ a) / (error @ error)))
    return best
