"""The exchange itself: configuration, start and stop, devices and trunks coming and going, and every deadline (DESIGN.md §3)."""

from __future__ import annotations

from collections.abc import Callable

from acd.core import inputs as i
from acd.core import schedule
from acd.core.channels import voice
from acd.core.configuration_changes import applied, touched
from acd.core.effects import WarnLeg
from acd.core.events import (
    AgentLoggedOff,
    ClockCorrected,
    ConfigurationAltered,
    ConfigurationChanged,
    DeadlinePassed,
    DeviceBound,
    DeviceReachable,
    DeviceUnbound,
    DeviceUnreachable,
    HotDeskEnded,
    QueueClosed,
    QueueOpened,
    SignOfLifeGiven,
    Started,
    Stopping,
    TrunkDown,
    TrunkUp,
)
from acd.core.ids import VOICE, AgentId, CallId, ContactId, EntryId, LegId, OfferId, QueueId
from acd.core.intake import facts
from acd.core.machines import agent as agents
from acd.core.machines import queue as queues
from acd.core.machines import work as works
from acd.core.state import limits
from acd.core.state.timers import Timer
from acd.core.steps import conversation, hot_desk, queueing, reach, treatment
from acd.core.steps.clearing import clear_call, end_dialog
from acd.core.steps.step import Step
from acd.core.steps.working import work_done


def configured(x: Step, fact: i.Configured) -> None:
    """Take the new configuration; whoever was removed leaves, at once or when the work is done."""
    names = {agent.id for agent in fact.configuration.agents}
    for agent in list(x.state.agents.values()):
        if agent.id not in names and not agent.works and agents.Input.LOG_OFF in agents.TRANSITIONS[agent.state]:
            x.emit(AgentLoggedOff(agent=agent.id))
    gone = {agent.id for agent in x.state.agents.values()} - names
    _leave_removed_phones(x, gone)
    x.emit(ConfigurationChanged(configuration=fact.configuration))
    _take_effect(x, set(x.state.queues), removed=True)
    _give_back(x, sorted(gone))


def reconfigured(x: Step, fact: i.Reconfigured) -> None:
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
    _take_effect(x, hours, removed=None in changed["queues"].values())
    _give_back(x, sorted(gone))


def _leave_removed_phones(x: Step, gone: set[AgentId]) -> None:
    """Who sits at the phone of somebody who is removed has its own again."""
    for agent in list(x.state.agents.values()):
        if agent.at is not None and agent.at in gone:
            x.emit(HotDeskEnded(agent=agent.id, at=agent.at, why="removed"))


def _give_back(x: Step, gone: list[AgentId]) -> None:
    """Contacts that are no calls would stay with who is removed, and cannot close them, for ever: they wait again, with their place."""
    for agent_id in gone:
        agent = x.state.agents.get(agent_id)
        for work in list(agent.works.values()) if agent is not None else ():
            if work.channel != VOICE and work.state in works.TALKING:
                contact = x.state.contacts[work.contact]
                work_done(x, agent_id, contact.id, "withdrawn")
                if work.queue is not None:
                    queueing.enter(x, contact, work.queue, contact.began_at)


def _take_effect(x: Step, hours: set[QueueId], *, removed: bool) -> None:
    """What follows from a configuration for those who are there.

    Args:
        hours: the queues whose business hours may be others.
        removed: whether queues may have gone.
    """
    for queue_id in [one for one in x.state.queues if one in hours]:
        keep_hours(x, queue_id)
    for entry in list(x.state.entries.values()) if removed else ():
        if entry.queue not in x.fold.index.queues:
            queueing.evict(x, entry)
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


def started(x: Step, fact: i.ServiceStarted) -> None:
    """Whatever the journal shows as up was cut: it is written off, its parties are told. Nothing else is left to act on."""
    x.emit(Started(down_s=max(0.0, x.now - x.state.clock) if x.state.clock else 0.0))
    for leg in x.state.legs.values():
        end_dialog(x, leg, "restart")
    x.silent = True
    for measured in fact.measured:
        facts.quality_measured(x, measured)
    for recording in fact.recordings:
        facts.recording_ended(x, recording)
    for call in list(x.state.calls.values()):
        clear_call(x, call, "restart")
    x.silent = False


def stopping(x: Step, _fact: i.ServiceStopping) -> None:
    """Release everything in order."""
    x.emit(Stopping())
    for call in list(x.state.calls.values()):
        clear_call(x, call, "shutdown")


def sign_of_life(x: Step, fact: i.SignOfLife) -> None:
    if x.fold.is_at_work:
        x.emit(SignOfLifeGiven())
    else:
        x.drop(fact)


def clock_stepped(x: Step, fact: i.ClockStepped) -> None:
    """Go on by the clock that holds now; business hours are civil, so they are looked up anew."""
    x.emit(ClockCorrected(by_s=fact.by_s))
    for queue_id in list(x.state.queues):
        keep_hours(x, queue_id)


def device_registered(x: Step, fact: i.DeviceRegistered) -> None:
    if fact.agent not in x.fold.index.agents or fact.expires_at <= x.now:
        x.drop(fact)
        return
    x.emit(
        DeviceBound(agent=fact.agent, contact=fact.contact, expires_at=fact.expires_at, flow=fact.flow, user_agent=fact.user_agent),
    )


