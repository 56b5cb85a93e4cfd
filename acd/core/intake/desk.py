"""The requests of agents and supervisors; what does not fit the state is refused with its name and changes nothing (HTTP 409, 404)."""

from __future__ import annotations

import math
from typing import Literal

from acd.core import inputs as inp
from acd.core.configuration import Agent, Target, ToAgent, ToMenu, ToQueue
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.events import (
    AgentLoggedOn,
    AgentNotReady,
    AgentReady,
    CallOffered,
    ContactClosed,
    ContactMoved,
    ContactOpened,
    ContactPrioritised,
    ContactReskilled,
    DispositionSet,
)
from acd.core.ids import VOICE, AgentId, CallId, ContactId, channel_of
from acd.core.intake.arrival import reason_not_to_dial
from acd.core.machines import agent as agents
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import queue_entry as entries
from acd.core.machines import work as works
from acd.core.routing import admission
from acd.core.routing.pick import ASSIGNED, PICKED
from acd.core.state import values as s
from acd.core.steps import conversation, device, queueing, reach, referral, working
from acd.core.steps.clearing import clear_call, end_leg, leg_of
from acd.core.steps.queueing import NOT_READY_REASON
from acd.core.steps.step import Ending, Step
from acd.core.steps.working import end_work, end_wrap_up, work_done

BUILT_IN_REASONS = frozenset({"logged_on", working.LEAVING, *NOT_READY_REASON.values()})


# ---------------------------------------------------------------------- looking things up


def _agent(x: Step, agent_id: AgentId) -> s.Agent:
    agent = x.state.agents.get(agent_id)
    if agent is None or agent_id not in x.fold.index.agents:
        raise UnknownName("agent", agent_id)
    return agent


def _call(x: Step, call_id: CallId) -> s.Call:
    call = x.state.calls.get(call_id)
    if call is None:
        raise UnknownName("call", call_id)
    return call


def _wish(agent: s.Agent, step: agents.Input, command: str) -> None:
    if step not in agents.TRANSITIONS[agent.state]:
        raise IllegalTransition(f"agent {agent.id}", agent.state, command)


def _own_leg(x: Step, agent: s.Agent, call: s.Call, command: str) -> s.Leg:
    """The agent's leg in an established conversation."""
    for leg_id in call.pair or ():
        leg = x.state.legs.get(leg_id)
        if leg is not None and leg.agent == agent.id:
            return leg
    raise IllegalTransition(f"call {call.id}", call.state, command, f"agent {agent.id} is in no conversation there")


def _offered(x: Step, agent: s.Agent, wanted: ContactId | None, command: str) -> s.Work:
    """The work that the agent is being offered: of this contact, or the first."""
    for work in agent.works.values():
        if work.state in works.RINGING and (wanted is None or work.contact == wanted) and _is_offered(x, agent, work):
            return work
    why = "nothing rings there" if wanted is None else f"{wanted} is not offered"
    raise IllegalTransition(f"agent {agent.id}", agent.state, command, why)


def _is_offered(x: Step, agent: s.Agent, work: s.Work) -> bool:
    """Not where the agent's own phone waits for whom it has dialled."""
    if work.channel != VOICE:
        return True
    leg = leg_of(x, x.state.calls[CallId(work.contact)], agent.id)
    return leg is not None and not leg.arrived and leg.state not in legs.ANSWERED


# ---------------------------------------------------------------------- availability


def log_on(x: Step, command: inp.LogOn) -> None:
    agent = _agent(x, command.agent)
    _wish(agent, agents.Input.LOG_ON, "LogOn")
    x.emit(AgentLoggedOn(agent=agent.id))
    if command.ready:
        x.emit(AgentReady(agent=agent.id))


def log_off(x: Step, command: inp.LogOff) -> None:
    """At once, or after the call; after-call work ends with it."""
    agent = _agent(x, command.agent)
    _wish(agent, agents.Input.LOG_OFF, "LogOff")
    working.log_off(x, agent)


def go_ready(x: Step, command: inp.GoReady) -> None:
    agent = _agent(x, command.agent)
    _wish(agent, agents.Input.GO_READY, "GoReady")
    x.emit(AgentReady(agent=agent.id))


