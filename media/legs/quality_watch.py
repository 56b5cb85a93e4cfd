"""How a leg is heard, and hears, while it is up: a `LegQuality` every five seconds (RFC 3550 §6.4, RFC 3611; house).

It costs a packet nothing: what is counted anyway is read when an interval is over, and taken from what it was when it began.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from media.control import LegQuality
from media.io.pacer import Timer
from media.legs.host import Host
from media.rtp.rtcp import VoipMetrics
from media.rtp.session import RtpSession

EVERY_S: Final = 5.0
"""As long as a far end takes to report (RFC 3550 §6.2), and enough packets to tell 1 % loss from none."""
_UNKNOWN: Final = 127
"""RFC 3611 §4.7.5: of scores."""


class QualityWatch:
    """Of one leg.

    Args:
        score: MOS of an interval in which so many packets were lost of so many, both above; None where there is none.
    """

    __slots__ = ("_expected", "_host", "_leg", "_received", "_reports", "_score", "_session", "_since", "_timer")

    def __init__(self, host: Host, leg: str, session: RtpSession, score: Callable[[int, int], float | None]) -> None:
        self._host = host
        self._leg = leg
        self._session = session
        self._score = score
        self._timer: Timer | None = None
        self._since = 0.0
        self._expected = 0
        self._received = 0
        self._reports = 0

    def begin(self, now: float) -> None:
        """The leg is described; nothing changes when it was before."""
        if self._timer is None:
            self._mark(now)
            self._timer = self._host.timers.at(now + EVERY_S, self._look)

    def _look(self, now: float) -> None:
        found = self.measured(now)
        self._mark(now)
        self._timer = self._host.timers.at(now + EVERY_S, self._look)
        if found is not None:
            self._host.report(found)

    def _mark(self, now: float) -> None:
        session = self._session
        self._since, self._expected, self._received = now, session.packets_expected, session.packets_received
        self._reports = session.reports_of_us

    def measured(self, now: float) -> LegQuality | None:
        """Of the interval up to now; None: nothing was expected and nothing reported."""
        session = self._session
        expected = session.packets_expected - self._expected
        is_reported = session.reports_of_us > self._reports
        if expected <= 0 and not is_reported:
            return None
        expected = max(0, expected)
        # A packet of the interval before that came late counts here: it can be one more than was expected.
        lost = min(expected, max(0, expected - (session.packets_received - self._received)))
        jitter = session.remote_jitter
        metrics = session.remote_metrics if is_reported else None
        return LegQuality(
            leg=self._leg,
            seconds=round(now - self._since, 3),
            packets_expected=expected,
            packets_lost=lost,
            jitter_ms=round(session.jitter_s * 1000, 1),
            mos=self._score(lost, expected) if expected else None,
            round_trip_ms=None if session.round_trip_s is None else round(session.round_trip_s * 1000, 1),
            remote_loss=round(session.remote_fraction_lost, 4) if is_reported and jitter is not None else None,
            remote_jitter_ms=round(jitter * 1000 / session.outgoing.clock_rate, 1) if is_reported and jitter is not None else None,
            remote_discarded=None if metrics is None else round(metrics.discard_rate / 256, 4),
            remote_mos=None if metrics is None else _mos(metrics),
        )

    def end(self) -> None:
        """The leg closes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _mos(metrics: VoipMetrics) -> float | None:
    """RFC 3611 §4.7.5: 10 to 50 is 1.0 to 5.0, all else says nothing."""
    return next((score / 10 for score in (metrics.mos_cq, metrics.mos_lq) if score != _UNKNOWN and 10 <= score <= 50), None)
