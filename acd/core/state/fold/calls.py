"""Calls, their legs, and what is played to them."""

from __future__ import annotations

from typing import Final

from acd.core import events as ev
from acd.core.errors import BrokenHistory
from acd.core.ids import VOICE, AgentId, LegId
from acd.core.inputs import FailureCause
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import work as works
from acd.core.state import limits
from acd.core.state import values as s
from acd.core.state.fold.kit import CALL, KEEP_ENDED_LEGS_S, KEEP_RECORDINGS_S, LEG, WORK, Handlers, Indexes, prune
from acd.core.state.timers import Timer, name

AGENT_RING_S: Final = 25.0
"""A phone rung outside a queue: about five rings, then the call goes where the agent's forwarding says."""
OUTSIDE_RING_S: Final = 90.0
"""A number outside: networks give up on their own after 60 to 90 s (ITU-T Q.118 suggests 1 to 2 minutes)."""

_FAILURES: Final = frozenset(FailureCause.__args__)  # type: ignore[attr-defined]


def call_offered(fold: Indexes, event: ev.CallOffered, now: float) -> None:
    fold.state.contacts[event.call] = s.Contact(id=event.call, channel=VOICE, customer=event.calling, language=event.language, began_at=now)
    fold.state.calls[event.call] = s.Call(
        id=event.call,
        direction=event.direction,
        began_at=now,
        since=now,
        calling=event.calling,
        calling_name=event.calling_name,
        called=event.called,
        trunk=event.trunk,
        agent=event.agent,
        number=event.number,
        country=event.country,
    )


def leg_initiated(fold: Indexes, event: ev.LegInitiated, now: float) -> None:
    state = fold.state
    call = state.calls[event.call]
    leg = s.Leg(
        id=event.leg,
        call=event.call,
        role=event.role,
        since=now,
        arrived=event.arrived,
        agent=event.agent,
        number=event.number,
        trunk=event.trunk,
        site=event.site,
        dialog=event.dialog,
        replaces=event.replaces,
    )
    state.legs[event.leg] = leg
    call.legs.append(event.leg)
    if call.party is None:
        call.party = event.leg
    if event.arrived:
        return
    call.legs_made += 1
    if event.trunk is not None and event.role != "agent":
        call.trunks_tried.append(event.trunk)
    if event.offer is not None:
        leg.offer = event.offer
        return
    if event.role != "supervisor" and event.replaces is None:  # who comes to a conversation is nobody it goes to
        fold.step_call(call, calls.Input.DELIVERED, now)
    fold.timers.start(name(Timer.ANSWER, event.leg), now + (OUTSIDE_RING_S if event.role in {"forward", "destination"} else AGENT_RING_S))


def leg_alerted(fold: Indexes, event: ev.LegAlerted, now: float) -> None:
    leg = fold.state.legs[event.leg]
    fold.step_leg(leg, legs.Input.ALERTED, now)
    leg.dialog = event.dialog
    if leg.agent is not None:
        agent = fold.state.agents[leg.agent]
        work = agent.works.get(leg.call)
        if work is not None and works.Input.ALERTED in WORK[work.state]:
            fold.step_work(agent, work, works.Input.ALERTED, now)


def leg_connected(fold: Indexes, event: ev.LegConnected, now: float) -> None:
    leg = fold.state.legs[event.leg]
    fold.step_leg(leg, legs.Input.CONNECTED, now)
    leg.connected_at = now
    # That of a leg which arrived was told with its arrival, and is good for both: whether it was answered, the state knows.
    leg.dialog = event.dialog or leg.dialog
    if leg.offer is not None:
        fold.timers.stop(name(Timer.RING, leg.offer))
    if leg.cut_after_s is not None:
        fold.limit(leg, limits.TIME_LIMIT, now + leg.cut_after_s, now)
    call = fold.state.calls[leg.call]
    supervision = call.supervisions.get(leg.id)
    if supervision is not None:
        supervision.joined = True
        if supervision.mode == "barge":  # of a consultation: with those who are held, whose conversation it is
            (call.parties if call.consultation is None else call.consultation.held).append(leg.id)


