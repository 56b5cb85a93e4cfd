"""What becomes of the exchange itself: configuration, start and stop, its clock, phones and trunks that come and go (DESIGN.md §3)."""

from __future__ import annotations

import math

from acd.core import inputs as inp
from acd.core import schedule
from acd.core.configuration_changes import applied, touched
from acd.core.events import (
    AgentLoggedOff,
    ClockCorrected,
    ConfigurationAltered,
    ConfigurationChanged,
    DeviceBound,
    DeviceReachable,
    DeviceUnbound,
    DeviceUnreachable,
    HotDeskEnded,
    LineJudged,
    QueueClosed,
    QueueOpened,
    SignOfLifeGiven,
    Started,
    Stopping,
    TrunkDown,
    TrunkUp,
)
from acd.core.ids import AgentId, QueueId
from acd.core.intake import facts
from acd.core.machines import agent as agents
from acd.core.machines import queue as queues
from acd.core.state import page_line
from acd.core.steps import asking, queueing
from acd.core.steps.clearing import clear_call, end_dialog
from acd.core.steps.step import Step


def configured(x: Step, fact: inp.Configured) -> None:
    """Take the new configuration; whoever was removed leaves, at once or when the work is done."""
    names = {agent.id for agent in fact.configuration.agents}
    for agent in list(x.state.agents.values()):
        if agent.id not in names and not agent.works and agents.Input.LOG_OFF in agents.TRANSITIONS[agent.state]:
            x.emit(AgentLoggedOff(agent=agent.id))
    gone = {agent.id for agent in x.state.agents.values()} - names
    _leave_removed_phones(x, gone)
    x.emit(ConfigurationChanged(configuration=fact.configuration))
    _take_effect(x, set(x.state.queues), gone, removed=True)


def reconfigured(x: Step, fact: inp.Reconfigured) -> None:
    """As `configured`, told as what differs; changes that do not fit the present configuration are dropped as a whole."""
    hours = x.fold.hours_touched(fact.changes)
    try:
        applied(x.state.configuration, fact.changes)
    except ValueError:
        x.drop(fact)
        return
    if not fact.changes and not any(x.fold.hours_moved(queue, x.now) for queue in hours):
        return
    changed = touched(fact.changes)
    gone = [agent for agent, new in changed["agents"].items() if new is None and agent in x.state.agents]
    for agent_id in gone if len(gone) < 2 else [one for one in x.state.agents if one in set(gone)]:
        agent = x.state.agents[agent_id]
        if not agent.works and agents.Input.LOG_OFF in agents.TRANSITIONS[agent.state]:
            x.emit(AgentLoggedOff(agent=agent_id))
    _leave_removed_phones(x, set(gone))
    x.emit(ConfigurationAltered(changes=fact.changes))
    _take_effect(x, hours, set(gone), removed=None in changed["queues"].values())


def _leave_removed_phones(x: Step, gone: set[AgentId]) -> None:
    """Who sits at the phone of somebody who is removed has its own again."""
    for agent in list(x.state.agents.values()):
        if agent.at is not None and agent.at in gone:
            x.emit(HotDeskEnded(agent=agent.id, at=agent.at, why="removed"))


def _take_effect(x: Step, hours: set[QueueId], gone: set[AgentId], *, removed: bool) -> None:
    """What follows from a configuration for those who are there.

    Args:
        hours: the queues whose business hours may be others.
        gone: agents who were removed.
        removed: whether queues may have gone.
    """
    for queue_id in [one for one in x.state.queues if one in hours]:
        keep_hours(x, queue_id)
    for entry in list(x.state.entries.values()) if removed else ():
        if entry.queue not in x.fold.index.queues:
            queueing.evict(x, entry)
    for agent_id in sorted(gone & x.state.agents.keys()):
        queueing.give_back(x, x.state.agents[agent_id])
    for queue in x.fold.index.queues.values():
        queueing.fill_or_drain(x, queue)
    queueing.overflow_unstaffed(x)


def keep_hours(x: Step, queue_id: QueueId) -> None:
    """Open or close a queue as its hours say at this moment."""
    queue, running = x.fold.index.queues.get(queue_id), x.state.queues.get(queue_id)
    if queue is None or running is None:
        return
    if schedule.is_open(x.fold.index.schedule_of(queue), x.now):
        if queues.Input.HOURS_BEGAN in queues.TRANSITIONS[running.state]:
            x.emit(QueueOpened(queue=queue_id))
    elif queues.Input.HOURS_ENDED in queues.TRANSITIONS[running.state]:
        x.emit(QueueClosed(queue=queue_id))


