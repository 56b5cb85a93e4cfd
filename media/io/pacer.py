"""When things are due: a heap of absolute monotonic deadlines and the staggered clock of what we send (house). `now` is given.

A tick is due at `start + n * 5 ms`, whatever happened before: a late one does not make the next late. `PHASES` of them are a round, of
which a leg has every second for packets of 10 ms, every fourth for 20, every twelfth for 60. Legs that play are spread over the phases,
so that relayed packets never wait behind a burst to every leg at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from media.frame import FRAME_S

PHASE_S = FRAME_S / 4
PHASES = 24
"""120 ms, the least that every one of `PTIMES_MS` divides."""
LATE_S = 0.005
MAX_CATCH_UP = 5
"""Ticks made up for after a stall (100 ms: what a jitter buffer takes); beyond that the schedule starts over."""

PAUSE_S = 0.0005
WINDOW_S = 0.05
BUSY_PACKETS_A_S = 5000
"""Fifty bridged calls; below that the processor has nothing better to do than to wake up."""
FULL_ROUND = 48
"""A round with so many packets is behind already: look again at once."""


class Timer:
    """One thing to do later; `cancel` is cheap, the heap forgets it when its time comes."""

    __slots__ = ("action", "deadline")

    def __init__(self, deadline: float, action: Callable[[float], None]) -> None:
        self.deadline = deadline
        self.action: Callable[[float], None] | None = action

    def cancel(self) -> None:
        self.action = None


class TimerHeap:
    """Deadlines in order."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()

    def at(self, deadline: float, action: Callable[[float], None]) -> Timer:
        """Call `action(now)` once `now` reaches `deadline`."""
        timer = Timer(deadline, action)
        heapq.heappush(self._heap, (deadline, next(self._order), timer))
        return timer

    def next_deadline(self) -> float | None:
        """The earliest one that is still wanted."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> list[Callable[[float], None]]:
        """Take out everything due at `now`, in order of deadlines."""
        actions: list[Callable[[float], None]] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if timer.action is not None:
                actions.append(timer.action)
                timer.action = None
        return actions


def phases_of(ptime_ms: int, place: int) -> range:
    """The phases in which packets of that time are due, for the leg that comes in this place."""
    step = round(ptime_ms / (PHASE_S * 1000))
    return range(place % step, PHASES, step)


class Ticks:
    """The clock in its phases; runs only while somebody plays (`resume`, `rest`)."""

    def __init__(self) -> None:
        self._begin: float | None = None
        self._ticks = 0  # since `_begin`; deadlines are computed from it, so that no rounding adds up
        self.late = 0

    @property
    def next_deadline(self) -> float | None:
        return None if self._begin is None else self._begin + self._ticks * PHASE_S

    def resume(self, now: float) -> None:
        """Start the clock, unless it runs."""
        if self._begin is None:
            self._start_over(now)

    def rest(self) -> None:
        """Nobody plays."""
        self._begin = None

    def _start_over(self, now: float) -> float:
        # Phases go on in turn, so that none is left out.
        self._ticks %= PHASES
        self._begin = now - self._ticks * PHASE_S
        return self._begin

    def due(self, now: float) -> list[int]:
        """Phases to run now, oldest first; normally none or one."""
        begin = self._begin
        if begin is None or now < (deadline := begin + self._ticks * PHASE_S):
            return []
        if now - deadline > LATE_S:
            self.late += 1
        if now - deadline > MAX_CATCH_UP * FRAME_S:
            begin = self._start_over(now)
        phases: list[int] = []
        while begin + self._ticks * PHASE_S <= now:
            phases.append(self._ticks % PHASES)
            self._ticks += 1
        return phases


class Moderation:
    """Whether the packet loop should gather packets for half a millisecond before it looks again: interrupt moderation in software.

    Waking up costs more than relaying one packet does, so a loop that wakes for each of 30 000 packets a second spends most of its time on
    waking. Below `BUSY_PACKETS_A_S` nothing waits. Above, a packet is delayed by half a millisecond at most, a fortieth of its own length.
    """

    __slots__ = ("_busy", "_counted", "_since")

    def __init__(self) -> None:
        self._since = 0.0
        self._counted = 0
        self._busy = False

    def pauses(self, packets: int, now: float) -> bool:
        """Count a round that handled `packets`; whether to pause after it. A full round is never followed by a pause."""
        self._counted += packets
        elapsed = now - self._since
        if elapsed >= WINDOW_S:
            self._busy = self._counted >= BUSY_PACKETS_A_S * elapsed
            self._since, self._counted = now, 0
        return self._busy and packets < FULL_ROUND
