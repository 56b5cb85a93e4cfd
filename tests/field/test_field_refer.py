"""A blind transfer by an agent's phone, as phones really do it: whatever the phone does next, the customer is with somebody."""

import asyncio

import msgspec
import pytest

from acd.core import configuration as conf
from load.phones import CallFailed, PhoneCall, SyntheticPhone
from tests.acd.test_voice import ready
from tests.acd.voice import agent, carrier_phone, free_port, running, setup

pytestmark = pytest.mark.slow
CUSTOMER, OUTSIDE = "+498912345", "+491711234567"
HZ_CUSTOMER, HZ_TARGET, HZ_ANNA = 440, 1000, 700


async def in_conversation(service) -> tuple[PhoneCall, PhoneCall, SyntheticPhone]:
    """The customer and anna, as each has the call, and ben's phone, which is at home but takes no calls of queues."""
    anna = await ready(service, "anna")
    ben = await service.phone("ben")
    customer = await service.caller(CUSTOMER)
    call = await customer.call("601")
    at_anna = await anna.incoming()
    await at_anna.answer()
    await call.answered()
    return call, at_anna, ben


async def hear_each_other(a: PhoneCall, b: PhoneCall, a_hz: int = HZ_CUSTOMER, b_hz: int = HZ_TARGET) -> None:
    a.start_tone(a_hz, 2.0)
    b.start_tone(b_hz, 2.0)
    await asyncio.gather(a.hears_tone(b_hz), b.hears_tone(a_hz))


def hangs_up_on(call: PhoneCall, status: int):
    """What many phones do by themselves at a NOTIFY."""

    def told(heard: int, _state: str) -> None:
        if heard == status and call.is_up:
            call.hang_up()

    return told


@pytest.mark.parametrize("habit", ["waits", "hangs up at once", "hangs up when told", "holds first", "holds first and hangs up at once"])
async def test_every_habit_of_phones_brings_customer_and_colleague_together(tmp_path, habit):
    async with running(tmp_path) as service:
        call, at_anna, ben = await in_conversation(service)
        if habit.startswith("holds first"):
            await at_anna.hold()
        if habit == "hangs up when told":
            at_anna.on_told = hangs_up_on(at_anna, 200)
        assert await at_anna.refer("12", headers=(("Referred-By", "<sip:anna@demo>"),)) == 202
        if habit.endswith("hangs up at once"):
            at_anna.hang_up()
        at_ben = await ben.incoming()
        await at_ben.answer()
        await at_anna.ended()
        await hear_each_other(call, at_ben)
        if not habit.endswith("hangs up at once"):
            assert [(status, state.partition(";")[0]) for status, state in at_anna.told] == [
                (100, "active"),
                (180, "active"),
                (200, "terminated"),
            ]
        call.hang_up()
        await at_ben.ended()
        (record,) = await service.cdrs()
    assert record.cdr.transferred_by == ("agent:anna",)
    assert (record.cdr.outcome, record.cdr.cause) == ("answered", "hang_up")


async def test_the_line_is_ended_when_the_phone_has_answered_how_its_transfer_went(tmp_path):
    """A phone that hears our BYE first has no dialog to take the NOTIFY in: it shows a transfer that failed."""
    async with running(tmp_path) as service:
        _call, at_anna, ben = await in_conversation(service)
        heard = []
        at_anna.on_told = lambda status, _state: heard.append((status, at_anna.is_up))
        answered = []
        user_agent = at_anna.phone.bank.user_agent
        outgoing = user_agent.datagrams_to_send

        def watched():
            for flow, octets in outgoing():
                if octets.startswith(b"SIP/2.0 200") and b" NOTIFY\r\n" in octets:
                    answered.append(octets)
                    if len(answered) == 3:
                        continue  # lost: the NOTIFY comes again
                yield flow, octets

        user_agent.datagrams_to_send = lambda: list(watched())
        assert await at_anna.refer("12") == 202
        await (await ben.incoming()).answer()
        await at_anna.ended()
        assert heard == [(100, True), (180, True), (200, True)]
        assert len(answered) == 4


@pytest.mark.parametrize("status", [486, 603])
async def test_a_colleague_who_does_not_want_it_gives_the_customer_back(tmp_path, status):
    async with running(tmp_path) as service:
        call, at_anna, ben = await in_conversation(service)
        assert await at_anna.refer("12") == 202
        at_ben = await ben.incoming()
        at_ben.decline(status)
        assert (await at_anna.was_told(status)).startswith("terminated")
        await hear_each_other(call, at_anna, b_hz=HZ_ANNA)
        call.hang_up()
        await at_anna.ended()
        (record,) = await service.cdrs()
    assert record.cdr.transferred_by == ()


async def test_a_colleague_whose_phone_is_off_gives_the_customer_back_at_once(tmp_path):
    tenant = setup(agents=(agent("anna", "11"), agent("ben", "12"), agent("cleo", "13")))
    async with running(tmp_path, tenant) as service:
        call, at_anna, _ben = await in_conversation(service)
        assert await at_anna.refer("13") == 202
        await at_anna.was_told(480)
        await hear_each_other(call, at_anna, b_hz=HZ_ANNA)


