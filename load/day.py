"""A day of short calls of every kind over SIP and RTP, with a book of it kept at the phones (docs/figures.md §7; house).

Cells work side by side. Each has agents, queues, numbers and a menu of its own, so that within a cell everybody knows who will ring, and
plays its calls one after the other. Lines of a carrier call in and are called. What a call waits for is what happens: a phone that rings,
audio that is heard, a piece of work that the desk is told to be done.

    async with day_of(where, cells=16) as day:
        await day.play(200)
    told = await asyncio.to_thread(read, day.api)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import websockets

from load.api_client import ApiClient
from load.day_calls import CALLER_ID, KINDS, TENANT, WAIT_S, Cell
from load.phone_bank import PhoneBank
from load.phones import PhoneCall, SyntheticPhone
from load.wire_book import Book
from sip.flow import HostPort

ADMIN, ADMIN_PASSWORD = "boss", "day-boss-secret-0815"
CARRIER_ADDRESS = "127.0.0.78"
"""Where the carrier's lines are: any address of 127.0.0.0/8 can be bound on Linux, and the agents' phones have another."""
TARIFF = """
id = "day"
version = "10"
currency = "EUR"
valid_from = 2026-01-01T00:00:00+01:00
zone = "Europe/Berlin"
vat_rate = "0.19"
vat_included = false
increment = "1/1"
precision = "0.0001"
rest_band = "rest"

[[rate]]
prefix = "49"
name = { de = "Festnetz", en = "Landline" }
class = "geographic"
per_minute = "1.2345"

[[rate]]
prefix = "4915"
name = { de = "Mobilfunk", en = "Mobile" }
class = "mobile"
per_minute = "0.099"
increment = "30/6"
setup = "0.035"

[[rate]]
prefix = "4917"
name = { de = "Mobilfunk mit Steuer", en = "Mobile with VAT" }
class = "mobile"
per_minute = "0.187"
vat_included = true

[[rate]]
prefix = "4932"
name = { de = "Nationale Rufnummer", en = "National number" }
class = "national"
per_minute = "0.045"
minimum = "0.01"

[[rate]]
prefix = "49800"
name = "Freephone"
class = "freephone"
free = true
"""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The service that is called."""

    sip: HostPort
    url: str
    operator_password: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says of the day, as its API says it."""

    board: dict[str, Any]
    records: list[dict[str, Any]]
    """The export as JSON lines."""
    records_csv: str
    charges: list[dict[str, Any]]
    months: dict[str, dict[str, Any]]
    invoices: dict[str, dict[str, Any]]


def read(api: ApiClient) -> Said:
    """Board, records, charges, month sums and invoices over the public API.

    Raises: ApiError
    """
    records = [msgspec.json.decode(line) for line in api.request("GET", "/api/v1/cdrs/export?format=json").splitlines()]
    charges = [msgspec.json.decode(line) for line in api.request("GET", "/api/v1/charges/export?format=json").splitlines()]
    # A month is the invoicing place's; one more on either side does no harm.
    months = sorted({month for one in records for month in _months_near(one["began_at"])})
    return Said(
        board=api.get("/api/v1/live"),
        records=records,
        records_csv=api.request("GET", "/api/v1/cdrs/export?format=csv").decode(),
        charges=charges,
        months={month: api.get(f"/api/v1/billing/months/{month}") for month in months},
        invoices={month: api.get(f"/api/v1/billing/invoices/{month}") for month in months},
    )


def _months_near(instant: str) -> list[str]:
    """The month of an instant in UTC, and the one after."""
    year, month = int(instant[:4]), int(instant[5:7])
    return [f"{year}-{month:02d}", f"{year + month // 12}-{month % 12 + 1:02d}"]


def zone_of_noon(now: float) -> str:
    """A zone in which it is about noon: there no day ends while calls are counted. (`Etc/GMT-3` is three hours east.)"""
    return f"Etc/GMT{int(now // 3600) % 24 - 12:+d}"


class Works:
    """What the desk is told of agents' work, from the stream of events: for whoever waits until somebody is free. It makes no figure."""

    def __init__(self) -> None:
        self._done: dict[str, list[float]] = defaultdict(list)
        self._calls: dict[str, list[str]] = defaultdict(list)
        self._changed = asyncio.Condition()

    async def listen(self, socket: websockets.ClientConnection) -> None:
        """Read the stream until it ends."""
        async for message in socket:
            event = msgspec.json.decode(message).get("event") or {}
            kind = event.get("type")
            if kind in {"WorkReserved", "WorkDone"}:
                if kind == "WorkDone":
                    self._done[event["agent"]].append(PhoneBank.clock())
                else:
                    self._calls[event["agent"]].append(event["call"])
                async with self._changed:
                    self._changed.notify_all()

    async def done(self, agent: str, pieces: int) -> float:
        """Until the agent has done with so many pieces of work; when that was told of the last of them."""
        await self._until(lambda: len(self._done[agent]) >= pieces)
        return self._done[agent][pieces - 1] if pieces else 0.0

    async def call(self, agent: str, piece: int) -> str:
        """The exchange's name for the call of the agent's piece of work, counted from 1."""
        await self._until(lambda: len(self._calls[agent]) >= piece)
        return self._calls[agent][piece - 1]

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(true)


