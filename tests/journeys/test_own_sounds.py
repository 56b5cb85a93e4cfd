"""A tenant's own sounds by real phones: heard at the next call, replaced, heard over a restart, and by no other tenant's callers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from load.hearing import has_sound, has_tone
from load.phones import SyntheticPhone
from tests.journeys.service import ADMIN, OPERATOR, TENANT, ServiceProcess, service
from tests.media.test_sound_file import pcm16, sine

pytestmark = pytest.mark.journey

FIRST_HZ, SECOND_HZ, LABEL_HZ = 700.0, 950.0, 1200.0
LONG_S = 4.0
NEIGHBOUR, NEIGHBOURS_NUMBER, NEIGHBOURS_NET = "nachbar", "+4930198601", "127.77.0.0/16"


def tone(hz: float, seconds: float) -> bytes:
    """As somebody records it: 44.1 kHz, which the house does not speak."""
    return pcm16(sine(hz, 44_100, seconds), 44_100)


async def send(house: ServiceProcess, name: str, file: bytes, *, anew: bool = False) -> None:
    language, _, rest = name.partition("/")
    method, path = ("PUT", f"/api/v1/sounds/{name}") if anew else ("POST", f"/api/v1/sounds?language={language}&name={rest}")
    await house.call(house.api.request, method, path, file, {"Content-Type": "audio/wav"})


async def greeted_with(house: ServiceProcess, hz: float, number: str = "601") -> None:
    async with SyntheticPhone(house.sip, user="+491711234567") as caller:
        call = await caller.call(number)
        await call.answered()
        await call.hears_tone(hz)
        call.hang_up()


def furnish(house: ServiceProcess) -> None:
    """Another tenant, with a queue as the house has it."""
    api = house.api
    api.log_in("operator", OPERATOR)
    api.post("/api/v1/tenants", {"id": NEIGHBOUR, "name": "Nachbar", "admin": {"username": "admin", "password": ADMIN}})
    api.post(f"/api/v1/tenants/{NEIGHBOUR}/numbers", {"numbers": [NEIGHBOURS_NUMBER]})
    api.post(f"/api/v1/tenants/{NEIGHBOUR}/sources", {"network": NEIGHBOURS_NET, "note": "next door"})
    api.log_in("admin", ADMIN, NEIGHBOUR)
    api.post("/api/v1/trunks", {"id": "t", "name": "T", "peer": "127.77.0.9", "sources": [NEIGHBOURS_NET], "probe_every_s": 0})
    api.post("/api/v1/queues", {"id": "support", "name": "Support"})
    api.post("/api/v1/numbers", {"number": NEIGHBOURS_NUMBER, "target": {"to": "queue", "queue": "support"}})
    api.log_in("admin", ADMIN, TENANT)


async def test_an_own_greeting_is_heard_at_once_replaced_kept_and_nobody_elses(tmp_path: Path) -> None:
    async with service(tmp_path) as house:
        await house.provision()
        await house.call(furnish, house)
        await send(house, "de/queue.greeting", tone(FIRST_HZ, LONG_S))
        await greeted_with(house, FIRST_HZ)

        async with SyntheticPhone(house.sip, user="+491711234568") as caller:
            early = await caller.call("601")
            await early.answered()
            await early.hears_tone(FIRST_HZ)
            await send(house, "de/queue.greeting", tone(SECOND_HZ, LONG_S), anew=True)
            await greeted_with(house, SECOND_HZ)
            assert has_tone((await early.audio.wait_for(1600, 5, early.audio.position))[:1600], FIRST_HZ)  # what plays goes on
            early.hang_up()

        async with SyntheticPhone(house.sip, user="+491711234569", address=NEIGHBOURS_NET.replace("0.0/16", "0.1")) as caller:
            other = await caller.call(NEIGHBOURS_NUMBER)
            await other.answered()
            heard = await other.audio.wait_for(8000, 10)
            assert has_sound(heard)
            assert not any(has_tone(heard[at : at + 1600], hz) for at in range(0, 6400, 400) for hz in (FIRST_HZ, SECOND_HZ))
            other.hang_up()

        await house.cdrs(3)
        await house.restart()
        await greeted_with(house, SECOND_HZ)
        told: dict[str, Any] = await house.call(house.api.get, "/api/v1/sounds/de/queue.greeting")
        assert (told["version"], told["duration_ms"], told["sample_rate"]) == (2, 4000, 44_100)
        await a_menu_says_it(house)
        assert await house.call(lambda: house.api.metrics().get("fernamt_switch_unknown_sounds_total", 0)) == 0
        await a_lost_file_is_no_silence(house, tmp_path)


async def a_menu_says_it(house: ServiceProcess) -> None:
    """A label of the tenant's own, between the house's words."""
    await send(house, "de/our.fans", tone(LABEL_HZ, 1.0))
    menu = {"id": "main", "options": {"1": {"to": "queue", "queue": "support"}}, "labels": {"1": ["our.fans"]}}
    await house.call(house.api.put, "/api/v1/menus/main", menu)
    await greeted_with(house, LABEL_HZ, "600")


async def a_lost_file_is_no_silence(house: ServiceProcess, folder: Path) -> None:
    """The first call goes on without the greeting; from the next on what is packaged is heard."""
    await send(house, "de/queue.greeting", tone(FIRST_HZ, 1.0), anew=True)
    for file in await asyncio.to_thread(lambda: list(folder.glob(f"data/tenants/{TENANT}/sounds/*.wav"))):
        file.unlink()
    for _ in range(2):
        async with SyntheticPhone(house.sip, user="+491711234567") as caller:
            call = await caller.call("601")
            await call.answered()
            assert has_sound(await call.audio.wait_for(4000, 10))
            call.hang_up()
    await house.cdrs(7)
    assert await house.call(lambda: house.api.metrics()["fernamt_switch_unknown_sounds_total"]) == 1
    assert house.log.count("the sound de/queue.greeting of play") == 1
