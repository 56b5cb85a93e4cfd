"""Trunks with real SIP: registering at a carrier, failing over, probing, bandwidth, the right plan for each (R1, R5, R9, R15)."""

import asyncio
import json
from decimal import Decimal

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core import inputs as inp
from acd.core.ids import AgentId, TrunkId
from acd.core.state import limits
from acd.service import ScreenContext, ScreenPop, TrunkLine, TrunkRegistration
from acd.switch import phones
from acd.switch.callers import arrival
from load.hearing import has_tone
from load.phones import CallFailed, SyntheticPhone
from tests.acd.carrier import call_contact, carrier_at, gateway
from tests.acd.test_voice import ready
from tests.acd.voice import HOST, TENANT, agent, free_port, running, setup

pytestmark = pytest.mark.slow
ANNA = AgentId("anna")
DID = "+4989123456"
OUTSIDE = "0171 1234567"


def trunk(name: str, order: int = 0, **fields) -> conf.Trunk:
    return conf.Trunk(id=TrunkId(name), name=name.title(), order=order, **fields)


def line(name: str, port: int, **fields) -> TrunkLine:
    return TrunkLine(
        **{"id": TrunkId(name), "peer": f"{HOST}:{port}", "probe_every_s": 0, "answer_within_s": 0.3, "caller_id": DID} | fields
    )


def registration(port: int, **fields) -> TrunkRegistration:
    return TrunkRegistration(**{"registrar": f"{HOST}:{port}", "username": "account", "password": "secret", "retry_s": 0.1} | fields)


def house(trunks: list[conf.Trunk], lines: list[TrunkLine], **changes):
    return msgspec.structs.replace(setup(trunks=tuple(trunks)), trunks=tuple(lines), **changes)


def callers() -> tuple[conf.Trunk, TrunkLine]:
    """The network this machine's callers come from; it takes no calls."""
    return trunk("callers", 9, outbound=False), TrunkLine(id=TrunkId("callers"), peer="", sources=("127.0.0.0/8",), probe_every_s=0)


def state_of(service, name: str):
    return next(one for one in service.voice.live(TENANT).trunks if one.id == name)


async def until(service, name: str, *, up: bool, detail: str = ""):
    async with asyncio.timeout(5):
        while (found := state_of(service, name)).up != up or detail not in (found.detail or ""):
            await asyncio.sleep(0.01)
    return found


async def dial(service, number: str = OUTSIDE):
    """Anna dials and takes her phone; returns her call."""
    anna = await ready(service, "anna")
    await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=service.voice.mint_call(), number=number))
    mine = await anna.incoming()
    await mine.answer()
    return mine


def destinations(entry):
    return [(leg.trunk, leg.cause) for leg in entry.cdr.legs if leg.role == "destination"]


# ---------------------------------------------------------------------- registering


async def test_a_trunk_registers_with_digest_and_its_line_is_up_and_taken_back_at_the_end(tmp_path):
    port = free_port()
    async with carrier_at(port, {"account": "secret"}) as carrier:
        async with running(tmp_path, house([trunk("own")], [line("own", port, registration=registration(port))])) as service:
            await until(service, "own", up=True)
            (binding,) = carrier.bindings("account")
            assert (binding.contact.host, binding.contact.port) == service.address
            assert carrier.user_agent.counters["digest_missing"] == 1
        assert carrier.bindings("account") == []


async def test_a_carrier_that_takes_our_registration_is_ours_and_one_that_refuses_it_is_not(tmp_path):
    """So no other tenant can claim its addresses as a source; whoever only names a registrar keeps nobody from anything."""
    port = free_port()
    own = house([trunk("own")], [line("own", port, registration=registration(port))])
    async with carrier_at(port, {"account": "another"}) as carrier, running(tmp_path, own) as service:
        await until(service, "own", up=False, detail="401")
        assert service.voice.sends_to(f"{HOST}/32") == frozenset()
        carrier.accounts["account"] = "secret"
        await until(service, "own", up=True)
        async with asyncio.timeout(5):
            while not service.voice.sends_to(f"{HOST}/32"):
                await asyncio.sleep(0.01)
        assert service.voice.sends_to(f"{HOST}/32") == {TENANT}


