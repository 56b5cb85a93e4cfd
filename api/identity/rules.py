"""Policy of identity: roles, and what a token looks like (pure)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from acd.core.ids import AgentId, TenantId
from api.identity.errors import WrongExpiry
from api.kit.permissions import Permission, Role, missing

OPERATOR_TENANT = "-"
"""Stands in a token where a tenant's name would."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    tenant: TenantId | None
    """None: the platform's operator."""
    name: str
    """User name, or `key:<id>`."""
    role: Role
    agent: AgentId | None
    token_hash: str
    expires_at: datetime | None
    permissions: frozenset[str] | None = None
    """To which of its role's an API key is restricted; None: to none, and so is a log-in."""

    def lacks(self, wanted: Permission) -> str | None:
        """Why this one may not do it, in a sentence; None: it may."""
        return missing(self.role, self.permissions, wanted)

    @property
    def is_key(self) -> bool:
        """It is a program with an API key; no user can be called so."""
        return self.name.startswith("key:")


_TOKEN = re.compile(r"^fa1\.(-|[a-z0-9][a-z0-9_-]{0,39})\.([A-Za-z0-9_-]{43})$")


def write_token(tenant: TenantId | None, secret: str) -> str:
    """The bearer token: opaque to the client; the tenant's name in it says where its hash is kept."""
    return f"fa1.{tenant or OPERATOR_TENANT}.{secret}"


def tenant_of(token: str) -> tuple[bool, TenantId | None]:
    """Whether it has the form of a token, and the tenant it names."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return False, None
    return True, None if found[1] == OPERATOR_TENANT else TenantId(found[1])


def token_hash(token: str) -> str:
    """What is kept of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def expiry(wanted: datetime | None, days: int, longest_days: int, now: datetime, *, never: bool) -> datetime | None:
    """When an API key ends; None: never.

    Args:
        wanted: as asked for; None: after `days`.
        longest_days: none lives longer; 0: as long as it likes.
        never: asked for in so many words.
    Raises: WrongExpiry
    """
    if never and wanted is not None:
        raise WrongExpiry("It either never expires, or expires at a time.")
    if never and longest_days:
        raise WrongExpiry(f"A key holds {longest_days} days at most here.", "#/never_expires")
    if never:
        return None
    if wanted is None:
        return now + timedelta(days=min(days, longest_days or days))
    if wanted <= now:
        raise WrongExpiry(f"{wanted.isoformat()} has passed: the key would never open anything.")
    if longest_days and wanted > now + timedelta(days=longest_days):
        raise WrongExpiry(f"A key holds {longest_days} days at most here.")
    return wanted
