"""Use cases of the configuration: every change is checked as a whole, audited, committed, then given to the voice service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import AgentId, TenantId
from acd.service import Device, TenantSetup
from api.billing import plan_documents
from api.db import Databases, Unit
from api.house import House
from api.identity import require_strong
from api.kit.ids import drawn_id, drawn_password
from api.kit.paging import Cut
from api.telephony_setup import repository, rules
from api.telephony_setup.draft import Draft
from api.telephony_setup.errors import Contradiction, DeviceNameTaken, Exists, StillInUse, Unknown, VersionPassed
from api.telephony_setup.models import AuditRow, DeviceName, DeviceRow, Row

GENERAL = "general"


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes what, in which transaction."""

    unit: Unit
    house: House
    tenant: TenantId
    who: str
    now: datetime

    @property
    def session(self) -> AsyncSession:
        return self.unit.session


# ---------------------------------------------------------------------- reading


async def setup_of(session: AsyncSession, tenant: TenantId, realm: str) -> TenantSetup:
    """The tenant's whole setup as it stands in this transaction."""
    return (await _read(session, tenant, realm)).setup()


async def _read(session: AsyncSession, tenant: TenantId, realm: str) -> Draft:
    rows = await repository.everything(session)
    documents = {kind: [row.document for row in some] for kind, some in rows.items()}
    devices = [_device(row) for row in await repository.devices(session)]
    return Draft.of(tenant, documents, devices, realm, await plan_documents(session))


def _device(row: DeviceRow) -> Device:
    return Device(agent=AgentId(row.agent), username=row.username, ha1_md5=row.ha1_md5, ha1_sha256=row.ha1_sha256)


async def some(session: AsyncSession, kind: str, page: Cut) -> Sequence[Row]:
    """A page of one kind, and one more."""
    return await repository.some(session, kind, page)


async def one(session: AsyncSession, kind: str, key: str, *, anew: bool = False) -> Row:
    """One document.

    Args:
        anew: as it is now, though the transaction may have looked at it before it held the lock.
    Raises: Unknown
    """
    found = await repository.get(session, kind, key, anew=anew)
    if found is None:
        raise Unknown(kind, key)
    return found


async def audit(session: AsyncSession, page: Cut, kind: str | None, subject: str | None) -> Sequence[AuditRow]:
    """A page of the audit trail, newest first, and one more."""
    return await repository.audit(session, page, kind, subject)


# ---------------------------------------------------------------------- changing


