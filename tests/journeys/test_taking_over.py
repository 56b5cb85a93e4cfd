"""`fernamt run --take-over` that cannot start leaves whoever runs alone, with its calls; of several at once one becomes the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from load.phones import PhoneCall, SyntheticPhone
from tests import prefork
from tests.disks import small_disk
from tests.journeys.service import TENANT, ServiceProcess, service
from tests.journeys.test_restart import undisturbed
from tests.ports import HOST, free_port

pytestmark = [pytest.mark.journey, pytest.mark.slow]
ALMOST_NOTHING = 600 << 10
"""Octets: too few for a start, and more than the one that runs needs for a call."""


async def take_over(house: ServiceProcess, log: Path, **settings: str) -> prefork.Forked:
    with log.open("wb") as errors:
        return await prefork.run("--take-over", cwd=house.folder, env=house._environment | settings, stderr=errors.fileno())


async def cannot(house: ServiceProcess, **settings: str) -> str:
    """The sentence of a take-over that fails, without its beginning and its end, which are always the same."""
    assert house._process is not None
    log = house.folder / "take-over.log"
    process = await take_over(house, log, **settings)
    async with asyncio.timeout(20):
        status = await process.wait()
    process.close()
    said = log.read_text()
    assert status == 1, said
    (line,) = [line for line in said.splitlines() if line.startswith("cannot start: ")]
    assert "Traceback" not in said
    end = f"; process {house._process.pid}, which runs, was left alone"
    assert line.endswith(end)
    assert house._process.returncode is None
    return line.removeprefix("cannot start: ").removesuffix(end)


@contextlib.asynccontextmanager
async def talk(house: ServiceProcess) -> AsyncIterator[tuple[PhoneCall, PhoneCall]]:
    """A caller and an agent, who hear each other."""
    devices = await house.provision()
    async with house.phone(devices["anna"], "anna") as anna, SyntheticPhone(house.sip, user="+49891231") as caller:
        await anna.register()
        await house.ready("anna")
        call = await caller.call("601")
        at_anna = await anna.incoming()
        await at_anna.answer()
        await call.answered()
        call.start_tone(440, 60)
        at_anna.start_tone(600, 60)
        await at_anna.hears_tone(440)
        yield call, at_anna
        call.hang_up()
        assert await at_anna.ended() == "remote"
        await house.cdrs(1)


@contextlib.contextmanager
def of_a_later_release(database: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        ((revision,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        yield
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()


@contextlib.contextmanager
def almost_full(disk: Path) -> Iterator[None]:
    there = os.statvfs(disk)
    filler = disk / "filler"
    with filler.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, there.f_bavail * there.f_frsize - ALMOST_NOTHING)
    yield
    filler.unlink()


async def of_two_one_takes_over(house: ServiceProcess, calls: tuple[PhoneCall, PhoneCall]) -> None:
    """Of two at once; the other says that it has not. A tenant that cannot be opened is said, and keeps nobody from it."""
    with contextlib.closing(sqlite3.connect(house.folder / "data" / "control.sqlite")) as control:
        row = "INSERT INTO tenant (id, name, language, state, created_at) VALUES ('ghost', 'G', 'de', 'active', '2026-01-01 00:00:00.0')"
        control.execute(row)
        control.commit()
    before = house._process
    assert before is not None
    with undisturbed(*calls):
        await house.call(house.api.close)
        logs = [house.folder / f"{at}.log" for at in range(2)]
        both = [await take_over(house, log) for log in logs]
        ends = [asyncio.create_task(one.wait()) for one in both]
        async with asyncio.timeout(30):
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            (lost,) = [at for at, end in enumerate(ends) if end.done()]
            house._process = both[1 - lost]
            assert await before.wait() == 0
            said = b""
            while b"fernamt is ready" not in said:
                line = await both[1 - lost].stdout.readline()
                assert line, logs[1 - lost].read_text()
                said += line
        before.close()
        both[lost].close()
        ends[1 - lost].cancel()
        assert ends[lost].result() == 1
        (line,) = [line for line in logs[lost].read_text().splitlines() if line.startswith("cannot start: ")]
        assert f"process {both[1 - lost].pid}" in line, line
        assert "! tenant ghost will not be open: " in logs[1 - lost].read_text()
        await house.log_in()
        for call in calls:
            await call.audio.wait_for(call.audio.received + 800, 10)


async def test_who_cannot_start_asks_nobody_to_leave_and_of_two_who_can_one_takes_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with small_disk(data, 64 << 20) as disk, contextlib.ExitStack() as taken:
        disk.chmod(0o700)
        other = free_port()
        udp = taken.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind((HOST, other))
        taken.enter_context(socket.create_server((HOST, other + 1)))
        async with service(tmp_path) as house, talk(house) as calls:
            with undisturbed(*calls):
                with almost_full(disk):
                    assert "the disk is full" in await cannot(house)
                control = "postgresql+asyncpg://fernamt@127.0.0.1:1/fernamt"
                away = await cannot(house, FERNAMT_DATABASE__CONTROL=control, FERNAMT_DATABASE__TENANT_URL=f"{control}_{{tenant}}")
                assert away == "postgresql://127.0.0.1:1/fernamt: Connection refused"
                missing = await cannot(house, FERNAMT_DATABASE__CONTROL=f"sqlite+aiosqlite:///{data}/other.sqlite")
                assert missing == f"{data}/other.sqlite: the control database is not there"
                assert not (data / "other.sqlite").exists()
                with of_a_later_release(data / "control.sqlite"):
                    assert f"{data}/control.sqlite was written by a later release" in await cannot(house)
                with of_a_later_release(data / "tenants" / TENANT / "tenant.sqlite"):
                    assert (await cannot(house)).startswith(
                        f"no tenant could be opened: {TENANT}: {data}/tenants/{TENANT}/tenant.sqlite was"
                    )
                assert "the key of the stored secrets cannot be read from /nowhere" in await cannot(
                    house, FERNAMT_SECRETS__KEY_FILE="/nowhere"
                )
                assert "the security log /proc/no.log cannot be written" in await cannot(house, FERNAMT_SECURITY__LOG="/proc/no.log")
                tls = {"FERNAMT_SIP__TRANSPORTS": "udp,tcp,tls"}
                said = await cannot(house, **tls, FERNAMT_SIP__TLS_CERTIFICATE="/nowhere.pem")
                assert said == "sip.tls_certificate: /nowhere.pem: No such file or directory"
                not_ours = f". It is not process {house._process.pid} that has it"  # type: ignore[union-attr]
                for what, name, value in (
                    (f"SIP address udp {HOST}:{other}", "SIP__LISTEN", f"{HOST}:{other}"),
                    (f"SIP address tcp {HOST}:{other + 1}", "SIP__LISTEN", f"{HOST}:{other + 1}"),
                    (f"SIP address tls {HOST}:{other + 1}", "SIP__TLS_LISTEN", f"{HOST}:{other + 1}"),
                    (f"HTTP address {HOST}:{other + 1}", "HTTP__PORT", str(other + 1)),
                ):
                    said = await cannot(house, **(tls if "tls" in what else {}), **{f"FERNAMT_{name}": value})
                    assert said.startswith(f"{what}: Address already in use; ")
                    assert said.endswith(not_ours)
                for call in calls:
                    await call.audio.wait_for(call.audio.received + 800, 10)
            await of_two_one_takes_over(house, calls)


async def test_who_was_to_take_over_and_was_stopped_before_has_failed(tmp_path: Path) -> None:
    """An update script must not take it for the service."""
    house = ServiceProcess(tmp_path)
    process = await prefork.run("--demo", "--still", "--take-over", cwd=tmp_path, env=house._environment, stderr=sys.stderr.fileno())
    try:
        async with asyncio.timeout(20):
            while b"starting the media workers" not in (line := await process.stdout.readline()):
                assert line
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 1
    finally:
        process.close()
        house.close()
