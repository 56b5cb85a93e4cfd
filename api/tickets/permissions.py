"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

TICKETS_READ = permission("tickets:read", "Look tickets up.", Role.AGENT, Role.SUPERVISOR)
TICKETS_WRITE = permission("tickets:write", "Add and change tickets.", Role.AGENT, Role.SUPERVISOR)
PERMISSIONS = (TICKETS_READ, TICKETS_WRITE)

ReadsTickets = Annotated[Access, needs(TICKETS_READ)]
WritesTickets = Annotated[Access, needs(TICKETS_WRITE)]
