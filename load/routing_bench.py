"""How fast a freed agent gets the next caller, and what a queue call costs the main process: `python -m load.routing_bench` (house bench).

Part one: 20 agents, 2 s calls, 120 % offered load, so that callers always wait; from each end of a call at an agent to the next INVITE
there, and whether anybody was overtaken. Part two: 60 calls a second without RTP, enough agents; CPU seconds of the main process over
the calls. Both against a private instance, or against `--server`/`--api` with `--server-pid`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

import msgspec

from load.api_client import ApiClient, ApiError
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED, address, print_second
from load.private_instance import InstanceFailed, private_instance
from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread
from load.provision import Plan, provision
from load.report import Report, Thresholds, summary
from load.runner import Run, RunFailed, Runner

AGENTS = 20
CALL_S = 2.0
LOAD = 1.2
RING_S = 0.1
GAP_P99_MS = 100.0
CALLS_PER_S = 60.0
CPU_AGENTS = 120
CPU_TALK_S = 1.0
CPU_MS = 5.0
RTP_PORTS = 8_000
OVERLOAD = {"FERNAMT_OVERLOAD__CALLS_PER_SECOND": "1000", "FERNAMT_OVERLOAD__BURST": "2000"}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Both parts."""

    gap: Report
    cpu: Report


def gap_scenario(seconds: float) -> Scenario:
    """Everybody busy, callers waiting: rate x (ring + talk) = 1.2 x agents. The agent hangs up, as the measure asks."""
    return Scenario(
        name="routing gap",
        duration_s=seconds,
        arrivals=(Poisson(rate=LOAD * AGENTS / (CALL_S + RING_S)),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=CALL_S), hangs_up=0.0),
        agent=AgentProfile(ring=Spread(mean_s=RING_S)),
        agents=AGENTS,
    )


def cpu_scenario(seconds: float) -> Scenario:
    """60 calls a second, agents enough that nobody waits long."""
    return Scenario(
        name="routing cpu",
        duration_s=seconds,
        arrivals=(Poisson(rate=CALLS_PER_S),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=CPU_TALK_S), hangs_up=0.5),
        agent=AgentProfile(ring=Spread(mean_s=RING_S)),
        agents=CPU_AGENTS,
    )


async def measure(api_url: str, server: tuple[str, int], pid: int | None, operator_password: str, seconds: float) -> Result:
    """Run both parts, each in a tenant of its own number."""
    reports = []
    for scenario, limits in (
        (gap_scenario(seconds), Thresholds(gap_p99_ms=GAP_P99_MS, overtakings=0)),
        (cpu_scenario(seconds), Thresholds(main_cpu_ms_per_call=CPU_MS if pid is not None else None)),
    ):
        api = ApiClient(api_url)
        api.log_in("operator", operator_password)
        # A source address each: two tenants cannot both own the calls of 127.0.0.1.
        source = f"127.0.1.{len(reports) + 1}"
        tenant = f"bench{len(reports) + 1}"
        accounts = await asyncio.to_thread(provision, api, Plan(tenant=tenant, agents=scenario.agents, source=f"{source}/32"))
        print(f"\n{scenario.name}: {scenario.duration_s:.0f} s, {scenario.agents} agents, {_rate(scenario):.1f} calls/s", flush=True)
        run = Run(scenario=scenario, server=server, dial="601", agents=accounts, local_address=source, server_pid=pid, drain_s=30.0)
        report = await Runner(run, api, print_second).run(limits)
        for line in summary(report):
            print(line)
        for problem in report.problems:
            print(f"FAILED {problem}")
        reports.append(report)
    return Result(gap=reports[0], cpu=reports[1])


def _rate(scenario: Scenario) -> float:
    return sum(one.rate for one in scenario.arrivals if isinstance(one, Poisson))


async def _privately(seconds: float) -> Result:
    async with private_instance(OVERLOAD, RTP_PORTS) as instance:
        return await measure(instance.url, instance.sip, instance.pid, instance.operator_password, seconds)


def main(arguments: list[str] | None = None) -> int:
    """Parse and run: 0 within the limits, 1 not, 2 could not be run."""
    parser = argparse.ArgumentParser(prog="python -m load.routing_bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each part (30)")
    parser.add_argument("--report", type=Path, help="write both reports as JSON")
    parser.add_argument("--server", type=address, help="a running service instead of a private one")
    parser.add_argument("--api", default="http://127.0.0.1:8080")
    parser.add_argument("--operator-password")
    parser.add_argument("--server-pid", type=int)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
    try:
        if args.server is None:
            result = asyncio.run(_privately(args.seconds))
        else:
            result = asyncio.run(measure(args.api, args.server, args.server_pid, args.operator_password or "", args.seconds))
    except (RunFailed, ApiError, InstanceFailed, OSError) as fault:
        print(f"routing_bench: {fault}", file=sys.stderr)
        return EXIT_NOT_RUN
    if args.report is not None:
        args.report.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return EXIT_FAILED if result.gap.problems or result.cpu.problems else EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
