"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

NAMES_READ = permission("names:read", "Queues, and the reasons for being away.", Role.AGENT, Role.SUPERVISOR, Role.BILLING)
SETUP_READ = permission("setup:read", "The configuration of telephony.", Role.SUPERVISOR)
SETUP_WRITE = permission("setup:write", "Change the configuration of telephony.", Role.ADMIN)
DEVICES_READ = permission("devices:read", "User names of phones.", Role.ADMIN)
DEVICES_WRITE = permission("devices:write", "New passwords of phones, PINs of agents.", Role.ADMIN)
SPENDING_READ = permission("spending:read", "How the budgets stand.", Role.SUPERVISOR, Role.BILLING)
PERMISSIONS = (NAMES_READ, SETUP_READ, SETUP_WRITE, DEVICES_READ, DEVICES_WRITE, SPENDING_READ)

ReadsNames = Annotated[Access, needs(NAMES_READ)]
ReadsSetup = Annotated[Access, needs(SETUP_READ)]
WritesSetup = Annotated[Access, needs(SETUP_WRITE)]
ReadsDevices = Annotated[Access, needs(DEVICES_READ)]
WritesDevices = Annotated[Access, needs(DEVICES_WRITE)]
ReadsSpending = Annotated[Access, needs(SPENDING_READ)]
