"""Whether today's core decides as a journal says that its writer did: every entry is judged by itself, and all differences are found.

    for difference in redriven(entries, tenant):
        print(difference.seq, difference.kind, difference.was, difference.is_now)
    assert {one.kind for one in redriven(entries, tenant)} == {Kind("CallArrived", None, "LegMeasured")}

`acd.core.replay.redrive` stops at the first difference; after one, what follows would be decided from another state than the writer's. Here
the writer's own events lead on, so that an entry that differs makes no other one differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

import msgspec

from acd.core.engine import Engine
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.events import Event, without_dialog
from acd.core.ids import TenantId
from acd.core.replay import Entry, restore, snapshot


class Kind(NamedTuple):
    """A difference by its words alone: what came in, which event was written, which one is decided now.

    None: no event, or none more. Twice the same word: it says something else.
    """

    input: str
    was: str | None
    is_now: str | None


class Difference(NamedTuple):
    """One event that is decided otherwise."""

    seq: int
    kind: Kind
    was: Event | None
    is_now: Event | None

    @property
    def fields(self) -> set[str]:
        """Where the same word says something else, in which of its fields."""
        if self.was is None or self.is_now is None:
            return set()
        return {name for name in self.was.__struct_fields__ if getattr(self.was, name) != getattr(self.is_now, name)}


def redriven(entries: Iterable[Entry], tenant: TenantId) -> Iterator[Difference]:
    """Give each input to an engine in the state that the events before it led to.

    Args:
        entries: a whole journal from its first entry, in today's words (`acd.journal.read`).
    """
    written, decides = Engine(tenant), Engine(tenant)
    for entry in entries:
        for event in entry.events:
            written.apply(event, entry.now)
        found = list(_between(entry, _decided(decides, entry)))
        if found:
            decides = restore(snapshot(written))
        yield from found


def _decided(engine: Engine, entry: Entry) -> list[Event]:
    try:
        return list(engine.handle(entry.input, entry.now).events)
    except (IllegalTransition, UnknownName):
        return []


def _between(entry: Entry, decided: list[Event]) -> Iterator[Difference]:
    """What differs, event by event; a dialog is no decision, and the inputs of a journal are without."""
    was, is_now = [without_dialog(one) for one in entry.events], [without_dialog(one) for one in decided]
    if was == is_now:
        return
    for here, there in _unlike([msgspec.msgpack.encode(one) for one in was], [msgspec.msgpack.encode(one) for one in is_now]):
        # Of those that differ, the same words are the same events that say something else.
        names = [type(one).__name__ for one in was[here]], [type(one).__name__ for one in is_now[there]]
        for tag, start, end, first, last in SequenceMatcher(None, *names, autojunk=False).get_opcodes():
            before, after = was[here][start:end], is_now[there][first:last]
            if tag == "equal":
                yield from (_difference(entry, *both) for both in zip(before, after, strict=True))
            else:
                yield from (_difference(entry, one, None) for one in before)
                yield from (_difference(entry, None, one) for one in after)


def _unlike(was: list[bytes], is_now: list[bytes]) -> Iterator[tuple[slice, slice]]:
    for tag, start, end, first, last in SequenceMatcher(None, was, is_now, autojunk=False).get_opcodes():
        if tag != "equal":
            yield slice(start, end), slice(first, last)


def _difference(entry: Entry, was: Event | None, is_now: Event | None) -> Difference:
    words = [type(one).__name__ if one is not None else None for one in (was, is_now)]
    return Difference(entry.seq, Kind(type(entry.input).__name__, *words), was, is_now)
