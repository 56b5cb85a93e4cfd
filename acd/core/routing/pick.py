"""Who gets whom: `pick(snapshot, now)`, a pure function with a total order, so that a replay chooses the same (U1, U2).

Contacts are taken in order of score (waited + capped priority; ties by arrival, then name), and each takes the best of the free agents
it can have. Within a line (one queue at one relaxation) everybody asks for the same, so when its first contact finds nobody the whole
line is passed over: the cost is that of the lines, not of the contacts times the agents.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from typing import NamedTuple, Protocol

import msgspec

from acd.core.configuration import Queue
from acd.core.events import Candidate, Decision
from acd.core.ids import AgentId, EntryId, QueueId
from acd.core.routing.rosters import FREE, Roster
from acd.core.state import values as s
from acd.core.state.fold import CATEGORIES, RETRY_AFTER_S, RETRY_PAUSE_S, Index, Rank

VERSIONS = {"fewest_calls": 3}
"""Of the rules below, where it is not 1; part of every decision record.

`fewest_calls/1` gave a late starter all that the others had had; 2 credited it with the mean of everybody there, whatever their queues.
"""
FULL_CANDIDATES = 32
"""So many stand in the record with their terms; the others by name only."""
AHEAD_SHOWN = 20
UNAVAILABLE = tuple(category for category in CATEGORIES if category != FREE)

TERMS: dict[str, tuple[str, ...]] = {
    "longest_idle": ("idle_since",),
    "best_skill": ("minus_level_sum", "idle_since"),
    "round_robin": ("turns_to_go",),
    "fewest_calls": ("calls_had", "idle_since", "credit"),
    "ring_all": (),
}
"""What candidates are ordered by, most significant first, smaller wins."""


class Snapshot(Protocol):
    """What a decision may look at: `acd.core.state.fold.Fold` has it."""

    state: s.State
    index: Index
    categories: dict[str, set[AgentId]]
    buckets: dict[tuple[QueueId, int], list[Rank]]

    def roster(self, queue: QueueId, relaxation: int) -> Roster: ...


class Assignment(NamedTuple):
    """One contact for one agent, or for all who ring together."""

    entry: EntryId
    agents: tuple[AgentId, ...]
    decision: Decision


def hears_notice(state: s.State, entry: s.Entry) -> bool:
    """Whether the caller is still being told that the conversation is recorded: an agent who answered now would wait for the rest of it."""
    party = state.calls[entry.call].party
    leg = state.legs.get(party) if party is not None else None
    return leg is not None and leg.purpose == "notice"


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

    def __init__(self, snapshot: Snapshot) -> None:
        self._index = snapshot.index
        self.places: list[Rank] = []
        self.agents: set[AgentId] = set()
        lines = snapshot.state.lines
        self._left = {line: upload - (lines[line].reserved_kbits if line in lines else 0) for line, upload in snapshot.index.limits.items()}
        self._scarce = any(self._left[line] < kbits for line, kbits in snapshot.index.widest.items())

    def not_given(self, agents: list[AgentId]) -> list[AgentId]:
        return [one for one in agents if one not in self.agents] if self.agents else agents

    def with_room(self, agents: list[AgentId]) -> list[AgentId]:
        """Those to whose phones a channel still fits."""
        return [one for one in agents if self.has_room(one)] if self._scarce else agents

    def has_room(self, agent: AgentId) -> bool:
        channel = self._index.channel_of.get(agent)
        return channel is None or self._left[channel[0]] >= channel[1]

    def give(self, agent: AgentId) -> None:
        self.agents.add(agent)
        channel = self._index.channel_of.get(agent)
        if channel is not None:
            line = channel[0]
            self._left[line] -= channel[1]
            self._scarce = self._scarce or self._left[line] < self._index.widest[line]


def pick(snapshot: Snapshot, now: float) -> list[Assignment]:
    """Every assignment that can be made at this moment, best contact first.

    Args:
        snapshot: state with indexes; only read.
        now: epoch seconds.
    Returns: assignments that do not touch each other: no agent and no contact twice, no line over its upload.
    """
    free = len(snapshot.categories[FREE])
    if not free or not snapshot.buckets:
        return []
    heads = [(line[0], key, 0) for key, line in snapshot.buckets.items()]
    heapq.heapify(heads)
    given = _Round(snapshot)
    assignments: list[Assignment] = []
    while heads and len(given.agents) < free:
        place, key, at = heapq.heappop(heads)
        queue = snapshot.index.queues.get(key[0])
        if queue is None:
            continue
        roster = snapshot.roster(key[0], key[1])
        able = given.not_given(roster.names)
        with_room = given.with_room(able)
        if not with_room:
            continue
        line = snapshot.buckets[key]
        if at + 1 < len(line):
            heapq.heappush(heads, (line[at + 1], key, at + 1))
        entry = snapshot.state.entries[place[2]]
        if hears_notice(snapshot.state, entry):
            continue
        chosen_from = with_room if not entry.tried else [one for one in with_room if may_be_tried(entry, one, roster, now)]
        if not chosen_from:
            continue
        assignments.append(_decide(snapshot, queue, entry, roster, able, with_room, chosen_from, given, now))
        given.places.append(place)
    return assignments


def _decide(
    snapshot: Snapshot,
    queue: Queue,
    entry: s.Entry,
    roster: Roster,
    able: list[AgentId],
    with_room: list[AgentId],
    chosen_from: list[AgentId],
    given: _Round,
    now: float,
) -> Assignment:
    ranked = chosen_from if queue.strategy != "round_robin" else _in_turn(snapshot.state.queues[queue.id], chosen_from)
    crowded: set[AgentId] = set()
    if queue.strategy == "ring_all":
        chosen: list[AgentId] = []
        for agent in ranked:
            # Each phone that rings has a channel reserved, so a small line rings as many as it can carry.
            if given.has_room(agent):
                given.give(agent)
                chosen.append(agent)
        crowded = set(ranked).difference(chosen)
        ranked = chosen
    else:
        chosen = ranked[:1]
        given.give(chosen[0])
    removed = _removed(roster)
    if len(able) < len(roster.names):
        # Free when the round began, given to a better contact since.
        removed["busy"] = tuple(sorted({*roster.names, *removed.get("busy", ())}.difference(able)))
    if len(chosen_from) < len(with_room):
        removed["already_tried"] = tuple(sorted(set(with_room).difference(chosen_from)))
    if crowded or len(with_room) < len(able):
        removed["no_bandwidth"] = tuple(sorted(set(able).difference(with_room) | crowded))
    ahead, ahead_count = _ahead(snapshot, entry, given.places)
    waited = now - entry.queued_at
    decision = Decision(
        rule=f"{queue.strategy}/{VERSIONS.get(queue.strategy, 1)}",
        term_names=TERMS[queue.strategy],
        entry_terms={"waited_s": waited, "priority_s": entry.priority_s, "score": waited + entry.priority_s},
        ahead=ahead,
        ahead_count=ahead_count,
        requirements=roster.fit.requirements,
        relaxation=entry.relaxation,
        candidates=_candidates(snapshot, queue, roster, ranked[:FULL_CANDIDATES]),
        ranked_lower=tuple(ranked[FULL_CANDIDATES:]),
        removed=removed,
        tie_break="agent",
        chosen=tuple(chosen),
    )
    return Assignment(entry.id, tuple(chosen), decision)


def _removed(roster: Roster) -> dict[str, tuple[AgentId, ...]]:
    """What stands against those who are not free, by filter."""
    removed = dict(roster.fit.removed)
    for category in UNAVAILABLE:
        out = roster.out(category)
        if out:
            removed[category] = out
    return removed


def _in_turn(queue: s.Queue, agents: list[AgentId]) -> list[AgentId]:
    """Who stands directly behind the last one in order of name is next."""
    start = bisect_right(agents, queue.last_agent) if queue.last_agent is not None else 0
    return agents[start:] + agents[:start]


def _candidates(snapshot: Snapshot, queue: Queue, roster: Roster, ranked: list[AgentId]) -> tuple[Candidate, ...]:
    if queue.strategy != "round_robin":
        return tuple(map(roster.candidates.__getitem__, ranked))
    last = snapshot.state.queues[queue.id].last_agent
    turn = list(roster.fit.levels)
    start = bisect_right(turn, last) if last is not None else 0
    return tuple([Candidate(agent=one, terms=(float((bisect_left(turn, one) - start) % len(turn)),)) for one in ranked])


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


def explain(snapshot: Snapshot, entry: s.Entry, now: float) -> Waiting:
    """The record of an offer that could not be made."""
    queue = snapshot.index.queues[entry.queue]
    roster = snapshot.roster(entry.queue, entry.relaxation)
    removed = _removed(roster)
    with_room = _Round(snapshot).with_room(roster.names)
    crowded = set(roster.names).difference(with_room)
    tried = [agent for agent in with_room if not may_be_tried(entry, agent, roster, now)]
    if tried:
        removed["already_tried"] = tuple(sorted(tried))
    if crowded:
        removed["no_bandwidth"] = tuple(sorted(crowded))
    eased = queue.relaxations[entry.relaxation :]
    return Waiting(
        entry=entry.id,
        queue=entry.queue,
        waited_s=now - entry.queued_at,
        requirements=roster.fit.requirements,
        relaxation=entry.relaxation,
        next_relaxation_at=entry.queued_at + eased[0].after_s if eased else None,
        removed=removed,
        ahead_count=_ahead(snapshot, entry, [])[1],
        hears_notice=hears_notice(snapshot.state, entry),
    )


def _ahead(snapshot: Snapshot, entry: s.Entry, given: list[Rank]) -> tuple[tuple[EntryId, ...], int]:
    """Contacts with a better score that wait on: nobody who is free could take them, or they still hear the recording notice."""
    place = (entry.queued_at - entry.priority_s, entry.queued_at, entry.id)
    better = 0
    heads = [line for line in snapshot.buckets.values() if line[0] < place]
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
