"""Budgets: what running calls and attempts may cost at most is reserved before it can be owed (docs/figures.md §9; U16; pure).

Calls are counted in money, not in number: an attempt reserves what it owes as soon as it is answered, a running call the units that will
have begun `LOOK_AHEAD_MS` from now. What cannot be reserved is not begun: the attempt is refused, the call ends before the unit. So no
account ever owes more than its limit, however many dial at the same instant.

| account | limit | what counts |
|---|---|---|
| `tenant` | euros an hour | all legs of the tenant, in the last sixty minutes |
| `agent:<id>` | euros an hour | the legs on this agent's account, in the last sixty minutes |
| `balance` | what was paid in | everything since the account was opened |

The hour slides (in whole minutes): one that began anew at each full hour would let the double through within a minute. Amounts are
with VAT, in ten-thousandths of the currency, the finest precision a plan can have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from msgspec import Struct

from billing_cdr.money import from_units
from billing_cdr.rating import price
from billing_cdr.tariff import Plan, Rate

DECIMALS: Final = 4
TENANT: Final = "tenant"
_AGENT: Final = "agent:"
BALANCE: Final = "balance"
MINUTE_MS: Final = 60_000
WINDOW_MINUTES: Final = 60
LOOK_AHEAD_MS: Final = 24_000
"""A running call has reserved the units that begin so soon."""
LOOK_BEFORE_MS: Final = 12_000
"""So long before the end of what is reserved it is looked whether there is more: long enough for whoever talks to hear a
tone ten seconds before the end."""
MARGIN_MS: Final = 1_000
"""A call ends so long before what it has reserved ends: whoever is told to end it does not do so at that very millisecond."""
DOUBTFUL_MS: Final = 5_000
"""A CANCEL is answered within a round trip; whoever takes longer gets an attempt in advance."""
LATEST_MS: Final = 40_000
"""After 64 T1 no answer is waited for (RFC 3261 §9.1)."""
LONGEST_RING_MS: Final = 180_000
"""The price may rise (at 08:00) while it rings; no call rings longer (RFC 3261 §16.6, timer C)."""


_FINER: Final[Mapping[int, int]] = {decimals: 10 ** (DECIMALS - decimals) for decimals in range(DECIMALS + 1)}
"""Decimals of a plan's amounts -> how many ten-thousandths one unit of them is."""


def agent_account(agent: str) -> str:
    """The account of an agent's own legs."""
    return _AGENT + agent


def units(amount: Decimal) -> int:
    """An amount in ten-thousandths; what is finer does not count."""
    return int(amount.scaleb(DECIMALS))


def amount(value: int) -> Decimal:
    """Ten-thousandths as an amount."""
    return from_units(value, DECIMALS)


class Tariffed(Struct, frozen=True, gc=False):
    """By what a leg is priced."""

    plan: Plan
    rate: Rate

    def cost(self, duration_ms: int, answered_ms: int) -> int:
        """What a call of so long comes to, with VAT."""
        priced = price(self.rate, self.plan.schedule, duration_ms, answered_ms, self.plan.finish)
        finer: int = _FINER[self.plan.finish.decimals]
        return priced.gross * finer

    def end_of_unit(self, at_ms: int) -> int:
        """Where the unit ends that runs `at_ms` after the answer: what is owed for less is owed up to there."""
        increment = self.rate.increment
        end = increment.free_ms + increment.billed_ms(max(at_ms, increment.free_ms) + 1)
        return min(end, self.rate.cut_after_ms) if self.rate.cut_after_ms else end


class Shortage(Struct, frozen=True, gc=False):
    """Why a leg cannot have what it needs."""

    account: str
    limit: int
    reserved: int
    """What running calls, attempts and calls of the last hour (of all time, for `balance`) have reserved of the limit."""
    needed: int
    currency: str
    other_currency: str | None = None
    """Set: the leg is priced in this one, and the limit says nothing about it."""

    def __str__(self) -> str:
        whose = {TENANT: "The budget", BALANCE: "The prepaid balance"}.get(self.account, f"The budget of {self.account.replace(':', ' ')}")
        if self.other_currency is not None:
            return f"{whose} is in {self.currency}, and this call costs {self.other_currency}."
        if self.account == BALANCE:
            left = amount(max(self.limit - self.reserved, 0))
            return f"{whose} has {left:.2f} {self.currency} left; this call needs {amount(self.needed):.2f}."
        spent = f"{amount(self.reserved):.2f} of {amount(self.limit):.2f} {self.currency}"
        return f"{whose} is used up: {spent} in the last hour, and this call needs {amount(self.needed):.2f}."