async def test_a_registration_is_refreshed_before_it_runs_out(tmp_path):
    port = free_port()
    own = line("own", port, registration=registration(port, expires_s=1))
    async with carrier_at(port, {"account": "secret"}) as carrier, running(tmp_path, house([trunk("own")], [own])) as service:
        await until(service, "own", up=True)
        async with asyncio.timeout(5):
            while len(carrier.history) < 3:
                await asyncio.sleep(0.02)
        assert [getattr(event, "refreshed", "gone") for event in carrier.history[:3]] == [False, True, True]
        assert state_of(service, "own").up


async def test_a_line_is_down_while_the_carrier_refuses_and_up_again_when_it_does_not(tmp_path):
    port = free_port()
    own = line("own", port, registration=registration(port, expires_s=1))
    async with carrier_at(port, {"account": "secret"}) as carrier, running(tmp_path, house([trunk("own")], [own])) as service:
        await until(service, "own", up=True)
        carrier.is_barred = True
        await until(service, "own", up=False, detail="403")
        carrier.is_barred = False
        await until(service, "own", up=True)


async def test_a_line_is_down_while_the_carrier_is_silent_and_up_again_when_it_is_back(tmp_path):
    port = free_port()
    own = line("own", port, registration=registration(port, expires_s=1))
    async with running(tmp_path, house([trunk("own")], [own])) as service:
        await until(service, "own", up=False, detail="408")
        async with carrier_at(port, {"account": "secret"}):
            await until(service, "own", up=True)
        await until(service, "own", up=False, detail="408")


async def test_a_wrong_password_keeps_the_line_down_until_it_is_set_right(tmp_path):
    port = free_port()
    wrong = line("own", port, registration=registration(port, password="wrong"))
    right = line("own", port, registration=registration(port))
    async with carrier_at(port, {"account": "secret"}) as carrier, running(tmp_path, house([trunk("own")], [wrong])) as service:
        await until(service, "own", up=False, detail="401")
        await service.voice.configure(house([trunk("own")], [right]))
        await until(service, "own", up=True)
        assert len(carrier.bindings("account")) == 1


async def test_changing_a_registered_line_leaves_exactly_the_new_contact(tmp_path):
    port = free_port()
    before = line("own", port, registration=registration(port))
    after = line("own", port, registration=registration(port, expires_s=120))
    async with carrier_at(port, {"account": "secret"}) as carrier, running(tmp_path, house([trunk("own")], [before])) as service:
        await until(service, "own", up=True)
        (old,) = carrier.bindings("account")
        await service.voice.configure(house([trunk("own")], [after]))
        async with asyncio.timeout(5):
            while [one.contact for one in carrier.bindings("account")] in ([], [old.contact]) or len(carrier.bindings("account")) > 1:
                await asyncio.sleep(0.01)
        await until(service, "own", up=True)


# ---------------------------------------------------------------------- calls of a registering line


async def test_the_carriers_challenge_of_our_call_is_answered_with_the_lines_credentials(tmp_path):
    port = free_port()
    own = line("own", port, registration=registration(port))
    async with (
        carrier_at(port, {"account": "secret"}, challenges_calls=True) as carrier,
        running(tmp_path, house([trunk("own")], [own])) as service,
        gateway(carrier, service) as far,
    ):
        await until(service, "own", up=True)
        mine = await dial(service)
        theirs = await far.incoming()
        assert theirs.request.headers.get("Authorization")
        await theirs.answer()
        await asyncio.gather(mine.hears_tone(500, 5), theirs.send_tone(500, 0.6))
        mine.hang_up()
        (entry,) = await service.cdrs()
        assert destinations(entry) == [("own", "hang_up")]


