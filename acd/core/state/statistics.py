"""Figures of queues and agents: one fold over the journal for live board and report alike, each formula once (U14, STYLE §2.5).

Daily figures begin again at midnight in the tenant's zone (docs/figures.md §8). What becomes of a contact is counted on the day it arrived
in the queue; beside it stands what was answered and abandoned on a day, whenever it arrived. Presence is parted at midnight.
Thresholds are those configured when a stay ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from acd.core import events as ev
from acd.core import schedule
from acd.core.configuration import Queue, Zone
from acd.core.configuration_changes import SettingsPut, touched
from acd.core.ids import AgentId, CallId, ContactId, EntryId, LegId, QueueId


class _Part(msgspec.Struct, kw_only=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base: mutable, by keyword; written whole, see `acd.core.state.values`."""


class QueueTally(_Part, kw_only=True):
    """What happened in a queue today."""

    offered: int = 0
    """Contacts that entered (CSTA Queued)."""
    answered: int = 0
    abandoned: int = 0
    """Short abandons included."""
    short_abandoned: int = 0
    overflowed: int = 0
    exited: int = 0
    closed: int = 0
    withdrawn: int = 0
    answered_in_time: int = 0
    """Within `service_level_s`."""
    abandoned_in_time: int = 0
    answer_wait_s: float = 0.0
    """Sum of the waits of the answered."""
    answered_this_day: int = 0
    """The other attribution: taken on this day, whenever they arrived."""
    abandoned_this_day: int = 0
    abandon_wait_s: float = 0.0
    longest_wait_s: float = 0.0
    handled: int = 0
    """Conversations that are over, after-call work included."""
    talk_s: float = 0.0
    hold_s: float = 0.0
    wrap_s: float = 0.0


class AgentTally(_Part, kw_only=True):
    """What an agent did today."""

    offered: int = 0
    """Offers and direct calls that ended or were taken, whatever their outcome."""
    answered: int = 0
    """Contacts taken: from a queue, directly, by a transfer."""
    head_starts: dict[QueueId, float] = {}
    """By queue of `fewest_calls`: what who joined it is credited with there, so as not to be given all that the others have had before."""
    no_answer: int = 0
    declined: int = 0
    failed: int = 0
    handled: int = 0
    outbound: int = 0
    talk_s: float = 0.0
    hold_s: float = 0.0
    wrap_s: float = 0.0
    idle_s: float = 0.0
    """Ready and without work."""
    busy_s: float = 0.0
    not_ready_s: float = 0.0


Presence = Literal["off", "not_ready", "idle"]


class _OpenWork(_Part, kw_only=True):
    contact: ContactId
    queue: QueueId | None
    kind: str
    day: int = 0
    """On which its contact arrived."""
    connected_at: float | None = None
    mark: float = 0.0
    """Since when the present part (talk, hold, wrap) runs."""
    part: Literal["ring", "talk", "hold", "wrap"] = "ring"
    talk_s: float = 0.0
    hold_s: float = 0.0
    wrap_s: float = 0.0


class _Talk(_Part, kw_only=True):
    """Legs in conversation."""

    parties: list[LegId]
    consulting: LegId | None = None
    """It holds the ones below to ask somebody, or speaks with them and holds who was asked."""
    held: list[LegId] = []
    alternated: bool = False


class _Clock(_Part, kw_only=True):
    presence: Presence = "off"
    since: float = 0.0


class Statistics(_Part, kw_only=True):
    """The state of this fold."""

    zone: Zone = Zone()
    day: int = 0
    day_ends_at: float = 0.0
    queues: dict[QueueId, QueueTally] = {}
    agents: dict[AgentId, AgentTally] = {}
    in_time_s: dict[QueueId, tuple[float, float]] = {}
    """Queue -> (service level threshold, short abandon threshold)."""
    earlier: dict[str, dict[QueueId, QueueTally]] = {}
    """Days before this one of which a contact is not settled yet, by their ordinal."""
    waiting: dict[EntryId, tuple[QueueId, float, int]] = {}
    """Entry -> queue, since when, day."""
    arrived: dict[ContactId, int] = {}
    """Contact -> day on which it arrived in the queue it came from last."""
    works: dict[AgentId, dict[ContactId, _OpenWork]] = {}
    agents_on: dict[ContactId, list[AgentId]] = {}
    talks: dict[CallId, _Talk] = {}
    legs: dict[LegId, tuple[CallId, AgentId | None]] = {}
    """Leg -> its call, and whose phone it is."""
    holding: list[LegId] = []
    """Legs that hold, whoever they talk with, in the order in which they began."""
    clocks: dict[AgentId, _Clock] = {}


