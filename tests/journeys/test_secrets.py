"""Nobody on this machine reads what the service keeps: modes, sealed secrets, and a data directory that 0.1.0 left behind."""

import asyncio
import hashlib
import json
import os
import re
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api import keyring
from api.kit.sealing import keys_of
from load.api_client import ApiError
from load.phones import RegistrationFailed, SyntheticPhone
from tests.acd.carrier import Carrier, carrier_at
from tests.journeys.service import ADMIN, OPERATOR, TENANT, ServiceProcess, service
from tests.ports import HOST, free_port
from tests.releases.vectors import CLOSED, Vector

pytestmark = [pytest.mark.journey, pytest.mark.slow]

LINE = "netzbetreiber-geheim-0815"
ACCOUNT = "konto"


def files_below(folder: Path) -> Iterator[Path]:
    yield folder
    yield from (path for path in sorted(folder.rglob("*")) if not path.is_symlink())


def open_to_others(folder: Path) -> list[str]:
    """What has another mode than 0600 or, a folder, 0700."""
    found = [(path, path.lstat().st_mode) for path in files_below(folder)]
    return [f"{path} {mode:o}" for path, mode in found if stat.S_IMODE(mode) != (0o700 if stat.S_ISDIR(mode) else 0o600)]


def who_tells(folder: Path, secrets: set[str]) -> list[str]:
    """Files that hold one of the secrets: as text, as JSON writes it, and digests as octets too."""
    forms = {secret: {secret.encode(), json.dumps(secret)[1:-1].encode()} for secret in secrets}
    for secret in secrets:
        if re.fullmatch(r"([0-9a-f]{32}){1,2}", secret):
            forms[secret] |= {bytes.fromhex(secret), secret.upper().encode()}
    files = [(path, path.read_bytes()) for path in files_below(folder) if path.is_file()]
    return [f"{path} tells {secret}" for path, octets in files for secret, some in forms.items() if any(one in octets for one in some)]


def digests(username: str, password: str, realm: str = "fernamt") -> set[str]:
    text = f"{username}:{realm}:{password}".encode()
    return {hashlib.md5(text).hexdigest(), hashlib.sha256(text).hexdigest()}


async def registered_at(carrier: Carrier) -> None:
    async with asyncio.timeout(20):
        while not carrier.bindings(ACCOUNT):
            await asyncio.sleep(0.05)


def registration(port: int) -> dict[str, object]:
    return {"registrar": f"{HOST}:{port}", "username": ACCOUNT, "password": LINE}


@pytest.mark.storm
async def test_no_file_of_a_session_tells_a_secret_or_is_open_to_others_whatever_the_umask(tmp_path: Path) -> None:
    """A carrier we register at, phones, a recorded call, a change, a crash, the wrong key, the right one: every octet is looked at."""
    secrets = {LINE, OPERATOR, ADMIN}
    for agent in ("anna", "ben"):
        secrets |= {f"{agent}-secret-0815", *digests(f"{TENANT}-{agent}", f"{agent}-secret-0815")}
    secrets |= digests(ACCOUNT, LINE, "carrier.example")
    before = os.umask(0)
    try:
        port = free_port()
        async with carrier_at(port, {ACCOUNT: LINE}) as carrier, service(tmp_path) as house:
            devices = await house.provision(registration=registration(port))
            await registered_at(carrier)
            await house.call(house.api.put, "/api/v1/agents/ben/device", {"password": "ben-secret-4711"})
            secrets |= {"ben-secret-4711", *digests(f"{TENANT}-ben", "ben-secret-4711")}
            queue = (await house.call(house.api.get, "/api/v1/queues/support")) | {"record": True}
            await house.call(
                house.api.put, "/api/v1/queues/support", {k: v for k, v in queue.items() if k not in {"version", "changed_at"}}
            )
            async with house.phone(devices["anna"], "anna") as anna, SyntheticPhone(house.sip, user="+491711234567") as caller:
                await anna.register()
                await house.ready("anna")
                anna.auto_answer_s = 0.1
                call = await caller.call("601")
                await call.answered()
                await recorded(tmp_path / "data")
                assert open_to_others(tmp_path / "data") == []
                assert who_tells(tmp_path / "data", secrets) == []
                call.hang_up()
                await house.cdrs(1)
            await house.stop(signal.SIGKILL)
            assert who_tells(tmp_path / "data", secrets) == []
            await the_wrong_key_lets_nobody_in_and_the_right_one_everybody(house, devices["anna"])
    finally:
        os.umask(before)
    assert open_to_others(tmp_path / "data") == []
    assert who_tells(tmp_path / "data", secrets) == []


async def the_wrong_key_lets_nobody_in_and_the_right_one_everybody(house: ServiceProcess, device: dict) -> None:
    path = house.folder / "data" / "secret.key"
    right = path.read_bytes()
    path.unlink()
    with pytest.raises(AssertionError, match="did not start"):
        await house.start()
    assert await house._end(signal.SIGTERM) == 1
    key = keys_of(right.decode(), "").first.id
    assert f"the key of the stored secrets is not there ({path})" in house.log
    assert f"secrets of {TENANT} are sealed under key {key}: put that key back" in house.log
    assert not path.exists()
    path.write_text(keyring.told(keyring.new_key()) + "\n")
    said = await house.start()
    assert f"0 of 1 tenants are open; {TENANT} is not: " in said
    assert "put that key back (docs/secrets.md)" in said
    async with house.phone(device, "anna") as phone:
        with pytest.raises(RegistrationFailed):
            await phone.register()
    path.write_bytes(path.read_bytes() + right)
    await house.call(house.api.log_in, "operator", OPERATOR)
    await house.call(house.api.post, f"/api/v1/tenants/{TENANT}/open")
    async with house.phone(device, "anna") as phone:
        assert await phone.register() > 0
    await house.log_in()


