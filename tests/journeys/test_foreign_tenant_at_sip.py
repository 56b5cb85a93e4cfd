"""A foreign tenant at the door that all share: over SIP it tries to take each thing that another has, and gets none, while calls go on.

Zirbelhof has a number, a source, a desk phone, a line that registers at its carrier, a call that is up. Buche, with what a tenant's
administrator may set up and what anybody can send, tries for each of them (docs/tenants.md). After each try Zirbelhof is called once more,
and answers at its own desk.
"""

import asyncio
import contextlib
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from load.api_client import ApiClient, ApiError
from load.phones import CallFailed, PhoneCall, RegistrationFailed, SyntheticPhone
from tests.journeys.service import OPERATOR, ServiceProcess, service
from tests.ports import rtp_range

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("foreign-tenant-at-sip")]

PAIRS = 240
"""RTP port pairs of the service: half of them is promised, a half of that to each tenant, and two go to a call."""
PROMISED_CALLS = 30
CALLS_PER_SECOND = 120
BORROWED = 'fernamt_port_pairs_borrowed{tenant="buche"}'

OURS = re.compile(r"zirbel|301985|127\.10\.", re.IGNORECASE)
THEIRS = re.compile(r"buche|301987|127\.20\.", re.IGNORECASE)


@dataclass
class Side:
    """A tenant here: who it is, and what it has."""

    id: str
    digits: str
    net: str
    """The first three parts of its source."""
    password: str = field(default_factory=lambda: secrets.token_urlsafe(15))
    secrets: dict[str, str] = field(default_factory=dict)
    """Device passwords."""
    api: ApiClient | None = None

    @property
    def domain(self) -> str:
        return f"telefonie.{self.id}.example"

    def number(self, last: int) -> str:
        return f"+49{self.digits}{last:02}"


@dataclass
class Town:
    running: ServiceProcess
    ours: Side
    theirs: Side
    operator: ApiClient
    phones: dict[str, SyntheticPhone] = field(default_factory=dict)
    standing: PhoneCall | None = None
    registrar: "Registrar | None" = None

    async def ask(self, side: Side, method: str, path: str, body: Any = None) -> Any:
        """What a tenant's administrator asks."""
        assert side.api is not None
        return await self.of(side.api, method, path, body)

    async def of(self, api: ApiClient, method: str, path: str, body: Any = None) -> Any:
        call: Callable[..., Any] = getattr(api, method)
        return await asyncio.to_thread(call, f"/api/v1{path}", *(() if body is None else (body,)))

    async def ask_delete(self, side: Side, path: str) -> None:
        assert side.api is not None
        await asyncio.to_thread(side.api.request, "DELETE", f"/api/v1{path}")

    async def refused(self, side: Side, method: str, path: str, body: Any, status: tuple[int, ...] = (403, 409)) -> None:
        """It is refused, in words that say nothing of the other."""
        with pytest.raises(ApiError) as refusal:
            await self.ask(side, method, path, body)
        assert refusal.value.status in status, f"{body}: {refusal.value}"
        told = str(refusal.value)
        for own in sorted(words_of(body), key=len, reverse=True):
            told = told.replace(own, "…")
        assert not (OURS if side is self.theirs else THEIRS).search(told), told

    def phone(self, user: str, address: str, **more: Any) -> SyntheticPhone:
        return SyntheticPhone(self.running.sip, user=user, address=address, **more)

    async def goes_on(self) -> None:
        """The call that is up is up, and the next one is answered at our desk."""
        assert self.standing is not None
        assert self.standing.is_up
        await self.reaches_our_desk(self.phones["carrier"])

    async def reaches_our_desk(self, phone: SyntheticPhone, number: str | None = None, **more: Any) -> None:
        call = await phone.call(number or self.ours.number(1), **more)
        await call.answered()
        taken = await self.phones["anna"].incoming()
        await taken.answered()
        call.hang_up()
        await taken.ended()
        await self.is_free()

    async def is_free(self) -> None:
        """Our desk has nothing to do any more."""
        async with asyncio.timeout(10):
            while any(one["work"] for one in (await self.ask(self.ours, "get", "/live"))["agents"] if one["id"] == "anna"):
                await asyncio.sleep(0.02)

    async def is_turned_away(self, phone: SyntheticPhone, number: str, status: tuple[int, ...] = (404,), **more: Any) -> None:
        """The call is refused, and rings nowhere."""
        call = await phone.call(number, **more)
        with pytest.raises(CallFailed) as refusal:
            await call.answered()
        assert refusal.value.status in status, f"{number}: {refusal.value}"

    async def audit(self, side: Side, text: str) -> list[dict[str, Any]]:
        """Entries of the tenant's audit on numbers and sources in which the text stands."""
        items = (await self.ask(side, "get", "/audit?limit=500"))["items"]
        return [one for one in items if one["kind"] in {"number", "source"} and text in str(one)]