# ---------------------------------------------------------------------- the formulas


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def average_speed_of_answer(tally: QueueTally) -> float | None:
    """ASA = sum of waits of answered contacts / answered; ringing included, because the caller waits through it."""
    return _ratio(tally.answer_wait_s, tally.answered)


def service_level(tally: QueueTally) -> float | None:
    """Answered in time / (answered + abandoned - short abandons + overflowed + exited): every caller who came and meant it counts.

    Who was withdrawn is not in it: that is the house's doing and says nothing of how fast it answers. The house figure.
    """
    return _ratio(tally.answered_in_time, tally.answered + tally.abandoned - tally.short_abandoned + tally.overflowed + tally.exited)


def service_level_of_answered(tally: QueueTally) -> float | None:
    """Answered in time / answered, as Asterisk's first figure; flatters a queue that people leave."""
    return _ratio(tally.answered_in_time, tally.answered)


def service_level_with_abandons(tally: QueueTally) -> float | None:
    """(Answered + abandoned in time) / (answered + abandoned), as Asterisk's second figure."""
    return _ratio(tally.answered_in_time + tally.abandoned_in_time, tally.answered + tally.abandoned)


def abandon_rate(tally: QueueTally) -> float | None:
    """(Abandoned - short) / (answered + abandoned - short): who hung up at once never waited."""
    return _ratio(tally.abandoned - tally.short_abandoned, tally.answered + tally.abandoned - tally.short_abandoned)


def average_handle_time(tally: QueueTally | AgentTally) -> float | None:
    """AHT = (talk + hold + after-call work) / handled."""
    return _ratio(tally.talk_s + tally.hold_s + tally.wrap_s, tally.handled)


def leaves_per_s(tally: QueueTally, waited_s: float) -> float:
    """The rate at which callers of a queue give up: abandonments / time waited, of all who came.

    Args:
        waited_s: what those who wait now have waited.
    """
    return tally.abandoned / whole if (whole := tally.answer_wait_s + tally.abandon_wait_s + waited_s) > 0 else 0.0


def occupancy(tally: AgentTally) -> float | None:
    """Time with work / (time with work + ready without work); breaks and ringing-free pauses do not count."""
    return _ratio(tally.busy_s, tally.busy_s + tally.idle_s)


# ---------------------------------------------------------------------- the fold


def _queue(s: Statistics, queue: QueueId, day: int | None = None) -> QueueTally:
    """Tally of a queue on a day; None: today."""
    tallies = s.queues if day is None or day == s.day else s.earlier.setdefault(str(day), {})
    tally = tallies.get(queue)
    if tally is None:
        tally = tallies[queue] = QueueTally()
    return tally


def agent_tally(s: Statistics, agent: AgentId) -> AgentTally:
    """Tally of an agent, made on first sight."""
    tally = s.agents.get(agent)
    if tally is None:
        tally = s.agents[agent] = AgentTally()
    return tally


def _configured(s: Statistics, event: ev.ConfigurationChanged, _now: float) -> None:
    s.zone = event.configuration.zone
    s.in_time_s = {queue.id: _thresholds(queue) for queue in event.configuration.queues}


def _altered(s: Statistics, event: ev.ConfigurationAltered, _now: float) -> None:
    for change in event.changes:
        if isinstance(change, SettingsPut) and change.zone is not None:
            s.zone = change.zone
    for queue_id, queue in touched(event.changes)["queues"].items():
        if queue is None:
            s.in_time_s.pop(queue_id, None)
        else:
            s.in_time_s[queue_id] = _thresholds(queue)


def _thresholds(queue: Queue) -> tuple[float, float]:
    return float(queue.service_level_s), float(queue.short_abandon_s)


def _queued(s: Statistics, event: ev.Queued, now: float) -> None:
    s.waiting[event.entry] = (event.queue, now, s.day)
    s.arrived[event.contact] = s.day
    _queue(s, event.queue).offered += 1


