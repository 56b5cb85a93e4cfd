"""What is refused before it is read, who may hold connections, what every answer carries: on the wire, as `fernamt run` serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from api.app import create_app
from api.config import Settings
from api.edge.connections import Connections, Lease
from api.edge.protocol import MESSAGE_OCTETS, Patience, ServerConfig, _Stalled
from api.edge.requests import BODY_OCTETS, HEAD_FIELDS, TARGET_OCTETS
from api.errors import TooManyConnections
from tests.api.conftest import CHEAP, Service
from tests.api.serving import Reply, Served, serving
from tests.api.voice import EngineVoice

MEGABYTE = 1_000_000
JSON = "Content-Type: application/json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def document() -> dict[str, Any]:
    found: dict[str, Any] = create_app(Settings(login=CHEAP), EngineVoice(lambda: 0.0).client).openapi()
    return found


DOCUMENT = document()
PATHS: dict[str, dict[str, Any]] = DOCUMENT["paths"]


def operations(*methods: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in PATHS.items():
        for method, operation in found.items():
            if not methods or method in methods:
                yield method.upper(), filled(path), operation


def filled(path: str) -> str:
    """A path with names in it that have the right form."""
    return re.sub(r"\{(\w+)\}", lambda name: {"number": "600", "month": "2026-03"}.get(name[1], "nobody"), path)


def is_problem(reply: Reply, status: int) -> bool:
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    return bool(json.loads(reply.body)["status"] == status)


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answer_now = asyncio.Event(), asyncio.Event()

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.asked.set()
        await self.answer_now.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


@pytest.fixture
async def served(service: Service) -> AsyncIterator[Served]:
    async with serving(service.app) as found:
        yield found


class TestBodies:
    async def test_fifty_megabytes_are_refused_by_their_head_on_every_route(self, served: Served) -> None:
        """None of the body has come: whoever waits for it before answering never answers."""
        asked = [(method, path) for method, path, _ in operations("post", "put", "patch", "delete")]
        assert len(asked) > 50
        for method, path in asked:
            wire = await served.connect()
            await wire.request(method, path, JSON, f"Content-Length: {50 * MEGABYTE}")
            reply = await wire.reply()
            assert is_problem(reply, 413), (method, path)
            assert reply.headers["connection"] == "close"
            wire.writer.close()  # there are more routes than connections that one address may have

    async def test_client_that_goes_on_sending_can_read_the_answer_and_is_cut_off(self, served: Served) -> None:
        wire = await served.connect()
        await wire.request("POST", "/api/v1/login", JSON, f"Content-Length: {50 * MEGABYTE}")
        assert is_problem(await wire.reply(), 413)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50 * MEGABYTE:
                await wire.send(b" " * 65536)
                sent += 65536
        assert 0 < sent < 25 * MEGABYTE, "what the server threw away and the buffers of both sides"

    async def test_client_that_stops_in_time_sees_an_orderly_end(self, served: Served) -> None:
        wire = await served.connect()
        await wire.request("POST", "/api/v1/login", JSON, f"Content-Length: {2 * MEGABYTE}", body=b" " * (2 * MEGABYTE))
        assert is_problem(await wire.reply(), 413)
        assert await wire.ended() == b""

    @pytest.mark.parametrize(
        "path", ["/api/v1/login", "/api/v1/logout", "/nowhere"], ids=["with_a_body", "without_a_body", "without_a_route"]
    )
    async def test_chunks_are_counted(self, served: Served, path: str) -> None:
        wire = await served.connect()
        await wire.request("POST", path, JSON, "Transfer-Encoding: chunked")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        await wire.send(chunk)
        assert is_problem(await wire.reply(), 413)

    async def test_chunks_of_somebody_are_counted_up_to_the_limit(self, acme: Service) -> None:
        async with serving(acme.app) as served:
            wire = await served.connect()
            await wire.request("POST", "/api/v1/users", JSON, "Transfer-Encoding: chunked", f"Authorization: Bearer {acme.tokens['admin']}")
            for _ in range(BODY_OCTETS // 65536 + 1):
                await wire.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
            assert is_problem(await wire.reply(), 413)

    async def test_chunks_of_one_octet_are_not_worth_reading(self, served: Served) -> None:
        """A body of a megabyte in such chunks kept every call waiting for seconds."""
        wire = await served.connect()
        await wire.request("POST", "/api/v1/login", JSON, "Transfer-Encoding: chunked", body=b"1\r\n \r\n" * 4_000)
        assert is_problem(await wire.reply(), 400)
        assert served.connections.refused["small_chunks"] == 1

    async def test_small_chunks_in_reason_are_read(self, served: Served) -> None:
        wire = await served.connect()
        login = b'{"username": "operator", "password": "correct horse battery"}'
        chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in b" " * 500 + login) + b"0\r\n\r\n"
        await wire.request("POST", "/api/v1/login", JSON, "Transfer-Encoding: chunked", body=chunks)
        assert (await wire.reply()).status == 200

    async def test_members_without_end_are_one_error(self, acme: Service) -> None:
        body = {f"m{number}": 1 for number in range(50_000)}
        answer = await acme.call("POST", "users", json=body)
        assert answer.status_code == 422
        assert len(answer.content) < 1000
        assert "50000 members" in answer.json()["errors"][0]["detail"]
        few = await acme.call("POST", "users", json={"id": "a", "name": "a", "role": "agent", "nmae": "b"})
        assert [error["pointer"] for error in few.json()["errors"]] == ["#/nmae"]

    async def test_chunks_within_the_limit_are_one_body(self, served: Served) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"username": "operator", '
            yield b'"password": "correct horse battery"}'

        async with httpx.AsyncClient(base_url=served.url) as client:
            answer = await client.post("/api/v1/login", content=pieces(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 200

    async def test_foreign_clients_read_the_answer(self, served: Served) -> None:
        """The one looks for an answer only when it has sent everything, or cannot send any more."""
        answer = await asyncio.to_thread(httpx.post, f"{served.url}/api/v1/login", content=b" " * (20 * MEGABYTE))
        assert answer.status_code == 413
        async with httpx.AsyncClient(base_url=served.url) as client:
            assert (await client.post("/api/v1/login", content=b" " * (3 * MEGABYTE))).status_code == 413

    async def test_what_a_route_declares_is_for_those_who_are_logged_in(self, staffed: Service) -> None:
        plan = json.dumps({"toml": "# " + "x" * 900_000 + "\n# " + "ü" * 90_000})
        assert BODY_OCTETS < len(plan) < 2 * BODY_OCTETS
        headers = {"Content-Type": "application/json"}
        async with serving(staffed.app) as served, httpx.AsyncClient(base_url=served.url, headers=headers) as client:
            assert (await client.post("/api/v1/tariffs", content=plan)).status_code == 413
            forged = {"Authorization": f"Bearer {staffed.tokens['billing'][:-1]}-"}
            assert (await client.post("/api/v1/tariffs", content=plan, headers=forged)).status_code == 401
            known = {"Authorization": f"Bearer {staffed.tokens['billing']}"}
            answer = await client.post("/api/v1/tariffs", content=plan, headers=known)
            assert answer.status_code == 422
            assert answer.json()["detail"] != "invalid"  # it was read: what is missed is an id
            assert (await client.post("/api/v1/tariffs", content=plan * 5, headers=known)).status_code == 413
            assert (await client.post("/api/v1/users", content=plan, headers=known)).status_code == 413

    @pytest.mark.parametrize(
        "bomb",
        [
            '{"document": ' * 100_000,
            "[" * 500_000,
            '{"document": ' + '{"a": ' * 900 + "1" + "}" * 901,
            '{"document": ' + "[" * 300 + "]" * 300 + "}",
        ],
    )
    async def test_nesting_is_no_fault_of_ours(self, staffed: Service, bomb: str) -> None:
        answer = await staffed.call("POST", "tariffs", "billing", content=bomb, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}

    @pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9" * 5000])
    async def test_numbers_that_are_none_are_no_fault_of_ours(self, staffed: Service, number: str) -> None:
        for path in ("queues", "tariffs", "login"):
            body = f'{{"id": "q", "name": "q", "document": {number}, "wait_limit_s": {number}}}'
            answer = await staffed.call("POST", path, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 422}


class TestHeads:
    async def test_head_that_is_too_large_is_refused(self, served: Served) -> None:
        for fields, status in ((["X: " + "x" * 17_000], 431), ([f"X-{n}: 1" for n in range(HEAD_FIELDS + 1)], 431)):
            wire = await served.connect()
            await wire.request("GET", "/healthz", *fields)
            assert is_problem(await wire.reply(), status)

    async def test_head_without_an_end_is_refused(self, served: Served) -> None:
        wire = await served.connect()
        await wire.send(b"GET / HTTP/1.1\r\n")
        for _ in range(400):
            await wire.send(b"X-Filler: " + b"x" * 90 + b"\r\n")
            await asyncio.sleep(0)
            if wire.reader._buffer:  # type: ignore[attr-defined]
                break
        assert is_problem(await wire.reply(), 431)

    async def test_target_that_is_too_long_is_refused(self, served: Served) -> None:
        for target in ("/healthz?" + "x" * TARGET_OCTETS, "/" + "x" * TARGET_OCTETS):
            wire = await served.connect()
            await wire.request("GET", target)
            assert is_problem(await wire.reply(), 414)

    async def test_what_is_no_http_gets_a_problem_document(self, served: Served) -> None:
        wire = await served.connect()
        await wire.send(b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n")
        assert is_problem(await wire.reply(), 400)
        assert await wire.ended() == b""

    async def test_handshake_with_a_head_that_is_too_large_is_refused(self, served: Served) -> None:
        wire = await served.connect()
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        await wire.request("GET", "/api/v1/events", *upgrade, "X: " + "x" * 9000)
        assert is_problem(await wire.reply(), 431)


class TestTwoLengths:
    """RFC 9112 §6.3: where a proxy and we see different ends, one client's body is another one's request."""

    SMUGGLED: ClassVar[bytes] = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"

    @pytest.mark.parametrize("target", ["/healthz", "/api/v1/login", "/nowhere"])
    async def test_request_with_both_is_refused_and_the_connection_ends(self, served: Served, target: str) -> None:
        for fields in (("Content-Length: 6", "Transfer-Encoding: chunked"), ("transfer-encoding: chunked", "content-length: 50")):
            wire = await served.connect()
            await wire.request("POST", target, JSON, *fields, body=self.SMUGGLED)
            reply = await wire.reply()
            assert is_problem(reply, 400)
            assert reply.headers["connection"] == "close"
            assert b"both Content-Length and Transfer-Encoding" in reply.body
            assert await wire.ended() == b""
        assert served.connections.refused["malformed"] == 2

    async def test_second_request_of_a_connection_is_refused_too(self, served: Served) -> None:
        wire = await served.connect()
        await wire.request("GET", "/healthz")
        assert (await wire.reply()).status == 200
        await wire.request("POST", "/healthz", "Content-Length: 6", "Transfer-Encoding: chunked", body=self.SMUGGLED)
        assert is_problem(await wire.reply(), 400)
        assert await wire.ended() == b""

    async def test_handshake_with_both_is_refused(self, served: Served) -> None:
        wire = await served.connect()
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        await wire.request("GET", "/api/v1/events", *upgrade, "Content-Length: 6", "Transfer-Encoding: chunked", body=self.SMUGGLED)
        assert is_problem(await wire.reply(), 400)
        assert await wire.ended() == b""

    async def test_http_1_0_knows_no_chunks(self, served: Served) -> None:
        wire = await served.connect()
        await wire.send(b"POST /healthz HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + self.SMUGGLED)
        assert is_problem(await wire.reply(), 400)
        assert await wire.ended() == b""


class TestSlowClients:
    async def test_head_that_does_not_come_in_time_is_answered_408(self, service: Service) -> None:
        async with serving(service.app, Patience(head_s=0.05)) as served:
            wire = await served.connect()
            await wire.send(b"GET /healthz HTTP/1.1\r\nHost: te")
            assert is_problem(await wire.reply(), 408)
            assert await wire.ended() == b""
            assert served.connections.refused["slow_head"] == 1
            await wire.close()
            async with asyncio.timeout(10):
                while served.connections.open:
                    await asyncio.sleep(0)

    async def test_second_head_on_a_connection_has_the_same_time(self, service: Service) -> None:
        async with serving(service.app, Patience(head_s=0.05)) as served:
            wire = await served.connect()
            await wire.request("GET", "/healthz")
            assert (await wire.reply()).status == 200
            await wire.send(b"GET /healthz HTTP/1.1\r\nHost: te")
            assert is_problem(await wire.reply(), 408)

    async def test_drop_of_a_head_now_and_then_wins_no_time(self, service: Service) -> None:
        async with serving(service.app, Patience(head_s=0.2)) as served:
            wire = await served.connect()
            await wire.send(b"GET /healthz HTTP/1.1\r\n")
            async with asyncio.timeout(10):
                while not served.connections.refused["slow_head"]:
                    await wire.send(b"X: y\r\n")
                    await asyncio.sleep(0.01)
            await wire.send(b"X: y\r\n")
            assert is_problem(await wire.reply(), 408)

    async def test_body_that_does_not_come_in_time_is_answered_408(self, service: Service) -> None:
        async with serving(service.app, Patience(body_s=0.05)) as served:
            wire = await served.connect()
            await wire.request("POST", "/api/v1/login", JSON, "Content-Length: 100", body=b"{")
            assert is_problem(await wire.reply(), 408)
            assert await wire.ended() == b""
            assert served.connections.refused["slow_body"] == 1

    async def test_strangers_body_has_less_time(self, service: Service) -> None:
        async with serving(service.app, Patience(body_s=1000, stranger_body_s=0.05)) as served:
            for length in ("Content-Length: 16000", "Transfer-Encoding: chunked"):
                wire = await served.connect()
                await wire.request("POST", "/api/v1/login", JSON, length, body=b"1")
                assert is_problem(await wire.reply(), 408)
                assert await wire.ended() == b""
            assert served.connections.refused["slow_body"] == 2

    async def test_whoever_turns_out_to_be_somebody_has_the_rest_of_the_time(self, acme: Service) -> None:
        async with serving(acme.app, Patience(body_s=1000, stranger_body_s=500)) as served:
            wire = await served.connect()
            async with asyncio.timeout(10):
                while not served.connections.strangers._of:
                    await asyncio.sleep(0)
            ((lease, _),) = served.connections.strangers._of.items()
            protocol: Any = lease.holder
            body = json.dumps({"id": "q", "name": "q" * 20_000}).encode()
            token = f"Authorization: Bearer {acme.tokens['admin']}"
            await wire.request("POST", "/api/v1/queues", JSON, token, f"Content-Length: {len(body)}", body=body[:1])
            async with asyncio.timeout(10):
                while not served.connections.users:
                    await asyncio.sleep(0)
            protocol._deadline.cancel()
            protocol._too_slow_for_a_stranger()  # what the timer does after a stranger's time
            assert not served.connections.refused["slow_body"]
            assert protocol._deadline.when() > protocol.loop.time() + 400, "the rest of the time that a body has"
            await wire.send(body[1:])
            assert is_problem(await wire.reply(), 422)

    async def test_body_nobody_waits_for_must_come_in_time_too(self, service: Service) -> None:
        async with serving(service.app, Patience(body_s=0.05)) as served:
            wire = await served.connect()
            await wire.request("POST", "/api/v1/logout", "Content-Length: 100", body=b"{")
            assert (await wire.reply()).status == 401
            assert await wire.ended() == b""

    async def test_request_takes_as_long_as_it_takes_once_it_is_there(self) -> None:
        slow = Slow()

        async with serving(slow, Patience(head_s=0.02, body_s=0.02)) as served:
            wire = await served.connect()
            await wire.request("GET", "/")
            await slow.asked.wait()
            await asyncio.sleep(0.05)  # longer than either deadline: neither is running
            slow.answer_now.set()
            assert (await wire.reply()).status == 200

    async def test_client_that_does_not_read_is_cut_off(self) -> None:
        ended = asyncio.Event()

        async def endless(_scope: Any, receive: Any, send: Any) -> None:
            gone = asyncio.ensure_future(receive())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not gone.done():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            ended.set()

        async with serving(endless, Patience(stalled_s=0.05)) as served:
            wire = await served.connect()
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await wire.request("GET", "/")
            async with asyncio.timeout(10):
                await ended.wait()
            assert served.connections.refused["stalled"] == 1

    async def test_answer_that_is_given_wholly_and_not_taken_does_not_hold_the_connection(self) -> None:
        """Closing waits until everything is sent: for ever, where the peer keeps its window shut."""

        async def large(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body", "body": b"x" * 20 * MEGABYTE})

        async with serving(large, Patience(stalled_s=0.05)) as served:
            wire = await served.connect()
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await wire.request("GET", "/")
            async with asyncio.timeout(10):
                while not served.connections.refused["stalled"] or served.connections.open:
                    await asyncio.sleep(0.01)

    def test_client_that_reads_slowly_is_waited_for(self) -> None:
        class Peer:
            unsent, aborted = 1000, False
            looks: ClassVar[list[Any]] = []

            def get_write_buffer_size(self) -> int:
                return self.unsent

            def abort(self) -> None:
                self.aborted = True

            def call_later(self, _delay: float, act: Any, *arguments: Any) -> None:
                self.looks.append(lambda: act(*arguments))

        peer: Any = Peer()
        held = Connections(per_source=1, strangers=1, per_user=1)
        _Stalled(ServerConfig(None, held, Patience()), peer).begin(peer)
        for unsent in (999, 998, 1):
            peer.unsent = unsent
            peer.looks.pop()()
            assert not peer.aborted
        peer.looks.pop()()
        assert peer.aborted
        assert held.refused["stalled"] == 1


class TestConnections:
    async def test_oldest_idle_stranger_makes_room(self, service: Service) -> None:
        async with serving(service.app, connections=Connections(per_source=2, strangers=100, per_user=100)) as served:
            first, second = await served.connect(), await served.connect()
            await second.request("GET", "/healthz")
            assert (await second.reply()).status == 200
            third = await served.connect()
            await third.request("GET", "/healthz")
            assert (await third.reply()).status == 200
            assert await first.ended() == b""
            assert served.connections.strangers.displaced == 1

    async def test_strangers_who_are_all_served_leave_no_room(self) -> None:
        slow = Slow()

        async with serving(slow, connections=Connections(per_source=1, strangers=100, per_user=100)) as served:
            first = await served.connect()
            await first.request("GET", "/")
            await slow.asked.wait()
            second = await served.connect()
            reply = await second.reply()
            assert is_problem(reply, 503)
            assert b"from this address" in reply.body
            slow.answer_now.set()
            assert (await first.reply()).status == 200
            assert 'reason="source_is_full"} 1' in " ".join(f"{name} {value:g}" for name, value in served.connections.figures().items())

    async def test_full_house_makes_room_for_an_address_that_has_fewer(self, service: Service) -> None:
        """An octet of a body makes a connection busy for as long as a body may take, and costs nothing."""
        held = Connections(per_source=100, strangers=3, per_user=100)
        async with serving(service.app, Patience(stranger_body_s=1000, body_s=1000), held) as served:
            crowd = []
            for source in ("127.0.0.2", "127.0.0.2", "127.0.0.3"):
                crowd.append(await served.connect(source))
                await crowd[-1].request("POST", "/api/v1/login", JSON, "Content-Length: 16000", body=b"1")
            async with asyncio.timeout(10):
                while sum(not one.holder.is_idle for one in held.strangers._of if one.holder is not None) < 3:
                    await asyncio.sleep(0)
            newcomer = await served.connect()
            await newcomer.request("GET", "/healthz")
            assert (await newcomer.reply()).status == 200
            displaced = await crowd[0].reply()
            assert is_problem(displaced, 503)
            assert b"made room for another address" in displaced.body
            assert await crowd[0].ended() == b""
            assert held.strangers.displaced == 1
            refused = await served.connect("127.0.0.3")
            reply = await refused.reply()
            assert is_problem(reply, 503)
            assert b"no address has more" in reply.body
            assert held.figures()['fernamt_http_connections_refused_total{reason="all_are_full"}'] == 1

    async def test_two_hundred_desks_behind_one_address_are_counted_by_user(self, staffed: Service) -> None:
        """Whoever is logged in holds no place of a stranger; a user's places are counted over all addresses."""
        held = Connections(per_source=1, strangers=1, per_user=2)
        async with serving(staffed.app, connections=held) as served:
            desks = []
            for user in ("anna", "anna", "ben", "supervisor"):
                wire = await served.connect()
                await wire.request("GET", "/api/v1/me", f"Authorization: Bearer {staffed.tokens[user]}")
                assert (await wire.reply()).status == 200
                desks.append(wire)
            assert (len(held.strangers), held.users) == (0, {"acme/anna": 2, "acme/ben": 1, "acme/supervisor": 1})
            another = await served.connect()
            await another.request("GET", "/api/v1/me", f"Authorization: Bearer {staffed.tokens['anna']}")
            assert is_problem(await another.reply(), 429)

    async def test_websocket_is_its_users(self, staffed: Service) -> None:
        held = Connections(per_source=1, strangers=1, per_user=1)
        async with serving(staffed.app, connections=held) as served:
            url, headers = f"ws://127.0.0.1:{served.port}/api/v1/board", {"Authorization": f"Bearer {staffed.tokens['anna']}"}
            async with connect(url, additional_headers=headers) as socket:
                await socket.recv()
                assert (held.open, len(held.strangers), held.users) == (1, 0, {"acme/anna": 1})
                async with connect(url, additional_headers=headers) as second:
                    with pytest.raises(ConnectionClosedError) as closed:
                        await second.recv()
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 1013
            async with asyncio.timeout(10):
                while held.open:
                    await asyncio.sleep(0.01)
            assert not held.users

    async def test_websocket_of_a_stranger_counts_against_the_address(self, service: Service) -> None:
        async with serving(service.app) as served:
            async with connect(f"ws://127.0.0.1:{served.port}/api/v1/board") as socket:
                with pytest.raises(ConnectionClosedError) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4401
            assert not served.connections.users

    async def test_message_that_is_too_large_ends_the_websocket(self, staffed: Service) -> None:
        async with serving(staffed.app) as served:
            url, headers = f"ws://127.0.0.1:{served.port}/api/v1/board", {"Authorization": f"Bearer {staffed.tokens['anna']}"}
            for text in ("x" * (MESSAGE_OCTETS + 1), "x" * 30 * MEGABYTE):  # the second is small on the wire: it is compressed
                async with connect(url, additional_headers=headers) as socket:
                    await socket.send(text)
                    async with asyncio.timeout(10):
                        await socket.wait_closed()
                    assert socket.close_code == 1009

    async def test_refused_handshake_has_the_headers_of_every_answer(self, served: Served) -> None:
        for path, status in (("/api/v1/nowhere", 403), ("/api/v1/board?tokn=x", 422)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{served.port}{path}")
            assert refused.value.response.status_code == status
            assert refused.value.response.headers["X-Content-Type-Options"] == "nosniff"
            assert refused.value.response.headers["Cache-Control"] == "no-store"

    def test_connection_that_changes_hands_is_counted_once(self) -> None:
        held = Connections(per_source=5, strangers=5, per_user=1)
        one, other = Lease(held), Lease(held)
        for lease in (one, other):
            assert lease.begin(_Nothing(), "192.0.2.1")
        one.belongs_to("a/anna")
        one.belongs_to("a/anna")
        one.belongs_to("a/ben")
        other.belongs_to("a/anna")
        assert held.users == {"a/ben": 1, "a/anna": 1}
        with pytest.raises(TooManyConnections):
            other.belongs_to("a/ben")
        assert other.user == "a/anna"
        for lease in (one, other):
            lease.end()
            lease.end()
        assert (held.open, held.users, len(held.strangers)) == (0, {}, 0)


class _Nothing:
    is_idle = True

    def give_way(self) -> None:
        raise AssertionError


class TestAnswers:
    async def test_every_answer_says_nosniff_and_no_store(self, service: Service) -> None:
        seen = set()
        for method, path, _ in operations():
            answer = await service.client.request(method, path)
            seen.add(answer.status_code)
            assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
            assert answer.headers["cache-control"] == "no-store", (method, path)
        assert {200, 401, 422} <= seen
        for method, path in (("GET", "/nowhere"), ("PUT", "/healthz"), ("POST", "/healthz?x=1"), ("GET", "/openapi.json")):
            assert (await service.client.request(method, path)).headers["cache-control"] == "no-store"

    async def test_fault_of_ours_says_so_too(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(staffed.voice, "live", broken)
        answer = await staffed.call("GET", "live")
        assert answer.status_code == 500
        assert answer.headers["cache-control"] == "no-store"

    async def test_pages_keep_theirs(self, service: Service) -> None:
        for path in ("/", "/board.js", "/docs", "/docs/swagger-ui.css"):
            answer = await service.client.get(path)
            assert answer.headers["cache-control"] == "no-cache"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "script-src 'self';" in answer.headers["content-security-policy"]

    async def test_allow_is_what_the_document_says_on_every_path(self, service: Service) -> None:
        by_path: dict[str, set[str]] = {}
        for method, path, _ in operations():
            by_path.setdefault(path, set()).add(method)
        assert any(len(methods) > 2 for methods in by_path.values())
        for path, methods in by_path.items():
            allowed = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
            for method in METHODS:
                answer = await service.client.request(method, path)
                if method == "OPTIONS":
                    assert answer.status_code == 204
                elif method in allowed:
                    assert answer.status_code != 405, (method, path)
                    continue
                else:
                    assert answer.status_code == 405, (method, path)
                assert set(answer.headers["allow"].split(", ")) == allowed, (method, path)

    async def test_path_that_is_not_there_is_404_whatever_the_method(self, service: Service) -> None:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            assert (await service.client.request(method, "/nowhere")).status_code == 404
        answer = await service.client.post("/board.js")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    async def test_head_is_get_without_its_body(self, staffed: Service) -> None:
        async with serving(staffed.app) as served:
            wire = await served.connect()
            for path in ("/healthz", "/api/v1/me", "/board.js", "/docs/swagger-ui-bundle.js", "/api/v1/cdrs/export"):
                token = f"Authorization: Bearer {staffed.tokens['admin']}"
                head = await _head(wire, path, token)
                got = await staffed.call("GET", path)
                assert head[0] == got.status_code == 200
                assert head[1].get("content-length") == got.headers.get("content-length")


async def _head(wire: Any, path: str, token: str) -> tuple[int, dict[str, str]]:
    """On one connection: a body that came by mistake would stand where the next answer is expected."""
    await wire.request("HEAD", path, token)
    lines = (await wire.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    if headers.get("transfer-encoding") == "chunked":
        headers.pop("content-length", None)
    return int(lines[0].split()[1]), headers


class TestParameters:
    async def test_parameter_nobody_knows_is_refused_on_every_route(self, service: Service) -> None:
        for method, path, operation in operations():
            answer = await service.client.request(method, f"{path}?zzz=1")
            assert answer.status_code == 422, (method, path)
            assert [error["parameter"] for error in answer.json()["errors"]] == ["zzz"]
            assert "422" in operation["responses"]

    async def test_misspelt_filter_is_told_the_nearest(self, staffed: Service) -> None:
        for query, near in (("quue=support", "queue"), ("began_form=2026-01-01T00:00:00Z", "began_from"), ("Agent=anna", "agent")):
            answer = await staffed.call("GET", f"cdrs/export?{query}")
            assert answer.status_code == 422
            assert f"did you mean `{near}`?" in answer.json()["errors"][0]["detail"]

    async def test_parameter_given_twice_is_refused(self, staffed: Service) -> None:
        answer = await staffed.call("GET", "cdrs?queue=support&queue=sales&limit=1")
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"detail": "given more than once", "parameter": "queue"}]
        assert (await staffed.call("GET", "cdrs?queue=support&limit=1")).status_code == 200

    def test_no_body_takes_members_nobody_knows(self) -> None:
        """Through every schema that a request's body leads to."""
        schemas: dict[str, Any] = DOCUMENT["components"]["schemas"]
        waiting = [operation["requestBody"] for _, _, operation in operations() if "requestBody" in operation]
        seen: set[str] = set()
        while waiting:
            for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(waiting.pop())):
                if name not in seen:
                    seen.add(name)
                    waiting.append(schemas[name])
        objects = {name for name in seen if schemas[name].get("type") == "object"}
        assert len(objects) > 20
        assert {name for name in objects if schemas[name].get("additionalProperties") is not False} == set()


async def test_an_answer_is_sent_at_once_and_waits_for_no_acknowledgement(service: Service) -> None:
    """RFC 896: the body, a second write, would wait 40 ms for what a client acknowledges late. asyncio sees not to it for this socket."""
    made: list[asyncio.Transport] = []
    begin = Lease.begin

    def watched(self: Lease, holder: Any, host: str) -> bool:
        made.append(holder.transport)
        return begin(self, holder, host)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lease, "begin", watched)
        async with serving(service.app) as served:
            wire = await served.connect()
            await wire.request("GET", "/healthz")
            assert (await wire.reply()).status == 200
            assert made[0].get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
