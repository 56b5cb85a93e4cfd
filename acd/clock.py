"""The one clock of the exchange: epoch seconds that run as true seconds do, and are brought back to the wall's when that was set.

Between two looks only the monotonic clock counts, which the host's NTP slews to true seconds: durations are true (§ 63 TKG), deadlines
survive a restart because they are civil. A wall clock that was stepped (set by hand, by NTP at once, or ahead because the machine slept)
shows in `step`; whoever asks tells the exchanges, which move everything they hold by as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FOLLOWED_S: Final = 1.0
"""A wall that is off by less is being slewed, or was read a moment later; more is a step."""
SAID_S: Final = 60.0
"""A journal that is ahead of the wall by more is said loudly."""
REFUSED_S: Final = 86_400.0
"""By more than a day: one of the two clocks is wrong, and a person has to say which."""


class Clock:
    """Callable: the present moment."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor = wall() - monotonic()

    def __call__(self) -> float:
        return self._anchor + self._monotonic()

    def monotonic(self, instant: float) -> float:
        """The monotonic time of an epoch instant, for the loop's timers."""
        return instant - self._anchor

    def step(self) -> float:
        """Follow the wall where it was stepped: by how many seconds, to the millisecond; 0.0 where it was not."""
        off = round(self._wall() - self(), 3)
        if abs(off) < FOLLOWED_S:
            return 0.0
        self._anchor += off
        return off
