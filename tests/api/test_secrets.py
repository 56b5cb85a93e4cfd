"""Stored secrets: sealed on disk, in clear for the exchange only; a wrong key shuts the tenant and changes nothing; keys are changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import shutil
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from acd.errors import CannotStart
from acd.outage import Unreachable
from acd.service import Device, TrunkLine
from api import __main__ as entry
from api import keyring, lost_key
from api.config import Secrets, Settings
from api.db import Databases
from api.kit.sealing import Key, keys_of
from tests.api.conftest import ACME, PASSWORD, Clock, Prepared, Service, started

CARRIER = "kein-geheimnis-ohne-schlüssel"
TRUNK = {
    "id": "carrier",
    "name": "Carrier",
    "peer": "sip.example.net",
    "registration": {"registrar": "sip.example.net", "username": "account", "password": CARRIER},
}
HA1 = {agent: hashlib.md5(f"acme-{agent}:fernamt:{PASSWORD}".encode()).hexdigest() for agent in ("anna", "ben")}


def database(settings: Settings, tenant: str = "acme") -> Path:
    return settings.data / "tenants" / tenant / "tenant.sqlite"


def rows(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")  # as SQLite is made by most; some distributions turn it on
        return connection.execute(statement, values).fetchall()


def octets_below(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def kept(settings: Settings) -> list[str]:
    """Every secret as it stands in the rows."""
    path = database(settings)
    digests = [
        one
        for row in rows(path, "SELECT ha1_md5, ha1_sha256, long_md5, long_sha256 FROM setup_device ORDER BY agent")
        for one in row
        if one is not None
    ]
    return [*digests, *(row[0] for row in rows(path, "SELECT document FROM setup_trunk ORDER BY id"))]


def told(service: Service) -> tuple[tuple[Device, ...], tuple[TrunkLine, ...]]:
    """What the exchange has; of the devices, what 0.1.0 had too."""
    setup = service.voice.setups[ACME]
    return tuple(msgspec.structs.replace(one, long_md5=None, long_sha256=None) for one in setup.devices), setup.trunks


def in_clear(settings: Settings) -> None:
    """The secrets as 0.1.0 left them: in clear, in a file with free pages, and so noted nowhere."""
    path = database(settings)
    for agent, ha1 in HA1.items():
        sha256 = hashlib.sha256(f"acme-{agent}:fernamt:{PASSWORD}".encode()).hexdigest()
        change = "UPDATE setup_device SET ha1_md5 = ?, ha1_sha256 = ?, long_md5 = NULL, long_sha256 = NULL WHERE agent = ?"
        rows(path, change, ha1, sha256, agent)
    for (document,) in rows(path, "SELECT document FROM setup_trunk"):
        plain = json.loads(document)
        plain["registration"]["password"] = CARRIER
        rows(path, "UPDATE setup_trunk SET document = ?", json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    rows(path, "PRAGMA user_version = 0")


@pytest.fixture
async def stopped(settings: Settings, clock: Clock, application: FastAPI, with_staff: Prepared) -> tuple[Settings, dict[str, str], Any]:
    """Data of a service with a carrier, and two devices; tokens; what the exchange had."""
    shutil.copytree(with_staff.data, settings.data)
    async with started(settings, clock, application) as service:
        service.tokens.update(with_staff.tokens)
        await service.made("trunks", TRUNK)
        before = told(service)
    assert before[1][0].registration is not None
    assert before[1][0].registration.password == CARRIER
    assert {device.agent: device.ha1_md5 for device in before[0]} == HA1
    return settings, with_staff.tokens, before


Stopped = tuple[Settings, dict[str, str], Any]


class TestOnDisk:
    async def test_no_secret_stands_in_any_file(self, stopped: Stopped) -> None:
        settings, _, before = stopped
        found = octets_below(settings.data)
        assert b"sealed:1:" in found
        for secret in (CARRIER, PASSWORD, *HA1.values(), *(device.ha1_sha256 for device in before[0])):
            assert secret.encode() not in found
            assert json.dumps(secret).encode() not in found

    async def test_what_0_1_0_left_in_clear_is_sealed_to_the_last_octet_and_the_exchange_has_it_as_it_was(
        self, stopped: Stopped, clock: Clock, application: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings, _, before = stopped
        in_clear(settings)
        rows(database(settings), "UPDATE setup_device SET ha1_md5 = ha1_md5")
        assert HA1["anna"].encode() in octets_below(settings.data)
        assert CARRIER.encode() in octets_below(settings.data)
        with caplog.at_level(logging.INFO):
            async with started(settings, clock, application) as service:
                assert told(service) == before
                while_it_runs = octets_below(settings.data)
        assert "tenant acme: 5 secrets that stood in clear are sealed now" in caplog.text
        for found in (while_it_runs, octets_below(settings.data)):
            for secret in (CARRIER, *HA1.values(), *(device.ha1_sha256 for device in before[0])):
                assert secret.encode() not in found
        sealed = kept(settings)
        async with started(settings, clock, application) as service:
            assert told(service) == before
        assert kept(settings) == sealed

    async def test_free_pages_are_emptied_though_no_row_holds_anything(self, stopped: Stopped, clock: Clock, application: FastAPI) -> None:
        """0.1.0 replaced or deleted it: no row says so, and once a database it is looked after anyhow."""
        settings, _, _ = stopped
        in_clear(settings)
        rows(database(settings), "DELETE FROM setup_device")
        rows(database(settings), "DELETE FROM setup_trunk")
        assert HA1["anna"].encode() in octets_below(settings.data)
        async with started(settings, clock, application):
            pass
        assert HA1["anna"].encode() not in octets_below(settings.data)
        assert CARRIER.encode() not in octets_below(settings.data)

    async def test_without_room_for_a_copy_the_tenant_opens_all_the_same_and_it_is_tried_again(
        self, stopped: Stopped, clock: Clock, application: FastAPI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings, _, before = stopped
        in_clear(settings)

        async def no_room(*_: Any, **__: Any) -> None:
            raise OperationalError("VACUUM", {}, sqlite3.OperationalError("database or disk is full"))

        with monkeypatch.context() as full:
            full.setattr(Databases, "scrub", no_room)
            async with started(settings, clock, application) as service:
                assert told(service) == before
        assert "octets of secrets that stood in clear may be left in its database: database or disk is full" in caplog.text
        assert rows(database(settings), "PRAGMA user_version") == [(0,)]
        async with started(settings, clock, application):
            pass
        assert rows(database(settings), "PRAGMA user_version") == [(1,)]

    async def test_a_closed_tenant_is_sealed_too(self, stopped: Stopped, clock: Clock, application: FastAPI) -> None:
        settings, _, _ = stopped
        in_clear(settings)
        rows(settings.data / "control.sqlite", "UPDATE tenant SET state = 'closed' WHERE id = 'acme'")
        async with started(settings, clock, application) as service:
            await asyncio.gather(*(task for task in service.shared.services.tasks if task.get_name() == "seal closed tenants"))
            assert ACME not in service.databases.opened
        assert HA1["anna"].encode() not in octets_below(settings.data)
        assert all("sealed:1:" in one for one in kept(settings))


class TestApi:
    async def test_a_change_without_the_password_keeps_it_and_one_with_the_same_changes_nothing(self, acme: Service) -> None:
        made = await acme.made("trunks", TRUNK)
        assert made["registration"]["password"] is None
        silent = TRUNK | {"name": "Other", "registration": TRUNK["registration"] | {"password": None}}  # type: ignore[operator]
        changed = await acme.call("PUT", "trunks/carrier", json=silent)
        assert (changed.json()["version"], changed.json()["registration"]["password"]) == (2, None)
        (line,) = acme.voice.setups[ACME].trunks
        assert line.registration is not None
        assert line.registration.password == CARRIER
        for again in (silent, TRUNK | {"name": "Other"}):
            assert (await acme.call("PUT", "trunks/carrier", json=again)).json()["version"] == 2

    @pytest.mark.parametrize("password", ["sealed:1:00000000:AAAA", '{"sealed": "x"}', "x" * 128])
    async def test_a_password_that_looks_like_a_sealed_one_is_a_password(
        self, password: str, acme: Service, clock: Clock, application: FastAPI
    ) -> None:
        await acme.made("trunks", TRUNK | {"registration": TRUNK["registration"] | {"password": password}})  # type: ignore[operator]
        before = told(acme)
        await acme.databases.close()
        async with started(acme.settings, clock, application) as again:
            assert told(again) == before
            assert before[1][0].registration is not None
            assert before[1][0].registration.password == password

    async def test_neither_answers_nor_audit_nor_state_tell_a_secret_sealed_or_not(self, acme: Service) -> None:
        await acme.made("trunks", TRUNK)
        await acme.made("agents", {"id": "anna", "name": "Anna", "device_password": PASSWORD})
        for path in ("trunks", "trunks/carrier", "audit", "agents/anna/device", "/debug/state"):
            answer = (await acme.call("GET", path)).text
            for secret in (CARRIER, "sealed", HA1["anna"]):
                assert secret not in answer


class TestLostKey:
    async def test_no_key_is_made_where_something_is_sealed_under_another(self, stopped: Stopped) -> None:
        settings, _, _ = stopped
        path = settings.data / keyring.OWN
        lost = keys_of(path.read_text(), "").first.id
        await lost_key.refuse(settings)  # it is there
        path.unlink()
        with pytest.raises(CannotStart, match=rf"9 secrets of acme are sealed under key {lost}: put that key back"):
            await lost_key.refuse(settings)
        assert not path.exists()
        named = settings.model_copy(update={"secrets": Secrets(key_file=settings.data / "named")})
        await lost_key.refuse(named)  # who names a file is told of it by whoever reads it

    async def test_a_first_start_and_one_on_what_holds_no_secret_make_theirs(self, settings: Settings) -> None:
        await lost_key.refuse(settings)
        databases = Databases(settings)
        await databases.open()
        await databases.close()
        (settings.data / keyring.OWN).unlink()
        await lost_key.refuse(settings)

    async def test_a_check_says_what_is_missing_though_there_is_no_key(self, stopped: Stopped, capsys: pytest.CaptureFixture[str]) -> None:
        settings, _, _ = stopped
        path = settings.data / keyring.OWN
        lost = keys_of(path.read_text(), "").first.id
        path.unlink()
        assert await command(settings, "check") == 1
        said = capsys.readouterr()
        assert f"cannot be read from {path}: No such file" in said.err
        assert f"acme: 9 under key {lost}, WHICH IS MISSING\n" in said.out
        assert await command(settings, "reseal") == 2
        assert not path.exists()

    async def test_a_key_stands_under_its_name(self, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
        """Also in a file that was put together of several, as docs/secrets.md says it."""
        entry.main(["secrets", "new-key"])
        keyring.load(settings)
        text = capsys.readouterr().out + (settings.data / keyring.OWN).read_text()
        names = re.findall(r"^# key (\w+)\n(\S+)$", text, re.MULTILINE)
        assert [name for name, _ in names] == [key.id for key in keys_of(text, "").every]


class TestWrongKey:
    async def test_the_tenant_stays_shut_with_a_sentence_nothing_is_changed_and_it_opens_when_the_key_is_back(
        self, stopped: Stopped, clock: Clock, application: FastAPI
    ) -> None:
        settings, tokens, before = stopped
        path = settings.data / keyring.OWN
        right, sealed = path.read_text(), kept(settings)
        path.write_text(keyring.new_key().line)
        async with started(settings, clock, application) as service:
            service.tokens.update(tokens)
            failure = service.shared.services.failed[ACME]
            key = keys_of(right, "").first.id
            assert f"sealed under key {key}, which is not in {path}: put that key back (docs/secrets.md)" in failure.reason
            assert not failure.passes
            assert ACME not in service.voice.setups
            assert (await service.call("POST", "tenants/acme/open", "operator")).status_code == 503
            assert kept(settings) == sealed
            path.write_text(f"{keyring.new_key().line}\n{right}")
            assert (await service.call("POST", "tenants/acme/open", "operator")).status_code == 200
            assert told(service) == before
        assert kept(settings) == sealed

    async def test_what_stands_in_clear_is_not_sealed_beside_what_does_not_open(
        self, stopped: Stopped, clock: Clock, application: FastAPI
    ) -> None:
        settings, _, _ = stopped
        rows(database(settings), "UPDATE setup_device SET ha1_md5 = ? WHERE agent = 'anna'", HA1["anna"])
        before = kept(settings)
        (settings.data / keyring.OWN).write_text(keyring.new_key().line)
        async with started(settings, clock, application) as service:
            assert ACME in service.shared.services.failed
        assert kept(settings) == before

    async def test_a_value_moved_to_another_row_shuts_the_tenant(self, stopped: Stopped, clock: Clock, application: FastAPI) -> None:
        """Who may write to the database gives ben's phone anna's password: it is noticed."""
        settings, _, _ = stopped
        ((stolen,),) = rows(database(settings), "SELECT ha1_md5 FROM setup_device WHERE agent = 'ben'")
        rows(database(settings), "UPDATE setup_device SET ha1_md5 = ? WHERE agent = 'anna'", stolen)
        async with started(settings, clock, application) as service:
            assert "ha1_md5 of 'anna'" in service.shared.services.failed[ACME].reason
            assert "does not open" in service.shared.services.failed[ACME].reason
            assert stolen not in service.shared.services.failed[ACME].reason

    @pytest.mark.parametrize("text", ["", "short\n", "\x00\xff"])
    async def test_a_file_that_holds_no_key_keeps_the_service_from_starting(self, settings: Settings, text: str) -> None:
        settings.data.mkdir()
        (settings.data / keyring.OWN).write_bytes(text.encode("latin-1"))
        with pytest.raises(CannotStart, match=keyring.OWN):
            keyring.load(settings, {})
        assert (settings.data / keyring.OWN).read_bytes() == text.encode("latin-1")


class TestWhereTheKeyIs:
    def test_our_own_is_made_once_for_us_alone_and_said(self, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
        keys = keyring.load(settings, {})
        path = settings.data / "secret.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert f"made {path}: keep a copy of it, apart from backups of the data" in caplog.text
        assert keyring.load(settings, {}) == keys
        assert len(caplog.records) == 1
        assert keys.first.line not in caplog.text

    async def test_none_is_made_for_a_database_that_does_not_answer(self, settings: Settings) -> None:
        """It would be in the way of the databases that were meant, whose secrets another key has sealed."""
        with socket.socket() as nobody:  # bound, and not listening: whoever connects is refused
            nobody.bind(("127.0.0.1", 0))
            away = f"postgresql+asyncpg://u:p@127.0.0.1:{nobody.getsockname()[1]}/fernamt"
            databases = Databases(settings.model_copy(update={"database": settings.database.model_copy(update={"control": away})}))
            with pytest.raises(Unreachable):
                await databases.open()
        assert keyring.is_to_be_made(settings, {})

    def test_a_credential_of_systemd_comes_before_our_own_and_the_setting_before_both(
        self, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        own = keyring.load(settings, {}).first
        credential, named = keyring.new_key(), keyring.new_key()
        (tmp_path / "fernamt.key").write_text(credential.line)
        (tmp_path / "fernamt.key").chmod(0o440)
        (tmp_path / "named").write_text(named.line)
        environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
        by_setting = settings.model_copy(update={"secrets": Secrets(key_file=tmp_path / "named")})
        assert keyring.load(settings, environ).first == credential
        assert "may read" not in caplog.text
        assert keyring.load(by_setting, environ).first == named
        assert keyring.load(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path / "other")}).first == own

    def test_a_file_that_is_named_and_not_there_is_not_made(self, settings: Settings, tmp_path: Path) -> None:
        by_setting = settings.model_copy(update={"secrets": Secrets(key_file=tmp_path / "named")})
        with pytest.raises(CannotStart, match=r"named: No such file"):
            keyring.load(by_setting, {})
        assert not (tmp_path / "named").exists()

    def test_a_key_that_others_can_read_is_said(self, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "named").write_text(keyring.new_key().line)
        (tmp_path / "named").chmod(0o644)
        keyring.load(settings.model_copy(update={"secrets": Secrets(key_file=tmp_path / "named")}), {})
        assert "mode 0644: others on this machine may read" in caplog.text


async def command(settings: Settings, *arguments: str) -> int:
    """Beside the loop of the test: the command has one of its own."""
    return await asyncio.to_thread(entry.main, ["secrets", *arguments, "--data", str(settings.data)])


class TestRotation:
    """As docs/secrets.md says it, step by step."""

    async def test_a_new_key_is_put_first_everything_is_sealed_anew_and_the_old_one_is_taken_out(
        self, stopped: Stopped, clock: Clock, application: FastAPI, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings, _, before = stopped
        path = settings.data / keyring.OWN
        old = keys_of(path.read_text(), "").first
        assert await command(settings, "check") == 0
        assert f"acme: 9 under key {old.id}\n" in capsys.readouterr().out

        assert entry.main(["secrets", "new-key"]) == 0
        line = capsys.readouterr().out.strip()
        new = keys_of(line, "").first
        path.write_text(f"{line}\n{old.line}\n")
        async with started(settings, clock, application) as service:  # both work meanwhile
            assert told(service) == before
        assert await command(settings, "check") == 1
        assert f"acme: 9 under key {old.id}\n" in capsys.readouterr().out

        assert await command(settings, "reseal") == 0
        assert "acme: 9 secrets were sealed anew" in capsys.readouterr().out
        assert await command(settings, "check") == 0
        assert f"acme: 9 under key {new.id}\n" in capsys.readouterr().out
        assert f"sealed:1:{old.id}".encode() not in octets_below(settings.data)

        path.write_text(f"{line}\n")
        async with started(settings, clock, application) as service:
            assert told(service) == before

    async def test_reseal_without_the_old_key_changes_nothing_and_says_so(
        self, stopped: Stopped, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings, _, _ = stopped
        sealed = kept(settings)
        (settings.data / keyring.OWN).write_text(keyring.new_key().line)
        assert await command(settings, "check") == 1
        assert "WHICH IS MISSING" in capsys.readouterr().out
        assert await command(settings, "reseal") == 1
        said = capsys.readouterr().err
        assert "put that key back" in said
        assert "keep the older keys" in said
        assert kept(settings) == sealed

    async def test_check_reads_beside_a_running_service_and_reseal_does_not_run_there(
        self, stopped: Stopped, clock: Clock, application: FastAPI, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings, _, _ = stopped
        from acd.data_lock import DataLock

        with DataLock(settings.data):
            async with started(settings, clock, application):
                assert await command(settings, "check") == 0
                assert await command(settings, "reseal") == 2
        assert "is in use by" in capsys.readouterr().err

    @pytest.mark.parametrize("act", ["check", "reseal"])
    async def test_no_command_makes_a_key(self, act: str, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
        """The service may have another, as a credential of systemd: what was sealed here would not open there."""
        settings.data.mkdir()
        assert await command(settings, act) == 2
        assert list(settings.data.iterdir()) == []
        assert "secret.key: No such file" in capsys.readouterr().err

    async def test_the_file_behind_a_credential_is_named(
        self, stopped: Stopped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings, _, _ = stopped
        (settings.data / keyring.OWN).rename(tmp_path / "credential")
        assert await command(settings, "reseal", "--key-file", str(tmp_path / "credential")) == 0
        assert await command(settings, "check", "--key-file", str(tmp_path / "credential")) == 0
        assert not (settings.data / keyring.OWN).exists()
        assert f"first of {tmp_path / 'credential'}" in capsys.readouterr().out

    async def test_check_finds_what_stands_in_clear(self, stopped: Stopped, capsys: pytest.CaptureFixture[str]) -> None:
        settings, _, _ = stopped
        in_clear(settings)
        assert await command(settings, "check") == 1
        assert "acme: 5 in clear\n" in capsys.readouterr().out
        assert HA1["anna"] in kept(settings)


def test_an_id_names_a_key_and_not_its_place() -> None:
    key = Key(bytes(32))
    assert keys_of(f"{keyring.new_key().line}\n{key.line}", "x").every[1].id == key.id
