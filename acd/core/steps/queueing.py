"""Queues at work: entering, offers to agents and their outcomes, overflow, what people decide out of turn (R6, R23, U1, U2).

Event driven: whoever becomes free or begins to wait is looked at in the same step (`distribute`, called by the engine last). A contact
keeps its place while it is offered, and the clock of its limits stands still then. What waiting, reached, withdrawn and taken mean is
the channel's affair (`acd.core.steps.step.Channel`).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Literal

from acd.core import inputs as inp
from acd.core.configuration import Overflow, Queue
from acd.core.events import (
    AgentNotReady,
    ContactMoved,
    MissReason,
    OfferEnded,
    OfferMade,
    OfferOutcome,
    PickEnded,
    Queued,
    QueueDrained,
    QueueFilled,
    QueueLeft,
    QueueOutcome,
    RequirementsRelaxed,
    WorkDone,
    WorkReserved,
)
from acd.core.ids import VOICE, AgentId, EntryId, OfferId, QueueId
from acd.core.machines import agent as agents
from acd.core.machines import queue as queues
from acd.core.machines import queue_entry as entries
from acd.core.machines import work as works
from acd.core.routing.pick import PICKED, Assignment, out_of_turn, pick
from acd.core.state import capacity
from acd.core.state import values as s
from acd.core.state.line import Line, lines_ever
from acd.core.state.score import newcomers_rank
from acd.core.steps import asking
from acd.core.steps.step import Ending, Step
from acd.core.steps.working import WorkOutcome, work_done

NOT_READY_REASON: Final[dict[MissReason, str]] = {
    "no_answer": "no_answer",
    "unreachable": "unreachable",
    "failed": "device_failed",
    "busy": "busy",
    "declined": "declined",
    "forwarded": "forwarded",
}
"""What a desk shows an agent who was made not ready."""
_MISS_OF_CAUSE: Final[dict[str, MissReason]] = {
    "no_answer": "no_answer",
    "unreachable": "unreachable",
    "unregistered": "unreachable",
    "busy": "busy",
    "rejected": "declined",
    "forwarded": "forwarded",
}
_MISS_OF_OUTCOME: Final[dict[str, MissReason]] = {"no_answer": "no_answer", "declined": "declined", "failed": "failed"}
_NOBODYS_MISS: Final = frozenset({"no_bandwidth", "supervisor"})
"""Causes that say nothing of the agent, or of what the agent is reached by."""
_ABSENT: Final = frozenset({"no_answer", "unreachable", "failed"})
"""What `redirect_on_no_answer` speaks of."""

MAX_HOPS: Final = 25
"""Targets a contact may visit without a sign of life from the customer: more is a circle in the configuration."""


# ---------------------------------------------------------------------- entering and leaving


def enter(x: Step, contact: s.Contact, queue_id: QueueId, since: float | None = None) -> None:
    """Stand in line, or go where the queue sends those it does not take.

    Args:
        since: it stands there as if it had come at this instant; None: now.
    """
    queue, channel = x.fold.index.queues.get(queue_id), x.channel(contact)
    if queue is None:
        channel.turn_away(x, contact, "not_found")
        return
    entry_id = EntryId(f"{contact.id}/q{contact.entries_made + 1}")
    if x.state.queues[queue_id].state in queues.SHUT and not channel.waits_when_closed:
        _pass_by(x, contact, queue, entry_id, "closed", None)
        channel.send(x, contact, queue.closed, "closed", queue.id)
        return
    rule = _overflow_at_entry(x, queue, contact)
    if rule is not None and channel.can_be_sent(x, contact, rule[0].target):
        overflow, why = rule
        _pass_by(x, contact, queue, entry_id, "overflowed", why)
        channel.send(x, contact, overflow.target, "overflow", queue.id)
        return
    if not channel.may_wait(x, contact):
        return
    x.emit(Queued(contact=contact.id, entry=entry_id, queue=queue.id, position=_place_of_newcomer(x, contact, queue, since), since=since))
    fill_or_drain(x, queue)
    channel.waits(x, contact, queue)


def _pass_by(
    x: Step, contact: s.Contact, queue: Queue, entry: EntryId, outcome: Literal["closed", "overflowed"], detail: str | None
) -> None:
    """Counted at the queue, though it never waited."""
    x.emit(Queued(contact=contact.id, entry=entry, queue=queue.id, position=_place_of_newcomer(x, contact, queue, None)))
    x.emit(QueueLeft(contact=contact.id, entry=entry, queue=queue.id, outcome=outcome, detail=detail))


def _place_of_newcomer(x: Step, contact: s.Contact, queue: Queue, since: float | None) -> int:
    """1 is next. Who comes last and has no more advantage than the others stands last."""
    mine = newcomers_rank(queue, contact.priority_s, x.now if since is None else since)
    return bisect_right(x.fold.order.get(queue.id, ()), mine, key=lambda place: place[0]) + 1


def _overflow_at_entry(x: Step, queue: Queue, contact: s.Contact) -> tuple[Overflow, str] | None:
    """The first rule that turns a newcomer away, and why."""
    for rule in queue.overflow:
        if rule.max_length is not None and x.fold.waiting(queue.id) >= rule.max_length:
            return rule, f"max_length {rule.max_length}"
        if rule.no_agents and not is_staffed(x, lines_ever(queue, contact)):
            return rule, "no_agents"
    return None


def leave_queue(x: Step, contact: s.Contact, outcome: QueueOutcome, detail: str | None = None) -> None:
    """The contact steps out of its queue; the limit of the queue may be free again."""
    if contact.entry is None:
        return
    entry = x.state.entries[contact.entry]
    if entry.question is not None:
        asking.withdrawn(x, x.state.questions[entry.question])
    x.emit(QueueLeft(contact=contact.id, entry=entry.id, queue=entry.queue, outcome=outcome, detail=detail))


def is_staffed(x: Step, lines: tuple[Line, ...]) -> bool:
    """Whether anybody who could ever take a contact of these lines (`lines_ever`) is logged on."""
    away = x.fold.categories["logged_off"]
    return any(x.fold.index.eligibility(line).agents - away for line in lines)


def fill_or_drain(x: Step, queue: Queue) -> None:
    """Whether the next one would overflow by length."""
    limits = [rule.max_length for rule in queue.overflow if rule.max_length is not None]
    running = x.state.queues.get(queue.id)
    if running is None:
        return
    full = bool(limits) and x.fold.waiting(queue.id) >= min(limits)
    if full and queues.Input.FILLED in queues.TRANSITIONS[running.state]:
        x.emit(QueueFilled(queue=queue.id))
    elif not full and queues.Input.DRAINED in queues.TRANSITIONS[running.state]:
        x.emit(QueueDrained(queue=queue.id))


def settle_queues(x: Step) -> None:
    """After all else: queues that are no longer full say so."""
    for queue_id in [one for one in x.state.queues if one in x.fold.overflowing]:
        queue = x.fold.index.queues.get(queue_id)
        if queue is not None:
            fill_or_drain(x, queue)


def overflow_unstaffed(x: Step) -> None:
    """The last who could have served left: those who wait under a no-agents rule go where it says."""
    for queue in x.fold.index.queues.values():
        rule = next((one for one in queue.overflow if one.no_agents), None)
        if rule is None or not x.fold.order.get(queue.id):
            continue
        found: dict[tuple[Line, ...], bool] = {}
        for place in list(x.fold.order[queue.id]):
            entry = x.state.entries.get(place[2])
            if entry is None or entries.Input.OVERFLOWED not in entries.TRANSITIONS[entry.state]:
                continue
            lines = lines_ever(queue, x.state.contacts[entry.contact])
            if lines not in found:
                found[lines] = is_staffed(x, lines)
            if not found[lines]:
                _overflow(x, entry, queue, rule, "no_agents")


def waited_too_long(x: Step, entry: s.Entry) -> None:
    """The waiting time limit was reached."""
    queue = x.fold.index.queues.get(entry.queue)
    rules = [rule for rule in queue.overflow if rule.max_wait_s is not None] if queue is not None else []
    if queue is None or not rules:
        return
    rule = min(rules, key=lambda one: one.max_wait_s or 0.0)
    _overflow(x, entry, queue, rule, f"max_wait_s {rule.max_wait_s:g}")


def _overflow(x: Step, entry: s.Entry, queue: Queue, rule: Overflow, why: str) -> None:
    contact = x.state.contacts[entry.contact]
    channel = x.channel(contact)
    if not channel.can_be_sent(x, contact, rule.target):
        return
    leave_queue(x, contact, "overflowed", why)
    channel.send(x, contact, rule.target, "overflow", queue.id)


def evict(x: Step, entry: s.Entry) -> None:
    """Its queue was taken out of the configuration."""
    contact = x.state.contacts[entry.contact]
    withdraw_offer(x, contact, "withdrawn", "queue_removed")
    leave_queue(x, contact, "withdrawn", "queue_removed")
    x.channel(contact).turn_away(x, contact, "not_found")


def relax(x: Step, entry: s.Entry) -> None:
    """The next relaxation of what is asked for comes into force."""
    x.emit(RequirementsRelaxed(entry=entry.id, relaxation=entry.relaxation + 1))


# ---------------------------------------------------------------------- offers


def distribute(x: Step) -> None:
    """Give waiting contacts to free agents, as far as both are there."""
    x.fold.routing_needed = False
    assignments = pick(x.rosters, x.now)
    for assignment in assignments:
        _offer_or_ask(x, assignment)
    # One contact in a round: who has room for more is looked at again. Of calls alone nobody has.
    if len(x.fold.availability) > 1 and any(x.fold.is_free(agent) for assignment in assignments for agent in assignment.agents):
        x.fold.routing_needed = True


def _offer_or_ask(x: Step, assignment: Assignment, rule: str | None = None, by: str | None = None) -> None:
    """Where it is not sure that all who were chosen are there, that is found out first; what is decided then is decided anew."""
    entry = x.state.entries[assignment.entry]
    unsure = asking.needed(x, assignment.agents, entry)
    if unsure:
        asking.ask(x, entry, unsure, rule, by)
    else:
        make_offer(x, assignment)


def page_answered(x: Step, question: s.Question, fact: inp.PageAnswered) -> None:
    """One page that was asked is there, or cannot be asked."""
    if not fact.answered:
        asking.unanswered(x, question, fact.agent)
        return
    asking.answered(x, question, fact.agent, fact.contact, fact.round_trip_ms)
    agent, entry = x.state.agents.get(fact.agent), x.state.entries.get(question.entry)
    if question.rule is None or agent is None or entry is None or x.state.stopping or agent.state not in agents.LOGGED_ON:
        return
    if can_be_given(x, agent, entry):
        give(x, entry, agent.id, question.rule, question.by or "")


def make_offer(x: Step, assignment: Assignment) -> None:
    """Let those who were chosen know of the contact, and keep them for it."""
    entry = x.state.entries[assignment.entry]
    contact = x.state.contacts[entry.contact]
    offer_id = OfferId(f"{contact.id}/o{contact.offers_made + 1}")
    x.emit(OfferMade(offer=offer_id, contact=contact.id, entry=entry.id, queue=entry.queue, decision=assignment.decision))
    offer, channel = x.state.offers[offer_id], x.channel(contact)
    for agent in assignment.agents:
        if contact.id in x.state.agents[agent].works:
            # It was moved from this agent before and comes back: what is left to do on it is part of having it again.
            x.emit(WorkDone(agent=agent, contact=contact.id, outcome="handled"))
        channel.reach(x, contact, offer, x.fold.index.agents[agent], x.now - entry.queued_at)
        x.emit(WorkReserved(agent=agent, contact=contact.id, kind="queue", queue=entry.queue))
    channel.reserved(x, contact, offer, assignment.agents)


def taken(x: Step, contact: s.Contact, offer: s.Offer, agent: AgentId) -> None:
    """The first who takes it has it; for the others it ends in the same step, and they count no missed one."""
    for other in sorted(offer.open):
        if other != agent:
            end_offer_part(x, offer, other, Ending("answered_elsewhere", "answered_elsewhere"))
    queue = x.fold.index.queues.get(offer.queue)
    x.emit(OfferEnded(offer=offer.id, contact=contact.id, agent=agent, outcome="answered"))
    leave_queue(x, contact, "answered", agent)
    x.channel(contact).taken(x, contact, agent, queue)


def rang_out(x: Step, offer: s.Offer) -> None:
    """Redirect on no answer: the contact keeps its place and is offered on, the agents are treated as the queue says."""
    for agent in sorted(offer.open):
        end_offer_part(x, offer, agent, Ending("no_answer", "no_answer"))
        regard_miss(x, offer, agent)


def not_taken(x: Step, offer: s.Offer, agent: AgentId, ending: Ending) -> None:
    """An agent, or what the agent is reached by, did not take an offer: the contact keeps its place."""
    end_offer_part(x, offer, agent, ending)
    regard_miss(x, offer, agent)


def end_offer_part(x: Step, offer: s.Offer, agent: AgentId, ending: Ending, *, detail: str | None = None) -> None:
    """One agent's part of an offer ended without its having been taken: reservation and all."""
    contact, outcome, cause = x.state.contacts[offer.contact], ending.outcome, ending.cause
    reason = _MISS_OF_CAUSE.get(cause, _MISS_OF_OUTCOME[outcome]) if outcome in _MISS_OF_OUTCOME and cause not in _NOBODYS_MISS else None
    x.emit(OfferEnded(offer=offer.id, contact=contact.id, agent=agent, outcome=outcome, reason=reason, detail=detail))
    x.channel(contact).withdraw(x, contact, offer, agent, ending)
    # Work of an offer ends as the offer does, even if it had been taken and nobody was connected yet.
    done: WorkOutcome = "withdrawn" if outcome == "answered" else outcome
    if contact.id in x.state.agents[agent].works:
        work_done(x, agent, contact.id, done)


