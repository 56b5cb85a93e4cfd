"""Which numbers the CRM knows at all, in memory: most callers are strangers, and a stranger should not cost a query (house).

One process writes the CRM, so its own changes are all there are. When the API runs beside the core, a change must travel on the bus.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sqlalchemy import select

from acd.core.ids import TenantId
from api.crm.models import ContactNumber
from api.db import Databases

_known: WeakKeyDictionary[Databases, dict[TenantId, frozenset[str]]] = WeakKeyDictionary()


async def is_known(databases: Databases, tenant: TenantId, number: str) -> bool:
    """Whether some contact has the E.164 number; reads them all at the first question after a change."""
    tenants = _known.setdefault(databases, {})
    numbers = tenants.get(tenant)
    if numbers is None:
        async with databases.unit(tenant) as unit:
            numbers = frozenset(await unit.session.scalars(select(ContactNumber.number)))
        tenants[tenant] = numbers
    return number in numbers


async def forget(databases: Databases, tenant: TenantId) -> None:
    """A contact of the tenant has changed."""
    _known.get(databases, {}).pop(tenant, None)
