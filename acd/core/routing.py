"""Who gets whom: `pick(snapshot, now)`, a pure function with a total order, so that a replay chooses the same (U1, U2).

Contacts are taken in order of score (waited + capped priority; ties by arrival, then name), and each takes the best of the free agents
it can have. Within a line (one queue at one relaxation) everybody asks for the same, so when its first contact finds nobody the whole
line is passed over: the cost is that of the lines, not of the contacts times the agents.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from typing import NamedTuple, Protocol

import msgspec

from acd.core import skills
from acd.core import state as s
from acd.core.configuration import Queue
from acd.core.events import Candidate, Decision
from acd.core.fold import CATEGORIES, FREE, RETRY_AFTER_S, RETRY_PAUSE_S, Index, Rank
from acd.core.ids import AgentId, EntryId, QueueId

VERSION = 1
"""Of the rules below; part of every decision record."""
FULL_CANDIDATES = 32
"""So many stand in the record with their terms; the others by name only."""
AHEAD_SHOWN = 20
UNAVAILABLE = tuple(category for category in CATEGORIES if category != FREE)

TERMS: dict[str, tuple[str, ...]] = {
    "longest_idle": ("idle_since",),
    "best_skill": ("minus_level_sum", "idle_since"),
    "round_robin": ("turns_to_go",),
    "fewest_calls": ("answered_today", "idle_since"),
    "ring_all": (),
}
"""What candidates are ordered by, most significant first, smaller wins."""


class Snapshot(Protocol):
    """What a decision may look at: `acd.core.fold.Fold` has it."""

    state: s.State
    index: Index
    categories: dict[str, set[AgentId]]
    buckets: dict[tuple[QueueId, int], list[Rank]]

    def removed_by(self, category: str, queue: QueueId, relaxation: int) -> tuple[AgentId, ...]: ...


class Assignment(NamedTuple):
    """One contact for one agent, or for all who ring together."""

    entry: EntryId
    agents: tuple[AgentId, ...]
    decision: Decision


def may_be_tried(snapshot: Snapshot, entry: s.Entry, agent: AgentId, fit: skills.Eligibility, now: float) -> bool:
    """An agent who did not take this contact is left alone for a moment, and longer while there are others to try."""
    at = entry.tried.get(agent)
    if at is None or at + RETRY_AFTER_S <= now:
        return True
    if at + RETRY_PAUSE_S > now:
        return False
    others = (snapshot.categories[FREE] | snapshot.categories["busy"]) & fit.agents
    return all(one in entry.tried for one in others)


class _Rooms:
    """Upload still free on the lines of agents, less what this round has given away."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._index = snapshot.index
        lines = snapshot.state.lines
        self._left = {line: upload - (lines[line].reserved_kbits if line in lines else 0) for line, upload in snapshot.index.limits.items()}

    def has(self, agent: AgentId) -> bool:
        channel = self._index.channel_of.get(agent)
        return channel is None or self._left[channel[0]] >= channel[1]

    def take(self, agent: AgentId) -> None:
        channel = self._index.channel_of.get(agent)
        if channel is not None:
            self._left[channel[0]] -= channel[1]


def pick(snapshot: Snapshot, now: float) -> list[Assignment]:
    """Every assignment that can be made at this moment, best contact first.

    Args:
        snapshot: state with indexes; only read.
        now: epoch seconds.
    Returns: assignments that do not touch each other: no agent and no contact twice, no line over its upload.
    """
    free = set(snapshot.categories[FREE])
    if not free or not snapshot.buckets:
        return []
    heads = [(line[0], key, 0) for key, line in snapshot.buckets.items()]
    heapq.heapify(heads)
    rooms = _Rooms(snapshot)
    assignments: list[Assignment] = []
    given: list[Rank] = []
    while heads and free:
        place, key, at = heapq.heappop(heads)
        queue = snapshot.index.queues.get(key[0])
        if queue is None:
            continue
        fit = snapshot.index.eligibility(key[0], key[1])
        able = free & fit.agents
        if not able:
            continue
        with_room = [agent for agent in able if rooms.has(agent)] if snapshot.index.limits else list(able)
        if not with_room:
            continue
        line = snapshot.buckets[key]
        if at + 1 < len(line):
            heapq.heappush(heads, (line[at + 1], key, at + 1))
        entry = snapshot.state.entries[place[2]]
        chosen_from = with_room if not entry.tried else [one for one in with_room if may_be_tried(snapshot, entry, one, fit, now)]
        if not chosen_from:
            continue
        assignment = _decide(snapshot, queue, entry, fit, able, with_room, chosen_from, given, rooms, now)
        assignments.append(assignment)
        given.append(place)
        free.difference_update(assignment.agents)
    return assignments