def words_of(body: Any) -> set[str]:
    if isinstance(body, dict):
        return {word for value in body.values() for word in words_of(value)}
    if isinstance(body, list):
        return {word for value in body for word in words_of(value)}
    if not isinstance(body, str) or not body:
        return set()
    # A number is told in its international form.
    digits = re.sub(r"[^0-9]", "", body.replace("(0)", ""))
    return {body, "+" + re.sub("^(00|0(?!0))", lambda found: "" if found[0] == "00" else "49", digits)}


class Registrar(asyncio.DatagramProtocol):
    """A carrier where lines register: it grants every REGISTER, and keeps the Contacts."""

    def __init__(self) -> None:
        self.contacts: dict[str, str] = {}
        """What follows `From:` -> Contact."""
        self._transport: Any = None

    @property
    def address(self) -> str:
        host, port = self._transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode()
        if not text.startswith("REGISTER"):
            return
        head = text.split("\r\n")
        kept = [line for line in head if re.match(r"(via|from|to|call-id|cseq|contact):", line, re.IGNORECASE)]
        (contact,) = re.findall(r"(?im)^contact:\s*<?([^>;\r]+)", text)[:1] or [""]
        (from_,) = re.findall(r"(?im)^from:.*?sip:([^@>]+)", text)[:1]
        self.contacts[f"{from_} {len(self.contacts)}"] = contact
        self._transport.sendto(("\r\n".join(["SIP/2.0 200 OK", *kept, "Expires: 300", "Content-Length: 0"]) + "\r\n\r\n").encode(), addr)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Both tenants, our phones, and a call of ours that is up."""
    first, _ = rtp_range()
    settings = {
        "FERNAMT_MEDIA__FIRST_PORT": str(first),
        "FERNAMT_MEDIA__LAST_PORT": str(first + 2 * PAIRS - 1),
        "FERNAMT_FAIRNESS__EMERGENCY_PAIRS": "0",
        "FERNAMT_OVERLOAD__CALLS_PER_SECOND": str(CALLS_PER_SECOND),
        "FERNAMT_OVERLOAD__BURST": str(CALLS_PER_SECOND),
        # Carriers and callers are on this machine, in networks that the operator allows.
        "FERNAMT_REACH__ALLOW": "0.0.0.0/0,::/0,127.50.0.0/16,127.10.0.0/16,127.20.0.0/16,127.30.0.0/16",
        "FERNAMT_MONITORING__SOURCES": "192.0.2.1/32",
    }
    folder = tmp_path_factory.mktemp("at-sip")
    async with service(folder, **settings) as running, contextlib.AsyncExitStack() as stack:
        operator = ApiClient(running.api.url)
        stack.callback(operator.close)
        found = Town(running, Side("zirbelhof", "301985", "127.10.0"), Side("buche", "301987", "127.20.0"), operator)
        await asyncio.to_thread(operator.log_in, "operator", OPERATOR)
        transport, found.registrar = await asyncio.get_running_loop().create_datagram_endpoint(Registrar, local_addr=("127.50.0.9", 0))
        stack.callback(transport.close)
        for side, gateway in ((found.ours, "our gateway"), (found.theirs, "their gateway")):
            address = "127.50.0.1" if side is found.ours else "127.50.0.2"
            found.phones[gateway] = await stack.enter_async_context(found.phone("gateway", address, takes_all=True, auto_answer_s=0))
            await asyncio.to_thread(set_up, found, side, f"{address}:{found.phones[gateway].bank.port}", stack)
        for name in ("anna", "clara"):
            phone = found.phone(name, "127.11.0.1", domain=found.ours.domain, password=found.ours.secrets[name], auto_answer_s=0)
            found.phones[name] = await stack.enter_async_context(phone)
            await phone.register()
            await found.ask(found.ours, "post", f"/agents/{name}/log-on", {"ready": True})
        found.phones["carrier"] = await stack.enter_async_context(found.phone(found.ours.number(90), "127.10.0.1"))
        found.phones["stranger"] = await stack.enter_async_context(found.phone(found.theirs.number(91), "127.66.0.1"))
        found.phones["their carrier"] = await stack.enter_async_context(found.phone(found.theirs.number(90), "127.20.0.1"))
        bert = found.phone("bert", "127.21.0.1", domain=found.theirs.domain, password=found.theirs.secrets["bert"])
        found.phones["bert"] = await stack.enter_async_context(bert)
        await bert.register()
        found.standing = await found.phones["carrier"].call(found.ours.number(2))
        await found.standing.answered()
        yield found
        assert found.standing.is_up


def set_up(town: Town, side: Side, peer: str, stack: contextlib.AsyncExitStack) -> None:
    operator, password = town.operator, side.password
    admin = {"username": "admin", "password": password}
    operator.post("/api/v1/tenants", {"id": side.id, "name": side.id.title(), "telephony_domain": side.domain, "admin": admin})
    operator.put(f"/api/v1/tenants/{side.id}/assignments", {"may_have_bare_names": True})  # both want `anna`
    operator.post(f"/api/v1/tenants/{side.id}/numbers", {"numbers": [side.number(last) for last in (1, 2, 3)]})
    here = {"network": f"{side.net}.0/24", "note": "a carrier on this machine"}  # loopback addresses are nobody's without a grant
    operator.post(f"/api/v1/tenants/{side.id}/sources", here)
    side.api = api = ApiClient(town.running.api.url)
    stack.callback(api.close)
    api.log_in("admin", password, side.id)
    trunk = {"id": "carrier", "name": "Carrier", "peer": peer, "sources": [f"{side.net}.0/24"], "probe_every_s": 0}
    api.post("/api/v1/trunks", trunk | {"caller_id": side.number(1)})
    for name in ("anna", "clara") if side is town.ours else ("anna", "bert"):
        side.secrets[name] = secrets.token_urlsafe(15)
        agent = {"id": name, "name": name.title(), "after_call_work_s": 0, "extension": "21" if name == "anna" else "22"}
        api.post("/api/v1/agents", agent | {"device_username": name, "device_password": side.secrets[name]})
    menu = {"id": "main", "sounds": ["menu"], "options": {"1": {"to": "hang_up"}}, "timeout_s": 120}
    api.post("/api/v1/menus", menu)
    to_menu = {"to": "menu", "menu": "main"}
    targets = [{"to": "agent", "agent": "anna"}, {"to": "agent", "agent": "clara"}, to_menu] if side is town.ours else [to_menu] * 3
    for last, target in enumerate(targets, 1):
        api.post("/api/v1/numbers", {"number": side.number(last), "target": target})
    api.post("/api/v1/numbers", {"number": "600", "target": to_menu})


# ------------------------------------------------------------------------------------------------------------------ shares


async def test_ports_are_lent_and_what_is_promised_is_there(town: Town) -> None:
    """They call until they are refused, by more than their part; all that is promised to us is there meanwhile."""
    carrier = town.phones["their carrier"]
    held: list[PhoneCall] = []
    refused: list[int] = []
    while len(refused) < 3:
        call = await carrier.call(town.theirs.number(1))
        try:
            await call.answered()
            held.append(call)
        except CallFailed as refusal:
            refused.append(refusal.status)
    assert set(refused) == {503}, (len(held), refused)
    assert len(held) > PROMISED_CALLS, "nothing is lent"
    ours = [await town.phones["carrier"].call(town.ours.number(3)) for _ in range(PROMISED_CALLS - 1)]  # one is up already
    await asyncio.gather(*(call.answered() for call in ours))
    assert all(call.is_up for call in (*held, *ours))
    assert (await metrics(town))[BORROWED] > 0
    for call in (*held, *ours):
        call.hang_up()
    await town.goes_on()


# ---------------------------------------------------------------------------------------------------------------- sources


async def test_what_comes_from_a_source_is_a_call_over_that_trunk_whatever_its_from(town: Town) -> None:
    """No From makes a call from our source another's, and none from theirs makes it ours."""
    for user, domain in (("anna", town.ours.domain), ("bert", town.theirs.domain), ("anna", town.running.sip[0]), ("bert", "fernamt")):
        async with town.phone(user, "127.10.0.7", domain=domain) as phone:
            await town.reaches_our_desk(phone)
            await town.is_turned_away(phone, town.theirs.number(1))
        async with town.phone(user, "127.20.0.7", domain=domain) as phone:
            for target in (town.ours.number(1), "21", f"sip:anna@{town.ours.domain}"):
                await town.is_turned_away(phone, target, (403, 404))
    # Who knows a password of theirs, and registers from our source, takes no call of ours by it.
    async with town.phone("bert", "127.10.0.8", domain=town.theirs.domain, password=town.theirs.secrets["bert"]) as phone:
        with contextlib.suppress(RegistrationFailed):
            await phone.register()
        async with town.phone(town.ours.number(92), "127.10.0.8") as carrier:
            await town.reaches_our_desk(carrier)
    await town.is_turned_away(town.phones["stranger"], town.ours.number(1), (401, 403, 404))
    await town.phones["bert"].register()
    await town.goes_on()


