"""A whole conversation, and a message, over a running service: sockets and answers say what AsyncAPI and OpenAPI say, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import websockets
from websockets.typing import Subprotocol

from load.api_client import ApiClient
from load.phone_bank import PhoneBank
from load.phones import SyntheticPhone
from tests.journeys.service import CALLER_ID, TENANT, ServiceProcess, service
from tests.ports import HOST, free_port
from tests.schemas import check, check_message, of_openapi

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PASSWORD = "anna-at-the-desk-0815"
OUTSIDE, CALLER = "+4930231256789", "+491711234567"


class Listener:
    """One socket, and every message it was sent; each is judged as it comes."""

    def __init__(self, channel: str, socket: websockets.ClientConnection) -> None:
        self.channel = channel
        self.kinds: list[str] = []
        self._socket = socket
        self._came = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            check_message(self.channel, message)
            async with self._came:
                self.kinds.append(message["event"]["type"] if "event" in message else message["type"])
                self._came.notify_all()

    async def hears(self, kind: str) -> None:
        """Waits until an event of this kind has come; what was wrong with any message before is raised here."""
        async with asyncio.timeout(15), self._came:
            while kind not in self.kinds:
                if self._reading.done():
                    self._reading.result()
                await asyncio.wait_for(self._came.wait(), 15)

    async def close(self) -> None:
        await self._socket.close()
        await self._reading


async def listening(stack: contextlib.AsyncExitStack, house: ServiceProcess, channel: str, token: str | None) -> Listener:
    """As a browser comes in."""
    socket = await websockets.connect(
        f"ws://{HOST}:{house.http}/api/v1/{channel}", subprotocols=[Subprotocol("fernamt.v1"), Subprotocol(f"bearer.{token}")]
    )
    assert socket.subprotocol == "fernamt.v1"
    one = Listener(channel, socket)
    stack.push_async_callback(one.close)
    await one.hears("live")
    return one


def build(house: ServiceProcess, carrier: int) -> None:
    """A carrier, after-call work, a user at anna's desk, and somebody whom the platform knows by her number."""
    api = house.api
    api.post(
        "/api/v1/trunks", {"id": "carrier", "name": "Carrier", "peer": f"{HOST}:{carrier}", "probe_every_s": 0, "caller_id": CALLER_ID}
    )
    letters = {"id": "letters", "name": "Letters", "requirements": [{"skill": "support", "level": 1}], "after_call_work_s": 60}
    api.post("/api/v1/queues", letters | {"greeting": [], "announce_position": False})
    api.post("/api/v1/numbers", {"number": "603", "target": {"to": "queue", "queue": "letters"}})
    api.post("/api/v1/users", {"id": "anna", "name": "Anna", "role": "agent", "agent": "anna", "password": PASSWORD})
    contact = api.post("/api/v1/contacts", {"name": "Erika Muster", "numbers": [CALLER]})["id"]
    api.post("/api/v1/tickets", {"subject": "No dial tone", "contact": contact})
    when = {"starts_at": "2090-03-02T09:00:00Z", "ends_at": "2090-03-02T10:00:00Z"}
    api.post("/api/v1/appointments", {"contact": contact, "title": "Visit", **when})


async def test_what_is_sent_of_a_whole_conversation_is_what_the_documents_say(tmp_path: Path) -> None:
    async with service(tmp_path) as house, contextlib.AsyncExitStack() as stack:
        port = free_port()
        devices = await house.provision(("anna",), outbound=False)
        await house.call(build, house, port)
        bank = PhoneBank(HOST, port)
        await bank.start()
        stack.push_async_callback(bank.close)
        carrier = await stack.enter_async_context(SyntheticPhone(house.sip, user=OUTSIDE, bank=bank))
        anna = await stack.enter_async_context(house.phone(devices["anna"], "anna"))
        caller = await stack.enter_async_context(SyntheticPhone(house.sip, user=CALLER))
        await anna.register()
        desk = ApiClient(house.api.url)
        stack.callback(desk.close)
        await house.call(desk.log_in, "anna", PASSWORD, TENANT)
        own = await listening(stack, house, "events", desk.token)
        every = await listening(stack, house, "events", house.api.token)
        board = await listening(stack, house, "board", house.api.token)

        async def does(path: str, body: dict[str, Any] | None = None) -> None:
            done = await house.call(desk.post, f"/api/v1/agents/me/{path}", body or {})
            for event in done["events"]:
                check(of_openapi(event["type"]), event)

        await does("log-on", {"ready": True})
        line = await caller.call("603")
        await own.hears("ScreenPop")
        rung = await anna.incoming()
        (call,) = [one["id"] for one in (await got(house, "live", "LiveState"))["calls"]]
        await rung.answer()
        await every.hears("CallEstablished")
        await does(f"calls/{call}/hold")
        await does(f"calls/{call}/retrieve")
        await does(f"calls/{call}/consult", {"target": {"to": "outside", "number": OUTSIDE}})
        taken = await carrier.incoming()
        await taken.answer()
        await own.hears("CallConsulted")
        await does(f"calls/{call}/complete")
        await rung.ended()
        await own.hears("AfterCallWorkBegan")
        await does(f"calls/{call}/disposition", {"code": "sold"})
        line.hang_up()
        await taken.ended()
        await every.hears("CallCleared")
        await does("end-after-call-work")
        contact = (await house.call(house.api.post, "/api/v1/messages", {"queue": "letters", "customer": "erika@example.com"}))["contact"]
        await every.hears("ContactOpened")
        await does("answer", {"contact": contact})
        await does(f"contacts/{contact}/close")
        await own.hears("ContactClosed")

        (record,) = await house.cdrs(1)
        check(of_openapi("Cdr"), record["cdr"])
        check(of_openapi("Charge"), record["charge"])
        explained = await got(house, f"cdrs/{call}/charge")
        check(of_openapi("Charge"), explained["charge"])
        assert [line["kind"] for line in explained["charge"]["lines"]].count("call") == 1
        assert any(leg["quote"] for leg in record["cdr"]["legs"])
        for of in (f"calls/{call}", f"waiting/{contact}"):
            for decision in (await got(house, f"{of}/decisions"))["decisions"]:
                check(of_openapi("DecisionRecord"), decision)
                assert [one["outcome"] for one in decision["outcomes"]] == ["answered"]
        check(of_openapi("Quote"), (await got(house, f"quote?number={quote(OUTSIDE)}"))["quote"])
        check(of_openapi("NothingCharged"), (await got(house, "quote?number=603"))["quote"])
        for kind in ("CallOffered", "Queued", "OfferMade", "LegHeld", "LegQuoted", "ConsultationEnded", "LegMeasured", "WorkDone"):
            await every.hears(kind)
        assert "ScreenPop" not in every.kinds
        assert set(board.kinds) == {"live"}


async def got(house: ServiceProcess, path: str, name: str | None = None) -> Any:
    found = await house.call(house.api.get, f"/api/v1/{path}")
    if name is not None:
        check(of_openapi(name), found)
    return found
