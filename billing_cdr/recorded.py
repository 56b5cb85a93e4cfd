"""What was recorded of a conversation, as its record tells it: each recording by its name, when it began, who is on which channel. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from billing_cdr.cdr import Cdr, CdrLeg


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """One recording."""

    name: str
    """The last part of its path, whichever system wrote that."""
    began_at: datetime
    duration_ms: int
    legs: tuple[CdrLeg, ...]
    """In the order of the channels."""


def recorded(cdr: Cdr) -> tuple[Recorded, ...]:
    """The recordings of a conversation, in the order in which they ended.

    The record says how long each is and of whom, not when it began: that is when the last of its legs began to talk, or, where a leg was
    recorded before (its media worker was lost, say), when that recording ended.
    """
    legs = {leg.leg: leg for leg in cdr.legs}
    talked: dict[str, datetime] = {}
    for segment in cdr.segments:
        if segment.kind == "talk":
            talked[segment.leg] = min(segment.began_at, talked.get(segment.leg, segment.began_at))
    until: dict[str, datetime] = {}
    found = []
    for one in cdr.recordings:
        known = [talked[leg] for leg in one.legs if leg in talked] or [cdr.answered_at or cdr.began_at]
        began_at = max(*known, *(until[leg] for leg in one.legs if leg in until), cdr.began_at)
        until |= dict.fromkeys(one.legs, began_at + timedelta(milliseconds=one.duration_ms))
        of = tuple([legs[leg] for leg in one.legs if leg in legs])
        found.append(Recorded(name=name_of(one.path), began_at=began_at, duration_ms=one.duration_ms, legs=of))
    return tuple(found)


def name_of(path: str) -> str:
    """The folders are the server's business."""
    return path.replace("\\", "/").rpartition("/")[2]
