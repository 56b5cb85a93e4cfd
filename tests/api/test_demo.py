"""The demonstration: made once, kept, and what R23 and a newcomer need is in it."""

from __future__ import annotations

import stat

import httpx
import pytest
from fastapi import FastAPI

from acd.core import effects as ef
from acd.core.configuration import ToMenu, ToQueue
from acd.core.ids import AgentId, TenantId
from acd.core.inputs import LogOn
from acd.core.spoken_menu import PAUSE, sounds_of
from api.demo import FILE, TENANT, Demo
from api.shared import shared_in
from tests.api.conftest import CHEAP, Clock, Service, started

DEMO = TenantId("demo")


@pytest.fixture
async def demo(service: Service, clock: Clock, application: FastAPI) -> tuple[Service, Demo]:
    await service.databases.close()
    settings = service.settings.model_copy(update={"demo": True, "login": CHEAP})
    async with started(settings, clock, application) as running:
        found: Demo = shared_in(application).demo
        assert found is not None
    async with started(settings, clock, application) as again:
        assert shared_in(application).demo == found
        running = again
        await _use(running, found)
    return running, found


async def _use(service: Service, found: Demo) -> None:
    """Everything that needs the service to run."""
    for user in found.users:
        service.tokens[user] = await service.log_in(user, found.users[user], "demo")
    await service.voice.register(DEMO, "anna")
    await service.made("agents/me/log-on", {"ready": True}, "anna")
    await service.voice.arrive(DEMO, "+442079460600", "+493023125010", "demo")
    rung = [effect for effect in service.voice.effects[DEMO] if isinstance(effect, ef.OriginateToAgent)]
    assert [effect.agent for effect in rung] == ["anna"]


async def test_second_start_keeps_data_and_credentials(demo: tuple[Service, Demo]) -> None:
    service, found = demo
    assert set(found.devices) >= {"demo-anna", "demo-ben", "demo-clara", "demo-dmitri", "demo-phone"}
    assert len(found.devices) == 11
    path = service.settings.data / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(password in found.table() for password in [*found.users.values(), *found.devices.values()])


async def test_six_countries_reach_one_queue_with_their_language(demo: tuple[Service, Demo]) -> None:
    """R23: local numbers of DE, AT, CH, AU, US, UK map to one queue with country tag and language."""
    service, _ = demo
    numbers = [number for number in service.voice.setups[TENANT].configuration.numbers if number.country]
    assert {number.country: number.language for number in numbers} == {
        "DE": "de",
        "AT": "de",
        "CH": "de",
        "AU": "en",
        "US": "en",
        "GB": "en",
    }
    assert {number.target for number in numbers} == {ToQueue(queue=service.voice.setups[TENANT].configuration.queues[2].id)}
    assert all(number.geographic for number in numbers)


async def test_a_caller_from_london_gets_who_speaks_english_first(demo: tuple[Service, Demo]) -> None:
    """clara, who speaks German alone, has been idle longer."""
    service, _ = demo
    for agent in ("clara", "dmitri"):
        await service.voice.register(DEMO, agent)
        await service.voice.command(DEMO, LogOn(agent=AgentId(agent), ready=True))
        service.clock.turn(seconds=1)
    call = await service.voice.arrive(DEMO, "+442079460600", None, "demo")
    (record,) = await service.voice.decisions(DEMO, call)
    assert record["decision"]["term_names"][0] == "other_language"
    assert [one["agent"] for one in record["decision"]["candidates"]] == ["dmitri", "clara"]


async def test_600_is_the_menu_and_601_the_support_queue(demo: tuple[Service, Demo]) -> None:
    service, _ = demo
    targets = {number.number: number.target for number in service.voice.setups[TENANT].configuration.numbers}
    assert isinstance(targets["600"], ToMenu)
    assert targets["601"] == ToQueue(queue=service.voice.setups[TENANT].configuration.queues[2].id)


async def test_page_is_told_the_supervisor(service: Service, clock: Clock, application: FastAPI) -> None:
    await service.databases.close()
    settings = service.settings.model_copy(update={"demo": True})
    async with started(settings, clock, application) as running:
        told = (await running.client.get("http://localhost:8080/api/v1/demo")).json()
        assert told["demo"] is True
        assert await running.log_in(told["username"], told["password"], told["tenant"])
        await _only_people_here_are_told(application)


HERE = ("127.0.0.1", "localhost:8080", {})
NOT_HERE = [
    ("192.0.2.7", "localhost:8080", {}),
    ("2001:db8::7", "127.0.0.1", {}),
    ("127.0.0.1", "pbx.example.com", {}),  # DNS rebinding: a page of elsewhere whose name leads here
    ("127.0.0.1", "127.0.0.1.example.com", {}),
    ("127.0.0.1", "localhost", {"X-Forwarded-For": "127.0.0.1"}),
    ("127.0.0.1", "localhost", {"X-Forwarded-For": "192.0.2.7"}),
    ("127.0.0.1", "localhost", {"Forwarded": "for=192.0.2.7"}),
    ("127.0.0.1", "localhost", {"X-Real-IP": "127.0.0.1"}),
    ("127.0.0.1", "localhost", {"Via": "1.1 proxy"}),
]


async def _only_people_here_are_told(application: FastAPI) -> None:
    """The password is for programs on this machine, and what a request says of itself makes none of it."""
    for client, host, headers in (HERE, ("::1", "[::1]:8080", {}), ("::ffff:127.0.0.1", "127.0.0.1", {})):
        assert "password" in await _told(application, client, host, headers)
    for client, host, headers in NOT_HERE:
        assert await _told(application, client, host, headers) == {"demo": True, "tenant": "demo", "username": "supervisor"}


async def _told(application: FastAPI, client: str, host: str, headers: dict[str, str]) -> dict[str, object]:
    transport = httpx.ASGITransport(application, client=(client, 40_000))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as asking:
        found: dict[str, object] = (await asking.get("/api/v1/demo", headers=headers)).json()
        return found


async def test_the_visitors_phone_may_dial(demo: tuple[Service, Demo]) -> None:
    """Who is logged off dials emergency numbers only; it is never ready, so that nobody is put through to it."""
    service, _ = demo
    (visitor,) = [agent for agent in service.voice.live(TENANT).agents if agent.id == "phone"]
    assert visitor.state == "not_ready"
    assert service.voice.setups[TENANT].dialling.classes == {"national", "mobile", "international"}


async def test_the_menu_says_what_its_keys_lead_to(demo: tuple[Service, Demo]) -> None:
    service, _ = demo
    configuration = service.voice.setups[TENANT].configuration
    (menu,) = configuration.menus
    leads_to = [target.queue for target in menu.options.values() if isinstance(target, ToQueue)]
    assert leads_to == ["support", "sales", "accounting"]
    said = sounds_of(menu, {queue.id: queue for queue in configuration.queues}, {})
    assert (PAUSE, *said) == tuple(
        sound
        for key, department in zip(menu.options, leads_to, strict=True)
        for sound in (PAUSE, "menu.for", f"department.{department}", "menu.press", f"number.{key}")
    )
