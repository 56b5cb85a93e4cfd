"""Recordings: who lists, hears and deletes them; ranges; what the audit says; how long they are kept."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.core.ids import TenantId
from api.config import Recordings
from api.edge.turns import Turns
from api.errors import Outdated, RangeNotSatisfiable
from api.recordings import files, rules
from api.recordings.retention import delete_old
from api.recordings.rules import Span, cursor, disposition, is_unchanged, place, span
from api.services import Services
from billing_cdr import recordings, store
from billing_cdr.cdr import Recording
from billing_cdr.recorded import recorded
from tests.api.conftest import ACME, Service, add_tenant
from tests.api.records import folder_of, outbound, recorded_talk, twice_recorded, write

ETAG = '"40-1"'
NAME = "call-1-r1.wav"


async def trail(service: Service, kind: str = "recording") -> list[tuple[str, str, str, int]]:
    found = (await service.got(f"audit?limit=500&kind={kind}"))["items"]
    return [(one["who"], one["act"], one["subject"], one["times"]) for one in found]


class TestRange:
    """RFC 9110 §14.1.2, its own examples: 10000 octets."""

    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [
            ("bytes=0-499", 0, 499),
            ("bytes=500-999", 500, 999),
            ("bytes=-500", 9500, 9999),
            ("bytes=9500-", 9500, 9999),
            ("bytes=0-0", 0, 0),
            ("bytes=0-", 0, 9999),
            ("bytes=9999-20000", 9999, 9999),
            ("bytes=-20000", 0, 9999),
            ("Bytes= 0-1 ", 0, 1),
        ],
    )
    def test_one_range(self, asked: str, first: int, last: int) -> None:
        assert span({"range": asked}, ETAG, 10_000) == Span(first, last)

    @pytest.mark.parametrize(
        "asked",
        ["bytes=0-0,-1", "bytes=5-4", "bytes=-", "bytes=", "bytes", "octets=0-1", "bytes=a-b", "bytes=0-1-2", "bytes=\u0660-\u0661"],
    )
    def test_what_is_no_single_range_is_ignored(self, asked: str) -> None:
        """§14.2: a server MAY ignore Range, and MUST ignore what is invalid or of a unit it does not know."""
        assert span({"range": asked}, ETAG, 10_000) is None

    @pytest.mark.parametrize("asked", ["bytes=10000-", "bytes=10000-10001", "bytes=-0", f"bytes={'9' * 5000}-"])
    def test_a_range_behind_the_end_says_how_much_there_is(self, asked: str) -> None:
        """§14.1.2, §15.5.17."""
        with pytest.raises(RangeNotSatisfiable) as told:
            span({"range": asked}, ETAG, 10_000)
        assert told.value.headers == {"Content-Range": "bytes */10000"}

    def test_of_nothing_no_range_can_be_given(self) -> None:
        with pytest.raises(RangeNotSatisfiable):
            span({"range": "bytes=0-"}, ETAG, 0)
        assert span({}, ETAG, 0) is None

    def test_if_range_with_another_file_a_weak_tag_or_a_date_gives_the_whole(self) -> None:
        """§13.1.5."""
        asked = {"range": "bytes=0-1"}
        assert span(asked | {"if-range": ETAG}, ETAG, 10) == Span(0, 1)
        for other in ('"41-1"', f"W/{ETAG}", "Sat, 29 Oct 1994 19:43:31 GMT"):
            assert span(asked | {"if-range": other}, ETAG, 10) is None

    @given(st.integers(1, 100), st.integers(0, 120), st.integers(0, 120))
    def test_what_is_given_lies_in_the_file_and_in_what_was_asked(self, octets: int, first: int, last: int) -> None:
        headers = {"range": f"bytes={first}-{last}"}
        whole = list(range(octets))
        wanted = [octet for octet in whole if first <= octet <= last]
        if first > last:
            assert span(headers, ETAG, octets) is None
        elif not wanted:
            with pytest.raises(RangeNotSatisfiable):
                span(headers, ETAG, octets)
        else:
            found = span(headers, ETAG, octets)
            assert found is not None
            assert whole[found.first : found.last + 1] == wanted
            assert found.octets == len(wanted)


class TestConditions:
    def test_who_has_the_file_is_told_so(self) -> None:
        """§13.1.2: weak comparison."""
        assert is_unchanged({"if-none-match": f'"x", W/{ETAG}'}, ETAG)
        assert is_unchanged({"if-none-match": "*"}, ETAG)
        assert not is_unchanged({"if-none-match": '"x"'}, ETAG)
        assert not is_unchanged({}, ETAG)

    def test_who_wants_another_file_is_refused(self) -> None:
        """§13.1.1: strong comparison, and before If-None-Match (§13.2.2)."""
        for wrong in ('"x"', f"W/{ETAG}", "x"):
            with pytest.raises(Outdated):
                is_unchanged({"if-match": wrong, "if-none-match": ETAG}, ETAG)
        assert not is_unchanged({"if-match": f'"x", {ETAG}'}, ETAG)
        assert not is_unchanged({"if-match": "*"}, ETAG)


class TestCursor:
    @given(st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)), st.text("abc~-.", min_size=1))  # noqa: DTZ001
    def test_it_is_read_as_it_was_written(self, at: datetime, name: str) -> None:
        assert place(cursor(at, name)) == (at, name)

    @pytest.mark.parametrize("wrong", ["", "x", "~x", "1~", "g~x", "ffffffffffffffff~x", "-1~x"])
    def test_what_is_none_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValueError, match=r"^"):
            place(wrong)

    def test_a_file_is_called_as_its_recording(self) -> None:
        assert disposition("c-r1.wav") == 'attachment; filename="c-r1.wav"'
        assert disposition("c-r1") == 'attachment; filename="c-r1.wav"'


class TestBeginning:
    def test_it_begins_when_both_talk_and_after_an_earlier_one_of_the_same_legs(self) -> None:
        """Anna dials at 9:00:00, is answered at 9:00:05. The first recording broke off after 20 s, and the second one began there."""
        at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        plain = outbound("call-1", "+491711234567", 61, at)
        legs = tuple(leg.leg for leg in plain.legs)
        both = tuple(Recording(legs=legs, path=f"/srv/x/call-1-r{number}.wav", duration_ms=20_000) for number in (1, 2))
        first, second = recorded(msgspec.structs.replace(plain, recordings=both))
        assert (first.name, first.began_at) == ("call-1-r1.wav", at + timedelta(seconds=5))
        assert (second.name, second.began_at) == ("call-1-r2.wav", at + timedelta(seconds=25))
        assert [leg.party for leg in first.legs] == ["anna", "+491711234567"]


class TestFolder:
    """Nothing but regular files of the folder itself, whatever lies there."""

    def test_links_folders_pipes_and_names_that_lead_elsewhere_are_no_recordings(self, tmp_path: Path) -> None:
        folder = tmp_path / "recordings"
        folder.mkdir()
        secret = tmp_path / "secret.wav"
        secret.write_bytes(b"x")
        (folder / "link.wav").symlink_to(secret)
        (folder / "folder.wav").mkdir()
        os.mkfifo(folder / "pipe.wav")  # opening one waits for whoever writes
        (folder / "true.wav").write_bytes(b"x")
        names = ["link.wav", "folder.wav", "pipe.wav", "../secret.wav", str(secret), "..", ".", "", "true.wav", "true.wav\0"]
        assert list(files.looks(folder, names)) == ["true.wav"]

    def test_an_operator_may_have_put_the_folder_on_another_disk(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "a.wav").write_bytes(b"x")
        (tmp_path / "recordings").symlink_to(tmp_path / "elsewhere")
        assert files.look(tmp_path / "recordings", "a.wav") is not None
        assert files.untouched(tmp_path / "recordings", datetime.now(UTC) + timedelta(days=1)) == ["a.wav"]
        files.erase(tmp_path / "recordings", "a.wav")
        assert not (tmp_path / "elsewhere" / "a.wav").exists()

    def test_a_link_that_is_erased_leaves_what_it_leads_to(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"x")
        (tmp_path / "recordings").mkdir()
        (tmp_path / "recordings" / "a.wav").symlink_to(tmp_path / "secret")
        files.erase(tmp_path / "recordings", "a.wav")
        assert [one.name for one in sorted(tmp_path.rglob("*"))] == ["recordings", "secret"]

    def test_what_is_erased_twice_is_gone(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"x")
        for _ in range(2):
            files.erase(tmp_path, "a.wav")
        files.erase(tmp_path / "nowhere", "a.wav")
        assert list(tmp_path.iterdir()) == []

    async def test_a_file_that_is_deleted_while_it_is_heard_is_heard_to_its_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "PIECE", 4)
        (tmp_path / "a.wav").write_bytes(b"0123456789")
        heard = b""
        async for piece in files.pieces(tmp_path, "a.wav", Span(1, 8)):
            files.erase(tmp_path, "a.wav")
            heard += piece
        assert heard == b"12345678"

    async def test_pieces_are_read_beside_the_loop(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever reads waits for the loop here: on the loop itself, neither would ever go on."""
        (tmp_path / "a.wav").write_bytes(b"0123")
        loop, passed, read = asyncio.get_running_loop(), threading.Event(), os.pread

        def waits(*asked: int) -> bytes:
            loop.call_soon_threadsafe(passed.set)
            assert passed.wait(10), "the loop stood still"
            return read(*asked)

        monkeypatch.setattr(os, "pread", waits)
        assert [piece async for piece in files.pieces(tmp_path, "a.wav", Span(0, 3))] == [b"0123"]


