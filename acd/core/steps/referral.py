"""A blind transfer by an agent's phone (REFER, RFC 3515; RFC 5589 §6): the phone keeps its line until somebody or something takes the call.

So waits, out of a consultation, an agent who leaves the call to somebody who has not answered yet (`acd.core.steps.consultation`). A phone
that has asked is told how it goes. Either gets the other party back when the target cannot be had, and may hang up at any moment: then the
transfer goes on without it, as one from the desk does. Whatever is a machine of ours (a queue, a menu, an announcement) takes a call at
once.
"""

from __future__ import annotations

from typing import Literal

from acd.core.effects import AnswerReferrer, NotifyReferrer
from acd.core.events import CallHeld, CallReferred, CallRetrieved, CallTransferred, ReferralFailed
from acd.core.ids import AgentId
from acd.core.machines import leg as legs
from acd.core.machines import work as works
from acd.core.state import values as s
from acd.core.steps import audio, recording
from acd.core.steps.clearing import end_leg
from acd.core.steps.conversation import establish
from acd.core.steps.step import Step


def begin(x: Step, call: s.Call, leg: s.Leg, by: AgentId, to: str) -> None:
    """The pair is parted, the phone waits and hears nothing; the other party may be sent on.

    Args:
        to: the target in one word, as in CallTransferred.
    """
    x.do(AnswerReferrer(leg=leg.id))
    recording.pause(x, call)
    x.emit(CallReferred(call=call.id, leg=leg.id, by=by, to=to))
    audio.arrange(x, call)
    for one in (leg, x.party(call)):
        if one is not None:
            x.silence(one)


def rings(x: Step, call: s.Call) -> None:
    """The target's phone rings."""
    if call.referral is not None and call.referral.asked:
        x.do(NotifyReferrer(leg=call.referral.leg, progress="ringing"))


def reached(x: Step, call: s.Call) -> None:
    """Somebody or something takes the call: the phone that sent it has done with it."""
    if call.referral is not None:
        if call.referral.asked:
            x.do(NotifyReferrer(leg=call.referral.leg, progress="taken"))
        left(x, call, x.state.legs[call.referral.leg], by="exchange")


def left(x: Step, call: s.Call, leg: s.Leg, *, by: Literal["party", "exchange"], q850: int | None = None) -> None:
    """The phone that sent the call is off the line. `by` party: it has hung up itself; the call goes on to its target without it."""
    assert call.referral is not None
    x.emit(CallTransferred(call=call.id, by=call.referral.by, to=call.referral.to))
    end_leg(x, leg, "transferred", "handled", by=by, q850=q850)


def returned(x: Step, call: s.Call, cause: str) -> bool:
    """The target cannot be had: the phone that sent the call has it back, if it is still there.

    Returns: whether it was; else the call is the caller's of this function to see to.
    """
    referral, party = call.referral, x.party(call)
    if referral is None or party is None:
        return False
    leg = x.state.legs[referral.leg]
    if referral.asked:
        x.do(NotifyReferrer(leg=leg.id, progress="failed", cause=cause))
    x.emit(ReferralFailed(call=call.id, leg=leg.id, by=referral.by, cause=cause))
    establish(x, call, party, leg)
    _hold_as_the_phone_does(x, call, leg, referral.by)
    recording.go_on(x, call)
    return True


def _hold_as_the_phone_does(x: Step, call: s.Call, leg: s.Leg, by: AgentId) -> None:
    """Phones hold before they ask, or retrieve while they wait: the agent's work is as the line is now."""
    work = x.state.agents[by].works.get(call.id)
    held = leg.state in legs.ON_HOLD
    step = works.Input.HELD if held else works.Input.RETRIEVED
    if work is not None and step in works.TRANSITIONS[work.state]:
        x.emit(CallHeld(call=call.id, by=by) if held else CallRetrieved(call=call.id, by=by))
