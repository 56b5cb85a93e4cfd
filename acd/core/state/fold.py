"""State + event -> state: the only place where the exchange changes (DESIGN.md §3); live, recovery and replay alike.

The machines' tables say what an event does to call, leg, agent, work, queue and entry; their actions are methods of `Fold`. Beside
the state it keeps indexes that can be computed from it at any time (who is free, who stands where), so that no decision has to search.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from acd.core import events as e
from acd.core import schedule
from acd.core.configuration import Agent, Menu, Number, Queue, Schedule, TenantConfiguration, Trunk
from acd.core.configuration_changes import Change, Collection, applied, touched
from acd.core.errors import BrokenHistory
from acd.core.ids import AgentId, CallId, EntryId, LegId, MenuId, QueueId, ScheduleId, SiteId, TrunkId
from acd.core.inputs import FailureCause
from acd.core.machines import agent as agents
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import queue as queues
from acd.core.machines import queue_entry as entries
from acd.core.machines import work as works
from acd.core.routing.admission import FLOOR_KBITS, site_line, trunk_line
from acd.core.routing.rosters import FREE, Roster
from acd.core.state import limits, moved, skills, statistics
from acd.core.state import values as s
from acd.core.state.timers import Timer, TimerTable, name

AGENT_RING_S = 25.0
"""A phone rung outside a queue: about five rings, then the call goes where the agent's forwarding says."""
OUTSIDE_RING_S = 90.0
"""A number outside: networks give up on their own after 60 to 90 s (ITU-T Q.118 suggests 1 to 2 minutes)."""
RETRY_PAUSE_S = 5.0
"""Nobody is rung again for the same caller sooner: a phone that refuses by itself must not be rung without end."""
RETRY_AFTER_S = 30.0
"""Nor sooner than this, while others who could take the caller have not been tried."""
KEEP_ENDED_LEGS_S = 120.0
"""Quality and recordings come in after the end; RFC 3550 §6.3.7 lets a BYE take a few seconds."""
KEEP_RECORDINGS_S = 86400.0

CATEGORIES: Final = ("logged_off", "not_ready", "busy", "unregistered", FREE)
"""Everybody configured is in exactly one; the first that applies."""

CHANGES_KEPT: Final = 4096
"""Then the rosters are computed anew: those of queues nobody calls would otherwise keep every change for ever."""

MOVE_COSTS: Final = 4
"""To move one agent in a roster costs about as much as to enter so many in a new one."""

_COULD_BE_TRIED: Final = frozenset({FREE, "busy"})
_FAILURES: Final = frozenset(FailureCause.__args__)  # type: ignore[attr-defined]
_FITNESS: Final = ("skills", "mode")
"""What decides who could take what."""
_TAKEN_OR_GONE: Final = frozenset({"answered", "abandoned"})
_NOT_TAKEN: Final = frozenset({"no_answer", "declined", "failed"})
_ENTRY_INPUT: Final = {
    "answered": entries.Input.ANSWERED,
    "abandoned": entries.Input.ABANDONED,
    "overflowed": entries.Input.OVERFLOWED,
    "exited": entries.Input.EXPIRED,
    "closed": entries.Input.EXPIRED,
    "withdrawn": entries.Input.EXPIRED,
}

_Teams = dict[QueueId, list[frozenset[AgentId]]]

Rank = tuple[float, float, EntryId]
"""Arrival less advantage, arrival, name: smaller is next. It never changes while the contact waits, so lines stay sorted by themselves."""


