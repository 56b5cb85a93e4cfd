"""The disk journey, as an operator meets it: a volume that fills under calls, two processes on one directory, a wrong clock."""

import asyncio
import contextlib
import json
import signal
import sys

import httpx
import pytest

from acd.core.replay import Entry, encode
from acd.journal import read
from acd.journal.framing import batch, file_head
from acd.journal.words import WORDS
from load.phones import CallFailed
from tests.disks import fill, small_disk
from tests.journeys.service import TENANT, ServiceProcess, service

pytestmark = [pytest.mark.journey, pytest.mark.slow]


async def readiness(house: ServiceProcess) -> tuple[int, dict, str | None]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{house.http}/readyz")
    return answer.status_code, answer.json(), answer.headers.get("Retry-After")


async def ready_again(house: ServiceProcess) -> None:
    async with asyncio.timeout(30):
        while (await readiness(house))[0] != 200:
            await asyncio.sleep(0.1)


async def test_a_volume_that_runs_full_under_calls_and_has_room_again(tmp_path):
    """Journal and database of the tenant lie on it. Nobody does anything but make room: the tenant opens by itself."""
    with small_disk(tmp_path / "data" / "tenants" / TENANT, 4 << 20) as disk:
        async with service(tmp_path) as house:
            devices = await house.provision()
            async with house.phone(devices["anna"], "anna") as anna, house.phone({"username": "+493023125101"}, "x") as caller:
                caller.credentials = None
                await anna.register()
                await house.ready("anna")
                talking = await caller.call("601")
                offered = await anna.incoming()
                await offered.answer()
                await talking.answered()
                fill(disk)
                answered = 1
                with contextlib.suppress(CallFailed, TimeoutError):
                    for _ in range(200):
                        call = await caller.call("601")
                        await call.answered(timeout_s=3)
                        answered += 1
                await asyncio.gather(talking.ended(), offered.ended())
                assert talking.reason_header == 'SIP;cause=503;text="Service Unavailable", Q.850;cause=41;text="Temporary failure"'
                status, told, retry_after = await readiness(house)
                assert (status, retry_after is not None) == (503, True)
                assert str(disk) in told["failed"][TENANT]
                with pytest.raises(CallFailed, match="503"):
                    await (await caller.call("601")).answered()

                (disk / "filler").unlink()
                await ready_again(house)
                assert len(await house.cdrs(answered)) >= answered
                again = await caller.call("601")
                await (await anna.incoming()).answer()
                again.hang_up()
                await house.cdrs(answered + 1)
            assert "Traceback" not in house.log


async def another_run(house: ServiceProcess, *arguments: str, **settings: str) -> tuple[int, str]:
    """A second `fernamt run`, which ends by itself; its status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api", "run", *arguments),
        cwd=house.folder,
        env=house._environment | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_second_process_on_the_directory_is_refused_with_one_sentence(tmp_path):
    async with service(tmp_path) as house:
        await house.provision()
        elsewhere = ServiceProcess(tmp_path)
        ports = {"FERNAMT_SIP__LISTEN": f"127.0.0.1:{elsewhere.sip[1]}", "FERNAMT_HTTP__PORT": str(elsewhere.http)}
        status, said = await another_run(house, **ports)
        elsewhere.close()
        (line,) = said.splitlines()
        assert status == 1
        assert line.startswith(f"cannot start: the data directory {tmp_path / 'data'} is in use by process {house._process.pid} on ")
        # A kill frees it at once, whatever media workers live on.
        await house.stop(signal.SIGKILL)
        await house.start()
        await house.log_in()


async def test_a_journal_from_the_future_is_refused_until_somebody_says_which_clock_is_right(tmp_path):
    """Written as a machine does whose clock was 400 days ahead: every entry moved by as much."""
    async with service(tmp_path) as house:
        await house.provision()
        await house.stop()
        directory = tmp_path / "data" / "tenants" / TENANT
        entries = list(read(directory))
        (directory / "snapshot").unlink()
        ahead = 400 * 86400.0
        moved = [Entry(one.seq, one.now + ahead, one.input, one.events) for one in entries]
        (file,) = directory.glob("journal-*.log")
        file.write_bytes(file_head(1) + b"".join(batch(one.seq, [encode(one)], WORDS) for one in moved))

        said = await house.start()
        status, told, _ = await readiness(house)
        assert status == 503
        assert f"{TENANT} is not: " in said
        assert "days ahead of this machine's clock" in told["failed"][TENANT]
        await house._end(signal.SIGTERM)
        await house.start("--accept-clock")
        assert (await readiness(house))[0] == 200
        await house.log_in()
        now = (await house.call(house.api.get, "/api/v1/live"))["at"]
        assert now < entries[-1].now + 3600
        await house.restart()  # and from then on without being told
        exported = [json.loads(line) for line in await journal_export(house)]
        assert exported[-1]["now"] < entries[-1].now + 3600


async def journal_export(house: ServiceProcess) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api", "journal", "export", TENANT),
        cwd=house.folder,
        env=house._environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    return said.decode().splitlines()
