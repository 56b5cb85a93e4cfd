"""Routes of identity."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response, status
from sqlalchemy.exc import SQLAlchemyError

from acd.core.ids import TenantId
from acd.guard import source_of as guarded_source
from api.audit import FailedLogIns, record_failed_log_in, source_of
from api.db import UnknownTenant
from api.edge.turns import Place, of_source
from api.errors import Conflict, NotFound, Outdated, TooMany, Unauthenticated, Unavailable, responses
from api.identity import service
from api.identity.access import Access
from api.identity.errors import NoSuchAgent, NotServed, TooManyFailures, WrongPassword
from api.identity.hashing import Asker
from api.identity.models import User
from api.identity.passwords import Passwords
from api.identity.permissions import ReadsKeys, ReadsMe, ReadsUsers, WritesKeys, WritesMe, WritesUsers
from api.identity.rules import OPERATOR_TENANT, Principal
from api.identity.schemas import (
    KeyCreated,
    KeyGiven,
    KeyTold,
    LoginGiven,
    LoginTold,
    Me,
    PasswordChange,
    UserChange,
    UserCreated,
    UserGiven,
    UserTold,
)
from api.identity.strength import WeakPassword
from api.kit.client import client_address
from api.kit.paging import Page, Paged, paged
from api.kit.permissions import Role, held, of_role
from api.kit.preconditions import IfMatch, etag_of
from api.outages import say
from api.services import Services
from api.shared import services, shared
from api.telephony_setup import Author, has_agent, hold

log = logging.getLogger(__name__)

router = APIRouter(prefix="/api/v1", tags=["identity"])
Key = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]


def _passwords(request: Request) -> Passwords:
    return shared(request).part(Passwords)


def guarded_name(tenant: str | None, username: str) -> str:
    """Under which name attempts are counted: lower case and without blanks, since MariaDB takes `anna ` for `anna`, and each spelling would
    have a bucket of its own.
    """
    return f"{tenant or OPERATOR_TENANT}/{username.strip().lower()}"


@asynccontextmanager
async def _guarded(request: Request, this: Services, tenant: str | None, username: str) -> AsyncIterator[None]:
    """A password is judged inside, if its user may be guessed at from there.

    Raises: TooManyFailures: nothing was computed, and the answer is the same for a right one.
    """
    guard = this.guard
    attempt = guard.attempt("web", guarded_name(tenant, username), client_address(request), guard.now(), tenant=tenant)
    if attempt.wait_s is not None:
        raise TooManyFailures(attempt.wait_s)
    try:
        yield
    except WrongPassword:
        attempt.failed(guard.now())
        raise
    except WeakPassword:  # the old one was right
        attempt.succeeded(guard.now())
        raise
    except Exception:
        attempt.abandoned(guard.now())
        raise
    attempt.succeeded(guard.now())


@router.post("/login", operation_id="logIn", responses=responses(Unauthenticated, TooMany, Unavailable))
async def log_in(request: Request, given: LoginGiven) -> LoginTold:
    """Log in; the answer holds the bearer token for everything else."""
    this = services(request)
    tenant = TenantId(given.tenant) if given.tenant is not None else None
    if tenant is not None and tenant in this.failed:
        raise NotServed(tenant)
    try:
        # Hashes take milliseconds of a core each, and whoever has a right password is not made to wait by the guard.
        async with _log_in_turn(request, given.username), _guarded(request, this, tenant, given.username):
            token, principal = await _log_in(request, this, tenant, given)
    except WrongPassword as wrong:
        await _record_failure(request, tenant, given.username, source_of(client_address(request)), is_user=wrong.is_user)
        raise
    assert principal.expires_at is not None
    return LoginTold(
        token=token,
        expires_at=principal.expires_at,
        tenant=principal.tenant,
        user=principal.name,
        role=principal.role,
        agent=principal.agent,
    )


def _log_in_turn(request: Request, username: str) -> AbstractAsyncContextManager[Place]:
    return shared(request).turns.turn(of_source(guarded_source(client_address(request))), username)


async def _record_failure(request: Request, tenant: TenantId | None, username: str, source: str | None, *, is_user: bool) -> None:
    """Whoever guesses is told the same, also when the audit cannot be written."""
    this = services(request)
    try:
        failed = shared(request).part(FailedLogIns)
        await record_failed_log_in(this.databases, failed, tenant, username, source, this.clock(), is_user=is_user)
    except SQLAlchemyError as error:
        shared(request).metrics.audit_failures.inc()
        say(log, error, "! a failed log-in could not be audited")


async def _log_in(request: Request, this: Services, tenant: TenantId | None, given: LoginGiven) -> tuple[str, Principal]:
    passwords, hours = _passwords(request), this.settings.login.session_hours
    source = source_of(client_address(request))
    # A hash is a tenth of a second of a core, and waits for others: meanwhile no connection of the tenant's database is held.
    kept: str | None = None
    with suppress(UnknownTenant):  # it takes as long as a wrong password
        async with this.databases.unit(tenant) as unit:
            kept = await service.kept_password(unit.session, tenant, given.username)
    host = client_address(request)
    asker = Asker(guarded_source(host), given.username, this.guard.is_known("web", guarded_name(tenant, given.username), host))
    if not await passwords.matches(kept, given.password, asker) or kept is None:
        raise WrongPassword(is_user=kept is not None)
    async with this.databases.unit(tenant) as unit:
        return await service.log_in(unit.session, tenant, given.username, kept, this.clock(), hours, source)


@router.post("/logout", operation_id="logOut", status_code=status.HTTP_204_NO_CONTENT, responses=responses(Conflict))
async def log_out(access: WritesMe) -> None:
    """End the token this request comes with. 409 for an API key: deleting that is an administrator's."""
    await service.log_out(access.session, access.principal, access.by, access.now)


