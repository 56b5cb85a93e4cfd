"""/docs works without the world: every part comes from here, the policy lets it run, and a real browser shows it."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.api.conftest import Service
from tests.api.serving import serving
from tests.browser import FLAGS, chromium


class Parts(HTMLParser):
    """What a page loads, and what it says inline."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._in: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [value for name in ("src", "href", "data", "action") if (value := given.get(name)) is not None]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self._in = tag if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._in is not None and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("page", ["/docs", "/docs/sockets", "/"])
async def test_every_part_of_a_page_comes_from_here_and_no_script_stands_in_it(service: Service, page: str) -> None:
    answer = await service.client.get(page)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert not re.search(r"https?:|\*", policy)
    parts = Parts()
    parts.feed(answer.text)
    assert parts.inline == []
    assert len(parts.addresses) > 2
    for address in parts.addresses:
        assert address.startswith(("/", "data:", "#")) or re.fullmatch(r"[\w.-]+", address), address
        assert not address.startswith("//")
        if not address.startswith(("data:", "#")):
            assert (await service.client.get(address if address.startswith("/") else f"/{address}")).status_code == 200


async def test_parts_have_the_type_that_nosniff_asks_for(service: Service) -> None:
    for part, kind in (("begin.js", "text/javascript"), ("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        assert (await service.client.get(f"/docs/{part}")).headers["content-type"].startswith(kind)
    for other in ("__init__.py", "..%2f__init__.py", "swagger-ui.css.map"):
        assert (await service.client.get(f"/docs/{other}")).status_code == 404


@pytest.mark.slow
@pytest.mark.interop
async def test_browser_shows_the_page_asks_nobody_else_and_finds_nothing_forbidden(service: Service, tmp_path: Path) -> None:
    browser = chromium()
    log = tmp_path / "net.json"
    async with serving(service.app) as served:
        process = await asyncio.create_subprocess_exec(
            browser,
            *FLAGS,
            "--enable-logging=stderr",
            f"--log-net-log={log}",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=20000",
            "--dump-dom",
            f"{served.url}/docs",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        shown, said = (stream.decode() for stream in await asyncio.wait_for(process.communicate(), 60))
    assert "opblock-tag-section" in shown, said[-2000:]
    assert "Log in, users, API keys." in shown
    assert "Content Security Policy" not in said
    requests = [event["params"] for event in json.loads(log.read_text())["events"] if "url" in event.get("params", {})]
    of_the_page = {request["url"] for request in requests if request.get("initiator") == served.url}
    assert f"{served.url}/openapi.json" in of_the_page
    assert all(url.startswith((f"{served.url}/", "data:")) for url in of_the_page), of_the_page
