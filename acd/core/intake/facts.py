"""What the lines report: each fact finds its leg, and what it means depends on what the leg is for. Stale facts are dropped and counted."""

from __future__ import annotations

from collections.abc import Collection

from acd.core import inputs as inp
from acd.core.channels import voice
from acd.core.configuration import Target, ToAgent, ToOutside
from acd.core.effects import AnswerReferrer, ReleaseLeg
from acd.core.errors import IllegalTransition
from acd.core.events import (
    ChannelAdjusted,
    CreditLimited,
    LegAlerted,
    LegAnsweredLate,
    LegConnected,
    LegMeasured,
    LegProtected,
    LegQuoted,
    OneWayAudioFound,
    RecordingKept,
    SoundsFinished,
)
from acd.core.intake import desk
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.state import bandwidth, limits
from acd.core.state import values as s
from acd.core.steps import audio, consultation, conversation, device, keys, lost_page, reach, recording, referral, supervision, treatment
from acd.core.steps.clearing import clear_call, end_leg, lines_of, told_of_end
from acd.core.steps.step import Step


def _offer(x: Step, leg: s.Leg) -> s.Offer | None:
    """The offer this leg rings for, while it is open."""
    return x.state.offers.get(leg.offer) if leg.offer is not None else None


def leg_alerting(x: Step, fact: inp.LegAlerting) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or leg.arrived or legs.Input.ALERTED not in legs.TRANSITIONS[leg.state]:
        x.drop(fact)
        return
    x.emit(LegAlerted(leg=leg.id, dialog=fact.dialog))
    if _offer(x, leg) is None:
        reach.alerted(x, x.state.calls[leg.call], leg)


def early_media_arrived(x: Step, fact: inp.EarlyMediaArrived) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or leg.arrived or leg.state in legs.ANSWERED:
        x.drop(fact)
        return
    if legs.Input.ALERTED in legs.TRANSITIONS[leg.state]:
        x.emit(LegAlerted(leg=leg.id, dialog=fact.dialog))
    call = x.state.calls[leg.call]
    has_nobody = leg.id == call.party or leg.id in call.supervisions  # a phone that is rung first, and who comes to listen
    if _offer(x, leg) is None and not has_nobody:  # a queue has its own music
        reach.spoke_early(x, call, leg)


def leg_answered(x: Step, fact: inp.LegAnswered) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None:
        # The answer crossed our CANCEL (RFC 3261 §9.1): nobody waits for this party any more.
        x.drop(fact)
        x.do(ReleaseLeg(leg=fact.leg, cause="answered_elsewhere"))
        return
    if leg.arrived:
        # Our own answer is confirmed; it counted from the moment it was given.
        return
    if legs.Input.CONNECTED not in legs.TRANSITIONS[leg.state]:
        x.drop(fact)
        return
    call = x.state.calls[leg.call]
    offer = _offer(x, leg)
    if offer is not None:
        voice.phone_taken(x, call, offer, leg, fact.dialog)
        return
    if leg.id in call.supervisions:
        supervision.joined(x, call, leg, fact.dialog)
        return
    if leg.replaces is not None:
        lost_page.taken_back(x, call, leg, fact.dialog)
        return
    x.emit(LegConnected(leg=leg.id, dialog=fact.dialog))
    if leg.id == call.party:
        desk.dialled_agent_answered(x, call)
    else:
        reach.answered(x, call, leg)


def protection_agreed(x: Step, fact: inp.ProtectionAgreed) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None:
        x.drop(fact)
    elif (leg.audio, leg.suite, leg.signalling) != (fact.audio, fact.suite, fact.signalling):
        x.emit(LegProtected(leg=leg.id, call=leg.call, audio=fact.audio, suite=fact.suite, signalling=fact.signalling))


def leg_shaped(x: Step, fact: inp.LegShaped) -> None:
    """The ledger holds what is on the line: a correction is no new channel, and is not refused."""
    leg = x.state.legs.get(fact.leg)
    counted = [line for line in lines_of(leg) if leg.id in _channels(x, line)] if leg is not None else []
    if leg is None or not counted:
        x.drop(fact)
        return
    for line in counted:
        ledger = x.state.lines[line]
        reckoned = bandwidth.degraded_kbits if leg.id in ledger.degraded else bandwidth.usual_kbits
        kbits, before = reckoned(fact.cost.kbits, _configured_kbits(x, leg)), ledger.channels[leg.id]
        if kbits != before:
            x.emit(
                ChannelAdjusted(
                    leg=leg.id,
                    line=line,
                    kbits=kbits,
                    reserved_kbits=ledger.reserved_kbits + kbits - before,
                    upload_kbits=bandwidth.upload_of(x.state.configuration, line) or 0,
                    shape=fact.cost.shape,
                )
            )


def _channels(x: Step, line: str) -> Collection[str]:
    ledger = x.state.lines.get(line)
    return ledger.channels if ledger is not None else ()


