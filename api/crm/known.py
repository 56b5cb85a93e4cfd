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


LONGEST_DIRECT_DIAL = 4
"""Digits behind a trunk number; with more of them a German number would be longer than eleven (BNetzA, Nummernplan Ortsnetzrufnummern)."""
_OPEN_PLANS = ("+49", "+43")
"""Countries where a direct dial follows the number of a line, so that a number which begins like another is one behind it."""


def trunk_numbers(number: str) -> tuple[str, ...]:
    """The numbers a company's line may have of which this is a direct dial, the longest first: what it begins with, or that with the 0 of
    the switchboard in place of two digits and more (DIN 5008).

    >>> trunk_numbers("+498912341234")[:3]
    ('+49891234123', '+4989123412', '+49891234120')
    """
    if not number.startswith(_OPEN_PLANS):
        return ()
    found: list[str] = []
    for length in range(1, LONGEST_DIRECT_DIAL + 1):
        line = number[:-length]
        found += [line] if length == 1 else [line, f"{line}0"]
    return tuple(line for line in found if len(line) >= SHORTEST_LINE)


SHORTEST_LINE = len("+49301234")


async def known_lines(databases: Databases, tenant: TenantId, number: str) -> list[str]:
    """Of the lines that this may be a direct dial of, those that some contact has."""
    return [line for line in trunk_numbers(number) if await is_known(databases, tenant, line)]


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
