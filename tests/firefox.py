"""Firefox without a window, led by WebDriver BiDi over a WebSocket, in a network of its own: on 127.0.0.1 alone it has no candidates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.namespace import Namespace

NAMES = ("firefox-esr", "firefox")
SERVER_FILE = "WebDriverBiDiServer.json"
"""What it writes into its profile when it listens."""
PREFERENCES = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.pagethumbnails.capturing_disabled": True,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "startup.homepage_welcome_url": "about:blank",
    "toolkit.telemetry.enabled": False,
}


def firefox() -> str:
    """The browser's path; without one the test is skipped."""
    found = next((path for name in NAMES if (path := shutil.which(name)) is not None), None)
    if found is None:
        pytest.skip("firefox is not installed")
    return found


class Page:
    """The one page of the browser; speaks as `tests.browser.Page` does."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket, self._sent = socket, 0
        self._context = ""

    async def open(self) -> None:
        await self.do("session.new", capabilities={})
        (tree,) = (await self.do("browsingContext.getTree"))["contexts"]
        self._context = tree["context"]

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; events that come meanwhile are nobody's."""
        self._sent += 1
        await self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        async for text in self._socket:
            answer = json.loads(text)
            if answer.get("id") == self._sent:
                assert answer["type"] == "success", answer
                found: dict[str, Any] = answer["result"]
                return found
        raise AssertionError("the browser ended")

    async def says(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise; as somebody who has touched the page."""
        answer = await self.do(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then(value => JSON.stringify(value))",
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        assert answer["type"] == "success", answer
        told = answer["result"].get("value")
        return None if told is None else json.loads(told)

    async def until(self, expression: str) -> Any:
        """Ask until the value is true; pages have no event for what they show."""
        async with asyncio.timeout(20):
            while not (found := await self.says(expression)):
                await asyncio.sleep(0.05)
            return found


@contextlib.asynccontextmanager
async def page(network: Namespace, profile: Path) -> AsyncIterator[Page]:
    """Open an empty page that may use the microphone, which is a made-up one; without a browser the test is skipped."""
    program, empty = firefox(), _prepared(profile)
    process = await asyncio.create_subprocess_exec(
        *network.command,
        program,
        *("--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile), empty),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _listening(profile / SERVER_FILE)
        connection = await network.tcp(port)
        async with websockets.connect(f"ws://127.0.0.1:{port}/session", sock=connection, max_size=None, proxy=None) as socket:
            opened = Page(socket)
            await opened.open()
            yield opened
    finally:
        process.terminate()
        await process.wait()


def _prepared(profile: Path) -> str:
    """The address of the page; about:blank has no origin, so it may not use the microphone."""
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "user.js").write_text(
        "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
    )
    empty = profile / "page.html"
    empty.write_text("<!doctype html><title>page</title>")
    return empty.as_uri()


async def _listening(file: Path) -> int:
    async with asyncio.timeout(30):
        while (text := _text(file)) is None:
            await asyncio.sleep(0.05)
    return int(json.loads(text)["ws_port"])


def _text(file: Path) -> str | None:
    """None: not there, or not written yet."""
    return (file.read_text() or None) if file.exists() else None
