"""`fernamt load`: synthetic callers and agents against an address, progress while it runs, figures at the end (house)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from load.api_client import ApiClient, ApiError
from load.diagnosis import Circumstances, is_to_be_asked, why_nobody_answered
from load.knock import knock, takes_call
from load.plot import draw
from load.profiles import Burst, CallerProfile, Concurrent, Poisson, ProfileError, Scenario, Spread
from load.provision import NUMBER, PREFIX, SOURCE, CannotProvision, Plan, provisioned
from load.records import AgentAccount, Snapshot
from load.report import Report, Thresholds, summary
from load.rtp_fleet import stamped
from load.runner import Run, RunFailed, Runner
from load.scenarios import SCENARIOS
from load.server_process import NotTheService, server_pid

SEED = 3
"""Of who names none. Patience is exponential, so one caller in a hundred gives up before a phone has rung; with 1 it was the very first
(0.6 s), and every first run showed an abandoned call before anything else."""
EXIT_PASSED, EXIT_FAILED, EXIT_NOT_RUN, EXIT_INTERRUPTED = 0, 1, 2, 130
FIND = 0
"""`--server-pid` without a number: no process has this one."""
DEFAULT_LEAVE = frozenset({"anna", "ben"})
"""The README's two phones."""
DEMO_NUMBERS = "601,602,603"
"""Support, sales, billing."""


def address(text: str) -> tuple[str, int]:
    """`host:port`, or `host` for port 5060."""
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "5060")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write 127.0.0.1:5060")
    return host, int(port)


def spread(text: str) -> Spread:
    """A duration of a profile."""
    try:
        return Spread.parse(text)
    except ProfileError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault


