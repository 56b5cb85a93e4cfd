"""What comes without TLS where there is HTTPS, and what browsers are told to do without it no more (RFC 6797, RFC 8555 §8.3).

- A program on this machine is served: what it says passes no wire. So is a proxy of `http.proxies`: what it ends is its own.
- The authority that looks whether a name is ours (ACME) is answered.
- Everybody else is sent on to HTTPS where browsers trust the certificate for the name they asked for (308: the method stays); else told
  where to ask, since a redirect would lead into a warning.

Strict-Transport-Security is said over TLS alone, and for such a name alone: who was told it cannot pass a warning any more (§8.4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acd.strangers import Network, is_within
from api.config import is_address
from api.edge.answers import SafeHeaders
from api.edge.connections import STATE, Lease
from api.errors import Problem, of
from api.https.certificate import HttpsCertificate
from api.kit.peers import is_loopback

CHALLENGES: Final = "/.well-known/acme-challenge/"
HSTS: Final = "max-age=31536000"
"""A year. Other names under ours are not ours to speak for."""
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-proto")


class NotEncrypted(Problem):
    """It came without TLS."""

    status, kind, title = 400, "not-encrypted", "HTTPS is needed"


class OutsideTls:
    """ASGI middleware around everything, where there is HTTPS."""

    def __init__(
        self,
        app: ASGIApp,
        certificate: HttpsCertificate,
        challenges: Mapping[str, str],
        proxies: tuple[Network, ...],
        port: Callable[[], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Args:
        challenges: token -> what it is answered with.
        port: that browsers reach HTTPS at.
        """
        self._app = app
        self._certificate = certificate
        self._challenges = challenges
        self._proxies = proxies
        self._port = port
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or say where it is served."""
        lease = scope.get("state", {}).get(STATE)
        if scope["type"] not in {"http", "websocket"} or not isinstance(lease, Lease):
            await self._app(scope, receive, send)
        elif lease.is_encrypted:
            await self._app(scope, receive, self._strict(scope, send))
        elif scope["type"] == "http" and scope["path"].startswith(CHALLENGES):
            await SafeHeaders(self._answer_challenge)(scope, receive, send)
        elif self._is_near(lease.source, (scope.get("server") or ("",))[0]):
            await self._app(scope, receive, send)
        else:
            await SafeHeaders(self._send_on)(scope, receive, send)

    async def _answer_challenge(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._challenges.get(scope["path"].removeprefix(CHALLENGES))
        response = PlainTextResponse(found) if found is not None else PlainTextResponse("There is no such challenge.\n", 404)
        await response(scope, receive, send)

    def _is_near(self, source: str, ours: str) -> bool:
        """From this machine, also by its own address outside, or from a proxy."""
        return is_loopback(source) or source == ours or is_within(source, self._proxies)

    def _strict(self, scope: Scope, send: Send) -> Send:
        headers = Headers(scope=scope)
        is_passed_on = any(name in headers for name in _FORWARDED)  # then it is the proxy's to say
        if is_passed_on or not self._certificate.is_trusted_for(_host(headers), self._clock()):
            return send

        async def completed(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
                found = MutableHeaders(raw=list(message.get("headers", ())))
                found["Strict-Transport-Security"] = HSTS
                message["headers"] = found.raw
            await send(message)

        return completed

    async def _send_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        host, port = _host(Headers(scope=scope)), self._port()
        authority = host if port == 443 else f"{host}:{port}"
        path = scope.get("raw_path") or b"/"
        is_trusted = self._certificate.is_trusted_for(host, self._clock())
        if scope["type"] == "http" and is_trusted and path.startswith(b"/"):
            query = scope["query_string"]
            target = path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
            await Response(status_code=308, headers={"Location": f"https://{authority}{target}"})(scope, receive, send)
            return
        where = f"https://{authority}/" if is_trusted else f"port {port}"
        problem = NotEncrypted(f"This is served by HTTPS alone, at {where}.")
        if scope["type"] == "http":
            await of(HTTPConnection(scope), problem)(scope, receive, send)
            return
        await receive()
        if "websocket.http.response" in scope.get("extensions", {}):
            await of(HTTPConnection(scope), problem)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": problem.title})


def _host(headers: Headers) -> str:
    """The name of Host, without its port (RFC 9110 §7.2)."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name if not is_address(name.strip("[]")) else name.strip("[]")
