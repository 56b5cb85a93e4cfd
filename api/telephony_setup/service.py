"""Use cases of the configuration: every change is checked as a whole, audited, committed, then given to the voice service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from acd import sounds
from acd.core.ids import AgentId, TenantId
from acd.service import TenantSetup
from api import assignments
from api.audit import Act, By, record
from api.billing import plan_documents
from api.db import Databases, Unit
from api.errors import Place
from api.identity import Access, require_strong
from api.kit.ids import drawn_password
from api.kit.outbox import publish
from api.kit.paging import Cut
from api.services import Services
from api.telephony_setup import events, repository, rules
from api.telephony_setup.draft import Draft
from api.telephony_setup.errors import Contradiction, DeviceNameTaken, Exists, NoSuchSound, NotReachable, StillInUse, Unknown, VersionPassed
from api.telephony_setup.models import DeviceName, DeviceRow, Row
from api.telephony_setup.sealed import in_clear, open_device, open_document, seal_device, seal_document

GENERAL = "general"
DIALLING = "dialling"


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes what, in which transaction."""

    unit: Unit
    services: Services
    tenant: TenantId
    who: str
    now: datetime
    source: str | None = None
    """Address the request came from; None: no request."""

    @classmethod
    def of(cls, access: Access) -> Author:
        """Who asks for it by a request."""
        return cls(access.unit, access.services, access.tenant, access.principal.name, access.now, access.source)

    @property
    def session(self) -> AsyncSession:
        return self.unit.session


# ---------------------------------------------------------------------- reading


async def setup_of(session: AsyncSession, tenant: TenantId, realm: str) -> TenantSetup:
    """The tenant's whole setup as it stands in this transaction, without what the platform says of it.

    Raises: SealError
    """
    return (await _read(session, tenant, realm)).setup()


async def sealed_setup_of(session: AsyncSession, tenant: TenantId, realm: str) -> TenantSetup | None:
    """The same; None: a secret in it stands in clear (`seal_rows`).

    Raises: SealError
    """
    documents, devices = await repository.everything(session), await repository.devices(session)
    if in_clear(documents["trunk"], devices):
        return None
    return (await _draft(session, tenant, realm, documents, devices)).setup()


async def own_carriers(session: AsyncSession) -> frozenset[str]:
    """Trunks that are the tenant's own contract."""
    rows = (await repository.everything(session))["trunk"]
    return frozenset(row.id for row in rows if row.document.get("own_carrier"))


async def _read(session: AsyncSession, tenant: TenantId, realm: str) -> Draft:
    return await _draft(session, tenant, realm, await repository.everything(session), await repository.devices(session))


async def _draft(
    session: AsyncSession, tenant: TenantId, realm: str, rows: Mapping[str, Sequence[repository.Named]], devices: Sequence[DeviceRow]
) -> Draft:
    documents = {kind: [open_document(session, kind, one.id, one.document) for one in some] for kind, some in rows.items()}
    return Draft.of(tenant, documents, [open_device(session, row) for row in devices], realm, await plan_documents(session))


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


async def rows(session: AsyncSession, kind: str) -> Sequence[Row]:
    """All of one kind."""
    return await repository.rows(session, kind)


async def has_agent(session: AsyncSession, agent: str) -> bool:
    """Whether there is such an agent; whoever holds the set-up may build on the answer."""
    return await repository.get(session, "agent", agent, anew=True) is not None


# ---------------------------------------------------------------------- changing


async def hold(author: Author) -> None:
    """Be the only one who changes this tenant's setup until the transaction is done; asking again changes nothing.

    What is known of the rows is taken out of the house for so long. It comes back as it was when the transaction is rolled back, changed
    when it is committed and was checked, and not at all when nobody can say what became of it: then the rows are read again.
    """
    unit, known = author.unit, author.services.known_setups
    if not await unit.hold_once(author.services.setup_locks[author.tenant]):
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
    changed: frozenset[tuple[str, str]]
    """Kind and name of what was changed."""


