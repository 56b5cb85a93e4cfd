"""Ends: of a leg, of an agent's part of an offer, of a stay in a queue, of work, of the call; each leaves nothing behind (U6, U13)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from acd.core.causes import CAUSES
from acd.core.effects import EndDialog, EndRecording, NotifyReferrer, RefuseCaller, ReleaseLeg
from acd.core.events import (
    AfterCallWorkBegan,
    AgentLoggedOff,
    AgentNotReady,
    CallCleared,
    ChannelReleased,
    LegCleared,
    MenuLeft,
    MissReason,
    OfferEnded,
    OfferOutcome,
    QueueLeft,
    QueueOutcome,
    WorkDone,
)
from acd.core.ids import AgentId, CallId
from acd.core.machines import agent as agents
from acd.core.machines import leg as legs
from acd.core.machines import work as works
from acd.core.routing.admission import site_line, trunk_line
from acd.core.state import values as s
from acd.core.steps.step import Step

LEAVING = "logging_off"

WorkOutcome = Literal["handled", "no_answer", "declined", "failed", "answered_elsewhere", "abandoned", "withdrawn"]

NOT_READY_REASON: dict[MissReason, str] = {
    "no_answer": "no_answer",
    "unreachable": "unreachable",
    "failed": "device_failed",
    "busy": "busy",
    "declined": "declined",
    "forwarded": "forwarded",
}
"""What a desk shows an agent who was made not ready."""
_MISS_OF_CAUSE: dict[str, MissReason] = {
    "no_answer": "no_answer",
    "unreachable": "unreachable",
    "unregistered": "unreachable",
    "busy": "busy",
    "rejected": "declined",
    "forwarded": "forwarded",
}
_MISS_OF_OUTCOME: dict[str, MissReason] = {"no_answer": "no_answer", "declined": "declined", "failed": "failed"}
_NOBODYS_MISS = frozenset({"no_bandwidth", "supervisor"})
"""Causes that say nothing of the agent or its phone."""
_ABSENT = frozenset({"no_answer", "unreachable", "failed"})
"""What `redirect_on_no_answer` speaks of."""


NORMAL = frozenset({16, 31})
"""ITU-T Q.850: normal call clearing, and normal, unspecified."""


class Refusal(NamedTuple):
    """How a call that was not answered yet is turned away (RFC 3261 §21)."""

    status: int
    reason: str
    retry_after_s: int | None = None
    no_bandwidth: bool = False


def refusal(cause: str) -> Refusal:
    """How to say `cause` to a phone that is still waiting for an answer."""
    row = CAUSES.get(cause, CAUSES["error"])
    return Refusal(row.status, row.text, row.retry_after_s)


def clear_leg(
    x: Step,
    leg: s.Leg,
    cause: str,
    *,
    by: Literal["party", "exchange"] = "exchange",
    status: int | None = None,
    detail: str | None = None,
    refuse: Refusal | None = None,
    q850: int | None = None,
) -> None:
    """End one leg and give its channel back. `by` party: it is gone already, there is nothing to release.

    Args:
        q850: what the party's network said, or the other party's that is passed on; None: nothing that the cause does not say.
    """
    if by == "exchange":
        if leg.arrived and leg.state not in legs.ANSWERED:
            how = refuse or refusal(cause)
            status = status or how.status
            x.do(RefuseCaller(leg=leg.id, cause=cause, **how._asdict()))
        else:
            x.do(ReleaseLeg(leg=leg.id, cause=cause, q850=q850))
    x.emit(LegCleared(leg=leg.id, cause=cause, status=status, by=by, detail=detail, q850=q850))
    for line in _lines_of(leg):
        ledger = x.state.lines.get(line)
        if ledger is not None and leg.id in ledger.channels:
            x.emit(ChannelReleased(leg=leg.id, line=line, kbits=ledger.channels[leg.id]))


def end_dialog(x: Step, leg: s.Leg, cause: str) -> None:
    """Tell the far end of a leg that no running shell knows any more: as far as it was written down, that it is over."""
    if leg.dialog is None:
        return
    waits = leg.arrived and leg.state not in legs.ANSWERED
    how = refusal(cause)
    x.do(
        EndDialog(
            leg=leg.id,
            dialog=leg.dialog,
            cause=cause,
            trunk=leg.trunk,
            status=how.status if waits else None,
            retry_after_s=how.retry_after_s if waits else None,
        )
    )


def _lines_of(leg: s.Leg) -> tuple[str, ...]:
    if leg.site is not None:
        return (site_line(leg.site),)
    return (trunk_line(leg.trunk),) if leg.trunk is not None else ()


def end_leg(
    x: Step,
    leg: s.Leg,
    cause: str,
    otherwise: WorkOutcome,
    *,
    by: Literal["party", "exchange"] = "exchange",
    status: int | None = None,
    detail: str | None = None,
    refuse: Refusal | None = None,
    q850: int | None = None,
) -> None:
    """End a leg and, if an agent was on it, the agent's work: with after-call work if there was a conversation, else with `otherwise`."""
    clear_leg(x, leg, cause, by=by, status=status, detail=detail, refuse=refuse, q850=q850)
    if leg.agent is not None:
        end_work(x, leg.agent, leg.call, otherwise)


