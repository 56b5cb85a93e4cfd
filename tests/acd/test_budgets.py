"""Budgets and destination classes over SIP: who may not, or has no money, is refused before the carrier hears of it (U16)."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from acd.brake import Brake
from acd.core import configuration as conf
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.ids import AgentId
from acd.core.replay import Entry
from acd.errors import DialRefused
from acd.service import AgentDialRules, DialRules
from billing_cdr import store
from billing_cdr.budget import units
from billing_cdr.house_plan import house_plan
from billing_cdr.rating import Offer, offer
from load.phones import CallFailed, PhoneBank, SyntheticPhone
from sip.message import Request
from sip.parser import parse_datagram
from tests.acd.voice import HOST, TENANT, running, setup
from tests.ports import free_port

ANNA, BEN = AgentId("anna"), AgentId("ben")
IRIDIUM, MOBILE = "+881612345678", "+491711234567"
"""8.99 and 0.10 a started minute, net, in the house plan; a VAT of 19 % makes 10.70 of the first."""


def with_rules(carrier_port: int, rules: DialRules):
    return msgspec.structs.replace(setup(carrier_port), dialling=rules)


@contextlib.asynccontextmanager
async def numbers_at(service, port: int, *numbers: str):
    """The carrier, where these numbers answer."""
    bank = PhoneBank(HOST, port)
    await bank.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(SyntheticPhone(service.address, user=number, bank=bank)) for number in numbers]
    finally:
        await bank.close()


async def on(service, *names: str) -> None:
    for name in names:
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId(name)))


def account(service, name: str):
    return next(one for one in service.voice.spending(TENANT).accounts if one.account == name)


async def test_an_attempt_beyond_the_budget_is_declined_and_the_carrier_hears_nothing_of_it(tmp_path):
    port = free_port()
    rules = DialRules(per_hour=Decimal(15))
    async with running(tmp_path, with_rules(port, rules)) as service, numbers_at(service, port, IRIDIUM) as (carrier,):
        anna, ben = await service.phone("anna"), await service.phone("ben")
        await on(service, "anna", "ben")
        first = await anna.call(IRIDIUM)
        there = await carrier.incoming()
        stream = service.stream(TENANT)
        following = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        second = await ben.call(IRIDIUM)
        with pytest.raises(CallFailed) as refused:
            await second.answered()
        assert refused.value.status == 603
        assert second.reason_header == 'Q.850;cause=21;text="Call rejected"'
        told = []
        while not (told and isinstance(told[-1], ev.CallCleared)):
            told.append((await following).event)
            following = asyncio.ensure_future(anext(stream))
        following.cancel()
        (cleared,) = [one for one in told if isinstance(one, ev.LegCleared) and one.leg.endswith(".1")]
        assert cleared.cause == "budget"
        assert cleared.detail == "The budget is used up: 10.70 of 15.00 EUR in the last hour, and this call needs 10.70."
        assert told[-1].cause == "budget"
        await there.answer()
        await first.answered()
        first.hang_up()
        entries = {entry.cdr.cause: entry for entry in await service.cdrs(2)}
        assert (entries["budget"].cdr.outcome, entries["budget"].charge.gross.amount) == ("rejected", 0)
        assert account(service, "tenant").reserved == entries["hang_up"].charge.gross.amount == Decimal("10.70")
        assert service.voice.figures()["fernamt_switch_calls_refused_for_budget_total"] == 1
    async with running(tmp_path, with_rules(port, rules)) as service:  # what was spent is spent after a restart too
        assert {one.account: (one.limit, one.reserved, one.running) for one in service.voice.spending(TENANT).accounts} == {
            "tenant": (Decimal(15), Decimal("10.70"), 0),
            "agent:anna": (None, Decimal("10.70"), 0),
        }
        with pytest.raises(DialRefused, match="used up"):
            await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=service.voice.mint_call(), number=IRIDIUM))


async def test_a_running_call_ends_with_the_money_and_says_why(tmp_path):
    """The first of its units lasts a minute: the clock of the test runs a minute in a second, as that of the service would."""
    port = free_port()
    rules = DialRules(agents={ANNA: AgentDialRules(per_hour=Decimal("10.70"))})
    async with running(tmp_path, with_rules(port, rules)) as service, numbers_at(service, port, IRIDIUM) as (carrier,):
        anna = await service.phone("anna")
        await on(service, "anna")
        call = await anna.call(IRIDIUM)
        await (await carrier.incoming()).answer()
        await call.answered()
        brake = service.voice._brakes[TENANT]
        async with asyncio.timeout(5):
            while not brake.purse.due_ms:
                await asyncio.sleep(0.01)
        (leg,) = brake.purse.due_ms
        answered_ms = brake.purse._legs[leg].answered_ms
        brake.look(answered_ms / 1000 + 50)  # as it will be in fifty seconds
        async with asyncio.timeout(5):
            while (found := service.voice._exchanges[TENANT].engine.state.legs[leg].limits.get("budget")) is None:
                await asyncio.sleep(0.01)
        assert found == answered_ms / 1000 + 59
        service.voice._report(TENANT, inp.CreditEnds(leg=leg, at=service.voice._clock(), reason="now"))
        assert await call.ended() == "remote"
        assert call.reason_header == 'SIP;cause=603;text="Decline", Q.850;cause=21;text="Call rejected"'
        (entry,) = await service.cdrs()
        assert (entry.cdr.cause, entry.cdr.outcome, entry.cdr.ended_by) == ("budget", "answered", "exchange")
        assert entry.charge.gross.amount == Decimal("10.70")


async def test_a_class_that_an_agent_may_not_dial_is_refused_for_calls_forwards_and_transfers(tmp_path):
    port = free_port()
    away = conf.Forwarding(always=IRIDIUM)
    people = (setup().configuration.agents[0], msgspec.structs.replace(setup().configuration.agents[1], forwarding=away))
    rules = DialRules(classes=frozenset({"national", "mobile", "satellite"}), agents={BEN: AgentDialRules(classes=frozenset({"mobile"}))})
    tenant = msgspec.structs.replace(setup(port, agents=people), dialling=rules)
    async with running(tmp_path, tenant) as service, numbers_at(service, port, MOBILE) as (carrier,):
        anna, ben, caller = await service.phone("anna"), await service.phone("ben"), await service.caller()
        await on(service, "anna", "ben")
        for phone, number in ((ben, IRIDIUM), (ben, "+493012345678"), (anna, "12"), (anna, "+33142345678")):
            with pytest.raises(CallFailed) as refused:
                await (await phone.call(number)).answered()
            assert refused.value.status == 403
        with pytest.raises(DialRefused, match="Agent ben may not dial satellite numbers; allowed: mobile"):
            await service.voice.command(TENANT, inp.Dial(agent=BEN, call=service.voice.mint_call(), number=IRIDIUM))
        # By rule: the menu, the number, the queue have the classes of the tenant.
        ringing = await caller.call("602")
        await (await carrier.incoming()).answer()
        await ringing.answered()
        ringing.hang_up()
        # A transfer is asked before anybody is let go.
        talk = await anna.call(MOBILE)
        far = await carrier.incoming()
        await far.answer()
        await talk.answered()
        (live,) = [one for one in service.voice.live(TENANT).calls if one.called == MOBILE and one.direction == "outbound"]
        with pytest.raises(DialRefused, match="Agent anna may not dial international numbers"):
            await service.voice.command(TENANT, inp.Transfer(agent=ANNA, call=live.id, target=conf.ToOutside(number="+33142345678")))
        assert [one.id for one in service.voice.live(TENANT).calls] == [live.id]
        # So is one of a supervisor's at the same desk: by what the tenant may.
        given = inp.Transfer(agent=ANNA, call=live.id, target=conf.ToOutside(number="+33142345678"), by="sophie")
        with pytest.raises(DialRefused, match="This tenant may not dial international numbers"):
            await service.voice.command(TENANT, given)
        talk.hang_up()
        assert service.voice.figures()["fernamt_switch_calls_refused_for_class_total"] == 4


async def test_emergency_calls_pass_without_class_and_without_budget(tmp_path):
    port = free_port()
    rules = DialRules(classes=frozenset(), per_hour=Decimal(0), paid_in=Decimal(0))
    async with running(tmp_path, with_rules(port, rules)) as service, numbers_at(service, port, "112", "110") as phones:
        anna = await service.phone("anna")  # logged off
        for there in phones:
            call = await anna.call(there.user)
            await (await there.incoming()).answer()
            await call.answered()
            call.hang_up()
            await call.ended()
        await on(service, "anna")
        with pytest.raises(CallFailed):
            await (await anna.call(MOBILE)).answered()
        assert account(service, "tenant").reserved == 0


async def test_a_prepaid_balance_is_what_was_paid_in_less_all_charges_since(tmp_path):
    port = free_port()
    async with running(tmp_path, with_rules(port, DialRules())) as service, numbers_at(service, port, MOBILE) as (carrier,):
        anna = await service.phone("anna")
        await on(service, "anna")
        opened = service.voice._brakes[TENANT]
        assert "balance" not in {one.account for one in service.voice.spending(TENANT).accounts}
        since = datetime.now(UTC)
        rules = DialRules(paid_in=Decimal("0.20"), since=since)
        await service.voice.configure(with_rules(port, rules))
        assert opened is service.voice._brakes[TENANT]
        call = await anna.call(MOBILE)
        await (await carrier.incoming()).answer()
        await call.answered()
        call.hang_up()
        (entry,) = await service.cdrs()
        cost = entry.charge.gross.amount
        assert account(service, "balance").reserved == cost
        with pytest.raises(DialRefused, match=f"The prepaid balance has {Decimal('0.20') - cost} EUR left"):
            await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=service.voice.mint_call(), number=IRIDIUM))
    async with running(tmp_path, with_rules(port, rules)) as service:
        assert account(service, "balance").reserved == cost


@pytest.mark.parametrize("record", ["after", "before"])
async def test_a_call_that_ends_while_charges_are_added_up_again_is_counted_once(tmp_path, monkeypatch, record):
    """Its record is written behind the back of the count, or just before it: neither is it missed nor counted twice."""
    port = free_port()
    rules = DialRules(per_hour=Decimal(50), paid_in=Decimal(50), since=datetime(2020, 1, 1, tzinfo=UTC))
    async with running(tmp_path, with_rules(port, rules)) as service, numbers_at(service, port, IRIDIUM) as (carrier,):
        anna = await service.phone("anna")
        await on(service, "anna")
        call = await anna.call(IRIDIUM)
        await (await carrier.incoming()).answer()
        await call.answered()
        added_up = store.spent

        async def ends_meanwhile(*given, **bounds):
            found = await added_up(*given, **bounds) if record == "after" else None
            call.hang_up()
            await service.cdrs()
            return await added_up(*given, **bounds) if found is None else found

        monkeypatch.setattr(store, "spent", ends_meanwhile)
        await service.voice.recount(TENANT)
        monkeypatch.undo()
        for _ in range(2):
            for name in ("tenant", "agent:anna", "balance"):
                assert account(service, name).reserved == Decimal("10.70"), name
            await asyncio.sleep(0)
            await service.voice.recount(TENANT)


def test_what_a_leg_has_cost_counts_while_its_call_goes_on_and_has_no_record() -> None:
    """After a transfer the line outside is gone, and the conversation is not over."""
    found = offer(IRIDIUM, house_plan(), datetime(2026, 3, 2, 10, tzinfo=UTC))
    assert isinstance(found, Offer)
    brake = Brake(DialRules(), 1_000.0, lambda _: None)
    begins = ev.LegInitiated(leg="c.1", call="c", role="destination", number=IRIDIUM, trunk="carrier")
    brake.heard(Entry(1, 1_000.0, inp.TimePassed(), (begins,)))
    brake.reserve("c.1", found, ANNA, 1_000.0)
    brake.heard(Entry(2, 1_002.0, inp.TimePassed(), (ev.LegConnected(leg="c.1"),)))
    brake.heard(Entry(3, 1_010.0, inp.TimePassed(), (ev.LegCleared(leg="c.1", cause="transferred"),)))

    def reserved() -> Decimal:
        return next(one.reserved for one in brake.spending(1_100.0).accounts if one.account == "agent:anna")

    for now in (1_020.0, 1_030.0):
        brake.look(now)
        brake.count_all([], now)
        assert reserved() == Decimal("10.70")
    brake.heard(Entry(4, 1_040.0, inp.TimePassed(), (ev.CallCleared(call="c", cause="hang_up"),)))
    brake.count_all([], 1_040.0)  # it was over at that instant, not before
    assert reserved() == Decimal("10.70")
    brake.count_all([("agent:anna", 1_010_000, units(Decimal("10.70")))], 1_041.0)
    assert reserved() == Decimal("10.70")
    assert not brake._legs
    assert not brake._over
    assert not brake.purse._ended


class LateCarrier(asyncio.DatagramProtocol):
    """Rings, and answers an INVITE when it is asked to take it back: the 2xx crosses the CANCEL, by accident or for the money."""

    def __init__(self) -> None:
        self.invites: dict[str, Request] = {}
        self.heard: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, octets: bytes, source: tuple[str, int]) -> None:
        message = parse_datagram(octets)
        if not isinstance(message, Request):
            return
        self.heard.append(message.method)
        if message.method == "INVITE":
            self.invites[message.call_id] = message
            self._answer(message, "180 Ringing", source)
        elif message.method == "CANCEL":
            self._answer(message, "200 OK", source)
            self._answer(self.invites[message.call_id], "200 OK", source, SDP)
        elif message.method == "BYE":
            self._answer(message, "200 OK", source)

    def _answer(self, request: Request, status: str, source: tuple[str, int], sdp: str = "", tag: str = "late") -> None:
        lines = [f"SIP/2.0 {status}", *(f"Via: {via}" for via in request.headers.get_all("Via"))]
        lines += [f"{name}: {request.headers.get(name)}" for name in ("From", "Call-ID", "CSeq")]
        lines += [f"To: {request.headers.get('To')};tag={tag}" if request.to_tag is None else f"To: {request.headers.get('To')}"]
        lines += ["Contact: <sip:late@127.0.0.1:{}>".format(self._transport.get_extra_info("sockname")[1])]
        lines += ["Content-Type: application/sdp"] * bool(sdp) + [f"Content-Length: {len(sdp)}", "", sdp]
        self._transport.sendto("\r\n".join(lines).encode(), source)  # type: ignore[attr-defined]


SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"


async def test_a_call_that_is_answered_while_it_is_taken_back_is_owed_and_counted(tmp_path):
    """A carrier that answers whatever is cancelled would be paid by nobody, and no budget would ever end."""
    port = free_port()
    rules = DialRules(per_hour=Decimal(15))
    loop = asyncio.get_running_loop()
    transport, carrier = await loop.create_datagram_endpoint(LateCarrier, (HOST, port))
    try:
        async with running(tmp_path, with_rules(port, rules)) as service:
            anna = await service.phone("anna")
            await on(service, "anna")
            call = await anna.call(IRIDIUM)
            await call.ringing()
            call.hang_up()
            await call.ended()
            async with asyncio.timeout(8):
                while not ((found := await service.cdrs()) and found[0].charge.gross.amount):
                    await asyncio.sleep(0.02)
            (entry,) = found
            leg = entry.cdr.legs[-1]
            assert (entry.cdr.outcome, entry.cdr.talk_ms, leg.billable_ms, entry.revision) == ("abandoned", 0, 1, 2)
            assert leg.ended_at - leg.answered_at == timedelta(milliseconds=1)
            assert entry.charge.gross.amount == account(service, "tenant").reserved == Decimal("10.70")
            assert carrier.heard[-2:] == ["ACK", "BYE"]
            with pytest.raises(CallFailed) as refused:
                await (await anna.call(IRIDIUM)).answered()
            assert refused.value.status == 603
        async with running(tmp_path, with_rules(port, rules)) as service:  # and nothing is noted twice
            assert entry in await service.cdrs(2)
            assert account(service, "tenant").reserved == Decimal("10.70")
    finally:
        transport.close()


class Forking(LateCarrier):
    """Two callees take the same INVITE, as behind a proxy that forks without heeding the first 2xx (RFC 3261 §13.2.2.4)."""

    def datagram_received(self, octets: bytes, source: tuple[str, int]) -> None:
        message = parse_datagram(octets)
        if isinstance(message, Request) and message.method == "INVITE":
            self.heard.append(message.method)
            for tag in ("one", "two"):
                self._answer(message, "200 OK", source, SDP, tag)
        else:
            super().datagram_received(octets, source)


@pytest.mark.parametrize(("internal", "kind", "counted"), [(False, Forking, 1), (True, Forking, 0), (True, LateCarrier, 0)])
async def test_only_what_a_carrier_may_bill_is_counted_as_a_fork(tmp_path, internal, kind, counted):
    """A colleague's phone that answers while it is taken back, on the own PBX or our own, was called a fork that its carrier may bill."""
    port = free_port()
    transport, there = await asyncio.get_running_loop().create_datagram_endpoint(kind, (HOST, port))
    trunks = (conf.Trunk(id="callers", name="Callers", outbound=False), conf.Trunk(id="carrier", name="There", internal=internal))
    try:
        async with running(tmp_path, setup(port, trunks=trunks)) as service:
            anna = await service.phone("anna")
            await on(service, "anna")
            call = await anna.call(MOBILE)
            if kind is Forking:
                await call.answered()
            else:
                await call.ringing()
            call.hang_up()
            await call.ended()
            async with asyncio.timeout(8):
                while "BYE" not in there.heard or there.heard.count("BYE") < (2 if kind is Forking else 1):
                    await asyncio.sleep(0.02)
            assert service.voice.figures().get("fernamt_switch_forks_answered_total", 0) == counted
            assert "fernamt_switch_legs_answered_late_total" not in service.voice.figures()
    finally:
        transport.close()


