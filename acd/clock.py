"""The one clock of the exchange: epoch seconds that never go back.

Wall time is read once; from then on the monotonic clock counts, which the host's NTP slews to true seconds. So durations are true
(§ 63 TKG), deadlines survive a restart because they are civil, and a stepped wall clock cannot reorder a journal.
"""

from __future__ import annotations

import time


class Clock:
    def __init__(self, not_before: float = 0.0) -> None:
        self._anchor = time.time() - time.monotonic()
        self.not_before(not_before)

    def not_before(self, instant: float) -> None:
        """Continue behind `instant`: the last entry of a recovered journal may be younger than a wall clock that was set back."""
        behind = instant - self()
        if behind > 0:
            self._anchor += behind

    def __call__(self) -> float:
        return self._anchor + time.monotonic()

    def monotonic(self, instant: float) -> float:
        """The monotonic time of an epoch instant, for the loop's timers."""
        return instant - self._anchor
