"""The picture of a run: calls, set-up time and CPU over time, one panel each, as PNG or SVG by the file's suffix (matplotlib, Agg)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from load.report import Moment, Report


def draw(report: Report, path: Path) -> None:
    """Write the plot of `report` to `path`.

    Raises: ValueError: a suffix matplotlib cannot write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - half a second to import, and only --plot needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 8), layout="constrained")
    FigureCanvasAgg(figure)
    calls, setup, cpu = figure.subplots(3, 1, sharex=True)
    moments = report.moments
    figure.suptitle(
        f"{report.scenario}: {report.calls} calls in {report.duration_s:.0f} s, {report.answered} answered, {report.failed} failed"
    )
    _line(calls, moments, "calls_up", "calls up")
    _line(calls, moments, "calls_connected", "talking to an agent")
    _line(calls, moments, "begun", "begun in this second")
    calls.set_ylabel("calls")
    _line(setup, moments, "setup_p50_ms", "p50")
    _line(setup, moments, "setup_p99_ms", "p99")
    setup.set_ylabel("INVITE to 200, ms")
    _line(cpu, moments, "server_main_cpu", "service, main process")
    _line(cpu, moments, "server_media_cpu", "service, media workers")
    _line(cpu, moments, "generator_cpu", "generator")
    cpu.set_ylabel("CPU, cores")
    cpu.set_xlabel("seconds")
    for panel in (calls, setup, cpu):
        panel.set_ylim(bottom=0)
        panel.grid(visible=True, alpha=0.3)
        if panel.lines:
            panel.legend(loc="upper left", fontsize="small")
    figure.savefig(path, dpi=110)


def _line(panel: Any, moments: Sequence[Moment], field: str, label: str) -> None:
    """One curve, left out where nothing is known."""
    points = [(moment.at_s, value) for moment in moments if (value := getattr(moment, field)) is not None]
    if points:
        panel.plot([at for at, _ in points], [value for _, value in points], label=label, linewidth=1.4)
