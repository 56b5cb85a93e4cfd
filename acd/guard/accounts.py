"""Who may guess how often (pure): an attempt takes a token before anything is computed, and gets it back when the password was right.

- A source where the user has got in lately is known and has a bucket of its own: nothing that happens elsewhere takes from it. Beyond
  one attempt in ten minutes it takes from one that all who are known there share as well, so that who has got in once behind an office's
  address cannot guess at each of its users as if nobody else were guessed at; who has nothing wrong never needs the shared one.
- Any other source takes from three at once: its own for this user, the one that all unknown sources of this user share, and its own
  over all users. So a thousand addresses guess no faster than the shared bucket fills.
- An emergency call takes from buckets of the same kinds that are used for nothing else, so that no other guess keeps anybody from
  calling for help; and as it passes bans, what one source may guess by it over all users is small.

Nothing here knows whether a user exists, so no answer can tell.
"""

from __future__ import annotations

from collections.abc import Hashable

from acd.guard.allowance import Allowance
from acd.guard.known import Known
from acd.guard.policy import GuardPolicy

NAME_LENGTH = 128
"""Longer than any user name there can be; what follows is not kept."""
Taken = tuple[tuple[Allowance, Hashable], ...]


class Accounts:
    """All buckets, and who is known where."""

    def __init__(self, policy: GuardPolicy) -> None:
        self.policy = policy
        self.known = Known(policy)
        interval_s, limit = policy.window_s / policy.failures, policy.max_buckets

        def kind(factor: int) -> Allowance:
            return Allowance(policy.failures * factor, interval_s / factor, limit)

        self._at_home = Allowance(policy.failures * policy.known_factor, interval_s / policy.known_factor, policy.max_known)
        self._fresh = Allowance(1, policy.fresh_s, policy.max_known)
        self._home = kind(policy.home_factor)
        self._pair, self._user, self._source = kind(1), kind(policy.shared_factor), kind(policy.source_factor)
        urgent_s, factor = policy.urgent_window_s / policy.urgent, policy.urgent_shared_factor
        pin_s = policy.pin_window_s / policy.pins
        self._pin_of, self._pin_at = Allowance(policy.pins, pin_s, limit), Allowance(policy.pins, pin_s, limit)
        self._urgent_at_home = Allowance(policy.urgent, urgent_s, policy.max_known)
        self._urgent_pair = Allowance(policy.urgent, urgent_s, limit)
        self._urgent_user = Allowance(policy.urgent * factor, urgent_s / factor, limit)
        self._urgent_source = Allowance(policy.urgent_per_source, policy.urgent_source_interval_s, limit)

    def buckets(self, user: str, source: str, now: float, *, is_urgent: bool = False) -> Taken:
        """What an attempt takes from."""
        if self.known.is_known(user, source, now):
            pair = (user, source)
            if is_urgent:
                return ((self._urgent_at_home, pair),)
            fresh_wait_s = self._fresh.wait_s(pair, now)
            is_fresh = not fresh_wait_s or fresh_wait_s < self._home.wait_s(source, now)
            return ((self._at_home, pair), (self._fresh, pair) if is_fresh else (self._home, source))
        if is_urgent:
            return ((self._urgent_pair, (user, source)), (self._urgent_user, user), (self._urgent_source, source))
        return ((self._pair, (user, source)), (self._user, user), (self._source, source))

    def pin_buckets(self, agent: str, phone: str) -> Taken:
        """What a PIN keyed at a phone takes from: that of the agent, at whichever phones, and that of the phone, for whichever agents."""
        return ((self._pin_of, agent), (self._pin_at, phone))

    @staticmethod
    def wait_s(taken: Taken, now: float) -> float:
        """Seconds until the attempt would be admitted; 0.0: now."""
        return max(allowance.wait_s(key, now) for allowance, key in taken)

    @staticmethod
    def take(taken: Taken, now: float) -> None:
        """The attempt is made."""
        for allowance, key in taken:
            allowance.take(key, now)

    def give_back(self, taken: Taken, now: float) -> bool:
        """The password was right. Returns: whether there were wrong ones of this user before it."""
        for allowance, key in taken:
            allowance.give_back(key, now)
        of_all = (self._home, self._source, self._urgent_source)
        return any(allowance.is_used(key, now) for allowance, key in taken if allowance not in of_all)

    def sizes(self) -> dict[str, int]:
        """Kind -> buckets in use."""
        return {
            "known": len(self.known),
            "pairs": len(self._pair),
            "users": len(self._user),
            "sources": len(self._source) + len(self._home),
        }
