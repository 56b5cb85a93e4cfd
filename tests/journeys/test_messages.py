"""A text message, posted by API, is offered on the live stream, taken, worked and closed by an agent who then takes a call; the process is
killed (kill -9) wherever the message can stand, and nothing of it is lost, done twice, or stands elsewhere afterwards.
"""

import asyncio
import contextlib
import json
import signal

import pytest
import websockets

from acd.core.ids import TenantId
from acd.core.replay import redrive
from acd.journal import read
from load.api_client import ApiClient
from tests.journeys.service import TENANT, ServiceProcess, service

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PASSWORD = "anna-at-the-desk-0815"
TIMES = {
    *("at", "since", "until", "category_since", "waited_s", "longest_wait_s", "estimated_wait_s", "expires_at", "day_ends_at"),
    *("occupancy", "idle_today_s", "busy_today_s"),
}
"""Members of the board that say when, or for how long."""


def still(document):
    """The board but for times."""
    if isinstance(document, dict):
        return {name: still(value) for name, value in document.items() if name not in TIMES}
    return [still(one) for one in document] if isinstance(document, list) else document


class Desk:
    """Anna at her desk: her commands, her live stream, and what a supervisor sees beside."""

    def __init__(self, house: ServiceProcess, stack: contextlib.AsyncExitStack) -> None:
        self._house, self._stack = house, stack
        self.anna = ApiClient(house.api.url)
        stack.callback(self.anna.close)
        self._socket: websockets.ClientConnection

    async def listen(self) -> dict:
        """Log in, and listen from now on; returns the state that the stream begins with."""
        await self._house.log_in()
        await self._house.call(self.anna.log_in, "anna", PASSWORD, TENANT)
        self._socket = await self._stack.enter_async_context(
            websockets.connect(
                f"ws://127.0.0.1:{self._house.http}/api/v1/events", additional_headers={"Authorization": f"Bearer {self.anna.token}"}
            )
        )
        return json.loads(await self._socket.recv())["live"]

    async def hears(self, kind: str) -> dict:
        """The next event of this kind on the stream."""
        async with asyncio.timeout(10):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("event", {}).get("type") == kind:
                    return message["event"]

    async def does(self, verb: str, body: dict | None = None) -> dict:
        return await self._house.call(self.anna.post, f"/api/v1/agents/me/{verb}", body or {})

    async def posted(self, **message: str) -> str:
        body = {"queue": "letters", "customer": "erika@example.com"} | message
        return (await self._house.call(self._house.api.post, "/api/v1/messages", body))["contact"]

    async def board(self) -> dict:
        return still(await self._house.call(self._house.api.get, "/api/v1/live"))

    async def killed(self, state: str) -> None:
        """Kill the process and start it on the same data: the board is the same, and the desk is told so when it comes again."""
        before = await self.board()
        assert [one["state"] for one in before["contacts"]] == ([state] if state else [])
        await self._house.stop(signal.SIGKILL)
        await self._house.start()
        told = await self.listen()
        assert await self.board() == before
        assert [one["id"] for one in told["contacts"]] == [one["id"] for one in before["contacts"]]


async def test_message_is_worked_and_then_a_call_and_kill_9_in_between_changes_nothing(tmp_path):
    async with service(tmp_path) as house, contextlib.AsyncExitStack() as stack:
        devices = await house.provision(("anna",))
        letters = {"id": "letters", "name": "Letters", "requirements": [{"skill": "support"}], "after_call_work_s": 300}
        await house.call(house.api.post, "/api/v1/queues", letters)
        user = {"id": "anna", "name": "Anna", "role": "agent", "agent": "anna", "password": PASSWORD}
        await house.call(house.api.post, "/api/v1/users", user)
        phone = await stack.enter_async_context(house.phone(devices["anna"], "anna"))
        caller = await stack.enter_async_context(house.phone({"username": "+498912345"}, "x"))
        caller.credentials = None
        await phone.register()
        desk = Desk(house, stack)

        contact = await desk.posted(subject="My order", text="Where is it?\nErika")
        await desk.listen()
        await desk.killed("waiting")

        await desk.does("log-on", {"ready": True})
        assert (await desk.hears("OfferMade"))["contact"] == contact
        pop = await desk.hears("ScreenPop")
        assert (pop["channel"], pop["customer"], pop["subject"]) == ("message", "erika@example.com", "My order")
        await desk.killed("offered")
        assert (await house.call(desk.anna.get, f"/api/v1/messages/{contact}"))["text"] == "Where is it?\nErika"

        await desk.does("answer", {"contact": contact})
        await desk.killed("taken")

        # One call, or three messages: another message comes beside the first, a call does not.
        second = await desk.posted()
        assert (await desk.hears("OfferMade"))["contact"] == second
        waits = await caller.call("601")
        await waits.answered()
        (call,) = (await desk.board())["calls"]
        why = await house.call(house.api.get, f"/api/v1/waiting/{call['id']}/why")
        assert why["removed"]["busy"] == ["anna"]
        waits.hang_up()
        await house.cdrs(1)
        await house.call(house.api.request, "DELETE", f"/api/v1/messages/{second}")
        await desk.does(f"contacts/{contact}/disposition", {"code": "sent"})
        await desk.does(f"contacts/{contact}/close")
        await desk.killed("")  # closed, and anna writes up
        (anna,) = (await desk.board())["agents"]
        assert [(work["contact"], work["state"]) for work in anna["work"]] == [(contact, "after_call_work")]
        await desk.does("end-after-call-work", {"contact": contact})

        call = await caller.call("601")
        rung = await phone.incoming()
        offer = await desk.hears("OfferMade")
        assert offer["call"] == offer["contact"]
        await rung.answer()
        await call.answered()
        call.hang_up()
        await rung.ended()
        await house.cdrs(2)
        told = await house.call(house.api.get, f"/api/v1/waiting/{contact}/decisions")
        assert [[one["outcome"] for one in record["outcomes"]] for record in told["decisions"]] == [["answered"]]
        live = await house.call(house.api.get, "/api/v1/live")
        queues = {one["id"]: (one["offered_today"], one["answered_today"], one["withdrawn_today"]) for one in live["queues"]}
        assert queues == {"letters": (2, 1, 1), "support": (2, 1, 0)}
        before = await desk.board()
        await house.restart()
        assert await desk.board() == before
        assert await house.stop() == 0
    (journal,) = {file.parent for file in tmp_path.glob(f"data/tenants/{TENANT}/**/journal-*.log")}
    assert redrive(list(read(journal)), TenantId(TENANT)) is None
