"""Strangers see that the service is well or not; names of tenants, hosts and paths are for the operator and the monitoring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr, ValidationError

from api.config import Monitoring, Settings
from api.services import Services
from tests.api.conftest import Service

TOKEN = "a token for the monitoring"


def monitored(service: Service, monitoring: Monitoring) -> None:
    services: Services = service.shared.services
    service.shared.services = replace(services, settings=services.settings.model_copy(update={"monitoring": monitoring}))


async def ask(app: FastAPI, path: str, host: str, **headers: str) -> httpx.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app, client=(host, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=fields)


async def test_figures_are_for_the_own_machine_by_default(acme: Service) -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"):
        assert 'tenant="acme"' in (await ask(acme.app, "/metrics", host)).text
    assert (await acme.call("GET", "/metrics", "admin")).status_code == 200  # a token that opens nothing closes nothing
    for host in ("192.0.2.7", "2001:db8::1", "0.0.0.0", "test"):
        answer = await ask(acme.app, "/metrics", host)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "acme" not in answer.text


@pytest.mark.parametrize("passed_on", ["forwarded", "x_forwarded_for", "x_real_ip", "via"])
async def test_what_a_proxy_of_the_own_machine_passes_on_comes_from_elsewhere(acme: Service, passed_on: str) -> None:
    assert (await ask(acme.app, "/metrics", "127.0.0.1", **{passed_on: "127.0.0.1"})).status_code == 401


async def test_token_opens_from_everywhere(acme: Service) -> None:
    monitored(acme, Monitoring(token=SecretStr(TOKEN)))
    assert (await ask(acme.app, "/metrics", "192.0.2.7", authorization=f"Bearer {TOKEN}")).status_code == 200
    for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", f"Bearer {TOKEN[:-1]}ü"):
        answer = await acme.client.get("/metrics", headers=[(b"x-forwarded-for", b"1"), (b"authorization", wrong.encode("latin-1"))])
        assert answer.status_code == 401


async def test_operator_sees_and_an_administrator_does_not(acme: Service) -> None:
    for who, status in (("operator", 200), ("admin", 401)):
        assert (await ask(acme.app, "/metrics", "192.0.2.7", authorization=f"Bearer {acme.tokens[who]}")).status_code == status


async def test_another_network_can_be_let_in(acme: Service) -> None:
    monitored(acme, Monitoring(sources=("192.0.2.0/24",)))
    assert (await ask(acme.app, "/metrics", "192.0.2.7")).status_code == 200
    assert (await ask(acme.app, "/metrics", "127.0.0.1")).status_code == 401


async def test_strangers_are_told_only_that_something_is_wrong(acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acme.voice, "troubles", lambda: {"acme": "/data/x: No space left on device"})
    for host, document in (
        ("192.0.2.7", {"status": "not ready"}),
        ("127.0.0.1", {"status": "not ready", "failed": {"acme": "/data/x: No space left on device"}}),
    ):
        answer = await ask(acme.app, "/readyz", host)
        assert (answer.status_code, answer.json()) == (503, document)
    answer = await ask(acme.app, "/readyz", "192.0.2.7", authorization=f"Bearer {acme.tokens['operator']}")
    assert "acme" in answer.json()["failed"]


def test_token_that_is_short_and_networks_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Monitoring(token=SecretStr("short"))
    for wrong in ("localhost", "192.0.2.7/24", "10.0.0.0/33"):
        with pytest.raises(ValidationError):
            Monitoring(sources=(wrong,))
    assert Settings(data=tmp_path).monitoring.token is None
