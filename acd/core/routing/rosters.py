"""Who could take a contact of one line: the free ones best first, the others by what is in their way (house).

Kept in order from offer to offer, because a team changes by one or two between them. Nothing in here is part of the state: a roster can be
computed from it at any time, and is brought up to date when it is asked for (`Rosters.of`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Final

from acd.core.events import Candidate
from acd.core.ids import AgentId, QueueId
from acd.core.state import page_line, statistics
from acd.core.state import values as s
from acd.core.state.fold import Fold
from acd.core.state.fold.kit import FREE, Categories
from acd.core.state.line import Line
from acd.core.state.skills import Eligibility
from acd.core.strategies import STRATEGIES, Terms

MOVE_COSTS: Final = 4
"""To move one agent in a roster costs about as much as to enter so many in a new one."""
OTHER_LANGUAGE: Final = "other_language"
"""Name of the term that comes before those of the strategy where a language is preferred: 0 for who speaks it, else 1."""

WORSE_LINE: Final = "worse_line"
"""Name of the term behind that one where a worse line counts (`Queue.worse_line_counts`): `page_line.grade`."""
AT_HAND: Final = "at_hand"
"""Name of the term that a strategy has where an agent may have several contacts at once: how many it has (`Strategy.at_hand`)."""


_NOTHING_YET: Final = statistics.AgentTally()


class Known:
    """What a strategy may ask of the agents of one queue (`acd.core.strategies.Standing`)."""

    __slots__ = ("_queue", "_state", "fit")

    def __init__(self, state: s.State, queue: QueueId, fit: Eligibility) -> None:
        self._state = state
        self._queue = queue
        self.fit = fit

    def idle_since(self, agent: AgentId) -> float:
        """Epoch seconds."""
        return self._state.agents[agent].idle_since

    def level(self, agent: AgentId) -> float:
        """Sum of its levels in the skills asked for."""
        return float(self.fit.levels[agent])

    def today(self, agent: AgentId) -> statistics.AgentTally:
        """Its figures of the day."""
        return self._state.statistics.agents.get(agent, _NOTHING_YET)

    def contacts_had(self, agent: AgentId) -> float:
        """Taken today, with the head start it has in this queue."""
        return statistics.contacts_had(self._state.statistics.agents.get(agent), self._queue)

    def at_hand(self, agent: AgentId) -> float:
        """Contacts it is offered, has, or does after-call work on."""
        return float(len(self._state.agents[agent].works))

    def line_grade(self, agent: AgentId) -> float:
        """How bad its page's line is: 0 good, 1 worse, 2 much worse."""
        return page_line.grade(self._state.agents[agent].line)

    def credit(self, agent: AgentId) -> float:
        """That head start."""
        return statistics.credit(self._state.statistics.agents.get(agent), self._queue)