class Index:
    """What the configuration says, by name."""

    def __init__(self, state: s.State) -> None:
        configuration = state.configuration
        self.agents: dict[AgentId, Agent] = {}
        self.queues: dict[QueueId, Queue] = {}
        self.menus: dict[MenuId, Menu] = {}
        self.numbers: dict[str, Number] = {}
        self.extensions: dict[str, AgentId] = {}
        self.schedules: dict[ScheduleId, Schedule] = {}
        self.sites: dict[SiteId, int] = {}
        self.trunks: dict[TrunkId, Trunk] = {}
        self.outbound_trunks: list[Trunk] = []
        self.sits_at: dict[AgentId, AgentId] = {one.id: one.at for one in state.agents.values() if one.at is not None}
        """Who sits at another's phone, and whose (hot desk)."""
        self.guests: dict[AgentId, AgentId] = {at: agent for agent, at in self.sits_at.items()}
        """The same the other way round."""
        self.behind: dict[TrunkId, list[AgentId]] = {}
        """Who is reached at a phone behind a trunk."""
        self._behind: dict[AgentId, TrunkId] = {}
        self.limits: dict[str, int] = {}
        """Upload of the lines that agents' phones are on, where it is limited."""
        self.channel_of: dict[AgentId, tuple[str, int]] = {}
        """Such a line, and what a channel to the agent takes of it."""
        self.widest: dict[str, int] = {}
        """What the widest of the channels on such a line takes."""
        self._channels: dict[str, dict[AgentId, int]] = {}
        """Such a line, and who is on it with how wide a channel."""
        self.reasons: frozenset[str] = frozenset()
        self.language = "de"
        self._eligibility: dict[tuple[QueueId, int], skills.Eligibility] = {}
        if configuration is None:
            return
        self.agents = {one.id: one for one in configuration.agents}
        self.queues = {one.id: one for one in configuration.queues}
        self.menus = {one.id: one for one in configuration.menus}
        self.numbers = {one.number: one for one in configuration.numbers}
        self.extensions = {one.extension: one.id for one in configuration.agents if one.extension}
        self.schedules = {one.id: one for one in configuration.schedules}
        self.sites = {one.id: one.upload_kbits for one in configuration.sites}
        self.trunks = {one.id: one for one in configuration.trunks}
        self.outbound_trunks = _outbound(configuration)
        for agent in configuration.agents:
            self._place(agent)
        self.reasons = frozenset(one.code for one in configuration.reasons)
        self.language = configuration.language

    def phone_of(self, agent: Agent) -> Agent | None:
        """Whose phone the agent is reached at; None: another agent sits at the own."""
        at = self.sits_at.get(agent.id)
        if at is not None:
            return self.agents.get(at)
        return agent if agent.id not in self.guests else None

    def user_of(self, owner: AgentId) -> AgentId:
        """Who uses an agent's phone: who has come to it, else its regular agent, even one that sits elsewhere."""
        return self.guests.get(owner, owner)

    def seat(self, agent: AgentId, at: AgentId | None) -> list[AgentId]:
        """The agent sits at another's phone from now on; None: at its own.

        Returns: whose phone is another by that.
        """
        before = self.sits_at.get(agent)
        moved = [one for one in dict.fromkeys((agent, before, at)) if one is not None]
        for one in moved:
            if one in self.agents:
                self._displace(self.agents[one])
        if before is not None:
            del self.sits_at[agent], self.guests[before]
        if at is not None:
            self.sits_at[agent], self.guests[at] = at, agent
        for one in moved:
            if one in self.agents:
                self._place(self.agents[one])
        return moved

    def _place(self, agent: Agent) -> None:
        phone = self.phone_of(agent)
        if phone is None:
            return
        if phone.trunk is not None:
            trunk = self.trunks.get(phone.trunk)
            if trunk is None:
                return
            self.behind.setdefault(trunk.id, []).append(agent.id)
            self._behind[agent.id] = trunk.id
            line, upload, kbits = trunk_line(trunk.id), trunk.upload_kbits, trunk.channel_kbits
        elif phone.site is not None and phone.site in self.sites:
            line, upload, kbits = site_line(phone.site), self.sites[phone.site], phone.channel_kbits
        else:
            return
        if upload is not None:
            channel = max(kbits, FLOOR_KBITS)
            self.limits[line] = upload
            self.channel_of[agent.id] = (line, channel)
            self.widest[line] = max(channel, self.widest.get(line, 0))
            self._channels.setdefault(line, {})[agent.id] = channel

    def _displace(self, agent: Agent) -> None:
        """What `_place` entered is taken out."""
        behind = self._behind.pop(agent.id, None)
        if behind is not None:
            self.behind[behind].remove(agent.id)
            if not self.behind[behind]:
                del self.behind[behind]
        line, channel = self.channel_of.pop(agent.id, (None, 0))
        if line is None:
            return
        others = self._channels[line]
        del others[agent.id]
        if not others:
            del self._channels[line], self.limits[line], self.widest[line]
        elif channel == self.widest[line]:
            self.widest[line] = max(others.values())

    def alter(self, configuration: TenantConfiguration, changed: dict[Collection, dict[Any, Any]]) -> list[AgentId]:
        """Take in what `changed`, as `touched` tells it; `configuration` is the whole that came of it.

        Returns: whose reachability it may change.
        """
        people, lines = changed["agents"], changed["queues"]
        carried = self._whose_line_changed(changed)
        guests = [self.guests[one] for one in people if one in self.guests]
        reached = dict.fromkeys((*people, *guests, *carried))
        for agent_id in reached:
            if agent_id in self.agents:
                self._displace(self.agents[agent_id])
        for agent_id in people:
            old = self.agents.get(agent_id)
            if old is not None and old.extension and self.extensions.get(old.extension) == agent_id:
                del self.extensions[old.extension]
        fit = {
            agent: new
            for agent, new in people.items()
            if (old := self.agents.get(agent)) is None or new is None or _differ(old, new, _FITNESS)
        }
        self._forget_eligibility({one for one in lines if one not in self.queues or lines[one] is None or self._asks_else(lines[one])})
        _take_over(self.agents, people)
        _take_over(self.numbers, changed["numbers"])
        _take_over(self.menus, changed["menus"])
        _take_over(self.schedules, changed["schedules"])
        # The board and what is decided for several queues at once go by the order of the configuration.
        if lines:
            self.queues = {one.id: one for one in configuration.queues}
        if changed["sites"]:
            self.sites = {one.id: one.upload_kbits for one in configuration.sites}
        if changed["trunks"]:
            self.trunks = {one.id: one for one in configuration.trunks}
            self.outbound_trunks = _outbound(configuration)
        if changed["reasons"]:
            self.reasons = frozenset(one.code for one in configuration.reasons)
        self.language = configuration.language
        for new in people.values():
            if new is not None and new.extension:
                self.extensions[new.extension] = new.id
        for agent_id in reached:
            if agent_id in self.agents:
                self._place(self.agents[agent_id])
        if fit:
            for (queue, relaxation), known in self._eligibility.items():
                self._eligibility[queue, relaxation] = skills.readjusted(known, self.queues[queue], relaxation, fit)
        return list(reached)

    def _whose_line_changed(self, changed: dict[Collection, dict[Any, Any]]) -> list[AgentId]:
        """Agents on sites and behind trunks that are limited otherwise than before."""
        sites = {one for one, new in changed["sites"].items() if self.sites.get(one) != (new.upload_kbits if new is not None else None)}
        trunks = {
            one
            for one, new in changed["trunks"].items()
            if (old := self.trunks.get(one)) is None or new is None or _differ(old, new, ("upload_kbits", "channel_kbits"))
        }
        if not sites and not trunks:
            return []
        phones = ((agent.id, self.phone_of(agent)) for agent in self.agents.values())
        return [agent for agent, phone in phones if phone is not None and (phone.site in sites or phone.trunk in trunks)]

    def _asks_else(self, queue: Queue) -> bool:
        """Whether others than before could take its contacts."""
        return _differ(self.queues[queue.id], queue, ("members", "requirements", "relaxations"))

    def _forget_eligibility(self, of: set[QueueId]) -> None:
        if of:
            self._eligibility = {place: known for place, known in self._eligibility.items() if place[0] not in of}

    def known_eligibility(self, queue: QueueId, relaxation: int) -> skills.Eligibility | None:
        """As `eligibility`, where it has been asked for since it changed."""
        return self._eligibility.get((queue, relaxation))

    def schedule_of(self, holder: Queue | Menu) -> Schedule | None:
        """Business hours of a queue or menu; None: always open."""
        return self.schedules.get(holder.schedule) if holder.schedule is not None else None

    def eligibility(self, queue: QueueId, relaxation: int) -> skills.Eligibility:
        """Who could ever take a contact of `queue` at this relaxation."""
        known = self._eligibility.get((queue, relaxation))
        if known is None:
            known = self._eligibility[queue, relaxation] = skills.eligibility(self.queues[queue], relaxation, self.agents.values())
        return known


def _outbound(configuration: TenantConfiguration) -> list[Trunk]:
    return sorted((one for one in configuration.trunks if one.outbound), key=lambda one: (one.order, one.id))


def _differ(old: Any, new: Any, fields: tuple[str, ...]) -> bool:
    return any(getattr(old, field) != getattr(new, field) for field in fields)


def _take_over(known: dict[Any, Any], changed: dict[Any, Any]) -> None:
    for name_, new in changed.items():
        if new is None:
            known.pop(name_, None)
        else:
            known[name_] = new


def rank(entry: s.Entry) -> Rank:
    """Place of an entry among all: score = waited + capped priority, so at any moment the earlier `arrival - priority` is ahead."""
    return (entry.queued_at - entry.priority_s, entry.queued_at, entry.id)


