"""Ends of a leg and of a call, with everything that belongs to it; each leaves nothing behind (U6, U13)."""

from __future__ import annotations

from typing import Final, Literal

from acd.core.causes import sentence
from acd.core.effects import EndDialog, EndRecording, NotifyReferrer, RefuseCaller, ReleaseLeg
from acd.core.events import CallCleared, ChannelReleased, LegCleared, MenuLeft
from acd.core.ids import AgentId
from acd.core.machines import leg as legs
from acd.core.state import values as s
from acd.core.state.bandwidth import site_line, trunk_line
from acd.core.steps.queueing import leave_queue, withdraw_offer
from acd.core.steps.step import Step
from acd.core.steps.working import WorkOutcome, end_work

NORMAL = frozenset({16, 31})
"""ITU-T Q.850: normal call clearing, and normal, unspecified."""


def clear_leg(
    x: Step,
    leg: s.Leg,
    cause: str,
    *,
    by: Literal["party", "exchange"] = "exchange",
    status: int | None = None,
    detail: str | None = None,
    refuse: str | None = None,
    q850: int | None = None,
) -> None:
    """End one leg and give its channel back. `by` party: it is gone already, there is nothing to release.

    Args:
        status: what the party said, where it speaks SIP.
        q850: what the party's network said, or the other party's that is passed on; None: nothing that the cause does not say.
    """
    if leg.lost is not None:  # nobody is to take its place any more
        for one in [one for one in x.state.calls[leg.call].legs if x.state.legs[one].replaces == leg.id]:
            clear_leg(x, x.state.legs[one], cause)
    if by == "exchange":
        if leg.arrived and leg.state not in legs.ANSWERED:
            x.do(RefuseCaller(leg=leg.id, cause=cause, reason=refuse or sentence(cause)))
        else:
            x.do(ReleaseLeg(leg=leg.id, cause=cause, q850=q850))
    x.emit(LegCleared(leg=leg.id, cause=cause, status=status, by=by, detail=detail, q850=q850))
    for line in lines_of(leg):
        ledger = x.state.lines.get(line)
        if ledger is not None and leg.id in ledger.channels:
            x.emit(ChannelReleased(leg=leg.id, line=line, kbits=ledger.channels[leg.id]))


def end_dialog(x: Step, leg: s.Leg, cause: str) -> None:
    """Tell the far end of a leg that no running shell knows any more: as far as it was written down, that it is over."""
    if leg.dialog is None:
        return
    waits = leg.arrived and leg.state not in legs.ANSWERED
    x.do(EndDialog(leg=leg.id, dialog=leg.dialog, cause=cause, trunk=leg.trunk, waits=waits))


def lines_of(leg: s.Leg) -> tuple[str, ...]:
    """The line that its channel is counted on, if any."""
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
    refuse: str | None = None,
    q850: int | None = None,
) -> None:
    """End a leg and, if an agent was on it, the agent's work: with after-call work if there was a conversation, else with `otherwise`."""
    clear_leg(x, leg, cause, by=by, status=status, detail=detail, refuse=refuse, q850=q850)
    if leg.agent is not None and leg.replaces is None:
        end_work(x, leg.agent, leg.call, otherwise)


def told_of_end(cause: str) -> str:
    """Cause of the legs that are released since one of their call went with this cause: an end by a person is a hang-up to all others, a
    fault is what it is (RFC 3326 §2).
    """
    return cause if cause in _FAULTS else "hang_up"


_FAULTS: Final = frozenset({"timeout", "media_silent", "transport", "page_lost", "error", "restart"})


def clear_call(
    x: Step,
    call: s.Call,
    cause: str,
    *,
    refuse: str | None = None,
    leg_cause: str | None = None,
    outcome: Literal["abandoned", "withdrawn"] = "withdrawn",
    q850: int | None = None,
) -> None:
    """End the conversation and whatever belongs to it, in the same step.

    Args:
        cause: of the call.
        refuse: what a caller that was never answered is told; None: the sentence of `cause`.
        leg_cause: told to the phones that are released; None: `cause`.
        outcome: of a stay in a queue and of offers: `abandoned` when the caller went.
        q850: what the network of who went has said: it is passed on, unless it says that all is well (RFC 3326).
    """
    contact = x.contact(call)
    withdraw_offer(x, contact, outcome, leg_cause or cause)
    leave_queue(x, contact, outcome, None if outcome == "abandoned" else cause)
    if call.menu is not None:
        x.emit(MenuLeft(call=call.id, menu=call.menu, digit=None))
    if call.recording is not None:
        x.do(EndRecording(recording=call.recording))
    if call.referral is not None and call.referral.asked:
        x.do(NotifyReferrer(leg=call.referral.leg, progress="failed", cause=cause))
    passed_on = None if q850 in NORMAL else q850
    for leg_id in [one for one in call.legs if x.state.legs[one].replaces is None]:
        end_leg(x, x.state.legs[leg_id], leg_cause or cause, outcome, refuse=refuse, q850=passed_on)
    x.emit(CallCleared(call=call.id, cause=cause))


def leg_of(x: Step, call: s.Call, agent: AgentId) -> s.Leg | None:
    """The agent's line in a call."""
    return next((leg for one in call.legs if (leg := x.state.legs[one]).agent == agent), None)
