"""Journal entries, replay and snapshots: yesterday's events give yesterday's state, yesterday's inputs today's decisions (U2, U3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from acd.core.engine import Engine
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.events import Event, without_dialog
from acd.core.ids import TenantId
from acd.core.inputs import Input
from acd.core.state.values import State


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of the journal: what came in and what it led to."""

    seq: int
    now: float
    input: Input
    events: tuple[Event, ...]


_ENCODER = msgspec.msgpack.Encoder()
_ENTRIES = msgspec.msgpack.Decoder(Entry)
_STATES = msgspec.msgpack.Decoder(State)


def encode(entry: Entry) -> bytes:
    """One entry as MessagePack; framing is the journal's."""
    return _ENCODER.encode(entry)


def decode(octets: bytes) -> Entry:
    """Read an entry.

    Raises: msgspec.DecodeError: it is none.
    """
    return _ENTRIES.decode(octets)


def fold(entries: Iterable[Entry], tenant: TenantId | None = None, engine: Engine | None = None) -> Engine:
    """An engine in the state after `entries`, which follow the state of `engine` if one is given."""
    made = engine
    for entry in entries:
        if made is None:
            made = Engine(tenant if tenant is not None else _tenant_of(entry))
        for event in entry.events:
            made.apply(event, entry.now)
    return made if made is not None else Engine(tenant if tenant is not None else TenantId(""))


def _tenant_of(entry: Entry) -> TenantId:
    configuration = getattr(entry.input, "configuration", None)
    return configuration.tenant if configuration is not None else TenantId("")


def replay(entries: Iterable[Entry], tenant: TenantId) -> Iterator[tuple[int, str]]:
    """Fold by events; after every event the entry's number and the hash of the state."""
    engine = Engine(tenant)
    for entry in entries:
        for event in entry.events:
            engine.apply(event, entry.now)
            yield entry.seq, engine.state_hash()


class Difference(NamedTuple):
    """Where today's router decides otherwise."""

    seq: int
    at: int
    """Which event of the entry, from 0."""
    was: Event | None
    is_now: Event | None


def redrive(entries: Iterable[Entry], tenant: TenantId, engine: Engine | None = None) -> Difference | None:
    """Give the inputs to a fresh engine; the first event that differs, None when all are the same. Dialogs are no decisions: the inputs
    of a journal are without.
    """
    fresh = engine if engine is not None else Engine(tenant)
    for entry in entries:
        try:
            events = fresh.handle(entry.input, entry.now).events
        except (IllegalTransition, UnknownName):
            events = []
        for at in range(max(len(events), len(entry.events))):
            was = entry.events[at] if at < len(entry.events) else None
            is_now = events[at] if at < len(events) else None
            if was != is_now and (was is None or is_now is None or without_dialog(was) != without_dialog(is_now)):
                return Difference(entry.seq, at, was, is_now)
    return None


def snapshot(engine: Engine) -> bytes:
    """The whole state, so that recovery need not begin at the first entry. Order of insertion is kept: it is part of the state."""
    return _ENCODER.encode(engine.state)


def restore(octets: bytes) -> Engine:
    """An engine in the state of a snapshot.

    Raises: msgspec.DecodeError: it is none.
    """
    state = _STATES.decode(octets)
    return Engine(state.tenant, state)