async def test_credentials_the_carrier_does_not_take_send_the_call_to_the_next_trunk(tmp_path):
    port, second = free_port(), free_port()
    lines = [line("own", port), line("spare", second)]  # no credentials at all
    async with (
        carrier_at(port, {"account": "secret"}, challenges_calls=True),
        carrier_at(second) as spare,
        running(tmp_path, house([trunk("own"), trunk("spare", 1)], lines)) as service,
        gateway(spare, service) as far,
    ):
        mine = await dial(service)
        await (await far.incoming()).answer()
        mine.hang_up()
        (entry,) = await service.cdrs()
        assert [name for name, _ in destinations(entry)] == ["own", "spare"]


@pytest.mark.parametrize("where", ["to", "p_called_party_id"])
async def test_a_call_to_our_registered_contact_reaches_the_queue_of_its_number_from_any_address(tmp_path, where):
    port = free_port()
    own = line("own", port, registration=registration(port))
    async with (
        carrier_at(port, {"account": "secret"}) as carrier,
        running(tmp_path, house([trunk("own")], [own])) as service,
        SyntheticPhone(service.address, user="+498955555", address="127.0.0.2") as media_gateway,
    ):
        await until(service, "own", up=True)
        anna = await ready(service, "anna")
        (binding,) = carrier.bindings("account")
        if where == "to":
            call = call_contact(media_gateway, binding.contact, DID)
        else:
            call = call_contact(media_gateway, binding.contact, "account", (("P-Called-Party-ID", f"<sip:{DID}@carrier.example>"),))
        offered = await anna.incoming()
        assert offered.calling == "+498955555"
        await offered.answer()
        await call.answered()
        call.hang_up()
        (entry,) = await service.cdrs()
        assert (entry.cdr.trunk, entry.cdr.did, entry.cdr.queue) == ("own", DID, "support")


async def test_the_trunk_of_a_call_is_looked_up_once(tmp_path, monkeypatch):
    """What classified the INVITE goes with it to its share and to the switch."""
    looked_up = []

    def noting(directory, request, flow):
        looked_up.append(request.method)
        return arrival(directory, request, flow)

    monkeypatch.setattr(phones, "arrival", noting)
    port = free_port()
    own = line("own", port, registration=registration(port))
    async with (
        carrier_at(port, {"account": "secret"}) as carrier,
        running(tmp_path, house([trunk("own")], [own])) as service,
        gateway(carrier, service) as near,
    ):
        await until(service, "own", up=True)
        call = await near.call(DID)
        await call.answered()
        call.hang_up()
        (entry,) = await service.cdrs()
    assert (entry.cdr.trunk, looked_up.count("INVITE")) == ("own", 1)


async def test_a_number_called_from_the_registrars_own_address_is_the_lines_and_from_elsewhere_it_is_challenged(tmp_path):
    port = free_port()
    own = line("own", port, registration=registration(port))
    async with (
        carrier_at(port, {"account": "secret"}) as carrier,
        running(tmp_path, house([trunk("own")], [own])) as service,
        gateway(carrier, service) as near,
        SyntheticPhone(service.address, user="+498955555", address="127.0.0.2") as stranger,
    ):
        await until(service, "own", up=True)
        call = await near.call(DID)
        await call.answered()
        call.hang_up()
        (entry,) = await service.cdrs()
        assert entry.cdr.trunk == "own"
        for target in (DID, f"sip:line-guessed@{HOST}:{service.address[1]}", f"sip:account@{HOST}:{service.address[1]}"):
            with pytest.raises(CallFailed) as refused:
                await (await stranger.call(target)).answered()
            assert refused.value.status == 401


# ---------------------------------------------------------------------- failing over