@dataclass(slots=True)
class _Account:
    """What is reserved on one account: by minute where an hour counts, else as one sum."""

    hourly: bool
    by_minute: dict[int, int] = field(default_factory=dict)
    total: int = 0

    def add(self, minute: int, value: int) -> None:
        self.total += value
        if self.hourly:
            self.by_minute[minute] = self.by_minute.get(minute, 0) + value

    def give_back(self, minute: int, value: int) -> None:
        if not self.hourly or minute in self.by_minute:  # else it has left the hour already
            self.add(minute, -value)

    def at(self, now_ms: int) -> int:
        """What counts at this instant."""
        if self.hourly:
            first = now_ms // MINUTE_MS - WINDOW_MINUTES
            while self.by_minute and (oldest := min(self.by_minute)) < first:
                self.total -= self.by_minute.pop(oldest)
        return self.total


def _first_ms(tariffed: Tariffed) -> int:
    """How long a call must be able to last, to be begun: into its first unit, and beyond the margin of its end."""
    increment = tariffed.rate.increment
    return increment.free_ms + (1 if increment.free_ms + increment.first_ms > MARGIN_MS else MARGIN_MS + 1)


def _of(book: dict[str, _Account], name: str) -> _Account:
    return book.setdefault(name, _Account(hourly=name != BALANCE))


@dataclass(slots=True)
class _Leg:
    tariffed: Tariffed
    accounts: tuple[str, ...]
    funded_ms: int
    """Up to here, from the answer, everything is reserved."""
    reserved: int = 0
    answered_ms: int | None = None
    draws: list[tuple[int, int]] = field(default_factory=list)
    """Minute and amount of what it has reserved."""
    ends_ms: int | None = None
    """Epoch; set: there is no money beyond."""
    doubtful_until_ms: int | None = None
    """Epoch; set: it was taken back, and nobody knows yet whether in time."""


class Outlook(Struct, frozen=True, gc=False):
    """How a running call stands."""

    ends_ms: int | None
    """Epoch: the call must end then; None: nothing is in sight."""
    look_again_ms: int | None
    """Epoch; None: it has reserved whatever it can still cost."""
    short_of: Shortage | None = None


