"""The command line: subcommands by entry point, `fernamt run` as a process that starts, says so, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import select
import signal
import socket
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import pytest
from packaging.version import Version

from acd.logs import without_secrets
from api import __main__ as entry
from api.app import create_app
from api.config import Settings
from api.demo import FILE
from api.kit.commands import GROUP
from api.version import VERSION
from load.server_process import descendants
from media.log_lines import LineFormatter
from sip.config import UserAgentConfig
from tests.api.voice import EngineVoice
from tests.ports import free_port, rtp_range

ROOT = Path(__file__).resolve().parents[2]


FROZEN = {"0.2.0"}
"""Words that were frozen before their release (tests/vectors/releases/README.md)."""


class TestMain:
    def test_run_is_there_without_an_installed_distribution(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(entry, "entry_points", lambda **_: ())
        assert list(entry.commands()) == ["run", "journal", "secrets"]

    def test_only_the_command_that_is_meant_is_imported(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(entry, "entry_points", lambda **_: [EntryPoint("broken", "no.such.module:command", GROUP)])
        with pytest.raises(SystemExit) as done:
            entry.main(["run", "--help"])
        assert done.value.code == 0
        assert "--demo" in capsys.readouterr().out

    def test_help_names_what_is_not_available_and_why(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(entry, "entry_points", lambda **_: [EntryPoint("broken", "no.such.module:command", GROUP)])
        with pytest.raises(SystemExit):
            entry.main(["--help"])
        assert "not available: No module named 'no'" in " ".join(capsys.readouterr().out.split())

    def test_version_is_one_in_the_package_the_command_and_the_api(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as done:
            entry.main(["--version"])
        assert done.value.code == 0
        assert capsys.readouterr().out == f"fernamt {VERSION}\n"
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "api.version.VERSION"}
        assert create_app(Settings(), EngineVoice(lambda: 0.0).client).openapi()["info"]["version"] == VERSION

    def test_version_of_a_tree_that_is_not_released_is_none_of_a_release(self) -> None:
        """While the changelog has an unreleased part, this is no release, and above every one that is listed (PEP 440)."""
        headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
        released = {folder.name for folder in (ROOT / "tests/vectors/releases").iterdir() if folder.is_dir() and folder.name[0].isdigit()}
        assert Version(VERSION).is_devrelease == (headings[0] == "Unreleased")
        assert all(Version(one) < Version(VERSION) for one in released - FROZEN)

    def test_sip_names_the_product_and_not_its_version(self) -> None:
        """RFC 3261 §20.35: revealing the version lets known holes be looked for."""
        assert VERSION not in UserAgentConfig().agent_name

    def test_ctrl_c_while_a_command_is_imported_is_no_traceback(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupted(_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(EntryPoint, "load", interrupted)
        assert entry.main(["run"]) == 130
        assert capsys.readouterr().err == "stopped\n"

    def test_wrong_settings_are_printed_and_nothing_starts(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "wrong.toml"
        path.write_text("[http]\nport = 'x'\nhots = 1\n")
        assert entry.main(["run", "--config", str(path)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(": ")[0] for line in lines] == [f"{path}:2", f"{path}:3"]

    def test_role_that_is_not_there_yet_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as done:
            entry.main(["run", "--role", "media"])
        assert done.value.code == 2
        assert "invalid choice" in capsys.readouterr().err


def test_tokens_never_reach_the_log() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, '%s - "WebSocket %s"', ("a", "/api/v1/events?token=fa1.acme.secret&x=1"), None)
    assert LineFormatter("text", without_secrets).format(record).endswith(' - "WebSocket /api/v1/events?token=***&x=1"')


def written(folder: Path) -> tuple[Path, str]:
    http = free_port()
    first, last = rtp_range()
    path = folder / "fernamt.toml"
    path.write_text(
        f'data = "{folder / "data"}"\n'
        f'[sip]\nlisten = ["127.0.0.1:{free_port()}"]\n'
        f'[http]\nhost = "127.0.0.1"\nport = {http}\n'
        f"[media]\nworkers = 1\nfirst_port = {first}\nlast_port = {last}\n"
        "[login]\nargon2_memory_kib = 8\nargon2_passes = 1\n"
    )
    return path, f"http://127.0.0.1:{http}"


async def _started(path: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "run", "--demo", "--config", str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = ""
    while FILE not in said:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        if not line:
            _, errors = await process.communicate()
            pytest.fail(f"it did not start:\n{said}{errors.decode()}")
        said += line.decode()
    return process, said


@pytest.mark.slow
@pytest.mark.interop
async def test_run_starts_stops_on_sigterm_and_starts_again_with_the_same_credentials(tmp_path: Path) -> None:
    path, url = written(tmp_path)
    said = []
    for _ in range(2):
        process, words = await _started(path)
        assert words.startswith("fernamt: opening the databases")
        said.append([line for line in words.partition("fernamt is ready")[2].splitlines() if "operator" not in line])
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/readyz")).status_code == 200
            demo = (await client.get("/api/v1/demo")).json()
            body = {name: demo[name] for name in ("tenant", "username", "password")}
            token = (await client.post("/api/v1/login", json=body)).json()["token"]
            live = (await client.get("/api/v1/live", headers={"Authorization": f"Bearer {token}"})).json()
            assert {queue["id"] for queue in live["queues"]} == {"support", "sales", "accounting"}
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, errors.decode()
        assert "Traceback" not in errors.decode()
    assert said[0] == said[1]


@pytest.mark.slow
@pytest.mark.interop
async def test_demonstration_and_workers_end_with_a_killed_service(tmp_path: Path) -> None:
    """The workers because they are given no time for orphans, the callers because nobody is left to be called."""
    path, _ = written(tmp_path)
    path.write_text(path.read_text().replace("[media]\n", "[media]\norphan_s = 0\n"))
    process, _ = await _started(path)
    async with asyncio.timeout(30):
        while sum("load" in _command_of(pid) for pid in descendants(process.pid)) < 2:  # `load` and its `load.process`
            await asyncio.sleep(0.02)
    watched = [os.pidfd_open(pid) for pid in descendants(process.pid)]
    try:
        assert len(watched) >= 3
        process.kill()
        async with asyncio.timeout(30):
            await process.communicate()
            while not all(select.select([one], [], [], 0)[0] for one in watched):
                await asyncio.sleep(0.02)
        assert list((tmp_path / "data" / "media").iterdir()) == []
    finally:
        for one in watched:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(one, signal.SIGKILL)
            os.close(one)


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.slow
@pytest.mark.interop
async def test_address_that_is_taken_is_named(tmp_path: Path) -> None:
    path, url = written(tmp_path)
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api", "run", "--config", str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert errors.decode().splitlines()[-1].startswith(f"cannot start: HTTP address {url.removeprefix('http://')}: ")
