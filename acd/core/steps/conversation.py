"""Parties in conversation: connect, hold, retrieve, transfer, and what follows when one of them hangs up (CSTA Established and on)."""

from __future__ import annotations

from acd.core.configuration import Target, ToAgent, ToAnnouncement, ToHangUp, ToMenu, ToOutside, ToQueue
from acd.core.effects import StopSounds
from acd.core.events import (
    CallEstablished,
    CallHeld,
    CallRetrieved,
    CallTransferred,
    LegHeld,
    LegRetrieved,
    WorkConnected,
)
from acd.core.ids import AgentId
from acd.core.machines import leg as legs
from acd.core.machines import work as works
from acd.core.state import values as s
from acd.core.steps import audio, recording
from acd.core.steps.clearing import clear_call, end_leg, told_of_end
from acd.core.steps.step import Step


def establish(x: Step, call: s.Call, a: s.Leg, b: s.Leg) -> None:
    """Let the two hear each other; whatever plays to either ends.

    A party that put us on hold while it waited is not there yet: the other hears music, and they are connected when it is back.
    """
    for leg in (a, b):
        agent = x.state.agents.get(leg.agent) if leg.agent is not None else None
        if agent is None:  # or one that was removed during a call for help, which is no work beside another
            continue
        work = agent.works.get(call.id)
        if work is not None and works.Input.CONNECTED in works.TRANSITIONS[work.state]:
            x.emit(WorkConnected(agent=agent.id, contact=call.id))
    if not (_is_held(a) or _is_held(b)):
        for leg in (a, b):
            if leg.play is not None:
                x.do(StopSounds(leg=leg.id))  # the event below says so
        x.emit(CallEstablished(call=call.id, a=a.id, b=b.id))
        audio.arrange(x, call)
    else:
        x.silence(a)
        x.silence(b)
        x.emit(CallEstablished(call=call.id, a=a.id, b=b.id))
        audio.settle(x, call)


def _is_held(leg: s.Leg) -> bool:
    return leg.state in legs.ON_HOLD


def hold(x: Step, call: s.Call, leg: s.Leg, by: AgentId | None, supervisor: str | None = None) -> None:
    """One party holds, at its desk (`by`) or by its phone: if there is one other, it hears music, once; several go on without it.

    Args:
        supervisor: who acted at that desk, where it was not the agent; so too in what follows.
    """
    was_held = _is_held(leg)
    x.emit(LegHeld(leg=leg.id, by=by, supervisor=supervisor))
    others = audio.others_of(x, call, leg)
    if not others:
        if not was_held and leg.id in call.supervisions:
            audio.arrange(x, call)
        return
    if leg.agent is not None and _work_allows(x, call, leg, works.Input.HELD):
        x.emit(CallHeld(call=call.id, by=leg.agent))
    if not was_held:
        audio.settle(x, call)


def retrieve(x: Step, call: s.Call, leg: s.Leg, by: AgentId | None, supervisor: str | None = None) -> None:
    """The hold of the desk (`by`) or of the phone is over: with the second of them the party is back.

    It is connected to those of the others who do not hold as well.
    """
    still_held = leg.state is legs.State.HELD_BY_BOTH
    x.emit(LegRetrieved(leg=leg.id, by=by, still_held=still_held, supervisor=supervisor))
    if still_held:
        return
    if audio.others_of(x, call, leg):
        work_goes_on(x, call, leg)
        audio.settle(x, call)
    elif leg.id in call.supervisions:
        audio.arrange(x, call)


def work_goes_on(x: Step, call: s.Call, leg: s.Leg) -> None:
    """Who was away is back at its work."""
    if leg.agent is not None and _work_allows(x, call, leg, works.Input.RETRIEVED):
        x.emit(CallRetrieved(call=call.id, by=leg.agent))


def _work_allows(x: Step, call: s.Call, leg: s.Leg, step: works.Input) -> bool:
    agent = x.state.agents.get(leg.agent) if leg.agent is not None else None
    work = agent.works.get(call.id) if agent is not None else None
    return work is not None and step in works.TRANSITIONS[work.state]


def describe(target: Target) -> str:
    """A target in one word for the ledger."""
    match target:
        case ToQueue(queue=queue):
            return f"queue:{queue}"
        case ToMenu(menu=menu):
            return f"menu:{menu}"
        case ToAgent(agent=agent):
            return f"agent:{agent}"
        case ToOutside(number=number):
            return number
        case ToAnnouncement(sounds=sounds):
            return f"announcement:{','.join(sounds)}"
        case ToHangUp():
            return "hang_up"


def transfer(x: Step, call: s.Call, leg: s.Leg, by: AgentId, target: Target, supervisor: str | None = None) -> None:
    """Blind transfer: this agent's part ends, the other party is sent on."""
    recording.pause(x, call)
    x.emit(CallTransferred(call=call.id, by=by, to=describe(target), supervisor=supervisor))
    end_leg(x, leg, "transferred", "handled")
    party = x.party(call)
    if party is not None:
        x.silence(party)
    x.send_to(x, call, target, "transfer", by, supervisor)


def party_left(x: Step, call: s.Call, leg: s.Leg, cause: str, q850: int | None = None) -> None:
    """A party is gone by itself: two or more others go on; a single one is released with it, and told why where nobody hung up, or what the
    network of the first said.
    """
    end_leg(x, leg, cause, "handled", by="party", q850=q850)
    if not goes_on(x, call):
        clear_call(x, call, cause, leg_cause=told_of_end(cause), q850=q850)


def goes_on(x: Step, call: s.Call) -> bool:
    """After a party has left: whether there is a conversation still; if so, it is seen to."""
    if len(call.parties) < 2:
        return False
    audio.settle(x, call)
    return True
