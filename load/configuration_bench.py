"""What a change of the configuration costs, by how many agents there are: `python -m load.configuration_bench` (house bench, ADR 0007).

`core`: renaming an agent at the exchange alone; octets of the journal's entry and milliseconds to decide it. `api`: a private instance
whose agents are made one after the other over one HTTP connection, then renamed in turn; milliseconds a request, octets that the journal
grew by, resident memory of the main process from `/proc/<pid>/status` (proc(5)).
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from acd.core import inputs as inp
from acd.core.configuration import Agent, Queue, SkillRequirement, TenantConfiguration
from acd.core.configuration_changes import difference
from acd.core.engine import Engine
from acd.core.ids import AgentId, QueueId, TenantId
from acd.core.replay import Entry, encode
from acd.resolve import resolved
from load.api_client import ApiClient, ApiError
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED
from load.private_instance import InstanceFailed, PrivateInstance, private_instance
from load.server_process import cpu_of

TENANT = "bench"
PASSWORD = secrets.token_urlsafe(18)
CORE_CHANGES = 200
WARM_CHANGES = 500
"""Pools and caches fill with the first requests; growth is counted from then on."""
MOST_RESIDENT_MB = 200.0
MOST_JOURNAL_MB = 2.0
MOST_GROWTH_MB = 8.0
"""What a process that keeps nothing may still go up and down by: arenas of the allocator, pages of the database's cache."""
MOST_OCTETS_RATIO = 1.05


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one change."""

    agents: int
    octets: float
    ms: float


# ---------------------------------------------------------------------- the exchange alone


def core_cost(agents: int) -> Cost:
    """Rename agents of an exchange with a queue that everybody can serve."""
    people = tuple(
        Agent(
            id=AgentId(f"agent-{n:04}"), name=f"Agent {n:04}", extension=str(2000 + n), device=f"agent-{n:04}@host", skills={"support": 5}
        )
        for n in range(agents)
    )
    queue = Queue(id=QueueId("support"), name="Support", requirements=(SkillRequirement(skill="support"),))
    now = TenantConfiguration(tenant=TenantId(TENANT), agents=people, queues=(queue,))
    engine = Engine(TenantId(TENANT))
    now = resolved(now, 1.0)
    engine.handle(inp.Configured(configuration=now), 1.0)
    engine.live()  # somebody looks at the board: who can serve the queue is known, and has to stay so
    octets, spent = 0, 0.0
    for turn in range(CORE_CHANGES):
        at = turn % agents
        renamed = msgspec.structs.replace(now.agents[at], name=f"Named {turn:04}")
        wanted = msgspec.structs.replace(now, agents=(*now.agents[:at], renamed, *now.agents[at + 1 :]))
        began = time.perf_counter()
        given = inp.Reconfigured(changes=difference(now, wanted))
        step = engine.handle(given, 2.0 + turn)
        spent += time.perf_counter() - began
        octets += len(encode(Entry(turn, 2.0 + turn, given, tuple(step.events))))
        now = wanted
    return Cost(agents=agents, octets=octets / CORE_CHANGES, ms=spent / CORE_CHANGES * 1e3)


# ---------------------------------------------------------------------- the whole service


class Tenant:
    """The tenant of a private instance, from outside."""

    def __init__(self, instance: PrivateInstance) -> None:
        self.pid = instance.pid
        self.journal = instance.directory / "data" / "tenants" / TENANT
        self.agents = 0
        self._renamed = 0
        self.api = instance.operator()
        self.api.post("/api/v1/tenants", {"id": TENANT, "name": "Bench", "admin": {"username": "admin", "password": PASSWORD}})
        self.api.close()
        self.api = ApiClient(instance.url)
        self.api.log_in("admin", PASSWORD, TENANT)
        self.api.post("/api/v1/queues", {"id": "support", "name": "Support", "requirements": [{"skill": "support", "level": 1}]})

    def grow(self, agents: int) -> None:
        """Make agents until there are so many."""
        for number in range(self.agents, agents):
            document = self._document(number, f"Agent {number:04}")
            self.api.post("/api/v1/agents", {**document, "device_password": "phone-secret-0815"})
        self.agents = agents

    def rename(self, times: int) -> None:
        """Rename one after the other."""
        for _ in range(times):
            self._renamed += 1
            document = self._document(self._renamed % self.agents, f"Named {self._renamed:05}")
            self.api.put(f"/api/v1/agents/{document['id']}", document)

    @staticmethod
    def _document(number: int, name: str) -> dict[str, object]:
        return {"id": f"agent-{number:04}", "name": name, "extension": str(2000 + number), "skills": {"support": 5}}

    @property
    def cpu_s(self) -> float:
        """Of the main process so far."""
        return cpu_of(self.pid) or 0.0

    @property
    def octets(self) -> int:
        """Of the journal."""
        return sum(file.stat().st_size for file in self.journal.glob("journal-*"))

    @property
    def resident_mb(self) -> float:
        """Of the main process, MB of 10^6 octets."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise ProcessLookupError(f"process {self.pid} is gone")


