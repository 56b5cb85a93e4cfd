"""The catalogue of events, for whoever is told of some of them: the live stream, and what is built on the same words."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from api.contract.events import KINDS
from api.contract.kit import Public, schemas_of


class Entry(NamedTuple):
    """A row: one kind of event."""

    kind: type[Public]
    description: str
    schema: Mapping[str, Any]
    """JSON Schema (draft 2020-12); references lead to `#/components/schemas/…` of the OpenAPI document."""


@cache
def catalogue() -> Mapping[str, Entry]:
    """Name -> its row, of every kind of event there is."""
    schemas = schemas_of(KINDS.values())
    return {name: Entry(kind, inspect.getdoc(kind) or "", schemas[name]) for name, kind in KINDS.items()}
