"""Admission: what the engine takes on, fairly shared; beyond it 503 with Retry-After (RFC 3261 §21.5.4), or silence.

Three things are limited, and none by what others do with theirs:

- new sessions and, at `REQUEST_COST` each, all other requests that cost work: by a rate that the groups share (`sip.fair_rate`);
- live sessions: by a ceiling that the groups share (`sip.fair_places`);
- what strangers send, and whoever has not proved who it is: by a small rate of its own that source addresses share. What a datagram's
  sender did not get an answer to it sends again (§17.1), so a stranger beyond that is not answered at all: the address may be forged.

What belongs to a session already admitted is always served. Emergency calls ask for no share, `EMERGENCIES` allowing.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum, auto

import msgspec

from sip.fair_places import FairPlaces
from sip.fair_rate import FairRate
from sip.share import EVERYBODY, Share
from sip.source import source_of

REQUEST_COST = 0.05
"""A REGISTER, OPTIONS or stray request in sessions: 0.2 ms of the main process beside the 4 ms of a call (load/README.md)."""
EMERGENCIES_PER_S, EMERGENCIES = 1.0, 10.0
"""Emergency calls of one group that are admitted whatever else is going on, a second and at once. A building on fire dials ten times in the
first moment, and whoever was cut off dials again; only a program goes on dialling every second. Beyond it, an emergency call is
asked for its share like any other, and found one like any other: this is no limit, but the end of a privilege."""
SIDES = 2
"""Sessions a call takes: who calls, and who is called."""


class OverloadPolicy(msgspec.Struct, frozen=True):
    """What the user agent takes on. The defaults are a guard against floods, not a capacity plan."""

    invites_per_s: float = 500.0
    burst: int = 1000
    live_sessions: int = 20_000
    retry_after_s: int = 5
    strangers_per_s: float = 200.0
    """Requests of strangers that are answered."""
    strangers_burst: int = 400
    guaranteed: float = 0.5
    """The part of the live sessions that is kept for who uses less than its own; the rest is lent."""


class Verdict(StrEnum):
    """What becomes of a new session."""

    ADMITTED = auto()
    BY_SHARE = auto()
    """Others have the rest: its own share is used up, and there is nothing to borrow."""
    BY_RATE = auto()
    """Nobody else asks: it is the rate of the whole that is used up."""
    BY_CEILING = auto()
    """Too many sessions are live, its own or all."""

    @property
    def reason(self) -> str:
        """For a Warning header: nothing in it tells of others."""
        return REASONS[self]


REASONS = {
    Verdict.ADMITTED: "",
    Verdict.BY_SHARE: "Your share of new calls is used up.",
    Verdict.BY_RATE: "Too many new calls.",
    Verdict.BY_CEILING: "Too many calls at a time.",
}


class Overload:
    """Decides on each request, without a clock."""

    def __init__(self, policy: OverloadPolicy) -> None:
        self.policy = policy
        self._rate = FairRate(policy.invites_per_s, policy.burst)
        self._strangers = FairRate(policy.strangers_per_s, policy.strangers_burst)
        self._places = FairPlaces(max(1, policy.live_sessions // SIDES), policy.guaranteed)
        self._emergencies: dict[str, tuple[float, float]] = {}
        self._held: dict[str, Share] = {}
        self.verdicts: Counter[tuple[str, Verdict]] = Counter()
        """By group."""
        self.emergencies: Counter[str] = Counter()
        """Admitted as such, by group."""
        self.requests_refused: Counter[str] = Counter()
        """Other requests, by group; those of strangers are `strangers_refused`."""
        self.strangers_refused = 0

    def admit(self, share: Share, live_sessions: int, now: float) -> Verdict:
        """What becomes of one more session; counts the answer."""
        verdict = self._judge(share, live_sessions, now)
        self.verdicts[share.group, verdict] += 1
        return verdict

    def _judge(self, share: Share, live_sessions: int, now: float) -> Verdict:
        if share.urgent and self._is_urgent(share.group, now):
            return Verdict.ADMITTED
        if live_sessions >= self.policy.live_sessions or not self._places.has_room(share):
            return Verdict.BY_CEILING
        if self._rate.take(share, now):
            return Verdict.ADMITTED
        return Verdict.BY_RATE if self._rate.is_alone(share) else Verdict.BY_SHARE

    def _is_urgent(self, group: str, now: float) -> bool:
        left, at = self._emergencies.get(group, (EMERGENCIES, now))
        left = min(EMERGENCIES, left + (now - at) * EMERGENCIES_PER_S)
        if left < 1.0:
            return False
        self._emergencies[group] = (left - 1.0, now)
        self.emergencies[group] += 1
        return True

    def began(self, session: str, share: Share) -> None:
        """A session that was admitted is there."""
        if self._places.take(share, freely=True):
            self._held[session] = share

    def held_by(self, session: str) -> Share | None:
        """For whose share a live session has its place; None: it has none."""
        return self._held.get(session)

    def ended(self, session: str) -> None:
        """It is over."""
        share = self._held.pop(session, None)
        if share is not None:
            self._places.give_back(share)

    def serve(self, share: Share | None, source: str, now: float) -> bool:
        """Whether there is room for a request that opens no session; counts those for which there is none.

        Args:
            share: of whoever it surely comes from; None: a stranger.
            source: the address it came from.
        """
        if share is None:
            if self._strangers.take(Share(source_of(source), part=0.0), now):
                return True
            self.strangers_refused += 1
            return False
        if self._rate.take(share, now, REQUEST_COST):
            return True
        self.requests_refused[share.group] += 1
        return False

    @property
    def admitted(self) -> int:
        """Of all groups."""
        return self._sum(Verdict.ADMITTED)

    def _sum(self, *verdicts: Verdict) -> int:
        return sum(count for (_, verdict), count in self.verdicts.items() if verdict in verdicts)

    def describe(self) -> dict[str, int]:
        """Figures of all groups together."""
        return {
            "admitted": self.admitted,
            "refused_by_share": self._sum(Verdict.BY_SHARE),
            "refused_by_rate": self._sum(Verdict.BY_RATE),
            "refused_by_ceiling": self._sum(Verdict.BY_CEILING),
            "requests_refused": self.requests_refused.total(),
            "strangers_refused": self.strangers_refused,
        }


__all__ = ["EVERYBODY", "Overload", "OverloadPolicy", "Share", "Verdict"]
