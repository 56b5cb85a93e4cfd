"""A softphone in a page: a browser at the service's own address, led by its DevTools protocol, with JsSIP for SIP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from load.api_client import ApiClient
from tests import browser
from tests.browser import Page
from tests.journeys.service import TENANT, ServiceProcess
from tests.page.bundle import script
from tests.ports import HOST

PASSWORD = "correct horse battery staple 0815"
ON_LOOPBACK = ("--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required")
"""WebRTC sends to no loopback address, and nobody clicks: what the tests need, and nothing about timers."""
NEAR_HZ = 25


class Softphone:
    """One page of one agent."""

    def __init__(self, page: Page, house: ServiceProcess, user: str, hz: int) -> None:
        self.page, self.house, self.user, self.hz = page, house, user, hz
        self.api = ApiClient(f"http://{HOST}:{house.http}")

    async def log_in(self) -> None:
        await self.house.call(self.api.log_in, self.user, PASSWORD, TENANT)

    async def start(self, **settings: Any) -> None:
        """Load the program into the page, log its phone in, and register.

        Args:
            settings: of `phone.js` besides, or instead of what the service gives.
        """
        own = await self.house.call(self.api.post, "/api/v1/desk/phone")
        url = f"ws://{HOST}:{self.house.http}{own['websocket']}"
        given = {"url": url, "token": self.api.token, "hz": self.hz, **{name: own[name] for name in ("uri", "login", "realm", "password")}}
        await self.page.says(script())
        await self.page.says(f"phone.start({json.dumps(given | settings)})")
        await self.page.until("phone.events.includes('registered')")

    async def says(self, expression: str) -> Any:
        return await self.page.says(expression)

    async def state(self, *states: str) -> None:
        """Until the latest call is in one of them."""
        await self.page.until(f"{json.dumps(states)}.includes(phone.call?.state)")

    async def rings(self) -> None:
        await self.state("progress")

    async def answer(self) -> None:
        await self.says("phone.call.answer()")
        await self.state("confirmed")

    async def hold(self) -> None:
        """Returns when the other end has agreed."""
        await self.says("phone.call.session.hold()")
        await self.page.until("phone.call.held === 'l' && phone.call.session.isReadyToReOffer()")

    async def unhold(self) -> None:
        """Returns when the other end has agreed."""
        await self.says("phone.call.session.unhold()")
        await self.page.until("phone.call.held === '' && phone.call.session.isReadyToReOffer()")

    async def hears(self, hz: float) -> None:
        """Until it hears this tone, louder than all else."""
        await self.page.until(f"(heard => Math.abs(heard.hz - {hz}) < {NEAR_HZ} && heard.db > -60)(phone.call.hears())")

    async def hears_anew(self, hz: float) -> None:
        """The same, of what comes from now on."""
        before = (await self.figures())["received"]
        await self.page.until(f"phone.call.figures().then(found => found.received > {before + 10})")
        await self.hears(hz)

    async def hears_nothing(self) -> None:
        await self.page.until("phone.call.hears().db < -90")

    async def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.says("phone.call.figures()")
        return found


@contextlib.asynccontextmanager
async def softphone(house: ServiceProcess, folder: Path, user: str = "anna", hz: int = 1000, *flags: str) -> AsyncIterator[Softphone]:
    """A user of that name, who is the agent of that name, in a browser at the service's page, logged in; `start` registers it."""
    with contextlib.suppress(Exception):
        await house.call(
            house.api.post, "/api/v1/users", {"id": user, "name": user.title(), "role": "agent", "agent": user, "password": PASSWORD}
        )
    async with browser.page(f"http://{HOST}:{house.http}/", folder, *ON_LOOPBACK, *flags) as page:
        phone = Softphone(page, house, user, hz)
        try:
            await phone.log_in()
            yield phone
        finally:
            await asyncio.shield(house.call(phone.api.close))
