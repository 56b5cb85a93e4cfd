"""What tenants read in their audit of claims and grants; of another tenant they learn that there is one, and not which."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from acd.core.ids import TenantId
from api.audit import Act, By, record
from api.db import UnknownTenant
from api.services import Services

log = logging.getLogger(__name__)

OPERATOR = By("operator")
"""Inside, the platform's operator is nobody in particular; who it was stands in the platform's own audit."""
ANOTHER = By("(another tenant)")
SERVICE = By("(service)")
"""Nobody asked at that moment: a name has come to stand for something else."""
AGAIN = timedelta(hours=1)
"""A refused claim stands in the owner's audit once an hour: whoever tries again and again must not fill it."""
REMEMBERED = 10_000


async def note(
    services: Services, tenant: TenantId, by: By, act: Act, kind: str, subject: str, details: dict[str, Any] | None, now: datetime
) -> None:
    """Write one entry into a tenant's audit; one that is not open is told by the log alone."""
    try:
        async with services.databases.unit(tenant) as unit:
            record(unit.session, now, by, act, kind, subject, details=details)
    except UnknownTenant:
        log.info("= tenant %s is not open and was not told: %s %s %s", tenant, kind, subject, act)


async def note_peer(services: Services, tenant: TenantId, owner: TenantId, address: str, now: datetime) -> None:
    """A name of the tenant's trunk has come to stand for an address of another's carrier; nothing was sent there. Once an hour for each."""
    if _is_due(services.refusals_told, tenant, address, now):
        await note_refusal(services, tenant, SERVICE, owner, "peer", address, now)


def _is_due(told: dict[tuple[TenantId, str], datetime], owner: TenantId, subject: str, now: datetime) -> bool:
    """Whether the owner was not told within the hour; notes that it is told now."""
    last = told.pop((owner, subject), None)
    due = last is None or now - last >= AGAIN
    told[owner, subject] = now if last is None or due else last
    if len(told) > REMEMBERED:  # the one longest not asked for
        del told[next(iter(told))]
    return due


async def note_refusal(
    services: Services, tenant: TenantId, by: By, owner: TenantId | None, kind: str, subject: str, now: datetime
) -> None:
    """A claim was refused: it stands in the audit of who asked, and of who has it."""
    await note(services, tenant, by, "refused", kind, subject, None, now)
    log.warning("! tenant %s asked for the %s %s, which it cannot have", tenant, kind, subject)
    if owner is not None and _is_due(services.refusals_told, owner, subject, now):
        await note(services, owner, ANOTHER, "refused", kind, subject, None, now)
