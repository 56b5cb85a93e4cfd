"""Old and new measured in turn: the order, the table, and when it says no."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from load import alternate
from load.alternate import NEW, Figures, core, is_worse, main
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED


def measured(order: list[str], old_us: float, new_us: float) -> Callable[[Path, float], Figures]:
    def measure(checkout: Path, _seconds: float) -> Figures:
        side = "new" if checkout == NEW else "old"
        order.append(side)
        return {"us a call": new_us if side == "new" else old_us}

    return measure


def test_each_meets_the_early_and_the_late_minutes_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []
    monkeypatch.setattr(alternate, "PARTS", {"core": measured(order, 100.0, 104.0)})
    assert main(["--old", str(tmp_path), "--only", "core", "--runs", "2"]) == EXIT_PASSED
    assert order == ["old", "new", "new", "old"]
    assert "| us a call | 100.00 (100.00 to 100.00) | 104.00 (104.00 to 104.00) | 1.040 | 2 |" in capsys.readouterr().out


def test_a_median_that_is_worse_is_said_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(alternate, "PARTS", {"core": measured([], 100.0, 106.0)})
    assert main(["--old", str(tmp_path), "--only", "core", "--runs", "1"]) == EXIT_FAILED
    assert "! us a call: worse than before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "worse"),
    [
        ([100.0, 101.0, 102.0], [104.0, 105.0, 106.0], False),
        ([100.0, 101.0, 102.0], [107.0, 108.0, 109.0], True),
        ([90.0, 101.0, 112.0], [107.0, 108.0, 109.0], False),
    ],
    ids=["less than a twentieth", "more, and more than the spread", "within the spread"],
)
def test_worse_is_more_than_a_twentieth_and_more_than_the_spread(old: list[float], new: list[float], worse: bool) -> None:
    assert is_worse(old, new) is worse


def test_a_checkout_that_does_not_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 2\n")
    python.chmod(0o755)
    assert main(["--old", str(tmp_path), "--only", "core"]) == EXIT_NOT_RUN
    assert f"{tmp_path}: no such module" in capsys.readouterr().err


def test_the_cores_bench_is_read_by_its_number_of_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "50 agents, 50 ready: 97.2 us per call (10 inputs)\n5000 agents, 5000 ready: 121.5 us per call (10 inputs)\n"
    monkeypatch.setattr(alternate, "_run", lambda *_: said)
    assert core(NEW, 0.0) == {"50 agents, us a call": 97.2, "5000 agents, us a call": 121.5}
