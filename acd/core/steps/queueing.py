"""Queues at work: entering, waiting with sounds, offers to agents, their outcomes, overflow (R6, R23, U1, U2).

Event driven: whoever becomes free or begins to wait is looked at in the same step (`distribute`, called by the engine last). A contact
keeps its place while it is offered, and the clock of its limits stands still then.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

from acd.core.configuration import Overflow, Queue
from acd.core.effects import PopScreen
from acd.core.events import (
    DigitReceived,
    LegConnected,
    OfferEnded,
    OfferMade,
    Queued,
    QueueDrained,
    QueueFilled,
    QueueLeft,
    RequirementsRelaxed,
    WorkReserved,
)
from acd.core.ids import AgentId, EntryId, LegId, OfferId, QueueId
from acd.core.machines import queue as queues
from acd.core.machines import queue_entry as entries
from acd.core.routing import pick as routing
from acd.core.state import values as s
from acd.core.steps import device, referral
from acd.core.steps.clearing import clear_call, end_offer_part, leave_queue, regard_miss, withdraw_offer
from acd.core.steps.conversation import establish, record
from acd.core.steps.step import Step
from acd.core.steps.treatment import UNAVAILABLE, announce, answer_party, unavailable

NOTICE = ("recording.notice",)
POSITION = "queue.position"
HIGHEST_NUMBER = 99
"""Numbers are spoken up to here; who stands further back is told nothing yet."""


# ---------------------------------------------------------------------- entering and leaving


def enter_queue(x: Step, call: s.Call, queue_id: QueueId) -> None:
    """Stand in line, or go where the queue sends those it does not take."""
    queue = x.fold.index.queues.get(queue_id)
    if queue is None:
        unavailable(x, call, "not_found")
        return
    entry_id = EntryId(f"{call.id}/q{call.entries_made + 1}")
    if x.state.queues[queue_id].state in queues.SHUT:
        _pass_by(x, call, queue, entry_id, "closed", None)
        x.send_to(x, call, queue.closed, "closed", queue.id)
        return
    rule = _overflow_at_entry(x, queue)
    if rule is not None:
        overflow, why = rule
        _pass_by(x, call, queue, entry_id, "overflowed", why)
        x.send_to(x, call, overflow.target, "overflow", queue.id)
        return
    leg = answer_party(x, call)
    if leg is None:
        clear_call(x, call, "abandoned")
        return
    referral.reached(x, call)
    x.emit(Queued(call=call.id, entry=entry_id, queue=queue.id, position=_place_of_newcomer(x, queue)))
    fill_or_drain(x, queue)
    if queue.record and x.state.configuration is not None and x.state.configuration.recording_notice and not call.notice_heard:
        # Until it was heard the contact is offered to nobody (`routing.hears_notice`), and waits like any other.
        x.play(leg, NOTICE, "notice")
    else:
        _greet(x, call, leg, queue)


def _pass_by(x: Step, call: s.Call, queue: Queue, entry: EntryId, outcome: Literal["closed", "overflowed"], detail: str | None) -> None:
    """Counted at the queue, though it never waited."""
    x.emit(Queued(call=call.id, entry=entry, queue=queue.id, position=_place_of_newcomer(x, queue)))
    x.emit(QueueLeft(call=call.id, entry=entry, queue=queue.id, outcome=outcome, detail=detail))


def _place_of_newcomer(x: Step, queue: Queue) -> int:
    """1 is next. Everybody of a queue has the same advantage (unless it was changed meanwhile), so who comes last stands last."""
    mine = x.now - min(queue.priority_s, queue.priority_cap_s)
    return bisect_right(x.fold.order.get(queue.id, ()), mine, key=lambda place: place[0]) + 1


def _overflow_at_entry(x: Step, queue: Queue) -> tuple[Overflow, str] | None:
    """The first rule that turns a newcomer away, and why."""
    for rule in queue.overflow:
        if rule.max_length is not None and x.fold.waiting(queue.id) >= rule.max_length:
            return rule, f"max_length {rule.max_length}"
        if rule.no_agents and not is_staffed(x, queue):
            return rule, "no_agents"
    return None


def is_staffed(x: Step, queue: Queue) -> bool:
    """Whether anybody who could ever take a contact of this queue, relaxed or not, is logged on."""
    away = x.fold.categories["logged_off"]
    return any(x.fold.index.eligibility(queue.id, level).agents - away for level in range(len(queue.relaxations) + 1))


def fill_or_drain(x: Step, queue: Queue) -> None:
    """Whether the next caller would overflow by length."""
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
    if not x.fold.overflowing:
        return
    for queue_id in [one for one in x.state.queues if one in x.fold.overflowing]:
        queue = x.fold.index.queues.get(queue_id)
        if queue is not None:
            fill_or_drain(x, queue)


def overflow_unstaffed(x: Step) -> None:
    """The last who could have served left: those who wait under a no-agents rule go where it says."""
    for queue in x.fold.index.queues.values():
        rule = next((one for one in queue.overflow if one.no_agents), None)
        if rule is None or not x.fold.order.get(queue.id) or is_staffed(x, queue):
            continue
        for place in list(x.fold.order[queue.id]):
            entry = x.state.entries.get(place[2])
            if entry is not None and entries.Input.OVERFLOWED in entries.TRANSITIONS[entry.state]:
                call = x.state.calls[entry.call]
                leave_queue(x, call, "overflowed", "no_agents")
                x.send_to(x, call, rule.target, "overflow", queue.id)


def evict(x: Step, entry: s.Entry) -> None:
    """Its queue was taken out of the configuration."""
    call = x.state.calls[entry.call]
    withdraw_offer(x, call, "withdrawn", "queue_removed")
    leave_queue(x, call, "withdrawn", "queue_removed")
    announce(x, call, UNAVAILABLE, "not_found")


def waited_too_long(x: Step, entry: s.Entry) -> None:
    """The waiting time limit was reached."""
    queue = x.fold.index.queues.get(entry.queue)
    rules = [rule for rule in queue.overflow if rule.max_wait_s is not None] if queue is not None else []
    if queue is None or not rules:
        return
    rule = min(rules, key=lambda one: one.max_wait_s or 0.0)
    call = x.state.calls[entry.call]
    leave_queue(x, call, "overflowed", f"max_wait_s {rule.max_wait_s:g}")
    x.send_to(x, call, rule.target, "overflow", queue.id)


def relax(x: Step, entry: s.Entry) -> None:
    """The next relaxation of what is asked for comes into force."""
    x.emit(RequirementsRelaxed(entry=entry.id, relaxation=entry.relaxation + 1))


def exit_key(x: Step, call: s.Call, leg: s.Leg, key: str) -> None:
    """A key while waiting: the way out, if it is the queue's exit key; others mean nothing here and are not kept."""
    entry = x.state.entries[call.entry] if call.entry is not None else None
    queue = x.fold.index.queues.get(entry.queue) if entry is not None else None
    if queue is None or queue.exit_target is None or key != queue.exit_key:
        return
    x.emit(DigitReceived(call=call.id, leg=leg.id, digit=key))
    withdraw_offer(x, call, "withdrawn", "exit_key")
    leave_queue(x, call, "exited", key)
    x.send_to(x, call, queue.exit_target, "exit", queue.id)


