"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity.access import Access, needs
from api.kit.permissions import Role, permission

ME_READ = permission("me:read", "Who the token belongs to.", Role.AGENT, Role.SUPERVISOR, Role.BILLING, Role.OPERATOR)
ME_WRITE = permission("me:write", "End the own log-in, change the own password.", Role.AGENT, Role.SUPERVISOR, Role.BILLING, Role.OPERATOR)
USERS_READ = permission("users:read", "Look users up.", Role.ADMIN)
USERS_WRITE = permission("users:write", "Add, change and delete users.", Role.ADMIN)
KEYS_READ = permission("keys:read", "List API keys.", Role.ADMIN)
KEYS_WRITE = permission("keys:write", "Make and revoke API keys.", Role.ADMIN)
PERMISSIONS = (ME_READ, ME_WRITE, USERS_READ, USERS_WRITE, KEYS_READ, KEYS_WRITE)

ReadsMe = Annotated[Access, needs(ME_READ)]
WritesMe = Annotated[Access, needs(ME_WRITE)]
ReadsUsers = Annotated[Access, needs(USERS_READ)]
WritesUsers = Annotated[Access, needs(USERS_WRITE)]
ReadsKeys = Annotated[Access, needs(KEYS_READ)]
WritesKeys = Annotated[Access, needs(KEYS_WRITE)]
