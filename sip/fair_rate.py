"""A rate shared by weighted max-min fairness, in two levels (house, after generalised processor sharing: Parekh and Gallager 1993).

Tokens come in at a constant rate and are given, by weight, to those who lack some: a group lacks what it has taken and was not given
back yet. Who lacks nothing gets nothing, so its part goes to the others at once; who comes back after a pause lacks nothing, so its own
tokens are all there, and from its first request on it gets its part again. What a group is given goes to its lines in the same way. What
nobody lacks fills the spare, from which anybody may take what its own tokens do not pay for.

    rate -> group -> line        own tokens: up to `_line_room`
        |        `-> spare       of the group, for any of its lines
        `-> spare                of all

So in the long run a group gets what it asks for, or else as much as any other group that is refused something, over their weights; and
one that asks for no more than `weight / (weights of all that ask)` of the rate is never refused, whatever the others do.

Only who lacks something is remembered. A request costs a few look-ups and a heap operation, whoever else there is.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace

from sip.share import Share

LEAST_OF_A_GROUP = 10.0
"""Tokens of its own that even the smallest of many groups has: so many people ring somebody at the same second without being a flood."""
LEAST_OF_A_LINE = 2.0
MOST_REMEMBERED = 10_000
"""Groups, or lines of one. Forged source addresses must not fill the memory: whoever comes beyond has the spare alone."""
ROUNDING = 1e-9


class _Account:
    """Somebody who lacks tokens."""

    __slots__ = ("full_at", "given_at", "inner", "weight")

    def __init__(self, level: float, weight: float) -> None:
        self.full_at = self.given_at = level
        self.weight = weight
        self.inner: _Pool | None = None
        """Of a group, for its lines."""


class _Pool:
    """Pours tokens over those who lack some. `level` is what each of weight 1 was given since the pool began: its virtual time."""

    __slots__ = ("_due", "_weight", "accounts", "level", "spare_lacks")

    def __init__(self) -> None:
        self.accounts: dict[str, _Account] = {}
        self.level = 0.0
        self.spare_lacks = 0.0
        self._weight = 0.0
        self._due: list[tuple[float, str]] = []
        """When, by level, each account lacks nothing any more; or earlier, since what is taken later moves it on."""

    def pour(self, amount: float) -> None:
        while amount > 0.0 and self._due:
            due, name = self._due[0]
            account = self.accounts[name]
            if account.full_at > due:
                heapreplace(self._due, (account.full_at, name))
                continue
            needed = (due - self.level) * self._weight
            if amount < needed:
                self.level += amount / self._weight
                return
            amount -= needed
            self.level = due
            heappop(self._due)
            del self.accounts[name]
            self._weight = self._weight - account.weight if self.accounts else 0.0
        self.spare_lacks = max(0.0, self.spare_lacks - amount)

    def lacks(self, name: str) -> float:
        account = self.accounts.get(name)
        return (account.full_at - self.level) * account.weight if account is not None else 0.0

    def take(self, name: str, weight: float, amount: float) -> None:
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = _Account(self.level, weight)
            self._weight += weight
            account.full_at += amount / weight
            heappush(self._due, (account.full_at, name))
        else:
            account.full_at += amount / account.weight

    def inner_of(self, name: str) -> _Pool | None:
        """The group's own pool, with what the group was given since the last look poured into it."""
        account = self.accounts.get(name)
        if account is None:
            return None
        if account.inner is None:
            account.inner = _Pool()
        account.inner.pour((self.level - account.given_at) * account.weight)
        account.given_at = self.level
        return account.inner


class FairRate:
    """Decides who may take tokens, without a clock of its own; see the module."""

    def __init__(self, rate: float, burst: float) -> None:
        """Args:
        rate: tokens a second.
        burst: what can be taken at once after a pause, by a group that is the only one. One half belongs to the groups by their parts
            (a small one has `LEAST_OF_A_GROUP`), the other half is the spare.
        """
        self._rate = rate
        self._own = burst / 2
        self._spare = burst - self._own
        self._pool = _Pool()
        self._poured_at = 0.0

    def take(self, share: Share, now: float, tokens: float = 1.0) -> bool:
        """Whether these tokens can be had now; if so, they are taken."""
        pool = self._pool
        pool.pour((now - self._poured_at) * self._rate)
        self._poured_at = now
        inner = pool.inner_of(share.group)
        own = max(min(LEAST_OF_A_GROUP, self._own), self._own * share.part)
        of_line = of_group = 0.0
        if inner is not None or len(pool.accounts) < MOST_REMEMBERED:
            of_line, of_group = _room(inner, share, own)
        of_line = min(of_line, tokens)
        of_group = min(of_group, tokens - of_line)
        of_all = tokens - of_line - of_group
        if of_all > self._spare - pool.spare_lacks + ROUNDING:
            return False
        pool.spare_lacks += of_all
        if of_line + of_group > 0.0:
            pool.take(share.group, share.weight, of_line + of_group)
            inner = inner or pool.inner_of(share.group)
            assert inner is not None
            inner.spare_lacks += of_group
            if of_line > 0.0:
                inner.take(share.line, 1.0, of_line)
        return True

    def is_alone(self, share: Share) -> bool:
        """Whether nobody else lacks anything: what this group does not get, it is not another that has it."""
        accounts = self._pool.accounts
        return not accounts or (len(accounts) == 1 and share.group in accounts)

    def __len__(self) -> int:
        """How many groups are remembered."""
        return len(self._pool.accounts)


def _room(inner: _Pool | None, share: Share, own: float) -> tuple[float, float]:
    """What the line and the group have left of their own."""
    half = own / 2
    line = max(min(LEAST_OF_A_LINE, half), half * share.line_part)
    if inner is None:
        return line, own - half
    of_line = line - inner.lacks(share.line) if share.line in inner.accounts or len(inner.accounts) < MOST_REMEMBERED else 0.0
    return max(0.0, of_line), max(0.0, own - half - inner.spare_lacks)
