"""State and indexes of one exchange, and the steps of its machines: what the handlers of events work with.

The machines' tables say what an event does to call, leg, agent, work, queue and entry; their actions are methods here. Indexes can be
computed from the state at any time (who is free, who stands where), so that no decision has to search.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from acd.core import schedule
from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import Queue, TenantConfiguration
from acd.core.configuration_changes import Change, touched
from acd.core.errors import BrokenHistory
from acd.core.events import TechnicallyNotReady
from acd.core.ids import VOICE, AgentId, CallId, EntryId, QueueId
from acd.core.machines import agent as agents
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import queue as queues
from acd.core.machines import queue_entry as entries
from acd.core.machines import work as works
from acd.core.state import capacity, limits, score
from acd.core.state import values as s
from acd.core.state.index import Index
from acd.core.state.line import Line, language_asked, line_of, own_skills
from acd.core.state.score import Rank, rank
from acd.core.state.timers import Timer, TimerTable, name

RETRY_PAUSE_S: Final = 5.0
"""Nobody is asked again for the same contact sooner: a phone that refuses by itself must not be rung without end."""
RETRY_AFTER_S: Final = 30.0
"""Nor sooner than this, while others who could take the contact have not been tried."""
KEEP_ENDED_LEGS_S: Final = 120.0
"""Quality and recordings come in after the end; RFC 3550 §6.3.7 lets a BYE take a few seconds."""
KEEP_RECORDINGS_S: Final = 86400.0

FREE: Final = "free"
CATEGORIES: Final = ("logged_off", "not_ready", "busy", "technically_not_ready", "unregistered", FREE)
"""Everybody configured is in exactly one for each channel; the first that applies."""

CHANGES_KEPT: Final = 4096
"""Then whoever keeps up with them begins anew: they would be kept for ever for queues that nobody calls."""

_COULD_BE_TRIED: Final = frozenset({FREE, "busy"})


class Categories:
    """Everybody configured by what is in the way of a contact of one channel."""

    __slots__ = ("members", "of")

    def __init__(self) -> None:
        self.members: dict[str, set[AgentId]] = {category: set() for category in CATEGORIES}
        self.of: dict[AgentId, str] = {}

    def put(self, agent: AgentId, category: str | None) -> None:
        before = self.of.pop(agent, None)
        if before is not None:
            self.members[before].discard(agent)
        if category is not None:
            self.members[category].add(agent)
            self.of[agent] = category


class Indexes:
    """One tenant's state with its indexes."""

    def __init__(self, state: s.State) -> None:
        self.state = state
        self.epoch = 0
        self.routing_needed = False
        """Somebody became free or began to wait since the distribution was last looked at."""
        self.somebody_left = False
        """An agent logged off in this step."""
        self.rebuild()

    def rebuild(self) -> None:
        """Compute every index from the state."""
        state = self.state
        self.index = Index(state)
        self.timers = TimerTable(state.timers)
        self.overflowing = {queue.id for queue in state.queues.values() if queues.Input.DRAINED in queues.TRANSITIONS[queue.state]}
        """Queues that will say so when they are no longer full."""
        self.availability: dict[str, Categories] = {VOICE: Categories()}
        """Channel -> who is free for it; of channels that somebody waits in, or has waited since the service runs, and of calls."""
        self.tried_entries: set[EntryId] = set()
        self.pickers = {agent.id for agent in state.agents.values() if agent.wants_to_pick}
        """Who has asked to pick and has not got anything yet."""
        self.listeners = {agent.id for agent in state.agents.values() if agent.wants_to_supervise is not None}
        """Who has asked by its phone to hear a conversation, and does not yet."""
        self.supervised = {call.id for call in state.calls.values() if call.supervisions}
        """Calls that a supervisor is at."""
        self.changed: list[AgentId] = []
        """Whose place among the others may have changed, in order; who keeps up with it knows how far it has read, and that it begins anew
        when `epoch` is another number."""
        self.epoch += 1
        self.buckets: dict[Line, list[Rank]] = {}
        """Who waits to be offered, by line: within one, everybody asks for the same."""
        self.order: dict[QueueId, list[Rank]] = {}
        """Everybody in a queue, those being offered too."""
        for entry in state.entries.values():
            self._know_channel(entry.channel)
            insort(self.order.setdefault(entry.queue, []), rank(entry))
            if entries.Input.OFFERED in entries.TRANSITIONS[entry.state]:
                insort(self.buckets.setdefault(line_of(entry), []), rank(entry))
            if entry.tried:
                self.tried_entries.add(entry.id)
        for agent in state.agents.values():
            self.categorise(agent)
        self._digested: tuple[TenantConfiguration | None, str] | None = None
        self.routing_needed = True

    # ------------------------------------------------------------------ questions

    def digest(self) -> str:
        """Sha256 of the canonical encoding of the whole state; the configuration goes in by a digest that is kept."""
        state = self.state
        if self._digested is None or self._digested[0] is not state.configuration:
            self._digested = state.configuration, _configuration_digest(state.configuration)
        digest = hashlib.sha256(self._digested[1].encode())
        for field in _HASHED:
            digest.update(_ENCODER.encode(getattr(state, field)))
        return digest.hexdigest()

    def position(self, entry: s.Entry) -> int:
        """Place in the queue, 1 is next."""
        return bisect_left(self.order[entry.queue], rank(entry)) + 1

    def is_reachable(self, agent: s.Agent) -> bool:
        """Whether the agent's phone can be rung: a device of ours is registered, one behind a trunk is there as long as the trunk is up.
        Its own while another sits there is not its phone.
        """
        configured = self.index.agents.get(agent.id)
        phone = self.index.phone_of(configured) if configured is not None else None
        if phone is None or phone.trunk is None:
            return any(one.unreachable_since is None for one in self.bindings_of(agent).values())
        known = self.state.trunks.get(phone.trunk)
        return phone.trunk in self.index.trunks and (known is None or known.up)

    def bindings_of(self, agent: s.Agent) -> dict[str, s.Binding]:
        """What is registered of the device that the agent is reached at."""
        if agent.at is None:
            return agent.bindings if agent.id not in self.index.guests else {}
        owner = self.state.agents.get(agent.at)
        return owner.bindings if owner is not None else {}

    def pages_of(self, agent: s.Agent) -> list[s.Binding]:
        """The browsers' pages that the agent is reached at, if it is reached at nothing else; else none."""
        configured = self.index.agents.get(agent.id)
        phone = self.index.phone_of(configured) if configured is not None else None
        if phone is None or phone.trunk is not None:
            return []
        bindings = list(self.bindings_of(agent).values())
        return bindings if all(one.is_page for one in bindings) else []

    def not_rung(self, agent: s.Agent) -> str | None:
        """Why nothing that needs a phone is offered to this agent: its page, or the line that it is on, is no good at the moment, or there
        is nothing that could be rung.
        """
        if not self.is_reachable(agent):
            return "technically_not_ready" if self.pages_of(agent) else "unregistered"
        has_bad_line = agent.line is not None and bool(agent.line.bad)
        return "technically_not_ready" if has_bad_line and self.pages_of(agent) else None

    def technically(self, agent: s.Agent) -> TechnicallyNotReady | None:
        """Why it is technically not ready, whatever it wishes; None: it is not."""
        pages = self.pages_of(agent)
        silent = [one.unreachable_since for one in pages if one.unreachable_since is not None]
        line = agent.line or s.PageLine()
        if pages and len(silent) == len(pages):
            reason: Literal["page_not_answering", "line"] = "page_not_answering"
            since = max(silent)
        elif pages and line.bad_since is not None:
            reason, since = "line", line.bad_since
        else:
            return None
        return TechnicallyNotReady(
            agent=agent.id, reason=reason, since=since, bad=tuple(line.bad), figures=dict(line.figures), measured_at=dict(line.measured_at)
        )

    @property
    def is_at_work(self) -> bool:
        """Calls are up, or somebody has work: what a crash would cut or interrupt. Mails of who only waits to leave are no reason."""
        if self.state.calls:
            return True
        works = ((agent, work) for agent in self.state.agents.values() for work in agent.works.values())
        return any(work.channel == VOICE or not agent.leaving for agent, work in works)

    def waiting(self, queue: QueueId) -> int:
        """How many stand in a queue, those being offered too."""
        return len(self.order.get(queue, ()))

    # ------------------------------------------------------------------ machines

    def step(self, table: Bound, subject: Any, step: StrEnum, now: float) -> None:
        edge = table[subject.state].get(step)
        if edge is None:
            raise BrokenHistory(f"{type(subject).__name__} {subject.id} is {subject.state}: {step} does not fit")
        subject.state = edge[0]
        for action in edge[1]:
            action(self, subject, now)

    def step_call(self, call: s.Call, step: calls.Input, now: float) -> None:
        self.step(CALL, call, step, now)
        call.since = now

    def step_contact(self, contact: s.Contact, step: calls.Input, now: float) -> None:
        """Of a call: its machine goes on with the queue's doings."""
        call = self.state.calls.get(CallId(contact.id)) if contact.channel == VOICE else None
        if call is not None:
            self.step_call(call, step, now)

    def step_leg(self, leg: s.Leg, step: legs.Input, now: float) -> None:
        self.step(LEG, leg, step, now)
        leg.since = now

    def step_agent(self, agent: s.Agent, step: agents.Input, now: float) -> None:
        before = agent.state
        self.step(AGENT, agent, step, now)
        if agent.state is not before or step is agents.Input.GO_NOT_READY:
            agent.since = now
        self.categorise(agent)

    def step_work(self, agent: s.Agent, work: s.Work, step: works.Input, now: float) -> None:
        edge = WORK[work.state].get(step)
        if edge is None:
            raise BrokenHistory(f"work of {agent.id} on {work.contact} is {work.state}: {step} does not fit")
        work.state = edge[0]
        work.since = now
        for action in edge[1]:
            action(self, agent, work)

    # ------------------------------------------------------------------ actions of the tables

    def stop_answer_timer(self, leg: s.Leg, _now: float) -> None:
        self.timers.stop(name(Timer.ANSWER, leg.id))

    def stop_queue_sounds(self, call: s.Call, _now: float) -> None:
        self.timers.stop(name(Timer.ANNOUNCE, call.id))

    def restart_idle_clock(self, agent: s.Agent, now: float) -> None:
        agent.idle_since = now

    def stay(self, agent: s.Agent, _now: float) -> None:
        agent.leaving = False

    def start_after_call_work(self, agent: s.Agent, work: s.Work) -> None:
        if work.until is not None:
            self.timers.start(name(Timer.AFTER_CALL_WORK, work_name(agent.id, work)), max(work.until, self.state.clock))

    def stop_after_call_work(self, agent: s.Agent, work: s.Work) -> None:
        self.timers.stop(name(Timer.AFTER_CALL_WORK, work_name(agent.id, work)))

    def set_next_change(self, queue: s.Queue, now: float) -> None:
        configured = self.index.queues.get(queue.id)
        change = schedule.next_change(self.index.schedule_of(configured), now) if configured is not None else None
        if change is None:
            self.timers.stop(name(Timer.HOURS, queue.id))
        else:
            self.timers.start(name(Timer.HOURS, queue.id), change)

    def stop_wait_limit(self, entry: s.Entry, _now: float) -> None:
        if entry.wait_limit_at is not None:
            self.timers.stop(name(Timer.WAIT, entry.id))

    def resume_wait_limit(self, entry: s.Entry, _now: float) -> None:
        if entry.wait_limit_at is not None:
            self.timers.start(name(Timer.WAIT, entry.id), entry.wait_limit_at)

    def stand_in_line(self, entry: s.Entry, _now: float) -> None:
        insort(self.buckets.setdefault(line_of(entry), []), rank(entry))
        self.routing_needed = True

    def step_out_of_line(self, entry: s.Entry, _now: float) -> None:
        _take_out(self.buckets, line_of(entry), rank(entry))
        if len(self.availability) > 1 and self.buckets:
            # Who was awaited for it is free for others, and who was given it may have room for more.
            self.routing_needed = True

    def leave(self, entry: s.Entry, now: float) -> None:
        _take_out(self.order, entry.queue, rank(entry))
        self.tried_entries.discard(entry.id)
        self.timers.stop(name(Timer.RELAX, entry.id))
        self.stop_wait_limit(entry, now)
        if entry.tried:
            self.timers.stop(name(Timer.RETRY, entry.id))
        del self.state.entries[entry.id]
        self.state.contacts[entry.contact].entry = None
        if len(self.availability) > 1:
            self.routing_needed = True  # somebody may have been kept for it who is free for others (`acd.core.routing.pick`)

    # ------------------------------------------------------------------ who waits, and for what

    def enter_line(self, entry: s.Entry, now: float) -> None:
        """It stands in its queue, and in the line of those who ask for the same."""
        self._know_channel(entry.channel)
        insort(self.order.setdefault(entry.queue, []), rank(entry))
        self.stand_in_line(entry, now)

    def ask_otherwise(self, entry: s.Entry, queue: Queue, relaxation: int, now: float) -> None:
        """What the contact asks for is what its queue, its own skills and its language come to at this relaxation."""
        contact = self.state.contacts[entry.contact]
        own = own_skills(contact)
        language = language_asked(queue, relaxation, contact.language)
        if (relaxation, language, own) == (entry.relaxation, entry.language, entry.skills):
            return
        in_line = entries.Input.OFFERED in entries.TRANSITIONS[entry.state]
        if in_line:
            self.step_out_of_line(entry, now)
        entry.relaxation, entry.language, entry.skills = relaxation, language, own
        if in_line:
            self.stand_in_line(entry, now)

    def prioritise(self, entry: s.Entry, queue: Queue, own_s: float | None, now: float) -> None:
        """It has this advantage from now on, and the place that comes of it."""
        in_line = entries.Input.OFFERED in entries.TRANSITIONS[entry.state]
        if in_line:
            self.step_out_of_line(entry, now)
        _take_out(self.order, entry.queue, rank(entry))
        entry.priority_s = score.advantage_s(queue, own_s)
        insort(self.order.setdefault(entry.queue, []), rank(entry))
        if in_line:
            self.stand_in_line(entry, now)

    # ------------------------------------------------------------------ business hours

    def hours_touched(self, changes: tuple[Change, ...]) -> set[QueueId]:
        """Queues whose business hours are others after these changes, which have not been made yet; without any change, all."""
        if not changes:
            return set(self.index.queues)
        changed = touched(changes)
        schedules, lines = changed["schedules"], changed["queues"]
        found = {one for one, new in lines.items() if new is not None}
        if schedules:
            found |= {one.id for one in self.index.queues.values() if one.schedule in schedules}
        return found

    def hours_moved(self, queue_id: QueueId, now: float) -> bool:
        """Whether the next opening or closing is not when it was when it was last looked at."""
        change = schedule.next_change(self.index.schedule_of(self.index.queues[queue_id]), now)
        return self.state.timers.get(name(Timer.HOURS, queue_id)) != change

    def forget_if_removed(self, agent: s.Agent, configured: Any) -> None:
        """Somebody who is not configured any more goes when the last work is done."""
        if agent.id in configured or agent.works or agent.state in agents.LOGGED_ON:
            return
        del self.state.agents[agent.id]
        self.index.costs.pop(agent.id, None)
        self.pickers.discard(agent.id)
        self.listeners.discard(agent.id)
        self.timers.stop(name(Timer.BINDING, agent.id))
        for known in self.availability.values():
            known.put(agent.id, None)
        self.note_change(agent.id)

    # ------------------------------------------------------------------ deadlines

    def limit(self, leg: s.Leg, cause: str, at: float | None, now: float) -> None:
        """The call of a leg ends at an instant, with this cause, and its other party is warned before; None lifts what the cause has set.

        To be called while an event is folded; whoever sets a limit again moves it.
        """
        if at is None:
            leg.limits.pop(cause, None)
        else:
            leg.limits[cause] = at
        end = limits.end_of(leg)
        if end is None:
            self.timers.stop(name(Timer.TIME_LIMIT, leg.id))
        else:
            self.timers.start(name(Timer.TIME_LIMIT, leg.id), end[0])
        self.set_warning(leg, now)

    def set_warning(self, leg: s.Leg, now: float) -> None:
        at = limits.next_warning(leg, now)
        if at is None:
            self.timers.stop(name(Timer.WARN, leg.id))
        else:
            self.timers.start(name(Timer.WARN, leg.id), at)

    def set_relaxation_timer(self, entry: s.Entry, queue: Queue) -> None:
        """When less will be asked for."""
        if entry.relaxation < len(queue.relaxations):
            self.timers.start(name(Timer.RELAX, entry.id), entry.queued_at + queue.relaxations[entry.relaxation].after_s)
        else:
            self.timers.stop(name(Timer.RELAX, entry.id))

    def set_entry_timers(self, entry: s.Entry, queue: Queue) -> None:
        """What is due in this queue for a contact that waits in it."""
        self.set_relaxation_timer(entry, queue)
        longest = [one.max_wait_s for one in queue.overflow if one.max_wait_s is not None]
        begins = entry.queued_at if entry.returned_at is None else entry.returned_at
        entry.wait_limit_at = begins + min(longest) if longest else None
        if entry.wait_limit_at is not None and entries.Input.OVERFLOWED in entries.TRANSITIONS[entry.state]:
            self.timers.start(name(Timer.WAIT, entry.id), entry.wait_limit_at)
        else:
            self.timers.stop(name(Timer.WAIT, entry.id))

    def step_queue(self, queue: s.Queue, step: queues.Input, now: float) -> None:
        self.step(QUEUE, queue, step, now)
        if queues.Input.DRAINED in QUEUE[queue.state]:
            self.overflowing.add(queue.id)
        else:
            self.overflowing.discard(queue.id)

    def set_retry(self, entry: s.Entry, now: float) -> None:
        moments = [at + pause for at in entry.tried.values() for pause in (RETRY_PAUSE_S, RETRY_AFTER_S) if at + pause > now]
        if moments:
            self.timers.start(name(Timer.RETRY, entry.id), min(moments))
        else:
            self.timers.stop(name(Timer.RETRY, entry.id))

    # ------------------------------------------------------------------ who is free

    @property
    def categories(self) -> dict[str, set[AgentId]]:
        """Everybody by what is in the way of a call."""
        return self.availability[VOICE].members

    def free_for(self, channel: str) -> set[AgentId]:
        """Who could be given a contact of the channel now."""
        known = self.availability.get(channel)
        return known.members[FREE] if known is not None else set()

    def is_free(self, agent: AgentId) -> bool:
        """Whether the agent could be given anything that somebody waits in, or has waited in."""
        return any(agent in known.members[FREE] for known in self.availability.values())

    def _know_channel(self, channel: str) -> None:
        """Somebody waits in it: from now on it is known who is free for it."""
        if channel in self.availability:
            return
        known = self.availability[channel] = Categories()
        for agent in self.state.agents.values():
            known.put(agent.id, self._category(agent, channel))
        self.begin_epoch()

    def _category(self, agent: s.Agent, channel: str) -> str | None:
        """What is in the way of a contact of this channel; None: the agent is not configured any more."""
        if agent.id not in self.index.agents:
            return None
        if agent.state not in agents.LOGGED_ON:
            return "logged_off"
        if agent.state not in agents.WILLING:
            return "not_ready"
        if agent.question is not None or not capacity.has_room(self.index.capacity_of(agent.id, channel), agent.works.values(), channel):
            return "busy"
        return (self.not_rung(agent) or FREE) if CHANNELS[channel].needs_phone else FREE

    def categorise(self, agent: s.Agent) -> None:
        """Look anew at what the agent could be given."""
        self.note_change(agent.id)  # the idle clock of who goes on being free may have been set anew
        for channel, known in self.availability.items():
            before, after = known.of.get(agent.id), self._category(agent, channel)
            if after == before:
                continue
            known.put(agent.id, after)
            if after == FREE or (before in _COULD_BE_TRIED and after not in _COULD_BE_TRIED and self.tried_entries):
                # The second: with the last untried one gone, those who have been tried may be tried again.
                self.routing_needed = True
        if len(self.availability) > 1 and len({line.channel for line in self.buckets}) > 1:
            # Somebody else may be awaited now (`acd.core.routing.pick`): it goes by how much everybody has to do.
            self.routing_needed = True

    def note_change(self, agent: AgentId) -> None:
        """The agent's place among the others may be another."""
        if len(self.changed) >= CHANGES_KEPT:
            self.begin_epoch()
        self.changed.append(agent)

    def begin_epoch(self) -> None:
        """Whoever keeps up with the changes begins anew."""
        self.changed.clear()
        self.epoch += 1

    def categorise_users(self, owner: s.Agent) -> None:
        """Of this one's phone: the regular agent, and who has come to it."""
        self.categorise(owner)
        guest = self.index.guests.get(owner.id)
        if guest is not None and guest in self.state.agents:
            self.categorise(self.state.agents[guest])

    def set_binding_timer(self, agent: s.Agent) -> None:
        if agent.bindings:
            self.timers.start(name(Timer.BINDING, agent.id), min(one.expires_at for one in agent.bindings.values()))
        else:
            self.timers.stop(name(Timer.BINDING, agent.id))
        self.categorise_users(agent)


