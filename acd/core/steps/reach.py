"""Reaching somebody outside a queue: an agent's own phone with its forwardings, a number outside over the trunks in order (R1, R12, R15).

Whoever is served (`call.party`) waits: with ring-back from its own exchange while it was not answered, with a ring-back sound when it was.
"""

from __future__ import annotations

import re
from typing import Literal

from acd.core.configuration import Agent, Forwarding, Target, ToAgent, Trunk
from acd.core.effects import OriginateToOutside, PassEarlyMedia, PopScreen, RingCaller
from acd.core.events import CallForwarded, ChannelRefused, EarlyMediaPassed, ForwardLoopFound, ForwardReason, LegInitiated, WorkReserved
from acd.core.ids import VOICE, AgentId, LegId, TrunkId
from acd.core.routing import admission
from acd.core.state import capacity
from acd.core.state import values as s
from acd.core.steps import audio, device, loops, recording, referral
from acd.core.steps.clearing import clear_call, clear_leg, end_leg
from acd.core.steps.conversation import establish
from acd.core.steps.step import Step
from acd.core.steps.treatment import RINGBACK, answer_party, turn_away, unavailable

NEXT_TRUNK = frozenset({"congestion", "unreachable", "error", "no_bandwidth", "price_refused", "restart"})
"""Causes that speak of the trunk, not of the number: the next trunk is tried. A price is a matter of the trunk's own plan (R15)."""


def ring_agent(x: Step, call: s.Call, agent_id: AgentId) -> None:
    """Ring one agent's phone for the call, unless its forwarding says otherwise. A person's own phone rings whatever the availability."""
    configured = x.fold.index.agents.get(agent_id)
    agent = x.state.agents.get(agent_id)
    if configured is None or agent is None:
        turn_away(x, call, "not_found")
        return
    if configured.forwarding.always:
        forward(x, call, configured.forwarding.always, "always", agent_id)
    elif capacity.is_kept(x.fold.index.capacity_of(agent_id, VOICE), agent.works.values(), VOICE):
        forward_or(x, call, configured, "busy", "busy")
    elif not x.fold.is_reachable(agent):
        forward_or(x, call, configured, "unregistered", "unregistered")
    else:
        verdict = device.channel(x, configured)
        leg = x.next_leg(call)
        if verdict is not None and not verdict.fits:
            refuse_channel(x, call, leg, verdict)
            if x.is_answered(x.party(call)):
                turn_away(x, call, "no_bandwidth")
            else:
                clear_call(x, call, "no_bandwidth", refuse=verdict.reason)
            return
        ring_device(x, call, configured, leg, verdict, "direct")
        _ring_party(x, call)


def ring_device(
    x: Step, call: s.Call, agent: Agent, leg: LegId, verdict: admission.Verdict | None, kind: Literal["direct", "outbound"]
) -> None:
    """Originate to an agent's device outside an offer. For a call the agent dials itself, the number shown is the one dialled."""
    shown = call.called if kind == "outbound" else call.calling
    device.begin_leg(x, call, leg, agent)
    x.reserve(leg, verdict)
    x.emit(WorkReserved(agent=agent.id, contact=call.id, kind=kind))
    x.do(
        PopScreen(
            agent=agent.id, contact=call.id, offer=None, queue=None, calling=shown, called=call.called, waited_s=x.now - call.began_at
        )
    )
    device.ring(x, call, leg, agent, verdict, shown=shown, shown_name=None if kind == "outbound" else call.calling_name)


def refuse_channel(x: Step, call: s.Call, leg: LegId, verdict: admission.Verdict) -> None:
    """Write down that a channel did not fit, with the figures."""
    x.emit(
        ChannelRefused(
            leg=leg,
            call=call.id,
            line=verdict.line,
            kbits=verdict.kbits,
            reserved_kbits=verdict.reserved_kbits,
            upload_kbits=verdict.upload_kbits or 0,
            reason=verdict.reason,
            shape=verdict.shape,
        )
    )


def _ring_party(x: Step, call: s.Call) -> None:
    """The far end rings: let the party hear it."""
    party = x.party(call)
    if party is None:
        return
    if not x.is_answered(party):
        if party.arrived:
            x.do(RingCaller(leg=party.id))
    elif party.purpose != "ringback":
        x.play(party, RINGBACK, "ringback", loop=True)


def forward_or(x: Step, call: s.Call, agent: Agent, reason: Literal["busy", "no_answer", "unregistered"], cause: str) -> None:
    """Where calls to the agent go for this reason; nowhere: it is turned away with the cause."""
    number = forwarding_number(agent.forwarding, reason)
    if number:
        forward(x, call, number, reason, agent.id)
    else:
        turn_away(x, call, cause)


