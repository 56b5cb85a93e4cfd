"""Who can ever take what: skills, membership and mode, computed once per queue and relaxation when the configuration changes (house)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from acd.core.configuration import Agent, Queue, SkillRequirement
from acd.core.ids import AgentId


class Eligibility(NamedTuple):
    """The part of a decision that no event between two configurations can change."""

    requirements: tuple[tuple[str, int], ...]
    agents: frozenset[AgentId]
    removed: dict[str, tuple[AgentId, ...]]
    """not_member, skill, mode -> agents, in this order; each agent under the first that applies."""
    levels: dict[AgentId, int]
    """Sum of the agent's levels in the skills asked for; agents in order of name."""


def requirements_at(queue: Queue, relaxation: int) -> tuple[SkillRequirement, ...]:
    """What is asked for when so many relaxations are in force."""
    return queue.requirements if relaxation == 0 else queue.relaxations[relaxation - 1].requirements


def has_skills(agent: Agent, requirements: Iterable[SkillRequirement]) -> bool:
    """Whether the agent has every skill at its level."""
    return all(agent.skills.get(wanted.skill, 0) >= wanted.level for wanted in requirements)


_FILTERS = ("not_member", "skill", "mode")


def _filter(agent: Agent, members: frozenset[AgentId] | None, wanted: Iterable[SkillRequirement]) -> str | None:
    """The first filter that keeps the agent out."""
    if members is not None and agent.id not in members:
        return "not_member"
    if not has_skills(agent, wanted):
        return "skill"
    return "mode" if agent.mode == "outbound" else None


def _level(agent: Agent, wanted: Iterable[SkillRequirement]) -> int:
    return sum(agent.skills.get(one.skill, 0) for one in wanted)


def eligibility(queue: Queue, relaxation: int, agents: Iterable[Agent]) -> Eligibility:
    """Sort all agents into those who could take a contact of this queue and those removed, by filter."""
    wanted = requirements_at(queue, relaxation)
    members = None if queue.members is None else frozenset(queue.members)
    levels: dict[AgentId, int] = {}
    removed: dict[str, list[AgentId]] = {name: [] for name in _FILTERS}
    for agent in sorted(agents, key=lambda one: one.id):
        out = _filter(agent, members, wanted)
        if out is not None:
            removed[out].append(agent.id)
        else:
            levels[agent.id] = _level(agent, wanted)
    return Eligibility(
        tuple((one.skill, one.level) for one in wanted),
        frozenset(levels),
        {name: tuple(ids) for name, ids in removed.items() if ids},
        levels,
    )


def readjusted(known: Eligibility, queue: Queue, relaxation: int, people: Mapping[AgentId, Agent | None]) -> Eligibility:
    """As `eligibility` anew, where only `people` differ (None: gone); the very same value when it makes no difference here."""
    wanted = requirements_at(queue, relaxation)
    members = None if queue.members is None else frozenset(queue.members)
    removed = {name: list(known.removed.get(name, ())) for name in _FILTERS}
    levels = dict(known.levels)
    for agent_id, agent in people.items():
        levels.pop(agent_id, None)
        for line in removed.values():
            at = bisect_left(line, agent_id)
            if line[at : at + 1] == [agent_id]:
                del line[at]
        if agent is not None:
            out = _filter(agent, members, wanted)
            if out is None:
                levels[agent_id] = _level(agent, wanted)
            else:
                insort(removed[out], agent_id)
    told = {name: tuple(ids) for name, ids in removed.items() if ids}
    if levels == known.levels and told == known.removed:
        return known
    return Eligibility(known.requirements, frozenset(levels), told, dict(sorted(levels.items())))