def leg_protected(fold: Indexes, event: ev.LegProtected, _now: float) -> None:
    leg = fold.state.legs[event.leg]
    leg.audio, leg.suite, leg.signalling = event.audio, event.suite, event.signalling


def leg_quoted(fold: Indexes, event: ev.LegQuoted, _now: float) -> None:
    cut_after_ms = event.quote.get("cut_after_ms")
    fold.state.legs[event.leg].cut_after_s = cut_after_ms / 1000 if isinstance(cut_after_ms, int) and cut_after_ms > 0 else None


def credit_limited(fold: Indexes, event: ev.CreditLimited, now: float) -> None:
    fold.limit(fold.state.legs[event.leg], limits.BUDGET, event.at, now)


def leg_held(fold: Indexes, event: ev.LegHeld, now: float) -> None:
    leg = fold.state.legs[event.leg]
    fold.step_leg(leg, legs.Input.HELD_BY_PHONE if event.by is None else legs.Input.HELD, now)
    call = fold.state.calls[leg.call]
    if call.state in calls.TALKING:
        fold.step_call(call, calls.Input.HELD, now)


def leg_retrieved(fold: Indexes, event: ev.LegRetrieved, now: float) -> None:
    leg = fold.state.legs[event.leg]
    # Words of version 1 do not say whose hold is over, and knew one hold at a time.
    at_desk = event.by is not None or leg.state is legs.State.HELD
    fold.step_leg(leg, legs.Input.RETRIEVED if at_desk else legs.Input.RETRIEVED_BY_PHONE, now)
    call = fold.state.calls[leg.call]
    still_held = any(fold.state.legs[one].state in legs.ON_HOLD for one in call.legs)
    if calls.Input.RETRIEVED in CALL[call.state] and not still_held:
        fold.step_call(call, calls.Input.RETRIEVED, now)


def page_lost(fold: Indexes, event: ev.PartyLost, now: float) -> None:
    leg = fold.state.legs[event.leg]
    leg.lost = s.Lost(agent=event.agent, why=event.why, since=now, until=event.until, holds=event.holds)
    fold.timers.start(name(Timer.PAGE_LOST, leg.id), event.until)


def page_back(fold: Indexes, event: ev.PartyBack, _now: float) -> None:
    fold.state.legs[event.leg].lost = None
    fold.timers.stop(name(Timer.PAGE_LOST, event.leg))


def leg_replaced(fold: Indexes, event: ev.LegReplaced, now: float) -> None:
    """Whoever was on hold at the desk still is; what the old leg's phone held for is over."""
    state, call = fold.state, fold.state.calls[event.call]
    old, new = state.legs[event.replaces], state.legs[event.leg]
    new.replaces = None

    def instead(one: LegId) -> LegId:
        return new.id if one == old.id else one

    call.parties = [instead(one) for one in call.parties]
    call.party = instead(call.party) if call.party is not None else None
    if call.consultation is not None:
        call.consultation.leg = instead(call.consultation.leg)
        call.consultation.held = [instead(one) for one in call.consultation.held]
        call.consultation.party = instead(call.consultation.party) if call.consultation.party is not None else None
    if event.held:
        fold.step_leg(new, legs.Input.HELD, now)
    still_held = any(state.legs[one].state in legs.ON_HOLD for one in call.legs if one != old.id)
    if calls.Input.RETRIEVED in CALL[call.state] and not still_held:
        fold.step_call(call, calls.Input.RETRIEVED, now)


def one_way_audio(fold: Indexes, event: ev.OneWayAudioFound, _now: float) -> None:
    fold.state.legs[event.leg].one_way = event.direction


