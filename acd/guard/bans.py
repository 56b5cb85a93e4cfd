"""Sources that are not heard, for a time that doubles with each ban (pure)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from acd.guard.policy import GuardPolicy


class Ban(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    since: float
    until: float
    """Monotonic seconds, as `since`."""
    count: int
    """Which ban of this source it is, from 1."""
    why: str


class Bans:
    """Those that hold, and those whose memory makes the next one longer."""

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy
        self._bans: dict[str, Ban] = {}

    def holds(self, source: str, now: float) -> Ban | None:
        """The ban of a source; None: it is heard."""
        if not self._bans:
            return None
        ban = self._bans.get(source)
        return ban if ban is not None and ban.until > now else None

    def ban(self, source: str, why: str, now: float) -> Ban:
        """Ban a source, longer than the last time."""
        policy = self._policy
        last = self._bans.pop(source, None)
        count = last.count + 1 if last is not None and now - last.until < policy.ban_memory_s else 1
        length = min(policy.ban_s * 2.0 ** min(count - 1, 30), policy.ban_max_s)
        made = self._bans[source] = Ban(source=source, since=now, until=now + length, count=count, why=why)
        if len(self._bans) > policy.max_bans:
            del self._bans[min(self._bans, key=lambda one: (self._bans[one].until, one))]
        return made

    def lift(self, source: str) -> Ban | None:
        """A person lets it in again: nothing is remembered. Returns: what was lifted."""
        return self._bans.pop(source, None)

    def restore(self, ban: Ban) -> None:
        """As it was written down."""
        self._bans[ban.source] = ban

    def holding(self, now: float) -> Iterator[Ban]:
        """All that hold, by source."""
        return (self._bans[source] for source in sorted(self._bans) if self._bans[source].until > now)

    def __len__(self) -> int:
        return len(self._bans)
