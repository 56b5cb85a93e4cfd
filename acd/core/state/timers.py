"""Deadlines of the exchange: part of the state, set and stopped only while an event is folded, so a replay has the same (house).

A timer is named `<kind> <subject>`; due timers fire in order of deadline, then name, which is a total order on every machine.
"""

from __future__ import annotations

import heapq
from enum import StrEnum
from math import inf
from typing import Final


class Timer(StrEnum):
    """Every kind of deadline, one sentence each."""

    RING = "ring"  # an offer is not answered: redirect (RONA); subject: offer
    ANSWER = "answer"  # a leg that is rung outside an offer is not answered; subject: leg
    AFTER_CALL_WORK = "after_call_work"  # after-call work is over; subject: contact and agent
    MENU = "menu"  # no key after the menu was heard; subject: call
    ANNOUNCE = "announce"  # the position is due to be told again; subject: call
    RELAX = "relax"  # the next relaxation of the skills asked for; subject: entry
    WAIT = "wait"  # the waiting time limit of an overflow; subject: entry
    RETRY = "retry"  # an agent who did not take it may be tried again; subject: entry
    PAGE = "page"  # a page that is asked before an offer has not answered; subject: question
    PAGE_LOST = "page_lost"  # an agent whose page was lost in a call has not come back; subject: leg
    BINDING = "binding"  # the earliest registration of an agent's device runs out; subject: agent
    TIME_LIMIT = "time_limit"  # a leg may last no longer: the earliest of its limits (0900: one hour, § 113 TKG); subject: leg
    WARN = "warn"  # the end of a leg that has a limit is near: its other party is to hear it; subject: leg
    PIN = "pin"  # who says to be an agent at another's phone has not proved it; subject: call
    HOURS = "hours"  # business hours of a queue begin or end; subject: queue


_PREFIX: Final = {kind: f"{kind} " for kind in Timer}


def name(kind: Timer, subject: str) -> str:
    """Name of the timer of `kind` for `subject`."""
    return _PREFIX[kind] + subject


class TimerTable:
    """A dictionary of deadlines (the state) and a heap over it (derived); a stopped timer stays in the heap until it surfaces."""

    SWEEP_FLOOR = 1024
    """Dead heap items are swept when they outnumber the live ones beyond this: most deadlines never come."""

    def __init__(self, deadlines: dict[str, float]) -> None:
        self.deadlines = deadlines
        self._heap = [(deadline, timer) for timer, deadline in deadlines.items()]
        heapq.heapify(self._heap)
        self.soonest = self._heap[0][0] if self._heap else inf
        """Nothing is due before this instant; to be compared before `due` is asked, which most steps need not."""

    def start(self, timer: str, deadline: float) -> None:
        """Set a deadline; one already running under that name is replaced."""
        self.deadlines[timer] = deadline
        self.soonest = min(self.soonest, deadline)
        heapq.heappush(self._heap, (deadline, timer))
        if len(self._heap) > self.SWEEP_FLOOR + 2 * len(self.deadlines):
            self._heap = [(at, one) for one, at in self.deadlines.items()]
            heapq.heapify(self._heap)

    def stop(self, timer: str) -> None:
        """Stop a timer; nothing happens when it is not running."""
        self.deadlines.pop(timer, None)

    def next_timeout(self) -> float | None:
        """The earliest deadline, or None when nothing is awaited."""
        heap, running = self._heap, self.deadlines.get
        while heap:
            deadline, timer = heap[0]
            if running(timer) == deadline:
                return deadline
            heapq.heappop(heap)
        return None

    def due(self, now: float) -> str | None:
        """The first timer whose deadline is not after `now`; it goes on standing there until it is stopped or set anew."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            deadline, timer = heap[0]
            if self.deadlines.get(timer) == deadline:
                return timer
            heapq.heappop(heap)
        self.soonest = heap[0][0] if heap else inf
        return None
