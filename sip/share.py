"""Whose a request is, as far as fairness goes: a name the engine does not understand, with its weight (house)."""

from typing import NamedTuple


class Share(NamedTuple):
    """A party that takes from what all have in common, and the way by which it comes.

    The application says whose a request is; for the engine both names are opaque.
    """

    group: str = ""
    """The party."""
    line: str = ""
    """One of its ways in; those of one party share what it has as the parties share the whole."""
    weight: float = 1.0
    """Of the group among the groups that ask at the moment."""
    part: float = 1.0
    """The group's weight over that of all there are, whether they ask or not: 0 to 1. 1: there is no other."""
    line_part: float = 1.0
    """The line's part of the group likewise: 0 to 1. 0: too many lines to keep something for each."""
    urgent: bool = False
    """An emergency call of the group's own people."""


EVERYBODY = Share()
"""Where nobody is told from anybody."""