class LoadCommand:
    """The subcommand."""

    help = "call a running service with synthetic callers and agents, and measure it"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--server", type=address, default=("127.0.0.1", 5060), help="SIP address of the service (127.0.0.1:5060)")
        parser.add_argument("--api", default="http://127.0.0.1:8080", help="address of its HTTP API; empty: none (http://127.0.0.1:8080)")
        parser.add_argument(
            "--dial", help=f"numbers the callers dial, in turn: 601,602 (601; the demonstration: 601,602,603; with --provision {NUMBER})"
        )
        parser.add_argument(
            "--local-address",
            help=f"IPv4 address callers and agents have (the one that reaches the server; with --provision on its machine {SOURCE})",
        )
        parser.add_argument("--seed", type=int, default=SEED, help=f"the same seed gives the same callers ({SEED})")
        parser.add_argument("--processes", type=int, default=1, help="load processes, 1 to 9 (1)")

        what = parser.add_argument_group("what happens", "a scenario, and what differs from it")
        what.add_argument("--scenario", choices=sorted(SCENARIOS), help="steady unless said")
        what.add_argument("--duration", type=float, metavar="S", help="seconds in which calls begin")
        what.add_argument("--rate", type=float, metavar="N", help="Poisson arrivals, calls a second")
        what.add_argument("--concurrent", type=int, metavar="N", help="instead: so many calls at any time")
        what.add_argument("--burst", type=int, metavar="N", help="besides: so many calls at once, every 30 s")
        what.add_argument("--agents", type=int, metavar="N", help="agents on the phones")
        what.add_argument("--talk", type=spread, metavar="T", help="talk time: fixed:3, exponential:120, uniform:5, lognormal:180,0.6")
        what.add_argument("--patience", type=spread, metavar="T", help="waiting time a caller bears; 0: any")
        what.add_argument("--ring", type=spread, metavar="T", help="how long an agent lets it ring")
        what.add_argument("--caller-hangs-up", type=float, metavar="SHARE", help="share of calls the caller ends (0.5)")
        what.add_argument("--after-call-work", type=float, default=0.0, metavar="S", help="of the queue that is provisioned (0)")
        what.add_argument("--drain", type=float, default=10.0, metavar="S", help="time for calls to end by themselves (10)")

        voice = parser.add_argument_group("audio")
        voice.add_argument("--rtp", action="store_true", help="send and count G.711, 50 packets a second from each party")
        voice.add_argument("--rtp-sample", type=float, default=1.0, metavar="SHARE", help="share of the calls that do (1)")
        voice.add_argument("--codec", choices=stamped(), default="PCMA")

        who = parser.add_argument_group("agents and access")
        who.add_argument("--provision", action="store_true", help="create tenant, queue, number and agents through the API")
        who.add_argument("--keep", action="store_true", help="with --provision: leave the tenant there for later runs (else it is closed)")
        who.add_argument("--tenant", default=f"{PREFIX}{int(time.time()) % 1_000_000:06d}", help="tenant to create (load and a number)")
        who.add_argument(
            "--operator", default=os.environ.get("FERNAMT_OPERATOR__USERNAME", "operator"), help="platform operator (operator)"
        )
        who.add_argument(
            "--operator-password",
            default=os.environ.get("FERNAMT_OPERATOR__PASSWORD"),
            help="or FERNAMT_OPERATOR__PASSWORD",
        )
        who.add_argument("--admin", default="load-admin", help="the tenant's administrator or supervisor, without --provision too")
        who.add_argument("--admin-password", default=os.environ.get("LOAD_ADMIN_PASSWORD", ""), help="or LOAD_ADMIN_PASSWORD")
        who.add_argument("--agents-file", type=Path, help="JSON list of {agent, aor, username, password}: agents that are there already")

        who.add_argument("--demo", type=Path, metavar="FILE", help="play the demonstration: demo-credentials.json of the data folder")
        who.add_argument(
            "--leave", default=",".join(sorted(DEFAULT_LEAVE)), metavar="NAMES", help="demo agents left to real phones (anna,ben)"
        )
        who.add_argument("--wait", type=float, default=0.0, metavar="S", help="until the service is ready, at most (0)")

        result = parser.add_argument_group("result")
        result.add_argument("--report", type=Path, help="write the report as JSON")
        result.add_argument("--plot", type=Path, help="write the picture, .png or .svg")
        result.add_argument(
            "--server-pid",
            type=int,
            nargs="?",
            const=FIND,
            metavar="PID",
            help="measure CPU time of the process that listens on --server, and of its media workers; a number is looked at first",
        )
        result.add_argument("--service-level", type=float, default=20.0, metavar="S", help="seconds (20)")
        result.add_argument("--quiet", action="store_true", help="no line a second")

        limits = parser.add_argument_group("thresholds", "one passed: exit status 1")
        limits.add_argument("--max-failed", type=int, default=0, metavar="N", help="calls refused or unanswered (0)")
        limits.add_argument("--max-released", type=int, metavar="N", help="calls the service took and let go before an agent")
        limits.add_argument("--max-rtp-lost", type=int, default=0, metavar="N", help="packets from end to end (0); -1: any")
        limits.add_argument("--max-setup-p99", type=float, metavar="MS", help="INVITE to 200")
        limits.add_argument("--max-gap-p99", type=float, metavar="MS", help="agent's BYE to the next INVITE")
        limits.add_argument("--max-overtakings", type=int, metavar="N")
        limits.add_argument("--max-cpu-per-call", type=float, metavar="MS", help="of the main process")

    def run(self, args: argparse.Namespace) -> int:
        """Do it: 0 passed, 1 a threshold was passed, 2 could not be run."""
        logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
        try:
            done = asyncio.run(carry_out(args))
        except (RunFailed, CannotProvision, NotTheService, ApiError, ProfileError, OSError, ValueError) as fault:
            print(f"fernamt load: {fault}", file=sys.stderr)
            return EXIT_NOT_RUN
        except (KeyboardInterrupt, asyncio.CancelledError):
            if not args.quiet:
                print("fernamt load: interrupted, no report", file=sys.stderr)
            return EXIT_INTERRUPTED
        return finish(done.report, args.report, args.plot, done.advice)


