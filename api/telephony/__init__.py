"""Telephony: the desk and the wall.

`rules` (who sees which event; pure) · `routes` (commands, live, quotes) · `stream` (WebSockets) · `boards` (one watcher for all walls) ·
`schemas` · `errors`.
"""
