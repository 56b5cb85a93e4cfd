"""Queues, who stands in them, and what is offered."""

from __future__ import annotations

from typing import Final

from acd.core import events as ev
from acd.core.machines import call as calls
from acd.core.machines import queue as queues
from acd.core.machines import queue_entry as entries
from acd.core.state import values as s
from acd.core.state.fold.kit import ENTRY, Handlers, Indexes
from acd.core.state.line import language_asked, own_skills, relaxation_at
from acd.core.state.score import advantage_s
from acd.core.state.timers import Timer, name

_TAKEN_OR_GONE: Final = frozenset({"answered", "abandoned"})
_NOT_TAKEN: Final = frozenset({"no_answer", "declined", "failed"})
_ENTRY_INPUT: Final = {
    "answered": entries.Input.ANSWERED,
    "abandoned": entries.Input.ABANDONED,
    "overflowed": entries.Input.OVERFLOWED,
    "exited": entries.Input.EXPIRED,
    "closed": entries.Input.EXPIRED,
    "withdrawn": entries.Input.EXPIRED,
}


def queued(fold: Indexes, event: ev.Queued, now: float) -> None:
    contact = fold.state.contacts[event.contact]
    queue = fold.index.queues[event.queue]
    fold.step_contact(contact, calls.Input.QUEUED, now)
    contact.entry = event.entry
    contact.queue = event.queue
    contact.entries_made += 1
    contact.hops += 1
    relaxation = sum(one.after_s <= 0 for one in queue.relaxations)
    entry = s.Entry(
        id=event.entry,
        contact=event.contact,
        channel=contact.channel,
        queue=event.queue,
        queued_at=now if event.since is None else event.since,
        priority_s=advantage_s(queue, contact.priority_s),
        relaxation=relaxation,
        language=language_asked(queue, relaxation, contact.language),
        skills=own_skills(contact),
    )
    if event.since is not None:
        entry.relaxation = relaxation_at(queue, entry, now)
        entry.language = language_asked(queue, entry.relaxation, contact.language)
    if event.cause is not None:
        entry.returned_at = now
    fold.state.entries[event.entry] = entry
    fold.enter_line(entry, now)
    fold.set_entry_timers(entry, queue)


def queue_left(fold: Indexes, event: ev.QueueLeft, now: float) -> None:
    entry = fold.state.entries[event.entry]
    fold.state.contacts[event.contact].waited_s = now - entry.queued_at
    fold.step(ENTRY, entry, _ENTRY_INPUT[event.outcome], now)
    if event.outcome != "answered":
        fold.state.contacts[event.contact].queue = None


def requirements_relaxed(fold: Indexes, event: ev.RequirementsRelaxed, now: float) -> None:
    entry = fold.state.entries[event.entry]
    queue = fold.index.queues[entry.queue]
    fold.ask_otherwise(entry, queue, event.relaxation, now)
    fold.set_relaxation_timer(entry, queue)


def queue_opened(fold: Indexes, event: ev.QueueOpened, now: float) -> None:
    fold.step_queue(fold.state.queues[event.queue], queues.Input.HOURS_BEGAN, now)


def queue_closed(fold: Indexes, event: ev.QueueClosed, now: float) -> None:
    fold.step_queue(fold.state.queues[event.queue], queues.Input.HOURS_ENDED, now)


def queue_filled(fold: Indexes, event: ev.QueueFilled, now: float) -> None:
    fold.step_queue(fold.state.queues[event.queue], queues.Input.FILLED, now)


def queue_drained(fold: Indexes, event: ev.QueueDrained, now: float) -> None:
    fold.step_queue(fold.state.queues[event.queue], queues.Input.DRAINED, now)


def pages_asked(fold: Indexes, event: ev.PagesAsked, now: float) -> None:
    state = fold.state
    entry = state.entries[event.entry]
    fold.step(ENTRY, entry, entries.Input.ASKED, now)
    state.contacts[event.contact].questions_made += 1
    entry.question = event.question
    state.questions[event.question] = s.Question(
        id=event.question,
        contact=event.contact,
        entry=event.entry,
        asked_at=now,
        open=list(event.agents),
        rule=event.rule,
        by=event.by,
    )
    fold.timers.start(name(Timer.PAGE, event.question), event.until)
    for agent_id in event.agents:
        agent = state.agents[agent_id]
        agent.question = event.question
        fold.categorise(agent)


def page_asked_ended(fold: Indexes, event: ev.PageAskedEnded, now: float) -> None:
    state = fold.state
    question = state.questions[event.question]
    question.open.remove(event.agent)
    if not question.open:
        del state.questions[event.question]
        fold.timers.stop(name(Timer.PAGE, event.question))
        entry = state.entries[question.entry]
        entry.question = None
        fold.step(ENTRY, entry, entries.Input.RETURNED, now)
    agent = state.agents.get(event.agent)
    if agent is not None:
        agent.question = None
        page = fold.bindings_of(agent).get(event.page) if event.page is not None else None
        if page is not None:
            page.answered_at, page.answered_for = now, event.contact
        fold.categorise(agent)


def offer_made(fold: Indexes, event: ev.OfferMade, now: float) -> None:
    state = fold.state
    entry, contact, chosen = state.entries[event.entry], state.contacts[event.contact], event.decision.chosen
    fold.step(ENTRY, entry, entries.Input.OFFERED, now)
    fold.step_contact(contact, calls.Input.DELIVERED, now)
    contact.offers_made += 1
    entry.offer = event.offer
    state.offers[event.offer] = s.Offer(
        id=event.offer, contact=event.contact, entry=event.entry, queue=event.queue, made_at=now, open=list(chosen), width=len(chosen)
    )
    queue = fold.index.queues[event.queue]
    state.queues[event.queue].last_agent = chosen[-1]
    fold.timers.start(name(Timer.RING, event.offer), now + queue.ring_timeout_s)


def offer_ended(fold: Indexes, event: ev.OfferEnded, now: float) -> None:
    state = fold.state
    offer = state.offers[event.offer]
    offer.open.remove(event.agent)
    entry = state.entries[offer.entry]
    if event.outcome in _NOT_TAKEN:
        if event.reason is not None and offer.width == 1:  # older words do not say
            misses = state.agents[event.agent].misses
            misses[event.reason] = misses.get(event.reason, 0) + 1
        entry.tried[event.agent] = now
        fold.tried_entries.add(entry.id)
        fold.set_retry(entry, now)
    elif event.outcome == "answered":
        state.agents[event.agent].misses.clear()
    if offer.open:
        return
    del state.offers[event.offer]
    fold.timers.stop(name(Timer.RING, event.offer))
    entry.offer = None
    if event.outcome not in _TAKEN_OR_GONE:
        fold.step(ENTRY, entry, entries.Input.RETURNED, now)
        fold.step_contact(state.contacts[offer.contact], calls.Input.RETURNED, now)


HANDLERS: Handlers = {
    ev.Queued: queued,
    ev.QueueLeft: queue_left,
    ev.RequirementsRelaxed: requirements_relaxed,
    ev.QueueOpened: queue_opened,
    ev.QueueClosed: queue_closed,
    ev.QueueFilled: queue_filled,
    ev.QueueDrained: queue_drained,
    ev.PagesAsked: pages_asked,
    ev.PageAskedEnded: page_asked_ended,
    ev.OfferMade: offer_made,
    ev.OfferEnded: offer_ended,
}