def _queue_left(s: Statistics, event: ev.QueueLeft, now: float) -> None:
    queue, since, day = s.waiting.pop(event.entry)
    waited = now - since
    tally = _queue(s, queue, day)
    in_time, short = s.in_time_s.get(queue, (0.0, 0.0))
    tally.longest_wait_s = max(tally.longest_wait_s, waited)
    match event.outcome:
        case "answered":
            tally.answered += 1
            _queue(s, queue).answered_this_day += 1
            tally.answer_wait_s += waited
            tally.answered_in_time += waited <= in_time
        case "abandoned":
            tally.abandoned += 1
            _queue(s, queue).abandoned_this_day += 1
            tally.abandon_wait_s += waited
            tally.abandoned_in_time += waited <= in_time
            tally.short_abandoned += waited <= short
        case "overflowed":
            tally.overflowed += 1
        case "exited":
            tally.exited += 1
        case "closed":
            tally.closed += 1
        case "withdrawn":
            tally.withdrawn += 1


def _offer_ended(s: Statistics, event: ev.OfferEnded, _now: float) -> None:
    tally = agent_tally(s, event.agent)
    tally.offered += 1
    if event.detail != "supervisor":  # who declined was not the agent
        _count_outcome(tally, event.outcome)


def _count_outcome(tally: AgentTally, outcome: str) -> None:
    match outcome:
        case "answered":
            tally.answered += 1
        case "no_answer":
            tally.no_answer += 1
        case "declined":
            tally.declined += 1
        case "failed":
            tally.failed += 1
        case _:
            pass


def _presence(s: Statistics, agent: AgentId, presence: Presence, now: float) -> None:
    clock = s.clocks.get(agent)
    if clock is None:
        clock = s.clocks[agent] = _Clock(since=now)
    _add_presence(s, agent, clock, now)
    clock.presence = presence


def _add_presence(s: Statistics, agent: AgentId, clock: _Clock, now: float) -> None:
    """Book the time since the last change on what the agent was doing; work counts as busy, ready or not, but not before the shift."""
    elapsed = now - clock.since
    clock.since = now
    _book(s, agent, clock, agent_tally(s, agent), elapsed)


def _book(s: Statistics, agent: AgentId, clock: _Clock, tally: AgentTally, elapsed: float) -> None:
    if clock.presence == "off":
        return
    if s.works.get(agent):
        tally.busy_s += elapsed
    elif clock.presence == "idle":
        tally.idle_s += elapsed
    elif clock.presence == "not_ready":
        tally.not_ready_s += elapsed


def day_ends_at(s: Statistics, now: float) -> float:
    """When the day is over that `now` lies in, whether anything has happened on it yet or not."""
    return s.day_ends_at if now < s.day_ends_at else schedule.day_end(s.zone, now)[1]


def agent_at(s: Statistics, agent: AgentId, now: float) -> AgentTally:
    """The tally of an agent for the day `now` lies in, with the stretch that is running."""
    today = now < s.day_ends_at
    known = s.agents.get(agent) if today else None
    tally = msgspec.structs.replace(known) if known is not None else AgentTally()
    clock = s.clocks.get(agent)
    if clock is not None:
        since = clock.since if today else max(clock.since, _day_began(s, now))
        _book(s, agent, clock, tally, max(0.0, now - since))
    return tally


def credit(tally: AgentTally | None, queue: QueueId) -> float:
    """The head start in this queue."""
    return tally.head_starts.get(queue, 0.0) if tally is not None else 0.0


def contacts_had(tally: AgentTally | None, queue: QueueId) -> float:
    """Contacts taken today, with the head start in this queue: whoever has fewest is next there under `fewest_calls`."""
    return tally.answered + credit(tally, queue) if tally is not None else 0.0