async def test_a_source_is_claimed_once_and_a_wide_one_by_grant_alone(town: Town) -> None:
    """Ours, a part of it, and what holds it are refused; so is what is wide; both audits tell, neither tells who."""
    trunk = {"id": "greedy", "name": "Greedy", "peer": "192.0.2.9", "probe_every_s": 0}
    for network in ("127.10.0.0/24", "127.10.0.1/32", "127.10.0.1"):
        await town.refused(town.theirs, "post", "/trunks", trunk | {"sources": [network]}, (403, 409, 422))
        await town.goes_on()
    for network in ("127.10.0.0/23", "127.0.0.0/8", "0.0.0.0/0", "::/0", "198.18.0.0/23", "2001:db8::/55"):
        await town.refused(town.theirs, "post", "/trunks", trunk | {"sources": [network]}, (403, 409, 422))
    await town.refused(town.theirs, "post", "/trunks", trunk | {"sources": ["198.18.7.0/25", "198.18.8.0/25", "127.10.0.5/32"]})
    mine = await town.ask(town.theirs, "get", "/trunks/carrier")
    mine = {name: value for name, value in mine.items() if name not in {"version", "changed_at"}}
    await town.refused(town.theirs, "put", "/trunks/carrier", mine | {"sources": [*mine["sources"], "127.10.0.1"]})
    await town.goes_on()

    assert {one["network"] for one in (await town.ask(town.theirs, "get", "/assignments"))["sources"]} == {"127.20.0.0/24"}
    ours, theirs = await town.audit(town.ours, "127.10.0.1"), await town.audit(town.theirs, "127.10.0.1")
    assert [one for one in ours if one["act"] == "refused"], "our audit does not tell of the refused claim"
    assert [one for one in theirs if one["act"] == "refused"], "their audit does not tell of the refused claim"
    assert not THEIRS.search(str(ours))
    assert "zirbel" not in str(theirs)


