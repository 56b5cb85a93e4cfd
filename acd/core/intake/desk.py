"""The requests of agents and supervisors; what does not fit the state is refused with its name and changes nothing (HTTP 409, 404)."""

from __future__ import annotations

from acd.core import inputs as inp
from acd.core.configuration import Agent, Target, ToAgent, ToMenu, ToQueue
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.events import (
    AgentLoggedOn,
    AgentNotReady,
    AgentReady,
    CallOffered,
    DispositionSet,
)
from acd.core.ids import VOICE, AgentId, CallId, ContactId, channel_of
from acd.core.intake.arrival import reason_not_to_dial
from acd.core.intake.known import agent_of, call_of
from acd.core.machines import agent as agents
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import work as works
from acd.core.routing import admission
from acd.core.state import values as s
from acd.core.steps import audio, consultation, conversation, device, lost_page, queueing, reach, referral, supervision, working
from acd.core.steps.clearing import clear_call, end_leg, leg_of
from acd.core.steps.queueing import NOT_READY_REASON
from acd.core.steps.step import Ending, Step
from acd.core.steps.working import end_wrap_up, work_done

BUILT_IN_REASONS = frozenset({"logged_on", working.LEAVING, *NOT_READY_REASON.values()})


# ---------------------------------------------------------------------- looking things up


def _wish(agent: s.Agent, step: agents.Input, command: str) -> None:
    if step not in agents.TRANSITIONS[agent.state]:
        raise IllegalTransition(f"agent {agent.id}", agent.state, command)


def _own_leg(x: Step, agent: s.Agent, call: s.Call, command: str) -> s.Leg:
    """The agent's leg in an established conversation."""
    for leg_id in call.parties:
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
    agent = agent_of(x, command.agent)
    _wish(agent, agents.Input.LOG_ON, "LogOn")
    x.emit(AgentLoggedOn(agent=agent.id))
    if command.ready:
        x.emit(AgentReady(agent=agent.id))


def log_off(x: Step, command: inp.LogOff) -> None:
    """At once, or after the call; after-call work ends with it."""
    agent = agent_of(x, command.agent)
    _wish(agent, agents.Input.LOG_OFF, "LogOff")
    queueing.give_back_offers(x, agent)
    lost_page.give_up_all(x, agent)
    working.log_off(x, agent)


def go_ready(x: Step, command: inp.GoReady) -> None:
    agent = agent_of(x, command.agent)
    _wish(agent, agents.Input.GO_READY, "GoReady")
    x.emit(AgentReady(agent=agent.id))


def go_not_ready(x: Step, command: inp.GoNotReady) -> None:
    agent = agent_of(x, command.agent)
    _wish(agent, agents.Input.GO_NOT_READY, "GoNotReady")
    known = x.fold.index.reasons
    if known and command.reason not in known and command.reason not in BUILT_IN_REASONS:
        raise UnknownName("not-ready reason", command.reason)
    x.emit(AgentNotReady(agent=agent.id, reason=command.reason))
    queueing.give_back_offers(x, agent)


def end_after_call_work(x: Step, command: inp.EndAfterCallWork) -> None:
    agent = agent_of(x, command.agent)
    wrapping = [work for work in agent.works.values() if work.state in works.WRAPPING and command.contact in (None, work.contact)]
    if not wrapping:
        raise IllegalTransition(f"agent {agent.id}", agent.state, "EndAfterCallWork", "there is no after-call work")
    for work in wrapping:
        work_done(x, agent.id, work.contact, "handled")


# ---------------------------------------------------------------------- calls


def dial(x: Step, command: inp.Dial) -> None:
    """Click-to-dial: everything is looked at before the agent's phone rings, so that it does not ring for nothing."""
    agent = agent_of(x, command.agent)
    configured = x.fold.index.agents[agent.id]
    inside = _is_inside(x, command.number)
    why = _reason_not_to_ring(x, agent, configured, command, inside=inside)
    if why is not None:
        raise IllegalTransition(f"agent {agent.id}", agent.state, "Dial", why)
    verdict = device.channel(x, configured, whatever=command.number in admission.EMERGENCY)
    if verdict is not None and not verdict.fits:
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
    return None if command.number in admission.EMERGENCY else reason_not_to_dial(x, configured, command.number, outside=not inside)


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
    agent = agent_of(x, command.agent)
    contact = x.state.contacts[_offered(x, agent, command.contact, "Answer").contact]
    x.channel(contact).accept(x, contact, queueing.offer_of(x, contact), agent.id)


