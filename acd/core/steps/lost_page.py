"""An agent's page dies in a call: the others hear music at once, the agent may take the call back, else the caller is first in the queue.

The leg of a lost page counts as held by its phone: who is alone with it hears hold music, its work and the figures are on hold, nothing of
it is recorded. What it had been taken for stays: the conversation, its work, who supervises it.

| what happens                         | two were talking                            | of more, or of a consultation               |
|--------------------------------------|---------------------------------------------|---------------------------------------------|
| the page is there again by itself    | they talk again, or hold as they did        | as left                                     |
| the agent takes the call back        | its phone answers by itself, they talk again | as left                                    |
| that phone does not come             | all is as before, and may be tried again    | as left                                     |
| the time is over, the agent logs off, hangs up at the desk or sends a BYE | see below | the others go on, as after a hang-up |
| somebody else hangs up               | the call is over; the agent has after-call work | as ever                                 |
| the agent transfers at the desk      | as ever: its lost leg is released           | as ever                                     |
| a restart                            | the time goes on; a leg that is not held any more is given up | as left                   |

Taken back, the new leg stands in the place of the old one, which is released; whoever was on hold at the desk still is.

What becomes of whoever is left of two: a caller that came from a queue stands first in that queue, with the time it has waited before, is
greeted by nothing, and overflows by no wait it has had before; one that was put through to the agent goes where calls go that the agent
does not answer, or is told, and the call ends; anybody else is released. The cause is `page_lost`. The agent has after-call work as after
any conversation.

A page that dies where nobody talks with it has nobody waiting: who listens to others leaves, who waits for what it has dialled or was to be
put through to is off the line. Recording goes on with the new leg on a channel of its own.
"""

from __future__ import annotations

from typing import Final, Literal

from acd.core.effects import PopScreen
from acd.core.errors import IllegalTransition
from acd.core.events import CallRetrieved, CallTransferred, LegConnected, LegReplaced, PartyBack, PartyLost, Queued
from acd.core.ids import AgentId, EntryId, QueueId
from acd.core.inputs import PageLoss
from acd.core.machines import leg as legs
from acd.core.machines import work as works
from acd.core.state import values as s
from acd.core.state.score import advantage_s
from acd.core.steps import audio, consultation, conversation, device, queueing, reach, recording, referral, supervision
from acd.core.steps.clearing import clear_call, clear_leg, end_leg, told_of_end
from acd.core.steps.step import Step
from acd.core.steps.treatment import turn_away

CAUSE: Final = "page_lost"
_AT_DESK: Final = frozenset({legs.State.HELD, legs.State.HELD_BY_BOTH})
BEFORE_THE_FIRST_S: Final = 0.001
"""Who comes back stands so long before whoever was first."""


def lost(x: Step, call: s.Call, leg: s.Leg, why: PageLoss) -> None:
    """The page behind an agent's answered leg gives no sign of life."""
    if not _talks(call, leg):
        _leave_alone(x, call, leg, "exchange", CAUSE)
        return
    assert leg.agent is not None
    patience_s = x.state.configuration.pages.take_back_s if x.state.configuration is not None else 0.0
    holds = legs.Input.HELD_BY_PHONE in legs.TRANSITIONS[leg.state]
    x.emit(PartyLost(call=call.id, leg=leg.id, agent=leg.agent, why=why, until=x.now + patience_s, holds=holds))
    if holds:
        conversation.hold(x, call, leg, None)


def _talks(call: s.Call, leg: s.Leg) -> bool:
    return any(leg.id in group for group in audio.groups(call))


def _leave_alone(x: Step, call: s.Call, leg: s.Leg, by: Literal["party", "exchange"], cause: str) -> None:
    """It was, or has become since, one that nobody talks with."""
    if leg.id in call.supervisions:
        supervision.left(x, leg, cause, gone=by == "party")
    elif call.referral is not None and call.referral.leg == leg.id:
        referral.left(x, call, leg, by=by)
    else:
        end_leg(x, leg, cause, "abandoned", by=by)
        clear_call(x, call, call.ending or CAUSE, leg_cause=told_of_end(CAUSE), outcome="abandoned")


def back(x: Step, call: s.Call, leg: s.Leg) -> None:
    """It is there again by itself: all is as it was."""
    known = leg.lost
    assert known is not None
    _withdraw_replacement(x, call, leg)
    x.emit(PartyBack(call=call.id, leg=leg.id, agent=known.agent))
    if known.holds:
        conversation.retrieve(x, call, leg, None)


def take_back(x: Step, call: s.Call, leg: s.Leg) -> None:
    """Ring the agent's phone, which answers by itself.

    Raises: IllegalTransition: it is being rung already, or cannot be rung, or nobody talks with it any more.
    """
    assert leg.agent is not None
    if not _talks(call, leg):
        raise IllegalTransition(f"call {call.id}", call.state, "TakeBack", "the call is on its way to somebody else")
    agent, configured = x.state.agents[leg.agent], x.fold.index.agents.get(leg.agent)
    if any(x.state.legs[one].replaces == leg.id for one in call.legs):
        raise IllegalTransition(f"leg {leg.id}", leg.state, "TakeBack", "the phone is being rung")
    if configured is None or not x.fold.is_reachable(agent):
        raise IllegalTransition(f"agent {agent.id}", agent.state, "TakeBack", "the agent's phone cannot be rung")
    new = x.next_leg(call)
    device.begin_leg(x, call, new, configured, replaces=leg.id)
    contact = x.contact(call)
    x.do(
        PopScreen(
            agent=agent.id,
            contact=call.id,
            offer=None,
            queue=contact.queue,
            calling=call.calling,
            called=call.called,
            waited_s=0.0,
        )
    )
    shown = call.called if leg.id == call.party else call.calling
    # Reckoned beside the old leg, which has its channel still: where both do not fit, the phone is rung as the line's plan has it.
    verdict = device.channel(x, configured)
    device.ring(x, call, new, configured, verdict, shown=shown, shown_name=call.calling_name, queue=contact.queue, auto_answer=True)


