"""A recorded call through the real service: what both said is in the file, the file is what the API gives, and what is deleted stays so."""

import asyncio
import http.client
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from load.hearing import dominant_hz, has_tone
from load.phones import SyntheticPhone
from media.frame import Samples
from media.wave_file import HEADER_OCTETS, pcm_duration_ms
from tests.journeys.service import TENANT, ServiceProcess, service

pytestmark = pytest.mark.journey

CALLER_HZ, AGENT_HZ = 440.0, 1000.0
NOTICE = timedelta(seconds=3)
"""`recording.notice` lasts longer in any language."""


async def test_a_recorded_call_is_listed_heard_in_ranges_deleted_and_gone_for_good(tmp_path: Path) -> None:
    async with service(tmp_path) as house:
        await talk_in_a_recorded_queue(house)
        (told,) = await house.cdrs(1)
        offered_at_once(told["cdr"])
        (found,) = (await house.call(house.api.get, "/api/v1/recordings"))["items"]
        assert (found["call"], found["queue"], found["calling"]) == (told["cdr"]["id"], "support", "+491711234567")
        name = found["name"]
        (file,) = tmp_path.glob(f"data/tenants/{TENANT}/recordings/*.wav")  # noqa: ASYNC240 - a small folder
        assert file.name == name
        octets = await asyncio.to_thread(file.read_bytes)

        path = f"/api/v1/recordings/{name}/audio"
        first = await house.call(fetch, house, path, {"Range": "bytes=0-9999"})
        rest = await house.call(fetch, house, path, {"Range": "bytes=10000-", "If-Range": first[1]["ETag"]})
        assert (first[0], rest[0]) == (206, 206)
        assert rest[1]["Content-Range"] == f"bytes 10000-{len(octets) - 1}/{len(octets)}"
        assert first[2] + rest[2] == octets
        assert (await house.call(fetch, house, path, {}))[2] == octets
        assert found["octets"] == len(octets)
        assert abs(pcm_duration_ms(octets) - found["duration_ms"]) <= 1

        spoken = {party["role"]: channel_of(octets, party["channel"]) for party in found["parties"]}
        assert {party["role"]: party["party"] for party in found["parties"]}["agent"] == "anna"
        for role, own, others in (("caller", CALLER_HZ, AGENT_HZ), ("agent", AGENT_HZ, CALLER_HZ)):
            assert has_tone(spoken[role], own), f"{role}: {dominant_hz(spoken[role])} Hz"
            assert not has_tone(spoken[role], others)

        assert (await house.call(fetch, house, f"/api/v1/recordings/{name}", {}, "DELETE"))[0] == 204
        await house.restart()
        assert (await house.call(house.api.get, "/api/v1/recordings"))["items"] == []
        status, _, body = await house.call(fetch, house, path, {})
        assert (status, b"was deleted on" in body) == (410, True)
        assert not file.exists()
        (told,) = await house.cdrs(1)
        assert [one["name"] for one in told["deleted_recordings"]] == [one["path"] for one in told["cdr"]["recordings"]] == [name]
        entries = (await house.call(house.api.get, "/api/v1/audit?limit=100&about=all&subject=" + name))["items"]
        assert {(one["act"], one["kind"]) for one in entries} == {("deleted", "recording"), ("read", "recording_audio")}


async def talk_in_a_recorded_queue(house: ServiceProcess) -> None:
    """Both send their tone, and each hears the other's."""
    devices = await house.provision()
    queue = await house.call(house.api.get, "/api/v1/queues/support")
    recorded = {name: value for name, value in queue.items() if name not in {"version", "changed_at"}} | {"record": True}
    await house.call(house.api.put, "/api/v1/queues/support", recorded)
    async with house.phone(devices["anna"], "anna") as anna, SyntheticPhone(house.sip, user="+491711234567") as caller:
        await anna.register()
        await house.ready("anna")
        call = await caller.call("601")
        await call.answered()
        offered = await anna.incoming()
        await offered.answer()
        # Recording begins with the talk, after the notice.
        await asyncio.gather(
            call.hears_tone(AGENT_HZ, 20),
            offered.hears_tone(CALLER_HZ, 20),
            call.send_tone(CALLER_HZ, 8.0),
            offered.send_tone(AGENT_HZ, 8.0),
        )
        call.hang_up()
        await offered.ended()


def offered_at_once(cdr: dict[str, Any]) -> None:
    """The caller waited through the notice before a phone rang, and who took the call talked in that instant."""
    (agent,) = [leg for leg in cdr["legs"] if leg["role"] == "agent"]
    (waited,) = [segment for segment in cdr["segments"] if segment["kind"] == "queue"]
    talked = [segment for segment in cdr["segments"] if segment["kind"] == "talk"]
    entered, rang = (datetime.fromisoformat(at) for at in (waited["began_at"], agent["began_at"]))
    assert rang - entered >= NOTICE
    assert {segment["began_at"] for segment in talked} == {agent["answered_at"]}


def channel_of(octets: bytes, channel: int) -> Samples:
    """What is not silent of one channel."""
    samples = np.frombuffer(octets[HEADER_OCTETS:], dtype="<i2").reshape(-1, 2)[:, channel - 1].astype(np.int16)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 500)
    assert len(loud), f"channel {channel} is silent"
    return samples[loud[0] : loud[-1]]


def fetch(house: ServiceProcess, path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", house.http, timeout=30)
    try:
        connection.request(method, path, headers=headers | {"Authorization": f"Bearer {house.api.token}"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()
