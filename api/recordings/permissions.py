"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

RECORDINGS_READ = permission(
    "recordings:read", "List and hear recordings; agents their own, where the tenant lets them.", Role.AGENT, Role.SUPERVISOR
)
RECORDINGS_WRITE = permission("recordings:write", "Delete recordings.", Role.ADMIN)
PERMISSIONS = (RECORDINGS_READ, RECORDINGS_WRITE)

ReadsRecordings = Annotated[Access, needs(RECORDINGS_READ, audited="recording")]
WritesRecordings = Annotated[Access, needs(RECORDINGS_WRITE, audited="recording")]