@pytest.mark.parametrize("status", [500, 503, 502])
async def test_a_trunk_that_refuses_hands_the_call_to_the_next_and_both_stand_in_the_cdr(tmp_path, status):
    one, two = free_port(), free_port()
    async with (
        carrier_at(one) as first,
        carrier_at(two) as second,
        running(tmp_path, house([trunk("first"), trunk("second", 1)], [line("first", one), line("second", two)])) as service,
        gateway(first, service) as refusing,
        gateway(second, service) as far,
    ):
        refusing.on_incoming = lambda call: call.decline(status)
        mine = await dial(service)
        await (await far.incoming()).answer()
        mine.hang_up()
        (entry,) = await service.cdrs()
        legs = [leg for leg in entry.cdr.legs if leg.role == "destination"]
        assert [(leg.trunk, leg.sip_status) for leg in legs] == [("first", status), ("second", None)]
        assert entry.cdr.problems == ()


async def test_a_dead_trunk_costs_the_caller_the_lines_patience_and_no_more(tmp_path):
    nobody, two = free_port(), free_port()
    lines = [line("first", nobody), line("second", two)]
    async with (
        carrier_at(two) as second,
        running(tmp_path, house([trunk("first"), trunk("second", 1)], lines)) as service,
        gateway(second, service) as far,
    ):
        mine = await dial(service)
        theirs = await far.incoming(timeout_s=3)  # timer B alone would be 32 s
        await theirs.answer()
        mine.hang_up()
        (entry,) = await service.cdrs()
        assert destinations(entry)[0] == ("first", "unreachable")
        first = next(leg for leg in entry.cdr.legs if leg.trunk == "first")
        assert (first.ended_at - first.began_at).total_seconds() * 1000 >= 250


async def test_over_tcp_a_refused_connection_fails_over_at_once(tmp_path):
    nobody, two = free_port(), free_port()
    lines = [line("first", nobody, transport="tcp", answer_within_s=20.0), line("second", two)]
    async with (
        carrier_at(two) as second,
        running(tmp_path, house([trunk("first"), trunk("second", 1)], lines)) as service,
        gateway(second, service) as far,
    ):
        mine = await dial(service)
        await (await far.incoming(timeout_s=5)).answer()
        mine.hang_up()
        (entry,) = await service.cdrs()
        assert destinations(entry)[0] == ("first", "unreachable")


async def test_all_trunks_dead_ends_the_call_with_both_in_the_cdr(tmp_path):
    lines = [line("first", free_port()), line("second", free_port())]
    async with running(tmp_path, house([trunk("first"), trunk("second", 1)], lines)) as service:
        caller_line = TrunkLine(id=TrunkId("callers"), peer="", sources=("127.0.0.0/8",), probe_every_s=0)
        await service.voice.configure(house([trunk("first"), trunk("second", 1), trunk("callers", outbound=False)], [*lines, caller_line]))
        call = await (await service.caller()).call("602")
        with pytest.raises(CallFailed) as failed:
            await call.answered()
        assert failed.value.status == 503
        (entry,) = await service.cdrs()
        assert [(leg.trunk, leg.cause) for leg in entry.cdr.legs if leg.role == "forward"] == [
            ("first", "unreachable"),
            ("second", "unreachable"),
        ]
        assert entry.charge.gross.amount == 0


@pytest.mark.parametrize(
    ("status", "cause", "told"),
    [(486, "busy", 486), (404, "not_found", 404), (480, "no_answer", 480), (408, "no_answer", 480), (603, "rejected", 603)],
)
async def test_what_the_destination_says_is_final_and_no_other_trunk_is_tried(tmp_path, status, cause, told):
    one, two = free_port(), free_port()
    from_outside, callers_line = callers()
    trunks = [trunk("first"), trunk("second", 1), from_outside]
    async with (
        carrier_at(one) as first,
        carrier_at(two) as second,
        running(tmp_path, house(trunks, [line("first", one), line("second", two), callers_line])) as service,
        gateway(first, service) as far,
        gateway(second, service) as other,
    ):
        far.on_incoming = lambda call: call.decline(status)
        call = await (await service.caller()).call("602")
        with pytest.raises(CallFailed) as failed:
            await call.answered()
        assert failed.value.status == told
        (entry,) = await service.cdrs()
        assert [(leg.trunk, leg.cause) for leg in entry.cdr.legs if leg.role == "forward"] == [("first", cause)]
        assert other.calls == []