def regard_miss(x: Step, offer: s.Offer, agent_id: AgentId) -> None:
    """Redirect on no answer: whoever is not there, or does not want to, is not asked again once the queue's limit for that is reached."""
    agent = x.state.agents.get(agent_id)
    queue = x.fold.index.queues.get(offer.queue)
    # Where all are asked together, not having been the first is no sign of absence.
    if agent is None or queue is None or offer.width > 1 or agent.state not in agents.WILLING:
        return
    for reason, misses in agent.misses.items():
        limit = getattr(queue.miss_limits, reason)
        if limit and misses >= limit and not (reason in _ABSENT and queue.redirect_on_no_answer == "stay_ready"):
            x.emit(AgentNotReady(agent=agent_id, reason=NOT_READY_REASON[reason]))
            return


def offer_of(x: Step, contact: s.Contact) -> s.Offer | None:
    """The offer that the contact is in."""
    entry = x.state.entries.get(contact.entry) if contact.entry is not None else None
    return x.state.offers.get(entry.offer) if entry is not None and entry.offer is not None else None


def withdraw_offer(x: Step, contact: s.Contact, outcome: OfferOutcome, cause: str) -> None:
    """Nobody is offered the contact any more."""
    offer = offer_of(x, contact)
    if offer is None:
        return
    for agent in sorted(offer.open):
        end_offer_part(x, offer, agent, Ending(outcome, cause))