def leg_cleared(fold: Indexes, event: ev.LegCleared, now: float) -> None:
    state = fold.state
    leg = state.legs[event.leg]
    failed = event.cause in _FAILURES and legs.Input.FAILED in LEG[leg.state]
    fold.step_leg(leg, legs.Input.FAILED if failed else legs.Input.CLEARED, now)
    del state.legs[event.leg]
    if leg.lost is not None:
        fold.timers.stop(name(Timer.PAGE_LOST, leg.id))
    if leg.limits:
        fold.timers.stop(name(Timer.TIME_LIMIT, leg.id))
        fold.timers.stop(name(Timer.WARN, leg.id))
    call = state.calls[leg.call]
    call.legs.remove(event.leg)
    if event.leg in call.parties:
        call.parties.remove(event.leg)
    if call.supervisions and not any(state.legs[one].agent == leg.agent for one in call.legs):  # or its agent has another leg
        part = {*call.parties, call.party, *(call.consultation.held if call.consultation is not None else ())}
        for one in [one for one, known in call.supervisions.items() if known.agent == leg.agent and one in part]:
            _stop_supervising(fold, call, one)
    _stop_supervising(fold, call, event.leg)
    if call.consultation is not None and event.leg in call.consultation.held:
        call.consultation.held.remove(event.leg)
    if call.early == event.leg:
        call.early = None
    if call.party == event.leg:
        call.party = call.parties[0] if len(call.parties) > 1 else None
    state.ended_legs[event.leg] = (leg.call, now)


def leg_measured(fold: Indexes, event: ev.LegMeasured, _now: float) -> None:
    fold.state.ended_legs.pop(event.leg, None)


def call_established(fold: Indexes, event: ev.CallEstablished, now: float) -> None:
    call = fold.state.calls[event.call]
    fold.step_call(call, calls.Input.ESTABLISHED, now)
    call.parties = [event.a, event.b]
    call.early = None
    call.forward = None
    call.looping = False
    contact = fold.state.contacts[event.call]
    contact.hops = 0
    contact.not_yet = False
    for one in call.parties:
        leg = fold.state.legs[one]
        leg.play = leg.purpose = None
    _hold_if_somebody_does(fold, call, now)


def _hold_if_somebody_does(fold: Indexes, call: s.Call, now: float) -> None:
    if calls.Input.HELD in CALL[call.state] and any(fold.state.legs[one].state in legs.ON_HOLD for one in call.parties):
        fold.step_call(call, calls.Input.HELD, now)


def early_media_passed(fold: Indexes, event: ev.EarlyMediaPassed, _now: float) -> None:
    fold.state.calls[event.call].early = event.leg


def call_consulted(fold: Indexes, event: ev.CallConsulted, now: float) -> None:
    call, contact = fold.state.calls[event.call], fold.state.contacts[event.call]
    fold.step_call(call, calls.Input.CONSULTED, now)
    held = [one for one in call.parties if one != event.leg]
    call.consultation = s.Consultation(leg=event.leg, by=event.by, to=event.to, held=held, queue=contact.queue, party=call.party)
    call.party = event.leg
    call.parties = []
    _stop_supervising(fold, call, event.leg)
    _begin_anew(call, contact)


def _stop_supervising(fold: Indexes, call: s.Call, leg: LegId) -> None:
    """Who has barged in and now consults or transfers is a party as any other; or the leg is gone."""
    if call.supervisions.pop(leg, None) is not None and not call.supervisions:
        fold.supervised.discard(call.id)


def _begin_anew(call: s.Call, contact: s.Contact) -> None:
    """It goes to another target, or back from one."""
    contact.queue = None
    call.forward = None
    call.looping = False
    call.ending = None
    call.trunks_tried = []


def consultation_alternated(fold: Indexes, event: ev.ConsultationAlternated, now: float) -> None:
    call = fold.state.calls[event.call]
    consultation = _consultation(call)
    consultation.alternated = not consultation.alternated
    call.since = now


