"""Many token buckets of one size in bounded memory: the generic cell rate algorithm (ITU-T I.371), one number a bucket (pure).

Kept is the moment at which a bucket will be full again. Two generations, each as long as an empty bucket takes to fill, hold those
moments: what was not touched for a whole generation is full, so it is forgotten without loss, and nothing else ever is.
"""

from __future__ import annotations

from collections.abc import Hashable

_LAST = object()
"""The bucket of all who find no room for one of their own."""


class Allowance:
    """`size` tokens for each key, one given back every `interval_s`."""

    def __init__(self, size: int, interval_s: float, limit: int) -> None:
        """Args:
        limit: buckets in use at once; whoever comes then has to share one.
        """
        self.size = size
        self.interval_s = interval_s
        self._limit = limit
        self._span_s = size * interval_s
        self._young: dict[Hashable, float] = {}
        self._old: dict[Hashable, float] = {}
        self._turned_at = float("-inf")

    def wait_s(self, key: Hashable, now: float) -> float:
        """Seconds until there is a token; 0.0: there is one."""
        full_at = self._full_at(self._place(key, now))
        return max(0.0, full_at - now - (self.size - 1) * self.interval_s)

    def take(self, key: Hashable, now: float) -> None:
        """Take a token; that there is one was asked before."""
        self._turn(now)
        place = self._place(key, now)
        self._young[place] = max(now, self._full_at(place)) + self.interval_s
        self._old.pop(place, None)

    def give_back(self, key: Hashable, now: float) -> None:
        """It was no wrong guess."""
        place = self._place(key, now)
        for generation in (self._young, self._old):
            full_at = generation.get(place)
            if full_at is not None:
                if full_at - self.interval_s <= now:
                    del generation[place]
                else:
                    generation[place] = full_at - self.interval_s

    def is_used(self, key: Hashable, now: float) -> bool:
        """Whether the bucket is not full."""
        return self._full_at(key) > now

    def _full_at(self, place: Hashable) -> float:
        found = self._young.get(place)
        return self._old.get(place, float("-inf")) if found is None else found

    def _place(self, key: Hashable, now: float) -> Hashable:
        if key in self._young or key in self._old:
            return key
        if len(self) >= self._limit:
            self._turn(now)
        return key if len(self) < self._limit else _LAST

    def _turn(self, now: float) -> None:
        if now - self._turned_at < self._span_s:
            return
        self._old = self._young if now - self._turned_at < 2 * self._span_s else {}
        self._young = {}
        self._turned_at = now

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
