"""SIP timers: RFC 3261 §17 and Table 4 (A-K), RFC 6026 (L, M), and one table of deadlines for everything the engine waits for."""

import heapq
from collections import deque
from enum import StrEnum
from math import ceil
from typing import Any, Protocol

import msgspec


class TimerValues(msgspec.Struct, frozen=True):
    """The base intervals, in seconds."""

    t1: float = 0.5  # RFC 3261 §17.1.1.1: estimate of the round trip
    t2: float = 4.0  # §17.1.2.2: longest interval between retransmissions of non-INVITE requests and INVITE responses
    t4: float = 5.0  # §17.1.2.2: how long a message may stay in the network
    d: float = 32.0  # Table 4: "> 32 s for UDP"
    trying: float = 0.2  # §17.2.1: 100 is sent "unless it knows that the TU will generate a provisional or final response within 200 ms"

    @property
    def give_up(self) -> float:
        """64*T1: timers B, F, H, J, L, M and the patience of §13.3.1.4."""
        return 64 * self.t1


RFC3261 = TimerValues()


class Timer(StrEnum):
    """Every timer of the engine, one sentence each."""

    A = "A"  # INVITE request retransmission, unreliable transports
    B = "B"  # INVITE client transaction gives up
    D = "D"  # wait for response retransmissions after a non-2xx final
    E = "E"  # non-INVITE request retransmission, unreliable transports
    F = "F"  # non-INVITE client transaction gives up
    G = "G"  # INVITE response retransmission (non-2xx final)
    H = "H"  # wait for the ACK to a non-2xx final
    I = "I"  # wait for ACK retransmissions  # noqa: E741
    J = "J"  # wait for retransmissions of a non-INVITE request
    K = "K"  # wait for response retransmissions, non-INVITE
    L = "L"  # RFC 6026: wait for INVITE retransmissions after a 2xx
    M = "M"  # RFC 6026: wait for 2xx retransmissions and forked 2xx
    TRYING = "trying"  # §17.2.1: 200 ms until 100 Trying is due
    RESEND_2XX = "resend_2xx"  # §13.3.1.4: 2xx retransmission by the session
    ACK = "ack"  # §13.3.1.4: no ACK for the 2xx within 64*T1
    PATIENCE = "patience"  # nothing at all was heard of our INVITE for as long as the caller cares to wait
    COMES_BACK = "comes_back"  # a phone whose connection was lost has not registered again, and never hears that its call is over
    CANCELLED = "cancelled"  # §9.1: no final response 64*T1 after CANCEL
    INVITE_RETRY = "invite_retry"  # §14.1: try again after 491, for the first INVITE
    REINVITE_RESEND_2XX = "reinvite_resend_2xx"  # as RESEND_2XX, for a re-INVITE
    REINVITE_ACK = "reinvite_ack"  # as ACK, for a re-INVITE
    REINVITE_RETRY = "reinvite_retry"  # §14.1: try again after 491
    BINDING = "binding"  # §10.3: a registration runs out
    REFRESH = "refresh"  # §10.2.4: our own registration is due, first time or again
    SESSION_REFRESH = "session_refresh"  # RFC 4028 §10: half of the session interval has gone
    SUBSCRIPTION = "subscription"  # RFC 6665 §4.2.1: a subscription that a REFER has made runs out
    LAST_NOTIFY = "last_notify"  # the last NOTIFY of a REFER's subscription has had time enough to be answered
    SESSION_EXPIRES = "session_expires"  # RFC 4028 §10: the peer has not refreshed


class TimerOwner(Protocol):
    """Who set a timer and is told when it fires."""

    timers: dict[Timer, list[Any]]

    def on_timer(self, timer: Timer, now: float) -> None: ...


