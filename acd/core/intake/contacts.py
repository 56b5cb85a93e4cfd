"""Contacts that are no calls come, are closed and taken back; and what people decide about whoever waits, out of its turn."""

from __future__ import annotations

import math
from typing import Literal

from acd.core import inputs as inp
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.events import (
    ContactClosed,
    ContactMoved,
    ContactOpened,
    ContactPrioritised,
    ContactReskilled,
)
from acd.core.ids import VOICE, ContactId, channel_of
from acd.core.intake.known import agent_of, contact_of
from acd.core.machines import agent as agents
from acd.core.machines import queue_entry as entries
from acd.core.machines import work as works
from acd.core.routing.pick import ASSIGNED, PICKED
from acd.core.state import values as s
from acd.core.steps import queueing
from acd.core.steps.step import Step
from acd.core.steps.working import end_work


def _must_be_no_call(contact: s.Contact, command: str) -> None:
    if contact.channel == VOICE:
        raise IllegalTransition(f"contact {contact.id}", "a call", command, "calls are hung up or cleared")


def open_contact(x: Step, command: inp.OpenContact) -> None:
    """It stands in its queue from now on, with the place it may have kept."""
    if command.channel not in x.channels:
        raise UnknownName("channel", command.channel)
    if command.channel == VOICE or channel_of(command.contact) != command.channel:
        raise IllegalTransition(f"contact {command.contact}", "no contact", "OpenContact", f"it does not come by {command.channel}")
    if command.contact in x.state.contacts:
        raise IllegalTransition(f"contact {command.contact}", "open", "OpenContact", "it is there already")
    if command.queue not in x.fold.index.queues:
        raise UnknownName("queue", command.queue)
    if command.personal is not None and command.personal not in x.fold.index.agents:
        raise UnknownName("agent", command.personal)
    x.emit(
        ContactOpened(
            contact=command.contact,
            channel=command.channel,
            customer=command.customer,
            language=command.language or x.fold.index.language,
            subject=command.subject,
            text=command.text,
            personal=command.personal,
            priority_s=command.priority_s,
        )
    )
    since = min(command.since, x.now) if command.since is not None else None
    queueing.enter(x, x.state.contacts[command.contact], command.queue, since)


def close_contact(x: Step, command: inp.CloseContact) -> None:
    """The agent has done with it; what follows is after-call work."""
    agent, contact = agent_of(x, command.agent), contact_of(x, command.contact)
    _must_be_no_call(contact, "CloseContact")
    work = agent.works.get(contact.id)
    if work is None or work.state not in works.TALKING:
        raise IllegalTransition(f"agent {agent.id}", "without part", "CloseContact", f"contact {contact.id} is not at this agent")
    x.emit(ContactClosed(contact=contact.id, cause="handled", by=command.by))
    end_work(x, agent.id, contact.id, "handled")


def withdraw_contact(x: Step, command: inp.WithdrawContact) -> None:
    """Wherever it is: nobody waits for it, is offered it or works at it any more."""
    contact = contact_of(x, command.contact)
    _must_be_no_call(contact, "WithdrawContact")
    _take_back(x, contact, "supervisor" if command.by is not None else "abandoned")
    x.emit(ContactClosed(contact=contact.id, cause="withdrawn" if command.by is None else "supervisor", by=command.by))


def _take_back(x: Step, contact: s.Contact, cause: Literal["abandoned", "supervisor", "moved"], detail: str | None = None) -> None:
    """Out of its queue, or from the agent who has it."""
    outcome: Literal["abandoned", "withdrawn"] = "abandoned" if cause == "abandoned" else "withdrawn"
    queueing.withdraw_offer(x, contact, outcome, "supervisor" if cause == "moved" else cause)
    queueing.leave_queue(x, contact, outcome, None if cause == "abandoned" else detail or cause)
    if contact.channel == VOICE:  # who waits in a queue to ask somebody goes on with its own conversation
        return
    for agent in [one for one in x.state.agents.values() if contact.id in one.works]:
        end_work(x, agent.id, contact.id, "withdrawn")


# ---------------------------------------------------------------------- out of turn