async def test_a_source_written_as_ipv6_is_the_same_source(town: Town) -> None:
    """IPv4 mapped into IPv6 (RFC 4291 §2.5.5.2) is the address it maps: ours is ours, and all of them need a grant."""
    trunk = {"id": "mapped", "name": "Mapped", "peer": "192.0.2.9", "probe_every_s": 0}
    taken = []
    for network in ("::ffff:127.10.0.1", "::ffff:127.10.0.0/120", "::ffff:127.0.0.0/104", "::ffff:0:0/96"):
        with contextlib.suppress(ApiError):
            await town.ask(town.theirs, "post", "/trunks", trunk | {"sources": [network]})
            taken.append(network)
            await town.goes_on()
            await town.ask_delete(town.theirs, "/trunks/mapped")
    assert not taken


async def test_from_a_shared_source_the_assigned_number_decides(town: Town) -> None:
    """By a grant both have a network: a number is its tenant's, one of nobody and a short one are nobody's."""
    network = "127.30.0.0/28"
    for side in (town.ours, town.theirs):
        await town.refused(side, "post", "/trunks", shared(network, "127.0.0.0/9"), (403, 409))
        await town.of(town.operator, "post", f"/tenants/{side.id}/sources", {"network": network, "note": "one carrier"})
        await town.ask(side, "post", "/trunks", shared(network))
    async with town.phone("+4930555", "127.30.0.3") as phone:
        await town.reaches_our_desk(phone)
        call = await phone.call(town.theirs.number(1))
        await call.answered()
        assert town.theirs.number(1) in {one["called"] for one in (await town.ask(town.theirs, "get", "/live"))["calls"]}
        call.hang_up()
        for number in ("600", "21", town.ours.number(55), "+4930198699"):
            await town.is_turned_away(phone, number)
    for side, other in ((town.ours, THEIRS), (town.theirs, OURS)):
        assert not other.search(str(await town.ask(side, "get", "/assignments")))
        assert not other.search(str(await town.audit(side, network)))
    await town.goes_on()


def shared(*networks: str) -> dict[str, Any]:
    return {"id": "shared", "name": "Shared", "peer": "192.0.2.9", "sources": list(networks), "probe_every_s": 0, "outbound": False}


# ---------------------------------------------------------------------------------------------------------------- numbers


