"""Which numbers the CRM knows at all, in memory: most callers are strangers, and a stranger should not cost a query (house).

One process writes the CRM, so its own changes are all there are. When the API runs beside the core, a change must travel on the bus.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from sqlalchemy import select

from acd.core.ids import TenantId
from api.crm.models import ContactNumber
from api.db import Databases


@dataclass(slots=True)
class _Known:
    """What is known of one installation's tenants."""

    numbers: dict[TenantId, frozenset[str]] = field(default_factory=dict)
    changes: Counter[TenantId] = field(default_factory=Counter)
    """Counts `forget`: what was read before a change must not be kept after it."""


_known: WeakKeyDictionary[Databases, _Known] = WeakKeyDictionary()


async def is_known(databases: Databases, tenant: TenantId, number: str) -> bool:
    """Whether some contact has the E.164 number; reads them all at the first question after a change."""
    known = _known.setdefault(databases, _Known())
    numbers = known.numbers.get(tenant)
    if numbers is None:
        changes = known.changes[tenant]
        async with databases.unit(tenant) as unit:
            numbers = frozenset(await unit.session.scalars(select(ContactNumber.number)))
        if known.changes[tenant] == changes:
            known.numbers[tenant] = numbers
    return number in numbers


async def forget(databases: Databases, tenant: TenantId) -> None:
    """A contact of the tenant has changed."""
    known = _known.setdefault(databases, _Known())
    known.changes[tenant] += 1
    known.numbers.pop(tenant, None)
