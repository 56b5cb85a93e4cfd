"""Who may have RTP port pairs: a part for every tenant and trunk, the rest lent, a few kept for emergency calls (pure; house).

The rule for parts and lending is that of `sip.fair_places`. What is particular to ports:

- A call takes two pairs when it begins, though its second party may be hours away: whoever is let in to wait can be connected. A third
  party (a consultation, phones that ring together) takes another, wherever there is one to lend.
- A pair whose leg is over is used for `REST_S` more: the worker lets it rest so long (`media.ports`).
- `kept` pairs are for emergency calls alone, once there are no others; one tenant has at most half of them.
- The pairs of all workers count as one. A call lies on one worker, and calls are spread evenly, so that a worker is full at most a few
  calls before all are.
"""

from __future__ import annotations

from collections import Counter, deque

from media.ports import QUARANTINE_S
from sip.fair_places import FairPlaces, Holding
from sip.share import Share

SIDES = 2
REST_S = QUARANTINE_S + 0.5
"""The half second is the way of `CloseLeg` to the worker and a late wake-up there."""


class _Call:
    __slots__ = ("claimed", "kept", "live", "resting", "share")

    def __init__(self, share: Share) -> None:
        self.share = share
        self.live = 0
        self.resting = 0
        self.claimed = 0
        """Pairs from the shares."""
        self.kept = 0
        """Pairs from those kept for emergencies."""


class PortShares:
    """Counts pairs by call; see the module. `now` is monotonic seconds."""

    def __init__(self, pairs: int, kept: int, guaranteed: float) -> None:
        """Args:
        kept: for emergencies; of few pairs at most an eighth.
        guaranteed: the part of the others that is promised to tenants and trunks; the rest is lent.
        """
        self.kept = min(kept, pairs // 8)
        self._kept_used: Counter[str] = Counter()
        self._places = FairPlaces(pairs - self.kept, guaranteed)
        self._calls: dict[str, _Call] = {}
        self._resting: deque[tuple[float, str]] = deque()
        self.refused: Counter[str] = Counter()
        """Calls, and legs of calls, by tenant."""

    def open_leg(self, call: str, share: Share, now: float) -> bool:
        """Whether one more leg of this call may have ports; the first one takes those of the second too.

        Args:
            share: whose the call is; a call that is known keeps the one it began with.
        """
        self._end_rests(now)
        known = self._calls.get(call) or _Call(share)
        more = max(SIDES, known.live + known.resting + 1) - known.claimed - known.kept
        if more > 0 and not self._claim(known, more):
            self.refused[known.share.group] += 1
            return False
        known.live += 1
        self._calls[call] = known
        return True

    def _claim(self, call: _Call, more: int) -> bool:
        share = call.share
        if self._places.take(share, more, freely=share.urgent or call.live > 0):
            call.claimed += more
            return True
        if share.urgent and self._keeps(share.group, more):
            self._kept_used[share.group] += more
            call.kept += more
            return True
        return False

    def _keeps(self, tenant: str, more: int) -> bool:
        most = max(SIDES, self.kept // 2)
        return self._kept_used[tenant] + more <= most and self._kept_used.total() + more <= self.kept

    def leg_gone(self, call: str, now: float) -> None:
        """A leg is over: its pair rests. The call keeps what it has for a second party as long as it has a first."""
        known = self._calls.get(call)
        if known is None or not known.live:
            return
        known.live -= 1
        known.resting += 1
        self._resting.append((now + REST_S, call))
        self._fit(call, known)

    def _end_rests(self, now: float) -> None:
        while self._resting and self._resting[0][0] <= now:
            _, name = self._resting.popleft()
            call = self._calls[name]
            call.resting -= 1
            self._fit(name, call)

    def _fit(self, name: str, call: _Call) -> None:
        """Give back what the call needs no more, of the shares first: what is kept serves an emergency call to its end."""
        needed = call.live + call.resting
        if call.live:
            needed = max(SIDES, needed)
        spare = call.claimed + call.kept - needed
        from_claimed = min(max(0, spare), call.claimed)
        if from_claimed:
            self._places.give_back(call.share, from_claimed)
            call.claimed -= from_claimed
        if spare > from_claimed:
            self._kept_used[call.share.group] -= spare - from_claimed
            call.kept -= spare - from_claimed
        if not needed:
            del self._calls[name]

    def holding(self, share: Share, now: float) -> Holding:
        """What the share's tenant has, rests included."""
        self._end_rests(now)
        return self._places.holding(share)

    @property
    def kept_used(self) -> int:
        """Of those for emergencies."""
        return self._kept_used.total()
