"""The page in a browser: nothing of the board is wider than a phone's screen, and a row there still says what its figures are."""

from __future__ import annotations

import asyncio
import json
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.api.conftest import ACME, PASSWORD, Service
from tests.api.serving import serving
from tests.api.test_docs_page import BROWSERS

WIDTHS = (320, 390, 1100)
OVERFLOW = "[document.documentElement, ...document.querySelectorAll('.scroll')].map(one => Math.max(0, one.scrollWidth - one.clientWidth))"


class Tab:
    """A page of a browser, over the DevTools protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(await self._connection.recv())).get("id") != number:
            pass
        return dict(answer["result"])

    async def says(self, expression: str) -> Any:
        return (await self.do("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def until(self, expression: str) -> None:
        async with asyncio.timeout(30):
            while not await self.says(expression):
                await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.interop
async def test_board_and_documentation_fit_a_phones_screen(staffed: Service, tmp_path: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)
    if browser is None:
        pytest.skip("chromium is not installed")
    await staffed.voice.register(ACME, "anna")
    await staffed.made("agents/anna/log-on", {"ready": True}, "supervisor")
    await staffed.voice.arrive(ACME, "601", "+49301111110")
    async with serving(staffed.app) as served:
        process = await asyncio.create_subprocess_exec(
            browser,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
            *("--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={tmp_path / 'profile'}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            file = tmp_path / "profile" / "DevToolsActivePort"
            async with asyncio.timeout(30):
                while not (written := await asyncio.to_thread(lambda: file.exists() and file.read_text())):
                    await asyncio.sleep(0.02)
            port = written.splitlines()[0]
            async with httpx.AsyncClient() as client:
                tabs = (await client.get(f"http://127.0.0.1:{port}/json")).json()
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with connect(address, max_size=None) as connection:
                tab = Tab(connection)
                for width in WIDTHS:
                    await _look(tab, served.url, width)
        finally:
            process.terminate()
            await process.wait()


async def _look(tab: Tab, url: str, width: int) -> None:
    is_phone = width < 500
    await tab.do("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=is_phone)
    await tab.do("Page.navigate", url=url)
    await tab.until("document.querySelector('#login:not([hidden])') !== null && typeof language === 'string'")
    fields = {"tenant": ACME, "username": "supervisor", "password": PASSWORD}
    for name, value in fields.items():
        await tab.says(f"document.getElementById('login').elements.{name}.value = {json.dumps(value)}")
    assert await tab.says(OVERFLOW) == [0] * 5
    await tab.says("document.querySelector('#login button').click()")
    await tab.until("document.querySelector('#calls tbody th') !== null")
    if is_phone:
        assert await tab.says(OVERFLOW) == [0] * 5
        assert await tab.says("getComputedStyle(document.querySelector('#queues tbody td'), '::before').content !== 'none'")
    assert await tab.says(
        "document.querySelector('#queues tbody td').dataset.title === document.querySelectorAll('#queues th')[1].textContent"
    )
    assert await tab.says("document.querySelector('#queues td').getAttribute('role')") == "cell"
    await tab.says("document.getElementById('logout').click()")
    await tab.until("!document.getElementById('login').hidden")
    await tab.do("Page.navigate", url=f"{url}/docs")
    await tab.until("document.querySelector('.opblock-tag-section') !== null")
    assert await tab.says("document.documentElement.scrollWidth <= innerWidth")