def work_done(x: Step, agent_id: AgentId, call: CallId, outcome: WorkOutcome) -> None:
    """The last of a piece of work; who asked to leave, or was removed, leaves now."""
    x.emit(WorkDone(agent=agent_id, call=call, outcome=outcome))
    agent = x.state.agents.get(agent_id)
    if agent is not None and agent.leaving and not agent.works and agents.Input.LOG_OFF in agents.TRANSITIONS[agent.state]:
        x.emit(AgentLoggedOff(agent=agent_id))


def end_wrap_up(x: Step, agent: s.Agent) -> None:
    """Who begins a new call has done with the one before."""
    for work in list(agent.works.values()):
        if work.state in works.WRAPPING:
            work_done(x, agent.id, work.call, "handled")


def log_off(x: Step, agent: s.Agent) -> None:
    """Somebody who is logged on leaves, at once or after the call; after-call work ends with it."""
    end_wrap_up(x, agent)
    if agent.works:
        x.emit(AgentNotReady(agent=agent.id, reason=LEAVING, leaving=True))
    elif agents.Input.LOG_OFF in agents.TRANSITIONS[agent.state]:
        # Unless the end of the after-call work was what a log-off asked for earlier had been waiting for.
        x.emit(AgentLoggedOff(agent=agent.id))


def end_work(x: Step, agent_id: AgentId, call: CallId, otherwise: WorkOutcome) -> None:
    """An agent's part of the call is over: after-call work if there was a conversation, else done with `otherwise`."""
    agent = x.state.agents.get(agent_id)
    work = agent.works.get(call) if agent is not None else None
    if work is None:
        return
    if work.state not in works.TALKING:
        work_done(x, agent_id, call, otherwise)
        return
    seconds = after_call_work_s(x, agent_id, work)
    if seconds > 0 and not x.silent:
        x.emit(AfterCallWorkBegan(agent=agent_id, call=call, until=x.now + seconds))
    else:
        work_done(x, agent_id, call, "handled")


def after_call_work_s(x: Step, agent_id: AgentId, work: s.Work) -> float:
    """The agent's own figure, else the queue's; work that came from no queue has none of its own."""
    configured = x.fold.index.agents.get(agent_id)
    if configured is not None and configured.after_call_work_s is not None:
        return configured.after_call_work_s
    queue = x.fold.index.queues.get(work.queue) if work.queue is not None else None
    return queue.after_call_work_s if queue is not None else 0.0