async def recorded(data: Path) -> None:
    async with asyncio.timeout(20):
        while not list(data.glob("tenants/*/recordings/*.wav")):  # noqa: ASYNC240 - a small folder
            await asyncio.sleep(0.05)


def tenant_rows(data: Path, tenant: str, statement: str, *values: object) -> list[tuple]:
    with closing(sqlite3.connect(data / "tenants" / tenant / "tenant.sqlite")) as connection, connection:
        return connection.execute(statement, values).fetchall()


def left_by_0_1_0(folder: Path, carrier: int) -> tuple[Vector, Path, set[str]]:
    """A data directory as 0.1.0 left it under umask 022, with a line that registers at a carrier; and the digests that stand in it."""
    vector = Vector("0.1.0", "sqlite", "orderly")
    data = vector.unpack(folder)
    for tenant in ("muster", "laden"):
        ((document,),) = tenant_rows(data, tenant, "SELECT document FROM setup_trunk WHERE id = 'carrier'")
        line = json.loads(document) | {"id": "line", "name": "Line", "peer": f"{HOST}:{carrier}", "order": 7}
        line["registration"] = registration(carrier) | {"auth_username": None, "expires_s": 300, "retry_s": 1.0}
        written = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        tenant_rows(data, tenant, "INSERT INTO setup_trunk VALUES ('line', 1, ?, '2026-11-27 21:30:00.000000')", written)
    found = {
        one for tenant in vector.tenants for row in tenant_rows(data, tenant, "SELECT ha1_md5, ha1_sha256 FROM setup_device") for one in row
    }
    recordings = data / "tenants" / "muster" / "recordings"
    recordings.mkdir()
    (recordings / "old.wav").write_bytes(b"RIFF")
    for path in files_below(data):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return vector, data, found


class House:
    """The service on what 0.1.0 left, asked as its people would."""

    def __init__(self, running: ServiceProcess, vector: Vector) -> None:
        self._running = running
        self._vector = vector

    async def told(self) -> dict[str, object]:
        """Configuration, devices and records of every tenant that is open, as the API tells them."""
        found = {}
        for tenant in sorted({*self._vector.tenants} - CLOSED):
            person = self._vector.said[tenant]["log_in"]
            await self._running.call(self._running.api.log_in, person["username"], person["password"], tenant)
            paths = [
                "trunks",
                "agents",
                "numbers",
                "queues",
                "cdrs",
                *(f"agents/{one}/device" for one in self._vector.said[tenant]["devices"]),
            ]
            for path in paths:
                found[tenant, path] = await self._running.call(self._running.api.get, f"/api/v1/{path}")
        return found

    async def phones_come_in(self) -> None:
        """With the passwords of then over SIP, and not with another."""
        async with SyntheticPhone(self._running.sip, user="muster-erika", password="another") as phone:
            with pytest.raises(RegistrationFailed):
                await phone.register()
        for tenant in sorted({*self._vector.tenants} - CLOSED):
            password = self._vector.said[tenant]["log_in"]["device_password"]
            for device in self._vector.said[tenant]["devices"].values():
                async with SyntheticPhone(self._running.sip, user=device["username"], password=password) as phone:
                    assert await phone.register() > 0


async def test_a_data_directory_of_0_1_0_is_shut_and_sealed_and_everything_works_as_before(tmp_path: Path) -> None:
    """Modes mended, secrets sealed to the last octet, phones and the carrier's line log in with the old passwords; a restart is equal."""
    port = free_port()
    vector, data, clear = left_by_0_1_0(tmp_path, port)
    outside = tmp_path / "outside"
    outside.write_bytes(b"somebody else's")
    outside.chmod(0o644)
    (data / "link").symlink_to(outside)
    secrets = clear | {LINE}
    assert len(clear) >= 20
    assert who_tells(data, secrets)

    async with carrier_at(port, {ACCOUNT: LINE}) as carrier, service(tmp_path) as running:
        house = House(running, vector)
        await registered_at(carrier)
        await house.phones_come_in()
        async with asyncio.timeout(20):
            while "tenant laden: 1 secrets that stood in clear are sealed now" not in running.log or who_tells(data, secrets):
                await asyncio.sleep(0.05)
        assert open_to_others(data) == []
        assert stat.S_IMODE(outside.stat().st_mode) == 0o644
        told = await house.told()
        (line,) = [one for one in told["muster", "trunks"]["items"] if one["id"] == "line"]  # type: ignore[index]
        assert (line["registration"]["username"], line["registration"]["password"]) == (ACCOUNT, None)
        assert running.log.count("were open to others on this machine: mended") == 2  # everything, and later the recordings
        assert "keep a copy of it, apart from backups of the data" in running.log
        with pytest.raises(ApiError, match="401"):
            await running.call(running.api.log_in, "admin", "wrong", "muster")

        await running.stop()
        assert who_tells(data, secrets) == []
        assert open_to_others(data) == []
        assert carrier.bindings(ACCOUNT) == []
        written = running.log
        await running.start()
        await registered_at(carrier)
        await house.phones_come_in()
        assert await house.told() == told
        again = running.log.removeprefix(written)
        assert "mended" not in again
        assert "sealed now" not in again