Handlers = dict[type, Callable[[Indexes, Any, float], None]]
"""Event -> what it does to the state."""


def work_name(agent: AgentId, work: s.Work) -> str:
    """Subject of the deadline of a piece of work: a contact can be followed by the work of several agents."""
    return f"{work.contact} {agent}"


def _configuration_digest(configuration: TenantConfiguration | None) -> str:
    """Read back before it is hashed: a whole number where seconds are meant is written as such, and comes back as what it is.

    Every field goes in: whether msgspec leaves a default out depends on which object holds it, not on what it is.
    """
    read = _CONFIGURATIONS.decode(_ENCODER.encode(configuration))
    return hashlib.sha256(_ENCODER.encode(_spelt_out(read))).hexdigest()


def _spelt_out(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return [type(value).__name__, *(_spelt_out(getattr(value, field)) for field in value.__struct_fields__)]
    if isinstance(value, dict):
        return {key: _spelt_out(one) for key, one in value.items()}
    return [_spelt_out(one) for one in value] if isinstance(value, tuple) else value


def _take_out(lines: dict[Any, list[Rank]], key: Any, place: Rank) -> None:
    line = lines[key]
    at = bisect_left(line, place)
    if at == len(line) or line[at] != place:
        raise BrokenHistory(f"{place[2]} does not stand in line {key}")
    del line[at]
    if not line:
        del lines[key]


def prune(remembered: dict[Any, tuple[CallId, float]], before: float) -> None:
    """Forget what is older; insertion order is age order."""
    while remembered:
        oldest = next(iter(remembered))
        if remembered[oldest][1] > before:
            return
        del remembered[oldest]


# ---------------------------------------------------------------------- tables bound to methods, once

Bound = dict[Any, dict[Any, tuple[Any, tuple[Callable[[Indexes, Any, Any], None], ...]]]]


def _bind(table: Any) -> Bound:
    """Resolve every action to the method of that name; a missing one fails at import."""
    return {
        state: {step: (edge.state, tuple(getattr(Indexes, action.value) for action in edge.actions)) for step, edge in row.items()}
        for state, row in table.items()
    }


CALL: Final = _bind(calls.TRANSITIONS)
LEG: Final = _bind(legs.TRANSITIONS)
AGENT: Final = _bind(agents.TRANSITIONS)
WORK: Final = _bind(works.TRANSITIONS)
QUEUE: Final = _bind(queues.TRANSITIONS)
ENTRY: Final = _bind(entries.TRANSITIONS)

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_CONFIGURATIONS = msgspec.msgpack.Decoder(TenantConfiguration | None)
_HASHED = tuple(field for field in s.State.__struct_fields__ if field != "configuration")
