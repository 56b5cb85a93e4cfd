"""Who may call a route: bearer token -> principal -> one transaction in the principal's own database (FastAPI dependencies)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection, Request

from acd.core.ids import TenantId
from api.db import Unit, UnknownTenant
from api.errors import Forbidden, Unauthenticated
from api.house import House, house
from api.identity import service
from api.identity.errors import NotServed, TokenUnknown
from api.identity.rules import EVERYBODY, Principal, Role, tenant_of, token_hash
from api.kit.client import client_address

bearer = HTTPBearer(auto_error=False, description="Token of POST /api/v1/login, or an API key.")


@dataclass(frozen=True, slots=True)
class Access:
    """What a route works with: who asks, in which transaction, when."""

    principal: Principal
    unit: Unit
    house: House
    now: datetime

    @property
    def session(self) -> AsyncSession:
        """The transaction of the request."""
        return self.unit.session

    @property
    def tenant(self) -> TenantId:
        """The principal's tenant; routes of operators must not ask."""
        assert self.principal.tenant is not None
        return self.principal.tenant


async def principal_of(connection: HTTPConnection, token: str) -> Principal:
    """Whose token it is, in a transaction of its own (for WebSockets and streams).

    Raises: Unauthenticated, NotServed
    """
    this = house(connection)
    with _counted(this, connection, token):
        tenant = _tenant_served(this, token)
        async with this.databases.unit(tenant) as unit:
            return await service.authenticate(unit.session, tenant, token, this.clock())


@contextmanager
def _counted(this: House, connection: HTTPConnection, token: str) -> Iterator[None]:
    """A token that is nobody's is an attempt of its source."""
    try:
        yield
    except TokenUnknown:
        this.guard.wrong_token(token_hash(token), client_address(connection), this.guard.now())
        raise


def _tenant_served(this: House, token: str) -> TenantId | None:
    """The tenant that a token names, if it is open.

    Raises: TokenUnknown, NotServed
    """
    wellformed, tenant = tenant_of(token)
    if not wellformed:
        raise TokenUnknown("This is no token of ours.")
    _check_served(this, tenant)
    return tenant


def _check_served(this: House, tenant: TenantId | None) -> None:
    """A token of a tenant that is not open is not looked at: its database may be away, or open before its calls are.

    Raises: NotServed; TokenUnknown: there is no such tenant (any more)
    """
    if tenant is None:
        return
    if tenant in this.failed:
        raise NotServed(tenant)
    try:
        this.databases.tenant(tenant)
    except UnknownTenant:
        raise TokenUnknown from None


async def _opened(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> AsyncIterator[Access]:
    """One transaction for the request, committed when the route function has returned and before the client is answered."""
    if credentials is None:
        raise Unauthenticated("This needs a bearer token: log in at /api/v1/login.")
    this = house(request)
    token = credentials.credentials
    with _counted(this, request, token):
        tenant = _tenant_served(this, token)
    async with this.databases.unit(tenant) as unit:
        now = this.clock()
        with _counted(this, request, token):
            principal = await service.authenticate(unit.session, tenant, token, now)
        yield Access(principal, unit, this, now)


class Requires:
    """Dependency of a route: lets these roles in. Admin is let in wherever any role of the tenant is."""

    def __init__(self, *roles: Role) -> None:
        self.roles: frozenset[Role] = frozenset(roles) | (
            frozenset({Role.ADMIN}) if frozenset(roles) & frozenset(EVERYBODY) else frozenset()
        )

    async def __call__(self, access: Annotated[Access, Depends(_opened, scope="function")]) -> Access:
        """Check the role.

        Raises: Forbidden
        """
        if access.principal.role not in self.roles:
            raise Forbidden(f"This is for {', '.join(sorted(self.roles))}; you are {access.principal.role}.")
        return access


ForAll = Annotated[Access, Depends(Requires(*EVERYBODY), scope="function")]
ForAnyone = Annotated[Access, Depends(Requires(*EVERYBODY, Role.OPERATOR), scope="function")]
ForDesk = Annotated[Access, Depends(Requires(Role.AGENT, Role.SUPERVISOR), scope="function")]
ForSupervisors = Annotated[Access, Depends(Requires(Role.SUPERVISOR), scope="function")]
ForBilling = Annotated[Access, Depends(Requires(Role.BILLING), scope="function")]
ForReaders = Annotated[Access, Depends(Requires(Role.SUPERVISOR, Role.BILLING), scope="function")]
ForAdmins = Annotated[Access, Depends(Requires(Role.ADMIN), scope="function")]
ForOperators = Annotated[Access, Depends(Requires(Role.OPERATOR), scope="function")]
