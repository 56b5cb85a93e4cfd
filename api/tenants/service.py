"""Use cases of tenants: a new one is usable at once (R7): database migrated, administrator made, calls routed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from acd.bus import Subscription
from acd.core.engine import UnknownName
from acd.core.ids import TenantId
from acd.errors import CannotStart, JournalStopped
from acd.service import TenantSetup
from api import assignments
from api.audit import By, record
from api.db import Databases, Unit, drop_database, tenant_directory, tenant_url
from api.identity import Passwords, UserGiven, create_user
from api.kit.paging import Cut
from api.outages import DataLeft, DataMissing, TenantInUse, place, sentence
from api.services import Failure, Services
from api.sounds import look
from api.telephony_setup import Author, create, dialling, general, seal_rows, sealed_setup_of, sealed_values, setup_of
from api.tenants import repository
from api.tenants.errors import TenantClosed, TenantElsewhere, TenantExists, TenantLeft, TenantNotOpen, TenantOpen, TenantUnknown
from api.tenants.models import Tenant
from api.tenants.schemas import TenantGiven
from billing_cdr.outage import outage_of

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


async def every(session: AsyncSession) -> dict[TenantId, bool]:
    """All of them, the closed ones too; whether they are active."""
    return {TenantId(tenant): state == "active" for tenant, state in (await repository.states(session)).items()}


async def open_all(services: Services) -> None:
    """At the start: open every active tenant's database and let its calls be routed.

    Those that cannot be opened are in `house.failed`: one damaged journal must not silence all the others.
    """
    services.databases.on_lost = lambda tenant, reason: lose(services, tenant, reason)
    _spawn(services, _hear_troubles(services, services.voice.states()), "troubles of tenants")
    async with services.databases.unit(None) as unit:
        tenants = [TenantId(tenant.id) for tenant in await repository.active(unit.session)]
        known = await every(unit.session)
    for folder in sorted((services.settings.data / "tenants").glob("*/journal-*.log")):
        if folder.parent.name not in known:
            known[TenantId(folder.parent.name)] = True
            log.error("! %s holds the data of a tenant that the control database does not know: it is not opened", folder.parent)
    for tenant in tenants:
        await _open(services, tenant)
    if closed := [tenant for tenant, is_active in known.items() if not is_active]:
        _spawn(services, _seal_closed(services, closed), "seal closed tenants")


async def _hear_troubles(services: Services, states: Subscription) -> None:
    """A tenant that was open and cannot go on is closed, and tried again."""
    try:
        async for state in states:
            if state.is_open and state.trouble is not None and state.tenant in services.databases.opened:
                _spawn(services, stop(services, state.tenant, state.trouble))
    finally:
        states.close()


async def _seal_closed(services: Services, closed: Sequence[TenantId]) -> None:
    """What 0.1.0 left in clear in databases of tenants that are opened no more; one after the other, beside the others' calls."""
    databases = Databases(services.settings)  # nobody may take them for open
    try:
        await databases.look(services.databases.keys)
        for tenant in closed:
            try:
                await databases.look_at_tenant(tenant)
                async with databases.unit(tenant) as unit:
                    under, _ = await sealed_values(unit.session)
                await databases.close_tenant(tenant)
                if under[None]:
                    await databases.open_tenant(tenant)
                    await _seal(databases, tenant)
            except DataMissing:  # closed, and its data removed
                log.debug("= closed tenant %s has no data", tenant)
            except Exception as error:
                log.warning("! closed tenant %s: its secrets may stand in clear: %s", tenant, _failure(services, tenant, error).reason)
            finally:
                await databases.close_tenant(tenant)
    finally:
        await databases.close()


async def open_again(session: AsyncSession, services: Services, tenant: str, by: By, now: datetime) -> Tenant:
    """Try a tenant again that could not be opened.

    Raises: TenantUnknown, TenantClosed, TenantOpen, TenantNotOpen
    """
    found = await get(session, tenant)
    if found.state == "closed":
        raise TenantClosed(tenant)
    known = TenantId(tenant)
    if known not in services.failed:
        raise TenantOpen(tenant)
    await session.commit()  # the control database is others' too
    await _read_keys(services, known)
    failure = await _open(services, known)
    if failure is not None:
        raise TenantNotOpen(tenant, failure.reason)
    record(session, now, by, "opened", "tenant", tenant)
    return found


async def _read_keys(services: Services, tenant: TenantId) -> None:
    """The key that was missed may have been put back.

    Raises: TenantNotOpen
    """
    try:
        await services.databases.read_keys()
    except CannotStart as error:
        raise TenantNotOpen(tenant, str(error)) from error


