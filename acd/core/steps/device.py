"""An agent's phone, our own device or one behind a trunk: the leg that rings it, the same in an offer and outside one (R1)."""

from __future__ import annotations

from typing import Literal

from acd.core.configuration import Agent
from acd.core.effects import OriginateToAgent
from acd.core.events import LegInitiated
from acd.core.ids import LegId, OfferId, QueueId
from acd.core.routing import admission
from acd.core.state import values as s
from acd.core.steps.step import Step


def phone_of(x: Step, agent: Agent) -> Agent:
    """Whose device the agent is reached at: the own, or that of the one at whose phone it sits."""
    return x.fold.index.phone_of(agent) or agent


def channel(x: Step, agent: Agent, *, whatever: bool = False) -> admission.Verdict | None:
    """What the ledger says to a channel to this agent's phone; `whatever`: the agent dials for help by it."""
    return admission.to_agent(x.state, x.fold.index, phone_of(x, agent), whatever=whatever)


def begin_leg(
    x: Step,
    call: s.Call,
    leg: LegId,
    agent: Agent,
    offer: OfferId | None = None,
    *,
    role: Literal["agent", "supervisor"] = "agent",
    replaces: LegId | None = None,
) -> None:
    """Write the leg down. A phone behind a trunk is on that line, wherever the person sits."""
    phone = phone_of(x, agent)
    trunk = x.fold.index.trunks.get(phone.trunk) if phone.trunk is not None else None
    x.emit(
        LegInitiated(
            leg=leg,
            call=call.id,
            role=role,
            agent=agent.id,
            number=phone.number_behind_trunk,
            trunk=phone.trunk,
            site=phone.site if phone.trunk is None else None,
            internal=trunk is not None and trunk.internal,
            offer=offer,
            replaces=replaces,
        )
    )


def ring(
    x: Step,
    call: s.Call,
    leg: LegId,
    agent: Agent,
    verdict: admission.Verdict | None,
    *,
    shown: str | None,
    shown_name: str | None,
    offer: OfferId | None = None,
    queue: QueueId | None = None,
    auto_answer: bool = False,
) -> None:
    """Have it rung; `shown` is the number on its display, `verdict` what the ledger said to its channel.

    Args:
        auto_answer: it answers by itself, whether that is usual for the agent or not.
    """
    phone = phone_of(x, agent)
    x.do(
        OriginateToAgent(
            leg=leg,
            call=call.id,
            agent=agent.id,
            device=phone.device,
            offer=offer,
            queue=queue,
            calling=shown,
            calling_name=shown_name,
            called=call.called,
            auto_answer=auto_answer or agent.auto_answer,
            trunk=phone.trunk,
            number=phone.number_behind_trunk,
            at=phone.id if phone is not agent else None,
            kbits=verdict.kbits if verdict is not None else None,
            step=verdict.step if verdict is not None else None,
        )
    )
