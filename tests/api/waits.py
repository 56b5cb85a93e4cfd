"""Sees that nobody waits with a connection of a database in hand: not for the voice service, not for what is done beside the loop.

A connection belongs to the task that took it out of its pool, until it goes back. Those that are in no pool (a tenant's lock is one) are
not others' to miss.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import QueuePool

_held: dict[Any, asyncio.Task[Any] | None] = {}
"""Connection (its record in the pool) -> who has it."""


@event.listens_for(QueuePool, "checkout")
def _taken(_connection: Any, record: Any, _proxy: Any) -> None:
    _held[record] = _current()


@event.listens_for(QueuePool, "checkin")
def _given_back(_connection: Any, record: Any) -> None:
    _held.pop(record, None)


def _current() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop here
        return None


def connections_held() -> int:
    """How many connections the running task has out of their pools."""
    task = _current()
    return sum(1 for holder in _held.values() if holder is not None and holder is task)


def assert_nothing_is_held(what: str) -> None:
    """Called where somebody begins to wait."""
    held = connections_held()
    assert not held, f"{what} is waited for with {held} connection(s) of a database held: `async with access.outside()`, `access.rest()`"