def go_not_ready(x: Step, command: inp.GoNotReady) -> None:
    agent = _agent(x, command.agent)
    _wish(agent, agents.Input.GO_NOT_READY, "GoNotReady")
    known = x.fold.index.reasons
    if known and command.reason not in known and command.reason not in BUILT_IN_REASONS:
        raise UnknownName("not-ready reason", command.reason)
    x.emit(AgentNotReady(agent=agent.id, reason=command.reason))


def end_after_call_work(x: Step, command: inp.EndAfterCallWork) -> None:
    agent = _agent(x, command.agent)
    wrapping = [work for work in agent.works.values() if work.state in works.WRAPPING and command.contact in (None, work.contact)]
    if not wrapping:
        raise IllegalTransition(f"agent {agent.id}", agent.state, "EndAfterCallWork", "there is no after-call work")
    for work in wrapping:
        work_done(x, agent.id, work.contact, "handled")


# ---------------------------------------------------------------------- calls


def dial(x: Step, command: inp.Dial) -> None:
    """Click-to-dial: everything is looked at before the agent's phone rings, so that it does not ring for nothing."""
    agent = _agent(x, command.agent)
    configured = x.fold.index.agents[agent.id]
    inside = _is_inside(x, command.number)
    why = _reason_not_to_ring(x, agent, configured, command, inside=inside)
    if why is not None:
        raise IllegalTransition(f"agent {agent.id}", agent.state, "Dial", why)
    verdict = device.channel(x, configured)
    if verdict is not None and not verdict.fits and command.number not in admission.EMERGENCY:
        raise IllegalTransition(f"agent {agent.id}", agent.state, "Dial", verdict.reason)
    end_wrap_up(x, agent)
    x.emit(
        CallOffered(
            call=command.call,
            direction="internal" if inside else "outbound",
            calling=configured.outbound_caller_id or configured.extension,
            calling_name=configured.name,
            called=command.number,
            trunk=None,
            agent=agent.id,
            number=command.number if inside and command.number in x.fold.index.numbers else None,
            country=None,
            language=configured.languages[0] if configured.languages else x.fold.index.language,
            quote=command.quote,
            supervisor=command.by,
        )
    )
    call = x.state.calls[command.call]
    reach.ring_device(x, call, configured, x.next_leg(call), verdict, "outbound")


def _reason_not_to_ring(x: Step, agent: s.Agent, configured: Agent, command: inp.Dial, *, inside: bool) -> str | None:
    if x.state.stopping:
        return "the exchange is shutting down"
    if command.call in x.state.calls:
        return f"call {command.call} is there already"
    if any(work.channel == VOICE and work.state not in works.WRAPPING for work in agent.works.values()):
        return "the agent has a call already"
    if not x.fold.is_reachable(agent):
        phone = x.fold.index.phone_of(configured)
        if phone is None:
            return f"agent {x.fold.index.guests[agent.id]} sits at the phone"
        return f"trunk {phone.trunk} is down" if phone.trunk is not None else f"the device {phone.device} is not registered"
    return None if command.number in admission.EMERGENCY else reason_not_to_dial(x, configured, outside=not inside)


def _is_inside(x: Step, number: str) -> bool:
    """One of our own numbers or extensions; an emergency number never is."""
    return number not in admission.EMERGENCY and (number in x.fold.index.numbers or number in x.fold.index.extensions)


def dialled_agent_answered(x: Step, call: s.Call) -> None:
    """The agent's phone was taken: now the number it dialled."""
    inside = _is_inside(x, call.called)
    number = x.fold.index.numbers.get(call.called) if inside else None
    colleague = x.fold.index.extensions.get(call.called) if inside else None
    if number is not None:
        x.send_to(x, call, number.target, "number", number.number)
    elif colleague is not None:
        x.send_to(x, call, ToAgent(agent=colleague), "number", call.called)
    else:
        reach.call_outside(x, call)


def answer(x: Step, command: inp.Answer) -> None:
    """A call is taken by the phone, which is asked to; a message at once."""
    agent = _agent(x, command.agent)
    contact = x.state.contacts[_offered(x, agent, command.contact, "Answer").contact]
    x.channel(contact).accept(x, contact, queueing.offer_of(x, contact), agent.id)


