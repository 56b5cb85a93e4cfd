"""Audio of one stream in packets of another length: RFC 3551 §4.2 leaves the length to the sender, a=ptime and a=maxptime to the receiver.

For codecs whose every tick of the RTP clock is the same number of octets. Gaps of the stream stay where they are in time; what comes late
is left out, as its place is filled.
"""

from __future__ import annotations

from media.frame import SAMPLE_RATE

MOST_FILLED = SAMPLE_RATE // 10
"""100 ms: a shorter gap is loss and is filled with silence; a longer one is a pause of the speaker, after which we begin anew."""

Cut = tuple[int, bytes, bool]
"""Timestamp in the source's time, payload, and whether a talk-spurt begins with it."""


class Repacketiser:
    """Takes packets of any length, gives packets of `samples` ticks."""

    __slots__ = ("_at", "_begins", "_octets", "_rest", "_silence", "samples")

    def __init__(self, samples: int, silence: int, octets: int = 1) -> None:
        """Args: octets: a tick."""
        self.samples = samples
        self._octets = octets
        self._silence = bytes((silence,))
        self._at = -1  # timestamp of what `_rest` begins with; -1: nothing came yet
        self._rest = b""
        self._begins = True

    @property
    def is_empty(self) -> bool:
        """Nothing waits for more: the next packet could pass as it is."""
        return not self._rest

    def put(self, timestamp: int, payload: bytes) -> list[Cut]:
        """Take in one packet; what is whole now."""
        cuts: list[Cut] = []
        if self._at < 0:
            self._at = timestamp
        gap = (timestamp - self._at - len(self._rest) // self._octets) & 0xFFFFFFFF
        if gap >= 0x80000000:
            return cuts
        if gap > MOST_FILLED:
            if self._rest:
                self._rest = self._rest.ljust(self.samples * self._octets, self._silence)
                cuts = self._take()
            self._at, self._begins = timestamp, True
        elif gap:
            self._rest += self._silence * (gap * self._octets)
        self._rest += payload
        return cuts + self._take()

    def _take(self) -> list[Cut]:
        size, rest = self.samples * self._octets, self._rest
        whole = len(rest) // size * size
        cuts: list[Cut] = []
        for start in range(0, whole, size):
            cuts.append(((self._at + start // self._octets) & 0xFFFFFFFF, rest[start : start + size], self._begins))
            self._begins = False
        self._at, self._rest = (self._at + whole // self._octets) & 0xFFFFFFFF, rest[whole:]
        return cuts
