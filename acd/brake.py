"""The brake on what calls may cost: who may dial what, and how much (one tenant; docs/figures.md §9, docs/budgets.md; U16).

Asked before every INVITE over a carrier's trunk, told of every answer and end, looked at every second. It decides nothing about calls
itself: a leg that may not be placed fails with `not_allowed` or `budget`, and of one that runs the exchange is told when its money ends
(`CreditEnds`). What emergency calls and the tenant's own lines cost is nobody's question: they never come here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

from acd.core import events as ev
from acd.core.ids import AgentId, CallId, LegId
from acd.core.inputs import CreditEnds
from acd.core.replay import Entry
from acd.core.state.values import Leg, State
from acd.core.steps.reach import on_account_of
from acd.errors import DialRefused
from acd.service import Account, DialRules, Spending
from billing_cdr.budget import BALANCE, TENANT, Outlook, Purse, Tariffed, agent_account, amount, units
from billing_cdr.destination import dial_class
from billing_cdr.rating import Offer

_GIVEN_UP = frozenset({"no_answer", "unreachable", "timeout", "congestion"})
"""Causes of legs that nobody refused: an answer may come yet."""
SETTLED_MS = 1_000
"""A count of the records begins within this of the instant it is made for (house)."""


def _ms(now: float) -> int:
    return int(now * 1000)  # as the records have it


class Brake:
    """See the module.

    Args:
        since: when the exchange was opened, epoch seconds: calls that were over before are counted by their records.
        tell: hands a fact to the tenant's exchange, later.
    """

    def __init__(self, rules: DialRules, since: float, tell: Callable[[CreditEnds], None]) -> None:
        self.since = since
        self._tell = tell
        self.is_counted = False
        """Whether what was spent before is in the purse."""
        self.unsettled: frozenset[str] = frozenset()
        """Calls that a crash has cut and whose records are not written yet: a moment after the start."""
        self._ends: dict[LegId, float | None] = {}
        """Leg -> what was told of its end."""
        self._legs: dict[CallId, list[LegId]] = {}
        """Legs over trunks of the calls that go on, or were over a moment ago."""
        self._over: dict[CallId, int] = {}
        """When those were over, epoch milliseconds."""
        self.is_counting = False
        """What was spent is being added up: nothing is forgotten before that is done."""
        self.purse = Purse(rules.currency)
        self.rules = rules
        self.take(rules)

    def take(self, rules: DialRules) -> None:
        """Changed rules: they hold for the next attempt, and for running calls at the next look."""
        if rules.currency != self.rules.currency:
            self.purse = Purse(rules.currency)
            self.is_counted = False
        elif rules.since != self.rules.since:
            self.purse.open_anew(BALANCE)
            self.is_counted = False
        self.rules = rules
        limits = {TENANT: rules.per_hour, BALANCE: rules.paid_in}
        limits |= {agent_account(agent): own.per_hour for agent, own in rules.agents.items()}
        self.purse.limits = {name: units(limit) for name, limit in limits.items() if limit is not None}
        self.purse.each_agent = None if rules.agent_per_hour is None else units(rules.agent_per_hour)

    # ------------------------------------------------------------------ before a call

    def check(self, offer: Offer, agent: AgentId | None, now: float) -> None:
        """See whether a call may be placed; nothing is reserved.

        Args:
            agent: on whose account; None: a rule's.
        Raises: DialRefused
        """
        self._check_class(offer, agent)
        tariffed = self._tariffed(offer, agent)
        short = None if tariffed is None else self.purse.would_lack(agent, tariffed, _ms(now))
        if short is not None:
            raise DialRefused("budget", str(short))

    def reserve(self, leg: LegId, offer: Offer, agent: AgentId | None, now: float) -> None:
        """Reserve what the leg owes as soon as it is answered.

        Raises: DialRefused
        """
        self._check_class(offer, agent)
        tariffed = self._tariffed(offer, agent)
        short = None if tariffed is None else self.purse.reserve(leg, agent, tariffed, _ms(now))
        if short is not None:
            raise DialRefused("budget", str(short))

    def _tariffed(self, offer: Offer, agent: AgentId | None) -> Tariffed | None:
        """By what the call is priced; None: it costs nothing, whatever the plan."""
        if offer.plan is None or offer.rate is None or offer.rate.free:
            return None
        if self.unsettled and self.purse.is_limited(agent):
            raise DialRefused("budget", "What was spent before the restart is being added up; try again in a few seconds.")
        return Tariffed(offer.plan, offer.rate)

    def _check_class(self, offer: Offer, agent: AgentId | None) -> None:
        wanted = dial_class(offer.quote.number_class)
        own = self.rules.agents.get(agent) if agent is not None else None
        allowed = own.classes if own is not None and own.classes is not None else self.rules.classes
        if wanted is not None and allowed is not None and wanted not in allowed:
            whose = f"Agent {agent}" if agent is not None else "This tenant"
            raise DialRefused("not_allowed", f"{whose} may not dial {wanted} numbers; allowed: {', '.join(sorted(allowed)) or 'none'}.")

    # ------------------------------------------------------------------ while calls run

    def heard(self, entry: Entry) -> None:
        """An entry is on disk."""
        for event in entry.events:
            if isinstance(event, ev.LegInitiated) and event.trunk is not None:
                self._legs.setdefault(event.call, []).append(event.leg)
            elif isinstance(event, ev.CallCleared) and event.call in self._legs:
                self._over[event.call] = _ms(entry.now)
            elif isinstance(event, ev.LegConnected) and event.leg in self.purse:
                self._look(event.leg, self.purse.answered(event.leg, _ms(entry.now)))
            elif isinstance(event, ev.LegCleared) and event.leg in self.purse:
                self.purse.gone(event.leg, _ms(entry.now), taken_back=event.by == "exchange" or event.cause in _GIVEN_UP)
                self._ends.pop(event.leg, None)
            elif isinstance(event, ev.LegAnsweredLate):
                self.purse.answered_late(event.leg, _ms(entry.now))
                self._legs.setdefault(event.call, []).append(event.leg)
                self._over[event.call] = _ms(entry.now)
            elif isinstance(event, ev.ClockCorrected):
                by_ms = math.floor(event.by_s * 1000)
                self.purse.move(by_ms)
                self._over = {call: at_ms + by_ms for call, at_ms in self._over.items()}
                self._ends = {leg: None if at is None else at + event.by_s for leg, at in self._ends.items()}

    def look(self, now: float) -> None:
        """See to the calls whose reserved units come to an end, and to those of which nobody knows whether they came about."""
        self.purse.let_go(_ms(now))
        if not self.is_counting:
            self._settle(_ms(now) - SETTLED_MS)
        for leg, due_ms in list(self.purse.due_ms.items()):
            if due_ms <= _ms(now):
                self._look(LegId(leg), self.purse.look(leg, _ms(now)))

    def _look(self, leg: LegId, outlook: Outlook | None) -> None:
        ends = None if outlook is None or outlook.ends_ms is None else outlook.ends_ms / 1000
        if outlook is not None and self._ends.get(leg) != ends:
            self._ends[leg] = ends
            self._tell(CreditEnds(leg=leg, at=ends, reason="There is more again." if ends is None else str(outlook.short_of)))

    def take_up(self, state: State, held: Collection[LegId], offer_of: Callable[[Leg], Offer | None], now: float) -> None:
        """Legs of an earlier run that go on: what they owe is reserved again, also beyond a limit, which then ends them as any other.

        Args:
            offer_of: price of a leg over a carrier's trunk; None: it costs nothing, or no price is known any more.
        """
        for leg in [state.legs[one] for one in held if state.legs[one].trunk is not None]:
            self._legs.setdefault(leg.call, []).append(leg.id)
            offer = offer_of(leg) if leg.role != "caller" else None
            if offer is None or offer.plan is None or offer.rate is None or offer.rate.free:
                continue
            agent = on_account_of(state.calls[leg.call]) if leg.role != "agent" else None
            answered_ms = _ms(leg.connected_at) if leg.connected_at is not None else None
            self._look(leg.id, self.purse.take_up(leg.id, agent, Tariffed(offer.plan, offer.rate), answered_ms, _ms(now)))

    # ------------------------------------------------------------------ what was and is

    def count_all(self, spent: Iterable[tuple[str, int, int]], since: float) -> None:
        """Charges were changed: what calls have cost that were over before `since` is as their records say, and of those alone.

        A leg that is gone, of a call that goes on or was over later, has no record among them: what it owes is known here.
        """
        self._settle(_ms(since))
        self.purse.forget_ended()
        self.since = since
        self.count(spent)

    def _settle(self, before_ms: int) -> None:
        """Calls that were over before have their records."""
        for call in [call for call, at_ms in self._over.items() if at_ms < before_ms]:
            del self._over[call]
            self.purse.settled(self._legs.pop(call, ()))

    def count(self, spent: Iterable[tuple[str, int, int]]) -> None:
        """What was spent before, from the records: account, epoch milliseconds, ten-thousandths."""
        self.purse.take_over(spent)
        self.is_counted, self.unsettled = True, frozenset()

    def figures(self, now: float) -> dict[str, float]:
        """For /metrics: the tenant's accounts; those of agents are asked for by API."""
        purse, limit, paid_in = self.purse, self.purse.limit_of(TENANT), self.purse.limit_of(BALANCE)
        found = {"spending_reserved": float(amount(purse.reserved(TENANT, _ms(now))))}
        if limit is not None:
            found["spending_limit"] = float(amount(limit))
        if paid_in is not None:
            found["prepaid_left"] = float(amount(paid_in - purse.reserved(BALANCE, _ms(now))))
        return found

    def spending(self, now: float) -> Spending:
        """How the accounts stand."""
        found = []
        for name in self.purse.accounts():
            limit = self.purse.limit_of(name)
            reserved, running = self.purse.reserved(name, _ms(now)), self.purse.running_cost(name)
            if limit is not None or reserved or name == TENANT:
                found.append(
                    Account(
                        account=name,
                        limit=None if limit is None else amount(limit),
                        reserved=amount(reserved),
                        running=amount(running),
                    )
                )
        return Spending(currency=self.purse.currency, accounts=tuple(found))
