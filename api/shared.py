"""What the routes of one application share, in one place and with types: `shared(request)` finds it; nothing else has a state there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import Scope

from api.disk_use import DiskUse
from api.edge.connections import Connections
from api.edge.turns import Turns
from api.health import Health
from api.metrics import Metrics
from api.services import Services

if TYPE_CHECKING:  # they use it themselves
    from api.demo import Demo
    from api.https import Https
    from api.kit.slices import Gathered

T = TypeVar("T")


@dataclass(slots=True)
class Shared:
    """Made by the composition root (`api.app.furnish`), once for each time the application is furnished."""

    services: Services
    slices: Gathered
    turns: Turns
    connections: Connections
    metrics: Metrics
    health: Health
    disk_use: DiskUse
    owns_databases: bool
    ready: bool = False
    """Every tenant that can be opened is open."""
    demo: Demo | None = None
    operator_password: str | None = None
    """Drawn at this start, to be told once."""
    https: Https | None = None
    """Where we are the end of TLS ourselves."""
    parts: dict[type[object], object] = field(default_factory=dict)
    """What slices keep in memory, by type."""

    def add(self, parts: Iterable[object]) -> None:
        """Take what slices have made."""
        self.parts |= {type(part): part for part in parts}

    def part(self, kind: type[T]) -> T:
        """The one of this type that a slice has made (`Slice.parts`).

        Raises: LookupError: none has.
        """
        found = self.parts.get(kind)
        if found is None:
            raise LookupError(f"no slice makes a {kind.__name__}: `parts` of its `Slice` must name what does")
        assert isinstance(found, kind)
        return found


def furnish_with(app: FastAPI, this: Shared) -> None:
    """Put it into an application, in the place of what was there."""
    app.state.shared = this


def shared_in(app: FastAPI) -> Shared:
    """Of an application."""
    found = app.state.shared
    assert isinstance(found, Shared)
    return found


def shared(connection: HTTPConnection) -> Shared:
    """Of the application that a request or socket came to."""
    return shared_in(connection.app)


def shared_of(scope: Scope) -> Shared:
    """The same, where there is no more than a scope."""
    return shared_in(scope["app"])


def services(connection: HTTPConnection) -> Services:
    """Settings, databases, voice service, clock."""
    return shared(connection).services