def give_head_starts(
    s: Statistics, queue: QueueId, joining: list[AgentId], others: list[AgentId], now: float, *, even: bool = False
) -> None:
    """Whoever joins others is credited with what they have had on average, in this queue.

    Args:
        others: who is there and could take a contact of the queue, in a fixed order: they are added up. Not empty.
        even: nobody was there before, these come together (the queue has become one of `fewest_calls`): all are credited up to whoever of
            them has had most, since they were not kept even until now.
    """
    if now >= s.day_ends_at:
        _begin_day(s, now)
    had = [contacts_had(s.agents.get(one), queue) for one in others]
    level = max(had) if even else sum(had) / len(had)
    for agent in joining:
        mine = agent_tally(s, agent)
        if level - mine.answered > credit(mine, queue):
            mine.head_starts[queue] = level - mine.answered


def _logged_on(s: Statistics, event: ev.AgentLoggedOn, now: float) -> None:
    _presence(s, event.agent, "not_ready", now)


def _logged_off(s: Statistics, event: ev.AgentLoggedOff, now: float) -> None:
    _presence(s, event.agent, "off", now)


def _ready(s: Statistics, event: ev.AgentReady, now: float) -> None:
    _presence(s, event.agent, "idle", now)


def _not_ready(s: Statistics, event: ev.AgentNotReady, now: float) -> None:
    _presence(s, event.agent, "not_ready", now)


def _reserved(s: Statistics, event: ev.WorkReserved, now: float) -> None:
    clock = s.clocks.get(event.agent)
    if clock is None:
        clock = s.clocks[event.agent] = _Clock(since=now)
    _add_presence(s, event.agent, clock, now)
    day = s.arrived.get(event.contact, s.day) if event.queue is not None else s.day
    s.agents_on.setdefault(event.contact, []).append(event.agent)
    s.works.setdefault(event.agent, {})[event.contact] = _OpenWork(
        contact=event.contact, queue=event.queue, kind=event.kind, day=day, mark=now
    )


def _change_part(work: _OpenWork, part: Literal["ring", "talk", "hold", "wrap"], now: float) -> None:
    elapsed = now - work.mark
    work.mark = now
    match work.part:
        case "talk":
            work.talk_s += elapsed
        case "hold":
            work.hold_s += elapsed
        case "wrap":
            work.wrap_s += elapsed
        case "ring":
            pass
    work.part = part


def _work_of(s: Statistics, agent: AgentId, contact: ContactId) -> _OpenWork | None:
    return s.works.get(agent, {}).get(contact)


def _connected(s: Statistics, event: ev.WorkConnected, now: float) -> None:
    work = _work_of(s, event.agent, event.contact)
    if work is None:
        return
    work.connected_at = now
    _change_part(work, "talk", now)
    if work.kind == "direct":
        tally = agent_tally(s, event.agent)
        tally.offered += 1
        tally.answered += 1


def _initiated(s: Statistics, event: ev.LegInitiated, _now: float) -> None:
    s.legs[event.leg] = event.call, event.agent


def _established(s: Statistics, event: ev.CallEstablished, now: float) -> None:
    before = s.talks.get(event.call)
    if before is not None and before.consulting is not None:
        before.parties = [event.a, event.b]
    else:
        s.talks[event.call] = _Talk(parties=[event.a, event.b])
    _regard(s, event.call, now)


def _consulted(s: Statistics, event: ev.CallConsulted, now: float) -> None:
    talk = s.talks.get(event.call)
    if talk is not None:
        held = [one for one in talk.parties if one != event.leg]
        s.talks[event.call] = _Talk(parties=[event.leg], consulting=event.leg, held=held)
        _regard(s, event.call, now)


def _alternated(s: Statistics, event: ev.ConsultationAlternated, now: float) -> None:
    talk = s.talks.get(event.call)
    if talk is not None:
        talk.alternated = not talk.alternated
        _regard(s, event.call, now)


def _consultation_ended(s: Statistics, event: ev.ConsultationEnded, now: float) -> None:
    talk = s.talks.get(event.call)
    if talk is None or talk.consulting is None:
        return
    asked = [one for one in talk.parties if one != talk.consulting]
    if event.then == "handed_on":
        _part(s, event.call, now)
        return
    s.talks[event.call] = _Talk(parties=event.parties(talk.held, asked))
    _regard(s, event.call, now)


def _supervision_changed(s: Statistics, event: ev.SupervisionChanged, now: float) -> None:
    talk = s.talks.get(event.call)
    if talk is None:
        return
    if event.leg in talk.parties:
        talk.parties.remove(event.leg)
    if event.mode == "barge":
        talk.parties.append(event.leg)
    _regard(s, event.call, now)


