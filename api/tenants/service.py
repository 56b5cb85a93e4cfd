"""Use cases of tenants: a new one is usable at once (R7): database migrated, administrator made, calls routed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.engine import UnknownName
from acd.core.ids import TenantId
from acd.errors import JournalStopped
from acd.outage import outage_of
from api.db import Unit, drop_database, tenant_directory, tenant_url
from api.house import Failure, House
from api.identity import Passwords, UserGiven, create_user
from api.kit.paging import Cut
from api.outages import DataLeft, TenantInUse, place, sentence
from api.telephony_setup import Author, create, general, setup_of
from api.tenants import repository
from api.tenants.errors import TenantClosed, TenantElsewhere, TenantExists, TenantLeft, TenantNotOpen, TenantOpen, TenantUnknown
from api.tenants.models import Tenant
from api.tenants.schemas import TenantGiven

log = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_LAST_S = 1.0, 60.0
"""A tenant that cannot be opened for something that passes is tried again after so long, doubled up to so long."""

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


async def open_all(house: House) -> None:
    """At the start: open every active tenant's database and let its calls be routed.

    Those that cannot be opened are in `house.failed`: one damaged journal must not silence all the others.
    """
    house.databases.on_lost = lambda tenant, reason: lose(house, tenant, reason)
    house.voice.on_trouble = lambda tenant, reason: _spawn(house, stop(house, tenant, reason))
    async with house.databases.unit(None) as unit:
        tenants = [TenantId(tenant.id) for tenant in await repository.active(unit.session)]
        known = await repository.ids(unit.session)
    for folder in sorted((house.settings.data / "tenants").glob("*/journal-*.log")):
        if folder.parent.name not in known:
            known.add(folder.parent.name)
            log.error("! %s holds the data of a tenant that the control database does not know: it is not opened", folder.parent)
    for tenant in tenants:
        await _open(house, tenant)


async def open_again(session: AsyncSession, house: House, tenant: str) -> Tenant:
    """Try a tenant again that could not be opened.

    Raises: TenantUnknown, TenantClosed, TenantOpen, TenantNotOpen
    """
    found = await get(session, tenant)
    if found.state == "closed":
        raise TenantClosed(tenant)
    known = TenantId(tenant)
    if known not in house.failed:
        raise TenantOpen(tenant)
    failure = await _open(house, known)
    if failure is not None:
        raise TenantNotOpen(tenant, failure.reason)
    return found


async def lose(house: House, tenant: TenantId, reason: str) -> None:
    """Another process has the tenant now: nothing of it may be decided here any more."""
    async with house.opening_locks[tenant]:
        log.critical("! tenant %s is lost and closed here: %s", tenant, reason)
        _fail(house, tenant, Failure(reason, passes=True))  # first, so that nobody is let in meanwhile
        await _close(house, tenant)


async def stop(house: House, tenant: TenantId, reason: str) -> None:
    """The tenant's journal cannot be written: it is opened again as soon as it can, and its calls are refused until then."""
    async with house.opening_locks[tenant]:
        _fail(house, tenant, Failure(reason, passes=True))
        await _close(house, tenant)


