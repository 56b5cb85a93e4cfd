"""Routing strategies, a row each: by what the agents who could take a contact are ordered (house; DESIGN.md §5).

Who adds a strategy adds its terms and its row here; configuration, rosters, decision records and their proof read the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol

from acd.core.ids import AgentId

Terms = tuple[float, ...]


class Today(Protocol):
    """What an agent has done on this day, as far as it is over; formulas: docs/figures.md."""

    @property
    def answered(self) -> int: ...
    @property
    def handled(self) -> int: ...
    @property
    def talk_s(self) -> float: ...
    @property
    def hold_s(self) -> float: ...
    @property
    def wrap_s(self) -> float: ...
    @property
    def idle_s(self) -> float: ...
    @property
    def busy_s(self) -> float: ...


class Standing(Protocol):
    """What may be asked of the agents of one queue: `acd.core.routing.rosters` knows it."""

    def today(self, agent: AgentId) -> Today:
        """Its figures of the day."""

    def idle_since(self, agent: AgentId) -> float:
        """Epoch seconds."""

    def level(self, agent: AgentId) -> float:
        """Sum of its levels in the skills asked for."""

    def contacts_had(self, agent: AgentId) -> float:
        """Taken today, with the head start it has in this queue."""

    def credit(self, agent: AgentId) -> float:
        """That head start."""


class Strategy(NamedTuple):
    """A row of the table."""

    terms: Callable[[Standing, AgentId], Terms]
    """What an agent is ordered by, most significant first; smaller wins, the agent's name decides between equals."""
    term_names: tuple[str, ...]
    at_hand: int | None = None
    """Place among its terms of how many contacts an agent has at hand, for channels that leave room for several or beside others (there
    is no such term elsewhere, nobody who is free has any); None: it does not matter."""
    version: int = 1
    """Part of every decision record: raised when the same name comes to mean something else."""
    order: Literal["best_first", "in_turn", "together"] = "best_first"
    """The best one is asked; who stands behind the last one in order of name; all at once."""
    keeps_even: bool = False
    """Who joins later is credited with what the others have had by then (`acd.core.state.statistics.give_head_starts`)."""


def _longest_idle(of: Standing, agent: AgentId) -> Terms:
    return (of.idle_since(agent),)


def _best_skill(of: Standing, agent: AgentId) -> Terms:
    return (-of.level(agent), of.idle_since(agent))


def _fewest_calls(of: Standing, agent: AgentId) -> Terms:
    # The last one is part of the first, and told so that a record says how it came about.
    return (of.contacts_had(agent), of.idle_since(agent), of.credit(agent))


def _by_name(_of: Standing, _agent: AgentId) -> Terms:
    return ()


STRATEGIES: Final[dict[str, Strategy]] = {
    "longest_idle": Strategy(_longest_idle, ("idle_since",), at_hand=0),
    "best_skill": Strategy(_best_skill, ("minus_level_sum", "idle_since"), at_hand=1),
    # 1 gave a late starter all that the others had had; 2 credited it with the mean of everybody there, whatever their queues.
    "fewest_calls": Strategy(_fewest_calls, ("calls_had", "idle_since", "credit"), at_hand=1, version=3, keeps_even=True),
    # Whose turn it is changes with every offer: the order of names is only turned.
    "round_robin": Strategy(_by_name, ("turns_to_go",), order="in_turn"),
    "ring_all": Strategy(_by_name, (), order="together"),
}
