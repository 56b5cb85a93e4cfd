"""TCP connections of those who have not registered or called: closed early, counted by source; those of phones and trunks stay."""

import asyncio
import contextlib
import secrets

import pytest

from sip.classified import REJECT, TRUNK
from sip.config import UserAgentConfig
from sip.flow import Flow
from sip.io import tcp
from sip.io.driver import SipEndpoint
from sip.registrar import Registrar
from sip.user_agent import UserAgent

pytestmark = pytest.mark.interop

PING, PONG = b"\r\n\r\n", b"\r\n"


def message(method, number, *more):
    user = "anna"
    fields = [
        f"{method} sip:127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{secrets.token_hex(8)}",
        f"From: <sip:{user}@127.0.0.1>;tag=1",
        f"To: <sip:{user}@127.0.0.1>",
        f"Call-ID: {secrets.token_hex(8)}",
        f"CSeq: {number} {method}",
        "Max-Forwards: 70",
        *more,
        "Content-Length: 0",
    ]
    return "\r\n".join(fields).encode() + b"\r\n\r\n"


class Peer:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def ask(self, octets):
        self.writer.write(octets)
        async with asyncio.timeout(5):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def ended(self):
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await self.reader.read() == b""

    async def is_open(self):
        self.writer.write(PING)
        async with asyncio.timeout(5):
            return await self.reader.readexactly(2) == PONG


@pytest.fixture
async def serving():
    async with contextlib.AsyncExitStack() as stack:

        async def start(**more):
            registrar = Registrar(lambda uri, _: f"{uri.user}@{uri.host}")
            config = UserAgentConfig(classify=lambda request, _: TRUNK if request.from_.uri.user == "anna" else REJECT, registrar=registrar)
            endpoint = SipEndpoint(UserAgent(config, lambda: secrets.token_hex(8)), [("tcp", "127.0.0.1", 0)], lambda _: None, **more)
            await endpoint.start()
            stack.push_async_callback(endpoint.close)

            async def connect():
                reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.addresses[0][2])
                stack.callback(writer.close)
                return Peer(reader, writer)

            return endpoint, connect

        yield start


async def test_who_says_nothing_whole_is_closed_early_and_a_registered_phone_stays(serving):
    endpoint, connect = await serving(tcp_stranger_idle_s=0.3)
    phone, caller = await connect(), await connect()
    registered = await phone.ask(message("REGISTER", 1, "Contact: <sip:anna@127.0.0.1:5999;transport=tcp>"))
    assert registered.startswith("SIP/2.0 200")
    assert (await caller.ask(message("INVITE", 1, "Contact: <sip:anna@127.0.0.1:5999;transport=tcp>"))).startswith("SIP/2.0 100")
    silent, dribbling, pinging, probing = [await connect() for _ in range(4)]
    dribbling.writer.write(b"OPTIONS sip:x SIP/2.0\r\nVia: ")
    assert await pinging.is_open()
    assert (await probing.ask(message("OPTIONS", 1))).startswith("SIP/2.0 200")
    for stranger in (silent, dribbling, pinging, probing):  # keep-alives win no time; a whole message wins a little
        await stranger.ended()
    assert await phone.is_open()
    assert await caller.is_open()
    figures = endpoint.figures()
    assert (figures["tcp_connections"], figures["tcp_strangers"], figures["tcp_strangers_silent_total"]) == (2, 0, 4)


async def test_strangers_of_one_source_make_room_for_each_other_and_never_push_out_a_phone(serving):
    endpoint, connect = await serving(tcp_strangers_per_source=2)
    phone = await connect()
    assert (await phone.ask(message("REGISTER", 1, "Contact: <sip:anna@127.0.0.1:5999;transport=tcp>"))).startswith("SIP/2.0 200")
    first, second = await connect(), await connect()
    assert await first.is_open()
    assert await second.is_open()
    third = await connect()
    await first.ended()
    for still_there in (phone, second, third):
        assert await still_there.is_open()
    assert endpoint.figures()["tcp_strangers_displaced_total"] == 1


