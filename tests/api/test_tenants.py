"""Tenants: created and usable at once (R7), undone when they fail, closed."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from acd.errors import JournalDamaged
from acd.service import TenantSetup
from api.config import Database, Settings
from api.db import drop_database, tenant_url
from api.outages import TenantInUse, place
from api.services import Services
from api.tenant_lock import TenantLock
from api.tenants import service as tenants_service
from tests.api.conftest import ACME, PASSWORD, Clock, Service, add_tenant, started
from tests.api.sockets import Closed, Socket
from tests.api.voice import EngineVoice
from tests.servers import databases_to_test, server


class TestCreate:
    async def test_new_tenant_has_a_working_queue_without_a_restart(self, acme: Service) -> None:
        """R7: a new tenant gets a working queue by API, no restart."""
        await acme.made("agents", {"id": "anna", "name": "Anna"})
        await acme.made("queues", {"id": "support", "name": "Support"})
        await acme.made("numbers", {"number": "601", "target": {"to": "queue", "queue": "support"}})
        (tenant,) = acme.voice.engines
        await acme.voice.register(tenant, "anna")
        await acme.made("agents/anna/log-on", {"ready": True})
        call = await acme.voice.arrive(tenant, "601", "+4930111111")
        await acme.voice.answer_agent(tenant, "anna")
        assert [one["id"] for one in (await acme.got("live"))["calls"]] == [call]

    async def test_administrators_password_is_drawn_and_works(self, service: Service) -> None:
        created = await service.made("tenants", {"id": "acme", "name": "ACME"}, "operator")
        assert await service.log_in("admin", created["admin"]["password"])

    async def test_own_password_is_not_repeated(self, service: Service) -> None:
        created = await service.made("tenants", {"id": "acme", "name": "ACME", "admin": {"password": PASSWORD}}, "operator")
        assert created["admin"]["password"] is None

    async def test_first_reasons_speak_the_tenants_language(self, service: Service) -> None:
        await service.made("tenants", {"id": "acme", "name": "ACME", "language": "en", "admin": {"password": PASSWORD}}, "operator")
        service.tokens["admin"] = await service.log_in("admin")
        assert [reason["name"] for reason in (await service.got("reasons"))["items"]] == ["Break", "Paperwork", "Training"]

    async def test_language_that_nothing_is_spoken_in_is_refused_and_a_stored_one_told(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = {"id": "acme", "name": "ACME", "language": "fr", "admin": {"password": PASSWORD}}
        answer = await service.call("POST", "tenants", "operator", json=body)
        assert (answer.status_code, answer.json()["detail"]) == (422, "#/language: announcements are spoken in de, en")
        with monkeypatch.context() as then:
            then.setattr("acd.sounds.LANGUAGES", ("de", "en", "fr"))
            await service.made("tenants", body, "operator")
        service.tokens["admin"] = await service.log_in("admin")
        assert (await service.got("setup"))["language"] == "fr"
        number = await service.made("numbers", {"number": "600", "target": {"to": "hang_up"}})
        assert number["language"] == "fr"  # left out: the tenant's
        assert (await service.call("PUT", "setup", json={"recording_notice": False})).json()["language"] == "fr"

    async def test_name_is_taken(self, acme: Service) -> None:
        assert (await acme.call("POST", "tenants", "operator", json={"id": "acme", "name": "Again"})).status_code == 409

    async def test_two_at_once_make_one(self, service: Service) -> None:
        body = {"id": "acme", "name": "ACME"}
        answers = await asyncio.gather(*(service.call("POST", "tenants", "operator", json=body) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]

    async def test_tenant_that_fails_leaves_nothing_behind(self, service: Service) -> None:
        service.voice.refuse_opening = True
        answer = await service.call("POST", "tenants", "operator", json={"id": "acme", "name": "ACME"})
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "disk" not in answer.text
        assert (await service.call("GET", "tenants/acme", "operator")).status_code == 404
        assert not (service.settings.data / "tenants" / "acme" / "tenant.sqlite").exists()
        service.voice.refuse_opening = False
        await add_tenant(service, "acme")

    async def test_data_of_a_tenant_that_control_does_not_know_are_neither_used_nor_removed(
        self, acme: Service, clock: Clock, application: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An older control database was put back: it does not know the tenant any more. Its name is not given to another."""
        folder = acme.settings.data / "tenants" / "acme"
        await acme.databases.close()
        (folder / "journal-000000000001.log").write_bytes(b"")
        (acme.settings.data / "control.sqlite").unlink()
        before = (folder / "tenant.sqlite").read_bytes()
        async with started(acme.settings, clock, application) as again:
            assert f"{folder} holds the data of a tenant that the control database does not know" in caplog.text
            again.tokens["operator"] = await again.log_in("operator", tenant=None)
            for journal in (True, False):
                if not journal:
                    (folder / "journal-000000000001.log").unlink()
                answer = await again.call("POST", "tenants", "operator", json={"id": "acme", "name": "ACME"})
                assert (answer.status_code, "restore the control database" in answer.json()["detail"]) == (409, True)
                assert (folder / "tenant.sqlite").read_bytes() == before

    async def test_tenant_whose_database_is_not_there_is_not_given_an_empty_one(
        self, acme: Service, clock: Clock, application: FastAPI
    ) -> None:
        """A volume that is not mounted, a restore that was not done: its people must not be told that their password is wrong."""
        path = acme.settings.data / "tenants" / "acme" / "tenant.sqlite"
        await acme.databases.close()
        path.rename(path.with_suffix(".elsewhere"))
        async with started(acme.settings, clock, application) as again:
            again.tokens.update(acme.tokens)
            ready = await again.client.get("/readyz")
            assert (ready.status_code, "is not there" in ready.json()["failed"]["acme"]) == (503, True)
            assert (await again.call("GET", "me")).status_code == 503
            assert not path.exists()
            path.with_suffix(".elsewhere").rename(path)
            again.tokens["operator"] = await again.log_in("operator", tenant=None)
            assert (await again.call("POST", "tenants/acme/open", "operator")).status_code == 200
            assert (await again.call("GET", "me")).status_code == 200

    async def test_id_that_could_leave_the_folder_is_refused(self, service: Service) -> None:
        for name in ("../etc", "a/b", "A", "-", "", "a.b", "é"):
            assert (await service.call("POST", "tenants", "operator", json={"id": name, "name": "X"})).status_code == 422


