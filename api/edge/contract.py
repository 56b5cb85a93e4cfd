"""What the routes of the application declare, for those who judge a request before it reaches them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_origin

from fastapi import FastAPI
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Header, Query
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import BaseRoute, Route

WEBSOCKET = "websocket"
"""Stands where a method would."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route."""

    pattern: re.Pattern[str]
    methods: frozenset[str]
    parameters: dict[str, bool] | None
    """Query parameters, and whether one may be given several times; None: whatever comes is the route's own business."""
    body_octets: int | None
    """What the route says its bodies may have (`max_body_size`); None: what all may have."""
    takes_if_match: bool = True
    """Whether it looks at If-Match; True where that is the route's own business."""


class Contract:
    """The operations of an application, read once it is complete."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._read: list[Operation] | None = None

    def allowed(self, path: str) -> frozenset[str]:
        """The methods that some route has for a path; HEAD with every GET, OPTIONS always; empty: there is no such path."""
        found = frozenset[str]().union(*(one.methods for one in self._matching(path))) - {WEBSOCKET}
        return found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set()) if found else found

    def operation(self, method: str, path: str) -> Operation | None:
        """The route that is going to serve a request."""
        return next((one for one in self._matching(path) if method in one.methods), None)

    def _matching(self, path: str) -> Iterator[Operation]:
        if self._read is None:
            contexts = iter_route_contexts(self._app.routes)
            self._read = [one for context in contexts if (one := _operation(context.original_route)) is not None]
        return (one for one in self._read if one.pattern.match(path))


def _operation(route: BaseRoute) -> Operation | None:
    if isinstance(route, APIRoute):
        return Operation(route.path_regex, frozenset(route.methods or ()), _parameters(route), route.max_body_size, _takes_if_match(route))
    if isinstance(route, APIWebSocketRoute):
        return Operation(route.path_regex, frozenset({WEBSOCKET}), _parameters(route), None)
    if isinstance(route, Route):
        return Operation(route.path_regex, frozenset(route.methods or ()), None, None)
    return None


def _takes_if_match(route: APIRoute) -> bool:
    """Whoever reads has the header, or looks at it himself (`api.recordings`)."""
    if not {"PUT", "PATCH", "DELETE"} & set(route.methods or ()):
        return True
    return any(isinstance(field.field_info, Header) and field.alias == "If-Match" for field in get_flat_params(route.dependant))


def _parameters(route: APIRoute | APIWebSocketRoute) -> dict[str, bool]:
    return {
        field.alias: get_origin(field.field_info.annotation) in {list, set, tuple, frozenset}
        for field in get_flat_params(route.dependant)
        if isinstance(field.field_info, Query)
    }
