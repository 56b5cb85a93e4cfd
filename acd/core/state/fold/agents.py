"""What people do, and their work."""

from __future__ import annotations

from acd.core import events as ev
from acd.core.errors import BrokenHistory
from acd.core.ids import VOICE, AgentId, ContactId, channel_of
from acd.core.machines import agent as agents
from acd.core.machines import work as works
from acd.core.state import statistics
from acd.core.state import values as s
from acd.core.state.fold.head_starts import teams_of
from acd.core.state.fold.kit import Handlers, Indexes
from acd.core.state.timers import Timer, name


def agent_logged_on(fold: Indexes, event: ev.AgentLoggedOn, now: float) -> None:
    agent = fold.state.agents[event.agent]
    fold.step_agent(agent, agents.Input.LOG_ON, now)
    agent.reason = "logged_on"
    agent.line = None  # it may sit elsewhere today
    fold.categorise(agent)
    for queue, others in teams_of(fold, agent.id).items():
        statistics.give_head_starts(fold.state.statistics, queue, [agent.id], others, now)


def pin_awaited(fold: Indexes, event: ev.PinAwaited, _now: float) -> None:
    fold.state.calls[event.call].desk_log_in = s.DeskLogIn(agent=event.agent, at=event.at)
    fold.timers.start(name(Timer.PIN, event.call), event.until)


def hot_desk_refused(fold: Indexes, event: ev.HotDeskRefused, _now: float) -> None:
    _stop_waiting_for_pin(fold, fold.state.calls[event.call])


def hot_desk_began(fold: Indexes, event: ev.HotDeskBegan, _now: float) -> None:
    _stop_waiting_for_pin(fold, fold.state.calls[event.call])
    fold.state.legs[event.leg].agent = event.agent
    _seat(fold, fold.state.agents[event.agent], event.at if event.at != event.agent else None)


def hot_desk_ended(fold: Indexes, event: ev.HotDeskEnded, _now: float) -> None:
    _seat(fold, fold.state.agents[event.agent], None)


def _stop_waiting_for_pin(fold: Indexes, call: s.Call) -> None:
    call.desk_log_in = None
    fold.timers.stop(name(Timer.PIN, call.id))


def _seat(fold: Indexes, agent: s.Agent, at: AgentId | None) -> None:
    agent.at = at
    for one in fold.index.seat(agent.id, at):
        if one in fold.state.agents:
            fold.categorise(fold.state.agents[one])
    fold.routing_needed = True


def agent_logged_off(fold: Indexes, event: ev.AgentLoggedOff, now: float) -> None:
    agent = fold.state.agents[event.agent]
    fold.step_agent(agent, agents.Input.LOG_OFF, now)
    fold.somebody_left = True
    agent.reason = None
    if agent.at is not None:
        _seat(fold, agent, None)
    fold.forget_if_removed(agent, fold.index.agents)


def agent_ready(fold: Indexes, event: ev.AgentReady, now: float) -> None:
    agent = fold.state.agents[event.agent]
    fold.step_agent(agent, agents.Input.GO_READY, now)
    agent.reason = None
    agent.misses.clear()
    # Who says again to be ready may be asked again by those it has not answered.
    for entry_id in [one for one in fold.tried_entries if event.agent in fold.state.entries[one].tried]:
        entry = fold.state.entries[entry_id]
        del entry.tried[event.agent]
        fold.set_retry(entry, now)
        if not entry.tried:
            fold.tried_entries.discard(entry_id)
        fold.routing_needed = True


def agent_not_ready(fold: Indexes, event: ev.AgentNotReady, now: float) -> None:
    agent = fold.state.agents[event.agent]
    fold.step_agent(agent, agents.Input.GO_NOT_READY, now)
    agent.reason = event.reason
    agent.leaving = agent.leaving or event.leaving


def pick_requested(fold: Indexes, event: ev.PickRequested, _now: float) -> None:
    fold.state.agents[event.agent].wants_to_pick = True
    fold.pickers.add(event.agent)


def pick_ended(fold: Indexes, event: ev.PickEnded, _now: float) -> None:
    fold.state.agents[event.agent].wants_to_pick = False
    fold.pickers.discard(event.agent)


def work_reserved(fold: Indexes, event: ev.WorkReserved, now: float) -> None:
    agent, channel = fold.state.agents[event.agent], channel_of(event.contact)
    if agent.works:
        _check_beside(agent, event.contact, channel)
    agent.works[event.contact] = s.Work(contact=event.contact, channel=channel, kind=event.kind, queue=event.queue, since=now)
    fold.categorise(agent)


def _check_beside(agent: s.Agent, contact: ContactId, channel: str) -> None:
    if contact in agent.works:
        raise BrokenHistory(f"agent {agent.id} has work on {contact} already")
    if channel == VOICE and any(work.channel == VOICE for work in agent.works.values()):
        raise BrokenHistory(f"agent {agent.id} has a call already: {sorted(agent.works)}, and would get {contact}")


def work_connected(fold: Indexes, event: ev.WorkConnected, now: float) -> None:
    agent = fold.state.agents[event.agent]
    fold.step_work(agent, agent.works[event.contact], works.Input.CONNECTED, now)
    agent.last_contact = event.contact
    if len(fold.availability) > 1:
        fold.note_change(agent.id)  # who goes on being free for other channels has had one more (`fewest_calls`)


def after_call_work_began(fold: Indexes, event: ev.AfterCallWorkBegan, now: float) -> None:
    agent = fold.state.agents[event.agent]
    work = agent.works[event.contact]
    work.until = event.until
    fold.step_work(agent, work, works.Input.CALL_ENDED, now)


def work_done(fold: Indexes, event: ev.WorkDone, now: float) -> None:
    agent = fold.state.agents[event.agent]
    fold.step_work(agent, agent.works[event.contact], works.Input.DONE, now)
    del agent.works[event.contact]
    agent.idle_since = now
    fold.categorise(agent)
    fold.forget_if_removed(agent, fold.index.agents)


HANDLERS: Handlers = {
    ev.AgentLoggedOn: agent_logged_on,
    ev.PinAwaited: pin_awaited,
    ev.HotDeskRefused: hot_desk_refused,
    ev.HotDeskBegan: hot_desk_began,
    ev.HotDeskEnded: hot_desk_ended,
    ev.AgentLoggedOff: agent_logged_off,
    ev.AgentReady: agent_ready,
    ev.AgentNotReady: agent_not_ready,
    ev.PickRequested: pick_requested,
    ev.PickEnded: pick_ended,
    ev.WorkReserved: work_reserved,
    ev.WorkConnected: work_connected,
    ev.AfterCallWorkBegan: after_call_work_began,
    ev.WorkDone: work_done,
}
