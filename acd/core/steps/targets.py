"""Where a call goes next: the one switch over all targets (house)."""

from __future__ import annotations

from typing import cast

from acd.core.configuration import Target, ToAgent, ToAnnouncement, ToHangUp, ToMenu, ToOutside, ToQueue
from acd.core.events import ForwardReason
from acd.core.state import values as s
from acd.core.steps import consultation, queueing, reach, treatment
from acd.core.steps.clearing import clear_call
from acd.core.steps.step import Step


def send_to(x: Step, call: s.Call, target: Target, reason: str, by: str, supervisor: str | None = None) -> None:
    """Send the party of a call to a target.

    Args:
        reason: as in CallForwarded: number, menu, overflow, closed, exit, transfer, consult ...
        by: the number, menu, queue or agent that sends it.
        supervisor: who does, at the desk of the agent `by`; None: the agent.
    """
    contact = x.contact(call)
    if contact.hops > queueing.MAX_HOPS:
        treatment.turn_away(x, call, "routing_loop")
        return
    match target:
        case ToQueue(queue=queue):
            queueing.enter(x, contact, queue)
        case ToMenu(menu=menu):
            treatment.enter_menu(x, call, menu)
        case ToAgent(agent=agent):
            reach.ring_agent(x, call, agent)
        case ToOutside(number=number):
            reach.forward(x, call, number, cast("ForwardReason", reason), by, supervisor)
        case ToAnnouncement(sounds=sounds):
            treatment.announce(x, call, sounds, "closed" if reason == "closed" else "announced")
        case ToHangUp():
            if consultation.given_back(x, call, "let_go"):  # nobody is hung up on because somebody asked for a transfer, or asks here
                return
            if reason == "closed":
                clear_call(x, call, "closed")
            elif reason == "exit":  # the caller's own doing: it pressed the key that leads out
                clear_call(x, call, "exit_key", leg_cause="hang_up")
            else:  # who was on the line is hung up on, who was not hears that it is busy
                clear_call(x, call, "let_go", leg_cause="hang_up" if x.is_answered(x.party(call)) else None)