def started(x: Step, fact: inp.ServiceStarted) -> None:
    """A call that the journal shows as up and of which nothing is held was cut: it is written off, its parties are told. The others go on
    as they are; see `reconciliation`.
    """
    held = frozenset(fact.held)
    kept = tuple(call.id for call in x.state.calls.values() if not held.isdisjoint(call.legs))
    x.emit(Started(down_s=max(0.0, x.now - x.state.clock) if x.state.clock else 0.0, kept=kept))
    cut = [call for call in x.state.calls.values() if call.id not in kept]
    for leg in [leg for leg in x.state.legs.values() if leg.call not in kept]:
        end_dialog(x, leg, "restart")
    x.silent = True
    for measured in fact.measured:
        facts.quality_measured(x, measured)
    for recording in fact.recordings:
        facts.recording_ended(x, recording)
    for call in cut:
        clear_call(x, call, "restart")
    x.silent = False
    for question in list(x.state.questions.values()):  # whoever was to bring the answer is gone
        asking.withdrawn(x, question)


def stopping(x: Step, _fact: inp.ServiceStopping) -> None:
    """Release everything in order."""
    x.emit(Stopping())
    for call in list(x.state.calls.values()):
        clear_call(x, call, "shutdown")


def sign_of_life(x: Step, fact: inp.SignOfLife) -> None:
    if x.fold.is_at_work:
        x.emit(SignOfLifeGiven())
    else:
        x.drop(fact)


def clock_stepped(x: Step, fact: inp.ClockStepped) -> None:
    """Go on by the clock that holds now; business hours are civil, so they are looked up anew."""
    x.emit(ClockCorrected(by_s=fact.by_s))
    for queue_id in list(x.state.queues):
        keep_hours(x, queue_id)


def device_registered(x: Step, fact: inp.DeviceRegistered) -> None:
    if fact.agent not in x.fold.index.agents or fact.expires_at <= x.now:
        x.drop(fact)
        return
    x.emit(
        DeviceBound(
            agent=fact.agent,
            contact=fact.contact,
            expires_at=fact.expires_at,
            flow=fact.flow,
            user_agent=fact.user_agent,
            is_page=fact.is_page,
            channel=fact.channel,
        ),
    )


def device_unregistered(x: Step, fact: inp.DeviceUnregistered) -> None:
    agent = x.state.agents.get(fact.agent)
    if agent is None or fact.contact not in agent.bindings:
        x.drop(fact)
        return
    x.emit(DeviceUnbound(agent=fact.agent, contact=fact.contact, why=fact.why))


def device_probed(x: Step, fact: inp.DeviceProbed) -> None:
    agent = x.state.agents.get(fact.agent)
    binding = agent.bindings.get(fact.contact) if agent is not None else None
    if binding is None or (binding.unreachable_since is None) is fact.answers:
        x.drop(fact)
    elif fact.answers:
        x.emit(DeviceReachable(agent=fact.agent, contact=fact.contact))
    else:
        x.emit(DeviceUnreachable(agent=fact.agent, contact=fact.contact, detail=fact.detail))


def page_answered(x: Step, fact: inp.PageAnswered) -> None:
    """What comes after the deadline decides nothing any more; that somebody is there is good to know."""
    question, agent = x.state.questions.get(fact.question), x.state.agents.get(fact.agent)
    if question is not None and fact.agent in question.open:
        queueing.page_answered(x, question, fact)
    elif agent is None or not fact.answered or fact.contact is None or not asking.answered_late(x, agent, fact.contact):
        x.drop(fact)


def line_measured(x: Step, fact: inp.LineMeasured) -> None:
    agent, configuration = x.state.agents.get(fact.agent), x.state.configuration
    figures = {name: float(value) for name in FIGURES if (value := getattr(fact, name)) is not None}
    if agent is None or configuration is None or not figures or not all(map(math.isfinite, figures.values())):
        x.drop(fact)
        return
    bad = page_line.bad_figures(agent.line, figures, configuration.pages)
    x.emit(LineJudged(agent=agent.id, source=fact.source, figures=figures, bad=bad))


FIGURES = ("upload_kbits", "loss", "jitter_ms", "round_trip_ms", "mos")


def trunk_changed(x: Step, fact: inp.TrunkChanged) -> None:
    known = x.state.trunks.get(fact.trunk)
    if fact.trunk not in x.fold.index.trunks or (known is not None and known.up == fact.up and known.detail == fact.detail):
        x.drop(fact)
    elif fact.up:
        x.emit(TrunkUp(trunk=fact.trunk))
    else:
        x.emit(TrunkDown(trunk=fact.trunk, detail=fact.detail))
