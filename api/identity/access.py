"""Who may call a route: bearer token -> principal -> one transaction in the principal's own database (FastAPI dependencies)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection, Request

from acd.core.ids import TenantId
from acd.guard import source_of as guarded_source
from acd.outage import Unreachable
from acd.service import VoiceService
from api.audit import By, filter_of, is_recorded, record_read, record_refusal, source_of
from api.db import Unit, UnknownTenant
from api.edge.connections import counts_for
from api.edge.turns import Place, of_source
from api.errors import Forbidden, Unauthenticated
from api.identity import service
from api.identity.errors import NotServed, TokenUnknown
from api.identity.rules import Principal, tenant_of, token_hash
from api.kit.client import client_address
from api.kit.permissions import Permission
from api.outages import say
from api.services import Services
from api.shared import services, shared

log = logging.getLogger(__name__)

bearer = HTTPBearer(auto_error=False, description="Token of POST /api/v1/login, or an API key.")


@dataclass(slots=True)
class Given:
    """What an answer gives out, for the audit."""

    rows: int = 1


@dataclass(frozen=True, slots=True)
class Access:
    """What a route works with: who asks, from where, in which transaction, when."""

    principal: Principal
    unit: Unit
    services: Services
    now: datetime
    source: str | None = None
    """Address the request came from."""
    given: Given = field(default_factory=Given)
    place: Place | None = None
    """Of those that the tenant has at once."""

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[VoiceService]:
        """Wait inside for what is not ours: the exchange (its disk, or a phone that is to be picked up), another's network. Nothing that
        others of the tenant need is held meanwhile: no transaction, no connection of the pool, no place. A statement after it begins
        another transaction; what was written before stays.
        """
        await self.unit.rest()
        if self.place is not None:
            self.place.leave()
        yield self.services.voice

    async def rest(self) -> None:
        """Work on without a transaction, on a disk or a core of ours: the place is kept."""
        await self.unit.rest()

    @property
    def by(self) -> By:
        """Who asks, as the audit writes it."""
        return By(self.principal.name, self.source, of_platform=self.principal.tenant is None)

    def gave(self, rows: int) -> None:
        """A list was answered with so many rows."""
        self.given.rows = rows

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

    Raises: Unauthenticated, NotServed, TooManyConnections
    """
    this = services(connection)
    with _counted(this, connection, token):
        tenant = _tenant_served(this, token)
    async with _turn(connection, tenant, token), this.databases.unit(tenant) as unit:
        principal = await _authenticated(unit, this, connection, tenant, token, this.clock())
    counts_for(connection, _holder(principal))
    return principal


@asynccontextmanager
async def _turn(connection: HTTPConnection, tenant: TenantId | None, token: str) -> AsyncIterator[Place]:
    """Be served inside, when it is the turn of whoever has the token; nothing is held before.

    Raises: TooBusy
    """
    turns = shared(connection).turns
    digest = token_hash(token)
    group = tenant or "" if turns.is_known(digest) else of_source(guarded_source(client_address(connection)))
    async with turns.turn(group, digest) as place:
        yield place


async def _authenticated(
    unit: Unit, this: Services, connection: HTTPConnection, tenant: TenantId | None, token: str, now: datetime
) -> Principal:
    turns = shared(connection).turns
    try:
        with _counted(this, connection, token):
            principal = await service.authenticate(unit.session, tenant, token, now)
    except Unauthenticated:
        turns.unlearn(token_hash(token))
        raise
    turns.learn(principal.token_hash)
    return principal


@contextmanager
def _counted(this: Services, connection: HTTPConnection, token: str) -> Iterator[None]:
    """A token that is nobody's is an attempt of its source."""
    try:
        yield
    except TokenUnknown:
        this.guard.wrong_token(token_hash(token), client_address(connection), this.guard.now())
        raise


def _tenant_served(this: Services, token: str) -> TenantId | None:
    """The tenant that a token names, if it is open.

    Raises: TokenUnknown, NotServed
    """
    wellformed, tenant = tenant_of(token)
    if not wellformed:
        raise TokenUnknown("This is no token of ours.")
    _check_served(this, tenant)
    return tenant


