"""Whether one tenant's flood and another's full queue are felt by a third: `python -m load.fairness`; report in load/reports (house bench).

A private instance with its default allowance and three tenants. One calls 300 times a second a number that does not exist, one goes on
filling a queue that nobody serves, and the third makes calls as on any day. Rounds with and without the other two alternate, so that what
the machine does meanwhile falls on both alike; the figure is the 99th percentile of the third tenant's set-up (INVITE to 200).

Passed: no call of the third tenant failed, and the median of its p99 with the others is no more than the largest without them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from load.acceptance import REPORTS
from load.api_client import ApiClient, ApiError
from load.bench import Service
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED, print_second
from load.flood import Flood
from load.private_instance import InstanceFailed, private_instance
from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread
from load.provision import Plan, provision
from load.records import AgentAccount
from load.report import Distribution, Report
from load.runner import Run, RunFailed, Runner

RTP_PORTS = 2000
NOWHERE, DIAL = "999", "601"
FLOOD_PER_S = 300.0
FILLING_PER_S = 25.0
FILLED_WITHIN_S = 40.0
CALM_S = 4.0
"""After the disturbers have hung up: their goodbyes are answered, and their ports have rested."""
CALLS_PER_S = 20.0
BUSY = 0.3
"""With this part of the time spent waiting for a core, it is the machine's latency that is measured."""
SOURCES = {"flood": "127.0.3.1", "full": "127.0.3.2", "third": "127.0.3.3"}


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the third tenant's calls."""

    disturbed: bool
    calls: int
    failed: int
    failed_by_status: dict[str, int]
    setup: Distribution
    connect: Distribution
    main_cpu_share: float | None
    main_waited_share: float | None = None
    """Of the time: the main process had work and no core. Near 1, the machine is full, and the round says nothing about fairness."""
    flood_statuses: dict[str, int] = {}
    """Final answers to the flood while the round lasted."""
    waiting: int = 0
    """Callers in the full queue at the end."""
    waiting_statuses: dict[str, int] = {}


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """The report."""

    rounds: tuple[Round, ...]
    p99_undisturbed_ms: tuple[float, float, float]
    """Smallest, median, largest of the rounds."""
    p99_disturbed_ms: tuple[float, float, float]
    ratio: float
    """Of the medians."""
    problems: tuple[str, ...]


def scenario(seconds: float) -> Scenario:
    """20 calls a second of a second each, agents enough that nobody waits."""
    return Scenario(
        name="fairness",
        duration_s=seconds,
        arrivals=(Poisson(rate=CALLS_PER_S),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=1.0)),
        agent=AgentProfile(ring=Spread(mean_s=0.1)),
        agents=60,
    )


def assess(rounds: Sequence[Round]) -> Fairness:
    """The figures of all rounds, and what is wrong with them."""
    spreads = {}
    for disturbed in (False, True):
        p99 = [one.setup.p99_ms for one in rounds if one.disturbed is disturbed and one.setup.p99_ms is not None]
        spreads[disturbed] = (min(p99), round(statistics.median(p99), 3), max(p99)) if p99 else (0.0, 0.0, 0.0)
    calm, disturbed_spread = spreads[False], spreads[True]
    problems = []
    failed = sum(one.failed for one in rounds)
    if failed:
        problems.append(f"{failed} calls of the third tenant failed")
    if not calm[1] or not disturbed_spread[1]:
        problems.append("nothing was measured")
    elif disturbed_spread[1] > calm[2]:
        problems.append(f"p99 of set-up is {disturbed_spread[1]:g} ms with the others, at most {calm[2]:g} ms without them")
    if (waited := max((one.main_waited_share or 0.0 for one in rounds), default=0.0)) > BUSY:
        problems.append(f"the machine was busy with other things: the main process waited for a core {waited:.0%} of a round")
    if not all(one.flood_statuses.get("503") and one.waiting_statuses.get("503") for one in rounds if one.disturbed):
        problems.append("the others were never refused anything: they did not disturb")
    return Fairness(
        rounds=tuple(rounds),
        p99_undisturbed_ms=calm,
        p99_disturbed_ms=disturbed_spread,
        ratio=round(disturbed_spread[1] / calm[1], 3) if calm[1] else 0.0,
        problems=tuple(problems),
    )


class _Disturbers:
    """The two other tenants."""

    def __init__(self, nowhere: Flood, queue: Flood) -> None:
        self.nowhere = nowhere
        self.queue = queue
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Fill the queue until somebody is refused, then let the flood loose.

        Raises: RunFailed: the queue takes everybody.
        """
        self._tasks.append(asyncio.create_task(self.queue.pour(FILLING_PER_S)))
        try:
            await self.queue.answered_with(503, FILLED_WITHIN_S)
        except TimeoutError:
            raise RunFailed(f"{self.queue.up} callers wait, and still nobody was refused") from None
        self._tasks.append(asyncio.create_task(self.nowhere.pour(FLOOD_PER_S)))
        await asyncio.sleep(1.0)

    async def end(self) -> None:
        """Stop, hang up, and let everything come to rest."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.queue.hang_up()
        await asyncio.sleep(CALM_S)


