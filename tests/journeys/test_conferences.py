"""Consultation, conference, listening, whispering, barging in and two transfers by API, on real legs: who hears whom, by spectrum.

Everybody sends a frequency of its own all the time. What somebody is allowed to hear is there; what he is not is 40 dB below, from the
first packet on. The recording has a channel for each party with that party alone on it.
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from load.phone_audio import probe_tone
from load.phones import PhoneCall, SyntheticPhone
from media.frame import Samples
from media.wave_file import HEADER_OCTETS
from tests.journeys.service import ServiceProcess, service
from tests.journeys.test_recordings import fetch

pytestmark = pytest.mark.journey

HZ = {"caller": 450.0, "anna": 750.0, "ben": 1150.0, "boss": 1850.0}
"""No multiple of another, nor a sum or difference of two that is a third."""
STAMPS = {"version", "changed_at"}
"""What is told of a document and not taken."""
PROBE_S = 120.0
GUARD_S, LOOK_S = 0.45, 0.3
"""After an order is answered a packet may be on its way, and the agent hears a tone of 0.36 s; then so long is listened."""
HEARD_DB, FORBIDDEN_DB = -6.0, -40.0
"""Against what the sender says (the mix may be softer by what it leaves out)."""


def level_db(audio: Samples, hz: float) -> float:
    """Of one frequency, against a phone's own tone, by a window whose side lobes are 92 dB down."""
    window = np.blackman(audio.size)
    turns = np.exp(-2j * np.pi * hz * np.arange(audio.size) / 8000)
    amplitude = 2 * abs(np.sum(audio.astype(np.float64) * window * turns)) / window.sum()
    return float(20 * np.log10(max(amplitude, 1e-3) / SAID))


SAID = float(np.abs(probe_tone(1000.0, 0.1)).max())
"""Amplitude of a phone's tone."""


class House:
    """The service, and whoever is on the line."""

    def __init__(self, api: ServiceProcess) -> None:
        self.api = api
        self.lines: dict[str, PhoneCall] = {}
        self.since: dict[str, int] = {}
        """Where each one's conversation begins, behind what it was told before."""
        self.call = ""

    def joins(self, name: str, line: PhoneCall) -> None:
        """Somebody is on the line, and says its frequency from now on."""
        self.lines[name] = line
        self.since[name] = line.audio.position
        line.start_tone(HZ[name], PROBE_S)

    async def desk(self, agent: str, verb: str, body: dict[str, Any] | None = None) -> Any:
        return await self.api.call(self.api.api.post, f"/api/v1/agents/{agent}/calls/{self.call}/{verb}", body or {})

    async def hear(self, **allowed: str) -> None:
        """Exactly these are heard, of each listener."""
        began = {name: line.audio.position for name, line in self.lines.items()}
        wait = GUARD_S + LOOK_S
        await asyncio.gather(*(self.lines[name].audio.wait_for(int(wait * 8000), 5, began[name]) for name in allowed if allowed[name]))
        for listener, names in allowed.items():
            audio = self.lines[listener].heard(began[listener])
            audio = audio[int(GUARD_S * 8000) :][: int(LOOK_S * 8000)]
            levels = {name: level_db(audio, hz) if audio.size else -120.0 for name, hz in HZ.items() if name != listener}
            expected = set(names.split())
            assert {name for name, db in levels.items() if db > HEARD_DB} == expected, (listener, levels)
            assert all(db < FORBIDDEN_DB for name, db in levels.items() if name not in expected), (listener, levels)

    async def until_heard(self, listener: str, speaker: str) -> None:
        """Among whatever else it hears."""
        audio = self.lines[listener].audio
        async with asyncio.timeout(10):
            while level_db((await audio.wait_for(800, 5))[-800:], HZ[speaker]) < HEARD_DB:
                pass

    def never_heard(self, listener: str, speaker: str) -> None:
        """In everything that it has heard so far, in pieces of 40 ms."""
        audio = self.lines[listener].heard(self.since[listener])
        for at in range(0, audio.size - 320, 320):
            piece = audio[at : at + 320]
            # A piece so short resolves 100 Hz; A-law's own noise is 38 dB below a tone, spread over all frequencies.
            assert level_db(piece, HZ[speaker]) < -30.0, (listener, speaker, at / 8000)


async def test_who_hears_whom_is_what_was_asked_for_and_each_party_has_a_channel(tmp_path: Path) -> None:
    async with service(tmp_path) as house:
        devices = await prepared(house)
        people = [house.phone(devices[name], name) for name in ("anna", "ben", "boss")]
        async with people[0] as anna, people[1] as ben, people[2] as boss, SyntheticPhone(house.sip, user="+491711234567") as caller:
            for phone in (anna, ben, boss):
                await phone.register()
            await house.ready("anna")
            made = House(house)
            await walk(made, caller, anna, ben, boss)
        (told,) = await house.cdrs(1)
        assert told["cdr"]["transferred_by"] == ["supervisor", "supervisor"]  # an administrator has acted at both desks
        await recording(house)
        await house.restart()