async def test_a_phone_that_registers_over_ever_more_connections_pushes_out_its_own_source_only(serving, monkeypatch):
    """Whoever has proved himself takes no more places than an office needs, and never another's."""
    monkeypatch.setattr(tcp, "KNOWN_PER_SOURCE", 2)
    endpoint, connect = await serving()
    peers = [await connect() for _ in range(3)]
    for number, peer in enumerate(peers, 1):
        asked = message("REGISTER", number, f"Contact: <sip:anna@127.0.0.1:{5990 + number};transport=tcp>")
        assert (await peer.ask(asked)).startswith("SIP/2.0 200")
    await peers[0].ended()
    assert await peers[1].is_open()
    assert await peers[2].is_open()
    assert endpoint.figures()["tcp_known_displaced_total"] == 1


async def test_who_is_refused_stays_a_stranger(serving):
    endpoint, connect = await serving()
    guest = await connect()
    refused = await guest.ask(
        message("INVITE", 1, "Contact: <sip:x@127.0.0.1;transport=tcp>").replace(b"From: <sip:anna", b"From: <sip:guest")
    )
    assert refused.startswith("SIP/2.0 403")
    assert endpoint.figures()["tcp_strangers"] == 1


async def test_connections_opened_from_here_are_no_strangers(serving):
    endpoint, _ = await serving(tcp_strangers_per_source=1)
    other, _ = await serving()
    [(_, host, port)] = other.addresses
    [(_, own_host, own_port)] = endpoint.addresses
    endpoint._send(Flow("tcp", (own_host, own_port), (host, port)), message("OPTIONS", 1))
    async with asyncio.timeout(5):
        while not endpoint.figures()["tcp_connections"]:
            await asyncio.sleep(0.01)
    assert endpoint.figures()["tcp_strangers"] == 0
    async with asyncio.timeout(5):
        while not other.figures()["tcp_strangers"]:
            await asyncio.sleep(0.01)


async def test_closing_does_not_wait_for_ever_for_a_peer_that_does_not_read(serving):
    endpoint, connect = await serving(tcp_idle_s=0.1)
    deaf = await connect()
    assert (await deaf.ask(message("REGISTER", 1, "Contact: <sip:anna@127.0.0.1:5999;transport=tcp>"))).startswith("SIP/2.0 200")
    deaf.writer.transport.pause_reading()
    [tcp] = endpoint.transports.of("tcp").values()
    [connection] = tcp._open.values()
    while not connection._transport.get_write_buffer_size():  # until the buffers of both kernels are full
        connection.write(b"x" * 500_000)
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while endpoint.figures()["tcp_connections"]:
            await asyncio.sleep(0.01)


async def test_a_connection_that_a_registration_or_call_goes_by_is_never_idle(serving):
    """Nothing need be said on it for hours; without it nobody could be reached who listens at no port (RFC 5626 §4.4.1, RFC 5923 §8)."""
    endpoint, connect = await serving(tcp_idle_s=0.05)
    phone = await connect()
    assert (await phone.ask(message("REGISTER", 1, "Contact: <sip:anna@127.0.0.1:5999;transport=tcp>"))).startswith("SIP/2.0 200")
    [table] = endpoint.transports.of("tcp").values()
    [connection] = table._open.values()
    for _ in range(3):  # three sweeps after its time
        before = connection.last_used
        async with asyncio.timeout(5):
            while connection.last_used == before:
                await asyncio.sleep(0.01)
    assert await phone.is_open()
    endpoint.user_agent.config.registrar.remove("anna@127.0.0.1")
    await phone.ended()


async def test_one_that_was_opened_by_a_name_is_known_by_it(serving):
    other, _ = await serving()
    endpoint, _ = await serving(tcp_idle_s=0.05)
    (_, own_host, own_port), (_, host, port) = endpoint.addresses[0], other.addresses[0]
    used = {("localhost", port)}
    [table] = endpoint.transports.of("tcp").values()
    table._in_use = lambda: used
    endpoint._send_to(table, Flow("tcp", (own_host, own_port), ("localhost", port)), message("OPTIONS", 1), (host, port))
    async with asyncio.timeout(5):
        while not (found := list(table._open.values())) or found[0].last_used < endpoint.now() - 0.02:
            await asyncio.sleep(0.01)
        before = found[0].last_used
        while found[0].last_used == before:
            await asyncio.sleep(0.01)
        assert found[0].is_open
        used.clear()
        while endpoint.figures()["tcp_connections"]:
            await asyncio.sleep(0.01)