class Fold:
    """One tenant's state and the way events change it."""

    def __init__(self, state: s.State) -> None:
        self.state = state
        self.routing_needed = False
        """Somebody became free or began to wait since the distribution was last looked at."""
        self.rebuild()

    def rebuild(self) -> None:
        """Compute every index from the state."""
        state = self.state
        self.index = Index(state)
        self.timers = TimerTable(state.timers)
        self.overflowing = {queue.id for queue in state.queues.values() if queues.Input.DRAINED in queues.TRANSITIONS[queue.state]}
        """Queues that will say so when they are no longer full."""
        self.categories: dict[str, set[AgentId]] = {category: set() for category in CATEGORIES}
        self._category_of: dict[AgentId, str] = {}
        self.tried_entries: set[EntryId] = set()
        self._rosters: dict[tuple[QueueId, int], Roster] = {}
        self._rosters_day = state.statistics.day
        self._changed: list[AgentId] = []
        """Whose place in the rosters may have changed, in order; each roster knows how far it has read."""
        for agent in state.agents.values():
            self._categorise(agent)
        self.buckets: dict[tuple[QueueId, int], list[Rank]] = {}
        """Who waits to be offered, by queue and relaxation: within one, everybody asks for the same."""
        self.order: dict[QueueId, list[Rank]] = {}
        """Everybody in a queue, those being offered too."""
        for entry in state.entries.values():
            insort(self.order.setdefault(entry.queue, []), rank(entry))
            if entries.Input.OFFERED in entries.TRANSITIONS[entry.state]:
                insort(self.buckets.setdefault((entry.queue, entry.relaxation), []), rank(entry))
            if entry.tried:
                self.tried_entries.add(entry.id)
        self._digested: tuple[TenantConfiguration | None, str] | None = None
        self.routing_needed = True

    # ------------------------------------------------------------------ surface

    def apply(self, event: e.Event, now: float) -> None:
        """Fold one event.

        Raises: BrokenHistory: the event does not fit the state.
        """
        kind = type(event)
        if kind is e.Started and self.state.clock:
            # Nobody talked, waited or was idle while the exchange was not there: as in the records, all that lasted until the last event.
            moved.move_statistics(self.state.statistics, max(0.0, now - self.state.clock))
        self.state.clock = now
        try:
            if kind in _FOLD:
                _FOLD[kind](self, event, now)
            if kind in statistics.COUNTED:
                statistics.apply(self.state.statistics, event, now)
        except KeyError as missing:
            raise BrokenHistory(f"{type(event).__name__} speaks of {missing}, which is not there: {event}") from missing

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

    def roster(self, queue: QueueId, relaxation: int) -> Roster:
        """Who could take a contact of this line now."""
        state, changed = self.state, self._changed
        if len(changed) > CHANGES_KEPT or self._rosters_day != state.statistics.day:
            # Midnight sets the day's figures, which some are ordered by, to nothing.
            self._rosters, self._rosters_day = {}, state.statistics.day
            changed.clear()
        known = self._rosters.get((queue, relaxation))
        if known is not None and known.seen < len(changed):
            moved = known.fit.agents.intersection(changed[known.seen :])
            if len(moved) * MOVE_COSTS <= len(known.fit.agents):
                known.update(moved, self._category_of)
            else:
                known = None
        if known is None:
            fit = self.index.eligibility(queue, relaxation)
            known = self._rosters[queue, relaxation] = Roster(state, queue, self.index.queues[queue].strategy, fit, self.categories)
        known.seen = len(changed)
        return known

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

    @property
    def is_at_work(self) -> bool:
        """Calls are up, or somebody does after-call work: what a crash would cut or interrupt."""
        return bool(self.state.calls) or any(agent.works for agent in self.state.agents.values())

    def waiting(self, queue: QueueId) -> int:
        """How many stand in a queue, those being offered too."""
        return len(self.order.get(queue, ()))

    # ------------------------------------------------------------------ machines

    def _step(self, table: _Bound, subject: Any, step: StrEnum, now: float) -> None:
        edge = table[subject.state].get(step)
        if edge is None:
            raise BrokenHistory(f"{type(subject).__name__} {subject.id} is {subject.state}: {step} does not fit")
        subject.state = edge[0]
        for action in edge[1]:
            action(self, subject, now)

    def _step_call(self, call: s.Call, step: calls.Input, now: float) -> None:
        self._step(_CALL, call, step, now)
        call.since = now

    def _step_leg(self, leg: s.Leg, step: legs.Input, now: float) -> None:
        self._step(_LEG, leg, step, now)
        leg.since = now

    def _step_agent(self, agent: s.Agent, step: agents.Input, now: float) -> None:
        before = agent.state
        self._step(_AGENT, agent, step, now)
        if agent.state is not before or step is agents.Input.GO_NOT_READY:
            agent.since = now
        self._categorise(agent)

    def _step_work(self, agent: s.Agent, work: s.Work, step: works.Input, now: float) -> None:
        edge = _WORK[work.state].get(step)
        if edge is None:
            raise BrokenHistory(f"work of {agent.id} on {work.call} is {work.state}: {step} does not fit")
        work.state = edge[0]
        work.since = now
        for action in edge[1]:
            action(self, agent, now)

    # ------------------------------------------------------------------ actions of the tables

    def stop_answer_timer(self, leg: s.Leg, _now: float) -> None:
        self.timers.stop(name(Timer.ANSWER, leg.id))

    def stop_queue_sounds(self, call: s.Call, _now: float) -> None:
        self.timers.stop(name(Timer.ANNOUNCE, call.id))

    def restart_idle_clock(self, agent: s.Agent, now: float) -> None:
        agent.idle_since = now

    def stay(self, agent: s.Agent, _now: float) -> None:
        agent.leaving = False

    def start_after_call_work(self, agent: s.Agent, now: float) -> None:
        for work in agent.works.values():
            if work.until is not None and work.state in works.WRAPPING:
                self.timers.start(name(Timer.AFTER_CALL_WORK, agent.id), max(work.until, now))

    def stop_after_call_work(self, agent: s.Agent, _now: float) -> None:
        self.timers.stop(name(Timer.AFTER_CALL_WORK, agent.id))

    def set_next_change(self, queue: s.Queue, now: float) -> None:
        configured = self.index.queues.get(queue.id)
        change = schedule.next_change(self.index.schedule_of(configured), now) if configured is not None else None
        if change is None:
            self.timers.stop(name(Timer.HOURS, queue.id))
        else:
            self.timers.start(name(Timer.HOURS, queue.id), change)

    def stop_wait_limit(self, entry: s.Entry, _now: float) -> None:
        self.timers.stop(name(Timer.WAIT, entry.id))

    def resume_wait_limit(self, entry: s.Entry, _now: float) -> None:
        if entry.wait_limit_at is not None:
            self.timers.start(name(Timer.WAIT, entry.id), entry.wait_limit_at)

    def stand_in_line(self, entry: s.Entry, _now: float) -> None:
        insort(self.buckets.setdefault((entry.queue, entry.relaxation), []), rank(entry))
        self.routing_needed = True

    def step_out_of_line(self, entry: s.Entry, _now: float) -> None:
        _take_out(self.buckets, (entry.queue, entry.relaxation), rank(entry))

    def leave(self, entry: s.Entry, _now: float) -> None:
        _take_out(self.order, entry.queue, rank(entry))
        self.tried_entries.discard(entry.id)
        for kind in (Timer.RELAX, Timer.WAIT, Timer.RETRY):
            self.timers.stop(name(kind, entry.id))
        del self.state.entries[entry.id]
        call = self.state.calls[entry.call]
        call.entry = None

    # ------------------------------------------------------------------ configuration, house

    def _configuration_changed(self, event: e.ConfigurationChanged, now: float) -> None:
        state, configuration, teams = self.state, event.configuration, self._fair_teams()
        state.configuration = configuration
        for one in configuration.agents:
            if one.id not in state.agents:
                state.agents[one.id] = s.Agent(id=one.id, since=now, idle_since=now)
        configured = {one.id for one in configuration.agents}
        for agent in [one for one in state.agents.values() if one.id not in configured]:
            agent.leaving = True
            self._forget_if_removed(agent, configured)
        known = {one.id for one in configuration.queues}
        for queue_id in [one for one in state.queues if one not in known]:
            del state.queues[queue_id]
            self.timers.stop(name(Timer.HOURS, queue_id))
        self.index = Index(state)
        for queue in configuration.queues:
            if queue.id not in state.queues:
                state.queues[queue.id] = s.Queue(id=queue.id)
            self.set_next_change(state.queues[queue.id], now)
        for trunk_id in [one for one in state.trunks if one not in self.index.trunks]:
            del state.trunks[trunk_id]
        for entry in state.entries.values():
            waits_for = self.index.queues.get(entry.queue)
            if waits_for is not None:
                entry.relaxation = sum(entry.queued_at + one.after_s <= now for one in waits_for.relaxations)
                self._set_entry_timers(entry, waits_for)
        self.rebuild()
        self._credit_joiners(teams, now)

    def _configuration_altered(self, event: e.ConfigurationAltered, now: float) -> None:
        """What `_configuration_changed` would come to, at the price of what changed."""
        state, changed = self.state, touched(event.changes)
        try:
            state.configuration = applied(state.configuration, event.changes)
        except ValueError as wrong:
            raise BrokenHistory(f"a change does not fit the configuration: {wrong}") from wrong
        keep_hours = self.hours_touched(event.changes)
        teams = self._fair_teams() if changed["agents"] or changed["queues"] else None
        reached = self.index.alter(state.configuration, changed)
        for agent_id in changed["agents"]:
            self._take_in_agent(agent_id, now)
        for trunk_id, trunk in changed["trunks"].items():
            if trunk is None:
                state.trunks.pop(trunk_id, None)
        for agent_id in reached:
            if agent_id in state.agents:
                self._categorise(state.agents[agent_id])
        for queue_id, queue in changed["queues"].items():
            self._take_in_queue(queue_id, queue, now)
        for queue_id in keep_hours:
            if queue_id in state.queues:
                self.set_next_change(state.queues[queue_id], now)
        self._refit_rosters(reached)
        if teams is not None:
            self._credit_joiners(teams, now)
        self.routing_needed = True

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

    def _take_in_agent(self, agent_id: AgentId, now: float) -> None:
        """Who is new is there from now on; who is configured no more leaves."""
        agent = self.state.agents.get(agent_id)
        if agent_id not in self.index.agents:
            if agent is not None:
                agent.leaving = True
                self._forget_if_removed(agent, self.index.agents)
        elif agent is None:
            self.state.agents[agent_id] = s.Agent(id=agent_id, since=now, idle_since=now)

    def _take_in_queue(self, queue_id: QueueId, queue: Queue | None, now: float) -> None:
        """The queue is as configured, and so is the waiting of those who stand in it."""
        state = self.state
        if queue is None:
            if state.queues.pop(queue_id, None) is not None:
                self.timers.stop(name(Timer.HOURS, queue_id))
                self.overflowing.discard(queue_id)
            return
        if queue_id not in state.queues:
            state.queues[queue_id] = s.Queue(id=queue_id)
        for place in self.order.get(queue_id, ()):
            entry = state.entries[place[2]]
            relaxation = sum(entry.queued_at + one.after_s <= now for one in queue.relaxations)
            if relaxation != entry.relaxation:
                in_line = entries.Input.OFFERED in entries.TRANSITIONS[entry.state]
                if in_line:
                    self.step_out_of_line(entry, now)
                entry.relaxation = relaxation
                if in_line:
                    self.stand_in_line(entry, now)
            self._set_entry_timers(entry, queue)

    def _refit_rosters(self, people: list[AgentId]) -> None:
        """Rosters go on where only these people changed, and are made anew where what is asked for did."""
        kept: dict[tuple[QueueId, int], Roster] = {}
        for (queue_id, relaxation), roster in self._rosters.items():
            fit, queue = self.index.known_eligibility(queue_id, relaxation), self.index.queues.get(queue_id)
            if fit is None or queue is None or queue.strategy != roster.strategy:
                continue
            if fit is not roster.fit:
                roster.refit(fit, people, self._category_of)
            kept[queue_id, relaxation] = roster
        self._rosters = kept

    def _forget_if_removed(self, agent: s.Agent, configured: Any) -> None:
        """Somebody who is not configured any more goes when the last work is done."""
        if agent.id in configured or agent.works or agent.state in agents.LOGGED_ON:
            return
        del self.state.agents[agent.id]
        self.timers.stop(name(Timer.BINDING, agent.id))
        category = self._category_of.pop(agent.id, None)
        if category is not None:
            self.categories[category].discard(agent.id)
            self._changed.append(agent.id)

    def _started(self, event: e.Started, now: float) -> None:
        self.state.stopping = False
        if not event.down_s:
            return
        for agent in self.state.agents.values():
            for work in agent.works.values():
                if work.state in works.WRAPPING:
                    moved.move_work(work, event.down_s)
            self.start_after_call_work(agent, now)

    def _stopping(self, _event: e.Stopping, _now: float) -> None:
        self.state.stopping = True

    def _clock_corrected(self, event: e.ClockCorrected, now: float) -> None:
        moved.move(self.state, event.by_s)
        statistics.correct_day(self.state.statistics, now)
        for queue in self.state.queues.values():
            self.set_next_change(queue, now)
        self.rebuild()

    # ------------------------------------------------------------------ calls and legs

    def _call_offered(self, event: e.CallOffered, now: float) -> None:
        self.state.calls[event.call] = s.Call(
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
            language=event.language,
        )

    def _leg_initiated(self, event: e.LegInitiated, now: float) -> None:
        state = self.state
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
        entry = state.entries.get(call.entry) if call.entry is not None else None
        offer = state.offers.get(entry.offer) if entry is not None and entry.offer is not None else None
        if offer is not None and event.agent is not None and offer.open.get(event.agent) == event.leg:
            leg.offer = offer.id
            return
        self._step_call(call, calls.Input.DELIVERED, now)
        self.timers.start(name(Timer.ANSWER, event.leg), now + (AGENT_RING_S if event.role == "agent" else OUTSIDE_RING_S))

    def _leg_alerted(self, event: e.LegAlerted, now: float) -> None:
        leg = self.state.legs[event.leg]
        self._step_leg(leg, legs.Input.ALERTED, now)
        leg.dialog = event.dialog
        if leg.agent is not None:
            agent = self.state.agents[leg.agent]
            work = agent.works.get(leg.call)
            if work is not None and work.leg == leg.id and works.Input.ALERTED in _WORK[work.state]:
                self._step_work(agent, work, works.Input.ALERTED, now)

    def _leg_connected(self, event: e.LegConnected, now: float) -> None:
        leg = self.state.legs[event.leg]
        self._step_leg(leg, legs.Input.CONNECTED, now)
        # That of a leg which arrived was told with its arrival, and is good for both: whether it was answered, the state knows.
        leg.dialog = event.dialog or leg.dialog
        if leg.offer is not None:
            self.timers.stop(name(Timer.RING, leg.offer))
        if leg.cut_after_s is not None:
            self.limit(leg, limits.TIME_LIMIT, now + leg.cut_after_s, now)

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
        self._set_warning(leg, now)

    def _set_warning(self, leg: s.Leg, now: float) -> None:
        at = limits.next_warning(leg, now)
        if at is None:
            self.timers.stop(name(Timer.WARN, leg.id))
        else:
            self.timers.start(name(Timer.WARN, leg.id), at)

    def _leg_quoted(self, event: e.LegQuoted, _now: float) -> None:
        cut_after_ms = event.quote.get("cut_after_ms")
        self.state.legs[event.leg].cut_after_s = cut_after_ms / 1000 if isinstance(cut_after_ms, int) and cut_after_ms > 0 else None

    def _credit_limited(self, event: e.CreditLimited, now: float) -> None:
        self.limit(self.state.legs[event.leg], limits.BUDGET, event.at, now)

    def _leg_held(self, event: e.LegHeld, now: float) -> None:
        leg = self.state.legs[event.leg]
        self._step_leg(leg, legs.Input.HELD_BY_PHONE if event.by is None else legs.Input.HELD, now)
        call = self.state.calls[leg.call]
        if call.state in calls.TALKING:
            self._step_call(call, calls.Input.HELD, now)

    def _leg_retrieved(self, event: e.LegRetrieved, now: float) -> None:
        leg = self.state.legs[event.leg]
        # Words of version 1 do not say whose hold is over, and knew one hold at a time.
        at_desk = event.by is not None or leg.state is legs.State.HELD
        self._step_leg(leg, legs.Input.RETRIEVED if at_desk else legs.Input.RETRIEVED_BY_PHONE, now)
        call = self.state.calls[leg.call]
        still_held = any(self.state.legs[one].state in legs.ON_HOLD for one in call.legs)
        if calls.Input.RETRIEVED in _CALL[call.state] and not still_held:
            self._step_call(call, calls.Input.RETRIEVED, now)

    def _leg_cleared(self, event: e.LegCleared, now: float) -> None:
        state = self.state
        leg = state.legs[event.leg]
        failed = event.cause in _FAILURES and legs.Input.FAILED in _LEG[leg.state]
        self._step_leg(leg, legs.Input.FAILED if failed else legs.Input.CLEARED, now)
        del state.legs[event.leg]
        if leg.limits:
            self.timers.stop(name(Timer.TIME_LIMIT, leg.id))
            self.timers.stop(name(Timer.WARN, leg.id))
        call = state.calls[leg.call]
        call.legs.remove(event.leg)
        if call.party == event.leg:
            call.party = None
        state.ended_legs[event.leg] = (leg.call, now)

    def _leg_measured(self, event: e.LegMeasured, _now: float) -> None:
        self.state.ended_legs.pop(event.leg, None)

    def _call_established(self, event: e.CallEstablished, now: float) -> None:
        call = self.state.calls[event.call]
        self._step_call(call, calls.Input.ESTABLISHED, now)
        call.pair = (event.a, event.b)
        call.forward = None
        call.looping = False
        call.hops = 0
        for one in call.pair:
            leg = self.state.legs[one]
            leg.play = leg.purpose = None
        if any(self.state.legs[one].state in legs.ON_HOLD for one in call.pair):
            self._step_call(call, calls.Input.HELD, now)

    def _call_held(self, event: e.CallHeld, now: float) -> None:
        agent = self.state.agents[event.by]
        self._step_work(agent, agent.works[event.call], works.Input.HELD, now)

    def _call_retrieved(self, event: e.CallRetrieved, now: float) -> None:
        agent = self.state.agents[event.by]
        self._step_work(agent, agent.works[event.call], works.Input.RETRIEVED, now)

    def _call_referred(self, event: e.CallReferred, now: float) -> None:
        call = self.state.calls[event.call]
        referral = s.Referral(leg=event.leg, by=event.by, to=event.to, queue=call.queue, recorded=call.recording is not None)
        self._part_pair(call, event.by, now)
        call.referral = referral

    def _referral_failed(self, event: e.ReferralFailed, _now: float) -> None:
        call = self.state.calls[event.call]
        if call.referral is None:
            raise BrokenHistory(f"call {call.id} was not referred: its referral cannot fail")
        call.queue = call.referral.queue
        call.forward = call.referral = None
        call.looping = False

    def _call_transferred(self, event: e.CallTransferred, now: float) -> None:
        call = self.state.calls[event.call]
        if call.referral is not None:  # parted long ago; the call is where it is
            call.referral = None
        else:
            self._part_pair(call, event.by, now)

    def _part_pair(self, call: s.Call, by: AgentId, now: float) -> None:
        """The party that is not this agent's is the one to be served from now on."""
        self._step_call(call, calls.Input.TRANSFERRED, now)
        if call.pair is not None:
            a, b = call.pair
            call.party = b if self.state.legs[a].agent == by else a
        call.pair = None
        call.forward = None
        call.queue = None
        call.recording = None
        call.trunks_tried = []

    def _call_forwarded(self, event: e.CallForwarded, _now: float) -> None:
        call = self.state.calls[event.call]
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
        call.hops += 1

    def _forward_loop_found(self, event: e.ForwardLoopFound, _now: float) -> None:
        for one in event.rounds:
            if (call := self.state.calls.get(one)) is not None:
                call.looping = True

    def _call_cleared(self, event: e.CallCleared, now: float) -> None:
        state = self.state
        call = state.calls[event.call]
        self._step_call(call, calls.Input.CLEARED, now)
        if call.legs:
            raise BrokenHistory(f"call {call.id} is cleared with legs left: {call.legs}")
        self.timers.stop(name(Timer.MENU, call.id))
        self.timers.stop(name(Timer.PIN, call.id))
        del state.calls[event.call]
        _prune(state.ended_legs, now - KEEP_ENDED_LEGS_S)
        _prune(state.recordings, now - KEEP_RECORDINGS_S)

    # ------------------------------------------------------------------ treatment

    def _menu_entered(self, event: e.MenuEntered, now: float) -> None:
        call = self.state.calls[event.call]
        self._step_call(call, calls.Input.TREATED, now)
        call.menu = event.menu
        call.menu_plays = 0
        call.hops += 1

    def _menu_left(self, event: e.MenuLeft, _now: float) -> None:
        call = self.state.calls[event.call]
        call.menu = None
        self.timers.stop(name(Timer.MENU, call.id))

    def _digit_received(self, event: e.DigitReceived, _now: float) -> None:
        self.state.calls[event.call].hops = 0

    def _sounds_started(self, event: e.SoundsStarted, now: float) -> None:
        leg = self.state.legs[event.leg]
        call = self.state.calls[leg.call]
        leg.play = event.play
        leg.purpose = event.purpose
        leg.plays += 1
        match event.purpose:
            case "menu":
                call.menu_plays += 1
                self.timers.stop(name(Timer.MENU, call.id))
            case "music":
                queue = self.index.queues.get(call.queue) if call.queue is not None else None
                if queue is not None and queue.announce_position and queue.announce_every_s > 0:
                    self.timers.start(name(Timer.ANNOUNCE, call.id), now + queue.announce_every_s)
            case "position":
                self.timers.stop(name(Timer.ANNOUNCE, call.id))
            case _:
                pass

    def _sounds_finished(self, event: e.SoundsFinished, now: float) -> None:
        leg = self.state.legs[event.leg]
        call = self.state.calls[leg.call]
        purpose = leg.purpose
        leg.play = leg.purpose = None
        match purpose:
            case "menu" if call.menu is not None:
                menu = self.index.menus.get(call.menu)
                self.timers.start(name(Timer.MENU, call.id), now + (menu.timeout_s if menu is not None else 0.0))
            case "notice":
                call.notice_heard = event.outcome == "finished"
                self.routing_needed = True  # it may be offered now
            case _:
                pass

    def _sounds_stopped(self, event: e.SoundsStopped, _now: float) -> None:
        leg = self.state.legs[event.leg]
        leg.play = leg.purpose = None

    def _announcement_began(self, event: e.AnnouncementBegan, now: float) -> None:
        call = self.state.calls[event.call]
        self._step_call(call, calls.Input.TREATED, now)
        call.ending = event.cause

    # ------------------------------------------------------------------ queues and offers

    def _queued(self, event: e.Queued, now: float) -> None:
        call = self.state.calls[event.call]
        queue = self.index.queues[event.queue]
        self._step_call(call, calls.Input.QUEUED, now)
        call.entry = event.entry
        call.queue = event.queue
        call.entries_made += 1
        call.hops += 1
        entry = s.Entry(
            id=event.entry,
            call=event.call,
            queue=event.queue,
            queued_at=now,
            priority_s=float(min(queue.priority_s, queue.priority_cap_s)),
            relaxation=sum(one.after_s <= 0 for one in queue.relaxations),
        )
        self.state.entries[event.entry] = entry
        insort(self.order.setdefault(event.queue, []), rank(entry))
        self.stand_in_line(entry, now)
        self._set_entry_timers(entry, queue)

    def _set_entry_timers(self, entry: s.Entry, queue: Queue) -> None:
        if entry.relaxation < len(queue.relaxations):
            self.timers.start(name(Timer.RELAX, entry.id), entry.queued_at + queue.relaxations[entry.relaxation].after_s)
        else:
            self.timers.stop(name(Timer.RELAX, entry.id))
        limits = [one.max_wait_s for one in queue.overflow if one.max_wait_s is not None]
        entry.wait_limit_at = entry.queued_at + min(limits) if limits else None
        if entry.wait_limit_at is not None and entries.Input.OVERFLOWED in entries.TRANSITIONS[entry.state]:
            self.timers.start(name(Timer.WAIT, entry.id), entry.wait_limit_at)
        else:
            self.timers.stop(name(Timer.WAIT, entry.id))

    def _queue_left(self, event: e.QueueLeft, now: float) -> None:
        self._step(_ENTRY, self.state.entries[event.entry], _ENTRY_INPUT[event.outcome], now)
        if event.outcome != "answered":
            self.state.calls[event.call].queue = None

    def _requirements_relaxed(self, event: e.RequirementsRelaxed, now: float) -> None:
        entry = self.state.entries[event.entry]
        queue = self.index.queues[entry.queue]
        in_line = entries.Input.OFFERED in _ENTRY[entry.state]
        if in_line:
            self.step_out_of_line(entry, now)
        entry.relaxation = event.relaxation
        if in_line:
            self.stand_in_line(entry, now)
        if entry.relaxation < len(queue.relaxations):
            self.timers.start(name(Timer.RELAX, entry.id), entry.queued_at + queue.relaxations[entry.relaxation].after_s)
        else:
            self.timers.stop(name(Timer.RELAX, entry.id))

    def _step_queue(self, queue: s.Queue, step: queues.Input, now: float) -> None:
        self._step(_QUEUE, queue, step, now)
        if queues.Input.DRAINED in _QUEUE[queue.state]:
            self.overflowing.add(queue.id)
        else:
            self.overflowing.discard(queue.id)

    def _queue_opened(self, event: e.QueueOpened, now: float) -> None:
        self._step_queue(self.state.queues[event.queue], queues.Input.HOURS_BEGAN, now)

    def _queue_closed(self, event: e.QueueClosed, now: float) -> None:
        self._step_queue(self.state.queues[event.queue], queues.Input.HOURS_ENDED, now)

    def _queue_filled(self, event: e.QueueFilled, now: float) -> None:
        self._step_queue(self.state.queues[event.queue], queues.Input.FILLED, now)

    def _queue_drained(self, event: e.QueueDrained, now: float) -> None:
        self._step_queue(self.state.queues[event.queue], queues.Input.DRAINED, now)

    def _offer_made(self, event: e.OfferMade, now: float) -> None:
        state = self.state
        entry = state.entries[event.entry]
        call = state.calls[event.call]
        self._step(_ENTRY, entry, entries.Input.OFFERED, now)
        self._step_call(call, calls.Input.DELIVERED, now)
        call.offers_made += 1
        entry.offer = event.offer
        state.offers[event.offer] = s.Offer(
            id=event.offer, call=event.call, entry=event.entry, queue=event.queue, made_at=now, open=dict(event.legs), width=len(event.legs)
        )
        queue = self.index.queues[event.queue]
        state.queues[event.queue].last_agent = event.decision.chosen[-1]
        self.timers.start(name(Timer.RING, event.offer), now + queue.ring_timeout_s)

    def _offer_ended(self, event: e.OfferEnded, now: float) -> None:
        state = self.state
        offer = state.offers[event.offer]
        del offer.open[event.agent]
        entry = state.entries[offer.entry]
        if event.outcome in _NOT_TAKEN:
            if event.reason is not None and offer.width == 1:  # older words do not say
                misses = state.agents[event.agent].misses
                misses[event.reason] = misses.get(event.reason, 0) + 1
            entry.tried[event.agent] = now
            self.tried_entries.add(entry.id)
            self._set_retry(entry, now)
        elif event.outcome == "answered":
            state.agents[event.agent].misses.clear()
        if offer.open:
            return
        del state.offers[event.offer]
        self.timers.stop(name(Timer.RING, event.offer))
        entry.offer = None
        if event.outcome not in _TAKEN_OR_GONE:
            self._step(_ENTRY, entry, entries.Input.RETURNED, now)
            self._step_call(state.calls[offer.call], calls.Input.RETURNED, now)

    def _set_retry(self, entry: s.Entry, now: float) -> None:
        moments = [at + pause for at in entry.tried.values() for pause in (RETRY_PAUSE_S, RETRY_AFTER_S) if at + pause > now]
        if moments:
            self.timers.start(name(Timer.RETRY, entry.id), min(moments))
        else:
            self.timers.stop(name(Timer.RETRY, entry.id))

    # ------------------------------------------------------------------ agents

    def _categorise(self, agent: s.Agent) -> None:
        before = self._category_of.get(agent.id)
        if agent.id not in self.index.agents:
            after = None
        elif agent.state not in agents.LOGGED_ON:
            after = "logged_off"
        elif agent.state not in agents.WILLING:
            after = "not_ready"
        elif len(agent.works) >= works.CAPACITY["voice"]:
            after = "busy"
        elif not self.is_reachable(agent):
            after = "unregistered"
        else:
            after = FREE
        self._changed.append(agent.id)  # the idle clock of who goes on being free may have been set anew
        if after == before:
            return
        if before is not None:
            self.categories[before].discard(agent.id)
            del self._category_of[agent.id]
        if after is not None:
            self.categories[after].add(agent.id)
            self._category_of[agent.id] = after
        if after == FREE or (before in _COULD_BE_TRIED and after not in _COULD_BE_TRIED and self.tried_entries):
            # The second: with the last untried one gone, those who have been tried may be tried again.
            self.routing_needed = True

    def _agent_logged_on(self, event: e.AgentLoggedOn, now: float) -> None:
        agent = self.state.agents[event.agent]
        self._step_agent(agent, agents.Input.LOG_ON, now)
        agent.reason = "logged_on"
        for queue, others in self._teams_of(agent.id).items():
            statistics.give_head_starts(self.state.statistics, queue, [agent.id], others, now)

    # ------------------------------------------------------------------ hot desk

    def _pin_awaited(self, event: e.PinAwaited, _now: float) -> None:
        self.state.calls[event.call].desk_log_in = s.DeskLogIn(agent=event.agent, at=event.at)
        self.timers.start(name(Timer.PIN, event.call), event.until)

    def _hot_desk_refused(self, event: e.HotDeskRefused, _now: float) -> None:
        self._stop_waiting_for_pin(self.state.calls[event.call])

    def _hot_desk_began(self, event: e.HotDeskBegan, _now: float) -> None:
        self._stop_waiting_for_pin(self.state.calls[event.call])
        self.state.legs[event.leg].agent = event.agent
        self._seat(self.state.agents[event.agent], event.at if event.at != event.agent else None)

    def _hot_desk_ended(self, event: e.HotDeskEnded, _now: float) -> None:
        self._seat(self.state.agents[event.agent], None)

    def _stop_waiting_for_pin(self, call: s.Call) -> None:
        call.desk_log_in = None
        self.timers.stop(name(Timer.PIN, call.id))

    def _seat(self, agent: s.Agent, at: AgentId | None) -> None:
        agent.at = at
        for one in self.index.seat(agent.id, at):
            if one in self.state.agents:
                self._categorise(self.state.agents[one])
        self.routing_needed = True

    def _categorise_users(self, owner: s.Agent) -> None:
        """Of this one's phone: the regular agent, and who has come to it."""
        self._categorise(owner)
        guest = self.index.guests.get(owner.id)
        if guest is not None and guest in self.state.agents:
            self._categorise(self.state.agents[guest])

    def _teams_of(self, agent_id: AgentId) -> dict[QueueId, list[AgentId]]:
        """Queues of `fewest_calls` that the agent shares with others who are logged on, and these, at the relaxation that lets it in."""
        away, found = self.categories["logged_off"], {}
        for queue, teams in self._fair_teams().items():
            team = next((one for one in teams if agent_id in one), frozenset[AgentId]())
            if others := sorted(team - away - {agent_id}):
                found[queue] = others
        return found

    def _fair_teams(self) -> _Teams:
        """Who could take a contact of each queue of `fewest_calls`, by relaxation."""
        return {
            queue.id: [self.index.eligibility(queue.id, level).agents for level in range(len(queue.relaxations) + 1)]
            for queue in self.index.queues.values()
            if queue.strategy == "fewest_calls"
        }

    def _credit_joiners(self, before: _Teams, now: float) -> None:
        """The configuration let people who are logged on into queues of `fewest_calls`, or made queues such ones: as with a log-on, what
        the others have had by now is not made up for.

        Args:
            before: `_fair_teams` of the configuration before.
        """
        away = self.categories["logged_off"]
        for queue, teams in self._fair_teams().items():
            former = before.get(queue, [])
            if teams == former:
                continue
            for level, team in enumerate(teams):
                let_in_before = frozenset[AgentId]().union(*teams[:level], *former[: level + 1])
                joining = sorted(team - away - let_in_before)
                there = sorted(team & former[level] - away) if level < len(former) else []
                if joining:
                    others = there or sorted(team - away)
                    statistics.give_head_starts(self.state.statistics, queue, joining, others, now, even=not there)
                    self._changed.extend(joining)

    def _agent_logged_off(self, event: e.AgentLoggedOff, now: float) -> None:
        agent = self.state.agents[event.agent]
        self._step_agent(agent, agents.Input.LOG_OFF, now)
        agent.reason = None
        if agent.at is not None:
            self._seat(agent, None)
        self._forget_if_removed(agent, self.index.agents)

    def _agent_ready(self, event: e.AgentReady, now: float) -> None:
        agent = self.state.agents[event.agent]
        self._step_agent(agent, agents.Input.GO_READY, now)
        agent.reason = None
        agent.misses.clear()
        # Who says again to be ready may be asked again by those it has not answered.
        for entry_id in [one for one in self.tried_entries if event.agent in self.state.entries[one].tried]:
            entry = self.state.entries[entry_id]
            del entry.tried[event.agent]
            self._set_retry(entry, now)
            if not entry.tried:
                self.tried_entries.discard(entry_id)
            self.routing_needed = True

    def _agent_not_ready(self, event: e.AgentNotReady, now: float) -> None:
        agent = self.state.agents[event.agent]
        self._step_agent(agent, agents.Input.GO_NOT_READY, now)
        agent.reason = event.reason
        agent.leaving = agent.leaving or event.leaving

    def _work_reserved(self, event: e.WorkReserved, now: float) -> None:
        agent = self.state.agents[event.agent]
        if len(agent.works) >= works.CAPACITY["voice"]:
            raise BrokenHistory(f"agent {agent.id} has work already: {sorted(agent.works)}, and would get {event.call}")
        agent.works[event.call] = s.Work(call=event.call, leg=event.leg, kind=event.kind, queue=event.queue, since=now)
        self._categorise(agent)

    def _work_connected(self, event: e.WorkConnected, now: float) -> None:
        agent = self.state.agents[event.agent]
        self._step_work(agent, agent.works[event.call], works.Input.CONNECTED, now)
        agent.last_call = event.call

    def _after_call_work_began(self, event: e.AfterCallWorkBegan, now: float) -> None:
        agent = self.state.agents[event.agent]
        work = agent.works[event.call]
        work.until = event.until
        self._step_work(agent, work, works.Input.CALL_ENDED, now)

    def _work_done(self, event: e.WorkDone, now: float) -> None:
        agent = self.state.agents[event.agent]
        self._step_work(agent, agent.works[event.call], works.Input.DONE, now)
        del agent.works[event.call]
        agent.idle_since = now
        self._categorise(agent)
        self._forget_if_removed(agent, self.index.agents)

    # ------------------------------------------------------------------ lines, devices, recordings

    def _channel_reserved(self, event: e.ChannelReserved, _now: float) -> None:
        line = self.state.lines.get(event.line)
        if line is None:
            line = self.state.lines[event.line] = s.Line()
        line.channels[event.leg] = event.kbits
        line.reserved_kbits += event.kbits

    def _channel_released(self, event: e.ChannelReleased, _now: float) -> None:
        line = self.state.lines[event.line]
        line.reserved_kbits -= line.channels.pop(event.leg)
        if not line.channels:
            del self.state.lines[event.line]
        self.routing_needed = True

    def _device_bound(self, event: e.DeviceBound, _now: float) -> None:
        agent = self.state.agents[event.agent]
        agent.bindings[event.contact] = s.Binding(
            contact=event.contact, expires_at=float(event.expires_at), flow=event.flow, user_agent=event.user_agent
        )
        self._set_binding_timer(agent)

    def _device_unbound(self, event: e.DeviceUnbound, _now: float) -> None:
        agent = self.state.agents[event.agent]
        del agent.bindings[event.contact]
        self._set_binding_timer(agent)

    def _device_unreachable(self, event: e.DeviceUnreachable, now: float) -> None:
        agent = self.state.agents[event.agent]
        binding = agent.bindings[event.contact]
        binding.unreachable_since, binding.detail = now, event.detail
        self._categorise_users(agent)

    def _device_reachable(self, event: e.DeviceReachable, _now: float) -> None:
        agent = self.state.agents[event.agent]
        binding = agent.bindings[event.contact]
        binding.unreachable_since = binding.detail = None
        self._categorise_users(agent)

    def _set_binding_timer(self, agent: s.Agent) -> None:
        if agent.bindings:
            self.timers.start(name(Timer.BINDING, agent.id), min(one.expires_at for one in agent.bindings.values()))
        else:
            self.timers.stop(name(Timer.BINDING, agent.id))
        self._categorise_users(agent)

    def _deadline_passed(self, event: e.DeadlinePassed, now: float) -> None:
        self.timers.stop(event.timer)
        kind, _, subject = event.timer.partition(" ")
        if kind == Timer.RETRY and EntryId(subject) in self.state.entries:
            self._set_retry(self.state.entries[EntryId(subject)], now)
            self.routing_needed = True
        elif kind == Timer.WARN and LegId(subject) in self.state.legs:
            self._set_warning(self.state.legs[LegId(subject)], now)
        elif kind == Timer.HOURS and QueueId(subject) in self.state.queues:
            self.set_next_change(self.state.queues[QueueId(subject)], now)

    def _trunk_up(self, event: e.TrunkUp, now: float) -> None:
        self.state.trunks[event.trunk] = s.Trunk(up=True, since=now)
        self._categorise_behind(event.trunk)

    def _trunk_down(self, event: e.TrunkDown, now: float) -> None:
        self.state.trunks[event.trunk] = s.Trunk(up=False, since=now, detail=event.detail)
        self._categorise_behind(event.trunk)

    def _categorise_behind(self, trunk: TrunkId) -> None:
        for agent in self.index.behind.get(trunk, ()):
            self._categorise(self.state.agents[agent])

    def _recording_began(self, event: e.RecordingBegan, now: float) -> None:
        call = self.state.calls[event.call]
        call.recording = event.recording
        call.recordings_made += 1
        self.state.recordings[event.recording] = (event.call, now)

    def _recording_kept(self, event: e.RecordingKept, _now: float) -> None:
        del self.state.recordings[event.recording]


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