# ---------------------------------------------------------------------- what is heard while waiting


def _greet(x: Step, call: s.Call, leg: s.Leg, queue: Queue) -> None:
    if queue.greeting:
        x.play(leg, queue.greeting, "greeting")
    else:
        tell_position(x, call, leg)


def tell_position(x: Step, call: s.Call, leg: s.Leg) -> None:
    """`You are caller number n`, then music; only music where positions are not announced or the number is too high to be spoken."""
    entry = x.state.entries[call.entry] if call.entry is not None else None
    queue = x.fold.index.queues.get(entry.queue) if entry is not None else None
    if entry is None or queue is None:
        return
    position = x.fold.position(entry)
    if queue.announce_position and position <= HIGHEST_NUMBER:
        x.play(leg, (POSITION, f"number.{position}"), "position")
    else:
        x.play(leg, (queue.music,), "music", loop=True)


def heard(x: Step, call: s.Call, leg: s.Leg, purpose: str) -> None:
    """Something the queue played was heard to its end: what comes next."""
    entry = x.state.entries[call.entry] if call.entry is not None else None
    queue = x.fold.index.queues.get(entry.queue) if entry is not None else None
    if entry is None or queue is None:
        return
    match purpose:
        case "notice":
            _greet(x, call, leg, queue)
        case "greeting":
            tell_position(x, call, leg)
        case "position":
            x.play(leg, (queue.music,), "music", loop=True)
        case _:
            # Music loops; if it cannot be played there is silence, not a loop of attempts.
            pass