def _holder(principal: Principal) -> str:
    """Whose connections are counted together."""
    return f"{principal.tenant or ''}/{principal.name}"


def _check_served(this: Services, tenant: TenantId | None) -> None:
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
    """One transaction for the request, committed when the route function has returned and before the client is answered. A route that waits
    for something else gives it back before (`Access.outside`, `Access.rest`).
    """
    if credentials is None:
        raise Unauthenticated("This needs a bearer token: log in at /api/v1/login.")
    this = services(request)
    token = credentials.credentials
    with _counted(this, request, token):
        tenant = _tenant_served(this, token)
    async with _turn(request, tenant, token) as place, this.databases.unit(tenant) as unit:
        now = this.clock()
        principal = await _authenticated(unit, this, request, tenant, token, now)
        counts_for(request, _holder(principal))
        access = Access(principal, unit, this, now, source_of(client_address(request)), place=place)
        yield access
        await _record_read(request, access)


async def _record_read(request: Request, access: Access) -> None:
    """Where the route gives out personal data, that goes into the audit; so does a write that changed nothing and told some. A read
    does not fail because that cannot be written: it is logged, and counted in fernamt_audit_failures_total.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    operation, subject = route.operation_id or "", "/".join(request.path_params.values())
    details = {"filter": filter_of(request.query_params, _parameters(route)), "rows": access.given.rows}
    slices = shared(request).slices
    written = slices.answered.get(operation)
    if written is not None and not is_recorded(access.session):  # one with the rest of the transaction, as every entry of a write
        await record_read(access.session, access.now, access.by, written, subject, {**details, "operation": operation})
    kind = slices.personal.get(operation)
    if kind is None:
        return
    try:
        await record_read(access.session, access.now, access.by, kind, subject, details)
        await access.session.commit()
    except (SQLAlchemyError, Unreachable) as error:
        await access.session.rollback()
        shared(request).metrics.audit_failures.inc()
        say(log, error, "! %s read %s %s, and the audit could not be written", access.principal.name, kind, subject)


async def record_refused(request: Request, access: Access, kind: str) -> None:
    """What was asked for and is going to be refused goes into the audit; whatever else the transaction did is taken back."""
    route = request.scope.get("route")
    details = {"operation": route.operation_id if isinstance(route, APIRoute) else None}
    subject = "/".join(request.path_params.values())
    await access.session.rollback()
    try:
        await record_refusal(access.session, access.now, access.by, kind, subject, details)
        await access.session.commit()
    except (SQLAlchemyError, Unreachable) as error:
        await access.session.rollback()
        shared(request).metrics.audit_failures.inc()
        say(log, error, "! %s was refused %s %s, and the audit could not be written", access.principal.name, kind, subject)


_PARAMETERS: dict[str, frozenset[str]] = {}


def _parameters(route: APIRoute) -> frozenset[str]:
    """The query parameters a route knows."""
    found = _PARAMETERS.get(route.unique_id)
    if found is None:
        found = _PARAMETERS[route.unique_id] = frozenset(_names(route.dependant))
    return found


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (one.alias for one in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names(inner)


class Needs:
    """Dependency of a route: lets those in who have the permission."""

    def __init__(self, permission: Permission, audited: str | None = None) -> None:
        """Args:
        audited: kind of the entry in the audit that whoever is refused leaves; None: none.
        """
        self.permission = permission
        self._audited = audited

    async def __call__(self, request: Request, access: Annotated[Access, Depends(_opened, scope="function")]) -> Access:
        """Check the permission.

        Raises: Forbidden
        """
        lacks = access.principal.lacks(self.permission)
        if lacks is None:
            return access
        if self._audited is not None:
            await record_refused(request, access, self._audited)
        raise Forbidden(lacks)


def needs(permission: Permission, *, audited: str | None = None) -> Any:
    """Stands beside `Access` in the annotation of a route's parameter: who may come in."""
    return Depends(Needs(permission, audited), scope="function")


def needed_by(dependant: Dependant) -> Permission | None:
    """The permission that a route asks for; None: it is public."""
    if isinstance(dependant.call, Needs):
        return dependant.call.permission
    return next((found for inner in dependant.dependencies if (found := needed_by(inner)) is not None), None)
