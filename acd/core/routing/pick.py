"""Who gets whom: `pick(rosters, now)`, a pure function with a total order, so that a replay chooses the same (U1, U2).

Contacts are taken in order of score (waited + capped priority; ties by arrival, then name), and each takes the best of the free agents
it can have. Within a line everybody asks for the same, so when its first contact finds nobody the whole
line is passed over: the cost is that of the lines, not of the contacts times the agents.

Where several channels wait nobody may starve: who has chats all day would never be given the call that has waited longest. So a contact
for which nobody is free, not even one who has not taken it, has one agent awaited (`_Round.await_one`); whoever is behind it in the order
gets nothing from that agent that would keep it from the contact.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from typing import Final, NamedTuple

import msgspec

from acd.core.channel_costs import Saving
from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import Queue
from acd.core.events import Candidate, Decision, TechnicallyNotReady
from acd.core.ids import VOICE, AgentId, EntryId, QueueId
from acd.core.routing.rosters import Roster, Rosters
from acd.core.state import values as s
from acd.core.state.bandwidth import Way, Ways
from acd.core.state.fold import Fold
from acd.core.state.fold.kit import CATEGORIES, FREE, RETRY_AFTER_S, RETRY_PAUSE_S
from acd.core.state.line import Line, line_of
from acd.core.state.score import Rank, rank, terms
from acd.core.strategies import STRATEGIES

FULL_CANDIDATES: Final = 32
"""So many stand in the record with their terms; the others by name only."""
AHEAD_SHOWN: Final = 20
UNAVAILABLE: Final = tuple(category for category in CATEGORIES if category != FREE)
NOT_PERSONAL: Final = "not_personal"
"""Name of the term that comes first where the contact has an agent of its own: 0 for that one, else 1."""


class Assignment(NamedTuple):
    """One contact for one agent, or for all who ring together."""

    entry: EntryId
    agents: tuple[AgentId, ...]
    decision: Decision


def may_be_tried(entry: s.Entry, agent: AgentId, roster: Roster, now: float) -> bool:
    """An agent who did not take this contact is left alone for a moment, and longer while there are others to try."""
    at = entry.tried.get(agent)
    if at is None or at + RETRY_AFTER_S <= now:
        return True
    if at + RETRY_PAUSE_S > now:
        return False
    return all(one in entry.tried for one in (*roster.names, *roster.out("busy")))


class _Round:
    """What one round has given away: agents, and upload of the lines their phones are on."""

    def __init__(self, fold: Fold) -> None:
        self._index = fold.index
        self.places: list[Rank] = []
        self.agents: set[AgentId] = set()
        self._fold = fold
        self._agents = fold.state.agents
        self._awaited: dict[AgentId, str] = {}
        """Who has work that keeps it from a contact that waits, and the channel of that: it is given nothing more that would keep it, or
        who has chats all day would never be given the call that has waited longest."""
        self._busy: dict[Line, list[tuple[int, AgentId]]] = {}
        """Who of a line was not looked at yet, as a heap by how much there is to do."""
        self.mixed = len(fold.buckets) > 1 and len({line.channel for line in fold.buckets}) > 1
        lines = fold.state.lines
        self._taken = {line: lines[line].reserved_kbits if line in lines else 0 for line in fold.index.limits}
        self._scarce = any(self._is_scarce(line) for line in fold.index.widest)

    def not_given(self, agents: list[AgentId]) -> list[AgentId]:
        return [one for one in agents if one not in self.agents] if self.agents else agents

    def not_awaited(self, agents: list[AgentId], channel: str) -> list[AgentId]:
        """Those whom work of this channel would not keep from a better contact of another. What comes in beside whatever there is, because
        the configuration says so, is held back for nothing.
        """
        if not self._awaited:
            return agents
        return [one for one in agents if channel not in self._keeps_from(one) or not self._index.capacity_of(one, channel).not_during]

    def _keeps_from(self, agent: AgentId) -> frozenset[str]:
        awaited_for = self._awaited.get(agent)
        return self._index.capacity_of(agent, awaited_for).not_during if awaited_for is not None else frozenset()

    def await_one(self, line: Line, roster: Roster) -> bool:
        """Nobody is free for a contact of this line: of those who are busy with work of other channels, and could be reached, the one with
        least to do is awaited.

        Returns: whether there was one; never where only one channel waits.
        """
        if not self.mixed:
            return False
        known = self._busy.get(line)
        if known is None:
            agents = self._agents
            known = self._busy[line] = [(len(agents[one].works), one) for one in roster.out("busy")]
            heapq.heapify(known)
        while known:
            agent = heapq.heappop(known)[1]
            if agent not in self._awaited and self._is_kept_by_others(agent, line.channel):
                self._awaited[agent] = line.channel
                return True
        return False

    def _is_kept_by_others(self, agent: AgentId, channel: str) -> bool:
        capacity, known = self._index.capacity_of(agent, channel), self._agents[agent]
        return (
            capacity.at_once > 0
            and any(work.channel in capacity.not_during for work in known.works.values())
            and (not CHANNELS[channel].needs_phone or self._fold.not_rung(known) is None)
        )

    def _is_scarce(self, line: str) -> bool:
        """Not every channel on it can be as usual."""
        usual = self._index.lines[line].usual_kbits
        return usual is not None and self._taken[line] + self._index.widest[line] > usual

    def with_bandwidth(self, agents: list[AgentId], channel: str) -> list[AgentId]:
        """Those to whose phones a speech channel still fits, where one is needed."""
        return [one for one in agents if self.has_bandwidth(one, channel)] if self._scarce else agents

    def has_bandwidth(self, agent: AgentId, channel: str) -> bool:
        takes = self._index.channel_of.get(agent) if channel == VOICE else None
        return takes is None or takes[1].last(self._index.lines[takes[0]], self._taken[takes[0]]) is not None

    def before_others(self, agents: list[AgentId], channel: str) -> list[AgentId]:
        """Of those to whose phones a channel fits: all whose line need not look for somebody else first; where there are none, all."""
        if not self._scarce or channel != VOICE:
            return agents
        found = [one for one in agents if (takes := self._index.channel_of.get(one)) is None or self._first(*takes) is not None]
        return found or agents

    def _first(self, line: str, channel: Ways) -> Way | None:
        return channel.first(self._index.lines[line], self._taken[line])

    def give(self, agent: AgentId, channel: str) -> Saving | None:
        """Returns: how the channel to its phone is made cheaper; None: it is as usual."""
        self.agents.add(agent)
        takes = self._index.channel_of.get(agent) if channel == VOICE else None
        if takes is None:
            return None
        line, ways = takes
        way = ways.last(self._index.lines[line], self._taken[line]) or ways.usual
        self._taken[line] += way.kbits
        self._scarce = self._scarce or self._is_scarce(line)
        return way.step


def pick(rosters: Rosters, now: float) -> list[Assignment]:
    """Every assignment that can be made at this moment, best contact first.

    An agent is given one contact in a round, whatever it has room for: the next round finds what is left.

    Args:
        rosters: with the state they are of; only read.
        now: epoch seconds.
    Returns: assignments that do not touch each other: no agent and no contact twice, no line over its upload.
    """
    fold = rosters.fold
    if not fold.buckets or fold.state.stopping:
        return []
    free = _free(fold)
    return _walk(rosters, now, free, None)[0] if free else []


def _walk(rosters: Rosters, now: float, free: int, until: EntryId | None) -> tuple[list[Assignment], _Round]:
    """All that wait, best first, as far as anybody of the `free` is left; to the contact `until`, which is not looked at."""
    fold = rosters.fold
    heads = [(line[0], key, 0) for key, line in fold.buckets.items()]
    heapq.heapify(heads)
    given = _Round(fold)
    assignments: list[Assignment] = []
    while heads and len(given.agents) < free:
        place, key, at = heapq.heappop(heads)
        queue = fold.index.queues.get(key.queue)
        if place[2] == until:
            break
        if queue is None:
            continue
        roster = rosters.of(key)
        able = given.not_given(roster.names)
        unasked = given.not_awaited(able, key.channel)
        with_bandwidth = given.with_bandwidth(unasked, key.channel)
        if not with_bandwidth and not given.mixed:
            continue
        entry = fold.state.entries[place[2]]
        contact = fold.state.contacts[entry.contact]
        # Nobody is passed over for who hears the recording notice; who stands behind may need one.
        if not with_bandwidth and not contact.not_yet and not given.await_one(key, roster):
            continue
        line = fold.buckets[key]
        if at + 1 < len(line):
            heapq.heappush(heads, (line[at + 1], key, at + 1))
        if contact.not_yet or not with_bandwidth:
            continue
        chosen_from = with_bandwidth if not entry.tried else [one for one in with_bandwidth if may_be_tried(entry, one, roster, now)]
        if not chosen_from:
            continue
        choice = _Choice(able, unasked, with_bandwidth, chosen_from)
        assignments.append(_decide(fold, queue, entry, roster, choice, given, now))
        given.places.append(place)
    return assignments, given


def _free(fold: Fold) -> int:
    """How many agents are free for something that somebody waits in, at most."""
    channels = {line.channel for line in fold.buckets}
    if len(channels) == 1:
        return len(fold.free_for(channels.pop()))
    return len(set[AgentId]().union(*map(fold.free_for, channels)))


class _Choice(NamedTuple):
    """Who was left for a contact after each filter of the round, in order."""

    able: list[AgentId]
    """Not given to a better contact of this round."""
    unasked: list[AgentId]
    """Not awaited for one of another channel."""
    with_bandwidth: list[AgentId]
    """A speech channel to them still fits."""
    chosen_from: list[AgentId]
    """May be tried (again)."""


def _decide(fold: Fold, queue: Queue, entry: s.Entry, roster: Roster, choice: _Choice, given: _Round, now: float) -> Assignment:
    strategy, contact = STRATEGIES[queue.strategy], fold.state.contacts[entry.contact]
    ranked = choice.chosen_from
    if strategy.order == "in_turn":
        ranked = _in_turn(fold.state.queues[queue.id], roster, ranked)
    personal = contact.personal if strategy.order != "together" else None
    if personal is not None and personal not in ranked:
        personal = None
    if personal is not None:
        ranked = sorted(ranked, key=lambda one: one != personal)
    carried = given.before_others(ranked, entry.channel)
    crowded, ranked = set(ranked).difference(carried), carried
    chosen, ranked, degraded, left_out = _give(ranked, entry.channel, given, together=strategy.order == "together")
    crowded |= left_out
    ahead, ahead_count = _ahead(fold, entry, given.places)
    candidates, term_names = _candidates(fold, queue, roster, ranked[:FULL_CANDIDATES]), roster.term_names
    if personal is not None:
        term_names = (NOT_PERSONAL, *term_names)
        candidates = tuple([Candidate(agent=one.agent, terms=(float(one.agent != personal), *one.terms)) for one in candidates])
    decision = Decision(
        rule=f"{queue.strategy}/{strategy.version}",
        term_names=term_names,
        entry_terms=terms(entry, now),
        ahead=ahead,
        ahead_count=ahead_count,
        requirements=roster.fit.requirements,
        relaxation=entry.relaxation,
        candidates=candidates,
        ranked_lower=tuple(ranked[FULL_CANDIDATES:]),
        removed=_removed_in(roster, choice, crowded),
        tie_break="agent",
        chosen=tuple(chosen),
        technical=_technical(fold, roster),
        degraded=degraded,
    )
    return Assignment(entry.id, tuple(chosen), decision)


_Degraded = dict[Saving, tuple[AgentId, ...]]


def _give(
    ranked: list[AgentId], channel: str, given: _Round, *, together: bool
) -> tuple[list[AgentId], list[AgentId], _Degraded, set[AgentId]]:
    """The best one, or all who ring together.

    Returns: who was chosen, who could have been, who of those chosen has no channel as usual, and who was left out for want of bandwidth.
    """
    chosen: list[AgentId] = []
    degraded: _Degraded = {}
    for agent in ranked if together else ranked[:1]:
        # Each phone that rings has a channel reserved, so a small line rings as many as it can carry.
        if not together or given.has_bandwidth(agent, channel):
            step = given.give(agent, channel)
            chosen.append(agent)
            if step is not None:
                degraded[step] = (*degraded.get(step, ()), agent)
    return chosen, chosen if together else ranked, degraded, set(ranked).difference(chosen) if together else set()


def _removed_in(roster: Roster, choice: _Choice, crowded: set[AgentId]) -> dict[str, tuple[AgentId, ...]]:
    """What stood against everybody else, by filter."""
    able, unasked, with_bandwidth, chosen_from = choice
    removed = _removed(roster)
    if len(able) < len(roster.names):
        # Free when the round began, given to a better contact since.
        removed["busy"] = tuple(sorted({*roster.names, *removed.get("busy", ())}.difference(able)))
    if len(chosen_from) < len(with_bandwidth):
        removed["already_tried"] = tuple(sorted(set(with_bandwidth).difference(chosen_from)))
    if len(unasked) < len(able):
        removed["awaited"] = tuple(sorted(set(able).difference(unasked)))
    if crowded or len(with_bandwidth) < len(unasked):
        removed["no_bandwidth"] = tuple(sorted(set(unasked).difference(with_bandwidth) | crowded))
    return removed


PICKED: Final = "picked/1"
ASSIGNED: Final = "assigned/1"


def out_of_turn(rosters: Rosters, entry: s.Entry, agent: AgentId, rule: str, by: str, now: float) -> Assignment:
    """The record of a choice that a person made: nobody else was looked at."""
    roster = rosters.of(line_of(entry))
    ahead, ahead_count = _ahead(rosters.fold, entry, [])
    decision = Decision(
        rule=rule,
        term_names=(),
        entry_terms=terms(entry, now),
        ahead=ahead,
        ahead_count=ahead_count,
        requirements=roster.fit.requirements,
        relaxation=entry.relaxation,
        candidates=(Candidate(agent=agent, terms=()),),
        removed={},
        tie_break="agent",
        chosen=(agent,),
        by=by,
    )
    return Assignment(entry.id, (agent,), decision)


def _technical(fold: Fold, roster: Roster) -> tuple[TechnicallyNotReady, ...]:
    """Why those are technically not ready who are."""
    out = roster.out("technically_not_ready")[:FULL_CANDIDATES]
    return tuple([why for agent in out if (why := fold.technically(fold.state.agents[agent])) is not None])


def _removed(roster: Roster) -> dict[str, tuple[AgentId, ...]]:
    """What stands against those who are not free, by filter."""
    removed = dict(roster.fit.removed)
    for category in UNAVAILABLE:
        out = roster.out(category)
        if out:
            removed[category] = out
    return removed


def _in_turn(queue: s.Queue, roster: Roster, agents: list[AgentId]) -> list[AgentId]:
    """Who stands directly behind the last one in order of name is next; who speaks a preferred language, or is on a better line where that
    counts, before all others.
    """
    ordered = roster.fit.speakers is not None or roster.by_line
    names = sorted(agents) if ordered else agents
    start = bisect_right(names, queue.last_agent) if queue.last_agent is not None else 0
    turned = names[start:] + names[:start]
    return sorted(turned, key=lambda one: roster.candidates[one].terms) if ordered else turned


def _candidates(fold: Fold, queue: Queue, roster: Roster, ranked: list[AgentId]) -> tuple[Candidate, ...]:
    if STRATEGIES[queue.strategy].order != "in_turn":
        return tuple(map(roster.candidates.__getitem__, ranked))
    last = fold.state.queues[queue.id].last_agent
    turn = list(roster.fit.levels)
    start = bisect_right(turn, last) if last is not None else 0
    speaks = [roster.candidates[one].terms for one in ranked]  # empty but for the language and the line
    return tuple(
        [
            Candidate(agent=one, terms=(*before, float((bisect_left(turn, one) - start) % len(turn))))
            for one, before in zip(ranked, speaks, strict=True)
        ]
    )


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why a contact still waits: what is asked for, and for each agent what stands against it (U1)."""

    entry: EntryId
    queue: QueueId
    waited_s: float
    requirements: tuple[tuple[str, int], ...]
    relaxation: int
    next_relaxation_at: float | None
    """Epoch seconds at which less is asked for."""
    removed: dict[str, tuple[AgentId, ...]]
    """As in Decision."""
    ahead_count: int
    """Contacts with a better score, in all queues."""
    hears_notice: bool = False
    """It is offered to nobody before the recording notice was heard to its end."""
    technical: tuple[TechnicallyNotReady, ...] = ()
    """As in Decision."""