async def test_a_full_trunk_is_passed_over(tmp_path):
    one, two = free_port(), free_port()
    full = trunk("first", upload_kbits=99)
    async with (
        carrier_at(one) as first,
        carrier_at(two) as second,
        running(tmp_path, house([full, trunk("second", 1)], [line("first", one), line("second", two)])) as service,
        gateway(first, service) as other,
        gateway(second, service) as far,
    ):
        mine = await dial(service)
        await (await far.incoming()).answer()
        ledger = {one.line: one.reserved_kbits for one in service.voice.live(TENANT).lines}
        assert ledger["trunk:second"] == 100
        assert ledger["trunk:first"] == 0
        mine.hang_up()
        (entry,) = await service.cdrs()
        assert [name for name, _ in destinations(entry)] == ["second"]
        assert other.calls == []


# ---------------------------------------------------------------------- prices


def own_plan(price: str, **rate: object) -> bytes:
    """The plan of a customer's own carrier: German mobile numbers at one price, by the minute."""
    return json.dumps(
        {
            "id": f"own-{price}",
            "version": "1",
            "currency": "EUR",
            "valid_from": "2020-01-01T00:00:00+01:00",
            "zone": "Europe/Berlin",
            "vat_rate": "0.19",
            "vat_included": True,
            "increment": "60/60",
            "rate": [{"prefix": "4917", "name": {"de": "Mobilfunk", "en": "mobile"}, "class": "mobile", "per_minute": price} | rate],
        }
    ).encode()


async def test_each_trunk_has_its_own_plan_and_the_charge_is_that_of_the_trunk_that_took_the_call(tmp_path):
    one, two = free_port(), free_port()
    plans = {TrunkId("first"): (own_plan("1.20"),), TrunkId("second"): (own_plan("0.60"),)}
    async with (
        carrier_at(one) as first,
        carrier_at(two) as second,
        running(
            tmp_path,
            house(
                [trunk("first", own_carrier=True), trunk("second", 1, own_carrier=True)],
                [line("first", one), line("second", two)],
                trunk_plans=plans,
            ),
        ) as service,
        gateway(first, service) as refusing,
        gateway(second, service) as far,
    ):
        assert Decimal((await service.voice.quote(TENANT, OUTSIDE))["per_minute"]) == Decimal("1.20")
        refusing.on_incoming = lambda call: call.decline(503)
        mine = await dial(service)
        await (await far.incoming()).answer()
        mine.hang_up()
        (entry,) = await service.cdrs()
        legs = [leg for leg in entry.cdr.legs if leg.role == "destination"]
        assert [leg.quote.per_minute for leg in legs] == [Decimal("1.20"), Decimal("0.60")]
        charged = {one.leg: (one.kind, one.gross) for one in entry.charge.lines}
        assert charged[legs[0].leg] == ("unanswered", 0)
        assert charged[legs[1].leg] == ("call", Decimal("0.60"))


async def test_an_own_carrier_without_a_plan_has_no_price_and_the_next_trunk_takes_the_call(tmp_path):
    """R15: the house carries nothing over it, so its plan says nothing of it; when it is the house's line, it is called."""
    one, two = free_port(), free_port()
    lines = [line("mine", one), line("second", two)]
    async with (
        carrier_at(one) as first,
        carrier_at(two) as second,
        running(tmp_path, house([trunk("mine", own_carrier=True), trunk("second", 1)], lines)) as service,
        gateway(first, service) as mine,
        gateway(second, service) as far,
    ):
        anna = await ready(service, "anna")
        call = await anna.call(OUTSIDE)
        taken = await far.incoming()
        call.hang_up()
        await taken.ended()
        (entry,) = await service.cdrs()
        tried = destinations(entry)
        assert (tried[0], tried[1][0]) == (("mine", "price_refused"), "second")
        await service.voice.configure(house([trunk("mine"), trunk("second", 1)], lines))
        call = await anna.call(OUTSIDE)
        taken = await mine.incoming()
        call.hang_up()
        await taken.ended()


