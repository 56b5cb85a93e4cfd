"""Calls: what waiting, reached, withdrawn and taken mean for somebody on the line (R6, R23, § 201 StGB).

Waiting: the caller is answered, told what it must be told, and hears its place and music. Reached: the agent's phone rings. Withdrawn: it
stops. Taken: the two hear each other, and are recorded where the queue says so and the caller was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from acd.core.configuration import Agent, Queue, Target
from acd.core.effects import AskToAnswer, PopScreen
from acd.core.errors import IllegalTransition
from acd.core.events import DigitReceived, LegConnected, OfferOutcome
from acd.core.ids import AgentId, CallId
from acd.core.state import values as s
from acd.core.steps import device, queueing, recording, referral
from acd.core.steps.clearing import clear_call, clear_leg, leg_of
from acd.core.steps.conversation import establish
from acd.core.steps.step import Ending, Step
from acd.core.steps.treatment import answer_party, unavailable

NOTICE: Final = ("recording.notice",)
SUPERVISION_NOTICE: Final = ("supervision.notice",)
POSITION: Final = "queue.position"
HIGHEST_NUMBER: Final = 99
"""Numbers are spoken up to here; who stands further back is told nothing yet."""
_REFUSED: Final = frozenset({"busy", "rejected", "forwarded"})
"""Causes of a phone that somebody, or the phone itself, does not want to ring."""


def _call(x: Step, contact: s.Contact) -> s.Call:
    return x.state.calls[CallId(contact.id)]


class Voice:
    """The channel of calls."""

    waits_when_closed = False

    def can_reach(self, x: Step, agent: s.Agent) -> bool:
        """Its phone can be rung, and a speech channel to it fits."""
        configured = x.fold.index.agents.get(agent.id)
        verdict = device.channel(x, configured) if configured is not None else None
        return x.fold.is_reachable(agent) and (verdict is None or verdict.fits)

    def may_wait(self, x: Step, contact: s.Contact) -> bool:
        """Answered, and taken over from the phone that may have sent it."""
        call = _call(x, contact)
        if answer_party(x, call) is None:
            clear_call(x, call, "abandoned")
            return False
        referral.reached(x, call)
        return True

    def waits(self, x: Step, contact: s.Contact, queue: Queue) -> None:
        """Until the recording notice was heard it is offered to nobody (`Contact.not_yet`), and waits like any other."""
        call = _call(x, contact)
        leg = x.party(call)
        if leg is None:
            return
        came_back = contact.entry is not None and x.state.entries[contact.entry].returned_at is not None
        if leg.agent is not None or came_back:  # one of our own, who asks in its consultation: it knows all that; and who was here before
            _tell_position(x, contact, leg, queue)
        elif notices := _notices(x, call, queue):
            x.play(leg, notices, "notice")
        else:
            _greet(x, contact, leg, queue)

    def reach(self, x: Step, contact: s.Contact, offer: s.Offer, agent: Agent, waited_s: float) -> None:
        """The phone rings, and the screen says who it is."""
        call = _call(x, contact)
        leg = x.next_leg(call)
        device.begin_leg(x, call, leg, agent, offer.id)
        verdict = device.channel(x, agent)
        x.reserve(leg, verdict)
        x.do(
            PopScreen(
                agent=agent.id,
                contact=call.id,
                offer=offer.id,
                queue=offer.queue,
                calling=call.calling,
                called=call.called,
                waited_s=waited_s,
            )
        )
        device.ring(x, call, leg, agent, verdict, shown=call.calling, shown_name=call.calling_name, offer=offer.id, queue=offer.queue)

    def reserved(self, x: Step, contact: s.Contact, offer: s.Offer, agents: Sequence[AgentId]) -> None:
        """Who picks up has it."""

    def withdraw(self, x: Step, contact: s.Contact, offer: s.Offer, agent: AgentId, ending: Ending) -> None:
        """The phone stops: leg and speech channel are given back."""
        call = _call(x, contact)
        for one in list(call.legs):
            leg = x.state.legs[one]
            if leg.offer == offer.id and leg.agent == agent:
                clear_leg(x, leg, ending.cause, by="party" if ending.is_gone else "exchange", status=ending.status)

    def taken(self, x: Step, contact: s.Contact, agent: AgentId, queue: Queue | None) -> None:
        """The two hear each other. § 201 StGB: who is recorded must have been told first."""
        call = _call(x, contact)
        party, leg = x.party(call), leg_of(x, call, agent)
        if party is None or leg is None:
            return
        establish(x, call, party, leg)
        noticed = call.notice_heard or x.state.configuration is None or not x.state.configuration.recording_notice
        if queue is not None and queue.record and noticed:
            recording.begin(x, call)

    def accept(self, x: Step, contact: s.Contact, offer: s.Offer | None, agent: AgentId) -> None:
        """The phone is asked to take it; it has been taken when the phone says so."""
        leg = leg_of(x, _call(x, contact), agent)
        if leg is None:
            raise IllegalTransition(f"contact {contact.id}", "not ringing", "Answer")
        x.do(AskToAnswer(leg=leg.id))

    def can_be_sent(self, x: Step, contact: s.Contact, target: Target) -> bool:
        """Wherever a call can go; circles end in an announcement (`acd.core.steps.targets`)."""
        return True

    def send(self, x: Step, contact: s.Contact, target: Target, reason: str, by: str) -> None:
        """Wherever a call can go."""
        x.send_to(x, _call(x, contact), target, reason, by)

    def turn_away(self, x: Step, contact: s.Contact, cause: str) -> None:
        """The caller is told, and the call ends."""
        unavailable(x, _call(x, contact), cause)


# ---------------------------------------------------------------------- the phones of an offer


def phone_taken(x: Step, call: s.Call, offer: s.Offer, leg: s.Leg, dialog: str | None) -> None:
    """The first phone that is taken wins."""
    x.emit(LegConnected(leg=leg.id, dialog=dialog))
    if leg.agent is not None:
        queueing.taken(x, x.contact(call), offer, leg.agent)


def phone_failed(x: Step, offer: s.Offer, agent: AgentId, cause: str, status: int | None) -> None:
    """A phone of an offer refused or could not be reached."""
    outcome: OfferOutcome = "no_answer" if cause == "no_answer" else "declined" if cause in _REFUSED else "failed"
    queueing.not_taken(x, offer, agent, Ending(outcome, cause, is_gone=True, status=status))


def phone_is_gone(x: Step, offer: s.Offer, leg: s.Leg, cause: str) -> None:
    """A phone of an offer ended its leg without having been taken: the caller keeps its place."""
    if leg.agent is not None:
        queueing.not_taken(x, offer, leg.agent, Ending("declined", cause, is_gone=True))


# ---------------------------------------------------------------------- what is heard and pressed while waiting


def _greet(x: Step, contact: s.Contact, leg: s.Leg, queue: Queue) -> None:
    if queue.greeting:
        x.play(leg, queue.greeting, "greeting")
    else:
        _tell_position(x, contact, leg, queue)


def _notices(x: Step, call: s.Call, queue: Queue) -> tuple[str, ...]:
    """What the caller must have heard before anybody may answer: that the call is recorded, that somebody may listen (§ 201 StGB)."""
    configuration = x.state.configuration
    recorded = queue.record and configuration is not None and configuration.recording_notice and not call.notice_heard
    heard = queue.supervised and not call.supervision_told
    return (*(NOTICE if recorded else ()), *(SUPERVISION_NOTICE if heard else ()))


def _queue_of(x: Step, contact: s.Contact) -> Queue | None:
    """The queue it waits in."""
    return x.fold.index.queues.get(x.state.entries[contact.entry].queue) if contact.entry is not None else None


def tell_position(x: Step, call: s.Call, leg: s.Leg) -> None:
    """`You are caller number n`, then music; only music where positions are not announced or the number is too high to be spoken."""
    contact = x.contact(call)
    queue = _queue_of(x, contact)
    if queue is not None:
        _tell_position(x, contact, leg, queue)


def _tell_position(x: Step, contact: s.Contact, leg: s.Leg, queue: Queue) -> None:
    assert contact.entry is not None
    position = x.fold.position(x.state.entries[contact.entry])
    if queue.announce_position and position <= HIGHEST_NUMBER:
        x.play(leg, (POSITION, f"number.{position}"), "position")
    else:
        x.play(leg, (queue.music,), "music", loop=True)


def heard(x: Step, call: s.Call, leg: s.Leg, purpose: str) -> None:
    """Something the queue played was heard to its end: what comes next."""
    contact = x.contact(call)
    queue = _queue_of(x, contact)
    if queue is None:
        return
    match purpose:
        case "notice":
            _greet(x, contact, leg, queue)
        case "greeting":
            _tell_position(x, contact, leg, queue)
        case "position":
            x.play(leg, (queue.music,), "music", loop=True)
        case _:
            # Music loops; if it cannot be played there is silence, not a loop of attempts.
            pass


def exit_key(x: Step, call: s.Call, leg: s.Leg, key: str) -> None:
    """A key while waiting: the way out, if it is the queue's exit key; others mean nothing here and are not kept."""
    contact = x.contact(call)
    queue = _queue_of(x, contact)
    if queue is None or queue.exit_target is None or key != queue.exit_key:
        return
    x.emit(DigitReceived(call=call.id, leg=leg.id, digit=key))
    queueing.withdraw_offer(x, contact, "withdrawn", "exit_key")
    queueing.leave_queue(x, contact, "exited", key)
    x.send_to(x, call, queue.exit_target, "exit", queue.id)
