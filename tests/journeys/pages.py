"""The phone of a page as in a browser, but for its audio: logs in, asks for a pass, opens a real WebSocket, and speaks SIP over it."""

import contextlib
from typing import Any

from load.api_client import ApiClient
from sip.digest import DigestCredentials
from sip.uri import Uri
from tests.journeys.service import TENANT, ServiceProcess
from tests.ports import HOST
from tests.sip.io.pages import Page
from tests.sip_sockets import Wire

PASSWORD = "correct horse battery staple 0815"


class PagePhone:
    """See the module."""

    def __init__(self, house: ServiceProcess, user: str) -> None:
        self.house, self.user = house, user
        self.api = ApiClient(f"http://{HOST}:{house.http}")
        self.pass_: dict[str, Any] = {}
        self.page: Page
        self._wires: list[Wire] = []

    async def log_in(self) -> None:
        await self.house.call(self.api.log_in, self.user, PASSWORD, TENANT)
        self.pass_ = await self.house.call(self.api.post, "/api/v1/desk/phone")

    @property
    def credentials(self) -> DigestCredentials:
        return DigestCredentials(self.pass_["login"], self.pass_["password"], self.pass_["realm"])

    async def begin(self, sdp: bytes) -> None:
        """The page is loaded: it connects, and registers."""
        await self.log_in()
        self.page = Page(Uri.parse(self.pass_["uri"]))
        self.page.sdp = sdp
        await self.come_again()

    async def come_again(self, *, registers: bool = True) -> None:
        """The same page over another WebSocket."""
        wire = Wire(self.house.http, str(self.api.token))
        self._wires.append(wire)
        await self.page.on(wire)
        if registers:
            self.page.register(self.credentials)

    async def close(self) -> None:
        with contextlib.suppress(AttributeError):
            self.page.close()
        for wire in self._wires:
            if wire._socket is not None:
                await wire.socket.close()
        await self.house.call(self.api.close)


@contextlib.asynccontextmanager
async def page_phone(house: ServiceProcess, user: str = "anna"):
    """A user of that name, who is the agent of that name, and the page."""
    await house.call(
        house.api.post, "/api/v1/users", {"id": user, "name": user.title(), "role": "agent", "agent": user, "password": PASSWORD}
    )
    phone = PagePhone(house, user)
    try:
        yield phone
    finally:
        await phone.close()
