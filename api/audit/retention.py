"""How long entries are kept: a bounded job beside the requests takes out what is older than the settings say (Art. 5 (1) e GDPR)."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from acd.core.ids import TenantId
from api.audit import repository
from api.audit.models import AuditRow, OperatorAuditRow
from api.audit.rules import ACCESS, oldest_id
from api.config import Audit
from api.db import Databases, UnknownTenant
from api.kit.clock import Clock
from api.outages import say

log = logging.getLogger(__name__)

FIRST_S, EVERY_S = 60.0, 3600.0
"""A while after the start, when everybody has come back; then every hour."""
AT_ONCE = 500
"""Entries deleted in one transaction, so that no request waits long for it."""
MOST = 20_000
"""Entries deleted in one database in one turn; the rest is the next turn's."""


async def forget_old(databases: Databases, settings: Audit, now: datetime) -> int:
    """Delete what is too old, in every open database; returns how many entries went. One database in trouble keeps no other waiting."""
    gone = 0
    for tenant in (None, *databases.opened):
        try:
            gone += await _forget_in(databases, tenant, settings, now)
        except UnknownTenant:  # closed meanwhile
            continue
        except Exception as error:
            say(log, error, "! the audit of %s could not be shortened", tenant or "the platform")
    return gone


async def _forget_in(databases: Databases, tenant: TenantId | None, settings: Audit, now: datetime) -> int:
    rows: repository.Rows = AuditRow if tenant is not None else OperatorAuditRow
    gone = 0
    for days, others in ((settings.access_days, False), (settings.changes_days, True)):
        while days and gone < MOST:
            async with databases.unit(tenant) as unit:
                below = oldest_id(now - timedelta(days=days))
                some = await repository.forget(unit.session, rows, below, ACCESS, others=others, most=AT_ONCE)
            gone += some
            if some < AT_ONCE:
                break
    if gone:
        log.info("> %d old entries of the audit of %s are gone", gone, tenant or "the platform")
    return gone


async def keep_short(databases: Databases, settings: Audit, clock: Clock) -> None:
    """Do so for ever."""
    wait_s = FIRST_S
    while True:
        await asyncio.sleep(wait_s)
        wait_s = EVERY_S
        await forget_old(databases, settings, clock())
