"""Work, one contact at one agent, and its end: after-call work, a shift that was to end with it (house)."""

from __future__ import annotations

from typing import Literal

from acd.core.events import AfterCallWorkBegan, AgentLoggedOff, AgentNotReady, WorkDone
from acd.core.ids import VOICE, AgentId, ContactId
from acd.core.machines import agent as agents
from acd.core.machines import work as works
from acd.core.state import values as s
from acd.core.steps.step import Step

LEAVING = "logging_off"

WorkOutcome = Literal["handled", "no_answer", "declined", "failed", "answered_elsewhere", "abandoned", "withdrawn"]


def work_done(x: Step, agent_id: AgentId, contact: ContactId, outcome: WorkOutcome) -> None:
    """The last of a piece of work; who asked to leave, or was removed, leaves now."""
    x.emit(WorkDone(agent=agent_id, contact=contact, outcome=outcome))
    agent = x.state.agents.get(agent_id)
    if agent is not None and agent.leaving and not agent.works and agents.Input.LOG_OFF in agents.TRANSITIONS[agent.state]:
        x.emit(AgentLoggedOff(agent=agent_id))


def calls_at(agent: s.Agent) -> list[s.Work]:
    """The calls it has, after-call work too: a phone is off the hook once."""
    return [work for work in agent.works.values() if work.channel == VOICE]


def end_wrap_up(x: Step, agent: s.Agent) -> None:
    """Who begins a new call has done with the contacts before."""
    for work in list(agent.works.values()):
        if work.state in works.WRAPPING:
            work_done(x, agent.id, work.contact, "handled")


def log_off(x: Step, agent: s.Agent) -> None:
    """Somebody who is logged on leaves, at once or after the call; after-call work ends with it."""
    end_wrap_up(x, agent)
    if agent.works:
        x.emit(AgentNotReady(agent=agent.id, reason=LEAVING, leaving=True))
    elif agents.Input.LOG_OFF in agents.TRANSITIONS[agent.state]:
        # Unless the end of the after-call work was what a log-off asked for earlier had been waiting for.
        x.emit(AgentLoggedOff(agent=agent.id))


def end_work(x: Step, agent_id: AgentId, contact: ContactId, otherwise: WorkOutcome) -> None:
    """An agent's part of a contact is over: after-call work if the agent had it, else done with `otherwise`."""
    agent = x.state.agents.get(agent_id)
    work = agent.works.get(contact) if agent is not None else None
    if work is None:
        return
    if work.state not in works.TALKING:
        work_done(x, agent_id, contact, otherwise)
        return
    seconds = after_call_work_s(x, agent_id, work)
    if seconds > 0 and not x.silent:
        x.emit(AfterCallWorkBegan(agent=agent_id, contact=contact, until=x.now + seconds))
    else:
        work_done(x, agent_id, contact, "handled")


def after_call_work_s(x: Step, agent_id: AgentId, work: s.Work) -> float:
    """The agent's own figure, else the queue's; work that came from no queue has none of its own, nor has hearing others work."""
    if work.kind == "supervision":
        return 0.0
    configured = x.fold.index.agents.get(agent_id)
    if configured is not None and configured.after_call_work_s is not None:
        return configured.after_call_work_s
    queue = x.fold.index.queues.get(work.queue) if work.queue is not None else None
    return queue.after_call_work_s if queue is not None else 0.0
