"""A real browser for tests of pages: chromium without a window, led by its DevTools protocol over a WebSocket.

It has none of the flags by which tools that drive browsers keep pages awake (`--disable-background-timer-throttling`,
`--disable-renderer-backgrounding`, `--disable-backgrounding-occluded-windows`, `--disable-features=IntensiveWakeUpThrottling`): a page
here is hidden, frozen and killed as one that somebody works with.
"""

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


class Browser:
    """The browser, and what all its pages say over its one WebSocket."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket, self._sent = socket, 0
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._crashes: dict[str, asyncio.Event] = {}
        """By session."""

    async def read(self) -> None:
        """What it says, until it ends; whoever still waits then learns it."""
        try:
            async for text in self._socket:
                said = json.loads(text)
                waiting = self._open.pop(said.get("id", 0), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(said)
                elif said.get("method") == "Inspector.targetCrashed":
                    self.crashed(said["sessionId"]).set()
        finally:
            for waiting in self._open.values():
                if not waiting.done():
                    waiting.set_exception(AssertionError("the browser ended"))

    def crashed(self, session: str) -> asyncio.Event:
        """Set when the page of this session has crashed (`Inspector.enable`)."""
        return self._crashes.setdefault(session, asyncio.Event())

    async def send(self, method: str, parameters: dict[str, Any], session: str | None = None) -> asyncio.Future[dict[str, Any]]:
        """One command of the protocol; what is returned has its answer, if one comes."""
        self._sent += 1
        found = self._open[self._sent] = asyncio.get_running_loop().create_future()
        message = {"id": self._sent, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        await self._socket.send(json.dumps(message))
        return found

    async def do(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        answer = await (await self.send(method, parameters, session))
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    async def open(self, url: str) -> Page:
        """Another tab, in front of the others."""
        target = (await self.do("Target.createTarget", {"url": "about:blank"}))["targetId"]
        session = (await self.do("Target.attachToTarget", {"targetId": target, "flatten": True}))["sessionId"]
        opened = Page(self, target, session)
        await opened.load(url)
        return opened


class Page:
    """One page of the browser."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self.browser, self._target, self._session = browser, target, session

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        return await self.browser.do(method, parameters, self._session)

    async def load(self, url: str) -> None:
        await self.do("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def reload(self) -> None:
        """As with its button; returns when the new document is there."""
        await self.says("window.isOld = true")
        await self.do("Page.reload")
        await self.until("!window.isOld && document.readyState === 'complete'")

    async def freeze(self) -> None:
        """As Chromium does with a tab that nobody has looked at: its code stands still, what was asked of it waits."""
        await self.do("Page.setWebLifecycleState", state="frozen")

    async def thaw(self) -> None:
        await self.do("Page.setWebLifecycleState", state="active")

    async def crash(self) -> None:
        """Its process dies without a word; returns when it has."""
        await self.do("Inspector.enable")
        await self.browser.send("Page.crash", {}, self._session)  # which is answered by nobody
        async with asyncio.timeout(20):
            await self.browser.crashed(self._session).wait()

    async def network(self, *, is_there: bool) -> None:
        """Without one, new connections fail and those that are stand still; WebRTC goes on."""
        await self.do("Network.enable")
        await self.do("Network.emulateNetworkConditions", offline=not is_there, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    async def to_front(self) -> None:
        await self.do("Page.bringToFront")

    async def close(self) -> None:
        await self.browser.do("Target.closeTarget", {"targetId": self._target})

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
async def running(profile: Path, *flags: str) -> AsyncIterator[Browser]:
    """The browser, without a page; if there is none the test is skipped."""
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
            browser = Browser(socket)
            reading = asyncio.create_task(browser.read())
            try:
                yield browser
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, websockets.ConnectionClosed):
                    await reading
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def page(url: str, profile: Path, *flags: str) -> AsyncIterator[Page]:
    """Open a page; without a browser the test is skipped."""
    async with running(profile, *flags) as browser:
        yield await browser.open(url)


async def _listening(file: Path) -> tuple[str, str]:
    async with asyncio.timeout(30):
        while len(lines := _lines(file)) < 2:
            await asyncio.sleep(0.05)
    return lines[0], lines[1]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
