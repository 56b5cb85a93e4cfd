"""Telephony: the desk and the wall.

`rules` (who sees which event, and how it is told; pure) · `desk` (what every command has in common) · `routes` (commands, live, quotes) ·
`contacts` (messages, callbacks, who waits) · `stream` (WebSockets) · `hub` (one subscription a tenant, events routed to sockets) ·
`boards` (one snapshot for all walls) · `schemas` · `errors`.
"""
