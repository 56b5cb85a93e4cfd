"""A supervisor at an agent's conversation: listen, whisper, barge in (house; the words are those of most systems).

The supervisor's phone is rung as any other; it is a leg of the call, so that it is released, measured and seen with it. The agent is told
by a tone and by the event, whoever else is there before the queue's greeting (`Queue.supervised`; § 201 (2) StGB): who was not told is not
listened to. Who barges in is heard by all, and is a party from then on: it stays when the agent leaves.
"""

from __future__ import annotations

from typing import Final

from acd.core.effects import PopScreen, WarnLeg
from acd.core.errors import IllegalTransition
from acd.core.events import LegConnected, SupervisionBegan, SupervisionChanged, SupervisionRequested, WorkConnected, WorkReserved
from acd.core.ids import VOICE, AgentId, CallId, LegId
from acd.core.inputs import SupervisionMode
from acd.core.machines import call as calls
from acd.core.machines import work as works
from acd.core.state import capacity
from acd.core.state import values as s
from acd.core.steps import audio, device, recording
from acd.core.steps.clearing import end_leg
from acd.core.steps.step import Step
from acd.core.steps.working import end_wrap_up

KEYS: Final[dict[str, SupervisionMode]] = {"4": "listen", "5": "whisper", "6": "barge"}
"""What a supervisor presses to hear the conversation otherwise; as Asterisk's ChanSpy has them."""
CALLS_WITH_TALK: Final = calls.TALKING | {calls.State.CONSULTING}


def find(x: Step, call: s.Call, supervised: AgentId | None) -> AgentId:
    """Whose conversation is meant.

    Raises: IllegalTransition: nobody's, or it could be several.
    """
    there = [agent for group in audio.groups(call) for one in group if (agent := x.state.legs[one].agent) is not None]
    if call.state not in CALLS_WITH_TALK or not there or (supervised is not None and supervised not in there):
        raise IllegalTransition(f"call {call.id}", call.state, "Supervise", f"agent {supervised} is in no conversation there")
    if supervised is None and len(there) > 1:
        raise IllegalTransition(f"call {call.id}", call.state, "Supervise", f"say whose conversation: {', '.join(there)}")
    return supervised or there[0]


def begin(x: Step, call: s.Call, supervisor: AgentId, supervised: AgentId, mode: SupervisionMode) -> None:
    """Ring the supervisor's phone.

    Raises: IllegalTransition: it cannot be rung, or may not listen.
    """
    person = x.state.agents[supervisor]
    configured = x.fold.index.agents[supervisor]
    _may(x, call, mode)
    why = _reason_not_to_ring(x, person)
    if why is not None:
        raise IllegalTransition(f"agent {supervisor}", person.state, "Supervise", why)
    verdict = device.channel(x, configured)
    if verdict is not None and not verdict.fits:
        raise IllegalTransition(f"agent {supervisor}", person.state, "Supervise", verdict.reason)
    end_wrap_up(x, person)
    leg = x.next_leg(call)
    device.begin_leg(x, call, leg, configured, role="supervisor")
    x.emit(SupervisionBegan(call=call.id, leg=leg, by=supervisor, agent=supervised, mode=mode))
    x.reserve(leg, verdict)
    x.emit(WorkReserved(agent=supervisor, contact=call.id, kind="supervision"))
    x.do(
        PopScreen(
            agent=supervisor,
            contact=call.id,
            offer=None,
            queue=x.contact(call).queue,
            calling=call.calling,
            called=call.called,
            waited_s=x.now - call.began_at,
        )
    )
    device.ring(x, call, leg, configured, verdict, shown=call.calling, shown_name=call.calling_name)


def _reason_not_to_ring(x: Step, person: s.Agent) -> str | None:
    if x.state.stopping:
        return "the exchange is shutting down"
    if any(work.channel == VOICE and work.state not in works.WRAPPING for work in person.works.values()):
        return "the agent has a call already"
    if not x.fold.is_reachable(person):
        return "the agent's phone cannot be rung"
    if capacity.is_kept(x.fold.index.capacity_of(person.id, VOICE), person.works.values(), VOICE):
        return "the agent has no room for a call"
    return None