async def test_a_number_that_is_cut_after_a_time_is_cut_and_costs_no_more(tmp_path):
    """One second here, an hour for 0900: both ends get a BYE, and nothing after the second is charged."""
    port = free_port()
    plans = {TrunkId("own"): (own_plan("0.60", cut_after_s=1, increment="1/1"),)}
    async with (
        carrier_at(port) as carrier,
        running(tmp_path, house([trunk("own", own_carrier=True)], [line("own", port)], trunk_plans=plans)) as service,
        gateway(carrier, service) as far,
    ):
        mine = await dial(service)
        theirs = await far.incoming()
        await theirs.answer()
        assert [await one.ended() for one in (mine, theirs)] == ["remote", "remote"]
        (entry,) = await service.cdrs()
        assert (entry.cdr.cause, entry.cdr.outcome) == ("time_limit", "answered")
        (leg,) = [leg for leg in entry.cdr.legs if leg.role == "destination"]
        assert (leg.cause, leg.ended_by) == ("time_limit", "local")
        assert leg.billable_ms >= 1000
        line_of_it = entry.charge.lines[-1]
        assert [step.units for step in line_of_it.steps] == [1]
        assert line_of_it.gross == Decimal("0.01")  # one second of 0.60 a minute


async def test_who_talks_to_a_number_that_is_cut_hears_a_tone_before_and_then_the_other_again(tmp_path, monkeypatch):
    """Two seconds here, with a warning 1.5 s before the end; the number outside hears nothing of it."""
    monkeypatch.setattr(limits, "WARNINGS_S", (1.5,))
    port = free_port()
    plans = {TrunkId("own"): (own_plan("0.60", cut_after_s=2, increment="1/1"),)}
    async with (
        carrier_at(port) as carrier,
        running(tmp_path, house([trunk("own", own_carrier=True)], [line("own", port)], trunk_plans=plans)) as service,
        gateway(carrier, service) as far,
    ):
        mine = await dial(service)
        theirs = await far.incoming()
        await theirs.answer()
        theirs.start_tone(440, 3)
        for frequency in (440, 1000, 440):
            await mine.audio.wait_for_tone(frequency, 5, length_s=0.1)
        await mine.ended()
        heard = theirs.heard()
        assert not any(has_tone(heard[at : at + 800], 1000) for at in range(0, len(heard) - 800, 400))


# ---------------------------------------------------------------------- probing


async def test_a_probed_trunk_goes_down_is_skipped_and_comes_up_again(tmp_path):
    one, two = free_port(), free_port()
    lines = [line("first", one, probe_every_s=0.1), line("second", two)]
    async with (
        carrier_at(two) as second,
        running(tmp_path, house([trunk("first"), trunk("second", 1)], lines)) as service,
        gateway(second, service) as far,
    ):
        await until(service, "first", up=False, detail="no answer to OPTIONS")
        mine = await dial(service)
        await (await far.incoming()).answer()
        mine.hang_up()
        (entry,) = await service.cdrs()
        assert [name for name, _ in destinations(entry)] == ["second"]
        async with carrier_at(one) as first, gateway(first, service) as near:
            await until(service, "first", up=True)
            call = service.voice.mint_call()
            await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=call, number=OUTSIDE))
            await (await mine.phone.incoming()).answer()
            await (await near.incoming()).answer()


