"""Routes of assignments: the operator's, a tenant at a time; and what a tenant sees of its own."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, status
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from api.assignments import rules, service
from api.assignments.errors import UnknownAssignment
from api.assignments.models import SourceClaim
from api.assignments.permissions import ReadsAssignments, ReadsGrants, WritesGrants
from api.assignments.schemas import (
    AssignedNumberTold,
    AssignmentsOfTenantTold,
    AssignmentsTold,
    CallerIdGiven,
    CallerIdTold,
    ClaimOfTenantTold,
    ClaimTold,
    GrantTold,
    NumbersGiven,
    PaymentGiven,
    PaymentTold,
    PrepaidTold,
    RightsGiven,
    SourceGiven,
    SourceTold,
)
from api.audit import record
from api.errors import Conflict, NotFound, responses
from api.identity import Access
from api.kit.paging import Page, Paged, paged
from api.services import Services
from api.telephony_setup import refresh

router = APIRouter(prefix="/api/v1", tags=["assignments"])
Tenant = Annotated[str, Path(max_length=40, pattern=r"^[a-z][a-z0-9_-]*$")]
Number = Annotated[str, Path(max_length=16, pattern=r"^\+[1-9][0-9]{6,14}$")]
Key = Annotated[str, Path(max_length=32, pattern=r"^[0-9a-f]+$")]


def _is_wide(claim: SourceClaim) -> bool:
    return rules.is_wide(rules.network(claim.network))


def _claim(claim: SourceClaim) -> dict[str, Any]:
    members = {"id": claim.id, "network": claim.network, "how": claim.how, "at": claim.at, "used_at": claim.used_at}
    return {**members, "wide": _is_wide(claim)}


async def _told(services: Services, session: AsyncSession, tenant: TenantId) -> AssignmentsOfTenantTold:
    rights = await service.rights_of(session, tenant)
    grants, claims, shared = await service.sources(session, tenant)
    return AssignmentsOfTenantTold(
        tenant=tenant,
        domain=rights.domain,
        may_claim_numbers=rights.may_claim_numbers,
        may_have_internal_trunks=rights.may_have_internal_trunks,
        may_have_bare_names=rights.may_have_bare_names,
        limits=services.databases.quotas.limits(rights.limits),
        budget_per_hour=None if rights.budget_per_hour is None else Decimal(rights.budget_per_hour),
        own_prices=rights.own_prices,
        numbers=await service.count_of_numbers(session, tenant),
        grants=[GrantTold.model_validate(one) for one in grants],
        sources=[ClaimOfTenantTold(**_claim(one), shared=one.id in shared) for one in claims],
        caller_ids=[CallerIdTold.model_validate(one) for one in await service.caller_ids(session, tenant)],
    )


# ---------------------------------------------------------------------- the operator


@router.get("/tenants/{tenant}/assignments", operation_id="getAssignmentsOfTenant", responses=responses(NotFound))
async def get_assignments_of(access: ReadsGrants, tenant: Tenant) -> AssignmentsOfTenantTold:
    """What a tenant has of the platform: domain, rights, sources, caller ids."""
    return await _told(access.services, access.session, TenantId(tenant))


@router.put("/tenants/{tenant}/assignments", operation_id="setRightsOfTenant", responses=responses(NotFound))
async def set_rights(access: WritesGrants, tenant: Tenant, given: RightsGiven) -> AssignmentsOfTenantTold:
    """What the tenant's administrators may do by themselves."""
    await service.allow(
        access.services,
        TenantId(tenant),
        claim_numbers=given.may_claim_numbers,
        internal_trunks=given.may_have_internal_trunks,
        bare_names=given.may_have_bare_names,
        limits=None if given.limits is None else given.limits.model_dump(exclude_none=True),
        budget=None if given.budget is None else service.Budget(given.budget.per_hour, given.budget.own_prices),
    )
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "changed", "tenant", tenant, details=given.model_dump(mode="json", exclude_unset=True))
    return await _told(access.services, access.session, TenantId(tenant))