class Roster:
    """The agents of one line, as of the last `update`."""

    __slots__ = (
        "_at_hand",
        "_category",
        "_keys",
        "_known",
        "_out",
        "_strategy",
        "_told",
        "by_line",
        "candidates",
        "fit",
        "generation",
        "names",
        "seen",
        "shared",
        "strategy",
    )

    def __init__(
        self,
        state: s.State,
        queue: QueueId,
        strategy: str,
        fit: Eligibility,
        categories: Mapping[str, set[AgentId]],
        *,
        shared: bool = False,
        by_line: bool = False,
    ) -> None:
        self.strategy = strategy
        self.by_line = by_line
        """A worse line counts (`Queue.worse_line_counts`)."""
        self.shared = shared
        """Agents may have work and be given more."""
        self._at_hand = STRATEGIES[strategy].at_hand if shared else None
        self.seen = 0
        """How many changes of the fold's list are in here already ..."""
        self.generation = -1
        """... and of the index's configurations."""
        self.fit = fit
        """Who could ever take a contact of this line."""
        self._strategy = STRATEGIES[strategy]
        self._known = Known(state, queue, fit)
        self._category = {agent: category for category, members in categories.items() for agent in fit.agents & members}
        self._out = {category: sorted(fit.agents & members) for category, members in categories.items() if category != FREE}
        self._told: dict[str, tuple[AgentId, ...]] = {}
        self._keys = sorted((self._terms(agent), agent) for agent in fit.agents & categories[FREE])
        self.names = [agent for _, agent in self._keys]
        """Who is free, best first; equal terms in order of name."""
        self.candidates = {agent: Candidate(agent=agent, terms=terms) for terms, agent in self._keys}
        """The same with what they are ordered by."""

    @property
    def term_names(self) -> tuple[str, ...]:
        """What the candidates are ordered by, most significant first."""
        names = self._strategy.term_names
        if self._at_hand is not None:
            names = (*names[: self._at_hand], AT_HAND, *names[self._at_hand :])
        names = (WORSE_LINE, *names) if self.by_line else names
        return names if self.fit.speakers is None else (OTHER_LANGUAGE, *names)

    def _terms(self, agent: AgentId) -> Terms:
        terms = self._strategy.terms(self._known, agent)
        if self._at_hand is not None:
            terms = (*terms[: self._at_hand], self._known.at_hand(agent), *terms[self._at_hand :])
        terms = (self._known.line_grade(agent), *terms) if self.by_line else terms
        speakers = self.fit.speakers
        return terms if speakers is None else (float(agent not in speakers), *terms)

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
        self.fit = self._known.fit = fit
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
            terms = self._terms(agent)
            key = (terms, agent)
            at = bisect_left(self._keys, key)
            self._keys.insert(at, key)
            self.names.insert(at, agent)
            self.candidates[agent] = Candidate(agent=agent, terms=terms)
        else:
            insort(self._out[category], agent)
            self._told.pop(category, None)


class Rosters:
    """The rosters of one exchange, kept up with its fold."""

    def __init__(self, fold: Fold) -> None:
        self.fold = fold
        self._of: dict[Line, Roster] = {}
        self._epoch = fold.epoch
        self._day = fold.state.statistics.day

    def of(self, line: Line) -> Roster:
        """Who could take a contact of this line now."""
        fold = self.fold
        if self._epoch != fold.epoch or self._day != fold.state.statistics.day:
            # Midnight sets the day's figures, which some are ordered by, to nothing.
            self._of, self._epoch, self._day = {}, fold.epoch, fold.state.statistics.day
        known, seen = self._of.get(line), len(fold.changed)
        if known is not None and known.generation == fold.index.generation and known.seen == seen:
            return known
        categories = fold.availability.get(line.channel) or Categories()
        if known is None or not self._keeps_up(known, line, categories.of):
            queue, fit, shared = fold.index.queues[line.queue], fold.index.eligibility(line), fold.index.is_shared(line.channel)
            known = self._of[line] = Roster(
                fold.state, line.queue, queue.strategy, fit, categories.members, shared=shared, by_line=queue.worse_line_counts
            )
        known.seen, known.generation = seen, fold.index.generation
        return known

    def _keeps_up(self, roster: Roster, line: Line, category_of: Mapping[AgentId, str]) -> bool:
        """Bring it up to date with what has changed since it was asked for last; False: it is another, or a new one costs less."""
        index, fit, since = self.fold.index, roster.fit, self.fold.changed[roster.seen :]
        if roster.generation != index.generation:
            fit = index.eligibility(line)
            others = fit is not roster.fit and fit.asked != roster.fit.asked
            others = others or roster.by_line is not index.queues[line.queue].worse_line_counts
            if others or roster.strategy != index.queues[line.queue].strategy or roster.shared is not index.is_shared(line.channel):
                return False
        if fit is not roster.fit:
            roster.refit(fit, dict.fromkeys(since), category_of)
            return True
        moved = fit.agents.intersection(since)
        if len(moved) * MOVE_COSTS > len(fit.agents):
            return False
        roster.update(moved, category_of)
        return True
