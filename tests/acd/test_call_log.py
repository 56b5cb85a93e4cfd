"""A line when a call begins, when it is answered, when it ends: over a whole service, so that the events are those of real calls."""

import logging

import pytest

from acd.call_log import CallLog, masked
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.ids import AgentId, CallId, LegId, TenantId
from acd.core.inputs import LogOn
from acd.core.replay import Entry
from tests.acd.test_restart import another_run, until
from tests.acd.voice import TENANT, running, setup

DIALOG = '["offered",["udp","192.0.2.1",5060,"192.0.2.9",5060],"a b\\"@x",1,"sip:600@x",[],"<sip:a@b>","<sip:600@x>","tag",""]'


def entry(seq, now, *events):
    return Entry(seq=seq, now=now, input=inp.TimePassed(), events=events)


def offered(**more):
    fields = {"call": CallId("c1"), "direction": "inbound", "calling": "+493023125010", "calling_name": None, "called": "600", "trunk": "t"}
    return ev.CallOffered(**(fields | {"agent": None, "number": "600", "country": None, "language": "de"} | more))


def begun(log, **more):
    leg = ev.LegInitiated(leg=LegId("c1.0"), call=CallId("c1"), role="caller", arrived=True, dialog=DIALOG)
    log.told(entry(1, 100.0, offered(**more), leg))


def fields_of(line):
    return [pair.partition("=")[0] for pair in line.split(" ")[1:]]


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "acd.calls")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "acd.calls"]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+493023125010", "*010"),
        ("600", "600"),
        ("8123", "8123"),
        ("12345", "*345"),
        ("+49 (30) 2312-5010", "*010"),
        ("erika.muster", "eri*"),
        ("caller", "cal*"),
        ("0049erika", "004*"),
        ("anna", "anna"),
        ("", ""),
    ],
)
def test_of_a_number_the_last_three_digits_are_shown_of_a_name_the_first_and_what_is_short_stays(number, shown):
    assert masked(number) == shown


def test_begin_names_who_calls_whom_over_what(lines):
    begun(CallLog(TenantId("acme")))
    assert lines() == [
        '> call=c1 tenant=acme event=begin direction=inbound from=*010 to=600 trunk=t sip_call_id="a b\\"@x"',
    ]


def test_begin_of_a_call_that_an_agent_places_names_the_agent(lines):
    begun(CallLog(TenantId("acme")), direction="outbound", agent="anna", calling="21", called="+4989111222", trunk=None)
    assert "event=begin direction=outbound from=21 to=*222 agent=anna" in lines()[0]


def test_full_numbers_are_a_setting(lines):
    begun(CallLog(TenantId("acme"), masks_numbers=False))
    assert "from=+493023125010" in lines()[0]


def test_what_a_stranger_sends_stays_one_value_of_one_line(lines):
    begun(CallLog(TenantId("acme"), masks_numbers=False), calling='x cause=hang_up\n> call=2 "')
    assert 'from="x cause=hang_up\\n> call=2 \\""' in lines()[0]
    assert "\n" not in lines()[0]


def test_caller_who_gives_up_is_named_with_cause_and_times(lines):
    log = CallLog(TenantId("acme"))
    begun(log)
    log.told(entry(2, 101.0, ev.Queued(contact=CallId("c1"), entry="e", queue="support", position=1)))
    log.told(
        entry(
            3, 108.26, ev.LegCleared(leg=LegId("c1.0"), cause="hang_up", by="party"), ev.CallCleared(call=CallId("c1"), cause="abandoned")
        )
    )
    assert lines()[1] == (
        'x call=c1 tenant=acme event=end cause=abandoned by=caller queue=support trunk=t duration_s=8.3 sip_call_id="a b\\"@x"'
    )


def test_call_that_died_of_silence_says_so(lines):
    log = CallLog(TenantId("acme"))
    begun(log)
    log.told(
        entry(
            2, 160.0, ev.LegCleared(leg=LegId("c1.0"), cause="media_silent", by="party"), ev.CallCleared(call=CallId("c1"), cause="hang_up")
        )
    )
    assert "cause=hang_up by=caller leg_cause=media_silent" in lines()[1]


def test_an_attempt_that_was_refused_on_the_way_has_ended_nothing(lines):
    """Anna sends a call outside, one trunk is full, the next answers, the caller hangs up: it said `by=forward leg_cause=congestion`."""
    log = CallLog(TenantId("acme"))
    begun(log)
    call, caller, anna, full, out = CallId("c1"), LegId("c1.0"), LegId("c1.1"), LegId("c1.2"), LegId("c1.3")
    log.told(
        entry(2, 101.0, ev.LegInitiated(leg=anna, call=call, role="agent", agent="anna"), ev.CallEstablished(call=call, a=caller, b=anna))
    )
    log.told(
        entry(
            3,
            110.0,
            ev.CallTransferred(call=call, by="anna", to="+4930123"),
            ev.LegCleared(leg=anna, cause="transferred", by="exchange"),
            ev.LegInitiated(leg=full, call=call, role="forward", number="+4930123"),
        )
    )
    log.told(entry(4, 111.0, ev.LegCleared(leg=full, cause="congestion", by="party", status=503)))
    log.told(
        entry(
            5, 112.0, ev.LegInitiated(leg=out, call=call, role="forward", number="+4930123"), ev.CallEstablished(call=call, a=caller, b=out)
        )
    )
    log.told(
        entry(
            6,
            120.0,
            ev.LegCleared(leg=caller, cause="hang_up", by="party"),
            ev.LegCleared(leg=out, cause="hang_up", by="exchange"),
            ev.CallCleared(call=call, cause="hang_up"),
        )
    )
    assert "event=end cause=hang_up by=caller status=503 agent=anna" in lines()[-1]