def _prune(remembered: dict[Any, tuple[CallId, float]], before: float) -> None:
    """Forget what is older; insertion order is age order."""
    while remembered:
        oldest = next(iter(remembered))
        if remembered[oldest][1] > before:
            return
        del remembered[oldest]


# ---------------------------------------------------------------------- tables bound to methods, once

_Bound = dict[Any, dict[Any, tuple[Any, tuple[Callable[[Fold, Any, float], None], ...]]]]


def _bind(table: Any) -> _Bound:
    """Resolve every action to the method of that name; a missing one fails at import."""
    return {
        state: {step: (edge.state, tuple(getattr(Fold, action.value) for action in edge.actions)) for step, edge in row.items()}
        for state, row in table.items()
    }


_CALL = _bind(calls.TRANSITIONS)
_LEG = _bind(legs.TRANSITIONS)
_AGENT = _bind(agents.TRANSITIONS)
_WORK = _bind(works.TRANSITIONS)
_QUEUE = _bind(queues.TRANSITIONS)
_ENTRY = _bind(entries.TRANSITIONS)

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_CONFIGURATIONS = msgspec.msgpack.Decoder(TenantConfiguration | None)
_HASHED = tuple(field for field in s.State.__struct_fields__ if field != "configuration")


def _handler(event: type) -> str:
    """`LegAlerted` -> `_leg_alerted`."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in event.__name__)


_FOLD: dict[type, Callable[[Fold, Any, float], None]] = {
    event: getattr(Fold, _handler(event)) for event in e.Event.__args__ if hasattr(Fold, _handler(event))
}
"""Events without a method leave the state as it is: they are for ledgers and reports."""