def _decide(
    snapshot: Snapshot,
    queue: Queue,
    entry: s.Entry,
    fit: skills.Eligibility,
    able: set[AgentId],
    with_room: list[AgentId],
    chosen_from: list[AgentId],
    given: list[Rank],
    rooms: _Rooms,
    now: float,
) -> Assignment:
    ranked = _ranked(snapshot, queue, fit, chosen_from)
    if queue.strategy == "ring_all":
        chosen: list[AgentId] = []
        for _, agent in ranked:
            # Each phone that rings has a channel reserved, so a small line rings as many as it can carry.
            if rooms.has(agent):
                rooms.take(agent)
                chosen.append(agent)
        crowded = {agent for _, agent in ranked} - set(chosen)
        ranked = [one for one in ranked if one[1] not in crowded]
    else:
        chosen = [ranked[0][1]]
        crowded = set()
        rooms.take(chosen[0])
    removed = dict(fit.removed)
    for category in UNAVAILABLE:
        out = snapshot.removed_by(category, queue.id, entry.relaxation)
        if out:
            removed[category] = out
    # Free when the round began, given to a better contact since.
    taken = (fit.agents & snapshot.categories[FREE]) - able
    if taken:
        removed["busy"] = tuple(sorted(taken.union(removed.get("busy", ()))))
    if len(chosen_from) < len(with_room):
        removed["already_tried"] = tuple(sorted(set(with_room).difference(chosen_from)))
    if crowded or len(with_room) < len(able):
        removed["no_bandwidth"] = tuple(sorted(able.difference(with_room) | crowded))
    ahead, ahead_count = _ahead(snapshot, entry, given)
    waited = now - entry.queued_at
    decision = Decision(
        rule=f"{queue.strategy}/{VERSION}",
        term_names=TERMS[queue.strategy],
        entry_terms={"waited_s": waited, "priority_s": entry.priority_s, "score": waited + entry.priority_s},
        ahead=ahead,
        ahead_count=ahead_count,
        requirements=fit.requirements,
        relaxation=entry.relaxation,
        candidates=tuple(Candidate(agent=agent, terms=terms) for terms, agent in ranked[:FULL_CANDIDATES]),
        ranked_lower=tuple(agent for _, agent in ranked[FULL_CANDIDATES:]),
        removed=removed,
        tie_break="agent",
        chosen=tuple(chosen),
    )
    return Assignment(entry.id, tuple(chosen), decision)


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


def explain(snapshot: Snapshot, entry: s.Entry, now: float) -> Waiting:
    """The record of an offer that could not be made."""
    queue = snapshot.index.queues[entry.queue]
    fit = snapshot.index.eligibility(entry.queue, entry.relaxation)
    removed = dict(fit.removed)
    for category in UNAVAILABLE:
        out = snapshot.removed_by(category, entry.queue, entry.relaxation)
        if out:
            removed[category] = out
    able = fit.agents & snapshot.categories[FREE]
    rooms = _Rooms(snapshot)
    crowded = {agent for agent in able if not rooms.has(agent)}
    tried = {agent for agent in able - crowded if not may_be_tried(snapshot, entry, agent, fit, now)}
    if tried:
        removed["already_tried"] = tuple(sorted(tried))
    if crowded:
        removed["no_bandwidth"] = tuple(sorted(crowded))
    eased = queue.relaxations[entry.relaxation :]
    return Waiting(
        entry=entry.id,
        queue=entry.queue,
        waited_s=now - entry.queued_at,
        requirements=fit.requirements,
        relaxation=entry.relaxation,
        next_relaxation_at=entry.queued_at + eased[0].after_s if eased else None,
        removed=removed,
        ahead_count=_ahead(snapshot, entry, [])[1],
    )


def _ranked(snapshot: Snapshot, queue: Queue, fit: skills.Eligibility, agents: list[AgentId]) -> list[tuple[tuple[float, ...], AgentId]]:
    """Candidates with their terms, best first; equal terms in order of name."""
    states = snapshot.state.agents
    match queue.strategy:
        case "longest_idle":
            # Bare pairs sort twice as fast as terms in tuples of their own, and this is done at every offer.
            idle = sorted([(states[one].idle_since, one) for one in agents])
            return [((since,), one) for since, one in idle]
        case "best_skill":
            return sorted(((-float(fit.levels[one]), states[one].idle_since), one) for one in agents)
        case "fewest_calls":
            tallies = snapshot.state.statistics.agents
            return sorted(((float(tallies[one].answered) if one in tallies else 0.0, states[one].idle_since), one) for one in agents)
        case "round_robin":
            turn = sorted(fit.agents)
            last = snapshot.state.queues[queue.id].last_agent
            # Who stands directly behind the last one in order of name is next.
            start = sum(one <= last for one in turn) if last is not None else 0
            turns = {one: float((place - start) % len(turn)) for place, one in enumerate(turn)}
            return sorted(((turns[one],), one) for one in agents)
        case "ring_all":
            return [((), one) for one in sorted(agents)]


def _ahead(snapshot: Snapshot, entry: s.Entry, given: list[Rank]) -> tuple[tuple[EntryId, ...], int]:
    """Contacts with a better score that wait on: nobody who is free could take them."""
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
