"""Routes of assignments: the operator's, a tenant at a time; and what a tenant sees of its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, status
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from api.assignments import rules, service
from api.assignments.models import SourceClaim
from api.assignments.schemas import (
    AssignmentsOfTenantTold,
    AssignmentsTold,
    CallerIdGiven,
    CallerIdTold,
    ClaimOfTenantTold,
    ClaimTold,
    GrantTold,
    NumbersGiven,
    NumberTold,
    RightsGiven,
    SourceGiven,
)
from api.audit import record
from api.errors import Conflict, NotFound, responses
from api.house import House
from api.identity import Access, ForOperators, ForSupervisors
from api.kit.paging import Page, Paged, paged
from api.telephony_setup import refresh

router = APIRouter(prefix="/api/v1", tags=["assignments"])
Tenant = Annotated[str, Path(max_length=40, pattern=r"^[a-z][a-z0-9_-]*$")]
Number = Annotated[str, Path(max_length=16, pattern=r"^\+[1-9][0-9]{6,14}$")]
Key = Annotated[str, Path(max_length=32, pattern=r"^[0-9a-f]+$")]


def _is_wide(claim: SourceClaim) -> bool:
    return rules.is_wide(rules.network(claim.network))


async def _told(house: House, session: AsyncSession, tenant: TenantId) -> AssignmentsOfTenantTold:
    rights = await service.rights_of(session, tenant)
    grants, claims, shared = await service.sources(session, tenant)
    return AssignmentsOfTenantTold(
        tenant=tenant,
        domain=rights.domain,
        may_claim_numbers=rights.may_claim_numbers,
        may_have_internal_trunks=rights.may_have_internal_trunks,
        may_have_bare_names=rights.may_have_bare_names,
        limits=house.databases.quotas.limits(rights.limits),
        numbers=await service.count_of_numbers(session, tenant),
        grants=[GrantTold.model_validate(one) for one in grants],
        sources=[
            ClaimOfTenantTold(id=one.id, network=one.network, how=one.how, at=one.at, wide=_is_wide(one), shared=one.id in shared)  # type: ignore[arg-type]
            for one in claims
        ],
        caller_ids=[CallerIdTold.model_validate(one) for one in await service.caller_ids(session, tenant)],
    )


# ---------------------------------------------------------------------- the operator


@router.get("/tenants/{tenant}/assignments", operation_id="getAssignmentsOfTenant", responses=responses(NotFound))
async def get_assignments_of(access: ForOperators, tenant: Tenant) -> AssignmentsOfTenantTold:
    """What a tenant has of the platform: domain, rights, sources, caller ids."""
    return await _told(access.house, access.session, TenantId(tenant))


@router.put("/tenants/{tenant}/assignments", operation_id="setRightsOfTenant", responses=responses(NotFound))
async def set_rights(access: ForOperators, tenant: Tenant, given: RightsGiven) -> AssignmentsOfTenantTold:
    """What the tenant's administrators may do by themselves."""
    await service.allow(
        access.house,
        TenantId(tenant),
        claim_numbers=given.may_claim_numbers,
        internal_trunks=given.may_have_internal_trunks,
        bare_names=given.may_have_bare_names,
        limits=None if given.limits is None else given.limits.model_dump(exclude_none=True),
    )
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "changed", "tenant", tenant, details=given.model_dump(exclude_none=True))
    return await _told(access.house, access.session, TenantId(tenant))


@router.get("/tenants/{tenant}/numbers", operation_id="listNumbersOfTenant")
async def list_numbers_of(access: ForOperators, tenant: Tenant, page: Paged) -> Page[NumberTold]:
    """The numbers that are this tenant's and no other's."""
    return await _numbers(access.session, TenantId(tenant), page)


async def _numbers(session: AsyncSession, tenant: TenantId, page: Paged) -> Page[NumberTold]:
    rows = await service.numbers(session, tenant, page)
    items, following = paged([NumberTold.model_validate(row) for row in rows], [row.number for row in rows], page)
    return Page(items=items, next=following)


