"""How long recordings are kept: a bounded job beside the requests deletes those whose time is over (Art. 5 (1) e GDPR), as people would.

It also finishes what was begun: files of deleted recordings that the disk did not let go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import Counter

from acd.core.ids import TenantId
from api.audit import By, record
from api.db import UnknownTenant
from api.outages import say
from api.recordings import files, rules
from api.recordings.service import KIND, details, erase
from api.services import Services
from billing_cdr import recordings

log = logging.getLogger(__name__)

FIRST_S, EVERY_S = 90.0, 3600.0
"""A while after the start, when everybody has come back; then every hour."""
AT_ONCE = 100
"""Deleted in one transaction, so that no request waits long for it."""
MOST = 20_000
"""Deleted of one tenant in one turn; the rest is the next turn's."""
BY = By("retention")
"""Who did it, in the audit and in the list."""


async def delete_old(services: Services, deleted: Counter, now: datetime) -> int:
    """Delete what is too old, of every open tenant; returns how many went. One tenant in trouble keeps no other waiting."""
    gone = 0
    for tenant in services.databases.opened:
        try:
            await _finish(services, tenant, now)
            some = await _delete_old_of(services, tenant, now) if services.settings.recordings.days else 0
        except UnknownTenant:  # closed meanwhile
            continue
        except Exception as error:
            say(log, error, "! old recordings of tenant %s could not be deleted", tenant)
            continue
        if some:
            log.info("> %d recordings of tenant %s are gone: they were older than %d days", some, tenant, services.settings.recordings.days)
            deleted.labels(tenant, "retention").inc(some)
        gone += some
    return gone


async def _delete_old_of(services: Services, tenant: TenantId, now: datetime) -> int:
    before = now - timedelta(days=services.settings.recordings.days)
    gone = 0
    while gone < MOST:
        async with services.databases.unit(tenant) as unit:
            due = await recordings.due(await unit.session.connection(), before, AT_ONCE)
        await _delete(services, tenant, due, now)
        gone += len(due)
        if len(due) < AT_ONCE:
            break
    left = await _without_record(services, tenant, min(before, now - rules.ABANDONED_AFTER))
    await _delete(services, tenant, left, now)
    return gone + len(left)


async def _delete(services: Services, tenant: TenantId, names: Sequence[str], now: datetime) -> None:
    """First it is written down, then the files go."""
    if not names:
        return
    sounds = await asyncio.to_thread(files.looks, files.folder_of(services.settings, tenant), names)
    async with services.databases.unit(tenant) as unit:
        conn = await unit.session.connection()
        for name in names:
            found = await recordings.get(conn, name)
            if found is not None and not await recordings.mark_deleted(conn, name, BY.name, now):
                continue  # somebody was quicker
            octets = sounds[name].octets if name in sounds else None
            told = details(found, octets) | {"days": services.settings.recordings.days}
            record(unit.session, now, BY, "deleted", KIND, name, details=told)
    await _erase(services, tenant, names, now)


async def _without_record(services: Services, tenant: TenantId, before: datetime) -> list[str]:
    """Files of lost calls: no record names them, so the list has none of them."""
    untouched = await asyncio.to_thread(files.untouched, files.folder_of(services.settings, tenant), before)
    async with services.databases.unit(tenant) as unit:
        known = await recordings.known(await unit.session.connection(), untouched)
    return [name for name in untouched if name not in known][:AT_ONCE]


async def _finish(services: Services, tenant: TenantId, now: datetime) -> None:
    async with services.databases.unit(tenant) as unit:
        left = await recordings.half_deleted(await unit.session.connection(), AT_ONCE)
    await _erase(services, tenant, left, now)


async def _erase(services: Services, tenant: TenantId, names: Sequence[str], now: datetime) -> None:
    for name in names:
        try:
            await erase(services, tenant, name, now)
        except OSError as error:  # it is tried again at the next turn
            log.error("! %s: the file of %s, which was deleted, stays for now: %s", tenant, name, error.strerror)  # noqa: TRY400


async def keep_short(services: Services, deleted: Counter) -> None:
    """Do so for ever."""
    wait_s = FIRST_S
    while True:
        await asyncio.sleep(wait_s)
        wait_s = EVERY_S
        await delete_old(services, deleted, services.clock())
