"""A far end from which nothing comes: `LegSilent` after the limit of its description, and again, more and more seldom (house)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from media.control import DescribeLeg, LegSilent
from media.io.pacer import Timer
from media.legs.host import Host

log = logging.getLogger("media.legs.silence_watch")

MOST_PATIENCE: Final = 8
"""A silence is reported after 1, 2, 4, 8, 16, 24, … times its limit."""


class SilenceWatch:
    """Of one leg."""

    __slots__ = ("_heard_at", "_host", "_leg", "_timer", "_to_report", "alive_at")

    def __init__(self, host: Host, leg: str, heard_at: Callable[[], float]) -> None:
        self._host = host
        self._leg = leg
        self._heard_at = heard_at
        self._timer: Timer | None = None
        self._to_report = 0.0
        self.alive_at = 0.0
        """When something came that is of no use to us, but somebody is there."""

    def begin(self, described: DescribeLeg | None, now: float) -> None:
        """Wait anew: with a description, and when somebody begins to listen to it."""
        self.end()
        if described is None or not described.receives or described.silence_timeout_s <= 0:
            return
        limit = described.silence_timeout_s
        self.alive_at = now  # waiting begins with the description
        self._to_report = limit

        def look(at: float) -> None:
            last = max(self._heard_at(), self.alive_at)
            quiet = at - last
            if quiet < limit:
                self._to_report = limit
            elif quiet >= self._to_report:
                log.info("- leg=%s silent for %.1f s", self._leg, quiet)
                self._host.report(LegSilent(leg=self._leg, seconds=round(quiet, 3)))
                # Who was asked and is there need not say so all the time.
                self._to_report += limit * min(MOST_PATIENCE, self._to_report / limit)
            self._timer = self._host.timers.at(last + self._to_report, look)

        self._timer = self._host.timers.at(now + limit, look)

    def end(self) -> None:
        """Nobody wants to know any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
