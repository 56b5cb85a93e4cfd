"""werift, a WebRTC implementation in TypeScript that nobody here wrote, in a Node process of its own (`tests/interop/node/peer.mjs`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.typescript.compiler import node

FOLDER = Path(__file__).parent / "node"


class Werift:
    """One order at a time; what it tells of itself waits in `events`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._sent = process, 0
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.states: asyncio.Queue[str] = asyncio.Queue()
        self.heard: list[bytes] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if told.get("event") == "heard":
                self.heard.append(bytes.fromhex(told["payload"]))
            elif told.get("event") == "state":
                self.states.put_nowait(told["state"])
            else:
                self._answers.put_nowait(told)

    async def do(self, order: str, **given: Any) -> Any:
        """Raises: RuntimeError: werift did."""
        self._sent += 1
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": self._sent, "order": order, **given}).encode() + b"\n")
        async with asyncio.timeout(20):
            told = await self._answers.get()
        assert told["id"] == self._sent
        if "error" in told:
            raise RuntimeError(told["error"])
        return told["answer"]

    async def each(self, order: str, packets: list[bytes]) -> list[bytes]:
        """What becomes of packets."""
        return [bytes.fromhex(one) for one in await self.do(order, packets=[packet.hex() for packet in packets])]

    async def until(self, state: str) -> None:
        async with asyncio.timeout(20):
            while await self.states.get() != state:
                pass


@contextlib.asynccontextmanager
async def werift() -> AsyncIterator[Werift]:
    """Without Node, or without what `make install-dev` installs for it, the test is skipped."""
    process = await asyncio.create_subprocess_exec(
        node(FOLDER),
        "peer.mjs",
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    peer = Werift(process)
    try:
        yield peer
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await peer.reading
