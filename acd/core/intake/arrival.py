"""A call stands at the door: admission, whose number it is, where it goes first (R6, R9, R16, R23)."""

from __future__ import annotations

from acd.core.channel_costs import ChannelCosts
from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import Agent, ToAgent
from acd.core.effects import RefuseCaller, ShapeChannel
from acd.core.events import CallOffered, Direction, LegInitiated, WorkReserved
from acd.core.ids import VOICE, AgentId
from acd.core.inputs import CallArrived, UnknownAddress
from acd.core.routing import admission
from acd.core.state import capacity
from acd.core.state import values as s
from acd.core.steps import device, hot_desk, reach
from acd.core.steps.clearing import clear_call
from acd.core.steps.feature_codes import carry_out
from acd.core.steps.feature_codes import find as feature_code
from acd.core.steps.step import Step
from acd.core.steps.working import calls_at, end_wrap_up

UNKNOWN: dict[UnknownAddress, tuple[str, str]] = {
    "nobody": ("not_found", "The address is nobody's here."),
    "elsewhere": ("not_allowed", "Addresses at other domains are not called."),
}
NOT_READY_YET = "The exchange is not configured yet."


def arrived(x: Step, fact: CallArrived) -> None:
    """Take in a call from a trunk or from an agent's own device."""
    state, index = x.state, x.fold.index
    if fact.call in state.calls or fact.leg in state.legs:
        x.drop(fact)
        return
    if state.configuration is None:
        # Nothing is known of this tenant yet, so there is nothing the call could be written down against.
        x.do(RefuseCaller(leg=fact.leg, cause="restart", reason=NOT_READY_YET))
        return
    owner = index.agents.get(fact.agent) if fact.agent is not None else None
    dialler = index.agents.get(index.user_of(owner.id)) if owner is not None else None
    is_guest = dialler is not None and dialler is not owner
    emergency = dialler is not None and fact.called in admission.EMERGENCY
    number = index.numbers.get(fact.called) if not emergency else None
    colleague = _colleague(x, fact) if fact.agent is not None and not emergency else None
    code = feature_code(state.configuration.feature_codes, fact.called) if dialler is not None else None
    inside = number is not None or colleague is not None or code is not None
    direction: Direction = "inbound" if fact.agent is None else "internal" if inside else "outbound"
    x.emit(
        CallOffered(
            call=fact.call,
            direction=direction,
            calling=(dialler.extension or fact.calling) if dialler is not None and is_guest else fact.calling,
            calling_name=dialler.name if dialler is not None and is_guest else fact.calling_name,
            called=fact.called,
            trunk=fact.trunk,
            agent=dialler.id if dialler is not None else fact.agent,
            number=number.number if number is not None else None,
            country=number.country if number is not None else None,
            language=number.language if number is not None else index.language,
        )
    )
    x.emit(
        LegInitiated(
            leg=fact.leg,
            call=fact.call,
            role="caller",
            agent=dialler.id if dialler is not None else None,
            number=fact.calling,
            trunk=fact.trunk,
            site=owner.site if owner is not None else None,
            arrived=True,
            dialog=fact.dialog,
        )
    )
    call = state.calls[fact.call]
    if state.stopping:
        clear_call(x, call, "shutdown")
        return
    if emergency:
        _let_emergency_pass(x, call, fact, dialler)
        return
    if not _admitted(x, call, fact, owner):
        return
    if code is not None and dialler is not None and owner is not None:
        if code[0] == "hot_desk":
            hot_desk.carry_out(x, call, state.agents[dialler.id], owner, code[1], has_pin=fact.has_pin)
        else:
            carry_out(x, call, state.agents[dialler.id], *code)
        return
    if dialler is not None and not _may_dial(x, call, dialler, outside=direction == "outbound"):
        return
    if number is not None:
        x.send_to(x, call, number.target, "number", number.number)
    elif colleague is not None:
        x.send_to(x, call, ToAgent(agent=colleague), "number", fact.called)
    elif dialler is not None and fact.unknown is not None:
        cause, refused = UNKNOWN[fact.unknown]
        clear_call(x, call, cause, refuse=refused)
    elif dialler is not None:
        reach.call_outside(x, call)
    else:
        clear_call(x, call, "not_found", refuse=f"The number {fact.called} does not exist here.")


def _colleague(x: Step, fact: CallArrived) -> AgentId | None:
    """Whom an agent's phone has dialled: by extension, or by the address of the other's phone."""
    if fact.colleague is not None:
        return fact.colleague if fact.colleague in x.fold.index.agents else None
    return x.fold.index.extensions.get(fact.called)