async def test_a_number_of_ours_is_taken_in_no_spelling(town: Town) -> None:
    """Without the right to claim all is 403 alike, with it ours is 409; the operator's list is taken whole or not at all."""
    ours, theirs = town.ours, town.theirs
    to_menu = {"to": "menu", "menu": "main"}
    spellings = (ours.number(1), f"0{ours.digits}01", f"0049{ours.digits}01", "+49 30 1985-01", "+49 (0)30 198501", ours.number(3))
    assert (await town.ask(theirs, "get", "/assignments"))["may_claim_numbers"] is False  # as it is for a new tenant
    for number in (*spellings, "+4930444444"):
        await town.refused(theirs, "post", "/numbers", {"number": number, "target": to_menu}, (403, 422))
    await town.of(town.operator, "put", f"/tenants/{theirs.id}/assignments", {"may_claim_numbers": True})
    for number in spellings:
        await town.refused(theirs, "post", "/numbers", {"number": number, "target": to_menu}, (403, 409, 422))
    await town.ask(theirs, "post", "/numbers", {"number": "+4930444444", "target": to_menu})
    await town.of(town.operator, "put", f"/tenants/{theirs.id}/assignments", {"may_claim_numbers": False})
    with pytest.raises(ApiError) as refusal:
        await town.of(town.operator, "post", f"/tenants/{theirs.id}/numbers", {"numbers": ["+4930444445", ours.number(1)]})
    assert refusal.value.status == 409
    numbers = {one["number"] for one in (await town.ask(theirs, "get", "/assignments/numbers?limit=500"))["items"]}
    assert numbers == {theirs.number(1), theirs.number(2), theirs.number(3), "+4930444444"}

    carrier = town.phones["their carrier"]
    for number in spellings[:3]:
        await town.is_turned_away(carrier, number)
    await town.is_turned_away(carrier, "600000", headers=(("P-Called-Party-ID", f"<sip:{ours.number(1)}@127.0.0.1>"),))
    for side, other in ((ours, THEIRS), (theirs, re.compile("zirbel"))):
        entries = await town.audit(side, ours.number(1))
        assert [one for one in entries if one["act"] == "refused"], f"{side.id}: the audit does not tell of the refused claim"
        assert not other.search(str(entries))
    await town.goes_on()


# ------------------------------------------------------------------------------------------------------- devices and domain


async def test_a_device_name_belongs_to_who_had_it_and_namesakes_use_the_long_form(town: Town) -> None:
    """Their anna gets in by the long name alone, and never where ours is; ours stays registered."""
    ours, theirs = town.ours, town.theirs
    device = await town.ask(theirs, "get", "/agents/anna/device")
    assert (device["username"], device["login"], device["domain"]) == ("anna", f"anna@{theirs.domain}", theirs.domain)
    before = await registrations(town, ours)
    wrong: list[tuple[str, str | None]] = [
        (town.running.sip[0], None),
        (ours.domain, None),
        (ours.domain, f"anna@{ours.domain}"),
        (town.running.sip[0], f"anna@{ours.domain}"),
    ]
    for count, (domain, login) in enumerate(wrong):
        phone = town.phone("anna", f"127.22.0.{count + 1}", domain=domain, auth_username=login, password=theirs.secrets["anna"])
        async with phone:
            with pytest.raises(RegistrationFailed):
                await phone.register()
    # With a log-in that holds, at an address of record that is ours.
    for count, (domain, login) in enumerate(
        [(ours.domain, f"anna@{theirs.domain}"), (ours.domain, "bert"), (ours.domain, f"bert@{theirs.domain}")]
    ):
        secret = theirs.secrets["bert" if "bert" in login else "anna"]
        async with town.phone("anna", f"127.22.1.{count + 1}", domain=domain, auth_username=login, password=secret) as phone:
            with contextlib.suppress(RegistrationFailed):
                await phone.register()
            assert await registrations(town, ours) == before
    right: list[tuple[str, str | None]] = [(theirs.domain, None), (town.running.sip[0], f"anna@{theirs.domain}")]
    for count, (domain, login) in enumerate(right):
        phone = town.phone("anna", f"127.22.2.{count + 1}", domain=domain, auth_username=login, password=theirs.secrets["anna"])
        async with phone:
            await phone.register()
            assert "127.22.2" in str(await registrations(town, theirs))
            assert await registrations(town, ours) == before
            await phone.unregister()
    assert await registrations(town, ours) == before
    async with town.phone("anna", "127.11.0.2", password=ours.secrets["anna"]) as bare:  # the first that had the bare name
        await bare.register()
        await bare.unregister()
    await town.phones["anna"].register()
    await town.goes_on()


async def registrations(town: Town, side: Side) -> list[tuple[str, str]]:
    return sorted((one["agent"], one["contact"]) for one in (await town.ask(side, "get", "/live"))["registrations"])


