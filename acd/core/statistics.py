"""Figures of queues and agents: one fold over the journal for live board and report alike, each formula once (U14, STYLE §2.5).

Daily figures begin again at midnight in the tenant's zone. A stay, a conversation or a pause is counted whole on the day it ends, so
nothing is counted twice and nothing is lost; thresholds are those configured when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from acd.core import events as e
from acd.core import schedule
from acd.core.configuration import Queue, TenantConfiguration
from acd.core.configuration_changes import touched
from acd.core.ids import AgentId, CallId, EntryId, QueueId


class _Part(msgspec.Struct, kw_only=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base: mutable, by keyword; written whole, see `acd.core.state`."""


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
    """Queue offers that ended, whatever their outcome."""
    answered: int = 0
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
    call: CallId
    queue: QueueId | None
    kind: str
    connected_at: float | None = None
    mark: float = 0.0
    """Since when the present part (talk, hold, wrap) runs."""
    part: Literal["ring", "talk", "hold", "wrap"] = "ring"
    talk_s: float = 0.0
    hold_s: float = 0.0
    wrap_s: float = 0.0


class _Clock(_Part, kw_only=True):
    presence: Presence = "off"
    since: float = 0.0


class Statistics(_Part, kw_only=True):
    """The state of this fold."""

    zone: str = schedule.DEFAULT_ZONE
    day: int = 0
    day_ends_at: float = 0.0
    queues: dict[QueueId, QueueTally] = {}
    agents: dict[AgentId, AgentTally] = {}
    in_time_s: dict[QueueId, tuple[float, float]] = {}
    """Queue -> (service level threshold, short abandon threshold)."""
    waiting: dict[EntryId, tuple[QueueId, float]] = {}
    works: dict[AgentId, dict[CallId, _OpenWork]] = {}
    clocks: dict[AgentId, _Clock] = {}


# ---------------------------------------------------------------------- the formulas


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def average_speed_of_answer(tally: QueueTally) -> float | None:
    """ASA = sum of waits of answered contacts / answered; ringing included, because the caller waits through it."""
    return _ratio(tally.answer_wait_s, tally.answered)


def service_level(tally: QueueTally) -> float | None:
    """Answered in time / (offered - short abandons - closed): every caller who came and meant it counts. The house figure."""
    return _ratio(
        tally.answered_in_time, tally.answered + tally.abandoned - tally.short_abandoned + tally.overflowed + tally.exited + tally.withdrawn
    )


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


def occupancy(tally: AgentTally) -> float | None:
    """Time with work / (time with work + ready without work); breaks and ringing-free pauses do not count."""
    return _ratio(tally.busy_s, tally.busy_s + tally.idle_s)


# ---------------------------------------------------------------------- the fold


def _queue(s: Statistics, queue: QueueId) -> QueueTally:
    tally = s.queues.get(queue)
    if tally is None:
        tally = s.queues[queue] = QueueTally()
    return tally


def agent_tally(s: Statistics, agent: AgentId) -> AgentTally:
    """Tally of an agent, made on first sight."""
    tally = s.agents.get(agent)
    if tally is None:
        tally = s.agents[agent] = AgentTally()
    return tally


def _configured(s: Statistics, event: e.ConfigurationChanged, _now: float) -> None:
    s.zone = zone_of(event.configuration)
    s.in_time_s = {queue.id: _thresholds(queue) for queue in event.configuration.queues}


def _altered(s: Statistics, event: e.ConfigurationAltered, _now: float) -> None:
    s.zone = event.zone or s.zone
    for queue_id, queue in touched(event.changes)["queues"].items():
        if queue is None:
            s.in_time_s.pop(queue_id, None)
        else:
            s.in_time_s[queue_id] = _thresholds(queue)


def zone_of(configuration: TenantConfiguration | None) -> str:
    """Where the tenant's days begin: at the midnights of its first schedule."""
    return configuration.schedules[0].timezone if configuration is not None and configuration.schedules else schedule.DEFAULT_ZONE


def _thresholds(queue: Queue) -> tuple[float, float]:
    return float(queue.service_level_s), float(queue.short_abandon_s)


def _queued(s: Statistics, event: e.Queued, now: float) -> None:
    s.waiting[event.entry] = (event.queue, now)
    _queue(s, event.queue).offered += 1


def _queue_left(s: Statistics, event: e.QueueLeft, now: float) -> None:
    queue, since = s.waiting.pop(event.entry)
    waited = now - since
    tally = _queue(s, queue)
    in_time, short = s.in_time_s.get(queue, (0.0, 0.0))
    tally.longest_wait_s = max(tally.longest_wait_s, waited)
    match event.outcome:
        case "answered":
            tally.answered += 1
            tally.answer_wait_s += waited
            tally.answered_in_time += waited <= in_time
        case "abandoned":
            tally.abandoned += 1
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