def forwarding_number(forwarding: Forwarding, reason: Literal["busy", "no_answer", "unregistered"]) -> str | None:
    """Where calls go for this reason."""
    match reason:
        case "busy":
            return forwarding.busy
        case "no_answer":
            return forwarding.no_answer
        case "unregistered":
            return forwarding.unregistered


def forward(x: Step, call: s.Call, number: str, reason: ForwardReason, by: str, supervisor: str | None = None) -> None:
    """The call goes to a number on the account of whoever caused it; to one of our own it stays inside, where it costs nothing."""
    inside = own_target(x, number)
    rounds = loops.rounds_of(x, call, number) if inside is None else None
    if rounds is not None:
        x.emit(ForwardLoopFound(call=call.id, number=number, reason=reason, by=by, rounds=tuple(one.id for one in rounds)))
        turn_away(x, call, "routing_loop")
        return
    x.emit(CallForwarded(call=call.id, number=number, reason=reason, by=by, supervisor=supervisor))
    if inside is not None:
        x.send_to(x, call, inside, "number", number)
    else:
        call_outside(x, call)


def own_target(x: Step, number: str) -> Target | None:
    """Where one of our own numbers or extensions leads; None for every other number, and for emergencies always."""
    if number in admission.EMERGENCY:
        return None
    own, colleague = x.fold.index.numbers.get(number), x.fold.index.extensions.get(number)
    return own.target if own is not None else ToAgent(agent=colleague) if colleague is not None else None


def call_outside(x: Step, call: s.Call, after: str | None = None) -> None:
    """Try the next trunk for the number the call is to reach; none left: tell the party `after`, the last trunk's cause."""
    number = call.forward.number if call.forward is not None else call.called
    found, refused = _trunk_for(x, call, number)
    if found is not None:
        trunk, verdict = found
        leg = x.next_leg(call)
        forwarded = _is_forwarded(call)
        by = (call.forward.supervisor or call.forward.by) if call.forward is not None and forwarded else None
        x.emit(
            LegInitiated(
                leg=leg,
                call=call.id,
                role="forward" if forwarded else "destination",
                number=number,
                trunk=trunk.id,
                forwarded_by=by,
                internal=trunk.internal,
            )
        )
        x.reserve(leg, verdict)
        x.do(
            OriginateToOutside(
                leg=leg,
                call=call.id,
                number=number,
                trunk=trunk.id,
                caller_id=_caller_id(x, call),
                on_account_of=on_account_of(call),
                forwarded_from=call.calling if forwarded else None,
                kbits=verdict.kbits,
                step=verdict.step,
            )
        )
        return
    if refused is not None and not x.is_answered(x.party(call)):
        clear_call(x, call, "no_bandwidth", refuse=refused.reason)
    else:
        cause = after or ("no_bandwidth" if refused is not None else "unreachable")
        # What has no price because it is no number of the public's is an extension that nobody here has.
        turn_away(x, call, "not_found" if cause == "price_refused" and _is_of_the_own_plan(number) else cause)


def _trunk_for(x: Step, call: s.Call, number: str) -> tuple[tuple[Trunk, admission.Verdict] | None, admission.Verdict | None]:
    """The first trunk in order that carries one more channel. One whose plan looks for another first is taken where there is no other;
    for help every trunk has room.

    Returns: it, with how; and what the last trunk said that refused one.
    """
    index, waits = x.fold.index, None
    refused: admission.Verdict | None = None
    for trunk in index.outbound_trunks:
        known = x.state.trunks.get(trunk.id)
        if trunk.id in call.trunks_tried or (known is not None and not known.up):
            continue
        is_for_help = number in admission.EMERGENCY
        verdict = admission.on_trunk(x.state, index, trunk, trunk.channel, alone=False, whatever=is_for_help)
        if verdict.fits:
            return (trunk, verdict), refused
        verdict = admission.on_trunk(x.state, index, trunk, trunk.channel)
        if not verdict.fits:
            refuse_channel(x, call, x.next_leg(call), verdict)
            refused = verdict
        elif waits is None:
            waits = trunk, verdict
    return waits, refused


_SERVICE = re.compile(r"11[025]|116[0-9]{3}|118[0-9]{2,3}")
"""Short numbers of the public's (BNetzA, Nummernplan), as `billing_cdr.numbers` has them."""


def _is_of_the_own_plan(number: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,5}", number) is not None and _SERVICE.fullmatch(number) is None


_PERSONAL = frozenset({"always", "busy", "no_answer", "unregistered", "transfer", "consult"})
"""Reasons of a forward for which a person answers; the others are a rule's."""


def _is_forwarded(call: s.Call) -> bool:
    """Somebody of ours sent it on; a number that was dialled and is elsewhere now is still dialled, and so is one that is asked."""
    return call.forward is not None and call.forward.reason not in {"redirected", "consult"}