@dataclass(frozen=True, slots=True)
class _Unread:
    """Nothing is known of the rows but which of them were changed."""

    changed: frozenset[tuple[str, str]]


def _change(author: Author, kind: str, name: str, change: Callable[[Draft], Draft]) -> None:
    """Let what is known follow a change of the rows; where nothing is known, `take_effect` reads them all."""
    known = author.unit.draft
    this = frozenset({(kind, name)})
    if isinstance(known, _Checked):
        author.unit.draft = _Changed(change(known.draft), known.setup, this)
    elif isinstance(known, _Changed):
        author.unit.draft = _Changed(change(known.draft), known.before, known.changed | this)
    else:
        author.unit.draft = _Unread(this | (known.changed if isinstance(known, _Unread) else frozenset()))


async def create(author: Author, kind: str, key: str, document: dict[str, Any]) -> Row:
    """Add a document. `take_effect` comes after.

    Raises: Exists, NotReachable
    """
    await _check_reach(author, kind, document, {})
    await hold(author)
    document = await _in_its_language(author, kind, document)
    if await repository.get(author.session, kind, key) is not None:
        raise Exists(kind, key)
    await _check_sounds(author, kind, document, {})
    await _claim(author, kind, None, document)
    row = repository.TABLES[kind](id=key, version=1, document=seal_document(author.session, kind, key, document), changed_at=author.now)
    author.session.add(row)
    await author.session.flush()
    _change(author, kind, key, lambda known: known.put(kind, key, document))
    _audit(author, "created", kind, key, 1, None, document)
    return row


async def replace(author: Author, kind: str, key: str, document: dict[str, Any], if_version: int | None) -> Row:
    """Put another document in the place of one. `take_effect` comes after.

    Raises: Unknown, VersionPassed, NotReachable
    """
    await hold(author)
    row = await one(author.session, kind, key, anew=True)
    if if_version is not None and row.version != if_version:
        raise VersionPassed(kind, key, row.version)
    document = await _in_its_language(author, kind, document)
    before, document = (open_document(author.session, kind, key, one) for one in (row.document, document))
    if before == document:
        return row
    await _check_sounds(author, kind, document, before)
    await _claim(author, kind, before, document)
    await _check_reach(author, kind, document, before)
    row.version += 1
    row.document = seal_document(author.session, kind, key, document)
    row.changed_at = author.now
    await author.session.flush()
    _change(author, kind, key, lambda known: known.put(kind, key, document))
    _audit(author, "changed", kind, key, row.version, before, document)
    return row