def consultation_ended(fold: Indexes, event: ev.ConsultationEnded, now: float) -> None:
    call, contact = fold.state.calls[event.call], fold.state.contacts[event.call]
    consultation = _consultation(call)
    asked = [one for one in call.parties if one != consultation.leg]
    call.consultation = None
    if event.then == "handed_on":
        _hand_on(fold, call, consultation, now)
        return
    call.parties = event.parties(consultation.held, asked)
    call.party = consultation.party if consultation.party in call.parties else call.parties[0]
    queue = contact.queue if asked and contact.queue is not None else consultation.queue
    _begin_anew(call, contact)
    contact.queue = queue
    contact.not_yet = False
    fold.step_call(call, calls.Input.RECONNECTED, now)
    _hold_if_somebody_does(fold, call, now)


def _hand_on(fold: Indexes, call: s.Call, consultation: s.Consultation, now: float) -> None:
    """The call stands where who consulted stood: in a queue, before a menu, at phones that ring."""
    call.party = consultation.held[0]
    call.referral = s.Referral(leg=consultation.leg, by=consultation.by, to=consultation.to, queue=consultation.queue, asked=False)
    fold.step_call(call, calls.Input.HANDED_ON, now)
    contact = fold.state.contacts[call.id]
    if contact.entry is not None:
        fold.step_call(call, calls.Input.QUEUED, now)
        if fold.state.entries[contact.entry].offer is not None:
            fold.step_call(call, calls.Input.DELIVERED, now)
    elif call.menu is not None:
        fold.step_call(call, calls.Input.TREATED, now)
    elif call.ending is not None:  # what was said to who consulted is said to who was held, from its beginning
        call.ending = None
    else:
        fold.step_call(call, calls.Input.DELIVERED, now)


def _consultation(call: s.Call) -> s.Consultation:
    if call.consultation is None:
        raise BrokenHistory(f"nobody consults in call {call.id}")
    return call.consultation


def supervision_requested(fold: Indexes, event: ev.SupervisionRequested, _now: float) -> None:
    fold.state.agents[event.agent].wants_to_supervise = event.supervised
    if event.supervised is None:
        fold.listeners.discard(event.agent)
    else:
        fold.listeners.add(event.agent)


def supervision_began(fold: Indexes, event: ev.SupervisionBegan, _now: float) -> None:
    fold.state.calls[event.call].supervisions[event.leg] = s.Supervision(by=event.by, agent=event.agent, mode=event.mode)
    fold.supervised.add(event.call)


def supervision_changed(fold: Indexes, event: ev.SupervisionChanged, _now: float) -> None:
    call = fold.state.calls[event.call]
    supervision = call.supervisions[event.leg]
    supervision.mode = event.mode
    if event.mode == "barge" and supervision.joined:
        call.parties.append(event.leg)
    elif event.leg in call.parties:
        call.parties.remove(event.leg)


def call_held(fold: Indexes, event: ev.CallHeld, now: float) -> None:
    agent = fold.state.agents[event.by]
    fold.step_work(agent, agent.works[event.call], works.Input.HELD, now)


def call_retrieved(fold: Indexes, event: ev.CallRetrieved, now: float) -> None:
    agent = fold.state.agents[event.by]
    fold.step_work(agent, agent.works[event.call], works.Input.RETRIEVED, now)


def call_referred(fold: Indexes, event: ev.CallReferred, now: float) -> None:
    call = fold.state.calls[event.call]
    referral = s.Referral(leg=event.leg, by=event.by, to=event.to, queue=fold.state.contacts[event.call].queue)
    _part_pair(fold, call, event.by, now)
    _stop_supervising(fold, call, event.leg)
    call.referral = referral


def referral_failed(fold: Indexes, event: ev.ReferralFailed, _now: float) -> None:
    call = fold.state.calls[event.call]
    if call.referral is None:
        raise BrokenHistory(f"call {call.id} was not referred: its referral cannot fail")
    fold.state.contacts[event.call].queue = call.referral.queue
    call.forward = call.referral = None
    call.looping = False


