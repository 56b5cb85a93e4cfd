"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

APPOINTMENTS_READ = permission("appointments:read", "Look appointments up.", Role.AGENT, Role.SUPERVISOR)
APPOINTMENTS_WRITE = permission("appointments:write", "Add, change and delete appointments.", Role.AGENT, Role.SUPERVISOR)
PERMISSIONS = (APPOINTMENTS_READ, APPOINTMENTS_WRITE)

ReadsAppointments = Annotated[Access, needs(APPOINTMENTS_READ)]
WritesAppointments = Annotated[Access, needs(APPOINTMENTS_WRITE)]
