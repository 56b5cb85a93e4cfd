"""Routes of jobs: the administrator's of the own tenant, the operator's of every open one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from acd.core.ids import TenantId
from api.audit import record
from api.db import UnknownTenant
from api.errors import Conflict, NotFound, responses
from api.jobs import service
from api.jobs.errors import TenantNotOpen
from api.jobs.permissions import ReadsJobs, ReadsJobsOfTenants, WritesJobs, WritesJobsOfTenants
from api.jobs.schemas import JobState, JobTold
from api.kit.ids import SLUG
from api.kit.jobs.models import JobRow
from api.kit.paging import Cut, Page, Paged, paged

router = APIRouter(prefix="/api/v1", tags=["jobs"])
Key = Annotated[str, Path(max_length=40, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
Tenant = Annotated[str, Path(pattern=SLUG, max_length=63)]
OfState = Annotated[JobState | None, Query(description="`dead`: somebody must look.")]
Named = Annotated[str | None, Query(max_length=64, pattern=r"^[a-z_.]+$", description="Of which kind, e.g. `mail.send`.")]


@router.get("/jobs", operation_id="listJobs")
async def list_jobs(access: ReadsJobs, page: Paged, state: OfState = None, name: Named = None) -> Page[JobTold]:
    """Jobs that are not done, as they were put."""
    return _page(await service.some(access.session, page, state, name), page)


@router.post("/jobs/{job}/retry", operation_id="tryJobAgain", responses=responses(NotFound, Conflict))
async def try_again(access: WritesJobs, job: Key) -> JobTold:
    """Try a job at once, a dead one too, as often as a new one."""
    row = await service.try_again(access.session, job, access.now)
    record(access.session, access.now, access.by, "changed", "job", job, details={"name": row.name})
    return JobTold.model_validate(row)


@router.delete("/jobs/{job}", operation_id="dropJob", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound, Conflict))
async def drop(access: WritesJobs, job: Key) -> None:
    """Take a dead job away: it is never done."""
    await service.drop(access.session, job)
    record(access.session, access.now, access.by, "deleted", "job", job)


@router.get("/tenants/{tenant}/jobs", operation_id="listJobsOfTenant", responses=responses(NotFound))
async def list_of_tenant(
    access: ReadsJobsOfTenants, tenant: Tenant, page: Paged, state: OfState = None, name: Named = None
) -> Page[JobTold]:
    """The same of an open tenant."""
    try:
        async with access.services.databases.unit(TenantId(tenant)) as unit:
            return _page(await service.some(unit.session, page, state, name), page)
    except UnknownTenant:
        raise TenantNotOpen(tenant) from None


@router.post("/tenants/{tenant}/jobs/{job}/retry", operation_id="tryJobOfTenantAgain", responses=responses(NotFound, Conflict))
async def try_again_of_tenant(access: WritesJobsOfTenants, tenant: Tenant, job: Key) -> JobTold:
    """Try a job of an open tenant at once."""
    try:
        async with access.services.databases.unit(TenantId(tenant)) as unit:
            told = JobTold.model_validate(await service.try_again(unit.session, job, access.now))
    except UnknownTenant:
        raise TenantNotOpen(tenant) from None
    record(access.session, access.now, access.by, "changed", "job", f"{tenant}/{job}", details={"name": told.name})
    return told


def _page(rows: Sequence[JobRow], page: Cut) -> Page[JobTold]:
    items, following = paged(rows, [str(row.seq) for row in rows], page)
    return Page(items=[JobTold.model_validate(row) for row in items], next=following)
