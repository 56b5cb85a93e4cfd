"""Routes of tenants, for the platform's operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, status

from acd.core.ids import TenantId
from api.assignments import held
from api.errors import Conflict, NotFound, Unavailable, responses
from api.identity import Passwords
from api.kit.paging import Page, Paged, paged
from api.services import Services
from api.shared import shared
from api.tenants import service
from api.tenants.models import Tenant
from api.tenants.permissions import ReadsTenants, WritesTenants
from api.tenants.schemas import AdminTold, TenantCreated, TenantGiven, TenantTold

router = APIRouter(prefix="/api/v1/tenants", tags=["tenants"])
Key = Annotated[str, Path(max_length=40, pattern=r"^[a-z][a-z0-9_-]*$")]


def _told(row: Tenant, services: Services) -> TenantTold:
    failure = services.failed.get(TenantId(row.id))
    return TenantTold.model_validate(row).model_copy(update={"trouble": None if failure is None else failure.reason})


@router.get("", operation_id="listTenants")
async def list_tenants(access: ReadsTenants, page: Paged) -> Page[TenantTold]:
    """The tenants of the platform."""
    rows = await service.some(access.session, page)
    items, following = paged([_told(row, access.services) for row in rows], [row.id for row in rows], page)
    return Page(items=items, next=following)


@router.post("", operation_id="createTenant", status_code=status.HTTP_201_CREATED, responses=responses(Conflict))
async def create_tenant(request: Request, access: WritesTenants, given: TenantGiven) -> TenantCreated:
    """Create a tenant; it is usable when this answers."""
    passwords = shared(request).part(Passwords)
    created, drawn = await service.create_tenant(access.unit, access.services, passwords, given, access.by, access.now)
    admin = AdminTold(username=given.admin.username, password=drawn)
    domain = held(access.services, TenantId(created.id)).domain
    return TenantCreated(**TenantTold.model_validate(created).model_dump(), telephony_domain=domain, admin=admin)


@router.get("/{tenant}", operation_id="getTenant", responses=responses(NotFound))
async def get_tenant(access: ReadsTenants, tenant: Key) -> TenantTold:
    """One tenant."""
    return _told(await service.get(access.session, tenant), access.services)


@router.post("/{tenant}/open", operation_id="openTenant", responses=responses(NotFound, Conflict, Unavailable))
async def open_tenant(access: WritesTenants, tenant: Key) -> TenantTold:
    """Try a tenant again that could not be opened, after a repair; 503 says why it still cannot be. Others are not touched."""
    return _told(await service.open_again(access.session, access.services, tenant, access.by, access.now), access.services)


@router.delete("/{tenant}", operation_id="closeTenant", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound, Conflict))
async def close_tenant(access: WritesTenants, tenant: Key) -> None:
    """Close a tenant: its calls are cleared, nobody of it gets in. Its data stays."""
    await service.close_tenant(access.unit, access.services, tenant, access.by, access.now)
