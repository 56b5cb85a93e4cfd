"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

STATE_READ = permission("state:read", "Everything the voice service knows of the tenant, to look for a fault.", Role.ADMIN)
PERMISSIONS = (STATE_READ,)

ReadsState = Annotated[Access, needs(STATE_READ)]
