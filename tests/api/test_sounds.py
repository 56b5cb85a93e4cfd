"""Own sounds: sent, told, heard, replaced, deleted; by whom, within which limits, and what uses them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from acd import sounds
from api.sounds import files, look
from api.telephony_setup.models import SoundRow
from media.codecs import PCMA
from media.tones import dominant_frequency
from media.wave_file import read_as_alaw
from tests.api.conftest import ACME, Service, add_tenant
from tests.media.test_sound_file import pcm16, sine

WAV = {"Content-Type": "audio/wav"}
GREETING = pcm16(sine(700, 16000, 1.0), 16000)
OTHER = pcm16(sine(900, 8000, 0.5))
TO_HANG_UP = {"to": "hang_up"}


async def sent(service: Service, key: str, file: bytes = GREETING, who: str = "admin", query: str = "") -> Any:
    language, _, name = key.partition("/")
    return await service.call("POST", f"sounds?language={language}&name={name}{query}", who, content=file, headers=WAV)


async def replaced(service: Service, key: str, file: bytes = OTHER, who: str = "admin", query: str = "", **headers: str) -> Any:
    return await service.call("PUT", f"sounds/{key}{query}", who, content=file, headers=WAV | headers)


def own(service: Service) -> dict[str, str]:
    """As the exchange has them."""
    return service.voice.setups[ACME].own_sounds


def stored(service: Service) -> set[str]:
    folder = files.folder_of(service.settings, ACME)
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


class TestSending:
    async def test_a_new_sound_is_told_with_its_length_and_level_and_is_the_exchanges_at_once(self, acme: Service) -> None:
        answer = await sent(acme, "de/welcome")
        assert answer.status_code == 201
        assert (answer.headers["etag"], answer.headers["location"]) == ('"1"', "/api/v1/sounds/de/welcome")
        assert (await sent(acme, "de/welcome")).status_code == 409
        told = answer.json()
        assert told | {"changed_at": None, "level_dbfs": None, "peak_dbfs": None} == {
            "id": "de/welcome",
            "language": "de",
            "name": "welcome",
            "duration_ms": 1000,
            "octets": 58 + 8000,
            "level_dbfs": None,
            "peak_dbfs": None,
            "encoding": "PCM 16",
            "sample_rate": 16000,
            "channels": 1,
            "normalised": False,
            "warnings": [],
            "replaces_packaged": False,
            "version": 1,
            "changed_at": None,
        }
        assert told["level_dbfs"] == pytest.approx(-15, abs=0.2)
        assert told["peak_dbfs"] == pytest.approx(-12, abs=0.2)
        assert sounds.found("welcome", "de", "de", own(acme)) == (f"@{own(acme)['de/welcome']}",)
        assert await acme.got("sounds/de/welcome") == told
        assert (await acme.got("sounds"))["items"] == [told]

    async def test_it_is_heard_as_it_was_sent(self, acme: Service) -> None:
        await sent(acme, "de/welcome")
        answer = await acme.call("GET", "sounds/de/welcome/audio", "admin")
        assert answer.headers["content-type"] == "audio/wav"
        assert dominant_frequency(PCMA.decode(read_as_alaw(answer.content))) == pytest.approx(700, abs=2)
        again = await acme.call("GET", "sounds/de/welcome/audio", "admin", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    async def test_another_in_its_place_is_another_file_and_the_next_version(self, acme: Service) -> None:
        await sent(acme, "de/queue.greeting")
        before = own(acme)["de/queue.greeting"]
        answer = await replaced(acme, "de/queue.greeting", OTHER, **{"If-Match": '"1"'})
        assert (answer.status_code, answer.headers["etag"], answer.json()["replaces_packaged"]) == (200, '"2"', True)
        after = own(acme)["de/queue.greeting"]
        assert after != before
        assert stored(acme) == {f"{before}.wav", f"{after}.wav"}  # a call may have been told of the old one a moment ago
        assert (await replaced(acme, "de/queue.greeting", GREETING, **{"If-Match": '"1"'})).status_code == 412
        assert (await replaced(acme, "en/queue.greeting")).status_code == 404
        assert own(acme) == {"de/queue.greeting": after}

    async def test_what_nobody_names_any_more_goes_with_the_next_that_is_stored(self, acme: Service) -> None:
        await sent(acme, "de/welcome")
        first = own(acme)["de/welcome"]
        await replaced(acme, "de/welcome")
        path = files.folder_of(acme.settings, ACME) / f"{first}.wav"
        os.utime(path, (0, acme.clock().timestamp() - files.KEPT_S - 1))
        await sent(acme, "de/other", OTHER)
        assert stored(acme) == {f"{own(acme)['de/welcome']}.wav"}

    async def test_quiet_and_cut_off_ones_are_told_and_can_be_brought_to_the_level(self, acme: Service) -> None:
        quiet, clipped = pcm16(sine(700, 8000, 1.0, 0.01)), pcm16(np.clip(sine(700, 8000, 1.0, 3.0), -1, 1))
        assert (await sent(acme, "de/a", quiet)).json()["warnings"] == ["quiet"]
        assert (await sent(acme, "de/b", clipped)).json()["warnings"] == ["loud", "clipped"]
        told = (await replaced(acme, "de/a", quiet, query="?normalise=true")).json()
        assert (told["warnings"], told["normalised"], told["level_dbfs"]) == ([], True, pytest.approx(-20, abs=0.3))

    @pytest.mark.parametrize(
        ("file", "why"),
        [
            (b"ID3\x04" + bytes(1000), "no WAV file; send a WAV file: PCM of 8, 16, 24 or 32 bit"),
            (pcm16(np.zeros(8000)), "nothing to hear"),
            (pcm16(sine(700, 8000, 121.0)), "plays 121 s"),
        ],
    )
    async def test_what_cannot_be_played_is_refused_and_leaves_nothing(self, acme: Service, file: bytes, why: str) -> None:
        answer = await sent(acme, "de/welcome", file)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:fernamt:problem:not-playable")
        assert why in answer.json()["detail"]
        assert stored(acme) == set()
        assert (await acme.call("GET", "sounds/de/welcome", "admin")).status_code == 404

    async def test_music_may_be_longer(self, acme: Service) -> None:
        assert (await sent(acme, "music/harp", pcm16(sine(700, 8000, 121.0)))).status_code == 201

    @pytest.mark.parametrize("key", ["de/..", "de/.hidden", "deu/welcome", "tone/beep", "de/Welcome", "de/a..b", "de/" + "a" * 59])
    async def test_crooked_names_are_no_sounds(self, acme: Service, key: str) -> None:
        assert (await sent(acme, key)).status_code in {404, 405, 422}
        assert stored(acme) == set()

    async def test_what_failed_to_be_stored_is_not_named(self, acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("api.sounds.files.os.fsync", full)
        assert (await sent(acme, "de/welcome")).status_code == 503
        assert (own(acme), stored(acme)) == ({}, set())

    async def test_every_change_is_in_the_audit(self, acme: Service) -> None:
        await sent(acme, "de/welcome")
        await replaced(acme, "de/welcome")
        await acme.call("DELETE", "sounds/de/welcome", "admin")
        found = (await acme.got("audit?kind=sound&about=changes"))["items"]
        assert [(one["act"], one["subject"], one["version"]) for one in reversed(found)] == [
            ("created", "de/welcome", 1),
            ("changed", "de/welcome", 2),
            ("deleted", "de/welcome", 2),
        ]


class TestRoom:
    async def test_what_the_folder_takes_has_a_limit_of_the_operators(self, acme: Service) -> None:
        minute = pcm16(sine(700, 8000, 100.0))
        assert (await acme.call("PUT", "tenants/acme/assignments", "operator", json={"limits": {"sounds_mib": 1}})).status_code == 200
        assert (await sent(acme, "de/a", minute)).status_code == 201
        answer = await replaced(acme, "de/a", pcm16(sine(800, 8000, 100.0)))
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:fernamt:problem:limit-reached")
        assert "may take 1 MiB" in answer.json()["detail"]
        assert acme.databases.quotas.figures()['fernamt_tenant_limit_refusals_total{tenant="acme",kind="sounds_mib"}'] == 1

    async def test_there_may_be_so_many(self, acme: Service) -> None:
        await acme.call("PUT", "tenants/acme/assignments", "operator", json={"limits": {"sounds": 1}})
        assert (await sent(acme, "de/a")).status_code == 201
        assert (await sent(acme, "de/b")).status_code == 409
        assert (await replaced(acme, "de/a")).status_code == 200


class TestUse:
    async def test_a_sound_of_the_tenants_own_can_be_named_everywhere_and_stays_while_it_is(self, acme: Service) -> None:
        for key in ("de/welcome", "de/bye", "music/harp", "en/bye"):
            await sent(acme, key)
        await acme.made("menus", {"id": "main", "sounds": ["welcome"], "options": {"1": {"to": "announcement", "sounds": ["bye"]}}})
        await acme.made("queues", {"id": "sales", "name": "Sales", "music": "music/harp", "greeting": ["welcome", "queue.greeting"]})
        await acme.made("numbers", {"number": "600", "target": {"to": "announcement", "sounds": ["de/bye"]}})
        for key, users in {
            "de/welcome": ["menu main plays the sound welcome (#/sounds/0)", "queue sales plays the sound welcome (#/greeting/0)"],
            "music/harp": ["queue sales plays the sound music/harp (#/music)"],
            "de/bye": ["number 600 plays the sound de/bye (#/target/sounds/0)"],  # the menu's is still there in English
        }.items():
            answer = await acme.call("DELETE", f"sounds/{key}", "admin")
            assert answer.status_code == 409
            assert sorted(one["detail"] for one in answer.json()["errors"]) == users
            assert key in own(acme)
        assert (await acme.call("DELETE", "sounds/en/bye", "admin")).status_code == 204
        await acme.call("DELETE", "numbers/600", "admin")
        answer = await acme.call("DELETE", "sounds/de/bye", "admin")
        assert [one["detail"] for one in answer.json()["errors"]] == ["menu main plays the sound bye (#/options/1/sounds/0)"]

    async def test_one_that_replaces_a_packaged_one_can_go_at_any_time(self, acme: Service) -> None:
        await sent(acme, "de/queue.greeting")
        await acme.made("queues", {"id": "sales", "name": "Sales"})
        assert (await acme.call("DELETE", "sounds/de/queue.greeting", "admin", headers={"If-Match": '"2"'})).status_code == 412
        assert (await acme.call("DELETE", "sounds/de/queue.greeting", "admin", headers={"If-Match": '"1"'})).status_code == 204
        assert own(acme) == {}
        assert (await acme.call("DELETE", "sounds/de/queue.greeting", "admin")).status_code == 404

    async def test_what_names_a_sound_that_is_gone_can_still_be_changed(self, acme: Service) -> None:
        """It was there when it was named; a change of something else is not the moment to say so."""
        await sent(acme, "de/welcome")
        menu = await acme.made("menus", {"id": "main", "sounds": ["welcome"], "options": {"1": TO_HANG_UP}})
        async with acme.databases.unit(ACME) as unit:
            await unit.session.execute(delete(SoundRow))
        acme.shared.services.known_setups.clear()
        body = {name: value for name, value in menu.items() if name not in {"version", "changed_at"}}
        assert (await acme.call("PUT", "menus/main", "admin", json={**body, "repeats": 1})).status_code == 200
        answer = await acme.call("PUT", "menus/main", "admin", json={**body, "sounds": ["welcome", "welcome2"]})
        assert [one["pointer"] for one in answer.json()["errors"]] == ["#/sounds/1"]

    async def test_packaged_names_are_listed(self, acme: Service) -> None:
        told = await acme.got("sounds/packaged")
        assert told["languages"] == ["de", "en"]
        assert {"de/queue.greeting", "en/menu", "music/default", "tone/beep"} <= set(told["names"])


class TestOthers:
    async def test_another_tenant_has_its_own_and_can_name_no_others(self, acme: Service) -> None:
        await add_tenant(acme, "other")
        await sent(acme, "de/welcome")
        for path in ("sounds/de/welcome", "sounds/de/welcome/audio"):
            assert (await acme.call("GET", path, "other-admin")).status_code == 404
        assert (await acme.got("sounds", "other-admin"))["items"] == []
        assert (await acme.call("DELETE", "sounds/de/welcome", "other-admin")).status_code == 404
        assert (await replaced(acme, "de/welcome", OTHER, "other-admin")).status_code == 404
        ident = own(acme)["de/welcome"]
        for name in ("welcome", "de/welcome", f"@{ident}", f"acme/{ident}", f"../acme/sounds/{ident}"):
            answer = await acme.call("POST", "menus", "other-admin", json={"id": "m", "sounds": [name], "options": {"1": TO_HANG_UP}})
            assert answer.status_code == 422, name
        await sent(acme, "de/welcome", OTHER, "other-admin")
        assert own(acme) == {"de/welcome": ident}

    async def test_supervisors_read_and_administrators_write(self, staffed: Service) -> None:
        await sent(staffed, "de/welcome")
        assert (await staffed.call("GET", "sounds/de/welcome/audio", "supervisor")).status_code == 200
        for who in ("supervisor", "billing", "anna"):
            assert (await sent(staffed, "de/other", OTHER, who)).status_code == 403
            assert (await replaced(staffed, "de/welcome", OTHER, who)).status_code == 403
            assert (await staffed.call("DELETE", "sounds/de/welcome", who)).status_code == 403


class TestDamage:
    async def test_a_sound_whose_file_is_gone_is_told_at_the_start_and_when_it_is_asked_for(
        self, acme: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        await sent(acme, "de/welcome")
        folder = files.folder_of(acme.settings, ACME)
        (folder / "stray.wav").write_bytes(b"x")
        os.utime(folder / "stray.wav", (0, 0))
        (folder / f"{own(acme)['de/welcome']}.wav").unlink()
        assert (await acme.call("GET", "sounds/de/welcome/audio", "admin")).status_code == 404
        await look(acme.shared.services, ACME, own(acme))
        assert "the sound de/welcome is not in" in caplog.text
        assert stored(acme) == set()
        assert (
            await replaced(acme, "de/welcome", GREETING)
        ).status_code == 200  # the same octets: nothing of the row changes, and the file is back
        assert len(stored(acme)) == 1

    def test_a_write_that_breaks_off_leaves_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(OSError, match="Input/output"):
            files.write(tmp_path, b"x")
        assert list(tmp_path.iterdir()) == []