def taken_back(x: Step, call: s.Call, new: s.Leg, dialog: str | None) -> None:
    """The agent's phone has answered: it stands where the lost leg stood."""
    old = x.state.legs[new.replaces] if new.replaces is not None else None
    assert old is not None
    assert old.agent is not None
    if not _talks(call, old):  # the call has gone on without it meanwhile
        clear_leg(x, new, CAUSE)
        return
    x.emit(LegConnected(leg=new.id, dialog=dialog))
    x.emit(LegReplaced(call=call.id, leg=new.id, replaces=old.id, agent=old.agent, held=old.state in _AT_DESK))
    _work_goes_on(x, call, new)
    clear_leg(x, old, CAUSE)
    _take_channel_over(x, new)
    audio.settle(x, call)
    if call.consultation is None:
        recording.go_on(x, call)


def _take_channel_over(x: Step, leg: s.Leg) -> None:
    """What the old leg has given back. While the phone was being rung that stood for both."""
    configured = x.fold.index.agents.get(leg.agent) if leg.agent is not None else None
    verdict = device.channel(x, configured) if configured is not None else None
    if verdict is not None and verdict.fits:  # or the line has been made narrower meanwhile
        x.reserve(leg.id, verdict)


def _work_goes_on(x: Step, call: s.Call, leg: s.Leg) -> None:
    work = x.state.agents[leg.agent].works.get(call.id) if leg.agent in x.state.agents else None
    if leg.state is legs.State.CONNECTED and work is not None and works.Input.RETRIEVED in works.TRANSITIONS[work.state]:
        assert leg.agent is not None
        x.emit(CallRetrieved(call=call.id, by=leg.agent))


def give_up(x: Step, call: s.Call, leg: s.Leg, *, by: Literal["party", "exchange"], cause: str = CAUSE, q850: int | None = None) -> None:
    """It does not come back.

    Args:
        by: `party`: the leg is gone already, with `cause`.
    """
    _withdraw_replacement(x, call, leg)
    asks, is_gone = call.consultation, by == "party"
    if not _talks(call, leg):
        _leave_alone(x, call, leg, by, cause)
    elif asks is not None and leg.id == asks.leg:
        consultation.consulting_left(x, call, leg, by=by, q850=q850)
    elif asks is not None and leg.id in asks.held:
        consultation.held_left(x, call, leg, cause, q850, gone=is_gone)
    elif asks is not None:
        consultation.asked_left(x, call, leg, cause, q850, gone=is_gone)
    elif len(call.parties) > 2:
        end_leg(x, leg, cause, "handled", by=by, q850=q850)
        conversation.goes_on(x, call)
    else:
        _leave_the_other(x, call, leg, by, cause)


def _leave_the_other(x: Step, call: s.Call, leg: s.Leg, by: Literal["party", "exchange"], cause: str) -> None:
    other, agent_id = next(x.state.legs[one] for one in call.parties if one != leg.id), leg.agent
    if other.role != "caller" or agent_id is None or other.lost is not None:
        end_leg(x, leg, cause, "handled", by=by)
        clear_call(x, call, CAUSE)
        return
    queue = x.contact(call).queue
    to_queue = queue is not None and queue in x.fold.index.queues
    recording.pause(x, call)
    x.emit(CallTransferred(call=call.id, by=agent_id, to=f"queue:{queue}" if to_queue else CAUSE, cause=CAUSE))
    end_leg(x, leg, cause, "handled", by=by)
    x.silence(other)
    audio.arrange(x, call)
    if queue is not None and to_queue:
        _stand_first(x, call, queue)
    else:
        _as_unanswered(x, call, agent_id)


def _stand_first(x: Step, call: s.Call, queue_id: QueueId) -> None:
    """Before everybody who waits there; the queue's hours and limits are for those who come."""
    contact, queue = x.contact(call), x.fold.index.queues[queue_id]
    since, line = x.now - contact.waited_s, x.fold.order.get(queue.id)
    if line:
        since = min(since, line[0][0] + advantage_s(queue, contact.priority_s) - BEFORE_THE_FIRST_S)
    entry = EntryId(f"{contact.id}/q{contact.entries_made + 1}")
    x.emit(Queued(contact=contact.id, entry=entry, queue=queue.id, position=1, since=since, cause=CAUSE))
    queueing.fill_or_drain(x, queue)
    x.channel(contact).waits(x, contact, queue)


def _as_unanswered(x: Step, call: s.Call, agent_id: AgentId) -> None:
    configured = x.fold.index.agents.get(agent_id)
    if configured is None:
        turn_away(x, call, CAUSE)
    else:
        reach.forward_or(x, call, configured, "no_answer", CAUSE)


def _withdraw_replacement(x: Step, call: s.Call, leg: s.Leg) -> None:
    for one in [one for one in call.legs if x.state.legs[one].replaces == leg.id]:
        clear_leg(x, x.state.legs[one], CAUSE)


def give_up_all(x: Step, agent: s.Agent) -> None:
    """The agent leaves: nobody waits for its page any more."""
    for leg in [leg for leg in x.state.legs.values() if leg.agent == agent.id and leg.lost is not None]:
        if leg.id in x.state.legs:
            give_up(x, x.state.calls[leg.call], leg, by="exchange")
