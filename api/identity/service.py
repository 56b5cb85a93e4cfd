"""Use cases of identity: log in and out, users, API keys, the first operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import AgentId, TenantId
from api.audit import By, record
from api.config import Login
from api.errors import Unauthenticated
from api.identity import events, repository
from api.identity.errors import (
    AgentTaken,
    BeyondTheKey,
    KeyUnknown,
    LastAdmin,
    NoLogIn,
    NotOfTheRole,
    NotOfTheTenant,
    OutlivesTheKey,
    TokenUnknown,
    UserExists,
    UserUnknown,
    WrongPassword,
)
from api.identity.hashing import Asker
from api.identity.models import Operator, OperatorToken, Token, User
from api.identity.passwords import Passwords
from api.identity.rules import Principal, expiry, token_hash, write_token
from api.identity.schemas import KeyGiven, UserChange, UserGiven, UserTold
from api.kit.ids import drawn_id, drawn_password, drawn_secret
from api.kit.outbox import publish
from api.kit.paging import Cut
from api.kit.permissions import Role, names_of, scope
from api.kit.preconditions import hold_row, require_match

SESSIONS_PER_USER = 50
"""Log-ins of one user that hold at a time, lest one who logs in again and again fills the database: some devices, and a script that
forgets its token every quarter of an hour of a session's twelve."""

Within = Callable[[Role, frozenset[str] | None], None]
"""Raises BeyondTheKey where whoever asks has less than somebody of this role, restricted to these permissions (None: to none)."""

# ---------------------------------------------------------------------- tokens


async def kept_password(session: AsyncSession, tenant: TenantId | None, name: str) -> str | None:
    """The hash of somebody's password; None: there is nobody of that name who may log in."""
    if tenant is None:
        operator = await repository.operator(session, name)
        return None if operator is None else operator.password_hash
    user = await repository.user(session, name)
    return user.password_hash if user is not None and user.active else None


async def log_in(
    session: AsyncSession,
    tenant: TenantId | None,
    name: str,
    kept: str | None,
    now: datetime,
    hours: float,
    source: str | None = None,
) -> tuple[str, Principal]:
    """Hand out a token to whoever has proved to know the password of which `kept` is the hash.

    Raises: WrongPassword: it is another one by now, or the user may not log in any more.
    """
    expires_at = now + timedelta(hours=hours)
    token = write_token(tenant, drawn_secret())
    digest = token_hash(token)
    if kept is None or await kept_password(session, tenant, name) != kept:
        raise WrongPassword
    if tenant is None:
        operator = await repository.operator(session, name)
        assert operator is not None
        await repository.delete_expired_operator_tokens(session, now)
        session.add(OperatorToken(hash=digest, operator=operator.id, created_at=now, expires_at=expires_at))
        record(session, now, By(operator.id, source, of_platform=True), "logged_in", "session", operator.id)
        return token, Principal(None, operator.id, Role.OPERATOR, None, digest, expires_at)
    user = await repository.user(session, name)
    assert user is not None
    await repository.delete_expired(session, now)
    session.add(
        Token(hash=digest, id=drawn_id(), kind="session", name="", user=user.id, role=user.role, created_at=now, expires_at=expires_at)
    )
    await session.flush()
    await repository.keep_latest_sessions(session, user.id, digest, SESSIONS_PER_USER)
    record(session, now, By(user.id, source), "logged_in", "session", user.id)
    return token, Principal(tenant, user.id, Role(user.role), AgentId(user.agent) if user.agent else None, digest, expires_at)


async def authenticate(session: AsyncSession, tenant: TenantId | None, token: str, now: datetime) -> Principal:
    """Whose token it is.

    Raises: TokenUnknown: nobody's; Unauthenticated: it has expired, or the user was locked.
    """
    digest = token_hash(token)
    if tenant is None:
        operator_token = await repository.operator_token(session, digest)
        if operator_token is None:
            raise TokenUnknown
        if operator_token.expires_at <= now:
            raise Unauthenticated("The token does not hold (any more).")
        return Principal(None, operator_token.operator, Role.OPERATOR, None, digest, operator_token.expires_at)
    found = await repository.token(session, digest)
    if found is None:
        raise TokenUnknown
    if found[0].expires_at is not None and found[0].expires_at <= now:
        raise Unauthenticated("The token does not hold (any more).")
    kept, user = found
    if kept.kind == "key":
        if user is not None and not user.active:
            raise Unauthenticated("The user whose key this is is locked.")
        return Principal(tenant, f"key:{kept.id}", Role(kept.role), None, digest, kept.expires_at, names_of(kept.scope))
    if user is None or not user.active:
        raise Unauthenticated("The user is locked.")
    return Principal(tenant, user.id, Role(user.role), AgentId(user.agent) if user.agent else None, digest, kept.expires_at)