async def test_a_call_without_any_answer_makes_the_trunk_be_asked_at_once(tmp_path):
    one, two = free_port(), free_port()
    lines = [line("first", one, probe_every_s=600.0), line("second", two)]
    async with carrier_at(two) as second, running(tmp_path, house([trunk("first"), trunk("second", 1)], lines)) as service:
        async with carrier_at(one):
            await until(service, "first", up=True)
        async with gateway(second, service) as far:
            mine = await dial(service)
            await (await far.incoming()).answer()
            await until(service, "first", up=False)
            mine.hang_up()


async def test_what_was_down_before_a_restart_is_not_down_for_ever(tmp_path):
    nobody = free_port()
    async with running(tmp_path, house([trunk("first")], [line("first", nobody, probe_every_s=0.1)])) as service:
        await until(service, "first", up=False)
    async with running(tmp_path, house([trunk("first")], [line("first", nobody)])) as service:  # nobody asks any more
        await until(service, "first", up=True)


# ---------------------------------------------------------------------- phones behind a trunk (R1)


def pbx_house(port: int, *, internal: bool = True, upload_kbits: int | None = None, probe_every_s: float = 0, **agent_fields):
    """Anna's phone is an extension of a foreign PBX."""
    from_outside, callers_line = callers()
    pbx = trunk("pbx", internal=internal, upload_kbits=upload_kbits)
    anna = agent("anna", "21", trunk=TrunkId("pbx"), **agent_fields)
    made = house(
        [pbx, from_outside],
        [line("pbx", port, probe_every_s=probe_every_s), callers_line],
    )
    return msgspec.structs.replace(made, configuration=msgspec.structs.replace(made.configuration, agents=(anna,)), devices=())


async def log_on(service):
    await service.voice.command(TENANT, inp.LogOn(agent=ANNA, ready=True))


async def test_a_queue_call_is_offered_to_the_extension_of_a_foreign_pbx_and_costs_nothing(tmp_path):
    port = free_port()

    async def lookup(_tenant, number):
        return ScreenContext(contact={"name": f"who calls from {number}"})

    async with (
        carrier_at(port) as pbx,
        running(tmp_path, pbx_house(port), lookup) as service,
        gateway(pbx, service) as extension,
    ):

        async def first_pop():
            async for live in service.stream(TENANT, agent=ANNA):
                if isinstance(live.event, ScreenPop):
                    return live
            raise AssertionError("the stream ended")

        watching = asyncio.create_task(first_pop())
        await log_on(service)
        call = await (await service.caller()).call("601")
        rung = await extension.incoming()
        assert (rung.request.uri.user, rung.calling) == ("21", "+498955555")
        pop = await asyncio.wait_for(watching, 5)
        assert (pop.only_agent, pop.event.number) == (ANNA, "+498955555")
        assert pop.event.contact == {"name": "who calls from +498955555"}
        await rung.answer()
        await asyncio.gather(call.hears_tone(1000, 5), rung.hears_tone(440, 5), call.send_tone(440, 0.6), rung.send_tone(1000, 0.6))
        assert [party.trunk for one in service.voice.live(TENANT).calls for party in one.parties] == ["callers", "pbx"]
        call.hang_up()
        await rung.ended()
        (entry,) = await service.cdrs()
        leg = next(leg for leg in entry.cdr.legs if leg.role == "agent")
        assert (leg.party, leg.trunk, leg.number, leg.internal, leg.quote) == ("anna", "pbx", "21", True, None)
        assert (entry.cdr.agent, entry.cdr.outcome, entry.cdr.problems) == ("anna", "answered", ())
        assert leg.quality is not None
        assert [(one.kind, one.gross) for one in entry.charge.lines] == [("inbound", 0), ("own_line", 0)]


