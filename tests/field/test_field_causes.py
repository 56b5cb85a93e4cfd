"""What the telephone network says of an end (Reason: Q.850, RFC 3326) reaches the other party and the record."""

import pytest

from load.phones import CallFailed
from sip.headers.reason import parse_reasons
from tests.acd.test_voice import ready
from tests.acd.voice import carrier_phone, free_port, running, setup

pytestmark = pytest.mark.slow
OUTSIDE = "+491711234567"


def told(call) -> list[tuple[str, int | None]]:
    return [(one.protocol, one.cause) for one in parse_reasons([call.reason_header])]


@pytest.mark.parametrize(
    ("reason", "cause", "said"),
    [
        ('Q.850;cause=38;text="Network out of order"', 38, 38),
        ('SIP;cause=503;text="Service Unavailable", Q.850;cause=41', 41, 41),
        ("Q.850;cause=31", 31, 16),
        ("Q.850;cause=16", 16, 16),
        ("Q.850;cause=999", 16, 16),
        (None, 16, 16),
    ],
)
async def test_a_carriers_bye_says_why_to_agent_and_record(tmp_path, reason, cause, said):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        hers = await anna.incoming()
        await hers.answer()
        await call.answered()
        call.hang_up(reason)
        await hers.ended()
        assert told(hers) == [("Q.850", said)]
        (entry,) = await service.cdrs()
    inbound, to_anna = entry.cdr.legs
    assert (inbound.cause, inbound.q850, to_anna.q850) == ("hang_up", cause, said)
    assert (entry.cdr.outcome, entry.cdr.cause, entry.cdr.ended_by) == ("answered", "hang_up", "caller")


async def test_the_called_network_is_heard_by_our_caller(tmp_path):
    port = free_port()
    async with running(tmp_path, setup(port)) as service, carrier_phone(service, port) as carrier:
        hers = await (await ready(service, "anna")).call(OUTSIDE)
        theirs = await carrier.incoming()
        await theirs.answer()
        await hers.answered()
        theirs.hang_up("Q.850;cause=41")
        await hers.ended()
        assert told(hers) == [("Q.850", 41)]
        (entry,) = await service.cdrs()
    assert [leg.q850 for leg in entry.cdr.legs] == [41, 41]
    assert (entry.cdr.outcome, entry.cdr.cause) == ("answered", "hang_up")


async def test_a_caller_who_gives_up_while_it_rings_outside_is_passed_on_with_the_cancel(tmp_path):
    port = free_port()
    async with running(tmp_path, setup(port)) as service, carrier_phone(service, port) as carrier:
        hers = await (await ready(service, "anna")).call(OUTSIDE)
        theirs = await carrier.incoming()
        theirs.ring()
        await hers.ringing()
        hers.hang_up("Q.850;cause=102")
        await theirs.ended()
        assert told(theirs) == [("Q.850", 102)]
        with pytest.raises(CallFailed):
            await hers.answered()


async def test_a_refusal_stands_in_the_record_with_the_networks_own_number(tmp_path):
    port = free_port()
    async with running(tmp_path, setup(port)) as service, carrier_phone(service, port) as carrier:
        bank = carrier.bank

        def refuse(call):
            bank.user_agent.reject(call.session, 500, bank.now(), headers=(("Reason", "Q.850;cause=27"),))
            bank.flush()

        carrier.on_incoming = refuse
        hers = await (await ready(service, "anna")).call(OUTSIDE)
        with pytest.raises(CallFailed):
            await hers.answered()
        (entry,) = await service.cdrs()
    assert [leg.q850 for leg in entry.cdr.legs if leg.role == "destination"] == [27]