class Done(msgspec.Struct, frozen=True):
    """A run that was made."""

    report: Report
    advice: str | None
    """Why nobody was answered, and what to do about it."""


def finish(report: Report, report_path: Path | None, plot_path: Path | None, advice: str | None = None) -> int:
    """Print and write the result; the exit status."""
    print()
    for line in summary(report):
        print(line)
    if report_path is not None:
        report_path.write_bytes(report.to_json())
        print(f"report: {report_path}")
    if plot_path is not None:
        draw(report, plot_path)
        print(f"plot: {plot_path}")
    for problem in report.problems:
        print(f"FAILED {problem}")
    if advice is not None:
        print(f"nobody was answered by an agent of this run: {advice}")
    return EXIT_FAILED if report.problems else EXIT_PASSED


def scenario_of(args: argparse.Namespace) -> Scenario:
    """The scenario with what the arguments change."""
    chosen = SCENARIOS[args.scenario or ("demo" if args.demo is not None else "steady")]()
    arrivals = chosen.arrivals
    if args.concurrent is not None:
        arrivals = (Concurrent(calls=args.concurrent),)
    elif args.rate is not None:
        arrivals = (Poisson(rate=args.rate), *(one for one in arrivals if not isinstance(one, Poisson)))
    if args.burst is not None:
        arrivals = (*(one for one in arrivals if not isinstance(one, Burst)), Burst(calls=args.burst))
    caller = CallerProfile(
        patience=args.patience or chosen.caller.patience,
        talk=args.talk or chosen.caller.talk,
        hangs_up=chosen.caller.hangs_up if args.caller_hangs_up is None else args.caller_hangs_up,
    )
    agent = chosen.agent if args.ring is None else msgspec.structs.replace(chosen.agent, ring=args.ring)
    return msgspec.structs.replace(
        chosen,
        arrivals=arrivals,
        caller=caller,
        agent=agent,
        agents=chosen.agents if args.agents is None else args.agents,
        duration_s=chosen.duration_s if args.duration is None else args.duration,
        after_call_work_s=args.after_call_work,
    )


def thresholds_of(args: argparse.Namespace) -> Thresholds:
    """The thresholds the arguments name."""
    return Thresholds(
        failed=args.max_failed,
        released=args.max_released,
        rtp_lost=None if args.max_rtp_lost < 0 else args.max_rtp_lost,
        setup_p99_ms=args.max_setup_p99,
        gap_p99_ms=args.max_gap_p99,
        overtakings=args.max_overtakings,
        main_cpu_ms_per_call=args.max_cpu_per_call,
    )


async def carry_out(args: argparse.Namespace) -> Done:
    """Provision, run, measure.

    Raises: RunFailed, CannotProvision, NotTheService, ApiError: it could not be done; CancelledError: a signal ended it.
    """
    if not args.api:
        return await _carry_out(args, None)
    with ApiClient(args.api) as api:
        return await _carry_out(args, api)


async def _carry_out(args: argparse.Namespace, api: ApiClient | None) -> Done:
    scenario = scenario_of(args)
    dial = tuple((args.dial or (NUMBER if args.provision else "601" if args.demo is None else DEMO_NUMBERS)).split(","))
    run = Run(
        scenario=scenario,
        server=args.server,
        dial=dial,
        seed=args.seed,
        processes=args.processes,
        local_address=args.local_address or local_address(args.server, is_provisioned=args.provision),
        with_rtp=args.rtp,
        rtp_sample=args.rtp_sample,
        with_voices=args.demo is not None and not args.rtp,
        codec=args.codec,
        drain_s=args.drain,
        service_level_s=args.service_level,
        server_pid=measured_pid(args.server_pid, args.server),
    )
    with _signals(ends=args.provision) as signals:
        if api is not None and args.wait > 0:
            await until_ready(api, args.wait)
        if args.provision:
            return await _with_provision(args, api, run, signals)
        return await _run(args, api, run, await _accounts(args, api), signals)