def decline(x: Step, command: inp.Decline) -> None:
    """An offered contact keeps its place; a direct call is treated as the phone's own reject key would."""
    agent = _agent(x, command.agent)
    contact = x.state.contacts[_offered(x, agent, command.contact, "Decline").contact]
    offer = queueing.offer_of(x, contact)
    if offer is not None and agent.id in offer.open:
        _decline_offer(x, offer, agent, command.by)
        return
    call = x.state.calls[CallId(contact.id)]
    leg = leg_of(x, call, agent.id)
    assert leg is not None  # `_offered` has looked
    reach.failed(x, call, leg, "rejected", ours=True, by_supervisor=command.by is not None)


def _decline_offer(x: Step, offer: s.Offer, agent: s.Agent, by: str | None) -> None:
    """The agent is asked again later, and the customer keeps its place; what somebody else declined is not the agent's refusal."""
    if by is None:
        queueing.not_taken(x, offer, agent.id, Ending("declined", "declined"))
    else:
        queueing.end_offer_part(x, offer, agent.id, Ending("declined", "supervisor"), detail="supervisor")


def hold(x: Step, command: inp.Hold) -> None:
    agent = _agent(x, command.agent)
    call = _call(x, command.call)
    leg = _own_leg(x, agent, call, "Hold")
    if legs.Input.HELD not in legs.TRANSITIONS[leg.state]:
        raise IllegalTransition(f"leg {leg.id}", leg.state, "Hold")
    conversation.hold(x, call, leg, agent.id, command.by)


def retrieve(x: Step, command: inp.Retrieve) -> None:
    """The desk's own hold ends; that of the phone ends at the phone alone, or both sides would be said to talk while nothing is heard."""
    agent = _agent(x, command.agent)
    call = _call(x, command.call)
    leg = _own_leg(x, agent, call, "Retrieve")
    if legs.Input.RETRIEVED not in legs.TRANSITIONS[leg.state]:
        by_phone = leg.state is legs.State.HELD_BY_PHONE
        raise IllegalTransition(f"leg {leg.id}", leg.state, "Retrieve", "the phone holds: retrieve the call there" if by_phone else None)
    conversation.retrieve(x, call, leg, agent.id, command.by)


def hang_up(x: Step, command: inp.HangUp) -> None:
    """The agent ends the call; one that only rings is not ended but declined."""
    agent = _agent(x, command.agent)
    call = _call(x, command.call)
    work = agent.works.get(call.id)
    if work is None or work.state not in works.ON_THE_LINE:
        raise IllegalTransition(f"agent {agent.id}", "without part", "HangUp", f"call {call.id} is not at this agent")
    leg = leg_of(x, call, agent.id)
    if leg is None or (work.kind != "outbound" and work.state in works.RINGING):
        raise IllegalTransition(f"work of {agent.id} on {call.id}", work.state, "HangUp", "decline what rings")
    if call.referral is not None and call.referral.leg == leg.id:
        referral.left(x, call, leg, by="exchange")  # the other party is on its way to somebody else
        return
    if command.by is not None:
        clear_call(x, call, "supervisor")
        return
    talking = call.state in calls.TALKING
    end_leg(x, leg, "hang_up", "withdrawn")
    clear_call(x, call, "hang_up" if talking else "abandoned", leg_cause="hang_up", outcome="abandoned")


def transfer(x: Step, command: inp.Transfer) -> None:
    agent = _agent(x, command.agent)
    call = _call(x, command.call)
    if calls.Input.TRANSFERRED not in calls.TRANSITIONS[call.state]:
        raise IllegalTransition(f"call {call.id}", call.state, "Transfer")
    leg = _own_leg(x, agent, call, "Transfer")
    _must_exist(x, command.target)
    conversation.transfer(x, call, leg, agent.id, command.target, command.by)


def _must_exist(x: Step, target: Target) -> None:
    index = x.fold.index
    match target:
        case ToQueue(queue=queue) if queue not in index.queues:
            raise UnknownName("queue", queue)
        case ToMenu(menu=menu) if menu not in index.menus:
            raise UnknownName("menu", menu)
        case ToAgent(agent=agent) if agent not in index.agents:
            raise UnknownName("agent", agent)
        case _:
            pass


