"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

SOUNDS_READ = permission("sounds:read", "List and hear the own sounds.", Role.SUPERVISOR)
SOUNDS_WRITE = permission("sounds:write", "Send, replace and delete sounds.", Role.ADMIN)
PERMISSIONS = (SOUNDS_READ, SOUNDS_WRITE)

ReadsSounds = Annotated[Access, needs(SOUNDS_READ)]
WritesSounds = Annotated[Access, needs(SOUNDS_WRITE)]
