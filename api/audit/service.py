"""Use cases of the audit: an entry for a change, one for a read, one for a log-in that failed; reading the entries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from api.audit import repository
from api.audit.models import AuditRow, OperatorAuditRow
from api.audit.rules import Act, By, FailedLogIns, alike_id, shown_name, without_secrets
from api.db import Databases, UnknownTenant
from api.kit.ids import drawn_id, timed_id
from api.kit.paging import Cut

_RECORDED = "recorded"
_order = itertools.count()
"""Entries of one moment, of one request mostly, keep their order."""


def _rows(by: By) -> repository.Rows:
    return OperatorAuditRow if by.of_platform else AuditRow


def record(
    session: AsyncSession,
    now: datetime,
    by: By,
    act: Act,
    kind: str,
    subject: str,
    *,
    version: int = 0,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry to the transaction of what it tells of: both come about or neither.

    Args:
        session: of the tenant's database; of the control database when `by` is of the platform.
        before: the document as it was, `after` as it is now; secrets are taken out.
    """
    session.info[_RECORDED] = True
    session.add(
        _rows(by)(
            id=timed_id(now, f"{next(_order) % 0x1_0000:04x}{drawn_id(4)}"),
            at=now,
            who=by.name,
            act=act,
            kind=kind,
            subject=subject,
            version=version,
            before=without_secrets(before),
            after=without_secrets(after),
            source=by.source,
            details=without_secrets(details),
            times=1,
        )
    )


def is_recorded(session: AsyncSession) -> bool:
    """Whether the transaction has an entry of something that was changed."""
    return bool(session.info.get(_RECORDED))


async def record_read(session: AsyncSession, now: datetime, by: By, kind: str, subject: str, details: Mapping[str, Any]) -> None:
    """Add an entry for a read, in one statement; the same read again within the minute is counted in it."""
    await repository.count_alike(
        session, _rows(by), _alike(alike_id(now, by.name, by.source, kind, subject, details), now, by, "read", kind, subject, details)
    )


async def record_refusal(session: AsyncSession, now: datetime, by: By, kind: str, subject: str, details: Mapping[str, Any]) -> None:
    """Add an entry for something that was not let through; the same within the minute is counted in it."""
    key = alike_id(now, "refused", by.name, by.source, kind, subject, details)
    await repository.count_alike(session, _rows(by), _alike(key, now, by, "refused", kind, subject, details))


async def record_failed_log_in(
    databases: Databases, failed: FailedLogIns, tenant: TenantId | None, typed: str, source: str | None, now: datetime, *, is_user: bool
) -> None:
    """Add an entry for a log-in that failed, or count it (`FailedLogIns`), in a transaction of its own.

    Args:
        tenant: the one that was named; None: the platform. One that is not there is the platform's to know.
        is_user: there is somebody of that name.
    """
    name = shown_name(typed)
    try:
        if tenant is not None:
            databases.tenant(tenant)
    except UnknownTenant:
        name, tenant = f"{tenant}/{name}", None
    moment, name, source = failed.place(tenant or "", name, source, now, is_user=is_user)
    by = By(name[:80], source, of_platform=tenant is None)
    async with databases.unit(tenant) as unit:
        values = _alike(alike_id(moment, "refused", name, source), now, by, "refused", "session", name, None)
        await repository.count_alike(unit.session, _rows(by), values)


def _alike(key: str, now: datetime, by: By, act: Act, kind: str, subject: str, details: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "id": key,
        "at": now,
        "who": by.name,
        "act": act,
        "kind": kind,
        "subject": subject,
        "version": 0,
        "before": None,
        "after": None,
        "source": by.source,
        "details": details,
        "times": 1,
    }


async def some(
    session: AsyncSession, page: Cut, kind: str | None, subject: str | None, who: str | None, acts: Sequence[Act]
) -> Sequence[AuditRow]:
    """A page of the tenant's entries, the newest first, and one more."""
    return await repository.some(session, AuditRow, page, kind, subject, who, acts)


async def of_platform(
    session: AsyncSession, page: Cut, kind: str | None, subject: str | None, who: str | None, acts: Sequence[Act]
) -> Sequence[OperatorAuditRow]:
    """A page of the platform's entries, the newest first, and one more."""
    return await repository.some(session, OperatorAuditRow, page, kind, subject, who, acts)
