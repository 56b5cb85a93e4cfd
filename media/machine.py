"""The kit of this package's state machines: an edge and a table (house; the SIP stack and the core have their own of the same shape).

A pair (state, input) that is not in a table leaves the state as it is: what comes from a line is not always in season.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
A = TypeVar("A", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Edge(Generic[S, A]):
    """Where an input leads, and what is done on the way, in order."""

    state: S
    actions: tuple[A, ...] = ()


def to(state: S, *actions: A) -> Edge[S, A]:
    """Make one edge of a table line."""
    return Edge(state, actions)