def pick(x: Step, command: inp.Pick) -> None:
    """The agent chooses; skills, membership, capacity and the way to it stand."""
    agent = agent_of(x, command.agent)
    if command.by is None and not x.fold.index.agents[agent.id].may_pick:
        raise IllegalTransition(f"agent {agent.id}", agent.state, "Pick", "the agent may not pick")
    _must_be_there(x, agent, "Pick")
    entry = queueing.first_to_pick(x, agent) if command.contact is None else _waiting(x, command.contact, "Pick")
    if entry is None:
        raise IllegalTransition(f"agent {agent.id}", agent.state, "Pick", "nobody waits whom the agent could take now")
    if not queueing.could_take(x, agent.id, entry):
        raise IllegalTransition(f"contact {entry.contact}", entry.state, "Pick", f"agent {agent.id} has not what it asks for")
    _must_be_free(x, agent, entry, "Pick")
    queueing.give(x, entry, agent.id, PICKED, command.by or f"agent:{agent.id}")


def _waiting(x: Step, contact_id: ContactId, command: str) -> s.Entry:
    """The stay of a contact that waits and is offered to nobody."""
    contact = contact_of(x, contact_id)
    entry = x.state.entries.get(contact.entry) if contact.entry is not None else None
    if entry is None or entry.queue not in x.fold.index.queues:
        raise IllegalTransition(f"contact {contact.id}", "in no queue", command)
    if entries.Input.OFFERED not in entries.TRANSITIONS[entry.state] or contact.not_yet:
        why = "it is being told something first" if contact.not_yet else None
        raise IllegalTransition(f"contact {contact.id}", entry.state, command, why)
    return entry


def _must_be_there(x: Step, agent: s.Agent, command: str) -> None:
    if x.state.stopping:
        raise IllegalTransition(f"agent {agent.id}", agent.state, command, "the exchange is shutting down")
    if agent.state not in agents.LOGGED_ON:
        raise IllegalTransition(f"agent {agent.id}", agent.state, command)


def _must_be_free(x: Step, agent: s.Agent, entry: s.Entry, command: str) -> None:
    if not queueing.is_free_for(x, agent, entry.channel):
        raise IllegalTransition(f"agent {agent.id}", "busy", command, f"the agent has no room for one more by {entry.channel}")
    if not x.channels[entry.channel].can_reach(x, agent):
        why = "no speech channel to its phone fits" if x.fold.is_reachable(agent) else "the agent's phone cannot be rung"
        raise IllegalTransition(f"agent {agent.id}", agent.state, command, why)


def assign_contact(x: Step, command: inp.AssignContact) -> None:
    """A supervisor gives it to somebody, whatever skills are asked for."""
    agent, entry = agent_of(x, command.agent), _waiting(x, command.contact, "AssignContact")
    _must_be_there(x, agent, "AssignContact")
    _must_be_free(x, agent, entry, "AssignContact")
    queueing.give(x, entry, agent.id, ASSIGNED, command.by)


def move_contact(x: Step, command: inp.MoveContact) -> None:
    """To another queue, where it stands as if it had come there when it came."""
    contact = contact_of(x, command.contact)
    if command.queue not in x.fold.index.queues:
        raise UnknownName("queue", command.queue)
    entry = x.state.entries.get(contact.entry) if contact.entry is not None else None
    if entry is None and contact.channel == VOICE:
        raise IllegalTransition(f"contact {contact.id}", "in no queue", "MoveContact")
    if entry is not None and entry.queue == command.queue:
        raise IllegalTransition(f"contact {contact.id}", entry.state, "MoveContact", f"it is in queue {entry.queue} already")
    since = entry.queued_at if entry is not None else contact.began_at
    _take_back(x, contact, "moved", f"moved to {command.queue}")
    x.emit(ContactMoved(contact=contact.id, queue=command.queue, by=command.by))
    queueing.enter(x, contact, command.queue, since)


def prioritise_contact(x: Step, command: inp.PrioritiseContact) -> None:
    contact = contact_of(x, command.contact)
    if not 0 <= command.priority_s < math.inf:
        raise IllegalTransition(f"contact {contact.id}", "open", "PrioritiseContact", "an advantage is 0 s or more")
    x.emit(ContactPrioritised(contact=contact.id, priority_s=command.priority_s, by=command.by))


def reskill_contact(x: Step, command: inp.ReskillContact) -> None:
    contact = contact_of(x, command.contact)
    x.emit(ContactReskilled(contact=contact.id, requirements=command.requirements, by=command.by))
