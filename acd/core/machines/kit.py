"""The kit of the core's state machines: an edge, a table, one step (house; the shape follows h11's `_state.py`).

Each machine is one file with three enums (State, Input, Do) and `TRANSITIONS: dict[State, dict[Input, Edge]]`. Inputs are what the events
mean to this machine. A pair (state, input) that is not in the table has one meaning everywhere in the core: a desk command raises
`IllegalTransition`, a telephony fact is dropped and counted, an event being folded is a `BrokenHistory`. Actions name the
methods of `acd.core.state.fold.Fold` that carry them out: starting and stopping of deadlines, mostly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
I = TypeVar("I", bound=StrEnum)  # noqa: E741 - I is the input alphabet, as S is the states
D = TypeVar("D", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Edge(Generic[S, D]):
    """Where an input leads, and what is done on the way, in order."""

    state: S
    actions: tuple[D, ...] = ()


def to(state: S, *actions: D) -> Edge[S, D]:
    """Write an edge; a line of a table then reads like an arrow of the diagram."""
    return Edge(state, actions)


Table = Mapping[S, Mapping[I, Edge[S, D]]]


def allows(table: Table[S, I, D], state: S, step: I) -> bool:
    """Whether the table has this pair."""
    return step in table[state]
