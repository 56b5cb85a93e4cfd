"""Whether anything is heard of a far end that somebody listens to: `LegUnheard` if nothing is within five seconds (house)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from media.control import LegUnheard
from media.io.pacer import Timer
from media.legs.host import Host

log = logging.getLogger("media.legs.one_way")

WITHIN_S: Final = 5.0
"""A conversation begins with words, or at least with the noise of a room: whoever sends at all has sent by then."""


class OneWayWatch:
    """Of one leg."""

    __slots__ = ("_heard_at", "_host", "_leg", "_sends", "_timer")

    def __init__(self, host: Host, leg: str, heard_at: Callable[[], float], sends: Callable[[], bool]) -> None:
        self._host = host
        self._leg = leg
        self._heard_at = heard_at
        self._sends = sends
        """Whether audio is to be expected of it: who holds is silent."""
        self._timer: Timer | None = None

    def begin(self, now: float) -> None:
        """From now on somebody listens to it."""
        self.end()

        def look(_at: float) -> None:
            self._timer = None
            if self._sends() and self._heard_at() < now:
                log.info("- leg=%s nothing is heard of it", self._leg)
                self._host.report(LegUnheard(leg=self._leg))

        self._timer = self._host.timers.at(now + WITHIN_S, look)

    def end(self) -> None:
        """Nobody wants to know any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
