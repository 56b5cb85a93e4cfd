"""What a slice of the API is made of, said once in its own folder (`api/<slice>/slice.py`) and gathered by `api.slices` (docs/adr/0023)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fastapi import APIRouter

from api.kit.jobs import Definition
from api.kit.outbox import Catalogue, EventType, Subscriber
from api.kit.permissions import Permission, table
from api.services import Services
from api.shared import Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One slice. What it has none of, it leaves out; what it must not forget, `tests/api/test_what_slices_say.py` asks for by name."""

    tag: str
    """Under which OpenAPI shows its operations."""
    says: str
    """What is there, in a sentence."""
    routers: tuple[APIRouter, ...]
    models: tuple[ModuleType, ...] = ()
    """Modules of its tables. Each table of a tenant says its `limit` there, or why it has none; revisions lie in `migrations/tenant` and
    `migrations/control` of the slice.
    """

    personal: Mapping[str, str] | None = None
    """GET operation that gives out personal data -> kind of its entry in the audit. Personal is what tells of a person: callers, contacts,
    and the people who work here. The read is recorded when the route has answered (`api.identity.access`).
    """
    impersonal: frozenset[str] = frozenset()
    """GET operations that give out none."""
    answered: Mapping[str, str] | None = None
    """Operation that writes and answers with personal data -> kind. One that leaves an entry of what it changed has been recorded by that;
    one that changed nothing (a PATCH or PUT of what is there, a dry run) is a read.
    """
    unanswered: frozenset[str] = frozenset()
    """Operations that write and answer with none."""
    unrecorded: Mapping[str, str] | None = None
    """Operation that writes and leaves no entry of the change in the audit (`api.audit.record`) -> why, in a sentence."""
    sockets: Mapping[str, str] | None = None
    """Path of a WebSocket -> kind: an entry for each that is opened."""
    public: frozenset[str] = frozenset()
    """Operations that need no log-in."""

    permissions: tuple[Permission, ...] = ()
    """What it lets people do, and whom; every route that is not public needs one of them."""

    parts: tuple[Callable[[Services], object], ...] = ()
    """What keeps a state in memory, made once a process; routes find it by its type, `shared(request).part(…)`."""
    starts: tuple[Callable[[Shared], Awaitable[None]], ...] = ()
    """Done before any tenant is opened, slice by slice."""
    beside: tuple[Callable[[Shared], Coroutine[Any, Any, None]], ...] = ()
    """Goes on beside the requests from when all tenants are open, until it is cancelled at the end."""
    stops: tuple[Callable[[Shared], Awaitable[None]], ...] = ()
    """Done at the end, in the reverse order of slices."""

    events: tuple[EventType[Any], ...] = ()
    """Kinds of what happens in it, for the catalogue; `events.py` has them, and its routes and services `publish` each in one line."""
    jobs: tuple[Callable[[Shared], Iterable[Definition]], ...] = ()
    """What it has to be done beside requests, whether or not the process lives on; told when all parts are there."""
    subscribers: tuple[Callable[[Shared], Subscriber], ...] = ()
    """Who of it is told of events."""

    figures: tuple[Callable[[Shared], Mapping[str, float]], ...] = ()
    """For /metrics."""
    metrics: Mapping[str, str] | None = None
    """Name of a figure -> what it counts, its unit, whether it should."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """All slices, and what the application looks up in them while it serves."""

    slices: tuple[Slice, ...]
    personal: Mapping[str, str]
    answered: Mapping[str, str]
    sockets: Mapping[str, str]
    metrics: Mapping[str, str]
    permissions: Mapping[str, Permission]
    events: Catalogue

    @property
    def tags(self) -> list[dict[str, str]]:
        """Of OpenAPI."""
        return [{"name": one.tag, "description": one.says} for one in self.slices]


def gathered(slices: Sequence[Slice]) -> Gathered:
    """All of them together.

    Raises: ValueError: two say the same thing differently, or an event is shown by a permission that none has.
    """
    found = Gathered(
        tuple(slices),
        _merged("personal", (one.personal for one in slices)),
        _merged("answered", (one.answered for one in slices)),
        _merged("sockets", (one.sockets for one in slices)),
        _merged("metrics", (one.metrics for one in slices)),
        table(permission for one in slices for permission in one.permissions),
        Catalogue(event for one in slices for event in one.events),
    )
    for event in found.events:
        if event.shown_by not in found.permissions:
            raise ValueError(f"{event.name} is shown by {event.shown_by}, which no slice has")
    return found


def _merged(what: str, tables: Iterable[Mapping[str, str] | None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in tables:
        for key, value in (one or {}).items():
            if key in found:
                raise ValueError(f"two slices say of {key} what is {what}")
            found[key] = value
    return found