def _spawn(house: House, work: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(work)
    house.tasks.add(task)
    task.add_done_callback(house.tasks.discard)


async def stop_trying(house: House) -> None:
    """At the end: nobody is tried again."""
    trying = [*house.reopening.values(), *house.tasks]
    for task in trying:
        task.cancel()
    await asyncio.gather(*trying, return_exceptions=True)


async def _open(house: House, tenant: TenantId) -> Failure | None:
    """Open a tenant; what keeps it from being opened is noted, said when it is new, and returned."""
    async with house.opening_locks[tenant]:
        if tenant in house.databases.opened:
            return None
        try:
            await house.databases.open_tenant(tenant)
            await _open_voice(house, tenant)
        except Exception as error:
            await house.databases.close_tenant(tenant)
            return _fail(house, tenant, _failure(house, tenant, error), error)
        house.failed.pop(tenant, None)
        if (trying := house.reopening.pop(tenant, None)) is not None and trying is not asyncio.current_task():
            trying.cancel()
        log.info("> tenant %s is open", tenant)
        return None


def _failure(house: House, tenant: TenantId, error: Exception) -> Failure:
    told = sentence(error, place(tenant_url(house.settings, tenant)))
    if told is None:
        return Failure(f"{type(error).__name__}: {error}", passes=False)
    return Failure(told, passes=isinstance(error, TenantInUse | JournalStopped) or outage_of(error) is not None)


def _fail(house: House, tenant: TenantId, failure: Failure, error: Exception | None = None) -> Failure:
    before = house.failed.get(tenant)
    house.failed[tenant] = failure
    if error is not None and failure != before:
        unforeseen = sentence(error) is None
        log.critical("! tenant %s cannot be opened: %s", tenant, failure.reason, exc_info=error if unforeseen else None)
    if failure.passes and tenant not in house.reopening:
        house.reopening[tenant] = asyncio.create_task(_try_again(house, tenant), name=f"open {tenant}")
    return failure


async def _try_again(house: House, tenant: TenantId) -> None:
    """In growing distances, until it is open, closed for good, or has another fault that does not pass."""
    wait_s = RETRY_FIRST_S
    while (failure := house.failed.get(tenant)) is not None and failure.passes:
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, RETRY_LAST_S)
        if tenant in house.failed:
            await _open(house, tenant)
    house.reopening.pop(tenant, None)


async def _close(house: House, tenant: TenantId, *, for_good: bool = False) -> None:
    house.known_setups.pop(tenant, None)
    try:
        await house.voice.close_tenant(tenant, for_good=for_good)
    except UnknownName:  # what was not opened is known only if its setup could be read
        pass
    except Exception as error:  # CDRs that cannot be saved now are in the journal
        log.error("! closing tenant %s: %s", tenant, error, exc_info=None if isinstance(error, RuntimeError) else error)  # noqa: TRY400
    await house.databases.close_tenant(tenant)


async def create_tenant(unit: Unit, house: House, passwords: Passwords, given: TenantGiven, now: datetime) -> tuple[Tenant, str | None]:
    """Create a tenant; returns the administrator's password when it was drawn here. Whatever fails is undone.

    Raises: TenantExists
    """
    await unit.hold_once(house.tenants_lock)
    if await repository.get(unit.session, given.id) is not None:
        raise TenantExists(given.id)
    tenant = TenantId(given.id)
    try:
        await house.databases.open_tenant(tenant, new=True)
    except DataLeft as error:
        raise TenantLeft(str(error)) from error
    except TenantInUse as error:
        raise TenantElsewhere(str(error)) from error
    unit.otherwise(lambda: _undo(house, tenant))
    async with house.databases.unit(tenant) as inside:
        admin = UserGiven(id=given.admin.username, name=given.admin.name, role="admin", password=given.admin.password)
        own = (given.id, given.name)
        _, drawn = await create_user(inside.session, passwords, admin, now, own=own, pointer="#/admin/password")
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
        known = TenantId(tenant)
        if (trying := house.reopening.pop(known, None)) is not None:
            trying.cancel()
        async with house.opening_locks[known]:
            house.failed.pop(known, None)
            await _close(house, known, for_good=True)

    unit.then(end)


async def _open_voice(house: House, tenant: TenantId) -> None:
    async with house.databases.unit(tenant) as unit:
        setup = await setup_of(unit.session, tenant, house.settings.sip.realm)
    await house.voice.open_tenant(setup, house.databases.tenant(tenant), tenant_directory(house.settings, tenant))


async def _undo(house: House, tenant: TenantId) -> None:
    """Leave nothing of a tenant that did not come about, lest the name be burnt: nothing of one was there before (`open_tenant`, new)."""
    try:
        await house.voice.close_tenant(tenant)
    except Exception as error:
        log.info("< tenant %s was not open yet: %s", tenant, error)
    house.known_setups.pop(tenant, None)
    await house.databases.close_tenant(tenant)
    for file in tenant_directory(house.settings, tenant).glob("journal*"):
        file.unlink()
    url = tenant_url(house.settings, tenant)
    try:
        await drop_database(url)
    except Exception as error:
        if (told := sentence(error, place(url))) is None:
            raise
        log.error("! tenant %s did not come about, and its database stays: %s", tenant, told)  # noqa: TRY400 - the database is away
