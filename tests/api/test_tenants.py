"""Tenants: created and usable at once (R7), undone when they fail, closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from acd.errors import JournalDamaged
from acd.service import TenantSetup
from tests.api.conftest import PASSWORD, Clock, Service, add_tenant, started
from tests.api.voice import EngineVoice


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
            assert (await again.client.get("/readyz")).json() == {"status": "ready", "failed": ["acme"]}
            assert (await again.call("GET", "me")).status_code == 401
            assert (await again.call("GET", "live", "other-admin")).status_code == 200
