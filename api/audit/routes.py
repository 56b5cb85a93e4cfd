"""Routes of the audit: reading it; nothing changes it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from api.audit import service
from api.audit.permissions import ReadsAudit, ReadsOperatorAudit
from api.audit.rules import ACCESS, CHANGES, Act
from api.audit.schemas import AuditTold
from api.kit.paging import Page, Paged, paged

router = APIRouter(prefix="/api/v1", tags=["audit"])

Kind = Annotated[str | None, Query(max_length=32, pattern="^[a-z_]+$")]
Subject = Annotated[str | None, Query(max_length=200, pattern=r"^[+A-Za-z0-9_.:@/-]+$", description="What it was done to: a name or id.")]
Who = Annotated[str | None, Query(max_length=80, pattern=r"^[a-z0-9][a-z0-9._@:/-]*$", description="Who did it.")]


def _acts(
    act: Annotated[Act | None, Query()] = None,
    about: Annotated[
        Literal["all", "changes", "access"],
        Query(description="`changes`: what became of users, keys, tariffs, set-up; `access`: log-ins, failed ones too, and reads."),
    ] = "all",
) -> tuple[Act, ...]:
    if act is not None:
        return (act,)
    return {"all": (), "access": ACCESS, "changes": CHANGES}[about]


Acts = Annotated[tuple[Act, ...], Depends(_acts)]


@router.get("/audit", operation_id="listAudit")
async def list_audit(
    access: ReadsAudit, page: Paged, acts: Acts, kind: Kind = None, subject: Subject = None, who: Who = None
) -> Page[AuditTold]:
    """Who changed what, who came in or tried to, who read personal data: the newest first."""
    rows = await service.some(access.session, page, kind, subject, who, acts)
    items, following = paged([AuditTold.model_validate(row) for row in rows], [row.id for row in rows], page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.get("/operator/audit", operation_id="listOperatorAudit")
async def list_operator_audit(
    access: ReadsOperatorAudit, page: Paged, acts: Acts, kind: Kind = None, subject: Subject = None, who: Who = None
) -> Page[AuditTold]:
    """What operators did, who came in as one or tried to, and log-ins to tenants that are not there: the newest first."""
    rows = await service.of_platform(access.session, page, kind, subject, who, acts)
    items, following = paged([AuditTold.model_validate(row) for row in rows], [row.id for row in rows], page)
    return Page(items=items, next=following)