class Purse:
    """The accounts of one tenant, and the legs that draw on them. Times are milliseconds since 1970 UTC."""

    def __init__(self, currency: str = "EUR") -> None:
        self.currency = currency
        self.limits: Mapping[str, int] = {}
        """Account -> limit; one that is not here has none."""
        self.each_agent: int | None = None
        """Limit of each agent that has none of its own."""
        self._accounts: dict[str, _Account] = {}
        self._before: dict[str, _Account] = {}
        """What was spent before this purse was there."""
        self._legs: dict[str, _Leg] = {}
        self._released: dict[str, _Leg] = {}
        """Taken back, and given up waiting for."""
        self._ended: dict[str, _Leg] = {}
        """Those that are gone and owe something, until `settled`: their records may not be written yet."""
        self.due_ms: dict[str, int] = {}
        """Leg -> when `look` is due."""

    def __contains__(self, leg: str) -> bool:
        return leg in self._legs

    @property
    def running(self) -> int:
        """Legs that have reserved something, attempts included."""
        return len(self._legs)

    def accounts(self) -> Iterator[str]:
        """All that have a limit or were drawn on."""
        yield from dict.fromkeys((TENANT, *self.limits, *self._accounts, *self._before))

    def limit_of(self, account: str) -> int | None:
        """The limit that holds for an account; None: none."""
        limit = self.limits.get(account)
        return self.each_agent if limit is None and account.startswith(_AGENT) else limit

    def is_limited(self, agent: str | None) -> bool:
        """Whether any account that a leg of this agent's draws on has a limit."""
        return any(self.limit_of(name) is not None for name in self._drawn_on(agent))

    def reserved(self, account: str, now_ms: int) -> int:
        """What of an account's limit is used up or reserved now."""
        return sum(found.at(now_ms) for book in (self._accounts, self._before) if (found := book.get(account)) is not None)

    def running_cost(self, account: str) -> int:
        """What the legs that run now have reserved, attempts included."""
        return sum(leg.reserved for leg in self._legs.values() if account in leg.accounts)

    def take_over(self, spent: Iterable[tuple[str, int, int]]) -> None:
        """What was spent before this purse was there, in the place of whatever was taken over earlier: account, epoch ms, amount."""
        self._before = {}
        for account, at_ms, value in spent:
            _of(self._before, account).add(at_ms // MINUTE_MS, value)

    def move(self, by_ms: int) -> None:
        """The clock was set: what runs began so much later, and an hour that has not passed has not passed for what was spent in it."""
        minutes = round(by_ms / MINUTE_MS)
        for book in (self._accounts, self._before):
            for account in book.values():
                account.by_minute = {minute + minutes: value for minute, value in account.by_minute.items()}
        for leg in (*self._legs.values(), *self._ended.values()):
            leg.answered_ms = None if leg.answered_ms is None else leg.answered_ms + by_ms
            leg.ends_ms = None if leg.ends_ms is None else leg.ends_ms + by_ms
            leg.draws = [(minute + minutes, value) for minute, value in leg.draws]
        for leg in (*self._legs.values(), *self._released.values()):
            leg.doubtful_until_ms = None if leg.doubtful_until_ms is None else leg.doubtful_until_ms + by_ms
        self.due_ms = {leg: due + by_ms for leg, due in self.due_ms.items()}

    def settled(self, legs: Iterable[str]) -> None:
        """What these owe is told by records from now on, whenever it is added up again."""
        for leg in legs:
            self._ended.pop(leg, None)

    def forget_ended(self) -> None:
        """What was `settled` is told by its records: `take_over` follows. What runs, and what is not settled, keeps what it has drawn."""
        self._accounts = {}
        for leg in (*self._legs.values(), *self._ended.values()):
            for minute, value in leg.draws:
                for name in leg.accounts:
                    _of(self._accounts, name).add(minute, value)

    def open_anew(self, account: str) -> None:
        """Nothing was ever spent on this account."""
        self._accounts.pop(account, None)
        self._before.pop(account, None)

    # ------------------------------------------------------------------ a leg

    def first_cost(self, tariffed: Tariffed, now_ms: int) -> int:
        """What an attempt owes as soon as it is answered, at the dearest instant at which that can be; one that would have to end with the
        answer is none.
        """
        first_ms = _first_ms(tariffed)
        return max(tariffed.cost(first_ms, now_ms), tariffed.cost(first_ms, now_ms + LONGEST_RING_MS))

    def would_lack(self, agent: str | None, tariffed: Tariffed, now_ms: int) -> Shortage | None:
        """What an attempt would be short of now; nothing is reserved."""
        return self._short(self._drawn_on(agent), tariffed.plan.currency, self.first_cost(tariffed, now_ms), now_ms)

    def reserve(self, leg: str, agent: str | None, tariffed: Tariffed, now_ms: int) -> Shortage | None:
        """Reserve for an attempt, or say what is short. In another currency than the purse's, a leg counts nowhere.

        Args:
            agent: on whose account; None: a rule's (a number, a menu, a queue).
        """
        accounts = self._drawn_on(agent)
        needed = self.first_cost(tariffed, now_ms)
        short = self._short(accounts, tariffed.plan.currency, needed, now_ms)
        if short is None and tariffed.plan.currency == self.currency:
            self._legs[leg] = _Leg(tariffed, accounts, tariffed.end_of_unit(_first_ms(tariffed) - 1))
            self._draw(self._legs[leg], needed, now_ms)
        return short

    def take_up(self, leg: str, agent: str | None, tariffed: Tariffed, answered_ms: int | None, now_ms: int) -> Outlook | None:
        """A leg that another purse has reserved for: what it owes is drawn again, whatever the limits are.

        Args:
            answered_ms: None: it is an attempt still.
        """
        if tariffed.plan.currency != self.currency:
            return None
        found = self._legs[leg] = _Leg(tariffed, self._drawn_on(agent), tariffed.end_of_unit(_first_ms(tariffed) - 1))
        began_ms = now_ms if answered_ms is None else answered_ms
        self._draw(found, self.first_cost(tariffed, began_ms), began_ms)
        if answered_ms is None:
            return None
        found.answered_ms = answered_ms
        found.funded_ms = max(found.funded_ms, tariffed.end_of_unit(max(now_ms - answered_ms, 1) - 1))
        self._settle(found, tariffed.cost(found.funded_ms, answered_ms), now_ms)
        return self.look(leg, now_ms)

    def answered(self, leg: str, now_ms: int) -> Outlook | None:
        """The leg costs from now on; None: it is not counted."""
        found = self._legs.get(leg)
        if found is None or found.answered_ms is not None:
            return None
        found.answered_ms = now_ms
        self._settle(found, found.tariffed.cost(found.funded_ms, now_ms), now_ms)
        return self.look(leg, now_ms)

    def look(self, leg: str, now_ms: int) -> Outlook | None:
        """Reserve what the leg will owe soon; None: it does not run."""
        found = self._legs.get(leg)
        if found is None or found.answered_ms is None:
            return None
        wanted_ms = found.tariffed.end_of_unit(max(now_ms - found.answered_ms, 0) + LOOK_AHEAD_MS)
        short = self._fund(found, wanted_ms, now_ms)
        end_ms = found.answered_ms + found.funded_ms
        found.ends_ms = end_ms - MARGIN_MS if short is not None else None
        if short is None and found.tariffed.rate.cut_after_ms == found.funded_ms:
            self.due_ms.pop(leg, None)
            return Outlook(None, None)
        # Of one that ends: others may give back what they reserved, so that it need not.
        again_ms = max(end_ms - LOOK_BEFORE_MS if short is None else min(end_ms - LOOK_BEFORE_MS, now_ms + MARGIN_MS), now_ms + MARGIN_MS)
        self.due_ms[leg] = again_ms
        return Outlook(found.ends_ms, again_ms, short)

    def gone(self, leg: str, now_ms: int, *, taken_back: bool = False) -> None:
        """The leg costs no more: what it reserved beyond its price is free.

        Args:
            taken_back: we have ended it before it was answered, and an answer may be on its way (RFC 3261 §9.1): for a while what it
                reserved stays so, and `answered_late` is heard.
        """
        found = self._legs.get(leg)
        if found is not None and found.answered_ms is None and taken_back:
            found.doubtful_until_ms = now_ms + DOUBTFUL_MS
            return
        self._legs.pop(leg, None)
        self.due_ms.pop(leg, None)
        if found is None:
            return
        owed = 0
        if found.answered_ms is not None:
            owed = found.tariffed.cost(max(now_ms - found.answered_ms, 0), found.answered_ms)
        self._end(leg, found, owed, now_ms)

    def answered_late(self, leg: str, now_ms: int) -> None:
        """A leg that was over was answered all the same, for a moment: it owes what the answer costs, also beyond a limit."""
        found = self._legs.pop(leg, None) or self._released.pop(leg, None)
        if found is not None:
            self._end(leg, found, found.tariffed.cost(1, now_ms), now_ms)

    def let_go(self, now_ms: int) -> None:
        """Legs whose answer has not come by now give back what they have reserved; they are known for some time more."""
        for leg, found in list(self._legs.items()):
            if found.doubtful_until_ms is not None and found.doubtful_until_ms <= now_ms:
                del self._legs[leg]
                self._settle(found, 0, now_ms)
                self._released[leg] = found
        for leg, found in list(self._released.items()):
            if (found.doubtful_until_ms or 0) + LATEST_MS <= now_ms:
                del self._released[leg]

    # ------------------------------------------------------------------ inside

    def _end(self, name: str, leg: _Leg, owed: int, now_ms: int) -> None:
        self._settle(leg, owed, now_ms)
        if leg.draws:
            self._ended[name] = leg

    def _drawn_on(self, agent: str | None) -> tuple[str, ...]:
        balance = (BALANCE,) if BALANCE in self.limits else ()
        return (TENANT, agent_account(agent), *balance) if agent is not None else (TENANT, *balance)

    def _short(self, accounts: Sequence[str], currency: str, needed: int, now_ms: int) -> Shortage | None:
        if needed <= 0:
            return None
        for name in accounts:
            limit = self.limit_of(name)
            if limit is None:
                continue
            reserved = self.reserved(name, now_ms)
            if currency != self.currency:
                return Shortage(name, limit, reserved, needed, self.currency, currency)
            if reserved + needed > limit:
                return Shortage(name, limit, reserved, needed, self.currency)
        return None

    def _fund(self, leg: _Leg, wanted_ms: int, now_ms: int) -> Shortage | None:
        """Reserve unit by unit as far as the money goes."""
        assert leg.answered_ms is not None
        while leg.funded_ms < wanted_ms:
            next_ms = leg.tariffed.end_of_unit(leg.funded_ms)
            more = leg.tariffed.cost(next_ms, leg.answered_ms) - leg.reserved
            short = self._short(leg.accounts, self.currency, more, now_ms)
            if short is not None:
                return short
            leg.funded_ms = next_ms
            self._draw(leg, more, now_ms)
        return None

    def _draw(self, leg: _Leg, value: int, now_ms: int) -> None:
        if value:
            leg.reserved += value
            leg.draws.append((now_ms // MINUTE_MS, value))
            for name in leg.accounts:
                _of(self._accounts, name).add(now_ms // MINUTE_MS, value)

    def _settle(self, leg: _Leg, owed: int, now_ms: int) -> None:
        """Give back what is not owed, from the latest minute backwards: where it was taken, so that it leaves the hour with it."""
        self._draw(leg, max(owed - leg.reserved, 0), now_ms)
        value = leg.reserved - owed
        leg.reserved = owed
        while value > 0 and leg.draws:
            minute, drawn = leg.draws.pop()
            part = min(drawn, value)
            if part < drawn:
                leg.draws.append((minute, drawn - part))
            for name in leg.accounts:
                _of(self._accounts, name).give_back(minute, part)
            value -= part
