"""A WebSocket of the `websockets` package that carries SIP, in the place of `tests.sip.io.pages.Wire`: what browsers do on the wire."""

import asyncio
import contextlib
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.ports import HOST


class Refused(Exception):
    """There was no handshake."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body.decode(errors='replace')}")
        self.status = status
        self.kind = json.loads(body or b"{}").get("type")


class Wire:
    def __init__(
        self,
        port: int,
        token: str,
        *,
        subprotocols: tuple[str, ...] | None = None,
        origin: str | None = None,
        headers: dict[str, str] | None = None,
        query: str = "",
        reads: bool = True,
    ) -> None:
        self.scope = {"scheme": "ws"}
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.code: int | None = None
        self._url, self._origin, self._headers, self._reads = f"ws://{HOST}:{port}/api/v1/sip{query}", origin, headers, reads
        self._subprotocols = ("sip", f"bearer.{token}") if subprotocols is None else subprotocols
        self._socket: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def accepted(self) -> "Wire":
        try:
            self._socket = await connect(
                self._url,
                subprotocols=self._subprotocols or None,  # type: ignore[arg-type]
                origin=self._origin,  # type: ignore[arg-type]
                additional_headers=self._headers,
                proxy=None,
                max_queue=16 if self._reads else 1,
            )
        except InvalidStatus as error:
            raise Refused(error.response.status_code, bytes(error.response.body or b"")) from None
        if self._reads:
            self._tasks.add(asyncio.create_task(self._read(self._socket)))
        return self

    async def hears(self) -> str:
        async with asyncio.timeout(5):
            return str((await self.heard.get())["text"])

    @property
    def socket(self) -> ClientConnection:
        assert self._socket is not None
        return self._socket

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                text = message if isinstance(message, str) else message.decode()
                self.heard.put_nowait({"type": "websocket.send", "text": text})
        self.code = socket.close_code
        self.heard.put_nowait({"type": "websocket.close", "code": self.code})
        self.closed.set()

    def say(self, octets: bytes) -> None:
        task = asyncio.create_task(self._say(octets.decode()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say(self, text: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(text)

    async def has_closed(self) -> int | None:
        async with asyncio.timeout(30):
            await self.closed.wait()
        return self.code

    async def break_off(self) -> None:
        """As when a network goes: without a word."""
        self.socket.transport.abort()
        await self.has_closed()
