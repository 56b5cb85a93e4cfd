"""Consultation (CSTA Consultation Call, ECMA-269 §18): a party of a conversation holds the others and asks somebody else.

Who consults is the one served meanwhile: it hears ring-back, stands in the queue, hears the menu. So every target that a call can be sent
to can be asked, and ends as it would for a caller; only that whatever comes to nothing gives it back to those it has held.

| what happens                 | who was asked has answered            | not yet                                             |
|------------------------------|---------------------------------------|-----------------------------------------------------|
| it reconnects                | is released, the conversation goes on | is withdrawn, the conversation goes on              |
| it completes the transfer    | has who was held; it is released then | who was held waits in its place, see below          |
| it makes a conference        | all hear each other                   | refused                                             |
| it alternates                | is held, who was held speaks          | refused                                             |
| it hangs up                  | as it completes                       | as it completes, without it                         |
| who was asked cannot be had, or hangs up | the conversation goes on  | the conversation goes on                            |
| the last who was held hangs up | the two go on                       | the call is over                                    |

Beside a phone that rings it waits until somebody takes the call, and has the conversation back if nobody does; a queue or a menu of ours
takes a call at once. Nobody is released before who comes after is there.
"""

from __future__ import annotations

from typing import Final, Literal

from acd.core import spoken_menu
from acd.core.configuration import Target, ToAnnouncement
from acd.core.errors import IllegalTransition
from acd.core.events import CallConsulted, ConsultationAlternated, ConsultationEnded, LegRetrieved, MenuLeft
from acd.core.ids import AgentId
from acd.core.machines import leg as legs
from acd.core.state import values as s
from acd.core.steps import audio, conversation, recording, referral
from acd.core.steps.clearing import clear_call, end_leg, told_of_end
from acd.core.steps.queueing import leave_queue, withdraw_offer
from acd.core.steps.step import Step

RINGBACK: Final = ("tone/ringback",)


def begin(x: Step, call: s.Call, leg: s.Leg, by: AgentId, target: Target, supervisor: str | None = None) -> None:
    """Ask somebody. Who holds at its desk does so no longer: the others are held by the consultation.

    Raises: IllegalTransition: its phone holds, and would hear nobody.
    """
    if leg.state not in {legs.State.CONNECTED, legs.State.HELD}:
        raise IllegalTransition(f"leg {leg.id}", leg.state, "Consult", "the phone holds: retrieve the call there")
    if leg.state is legs.State.HELD:
        x.emit(LegRetrieved(leg=leg.id, by=by, supervisor=supervisor))
        conversation.work_goes_on(x, call, leg)
    recording.pause(x, call)
    x.emit(CallConsulted(call=call.id, leg=leg.id, by=by, to=conversation.describe(target), supervisor=supervisor))
    audio.settle(x, call)
    x.send_to(x, call, target, "consult", by, supervisor)


def is_answered(call: s.Call) -> bool:
    """Whether who is asked is there."""
    return call.consultation is not None and bool(call.parties)


def alternate(x: Step, call: s.Call, supervisor: str | None = None) -> None:
    """Speak with the other side.

    Raises: IllegalTransition: nobody has answered yet.
    """
    consultation = _answered(call, "Alternate")
    x.emit(ConsultationAlternated(call=call.id, by=consultation.by, supervisor=supervisor))
    audio.settle(x, call)


def conference(x: Step, call: s.Call, supervisor: str | None = None) -> None:
    """All hear each other.

    Raises: IllegalTransition: nobody has answered yet.
    """
    _answered(call, "Conference")
    _end(x, call, "conference", supervisor=supervisor)
    audio.settle(x, call)
    recording.go_on(x, call)


def complete(x: Step, call: s.Call, supervisor: str | None = None) -> None:
    """Leave it to the others: attended where who was asked is there, else semi-attended.

    Raises: IllegalTransition: several are held, who cannot all wait.
    """
    consultation = call.consultation
    assert consultation is not None
    if is_answered(call):
        _hand_over(x, call, consultation, by="exchange", supervisor=supervisor)
    elif len(consultation.held) > 1:
        raise IllegalTransition(f"call {call.id}", call.state, "CompleteTransfer", "several are held: wait until somebody has answered")
    elif call.ending is not None:
        raise IllegalTransition(f"call {call.id}", call.state, "CompleteTransfer", "nobody is there: an announcement says so")
    else:
        _hand_on(x, call, consultation, supervisor)


def reconnect(x: Step, call: s.Call, supervisor: str | None = None, cause: str | None = None) -> None:
    """Back to those who were held; who was asked, or still is, is released.

    Args:
        cause: why who was asked cannot be had; None: it was wished so.
    """
    consultation = call.consultation
    assert consultation is not None
    _withdraw(x, call, consultation)
    _end(x, call, "returned", cause=cause, supervisor=supervisor)
    leg = x.state.legs[consultation.leg]
    x.silence(leg)
    audio.settle(x, call)
    recording.go_on(x, call)


def given_back(x: Step, call: s.Call, cause: str) -> bool:
    """Whoever was to be reached cannot be had: whoever has sent the call there, or asks there, has its conversation back.

    Returns: whether there was anybody; else the call is the caller's of this function to see to.
    """
    if call.consultation is None:
        return referral.returned(x, call, cause)
    reconnect(x, call, cause=cause)
    return True


