"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

BANS_READ = permission("bans:read", "Who guesses passwords, and who is banned.", Role.OPERATOR)
BANS_WRITE = permission("bans:write", "Lift a ban.", Role.OPERATOR)
PERMISSIONS = (BANS_READ, BANS_WRITE)

ReadsBans = Annotated[Access, needs(BANS_READ)]
LiftsBans = Annotated[Access, needs(BANS_WRITE)]