def call_transferred(fold: Indexes, event: ev.CallTransferred, now: float) -> None:
    call = fold.state.calls[event.call]
    if call.referral is not None:  # parted long ago; the call is where it is
        call.referral = None
    else:
        _part_pair(fold, call, event.by, now)


def _part_pair(fold: Indexes, call: s.Call, by: AgentId, now: float) -> None:
    """The party that is not this agent's is the one to be served from now on."""
    fold.step_call(call, calls.Input.TRANSFERRED, now)
    for one in call.parties:
        _stop_supervising(fold, call, one)
    if call.parties:
        call.party = next((one for one in call.parties if fold.state.legs[one].agent != by), call.parties[-1])
    call.parties = []
    call.forward = None
    fold.state.contacts[call.id].queue = None
    call.trunks_tried = []


def call_forwarded(fold: Indexes, event: ev.CallForwarded, _now: float) -> None:
    call = fold.state.calls[event.call]
    if event.reason == "redirected":
        call.redirects += 1
        before = call.forward
        call.forward = s.Forward(
            number=event.number,
            reason=before.reason if before else event.reason,
            by=before.by if before else event.by,
            supervisor=before.supervisor if before else None,
        )
    else:
        call.forward = s.Forward(number=event.number, reason=event.reason, by=event.by, supervisor=event.supervisor)
    call.trunks_tried = []
    fold.state.contacts[event.call].hops += 1


def forward_loop_found(fold: Indexes, event: ev.ForwardLoopFound, _now: float) -> None:
    for one in event.rounds:
        if (call := fold.state.calls.get(one)) is not None:
            call.looping = True


def call_cleared(fold: Indexes, event: ev.CallCleared, now: float) -> None:
    state = fold.state
    call = state.calls[event.call]
    fold.step_call(call, calls.Input.CLEARED, now)
    fold.supervised.discard(call.id)
    if call.legs:
        raise BrokenHistory(f"call {call.id} is cleared with legs left: {call.legs}")
    fold.timers.stop(name(Timer.MENU, call.id))
    fold.timers.stop(name(Timer.PIN, call.id))
    del state.calls[event.call], state.contacts[event.call]
    prune(state.ended_legs, now - KEEP_ENDED_LEGS_S)
    prune(state.recordings, now - KEEP_RECORDINGS_S)


def menu_entered(fold: Indexes, event: ev.MenuEntered, now: float) -> None:
    call = fold.state.calls[event.call]
    fold.step_call(call, calls.Input.TREATED, now)
    call.menu = event.menu
    call.menu_plays = 0
    fold.state.contacts[event.call].hops += 1


def menu_left(fold: Indexes, event: ev.MenuLeft, _now: float) -> None:
    call = fold.state.calls[event.call]
    call.menu = None
    if event.language is not None:
        fold.state.contacts[event.call].language = event.language
    fold.timers.stop(name(Timer.MENU, call.id))


def digit_received(fold: Indexes, event: ev.DigitReceived, _now: float) -> None:
    fold.state.contacts[event.call].hops = 0


def sounds_started(fold: Indexes, event: ev.SoundsStarted, now: float) -> None:
    leg = fold.state.legs[event.leg]
    call = fold.state.calls[leg.call]
    leg.play = event.play
    leg.purpose = event.purpose
    leg.sounds, leg.loops = event.sounds, event.loop
    leg.plays += 1
    contact = fold.state.contacts[leg.call]
    contact.not_yet = event.purpose == "notice"
    match event.purpose:
        case "menu":
            call.menu_plays += 1
            fold.timers.stop(name(Timer.MENU, call.id))
        case "music":
            queue = fold.index.queues.get(contact.queue) if contact.queue is not None else None
            if queue is not None and queue.announce_position and queue.announce_every_s > 0:
                fold.timers.start(name(Timer.ANNOUNCE, call.id), now + queue.announce_every_s)
        case "position":
            fold.timers.stop(name(Timer.ANNOUNCE, call.id))
        case _:
            pass


