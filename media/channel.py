"""One party's audio of a recording between arrival and disk: a time line of encoded octets (house).

A packet costs the packet loop one copy: its payload, still encoded, is laid into the channel's buffer where its RTP timestamp says.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from media.codecs.base import clock_scale, octets_in
from media.codecs.g711 import PCMA
from media.codecs.registry import CODECS, kept, kept_as
from media.codecs.transcoder import Transcoder
from media.frame import SAMPLE_RATE
from media.rtp.sequence import timestamp_distance

TOLERANCE_SAMPLES = SAMPLE_RATE * 3 // 10
"""Packets up to 300 ms late still find their place."""
_REANCHOR_SAMPLES = SAMPLE_RATE // 5
"""A timestamp that lies 200 ms off its arrival is another time base (new SSRC, resumed hold), not jitter."""
_INITIAL_SAMPLES = 2 * SAMPLE_RATE
ABSENT, PRESENT, OVER, NOISE = range(4)
"""What a tick of a channel is: not there, and to be concealed; there; not there, because there was nobody any more; noise in place of
silence (RFC 3389), of which the octets are the level."""
_ONES = bytes((PRESENT,)) * 2048


class Channel:
    """One leg's audio between arrival and disk: encoded octets, and beside each tick of 8 kHz whether it is there.

    A codec whose packets cannot be laid on a time line is placed as linear audio: `kept_as` of the registry.
    """

    __slots__ = (
        "_anchor_position",
        "_anchor_timestamp",
        "_audio",
        "_before_anchor",
        "_codec",
        "_end",
        "_is_closed",
        "_is_resumed",
        "_noise",
        "_noise_at",
        "_octets",
        "_present",
        "_scale",
        "_start",
        "began_at",
        "late",
        "paused",
    )

    def __init__(self, start: int = 0) -> None:
        self._codec = PCMA.name
        self._octets = 1  # a tick of 8 kHz
        self._scale = 1  # ticks of the RTP clock in one of 8 kHz
        self.began_at = 0.0
        """Monotonic time of sample 0; the packet loop computes positions from it."""
        self.paused = False
        """Nothing is placed, and nothing is made up in its place: `pause`."""
        self.late = 0
        self._start = start
        self._end = start  # of the newest packet
        self._is_closed = False
        self._is_resumed = False
        """No packet has come since the pause."""
        self._audio = bytearray(_INITIAL_SAMPLES)
        self._present = bytearray(_INITIAL_SAMPLES)
        self._anchor_timestamp: int | None = None
        self._anchor_position = 0
        self._noise: int | None = None
        """In -dBov, from `_noise_at` on, until something is said."""
        self._noise_at = start
        self._before_anchor = start
        """Where what came before the anchor ends."""

    @property
    def codec(self) -> str:
        """Of what is in the buffer: one of `media.codecs.registry.kept`."""
        return self._codec

    @codec.setter
    def codec(self, codec: str) -> None:
        """That of the leg, before anything is placed; later `switch_codec`."""
        self._codec = kept_as(codec)
        self._scale = clock_scale(CODECS[codec])
        self._octets = octets_in(kept(self._codec), 1)
        self._audio = bytearray(len(self._present) * self._octets)

    def place(self, timestamp: int, payload: bytes | bytearray | memoryview, arrival: int) -> None:
        """Lay one packet on the time line.

        Args:
            arrival: the sample position that is now.
        """
        if self.paused:
            return
        position = self._position(timestamp, arrival)
        if self._noise is not None and position >= self._noise_at:
            self._fill_with_noise(position)
            self._noise = None
        offset = position - self._start
        octets = self._octets
        size = len(payload) // octets
        if offset < 0:
            self.late += 1
            return
        self._make_room(offset + size)
        self._audio[offset * octets : (offset + size) * octets] = payload[: size * octets]
        self._present[offset : offset + size] = _ONES[:size]
        self._end = max(self._end, position + size)

    def hush(self, timestamp: int, level: int, arrival: int) -> None:
        """From there on noise, so many -dBov loud, until the next packet that is placed. Args: as `place`."""
        if self.paused:
            return
        position = max(self._start, self._position(timestamp, arrival))
        if self._noise is not None:
            self._fill_with_noise(position)
        self._noise, self._noise_at = level, position
        self._end = max(self._end, position)

    def speak_up(self) -> None:
        """No noise any more from where it was taken last."""
        self._noise = None

    def _fill_with_noise(self, until: int) -> None:
        first, last, octets = self._noise_at - self._start, until - self._start, self._octets
        if self._noise is None or first >= last:
            return
        self._make_room(last)
        self._audio[first * octets : last * octets] = bytes((self._noise,)) * ((last - first) * octets)
        self._present[first:last] = bytes((NOISE,)) * (last - first)
        self._noise_at = until

    def _make_room(self, size: int) -> None:
        shortage = size - len(self._present)
        if shortage > 0:
            self._audio.extend(bytes((shortage + SAMPLE_RATE) * self._octets))
            self._present.extend(bytes(shortage + SAMPLE_RATE))

    def _position(self, timestamp: int, arrival: int) -> int:
        """Where a packet belongs."""
        anchor = self._anchor_timestamp
        position = arrival if anchor is None else self._anchor_position + timestamp_distance(timestamp, anchor) // self._scale
        if anchor is None or not -_REANCHOR_SAMPLES <= position - arrival <= _REANCHOR_SAMPLES:
            position = arrival
            self._anchor_timestamp, self._anchor_position, self._before_anchor = timestamp, position, self._end
        elif position > arrival and self._anchor_position > self._start:
            position -= self._draw_near(position - arrival)
        if self._is_resumed:
            self._is_resumed = False
            self._is_over(self._end, position)
        return position

    def _draw_near(self, samples: int) -> int:
        """The packet at the anchor was late, as one tells that comes earlier than by it: what follows the anchor belongs further ahead.
        Parties of whom one began in a burst stay together so. Only while all of it is in the buffer, and over nothing that was before.

        Returns: by how many samples it was drawn.
        """
        drawn = max(0, min(samples, self._anchor_position - max(self._start, self._before_anchor)))
        end = self._anchor_position - self._start
        del self._audio[(end - drawn) * self._octets : end * self._octets]
        del self._present[end - drawn : end]
        self._anchor_position -= drawn
        self._end -= drawn
        if self._noise is not None:
            self._noise_at -= drawn
        return drawn

    def pause(self, *, paused: bool) -> None:
        """Silence from the newest packet on, or audio again from the next one on."""
        self._is_resumed = not paused and (self.paused or self._is_resumed)
        if paused:
            self.speak_up()
        self.paused = paused

    def close(self) -> None:
        """Its party is gone: behind its last packet is silence, and nothing that was lost."""
        self._is_closed = True
        self.speak_up()

    def take(self, until: int) -> tuple[str, bytes, bytes]:
        """Cut off everything before position `until`: codec, octets, and for each tick whether it is present, absent, over or noise."""
        count, octets = max(0, until - self._start), self._octets
        if count > len(self._present):
            missing = count - len(self._present)
            self._audio.extend(bytes(missing * octets))
            self._present.extend(bytes(missing))
        if self._is_closed or self.paused or self._is_resumed:
            self._is_over(self._end, until)
        self._fill_with_noise(until)
        taken = (self._codec, bytes(self._audio[: count * octets]), bytes(self._present[:count]))
        del self._audio[: count * octets]
        del self._present[:count]
        self._audio.extend(bytes(count * octets))
        self._present.extend(bytes(count))
        self._start += count
        return taken

    def _is_over(self, begin: int, end: int) -> None:
        first, last = max(0, begin - self._start), min(len(self._present), end - self._start)
        if first < last:
            self._present[first:last] = bytes((OVER,)) * (last - first)

    def switch_codec(self, codec: str) -> None:
        """The leg's codec changed: what is still in the buffer is converted, so that one buffer has one codec."""
        if clock_scale(CODECS[codec]) != self._scale:
            self._anchor_timestamp = None  # by another clock it says nothing
        if kept_as(codec) == self._codec:
            self._scale = clock_scale(CODECS[codec])
            return
        transcoder = Transcoder(kept(self._codec), kept(kept_as(codec)))
        before, octets = bytes(self._audio), self._octets
        self.codec = codec
        for start, end, kind in runs(bytes(self._present)):
            if kind == NOISE:
                self._audio[start * self._octets : end * self._octets] = bytes((before[start * octets],)) * ((end - start) * self._octets)
            elif kind == PRESENT:
                self._audio[start * self._octets : end * self._octets] = transcoder.transcode(before[start * octets : end * octets])


def runs(present: bytes) -> list[tuple[int, int, int]]:
    """What lies in one piece: first tick, the one behind the last, and what it is."""
    there = np.frombuffer(present, dtype=np.uint8)
    edges = [0, *(np.flatnonzero(np.diff(there)) + 1).tolist(), there.size]
    return [(start, end, int(there[start])) for start, end in pairwise(edges) if start < end]