async def _accounts(args: argparse.Namespace, api: ApiClient | None) -> tuple[AgentAccount, ...]:
    """Agents that are there already; none: callers alone."""
    if args.demo is not None:
        if api is None:
            raise RunFailed("--demo needs --api")
        return await asyncio.to_thread(demo_accounts, api, args.demo, _names(args.leave))
    if args.agents_file is None:
        return ()
    if api is not None and args.admin_password:
        api.log_in(args.admin, args.admin_password, args.tenant)
    return msgspec.json.decode(args.agents_file.read_bytes(), type=tuple[AgentAccount, ...])


async def _with_provision(args: argparse.Namespace, api: ApiClient | None, run: Run, signals: _Signals) -> Done:
    if len(run.dial) > 1:
        raise RunFailed("--provision makes one number: give --dial one")
    if api is None or not args.operator_password:
        raise RunFailed("--provision needs --api and the operator's password")
    if args.keep and not args.admin_password:
        raise RunFailed("--keep needs --admin-password: nobody would know one for the next run")
    plan = Plan(
        tenant=args.tenant,
        agents=run.scenario.agents,
        dial=run.dial[0],
        after_call_work_s=args.after_call_work,
        source=f"{run.local_address}/32",
        admin=args.admin,
        admin_password=args.admin_password,
        keep=args.keep,
    )
    await asyncio.to_thread(api.log_in, args.operator, args.operator_password)
    # Whoever knows an administrator's password may go on with a tenant that has the number already.
    check = None if args.admin_password else lambda: _is_free(run)
    async with provisioned(api, plan, print, check) as accounts:
        return await _run(args, api, run, accounts, signals)


async def _is_free(run: Run) -> None:
    """Nobody may have the number already: its calls, or ours, would go to the other one.

    Raises: CannotProvision
    """
    if await takes_call(run.server, run.local_address, run.dial[0]):
        raise CannotProvision(
            f"somebody takes calls to {run.dial[0]} from {run.local_address} already: give a number and an address that no tenant uses "
            "with --dial and --local-address"
        )


async def _run(args: argparse.Namespace, api: ApiClient | None, run: Run, accounts: tuple[AgentAccount, ...], signals: _Signals) -> Done:
    run = msgspec.structs.replace(run, scenario=msgspec.structs.replace(run.scenario, agents=len(accounts)), agents=accounts)
    runner = Runner(run, api, None if args.quiet else print_second)
    with signals.ending_softly(runner):
        report = await runner.run(thresholds_of(args))
    seen = Circumstances(
        server=run.server,
        local_address=run.local_address,
        dial=run.dial,
        agents=len(accounts),
        is_provisioned=args.provision,
        knock=await knock(run.server, run.local_address) if is_to_be_asked(report) else None,
    )
    return Done(report, why_nobody_answered(report, seen))


