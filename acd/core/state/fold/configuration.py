"""What configuration, start, stop and clock do to the state."""

from __future__ import annotations

from acd.core import events as ev
from acd.core.configuration import Queue
from acd.core.configuration_changes import applied, touched
from acd.core.errors import BrokenHistory
from acd.core.ids import VOICE, AgentId, QueueId, channel_of
from acd.core.machines import work as works
from acd.core.state import moved, statistics
from acd.core.state import values as s
from acd.core.state.fold.head_starts import credit_joiners, fair_teams
from acd.core.state.fold.kit import Handlers, Indexes
from acd.core.state.index import Index
from acd.core.state.line import relaxation_at
from acd.core.state.timers import Timer, name


def configuration_changed(fold: Indexes, event: ev.ConfigurationChanged, now: float) -> None:
    state, configuration, teams = fold.state, event.configuration, fair_teams(fold)
    before = {one.id: one for one in state.configuration.queues} if state.configuration is not None else {}
    state.configuration = configuration
    for one in configuration.agents:
        if one.id not in state.agents:
            state.agents[one.id] = s.Agent(id=one.id, since=now, idle_since=now)
    configured = {one.id for one in configuration.agents}
    for agent in [one for one in state.agents.values() if one.id not in configured]:
        agent.leaving = True
        fold.forget_if_removed(agent, configured)
    known = {one.id for one in configuration.queues}
    for queue_id in [one for one in state.queues if one not in known]:
        del state.queues[queue_id]
        fold.timers.stop(name(Timer.HOURS, queue_id))
    fold.index = Index(state)
    for queue in configuration.queues:
        if queue.id not in state.queues:
            state.queues[queue.id] = s.Queue(id=queue.id)
        fold.set_next_change(state.queues[queue.id], now)
    for trunk_id in [one for one in state.trunks if one not in fold.index.trunks]:
        del state.trunks[trunk_id]
    for entry in state.entries.values():
        waits_for = fold.index.queues.get(entry.queue)
        if waits_for is not None and waits_for != before.get(entry.queue):
            # As it was before, a limit that has passed without effect is not met again.
            fold.ask_otherwise(entry, waits_for, relaxation_at(waits_for, entry, now), now)
            fold.set_entry_timers(entry, waits_for)
    fold.rebuild()
    credit_joiners(fold, teams, now)


def configuration_altered(fold: Indexes, event: ev.ConfigurationAltered, now: float) -> None:
    """What `configuration_changed` would come to, at the price of what changed."""
    state, changed = fold.state, touched(event.changes)
    try:
        state.configuration = applied(state.configuration, event.changes)
    except ValueError as wrong:
        raise BrokenHistory(f"a change does not fit the configuration: {wrong}") from wrong
    keep_hours = fold.hours_touched(event.changes)
    teams = fair_teams(fold) if changed["agents"] or changed["queues"] else None
    queues_before = fold.index.queues
    reached = fold.index.alter(state.configuration, changed)
    for agent_id in changed["agents"]:
        _take_in_agent(fold, agent_id, now)
    for trunk_id, trunk in changed["trunks"].items():
        if trunk is None:
            state.trunks.pop(trunk_id, None)
    for agent_id in reached:
        if agent_id in state.agents:
            fold.categorise(state.agents[agent_id])
    for queue_id, queue in changed["queues"].items():
        if queue is None or queue != queues_before.get(queue_id):  # it may only stand elsewhere in the list
            _take_in_queue(fold, queue_id, queue, now)
    for queue_id in keep_hours:
        if queue_id in state.queues:
            fold.set_next_change(state.queues[queue_id], now)
    if teams is not None:
        credit_joiners(fold, teams, now)
    fold.routing_needed = True


def _take_in_agent(fold: Indexes, agent_id: AgentId, now: float) -> None:
    """Who is new is there from now on; who is configured no more leaves."""
    agent = fold.state.agents.get(agent_id)
    if agent_id not in fold.index.agents:
        if agent is not None:
            agent.leaving = True
            fold.forget_if_removed(agent, fold.index.agents)
    elif agent is None:
        fold.state.agents[agent_id] = s.Agent(id=agent_id, since=now, idle_since=now)


def _take_in_queue(fold: Indexes, queue_id: QueueId, queue: Queue | None, now: float) -> None:
    """The queue is as configured, and so is the waiting of those who stand in it."""
    state = fold.state
    if queue is None:
        if state.queues.pop(queue_id, None) is not None:
            fold.timers.stop(name(Timer.HOURS, queue_id))
            fold.overflowing.discard(queue_id)
        return
    if queue_id not in state.queues:
        state.queues[queue_id] = s.Queue(id=queue_id)
    for place in list(fold.order.get(queue_id, ())):
        entry = state.entries[place[2]]
        fold.ask_otherwise(entry, queue, relaxation_at(queue, entry, now), now)
        fold.set_entry_timers(entry, queue)


def started(fold: Indexes, event: ev.Started, _now: float) -> None:
    """What nobody worked at while the service was not there goes on from where it was (`acd.core.state.moved`)."""
    fold.state.stopping = False
    fold.routing_needed = True  # nothing was offered while the service was stopping
    if not event.down_s or event.kept:
        return
    for agent in fold.state.agents.values():
        for work in agent.works.values():
            if work.state in works.WRAPPING or work.channel != VOICE:
                moved.move_work(work, event.down_s)
            if work.state in works.WRAPPING:
                fold.start_after_call_work(agent, work)
    for offer in fold.state.offers.values():
        if channel_of(offer.contact) != VOICE:
            fold.timers.start(name(Timer.RING, offer.id), fold.state.timers[name(Timer.RING, offer.id)] + event.down_s)


def stopping(fold: Indexes, _event: ev.Stopping, _now: float) -> None:
    fold.state.stopping = True


def clock_corrected(fold: Indexes, event: ev.ClockCorrected, now: float) -> None:
    moved.move(fold.state, event.by_s)
    statistics.correct_day(fold.state.statistics, now)
    for queue in fold.state.queues.values():
        fold.set_next_change(queue, now)
    fold.rebuild()


HANDLERS: Handlers = {
    ev.ConfigurationChanged: configuration_changed,
    ev.ConfigurationAltered: configuration_altered,
    ev.Started: started,
    ev.Stopping: stopping,
    ev.ClockCorrected: clock_corrected,
}
