"""The figures a release must show, on a private instance: `python -m load.acceptance` (`make load`); reports in load/reports (house).

Four runs: `rate-50` (50 calls a second for a minute at 200 agents), `concurrent-300` (300 calls at a time with RTP on both sides),
`routing-gap` and `routing-cpu` (load/routing_bench.py). Printed at the end as the table of load/README.md, beside `baseline.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from load.api_client import ApiError
from load.bench import Bench
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED
from load.private_instance import InstanceFailed
from load.profiles import AgentProfile, CallerProfile, Concurrent, Poisson, Scenario, Spread
from load.report import Report, Thresholds
from load.routing_bench import cpu_bench, gap_bench, run_all
from load.runner import RunFailed

HERE = Path(__file__).parent
REPORTS = HERE / "reports"
BASELINE = HERE / "baseline.json"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The line of one run in the table."""

    calls: int
    failed: int
    setup_p50_ms: float | None
    setup_p99_ms: float | None
    gap_p50_ms: float | None
    gap_p99_ms: float | None
    overtakings: int
    rtp_sent: int
    rtp_lost: int
    rtp_latency_p99_ms: int | None
    main_cpu_ms_per_call: float | None
    media_cpu_ms_per_call: float | None

    @classmethod
    def of(cls, report: Report) -> Figures:
        """Of a report."""
        return cls(
            calls=report.calls,
            failed=report.failed,
            setup_p50_ms=report.setup.p50_ms,
            setup_p99_ms=report.setup.p99_ms,
            gap_p50_ms=report.agent_gap.p50_ms,
            gap_p99_ms=report.agent_gap.p99_ms,
            overtakings=report.overtakings,
            rtp_sent=report.rtp.sent,
            rtp_lost=report.rtp.marked_lost,
            rtp_latency_p99_ms=report.rtp_latency_p99_ms,
            main_cpu_ms_per_call=report.server.main_cpu_ms_per_call,
            media_cpu_ms_per_call=report.server.media_cpu_ms_per_call,
        )


COLUMNS = (
    ("calls", "calls"),
    ("failed", "failed"),
    ("set-up p50 / p99 ms", "setup_p50_ms", "setup_p99_ms"),
    ("agent gap p50 / p99 ms", "gap_p50_ms", "gap_p99_ms"),
    ("over-takings", "overtakings"),
    ("RTP sent / lost", "rtp_sent", "rtp_lost"),
    ("RTP p99 ms", "rtp_latency_p99_ms"),
    ("CPU a call, main / media ms", "main_cpu_ms_per_call", "media_cpu_ms_per_call"),
)


def rate_bench(seconds: float) -> Bench:
    """50 calls a second; ringing and talk take 2.8 s on average, so 140 of 200 agents are busy."""
    scenario = Scenario(
        name="rate-50",
        duration_s=seconds,
        arrivals=(Poisson(rate=50.0),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(kind="lognormal", mean_s=2.5)),
        agent=AgentProfile(ring=Spread(kind="uniform", mean_s=0.3)),
        agents=200,
    )
    return Bench(name=scenario.name, scenario=scenario, limits=Thresholds(released=0))


def concurrent_bench(seconds: float) -> Bench:
    """300 calls at any time, each with an agent, 600 streams of 50 packets a second both ways."""
    scenario = Scenario(
        name="concurrent-300",
        duration_s=seconds,
        arrivals=(Concurrent(calls=300, ramp_s=15.0),),
        caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(kind="lognormal", mean_s=30.0)),
        agent=AgentProfile(ring=Spread(kind="uniform", mean_s=0.5)),
        agents=300,
    )
    return Bench(name=scenario.name, scenario=scenario, limits=Thresholds(released=0), with_rtp=True)


BENCHES = {"rate-50": rate_bench, "concurrent-300": concurrent_bench, "routing-gap": gap_bench, "routing-cpu": cpu_bench}


def table(rows: dict[str, Figures]) -> str:
    """Markdown, as load/README.md shows it."""
    lines = [f"| run | {' | '.join(column[0] for column in COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for name, figures in rows.items():
        cells = [" / ".join(_cell(getattr(figures, field)) for field in column[1:]) for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


def read_baseline(path: Path = BASELINE) -> dict[str, Figures]:
    """The figures of the last release."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Figures]) if path.exists() else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run: 0 within all limits, 1 not, 2 could not be run."""
    parser = argparse.ArgumentParser(prog="python -m load.acceptance", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=sorted(BENCHES), action="append", help="these runs (all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="in which calls begin, of each run (60)")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="folder for reports and plots")
    parser.add_argument("--set-baseline", action="store_true", help="keep the figures as load/baseline.json")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
    benches = [make(args.seconds) for name, make in BENCHES.items() if not args.only or name in args.only]
    try:
        reports = asyncio.run(run_all(benches, None, args.reports))
    except (RunFailed, ApiError, InstanceFailed, OSError) as fault:
        print(f"acceptance: {fault}", file=sys.stderr)
        return EXIT_NOT_RUN
    rows = {bench.name: Figures.of(report) for bench, report in zip(benches, reports, strict=True)}
    baseline = read_baseline()
    print(f"\n{table(rows)}")
    if known := {f"{name} (baseline)": baseline[name] for name in rows if name in baseline}:
        print(f"\n{table(known)}")
    if args.set_baseline:
        BASELINE.write_bytes(msgspec.json.format(msgspec.json.encode({**baseline, **rows}), indent=2) + b"\n")
    failed = [f"{bench.name}: {problem}" for bench, report in zip(benches, reports, strict=True) for problem in report.problems]
    print("\n" + ("\n".join(f"FAILED {one}" for one in failed) if failed else "all within their limits"))
    return EXIT_FAILED if failed else EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