async def test_what_a_crash_has_cut_counts_from_the_first_call_after_it(tmp_path):
    """The machine as it stood in mid-call: journal and database are copied while the call is up, and opened as after kill -9."""
    port = free_port()
    rules = DialRules(per_hour=Decimal(15))
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    async with running(before, with_rules(port, rules)) as service, numbers_at(service, port, IRIDIUM) as (carrier,):
        anna = await service.phone("anna")
        await on(service, "anna")
        call = await anna.call(IRIDIUM)
        await (await carrier.incoming()).answer()
        await call.answered()
        async with asyncio.timeout(5):
            while account(service, "tenant").running != Decimal("10.70"):
                await asyncio.sleep(0.01)
        await on(service, "ben")  # a sign of life: up to here the call has lasted
        after.mkdir()
        for name in ("journal", "tenant.sqlite", "tenant.sqlite-wal"):
            found = before / name
            if found.is_dir():
                shutil.copytree(found, after / name)
            elif found.exists():
                shutil.copy(found, after / name)
    async with running(after, with_rules(port, rules)) as service:
        assert account(service, "tenant").reserved == Decimal("10.70")
        (entry,) = await service.cdrs()
        assert (entry.cdr.cause, entry.charge.gross.amount) == ("restart", Decimal("10.70"))
        with pytest.raises(DialRefused, match=r"is used up: 10\.70 of 15\.00"):
            await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=service.voice.mint_call(), number=IRIDIUM))


async def test_a_count_that_fails_is_tried_again_and_keeps_no_call_from_its_end(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("acd.runtime.WATCH_S", 0.02)
    looked: list[float] = []
    async with running(tmp_path, with_rules(free_port(), DialRules(per_hour=Decimal(15)))) as service:
        brake = service.voice._brakes[TENANT]
        monkeypatch.setattr(brake, "look", looked.append)
        real = store.spent

        async def fails(*_args: object, **_more: object) -> None:
            raise KeyError("no such thing")

        monkeypatch.setattr("billing_cdr.store.spent", fails)
        brake.is_counted = False
        async with asyncio.timeout(5):
            while "could not be added up" not in caplog.text:
                await asyncio.sleep(0.01)
        before = len(looked)
        monkeypatch.setattr("billing_cdr.store.spent", real)
        async with asyncio.timeout(5):
            while not brake.is_counted or len(looked) < before + 3:
                await asyncio.sleep(0.01)
