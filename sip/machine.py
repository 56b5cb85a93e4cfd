"""The kit of every SIP state machine: an edge, a table, its binding to action methods (house; the idea is h11's `_state.py`).

A machine module holds three `StrEnum`s (State, Input, Do) and `TRANSITIONS: dict[State, dict[Input, Edge]]`. An action's value is the
name of the method that carries it out, so table and code cannot drift apart: `bind` fails at import when a method is missing.
A pair (state, input) that is not in a table has one fixed meaning in this package: the input is dropped and counted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
I = TypeVar("I", bound=StrEnum)  # noqa: E741  # I is the input alphabet, as S is the states
A = TypeVar("A", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Edge(Generic[S, A]):
    """Where an input leads, and what is done on the way, in order."""

    state: S
    actions: tuple[A, ...] = ()


def to(state: S, *actions: A) -> Edge[S, A]:
    """Make one edge of a table line."""
    return Edge(state, actions)


Table = Mapping[S, Mapping[I, Edge[S, A]]]
Bound = dict[Any, dict[Any, tuple[Any, tuple[Callable[..., None], ...]]]]


def bind(table: Table[S, I, A], owner: type) -> Bound:
    """Resolve each action to the owner's method of that name, once, at import.

    Returns: state -> input -> (next state, functions to call with (self, now, argument)).
    Raises: AttributeError: the table names an action that has no method.
    """
    return {
        state: {event: (edge.state, tuple(getattr(owner, action.value) for action in edge.actions)) for event, edge in row.items()}
        for state, row in table.items()
    }
