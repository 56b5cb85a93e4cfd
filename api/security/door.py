"""A banned source gets 429 before anything of its request is read (RFC 6585 §4); ASGI middleware."""

from __future__ import annotations

import math

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import TooMany, of, spell_wait
from api.kit.client import client_address
from api.shared import services

TRY_AGAIN_LATER = 1013
"""Close code of a WebSocket (RFC 6455 registry)."""


class RefuseBanned:
    """Around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let pass."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        guard = services(connection).guard
        now = guard.now()
        ban = guard.ban_of(client_address(connection), now)
        if ban is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
        else:
            guard.counters["web", "banned"] += 1
            wait_s = math.ceil(ban.until - now)
            told = f"Too many wrong passwords came from your address; it is heard again in {spell_wait(wait_s)}."
            problem = TooMany(told, wait_s)
            await of(Request(scope), problem)(scope, receive, send)