def on_account_of(call: s.Call) -> AgentId | None:
    """Whose account the call outside is on; None: the tenant's alone, as where a rule or a supervisor sends it (docs/budgets.md)."""
    if call.forward is not None and call.forward.reason != "redirected":
        return AgentId(call.forward.by) if call.forward.reason in _PERSONAL and call.forward.supervisor is None else None
    return call.agent


def _caller_id(x: Step, call: s.Call) -> str | None:
    if _is_forwarded(call):
        return call.number
    by = call.consultation.by if call.consultation is not None else call.agent
    agent = x.fold.index.agents.get(by) if by is not None else None
    number = call.forward.number if call.forward is not None else call.called
    if agent is not None and number in admission.EMERGENCY:
        agent = device.phone_of(x, agent)  # its number says where it stands
    return agent.outbound_caller_id if agent is not None else None


def alerted(x: Step, call: s.Call, leg: s.Leg) -> None:
    """A phone outside an offer rings."""
    if leg.replaces is None and leg.id != call.party and leg.id not in call.supervisions:
        referral.rings(x, call)
        _ring_party(x, call)


def spoke_early(x: Step, call: s.Call, leg: s.Leg) -> None:
    """The far end says something before it answers: the party hears that in the place of a ring-back."""
    party = x.party(call)
    if leg.replaces is not None or party is None or not (party.arrived or x.is_answered(party)):
        return
    x.silence(party)
    x.emit(EarlyMediaPassed(leg=leg.id, call=call.id))
    x.do(PassEarlyMedia(party=party.id, leg=leg.id))
    audio.arrange(x, call)


def answered(x: Step, call: s.Call, leg: s.Leg) -> None:
    """A phone outside an offer was taken; the party that waited for it is answered and connected."""
    party = answer_party(x, call)
    if party is None:
        clear_call(x, call, "hang_up")
        return
    referral.reached(x, call)
    establish(x, call, party, leg)
    recording.go_on(x, call)


def failed(
    x: Step,
    call: s.Call,
    leg: s.Leg,
    cause: str,
    *,
    status: int | None = None,
    detail: str | None = None,
    ours: bool = False,
    by_supervisor: bool = False,
    moved_to: str | None = None,
    q850: int | None = None,
) -> None:
    """A phone outside an offer could not be reached, or did not answer. `ours`: we gave up, it still rings there.

    Args:
        by_supervisor: its person had no part in that; the call goes on as `cause` says all the same.
    """
    if leg.replaces is not None:  # the lost one is as lost as before
        clear_leg(x, leg, cause, by="exchange" if ours else "party", status=status, detail=detail, q850=q850)
        return
    role, agent_id, was_party = leg.role, leg.agent, leg.id == call.party
    if call.looping and role == "forward":
        cause = "routing_loop"  # whatever a carrier made of our 482 on the way back
    work: Literal["no_answer", "declined", "failed"] = (
        "no_answer" if cause == "no_answer" else "declined" if cause in {"busy", "rejected", "forwarded"} else "failed"
    )
    if by_supervisor:
        end_leg(x, leg, "supervisor", "withdrawn")
    else:
        end_leg(x, leg, cause, work, by="exchange" if ours else "party", status=status, detail=detail, q850=q850)
    if was_party:
        clear_call(x, call, cause)
    elif role == "agent" and agent_id is not None:
        agent = x.fold.index.agents.get(agent_id)
        reason: Literal["busy", "no_answer", "unregistered"] | None = _FORWARD_ON.get(cause)
        if agent is not None and reason is not None:
            forward_or(x, call, agent, reason, cause)
        else:
            turn_away(x, call, cause)
    elif moved_to is not None and leg.trunk is not None and not call.looping and _may_follow(x, call, leg.trunk, moved_to):
        forward(x, call, moved_to, "redirected", leg.trunk)
    elif cause in NEXT_TRUNK:
        call_outside(x, call, cause)
    elif x.is_answered(x.party(call)):
        unavailable(x, call, cause)
    else:
        clear_call(x, call, cause)


def _may_follow(x: Step, call: s.Call, trunk: TrunkId, number: str) -> bool:
    """Whether a call goes where its carrier says that the called party is: as often as the trunk allows, and never for help."""
    configured = x.fold.index.trunks.get(trunk)
    now_at = call.forward.number if call.forward is not None else call.called
    return configured is not None and call.redirects < configured.redirects and number != now_at and number not in admission.EMERGENCY


_FORWARD_ON: dict[str, Literal["busy", "no_answer", "unregistered"]] = {
    "busy": "busy",
    "rejected": "busy",
    "no_answer": "no_answer",
    "unregistered": "unregistered",
    "unreachable": "unregistered",
}
"""What a phone's failure means for the forwarding of its person."""
