"""Every deadline, and what is due when it is reached; the deadlines themselves are set and stopped by the fold (`state.timers`)."""

from __future__ import annotations

from collections.abc import Callable

from acd.core.channels import voice
from acd.core.effects import WarnLeg
from acd.core.events import (
    DeadlinePassed,
    DeviceUnbound,
)
from acd.core.ids import AgentId, CallId, ContactId, EntryId, LegId, OfferId, QuestionId, QueueId
from acd.core.intake import operation
from acd.core.state import limits
from acd.core.state.timers import Timer
from acd.core.steps import asking, audio, consultation, conversation, hot_desk, lost_page, queueing, reach, supervision, treatment
from acd.core.steps.clearing import clear_call, end_leg
from acd.core.steps.step import Step
from acd.core.steps.working import work_done


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
    if leg is None:
        return
    call = x.state.calls[leg.call]
    if leg.id in call.supervisions:
        supervision.left(x, leg, "no_answer", gone=False)
    else:
        reach.failed(x, call, leg, "no_answer", ours=True)


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


def _page(x: Step, subject: str) -> None:
    question = x.state.questions.get(QuestionId(subject))
    for agent in list(question.open) if question is not None else ():
        asking.unanswered(x, question, agent)  # type: ignore[arg-type]  # it is there


def _page_lost(x: Step, subject: str) -> None:
    leg = x.state.legs.get(LegId(subject))
    if leg is not None:
        lost_page.give_up(x, x.state.calls[leg.call], leg, by="exchange")


def _binding(x: Step, subject: str) -> None:
    agent = x.state.agents.get(AgentId(subject))
    for binding in list(agent.bindings.values()) if agent is not None else []:
        if binding.expires_at <= x.now:
            x.emit(DeviceUnbound(agent=AgentId(subject), contact=binding.contact, why="expired"))


def _time_limit(x: Step, subject: str) -> None:
    """Whoever is on the line still owes nothing beyond: the whole call ends, unless others are in it without this leg."""
    leg = x.state.legs.get(LegId(subject))
    end = limits.end_of(leg) if leg is not None else None
    if leg is None or end is None:
        return
    call = x.state.calls[leg.call]
    if call.consultation is not None and leg.id in call.parties and leg.id != call.consultation.leg:
        end_leg(x, leg, end[1], "handled")
        consultation.reconnect(x, call, cause=end[1])
        return
    if call.consultation is None and len(call.parties) > 2 and leg.id in call.parties:
        end_leg(x, leg, end[1], "handled")
        conversation.goes_on(x, call)
        return
    clear_call(x, call, end[1])


def _warn(x: Step, subject: str) -> None:
    """The other parties are ours, or callers of ours: they hear that the end is near."""
    leg = x.state.legs.get(LegId(subject))
    for other in audio.others_of(x, x.state.calls[leg.call], leg) if leg is not None else ():
        x.do(WarnLeg(leg=other.id))


def _pin(x: Step, subject: str) -> None:
    call = x.state.calls.get(CallId(ContactId(subject)))
    if call is not None:
        hot_desk.nothing_keyed(x, call)


def _hours(x: Step, subject: str) -> None:
    operation.keep_hours(x, QueueId(subject))


_ON_DEADLINE: dict[Timer, Callable[[Step, str], None]] = {
    Timer.RING: _ring,
    Timer.ANSWER: _answer,
    Timer.AFTER_CALL_WORK: _after_call_work,
    Timer.MENU: _menu,
    Timer.ANNOUNCE: _announce,
    Timer.RELAX: _relax,
    Timer.WAIT: _wait,
    Timer.RETRY: _retry,
    Timer.PAGE: _page,
    Timer.PAGE_LOST: _page_lost,
    Timer.BINDING: _binding,
    Timer.TIME_LIMIT: _time_limit,
    Timer.WARN: _warn,
    Timer.PIN: _pin,
    Timer.HOURS: _hours,
}
