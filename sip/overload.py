"""Admission of new sessions: a token bucket and a ceiling, answered with 503 and Retry-After (RFC 3261 §21.5.4).

Only an INVITE that would open a session is ever refused here; what belongs to a session already admitted is always served.
"""

import msgspec


class OverloadPolicy(msgspec.Struct, frozen=True):
    """What the user agent takes on. The defaults are a guard against floods, not a capacity plan."""

    invites_per_s: float = 500.0
    burst: int = 1000
    live_sessions: int = 20_000
    retry_after_s: int = 5


class Overload:
    """Decides on each new INVITE, without a clock and without memory per caller."""

    def __init__(self, policy: OverloadPolicy) -> None:
        self.policy = policy
        self._tokens = float(policy.burst)
        self._filled_at = 0.0
        self.admitted = 0
        self.refused_by_rate = 0
        self.refused_by_ceiling = 0

    def admit(self, live_sessions: int, now: float) -> bool:
        """Whether one more session may begin; counts the answer."""
        policy = self.policy
        if live_sessions >= policy.live_sessions:
            self.refused_by_ceiling += 1
            return False
        tokens = min(float(policy.burst), self._tokens + max(0.0, now - self._filled_at) * policy.invites_per_s)
        self._filled_at = now
        if tokens < 1.0:
            self._tokens = tokens
            self.refused_by_rate += 1
            return False
        self._tokens = tokens - 1.0
        self.admitted += 1
        return True
