"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

TENANTS_READ = permission("tenants:read", "Look tenants up.", Role.OPERATOR)
TENANTS_WRITE = permission("tenants:write", "Create, open and close tenants.", Role.OPERATOR)
PERMISSIONS = (TENANTS_READ, TENANTS_WRITE)

ReadsTenants = Annotated[Access, needs(TENANTS_READ)]
WritesTenants = Annotated[Access, needs(TENANTS_WRITE)]