class TestClose:
    async def test_closed_tenant_lets_nobody_in_and_keeps_its_data(self, acme: Service) -> None:
        assert (await acme.call("DELETE", "tenants/acme", "operator")).status_code == 204
        assert (await acme.call("GET", "me")).status_code == 401
        assert (await acme.call("DELETE", "tenants/acme", "operator")).status_code == 409
        assert (await acme.got("tenants/acme", "operator"))["state"] == "closed"
        assert (acme.settings.data / "tenants" / "acme" / "tenant.sqlite").exists()
        assert acme.voice.engines == {}

    async def test_closed_tenant_is_not_opened_at_the_next_start(self, acme: Service) -> None:
        await acme.call("DELETE", "tenants/acme", "operator")
        assert (await acme.got("tenants", "operator"))["items"][0]["closed_at"] is not None


class TestStart:
    async def test_one_tenant_that_cannot_be_opened_does_not_silence_the_others(
        self, acme: Service, clock: Clock, application: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await add_tenant(acme, "other")
        await acme.databases.close()
        opened = EngineVoice.open_tenant

        async def damaged(voice: EngineVoice, setup: TenantSetup, *rest: Any) -> None:
            if setup.configuration.tenant == "acme":
                raise JournalDamaged("entry 7")
            await opened(voice, setup, *rest)

        monkeypatch.setattr(EngineVoice, "open_tenant", damaged)
        async with started(acme.settings, clock, application) as again:
            again.tokens.update(acme.tokens)
            ready = await again.client.get("/readyz")
            assert ready.json() == {"status": "not ready", "failed": {"acme": "entry 7"}, "open": ["other"]}
            assert ready.status_code == 503
            assert (await again.call("GET", "me")).status_code == 503
            assert (await again.call("GET", "live", "other-admin")).status_code == 200


class Damaged:
    """A voice service that cannot open acme as long as it is told so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = JournalDamaged("/data/tenants/acme/journal-1.log: a checksum that does not fit at offset 7")
        self.tries = 0
        opened = EngineVoice.open_tenant

        async def open_tenant(voice: EngineVoice, setup: TenantSetup, *rest: Any) -> None:
            if setup.configuration.tenant == "acme":
                self.tries += 1
                if self.error is not None:
                    raise self.error
            await opened(voice, setup, *rest)

        monkeypatch.setattr(EngineVoice, "open_tenant", open_tenant)


@asynccontextmanager
async def started_again(acme: Service, clock: Clock, application: FastAPI) -> AsyncIterator[Service]:
    await acme.databases.close()
    async with started(acme.settings, clock, application) as again:
        again.tokens.update(acme.tokens)
        yield again


class TestNotOpen:
    """A tenant that exists and could not be opened: said as it is, to everybody as far as it concerns them."""

    async def test_its_people_are_told_that_it_is_not_their_password(
        self, acme: Service, clock: Clock, application: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Damaged(monkeypatch)
        async with started_again(acme, clock, application) as again:
            body = {"tenant": "acme", "username": "admin", "password": PASSWORD}
            for answer in (await again.client.post("/api/v1/login", json=body), await again.call("GET", "me")):
                assert answer.status_code == 503
                assert answer.json()["type"] == "urn:fernamt:problem:unavailable"
                assert answer.json()["detail"] == "The tenant acme cannot be served at the moment; the platform's operator knows why."
                assert int(answer.headers["retry-after"]) > 0
            async with Socket(again.app, "/api/v1/events", again.tokens["admin"]) as socket:
                with pytest.raises(Closed, match="1013 The tenant acme cannot be served"):
                    await socket.receive()
            unknown = await again.client.post("/api/v1/login", json={**body, "tenant": "nobody"})
            assert unknown.status_code == 401
            assert "nobody" not in unknown.json()["detail"]

    async def test_operator_sees_why_repairs_and_opens_it(
        self, acme: Service, clock: Clock, application: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        damaged = Damaged(monkeypatch)
        async with started_again(acme, clock, application) as again:
            (told,) = (await again.got("tenants", "operator"))["items"]
            assert told["trouble"] == str(damaged.error)
            refused = await again.call("POST", "tenants/acme/open", "operator")
            assert refused.status_code == 503
            assert refused.json()["detail"] == f"The tenant acme is not open: {damaged.error}"
            assert refused.headers["retry-after"]
            assert not [record for record in caplog.records if record.exc_info]
            assert len([record for record in caplog.records if "cannot be opened" in record.getMessage()]) == 1

            damaged.error = None
            opened = await again.call("POST", "tenants/acme/open", "operator")
            assert opened.status_code == 200
            assert (opened.json()["state"], opened.json()["trouble"]) == ("active", None)
            assert (await again.call("GET", "live")).status_code == 200
            assert (await again.client.get("/readyz")).json() == {"status": "ready"}
            assert (await again.call("POST", "tenants/acme/open", "operator")).status_code == 409

    async def test_nobody_else_may_open_and_nothing_that_is_not_there_can_be(self, acme: Service) -> None:
        assert (await acme.call("POST", "tenants/acme/open", "admin")).status_code == 403
        assert (await acme.call("POST", "tenants/nobody/open", "operator")).status_code == 404
        await acme.call("DELETE", "tenants/acme", "operator")
        assert (await acme.call("POST", "tenants/acme/open", "operator")).status_code == 409

    async def test_it_can_be_closed_for_good(
        self, acme: Service, clock: Clock, application: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Damaged(monkeypatch)
        async with started_again(acme, clock, application) as again:
            assert (await again.call("DELETE", "tenants/acme", "operator")).status_code == 204
            assert (await again.client.get("/readyz")).json() == {"status": "ready"}
            assert (await again.call("GET", "me")).status_code == 401

    async def test_damage_is_not_tried_again_by_itself_and_what_passes_is(
        self, acme: Service, clock: Clock, application: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tenants_service, "RETRY_FIRST_S", 0.01)
        damaged = Damaged(monkeypatch)
        async with started_again(acme, clock, application) as again:
            assert house_of(again).reopening == {}
        damaged.error, damaged.tries = OSError(errno.ENOSPC, "No space left on device", "/data/x"), 0
        async with started_again(acme, clock, application) as again:
            assert (await again.client.get("/readyz")).json()["failed"] == {"acme": "/data/x: No space left on device"}
            async with asyncio.timeout(10):
                while damaged.tries < 3:
                    await asyncio.sleep(0.001)
                damaged.error = None
                while house_of(again).reopening:
                    await asyncio.sleep(0.001)
            assert (await again.call("GET", "live")).status_code == 200

    @pytest.mark.slow
    async def test_tenant_whose_server_is_away_at_the_start_is_opened_when_it_is_back(
        self, settings: Settings, clock: Clock, application: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if "postgresql" not in databases_to_test():
            pytest.skip("postgresql is not among FERNAMT_TEST_DATABASES")
        monkeypatch.setattr(tenants_service, "RETRY_FIRST_S", 0.05)
        running = server("postgresql")
        settings = settings.model_copy(update={"database": Database(tenant_url=running.url("away_{tenant}"))})
        try:
            async with started(settings, clock, application) as before:
                before.tokens["operator"] = await before.log_in("operator", tenant=None)
                await add_tenant(before, "acme")
                tokens = before.tokens
            async with running.away(), AsyncExitStack() as stack:
                again = await stack.enter_async_context(started(settings, clock, application))
                again.tokens.update(tokens)
                told = (await again.client.get("/readyz")).json()["failed"]["acme"]
                assert told.startswith(f"{place(tenant_url(settings, ACME))}: Connect call failed")
                assert (await again.call("GET", "me")).status_code == 503
                kept = stack.pop_all()
            async with kept:
                async with asyncio.timeout(20):
                    while (await again.call("GET", "me")).status_code != 200:
                        await asyncio.sleep(0.01)
                assert (await again.client.get("/readyz")).json() == {"status": "ready"}
        finally:
            await drop_database(tenant_url(settings, ACME))

    async def test_tenant_that_is_lost_to_another_process_decides_nothing_more(
        self, acme: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(tenants_service, "RETRY_FIRST_S", 600.0)
        await acme.databases._lost(ACME, "tenant acme is in use by another process (connection 7)")
        assert acme.voice.engines == {}
        assert acme.databases.opened == ()
        assert (await acme.client.get("/readyz")).json()["failed"]["acme"].endswith("another process (connection 7)")
        assert (await acme.call("GET", "me")).status_code == 503
        assert [record.levelname for record in caplog.records if "is lost" in record.getMessage()] == ["CRITICAL"]
        assert (await acme.call("POST", "tenants/acme/open", "operator")).status_code == 200
        assert (await acme.call("GET", "me")).status_code == 200
        assert house_of(acme).reopening == {}

    async def test_new_tenant_whose_database_somebody_else_has_is_refused_and_left_alone(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def taken(*_: Any) -> None:
            raise TenantInUse("tenant acme is in use by another process (connection 7)")

        file = service.settings.data / "tenants" / "acme" / "tenant.sqlite"
        assert file.exists()
        monkeypatch.setattr(TenantLock, "take", taken)
        answer = await service.call("POST", "tenants", "operator", json={"id": "acme", "name": "ACME"})
        assert answer.status_code == 409
        assert "another process" in answer.json()["detail"]
        assert file.exists()


def house_of(running: Service) -> Services:
    found = running.shared.services
    assert isinstance(found, Services)
    return found
