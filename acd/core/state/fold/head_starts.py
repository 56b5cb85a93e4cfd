"""Head starts in queues whose strategy keeps agents even: what the others have had when somebody joins is not made up for."""

from __future__ import annotations

from acd.core.ids import AgentId, QueueId
from acd.core.state import statistics
from acd.core.state.fold.kit import Indexes
from acd.core.strategies import STRATEGIES

Teams = dict[QueueId, list[frozenset[AgentId]]]


def fair_teams(fold: Indexes) -> Teams:
    """Who could take a contact of each queue that keeps agents even, by relaxation."""
    return {queue.id: fold.index.team(queue.id) for queue in fold.index.queues.values() if STRATEGIES[queue.strategy].keeps_even}


def teams_of(fold: Indexes, agent_id: AgentId) -> dict[QueueId, list[AgentId]]:
    """Such queues that the agent shares with others who are logged on, and these, at the relaxation that lets it in."""
    away, found = fold.categories["logged_off"], {}
    for queue, teams in fair_teams(fold).items():
        team = next((one for one in teams if agent_id in one), frozenset[AgentId]())
        if others := sorted(team - away - {agent_id}):
            found[queue] = others
    return found


def credit_joiners(fold: Indexes, before: Teams, now: float) -> None:
    """The configuration let people who are logged on into such queues, or made queues such ones: as with a log-on.

    Args:
        before: `fair_teams` of the configuration before.
    """
    away = fold.categories["logged_off"]
    for queue, teams in fair_teams(fold).items():
        former = before.get(queue, [])
        if teams == former:
            continue
        for level, team in enumerate(teams):
            let_in_before = frozenset[AgentId]().union(*teams[:level], *former[: level + 1])
            joining = sorted(team - away - let_in_before)
            there = sorted(team & former[level] - away) if level < len(former) else []
            if joining:
                others = there or sorted(team - away)
                statistics.give_head_starts(fold.state.statistics, queue, joining, others, now, even=not there)
                for agent in joining:
                    fold.note_change(agent)
