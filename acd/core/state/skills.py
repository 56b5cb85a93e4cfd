"""Who can ever take what: skills, membership and mode, computed once per line when the configuration changes (house)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import Agent, Queue, SkillRequirement
from acd.core.ids import AgentId
from acd.core.state.line import Line


class Asked(NamedTuple):
    """What a line asks of agents."""

    members: tuple[AgentId, ...] | None
    requirements: tuple[SkillRequirement, ...]
    language: str | None = None
    """Only who speaks it; None: whoever."""
    preferred: str | None = None
    """Who speaks it comes first; None: nobody does."""
    not_for_mode: str | None = None
    """Nobody of this mode; None: of whatever mode."""


class Eligibility(msgspec.Struct, frozen=True):
    """The part of a decision that no event between two configurations can change."""

    asked: Asked
    requirements: tuple[tuple[str, int], ...]
    agents: frozenset[AgentId]
    removed: dict[str, tuple[AgentId, ...]]
    """not_member, skill, language, mode -> agents, in this order; each agent under the first that applies."""
    levels: dict[AgentId, int]
    """Sum of the agent's levels in the skills asked for; agents in order of name."""
    speakers: frozenset[AgentId] | None = None
    """Who speaks the language that is preferred; None: none is."""


def asked(queue: Queue, line: Line) -> Asked:
    """What is asked for in this line: the contact's own skills, else the queue's as far as they are relaxed; its language."""
    own = line.skills
    wanted = requirements_at(queue, line.relaxation) if own is None else tuple(SkillRequirement(skill=one, level=at) for one, at in own)
    is_required = queue.languages == "required"
    required, preferred = (line.language, None) if is_required else (None, line.language)
    return Asked(queue.members, wanted, required, preferred, CHANNELS[line.channel].not_for_mode)


def speaks(agent: Agent, language: str) -> bool:
    """Whether it is one of the agent's languages, of whatever region."""
    return any(one.partition("-")[0].lower() == language for one in agent.languages)


def requirements_at(queue: Queue, relaxation: int) -> tuple[SkillRequirement, ...]:
    """What is asked for when so many relaxations are in force."""
    return queue.requirements if relaxation == 0 else queue.relaxations[relaxation - 1].requirements


def has_skills(agent: Agent, requirements: Iterable[SkillRequirement]) -> bool:
    """Whether the agent has every skill at its level."""
    return all(agent.skills.get(wanted.skill, 0) >= wanted.level for wanted in requirements)


_FILTERS = ("not_member", "skill", "language", "mode")


def _filter(agent: Agent, members: frozenset[AgentId] | None, wanted: Asked) -> str | None:
    """The first filter that keeps the agent out."""
    if members is not None and agent.id not in members:
        return "not_member"
    if not has_skills(agent, wanted.requirements):
        return "skill"
    if wanted.language is not None and not speaks(agent, wanted.language):
        return "language"
    return "mode" if agent.mode == wanted.not_for_mode else None


def _level(agent: Agent, wanted: Asked) -> int:
    return sum(agent.skills.get(one.skill, 0) for one in wanted.requirements)


def eligibility(wanted: Asked, agents: Iterable[Agent]) -> Eligibility:
    """Sort all agents into those who could take a contact that asks for this and those removed, by filter."""
    members = None if wanted.members is None else frozenset(wanted.members)
    levels: dict[AgentId, int] = {}
    speakers: set[AgentId] = set()
    removed: dict[str, list[AgentId]] = {name: [] for name in _FILTERS}
    for agent in sorted(agents, key=lambda one: one.id):
        out = _filter(agent, members, wanted)
        if out is not None:
            removed[out].append(agent.id)
            continue
        levels[agent.id] = _level(agent, wanted)
        if wanted.preferred is not None and speaks(agent, wanted.preferred):
            speakers.add(agent.id)
    return Eligibility(
        wanted,
        tuple((one.skill, one.level) for one in wanted.requirements),
        frozenset(levels),
        {name: tuple(ids) for name, ids in removed.items() if ids},
        levels,
        None if wanted.preferred is None else frozenset(speakers),
    )


def readjusted(known: Eligibility, people: Mapping[AgentId, Agent | None]) -> Eligibility:
    """As `eligibility` anew, where only `people` differ (None: gone); the very same value when it makes no difference here."""
    wanted = known.asked
    members = None if wanted.members is None else frozenset(wanted.members)
    removed = {name: list(known.removed.get(name, ())) for name in _FILTERS}
    levels = dict(known.levels)
    speakers = set(known.speakers or ())
    for agent_id, agent in people.items():
        levels.pop(agent_id, None)
        speakers.discard(agent_id)
        for line in removed.values():
            at = bisect_left(line, agent_id)
            if line[at : at + 1] == [agent_id]:
                del line[at]
        if agent is None:
            continue
        out = _filter(agent, members, wanted)
        if out is not None:
            insort(removed[out], agent_id)
            continue
        levels[agent_id] = _level(agent, wanted)
        if wanted.preferred is not None and speaks(agent, wanted.preferred):
            speakers.add(agent_id)
    told = {name: tuple(ids) for name, ids in removed.items() if ids}
    if levels == known.levels and told == known.removed and speakers == (known.speakers or set()):
        return known
    return Eligibility(
        wanted,
        known.requirements,
        frozenset(levels),
        told,
        dict(sorted(levels.items())),
        None if known.speakers is None else frozenset(speakers),
    )