def device_unregistered(x: Step, fact: i.DeviceUnregistered) -> None:
    agent = x.state.agents.get(fact.agent)
    if agent is None or fact.contact not in agent.bindings:
        x.drop(fact)
        return
    x.emit(DeviceUnbound(agent=fact.agent, contact=fact.contact, why=fact.why))


def device_probed(x: Step, fact: i.DeviceProbed) -> None:
    agent = x.state.agents.get(fact.agent)
    binding = agent.bindings.get(fact.contact) if agent is not None else None
    if binding is None or (binding.unreachable_since is None) is fact.answers:
        x.drop(fact)
    elif fact.answers:
        x.emit(DeviceReachable(agent=fact.agent, contact=fact.contact))
    else:
        x.emit(DeviceUnreachable(agent=fact.agent, contact=fact.contact, detail=fact.detail))


def trunk_changed(x: Step, fact: i.TrunkChanged) -> None:
    known = x.state.trunks.get(fact.trunk)
    if fact.trunk not in x.fold.index.trunks or (known is not None and known.up == fact.up and known.detail == fact.detail):
        x.drop(fact)
    elif fact.up:
        x.emit(TrunkUp(trunk=fact.trunk))
    else:
        x.emit(TrunkDown(trunk=fact.trunk, detail=fact.detail))


# ---------------------------------------------------------------------- deadlines


def deadline(x: Step, timer: str) -> None:
    """Do what a deadline is for; if that changed nothing about it, it is crossed out."""
    at = x.state.timers[timer]
    kind, _, subject = timer.partition(" ")
    _ON_DEADLINE[Timer(kind)](x, subject)
    if x.state.timers.get(timer) == at:
        x.emit(DeadlinePassed(timer=timer))


def _ring(x: Step, subject: str) -> None:
    offer = x.state.offers.get(OfferId(subject))
    if offer is not None:
        queueing.rang_out(x, offer)


def _answer(x: Step, subject: str) -> None:
    leg = x.state.legs.get(LegId(subject))
    if leg is not None:
        reach.failed(x, x.state.calls[leg.call], leg, "no_answer", ours=True)


def _after_call_work(x: Step, subject: str) -> None:
    contact, _, agent_id = subject.partition(" ")
    agent = x.state.agents.get(AgentId(agent_id))
    work = agent.works.get(ContactId(contact)) if agent is not None else None
    if work is not None and work.until is not None and work.until <= x.now:
        work_done(x, AgentId(agent_id), work.contact, "handled")


def _menu(x: Step, subject: str) -> None:
    call = x.state.calls.get(CallId(ContactId(subject)))
    if call is not None:
        treatment.silence(x, call)


def _announce(x: Step, subject: str) -> None:
    call = x.state.calls.get(CallId(ContactId(subject)))
    party = x.party(call) if call is not None else None
    if call is not None and party is not None and x.contact(call).entry is not None:
        voice.tell_position(x, call, party)


def _relax(x: Step, subject: str) -> None:
    entry = x.state.entries.get(EntryId(subject))
    if entry is not None and entry.queue in x.fold.index.queues:
        queueing.relax(x, entry)


def _wait(x: Step, subject: str) -> None:
    entry = x.state.entries.get(EntryId(subject))
    if entry is not None:
        queueing.waited_too_long(x, entry)


def _retry(_x: Step, _subject: str) -> None:
    """Crossing it out sets the next one and has the distribution looked at again."""


def _binding(x: Step, subject: str) -> None:
    agent = x.state.agents.get(AgentId(subject))
    for binding in list(agent.bindings.values()) if agent is not None else []:
        if binding.expires_at <= x.now:
            x.emit(DeviceUnbound(agent=AgentId(subject), contact=binding.contact, why="expired"))


def _time_limit(x: Step, subject: str) -> None:
    """Whoever is on the line still owes nothing beyond: the whole call ends."""
    leg = x.state.legs.get(LegId(subject))
    end = limits.end_of(leg) if leg is not None else None
    if leg is not None and end is not None:
        clear_call(x, x.state.calls[leg.call], end[1])


def _warn(x: Step, subject: str) -> None:
    """The other party is ours, or a caller of ours: it hears that the end is near."""
    leg = x.state.legs.get(LegId(subject))
    other = conversation.other_of(x, x.state.calls[leg.call], leg) if leg is not None else None
    if other is not None:
        x.do(WarnLeg(leg=other.id))


def _pin(x: Step, subject: str) -> None:
    call = x.state.calls.get(CallId(ContactId(subject)))
    if call is not None:
        hot_desk.nothing_keyed(x, call)


def _hours(x: Step, subject: str) -> None:
    keep_hours(x, QueueId(subject))


_ON_DEADLINE: dict[Timer, Callable[[Step, str], None]] = {
    Timer.RING: _ring,
    Timer.ANSWER: _answer,
    Timer.AFTER_CALL_WORK: _after_call_work,
    Timer.MENU: _menu,
    Timer.ANNOUNCE: _announce,
    Timer.RELAX: _relax,
    Timer.WAIT: _wait,
    Timer.RETRY: _retry,
    Timer.BINDING: _binding,
    Timer.TIME_LIMIT: _time_limit,
    Timer.WARN: _warn,
    Timer.PIN: _pin,
    Timer.HOURS: _hours,
}
