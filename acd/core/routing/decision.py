"""The winner of an offer, computed again from its decision record alone (U1): the proof that the record says all there is to say."""

from __future__ import annotations

from acd.core.events import Decision
from acd.core.ids import AgentId
from acd.core.strategies import STRATEGIES


def winner(decision: Decision) -> tuple[AgentId, ...]:
    """Who must have been chosen.

    Candidates are ordered by their terms (smaller first), equal ones by the tie-break; `ranked_lower` are behind all of them by
    construction of the record and matter only where all ring together.

    Raises: ValueError: the record contradicts itself.
    """
    if decision.tie_break != "agent":
        raise ValueError(f"unknown tie-break {decision.tie_break}")
    if any(len(one.terms) != len(decision.term_names) for one in decision.candidates):
        raise ValueError("a candidate has not the terms that the record names")
    ordered = sorted(decision.candidates, key=lambda one: (one.terms, one.agent))
    if not ordered:
        raise ValueError("nobody could be chosen")
    rule, _, _version = decision.rule.partition("/")
    if rule in STRATEGIES and STRATEGIES[rule].order == "together":
        return (*(one.agent for one in ordered), *decision.ranked_lower)
    return (ordered[0].agent,)
