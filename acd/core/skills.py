"""Who can ever take what: skills, membership and mode, computed once per queue and relaxation when the configuration changes (house)."""

from __future__ import annotations

from collections.abc import Iterable
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


def eligibility(queue: Queue, relaxation: int, agents: Iterable[Agent]) -> Eligibility:
    """Sort all agents into those who could take a contact of this queue and those removed, by filter."""
    wanted = requirements_at(queue, relaxation)
    members = None if queue.members is None else set(queue.members)
    fit: list[AgentId] = []
    levels: dict[AgentId, int] = {}
    removed: dict[str, list[AgentId]] = {"not_member": [], "skill": [], "mode": []}
    for agent in sorted(agents, key=lambda one: one.id):
        if members is not None and agent.id not in members:
            removed["not_member"].append(agent.id)
        elif not has_skills(agent, wanted):
            removed["skill"].append(agent.id)
        elif agent.mode == "outbound":
            removed["mode"].append(agent.id)
        else:
            fit.append(agent.id)
            levels[agent.id] = sum(agent.skills.get(one.skill, 0) for one in wanted)
    return Eligibility(
        tuple((one.skill, one.level) for one in wanted),
        frozenset(fit),
        {name: tuple(ids) for name, ids in removed.items() if ids},
        levels,
    )
