"""Commands shut the data directory they work on, and write nothing that others could read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from api import __main__ as entry
from tests.api.test_commands import written
from tests.releases.vectors import Vector


def open_to_others(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_a_repair_shuts_the_data_directory_and_what_it_keeps_of_the_original(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Vector("0.1.0", "sqlite", "killed").unpack(tmp_path)
    journal = data / "tenants" / "verein" / "journal-000000000001.log"
    octets = bytearray(journal.read_bytes())
    octets[len(octets) // 2] ^= 0xFF
    journal.write_bytes(octets)
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = os.umask(0)
    try:
        assert entry.main(["journal", "check", "verein", "--data", str(data)]) == 1
        assert open_to_others(data)  # a check changes nothing
        assert entry.main(["journal", "repair", "verein", "--accept-loss", "--data", str(data)]) == 0
    finally:
        os.umask(before)
    assert "were open to others on this machine: mended" in capsys.readouterr().out
    assert list(data.glob("tenants/verein/*.damaged*"))
    assert open_to_others(data) == []


def test_data_that_belong_to_somebody_else_keep_the_service_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = written(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (data / "control.sqlite").write_bytes(b"")
    (data / "control.sqlite").chmod(0o644)
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 12_345)
    assert entry.main(["run", "--config", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cannot start: in the data directory {data} ")
    assert f"{data / 'control.sqlite'} belongs to " in line
    assert line.endswith(f"`chown -R {us + 12_345} {data}`")
    assert stat.S_IMODE((data / "control.sqlite").stat().st_mode) == 0o644
