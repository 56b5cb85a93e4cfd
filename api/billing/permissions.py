"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

CDRS_READ = permission("cdrs:read", "Records of calls, each with its charge.", Role.SUPERVISOR, Role.BILLING)
BILLING_READ = permission("billing:read", "Tariffs, sums, invoices, exports of charges.", Role.BILLING)
BILLING_WRITE = permission("billing:write", "Add tariffs, rate calls again.", Role.BILLING)
PERMISSIONS = (CDRS_READ, BILLING_READ, BILLING_WRITE)

ReadsCdrs = Annotated[Access, needs(CDRS_READ)]
ReadsBilling = Annotated[Access, needs(BILLING_READ)]
WritesBilling = Annotated[Access, needs(BILLING_WRITE)]