def end_offer_part(
    x: Step,
    offer: s.Offer,
    agent: AgentId,
    outcome: OfferOutcome,
    *,
    cause: str,
    gone: bool = False,
    status: int | None = None,
    detail: str | None = None,
) -> None:
    """One agent's part of an offer ended without a conversation: leg, channel, reservation and all.

    Args:
        cause: told to the phone and written on the leg.
        gone: the leg is dead already.
    """
    leg = x.state.legs.get(offer.open[agent])
    call = offer.call
    reason = _MISS_OF_CAUSE.get(cause, _MISS_OF_OUTCOME[outcome]) if outcome in _MISS_OF_OUTCOME and cause not in _NOBODYS_MISS else None
    x.emit(OfferEnded(offer=offer.id, call=call, agent=agent, outcome=outcome, reason=reason, detail=detail))
    if leg is not None:
        clear_leg(x, leg, cause, by="party" if gone else "exchange", status=status)
    # Work of an offer ends as the offer does, even if the phone had answered and nobody was connected yet.
    done: WorkOutcome = "withdrawn" if outcome == "answered" else outcome
    if call in x.state.agents[agent].works:
        work_done(x, agent, call, done)


def regard_miss(x: Step, offer: s.Offer, agent_id: AgentId) -> None:
    """Redirect on no answer: whoever is not there, or does not want to, is not asked again once the queue's limit for that is reached."""
    agent = x.state.agents.get(agent_id)
    queue = x.fold.index.queues.get(offer.queue)
    # Where all ring together, not having been the first is no sign of absence.
    if agent is None or queue is None or offer.width > 1 or agent.state not in agents.WILLING:
        return
    for reason, misses in agent.misses.items():
        limit = getattr(queue.miss_limits, reason)
        if limit and misses >= limit and not (reason in _ABSENT and queue.redirect_on_no_answer == "stay_ready"):
            x.emit(AgentNotReady(agent=agent_id, reason=NOT_READY_REASON[reason]))
            return


def withdraw_offer(x: Step, call: s.Call, outcome: OfferOutcome, cause: str) -> None:
    """All phones that ring for a queued contact stop."""
    entry = x.state.entries.get(call.entry) if call.entry is not None else None
    offer = x.state.offers.get(entry.offer) if entry is not None and entry.offer is not None else None
    if offer is None:
        return
    for agent in sorted(offer.open):
        end_offer_part(x, offer, agent, outcome, cause=cause)


def leave_queue(x: Step, call: s.Call, outcome: QueueOutcome, detail: str | None = None) -> None:
    """The contact steps out of its queue; the limit of the queue may be free again."""
    if call.entry is None:
        return
    entry = x.state.entries[call.entry]
    x.emit(QueueLeft(call=call.id, entry=entry.id, queue=entry.queue, outcome=outcome, detail=detail))


def told_of_end(cause: str) -> str:
    """Cause of the legs that are released since one of their call went with this cause: an end by a person is a hang-up to all others, a
    fault is what it is (RFC 3326 §2).
    """
    return cause if cause in _FAULTS else "hang_up"


_FAULTS: Final = frozenset({"timeout", "media_silent", "transport", "error"})


def clear_call(
    x: Step,
    call: s.Call,
    cause: str,
    *,
    refuse: Refusal | None = None,
    leg_cause: str | None = None,
    outcome: Literal["abandoned", "withdrawn"] = "withdrawn",
    q850: int | None = None,
) -> None:
    """End the conversation and whatever belongs to it, in the same step.

    Args:
        cause: of the call.
        refuse: how a caller that was never answered is turned away; None: as `cause` says.
        leg_cause: told to the phones that are released; None: `cause`.
        outcome: of a stay in a queue and of offers: `abandoned` when the caller went.
        q850: what the network of who went has said: it is passed on, unless it says that all is well (RFC 3326).
    """
    withdraw_offer(x, call, outcome, leg_cause or cause)
    leave_queue(x, call, outcome, None if outcome == "abandoned" else cause)
    if call.menu is not None:
        x.emit(MenuLeft(call=call.id, menu=call.menu, digit=None))
    if call.recording is not None:
        x.do(EndRecording(recording=call.recording))
    if call.referral is not None:
        x.do(NotifyReferrer(leg=call.referral.leg, status=refusal(cause).status, final=True))
    passed_on = None if q850 in NORMAL else q850
    for leg_id in list(call.legs):
        end_leg(x, x.state.legs[leg_id], leg_cause or cause, outcome, refuse=refuse, q850=passed_on)
    x.emit(CallCleared(call=call.id, cause=cause))