def _configured_kbits(x: Step, leg: s.Leg) -> int:
    """Below which a channel on the leg's line is not reckoned."""
    if leg.site is None and leg.trunk is not None:
        trunk = x.fold.index.trunks.get(leg.trunk)
        return trunk.channel_kbits if trunk is not None else 0
    agent = x.fold.index.agents.get(leg.agent) if leg.agent is not None else None
    return device.phone_of(x, agent).channel_kbits if agent is not None else 0


def leg_failed(x: Step, fact: inp.LegFailed) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or leg.arrived or legs.Input.FAILED not in legs.TRANSITIONS[leg.state]:
        x.drop(fact)
        return
    offer, call = _offer(x, leg), x.state.calls[leg.call]
    if leg.id in call.supervisions:
        supervision.left(x, leg, fact.cause, gone=True, q850=fact.q850)
    elif offer is not None and leg.agent is not None:
        voice.phone_failed(x, offer, leg.agent, fact.cause, fact.status)
    else:
        reach.failed(x, call, leg, fact.cause, status=fact.status, detail=fact.detail, moved_to=fact.moved_to, q850=fact.q850)


def leg_released(x: Step, fact: inp.LegReleased) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None:
        x.drop(fact)
        return
    offer = _offer(x, leg)
    if offer is not None:
        voice.phone_is_gone(x, offer, leg, fact.cause)
    else:
        gone(x, x.state.calls[leg.call], leg, fact.cause, fact.q850)


def gone(x: Step, call: s.Call, leg: s.Leg, cause: str, q850: int | None = None) -> None:
    """A leg that rings for no offer is not there any more: what that means depends on what it was to the call."""
    if leg.lost is not None:
        lost_page.give_up(x, call, leg, by="party", cause=cause, q850=q850)
    elif call.consultation is not None and leg.id == call.consultation.leg:
        consultation.consulting_left(x, call, leg, by="party", q850=q850)
    elif call.consultation is not None and leg.id in call.consultation.held:
        consultation.held_left(x, call, leg, cause, q850)
    elif call.consultation is not None and leg.id in call.parties:
        consultation.asked_left(x, call, leg, cause, q850)
    elif call.state in calls.TALKING and leg.id in call.parties:
        conversation.party_left(x, call, leg, cause, q850)
    elif leg.id in call.supervisions:
        supervision.left(x, leg, cause, gone=True, q850=q850)
    elif call.referral is not None and leg.id == call.referral.leg:
        referral.left(x, call, leg, by="party", q850=q850)
    elif leg.id == call.party:
        of_call = call.ending or ("abandoned" if cause in _WENT else cause)
        end_leg(x, leg, cause, "abandoned", by="party", q850=q850)
        clear_call(x, call, of_call, leg_cause=told_of_end(cause), outcome="abandoned", q850=q850)
    else:
        reach.failed(x, call, leg, "error", detail=cause, q850=q850)


_WENT = frozenset({"hang_up", "cancelled"})


def leg_held(x: Step, fact: inp.LegHeldByParty) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or legs.Input.HELD_BY_PHONE not in legs.TRANSITIONS[leg.state]:
        x.drop(fact)
        return
    conversation.hold(x, x.state.calls[leg.call], leg, None)


def leg_retrieved(x: Step, fact: inp.LegRetrievedByParty) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or legs.Input.RETRIEVED_BY_PHONE not in legs.TRANSITIONS[leg.state]:
        x.drop(fact)
        return
    call = x.state.calls[leg.call]
    if leg.lost is not None:  # it has spoken
        lost_page.back(x, call, leg)
    if legs.Input.RETRIEVED_BY_PHONE in legs.TRANSITIONS[leg.state]:
        conversation.retrieve(x, call, leg, None)


def page_lost(x: Step, fact: inp.PageLost) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or leg.agent is None or leg.lost is not None or leg.state not in legs.ANSWERED:
        x.drop(fact)
        return
    lost_page.lost(x, x.state.calls[leg.call], leg, fact.why)


def one_way_audio(x: Step, fact: inp.OneWayAudio) -> None:
    """Where somebody is to hear it; who is not listened to has nothing to say."""
    leg = x.state.legs.get(fact.leg)
    call = x.state.calls.get(leg.call) if leg is not None else None
    if leg is None or call is None or leg.one_way == fact.direction or all(leg.id not in pair for pair in audio.hears(x.state, call)):
        x.drop(fact)
        return
    x.emit(OneWayAudioFound(call=call.id, leg=leg.id, direction=fact.direction))


def page_back(x: Step, fact: inp.PageBack) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or leg.lost is None:
        x.drop(fact)
        return
    lost_page.back(x, x.state.calls[leg.call], leg)


