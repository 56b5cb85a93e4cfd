"""Old and new in turn: `python -m load.alternate --old ../old` (house bench).

Two checkouts are measured alternately on one machine, so that whatever else it does meets both; of each figure the median, the spread from
least to most, and how the medians compare. `core`: microseconds of CPU a queue call, by number of agents; the bench of this checkout runs
in both. `service`: `load.routing_bench` of each checkout against a private instance of its own. `desks`: `load.desks_bench` of this one
against an instance of each. Each runs with its `.venv` if it has one.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED

NEW = Path(__file__).resolve().parents[1]
CORE_BENCH = NEW / "tests" / "acd" / "core" / "bench.py"
DESKS_BENCH = NEW / "load" / "desks_bench.py"
RUNS = 7
MOST_WORSE = 1.05
"""A median may be worse by this factor, or by as much as the old one's runs differ among themselves."""

Figures = dict[str, float]
"""Name with unit -> value; smaller is better."""
_CALL = re.compile(r"^(\d+) agents, \d+ ready: ([\d.]+) us per call", re.MULTILINE)


def _python(checkout: Path) -> str:
    own = checkout / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _run(checkout: Path, *arguments: str) -> str:
    done = subprocess.run([_python(checkout), *arguments], cwd=checkout, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode not in {EXIT_PASSED, EXIT_FAILED}:  # limits that a full machine passes are no reason not to compare
        raise RuntimeError(f"{checkout}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def core(checkout: Path, _seconds: float) -> Figures:
    """Run this checkout's bench on the core of that one."""
    start = f"import runpy; runpy.run_path({str(CORE_BENCH)!r}, run_name='__main__')"
    return {f"{agents} agents, us a call": float(us) for agents, us in _CALL.findall(_run(checkout, "-c", start, "--sizes"))}


def service(checkout: Path, seconds: float) -> Figures:
    """Run that checkout's bench against that checkout's service."""
    with tempfile.TemporaryDirectory() as folder:
        _run(checkout, "-m", "load.routing_bench", "--seconds", str(seconds), "--reports", folder)
        gap, cpu = (json.loads((Path(folder) / f"routing-{one}.json").read_text()) for one in ("gap", "cpu"))
    return {
        "queue call, ms of main CPU": cpu["server"]["main_cpu_ms_per_call"],
        "queue call, ms of media CPU": cpu["server"]["media_cpu_ms_per_call"],
        "set-up p50, ms": cpu["setup"]["p50_ms"],
        "agent gap p50, ms": gap["agent_gap"]["p50_ms"],
        "agent gap p99, ms": gap["agent_gap"]["p99_ms"],
    }


def desks(checkout: Path, seconds: float) -> Figures:
    """Run this checkout's bench, which knows the API alone, against that checkout's service."""
    start = f"import runpy; runpy.run_path({str(DESKS_BENCH)!r}, run_name='__main__')"
    told = json.loads(_run(checkout, "-c", start, "--seconds", str(seconds)))
    return {"queue call with 200 desks and 20 boards, ms of main CPU": told["main_cpu_ms_per_call"]}


PARTS: Mapping[str, Callable[[Path, float], Figures]] = {"core": core, "service": service, "desks": desks}


def is_worse(old: list[float], new: list[float]) -> bool:
    """By more than `MOST_WORSE` and by more than the spread of the old one's runs."""
    return median(new) > median(old) * MOST_WORSE and median(new) - median(old) > max(old) - min(old)


def row(name: str, old: list[float], new: list[float]) -> str:
    """A line of the table."""
    told = [f"{median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in (old, new)]
    return f"| {name} | {told[0]} | {told[1]} | {median(new) / median(old):.3f} | {len(new)} |"


def main(arguments: list[str] | None = None) -> int:
    """Parse and run: 0 no worse, 1 worse, 2 could not be run."""
    parser = argparse.ArgumentParser(prog="python -m load.alternate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--old", type=Path, required=True, help="checkout to compare this one with")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each checkout ({RUNS})")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run against a service (20)")
    args = parser.parse_args(arguments)
    worse = []
    print("| figure | old: median (least to most) | new | new / old | runs of each |\n|---|---|---|---|---|")
    for part in PARTS if args.only is None else (args.only,):
        seen: dict[str, tuple[list[float], list[float]]] = {}
        try:
            for turn in range(2 * args.runs):
                # old, new, new, old, …: a machine that slows down meets both alike
                side = (turn + 1) // 2 % 2
                for name, value in PARTS[part]((args.old.resolve(), NEW)[side], args.seconds).items():
                    seen.setdefault(name, ([], []))[side].append(value)
        except (OSError, RuntimeError) as fault:
            print(f"alternate: {fault}", file=sys.stderr)
            return EXIT_NOT_RUN
        for name, (old, new) in seen.items():
            print(row(name, old, new), flush=True)
            if is_worse(old, new):
                worse.append(name)
    for name in worse:
        print(f"! {name}: worse than before")
    return EXIT_FAILED if worse else EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
