"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

CALLS_READ = permission(
    "calls:read", "The live board, live events, why calls go where they go; agents see their own.", Role.AGENT, Role.SUPERVISOR
)
DESK_WRITE = permission("desk:write", "Work at a desk: log on, take and make calls; agents at their own.", Role.AGENT, Role.SUPERVISOR)
CALLS_SUPERVISE = permission("calls:supervise", "Hear conversations, end calls.", Role.SUPERVISOR)
WAITING_WRITE = permission("waiting:write", "Messages and callbacks come and go; move, prioritise and assign what waits.", Role.SUPERVISOR)
QUOTES_READ = permission("quotes:read", "What a call would cost.", Role.AGENT, Role.SUPERVISOR, Role.BILLING)
PERMISSIONS = (CALLS_READ, DESK_WRITE, CALLS_SUPERVISE, WAITING_WRITE, QUOTES_READ)

ReadsCalls = Annotated[Access, needs(CALLS_READ)]
WritesDesk = Annotated[Access, needs(DESK_WRITE)]
Supervises = Annotated[Access, needs(CALLS_SUPERVISE)]
WritesWaiting = Annotated[Access, needs(WAITING_WRITE)]
ReadsQuotes = Annotated[Access, needs(QUOTES_READ)]