async def lose(services: Services, tenant: TenantId, reason: str) -> None:
    """Another process has the tenant now: nothing of it may be decided here any more."""
    async with services.opening_locks[tenant]:
        log.critical("! tenant %s is lost and closed here: %s", tenant, reason)
        _fail(services, tenant, Failure(reason, passes=True))  # first, so that nobody is let in meanwhile
        await _close(services, tenant)


async def stop(services: Services, tenant: TenantId, reason: str) -> None:
    """The tenant's journal cannot be written: it is opened again as soon as it can, and its calls are refused until then."""
    async with services.opening_locks[tenant]:
        _fail(services, tenant, Failure(reason, passes=True))
        await _close(services, tenant)


def _spawn(services: Services, work: Coroutine[None, None, None], name: str | None = None) -> None:
    task = asyncio.create_task(work, name=name)
    services.tasks.add(task)
    task.add_done_callback(services.tasks.discard)


async def stop_trying(services: Services) -> None:
    """At the end: nobody is tried again."""
    trying = [*services.reopening.values(), *services.tasks]
    for task in trying:
        task.cancel()
    await asyncio.gather(*trying, return_exceptions=True)


async def _open(services: Services, tenant: TenantId) -> Failure | None:
    """Open a tenant; what keeps it from being opened is noted, said when it is new, and returned."""
    async with services.opening_locks[tenant]:
        if tenant in services.databases.opened:
            return None
        try:
            await services.databases.open_tenant(tenant)
            await _open_voice(services, tenant)
        except Exception as error:
            await services.databases.close_tenant(tenant)
            return _fail(services, tenant, _failure(services, tenant, error), error)
        services.failed.pop(tenant, None)
        if (trying := services.reopening.pop(tenant, None)) is not None and trying is not asyncio.current_task():
            trying.cancel()
        log.info("> tenant %s is open", tenant)
        services.jobs.begin(tenant)
        return None


def _failure(services: Services, tenant: TenantId, error: Exception) -> Failure:
    told = sentence(error, place(tenant_url(services.settings, tenant)))
    if told is None:
        return Failure(f"{type(error).__name__}: {error}", passes=False)
    return Failure(told, passes=isinstance(error, TenantInUse | JournalStopped) or outage_of(error) is not None)


def _fail(services: Services, tenant: TenantId, failure: Failure, error: Exception | None = None) -> Failure:
    before = services.failed.get(tenant)
    services.failed[tenant] = failure
    if error is not None and failure != before:
        unforeseen = sentence(error) is None
        log.critical("! tenant %s cannot be opened: %s", tenant, failure.reason, exc_info=error if unforeseen else None)
    if failure.passes and tenant not in services.reopening:
        services.reopening[tenant] = asyncio.create_task(_try_again(services, tenant), name=f"open {tenant}")
    return failure


async def _try_again(services: Services, tenant: TenantId) -> None:
    """In growing distances, until it is open, closed for good, or has another fault that does not pass."""
    wait_s = RETRY_FIRST_S
    while (failure := services.failed.get(tenant)) is not None and failure.passes:
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, RETRY_LAST_S)
        if tenant in services.failed:
            await _open(services, tenant)
    services.reopening.pop(tenant, None)


async def _close(services: Services, tenant: TenantId, *, for_good: bool = False) -> None:
    services.known_setups.pop(tenant, None)
    services.assigned.pop(tenant, None)
    try:
        await services.voice.close_tenant(tenant, for_good=for_good)
    except UnknownName:  # what was not opened is known only if its setup could be read
        pass
    except Exception as error:  # CDRs that cannot be saved now are in the journal
        log.error("! closing tenant %s: %s", tenant, error, exc_info=None if isinstance(error, RuntimeError) else error)  # noqa: TRY400
    await services.databases.close_tenant(tenant)


async def create_tenant(
    unit: Unit, services: Services, passwords: Passwords, given: TenantGiven, by: By, now: datetime
) -> tuple[Tenant, str | None]:
    """Create a tenant; returns the administrator's password when it was drawn here. Whatever fails is undone.

    Raises: TenantExists
    """
    await unit.hold_once(services.tenants_lock)
    if await repository.get(unit.session, given.id) is not None:
        raise TenantExists(given.id)
    await unit.rest()  # the control database is others' too, and migrations take seconds
    tenant = TenantId(given.id)
    try:
        await services.databases.open_tenant(tenant, new=True)
    except DataLeft as error:
        raise TenantLeft(str(error)) from error
    except TenantInUse as error:
        raise TenantElsewhere(str(error)) from error
    unit.otherwise(lambda: _undo(services, tenant))
    await assignments.begin(services, tenant, given.telephony_domain)
    async with services.databases.unit(tenant) as inside:
        admin = UserGiven(id=given.admin.username, name=given.admin.name, role="admin", password=given.admin.password)
        # Inside, the platform's operator is nobody in particular.
        inside_by, own = By("operator", by.source), (given.id, given.name)
        _, drawn = await create_user(inside.session, passwords, admin, inside_by, now, own=own, pointer="#/admin/password")
        author = Author(inside, services, tenant, "operator", now, by.source)
        await general(author, {"language": given.language, "recording_notice": True}, None)
        classes = sorted(services.settings.tenants.dial_classes)
        await dialling(author, {"classes": classes, "per_hour": None, "agent_per_hour": None, "agents": {}}, None)
        for code, name in FIRST_REASONS.get(given.language, FIRST_REASONS_ENGLISH).items():
            await create(author, "reason", code, {"code": code, "name": name})
    await _open_voice(services, tenant)
    services.jobs.begin(tenant)
    created = Tenant(id=given.id, name=given.name, language=given.language, state="active", created_at=now, closed_at=None)
    unit.session.add(created)
    record(unit.session, now, by, "created", "tenant", given.id, after={"name": given.name, "language": given.language})
    await unit.session.flush()
    log.info("> tenant %s was created", tenant)
    return created, drawn


