"""The committed pictures are those of the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from acd import diagrams


def test_the_core_s_diagrams_are_not_stale() -> None:
    folder = Path(__file__).parents[3] / "docs" / "diagrams"
    assert [name for name in diagrams.stale(folder) if name.startswith("core-")] == []


def test_stale_missing_and_left_over_diagrams_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagrams.main(["--check", "--folder", str(tmp_path)]) == 1
    assert "core-call.mmd is stale" in capsys.readouterr().err
    assert diagrams.main(["--folder", str(tmp_path)]) == 0
    assert diagrams.main(["--check", "--folder", str(tmp_path)]) == 0
    (tmp_path / "core-leg.mmd").write_text("other")
    (tmp_path / "core-gone.mmd").write_text("old")
    assert diagrams.stale(tmp_path) == ["core-gone.mmd", "core-leg.mmd"]
    assert diagrams.main(["--folder", str(tmp_path)]) == 0
    assert diagrams.stale(tmp_path) == []
