"""Two parties in conversation: connect, hold, retrieve, transfer, and what follows when one of them hangs up (CSTA Established and on)."""

from __future__ import annotations

from acd.core.configuration import Target, ToAgent, ToAnnouncement, ToHangUp, ToMenu, ToOutside, ToQueue
from acd.core.effects import BeginRecording, ConnectLegs, DisconnectLegs, EndRecording
from acd.core.events import (
    CallEstablished,
    CallHeld,
    CallRetrieved,
    CallTransferred,
    LegHeld,
    LegRetrieved,
    RecordingBegan,
    WorkConnected,
)
from acd.core.ids import AgentId, RecordingId
from acd.core.machines import leg as legs
from acd.core.machines import work as works
from acd.core.state import values as s
from acd.core.steps.clearing import clear_call, end_leg, told_of_end
from acd.core.steps.step import Step

HOLD_MUSIC = "music/default"


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
        x.emit(CallEstablished(call=call.id, a=a.id, b=b.id))
        x.do(ConnectLegs(a=a.id, b=b.id))
        return
    x.silence(a)
    x.silence(b)
    x.emit(CallEstablished(call=call.id, a=a.id, b=b.id))
    for leg, other in ((a, b), (b, a)):
        if _is_held(other):
            x.play(leg, _music(x, call), "hold", loop=True)


def _is_held(leg: s.Leg) -> bool:
    return leg.state in legs.ON_HOLD


def record(x: Step, call: s.Call, a: s.Leg, b: s.Leg) -> None:
    """Record the conversation, a channel per party."""
    recording = RecordingId(f"{call.id}/r{call.recordings_made + 1}")
    x.emit(RecordingBegan(recording=recording, call=call.id, legs=(a.id, b.id)))
    x.do(BeginRecording(recording=recording, call=call.id, legs=(a.id, b.id)))


def other_of(x: Step, call: s.Call, leg: s.Leg) -> s.Leg | None:
    """The other party of the conversation."""
    if call.pair is None or leg.id not in call.pair:
        return None
    a, b = call.pair
    return x.state.legs.get(b if a == leg.id else a)


def _music(x: Step, call: s.Call) -> tuple[str, ...]:
    contact = x.contact(call)
    queue = x.fold.index.queues.get(contact.queue) if contact.queue is not None else None
    return (queue.music if queue is not None else HOLD_MUSIC,)


def hold(x: Step, call: s.Call, leg: s.Leg, by: AgentId | None, supervisor: str | None = None) -> None:
    """One party holds the other, at its desk (`by`) or by its phone: the other hears music, once.

    Args:
        supervisor: who acted at that desk, where it was not the agent; so too in what follows.
    """
    was_held = _is_held(leg)
    x.emit(LegHeld(leg=leg.id, by=by, supervisor=supervisor))
    other = other_of(x, call, leg)
    if other is None:
        return
    if leg.agent is not None and _work_allows(x, call, leg, works.Input.HELD):
        x.emit(CallHeld(call=call.id, by=leg.agent))
    if not was_held:
        x.do(DisconnectLegs(leg=leg.id))
        x.play(other, _music(x, call), "hold", loop=True)


def retrieve(x: Step, call: s.Call, leg: s.Leg, by: AgentId | None, supervisor: str | None = None) -> None:
    """The hold of the desk (`by`) or of the phone is over: with the second of them the party is back.

    The two are connected unless the other party holds as well.
    """
    still_held = leg.state is legs.State.HELD_BY_BOTH
    x.emit(LegRetrieved(leg=leg.id, by=by, still_held=still_held, supervisor=supervisor))
    other = other_of(x, call, leg)
    if other is None or still_held:
        return
    if leg.agent is not None and _work_allows(x, call, leg, works.Input.RETRIEVED):
        x.emit(CallRetrieved(call=call.id, by=leg.agent))
    if _is_held(other):
        x.play(leg, _music(x, call), "hold", loop=True)
    else:
        x.silence(leg)
        x.silence(other)
        x.do(ConnectLegs(a=leg.id, b=other.id))


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
    if call.recording is not None:
        x.do(EndRecording(recording=call.recording))
    x.emit(CallTransferred(call=call.id, by=by, to=describe(target), supervisor=supervisor))
    end_leg(x, leg, "transferred", "handled")
    party = x.party(call)
    if party is not None:
        x.silence(party)
    x.send_to(x, call, target, "transfer", by, supervisor)


def party_left(x: Step, call: s.Call, leg: s.Leg, cause: str, q850: int | None = None) -> None:
    """One of the two is gone: the other is released with it, and told why where nobody hung up, or what the network of the first said."""
    end_leg(x, leg, cause, "handled", by="party", q850=q850)
    clear_call(x, call, cause, leg_cause=told_of_end(cause), q850=q850)