async def test_a_challenge_does_not_tell_whether_a_name_exists(town: Town) -> None:
    """REGISTER and INVITE for a name of ours, of theirs and of nobody are answered alike, but for the nonce."""
    for method in ("REGISTER", "INVITE"):
        answers = {}
        for user in ("anna", "bert", "clara", "nobody"):
            for domain in (town.ours.domain, town.theirs.domain, "telefonie.nirgends.example", town.running.sip[0]):
                text = await asyncio.to_thread(raw, town, method, user, domain)
                text = re.sub(r'nonce="[^"]*"', "", text)
                answers[user, domain] = re.sub(r"(?im)^(via|from|to|call-id|cseq|date):.*\r\n", "", text)
        for domain in {domain for _, domain in answers}:
            told = {user: answer for (user, of), answer in answers.items() if of == domain}
            assert len(set(told.values())) == 1, f"{method} {domain}: {told}"
            assert " 401 " in told["nobody"] or " 407 " in told["nobody"] or " 404 " in told["nobody"], told["nobody"]
            assert not OURS.search(told["nobody"].replace(domain, ""))


def raw(town: Town, method: str, user: str, domain: str) -> str:
    """One request from an address of its own, without credentials; the final answer."""
    mark = secrets.token_hex(6)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.67.0.1", 0))
        door.settimeout(5)
        port = door.getsockname()[1]
        target = f"sip:{domain}" if method == "REGISTER" else f"sip:600@{domain}"
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.67.0.1:{port};branch=z9hG4bK{mark};rport",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{domain}>;tag={mark}",
            f"To: <sip:{user if method == 'REGISTER' else '600'}@{domain}>",
            f"Call-ID: {mark}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{user}@127.67.0.1:{port}>",
            "Content-Length: 0",
        ]
        door.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), town.running.sip)
        while True:
            text = door.recv(65_536).decode()
            if not text.startswith("SIP/2.0 1"):
                break
        if method == "INVITE":
            ack = [lines[0].replace("INVITE", "ACK"), *lines[1:4], *re.findall(r"(?im)^(to:.*)\r$", text), lines[5], "CSeq: 1 ACK"]
            door.sendto(("\r\n".join([*ack, "Content-Length: 0"]) + "\r\n\r\n").encode(), town.running.sip)
        return text


async def test_a_telephony_domain_is_one_tenants(town: Town) -> None:
    """Neither the operator's form for a new tenant nor a tenant's own set-up takes a domain that is ours."""
    ours, theirs = town.ours, town.theirs
    with pytest.raises(ApiError) as refusal:
        await town.of(town.operator, "post", "/tenants", {"id": "dieb", "name": "Dieb", "telephony_domain": ours.domain.upper()})
    assert refusal.value.status in {409, 422}
    assert "dieb" not in {one["id"] for one in (await town.of(town.operator, "get", "/tenants"))["items"]}
    general = await town.ask(theirs, "get", "/setup")
    general = {name: general[name] for name in ("language", "recording_notice")}
    for domain in (ours.domain, ours.domain.upper(), "fernamt", f"{ours.id}.fernamt"):
        before = await registrations(town, ours)
        with pytest.raises(ApiError) as refusal:  # 0.1.0 took any list there, and did nothing with it
            await town.ask(theirs, "put", "/setup", general | {"domains": [domain]})
        assert (refusal.value.status, "zirbel" in str(refusal.value).replace(domain, "…")) == (422, False)
        # What is said at that domain is ours as before.
        async with town.phone("anna", "127.23.0.1", domain=domain, password=theirs.secrets["anna"]) as phone:
            with contextlib.suppress(RegistrationFailed):
                await phone.register()
                assert domain != ours.domain, "their phone is in at our domain"
            assert await registrations(town, ours) == before
        await town.phones["anna"].register()
        await town.goes_on()


# --------------------------------------------------------------------------------------------------------- registered lines


