"""What a call costs the main process while desks and walls look on: `python -m load.desks_bench` (house bench).

200 agents with a phone each and their desks on the stream of live events, 20 walls of a supervisor on the live board, and short calls to
one queue; CPU seconds of the main process over the calls, as JSON. It drives the service by its API and by SIP alone, so it can measure
an older checkout too (`load.alternate`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import sys
from collections import Counter
from typing import Any

import websockets

from load.api_client import ApiClient, ApiError
from load.bench import RTP_PORTS, SETTINGS
from load.command import EXIT_NOT_RUN, EXIT_PASSED
from load.private_instance import InstanceFailed, PrivateInstance, private_instance
from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread
from load.provision import Plan, provisioned
from load.records import AgentAccount
from load.report import Thresholds
from load.runner import Run, RunFailed, Runner

DESKS, BOARDS = 200, 20
CALLS_PER_S = 20.0
TALK_S, RING_S = 1.0, 0.1
SOURCE = "127.0.1.77"
AT_ONCE = 8
"""People who are made and logged in at the same time."""
CHEAP = {"FERNAMT_LOGIN__ARGON2_MEMORY_KIB": "8", "FERNAMT_LOGIN__ARGON2_PASSES": "1"}
"""Two hundred people log in, which is not what is measured."""


def plan(agents: int) -> Plan:
    """The tenant of one run."""
    return Plan(tenant=f"desks-{secrets.token_hex(3)}", agents=agents, dial="+493023125799", source=f"{SOURCE}/32")


def scenario(seconds: float, agents: int, rate: float) -> Scenario:
    """Agents enough that nobody waits long."""
    return Scenario(
        name="desks",
        duration_s=seconds,
        arrivals=(Poisson(rate=rate),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=TALK_S), hangs_up=0.5),
        agent=AgentProfile(ring=Spread(mean_s=RING_S)),
        agents=agents,
    )


class Onlookers:
    """Everybody's sockets, which are read and not looked at."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("http", "ws", 1)
        self._stack = contextlib.AsyncExitStack()
        self._reading: list[asyncio.Task[None]] = []
        self.messages: Counter[str] = Counter()

    async def open(self, path: str, token: str) -> None:
        """One more."""
        headers = {"Authorization": f"Bearer {token}"}
        connecting = websockets.connect(self._url + path, additional_headers=headers, max_size=None, compression=None)
        socket = await self._stack.enter_async_context(connecting)
        await socket.recv(decode=False)  # the state at once: from here on everything is heard
        self._reading.append(asyncio.create_task(self._read(path, socket)))

    async def _read(self, path: str, socket: websockets.ClientConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await socket.recv(decode=False)
                self.messages[path] += 1

    async def close(self) -> None:
        """All of them."""
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        await self._stack.aclose()


async def people(api: ApiClient, tenant: str, accounts: tuple[AgentAccount, ...]) -> tuple[list[str], str]:
    """A user for each agent, and a supervisor: their tokens."""
    password, room = secrets.token_urlsafe(15), asyncio.Semaphore(AT_ONCE)

    def make(user: str, role: str, agent: str | None) -> str:
        api.post("/api/v1/users", {"id": user, "name": user, "role": role, "password": password, "agent": agent})
        with ApiClient(api.url) as own:
            return str(own.log_in(user, password, tenant)["token"])

    async def one(user: str, role: str, agent: str | None) -> str:
        async with room:
            return await asyncio.to_thread(make, user, role, agent)

    desks = await asyncio.gather(*(one(account.agent, "agent", account.agent) for account in accounts))
    return list(desks), await one("chief", "supervisor", None)


async def measure(instance: PrivateInstance, seconds: float, desks: int, boards: int, rate: float) -> dict[str, Any]:
    """One run against a private instance.

    Raises: ApiError, RunFailed
    """
    wanted, onlookers = plan(desks), Onlookers(instance.url)
    with ApiClient(instance.url) as api:
        await asyncio.to_thread(api.log_in, "operator", instance.operator_password)
        async with provisioned(api, wanted, lambda _line: None) as accounts:
            tokens, chief = await people(api, wanted.tenant, accounts)
            try:
                for token in tokens:
                    await onlookers.open("/api/v1/events", token)
                for _ in range(boards):
                    await onlookers.open("/api/v1/board", chief)
                run = Run(
                    scenario=scenario(seconds, desks, rate),
                    server=instance.sip,
                    dial=(wanted.dial,),
                    agents=accounts,
                    seed=1,
                    local_address=SOURCE,
                    server_pid=instance.pid,
                    drain_s=20.0,
                )
                report = await Runner(run, api, lambda *_: None).run(Thresholds())
            finally:
                await onlookers.close()
    told = json.loads(report.to_json())
    return {
        "desks": desks,
        "boards": boards,
        "calls_per_s": rate,
        "main_cpu_ms_per_call": told["server"]["main_cpu_ms_per_call"],
        "main_cpu_share": told["server"]["main_cpu_share"],
        "setup_p50_ms": told["setup"]["p50_ms"],
        "messages": dict(onlookers.messages),
    }


async def run(seconds: float, desks: int, boards: int, rate: float) -> dict[str, Any]:
    """Start a service, measure, end it. Raises: InstanceFailed, ApiError, RunFailed"""
    async with private_instance(SETTINGS | CHEAP, RTP_PORTS) as instance:
        return await measure(instance, seconds, desks, boards, rate)


def main(arguments: list[str] | None = None) -> int:
    """Parse and run: 0, or 2 where it could not be run."""
    parser = argparse.ArgumentParser(prog="python -m load.desks_bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of calls (20)")
    parser.add_argument("--desks", type=int, default=DESKS, help=f"agents with a phone and a desk ({DESKS})")
    parser.add_argument("--boards", type=int, default=BOARDS, help=f"walls ({BOARDS})")
    parser.add_argument("--rate", type=float, default=CALLS_PER_S, help=f"calls a second ({CALLS_PER_S:g})")
    args = parser.parse_args(arguments)
    try:
        told = asyncio.run(run(args.seconds, args.desks, args.boards, args.rate))
    except (RunFailed, ApiError, InstanceFailed, OSError) as fault:
        print(f"desks_bench: {fault}", file=sys.stderr)
        return EXIT_NOT_RUN
    print(json.dumps(told))
    return EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
