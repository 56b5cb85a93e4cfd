"""Telephony: the desk and the wall.

`rules` (who sees which event, and how it is told; pure) · `desk` (what every command has in common) · `routes` (commands, live, quotes) ·
`contacts` (messages, callbacks, who waits) · `stream` (WebSockets) · `hub` (one subscription a tenant, events routed to sockets) ·
`boards` (one snapshot for all walls) · `events` (kinds of what calls tell; pure) · `outgoing` (it goes into the outbox; shell) ·
`schemas` · `errors`.
"""

from api.telephony.outgoing import CallEvents

__all__ = ["CallEvents"]
