"""Requests that are refused before anything is read of them: heads and bodies that are too large, query parameters nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.contract import WEBSOCKET, Contract, Operation
from api.errors import BodyTooLarge, HeadTooLarge, NotAllowed, Outdated, Place, Problem, TargetTooLong, Unprocessable, of
from api.kit.schema import MOST_LETTERS, nearest
from api.shared import shared_of

BODY_OCTETS = 1 << 20
"""What a body may have where its route declares no more; the largest configuration of one kind has a tenth of it."""
STRANGER_OCTETS = 16 * 1024
"""What a body may have before it is known who sends it. A log-in has less than 1 KiB; 1 MiB of JSON takes a tenth of a second."""
TARGET_OCTETS = 8192
"""Path and query. RFC 9110 §4.1 recommends that 8000 octets are understood."""
HEAD_OCTETS = 16 * 1024
HEAD_FIELDS = 100
"""The same as other servers take (Apache `LimitRequestFields`); h11 judges a head by its octets only while it is incomplete."""
LINGER_S = 2.0
LINGER_OCTETS = 4 << 20
"""A client that is still sending when it is refused: closing on unread octets makes TCP send a reset, and on some systems a reset takes
the answer away before it is read (RFC 9112 §9.6). So much is thrown away unread, for so long, before the connection is closed."""

Admits = Callable[[HTTPConnection], Awaitable[object]]


class Refusals:
    """ASGI middleware before everything that looks into a request."""

    def __init__(self, app: ASGIApp, contract: Contract, logged_in: Admits) -> None:
        """Args:
        logged_in: raises a Problem for a request that comes from nobody; asked only for a body that strangers may not send.
        """
        self._app = app
        self._contract = contract
        self._logged_in = logged_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        answer = _refuse if scope["type"] == "http" else _refuse_socket
        try:
            check_head(scope)
            operation = self._operation(scope)
            if operation is not None and operation.parameters is not None and scope["query_string"]:
                check_parameters(scope["query_string"], operation.parameters)
            if operation is not None and not operation.takes_if_match:
                check_unconditional(scope)
            if scope["type"] == "http":
                answer = _refuse_body
                receive = await self._checked_body(scope, receive, operation)
        except _Gone:
            return
        except Problem as problem:
            shared_of(scope).metrics.refused.labels(problem.kind).inc()
            await answer(scope, receive, send, problem)
            return
        await self._app(scope, receive, send)

    def _operation(self, scope: Scope) -> Operation | None:
        """The route; None: the path is none of ours, but perhaps the page's.

        Raises: NotAllowed
        """
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
        found = self._contract.operation(method, scope["path"])
        if found is None and method != WEBSOCKET and (allowed := self._contract.allowed(scope["path"])):
            raise NotAllowed(allowed)
        return found

    async def _checked_body(self, scope: Scope, receive: Receive, operation: Operation | None) -> Receive:
        """By what the head announces, at once; a body in chunks announces nothing, and is read up to the limit.

        Raises: BodyTooLarge; whatever `logged_in` raises
        """
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        most = BODY_OCTETS if operation is None or operation.body_octets is None else operation.body_octets
        announced = next((value for name, value in headers if name == b"content-length"), None)
        if any(name == b"transfer-encoding" for name, _ in headers):
            return await self._read(scope, receive, most)
        if announced is not None:
            await self._check_octets(scope, int(announced) if announced.isdigit() and len(announced) < 20 else most + 1, most)
        return receive

    async def _check_octets(self, scope: Scope, octets: int, most: int) -> None:
        if octets > most:
            raise BodyTooLarge(f"A body may have {most} octets here.")
        if octets > STRANGER_OCTETS:
            connection = HTTPConnection(scope)
            if "authorization" not in connection.headers:
                raise BodyTooLarge(f"A body may have {STRANGER_OCTETS} octets before a log-in.")
            await self._logged_in(connection)

    async def _read(self, scope: Scope, receive: Receive, most: int) -> Receive:
        taken, is_known = bytearray(), False
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _Gone
            taken += message.get("body", b"")
            if len(taken) > most or (len(taken) > STRANGER_OCTETS and not is_known):
                await self._check_octets(scope, len(taken), most)
                is_known = True
            if not message.get("more_body", False):
                break
        whole: list[Message] = [{"type": "http.request", "body": bytes(taken), "more_body": False}]

        async def read_already() -> Message:
            return whole.pop() if whole else await receive()

        return read_already


class _Gone(Exception):
    """The client went while its body was read."""


def check_head(scope: Scope) -> None:
    """Bounds of what stands before the body.

    Raises: TargetTooLong, HeadTooLarge
    """
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > TARGET_OCTETS:
        raise TargetTooLong(f"Path and query may have {TARGET_OCTETS} octets.")
    headers = scope["headers"]
    if len(headers) > HEAD_FIELDS or sum(len(name) + len(value) for name, value in headers) > HEAD_OCTETS:
        raise HeadTooLarge(f"The header may have {HEAD_FIELDS} fields and {HEAD_OCTETS} octets.")


def check_unconditional(scope: Scope) -> None:
    """A change that was meant for one version of what has none is not made (RFC 9110 §13.1.1): whoever asks so means it.

    Raises: Outdated
    """
    if any(name == b"if-match" for name, _ in scope["headers"]):
        raise Outdated("This counts no versions; send the change without If-Match.")


def check_parameters(query: bytes, known: dict[str, bool]) -> None:
    """A filter that is misspelt is no filter: refused, with the parameter that may have been meant.

    Args:
        known: the names, and whether one may be given several times.
    Raises: Unprocessable
    """
    given = [name for name, _ in QueryParams(query).multi_items()]
    places = []
    for name in dict.fromkeys(given):
        shown = name[:MOST_LETTERS]
        if name not in known:
            places.append(Place(detail=f"there is no such parameter; {nearest(name, known)}", parameter=shown))
        elif not known[name] and given.count(name) > 1:
            places.append(Place(detail="given more than once", parameter=shown))
    if places:
        raise Unprocessable("; ".join(f"{place.parameter}: {place.detail}" for place in places[:5]), places)


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    if isinstance(problem, NotAllowed) and scope["method"] == "OPTIONS":  # RFC 9110 §9.3.7: it asks just this
        await Response(status_code=204, headers=problem.headers)(scope, receive, send)
        return
    await of(Request(scope), problem)(scope, receive, send)


async def _refuse_body(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    response = of(Request(scope), problem)
    await _close_softly(response.status_code, [*response.raw_headers, (b"connection", b"close")], bytes(response.body), receive, send)


async def _close_softly(status: int, headers: list[tuple[bytes, bytes]], body: bytes, receive: Receive, send: Send) -> None:
    """Answer at once, and end the answer when the client has stopped sending, or has sent enough.

    The length stands in the header, so a client has the whole answer long before we are through.
    """
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    left = LINGER_OCTETS
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while left > 0:
                message: Any = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
                left -= len(message.get("body", b""))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse_socket(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """RFC 6455 §4.2.2: a handshake that is not accepted is answered as HTTP (ASGI: WebSocket denial response)."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await of(HTTPConnection(scope), problem)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": problem.title})
