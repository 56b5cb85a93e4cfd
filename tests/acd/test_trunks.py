"""Trunks with real SIP: registering at a carrier, failing over, probing, bandwidth, the right plan for each (R1, R5, R9, R15)."""

import asyncio

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core import inputs
from acd.core.ids import AgentId, TrunkId
from acd.service import TrunkLine, TrunkRegistration
from load.phones import CallFailed, SyntheticPhone
from tests.acd.carrier import call_contact, carrier_at, gateway
from tests.acd.test_voice import ready
from tests.acd.voice import HOST, TENANT, free_port, running, setup

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
    await service.voice.command(TENANT, inputs.Dial(agent=ANNA, call=service.voice.mint_call(), number=number))
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
        await asyncio.gather(mine.hears_tone(500, 5), theirs.send_tone(500, 1.0))
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
    ("status", "cause"), [(486, "busy"), (404, "not_found"), (480, "no_answer"), (408, "no_answer"), (603, "rejected")]
)
async def test_what_the_destination_says_is_final_and_no_other_trunk_is_tried(tmp_path, status, cause):
    one, two = free_port(), free_port()
    async with (
        carrier_at(one) as first,
        carrier_at(two) as second,
        running(tmp_path, house([trunk("first"), trunk("second", 1)], [line("first", one), line("second", two)])) as service,
        gateway(first, service) as far,
        gateway(second, service) as other,
    ):
        far.on_incoming = lambda call: call.decline(status)
        mine = await dial(service)
        await mine.ended()
        (entry,) = await service.cdrs()
        assert destinations(entry) == [("first", cause)]
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
            await service.voice.command(TENANT, inputs.Dial(agent=ANNA, call=call, number=OUTSIDE))
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