def api_costs(tenant: Tenant, sizes: Sequence[int], changes: int, problems: list[str]) -> Iterator[str]:
    """Grow to each size and rename there; at the largest, `changes` times over."""
    print(f"api: {tenant.resident_mb:.0f} MB resident without agents", flush=True)
    costs = []
    for size in sorted(sizes):
        before, began, worked = tenant.agents, time.perf_counter(), tenant.cpu_s
        tenant.grow(size)
        more = max(1, size - before)
        made_ms, made_cpu_ms = (time.perf_counter() - began) * 1e3 / more, (tenant.cpu_s - worked) * 1e3 / more
        octets = tenant.octets
        yield (
            f"api: {size} agents, the last {size - before} made in {made_ms:.1f} ms each ({made_cpu_ms:.1f} CPU); "
            f"{tenant.resident_mb:.0f} MB, journal {octets / 1e6:.3f} MB"
        )
        began, worked = time.perf_counter(), tenant.cpu_s
        tenant.rename(WARM_CHANGES)
        spent, cpu_ms = time.perf_counter() - began, (tenant.cpu_s - worked) * 1e3 / WARM_CHANGES
        cost = Cost(agents=size, octets=(tenant.octets - octets) / WARM_CHANGES, ms=spent / WARM_CHANGES * 1e3)
        costs.append(cost)
        yield f"api: {size} agents, a change: {cost.octets:.0f} octets, {cost.ms:.1f} ms ({cpu_ms:.1f} CPU)"
    resident, octets = tenant.resident_mb, tenant.octets
    if resident > MOST_RESIDENT_MB:
        problems.append(f"{resident:.0f} MB resident with {tenant.agents} agents; {MOST_RESIDENT_MB:.0f} are allowed")
    made = octets - sum(cost.octets * WARM_CHANGES for cost in costs)
    if made / 1e6 > MOST_JOURNAL_MB:
        problems.append(f"making {tenant.agents} agents wrote {made / 1e6:.2f} MB of journal; {MOST_JOURNAL_MB:.0f} are allowed")
    _compare(costs, problems)
    if changes:
        began = time.perf_counter()
        tenant.rename(changes)
        spent, grown = time.perf_counter() - began, tenant.resident_mb - resident
        yield (
            f"api: {changes} changes more, {spent / changes * 1e3:.1f} ms and {(tenant.octets - octets) / changes:.0f} octets each; "
            f"{tenant.resident_mb:.0f} MB, {grown:+.1f}"
        )
        if grown > MOST_GROWTH_MB:
            problems.append(f"{changes} changes left {grown:.1f} MB; {MOST_GROWTH_MB:.0f} are noise")


def _compare(costs: Sequence[Cost], problems: list[str]) -> None:
    """Octets must not depend on the number of agents."""
    ratio = costs[-1].octets / costs[0].octets
    if ratio > MOST_OCTETS_RATIO:
        problems.append(f"a change among {costs[-1].agents} agents takes {ratio:.2f} times the octets of one among {costs[0].agents}")


async def run_api(sizes: Sequence[int], changes: int, problems: list[str]) -> None:
    """Measure a private instance.

    Raises: InstanceFailed, ApiError
    """
    async with private_instance() as instance:
        for line in api_costs(await asyncio.to_thread(Tenant, instance), sizes, changes, problems):
            print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Parse and run: 0 within the limits, 1 not, 2 could not be run."""
    parser = argparse.ArgumentParser(prog="python -m load.configuration_bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--agents", type=int, nargs="+", default=[10, 400, 1000], help="sizes to measure at (10 400 1000)")
    parser.add_argument("--changes", type=int, default=10_000, help="renamings at the largest size, for the memory (10000)")
    parser.add_argument("--only", choices=["core", "api"], help="one part")
    args = parser.parse_args(arguments)
    problems: list[str] = []
    if args.only in {None, "core"}:
        costs = [core_cost(size) for size in sorted(args.agents)]
        for cost in costs:
            ratio = cost.ms / costs[0].ms
            print(f"core: {cost.agents} agents, a change: {cost.octets:.0f} octets, {cost.ms:.3f} ms ({ratio:.1f} times the first)")
        _compare(costs, problems)
    if args.only in {None, "api"}:
        try:
            asyncio.run(run_api(args.agents, args.changes, problems))
        except (ApiError, InstanceFailed, OSError) as fault:
            print(f"configuration_bench: {fault}", file=sys.stderr)
            return EXIT_NOT_RUN
    for problem in problems:
        print(f"! {problem}")
    return EXIT_FAILED if problems else EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