def give_back(x: Step, agent: s.Agent) -> None:
    """The agent is there no more: what it has of other channels than calls goes back to where it came from, with its place by age."""
    give_back_offers(x, agent)
    for work in [one for one in agent.works.values() if one.channel != VOICE and one.state in works.TALKING]:
        contact = x.state.contacts[work.contact]
        work_done(x, agent.id, work.contact, "withdrawn")
        if contact.queue is not None and contact.queue in x.fold.index.queues:
            x.emit(ContactMoved(contact=contact.id, queue=contact.queue, by=GONE))
            enter(x, contact, contact.queue, contact.began_at)


def give_back_offers(x: Step, agent: s.Agent) -> None:
    """What is offered at the desk of somebody who leaves it is offered to others at once; a phone that rings may still be taken."""
    for work in [one for one in agent.works.values() if one.channel != VOICE and one.state in works.RINGING]:
        offer = offer_of(x, x.state.contacts[work.contact])
        if offer is not None:
            end_offer_part(x, offer, agent.id, Ending("withdrawn", "supervisor"))


GONE: Final = "removed"
"""Stands for who has moved a contact whose agent was removed."""


# ---------------------------------------------------------------------- out of turn


def could_take(x: Step, agent: AgentId, entry: s.Entry) -> bool:
    """Whether skills and membership allow it, at whatever relaxation."""
    if entry.queue not in x.fold.index.queues:
        return False
    if entry.skills is not None:
        return agent in x.fold.index.eligibility(Line(entry.queue, skills=entry.skills)).agents
    return any(agent in team for team in x.fold.index.team(entry.queue))