async def log_out(session: AsyncSession, principal: Principal, by: By, now: datetime) -> None:
    """End this token.

    Raises: NoLogIn: it is an API key, which an administrator revokes.
    """
    if principal.is_key:
        raise NoLogIn
    record(session, now, by, "logged_out", "session", principal.name)
    if principal.tenant is None:
        await repository.delete_operator_token(session, principal.token_hash)
    else:
        await repository.delete_token(session, principal.token_hash)


async def change_password(
    session: AsyncSession, passwords: Passwords, principal: Principal, old: str, new: str, by: By, now: datetime
) -> None:
    """A person changes the own password; all other logins of the person end.

    Raises: WrongPassword; WeakPassword: the old one was right, and the new one is too easy to guess.
    """
    person = await _person(session, principal)
    asker = _asker(by)
    kept = None if person is None else person.password_hash
    await session.commit()  # two hashes, behind those of others: no connection is held meanwhile
    if kept is None or not await passwords.matches(kept, old, asker):
        raise WrongPassword
    name = person.name if isinstance(person, User) else None
    await passwords.accept(new, (principal.name, name, principal.tenant), "#/new")
    hashed = await passwords.hash(new, asker)
    session.expire_all()
    person = await _person(session, principal)
    if person is None or person.password_hash != kept:  # changed meanwhile
        raise WrongPassword
    person.password_hash = hashed
    record(session, now, by, "password_changed", "operator" if principal.tenant is None else "user", principal.name)
    if principal.tenant is None:
        await repository.delete_operator_tokens(session, principal.name, keep=principal.token_hash)
    else:
        await repository.delete_sessions(session, principal.name, keep=principal.token_hash)


async def _person(session: AsyncSession, principal: Principal) -> Operator | User | None:
    if principal.tenant is None:
        return await repository.operator(session, principal.name)
    return await repository.user(session, principal.name)


def _asker(by: By) -> Asker:
    """Whoever acts with a token; turns go round these people."""
    return Asker(by.source or "", by.name, is_known=True)


# ---------------------------------------------------------------------- users


async def users(session: AsyncSession, page: Cut) -> Sequence[User]:
    """A page of the tenant's users, and one more."""
    return await repository.users(session, page)


async def user(session: AsyncSession, name: str) -> User:
    """One user.

    Raises: UserUnknown
    """
    found = await repository.user(session, name)
    if found is None:
        raise UserUnknown(name)
    return found


async def create_user(
    session: AsyncSession,
    passwords: Passwords,
    given: UserGiven,
    by: By,
    now: datetime,
    *,
    own: Sequence[str | None] = (),
    pointer: str = "#/password",
) -> tuple[User, str | None]:
    """Create a user; returns the password when it was drawn here. What the transaction has done before stays: it rests while the password
    is hashed.

    Args:
        own: words around the user that make no password: the tenant's names.
        pointer: where the password stands in the request.
    Raises: UserExists, AgentTaken, WeakPassword
    """
    if await repository.user(session, given.id) is not None:
        raise UserExists(given.id)
    await _check_agent(session, given.agent, given.id)
    await session.commit()
    await passwords.accept(given.password, (given.id, given.name, given.agent, *own), pointer)
    drawn = None if given.password is not None else drawn_password()
    hashed = await passwords.hash(given.password or drawn or "", _asker(by))
    await _check_agent(session, given.agent, given.id)
    created = User(
        id=given.id,
        name=given.name,
        role=given.role,
        agent=given.agent,
        password_hash=hashed,
        active=True,
        created_at=now,
    )
    session.add(created)
    try:
        await session.flush()
    except IntegrityError as error:  # the same was made meanwhile
        raise UserExists(given.id) from error
    record(session, now, by, "created", "user", created.id, after=_document(created))
    publish(session, now, events.CREATED, events.UserRef(id=created.id, role=created.role))
    return created, drawn