@router.get("/me", operation_id="whoAmI")
async def who_am_i(request: Request, access: ReadsMe) -> Me:
    """Who the token belongs to, and what it may do."""
    who = access.principal
    may = sorted(held(shared(request).slices.permissions, who.role, who.permissions))
    return Me(tenant=who.tenant, user=who.name, role=who.role, agent=who.agent, expires_at=who.expires_at, permissions=may)


@router.post(
    "/me/password", operation_id="changePassword", status_code=status.HTTP_204_NO_CONTENT, responses=responses(Unauthenticated, TooMany)
)
async def change_password(request: Request, access: WritesMe, given: PasswordChange) -> None:
    """Change the own password; all other logins end."""
    async with _guarded(request, access.services, access.principal.tenant, access.principal.name):
        await service.change_password(access.session, _passwords(request), access.principal, given.old, given.new, access.by, access.now)


@router.get("/users", operation_id="listUsers")
async def list_users(access: ReadsUsers, page: Paged) -> Page[UserTold]:
    """The tenant's users."""
    rows = await service.users(access.session, page)
    items, following = paged([UserTold.model_validate(row) for row in rows], [row.id for row in rows], page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.post("/users", operation_id="createUser", status_code=status.HTTP_201_CREATED, responses=responses(Conflict))
async def create_user(request: Request, access: WritesUsers, given: UserGiven, response: Response) -> UserCreated:
    """Create a user. Who is an agent at the desk is one that exists."""
    _require_within(request, access, given.role)
    await _check_agent(access, given.agent)
    created, drawn = await service.create_user(access.session, _passwords(request), given, access.by, access.now, own=(access.tenant,))
    return UserCreated(**_told(created, response).model_dump(), password=drawn)


@router.get("/users/{user}", operation_id="getUser", responses=responses(NotFound))
async def get_user(access: ReadsUsers, user: Key, response: Response) -> UserTold:
    """One user."""
    return _told(await service.user(access.session, user), response)


@router.patch("/users/{user}", operation_id="changeUser", responses=responses(NotFound, Conflict, Outdated))
async def change_user(
    request: Request, access: WritesUsers, user: Key, given: UserChange, response: Response, if_match: IfMatch = None
) -> UserTold:
    """Change what is given, leave the rest."""
    _require_within(request, access, (await service.user(access.session, user)).role, given.role)
    await _check_agent(access, given.agent)
    within = _within(request, access)
    changed = await service.change_user(
        access.session, _passwords(request), user, given, access.by, access.now, (access.tenant,), if_match, within=within
    )
    return _told(changed, response)


def _told(row: User, response: Response) -> UserTold:
    told = UserTold.model_validate(row)
    response.headers["ETag"] = etag_of(told)
    return told


def _within(request: Request, access: Access) -> service.Within:
    """Who has a restricted key makes nobody who may more, gives no password to one, and removes none."""
    permissions = shared(request).slices.permissions
    return lambda role, names: service.require_within(access.principal, held(permissions, role, names))


def _require_within(request: Request, access: Access, *roles: str | None) -> None:
    """Before there is work to do for it.

    Raises: BeyondTheKey
    """
    for role in roles:
        if role is not None:
            _within(request, access)(Role(role), None)


async def _check_agent(access: Access, agent: str | None) -> None:
    """Nobody deletes the agent until the user is committed: both hold the tenant's set-up.

    Raises: NoSuchAgent
    """
    if agent is None:
        return
    await hold(Author.of(access))
    if not await has_agent(access.session, agent):
        raise NoSuchAgent(agent)


@router.delete(
    "/users/{user}",
    operation_id="deleteUser",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound, Conflict, Outdated),
)
async def delete_user(request: Request, access: WritesUsers, user: Key, if_match: IfMatch = None) -> None:
    """Delete a user; the user's logins end, and the API keys that go with the user. 403 for a restricted API key where the user may do
    more than it.
    """
    await service.delete_user(access.session, user, access.by, access.now, if_match, within=_within(request, access))


@router.get("/api-keys", operation_id="listApiKeys")
async def list_keys(access: ReadsKeys, page: Paged) -> Page[KeyTold]:
    """The tenant's API keys, without the keys themselves."""
    rows = await service.keys(access.session, page)
    items, following = paged([KeyTold.model_validate(row) for row in rows], [row.id for row in rows], page)
    return Page(items=items, next=following)


@router.post("/api-keys", operation_id="createApiKey", status_code=status.HTTP_201_CREATED)
async def create_key(request: Request, access: WritesKeys, given: KeyGiven) -> KeyCreated:
    """Create an API key; it is told this once. `permissions` restricts it: `["contacts:read", "cdrs:read"]` changes nothing.
    403 for an API key that asks for more than it has: other permissions, a later end, or `for_tenant` where it goes with a user.
    """
    login = access.services.settings.login
    has = of_role(shared(request).slices.permissions, Role(given.role))
    created, token = await service.create_key(access.session, access.tenant, given, has, login, access.principal, access.by, access.now)
    return KeyCreated(**KeyTold.model_validate(created).model_dump(), token=token)


@router.delete("/api-keys/{key}", operation_id="deleteApiKey", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound))
async def delete_key(request: Request, access: WritesKeys, key: Key) -> None:
    """Revoke an API key. 403 for a restricted one that revokes another with more than it has; itself it may revoke.

    What was made with it stays: keys (`made_by` in `GET /api/v1/api-keys` is `key:<id>`), users, passwords, webhooks
    (`GET /api/v1/audit?who=key:<id>&about=changes`).
    """
    await service.delete_key(access.session, key, access.by, access.now, within=_within(request, access))