# ---------------------------------------------------------------------- somebody hangs up


def consulting_left(x: Step, call: s.Call, leg: s.Leg, *, by: Literal["party", "exchange"], q850: int | None = None) -> None:
    """Who consults is off the line: who was held has, or waits for, who was asked."""
    consultation = call.consultation
    assert consultation is not None
    if is_answered(call):
        _hand_over(x, call, consultation, by=by, q850=q850)
    elif len(consultation.held) > 1:
        _withdraw(x, call, consultation)
        _end(x, call, "abandoned")
        end_leg(x, leg, "hang_up", "handled", by=by, q850=q850)
        audio.settle(x, call)
        recording.go_on(x, call)
    else:
        _hand_on(x, call, consultation, leaves=by, q850=q850)


def asked_left(x: Step, call: s.Call, leg: s.Leg, cause: str, q850: int | None = None, *, gone: bool = True) -> None:
    """Who was asked has hung up, at its phone (`gone`) or at its desk."""
    end_leg(x, leg, cause, "handled", by="party" if gone else "exchange", q850=q850)
    reconnect(x, call, cause=told_of_end(cause))


def held_left(x: Step, call: s.Call, leg: s.Leg, cause: str, q850: int | None = None, *, gone: bool = True) -> None:
    """One who was held has hung up: the last of them leaves the two to themselves, if there are two."""
    consultation = call.consultation
    assert consultation is not None
    end_leg(x, leg, cause, "handled", by="party" if gone else "exchange", q850=q850)
    if consultation.held:
        audio.settle(x, call)
    elif is_answered(call):
        _end(x, call, "deserted")
        audio.settle(x, call)
    else:
        clear_call(x, call, cause, leg_cause=told_of_end(cause), outcome="abandoned", q850=q850)


# ---------------------------------------------------------------------- how it ends


def _answered(call: s.Call, command: str) -> s.Consultation:
    consultation = call.consultation
    if consultation is None or not call.parties:
        raise IllegalTransition(f"call {call.id}", call.state, command, "who is asked has not answered")
    return consultation


def _end(
    x: Step,
    call: s.Call,
    then: Literal["returned", "conference", "handed_over", "handed_on", "deserted", "abandoned"],
    *,
    cause: str | None = None,
    supervisor: str | None = None,
) -> None:
    consultation = call.consultation
    assert consultation is not None
    x.emit(ConsultationEnded(call=call.id, leg=consultation.leg, by=consultation.by, then=then, cause=cause, supervisor=supervisor))


def _hand_over(
    x: Step,
    call: s.Call,
    consultation: s.Consultation,
    *,
    by: Literal["party", "exchange"],
    supervisor: str | None = None,
    q850: int | None = None,
) -> None:
    """The others are connected first, then who has brought them together is released."""
    leg = x.state.legs[consultation.leg]
    _end(x, call, "handed_over", supervisor=supervisor)
    audio.settle(x, call)
    recording.go_on(x, call)
    end_leg(x, leg, "transferred", "handled", by=by, q850=q850)


def _hand_on(
    x: Step,
    call: s.Call,
    consultation: s.Consultation,
    supervisor: str | None = None,
    *,
    leaves: Literal["party", "exchange"] | None = None,
    q850: int | None = None,
) -> None:
    """Who was held takes the place of who consulted: at the ringing phone, in the queue, before the menu.

    Args:
        leaves: who consulted does not wait for what comes of it: it has hung up, or does.
    """
    leg = x.state.legs[consultation.leg]
    rings, ends = leg.purpose == "ringback", call.ending is not None
    x.silence(leg)
    _end(x, call, "handed_on", supervisor=supervisor)
    if leaves is not None:
        referral.left(x, call, leg, by=leaves, q850=q850)
    party = x.party(call)
    assert party is not None
    x.silence(party)
    audio.arrange(x, call)
    contact = x.contact(call)
    queue = x.fold.index.queues.get(x.state.entries[contact.entry].queue) if contact.entry is not None else None
    if queue is not None:
        referral.reached(x, call)
        x.channel(contact).waits(x, contact, queue)
    elif call.menu is not None:
        referral.reached(x, call)
        menu = x.fold.index.menus.get(call.menu)
        said = spoken_menu.sounds_of(menu, x.fold.index.queues, x.fold.index.agents) if menu is not None else ()
        x.play(party, said, "menu")
    elif ends:
        x.send_to(x, call, ToAnnouncement(sounds=("unavailable",)), "transfer", consultation.by)
    elif rings:
        x.play(party, RINGBACK, "ringback", loop=True)


def _withdraw(x: Step, call: s.Call, consultation: s.Consultation) -> None:
    """Whatever of the consultation rings, waits or speaks is over."""
    contact = x.contact(call)
    withdraw_offer(x, contact, "withdrawn", "hang_up")
    leave_queue(x, contact, "withdrawn", "reconnected")
    if call.menu is not None:
        x.emit(MenuLeft(call=call.id, menu=call.menu, digit=None))
    stays = {consultation.leg, *consultation.held, *call.supervisions}
    for one in list(call.legs):
        if one not in stays:
            end_leg(x, x.state.legs[one], "hang_up", "withdrawn")
