"""The sources from which a user has got in lately (pure). Only who proves a password enters one: a stranger can flush nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from acd.guard.policy import GuardPolicy

KEPT_EVERY_S = 86_400.0
"""A success is written down once a day for each user and source: it is known for thirty."""

NOTED_EVERY_S = 600.0
"""Phones register every few minutes: which source was used last need not be known better than that."""


class Known:
    """User -> source -> when it last succeeded."""

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy
        self._of_user: dict[str, dict[str, float]] = {}
        self._users_at: Counter[str] = Counter()
        self._seen_at: dict[str, float] = {}
        self._kept_at: dict[tuple[str, str], float] = {}

    def is_known(self, user: str, source: str, now: float) -> bool:
        """Whether the user has got in from there, not too long ago."""
        sources = self._of_user.get(user)
        seen_at = None if sources is None else sources.get(source)
        return seen_at is not None and now - seen_at < self._policy.known_s

    def is_home(self, source: str, now: float) -> bool:
        """Whether anybody has got in from there."""
        return now - self._seen_at.get(source, float("-inf")) < self._policy.known_s

    def learn(self, user: str, source: str, now: float) -> bool:
        """A success. Returns: whether it should be written down."""
        sources = self._of_user.get(user)
        if sources is not None and 0 <= now - sources.get(source, float("-inf")) < NOTED_EVERY_S:
            return False
        self._put(user, source, now)
        if now - self._kept_at.get((user, source), float("-inf")) < KEPT_EVERY_S:
            return False
        self._kept_at[user, source] = now
        return True

    def restore(self, user: str, source: str, seen_at: float) -> None:
        """As it was written down."""
        self._put(user, source, seen_at)
        self._kept_at[user, source] = seen_at

    def _put(self, user: str, source: str, at: float) -> None:
        sources = self._of_user.pop(user, {})
        self._of_user[user] = sources  # last again: the first user is the one longest unseen
        if source not in sources:
            self._users_at[source] += 1
        sources.pop(source, None)
        sources[source] = at
        self._seen_at[source] = max(at, self._seen_at.get(source, at))
        if len(sources) > self._policy.known_per_user:
            self._forget(user, next(iter(sources)))
        if len(self) > self._policy.max_known:
            oldest = next(iter(self._of_user))
            self._forget(oldest, next(iter(self._of_user[oldest])))

    def _forget(self, user: str, source: str) -> None:
        sources = self._of_user[user]
        del sources[source]
        self._kept_at.pop((user, source), None)
        if not sources:
            del self._of_user[user]
        self._users_at[source] -= 1
        if not self._users_at[source]:
            del self._users_at[source], self._seen_at[source]

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        for user, sources in self._of_user.items():
            for source, seen_at in sources.items():
                yield user, source, seen_at

    def __len__(self) -> int:
        return self._users_at.total()
