"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

MAILS_READ = permission("mails:read", "Which mails were sent, and which given up.", Role.ADMIN)
MAILS_WRITE = permission("mails:write", "Send a mail to try the way, send one again.", Role.ADMIN)
PERMISSIONS = (MAILS_READ, MAILS_WRITE)

ReadsMails = Annotated[Access, needs(MAILS_READ)]
WritesMails = Annotated[Access, needs(MAILS_WRITE)]
