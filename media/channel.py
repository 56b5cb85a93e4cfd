"""One party's audio of a recording between arrival and disk: a time line of encoded octets (house).

A packet costs the packet loop one copy: its payload, still encoded, is laid into the channel's buffer where its RTP timestamp says.
"""

from __future__ import annotations

from media.codecs.registry import CODECS
from media.frame import SAMPLE_RATE
from media.rtp.sequence import timestamp_distance

TOLERANCE_SAMPLES = SAMPLE_RATE * 3 // 10
"""Packets up to 300 ms late still find their place."""
_REANCHOR_SAMPLES = SAMPLE_RATE // 5
"""A timestamp that lies 200 ms off its arrival is another time base (new SSRC, resumed hold), not jitter."""
_INITIAL_SAMPLES = 2 * SAMPLE_RATE
ABSENT, PRESENT, OVER = range(3)
"""What an octet of a channel is: not there, and to be concealed; there; not there, because there was nobody any more."""
_ONES = bytes((PRESENT,)) * 2048


class Channel:
    """One leg's audio between arrival and disk: encoded octets, and beside each whether it is there."""

    __slots__ = (
        "_anchor_position",
        "_anchor_timestamp",
        "_audio",
        "_end",
        "_is_closed",
        "_present",
        "_start",
        "began_at",
        "codec",
        "late",
        "paused",
    )

    def __init__(self, start: int = 0) -> None:
        self.codec = "PCMA"
        self.began_at = 0.0
        """Monotonic time of sample 0; the packet loop computes positions from it."""
        self.paused = False
        self.late = 0
        self._start = start
        self._end = start  # of the newest packet
        self._is_closed = False
        self._audio = bytearray(_INITIAL_SAMPLES)
        self._present = bytearray(_INITIAL_SAMPLES)
        self._anchor_timestamp: int | None = None
        self._anchor_position = 0

    def place(self, timestamp: int, payload: bytes | bytearray | memoryview, arrival: int) -> None:
        """Lay one packet on the time line.

        Args:
            arrival: the sample position that is now.
        """
        if self.paused:
            return
        anchor = self._anchor_timestamp
        position = arrival if anchor is None else self._anchor_position + timestamp_distance(timestamp, anchor)
        if anchor is None or not -_REANCHOR_SAMPLES <= position - arrival <= _REANCHOR_SAMPLES:
            position = arrival
            self._anchor_timestamp, self._anchor_position = timestamp, position
        offset = position - self._start
        size = len(payload)
        if offset < 0:
            self.late += 1
            return
        shortage = offset + size - len(self._audio)
        if shortage > 0:
            self._audio.extend(bytes(shortage + SAMPLE_RATE))
            self._present.extend(bytes(shortage + SAMPLE_RATE))
        self._audio[offset : offset + size] = payload
        self._present[offset : offset + size] = _ONES[:size]
        self._end = max(self._end, position + size)

    def close(self) -> None:
        """Its party is gone: behind its last packet is silence, and nothing that was lost."""
        self._is_closed = True

    def take(self, until: int) -> tuple[str, bytes, bytes]:
        """Cut off everything before position `until`: codec, octets, and beside each whether it is `PRESENT`, `ABSENT` or `OVER`."""
        count = max(0, until - self._start)
        if count > len(self._audio):
            extension = bytes(count - len(self._audio))
            self._audio.extend(extension)
            self._present.extend(extension)
        if self._is_closed and until > self._end:
            silent = min(count, until - self._end)
            self._present[count - silent : count] = bytes((OVER,)) * silent
        taken = (self.codec, bytes(self._audio[:count]), bytes(self._present[:count]))
        del self._audio[:count]
        del self._present[:count]
        self._audio.extend(bytes(count))
        self._present.extend(bytes(count))
        self._start += count
        return taken

    def switch_codec(self, codec: str) -> None:
        """The leg's codec changed: what is still in the buffer is converted, so that one buffer has one codec."""
        if codec != self.codec:
            self._audio[:] = CODECS[codec].encode(CODECS[self.codec].decode(bytes(self._audio)))
            self.codec = codec
