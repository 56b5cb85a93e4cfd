"""What a source has done within the hour, and whether that is enough for a ban (pure)."""

from __future__ import annotations

from typing import NamedTuple

from acd.guard.policy import GuardPolicy


class Offence(NamedTuple):
    """Enough for a ban."""

    why: str
    """One sentence."""
    is_of_names: bool
    """Many user names were tried; else it is the number of attempts alone."""


class _Record:
    __slots__ = ("attempts", "since", "users")

    def __init__(self, since: float) -> None:
        self.since = since
        self.attempts = 0
        self.users: set[str] = set()


class Offenders:
    """Failed and throttled attempts by source."""

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy
        self._records: dict[str, _Record] = {}

    def note(self, source: str, user: str | None, now: float) -> Offence | None:
        """One more attempt; `user` None: a token, which has no name. Returns: None: it is not enough for a ban."""
        policy = self._policy
        record = self._records.get(source)
        if record is None or now - record.since >= policy.ban_window_s:
            # Last again: the records stand in the order in which their hours began, and those whose hour is over go first.
            self._records.pop(source, None)
            self._let_go(now)
            if len(self._records) >= policy.max_buckets:
                return None  # fifty thousand at once: none is forgotten for a newer one, and all are throttled
            record = self._records[source] = _Record(now)
        record.attempts += 1
        if user is not None and len(record.users) < policy.ban_users:
            record.users.add(user)
        if len(record.users) >= policy.ban_users:
            return Offence(f"{len(record.users)} user names tried", is_of_names=True)
        return Offence(f"{record.attempts} attempts", is_of_names=False) if record.attempts >= policy.ban_attempts else None

    def _let_go(self, now: float) -> None:
        while self._records:
            source, record = next(iter(self._records.items()))
            if now - record.since < self._policy.ban_window_s:
                return
            del self._records[source]

    def forget(self, source: str) -> None:
        """It begins anew: banned, or let in again by a person."""
        self._records.pop(source, None)

    def __len__(self) -> int:
        return len(self._records)