@router.post("/tenants/{tenant}/numbers", operation_id="assignNumbers", responses=responses(NotFound, Conflict))
async def assign_numbers(access: ForOperators, tenant: Tenant, given: NumbersGiven) -> AssignmentsOfTenantTold:
    """Assign numbers to a tenant: all of them, or none when another tenant has one."""
    await service.assign(access.house, TenantId(tenant), given.numbers, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "granted", "number", tenant, details={"numbers": given.numbers})
    return await _told(access.house, access.session, TenantId(tenant))


@router.delete(
    "/tenants/{tenant}/numbers/{number}",
    operation_id="withdrawNumber",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound),
)
async def withdraw_number(access: ForOperators, tenant: Tenant, number: Number) -> None:
    """Take a number from a tenant."""
    await service.withdraw_number(access.house, TenantId(tenant), number, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "deleted", "number", tenant, details={"number": number})


@router.post("/tenants/{tenant}/sources", operation_id="grantSource", status_code=status.HTTP_201_CREATED, responses=responses(NotFound))
async def grant_source(access: ForOperators, tenant: Tenant, given: SourceGiven) -> GrantTold:
    """Let a tenant's trunks take calls from a network, though it is wide, or another tenant's too."""
    grant = await service.give_source(access.house, TenantId(tenant), given.network, given.note, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "granted", "source", tenant, details={"network": given.network, "note": given.note})
    return GrantTold.model_validate(grant)


@router.delete(
    "/tenants/{tenant}/sources/{key}",
    operation_id="withdrawSource",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound),
)
async def withdraw_source(access: ForOperators, tenant: Tenant, key: Key) -> None:
    """Take a grant from a tenant, with the claims that do not hold without it; or take a claim."""
    await service.withdraw_source(access.house, TenantId(tenant), key, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "deleted", "source", tenant, details={"id": key})


@router.post(
    "/tenants/{tenant}/caller-ids", operation_id="grantCallerId", status_code=status.HTTP_201_CREATED, responses=responses(NotFound)
)
async def grant_caller_id(access: ForOperators, tenant: Tenant, given: CallerIdGiven) -> AssignmentsOfTenantTold:
    """Let a tenant show a number that is not assigned to it."""
    await service.grant_caller_id(access.house, TenantId(tenant), given.number, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "granted", "caller_id", tenant, details={"number": given.number})
    return await _told(access.house, access.session, TenantId(tenant))


@router.delete(
    "/tenants/{tenant}/caller-ids/{number}",
    operation_id="withdrawCallerId",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound),
)
async def withdraw_caller_id(access: ForOperators, tenant: Tenant, number: Number) -> None:
    """Take a caller id back; calls show the trunk's, or none."""
    await service.withdraw_caller_id(access.house, TenantId(tenant), number, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "deleted", "caller_id", tenant, details={"number": number})


async def _take_effect(access: Access, tenant: str) -> None:
    await refresh(access.house, TenantId(tenant), access.now)


# ---------------------------------------------------------------------- a tenant's own


@router.get("/assignments", operation_id="getAssignments")
async def get_assignments(access: ForSupervisors) -> AssignmentsTold:
    """What this tenant has of the platform: its telephony domain, what it may claim, its sources and caller ids."""
    async with access.house.databases.unit(None) as control:
        told = await _told(access.house, control.session, access.tenant)
    sources = [ClaimTold(**one.model_dump(exclude={"shared"})) for one in told.sources]
    return AssignmentsTold(**told.model_dump(exclude={"sources"}), sources=sources)


@router.get("/assignments/numbers", operation_id="listAssignedNumbers")
async def list_assigned_numbers(access: ForSupervisors, page: Paged) -> Page[NumberTold]:
    """The numbers that are this tenant's and no other's."""
    async with access.house.databases.unit(None) as control:
        return await _numbers(control.session, access.tenant, page)
