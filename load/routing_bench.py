"""How fast a freed agent gets the next caller, and what a queue call costs the main process: `python -m load.routing_bench` (house bench).

`gap`: 20 agents, 2 s calls, 120 % offered load, so that callers always wait; from each end of a call at an agent to the next INVITE
there, and whether anybody was overtaken. `cpu`: 60 calls a second without RTP, agents enough; CPU seconds of the main process over
the calls. Both against a private instance, or against `--server` and `--api` with `--server-pid`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from load.api_client import ApiError
from load.bench import RTP_PORTS, SETTINGS, Bench, Service, carry_out
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED, FIND, address, measured_pid
from load.private_instance import InstanceFailed, private_instance
from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread
from load.report import Report, Thresholds
from load.runner import RunFailed

AGENTS = 20
CALL_S = 2.0
LOAD = 1.2
RING_S = 0.1
CALLS_PER_S = 60.0
CPU_AGENTS = 120
CPU_TALK_S = 1.0


def gap_bench(seconds: float) -> Bench:
    """Everybody busy, callers waiting: rate x (ring + talk) = 1.2 x agents. The agent hangs up, as the measure asks."""
    scenario = Scenario(
        name="routing-gap",
        duration_s=seconds,
        arrivals=(Poisson(rate=LOAD * AGENTS / (CALL_S + RING_S)),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=CALL_S), hangs_up=0.0),
        agent=AgentProfile(ring=Spread(mean_s=RING_S)),
        agents=AGENTS,
    )
    return Bench(name=scenario.name, scenario=scenario, limits=Thresholds(gap_p50_ms=20.0, gap_p99_ms=100.0, overtakings=0), drain_s=60.0)


def cpu_bench(seconds: float) -> Bench:
    """60 calls a second, agents enough that nobody waits."""
    scenario = Scenario(
        name="routing-cpu",
        duration_s=seconds,
        arrivals=(Poisson(rate=CALLS_PER_S),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=CPU_TALK_S), hangs_up=0.5),
        agent=AgentProfile(ring=Spread(mean_s=RING_S)),
        agents=CPU_AGENTS,
    )
    return Bench(name=scenario.name, scenario=scenario, limits=Thresholds(main_cpu_ms_per_call=5.0), on_one_core=True)


async def run_all(benches: Sequence[Bench], service: Service | None, reports: Path | None) -> list[Report]:
    """One after the other, against a service that runs or against a private one.

    Raises: RunFailed, ApiError, InstanceFailed
    """
    if service is not None:
        return [await carry_out(bench, number, service, reports) for number, bench in enumerate(benches, 1)]
    async with private_instance(SETTINGS, RTP_PORTS) as instance:
        return [await carry_out(bench, number, Service.of(instance), reports) for number, bench in enumerate(benches, 1)]


def main(arguments: list[str] | None = None) -> int:
    """Parse and run: 0 within the limits, 1 not, 2 could not be run."""
    parser = argparse.ArgumentParser(prog="python -m load.routing_bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each part (30)")
    parser.add_argument("--only", choices=["gap", "cpu"], help="one part")
    parser.add_argument("--reports", type=Path, help="folder for the reports as JSON and SVG")
    parser.add_argument("--server", type=address, help="a running service instead of a private one")
    parser.add_argument("--api", default="http://127.0.0.1:8080")
    parser.add_argument("--operator-password", default="")
    parser.add_argument("--server-pid", type=int, nargs="?", const=FIND, help="main process of the service; without a number: found")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
    benches = [make(args.seconds) for name, make in (("gap", gap_bench), ("cpu", cpu_bench)) if args.only in {None, name}]
    service = None
    if args.server is not None:
        pid = measured_pid(args.server_pid, args.server)
        service = Service(sip=args.server, url=args.api, operator_password=args.operator_password, pid=pid)
    try:
        done = asyncio.run(run_all(benches, service, args.reports))
    except (RunFailed, ApiError, InstanceFailed, OSError) as fault:
        print(f"routing_bench: {fault}", file=sys.stderr)
        return EXIT_NOT_RUN
    return EXIT_FAILED if any(report.problems for report in done) else EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