async def test_a_registered_line_claims_no_source_and_its_contact_is_its_own(town: Town) -> None:
    """At one carrier, under one account name: a call to our Contact is ours, one to theirs is not, whatever number stands in it."""
    registrar = town.registrar
    assert registrar is not None
    registration = {"registrar": registrar.address, "username": "konto-4711", "password": "konto-password-4711"}
    line = {"id": "line", "name": "Line", "peer": registrar.address, "registration": registration, "probe_every_s": 0, "outbound": False}
    contacts = []
    for side in (town.ours, town.theirs):
        await town.ask(side, "post", "/trunks", line)
        async with asyncio.timeout(10):
            while not (new := [one for one in registrar.contacts.values() if one not in contacts]):
                await asyncio.sleep(0.02)
        contacts.append(new[0])
        assert "127.50.0.9" not in str((await town.ask(side, "get", "/assignments"))["sources"])
    ours, theirs = contacts
    assert ours != theirs
    assert "zirbel" not in ours
    called = f"<sip:{town.ours.number(1)}@127.0.0.1>"
    named = (("P-Called-Party-ID", called),)
    async with town.phone("+4930556", "127.50.0.9") as carrier:
        await town.reaches_our_desk(carrier, ours, headers=named)
        await town.is_turned_away(carrier, theirs, headers=named)
        await town.reaches_our_desk(carrier, town.ours.number(1))  # by the carrier's address, for a number that is assigned
        await town.is_turned_away(carrier, "600")
    # Who is not the carrier and cannot know our Contact: the account's name, and a Contact that is nearly ours.
    nearly = ours.replace("sip:", "sip:x", 1)
    for phone in (town.phones["stranger"], town.phones["their carrier"]):
        for target in (f"sip:konto-4711@{town.running.sip[0]}:{town.running.sip[1]}", nearly):
            await town.is_turned_away(phone, target, (401, 403, 404), headers=named)
    for side in (town.ours, town.theirs):
        await town.ask_delete(side, "/trunks/line")
    await town.goes_on()


# --------------------------------------------------------------------------------------------------------------- caller ids


async def test_a_caller_id_of_ours_is_shown_by_nobody_else(town: Town) -> None:
    """Not set up, not said in From, P-Asserted-Identity or P-Preferred-Identity; and some numbers by nobody at all (§ 120 TKG)."""
    ours, theirs = town.ours, town.theirs
    carrier = stripped(await town.ask(theirs, "get", "/trunks/carrier"))
    bert = stripped(await town.ask(theirs, "get", "/agents/bert"))
    never = ("110", "112", "11833", "+4911833", "0137 1234567", "+491371234567", "0900 3123456", "+499003123456")
    for number in (ours.number(1), f"0{ours.digits}01", "+4930444999", *never):
        await town.refused(theirs, "put", "/trunks/carrier", carrier | {"caller_id": number}, (403, 409, 422))
        await town.refused(theirs, "put", "/agents/bert", bert | {"outbound_caller_id": number}, (403, 409, 422))
    await town.of(town.operator, "post", f"/tenants/{theirs.id}/caller-ids", {"number": "+4930444999"})
    await town.ask(theirs, "put", "/trunks/carrier", carrier | {"caller_id": "+4930444999"})
    await town.ask(theirs, "put", "/trunks/carrier", carrier)
    for number in never:
        with pytest.raises(ApiError) as refusal:
            await town.of(town.operator, "post", f"/tenants/{theirs.id}/caller-ids", {"number": number})
        assert refusal.value.status in {403, 409, 422}, number

    await town.ask(theirs, "post", "/agents/bert/log-on", {"ready": False})
    gateway, phone = town.phones["their gateway"], town.phones["bert"]
    identities = [f"<sip:{number}@{town.running.sip[0]}>" for number in (ours.number(1), "112")]
    for calling in (ours.number(1), None):
        for identity in identities:
            headers = (("P-Asserted-Identity", identity), ("P-Preferred-Identity", identity), ("Remote-Party-ID", identity))
            call = await phone.call("+4930123456", calling=calling, headers=headers)
            if calling is not None:  # a From that is not the device's may be refused; the device's own is not
                with contextlib.suppress(CallFailed):
                    await call.answered()
                if not call.is_up:
                    continue
            await call.answered()
            shown = (await gateway.incoming()).request
            assert shown is not None
            head = str(shown.to_bytes() if hasattr(shown, "to_bytes") else shown)
            assert ours.digits not in head, head
            assert "sip:112@" not in head, head
            assert shown.from_.uri.user == theirs.number(1)
            call.hang_up()
    await town.ask(theirs, "post", "/agents/bert/log-off")
    await town.goes_on()


def stripped(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in {"version", "changed_at"}}


# ------------------------------------------------------------------------------------------------------------------- reach