async def test_the_pbx_is_offered_first_what_the_caller_speaks_so_that_nothing_is_converted(tmp_path):
    port = free_port()
    async with (
        carrier_at(port) as pbx,
        running(tmp_path, pbx_house(port)) as service,
        gateway(pbx, service) as extension,
        SyntheticPhone(service.address, user="+498955555", codecs=("PCMU",)) as caller,
    ):
        await log_on(service)
        call = await caller.call("601")
        rung = await extension.incoming()
        offered = next(row for row in rung.request.body.decode().splitlines() if row.startswith("m=audio"))
        assert offered.split()[3:5] == ["0", "8"]
        call.hang_up()
        await rung.ended()


async def test_an_agent_at_a_number_outside_is_priced_before_it_is_rung_and_charged_for_the_talk(tmp_path):
    port = free_port()
    async with (
        carrier_at(port) as carrier,
        running(tmp_path, pbx_house(port, internal=False, reached_at="+491711234567")) as service,
        gateway(carrier, service) as mobile,
    ):
        await log_on(service)
        call = await (await service.caller()).call("601")
        rung = await mobile.incoming()
        # A carrier lets us show our own number only; who really calls stands beside it.
        assert (rung.request.uri.user, rung.calling) == ("+491711234567", DID)
        assert "+498955555" in rung.request.headers.get("P-Asserted-Identity")
        await rung.answer()
        await call.answered()
        call.hang_up()
        (entry,) = await service.cdrs()
        leg = next(leg for leg in entry.cdr.legs if leg.role == "agent")
        assert (leg.number, leg.internal) == ("+491711234567", False)
        assert leg.quote.per_minute == Decimal("0.099")
        assert [one.kind for one in entry.charge.lines] == ["inbound", "call"]
        assert entry.charge.gross.amount > 0


async def test_an_agent_at_a_number_without_a_price_is_not_rung_and_the_caller_waits_on(tmp_path):
    port = free_port()
    async with (
        carrier_at(port) as carrier,
        running(tmp_path, pbx_house(port, internal=False, reached_at="+49199123456")) as service,
        gateway(carrier, service) as never,
    ):
        await log_on(service)
        call = await (await service.caller()).call("601")
        await call.answered()
        async with asyncio.timeout(5):
            while next(one for one in service.voice.live(TENANT).agents if one.id == ANNA).reason != "device_failed":
                await asyncio.sleep(0.01)
        assert [len(queue.waiting) for queue in service.voice.live(TENANT).queues] == [1]
        assert never.calls == []
        call.hang_up()


async def test_the_agent_is_there_when_the_pbx_is(tmp_path):
    port = free_port()
    async with running(tmp_path, pbx_house(port, probe_every_s=0.1)) as service:
        await log_on(service)
        await until(service, "pbx", up=False)
        call = await (await service.caller()).call("601")
        await call.answered()
        (anna,) = service.voice.live(TENANT).agents
        assert (anna.category, anna.registered) == ("unregistered", False)
        async with carrier_at(port) as pbx, gateway(pbx, service) as extension:
            await (await extension.incoming()).answer()  # as soon as the probe is answered
            call.hang_up()
            (entry,) = await service.cdrs()
            assert entry.cdr.agent == "anna"


async def test_click_to_dial_from_a_pbx_extension_and_back_out_over_the_pbx_needs_no_price(tmp_path):
    port = free_port()
    async with carrier_at(port) as pbx, running(tmp_path, pbx_house(port)) as service, gateway(pbx, service) as far:
        await log_on(service)
        assert await service.voice.quote(TENANT, "0199123456") == {}
        await service.voice.command(TENANT, inp.Dial(agent=ANNA, call=service.voice.mint_call(), number="0199123456"))
        mine = await far.incoming()
        assert mine.request.uri.user == "21"
        await mine.answer()
        theirs = await far.incoming()
        await theirs.answer()
        await asyncio.gather(mine.hears_tone(500, 5), theirs.send_tone(500, 0.6))
        mine.hang_up()
        (entry,) = await service.cdrs()
        assert [one.kind for one in entry.charge.lines] == ["own_line", "own_line"]
        assert entry.charge.status == "rated"
