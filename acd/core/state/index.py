"""What the configuration says, by name, and who could ever take what: computed from it, and kept up with every change."""

from __future__ import annotations

from typing import Any

from acd.core.channel_costs import ChannelCosts, dearest
from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import Agent, ChannelCapacity, Menu, Number, Queue, Schedule, TenantConfiguration, Trunk
from acd.core.configuration_changes import Collection
from acd.core.ids import AgentId, MenuId, QueueId, ScheduleId, SiteId, TrunkId
from acd.core.state import capacity, skills
from acd.core.state import values as s
from acd.core.state.bandwidth import Limits, Ways, limits_of, site_line, trunk_line, ways
from acd.core.state.line import Line

_FITNESS = ("skills", "mode", "languages")
"""What decides who could take what."""
_OF_THE_LINE = ("upload_kbits", "channel_kbits", "channel", "degrade", "degrade_from_kbits")
_Asks = tuple[QueueId, int, str | None, tuple[tuple[str, int], ...] | None, str | None]
"""A line, with the mode that its channel is not for in place of the channel."""


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
        self.lines: dict[str, Limits] = {}
        """What each site's and trunk's line has, and how it saves."""
        self.costs: dict[AgentId, ChannelCosts] = {}
        """What a channel to an agent's own phone costs, where its contacts were told with it."""
        self.limits: dict[str, int] = {}
        """Upload of the lines that agents' phones are on, where it is limited."""
        self.channel_of: dict[AgentId, tuple[str, Ways]] = {}
        """Such a line, and what a channel to the agent takes of it."""
        self.widest: dict[str, int] = {}
        """What the widest of the channels on such a line takes."""
        self._channels: dict[str, dict[AgentId, int]] = {}
        """Such a line, and who is on it with how wide a channel."""
        self.reasons: frozenset[str] = frozenset()
        self.language = "de"
        self.generation = 0
        """Another number after each change of the configuration: what is kept by somebody else is looked at anew then."""
        self._eligibility: dict[_Asks, skills.Eligibility] = {}
        self._capacity: tuple[ChannelCapacity, ...] = ()
        self._capacities: capacity.Capacities = capacity.DEFAULT
        self._own_capacities: dict[AgentId, capacity.Capacities] = {}
        """Of agents who have others than everybody."""
        self._shared: dict[str, bool] = {}
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
        self._limit(configuration)
        for known in state.agents.values():
            self._cost(known)
        for agent in configuration.agents:
            self._place(agent)
        self.reasons = frozenset(one.code for one in configuration.reasons)
        self.language = configuration.language
        self._make_room(configuration)

    def _make_room(self, configuration: TenantConfiguration) -> None:
        self._capacity = configuration.capacity
        self._shared.clear()
        self._capacities = capacity.capacities(configuration.capacity)
        self._own_capacities = {one.id: capacity.capacities(one.capacity, self._capacities) for one in configuration.agents if one.capacity}

    def _alter_rooms(self, configuration: TenantConfiguration, people: dict[AgentId, Agent | None]) -> bool:
        """Returns: whether they are others for everybody."""
        if configuration.capacity != self._capacity:
            self._make_room(configuration)
            return True
        for agent_id, agent in people.items():
            before = self._own_capacities.pop(agent_id, None)
            if agent is not None and agent.capacity:
                self._own_capacities[agent_id] = capacity.capacities(agent.capacity, self._capacities)
            if before != self._own_capacities.get(agent_id):
                self._shared.clear()
        return False

    def is_shared(self, channel: str) -> bool:
        """Whether anybody may be given a contact of this channel while having work."""
        known = self._shared.get(channel)
        if known is None:
            everybodys = (self._capacities, *self._own_capacities.values())
            known = self._shared[channel] = any(capacity.is_shared(one[channel], channel) for one in everybodys)
        return known

    def capacity_of(self, agent: AgentId, channel: str) -> capacity.Capacity:
        """How much of a channel the agent can have, and beside what."""
        return self._own_capacities.get(agent, self._capacities)[channel]

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

    def _limit(self, configuration: TenantConfiguration) -> None:
        self.lines = {site_line(one.id): limits_of(one) for one in configuration.sites}
        self.lines.update({trunk_line(one.id): limits_of(one) for one in configuration.trunks})

    def _cost(self, owner: s.Agent) -> bool:
        """Returns: whether a channel to its phone costs something else than before."""
        costs = dearest([one.channel for one in owner.bindings.values() if one.channel is not None])
        if costs == self.costs.get(owner.id):
            return False
        if costs is None:
            del self.costs[owner.id]
        else:
            self.costs[owner.id] = costs
        return True

    def bound_otherwise(self, owner: s.Agent) -> None:
        """Contacts of this agent's device came or went."""
        if self._cost(owner):
            user = self.agents.get(self.user_of(owner.id))
            if user is not None:
                self._displace(user)
                self._place(user)

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
            line, costs, kbits = trunk_line(trunk.id), trunk.channel, trunk.channel_kbits
        elif phone.site is not None and phone.site in self.sites:
            line, costs, kbits = site_line(phone.site), self.costs.get(phone.id), phone.channel_kbits
        else:
            return
        limits = self.lines[line]
        if limits.upload_kbits is not None:
            channel = ways(costs, kbits, limits.plan)
            usual = channel.usual.kbits
            self.limits[line] = limits.upload_kbits
            self.channel_of[agent.id] = (line, channel)
            self.widest[line] = max(usual, self.widest.get(line, 0))
            self._channels.setdefault(line, {})[agent.id] = usual

    def _displace(self, agent: Agent) -> None:
        """What `_place` entered is taken out."""
        behind = self._behind.pop(agent.id, None)
        if behind is not None:
            self.behind[behind].remove(agent.id)
            if not self.behind[behind]:
                del self.behind[behind]
        found = self.channel_of.pop(agent.id, None)
        if found is None:
            return
        line, channel = found
        others = self._channels[line]
        del others[agent.id]
        if not others:
            del self._channels[line], self.limits[line], self.widest[line]
        elif channel.usual.kbits == self.widest[line]:
            self.widest[line] = max(others.values())

    def alter(self, configuration: TenantConfiguration, changed: dict[Collection, dict[Any, Any]]) -> list[AgentId]:
        """Take in what `changed`, as `touched` tells it; `configuration` is the whole that came of it.

        Returns: whose reachability it may change.
        """
        self.generation += 1
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
        self._forget_eligibility({one for one, new in lines.items() if one not in self.queues or new is None or self._asks_else(new)})
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
        if changed["sites"] or changed["trunks"]:
            self._limit(configuration)
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
            for asks, known in self._eligibility.items():
                self._eligibility[asks] = skills.readjusted(known, fit)
        return list(dict.fromkeys((*reached, *self.agents)) if self._alter_rooms(configuration, people) else reached)

    def _whose_line_changed(self, changed: dict[Collection, dict[Any, Any]]) -> list[AgentId]:
        """Agents on sites and behind trunks that are limited otherwise than before."""
        sites = {
            one for one, new in changed["sites"].items() if self.lines.get(site_line(one)) != (limits_of(new) if new is not None else None)
        }
        trunks = {
            one
            for one, new in changed["trunks"].items()
            if (old := self.trunks.get(one)) is None or new is None or _differ(old, new, _OF_THE_LINE)
        }
        if not sites and not trunks:
            return []
        phones = ((agent.id, self.phone_of(agent)) for agent in self.agents.values())
        return [agent for agent, phone in phones if phone is not None and (phone.site in sites or phone.trunk in trunks)]

    def _asks_else(self, queue: Queue) -> bool:
        """Whether others than before could take its contacts."""
        return _differ(self.queues[queue.id], queue, ("members", "requirements", "relaxations", "languages"))

    def _forget_eligibility(self, of: set[QueueId]) -> None:
        if of:
            self._eligibility = {asks: known for asks, known in self._eligibility.items() if asks[0] not in of}

    def schedule_of(self, holder: Queue | Menu) -> Schedule | None:
        """Business hours of a queue or menu; None: always open."""
        return self.schedules.get(holder.schedule) if holder.schedule is not None else None

    def eligibility(self, line: Line) -> skills.Eligibility:
        """Who could ever take a contact of this line."""
        asks = (line.queue, line.relaxation, line.language, line.skills, CHANNELS[line.channel].not_for_mode)
        known = self._eligibility.get(asks)
        if known is None:
            known = self._eligibility[asks] = skills.eligibility(skills.asked(self.queues[line.queue], line), self.agents.values())
        return known

    def team(self, queue: QueueId) -> list[frozenset[AgentId]]:
        """Who could take an ordinary contact of the queue, by relaxation."""
        return [self.eligibility(Line(queue, level)).agents for level in range(len(self.queues[queue].relaxations) + 1)]


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
