"""A real browser for tests of pages: chromium without a window, led by its DevTools protocol over a WebSocket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
)
PORT_FILE = "DevToolsActivePort"
"""What chromium writes into its profile when it listens: the port, and the path of its WebSocket."""


def chromium() -> str:
    """The browser's path; without one the test is skipped."""
    found = next((path for name in NAMES if (path := shutil.which(name)) is not None), None)
    if found is None:
        pytest.skip("chromium is not installed")
    return found


class Page:
    """One page of the browser."""

    def __init__(self, socket: websockets.ClientConnection, session: str) -> None:
        self._socket, self._session, self._sent = socket, session, 0

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; events that come meanwhile are nobody's."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters, "sessionId": self._session}
        await self._socket.send(json.dumps(message))
        async for text in self._socket:
            answer = json.loads(text)
            if answer.get("id") == self._sent and answer.get("sessionId") == self._session:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found
        raise AssertionError("the browser ended")

    async def size(self, width: int, height: int, *, is_phone: bool = False) -> None:
        await self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone)

    async def says(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        answer = await self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Ask until the value is true; pages have no event for what they show."""
        async with asyncio.timeout(20):
            while not (found := await self.says(expression)):
                await asyncio.sleep(0.05)
            return found

    async def picture(self, path: Path) -> None:
        shot = await self.do("Page.captureScreenshot", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def page(url: str, profile: Path, *flags: str) -> AsyncIterator[Page]:
    """Open a page; without a browser the test is skipped."""
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *FLAGS,
        *flags,
        "--lang=en",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port, path = await _listening(profile / PORT_FILE)
        async with websockets.connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as socket:
            await socket.send(json.dumps({"id": 0, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
            target = (await _answer(socket))["targetId"]
            attach = {"targetId": target, "flatten": True}
            await socket.send(json.dumps({"id": 0, "method": "Target.attachToTarget", "params": attach}))
            opened = Page(socket, (await _answer(socket))["sessionId"])
            await opened.do("Page.navigate", url=url)
            await opened.until("document.readyState === 'complete'")
            yield opened
    finally:
        process.terminate()
        await process.wait()


async def _listening(file: Path) -> tuple[str, str]:
    async with asyncio.timeout(30):
        while len(lines := _lines(file)) < 2:
            await asyncio.sleep(0.05)
    return lines[0], lines[1]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def _answer(socket: websockets.ClientConnection) -> dict[str, Any]:
    async for text in socket:
        answer = json.loads(text)
        if answer.get("id") == 0:
            found: dict[str, Any] = answer["result"]
            return found
    raise AssertionError("the browser ended")
