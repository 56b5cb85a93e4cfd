"""Which RTP/RTCP port pairs are free: even port for RTP, the next for RTCP (RFC 3550 §11); house pool with quarantine.

Ports are drawn: where the next call's media goes must not be told by where the last one's went (RFC 6056 §3.3.1), for whoever sends to a
port before the far end does may be heard until it comes (`media.rtp.latch`). A port given back rests before it is used again, since packets
of the old call still arrive for a moment and would be taken for the new caller's. Pure: `now` is monotonic seconds, and the lots come from
outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

from media.errors import PortsExhausted

QUARANTINE_S = 2.0
"""Longer than a far end needs to see our BYE (T1 doubling reaches 2 s at the third try, RFC 3261 §17)."""


class PortPool:
    """Pairs between `first` and `last`, handed out by lot; each step costs the same however many there are."""

    def __init__(
        self,
        first: int,
        last: int,
        quarantine_s: float = QUARANTINE_S,
        avoid: Collection[int] = (),
        *,
        draw: Callable[[int], int],
    ) -> None:
        """Args:
        avoid: even ports to which packets of earlier calls still come: handed out after all others.
        draw: a lot from 0 up to but not including its argument; nobody must be able to tell the next.
        """
        if not 1 <= first <= last <= 0xFFFF:
            raise ValueError(f"ports {first}-{last} are no range")
        self.range = first, last
        even = first + (first & 1)
        late = frozenset(avoid)
        self._draw = draw
        self._free: list[int] = [port for port in range(even, last, 2) if port not in late]
        self._late: list[int] = [port for port in range(even, last, 2) if port in late]
        if not self._free and not self._late:
            raise ValueError(f"ports {first}-{last} hold no even/odd pair")
        self._resting: deque[tuple[float, int]] = deque()
        self._taken: set[int] = set()
        self._quarantine_s = quarantine_s

    def take(self, now: float) -> int:
        """An even port; the odd one above it belongs to it.

        Raises: PortsExhausted: with the reason in words.
        """
        self._end_quarantine(now)
        lots = self._free or self._late
        if not lots:
            raise PortsExhausted(f"all RTP ports are in use ({len(self._taken)} legs, {len(self._resting)} pairs resting)")
        place = self._draw(len(lots))
        lots[place], lots[-1] = lots[-1], lots[place]
        port = lots.pop()
        self._taken.add(port)
        return port

    def give_back(self, port: int, now: float) -> None:
        """The pair is closed; it rests until `now` + quarantine."""
        self._taken.remove(port)
        self._resting.append((now + self._quarantine_s, port))

    def free(self, now: float) -> int:
        """Pairs that could be taken now."""
        self._end_quarantine(now)
        return len(self._free) + len(self._late)

    def _end_quarantine(self, now: float) -> None:
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