class Day:
    """The service, the carrier's lines, the cells, and the book."""

    def __init__(self, where: Where, cells: int, seed: int) -> None:
        self.where = where
        self.api = ApiClient(where.url)
        self.book = Book()
        self.works = Works()
        self.rng = random.Random(seed)
        self.carrier = PhoneBank(CARRIER_ADDRESS)
        self.phones = PhoneBank()
        self.outside = SyntheticPhone(where.sip, "carrier", bank=self.carrier, takes_all=True, address=CARRIER_ADDRESS)
        self.expected: dict[str, asyncio.Future[PhoneCall]] = {}
        """Number outside -> who waits for it to be called."""
        self.cells = [Cell(self, index) for index in range(cells)]
        self._numbers = itertools.count(1)
        self.outside.on_incoming = self._called

    def _called(self, call: PhoneCall) -> None:
        assert call.request is not None
        waiting = self.expected.pop(call.request.uri.user or "", None)
        if waiting is not None and not waiting.done():
            waiting.set_result(call)

    def number(self) -> int:
        """A number of its own for each call."""
        return next(self._numbers)

    # ------------------------------------------------------------------ set-up

    def set_up(self) -> None:
        """Tenant, trunk, price list, and what each cell has: through the API.

        Raises: ApiError
        """
        api = self.api
        api.log_in("operator", self.where.operator_password)
        api.post("/api/v1/tenants", {"id": TENANT, "name": "Day", "admin": {"username": ADMIN, "password": ADMIN_PASSWORD}})
        api.put(f"/api/v1/tenants/{TENANT}/assignments", {"may_claim_numbers": True})
        api.post(f"/api/v1/tenants/{TENANT}/sources", {"network": f"{CARRIER_ADDRESS}/32", "note": "the carrier"})
        api.post(f"/api/v1/tenants/{TENANT}/caller-ids", {"number": CALLER_ID})
        api.log_in(ADMIN, ADMIN_PASSWORD, TENANT)
        peer = f"{CARRIER_ADDRESS}:{self.carrier.port}"
        trunk = {"id": "carrier", "name": "Carrier", "peer": peer, "sources": [f"{CARRIER_ADDRESS}/32"], "probe_every_s": 0}
        api.post("/api/v1/trunks", trunk | {"caller_id": CALLER_ID})
        api.post("/api/v1/tariffs", {"toml": TARIFF})
        api.post("/api/v1/schedules", {"id": "noon", "timezone": zone_of_noon(time.time())})
        for cell in self.cells:
            cell.set_up(api)

    def desk_of(self, agent: str) -> str:
        """Log in at the desk of an agent; the token."""
        password = f"{agent}-at-the-desk-0815"
        self.api.post("/api/v1/users", {"id": agent, "name": agent.title(), "role": "agent", "agent": agent, "password": password})
        desk = ApiClient(self.where.url)
        try:
            return str(desk.log_in(agent, password, TENANT)["token"])
        finally:
            desk.close()

    async def go_ready(self) -> None:
        """Every phone registers, and every agent who has one is ready."""
        for cell in self.cells:
            for name, phone in cell.phones.items():
                await phone.register()
                await asyncio.to_thread(self.api.post, f"/api/v1/agents/{name}/log-on", {"ready": True})

    # ------------------------------------------------------------------ playing

    async def play(self, calls: int) -> None:
        """So many conversations, of every kind alike; afterwards everybody is free and everything is written down."""
        deck = [KINDS[at % len(KINDS)] for at in range(calls)]
        self.rng.shuffle(deck)
        deal = [deck[at :: len(self.cells)] for at in range(len(self.cells))]
        async with asyncio.TaskGroup() as group:
            for cell, kinds in zip(self.cells, deal, strict=True):
                group.create_task(cell.play(kinds))

    async def until_written(self) -> None:
        """Until every conversation of the book has a record that can be read."""
        async with asyncio.timeout(WAIT_S):
            while True:
                lines = await asyncio.to_thread(self.api.request, "GET", "/api/v1/cdrs/export?format=json")
                if len(lines.splitlines()) >= len(self.book.pages):
                    return
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def day_of(where: Where, cells: int = 16, seed: int = 1) -> AsyncIterator[Day]:
    """A day that can be played: set up, phones registered, agents ready, the desk's stream read.

    Raises: ApiError: the service said no; OSError: no port
    """
    day = Day(where, cells, seed)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(day.api.close)
        for bank in (day.carrier, day.phones):
            await bank.start()
            stack.push_async_callback(bank.close)
        await asyncio.to_thread(day.set_up)
        for phone in (day.outside, *(phone for cell in day.cells for phone in cell.phones.values())):
            await stack.enter_async_context(phone)
        url = f"{where.url.replace('http', 'ws', 1)}/api/v1/events"
        headers = {"Authorization": f"Bearer {day.api.token}"}
        socket = await stack.enter_async_context(websockets.connect(url, additional_headers=headers, max_size=None))
        listening = asyncio.create_task(day.works.listen(socket))
        stack.callback(listening.cancel)
        await day.go_ready()
        yield day
