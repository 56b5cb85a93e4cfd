"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

ASSIGNMENTS_READ = permission("assignments:read", "What the tenant has of the platform.", Role.SUPERVISOR)
GRANTS_READ = permission("grants:read", "What each tenant has of the platform.", Role.OPERATOR)
GRANTS_WRITE = permission("grants:write", "Give tenants numbers, networks, rights and credit, and take them back.", Role.OPERATOR)
PERMISSIONS = (ASSIGNMENTS_READ, GRANTS_READ, GRANTS_WRITE)

ReadsAssignments = Annotated[Access, needs(ASSIGNMENTS_READ)]
ReadsGrants = Annotated[Access, needs(GRANTS_READ)]
WritesGrants = Annotated[Access, needs(GRANTS_WRITE)]
