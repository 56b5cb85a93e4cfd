"""What the tests that walk over all slices need of one, in a file of the slice's name: its objects, and bodies that name them.

A file may have (what it leaves out, the slice has none of):

    names(tenant)             segment of the path -> name of an object, where the tenant has none
    set_up(api, keys, word)   makes one object of each kind by the API, enters its name in `keys` by the segment of the path before it,
                              with `word` in each of its texts; returns the ids that the service drew
    bodies(keys)              schema -> a body for it, that names what is in `keys`
    queries(keys)             query parameter -> a value for it
    things(service, made)     async; one object of each, in `tests/api`; path parameter -> its name. `made` are those of others

An object may hang on those of others (`keys["contacts"]`): the walk removes it before them, by the foreign keys of the tables.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

IN_THE_WALKS = frozenset(
    {
        *("identity", "tenants", "assignments", "telephony_setup", "sounds", "audit", "telephony", "billing", "recordings", "crm"),
        *("tickets", "security", "about"),
    }
)
"""Slices that are older than these files: what the walks need of them stands in `tests/journeys/test_foreign_tenant.py` and
`tests/api/test_audit.py`, or they have no objects.
"""


def all_of_them() -> list[ModuleType]:
    """The files, by name."""
    return [importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]


def merged(what: str, *given: Any) -> dict[str, Any]:
    """What the files say together."""
    return {key: value for one in all_of_them() if hasattr(one, what) for key, value in getattr(one, what)(*given).items()}
