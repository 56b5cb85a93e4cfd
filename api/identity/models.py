"""Tables of identity: the platform's operators (control database), a tenant's users, and the tokens of both."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import ControlBase, TenantBase, UtcDateTime


class Operator(ControlBase):
    """Who runs the platform."""

    __tablename__ = "operator"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OperatorToken(ControlBase):
    """A login of an operator; only the hash of the token is kept."""

    __tablename__ = "operator_token"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    operator: Mapped[str] = mapped_column(String(64), ForeignKey("operator.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class User(TenantBase):
    """A person of the tenant who may log in."""

    __tablename__ = "user_account"
    limit = "users"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """The name to log in with."""
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    agent: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The agent this person is at the desk."""
    password_hash: Mapped[str] = mapped_column(String(200))
    active: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Token(TenantBase):
    """A login (`session`, of a user, expires) or an API key (`key`, with a role of its own); only the hash is kept.

    A key with a user goes with that user: it holds no longer than the user is there. One without is the tenant's.
    """

    __tablename__ = "access_token"
    limit = "api_keys"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(200))
    user: Mapped[str | None] = mapped_column("user_id", String(64), ForeignKey("user_account.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(String(16))
    """Of a key; a session has its user's role of the moment."""
    scope: Mapped[str | None] = mapped_column(String(2000))
    """Of a key: the permissions it is restricted to, with blanks between; None: it has all of its role."""
    made_by: Mapped[str | None] = mapped_column(String(80))
    """Of a key: user name, or `key:<id>`; None: nobody wrote it down (before 0.2.0)."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def permissions(self) -> list[str] | None:
        """The scope as a list."""
        return None if self.scope is None else self.scope.split()
