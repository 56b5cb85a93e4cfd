"""A WebSocket client that speaks ASGI to the application directly, in the test's own loop. What it hears must be what AsyncAPI says."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from fastapi import FastAPI

from tests.schemas import check_message


class Closed(Exception):
    """The server closed the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


class Socket(AbstractAsyncContextManager["Socket"]):
    def __init__(self, app: FastAPI, path: str, token: str | None = None, query: str = "", subprotocols: tuple[str, ...] = ()) -> None:
        headers = [(b"host", b"test")]
        if token is not None:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        if subprotocols:
            headers.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode()))
        self._app = app
        self._scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 40000),
            "server": ("test", 80),
            "subprotocols": list(subprotocols),
            "state": {},
        }
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.subprotocol: str | None = None

    async def __aenter__(self) -> Self:
        self._to_app.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._app(self._scope, self._to_app.get, self._send))
        first = await self._from_app.get()
        if first["type"] == "websocket.close":
            raise Closed(first["code"], first.get("reason") or "")
        self.subprotocol = first.get("subprotocol")
        return self

    async def _send(self, message: Any) -> None:
        self._from_app.put_nowait(dict(message))

    async def __aexit__(self, *_: object) -> None:
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        assert self._task is not None
        await asyncio.wait_for(self._task, 10)

    async def receive(self) -> dict[str, Any]:
        message = await asyncio.wait_for(self._from_app.get(), 10)
        if message["type"] == "websocket.close":
            raise Closed(message["code"], message.get("reason") or "")
        found: dict[str, Any] = json.loads(message["text"])
        check_message(self._scope["path"].rpartition("/")[2], found)
        return found

    async def until(self, kind: str) -> tuple[dict[str, Any], list[str]]:
        """The next event of a kind, and the kinds that came before it."""
        before: list[str] = []
        while True:
            message = await self.receive()
            event = message.get("event") or message
            if event["type"] == kind:
                return message, before
            before.append(event["type"])

    async def closing(self) -> tuple[int, list[str]]:
        """The code the server closes with, and the kinds of messages before."""
        kinds: list[str] = []
        while True:
            try:
                message = await self.receive()
            except Closed as closed:
                return closed.code, kinds
            kinds.append((message.get("event") or message)["type"])

    @property
    def pending(self) -> int:
        return self._from_app.qsize()
