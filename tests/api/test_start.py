"""What keeps the service from starting is one sentence and status 1; a tenant that cannot be opened is said, and the rest runs."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from api import __main__ as entry
from tests.api.conftest import Prepared
from tests.api.test_commands import written
from tests.servers import databases_to_test, server

DAMAGE = (3 << 30).to_bytes(4, "big") + b"\0\0\0\0" + b"calls and more behind them"
"""A record of 3 GiB: no crash leaves that behind."""


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return written(tmp_path)[0]


def told(capsys: pytest.CaptureFixture[str], settings_file: Path, *arguments: str) -> str:
    """Start, fail, and give the one sentence."""
    assert entry.main(["run", *arguments, "--config", str(settings_file)]) == 1
    said = capsys.readouterr()
    assert all(line.startswith("fernamt: ") for line in said.out.splitlines())  # progress, and no more
    (line,) = said.err.splitlines()
    return line


def put(settings_file: Path, key: str, value: str, table: str = "") -> None:
    """Another value of a setting, at the top or in a table that is not there yet."""
    text = settings_file.read_text()
    if table:
        settings_file.write_text(f'{text}[{table}]\n{key} = "{value}"\n')
    else:
        settings_file.write_text(
            "\n".join(f'{key} = "{value}"' if line.startswith(f"{key} =") else line for line in text.splitlines()) + "\n"
        )


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own; root may write wherever the mode of a directory forbids it, but not there."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("mount is not installed")
    folder.mkdir()
    if subprocess.run([mount, "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("mount is not permitted")
    try:
        yield folder
    finally:
        subprocess.run([umount, str(folder)], check=True)


class TestDataDirectory:
    def test_is_a_file(self, settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "data").write_text("x")
        assert told(capsys, settings_file) == f"cannot start: the data directory {tmp_path / 'data'} is no directory"

    def test_is_read_only(self, settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with mounted(tmp_path / "data", "ro") as data:
            assert told(capsys, settings_file) == f"cannot start: the data directory cannot be written: {data}: Read-only file system"
            put(settings_file, "data", str(data / "below"))
            assert told(capsys, settings_file) == f"cannot start: the data directory {data / 'below'} cannot be made: Read-only file system"

    def test_is_on_a_full_disk(self, settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with mounted(tmp_path / "data", "size=1m") as data:
            (data / "filler").write_bytes(bytes(500_000))
            line = told(capsys, settings_file)
            assert line.startswith(f"cannot start: the data directory cannot be written: {data}: the disk is full (")

    def test_has_a_control_database_that_is_none(self, settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "data" / "control.sqlite"
        file.parent.mkdir()
        file.write_bytes(b"no database" * 100)
        assert told(capsys, settings_file) == f"cannot start: {file}: file is not a database"

    @pytest.mark.slow
    @pytest.mark.parametrize(("octets", "line"), [(0, "holds 0 octets, not 32"), (31, "holds 31 octets, not 32"), (None, "Is a directory")])
    def test_has_a_secret_that_is_none(
        self, settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], migrated: Prepared, octets: int | None, line: str
    ) -> None:
        shutil.copytree(migrated.data, tmp_path / "data")
        secret = tmp_path / "data" / "digest.secret"
        if octets is None:
            secret.mkdir()
        else:
            secret.write_bytes(bytes(octets))
        assert f"{secret}" in (said := told(capsys, settings_file))
        assert line in said


def test_port_that_is_taken(settings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = next(int(line.split()[-1]) for line in settings_file.read_text().splitlines() if line.startswith("port"))
    with socket.create_server(("127.0.0.1", port)):
        assert told(capsys, settings_file).startswith(f"cannot start: HTTP address 127.0.0.1:{port}: Address already in use")


class TestDatabase:
    @pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "mysql+asyncmy"])
    @pytest.mark.parametrize(("host", "reason"), [("127.0.0.1:1", "Connection refused"), ("nowhere.invalid:5", "not known")])
    def test_is_not_there(self, settings_file: Path, capsys: pytest.CaptureFixture[str], scheme: str, host: str, reason: str) -> None:
        put(settings_file, "control", f"{scheme}://fernamt:geheim@{host}/fernamt", table="database")
        line = told(capsys, settings_file)
        assert line.startswith(f"cannot start: {scheme.partition('+')[0]}://{host}/fernamt: ")
        assert reason in line
        assert "geheim" not in line

    @pytest.mark.slow
    def test_does_not_let_us_in(self, settings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        if "mariadb" not in databases_to_test():
            pytest.skip("mariadb is not among FERNAMT_TEST_DATABASES")
        url = make_url(server("mariadb").url("fernamt")).set(password="geheim")
        put(settings_file, "control", url.render_as_string(hide_password=False), table="database")
        line = told(capsys, settings_file)
        assert line.startswith(f"cannot start: mysql://127.0.0.1:{url.port}/fernamt: Access denied for user 'root'@'")
        assert "geheim" not in line


def with_tenants(data: Path, *tenants: str) -> None:
    """Rows of active tenants in the control database."""
    with contextlib.closing(sqlite3.connect(data / "control.sqlite")) as control:
        row = "INSERT INTO tenant (id, name, language, state, created_at) VALUES (?, 'X', 'de', 'active', '2026-01-01 00:00:00.000000')"
        control.executemany(row, [(tenant,) for tenant in tenants])
        control.commit()


def damaged(data: Path, tenant: str) -> Path:
    journal = data / "tenants" / tenant / "journal-000000000001.log"
    journal.parent.mkdir(exist_ok=True)
    journal.write_bytes(DAMAGE)
    (journal.parent / "tenant.sqlite").touch()
    return journal


@pytest.mark.slow
def test_demonstration_whose_tenant_is_damaged(
    settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], migrated: Prepared
) -> None:
    data = tmp_path / "data"
    shutil.copytree(migrated.data, data)
    with_tenants(data, "demo")
    journal = damaged(data, "demo")
    line = told(capsys, settings_file, "--demo")
    assert line.startswith(f"cannot start: the tenant demo of --demo cannot be opened: {journal}: ")


@pytest.mark.slow
@pytest.mark.interop
async def test_damaged_tenant_is_said_at_the_start_and_the_others_are_served(tmp_path: Path, migrated: Prepared) -> None:
    path, url = written(tmp_path)
    data = tmp_path / "data"
    shutil.copytree(migrated.data, data)
    with_tenants(data, "acme", "other")
    journal = damaged(data, "acme")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "run", "--config", str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    try:
        assert f"; 1 of 2 tenants are open; acme is not: {journal}: " in line
        async with httpx.AsyncClient(base_url=url) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["failed"]["acme"].startswith(str(journal))
            assert ready.json()["open"] == ["other"]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert f"\ntenant acme is not open: {journal}: " in "\n" + errors.decode()
    assert "Traceback" not in errors.decode()
    assert process.returncode == 0
