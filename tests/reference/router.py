"""The reference router: who must get whom at this moment, written from the documents, slowly and plainly (DESIGN.md §3).

It reads the plain facts of the state and nothing that is kept beside it: no index, no roster, no line. What it goes by are the docstrings
of `acd.core.configuration`, `acd.core.channel_kinds`, `acd.core.strategies`, `acd.core.state.capacity`, `acd.core.state.score`,
`acd.core.events.Decision` and `acd.core.routing.pick`; docs/figures.md for `fewest_calls`.

Every contact is asked for by itself, best first, of everybody there is: contacts times agents, every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from acd.core.channel_costs import ChannelCosts
from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import Agent, ChannelCapacity, Queue, Site, TenantConfiguration, Trunk
from acd.core.state import values as s

RETRY_PAUSE_S, RETRY_AFTER_S = 5.0, 30.0
"""Who did not take a contact is asked for it again after the first, or the second while there are others who have not been asked."""
FLOOR_KBITS = 100.0


class Given(NamedTuple):
    """One contact for one agent, or for all who ring together."""

    entry: str
    agents: tuple[str, ...]


def speaks(person: Agent, language: str) -> bool:
    """`de-AT` is `de`."""
    return language.partition("-")[0].lower() in {one.partition("-")[0].lower() for one in person.languages}


def has_room(configuration: TenantConfiguration, person: Agent, channel: str, works: Sequence[str]) -> bool:
    """Whether an agent with works of these channels can have one more, by the agent's own rule, else the tenant's, else the table's."""
    rules = [one for one in (*person.capacity, *configuration.capacity) if one.channel == channel]
    rule = rules[0] if rules else ChannelCapacity(channel=channel, at_once=CHANNELS[channel].at_once)
    in_the_way = set(CHANNELS) - {channel} if rule.not_during is None else set(rule.not_during)
    return works.count(channel) < rule.at_once and not in_the_way & set(works)


