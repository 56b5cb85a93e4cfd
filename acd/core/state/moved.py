"""Every instant of the state moved by the same number of seconds: what a stepped clock means to what is going on (house; pure).

Durations stay, and what is civil (business hours, the day of the figures) is computed again by whoever calls.
`tests/acd/core/test_clock_steps.py` walks the types of the state, so that no instant is forgotten.

A start after the service was not there moves less (docs/figures.md, 1 and 3): the clock went on rightly, only nobody worked by it.

| instants and deadlines | at a start |
|---|---|
| calls, legs, entries, offers, deadlines (RING to RETRY, PAGE_LOST, TIME_LIMIT, WARN) | gone: calls end with the last sign of life |
| contacts of other channels, their entries: when they came, WAIT, RELAX | stay: the customer has waited all the while |
| questions to pages, PAGE | gone: who was asked is asked anew |
| offers of those: RING; work at them: `since` | move: nobody could take them, nobody worked at them |
| after-call work: `since`, `until`, AFTER_CALL_WORK | move: what is left of it is due after the start |
| what the figures measure (`move_statistics`) | moves: nobody talked, wrapped up or was idle |
| an agent's `since`, `idle_since` | stay: a wish and a place among the idle are as old as they are, and all wait alike |
| bindings, their pages' answers and lines, BINDING | stay: a phone counts its registration by its own clock |
| HOURS, `day_ends_at` | stay: civil |
| trunks' `since` | stay, until the trunk is looked at again |
| `recordings`, `ended_legs` | stay: they say how old a thing is that is to be forgotten |

A start that took calls over moves nothing: people talked, waited and worked all the while. What was cut beside them has its figures moved
(`move_statistics_of_cut`), since it ended with the last sign of life.
"""

from __future__ import annotations

from acd.core.ids import CallId, ContactId
from acd.core.state import values as s
from acd.core.state.statistics import Statistics


def move(state: s.State, by_s: float) -> None:
    """Move all of them."""
    for leg in state.legs.values():
        leg.since += by_s
        leg.connected_at = _moved(leg.connected_at, by_s)
        leg.limits = {cause: at + by_s for cause, at in leg.limits.items()}
        if leg.lost is not None:
            leg.lost.since += by_s
            leg.lost.until += by_s
    for contact in state.contacts.values():
        contact.began_at += by_s
    for call in state.calls.values():
        call.began_at += by_s
        call.since += by_s
    for entry in state.entries.values():
        entry.queued_at += by_s
        entry.wait_limit_at = _moved(entry.wait_limit_at, by_s)
        entry.returned_at = _moved(entry.returned_at, by_s)
        entry.tried = {agent: at + by_s for agent, at in entry.tried.items()}
    for offer in state.offers.values():
        offer.made_at += by_s
    for question in state.questions.values():
        question.asked_at += by_s
    for agent in state.agents.values():
        _move_agent(agent, by_s)
    for trunk in state.trunks.values():
        trunk.since += by_s
    state.recordings = {name: (call, at + by_s) for name, (call, at) in state.recordings.items()}
    state.ended_legs = {name: (call, at + by_s) for name, (call, at) in state.ended_legs.items()}
    for timer in state.timers:
        state.timers[timer] += by_s
    move_statistics(state.statistics, by_s)


def _moved(instant: float | None, by_s: float) -> float | None:
    return None if instant is None else instant + by_s


def _move_agent(agent: s.Agent, by_s: float) -> None:
    agent.since += by_s
    agent.idle_since += by_s
    for work in agent.works.values():
        move_work(work, by_s)
    if agent.line is not None:
        agent.line.measured_at = {figure: at + by_s for figure, at in agent.line.measured_at.items()}
        agent.line.bad_since = _moved(agent.line.bad_since, by_s)
    for binding in agent.bindings.values():
        binding.expires_at += by_s
        binding.unreachable_since = _moved(binding.unreachable_since, by_s)
        binding.answered_at = _moved(binding.answered_at, by_s)


def move_work(work: s.Work, by_s: float) -> None:
    """Of one piece of work; its deadline is set anew by whoever calls."""
    work.since += by_s
    work.until = _moved(work.until, by_s)


def move_statistics_of_cut(state: s.State, kept: frozenset[CallId], by_s: float) -> None:
    """Of the calls that are about to end, since the service was not there for them."""
    cut = state.calls.keys() - kept
    statistics = state.statistics
    for entry in [entry for entry in state.entries.values() if entry.contact in cut and entry.id in statistics.waiting]:
        queue, at, day = statistics.waiting[entry.id]
        statistics.waiting[entry.id] = queue, at + by_s, day
    _move_works(statistics, by_s, frozenset(cut))


def move_statistics(statistics: Statistics, by_s: float) -> None:
    """What is being measured began so much later."""
    statistics.waiting = {entry: (queue, at + by_s, day) for entry, (queue, at, day) in statistics.waiting.items()}
    _move_works(statistics, by_s)
    for clock in statistics.clocks.values():
        clock.since += by_s


def _move_works(statistics: Statistics, by_s: float, contacts: frozenset[ContactId] | None = None) -> None:
    for works in statistics.works.values():
        for contact, work in works.items():
            if contacts is None or contact in contacts:
                work.mark += by_s
                work.connected_at = _moved(work.connected_at, by_s)