def decline(x: Step, command: inp.Decline) -> None:
    """An offered contact keeps its place; a direct call is treated as the phone's own reject key would."""
    agent = agent_of(x, command.agent)
    contact = x.state.contacts[_offered(x, agent, command.contact, "Decline").contact]
    offer = queueing.offer_of(x, contact)
    if offer is not None and agent.id in offer.open:
        _decline_offer(x, offer, agent, command.by)
        return
    call = x.state.calls[CallId(contact.id)]
    leg = leg_of(x, call, agent.id)
    assert leg is not None  # `_offered` has looked
    if leg.id in call.supervisions:
        supervision.left(x, leg, "rejected", gone=False)
        return
    reach.failed(x, call, leg, "rejected", ours=True, by_supervisor=command.by is not None)


def _decline_offer(x: Step, offer: s.Offer, agent: s.Agent, by: str | None) -> None:
    """The agent is asked again later, and the customer keeps its place; what somebody else declined is not the agent's refusal."""
    if by is None:
        queueing.not_taken(x, offer, agent.id, Ending("declined", "declined"))
    else:
        queueing.end_offer_part(x, offer, agent.id, Ending("declined", "supervisor"), detail="supervisor")


def hold(x: Step, command: inp.Hold) -> None:
    agent = agent_of(x, command.agent)
    call = call_of(x, command.call)
    leg = _own_leg(x, agent, call, "Hold")
    if legs.Input.HELD not in legs.TRANSITIONS[leg.state]:
        raise IllegalTransition(f"leg {leg.id}", leg.state, "Hold")
    conversation.hold(x, call, leg, agent.id, command.by)


def retrieve(x: Step, command: inp.Retrieve) -> None:
    """The desk's own hold ends; that of the phone ends at the phone alone, or both sides would be said to talk while nothing is heard."""
    agent = agent_of(x, command.agent)
    call = call_of(x, command.call)
    leg = _own_leg(x, agent, call, "Retrieve")
    if legs.Input.RETRIEVED not in legs.TRANSITIONS[leg.state]:
        by_phone = leg.state is legs.State.HELD_BY_PHONE
        raise IllegalTransition(f"leg {leg.id}", leg.state, "Retrieve", "the phone holds: retrieve the call there" if by_phone else None)
    conversation.retrieve(x, call, leg, agent.id, command.by)


def take_back(x: Step, command: inp.TakeBack) -> None:
    """The agent's phone is rung, and goes on where its page was lost."""
    agent, call = agent_of(x, command.agent), call_of(x, command.call)
    leg = next((leg for one in call.legs if (leg := x.state.legs[one]).agent == agent.id and leg.lost is not None), None)
    if leg is None:
        raise IllegalTransition(f"call {call.id}", call.state, "TakeBack", f"no page of agent {agent.id} was lost there")
    lost_page.take_back(x, call, leg)


def hang_up(x: Step, command: inp.HangUp) -> None:
    """The agent ends the call; one that only rings is not ended but declined."""
    agent = agent_of(x, command.agent)
    call = call_of(x, command.call)
    work = agent.works.get(call.id)
    if work is None or work.state not in works.ON_THE_LINE:
        raise IllegalTransition(f"agent {agent.id}", "without part", "HangUp", f"call {call.id} is not at this agent")
    leg = leg_of(x, call, agent.id)
    if leg is None or (work.kind != "outbound" and work.state in works.RINGING):
        raise IllegalTransition(f"work of {agent.id} on {call.id}", work.state, "HangUp", "decline what rings")
    if leg.lost is not None and command.by is None:
        lost_page.give_up(x, call, leg, by="exchange")
        return
    if call.referral is not None and call.referral.leg == leg.id:
        referral.left(x, call, leg, by="exchange")  # the other party is on its way to somebody else
        return
    if leg.id in call.supervisions and not any(leg.id in group for group in audio.groups(call)):
        supervision.left(x, leg, "hang_up", gone=False)
        return
    if call.consultation is not None or len(call.parties) > 2:
        _leave(x, call, leg)
        return
    if command.by is not None:
        clear_call(x, call, "supervisor")
        return
    talking = call.state in calls.TALKING
    end_leg(x, leg, "hang_up", "withdrawn")
    clear_call(x, call, "hang_up" if talking else "abandoned", leg_cause="hang_up", outcome="abandoned")