def _transferred(s: Statistics, event: ev.CallTransferred | ev.CallReferred, now: float) -> None:
    _part(s, event.call, now)


def _part(s: Statistics, call: CallId, now: float) -> None:
    """The conversation is no more: an agent of it who stays on the line waits for the next, and neither talks nor holds."""
    if s.talks.pop(call, None) is None:
        return
    for agent in s.agents_on.get(call, ()):
        _set_part(s, agent, call, "ring", now)


def _set_part(s: Statistics, agent: AgentId, call: CallId, part: Literal["ring", "talk", "hold"], now: float) -> None:
    work = _work_of(s, agent, call)
    if work is not None and work.connected_at is not None and work.part not in {part, "wrap"}:
        _change_part(work, part, now)


def _held(s: Statistics, event: ev.LegHeld, now: float) -> None:
    if event.leg not in s.holding:
        s.holding.append(event.leg)
    _regard_call_of(s, event.leg, now)


def _retrieved(s: Statistics, event: ev.LegRetrieved, now: float) -> None:
    if event.still_held:
        return
    _let_go(s, event.leg)
    _regard_call_of(s, event.leg, now)


def _replaced(s: Statistics, event: ev.LegReplaced, now: float) -> None:
    """A hold of the desk goes on, that of the phone is over."""
    if event.held and event.replaces in s.holding:
        s.holding[s.holding.index(event.replaces)] = event.leg
    _let_go(s, event.replaces)
    talk = s.talks.get(event.call)
    if talk is None:
        return
    for group in (talk.parties, talk.held):
        group[:] = [event.leg if one == event.replaces else one for one in group]
    talk.consulting = event.leg if talk.consulting == event.replaces else talk.consulting
    _regard(s, event.call, now)


def _leg_cleared(s: Statistics, event: ev.LegCleared, now: float) -> None:
    _let_go(s, event.leg)
    call = _talks_in(s, event.leg)
    s.legs.pop(event.leg, None)
    if call is None:
        return
    talk = s.talks[call]
    for group in (talk.parties, talk.held):
        if event.leg in group:
            group.remove(event.leg)
    if talk.consulting is None and len(talk.parties) < 2:
        _part(s, call, now)
    else:
        _regard(s, call, now)


def _let_go(s: Statistics, leg: LegId) -> None:
    if leg in s.holding:
        s.holding.remove(leg)


def _talks_in(s: Statistics, leg: LegId) -> CallId | None:
    """The call that a leg is in conversation in."""
    known = s.legs.get(leg)
    talk = s.talks.get(known[0]) if known is not None else None
    return known[0] if known is not None and talk is not None and (leg in talk.parties or leg in talk.held) else None


def _regard_call_of(s: Statistics, leg: LegId, now: float) -> None:
    call = _talks_in(s, leg)
    if call is not None:
        _regard(s, call, now)


def _regard(s: Statistics, call: CallId, now: float) -> None:
    """The talk of an agent is a hold while it holds, or all others in its conversation do; of two, for both. Who asks somebody talks."""
    talk = s.talks[call]
    front, back = list(talk.parties), list(talk.held)
    if talk.alternated and talk.consulting is not None and talk.consulting in front:
        front.remove(talk.consulting)
        back.append(talk.consulting)
    for group in (front, back):
        for leg in group:
            agent = s.legs[leg][1] if leg in s.legs else None
            if agent is None:
                continue
            others = [one for one in group if one != leg]
            holds = (leg in s.holding or all(one in s.holding for one in others)) if others else leg != talk.consulting
            _set_part(s, agent, call, "hold" if holds else "talk", now)


def _wrapping(s: Statistics, event: ev.AfterCallWorkBegan, now: float) -> None:
    work = _work_of(s, event.agent, event.contact)
    if work is not None:
        _change_part(work, "wrap", now)