def is_free_for(x: Step, agent: s.Agent, channel: str) -> bool:
    """Whether the agent has room for one more, and its page is not asked for another; ready or not."""
    return agent.question is None and capacity.has_room(x.fold.index.capacity_of(agent.id, channel), agent.works.values(), channel)


def first_to_pick(x: Step, agent: s.Agent) -> s.Entry | None:
    """The first of those who wait and are not being offered, that the agent could take and can be reached for."""
    best = None
    for line in x.fold.buckets.values():
        first = x.state.entries[line[0][2]]
        if not could_take(x, agent.id, first) or not can_be_given(x, agent, first):
            continue  # all of it ask for the same
        place = next((one for one in line if not x.state.contacts[x.state.entries[one[2]].contact].not_yet), None)
        if place is not None:
            best = place if best is None else min(best, place)
    return x.state.entries[best[2]] if best is not None else None


def can_be_given(x: Step, agent: s.Agent, entry: s.Entry) -> bool:
    """Whether the agent can be reached for it and has room: what no order of a person changes."""
    return x.channels[entry.channel].can_reach(x, agent) and is_free_for(x, agent, entry.channel)


def give(x: Step, entry: s.Entry, agent: AgentId, rule: str, by: str) -> None:
    """Offer it to this agent, whoever's turn it is."""
    _offer_or_ask(x, out_of_turn(x.rosters, entry, agent, rule, by, x.now), rule, by)


def serve_pickers(x: Step) -> None:
    """Who has asked to pick by its phone gets the first contact once its line is free again."""
    for agent_id in sorted(x.fold.pickers):
        agent = x.state.agents[agent_id]
        if any(work.kind == "feature_code" for work in agent.works.values()):
            continue
        entry = first_to_pick(x, agent) if agent.state in agents.LOGGED_ON and not x.state.stopping else None
        x.emit(PickEnded(agent=agent_id))
        if entry is not None:
            give(x, entry, agent_id, PICKED, f"agent:{agent_id}")