@router.get("/tenants/{tenant}/prepaid", operation_id="getPrepaidOfTenant", responses=responses(NotFound))
async def get_prepaid_of(access: ReadsGrants, tenant: Tenant) -> PrepaidTold:
    """What a prepaid tenant has paid in, has spent and has left."""
    return await _prepaid(access, TenantId(tenant))


async def _prepaid(access: Access, tenant: TenantId) -> PrepaidTold:
    paid = await service.payments(access.session, tenant)
    balance = rules.prepaid(paid)
    if balance is None:
        raise UnknownAssignment("prepaid balance")
    async with access.outside() as voice:
        spending = voice.spending(tenant)
    spent = next((one.reserved for one in spending.accounts if one.account == "balance"), Decimal(0))
    return PrepaidTold(
        currency=spending.currency,
        since=balance.since,
        paid_in=balance.paid_in,
        spent=spent,
        left=balance.paid_in - spent,
        payments=[PaymentTold.model_validate(one) for one in paid],
    )


@router.post("/tenants/{tenant}/prepaid", operation_id="payIn", status_code=status.HTTP_201_CREATED, responses=responses(NotFound))
async def pay_in(access: WritesGrants, tenant: Tenant, given: PaymentGiven) -> PrepaidTold:
    """Book what a tenant has paid. The first payment makes it prepaid: its calls may cost no more than is there, running ones are ended."""
    await service.pay(access.services, TenantId(tenant), given.amount, given.note, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "created", "prepaid", tenant, details=given.model_dump(mode="json"))
    return await _prepaid(access, TenantId(tenant))


@router.delete(
    "/tenants/{tenant}/prepaid", operation_id="endPrepaid", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound)
)
async def end_prepaid(access: WritesGrants, tenant: Tenant) -> None:
    """The tenant is prepaid no more."""
    await service.end_prepaid(access.services, TenantId(tenant), access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "closed", "prepaid", tenant)


def _place(row: SourceTold) -> str:
    return f"{row.at.isoformat()} {row.tenant} {row.network} {row.id}"


@router.get("/sources", operation_id="listSources")
async def list_sources(
    access: ReadsGrants,
    page: Paged,
    unused: Annotated[bool, Query(description="Only those that no call has come from.")] = False,
) -> Page[SourceTold]:
    """The networks that tenants take calls from, the oldest first: what was claimed long ago and was never used keeps others out."""
    rows = [
        SourceTold(
            **_claim(one),
            shared=shared,
            tenant=one.tenant,
            days=(access.now - one.at).days,
            addresses=rules.places(rules.network(one.network)),
            granted=granted,
        )
        for one, shared, granted in await service.all_sources(access.session)
        if not (unused and one.used_at is not None)
    ]
    rows.sort(key=_place)
    keys = [_place(row) for row in rows]
    first = bisect_right(keys, page.after) if page.after is not None else 0
    items, following = paged(rows[first : first + page.limit + 1], keys[first:], page)
    return Page(items=items, next=following)


@router.get("/tenants/{tenant}/numbers", operation_id="listNumbersOfTenant")
async def list_numbers_of(access: ReadsGrants, tenant: Tenant, page: Paged) -> Page[AssignedNumberTold]:
    """The numbers that are this tenant's and no other's."""
    return await _numbers(access.session, TenantId(tenant), page)


async def _numbers(session: AsyncSession, tenant: TenantId, page: Paged) -> Page[AssignedNumberTold]:
    rows = await service.numbers(session, tenant, page)
    items, following = paged([AssignedNumberTold.model_validate(row) for row in rows], [row.number for row in rows], page)
    return Page(items=items, next=following)