async def test_no_address_of_a_tenant_leads_to_this_machine(town: Town) -> None:
    """Peers and registrars at loopback, link-local, the service's own door or a metadata service: refused, or down and never asked."""
    heard = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trap:
        trap.bind(("127.0.0.9", 0))
        trap.setblocking(False)
        port = trap.getsockname()[1]
        trunk = {"id": "inward", "name": "Inward", "probe_every_s": 1, "outbound": False}
        sip = f"127.0.0.1:{town.running.sip[1]}"
        written = (sip, f"127.0.0.9:{port}", "169.254.169.254", "0.0.0.0", "[::1]:5060", "[fe80::1]", "[::ffff:127.0.0.9]", "224.0.0.1")
        for peer in written:
            await town.refused(town.theirs, "post", "/trunks", trunk | {"peer": peer}, (403, 422))
            registration = {"registrar": peer, "username": "x", "password": "y"}
            await town.refused(town.theirs, "post", "/trunks", trunk | {"peer": "192.0.2.9", "registration": registration}, (403, 422))
        await town.refused(town.theirs, "post", "/trunks", trunk | {"peer": f"localhost:{port}"}, (403, 422))
        with contextlib.suppress(BlockingIOError):
            heard = len(trap.recv(2000))
    assert heard == 0
    await town.goes_on()


# ------------------------------------------------------------------------------------------------------------------- media


async def test_audio_of_ours_does_not_follow_their_packets(town: Town) -> None:
    """Packets of a stranger to the port of our call neither draw our audio to them nor end it."""
    call = town.standing
    assert call is not None
    assert call.negotiated is not None
    desk = next(one for one in town.phones["clara"].calls if one.is_up)
    desk.start_tone(440, 0.3)
    await call.hears_tone(440)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.bind(("127.20.0.9", 0))
        thief.setblocking(False)
        for count in range(60):
            packet = struct.pack("!BBHII", 0x80, 8, count, count * 160, 0x5EED) + b"\xd5" * 160
            thief.sendto(packet, (call.negotiated.remote_address, call.negotiated.remote_port))
        desk.start_tone(880, 0.4)
        await call.hears_tone(880)
        with pytest.raises(BlockingIOError):
            thief.recv(2000)
    assert call.is_up


# ------------------------------------------------------------------------------------------------------------------ shares


async def metrics(town: Town) -> dict[str, float]:
    return await asyncio.to_thread(town.operator.metrics)


async def test_a_flood_over_their_trunk_takes_no_call_of_ours(town: Town) -> None:
    """They send several seconds' calls at once; ours, sent into it, are all answered, and so are registrations."""
    before = await metrics(town)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind(("127.20.0.66", 0))
        flood.setblocking(False)
        port = flood.getsockname()[1]
        ours = []
        for part in range(4):
            for count in range(2 * CALLS_PER_SECOND):
                mark = f"{secrets.token_hex(4)}{part}{count}"
                lines = [
                    f"INVITE sip:9999@127.0.0.1:{town.running.sip[1]} SIP/2.0",
                    f"Via: SIP/2.0/UDP 127.20.0.66:{port};branch=z9hG4bK{mark};rport",
                    "Max-Forwards: 70",
                    f"From: <sip:{town.theirs.number(93)}@127.0.0.1>;tag={mark}",
                    "To: <sip:9999@127.0.0.1>",
                    f"Call-ID: {mark}",
                    "CSeq: 1 INVITE",
                    f"Contact: <sip:x@127.20.0.66:{port}>",
                    "Content-Length: 0",
                ]
                flood.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), town.running.sip)
            ours.append(await town.phones["carrier"].call(town.ours.number(3)))
        await town.phones["anna"].register()
        await asyncio.gather(*(call.answered() for call in ours))
        for call in ours:
            call.hang_up()
    later = await metrics(town)
    refused = {name: value - before.get(name, 0) for name, value in later.items() if name.startswith("fernamt_calls_refused_total")}
    assert sum(value for name, value in refused.items() if "buche" in name) > CALLS_PER_SECOND, refused
    assert sum(value for name, value in refused.items() if "zirbelhof" in name) == 0, refused
    await town.goes_on()


async def test_the_records_of_each_name_its_own_callers_alone(town: Town) -> None:
    """After all of it: no call of theirs stands in our records, no call of ours in theirs; and what they borrowed is given back."""
    await town.goes_on()
    async with asyncio.timeout(10):  # records are saved behind the call
        while not (ours := (await town.ask(town.ours, "get", "/cdrs?limit=500"))["items"]):
            await asyncio.sleep(0.05)
    theirs = (await town.ask(town.theirs, "get", "/cdrs?limit=500"))["items"]
    assert not [one for one in ours if str(one["cdr"]["calling"]).startswith(f"+49{town.theirs.digits}")]
    assert not [one for one in theirs if str(one["cdr"]["calling"]).startswith(f"+49{town.ours.digits}")]
    async with asyncio.timeout(10):
        while (await metrics(town))[BORROWED] > 0:
            await asyncio.sleep(0.05)