async def hold(author: Author) -> None:
    """Be the only one who changes this tenant's setup until the transaction is done; asking again changes nothing.

    What is known of the rows is taken out of the house for so long. It comes back as it was when the transaction is rolled back, changed
    when it is committed and was checked, and not at all when nobody can say what became of it: then the rows are read again.
    """
    unit, known = author.unit, author.house.known_setups
    if not await unit.hold_once(author.house.setup_locks[author.tenant]):
        return
    before = unit.draft = known.pop(author.tenant, None)

    async def keep() -> None:
        if isinstance(unit.draft, _Checked):
            known[author.tenant] = unit.draft

    async def keep_as_it_was() -> None:
        if before is not None and unit.is_certain:
            known[author.tenant] = before

    unit.then(keep)
    unit.otherwise(keep_as_it_was)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What is known of the rows, and that nothing contradicts anything in it."""

    draft: Draft
    setup: TenantSetup


@dataclass(frozen=True, slots=True)
class _Changed:
    """The same with changes that have not been checked, and as it was before them."""

    draft: Draft
    before: TenantSetup


def _change(author: Author, change: Callable[[Draft], Draft]) -> None:
    """Let what is known follow a change of the rows; where nothing is known, `take_effect` reads them all."""
    known = author.unit.draft
    if isinstance(known, _Checked):
        author.unit.draft = _Changed(change(known.draft), known.setup)
    elif isinstance(known, _Changed):
        author.unit.draft = _Changed(change(known.draft), known.before)


async def create(author: Author, kind: str, key: str, document: dict[str, Any]) -> Row:
    """Add a document. `take_effect` comes after.

    Raises: Exists
    """
    await hold(author)
    if await repository.get(author.session, kind, key) is not None:
        raise Exists(kind, key)
    row = repository.TABLES[kind](id=key, version=1, document=document, changed_at=author.now)
    author.session.add(row)
    await author.session.flush()
    _change(author, lambda known: known.put(kind, key, document))
    _audit(author, "created", kind, key, 1, None, document)
    return row


async def replace(author: Author, kind: str, key: str, document: dict[str, Any], if_version: int | None) -> Row:
    """Put another document in the place of one. `take_effect` comes after.

    Raises: Unknown, VersionPassed
    """
    await hold(author)
    row = await one(author.session, kind, key, anew=True)
    if if_version is not None and row.version != if_version:
        raise VersionPassed(kind, key, row.version)
    before = row.document
    if before == document:
        return row
    row.version += 1
    row.document = document
    row.changed_at = author.now
    await author.session.flush()
    _change(author, lambda known: known.put(kind, key, document))
    _audit(author, "changed", kind, key, row.version, before, document)
    return row


async def delete(author: Author, kind: str, key: str, if_version: int | None) -> None:
    """Remove a document. `take_effect` comes after.

    Raises: Unknown, VersionPassed
    """
    await hold(author)
    row = await one(author.session, kind, key, anew=True)
    if if_version is not None and row.version != if_version:
        raise VersionPassed(kind, key, row.version)
    await author.session.delete(row)
    if kind == "agent":
        device = await repository.device(author.session, key)
        if device is not None:
            await author.session.delete(device)
            username = device.username
            author.unit.then(lambda: _free(author.house.databases, username, author.tenant))
    await author.session.flush()
    _change(author, lambda known: known.drop(kind, key))
    _audit(author, "deleted", kind, key, row.version, row.document, None)


async def take_effect(author: Author, *, deleting: bool = False, tariffs: bool = False) -> None:
    """Check the configuration as a whole; once it is committed, give it to the voice service.

    Args:
        tariffs: they were changed too.
    Raises: Contradiction, or StillInUse when something was deleted
    """
    await hold(author)
    known = author.unit.draft
    before: TenantSetup | None = None
    if isinstance(known, _Checked):
        draft, before = known.draft, known.setup
    elif isinstance(known, _Changed):
        draft, before = known.draft, known.before
    else:
        draft = await _read(author.session, author.tenant, author.house.settings.sip.realm)
    if tariffs:
        draft = draft.with_plans(await plan_documents(author.session))
    setup = draft.setup()
    problems = rules.problems(setup, before)
    if problems:
        raise StillInUse(problems) if deleting else Contradiction(problems)
    author.unit.draft = _Checked(draft, setup)
    author.unit.then(lambda: author.house.voice.configure(setup))


async def general(author: Author, document: dict[str, Any], if_version: int | None) -> Row:
    """Change what belongs to no kind; the first change creates it."""
    if await repository.get(author.session, GENERAL, GENERAL) is None:
        return await create(author, GENERAL, GENERAL, document)
    return await replace(author, GENERAL, GENERAL, document, if_version)


def _audit(
    author: Author, act: str, kind: str, subject: str, version: int, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    author.session.add(
        AuditRow(
            id=f"{int(author.now.timestamp() * 1_000_000):015x}-{drawn_id(6)}",
            at=author.now,
            who=author.who,
            act=act,
            kind=kind,
            subject=subject,
            version=version,
            before=_without_secrets(before),
            after=_without_secrets(after),
        )
    )


def _without_secrets(document: dict[str, Any] | None) -> dict[str, Any] | None:
    registration = (document or {}).get("registration")
    if document is None or registration is None:
        return document
    return {**document, "registration": {**registration, "password": None}}


# ---------------------------------------------------------------------- devices


async def device(session: AsyncSession, agent: str) -> DeviceRow:
    """The device of an agent.

    Raises: Unknown
    """
    found = await repository.device(session, agent)
    if found is None:
        raise Unknown("device of agent", agent)
    return found


async def set_device(
    author: Author, agent: str, username: str | None, password: str | None, *, pointer: str = "#/password"
) -> tuple[DeviceRow, str]:
    """Give the agent's device credentials; returns the password, which is kept nowhere. `take_effect` comes after.

    Args:
        password: None: one is drawn.
        pointer: where it stands in the request.
    Raises: Unknown, DeviceNameTaken, WeakPassword
    """
    await hold(author)
    person = await one(author.session, "agent", agent)
    row = await repository.device(author.session, agent)
    old = row.username if row is not None else None
    username = username or old or f"{author.tenant}-{agent}"
    own = (agent, person.document.get("name"), username, author.tenant)
    await require_strong(password, own, author.house.settings.login.password_score, pointer)
    password = password or drawn_password()
    realm = author.house.settings.sip.realm
    if username != old:
        await _reserve(author, username, agent)
        if old is not None:
            author.unit.then(lambda: _free(author.house.databases, old, author.tenant))
    values = rules.digests(AgentId(agent), username, realm, password)
    if row is None:
        row = DeviceRow(agent=agent)
        author.session.add(row)
    row.username = username
    row.realm = realm
    row.ha1_md5 = values.ha1_md5
    row.ha1_sha256 = values.ha1_sha256
    row.changed_at = author.now
    await author.session.flush()
    _change(author, lambda known: known.equip(values))
    _audit(author, "changed", "device", agent, 0, None, {"username": username})
    return row, password


async def _reserve(author: Author, username: str, agent: str) -> None:
    """Take the name for the installation, in the control database; it is freed again when the tenant's transaction fails."""
    databases = author.house.databases
    try:
        async with databases.unit(None) as control:
            holder = await repository.device_name(control.session, username)
            if holder is not None and (holder.tenant, holder.agent) != (author.tenant, agent):
                raise DeviceNameTaken(username)
            if holder is not None:
                return
            control.session.add(DeviceName(username=username, tenant=author.tenant, agent=agent))
            await control.session.flush()
    except IntegrityError:
        raise DeviceNameTaken(username) from None
    author.unit.otherwise(lambda: _free(databases, username, author.tenant))


async def _free(databases: Databases, username: str, tenant: TenantId) -> None:
    async with databases.unit(None) as control:
        await repository.free_device_name(control.session, username, tenant)
