"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

AUDIT_READ = permission("audit:read", "Who changed what and read what.", Role.ADMIN)
OPERATOR_AUDIT_READ = permission("operator-audit:read", "What operators did.", Role.OPERATOR)
PERMISSIONS = (AUDIT_READ, OPERATOR_AUDIT_READ)

ReadsAudit = Annotated[Access, needs(AUDIT_READ)]
ReadsOperatorAudit = Annotated[Access, needs(OPERATOR_AUDIT_READ)]