@contextlib.asynccontextmanager
async def _disturbers(service: Service) -> AsyncIterator[_Disturbers]:
    nowhere = await Flood.open(service.sip, NOWHERE, SOURCES["flood"])
    queue = await Flood.open(service.sip, DIAL, SOURCES["full"])
    others = _Disturbers(nowhere, queue)
    try:
        await others.begin()
        yield others
    finally:
        await others.end()
        nowhere.close()
        queue.close()


class _Third:
    """The tenant whose calls are measured."""

    def __init__(self, service: Service, api: ApiClient, agents: tuple[AgentAccount, ...], seconds: float) -> None:
        self._service = service
        self._api = api
        self._agents = agents
        self._seconds = seconds

    async def run(self, seed: int) -> Report:
        run = Run(
            scenario=scenario(self._seconds),
            server=self._service.sip,
            dial=(DIAL,),
            agents=self._agents,
            seed=seed,
            local_address=SOURCES["third"],
            server_pid=self._service.pid,
        )
        return await Runner(run, self._api, print_second).run()

    async def calm(self, seed: int) -> Round:
        return await self._measured(seed, None)

    async def disturbed(self, seed: int) -> Round:
        async with _disturbers(self._service) as others:
            return await self._measured(seed, others)

    async def _measured(self, seed: int, others: _Disturbers | None) -> Round:
        began, waited = time.monotonic(), waited_for_a_core(self._service.pid)
        report = await self.run(seed)
        after = waited_for_a_core(self._service.pid)
        share = None if waited is None or after is None else round((after - waited) / (time.monotonic() - began), 3)
        return _round(report, share, others)


def waited_for_a_core(pid: int | None) -> float | None:
    """Seconds that the main thread of a process was ready to run and did not (sched-stats.rst of the kernel); None: nobody counts them."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return None


def _round(report: Report, waited_share: float | None, others: _Disturbers | None) -> Round:
    about_others = {}
    if others is not None:
        about_others = {
            "flood_statuses": {str(status): count for status, count in sorted(others.nowhere.statuses.items())},
            "waiting": others.queue.up,
            "waiting_statuses": {str(status): count for status, count in sorted(others.queue.statuses.items())},
        }
    made = Round(
        disturbed=others is not None,
        calls=report.calls,
        failed=report.failed,
        failed_by_status=report.failed_by_status,
        setup=report.setup,
        connect=report.connect,
        main_cpu_share=report.server.main_cpu_share,
        main_waited_share=waited_share,
        **about_others,  # type: ignore[arg-type]  # by name
    )
    name, setup = "disturbed" if others else "undisturbed", made.setup
    told = f"set-up p50 {setup.p50_ms} p99 {setup.p99_ms} ms, {made.calls} calls, {made.failed} failed"
    print(f"{name:<12} {told}, waited for a core {made.main_waited_share}")
    if others is not None:
        print(f"{'':<12} flood {made.flood_statuses}, queue {made.waiting} waiting, {made.waiting_statuses}", flush=True)
    return made


async def measure(rounds: int, seconds: float) -> Fairness:
    """All rounds on one private instance, undisturbed first, then in turn.

    Raises: RunFailed, ApiError, InstanceFailed, OSError
    """
    async with private_instance(rtp_ports=RTP_PORTS) as instance:
        service = Service.of(instance)
        accounts: tuple[AgentAccount, ...] = ()
        api = instance.operator()
        for tenant, source in SOURCES.items():
            api = await asyncio.to_thread(instance.operator)
            plan = Plan(tenant=tenant, agents=60 if tenant == "third" else 1, dial=DIAL, source=f"{source}/32", admin=f"{tenant}-admin")
            accounts = await asyncio.to_thread(provision, api, plan)
        third = _Third(service, api, accounts, seconds)
        await third.run(0)  # what is done once is done now
        done = []
        for number in range(1, rounds + 1):
            done += [await third.calm(number), await third.disturbed(number)]
        return assess(done)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run: 0 passed, 1 not, 2 could not be run."""
    parser = argparse.ArgumentParser(prog="python -m load.fairness", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="with the others, and as many without (5)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each (20)")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="folder for fairness.json")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
    try:
        found = asyncio.run(measure(args.rounds, args.seconds))
    except (RunFailed, ApiError, InstanceFailed, OSError) as fault:
        print(f"fairness: {fault}", file=sys.stderr)
        return EXIT_NOT_RUN
    args.reports.mkdir(parents=True, exist_ok=True)
    (args.reports / "fairness.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    for name, spread in (("undisturbed", found.p99_undisturbed_ms), ("disturbed", found.p99_disturbed_ms)):
        print(f"{name:<12} p99 of set-up: median {spread[1]:.1f} ms, {spread[0]:.1f} to {spread[2]:.1f}")
    print(f"ratio of the medians {found.ratio:.2f}")
    for problem in found.problems:
        print(f"FAILED {problem}")
    return EXIT_FAILED if found.problems else EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