def leg_referred(x: Step, fact: inp.LegReferred) -> None:
    """A blind transfer by the phone of an agent in conversation; every other one is refused, and the call stays as it is."""
    leg = x.state.legs.get(fact.leg)
    if leg is None:
        x.drop(fact)
        return
    call = x.state.calls[leg.call]
    if leg.agent is None:
        x.do(AnswerReferrer(leg=leg.id, refused="not_an_agent"))
    elif call.referral is not None or call.consultation is not None:
        x.do(AnswerReferrer(leg=leg.id, refused="under_way"))
    elif call.state not in calls.TALKING or leg.id not in call.parties:
        x.do(AnswerReferrer(leg=leg.id, refused="nobody_there"))
    elif len(call.parties) > 2:
        x.do(AnswerReferrer(leg=leg.id, refused="conference"))
    else:
        known = fact.colleague if fact.colleague in x.fold.index.agents else None
        own = ToAgent(agent=known) if known is not None else reach.own_target(x, fact.number)
        target: Target = own or ToOutside(number=fact.number)
        referral.begin(x, call, leg, leg.agent, conversation.describe(target))
        x.send_to(x, call, target, "transfer", leg.agent)


def digit_pressed(x: Step, fact: inp.DigitPressed) -> None:
    """Keys count in menus and queues; in a conversation they are the parties' own (card numbers!) and are not kept."""
    leg = x.state.legs.get(fact.leg)
    call = x.state.calls.get(leg.call) if leg is not None else None
    if leg is None or call is None:
        x.drop(fact)
    elif leg.id in call.supervisions:
        _hear_otherwise(x, call, leg, fact)
    elif leg.id != call.party:
        x.drop(fact)
    elif call.menu is not None:
        treatment.digit(x, call, leg, fact.digit)
    elif x.contact(call).entry is not None:
        voice.exit_key(x, call, leg, fact.digit)


def _hear_otherwise(x: Step, call: s.Call, leg: s.Leg, fact: inp.DigitPressed) -> None:
    mode = supervision.KEYS.get(fact.digit)
    if mode is None or leg.state not in legs.ANSWERED:
        x.drop(fact)
        return
    try:
        supervision.change(x, call, leg.id, mode)
    except IllegalTransition:
        x.drop(fact)  # who was not told is not listened to: the mode stays


def keys_pressed(x: Step, fact: inp.KeysPressed) -> None:
    """A command that an agent has keyed; what does not fit the moment does nothing."""
    leg = x.state.legs.get(fact.leg)
    if leg is None or leg.agent is None or not keys.pressed(x, x.state.calls[leg.call], leg, fact.keys):
        x.drop(fact)


def sounds_ended(x: Step, fact: inp.SoundsEnded) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is None or leg.play != fact.play:
        x.drop(fact)
        return
    purpose = leg.purpose
    x.emit(SoundsFinished(leg=leg.id, play=fact.play, outcome=fact.outcome, left_out=fact.left_out))
    call = x.state.calls[leg.call]
    if purpose == "announcement":
        if call.consultation is None or not consultation.given_back(x, call, call.ending or "announced"):
            clear_call(x, call, call.ending or "announced")
    elif purpose == "party_notice":
        if fact.outcome == "finished" and not fact.left_out:
            recording.told(x, call, leg)
    elif purpose is not None:
        voice.heard(x, call, leg, purpose)


def leg_priced(x: Step, fact: inp.LegPriced) -> None:
    if fact.leg in x.state.legs:
        x.emit(LegQuoted(leg=fact.leg, quote=fact.quote))
    else:
        x.drop(fact)


def credit_ends(x: Step, fact: inp.CreditEnds) -> None:
    leg = x.state.legs.get(fact.leg)
    if leg is not None and leg.state in legs.ANSWERED and leg.limits.get(limits.BUDGET) != fact.at:
        x.emit(CreditLimited(leg=leg.id, call=leg.call, at=fact.at, reason=fact.reason))
    else:
        x.drop(fact)


def leg_answered_late(x: Step, fact: inp.LegAnsweredLate) -> None:
    if fact.leg in x.state.legs:
        x.drop(fact)
    else:
        x.emit(LegAnsweredLate(leg=fact.leg, call=fact.call))


def recording_ended(x: Step, fact: inp.RecordingEnded) -> None:
    known = x.state.recordings.get(fact.recording)
    if known is None:
        x.drop(fact)
        return
    call = x.state.calls.get(known[0])
    begins_anew = fact.broke_off and call is not None and call.recording == fact.recording and len(call.parties) > 1
    x.emit(RecordingKept(recording=fact.recording, call=known[0], path=fact.path, duration_ms=fact.duration_ms, error=fact.error))
    if call is not None and begins_anew and not x.silent:
        recording.begin(x, call)


def quality_measured(x: Step, fact: inp.QualityMeasured) -> None:
    leg = x.state.legs.get(fact.leg)
    ended = x.state.ended_legs.get(fact.leg)
    call = leg.call if leg is not None else ended[0] if ended is not None else None
    if call is None:
        x.drop(fact)
        return
    x.emit(LegMeasured(leg=fact.leg, call=call, quality=fact.quality))