# What waits 64*T1 as a rule: begun in the order in which it ends, so that a queue keeps it in order without any comparing.
_LONG = frozenset((Timer.B, Timer.F, Timer.H, Timer.J, Timer.L, Timer.M, Timer.ACK))
# What only ends something, and may do so a little later than the standard's minimum.
_ENDING = _LONG | {Timer.D, Timer.I, Timer.K}


class TimerTable:
    """A queue and a heap of deadlines for all owners; a stopped timer stays there, dead, until it surfaces.

    An entry is the list [deadline, serial, owner or None, timer]; each owner holds its own entries in `owner.timers`, so that
    stopping is a dictionary look-up and no search.
    """

    # Dead entries are swept when they outnumber the live ones beyond this floor: a 32 s timer B dies after one round trip.
    SWEEP_FLOOR = 4096

    def __init__(self, grid_s: float = 0.0) -> None:
        """Timers that only end something are put off to the next multiple of `grid_s`, so that one wake-up serves many; 0: not at all."""
        self._grid = grid_s
        self._heap: list[list[Any]] = []
        self._queue: deque[list[Any]] = deque()
        self._serial = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) + len(self._queue) - self._dead

    def start(self, owner: TimerOwner, timer: Timer, deadline: float) -> None:
        """Set a timer; one already running under that name is replaced."""
        timers = owner.timers
        if timer in timers:
            timers[timer][2] = None
            self._dead += 1
        self._serial += 1
        if self._grid and timer in _ENDING:
            deadline = ceil(deadline / self._grid) * self._grid
        timers[timer] = entry = [deadline, self._serial, owner, timer]
        queue = self._queue
        if timer in _LONG and (not queue or queue[-1][0] <= deadline):
            queue.append(entry)
        else:
            heapq.heappush(self._heap, entry)

    def stop(self, owner: TimerOwner, timer: Timer) -> None:
        """Stop a timer; nothing happens when it is not running."""
        entry = owner.timers.pop(timer, None)
        if entry is not None:
            entry[2] = None
            self._dead += 1
            if self._dead > self.SWEEP_FLOOR and self._dead * 2 > len(self._heap) + len(self._queue):
                self._sweep()

    def stop_all(self, owner: TimerOwner) -> None:
        """Stop whatever this owner has running."""
        timers = owner.timers
        if timers:
            for entry in timers.values():
                entry[2] = None
            self._dead += len(timers)
            timers.clear()

    def _next(self) -> list[Any] | None:
        """The earliest live entry."""
        heap, queue = self._heap, self._queue
        while heap and heap[0][2] is None:
            heapq.heappop(heap)
            self._dead -= 1
        while queue and queue[0][2] is None:
            queue.popleft()
            self._dead -= 1
        if not queue:
            return heap[0] if heap else None
        return heap[0] if heap and heap[0] < queue[0] else queue[0]

    def next_timeout(self) -> float | None:
        """The earliest deadline, or None when nothing is awaited."""
        entry = self._next()
        return None if entry is None else entry[0]

    def fire_due(self, now: float) -> int:
        """Tell the owners of all timers due at `now`, in order of their deadlines. Returns: how many fired."""
        fired = 0
        # Timers set by the owners while firing (zero-length ones too) are served in the same call when they are due.
        while (entry := self._next()) is not None and entry[0] <= now:
            if self._queue and self._queue[0] is entry:
                self._queue.popleft()
            else:
                heapq.heappop(self._heap)
            owner, timer = entry[2], entry[3]
            del owner.timers[timer]
            owner.on_timer(timer, now)
            fired += 1
        return fired

    def _sweep(self) -> None:
        self._heap[:] = [entry for entry in self._heap if entry[2] is not None]
        heapq.heapify(self._heap)
        self._queue = deque([entry for entry in self._queue if entry[2] is not None])
        self._dead = 0

    def running(self, owner: TimerOwner, now: float) -> dict[str, float]:
        """Timer name -> seconds left, for `describe()`."""
        return {timer.value: round(entry[0] - now, 3) for timer, entry in owner.timers.items()}