class TestList:
    async def test_what_was_recorded_and_of_whom_without_a_path(self, staffed: Service) -> None:
        whole = await recorded_talk(staffed, "call-1", "+491711234567", queue="support")
        (found,) = (await staffed.got("recordings", "supervisor"))["items"]
        assert found == {
            "name": NAME,
            "call": "call-1",
            "direction": "outbound",
            "calling": "21",
            "called": "+491711234567",
            "queue": "support",
            "parties": [
                {"channel": 1, "leg": "call-1.1", "role": "agent", "party": "anna", "number": None},
                {"channel": 2, "leg": "call-1.2", "role": "destination", "party": "+491711234567", "number": "+491711234567"},
            ],
            "began_at": "2026-03-02T09:00:05Z",  # answered five seconds after it began
            "duration_ms": 1000,
            "media_type": "audio/wav",
            "octets": len(whole),  # 44 + 125 * 256
            "channels": 2,
            "sample_rate": 8000,
            "bits": 16,
        }
        assert await staffed.got(f"recordings/{NAME}", "supervisor") == found
        told = (await staffed.call("GET", "recordings")).text
        assert str(staffed.settings.data) not in told
        assert "tenants" not in told

    async def test_newest_first_in_pages(self, staffed: Service) -> None:
        for number in range(5):
            await recorded_talk(staffed, f"call-{number}", at=staffed.clock() + timedelta(minutes=number // 2))  # two of one moment
        seen, after = [], ""
        while True:
            page = await staffed.got(f"recordings?limit=2{after}", "supervisor")
            seen += [one["call"] for one in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == ["call-4", "call-3", "call-2", "call-1", "call-0"]

    @pytest.mark.parametrize(
        ("query", "calls"),
        [
            ("agent=ben", ["call-2"]),
            ("queue=support", ["call-1"]),
            ("number=%2B49301234567", ["call-2"]),
            ("number=030%201234567", ["call-2"]),
            ("call=call-1", ["call-1"]),
            ("call=call", []),
            ("began_from=2026-03-02T09:10:05Z", ["call-2"]),
            ("began_before=2026-03-02T09:10:05Z", ["call-1"]),
            ("agent=anna&number=%2B49301234567", []),
        ],
    )
    async def test_filters(self, staffed: Service, query: str, calls: list[str]) -> None:
        await recorded_talk(staffed, "call-1", "+491711234567", queue="support")
        await recorded_talk(staffed, "call-2", "+49301234567", staffed.clock() + timedelta(minutes=10), agent="ben")
        assert [one["call"] for one in (await staffed.got(f"recordings?{query}"))["items"]] == calls

    async def test_a_recording_of_a_transferred_call_is_listed_under_the_queue_of_its_own_talk(self, staffed: Service) -> None:
        async with staffed.databases.tenant(ACME).begin() as connection:
            await store.save(connection, [twice_recorded("call-1")], [], "test", 1)
        for query, name in (("queue=support", "call-1-1.wav"), ("queue=sales", "call-1-2.wav"), ("agent=ben", "call-1-2.wav")):
            (found,) = (await staffed.got(f"recordings?{query}", "supervisor"))["items"]
            assert (found["name"], found["queue"]) == (name, "support" if name == "call-1-1.wav" else "sales")

    async def test_a_cursor_that_is_none_is_422(self, staffed: Service) -> None:
        assert (await staffed.call("GET", "recordings?after=x")).status_code == 422

    async def test_a_record_is_listed_once_however_often_it_is_saved(self, staffed: Service) -> None:
        """After a crash the feed brings again what is stored already."""
        for _ in range(2):
            await recorded_talk(staffed, "call-1")
        assert len((await staffed.got("recordings"))["items"]) == 1

    async def test_one_whose_file_is_gone_says_so(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        (folder_of(staffed) / NAME).unlink()
        assert (await staffed.got(f"recordings/{NAME}"))["octets"] is None
        answer = await staffed.call("GET", f"recordings/{NAME}/audio")
        assert answer.status_code == 410
        assert "not there any more" in answer.json()["detail"]


class TestAudio:
    async def test_the_whole_file(self, staffed: Service) -> None:
        whole = await recorded_talk(staffed, "call-1")
        answer = await staffed.call("GET", f"recordings/{NAME}/audio", "supervisor")
        assert (answer.status_code, answer.content) == (200, whole)
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["content-length"] == str(len(whole))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-disposition"] == f'attachment; filename="{NAME}"'
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["etag"].startswith('"')

    async def test_in_two_ranges_of_one_file(self, staffed: Service) -> None:
        whole = await recorded_talk(staffed, "call-1")
        first = await staffed.call("GET", f"recordings/{NAME}/audio", headers={"Range": "bytes=0-999"})
        rest = await staffed.call("GET", f"recordings/{NAME}/audio", headers={"Range": "bytes=1000-", "If-Range": first.headers["etag"]})
        assert (first.status_code, rest.status_code) == (206, 206)
        assert first.headers["content-range"] == f"bytes 0-999/{len(whole)}"
        assert rest.headers["content-range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
        assert first.content + rest.content == whole

    async def test_a_range_behind_the_end_is_416_and_several_are_answered_whole(self, staffed: Service) -> None:
        whole = await recorded_talk(staffed, "call-1")
        behind = await staffed.call("GET", f"recordings/{NAME}/audio", headers={"Range": f"bytes={len(whole)}-"})
        assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(whole)}")
        assert behind.headers["content-type"] == "application/problem+json"
        several = await staffed.call("GET", f"recordings/{NAME}/audio", headers={"Range": "bytes=0-0,5-6"})
        assert (several.status_code, several.content) == (200, whole)

    async def test_head_tells_the_whole_and_sends_nothing(self, staffed: Service) -> None:
        """RFC 9110 §14.2: Range is for GET."""
        whole = await recorded_talk(staffed, "call-1")
        answer = await staffed.call("HEAD", f"recordings/{NAME}/audio", headers={"Range": "bytes=0-9"})
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(whole))

    async def test_who_has_it_gets_nothing(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        etag = (await staffed.call("HEAD", f"recordings/{NAME}/audio")).headers["etag"]
        answer = await staffed.call("GET", f"recordings/{NAME}/audio", headers={"If-None-Match": etag})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        answer = await staffed.call("GET", f"recordings/{NAME}/audio", headers={"If-Match": '"x"'})
        assert answer.status_code == 412

    @pytest.mark.parametrize("name", ["..%2F..%2Fcontrol.sqlite", "%2E%2E", "link.wav", "none-r1.wav", "%2Fetc%2Fpasswd", "a%00.wav"])
    async def test_no_name_leads_out_of_the_folder(self, staffed: Service, name: str) -> None:
        (folder_of(staffed) / "link.wav").symlink_to(staffed.settings.data / "control.sqlite")
        for path in (f"recordings/{name}/audio", f"recordings/{name}"):
            assert (await staffed.call("GET", path)).status_code in {404, 422}
        assert (await staffed.call("DELETE", f"recordings/{name}")).status_code in {404, 405, 422}
        assert (staffed.settings.data / "control.sqlite").exists()

    async def test_one_behind_a_link_is_gone(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        file = folder_of(staffed) / NAME
        file.rename(staffed.settings.data / "elsewhere.wav")
        file.symlink_to(staffed.settings.data / "elsewhere.wav")
        assert (await staffed.call("GET", f"recordings/{NAME}/audio")).status_code == 410

    async def test_no_more_than_so_many_at_once(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        turns: Turns = staffed.shared.turns
        most = staffed.settings.recordings.streams_per_tenant
        assert most == 16
        with turns.stream(ACME, "recordings", 1):  # exports have places of their own
            staffed.shared.services.settings.recordings.__dict__["streams_per_tenant"] = 1
            try:
                answer = await staffed.call("GET", f"recordings/{NAME}/audio")
                assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)
                assert (await staffed.call("GET", "cdrs/export")).status_code == 200
            finally:
                staffed.shared.services.settings.recordings.__dict__["streams_per_tenant"] = most

    async def test_a_listener_who_goes_gives_back_file_and_place(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "PIECE", 1000)
        await recorded_talk(staffed, "call-1")
        gone, sent = asyncio.Event(), []

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])
            if message["type"] == "http.response.body":
                gone.set()
                await asyncio.Event().wait()  # nobody takes it any more

        path = f"/api/v1/recordings/{NAME}/audio"
        headers = [(b"host", b"test"), (b"authorization", f"Bearer {staffed.tokens['admin']}".encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
        }
        scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "root_path": ""}
        async with asyncio.timeout(10):
            await staffed.app({**scope, "client": ("127.0.0.1", 1), "server": ("test", 80)}, receive, send)
        assert sent == ["http.response.start", "http.response.body"]
        open_now = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]  # noqa: ASYNC240 - no disk
        assert not [one for one in open_now if one.endswith(NAME)]
        assert not [name for name in staffed.shared.turns.figures() if "streams" in name]

    async def test_what_is_still_recorded_or_whose_call_goes_on_is_409(self, staffed: Service) -> None:
        write(folder_of(staffed) / NAME, staffed.clock())
        for method, path in (("GET", f"recordings/{NAME}"), ("GET", f"recordings/{NAME}/audio"), ("DELETE", f"recordings/{NAME}")):
            assert (await staffed.call(method, path)).status_code == 409
        assert (folder_of(staffed) / NAME).exists()


class TestWho:
    """Administrators all, supervisors all but deleting, agents what the tenant lets them, billing nothing; keys as their roles."""

    ROUTES = (("GET", "recordings"), ("GET", f"recordings/{NAME}"), ("GET", f"recordings/{NAME}/audio"), ("DELETE", f"recordings/{NAME}"))

    @pytest.mark.parametrize(
        ("who", "statuses"),
        [
            (None, [401, 401, 401, 401]),
            ("billing", [403, 403, 403, 403]),
            ("anna", [403, 403, 403, 403]),
            ("operator", [403, 403, 403, 403]),
            ("supervisor", [200, 200, 200, 403]),
            ("admin", [200, 200, 200, 204]),
        ],
    )
    async def test_roles(self, staffed: Service, who: str | None, statuses: list[int]) -> None:
        await recorded_talk(staffed, "call-1")
        assert [(await staffed.call(method, path, who)).status_code for method, path in self.ROUTES] == statuses

    async def test_a_key_may_what_its_role_may(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        for role, status in (("supervisor", 200), ("billing", 403), ("agent", 403)):
            key = await staffed.made("api-keys", {"name": role, "role": role})
            staffed.tokens["key"] = key["token"]
            assert (await staffed.call("GET", f"recordings/{NAME}/audio", "key")).status_code == status

    async def test_agents_hear_their_own_where_the_tenant_says_so(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1", agent="anna")
        await recorded_talk(staffed, "call-2", agent="ben")
        answer = await staffed.call("PUT", "setup", json={"agents_hear_recordings": True})
        assert answer.json()["agents_hear_recordings"] is True
        assert [one["call"] for one in (await staffed.got("recordings", "anna"))["items"]] == ["call-1"]
        assert (await staffed.got("recordings?agent=ben", "anna"))["items"] == []
        assert [(await staffed.call(method, path, "anna")).status_code for method, path in self.ROUTES] == [200, 200, 200, 403]
        for path in (f"recordings/{NAME}", f"recordings/{NAME}/audio", "recordings/none-r1.wav"):
            assert (await staffed.call("GET", path, "ben")).status_code == 404
        assert ("ben", "refused", NAME, 1) in await trail(staffed)
        write(folder_of(staffed) / "call-3-r1.wav", staffed.clock())
        assert (await staffed.call("GET", "recordings/call-3-r1.wav", "anna")).status_code == 404  # whose it will be nobody knows yet

    async def test_another_tenant_of_the_same_names_has_its_own(self, staffed: Service) -> None:
        await add_tenant(staffed, "other")
        await recorded_talk(staffed, "call-1")
        assert (await staffed.got("recordings", "other-admin"))["items"] == []
        for method, path in self.ROUTES[1:]:
            assert (await staffed.call(method, path, "other-admin")).status_code == 404
        await recorded_talk(staffed, "call-1", "+49301234567", tenant=TenantId("other"))
        assert (await staffed.call("DELETE", f"recordings/{NAME}", "other-admin")).status_code == 204
        assert (await staffed.call("GET", f"recordings/{NAME}/audio")).status_code == 200


class TestAudit:
    async def test_every_access_and_every_refusal_with_who_and_from_where(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        await staffed.call("GET", "recordings?queue=support", "supervisor")
        await staffed.call("GET", f"recordings/{NAME}", "supervisor")
        for _ in range(2):
            await staffed.call("GET", f"recordings/{NAME}/audio", "billing")
        await staffed.call("DELETE", f"recordings/{NAME}", "supervisor")
        await staffed.call("GET", "recordings", "anna")
        await staffed.call("DELETE", f"recordings/{NAME}", "admin")
        assert sorted(await trail(staffed)) == [
            ("admin", "deleted", NAME, 1),
            ("anna", "refused", "", 1),
            ("billing", "refused", NAME, 2),
            ("supervisor", "read", "", 1),
            ("supervisor", "read", NAME, 1),
            ("supervisor", "refused", NAME, 1),
        ]
        entries = (await staffed.got("audit?kind=recording&limit=500"))["items"]
        assert {one["source"] for one in entries} == {"127.0.0.1"}
        assert {one["details"]["operation"] for one in entries if one["act"] == "refused"} == {
            "listRecordings",
            "getRecordingAudio",
            "deleteRecording",
        }
        (deleted,) = [one for one in entries if one["act"] == "deleted"]
        assert deleted["details"] == {"call": "call-1", "began_at": "2026-03-02T09:00:05+00:00", "duration_ms": 1000, "octets": 32_044}

    async def test_one_play_of_many_ranges_is_one_entry_a_minute(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        for first in range(0, 3000, 1000):
            await staffed.call("GET", f"recordings/{NAME}/audio", "supervisor", headers={"Range": f"bytes={first}-{first + 999}"})
        staffed.clock.turn(minutes=1)
        await staffed.call("GET", f"recordings/{NAME}/audio", "supervisor")
        assert await trail(staffed, "recording_audio") == [("supervisor", "read", NAME, 1), ("supervisor", "read", NAME, 3)]

    async def test_plays_and_octets_are_counted(self, staffed: Service) -> None:
        whole = await recorded_talk(staffed, "call-1")
        metrics = staffed.shared.metrics
        played = metrics.recordings_played.labels(ACME)._value
        sent = metrics.recordings_sent.labels(ACME)._value
        deleted = metrics.recordings_deleted.labels(ACME, "person")._value
        before = (played.get(), sent.get(), deleted.get())
        await staffed.call("GET", f"recordings/{NAME}/audio", headers={"Range": "bytes=0-999"})
        await staffed.call("GET", f"recordings/{NAME}/audio", headers={"Range": "bytes=1000-"})
        await staffed.call("HEAD", f"recordings/{NAME}/audio")
        await staffed.call("DELETE", f"recordings/{NAME}")
        assert (played.get(), sent.get(), deleted.get()) == (before[0] + 1, before[1] + len(whole), before[2] + 1)


class TestDeletion:
    async def test_the_file_goes_and_the_record_tells_that_there_was_one(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        assert (await staffed.call("DELETE", f"recordings/{NAME}")).status_code == 204
        assert list(folder_of(staffed).iterdir()) == []
        assert (await staffed.got("recordings"))["items"] == []
        for path in (f"recordings/{NAME}", f"recordings/{NAME}/audio"):
            answer = await staffed.call("GET", path)
            assert answer.status_code == 410
            assert answer.json()["detail"] == f"{NAME} was deleted on 2026-03-02T09:00:00+00:00 by admin."
        assert (await staffed.call("DELETE", f"recordings/{NAME}")).status_code == 410
        told = await staffed.got("cdrs/call-1", "supervisor")
        assert [one["path"] for one in told["cdr"]["recordings"]] == [NAME]
        assert told["deleted_recordings"] == [{"name": NAME, "deleted_at": "2026-03-02T09:00:00Z", "deleted_by": "admin"}]
        assert (await staffed.got("cdrs"))["items"] == [told]

    async def test_of_two_at_once_one_deletes(self, staffed: Service) -> None:
        await recorded_talk(staffed, "call-1")
        answers = await asyncio.gather(*(staffed.call("DELETE", f"recordings/{NAME}") for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [204, 410, 410, 410]
        assert [one for one in await trail(staffed) if one[1] == "deleted"] == [("admin", "deleted", NAME, 1)]

    async def test_a_file_the_disk_does_not_let_go_is_deleted_all_the_same_and_tried_again(
        self, staffed: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await recorded_talk(staffed, "call-1")
        services: Services = staffed.shared.services
        metrics = staffed.shared.metrics

        def refuses(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", refuses)
            answer = await staffed.call("DELETE", f"recordings/{NAME}")
            assert (answer.status_code, str(staffed.settings.data) in answer.text) == (503, False)
            assert (await staffed.call("GET", f"recordings/{NAME}/audio")).status_code == 410
            assert (await staffed.got("recordings"))["items"] == []
            await delete_old(services, metrics.recordings_deleted, staffed.clock())
            assert (folder_of(staffed) / NAME).exists()
        await delete_old(services, metrics.recordings_deleted, staffed.clock())
        assert not (folder_of(staffed) / NAME).exists()
        async with staffed.databases.tenant(ACME).connect() as connection:
            assert await recordings.half_deleted(connection, 10) == []

    async def test_a_file_of_a_lost_call_can_be_deleted_when_nothing_was_written_for_a_day(self, staffed: Service) -> None:
        """An hour would be too soon: the call may have gone on to somebody else, and its record comes when it is over."""
        write(folder_of(staffed) / NAME, staffed.clock() - rules.ABANDONED_AFTER + timedelta(seconds=1))
        assert (await staffed.call("DELETE", f"recordings/{NAME}")).status_code == 409
        staffed.clock.turn(seconds=1)
        assert (await staffed.call("DELETE", f"recordings/{NAME}")).status_code == 204
        assert list(folder_of(staffed).iterdir()) == []
        assert ("admin", "deleted", NAME, 1) in await trail(staffed)


class TestRetention:
    @staticmethod
    async def turn(service: Service, days: int) -> int:
        services: Services = service.shared.services
        settings = services.settings.model_copy(update={"recordings": Recordings(days=days)})
        kept = Services(settings, services.databases, services.voice, services.clock)
        return await delete_old(kept, service.shared.metrics.recordings_deleted, service.clock())

    async def test_by_itself_nothing_is_deleted(self, staffed: Service) -> None:
        assert Recordings().days == 0
        await recorded_talk(staffed, "call-1", at=datetime(2000, 1, 1, tzinfo=UTC))
        assert await self.turn(staffed, 0) == 0
        assert (await staffed.call("GET", f"recordings/{NAME}/audio")).status_code == 200

    async def test_what_is_older_than_the_days_goes_and_the_audit_says_so(self, staffed: Service) -> None:
        """Seven days before 9 March, 9:00:10: one began five seconds too early, one ten seconds later."""
        await recorded_talk(staffed, "call-1")
        await recorded_talk(staffed, "call-2", at=staffed.clock() + timedelta(seconds=10))
        staffed.clock.turn(days=7, seconds=10)
        assert await self.turn(staffed, 7) == 1
        staffed.tokens["admin"] = await staffed.log_in("admin")
        assert [one["call"] for one in (await staffed.got("recordings"))["items"]] == ["call-2"]
        assert [file.name for file in folder_of(staffed).iterdir()] == ["call-2-r1.wav"]
        (entry,) = (await staffed.got("audit?kind=recording&act=deleted"))["items"]
        assert (entry["who"], entry["subject"], entry["source"], entry["details"]["days"]) == ("retention", NAME, None, 7)
        assert (await staffed.got("cdrs/call-1"))["deleted_recordings"][0]["deleted_by"] == "retention"
        assert await self.turn(staffed, 7) == 0

    async def test_more_than_fits_into_a_transaction(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.recordings.retention.AT_ONCE", 2)
        for number in range(5):
            await recorded_talk(staffed, f"call-{number}")
        staffed.clock.turn(days=8)
        assert await self.turn(staffed, 7) == 5
        assert list(folder_of(staffed).iterdir()) == []

    async def test_files_of_lost_calls_go_too_and_those_that_are_written_stay(self, staffed: Service) -> None:
        write(folder_of(staffed) / "lost-r1.wav", staffed.clock() - timedelta(days=8))
        write(folder_of(staffed) / "running-r1.wav", staffed.clock())
        assert await self.turn(staffed, 7) == 1
        assert [file.name for file in folder_of(staffed).iterdir()] == ["running-r1.wav"]
        assert await trail(staffed) == [("retention", "deleted", "lost-r1.wav", 1)]


def documented(service: Service, path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = service.app.openapi()["paths"][path][method]
    return found


async def test_the_contract_says_that_it_is_audio_and_what_can_go_wrong(staffed: Service) -> None:
    answers = documented(staffed, "/api/v1/recordings/{recording}/audio", "get")["responses"]
    assert list(answers["200"]["content"]) == list(answers["206"]["content"]) == ["audio/wav"]
    assert {"304", "404", "409", "410", "412", "416", "429"} <= set(answers)
