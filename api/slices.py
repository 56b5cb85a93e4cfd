"""Every slice of the API: a line each. What a slice is made of says `api/<slice>/slice.py` (docs/adr/0023).

The order is that of OpenAPI, and of what is done at the start.
"""

from __future__ import annotations

from importlib import import_module

from api.kit.permissions import as_markdown
from api.kit.slices import Gathered, Slice, gathered

NAMES = (
    "identity",
    "tenants",
    "assignments",
    "telephony_setup",
    "sounds",
    "audit",
    "telephony",
    "billing",
    "recordings",
    "crm",
    "tickets",
    "calendar",
    "webhooks",
    "mails",
    "jobs",
    "security",
    "about",
)


def _slice(name: str) -> Slice:
    found = import_module(f"api.{name}.slice").SLICE
    assert isinstance(found, Slice)
    return found


SLICES: Gathered = gathered([_slice(name) for name in NAMES])


if __name__ == "__main__":
    print(as_markdown(SLICES.permissions), end="")  # noqa: T201 - for docs/security.md