async def change_user(
    session: AsyncSession,
    passwords: Passwords,
    name: str,
    change: UserChange,
    by: By,
    now: datetime,
    own: Sequence[str | None] = (),
    if_match: str | None = None,
    *,
    within: Within,
) -> User:
    """Change what is given. A new password, and being locked, end the user's logins; whoever is no administrator any more loses the API
    keys made as one, and those of a locked user do not hold until the user is unlocked.

    Args:
        within: judges the role that the user has when the user is changed: while a password was hashed it may have become another.
    Raises: UserUnknown, BeyondTheKey, Outdated, AgentTaken, LastAdmin, WeakPassword
    """
    hashed = None
    if change.password is not None:
        found = await user(session, name)
        await session.commit()  # before anything is held
        names = (found.id, change.name or found.name, change.agent if "agent" in change.model_fields_set else found.agent)
        await passwords.accept(change.password, (*names, *own), "#/password")
        hashed = await passwords.hash(change.password, _asker(by))
    found = await _held_user(session, name, if_match, within)
    before = _document(found)
    loses = (change.role is not None and change.role != "admin") or change.active is False
    if found.role == Role.ADMIN and found.active and loses and not await repository.other_active_admins(session, name):
        raise LastAdmin
    if "agent" in change.model_fields_set:
        await _check_agent(session, change.agent, name)
        found.agent = change.agent
    found.name = change.name if change.name is not None else found.name
    found.role = change.role if change.role is not None else found.role
    found.active = change.active if change.active is not None else found.active
    if hashed is not None:
        found.password_hash = hashed
    if change.password is not None or not found.active:
        await repository.delete_sessions(session, name)
    await session.flush()
    if (after := _document(found)) != before:
        record(session, now, by, "changed", "user", name, before=before, after=after)
        publish(session, now, events.CHANGED, events.UserRef(id=name, role=found.role))
    if before["role"] == Role.ADMIN and found.role != Role.ADMIN:
        await _revoke_keys(session, name, f"{name} is no administrator any more", by, now)
    if change.password is not None:
        record(session, now, by, "password_changed", "user", name)
    return found


async def _held_user(session: AsyncSession, name: str, if_match: str | None, within: Within) -> User:
    """A user who is going to be changed, as the row is now: the log-in of this very request may have read it before."""
    await hold_row(session, User.id, name)
    found = await user(session, name)
    try:
        await session.refresh(found)
    except InvalidRequestError:  # deleted meanwhile
        raise UserUnknown(name) from None
    within(Role(found.role), None)
    require_match(if_match, UserTold.model_validate(found))
    return found


async def delete_user(session: AsyncSession, name: str, by: By, now: datetime, if_match: str | None = None, *, within: Within) -> None:
    """Delete a user, the user's logins, and the API keys that go with the user.

    Raises: UserUnknown, BeyondTheKey, Outdated, LastAdmin
    """
    found = await _held_user(session, name, if_match, within)
    for key in await repository.keys_of(session, name):
        within(Role(key.role), names_of(key.scope))
    if found.role == Role.ADMIN and found.active and not await repository.other_active_admins(session, name):
        raise LastAdmin
    await repository.delete_sessions(session, name)
    await _revoke_keys(session, name, f"{name} was deleted", by, now)
    await session.delete(found)
    await session.flush()
    record(session, now, by, "deleted", "user", name, before=_document(found))
    publish(session, now, events.DELETED, events.UserGone(id=name))


def _document(user: User) -> dict[str, Any]:
    """A user as the audit shows it."""
    return {"name": user.name, "role": user.role, "agent": user.agent, "active": user.active}


async def _check_agent(session: AsyncSession, agent: str | None, name: str) -> None:
    if agent is None:
        return
    holder = await repository.user_of_agent(session, agent)
    if holder is not None and holder.id != name:
        raise AgentTaken(agent, holder.id)


# ---------------------------------------------------------------------- API keys


async def keys(session: AsyncSession, page: Cut) -> Sequence[Token]:
    """A page of the tenant's API keys, and one more."""
    return await repository.keys(session, page)


