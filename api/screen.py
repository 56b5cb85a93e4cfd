"""What the platform knows of a caller's number: contact, unsolved tickets, next appointment, for the screen pop (U25)."""

from __future__ import annotations

from typing import Any

import msgspec

from acd.core.ids import TenantId
from acd.outage import outage_of
from acd.service import Lookup, ScreenContext
from api import calendar, crm, tickets
from api.contract import KnownAppointment, KnownContact, KnownTicket
from api.contract.kit import Public, told
from api.db import Databases
from api.kit.clock import Clock, utc_now


def lookup_in(databases: Databases, clock: Clock = utc_now) -> Lookup:
    """The voice service asks this when a call arrives; at most four short queries, in one transaction; none for a stranger."""

    async def lookup(tenant: TenantId, number: str) -> ScreenContext:
        try:
            return await known(tenant, number)
        except Exception as error:
            if outage_of(error) is None:
                raise
            # The call goes on without; that the database is away is said once, by `api.outages`, and not for every call.
            return ScreenContext()

    async def known(tenant: TenantId, number: str) -> ScreenContext:
        lines: list[str] = []
        if not await crm.is_known(databases, tenant, number):
            lines = await crm.known_lines(databases, tenant, number)
            if not lines:
                return ScreenContext()
        async with databases.unit(tenant) as unit:
            contact = await (crm.by_line(unit.session, lines) if lines else crm.by_number(unit.session, number))
            if contact is None:
                return ScreenContext()
            unsolved = await tickets.unsolved_of(unit.session, contact.id)
            appointment = await calendar.next_of(unit.session, contact.id, clock())
        return ScreenContext(
            contact=_plain(KnownContact, contact),
            tickets=tuple(_plain(KnownTicket, row) for row in unsolved),
            appointment=None if appointment is None else _plain(KnownAppointment, appointment),
        )

    return lookup


def _plain(kind: type[Public], row: object) -> dict[str, Any]:
    """What the pop tells of it, as the voice service carries it."""
    found: dict[str, Any] = msgspec.to_builtins(told(kind, row))
    return found