async def _in_its_language(author: Author, kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """A language that was left out is the tenant's, and what is kept says it: a later change of the tenant's is none of what was set up."""
    member = rules.LANGUAGE_MEMBERS.get(kind)
    if member is None or document[member] is not None:
        return document
    row = await repository.get(author.session, GENERAL, GENERAL)
    language = rules.FIRST_LANGUAGE if row is None else row.document["language"]
    return {**document, member: [language] if kind == "agent" else language}


async def _check_sounds(author: Author, kind: str, document: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Sounds that a document names are the house's or the tenant's own; what stood in it before stays.

    Raises: NoSuchSound
    """
    if kind in rules.SOUNDING:
        await must_have_sounds(author.session, document, {name for _, name in rules.sounds_in(before)})


async def must_have_sounds(session: AsyncSession, document: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """What a document names as sounds is the house's or the tenant's own.

    Args:
        known: names that are not looked at.

    Raises: NoSuchSound
    """
    named = [(place, name) for place, name in rules.sounds_in(document) if name not in known and sounds.missing(name, {})]
    if not named:
        return
    own = {row.id: str(row.document["audio"]) for row in await repository.rows(session, "sound")}
    places = [
        Place(detail=f"there is no sound {' and no sound '.join(missing)}", pointer=place)
        for place, name in named
        if (missing := sounds.missing(name, own))
    ]
    if places:
        raise NoSuchSound(places)


async def _check_reach(author: Author, kind: str, document: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """A trunk's addresses, where they are written as addresses; names are judged at each use, by what they stand for then.

    What stood there before stays: whoever renames a trunk is not told of a rule that came later.
    """
    if kind != "trunk":
        return
    old = rules.hosts_of(before)
    for place, host in rules.hosts_of(document).items():
        if host == old.get(place):
            continue
        if not await author.services.voice.may_reach(host):
            _refuse_address(author, host)
            raise NotReachable(place, host)
        by = By(author.who, author.source)
        await assignments.check_peer(author.unit, author.services, author.tenant, by, place, host, author.now)


def _refuse_address(author: Author, host: str) -> None:
    """Whoever asks for address after address stands in the audit."""
    by = By(author.who, author.source)
    author.unit.otherwise(lambda: assignments.note_refusal(author.services, author.tenant, by, None, "address", host[:200], author.now))


async def delete(author: Author, kind: str, key: str, if_version: int | None) -> None:
    """Remove a document. `take_effect` comes after.

    Raises: Unknown, VersionPassed
    """
    await hold(author)
    row = await one(author.session, kind, key, anew=True)
    if if_version is not None and row.version != if_version:
        raise VersionPassed(kind, key, row.version)
    await _claim(author, kind, row.document, None)
    await author.session.delete(row)
    if kind == "agent":
        device = await repository.device(author.session, key)
        if device is not None:
            await author.session.delete(device)
            username = device.username
            author.unit.then(lambda: _free(author.services.databases, username, author.tenant))
        pin = await repository.pin(author.session, key)
        if pin is not None:
            await author.session.delete(pin)
    await author.session.flush()
    _change(author, kind, key, lambda known: known.drop(kind, key))
    _audit(author, "deleted", kind, key, row.version, row.document, None)


async def _claim(author: Author, kind: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    """Take of the platform what the document needs, and give back what it needs no more."""
    needed, needs = assignments.wanted(kind, before), assignments.wanted(kind, after)
    if needed != needs or not assignments.has(author.services, author.tenant, needs):  # what was withdrawn is asked for again
        by = By(author.who, author.source)
        await assignments.claim(author.unit, author.services, author.tenant, by, needed, needs, author.now)


async def take_effect(author: Author, *, deleting: bool = False, tariffs: bool = False) -> None:
    """Check the configuration as a whole; once it is committed, give it to the voice service.

    Args:
        tariffs: they were changed too.
    Raises: Contradiction, or StillInUse when something was deleted
    """
    await hold(author)
    known = author.unit.draft
    before: TenantSetup | None = None
    changed: frozenset[tuple[str, str]] = frozenset()
    if isinstance(known, _Checked):
        draft, before = known.draft, known.setup
    elif isinstance(known, _Changed):
        draft, before, changed = known.draft, known.before, known.changed
    else:
        changed = known.changed if isinstance(known, _Unread) else changed
        draft = await _read(author.session, author.tenant, author.services.settings.sip.realm)
    if tariffs:
        draft = draft.with_plans(await plan_documents(author.session))
    setup = _with_assigned(author, draft)
    problems = rules.problems(setup, before, changed)
    if problems:
        raise StillInUse(problems) if deleting else Contradiction(problems)
    author.unit.draft = _Checked(draft, setup)
    author.unit.then(lambda: author.services.voice.configure(setup))


def _with_assigned(author: Author, draft: Draft) -> TenantSetup:
    return assignments.with_assigned(draft.setup(), assignments.held(author.services, author.tenant))


async def refresh(services: Services, tenant: TenantId, now: datetime) -> None:
    """What the platform says of an open tenant was changed: let it take effect, whatever else may be wrong with the configuration."""
    if tenant not in services.assigned:
        return
    async with services.databases.unit(tenant) as unit:
        author = Author(unit, services, tenant, "operator", now)
        await hold(author)
        draft = unit.draft.draft if isinstance(unit.draft, _Checked) else await _read(unit.session, tenant, services.settings.sip.realm)
        setup = _with_assigned(author, draft)
        unit.draft = _Checked(draft, setup)
        unit.then(lambda: services.voice.configure(setup))


async def general(author: Author, document: dict[str, Any], if_version: int | None) -> Row:
    """Change what belongs to no kind; the first change creates it."""
    if await repository.get(author.session, GENERAL, GENERAL) is None:
        return await create(author, GENERAL, GENERAL, document)
    return await replace(author, GENERAL, GENERAL, document, if_version)


async def dialling(author: Author, document: dict[str, Any], if_version: int | None) -> Row:
    """Change who may dial what, and for how much; the first change creates it."""
    if await repository.get(author.session, DIALLING, DIALLING) is None:
        return await create(author, DIALLING, DIALLING, document)
    return await replace(author, DIALLING, DIALLING, document, if_version)


async def agents_hear_recordings(session: AsyncSession) -> bool:
    """Whether agents may list and hear what they were a party of."""
    row = await repository.get(session, GENERAL, GENERAL)
    return row is not None and bool(row.document.get("agents_hear_recordings", False))


def _audit(
    author: Author, act: Act, kind: str, subject: str, version: int, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    by = By(author.who, author.source)
    record(author.session, author.now, by, act, kind, subject, version=version, before=before, after=after)
    if act in events.BY_ACT:
        told = events.SetupRef(key=f"{kind}/{subject}", kind=kind, id=subject, version=version)
        publish(author.session, author.now, events.BY_ACT[act], told)


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
    username = username or old or rules.default_name(author.tenant, agent)
    own = (agent, person.document.get("name"), username, author.tenant)
    await require_strong(password, own, author.services.settings.login.password_score, pointer)
    password = password or drawn_password()
    realm, domain = author.services.settings.sip.realm, assignments.held(author.services, author.tenant).domain
    namesake = await repository.device_of_name(author.session, username)
    if namesake is not None and namesake.agent != agent:
        raise DeviceNameTaken(username)
    bare = row.bare if row is not None and username == old else await _reserve(author, username, agent)
    if old is not None and username != old:
        author.unit.then(lambda: _free(author.services.databases, old, author.tenant))
    values = rules.digests(AgentId(agent), username, realm, password, domain, bare=bare)
    if row is None:
        row = DeviceRow(agent=agent)
        author.session.add(row)
    row.username = username
    row.realm = realm
    row.bare = values.bare
    seal_device(author.session, row, values)
    row.changed_at = author.now
    await author.session.flush()
    _change(author, "device", agent, lambda known: known.equip(values))
    _audit(author, "changed", "device", agent, 0, None, {"username": username})
    return row, password


async def _reserve(author: Author, username: str, agent: str) -> bool:
    """Take the bare name for the installation, in the control database, if the tenant may and nobody has it; it is freed again when the
    tenant's transaction fails.

    Returns: whether it is this device's; if not, the device is known by its tenant's domain, and nobody is told.
    """
    databases = author.services.databases
    try:
        async with databases.unit(None) as control:
            if not await assignments.may_be_bare(control.session, author.services, author.tenant, username):
                return False
            holder = await repository.device_name(control.session, username)
            if holder is not None and holder.tenant != author.tenant:
                return False
            if holder is not None:  # of an agent of ours whose device has another name by now
                holder.agent = agent
                return True
            control.session.add(DeviceName(username=username, tenant=author.tenant, agent=agent))
            await control.session.flush()
    except IntegrityError:
        return False
    author.unit.otherwise(lambda: _free(databases, username, author.tenant))
    return True


async def _free(databases: Databases, username: str, tenant: TenantId) -> None:
    async with databases.unit(None) as control:
        await repository.free_device_name(control.session, username, tenant)