def sounds_finished(fold: Indexes, event: ev.SoundsFinished, now: float) -> None:
    leg = fold.state.legs[event.leg]
    call = fold.state.calls[leg.call]
    purpose = leg.purpose
    leg.play = leg.purpose = None
    match purpose:
        case "menu" if call.menu is not None:
            menu = fold.index.menus.get(call.menu)
            fold.timers.start(name(Timer.MENU, call.id), now + (menu.timeout_s if menu is not None else 0.0))
        case "party_notice" if event.outcome == "finished" and not event.left_out:
            call.told.append(leg.id)
        case "notice":
            _heard_notice(fold, call, leg, event.outcome == "finished" and not event.left_out)
            fold.state.contacts[leg.call].not_yet = False
            fold.routing_needed = True
        case _:
            pass


def _heard_notice(fold: Indexes, call: s.Call, leg: s.Leg, heard: bool) -> None:
    """What was said in it is what its queue has to say."""
    queue_id = fold.state.contacts[call.id].queue
    queue = fold.index.queues.get(queue_id) if queue_id is not None else None
    says_recorded = heard and (queue is None or queue.record or not queue.supervised)
    if says_recorded and leg.id not in call.told:
        call.told.append(leg.id)
    call.notice_heard = call.notice_heard or says_recorded
    if heard and queue is not None and queue.supervised and leg.agent is None:  # an agent who asks a queue has told the caller nothing
        call.supervision_told = True


def sounds_stopped(fold: Indexes, event: ev.SoundsStopped, _now: float) -> None:
    leg = fold.state.legs[event.leg]
    if leg.purpose == "notice":
        fold.state.contacts[leg.call].not_yet = False
    leg.play = leg.purpose = None


def announcement_began(fold: Indexes, event: ev.AnnouncementBegan, now: float) -> None:
    call = fold.state.calls[event.call]
    fold.step_call(call, calls.Input.TREATED, now)
    call.ending = event.cause


HANDLERS: Handlers = {
    ev.CallOffered: call_offered,
    ev.LegInitiated: leg_initiated,
    ev.LegAlerted: leg_alerted,
    ev.LegConnected: leg_connected,
    ev.LegProtected: leg_protected,
    ev.LegQuoted: leg_quoted,
    ev.CreditLimited: credit_limited,
    ev.LegHeld: leg_held,
    ev.LegRetrieved: leg_retrieved,
    ev.PartyLost: page_lost,
    ev.PartyBack: page_back,
    ev.LegReplaced: leg_replaced,
    ev.OneWayAudioFound: one_way_audio,
    ev.LegCleared: leg_cleared,
    ev.LegMeasured: leg_measured,
    ev.EarlyMediaPassed: early_media_passed,
    ev.CallEstablished: call_established,
    ev.CallConsulted: call_consulted,
    ev.ConsultationAlternated: consultation_alternated,
    ev.ConsultationEnded: consultation_ended,
    ev.SupervisionRequested: supervision_requested,
    ev.SupervisionBegan: supervision_began,
    ev.SupervisionChanged: supervision_changed,
    ev.CallHeld: call_held,
    ev.CallRetrieved: call_retrieved,
    ev.CallReferred: call_referred,
    ev.ReferralFailed: referral_failed,
    ev.CallTransferred: call_transferred,
    ev.CallForwarded: call_forwarded,
    ev.ForwardLoopFound: forward_loop_found,
    ev.CallCleared: call_cleared,
    ev.MenuEntered: menu_entered,
    ev.MenuLeft: menu_left,
    ev.DigitReceived: digit_received,
    ev.SoundsStarted: sounds_started,
    ev.SoundsFinished: sounds_finished,
    ev.SoundsStopped: sounds_stopped,
    ev.AnnouncementBegan: announcement_began,
}