async def create_key(
    session: AsyncSession,
    tenant: TenantId,
    given: KeyGiven,
    of_role: frozenset[str],
    login: Login,
    principal: Principal,
    by: By,
    now: datetime,
) -> tuple[Token, str]:
    """Create an API key; the key itself is told this once. It goes with whoever makes it, or is the tenant's where that is asked for. One
    that is made with a key ends no later than that, and goes with the same user.

    Args:
        of_role: the permissions of the role that the key shall have.
    Raises: WrongExpiry: it has passed, or is later than the settings allow; NotOfTheRole; BeyondTheKey, OutlivesTheKey,
        NotOfTheTenant
    """
    wanted = of_role if given.permissions is None else frozenset(given.permissions)
    if wanted - of_role:
        raise NotOfTheRole(sorted(wanted - of_role), given.role)
    require_within(principal, wanted)
    expires_at = expiry(given.expires_at, login.key_days, login.key_days_max, now, never=given.never_expires)
    if principal.is_key and principal.expires_at is not None and (expires_at is None or expires_at > principal.expires_at):
        raise OutlivesTheKey(principal.expires_at, never=given.never_expires)
    owner = await _owner(session, principal)
    if given.for_tenant and principal.is_key and owner is not None:
        raise NotOfTheTenant(owner)
    token = write_token(tenant, drawn_secret())
    created = Token(
        hash=token_hash(token),
        id=drawn_id(),
        kind="key",
        name=given.name,
        user=None if given.for_tenant else owner,
        made_by=by.name,
        role=given.role,
        scope=None if given.permissions is None and principal.permissions is None else scope(wanted),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(created)
    await session.flush()
    record(session, now, by, "created", "key", created.id, after=_key_document(created))
    return created, token


def require_within(principal: Principal, wanted: frozenset[str]) -> None:
    """Who has a restricted key makes, changes and removes nobody who has more.

    Raises: BeyondTheKey
    """
    if principal.permissions is not None and wanted - principal.permissions:
        raise BeyondTheKey(sorted(wanted - principal.permissions))


async def _owner(session: AsyncSession, principal: Principal) -> str | None:
    """With whom a key goes that this one makes; what a key makes goes with the key's own user, and nobody outlives himself that way."""
    if not principal.is_key:
        return principal.name
    found = await repository.token(session, principal.token_hash)
    return found[0].user if found is not None else None


async def _revoke_keys(session: AsyncSession, name: str, why: str, by: By, now: datetime) -> None:
    """The keys that go with a user end."""
    for key in await repository.keys_of(session, name):
        await session.delete(key)
        record(session, now, by, "deleted", "key", key.id, before=_key_document(key), details={"because": why})
    await session.flush()  # before the user's row goes, and the database takes the keys with it


def _key_document(key: Token) -> dict[str, Any]:
    """A key as the audit shows it: never the key itself."""
    expires_at = key.expires_at.isoformat() if key.expires_at is not None else None
    told = {"name": key.name, "role": key.role, "expires_at": expires_at, "made_by": key.made_by, "user": key.user}
    return told if key.permissions is None else {**told, "permissions": key.permissions}


async def delete_key(session: AsyncSession, key: str, by: By, now: datetime, *, within: Within) -> None:
    """Revoke an API key.

    Raises: KeyUnknown, BeyondTheKey
    """
    found = await repository.key(session, key)
    if found is None:
        raise KeyUnknown(key)
    within(Role(found.role), names_of(found.scope))
    await session.delete(found)
    await session.flush()
    record(session, now, by, "deleted", "key", key, before=_key_document(found))


# ---------------------------------------------------------------------- operators


async def first_operator(session: AsyncSession, passwords: Passwords, name: str, password: str | None, now: datetime) -> str | None:
    """At the first start: create the operator; returns the password when it was drawn here, to be printed once.

    A password in the settings is the operator's from then on, also when it changes there: so a lost one is set anew. Whoever is logged in
    with the former is so no longer.
    """
    found = await repository.operator(session, name)
    is_there = await repository.any_operator(session)
    await session.commit()  # a hash is long, and nobody but this start changes operators
    if password is not None:
        if found is None:
            session.add(Operator(id=name, password_hash=await passwords.hash(password), created_at=now))
        elif not await passwords.matches(found.password_hash, password):
            found.password_hash = await passwords.hash(password)
            await repository.delete_operator_tokens(session, name)
            record(session, now, By("settings", of_platform=True), "password_changed", "operator", name)
        return None
    if is_there:
        return None
    drawn = drawn_password()
    session.add(Operator(id=name, password_hash=await passwords.hash(drawn), created_at=now))
    return drawn
