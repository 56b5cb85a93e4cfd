"""The score of a contact: the one place that says who is before whom (house; DESIGN.md §5).

Score = seconds waited + seconds of advantage, at most the queue's cap. Who has the higher one is next. Both grow alike with time, so what
decides is arrival less advantage: it stays the same while a contact waits, and lines stay sorted by themselves.
"""

from __future__ import annotations

from acd.core.configuration import Queue
from acd.core.ids import EntryId
from acd.core.state import values as s

Rank = tuple[float, float, EntryId]
"""Arrival less advantage, arrival, name: smaller is next."""


def advantage_s(queue: Queue, own_s: float | None = None) -> float:
    """The seconds that count as waited though they were not: the contact's own, else the queue's, and never more than the queue's cap."""
    return float(min(queue.priority_s if own_s is None else own_s, queue.priority_cap_s))


def rank(entry: s.Entry) -> Rank:
    """Place of a contact among all."""
    return (entry.queued_at - entry.priority_s, entry.queued_at, entry.id)


def newcomers_rank(queue: Queue, own_s: float | None, at: float) -> float:
    """The first part of the rank of somebody who enters the queue as having come at this instant."""
    return at - advantage_s(queue, own_s)


def terms(entry: s.Entry, now: float) -> dict[str, float]:
    """The score and what it is made of, as a decision record tells it."""
    waited = now - entry.queued_at
    return {"waited_s": waited, "priority_s": entry.priority_s, "score": waited + entry.priority_s}