def _let_emergency_pass(x: Step, call: s.Call, fact: CallArrived, dialler: Agent | None) -> None:
    """110 and 112: the channel is written down whatever it does to the ledger, and another call of the agent is no obstacle."""
    if dialler is not None:
        x.reserve(fact.leg, admission.at_site(x.state, x.fold.index, device.phone_of(x, dialler), _costs(fact), whatever=True))
        agent = x.state.agents[dialler.id]
        end_wrap_up(x, agent)
        if not calls_at(agent):
            x.emit(WorkReserved(agent=dialler.id, contact=call.id, kind="outbound"))
    reach.call_outside(x, call)


def _admitted(x: Step, call: s.Call, fact: CallArrived, phone: Agent | None) -> bool:
    """Reserve the caller's channel, or refuse the call with the figures."""
    verdict: admission.Verdict | None = None
    trunk = x.fold.index.trunks.get(fact.trunk) if fact.trunk is not None else None
    if trunk is not None:
        verdict = admission.on_trunk(x.state, x.fold.index, trunk, _costs(fact))
    elif phone is not None:
        verdict = admission.at_site(x.state, x.fold.index, phone, _costs(fact))
    if verdict is None:
        return True
    if verdict.fits:
        x.reserve(fact.leg, verdict)
        if verdict.step is not None:
            x.do(ShapeChannel(leg=fact.leg, step=verdict.step))
        return True
    reach.refuse_channel(x, call, fact.leg, verdict)
    clear_call(x, call, "no_bandwidth", refuse=verdict.reason)
    return False


def _costs(fact: CallArrived) -> ChannelCosts | None:
    """Of the channel as offered; None: an older program did not say."""
    if fact.channel is not None or fact.channel_kbits is None:
        return fact.channel
    return ChannelCosts(kbits=fact.channel_kbits)


def _may_dial(x: Step, call: s.Call, dialler: Agent, *, outside: bool) -> bool:
    """An agent dials from its own phone: it must have no other call, and the mode must allow it."""
    agent = x.state.agents[dialler.id]
    end_wrap_up(x, agent)
    if calls_at(agent):
        clear_call(x, call, "busy", refuse=f"Agent {dialler.id} has another call.")
        return False
    why = reason_not_to_dial(x, dialler, call.called, outside=outside)
    if why is not None:
        clear_call(x, call, "not_allowed", refuse=why)
        return False
    if call.party is not None:
        x.emit(WorkReserved(agent=dialler.id, contact=call.id, kind="outbound"))
    return True


def reason_not_to_dial(x: Step, agent: Agent, number: str, *, outside: bool) -> str | None:
    """Why this agent must not call now, in one sentence; None when it may (R16).

    The phone of somebody who went home dials nothing: inside, too, a forwarding or an overflow may lead to what costs.

    Args:
        outside: to a number that is none of ours.
    """
    if agent.id in x.fold.categories["logged_off"]:
        return f"Agent {agent.id} is logged off and can dial emergency numbers only."
    if not outside or _is_called_back(x, agent.id, number):
        return None
    if agent.mode == "inbound":
        return f"Agent {agent.id} takes calls and makes none."
    if agent.mode == "blended":
        waiting = waiting_for(x, agent.id)
        if waiting is not None:
            return f"A call is waiting in queue {waiting.queue} that agent {agent.id} could take."
    return None


def _is_called_back(x: Step, agent: AgentId, number: str) -> bool:
    """The agent has taken a callback to this number: to dial it is its work."""
    works = x.state.agents[agent].works.values()
    return any(CHANNELS[one.channel].behaviour == "callback" and _customer(x, one) == number for one in works)


def _customer(x: Step, work: s.Work) -> str | None:
    contact = x.state.contacts.get(work.contact)  # gone while its after-call work goes on
    return contact.customer if contact is not None else None


def waiting_for(x: Step, agent: AgentId) -> s.Entry | None:
    """The first call in line that this agent could take by skill and membership; none while work of another channel keeps it from calls."""
    others = [one for one in x.state.agents[agent].works.values() if one.channel != VOICE]
    if others and capacity.is_kept(x.fold.index.capacity_of(agent, VOICE), others, VOICE):
        return None
    best = None
    for line, waiting in x.fold.buckets.items():
        if (
            line.channel == VOICE
            and line.queue in x.fold.index.queues
            and agent in x.fold.index.eligibility(line).agents
            and (best is None or waiting[0] < best)
        ):
            best = waiting[0]
    return x.state.entries[best[2]] if best is not None else None
