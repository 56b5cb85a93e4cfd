"""One measured run against a service, with the limits it must keep: what routing_bench and acceptance are made of (house)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from load.api_client import ApiClient
from load.command import print_second
from load.plot import draw
from load.private_instance import PrivateInstance
from load.profiles import Scenario
from load.provision import Plan, provisioned
from load.records import AgentAccount
from load.report import Report, Thresholds, summary
from load.runner import Run, Runner

RTP_PORTS = 12_000
"""Four ports a bridged call; those of ended calls rest a while."""
SETTINGS = {"FERNAMT_OVERLOAD__CALLS_PER_SECOND": "1000", "FERNAMT_OVERLOAD__BURST": "2000"}
"""The benches measure what the service can do, not where it says no."""


@contextlib.contextmanager
def _pinned(pid: int | None) -> Iterator[None]:
    """All threads of the process on its last core, for as long as the context lasts (sched_setaffinity(2))."""
    if pid is None:
        yield
        return
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    before = os.sched_getaffinity(pid)
    for thread in threads:
        os.sched_setaffinity(thread, {max(before)})
    try:
        yield
    finally:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, before)


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured."""

    sip: tuple[str, int]
    url: str
    operator_password: str
    pid: int | None

    @classmethod
    def of(cls, instance: PrivateInstance) -> Service:
        """A private instance."""
        return cls(sip=instance.sip, url=instance.url, operator_password=instance.operator_password, pid=instance.pid)


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """One run by name."""

    name: str
    scenario: Scenario
    limits: Thresholds
    with_rtp: bool = False
    drain_s: float = 20.0
    seed: int = 1
    on_one_core: bool = False
    """Keep the main process on one core while it is measured: what "CPU on one core" means, without the cost of moving between two."""


async def carry_out(bench: Bench, number: int, service: Service, reports: Path | None = None) -> Report:
    """Provision a tenant of its own, run, print, write `<name>.json` and `<name>.svg`.

    Args:
        number: of the bench in its series: tenant and source address are made of it, since two tenants cannot own one address.
    Raises: ApiError, RunFailed
    """
    scenario = bench.scenario
    source = f"127.0.1.{number}"
    plan = Plan(
        tenant=f"bench{number}-{secrets.token_hex(3)}",  # a closed tenant keeps its name
        agents=scenario.agents,
        dial=f"+4930231257{80 + number % 19}",
        source=f"{source}/32",
        after_call_work_s=scenario.after_call_work_s,
    )
    with ApiClient(service.url) as api:
        await asyncio.to_thread(api.log_in, "operator", service.operator_password)
        async with provisioned(api, plan, lambda _line: None) as accounts:
            return await _measure(bench, service, plan, accounts, api, reports)


async def _measure(
    bench: Bench, service: Service, plan: Plan, accounts: tuple[AgentAccount, ...], api: ApiClient, reports: Path | None
) -> Report:
    scenario = bench.scenario
    print(f"\n{bench.name}: {scenario.duration_s:.0f} s, {scenario.agents} agents{', RTP' if bench.with_rtp else ''}", flush=True)
    run = Run(
        scenario=scenario,
        server=service.sip,
        dial=(plan.dial,),
        agents=accounts,
        seed=bench.seed,
        local_address=plan.source.partition("/")[0],
        with_rtp=bench.with_rtp,
        server_pid=service.pid,
        drain_s=bench.drain_s,
    )
    limits = bench.limits if service.pid is not None else msgspec.structs.replace(bench.limits, main_cpu_ms_per_call=None)
    with _pinned(service.pid if bench.on_one_core else None):
        report = await Runner(run, api, print_second).run(limits)
    for line in summary(report):
        print(line)
    for problem in report.problems:
        print(f"FAILED {problem}")
    if reports is not None:
        _write(report, reports, bench.name)
    return report


def _write(report: Report, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(report.to_json())
    draw(report, folder / f"{name}.svg")