async def test_however_a_phone_writes_it_the_colleague_is_called_and_after_one_that_failed_the_next_is_carried_out(tmp_path):
    async with running(tmp_path) as service:
        call, at_anna, ben = await in_conversation(service)
        for refer_to in (
            "<sip:12@{host}>",
            "sip:12@{host};user=phone",
            "<sip:12@elsewhere.example;user=phone?Subject=Hello%20there&Priority=normal>",
            "<sips:12@{host};transport=tls>",
            '"Ben" <sip:12@{host};method=INVITE>',
            "<tel:12;phone-context=demo>",
        ):
            at_anna.told.clear()
            assert await at_anna.refer(refer_to.format(host="{}:{}".format(*service.address))) == 202
            at_ben = await ben.incoming()
            at_ben.decline(486)
            await at_anna.was_told(486)
        await hear_each_other(call, at_anna, b_hz=HZ_ANNA)


async def test_a_number_outside_is_read_as_the_house_reads_numbers_and_paid_by_who_transfers(tmp_path):
    port = free_port()
    async with running(tmp_path, setup(port)) as service, carrier_phone(service, port) as carrier:
        call, at_anna, _ben = await in_conversation(service)
        for dialled in (
            "sip:0171%201234567@h",
            "sip:0171-1234567@h;user=phone",
            "sip:+49%20(171)%201234567@h",
            "sip:00491711234567;phone-context=+49@h",
            "tel:+49-171-1234567",
        ):
            at_anna.told.clear()
            assert await at_anna.refer(f"<{dialled}>") == 202
            outside = await carrier.incoming()
            assert outside.request.uri.user == OUTSIDE
            if dialled.startswith("sip:"):
                outside.decline(486)
                await at_anna.was_told(486)
        await outside.answer()
        await at_anna.ended()
        await hear_each_other(call, outside)
        call.hang_up()
        await outside.ended()
        (record,) = await service.cdrs()
    assert record.charge is not None


async def test_a_queue_or_menu_of_ours_has_the_customer_at_once(tmp_path):
    async with running(tmp_path) as service:
        call, at_anna, _ben = await in_conversation(service)
        assert await at_anna.refer("600") == 202
        await at_anna.was_told(200)
        await at_anna.ended()
        assert call.is_up


async def test_what_is_not_done_is_refused_and_both_go_on_talking(tmp_path):
    tenant = setup()
    rules = msgspec.structs.replace(tenant.dialling, classes=frozenset({"national"}))
    async with running(tmp_path, msgspec.structs.replace(tenant, dialling=rules)) as service:
        call, at_anna, _ben = await in_conversation(service)
        for refer_to, status in (
            ("<sip:12@h?Replaces=abc%3Bto-tag%3D1%3Bfrom-tag%3D2>", 501),
            ("<sip:12@h;method=BYE>", 501),
            ("<mailto:ben@demo.example>", 416),
            ("<https://demo.example/12>", 416),
            ("<sip:12@h>, <sip:13@h>", 400),
            ("<sip:%31", 400),
            ("<sip:h>", 404),
            ("<sip:999@h>", 404),
            (OUTSIDE, 403),  # a class of numbers that this tenant does not call
        ):
            assert await at_anna.refer(refer_to) == status, refer_to
        assert await at_anna.refer("12", headers=(("Refer-To", "<sip:600@h>"),)) == 400
        assert await call.refer("12") == 403  # a carrier
        await hear_each_other(call, at_anna, b_hz=HZ_ANNA)
        assert at_anna.told == call.told == []


async def test_who_does_not_want_to_know_is_told_nothing(tmp_path):
    """RFC 4488."""
    async with running(tmp_path) as service:
        call, at_anna, ben = await in_conversation(service)
        assert await at_anna.refer("12", headers=(("Refer-Sub", "false"), ("Require", "norefersub"))) == 200
        at_ben = await ben.incoming()
        await at_ben.answer()
        await at_anna.ended()
        await hear_each_other(call, at_ben)
        assert at_anna.told == []


async def test_a_second_transfer_while_the_first_is_under_way_gets_491(tmp_path):
    async with running(tmp_path) as service:
        call, at_anna, ben = await in_conversation(service)
        assert await at_anna.refer("12") == 202
        assert await at_anna.refer("600") == 491
        at_ben = await ben.incoming()
        await at_ben.answer()
        await hear_each_other(call, at_ben)


async def test_the_customer_who_hangs_up_meanwhile_ends_it_for_all(tmp_path):
    async with running(tmp_path) as service:
        call, at_anna, ben = await in_conversation(service)
        assert await at_anna.refer("12") == 202
        at_ben = await ben.incoming()
        call.hang_up()
        await at_anna.was_told(487)
        await asyncio.gather(at_anna.ended(), at_ben.ended())
        with pytest.raises(CallFailed):
            await at_ben.answered()


async def test_a_queue_that_is_closed_for_ever_hangs_up_on_nobody(tmp_path):
    closed = conf.Queue(id="shut", name="Shut", schedule="never", closed=conf.ToHangUp())
    tenant = setup()
    configuration = msgspec.structs.replace(
        tenant.configuration,
        queues=(*tenant.configuration.queues, closed),
        schedules=(conf.Schedule(id="never"),),
        numbers=(*tenant.configuration.numbers, conf.Number(number="609", target=conf.ToQueue(queue="shut"))),
    )
    async with running(tmp_path, msgspec.structs.replace(tenant, configuration=configuration)) as service:
        call, at_anna, _ben = await in_conversation(service)
        assert await at_anna.refer("609") == 202
        await at_anna.was_told(486)
        await hear_each_other(call, at_anna, b_hz=HZ_ANNA)