async def walk(made: House, caller: SyntheticPhone, anna: SyntheticPhone, ben: SyntheticPhone, boss: SyntheticPhone) -> None:
    house = made.api
    line = await caller.call("601")
    await line.answered()
    rung = await anna.incoming(20)
    await rung.answer()
    made.joins("caller", line)
    made.joins("anna", rung)
    (live,) = (await house.call(house.api.get, "/api/v1/live"))["calls"]
    made.call = live["id"]
    await asyncio.gather(line.hears_tone(HZ["anna"]), rung.hears_tone(HZ["caller"]))
    made.since["caller"] = line.audio.position
    await made.hear(caller="anna", anna="caller")

    await made.desk("anna", "consult", {"target": {"to": "agent", "agent": "ben"}})
    asked = await ben.incoming()
    await asked.answer()
    made.joins("ben", asked)
    await asked.hears_tone(HZ["anna"])
    await made.hear(caller="", anna="ben", ben="anna")
    made.never_heard("caller", "ben")
    made.never_heard("ben", "caller")

    await made.desk("anna", "conference")
    await made.until_heard("caller", "ben")
    await made.hear(caller="anna ben", anna="caller ben", ben="caller anna")

    # The supervisor, by the phone of the own agent.
    await house.call(house.api.log_in, "boss", "boss-secret-0815", "tele")
    await supervise(made, "listen")
    listening = await boss.incoming()
    await listening.answer()
    made.joins("boss", listening)
    await made.until_heard("boss", "caller")
    await made.hear(caller="anna ben", anna="caller ben", ben="caller anna", boss="caller anna ben")
    for listener in ("caller", "anna", "ben"):
        made.never_heard(listener, "boss")
    await supervise(made, "whisper")
    await made.until_heard("anna", "boss")
    await made.hear(caller="anna ben", anna="caller ben boss", ben="caller anna", boss="caller anna ben")
    for listener in ("caller", "ben"):
        made.never_heard(listener, "boss")
    await supervise(made, "barge")
    await made.until_heard("caller", "boss")
    await made.hear(caller="anna ben boss", anna="caller ben boss", ben="caller anna boss", boss="caller anna ben")
    await supervise(made, "listen")
    await made.hear(caller="anna ben", anna="caller ben", ben="caller anna", boss="caller anna ben")
    listening.hang_up()
    await listening.ended()
    del made.lines["boss"]

    # Ben goes, anna asks him and leaves the two to each other; ben sends the caller back to anna.
    await house.log_in()
    asked.hang_up()
    await made.hear(caller="anna", anna="caller")
    await made.desk("anna", "consult", {"target": {"to": "agent", "agent": "ben"}})
    asked = await ben.incoming()
    await asked.answer()
    made.joins("ben", asked)
    await made.hear(caller="", anna="ben", ben="anna")
    await made.desk("anna", "complete")
    await rung.ended()
    del made.lines["anna"]
    await made.hear(caller="ben", ben="caller")
    await made.desk("ben", "transfer", {"target": {"to": "agent", "agent": "anna"}})
    await asked.ended()
    del made.lines["ben"]
    back = await anna.incoming()
    await back.answer()
    made.joins("anna", back)
    await made.hear(caller="anna", anna="caller")
    line.hang_up()
    await back.ended()


async def supervise(made: House, mode: str) -> None:
    await made.api.call(made.api.api.post, f"/api/v1/calls/{made.call}/supervise", {"agent": "anna", "mode": mode})


async def prepared(house: ServiceProcess) -> dict[str, Any]:
    """A queue that is recorded and supervised, whose music is silence, without notices (12 s); boss is a supervisor with a phone."""
    devices = await house.provision(("anna", "ben", "boss"))
    setup = await house.call(house.api.get, "/api/v1/setup")
    quiet = {"recording_notice": False, "supervision_notice": False}
    await house.call(house.api.put, "/api/v1/setup", {name: value for name, value in setup.items() if name not in STAMPS} | quiet)
    queue = await house.call(house.api.get, "/api/v1/queues/support")
    changed = {name: value for name, value in queue.items() if name not in STAMPS}
    changed |= {"record": True, "supervised": True, "music": "tone/silence", "greeting": [], "announce_position": False}
    await house.call(house.api.put, "/api/v1/queues/support", changed)
    user = {"id": "boss", "name": "Boss", "role": "supervisor", "password": "boss-secret-0815", "agent": "boss"}
    await house.call(house.api.post, "/api/v1/users", user)
    return devices


async def recording(house: ServiceProcess) -> None:
    """One file, a channel for each of them in the order they came, each with one frequency, without a gap of more than a packet."""
    (found,) = (await house.call(house.api.get, "/api/v1/recordings"))["items"]
    whose = [party["party"] if party["role"] != "caller" else "caller" for party in found["parties"]]
    assert whose == ["caller", "anna", "ben", "boss", "ben", "anna"]
    octets = (await house.call(fetch, house, f"/api/v1/recordings/{found['name']}/audio", {}))[2]
    samples = np.frombuffer(octets[HEADER_OCTETS:], dtype="<i2").reshape(-1, len(whose))
    assert abs(len(samples) / 8 - found["duration_ms"]) <= 1
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160, len(whose))
    loud = np.abs(frames.astype(np.int32)).max(axis=1) > 500
    for channel, name in enumerate(whose):
        there = np.flatnonzero(loud[:, channel])
        spoken = samples[there[0] * 160 : (there[-1] + 1) * 160, channel]
        levels = {other: level_db(spoken, hz) for other, hz in HZ.items()}
        assert all(db < FORBIDDEN_DB for other, db in levels.items() if other != name), (channel, name, levels)
    # What is said in each stretch of a packet and more, in its order: everybody talks all the time, and is recorded while in conversation.
    whom = ["".join(str(channel) for channel in np.flatnonzero(row)) for row in loud]
    stretches = [who for who, same in groupby(whom) if len(list(same)) > 2]
    assert stretches == ["01", "12", "012", "0123", "012", "01", "14", "04", "05"], stretches
