"""What the tests of every release's journals have in common: which there are, and what must be so whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from acd.core.ids import TenantId
from acd.core.replay import Entry, fold
from acd.journal import read
from tests.releases.vectors import Vector, vectors
from tests.vectors.releases.public_state import public_state

Unpacked: TypeAlias = Callable[[Vector], Path]
"""Vector -> its data folder; unpacked once, so tests only read there (`tests.releases.conftest`)."""


def journals(release: str) -> Iterator[Any]:
    """A parameter set for each journal of a release: its vector and its tenant."""
    for vector in vectors(release):
        for tenant in vector.tenants:
            yield pytest.param(vector, tenant, id=f"{vector}-{tenant}")


def entries_of(vector: Vector, tenant: str, unpacked: Unpacked) -> list[Entry]:
    """A whole journal in today's words: as many entries as the release counted, and none missing between them."""
    told = vector.journals[tenant]
    entries = list(read(vector.journal(unpacked(vector), tenant)))
    assert len(entries) == told["entries"]
    assert (entries[-1].seq, entries[-1].now) == (told["last_seq"], told["last_now"])
    assert [entry.seq for entry in entries] == list(range(1, told["last_seq"] + 1))
    return entries


def state_after(entries: list[Entry], tenant: str) -> dict[str, Any]:
    """The public state that today's fold makes of them."""
    return public_state(fold(entries, TenantId(tenant)).state)


def tenants_in(folder: Path) -> set[str]:
    """Those that have a journal in a data folder."""
    return {file.parent.name for file in folder.glob("tenants/*/journal-*.log")}


def snapshots_in(folder: Path) -> set[str]:
    """Those that have a snapshot."""
    return {file.parent.name for file in folder.glob("tenants/*/snapshot")}


def calls_left_up(vector: Vector) -> dict[str, int]:
    """Tenant -> calls that were up at the last entry, where there were any."""
    return {tenant: len(told["state"]["calls"]) for tenant, told in vector.journals.items() if told["state"]["calls"]}