@dataclass
class Reference:
    """One round: everybody gets one contact in it at most."""

    state: s.State
    now: float
    given: set[str] = field(default_factory=set)
    awaited: list[tuple[str, str]] = field(default_factory=list)
    """Agent, and the channel of the better contact that it is kept for."""
    upload: dict[str, float] = field(default_factory=dict)
    """Line -> kbit/s given away in this round."""

    @property
    def configuration(self) -> TenantConfiguration:
        configuration = self.state.configuration
        assert configuration is not None
        return configuration

    # ------------------------------------------------------------------ who there is

    def has_room(self, person: Agent, channel: str, works: Sequence[str]) -> bool:
        return has_room(self.configuration, person, channel, works)

    def works(self, person: Agent) -> list[str]:
        """Their channels; after-call work is work."""
        return [work.channel for work in self.state.agents[person.id].works.values()]

    def is_ready(self, person: Agent, channel: str) -> bool:
        """Logged on, wants to, and the phone can be rung where the channel needs it."""
        agent = self.state.agents.get(person.id)
        if agent is None or agent.state != "ready":
            return False
        return not CHANNELS[channel].needs_phone or self.has_phone(person)

    def has_phone(self, person: Agent) -> bool:
        """One of ours is registered and answers; one behind a trunk is there while the trunk is up."""
        if person.trunk is not None:
            known = self.state.trunks.get(person.trunk)
            return known is None or known.up
        agent = self.state.agents[person.id]
        bindings = list(agent.bindings.values())
        if all(one.is_page for one in bindings) and agent.line is not None and agent.line.bad:
            return False  # a page on a line that is too bad for a call
        return any(one.unreachable_since is None for one in bindings)

    def grade(self, person: Agent) -> int:
        """Of the line that its page is on: 0 as long as nothing is known, 1 below what is good, 2 far below."""
        line = self.state.agents[person.id].line
        known = line.figures if line is not None else {}
        upload, loss, mos = known.get("upload_kbits", 1e9), known.get("loss", 0.0), known.get("mos", 4.5)
        return 2 if upload < 130 or loss > 0.03 or mos < 3.6 else 1 if upload < 200 or loss > 0.01 or mos < 4.0 else 0

    def fits(self, person: Agent, channel: str) -> bool:
        """A speech channel is admitted against the upload of the trunk that the phone is behind, else of the agent's site."""
        return channel != "voice" or self.takes(person) is not None

    def need_not_seek(self, person: Agent, channel: str) -> bool:
        """It fits without somebody else's being looked for."""
        return channel != "voice" or self.takes(person, alone=False) is not None

    def takes(self, person: Agent, *, alone: bool = True) -> float | None:
        """What a channel to the phone takes: as usual, else by the first step of the line's plan that fits; None: nothing does."""
        name, line, costs, configured = self.line_of(person)
        if line is None or line.upload_kbits is None:
            return 0.0
        known = self.state.lines.get(name)
        taken = (known.reserved_kbits if known is not None else 0) + self.upload.get(name, 0.0)
        usual = max(costs.kbits if costs is not None else 0, configured, FLOOR_KBITS)
        begins = line.upload_kbits if line.degrade_from_kbits is None else line.degrade_from_kbits
        if taken + usual <= begins:
            return usual
        for step in line.degrade:
            if step == "other_leg" and not alone:
                return None
            saved = costs.degraded.get(step) if costs is not None and step in {"longer_ptime", "opus"} else None
            cheaper = saved.kbits + max(0, configured - FLOOR_KBITS) if saved is not None else usual
            if cheaper < usual and taken + cheaper <= line.upload_kbits:
                return cheaper
        return usual if taken + usual <= line.upload_kbits else None

    def line_of(self, person: Agent) -> tuple[str, Site | Trunk | None, ChannelCosts | None, int]:
        """Its name, itself, what a channel to this phone is said to cost, and what it does at least."""
        for trunk in self.configuration.trunks:
            if trunk.id == person.trunk:
                return f"trunk:{trunk.id}", trunk, trunk.channel, trunk.channel_kbits
        for site in self.configuration.sites:
            if site.id == person.site:
                told = [one.channel for one in self.state.agents[person.id].bindings.values() if one.channel is not None]
                worst = max(told, key=lambda one: one.kbits) if told else None  # the storm's phones have one contact each
                return f"site:{site.id}", site, worst, person.channel_kbits
        return "", None, None, 0

    # ------------------------------------------------------------------ who could take a contact

    def asked(self, entry: s.Entry, queue: Queue) -> tuple[tuple[str, int], ...]:
        """Skills and levels: the contact's own, else the queue's as far as they are relaxed."""
        contact = self.state.contacts[entry.contact]
        if contact.requirements is not None:
            return tuple((one.skill, one.level) for one in contact.requirements)
        requirements = queue.relaxations[entry.relaxation - 1].requirements if entry.relaxation else queue.requirements
        return tuple((one.skill, one.level) for one in requirements)

    def language(self, entry: s.Entry, queue: Queue) -> str | None:
        """The one that matters; None: none does."""
        relaxed = any(one.any_language for one in queue.relaxations[: entry.relaxation])
        return None if queue.languages == "ignored" or relaxed else self.state.contacts[entry.contact].language

    def could_ever(self, person: Agent, entry: s.Entry, queue: Queue) -> bool:
        """Membership, skills, language, mode."""
        language = self.language(entry, queue)
        return (
            (queue.members is None or person.id in queue.members)
            and all(person.skills.get(skill, 0) >= level for skill, level in self.asked(entry, queue))
            and (queue.languages != "required" or language is None or speaks(person, language))
            and person.mode != {"voice": "outbound", "callback": "inbound"}.get(entry.channel)
        )

    def could_be_tried(self, person: Agent, entry: s.Entry) -> bool:
        """Free, or busy: of several reasons the first counts, so that nobody looks at the phone of who is busy."""
        return self.is_ready(person, entry.channel) or (self.is_ready(person, "message") and not self.could_do_more(person, entry.channel))

    def may_be_tried(self, person: Agent, entry: s.Entry, all_of_them: list[Agent]) -> bool:
        """Who did not take it is left alone for a moment, and longer while there are others who have not been tried."""
        at = entry.tried.get(person.id)
        if at is None or at + RETRY_AFTER_S <= self.now:
            return True
        others = [one for one in all_of_them if one.id not in entry.tried and self.could_be_tried(one, entry)]
        return at + RETRY_PAUSE_S <= self.now and not others

    def could_do_more(self, person: Agent, channel: str) -> bool:
        asked = self.state.agents[person.id].question is not None  # its page is, for another contact
        return not asked and self.has_room(person, channel, self.works(person))

    def not_awaited(self, person: Agent, channel: str) -> bool:
        """Work of this channel would not keep the agent from a better contact of another that it is awaited for."""
        if self.comes_in_beside_everything(person, channel):
            return True
        return not any(one == person.id and not self.has_room(person, other, [channel]) for one, other in self.awaited)

    def comes_in_beside_everything(self, person: Agent, channel: str) -> bool:
        """As configured: work of whatever other channel is no obstacle."""
        return all(self.has_room(person, channel, [other]) for other in CHANNELS if other != channel)

    # ------------------------------------------------------------------ in which order

    def terms(self, person: Agent, entry: s.Entry, queue: Queue) -> tuple[float | str, ...]:
        """Smaller is better: whose customer it is, who speaks the language, then what the strategy says, then the name."""
        contact, language = self.state.contacts[entry.contact], self.language(entry, queue)
        first: list[float | str] = [language is not None and not speaks(person, language)]
        if queue.worse_line_counts:
            first.append(self.grade(person))
        if queue.strategy != "ring_all":  # all are asked first
            first.insert(0, contact.personal != person.id)
        agent = self.state.agents[person.id]
        at_hand = len(agent.works)
        tally = self.state.statistics.agents.get(person.id)
        credit = tally.head_starts.get(queue.id, 0.0) if tally is not None else 0.0
        last = self.state.queues[queue.id].last_agent
        match queue.strategy:
            case "longest_idle":
                first += [at_hand, agent.idle_since]
            case "best_skill":
                first += [-sum(person.skills.get(skill, 0) for skill, _ in self.asked(entry, queue)), at_hand, agent.idle_since]
            case "fewest_calls":
                first += [(tally.answered if tally is not None else 0) + credit, at_hand, agent.idle_since, credit]
            case "round_robin":
                first += [last is not None and person.id <= last]
            case _:
                pass
        return (*first, person.id)

    def chosen(self, entry: s.Entry) -> tuple[str, ...]:
        """Who gets it now; nobody: ()."""
        queue = next(one for one in self.configuration.queues if one.id == entry.queue)
        able = [one for one in self.configuration.agents if self.could_ever(one, entry, queue)]
        free = [
            one
            for one in able
            if one.id not in self.given
            and self.is_ready(one, entry.channel)
            and self.could_do_more(one, entry.channel)
            and self.not_awaited(one, entry.channel)
            and self.fits(one, entry.channel)
        ]
        if not free:
            self.wait_for_one(entry, able)
        free = [one for one in free if self.may_be_tried(one, entry, able)]
        free = [one for one in free if self.need_not_seek(one, entry.channel)] or free
        free.sort(key=lambda one: self.terms(one, entry, queue))
        found: list[str] = []
        for person in free:
            if self.fits(person, entry.channel):
                found.append(person.id)
                self.give(person, entry.channel)
                if queue.strategy != "ring_all":
                    break
        return tuple(found)

    def give(self, person: Agent, channel: str) -> None:
        """Nothing more in this round, and its part of the line."""
        self.given.add(person.id)
        if channel == "voice":
            name = self.line_of(person)[0]
            self.upload[name] = self.upload.get(name, 0.0) + (self.takes(person) or 0.0)

    def wait_for_one(self, entry: s.Entry, able: list[Agent]) -> None:
        """Nobody is free, not even one who has not taken it: of those whom work of other channels keeps from it, the one with least to do
        is awaited, unless it is awaited already."""
        if len({one.channel for one in self.state.entries.values() if one.state == "waiting"}) < 2:
            return
        busy = [one for one in able if self.is_ready(one, entry.channel) and self.is_kept_by_others(one, entry.channel)]
        busy = [one for one in busy if one.id not in {agent for agent, _ in self.awaited}]
        if busy:
            self.awaited.append((min(busy, key=lambda one: (len(self.works(one)), one.id)).id, entry.channel))

    def is_kept_by_others(self, person: Agent, channel: str) -> bool:
        """Work of another channel stands in the way, whatever there is of this one."""
        return any(not self.has_room(person, channel, [work]) for work in self.works(person) if work != channel) and self.has_room(
            person, channel, []
        )

    def round(self) -> list[Given]:
        """Contacts in order of score (waited + advantage, so arrival less advantage; ties by arrival, then name)."""
        if self.state.stopping or self.state.configuration is None:
            return []
        waiting = [one for one in self.state.entries.values() if one.state == "waiting" and not self.state.contacts[one.contact].not_yet]
        waiting.sort(key=lambda one: (one.queued_at - one.priority_s, one.queued_at, one.id))
        return [Given(one.id, agents) for one in waiting if (agents := self.chosen(one))]


def must_get(state: s.State, now: float) -> list[Given]:
    """Every assignment that has to be made at this moment, best contact first."""
    return Reference(state, now).round()
