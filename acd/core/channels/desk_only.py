"""What contacts have in common that come by no line of ours: they wait in silence, are offered at the desk and taken there."""

from __future__ import annotations

from collections.abc import Sequence

from acd.core.configuration import Agent, Queue, Target, ToQueue
from acd.core.effects import PopScreen
from acd.core.errors import IllegalTransition
from acd.core.events import WorkConnected
from acd.core.ids import AgentId
from acd.core.state import values as s
from acd.core.steps import queueing
from acd.core.steps.step import Ending, Step


class DeskOnly:
    """Base of such channels."""

    waits_when_closed = True

    def can_reach(self, x: Step, agent: s.Agent) -> bool:
        """The desk is enough."""
        return True

    def may_wait(self, x: Step, contact: s.Contact) -> bool:
        """There is nothing to be made ready."""
        return True

    def waits(self, x: Step, contact: s.Contact, queue: Queue) -> None:
        """Nobody hears anything."""

    def reach(self, x: Step, contact: s.Contact, offer: s.Offer, agent: Agent, waited_s: float) -> None:
        """It stands on the agent's screen."""
        x.do(
            PopScreen(
                agent=agent.id,
                contact=contact.id,
                offer=offer.id,
                queue=offer.queue,
                calling=contact.customer,
                called=contact.subject or "",
                waited_s=waited_s,
            )
        )

    def reserved(self, x: Step, contact: s.Contact, offer: s.Offer, agents: Sequence[AgentId]) -> None:
        """It is taken by a word of the agent's (`accept`)."""

    def withdraw(self, x: Step, contact: s.Contact, offer: s.Offer, agent: AgentId, ending: Ending) -> None:
        """The desk sees by the end of the offer that it is gone."""

    def taken(self, x: Step, contact: s.Contact, agent: AgentId, queue: Queue | None) -> None:
        """The agent works at it from now on."""
        x.emit(WorkConnected(agent=agent, contact=contact.id))

    def accept(self, x: Step, contact: s.Contact, offer: s.Offer | None, agent: AgentId) -> None:
        """Who says so has it."""
        if offer is None:
            raise IllegalTransition(f"contact {contact.id}", "not offered", "Answer")
        queueing.taken(x, contact, offer, agent)

    def can_be_sent(self, x: Step, contact: s.Contact, target: Target) -> bool:
        """To another queue alone, since nothing can be played to it; in a circle it stays where it is."""
        return isinstance(target, ToQueue) and contact.hops <= queueing.MAX_HOPS

    def send(self, x: Step, contact: s.Contact, target: Target, reason: str, by: str) -> None:
        """To the other queue."""
        if isinstance(target, ToQueue):
            queueing.enter(x, contact, target.queue)

    def turn_away(self, x: Step, contact: s.Contact, cause: str) -> None:
        """It stays open without a queue, where supervisors see it and can move it: nothing is lost because a queue is removed."""
