"""Who could take a contact of one line (a queue at one relaxation): the free ones best first, the others by what is in their way (house).

Kept in order from offer to offer, because a team changes by one or two between them. Nothing in here is part of the state: a
roster can be computed from it at any time, and is brought up to date when it is asked for (`acd.core.state.fold.Fold.roster`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping

from acd.core.configuration import Strategy
from acd.core.events import Candidate
from acd.core.ids import AgentId, QueueId
from acd.core.state import statistics
from acd.core.state import values as s
from acd.core.state.skills import Eligibility

FREE = "free"

Terms = tuple[float, ...]


def _longest_idle(state: s.State, _queue: QueueId, _fit: Eligibility, agent: AgentId) -> Terms:
    return (state.agents[agent].idle_since,)


def _best_skill(state: s.State, _queue: QueueId, fit: Eligibility, agent: AgentId) -> Terms:
    return (-float(fit.levels[agent]), state.agents[agent].idle_since)


def _fewest_calls(state: s.State, queue: QueueId, _fit: Eligibility, agent: AgentId) -> Terms:
    tally = state.statistics.agents.get(agent)
    # The last one is part of the first, and told so that a record says how it came about.
    return (statistics.calls_had(tally, queue), state.agents[agent].idle_since, statistics.credit(tally, queue))


def _by_name(_state: s.State, _queue: QueueId, _fit: Eligibility, _agent: AgentId) -> Terms:
    return ()


_TERMS: dict[Strategy, Callable[[s.State, QueueId, Eligibility, AgentId], Terms]] = {
    "longest_idle": _longest_idle,
    "best_skill": _best_skill,
    "fewest_calls": _fewest_calls,
    "round_robin": _by_name,  # whose turn it is changes with every offer: the order of names is only turned (`acd.core.routing.pick`)
    "ring_all": _by_name,
}


class Roster:
    """The agents of one line, as of the last `update`."""

    __slots__ = ("_category", "_keys", "_order", "_out", "_queue", "_state", "_told", "candidates", "fit", "names", "seen", "strategy")

    def __init__(
        self, state: s.State, queue: QueueId, strategy: Strategy, fit: Eligibility, categories: Mapping[str, set[AgentId]]
    ) -> None:
        self.fit = fit
        self.strategy = strategy
        self.seen = 0
        """How many changes of the fold's list are in here already."""
        self._state = state
        self._queue = queue
        self._order = _TERMS[strategy]
        self._category = {agent: category for category, members in categories.items() for agent in fit.agents & members}
        self._out = {category: sorted(fit.agents & members) for category, members in categories.items() if category != FREE}
        self._told: dict[str, tuple[AgentId, ...]] = {}
        self._keys = sorted((self._order(state, queue, fit, agent), agent) for agent in fit.agents & categories[FREE])
        self.names = [agent for _, agent in self._keys]
        """Who is free, best first; equal terms in order of name."""
        self.candidates = {agent: Candidate(agent=agent, terms=terms) for terms, agent in self._keys}
        """The same with what they are ordered by."""

    def out(self, category: str) -> tuple[AgentId, ...]:
        """Who could take a contact but for this category, in order of name."""
        told = self._told.get(category)
        if told is None:
            told = self._told[category] = tuple(self._out[category])
        return told

    def update(self, changed: Iterable[AgentId], category_of: Mapping[AgentId, str]) -> None:
        """Put those of the line who may have changed where they belong now."""
        for agent in changed:
            self._take_out(agent)
            after = category_of.get(agent)
            if after is not None:
                self._put_in(agent, after)

    def refit(self, fit: Eligibility, people: Iterable[AgentId], category_of: Mapping[AgentId, str]) -> None:
        """Go on with another eligibility, which differs in these people only."""
        self.fit = fit
        for agent in people:
            self._take_out(agent)
            after = category_of.get(agent)
            if after is not None and agent in fit.agents:
                self._put_in(agent, after)

    def _take_out(self, agent: AgentId) -> None:
        before = self._category.pop(agent, None)
        if before == FREE:
            at = bisect_left(self._keys, (self.candidates.pop(agent).terms, agent))
            del self._keys[at], self.names[at]
        elif before is not None:
            line = self._out[before]
            del line[bisect_left(line, agent)]
            self._told.pop(before, None)

    def _put_in(self, agent: AgentId, category: str) -> None:
        self._category[agent] = category
        if category == FREE:
            terms = self._order(self._state, self._queue, self.fit, agent)
            key = (terms, agent)
            at = bisect_left(self._keys, key)
            self._keys.insert(at, key)
            self.names.insert(at, agent)
            self.candidates[agent] = Candidate(agent=agent, terms=terms)
        else:
            insort(self._out[category], agent)
            self._told.pop(category, None)