def _may(x: Step, call: s.Call, mode: SupervisionMode) -> None:
    """Nobody is heard by somebody who does not know that this can be."""
    configuration = x.state.configuration
    if mode != "barge" and not call.supervision_told and (configuration is None or configuration.supervision_notice):
        why = "the caller was not told that somebody may listen: let the queue say so (`supervised`), or barge in"
        raise IllegalTransition(f"call {call.id}", call.state, "Supervise", why)


def joined(x: Step, call: s.Call, leg: s.Leg, dialog: str | None) -> None:
    """The supervisor's phone was taken."""
    x.emit(LegConnected(leg=leg.id, dialog=dialog))
    supervision = call.supervisions[leg.id]
    agent = x.state.agents.get(supervision.by)
    work = agent.works.get(call.id) if agent is not None else None
    if work is not None and works.Input.CONNECTED in works.TRANSITIONS[work.state]:
        x.emit(WorkConnected(agent=supervision.by, contact=call.id))
    _take_place(x, call, supervision)


def change(x: Step, call: s.Call, leg: LegId, mode: SupervisionMode) -> None:
    """Hear the conversation otherwise.

    Raises: IllegalTransition: it may not.
    """
    supervision = call.supervisions[leg]
    if supervision.mode == mode:
        return
    _may(x, call, mode)
    if call.consultation is not None and "barge" in {mode, supervision.mode} and supervision.joined:
        raise IllegalTransition(f"call {call.id}", call.state, "Supervise", "somebody is asked: who takes part changes when that is over")
    x.emit(SupervisionChanged(call=call.id, leg=leg, by=supervision.by, agent=supervision.agent, mode=mode))
    _take_place(x, call, call.supervisions[leg])


def _take_place(x: Step, call: s.Call, supervision: s.Supervision) -> None:
    audio.settle(x, call)
    if not supervision.joined:
        return
    if supervision.mode == "barge":
        recording.go_on(x, call)
        return
    configuration = x.state.configuration
    agent = next((one for one in call.legs if x.state.legs[one].agent == supervision.agent), None)
    if agent is not None and (configuration is None or configuration.supervision_tone):
        x.do(WarnLeg(leg=agent, tone="supervised"))


def left(x: Step, leg: s.Leg, cause: str, *, gone: bool, q850: int | None = None) -> None:
    """A supervisor's phone that is no party is gone, could not be reached, or is released (`gone`: by itself): nobody misses it."""
    end_leg(x, leg, cause, "withdrawn", by="party" if gone else "exchange", q850=q850)


def follow(x: Step) -> None:
    """Whoever listens or whispers leaves with the agent; who has barged in stays."""
    for call_id in sorted(x.fold.supervised):
        call = x.state.calls[call_id]
        there = {x.state.legs[one].agent for group in audio.groups(call) for one in group if one in x.state.legs}
        for leg_id, supervision in list(call.supervisions.items()):
            if supervision.agent not in there and leg_id not in call.parties:
                left(x, x.state.legs[leg_id], "hang_up", gone=False)


# ---------------------------------------------------------------------- by the phone


def request(x: Step, supervisor: AgentId, supervised: AgentId) -> None:
    """Asked for by feature code: the phone is rung when the line that has asked is free."""
    x.emit(SupervisionRequested(agent=supervisor, supervised=supervised))


def conversation_of(x: Step, agent: AgentId) -> s.Call | None:
    """The call that an agent talks in."""
    known = x.state.agents.get(agent)
    for work in known.works.values() if known is not None else ():
        if work.channel == VOICE and work.state in works.TALKING and work.kind != "supervision":
            return x.state.calls.get(CallId(work.contact))
    return None


def serve_requests(x: Step) -> None:
    """Who has asked by its phone hears the conversation once its line is free again."""
    for agent_id in sorted(x.fold.listeners):
        agent = x.state.agents[agent_id]
        if any(work.kind == "feature_code" for work in agent.works.values()):
            continue
        wanted = agent.wants_to_supervise
        x.emit(SupervisionRequested(agent=agent_id, supervised=None))
        call = conversation_of(x, wanted) if wanted is not None and not x.state.stopping else None
        if call is None or wanted is None:
            continue
        try:
            begin(x, call, agent_id, wanted, "listen")
        except IllegalTransition:
            continue  # it changed meanwhile: the phone stays silent, as with a pick that finds nobody