def explain(rosters: Rosters, entry: s.Entry, now: float) -> Waiting:
    """The record of an offer that could not be made."""
    fold = rosters.fold
    queue = fold.index.queues[entry.queue]
    roster = rosters.of(line_of(entry))
    given = _walk(rosters, now, _free(fold), entry.id)[1]
    unasked = given.not_awaited(roster.names, entry.channel)
    with_bandwidth = given.with_bandwidth(unasked, entry.channel)
    chosen_from = [one for one in with_bandwidth if may_be_tried(entry, one, roster, now)]
    eased = queue.relaxations[entry.relaxation :]
    return Waiting(
        entry=entry.id,
        queue=entry.queue,
        waited_s=now - entry.queued_at,
        requirements=roster.fit.requirements,
        relaxation=entry.relaxation,
        next_relaxation_at=entry.queued_at + eased[0].after_s if eased else None,
        removed=_removed_in(roster, _Choice(roster.names, unasked, with_bandwidth, chosen_from), set()),
        ahead_count=_ahead(fold, entry, [])[1],
        hears_notice=fold.state.contacts[entry.contact].not_yet,
        technical=_technical(fold, roster),
    )


def _ahead(fold: Fold, entry: s.Entry, given: list[Rank]) -> tuple[tuple[EntryId, ...], int]:
    """Contacts with a better score that wait on: nobody who is free could take them, or they cannot be offered yet."""
    place = rank(entry)
    better = 0
    heads = [line for line in fold.buckets.values() if line[0] < place]
    if not heads:
        return (), 0
    shown: list[Rank] = []
    taken = set(given)
    for line in heads:
        end = bisect_left(line, place)
        better += end
        shown.extend(line[: min(end, AHEAD_SHOWN + len(given))])
    waiting = [one for one in sorted(shown) if one not in taken]
    return tuple(one[2] for one in waiting[:AHEAD_SHOWN]), better - sum(one < place for one in given)