@router.post("/tenants/{tenant}/numbers", operation_id="assignNumbers", responses=responses(NotFound, Conflict))
async def assign_numbers(access: WritesGrants, tenant: Tenant, given: NumbersGiven) -> AssignmentsOfTenantTold:
    """Assign numbers to a tenant: all of them, or none when another tenant has one."""
    await service.assign(access.services, TenantId(tenant), given.numbers, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "granted", "number", tenant, details={"numbers": given.numbers})
    return await _told(access.services, access.session, TenantId(tenant))


@router.delete(
    "/tenants/{tenant}/numbers/{number}",
    operation_id="withdrawNumber",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound),
)
async def withdraw_number(access: WritesGrants, tenant: Tenant, number: Number) -> None:
    """Take a number from a tenant."""
    await service.withdraw_number(access.services, TenantId(tenant), number, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "deleted", "number", tenant, details={"number": number})


@router.post("/tenants/{tenant}/sources", operation_id="grantSource", status_code=status.HTTP_201_CREATED, responses=responses(NotFound))
async def grant_source(access: WritesGrants, tenant: Tenant, given: SourceGiven) -> GrantTold:
    """Let a tenant's trunks take calls from a network, though it is wide, or another tenant's too."""
    grant = await service.give_source(access.services, TenantId(tenant), given.network, given.note, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "granted", "source", tenant, details={"network": given.network, "note": given.note})
    return GrantTold.model_validate(grant)


@router.delete(
    "/tenants/{tenant}/sources/{key}",
    operation_id="withdrawSource",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound),
)
async def withdraw_source(access: WritesGrants, tenant: Tenant, key: Key) -> None:
    """Take a grant from a tenant, with the claims that do not hold without it; or take a claim."""
    await service.withdraw_source(access.services, TenantId(tenant), key, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "deleted", "source", tenant, details={"id": key})


@router.post(
    "/tenants/{tenant}/caller-ids", operation_id="grantCallerId", status_code=status.HTTP_201_CREATED, responses=responses(NotFound)
)
async def grant_caller_id(access: WritesGrants, tenant: Tenant, given: CallerIdGiven) -> AssignmentsOfTenantTold:
    """Let a tenant show a number that is not assigned to it."""
    await service.grant_caller_id(access.services, TenantId(tenant), given.number, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "granted", "caller_id", tenant, details={"number": given.number})
    return await _told(access.services, access.session, TenantId(tenant))


@router.delete(
    "/tenants/{tenant}/caller-ids/{number}",
    operation_id="withdrawCallerId",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound),
)
async def withdraw_caller_id(access: WritesGrants, tenant: Tenant, number: Number) -> None:
    """Take a caller id back; calls show the trunk's, or none."""
    await service.withdraw_caller_id(access.services, TenantId(tenant), number, access.now)
    await _take_effect(access, tenant)
    record(access.session, access.now, access.by, "deleted", "caller_id", tenant, details={"number": number})


async def _take_effect(access: Access, tenant: str) -> None:
    async with access.outside():
        await refresh(access.services, TenantId(tenant), access.now)


# ---------------------------------------------------------------------- a tenant's own


@router.get("/assignments", operation_id="getAssignments")
async def get_assignments(access: ReadsAssignments) -> AssignmentsTold:
    """What this tenant has of the platform: its telephony domain, what it may claim, its sources and caller ids."""
    async with access.services.databases.unit(None) as control:
        told = await _told(access.services, control.session, access.tenant)
    sources = [ClaimTold(**one.model_dump(exclude={"shared"})) for one in told.sources]
    return AssignmentsTold(**told.model_dump(exclude={"sources"}), sources=sources)


@router.get("/assignments/numbers", operation_id="listAssignedNumbers")
async def list_assigned_numbers(access: ReadsAssignments, page: Paged) -> Page[AssignedNumberTold]:
    """The numbers that are this tenant's and no other's."""
    async with access.services.databases.unit(None) as control:
        return await _numbers(control.session, access.tenant, page)
