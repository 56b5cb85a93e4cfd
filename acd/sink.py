"""Where a tenant's rated CDRs go, and from where its budgets are counted: given by the composition root (house).

The exchange knows no database. `billing_cdr.sink.SqlSink` implements it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from acd.core.ids import TenantId
from acd.ledger import Late
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge


class CdrSink(Protocol):
    """The records of one tenant. Every method raises `Unreachable` while the place is away, and anything else when it refuses."""

    async def position(self) -> int:
        """The entry of the journal up to which it holds every record; 0: it has none yet."""

    async def save(self, cdrs: Sequence[Cdr], charges: Sequence[Charge], seq: int) -> None:
        """Save records, their charges and the position in one transaction; a second time it changes nothing.

        Args:
            seq: the position afterwards, which only ever moves forward; 0 moves nothing.
        """

    async def note(self, notes: Sequence[tuple[str, Late]], rate: Callable[[Cdr], Charge]) -> tuple[str, ...]:
        """Note on stored records what became known later; returns the ids of which there is no record. A note made twice is made once."""

    async def spent(self, currency: str, now: datetime, since: datetime | None, *, before: datetime) -> list[tuple[str, int, int]]:
        """What calls that began before `before` have cost: account, instant in ms, amount in units (`billing_cdr.budget`).

        Args:
            since: when the prepaid balance was opened; None: there is none.
        """


class Home(NamedTuple):
    """Where a tenant lives on this node."""

    sink: CdrSink
    directory: Path
    """Of its journal."""


Homes = Callable[[TenantId], Home]
"""The composition root's: asked when a tenant is opened."""
