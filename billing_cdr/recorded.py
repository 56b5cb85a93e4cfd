"""What was recorded of a conversation, as its record tells it: each recording by its name, when it began, who is on which channel. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from billing_cdr.assemble import CONNECTED
from billing_cdr.cdr import Cdr, CdrLeg, Segment


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """One recording."""

    name: str
    """The last part of its path, whichever system wrote that."""
    began_at: datetime
    duration_ms: int
    legs: tuple[CdrLeg, ...]
    """In the order of the channels."""
    queue: str | None
    """Of the talk it began with (docs/figures.md §4)."""


def recorded(cdr: Cdr) -> tuple[Recorded, ...]:
    """The recordings of a conversation, in the order in which they ended.

    The record says how long each is and of whom, not when it began: that is when the second of its legs began to talk (further ones came
    later), or, where a leg was recorded before (its media worker was lost, say), when that recording ended.
    """
    legs = {leg.leg: leg for leg in cdr.legs}
    talked: dict[str, datetime] = {}
    for segment in cdr.segments:
        if segment.kind == "talk":
            talked[segment.leg] = min(segment.began_at, talked.get(segment.leg, segment.began_at))
    talks = _talks(cdr.segments)
    until: dict[str, datetime] = {}
    found = []
    for one in cdr.recordings:
        known = sorted([max(talked[leg], until.get(leg, talked[leg])) for leg in one.legs if leg in talked])
        began_at = known[:2][-1] if known else max([cdr.answered_at or cdr.began_at, *(until[leg] for leg in one.legs if leg in until)])
        until |= dict.fromkeys(one.legs, began_at + timedelta(milliseconds=one.duration_ms))
        of = tuple([legs[leg] for leg in one.legs if leg in legs])
        queue = _queue(talks, one.legs, began_at)
        found.append(Recorded(name=name_of(one.path), began_at=began_at, duration_ms=one.duration_ms, legs=of, queue=queue))
    return tuple(found)


_Talks = dict[str, list[tuple[datetime, str | None]]]


def _talks(segments: Iterable[Segment]) -> _Talks:
    """The talks that each leg was in: when each began, and the queue in which this leg waited for it."""
    found: _Talks = {}
    waited: dict[str, str] = {}
    connected: set[str] = set()
    for one in segments:
        if one.kind not in CONNECTED:
            connected.discard(one.leg)
            if one.kind == "queue":
                waited[one.leg] = one.party
        elif one.leg not in connected:
            connected.add(one.leg)
            found.setdefault(one.leg, []).append((one.began_at, waited.pop(one.leg, None)))
    return found


def _queue(talks: _Talks, legs: Iterable[str], at: datetime) -> str | None:
    """Of the talk of these legs that went on at that instant: only one of the two has waited for it."""
    for leg in legs:
        running = [queue for began_at, queue in talks.get(leg, ()) if began_at <= at]
        if running and running[-1] is not None:
            return running[-1]
    return None


def name_of(path: str) -> str:
    """The folders are the server's business."""
    return path.replace("\\", "/").rpartition("/")[2]
