"""Use cases of tenants: a new one is usable at once (R7): database migrated, administrator made, calls routed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from api.db import Unit, drop_database, tenant_directory, tenant_url
from api.house import House
from api.identity import Passwords, UserGiven, create_user
from api.kit.paging import Cut
from api.telephony_setup import Author, create, general, setup_of
from api.tenants import repository
from api.tenants.errors import TenantClosed, TenantExists, TenantUnknown
from api.tenants.models import Tenant
from api.tenants.schemas import TenantGiven

log = logging.getLogger(__name__)

FIRST_REASONS = {"de": {"break": "Pause", "training": "Schulung", "paperwork": "Nachbearbeitung"}}
FIRST_REASONS_ENGLISH = {"break": "Break", "training": "Training", "paperwork": "Paperwork"}


async def some(session: AsyncSession, page: Cut) -> Sequence[Tenant]:
    """A page of tenants, and one more."""
    return await repository.some(session, page)


async def get(session: AsyncSession, tenant: str) -> Tenant:
    """One tenant.

    Raises: TenantUnknown
    """
    found = await repository.get(session, tenant)
    if found is None:
        raise TenantUnknown(tenant)
    return found


async def open_all(house: House) -> dict[TenantId, str]:
    """At the start: open every active tenant's database and let its calls be routed.

    Returns: the tenants that could not be opened, and why: one damaged journal must not silence all the others.
    """
    async with house.databases.unit(None) as unit:
        tenants = [TenantId(tenant.id) for tenant in await repository.active(unit.session)]
    failed: dict[TenantId, str] = {}
    for tenant in tenants:
        try:
            await house.databases.open_tenant(tenant)
            await _open_voice(house, tenant)
        except Exception as error:
            log.critical("! tenant %s cannot be opened", tenant, exc_info=error)
            failed[tenant] = f"{type(error).__name__}: {error}"
            await house.databases.close_tenant(tenant)
        else:
            log.info("> tenant %s is open", tenant)
    return failed


async def create_tenant(unit: Unit, house: House, passwords: Passwords, given: TenantGiven, now: datetime) -> tuple[Tenant, str | None]:
    """Create a tenant; returns the administrator's password when it was drawn here. Whatever fails is undone.

    Raises: TenantExists
    """
    await unit.hold_once(house.tenants_lock)
    if await repository.get(unit.session, given.id) is not None:
        raise TenantExists(given.id)
    tenant = TenantId(given.id)
    unit.otherwise(lambda: _undo(house, tenant))
    await house.databases.open_tenant(tenant)
    async with house.databases.unit(tenant) as inside:
        admin = UserGiven(id=given.admin.username, name=given.admin.name, role="admin", password=given.admin.password)
        _, drawn = await create_user(inside.session, passwords, admin, now)
        author = Author(inside, house, tenant, "operator", now)
        await general(author, {"language": given.language, "recording_notice": True, "domains": []}, None)
        for code, name in FIRST_REASONS.get(given.language, FIRST_REASONS_ENGLISH).items():
            await create(author, "reason", code, {"code": code, "name": name})
    await _open_voice(house, tenant)
    created = Tenant(id=given.id, name=given.name, language=given.language, state="active", created_at=now, closed_at=None)
    unit.session.add(created)
    await unit.session.flush()
    log.info("> tenant %s was created", tenant)
    return created, drawn


async def close_tenant(unit: Unit, house: House, tenant: str, now: datetime) -> None:
    """Close a tenant: its calls are cleared, nobody of it gets in, its data stays.

    Raises: TenantUnknown, TenantClosed
    """
    found = await get(unit.session, tenant)
    if found.state == "closed":
        raise TenantClosed(tenant)
    found.state = "closed"
    found.closed_at = now
    await unit.session.flush()

    async def end() -> None:
        await house.voice.close_tenant(TenantId(tenant))
        house.known_setups.pop(TenantId(tenant), None)
        await house.databases.close_tenant(TenantId(tenant))

    unit.then(end)


async def _open_voice(house: House, tenant: TenantId) -> None:
    async with house.databases.unit(tenant) as unit:
        setup = await setup_of(unit.session, tenant, house.settings.sip.realm)
    await house.voice.open_tenant(setup, house.databases.tenant(tenant), tenant_directory(house.settings, tenant))


async def _undo(house: House, tenant: TenantId) -> None:
    """Leave nothing of a tenant that did not come about, lest the name be burnt."""
    try:
        await house.voice.close_tenant(tenant)
    except Exception:
        log.info("< tenant %s was not open yet", tenant, exc_info=True)
    house.known_setups.pop(tenant, None)
    await house.databases.close_tenant(tenant)
    await drop_database(tenant_url(house.settings, tenant))