async def close_tenant(unit: Unit, services: Services, tenant: str, by: By, now: datetime) -> None:
    """Close a tenant: its calls are cleared, nobody of it gets in, its data stays.

    Raises: TenantUnknown, TenantClosed
    """
    found = await get(unit.session, tenant)
    if found.state == "closed":
        raise TenantClosed(tenant)
    found.state = "closed"
    found.closed_at = now
    record(unit.session, now, by, "closed", "tenant", tenant)
    await unit.session.flush()

    async def end() -> None:
        known = TenantId(tenant)
        if (trying := services.reopening.pop(known, None)) is not None:
            trying.cancel()
        async with services.opening_locks[known]:
            services.failed.pop(known, None)
            await _close(services, known, for_good=True)
            await assignments.end(services, known, for_good=True)

    unit.then(end)


async def _open_voice(services: Services, tenant: TenantId) -> None:
    setup = await _sealed_setup(services, tenant)
    await assignments.admit(services, setup, services.clock())
    setup = assignments.with_assigned(setup, assignments.held(services, tenant))
    if setup.dialling.classes is None:
        begin = services.settings.tenants.dial_classes
        log.warning(
            "! tenant %s: everybody may dial everything, premium and satellite numbers too, as before the update (new tenants begin with "
            "%s numbers): PUT /api/v1/dialling says who may what, and for how much", tenant, " and ".join(begin),
        )  # fmt: skip
    await look(services, tenant, setup.own_sounds)
    await services.voice.open_tenant(setup)


async def _sealed_setup(services: Services, tenant: TenantId) -> TenantSetup:
    """Of an open tenant, once no secret of it stands in clear.

    Raises: SealError
    """
    realm = services.settings.sip.realm
    async with services.databases.unit(tenant) as unit:
        setup = await sealed_setup_of(unit.session, tenant, realm)
    if setup is not None:
        await _scrub(services.databases, tenant)
        return setup
    await _seal(services.databases, tenant)
    async with services.databases.unit(tenant) as unit:
        return await setup_of(unit.session, tenant, realm)


async def _seal(databases: Databases, tenant: TenantId) -> None:
    """See that no secret of an open tenant stands in clear.

    Raises: SealError: something does not open; nothing is changed then.
    """
    async with databases.unit(tenant) as unit:
        sealed = await seal_rows(unit.session)
    if sealed:
        log.info("> tenant %s: %d secrets that stood in clear are sealed now", tenant, sealed)
    await _scrub(databases, tenant, anew=sealed > 0)


async def _scrub(databases: Databases, tenant: TenantId, *, anew: bool = False) -> None:
    try:
        await databases.scrub(tenant, anew=anew)
    except DBAPIError as error:
        log.error("! tenant %s: octets of secrets that stood in clear may be left in its database: %s", tenant, error.orig)  # noqa: TRY400


async def _undo(services: Services, tenant: TenantId) -> None:
    """Leave nothing of a tenant that did not come about, lest the name be burnt: nothing of one was there before (`open_tenant`, new)."""
    try:
        await services.voice.close_tenant(tenant)
    except Exception as error:
        log.info("< tenant %s was not open yet: %s", tenant, error)
    services.known_setups.pop(tenant, None)
    await assignments.end(services, tenant, for_good=False)
    await services.databases.close_tenant(tenant)
    for file in tenant_directory(services.settings, tenant).glob("journal*"):
        file.unlink()
    url = tenant_url(services.settings, tenant)
    try:
        await drop_database(url)
    except Exception as error:
        if (told := sentence(error, place(url))) is None:
            raise
        log.error("! tenant %s did not come about, and its database stays: %s", tenant, told)  # noqa: TRY400 - the database is away
