"""Who speaks in a mix: the packets of one leg made into 20 ms of audio each tick, whatever the line did to them (house).

Jitter buffer, decoder and concealment in a row. Packets of keys (RFC 4733) and comfort noise (RFC 3389) are no audio and no loss: after
the latter it says noise until it says something else. So it does after a packet that ends a talk-spurt of Opus (DTX): the decoder knows
what its noise is. A tone that a device sends beneath its events is left out, as on a bridge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from media.codecs.base import AudioCodec, Decoder, RecoveringDecoder, clock_scale, is_uneven, ticks_of
from media.codecs.transcoder import decoder_at
from media.comfort_noise import Hush, Noise, parse
from media.concealment import Concealer
from media.dtmf import EventReceiver
from media.frame import FRAME_SAMPLES, PTIME_MS, SAMPLE_RATE, Samples, silence
from media.jitter_buffer import JitterBuffer, JitterStatistics, Lost
from media.rtp import packet as rtp

_UNPACK = rtp.HEADER.unpack_from
_HEADER_OCTETS: Final = rtp.HEADER_OCTETS


class Speaker:
    """What one leg says, one frame a tick. The receiver of the leg feeds it (`media.legs.outlet.Outlet`).

    Args:
        buffer: the worker's, one datagram.
        key: told of each key that goes down, with the time.
    """

    __slots__ = (
        "_buffer",
        "_codec",
        "_concealer",
        "_conceals",
        "_decoder",
        "_events",
        "_frame",
        "_is_hushed",
        "_key",
        "_noise",
        "_rate",
        "_recovering",
        "_rest",
        "_seed",
        "jitter",
    )

    def __init__(
        self,
        buffer: bytearray,
        events: EventReceiver,
        codec: AudioCodec,
        rate: int,
        key: Callable[[str, float], None],
        *,
        conceals: bool,
        statistics: JitterStatistics,
    ) -> None:
        self._buffer = buffer
        self._events = events
        self._key = key
        self._conceals = conceals
        self.jitter = JitterBuffer(statistics=statistics)
        self._noise: Noise | None = None
        """What it says while it says nothing."""
        self._seed = 0
        self._is_hushed = False
        """The same, and it is the decoder's."""
        self._codec: AudioCodec
        self._decoder: Decoder
        self._recovering: RecoveringDecoder | None = None
        """Set: it is the decoder, which knows best what to make up."""
        self._rate = 0
        self.fit(codec, rate)

    def fit(self, codec: AudioCodec, rate: int) -> None:
        """What comes is of this codec, what goes out of this rate; what waits is dropped where that is new."""
        if self._rate and (codec, rate) == (self._codec, self._rate):
            return
        self._codec, self._rate = codec, rate
        self._frame = rate * PTIME_MS // 1000
        self._recovering = codec.decoder_at(rate) if is_uneven(codec) else None
        self._decoder = self._recovering or decoder_at(codec, rate)
        self._concealer = Concealer(rate)
        self.speak_up()
        self._rest = silence(0)
        self.jitter.restart()

    def speak_up(self) -> None:
        """No noise any more."""
        self._noise, self._is_hushed = None, False

    # ---------------------------------------------------------------- what comes

    def put(self, sequence_number: int, timestamp: int, payload: bytes, now: float) -> None:
        """One packet of audio."""
        if self._events.mutes(timestamp, now):
            self.jitter.leave_out(sequence_number)
        else:
            codec = self._codec
            samples = ticks_of(codec, payload) // clock_scale(codec)
            if samples:
                self.jitter.push(sequence_number, payload, samples)
            else:
                self.jitter.leave_out(sequence_number)  # of Opus there is what is no packet

    def pass_on(self, octets: int, second: int, *, is_event: bool, now: float) -> None:  # noqa: ARG002 - as `Outlet` has it
        """The packet in the worker's buffer, which is the first of its stream, an event, or was of another codec."""
        _, _, sequence_number, timestamp, _ = _UNPACK(self._buffer)
        if is_event:
            self.jitter.leave_out(sequence_number)
        else:
            self.put(sequence_number, timestamp, bytes(self._buffer[_HEADER_OCTETS:octets]), now)

    def leave_out(self, sequence_number: int) -> None:
        """A packet of no audio."""
        self.jitter.leave_out(sequence_number)

    def hush(self, octets: int, second: int, now: float) -> None:  # noqa: ARG002 - as `Outlet` has it
        """The packet in the worker's buffer is comfort noise."""
        _, _, sequence_number, _, self._seed = _UNPACK(self._buffer)  # whose number is drawn at random, and differs from others'
        said = parse(bytes(self._buffer[_HEADER_OCTETS:octets]))
        if self.jitter.leave_out(sequence_number, said):
            self._fall_silent(said)

    def _fall_silent(self, said: Hush) -> None:
        if self._noise is None:
            self._noise = Noise(said, self._rate, seed=self._seed)
        else:
            self._noise.fit(said)

    def begin_stream(self) -> None:
        """Another source, another numbering: what waits has nothing to do with what follows."""
        self.speak_up()
        self.jitter.restart()
        self._rest = silence(0)

    def break_off(self) -> None:
        """The same, seen from the numbers."""
        self.begin_stream()

    def begin_key(self, digit: str, now: float) -> None:
        """A key went down."""
        self._key(digit, now)

    # ---------------------------------------------------------------- what is heard

    @property
    def waiting_frames(self) -> int:
        """Ticks after which all that came so far has been heard."""
        return self.jitter.waiting_frames + bool(self._rest.size)

    def frame(self) -> Samples | None:
        """The next 20 ms; None: it says nothing. Once a tick."""
        jitter, wanted = self.jitter, self._frame
        jitter.tick()
        audio = self._rest
        while audio.size < wanted:
            made = self._next()
            if made is None:
                break
            audio = np.concatenate([audio, made]) if audio.size else made
        if audio.size < wanted:
            noise = self._background(wanted - audio.size)
            if noise is None and not audio.size:
                return None
            audio = np.concatenate([audio, silence(wanted - audio.size) if noise is None else noise])
        self._rest = audio[wanted:]
        return audio[:wanted]

    def _background(self, samples: int) -> Samples | None:
        """What is heard where nothing is said; None: nothing."""
        if self._noise is not None:
            return self._noise.take(samples)
        return self._recovering.lost(samples) if self._is_hushed and self._recovering is not None else None

    def _next(self) -> Samples | None:
        while isinstance(popped := self.jitter.pop(), Hush):
            self._fall_silent(popped)
        match popped:
            case None:
                return None
            case Lost.DRY:
                return self._made_up(FRAME_SAMPLES, None)
            case Lost.LOST:
                return self._made_up(self.jitter.packet_samples, self.jitter.following)
            case payload:
                audio = self._decoder.decode(payload)
                self.speak_up()
                if is_uneven(self._codec) and self._codec.is_silence(payload):
                    self._is_hushed = True
                    self.jitter.end_spurt()
                return self._concealer.good(audio) if self._conceals and self._recovering is None else audio

    def _made_up(self, length: int, following: bytes | None) -> Samples:
        """In place of so many samples at 8 kHz; what follows them may be there already."""
        samples = length * self._rate // SAMPLE_RATE
        if not self._conceals:
            return silence(samples)
        return self._concealer.lost(samples) if self._recovering is None else self._recovering.lost(samples, following)
