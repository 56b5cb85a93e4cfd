"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

WEBHOOKS_READ = permission("webhooks:read", "Look webhooks, what was sent to them and the kinds of events up.", Role.ADMIN)
WEBHOOKS_WRITE = permission("webhooks:write", "Add, change and delete webhooks, send to them again.", Role.ADMIN)
PERMISSIONS = (WEBHOOKS_READ, WEBHOOKS_WRITE)

ReadsWebhooks = Annotated[Access, needs(WEBHOOKS_READ)]
WritesWebhooks = Annotated[Access, needs(WEBHOOKS_WRITE)]