def set_disposition(x: Step, command: inp.SetDisposition) -> None:
    agent = _agent(x, command.agent)
    work = agent.works.get(command.contact)
    if work is None or work.state in works.RINGING:
        raise IllegalTransition(f"agent {agent.id}", "without part", "SetDisposition", f"{_named(command.contact)} is not at this agent")
    x.emit(DispositionSet(contact=command.contact, agent=agent.id, code=command.code))


def _named(contact: ContactId) -> str:
    return f"call {contact}" if channel_of(contact) == VOICE else f"contact {contact}"


def clear(x: Step, command: inp.ClearCall) -> None:
    clear_call(x, _call(x, command.call), "supervisor")


# ---------------------------------------------------------------------- contacts


def _contact(x: Step, contact_id: ContactId) -> s.Contact:
    contact = x.state.contacts.get(contact_id)
    if contact is None:
        raise UnknownName("contact", contact_id)
    return contact


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
    agent, contact = _agent(x, command.agent), _contact(x, command.contact)
    _must_be_no_call(contact, "CloseContact")
    work = agent.works.get(contact.id)
    if work is None or work.state not in works.TALKING:
        raise IllegalTransition(f"agent {agent.id}", "without part", "CloseContact", f"contact {contact.id} is not at this agent")
    x.emit(ContactClosed(contact=contact.id, cause="handled", by=command.by))
    end_work(x, agent.id, contact.id, "handled")


def withdraw_contact(x: Step, command: inp.WithdrawContact) -> None:
    """Wherever it is: nobody waits for it, is offered it or works at it any more."""
    contact = _contact(x, command.contact)
    _must_be_no_call(contact, "WithdrawContact")
    _take_back(x, contact, "supervisor" if command.by is not None else "abandoned")
    x.emit(ContactClosed(contact=contact.id, cause="withdrawn" if command.by is None else "supervisor", by=command.by))


def _take_back(x: Step, contact: s.Contact, cause: Literal["abandoned", "supervisor", "moved"], detail: str | None = None) -> None:
    """Out of its queue, or from the agent who has it."""
    outcome: Literal["abandoned", "withdrawn"] = "abandoned" if cause == "abandoned" else "withdrawn"
    queueing.withdraw_offer(x, contact, outcome, "supervisor" if cause == "moved" else cause)
    queueing.leave_queue(x, contact, outcome, None if cause == "abandoned" else detail or cause)
    for agent in [one for one in x.state.agents.values() if contact.id in one.works]:
        end_work(x, agent.id, contact.id, "withdrawn")


# ---------------------------------------------------------------------- out of turn


def pick(x: Step, command: inp.Pick) -> None:
    """The agent chooses; skills, membership, capacity and the way to it stand."""
    agent = _agent(x, command.agent)
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
    contact = _contact(x, contact_id)
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
        raise IllegalTransition(f"agent {agent.id}", agent.state, command, "the agent's phone cannot be rung")


def assign_contact(x: Step, command: inp.AssignContact) -> None:
    """A supervisor gives it to somebody, whatever skills are asked for."""
    agent, entry = _agent(x, command.agent), _waiting(x, command.contact, "AssignContact")
    _must_be_there(x, agent, "AssignContact")
    _must_be_free(x, agent, entry, "AssignContact")
    queueing.give(x, entry, agent.id, ASSIGNED, command.by)


def move_contact(x: Step, command: inp.MoveContact) -> None:
    """To another queue, where it stands as if it had come there when it came."""
    contact = _contact(x, command.contact)
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
    contact = _contact(x, command.contact)
    if not 0 <= command.priority_s < math.inf:
        raise IllegalTransition(f"contact {contact.id}", "open", "PrioritiseContact", "an advantage is 0 s or more")
    x.emit(ContactPrioritised(contact=contact.id, priority_s=command.priority_s, by=command.by))


def reskill_contact(x: Step, command: inp.ReskillContact) -> None:
    contact = _contact(x, command.contact)
    x.emit(ContactReskilled(contact=contact.id, requirements=command.requirements, by=command.by))
