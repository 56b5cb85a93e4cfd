"""All SQL of identity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.identity.models import Operator, OperatorToken, Token, User
from api.kit.paging import Cut, cut

_AT_ONCE = 500
"""Names in one IN clause; older SQLite takes 999."""


async def operator(session: AsyncSession, name: str) -> Operator | None:
    return await session.get(Operator, name)


async def any_operator(session: AsyncSession) -> bool:
    return bool(await session.scalar(select(func.count()).select_from(Operator)))


async def operator_token(session: AsyncSession, digest: str) -> OperatorToken | None:
    return await session.get(OperatorToken, digest)


async def delete_operator_token(session: AsyncSession, digest: str) -> None:
    await session.execute(delete(OperatorToken).where(OperatorToken.hash == digest))


async def user(session: AsyncSession, name: str) -> User | None:
    return await session.get(User, name)


async def users(session: AsyncSession, page: Cut) -> Sequence[User]:
    return (await session.scalars(cut(select(User), User.id, page))).all()


async def user_of_agent(session: AsyncSession, agent: str) -> User | None:
    return await session.scalar(select(User).where(User.agent == agent))


async def other_active_admins(session: AsyncSession, name: str) -> int:
    query = select(func.count()).select_from(User).where(User.role == "admin", User.active.is_(True), User.id != name)
    return await session.scalar(query) or 0


async def token(session: AsyncSession, digest: str) -> tuple[Token, User | None] | None:
    row = (
        await session.execute(select(Token, User).join(User, Token.user == User.id, isouter=True).where(Token.hash == digest))
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def delete_token(session: AsyncSession, digest: str) -> None:
    await session.execute(delete(Token).where(Token.hash == digest))


async def delete_sessions(session: AsyncSession, name: str, keep: str | None = None) -> None:
    statement = delete(Token).where(Token.user == name, Token.kind == "session")
    if keep is not None:
        statement = statement.where(Token.hash != keep)
    await session.execute(statement)


async def keep_latest_sessions(session: AsyncSession, name: str, latest: str, most: int) -> None:
    """The oldest log-ins of a user beyond so many end; the latest is that with this hash."""
    others = select(Token.hash).where(Token.user == name, Token.kind == "session", Token.hash != latest)
    gone = (await session.scalars(others.order_by(Token.created_at.desc(), Token.hash).offset(most - 1).limit(_AT_ONCE))).all()
    if gone:
        await session.execute(delete(Token).where(Token.hash.in_(gone)))


async def delete_expired(session: AsyncSession, now: datetime) -> None:
    await session.execute(delete(Token).where(Token.expires_at <= now))


async def delete_operator_tokens(session: AsyncSession, operator_id: str, keep: str = "") -> None:
    """End all log-ins of an operator but one, or all."""
    await session.execute(delete(OperatorToken).where(OperatorToken.operator == operator_id, OperatorToken.hash != keep))


async def delete_expired_operator_tokens(session: AsyncSession, now: datetime) -> None:
    await session.execute(delete(OperatorToken).where(OperatorToken.expires_at <= now))


async def keys(session: AsyncSession, page: Cut) -> Sequence[Token]:
    return (await session.scalars(cut(select(Token).where(Token.kind == "key"), Token.id, page))).all()


async def keys_of(session: AsyncSession, name: str) -> Sequence[Token]:
    """Keys that go with a user."""
    return (await session.scalars(select(Token).where(Token.kind == "key", Token.user == name).order_by(Token.id))).all()


async def key(session: AsyncSession, key_id: str) -> Token | None:
    return await session.scalar(select(Token).where(Token.kind == "key", Token.id == key_id))