def test_pressed_key_is_in_no_line(lines):
    log = CallLog(TenantId("acme"))
    begun(log)
    log.told(entry(2, 101.0, ev.DigitReceived(call=CallId("c1"), leg=LegId("c1.0"), digit="7")))
    assert len(lines()) == 1


def test_nothing_is_kept_of_calls_that_are_over(lines):
    log = CallLog(TenantId("acme"))
    begun(log)
    log.told(entry(2, 101.0, ev.CallCleared(call=CallId("c1"), cause="not_found")))
    assert (log._calls, log._legs) == ({}, {})
    assert len(lines()) == 2


def missed(outcome, reason):
    done = ev.WorkDone(agent=AgentId("anna"), contact=CallId("c1"), outcome=outcome)
    return done, ev.AgentNotReady(agent=AgentId("anna"), reason=reason)


@pytest.mark.parametrize(("outcome", "reason"), [("no_answer", "no_answer"), ("failed", "device_failed")])
def test_agent_made_not_ready_by_a_call_that_was_not_taken_is_named_with_it(lines, outcome, reason):
    log = CallLog(TenantId("acme"))
    begun(log)
    log.told(entry(2, 101.0, ev.Queued(contact=CallId("c1"), entry="e1", queue="support", position=1)))
    log.told(entry(3, 121.0, *missed(outcome, reason)))
    assert lines()[1:] == [f"= call=c1 tenant=acme event=not_ready queue=support agent=anna reason={reason}"]


def test_agent_who_asks_not_to_be_ready_is_in_no_line(lines):
    log = CallLog(TenantId("acme"))
    log.told(entry(1, 100.0, *missed("no_answer", "no_answer")))
    log.told(entry(2, 101.0, ev.AgentNotReady(agent=AgentId("anna"), reason="no_answer")))
    log.told(entry(3, 102.0, *missed("handled", "break")))
    assert len(lines()) == 1


@pytest.mark.slow
async def test_missed_ring_of_a_real_call_is_said_once(lines, tmp_path):
    async with running(tmp_path) as service:
        phone = await service.phone("anna")
        await service.voice.command(TENANT, LogOn(agent=AgentId("anna"), ready=True))
        call = await (await service.caller("+493023125010")).call("601")
        offer = await phone.incoming()
        offer.decline(408)
        call.hang_up()
        await service.cdrs(1)
    assert [line.split(" ", 3)[3] for line in lines() if "event=not_ready" in line] == [
        "event=not_ready queue=support agent=anna reason=no_answer"
    ]


@pytest.mark.slow
async def test_real_call_leaves_three_lines_with_its_ids(lines, tmp_path):
    async with running(tmp_path) as service:
        phone = await service.phone("anna")
        await service.voice.command(TENANT, LogOn(agent=AgentId("anna"), ready=True))
        call = await (await service.caller("+493023125010")).call("601")
        offer = await phone.incoming()
        await offer.answer()
        await call.answered()
        call.hang_up()
        await offer.ended()
        await service.cdrs(1)
        begin, answer, end = lines()
    assert fields_of(begin) == ["call", "tenant", "event", "direction", "from", "to", "trunk", "sip_call_id"]
    assert fields_of(answer) == ["call", "tenant", "event", "queue", "agent", "waited_s", "sip_call_id"]
    assert fields_of(end)[:9] == ["call", "tenant", "event", "cause", "by", "queue", "agent", "trunk", "duration_s"]
    assert "queue=support agent=anna" in answer
    assert "cause=hang_up by=caller" in end
    assert len({line.split(" ")[1] for line in (begin, answer, end)}) == 1
    assert f"sip_call_id={offer.request.call_id}" in answer


@pytest.mark.slow
async def test_call_cut_by_a_crash_is_said_by_the_next_run_as_its_record_has_it(lines, tmp_path):
    """The journal holds a call that no process knows any more: the start that ends it says so, with the people and times of the journal."""
    tenant = setup()
    (tmp_path / "before").mkdir()
    async with running(tmp_path / "before", tenant) as service:
        phone = await service.phone("anna")
        await service.voice.command(TENANT, LogOn(agent=AgentId("anna"), ready=True))
        call = await (await service.caller()).call("601")
        offer = await phone.incoming()
        await offer.answer()
        await call.answered()
        await until(lambda: any("event=answer" in line for line in lines()))
        async with another_run(service, tenant, tmp_path):
            await call.ended()
            (entry,) = await service.cdrs(1)
    (begin, end) = (next(line for line in lines() if f"event={event} " in line) for event in ("begin", "end"))
    cdr = entry.cdr
    assert (cdr.cause, cdr.agent, cdr.queue, cdr.trunk) == ("restart", "anna", "support", "callers")
    assert "event=end cause=restart queue=support agent=anna trunk=callers duration_s=" in end
    said = dict(pair.split("=", 1) for pair in end.split(" ")[1:])
    assert float(said["duration_s"]) == pytest.approx(cdr.duration_ms / 1000, abs=0.052)
    assert float(said["talk_s"]) == pytest.approx(cdr.talk_ms / 1000, abs=0.052)
    assert end.rpartition(" ")[2] == begin.rpartition(" ")[2] == f"sip_call_id={cdr.legs[0].sip_call_id}"