def local_address(server: tuple[str, int], *, is_provisioned: bool) -> str:
    """Where callers come from unless it is said: an address of their own where the service is on this machine and the tenant is ours.

    Raises: OSError: there is no way to the server.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(server)  # for UDP this sends nothing
        found = str(asking.getsockname()[0])
    return SOURCE if is_provisioned and found.startswith("127.") else found


def measured_pid(given: int | None, server: tuple[str, int]) -> int | None:
    """The process to measure; None: nobody asked, or none was found, which is said.

    Raises: NotTheService: the one that was given is another.
    """
    if given != FIND:
        return None if given is None else server_pid(given, server)
    try:
        return server_pid(None, server)
    except NotTheService as fault:
        print(f"CPU time is not measured: {fault}", file=sys.stderr)
        return None


class _Signals:
    """Ctrl-C ends the run with its report, once more ends it without; what was set up is taken away in any case, and a third time not."""

    def __init__(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop, *, ends: bool) -> None:
        self._task = task
        self._loop = loop
        self._runner: Runner | None = None
        self._numbers = (signal.SIGINT, signal.SIGTERM) if ends else (signal.SIGINT,)
        for number in self._numbers:
            loop.add_signal_handler(number, self._hear, number)

    def _hear(self, number: int) -> None:
        runner, self._runner = self._runner, None
        if runner is not None and number == signal.SIGINT:
            print("ending: hanging up, figures follow (Ctrl-C again: at once)", flush=True)
            runner.end_now()
        else:
            self.close()
            self._task.cancel()

    @contextlib.contextmanager
    def ending_softly(self, runner: Runner) -> Iterator[None]:
        """While it runs, the first Ctrl-C is for the runner."""
        self._runner = runner
        try:
            yield
        finally:
            self._runner = None

    def close(self) -> None:
        """Signals do what they did before."""
        for number in self._numbers:
            self._loop.remove_signal_handler(number)


@contextlib.contextmanager
def _signals(*, ends: bool) -> Iterator[_Signals]:
    """Args:
    ends: SIGTERM too: something must be taken away first.
    """
    task = asyncio.current_task()
    assert task is not None
    made = _Signals(task, asyncio.get_running_loop(), ends=ends)
    try:
        yield made
    finally:
        made.close()


def _names(listed: str) -> frozenset[str]:
    return frozenset(name for one in listed.split(",") if (name := one.strip()))


class _Credentials(msgspec.Struct):
    """What the service keeps of its demonstration."""

    tenant: str
    realm: str
    users: dict[str, str]
    devices: dict[str, str]


def demo_accounts(api: ApiClient, path: Path, leave: frozenset[str]) -> tuple[AgentAccount, ...]:
    """The demo agents to play; `api` is logged in as the demo's supervisor.

    Raises: ApiError, OSError, msgspec.DecodeError (a ValueError): no such file, or not of that form; RunFailed: one to be left is no agent.
    """
    found = msgspec.json.decode(path.read_bytes(), type=_Credentials)
    there = {username.removeprefix(f"{found.tenant}-") for username in found.devices} & found.users.keys()
    unknown = leave - there - DEFAULT_LEAVE  # a demonstration need not have those that are left without being asked for
    if unknown:
        raise RunFailed(f"--leave: the demonstration has no agent {', '.join(sorted(unknown))}; it has {', '.join(sorted(there))}")
    api.log_in("supervisor", found.users["supervisor"], found.tenant)
    accounts = []
    for username, password in found.devices.items():
        agent = username.removeprefix(f"{found.tenant}-")
        if agent in found.users and agent not in leave:
            accounts.append(
                AgentAccount(agent=agent, aor=f"sip:{username}@{found.realm}", username=username, password=password, token=api.token)
            )
    return tuple(accounts)


async def until_ready(api: ApiClient, timeout_s: float) -> None:
    """Ask /readyz until it says yes.

    Raises: ApiError: it did not in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            await asyncio.to_thread(api.request, "GET", "/readyz")
        except ApiError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            return


def print_second(latest: Sequence[Snapshot], runner: Runner) -> None:
    """One line of progress."""
    setups_ms = [one.setup_p50_ms for one in latest if one.setup_p50_ms is not None]
    cells = [
        f"calls {sum(one.calls_begun for one in latest):6d}",
        f"up {sum(one.calls_up for one in latest):4d}",
        f"talking {sum(one.calls_connected for one in latest):4d}",
        f"failed {sum(one.failed for one in latest):4d}",
        f"busy {sum(one.agents_busy for one in latest):3d}/{sum(one.agents_registered for one in latest)}",
        f"set-up p50 {f'{max(setups_ms):.1f} ms' if setups_ms else '-'}",
    ]
    if runner.order.with_rtp:
        cells.append(f"RTP {sum(one.rtp_sent for one in latest)}/{sum(one.rtp_received for one in latest)}")
    print("  ".join(cells), flush=True)


command = LoadCommand()