def _offer_ended(s: Statistics, event: e.OfferEnded, _now: float) -> None:
    tally = agent_tally(s, event.agent)
    tally.offered += 1
    match event.outcome:
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
    """Book the time since the last change on what the agent was doing; work counts as busy whatever the wish."""
    elapsed = now - clock.since
    clock.since = now
    if s.works.get(agent):
        agent_tally(s, agent).busy_s += elapsed
    elif clock.presence == "idle":
        agent_tally(s, agent).idle_s += elapsed
    elif clock.presence == "not_ready":
        agent_tally(s, agent).not_ready_s += elapsed


def _logged_on(s: Statistics, event: e.AgentLoggedOn, now: float) -> None:
    _presence(s, event.agent, "not_ready", now)


def _logged_off(s: Statistics, event: e.AgentLoggedOff, now: float) -> None:
    _presence(s, event.agent, "off", now)


def _ready(s: Statistics, event: e.AgentReady, now: float) -> None:
    _presence(s, event.agent, "idle", now)


def _not_ready(s: Statistics, event: e.AgentNotReady, now: float) -> None:
    _presence(s, event.agent, "not_ready", now)


def _reserved(s: Statistics, event: e.WorkReserved, now: float) -> None:
    clock = s.clocks.get(event.agent)
    if clock is None:
        clock = s.clocks[event.agent] = _Clock(since=now)
    _add_presence(s, event.agent, clock, now)
    s.works.setdefault(event.agent, {})[event.call] = _OpenWork(call=event.call, queue=event.queue, kind=event.kind, mark=now)


def _change_part(work: _OpenWork, part: Literal["talk", "hold", "wrap"], now: float) -> None:
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


def _work_of(s: Statistics, agent: AgentId, call: CallId) -> _OpenWork | None:
    return s.works.get(agent, {}).get(call)


def _connected(s: Statistics, event: e.WorkConnected, now: float) -> None:
    work = _work_of(s, event.agent, event.call)
    if work is not None:
        work.connected_at = now
        _change_part(work, "talk", now)


def _held(s: Statistics, event: e.CallHeld, now: float) -> None:
    work = _work_of(s, event.by, event.call)
    if work is not None:
        _change_part(work, "hold", now)


def _retrieved(s: Statistics, event: e.CallRetrieved, now: float) -> None:
    work = _work_of(s, event.by, event.call)
    if work is not None:
        _change_part(work, "talk", now)


def _wrapping(s: Statistics, event: e.AfterCallWorkBegan, now: float) -> None:
    work = _work_of(s, event.agent, event.call)
    if work is not None:
        _change_part(work, "wrap", now)


def _work_done(s: Statistics, event: e.WorkDone, now: float) -> None:
    clock = s.clocks.get(event.agent)
    if clock is not None:
        _add_presence(s, event.agent, clock, now)
    work = s.works.get(event.agent, {}).pop(event.call, None)
    if work is None or work.connected_at is None:
        return
    _change_part(work, "wrap", now)
    person = agent_tally(s, event.agent)
    person.outbound += work.kind == "outbound"
    tallies: list[QueueTally | AgentTally] = [person]
    if work.queue is not None:
        tallies.append(_queue(s, work.queue))
    for tally in tallies:
        tally.handled += 1
        tally.talk_s += work.talk_s
        tally.hold_s += work.hold_s
        tally.wrap_s += work.wrap_s


_FOLD: dict[type, Callable[[Statistics, Any, float], None]] = {
    e.ConfigurationChanged: _configured,
    e.ConfigurationAltered: _altered,
    e.Queued: _queued,
    e.QueueLeft: _queue_left,
    e.OfferEnded: _offer_ended,
    e.AgentLoggedOn: _logged_on,
    e.AgentLoggedOff: _logged_off,
    e.AgentReady: _ready,
    e.AgentNotReady: _not_ready,
    e.WorkReserved: _reserved,
    e.WorkConnected: _connected,
    e.CallHeld: _held,
    e.CallRetrieved: _retrieved,
    e.AfterCallWorkBegan: _wrapping,
    e.WorkDone: _work_done,
}
COUNTED = frozenset(_FOLD)
"""Kinds of events that change a figure."""


def apply(s: Statistics, event: e.Event, now: float) -> None:
    """Fold one event into the figures."""
    step = _FOLD.get(type(event))
    if step is None:
        return
    if now >= s.day_ends_at:
        _begin_day(s, now)
    step(s, event, now)


def correct_day(s: Statistics, now: float) -> None:
    """After the clock was stepped: the figures go on if it is the same day, and begin again if not."""
    day, _ = schedule.day_end(s.zone, now)
    if day != s.day:
        _begin_day(s, now)


def _begin_day(s: Statistics, now: float) -> None:
    s.day, s.day_ends_at = schedule.day_end(s.zone, now)
    s.queues = {}
    s.agents = {}