def _work_done(s: Statistics, event: ev.WorkDone, now: float) -> None:
    clock = s.clocks.get(event.agent)
    if clock is not None:
        _add_presence(s, event.agent, clock, now)
    work = s.works.get(event.agent, {}).pop(event.contact, None)
    if work is None:
        return
    on = s.agents_on[event.contact]
    on.remove(event.agent)
    if not on:
        del s.agents_on[event.contact]
    if work.connected_at is None:
        if work.kind == "direct":
            mine = agent_tally(s, event.agent)
            mine.offered += 1
            _count_outcome(mine, event.outcome)
        return
    if work.kind == "supervision":  # hearing others work is none of one's own
        return
    _change_part(work, "wrap", now)
    person = agent_tally(s, event.agent)
    person.outbound += work.kind == "outbound"
    tallies: list[QueueTally | AgentTally] = [person]
    if work.queue is not None:
        tallies.append(_queue(s, work.queue, work.day))
    for tally in tallies:
        tally.handled += 1
        tally.talk_s += work.talk_s
        tally.hold_s += work.hold_s
        tally.wrap_s += work.wrap_s


def _call_cleared(s: Statistics, event: ev.CallCleared, _now: float) -> None:
    s.arrived.pop(event.call, None)


def _contact_closed(s: Statistics, event: ev.ContactClosed, _now: float) -> None:
    s.arrived.pop(event.contact, None)


COUNTED: Final[dict[type, Callable[[Statistics, Any, float], None]]] = {
    ev.ConfigurationChanged: _configured,
    ev.ConfigurationAltered: _altered,
    ev.Queued: _queued,
    ev.QueueLeft: _queue_left,
    ev.OfferEnded: _offer_ended,
    ev.AgentLoggedOn: _logged_on,
    ev.AgentLoggedOff: _logged_off,
    ev.AgentReady: _ready,
    ev.AgentNotReady: _not_ready,
    ev.WorkReserved: _reserved,
    ev.WorkConnected: _connected,
    ev.LegInitiated: _initiated,
    ev.CallEstablished: _established,
    ev.CallConsulted: _consulted,
    ev.ConsultationAlternated: _alternated,
    ev.ConsultationEnded: _consultation_ended,
    ev.SupervisionChanged: _supervision_changed,
    ev.CallTransferred: _transferred,
    ev.CallReferred: _transferred,
    ev.LegHeld: _held,
    ev.LegRetrieved: _retrieved,
    ev.LegReplaced: _replaced,
    ev.LegCleared: _leg_cleared,
    ev.CallCleared: _call_cleared,
    ev.ContactClosed: _contact_closed,
    ev.AfterCallWorkBegan: _wrapping,
    ev.WorkDone: _work_done,
}
"""What an event does to the figures, for those that change one."""
_TELLS_THE_ZONE = frozenset({ev.ConfigurationChanged, ev.ConfigurationAltered})


def apply(s: Statistics, event: ev.Event, now: float) -> None:
    """Fold one event into the figures."""
    count = COUNTED.get(type(event))
    if count is not None:
        if now >= s.day_ends_at:
            turn_day(s, event, now)
        count(s, event, now)


def turn_day(s: Statistics, event: ev.Event, now: float) -> None:
    """The day is over before this event is counted."""
    if not s.day and type(event) in _TELLS_THE_ZONE:
        COUNTED[type(event)](s, event, now)  # whose midnight ends the first day; what is said twice is the same
    _begin_day(s, now)


def correct_day(s: Statistics, now: float) -> None:
    """After the clock was stepped: the figures go on if it is the same day, and begin again if not."""
    day, _ = schedule.day_end(s.zone, now)
    if day != s.day:
        _begin_day(s, now)


def _day_began(s: Statistics, now: float) -> float:
    """When the day began that `now` lies in and nothing has happened on yet: at midnight, and never before the last one was over, which
    another zone's midnight may have been.
    """
    return max(schedule.day_begin(s.zone, now), s.day_ends_at)


def _begin_day(s: Statistics, now: float) -> None:
    before, begin = s.day, _day_began(s, now)
    s.day, s.day_ends_at = schedule.day_end(s.zone, now)
    if before:
        s.earlier[str(before)] = s.queues
    unsettled = {day for _, _, day in s.waiting.values()} | {work.day for works in s.works.values() for work in works.values()}
    s.earlier = {str(day): s.earlier[str(day)] for day in sorted(unsettled) if str(day) in s.earlier and day != s.day}
    s.queues = {}
    s.agents = {}
    for clock in s.clocks.values():
        clock.since = max(clock.since, begin)
