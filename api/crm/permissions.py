"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

CONTACTS_READ = permission("contacts:read", "Look contacts up.", Role.AGENT, Role.SUPERVISOR)
CONTACTS_WRITE = permission("contacts:write", "Add, change and delete contacts.", Role.AGENT, Role.SUPERVISOR)
PERMISSIONS = (CONTACTS_READ, CONTACTS_WRITE)

ReadsContacts = Annotated[Access, needs(CONTACTS_READ)]
WritesContacts = Annotated[Access, needs(CONTACTS_WRITE)]
