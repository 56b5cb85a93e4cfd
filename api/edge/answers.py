"""What every answer of the application has in common, whoever made it: headers; and HEAD wherever there is GET (RFC 9110 §9.3.2)."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Of answers that say nothing else: the page and its parts have a Cache-Control of their own."""
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
BODILESS = "fernamt.bodiless"
"""In a scope: nobody wants the body, so that what is dear to make need not be made."""
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""Content-Security-Policy of every page. Why styles may stand inline and scripts may not: docs/adr/0012."""
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}


class SafeHeaders:
    """ASGI middleware that adds what an answer does not say itself; also to a WebSocket's handshake."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch for the head of the answer."""

        async def completed(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                message["headers"] = headers.raw
            await send(message)

        await self._app(scope, receive, completed)


class HeadAsGet:
    """ASGI middleware: a HEAD is served as a GET whose body stays here, without a range (RFC 9110 §14.2: GET alone has them)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_over = False

        async def bodiless(message: Message) -> None:
            nonlocal is_over
            if message["type"] != "http.response.body":
                await send(message)
            elif not is_over:  # a stream notices by the end of the answer that nobody listens to the rest
                is_over = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        headers = [one for one in scope["headers"] if one[0] != b"range"]
        await self._app({**scope, "method": "GET", "headers": headers, BODILESS: True}, receive, bodiless)
