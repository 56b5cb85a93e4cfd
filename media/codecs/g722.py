"""G.722 at 64 kbit/s: 7 kHz audio in two sub-bands of ADPCM (ITU-T G.722, mode 1); an octet is two samples at 16 kHz.

RFC 3551 §4.5.2: "Even though the actual sampling rate for G.722 audio is 16,000 Hz, the RTP clock rate for the G722 payload format is
8,000 Hz because that value was erroneously assigned in RFC 1890 and must remain unchanged for backward compatibility": 20 ms are 160 octets
and 160 ticks, as of G.711. Both ends adapt from what they got before, so a stream has one encoder and one decoder from its first octet on;
after a loss the two are apart and find each other again within some tens of milliseconds (the predictor forgets: G.722 §3.6).

The arithmetic is the library's (`G722` of Sippy Software, bit-exact by the ITU's vectors): 16 µs to encode 20 ms, 9 µs to decode them,
and it holds no lock of the interpreter meanwhile. PyAV carries the same codec at the same price and the whole of FFmpeg with it.
"""

from __future__ import annotations

import G722 as library  # noqa: N811 - the module has the codec's name
import numpy as np

from media.codecs.base import AudioCodec
from media.frame import Samples
from media.quality import Impairments

RATE = 16_000
_BIT_RATE = 64_000


class _Stream:
    """Either direction; the library keeps both in one object, of which a stream uses one."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = library.G722(RATE, _BIT_RATE)

    def encode(self, audio: Samples) -> bytes:
        """An even number of samples; a last odd one is left out."""
        encoded: bytes = self._state.encode(audio)
        return encoded

    def decode(self, payload: bytes) -> Samples:
        """Two samples an octet."""
        return np.frombuffer(self._state.decode(payload), dtype=np.int16)


class _Codec(AudioCodec):
    name = "G722"
    payload_type = 9
    clock_rate = 8000
    rate = RATE
    octets_a_second = _BIT_RATE // 8
    silence = 0xFF
    """Neither sub-band moves: decoded from the start of a stream it stays within 3 of 32 768."""
    impairments: Impairments | None = None
    """G.113 gives none on the narrow-band scale; its value of G.107.1 is on another (R up to 129) and has no figure for loss."""

    @staticmethod
    def encoder() -> _Stream:
        return _Stream()

    @staticmethod
    def decoder() -> _Stream:
        return _Stream()


G722 = _Codec()
