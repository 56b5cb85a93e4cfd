"""Who may do what: permissions with their roles; every slice says its own, `api.slices` has them all in one table (docs/security.md).

Pure. How a route asks for one: `api.identity.needs`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a person is. Admin may do everything inside the tenant; operators create tenants and see nothing inside them."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    BILLING = "billing"
    ADMIN = "admin"
    OPERATOR = "operator"


EVERYBODY = (Role.AGENT, Role.SUPERVISOR, Role.BILLING, Role.ADMIN)
"""All roles inside a tenant."""
_NAME = re.compile(r"[a-z-]+:(read|write|supervise)")


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that may be allowed: `contacts:read`."""

    name: str
    """`<what>:<how>`; `read` changes nothing."""
    says: str
    """What it allows, in a sentence."""
    roles: frozenset[Role]


def permission(name: str, says: str, *roles: Role) -> Permission:
    """Of these roles; admin has what any role of the tenant has.

    Raises: ValueError: it is no name of a permission.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name} is no permission: <what>:read, <what>:write or <what>:supervise")
    inside = frozenset({Role.ADMIN}) if set(roles) & set(EVERYBODY) else frozenset()
    return Permission(name, says, frozenset(roles) | inside)


def table(permissions: Iterable[Permission]) -> dict[str, Permission]:
    """By name.

    Raises: ValueError: two have one name.
    """
    found: dict[str, Permission] = {}
    for one in permissions:
        if one.name in found:
            raise ValueError(f"two slices say who has {one.name}")
        found[one.name] = one
    return found


def of_role(all_of_them: Mapping[str, Permission], role: Role) -> frozenset[str]:
    """The names of those that a role has."""
    return frozenset(name for name, one in all_of_them.items() if role in one.roles)


def held(all_of_them: Mapping[str, Permission], role: Role, names: frozenset[str] | None) -> frozenset[str]:
    """The names of those that somebody has: of the role, and where an API key is restricted, of these alone."""
    has = of_role(all_of_them, role)
    return has if names is None else has & names


def scope(names: Collection[str]) -> str:
    """As it is kept: in order, with blanks between (RFC 6749 §3.3)."""
    return " ".join(sorted(set(names)))


def names_of(kept: str | None) -> frozenset[str] | None:
    """The names in a kept scope; None: whatever the role has."""
    return None if kept is None else frozenset(kept.split())


def missing(role: Role, names: frozenset[str] | None, wanted: Permission) -> str | None:
    """Why somebody may not do it, in a sentence; None: may.

    Args:
        names: what an API key is restricted to; None: nothing.
    """
    if role not in wanted.roles:
        return f"This needs the permission {wanted.name}, which is for {', '.join(sorted(wanted.roles))}; you are {role}."
    if names is not None and wanted.name not in names:
        return f"This needs the permission {wanted.name}, and this API key has only: {scope(names) or 'none'}."
    return None


def as_markdown(all_of_them: Mapping[str, Permission]) -> str:
    """The table for people: a row a permission, a column a role."""
    lines = [f"| permission | allows | {' | '.join(Role)} |", f"|---|---|{'---|' * len(Role)}"]
    for one in all_of_them.values():
        marks = " | ".join("x" if role in one.roles else "" for role in Role)
        lines.append(f"| `{one.name}` | {one.says} | {marks} |")
    return "\n".join(lines) + "\n"


def told(document: dict[str, Any], needed: Mapping[str, Permission]) -> None:
    """Write into an OpenAPI document what each operation needs: as the scope of its security requirement (OpenAPI 3.1 §4.8.30 lets any
    scheme have them), as `x-permission`, and in its description.

    Args:
        needed: by operation id.
    """
    for operations in document["paths"].values():
        for operation in operations.values():
            wanted = needed.get(operation.get("operationId", ""))
            if wanted is None:
                continue
            operation["security"] = [{scheme: [wanted.name] for scheme in one} for one in operation.get("security", [])]
            operation["x-permission"] = wanted.name
            roles = ", ".join(role for role in Role if role in wanted.roles)
            operation["description"] = f"{operation.get('description', '')}\n\nNeeds `{wanted.name}`: {roles}.".strip()
