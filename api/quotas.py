"""How much a tenant may store: rows by kind, octets of its database; asked of every transaction before it writes, in one place (house).

A tenant is open in one process (`api.tenant_lock`), so rows are counted in memory: once from the database at the first new row of a kind,
then by what is added and removed. What the database removes itself (cascades, statements without objects) makes the count too high; so
before anybody is refused it is counted again if anything was removed since, else once a minute at most. A new row costs a dictionary
look-up.

Octets are those of the tenant's whole database, which grows by more than rows: the audit keeps both versions of what was changed. They are
looked up when something is written and the last look is ten seconds or `OCTETS_UNSEEN` of rows ago: what a tenant can have beyond its
limit is bounded by octets, however fast it writes. Calls, charges and the audit are never refused: they are not what a person makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.orm import ORMExecuteState, Session

from acd.core.ids import TenantId
from api.config import Limits
from api.errors import Conflict

SESSIONS = "session"
"""Log-ins lie among the API keys, and a user has few at most (`api.identity`)."""

OTHERS = "others"
"""Of each kind of rows that has no setting of its own."""
OPEN_CONTACTS = "open_contacts"
"""No rows: they stand in the exchange until they are done with, and are asked for by `ask_open`."""
DATABASE = "database_mib"
BLOBS = "blobs_mib"
SOUNDS = "sounds_mib"
"""Files, not rows: `api.sounds` looks at what they take before it stores another."""
MIB = 1 << 20
RECOUNT_S = 60.0
OCTETS_EVERY_S = 10.0
OCTETS_UNSEEN = 1 << 20
"""Written since the last look, as far as rows tell it. A look takes half a millisecond with SQLite: once in so many octets it is
nothing beside the writing."""
ROW_OCTETS = 200
"""What a row takes beside its texts: numbers, ids, times, and its places in the indexes."""
_QUOTA = "quota"


class LimitReached(Conflict):
    """A tenant that stores as much as it may. 409, not 507: it is no fault of the server, and to ask again does not help."""

    kind, title = "limit-reached", "The limit is reached"

    def __init__(self, kind: str, limit: int, there: int) -> None:
        what = f"MiB in the database, and {there} are in use" if kind == DATABASE else f"{kind.replace('_', ' ')}, and there are {there}"
        super().__init__(f"This tenant may have {limit} {what}. Remove some, or ask the platform's operator for more.")


@dataclass(slots=True)
class _Counted:
    rows: int
    at: float
    """When the database was asked; long ago: before something was removed."""


@dataclass(slots=True)
class _Octets:
    octets: int
    at: float
    unseen: int = 0
    """What was written since, about."""


@dataclass(slots=True)
class Quota:
    """What a tenant has and may have."""

    limits: Mapping[str, int]
    counted: dict[str, _Counted] = field(default_factory=dict)
    database: _Octets | None = None
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Taken:
    """What one transaction has added and removed so far, by kind."""

    quota: Quota
    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    deletes: bool = False
    """Something went, of whatever kind: with it others may have."""


class Quotas:
    """Those of all open tenants in this process."""

    def __init__(self, settings: Limits, now: Callable[[], float] = monotonic) -> None:
        self._settings = {name: int(getattr(settings, name)) for name in type(settings).model_fields}
        self._now = now
        self._tenants: dict[TenantId, Quota] = {}

    def limits(self, own: Mapping[str, int] | None) -> dict[str, int]:
        """What holds for a tenant of which the operator says `own`."""
        return {**self._settings, **{name: value for name, value in (own or {}).items() if name in self._settings}}

    def set(self, tenant: TenantId, own: Mapping[str, int] | None) -> None:
        """The operator's word for a tenant; what is counted stays."""
        self._of(tenant).limits = self.limits(own)

    def forget(self, tenant: TenantId) -> None:
        """It is closed: who opens it next may be another process, and counts anew."""
        self._tenants.pop(tenant, None)

    def _of(self, tenant: TenantId) -> Quota:
        found = self._tenants.get(tenant)
        if found is None:
            found = self._tenants[tenant] = Quota(self.limits(None))
        return found

    def ask_open(self, tenant: TenantId, there: int) -> None:
        """Before another contact that is no call is opened, beside `there`.

        Raises: LimitReached
        """
        quota = self._of(tenant)
        limit = quota.limits[OPEN_CONTACTS]
        if there >= limit:
            quota.refused[OPEN_CONTACTS] += 1
            raise LimitReached(OPEN_CONTACTS, limit, there)

    def sounds_mib(self, tenant: TenantId) -> int:
        """What a tenant's own sounds may take."""
        return self._of(tenant).limits[SOUNDS]

    def refused_sounds(self, tenant: TenantId) -> None:
        """Another one found no room."""
        self._of(tenant).refused[SOUNDS] += 1

    def blobs_mib(self, tenant: TenantId) -> int:
        """What a tenant's files may take (`api.kit.blobs`)."""
        return self._of(tenant).limits[BLOBS]

    def refused_blobs(self, tenant: TenantId) -> None:
        """Another one found no room."""
        self._of(tenant).refused[BLOBS] += 1

    def watch(self, session: Session, tenant: TenantId) -> None:
        """Ask of every flush of this session, in each of its transactions."""
        session.info[_QUOTA] = (self, _Taken(self._of(tenant)))

    @staticmethod
    def settle(taken: _Taken, *, committed: bool) -> None:
        """A transaction is over: what was added stays, or is taken back; what was removed counts from now on."""
        for kind, number in (taken.removed if committed else taken.added).items():
            counted = taken.quota.counted.get(kind)
            if counted is not None:
                counted.rows = max(0, counted.rows - number)
        if committed and taken.deletes:
            for counted in taken.quota.counted.values():
                counted.at = -inf
        taken.added.clear()
        taken.removed.clear()
        taken.deletes = False

    def ask(self, session: Session, taken: _Taken) -> None:
        """Before a flush.

        Raises: LimitReached
        """
        added, removed, is_changed = Counter[str](), Counter[str](), False
        for row in session.new:
            kind = _kind(row)
            if kind is not None:
                added[kind] += 1
        for row in session.deleted:
            kind = _kind(row)
            taken.deletes = True
            if kind is not None:
                removed[kind] += 1
        is_changed = bool(added) or any(_kind(row) is not None for row in session.dirty)
        if not is_changed and not removed:
            return
        quota = taken.quota
        if is_changed:
            self._ask_octets(session, quota, sum(map(_octets_of_row, (*session.new, *session.dirty))))
        for kind, number in added.items():
            self._ask_rows(session, quota, kind, number)
        for kind, number in added.items():
            quota.counted[kind].rows += number
        taken.added += added
        taken.removed += removed

    def _ask_rows(self, session: Session, quota: Quota, kind: str, more: int) -> None:
        limit, now = quota.limits.get(kind, quota.limits[OTHERS]), self._now()
        counted = quota.counted.get(kind)
        if counted is None or (counted.rows + more > limit and now - counted.at >= RECOUNT_S):
            counted = quota.counted[kind] = _Counted(_count(session, kind), now)
        if counted.rows + more > limit:
            quota.refused[kind] += 1
            raise LimitReached(kind, limit, counted.rows)

    def _ask_octets(self, session: Session, quota: Quota, more: int) -> None:
        limit, now = quota.limits[DATABASE] * MIB, self._now()
        known = quota.database
        # Near the limit it is looked at whenever something was written; who is refused again and again has written nothing.
        near = known is not None and known.unseen > 0 and known.octets + known.unseen + more >= limit
        if known is None or near or known.unseen >= OCTETS_UNSEEN or now - known.at >= OCTETS_EVERY_S:
            known = quota.database = _Octets(octets_of(session.connection()), now)
        if known.octets + known.unseen + more >= limit:
            quota.refused[DATABASE] += 1
            raise LimitReached(DATABASE, quota.limits[DATABASE], known.octets // MIB)
        known.unseen += more

    def figures(self) -> dict[str, float]:
        """For /metrics: what was counted (of kinds of which something was made since the start), what was refused."""
        found: dict[str, float] = {}
        for tenant, quota in self._tenants.items():
            for kind, counted in quota.counted.items():
                found[f'fernamt_tenant_rows{{tenant="{tenant}",kind="{kind}"}}'] = counted.rows
            for kind, times in quota.refused.items():
                found[f'fernamt_tenant_limit_refusals_total{{tenant="{tenant}",kind="{kind}"}}'] = times
        return found


class CountedSession(Session):
    """A session whose flushes are asked about."""


@event.listens_for(CountedSession, "before_flush")
def _before_flush(session: Session, _context: Any, _instances: Any) -> None:
    found = session.info.get(_QUOTA)
    if found is not None:
        quotas, taken = found
        quotas.ask(session, taken)


@event.listens_for(CountedSession, "do_orm_execute")
def _do_orm_execute(state: ORMExecuteState) -> None:
    found = state.session.info.get(_QUOTA)
    if found is not None and state.is_delete:
        found[1].deletes = True


@event.listens_for(CountedSession, "after_commit")
def _after_commit(session: Session) -> None:
    found = session.info.get(_QUOTA)
    if found is not None:
        Quotas.settle(found[1], committed=True)


@event.listens_for(CountedSession, "after_rollback")
def _after_rollback(session: Session) -> None:
    found = session.info.get(_QUOTA)
    if found is not None:
        Quotas.settle(found[1], committed=False)


def _octets_of_row(row: Any) -> int:
    """About what a row takes; a document as Python writes it, which is about what JSON takes."""
    total = ROW_OCTETS
    for value in vars(row).values():
        if isinstance(value, str):
            total += len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
        elif isinstance(value, dict):
            total += len(repr(value))
    return total


def _kind(row: Any) -> str | None:
    kind: str | None = row.limit
    return None if kind == "api_keys" and row.kind == SESSIONS else kind


def _count(session: Session, kind: str) -> int:
    """Rows of the kind in the database, as this transaction sees them."""
    mapper = next(one for one in _mappers() if one.limit == kind)
    statement = select(func.count()).select_from(mapper)
    if kind == "api_keys":
        statement = statement.where(mapper.kind != SESSIONS)
    with session.no_autoflush:
        return session.scalar(statement) or 0


def _mappers() -> list[Any]:
    from api.kit.columns import TenantBase  # noqa: PLC0415 - the tables are known once all slices are

    return [mapper.class_ for mapper in TenantBase.registry.mappers]


def octets_of(connection: Connection) -> int:
    """How large the database is, without what is free in it."""
    match connection.dialect.name:
        case "sqlite":
            pages, free, size = (
                int(connection.scalar(text(f"PRAGMA {one}")) or 0) for one in ("page_count", "freelist_count", "page_size")
            )
            return (pages - free) * size
        case "postgresql":
            return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        case _:
            asked = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
            return int(connection.scalar(text(asked)) or 0)
