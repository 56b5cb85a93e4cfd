"""The whole service as an operator runs it: a process of its own, free ports, its own data, stopped by pid.

Every stop in order is followed by a look at what is left: journal and database must tell what the API told before (`Told`).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import create_async_engine

from acd.core.ids import TenantId
from acd.core.live import LiveState
from acd.core.replay import fold
from acd.journal import read
from acd.networks import EVERYTHING, LOOPBACK
from api.contract.cdr import shown
from billing_cdr import store
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge
from load.api_client import ApiClient, ApiError
from load.phones import SyntheticPhone
from tests import prefork
from tests.ports import HOST, free_port, rtp_range
from tests.words import same_when_read

OPERATOR = "operator-secret-0815"
CALLER_ID = "+493023125000"
ADMIN = "admin-secret-0815"
TENANT = "tele"
READY_S = 60.0


@dataclass(frozen=True)
class Told:
    """What a restart must not change: agents, registrations, queues with their figures of today, records and what they cost."""

    agents: dict[str, tuple[str, str | None, bool]]
    queues: dict[str, tuple[str, int, int, int]]
    records: dict[str, tuple[Cdr, Charge | None]]
    calls: frozenset[str]
    """Those that live: a stop ends them, so that their agents and queues move on, and their records come."""

    @classmethod
    def of(cls, live: Any, records: list[tuple[Cdr, Charge | None]]) -> "Told":
        board = msgspec.convert(live, LiveState, from_attributes=True)
        return cls(
            {one.id: (str(one.state), one.reason, one.registered) for one in board.agents},
            {one.id: (str(one.state), one.waiting_count, one.offered_today, one.answered_today) for one in board.queues},
            {cdr.id: (cdr, charge) for cdr, charge in records},
            frozenset(call.id for call in board.calls),
        )

    def must_be(self, later: "Told") -> None:
        assert {id_: later.records.get(id_) for id_ in self.records} == self.records
        assert not later.calls
        assert later.records.keys() - self.records.keys() <= self.calls
        assert later.agents.keys() == self.agents.keys()
        if not self.calls:
            assert (later.agents, later.queues) == (self.agents, self.queues)


class ServiceProcess:
    """`fernamt run`, with what a test does to it. Ports and data stay over a restart."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.sip = (HOST, free_port())
        self.http = free_port()
        first, last = rtp_range()
        self._environment = (
            os.environ
            | {
                "FERNAMT_DATA": str(folder / "data"),
                "FERNAMT_SIP__LISTEN": f"{HOST}:{self.sip[1]}",
                "FERNAMT_HTTP__HOST": HOST,
                "FERNAMT_HTTP__PORT": str(self.http),
                "FERNAMT_MEDIA__FIRST_PORT": str(first),
                "FERNAMT_MEDIA__LAST_PORT": str(last),
                "FERNAMT_MEDIA__WORKERS": "1",
                "FERNAMT_OPERATOR__PASSWORD": OPERATOR,
                "FERNAMT_REACH__ALLOW": ",".join(EVERYTHING + LOOPBACK),
                "FERNAMT_LOGIN__ARGON2_MEMORY_KIB": "8",  # who guesses from stolen hashes is no guest here
                "FERNAMT_LOGIN__ARGON2_PASSES": "1",
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            }
            | settings
        )
        self._process: prefork.Forked | None = None
        self._is_provisioned = False
        self.api = ApiClient(f"http://{HOST}:{self.http}")
        self._desk = ThreadPoolExecutor(1)  # a connection belongs to its thread, so one thread makes all calls and closes it

    async def start(self, *arguments: str) -> str:
        """Start and wait until it says it is ready; returns what it printed, that line the last."""
        log = (self.folder / "service.log").open("ab")
        self._process = await prefork.run(*arguments, cwd=self.folder, env=self._environment, stderr=log.fileno())
        log.close()
        said = b""
        async with asyncio.timeout(READY_S):
            while b"fernamt is ready" not in said:
                line = await self._process.stdout.readline()
                if not line:
                    raise AssertionError(f"the service did not start:\n{(self.folder / 'service.log').read_text()[-4000:]}")
                said += line
        return said.decode()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal to the process and wait for its end; returns the exit status.

        After a stop in order what is on disk is read, and must tell what the service told.
        """
        assert self._process is not None
        in_order = number is signal.SIGTERM and self._is_provisioned
        before = await self.told() if in_order else None
        status = await self._end(number)
        if before is not None:
            before.must_be(await self.told_by_disk())
        return status

    async def crash(self) -> None:
        """As when the machine fails: the process is killed, and its media workers with it."""
        workers = self.workers()
        await self.stop(signal.SIGKILL)
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Process ids of the media workers on our data, whoever started them."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if b"media.worker" in words and any(str(self.folder / "data").encode() in word for word in words):
                    found.append(int(process.name))
        return found

    async def restart(self) -> None:
        """Stop in order and start again on the same data: the new process must tell what the old one told."""
        before = await self.told()
        assert await self._end(signal.SIGTERM) == 0
        await self.start()
        await self.log_in()
        before.must_be(await self.told())

    async def told(self) -> Told:
        """What the API says."""
        if self.api.token is None:
            await self.log_in()
        live = await self.call(self.api.get, "/api/v1/live")
        records = [(convert(one["cdr"], Cdr), convert(one["charge"], Charge | None)) for one in await self.call(self._all_cdrs)]
        return Told.of(live, records)

    async def told_by_disk(self) -> Told:
        """What the journal, folded from its first entry, and the database say while no process runs."""
        (journal,) = {file.parent for file in self.folder.glob(f"data/tenants/{TENANT}/**/journal-*.log")}
        url = self._environment.get("FERNAMT_DATABASE__TENANT_URL", "sqlite+aiosqlite:///{folder}/tenant.sqlite")
        database = create_async_engine(url.format(tenant=TENANT, folder=self.folder / "data" / "tenants" / TENANT))
        try:
            async with database.connect() as connection:
                found = await store.find(connection, store.Filter(), store.Page(limit=500))
        finally:
            await database.dispose()
        entries = [same_when_read(entry) for entry in read(journal)]
        return Told.of(fold(entries, TenantId(TENANT)).live(), [(shown(entry.cdr), entry.charge) for entry in found.entries])

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        await self.call(self.api.close)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        async with asyncio.timeout(30):
            status = await self._process.wait()
        self._process.close()  # the pipe of stdout, which nobody reads to its end
        self._process = None
        return status

    def close(self) -> None:
        self._desk.shutdown()

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text()

    async def call(self, function, *arguments):
        """A blocking API call beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._desk, function, *arguments)

    async def provision(self, agents: tuple[str, ...] = ("anna", "ben"), **trunk: object) -> dict[str, dict]:
        """A tenant with a menu on 600 and a queue on 601; returns the agents' devices. Afterwards `api` is its administrator."""
        devices = await self.call(self._provision, agents, trunk)
        self._is_provisioned = True
        return devices

    def _provision(self, agents: tuple[str, ...], trunk: dict) -> dict[str, dict]:
        api = self.api
        api.log_in("operator", OPERATOR)
        api.post("/api/v1/tenants", {"id": TENANT, "name": "Tele", "admin": {"username": "admin", "password": ADMIN}})
        # What an operator gives: calls from all of this machine, and the numbers that calls out of it show.
        api.put(f"/api/v1/tenants/{TENANT}/assignments", {"may_claim_numbers": True, "may_have_internal_trunks": True})
        for network in ("127.0.0.0/8", "::1/128"):
            api.post(f"/api/v1/tenants/{TENANT}/sources", {"network": network, "note": "this machine"})
        api.post(f"/api/v1/tenants/{TENANT}/caller-ids", {"number": CALLER_ID})
        api.log_in("admin", ADMIN, TENANT)
        api.post(
            "/api/v1/trunks",
            {"id": "callers", "name": "Callers", "peer": "127.0.0.1:9", "sources": ["127.0.0.0/8"], "probe_every_s": 0} | trunk,
        )
        queue = {
            "id": "support",
            "name": "Support",
            "requirements": [{"skill": "support", "level": 1}],
            "strategy": "best_skill",
            "after_call_work_s": 0,
        }
        api.post("/api/v1/queues", queue)
        menu = {"id": "main", "sounds": ["menu"], "options": {"1": {"to": "queue", "queue": "support"}}}
        api.post("/api/v1/menus", menu)
        api.post("/api/v1/numbers", {"number": "600", "target": {"to": "menu", "menu": "main"}})
        api.post("/api/v1/numbers", {"number": "601", "target": {"to": "queue", "queue": "support"}})
        devices = {}
        for level, name in enumerate(reversed(agents), 3):
            document = {"id": name, "name": name.title(), "skills": {"support": min(level, 10)}, "device_password": f"{name}-secret-0815"}
            devices[name] = api.post("/api/v1/agents", document)["device"]
        return devices

    async def log_in(self) -> None:
        await self.call(self.api.log_in, "admin", ADMIN, TENANT)

    async def ready(self, name: str) -> None:
        await self.call(self.api.post, f"/api/v1/agents/{name}/log-on")
        await self.call(self.api.post, f"/api/v1/agents/{name}/ready")

    async def registered(self, name: str) -> None:
        """Waits until the exchange knows a contact of the agent's phone."""
        async with asyncio.timeout(15):
            while not any(one["registered"] for one in (await self.call(self.api.get, "/api/v1/live"))["agents"] if one["id"] == name):
                await asyncio.sleep(0.05)

    async def cdrs(self, count: int) -> list[dict]:
        """Waits until so many CDRs can be read over the API."""
        async with asyncio.timeout(15):
            while True:
                found = await self.call(self._all_cdrs)
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.1)

    def _all_cdrs(self) -> list[dict]:
        page = self.api.get("/api/v1/cdrs?limit=100")
        found = page["items"]
        while page["next"] is not None:
            page = self.api.get(f"/api/v1/cdrs?limit=100&after={page['next']}")
            found += page["items"]
        return found

    def phone(self, device: dict, name: str) -> SyntheticPhone:
        return SyntheticPhone(self.sip, user=device["username"], password=f"{name}-secret-0815")


def convert(document: Any, kind: Any) -> Any:
    """A record as JSON told it."""
    return msgspec.convert(document, kind, strict=False)


@contextlib.asynccontextmanager
async def service(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[ServiceProcess]:
    running = ServiceProcess(folder, **settings)
    await running.start(*arguments)
    try:
        yield running
        if running.is_running:
            await running.stop()
    finally:
        if running.is_running:  # what went wrong is on its way already
            await running._end(signal.SIGTERM)
        running.close()


__all__ = ["ADMIN", "OPERATOR", "TENANT", "ApiError", "ServiceProcess", "Told", "service"]