# ---------------------------------------------------------------------- offers


def distribute(x: Step) -> None:
    """Give waiting contacts to free agents, as far as both are there."""
    x.fold.routing_needed = False
    for assignment in routing.pick(x.fold, x.now):
        entry = x.state.entries[assignment.entry]
        call = x.state.calls[entry.call]
        offer = OfferId(f"{call.id}/o{call.offers_made + 1}")
        ringing: dict[AgentId, LegId] = {agent: x.next_leg(call, at) for at, agent in enumerate(assignment.agents)}
        x.emit(
            OfferMade(offer=offer, call=call.id, entry=entry.id, queue=entry.queue, legs=ringing, decision=assignment.decision),
        )
        for agent, leg in ringing.items():
            _ring(x, call, entry, offer, agent, leg)


def _ring(x: Step, call: s.Call, entry: s.Entry, offer: OfferId, agent_id: AgentId, leg: LegId) -> None:
    agent = x.fold.index.agents[agent_id]
    device.begin_leg(x, call, leg, agent)
    x.reserve(leg, device.channel(x, agent))
    x.emit(WorkReserved(agent=agent_id, call=call.id, leg=leg, kind="queue", queue=entry.queue))
    x.do(
        PopScreen(
            agent=agent_id,
            call=call.id,
            offer=offer,
            queue=entry.queue,
            calling=call.calling,
            called=call.called,
            waited_s=x.now - entry.queued_at,
        )
    )
    device.ring(x, call, leg, agent, shown=call.calling, shown_name=call.calling_name, offer=offer, queue=entry.queue)


def answered(x: Step, call: s.Call, offer: s.Offer, leg: s.Leg, dialog: str | None) -> None:
    """The first phone that is taken wins; the others stop in the same step and count no missed call."""
    x.emit(LegConnected(leg=leg.id, dialog=dialog))
    for agent in sorted(offer.open):
        if offer.open[agent] != leg.id:
            end_offer_part(x, offer, agent, "answered_elsewhere", cause="answered_elsewhere")
    party = x.party(call)
    queue = x.fold.index.queues.get(offer.queue)
    if party is None or leg.agent is None:
        return
    x.emit(OfferEnded(offer=offer.id, call=call.id, agent=leg.agent, outcome="answered"))
    leave_queue(x, call, "answered", leg.agent)
    establish(x, call, party, leg)
    noticed = call.notice_heard or x.state.configuration is None or not x.state.configuration.recording_notice
    if queue is not None and queue.record and noticed:  # § 201 StGB: who is recorded must have been told first
        record(x, call, party, leg)


def rang_out(x: Step, offer: s.Offer) -> None:
    """Redirect on no answer: the caller keeps its place and is offered on, the agents are treated as the queue says."""
    for agent in sorted(offer.open):
        end_offer_part(x, offer, agent, "no_answer", cause="no_answer")
        regard_miss(x, offer, agent)


def failed(x: Step, offer: s.Offer, agent: AgentId, cause: str, status: int | None) -> None:
    """A phone of an offer refused or could not be reached."""
    outcome: Literal["no_answer", "declined", "failed"]
    if cause == "no_answer":
        outcome = "no_answer"
    elif cause in {"busy", "rejected", "forwarded"}:
        outcome = "declined"
    else:
        outcome = "failed"
    end_offer_part(x, offer, agent, outcome, cause=cause, gone=True, status=status)
    regard_miss(x, offer, agent)


def phone_is_gone(x: Step, offer: s.Offer, leg: s.Leg, cause: str) -> None:
    """A phone of an offer ended its leg without having been taken: the caller keeps its place."""
    if leg.agent is not None:
        end_offer_part(x, offer, leg.agent, "declined", cause=cause, gone=True)
        regard_miss(x, offer, leg.agent)