def _leave(x: Step, call: s.Call, leg: s.Leg) -> None:
    """One of several hangs up: the others go on."""
    asks = call.consultation
    if asks is not None and leg.id == asks.leg:
        consultation.consulting_left(x, call, leg, by="exchange")
    elif asks is not None and leg.id in asks.held:
        consultation.held_left(x, call, leg, "hang_up", gone=False)
    elif asks is not None:
        consultation.asked_left(x, call, leg, "hang_up", gone=False)
    else:
        end_leg(x, leg, "hang_up", "handled")
        conversation.goes_on(x, call)


def consult(x: Step, command: inp.Consult) -> None:
    agent = agent_of(x, command.agent)
    call = call_of(x, command.call)
    if calls.Input.CONSULTED not in calls.TRANSITIONS[call.state]:
        raise IllegalTransition(f"call {call.id}", call.state, "Consult")
    leg = _own_leg(x, agent, call, "Consult")
    _must_exist(x, command.target)
    if isinstance(command.target, ToAgent) and any(
        x.state.legs[one].agent == command.target.agent for one in (*call.parties, *call.supervisions)
    ):
        raise IllegalTransition(f"call {call.id}", call.state, "Consult", f"agent {command.target.agent} is in the call")
    consultation.begin(x, call, leg, agent.id, command.target, command.by)


def _consulting(x: Step, agent_id: AgentId, call_id: CallId, command: str) -> s.Call:
    """The call in which this agent consults."""
    agent = agent_of(x, agent_id)
    call = call_of(x, call_id)
    if call.consultation is None or call.consultation.by != agent.id:
        raise IllegalTransition(f"call {call.id}", call.state, command, f"agent {agent.id} consults nobody there")
    return call


def alternate(x: Step, command: inp.Alternate) -> None:
    consultation.alternate(x, _consulting(x, command.agent, command.call, "Alternate"), command.by)


def reconnect(x: Step, command: inp.Reconnect) -> None:
    consultation.reconnect(x, _consulting(x, command.agent, command.call, "Reconnect"), command.by)


def conference(x: Step, command: inp.Conference) -> None:
    consultation.conference(x, _consulting(x, command.agent, command.call, "Conference"), command.by)


def complete_transfer(x: Step, command: inp.CompleteTransfer) -> None:
    consultation.complete(x, _consulting(x, command.agent, command.call, "CompleteTransfer"), command.by)


def supervise(x: Step, command: inp.Supervise) -> None:
    """Come to a conversation; who is there already hears it otherwise."""
    supervisor = agent_of(x, command.agent)
    call = call_of(x, command.call)
    mine = next((leg for leg, one in call.supervisions.items() if one.by == supervisor.id), None)
    if mine is not None:
        heard = call.supervisions[mine].agent
        if command.supervised not in {None, heard}:
            raise IllegalTransition(f"agent {supervisor.id}", supervisor.state, "Supervise", f"you hear {heard}: end that first")
        supervision.change(x, call, mine, command.mode)
        return
    if command.supervised is not None:
        agent_of(x, command.supervised)
    supervised = supervision.find(x, call, command.supervised)
    supervision.begin(x, call, supervisor.id, supervised, command.mode)


def announce(x: Step, command: inp.Announce) -> None:
    """Sounds for one side of the agent's conversation, over what it hears."""
    agent = agent_of(x, command.agent)
    call = call_of(x, command.call)
    leg = _own_leg(x, agent, call, "Announce")
    for one in [leg] if command.to == "agent" else audio.others_of(x, call, leg):
        if one.purpose in {None, "aside"}:  # who is on hold hears its music
            x.play(one, command.sounds, "aside")


def transfer(x: Step, command: inp.Transfer) -> None:
    agent = agent_of(x, command.agent)
    call = call_of(x, command.call)
    if calls.Input.TRANSFERRED not in calls.TRANSITIONS[call.state]:
        raise IllegalTransition(f"call {call.id}", call.state, "Transfer")
    leg = _own_leg(x, agent, call, "Transfer")
    if len(call.parties) > 2:
        raise IllegalTransition(f"call {call.id}", call.state, "Transfer", "several are in conversation: leave them to themselves")
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
    agent = agent_of(x, command.agent)
    work = agent.works.get(command.contact)
    if work is None or work.state in works.RINGING:
        raise IllegalTransition(f"agent {agent.id}", "without part", "SetDisposition", f"{_named(command.contact)} is not at this agent")
    x.emit(DispositionSet(contact=command.contact, agent=agent.id, code=command.code))


def _named(contact: ContactId) -> str:
    return f"call {contact}" if channel_of(contact) == VOICE else f"contact {contact}"


def clear(x: Step, command: inp.ClearCall) -> None:
    clear_call(x, call_of(x, command.call), "supervisor")
