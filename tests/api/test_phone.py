"""Phones in pages: their pass, and their WebSocket under the real server with a SIP endpoint behind it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from acd.core.errors import UnknownName
from acd.core.ids import AgentId, TenantId
from api.edge.origin import may_open, origin
from api.errors import TooMany, Unavailable
from api.telephony import phone
from sip.config import UserAgentConfig
from sip.io.driver import SipEndpoint
from sip.io.websocket import WebSockets
from sip.user_agent import UserAgent
from tests.api.conftest import PASSWORD, Service
from tests.api.serving import Served, serving
from tests.sip_sockets import Refused, Wire

OPTIONS = (
    b"OPTIONS sip:acme SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:anna@acme>;tag=1\r\n"
    b"To: <sip:acme>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


class Phones:
    """Where SIP of pages goes in these tests, and the server that takes it."""

    def __init__(self, service: Service, served: Served, endpoint: SipEndpoint) -> None:
        self.service, self.served, self.endpoint = service, served, endpoint
        self.opened: list[tuple[TenantId, AgentId]] = []
        self.missing: set[AgentId] = set()

    async def serve_page(self, scope: Scope, receive: Receive, send: Send, tenant: TenantId, agent: AgentId) -> None:
        if agent in self.missing:
            raise UnknownName("phone of agent", agent)
        self.opened.append((tenant, agent))
        [serves] = self.endpoint.transports.of(scope["scheme"]).values()
        assert isinstance(serves, WebSockets)
        await serves.serve(scope, receive, send, f"{agent}@{tenant}")

    async def open(self, who: str = "anna", **more: Any) -> Wire:
        return await Wire(self.served.port, self.service.tokens[who], **more).accepted()

    async def closing(self, wire: Wire) -> int | None:
        return await wire.has_closed()

    @property
    def flows(self) -> int:
        return len(self.endpoint.flows)


@pytest.fixture
async def phones(staffed: Service) -> AsyncIterator[Phones]:
    async with _phones(staffed) as found:
        yield found


@asynccontextmanager
async def _phones(service: Service) -> AsyncIterator[Phones]:
    agent = UserAgent(UserAgentConfig(), lambda: secrets.token_hex(8))
    endpoint = SipEndpoint(agent, [("ws", "", 0), ("wss", "", 0)], lambda _event: None)
    await endpoint.start()
    try:
        async with serving(service.app) as served:
            made = Phones(service, served, endpoint)
            service.shared.services = replace(service.shared.services, serve_page=made.serve_page)
            yield made
    finally:
        await endpoint.close()
    assert (made.flows, endpoint.failures) == (0, 0)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0)


class TestPass:
    async def test_an_agent_is_given_one_for_the_own_phone_and_that_stands_in_the_audit(self, staffed: Service) -> None:
        given = await staffed.made("desk/phone", {}, "anna")
        assert (given["uri"], given["realm"], given["websocket"]) == ("sip:anna@acme", "fernamt", "/api/v1/sip")
        assert given.keys() == {"uri", "login", "password", "realm", "expires_at", "websocket"}
        entries = (await staffed.got("audit"))["items"]
        (entry,) = [one for one in entries if one["kind"] == "phone"]
        assert (entry["who"], entry["details"]["operation"]) == ("anna", "givePhonePass")
        assert given["password"] not in str(entries)

    async def test_nobody_else_is_and_no_agent_without_a_phone(self, staffed: Service) -> None:
        for who, status in (("supervisor", 409), ("billing", 403), ("operator", 403), (None, 401)):
            assert (await staffed.call("POST", "desk/phone", who)).status_code == status
        setup = staffed.voice.setups[TenantId("acme")]
        staffed.voice.setups[TenantId("acme")] = replace_devices(setup)
        answer = await staffed.call("POST", "desk/phone", "anna")
        staffed.voice.setups[TenantId("acme")] = setup
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no phone of agent anna")


def replace_devices(setup: Any) -> Any:
    return type(setup)(**{name: getattr(setup, name) for name in setup.__struct_fields__} | {"devices": ()})


class TestHandshake:
    async def test_a_page_with_a_session_is_let_in_and_nothing_but_sip_is_said(self, phones: Phones) -> None:
        wire = await phones.open(origin=f"http://127.0.0.1:{phones.served.port}")
        assert wire.socket.subprotocol == "sip"
        assert not wire.socket.protocol.extensions  # nothing is compressed
        wire.say(OPTIONS)
        assert (await wire.hears()).startswith("SIP/2.0 200 ")
        assert phones.opened == [("acme", "anna")]
        assert phones.served.connections.users["acme/anna"] == 1
        await wire.socket.close()
        await until(lambda: not phones.flows)
        kinds = [(one["who"], one["kind"]) for one in (await phones.service.got("audit"))["items"]]
        assert ("anna", "phone") in kinds

    async def test_the_token_may_stand_in_the_header_and_a_proxy_is_believed(self, phones: Phones) -> None:
        """Two of one address, which the proxy tells without ports."""
        headers = {
            "Authorization": f"Bearer {phones.service.tokens['anna']}",
            "X-Forwarded-For": "203.0.113.7",
            "X-Forwarded-Proto": "https",
        }
        wires = [
            await phones.open(subprotocols=("sip",), headers=headers, origin=f"https://127.0.0.1:{phones.served.port}") for _ in range(2)
        ]
        flows = [one.flow for one in phones.endpoint.flows._live.values()]  # type: ignore[attr-defined]
        assert {(flow.transport, flow.remote[0], flow.opened_by) for flow in flows} == {("wss", "203.0.113.7", "anna@acme")}
        assert len({flow.way for flow in flows}) == 2
        for wire in wires:
            await wire.socket.close()

    async def test_pages_of_other_origins_and_other_subprotocols_are_refused_before_it(self, phones: Phones) -> None:
        for status, kind, more in (
            (403, "forbidden", {"origin": "https://elsewhere.example"}),
            (403, "forbidden", {"origin": "null"}),
            (403, "forbidden", {"origin": "http://127.0.0.1:1"}),
            (400, "no-subprotocol", {"subprotocols": ("fernamt.v1",)}),
            (400, "no-subprotocol", {"subprotocols": ()}),
        ):
            with pytest.raises(Refused) as refused:
                await phones.open(**more)  # type: ignore[arg-type]
            assert (refused.value.status, refused.value.kind) == (status, f"urn:fernamt:problem:{kind}")
        assert phones.opened == []

    async def test_who_has_no_session_or_no_desk_is_told_so_after_it(self, phones: Phones) -> None:
        tokens = phones.service.tokens
        for code, offered in (
            (4401, ("sip",)),
            (4401, ("sip", "bearer.nobodys")),
            (4403, ("sip", f"bearer.{tokens['supervisor']}")),
            (4403, ("sip", f"bearer.{tokens['billing']}")),
        ):
            assert await phones.closing(await phones.open(subprotocols=offered)) == code
        assert phones.opened == []

    async def test_a_token_in_the_address_is_not_looked_at(self, phones: Phones) -> None:
        with pytest.raises(Refused) as refused:
            await phones.open(subprotocols=("sip",), query=f"?token={phones.service.tokens['anna']}")
        assert refused.value.status == 422

    async def test_an_agent_without_a_phone_and_a_house_without_sip_are_told_so(self, phones: Phones) -> None:
        phones.missing.add(AgentId("anna"))
        assert await phones.closing(await phones.open()) == 4403
        phones.service.shared.services = replace(phones.service.shared.services, serve_page=None)
        assert await phones.closing(await phones.open()) == 1013

    async def test_connections_of_one_user_are_counted_with_all_others(self, phones: Phones) -> None:
        phones.served.connections.per_user = 1
        first = await phones.open()
        assert await phones.closing(await phones.open()) == 1013
        await first.socket.close()


class TestSession:
    async def test_it_ends_with_the_session(self, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(phone, "HEARTBEAT_S", 0.01)
        phones.service.tokens["other"] = await phones.service.log_in("anna")
        wire, other = await phones.open(), await phones.open("other")
        assert (await phones.service.call("POST", "logout", "anna")).status_code == 204
        assert await phones.closing(wire) == 4401
        await until(lambda: phones.flows == 1)
        other.say(OPTIONS)
        assert (await other.hears()).startswith("SIP/2.0 200 ")
        await other.socket.close()

    async def test_it_stays_while_nobody_can_say_how_the_session_stands(self, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(phone, "HEARTBEAT_S", 0.001)
        looked = asyncio.Queue[None]()
        errors = itertools.cycle((TooMany("others wait", 1), Unavailable("the database is away"), ConnectionRefusedError()))
        wire = await phones.open()

        async def away(*_: Any) -> Any:
            looked.put_nowait(None)
            raise next(errors)

        with monkeypatch.context() as patch:
            patch.setattr(phone, "principal_of", away)
            async with asyncio.timeout(5):
                for _ in range(4):
                    await looked.get()
            wire.say(OPTIONS)
            assert (await wire.hears()).startswith("SIP/2.0 200 ")
        assert (await phones.service.call("POST", "logout", "anna")).status_code == 204
        assert await phones.closing(wire) == 4401

    @pytest.mark.parametrize("what", ["expired", "password", "role"])
    async def test_and_when_it_is_no_more_what_it_was(self, phones: Phones, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(phone, "HEARTBEAT_S", 0.01)
        wire = await phones.open()
        if what == "expired":
            phones.service.clock.turn(hours=13)
        elif what == "password":
            body = {"old": PASSWORD, "new": "another horse battery staple"}
            phones.service.tokens["second"] = await phones.service.log_in("anna")
            assert (await phones.service.call("POST", "me/password", "second", json=body)).status_code < 300
        else:
            assert (await phones.service.call("PATCH", "users/anna", json={"role": "supervisor"})).status_code == 200
        assert await phones.closing(wire) in {4401, 4403}
        await until(lambda: not phones.flows)


class TestMessages:
    async def test_the_largest_message_is_taken_and_one_octet_more_is_not(self, phones: Phones) -> None:
        wire = await phones.open()
        wire.say(OPTIONS + b" " * (65_535 - len(OPTIONS)))
        assert (await wire.hears()).startswith("SIP/2.0 200 ")
        wire.say(OPTIONS + b" " * (65_536 - len(OPTIONS)))
        assert await phones.closing(wire) == 1009

    async def test_half_a_message_is_answered_and_the_next_is_heard(self, phones: Phones) -> None:
        wire = await phones.open()
        wire.say(OPTIONS.replace(b"CSeq: 1 OPTIONS\r\n", b"CSeq: 1 OPTIONS\r\nContent-Length: 9\r\n"))
        assert (await wire.hears()).startswith("SIP/2.0 400 ")
        wire.say(b"\r\n\r\n")
        assert await wire.hears() == "\r\n"
        wire.say(OPTIONS)
        assert (await wire.hears()).startswith("SIP/2.0 200 ")
        await wire.socket.close()

    async def test_a_page_that_does_not_read_is_given_up(self, phones: Phones) -> None:
        wire = await phones.open(reads=False)
        [flow] = phones.endpoint.flows._live.values()
        for _ in range(200):  # more than all buffers on the way take
            flow.write(b"x" * 60_000)
            await asyncio.sleep(0)
        assert not flow.is_open
        await until(lambda: not phones.flows)
        assert phones.endpoint.figures()["websocket_connections_cut_off_total"] == 1
        wire.socket.transport.abort()


@pytest.mark.parametrize(
    ("given", "host", "may"),
    [
        (None, "here.example", True),
        ("https://here.example", "here.example", True),
        ("https://HERE.example", "here.example:443", True),
        ("https://here.example:8443", "here.example:8443", True),
        ("http://here.example", "here.example:80", True),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080", True),
        ("https://desk.example", "here.example", True),
        ("https://desk.example:444", "here.example", False),
        ("http://desk.example", "here.example", False),
        ("https://here.example.evil", "here.example", False),
        ("https://here.example@evil", "here.example", False),
        ("https://here.example", "here.example@evil", False),
        ("null", "here.example", False),
        ("", "here.example", False),
        ("https://here.example:99999", "here.example", False),
        ("chrome-extension://here.example", "here.example", False),
    ],
)
def test_pages_of_our_own_address_and_of_those_that_are_named_may_open_one(given: str | None, host: str, may: bool) -> None:
    assert may_open(given, host, (origin("https://desk.example"),)) is may


@pytest.mark.parametrize("text", ["desk.example", "https://", "https://desk.example/", "ftp://desk.example", "https://a@b", "https://a:x"])
def test_what_is_no_origin_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"origin|[Pp]ort"):
        origin(text)
