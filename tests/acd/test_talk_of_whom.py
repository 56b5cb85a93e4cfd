"""docs/figures.md §4: the agent, the queue and the wait of a call are the same in its record, in the log and in the list of recordings."""

from __future__ import annotations

import datetime as dt
import logging
from itertools import pairwise
from typing import Any

import pytest

from acd.call_log import CallLog
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Number as Dialled
from acd.core.configuration import Overflow, ToAgent, ToOutside, ToQueue, Trunk
from acd.core.replay import Entry, restore, snapshot
from acd.ledger import Ledger
from billing_cdr.cdr import Cdr
from billing_cdr.recorded import recorded
from tests.acd.core.shell import Phone, agent, house, open_house, queue
from tests.acd.core.storm import Storm
from tests.acd.test_call_log import DIALOG
from tests.acd.test_ledger import Books, arrives
from tests.reference.stories import story

NEAR_S = 0.0501 + 0.002
"""The log says tenths of a second; the record cuts each instant to the millisecond."""


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO, "acd.calls")
    return Lines(caplog)


class Lines:
    """What the log said."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def of(self, event: str) -> list[Any]:
        return [one for one in self._caplog.records if getattr(one, "event", "") == event]

    def forget(self) -> None:
        self._caplog.clear()


def told(line: Any, *names: str) -> tuple[Any, ...]:
    return tuple([getattr(line, name, None) for name in names])


def two_queues(**phones: Phone) -> Books:
    """601 leads to `support`, whose agent is anna, 602 to `sales`, whose is ben, 700 to anna; both queues are recorded."""
    configuration = house(
        agents=(agent("anna"), agent("ben", skills={}), agent("cleo", skills={}, extension="23")),
        queues=(
            queue(greeting=(), announce_position=False, record=True, overflow=(Overflow(target=ToAgent(agent="cleo"), max_wait_s=40.0),)),
            queue("sales", requirements=(), members=("ben",), greeting=(), announce_position=False, record=True),
        ),
        trunks=(Trunk(id="pbx", name="PBX"), Trunk(id="out", name="Carrier")),
        numbers=(Dialled(number="700", target=ToAgent(agent="anna")),),
        recording_notice=False,
    )
    return Books(open_house(configuration, **phones))


def logged(books: Books) -> None:
    log = CallLog("t")  # type: ignore[arg-type]
    for entry in books.shell.journal:
        log.told(entry)


def transferred(called: str, to: Any = ToQueue(queue="sales")) -> Books:  # noqa: B008 - frozen
    """Anna answers after 5 s, talks for 20 and sends the caller on to whoever answers after 9 s and talks for 30."""
    books = two_queues(anna=Phone(answers_after_s=5.0), ben=Phone(answers_after_s=9.0), cleo=Phone(answers_after_s=9.0))
    arrives(books.shell, called, dialog=DIALOG)
    books.shell.run(25)
    books.shell.send(inp.Transfer(agent="anna", call="c", target=to))
    books.shell.run(39)
    books.shell.send(inp.LegReleased(leg="c-in"))
    return books


def test_a_transferred_calls_record_has_agent_and_queue_of_its_first_talk(said: Lines) -> None:
    """It said anna and `sales`, where anna never took a call."""
    books = transferred("601")
    cdr = books.only()
    logged(books)
    assert (cdr.agent, cdr.queue) == ("anna", "support")
    assert [told(one, "agent", "queue", "waited_s") for one in said.of("answer")] == [("anna", "support", 5.0), ("ben", "sales", 9.0)]
    (end,) = said.of("end")
    assert told(end, "agent", "queue", "talk_s", "duration_s") == ("anna", "support", 50.0, 64.0)


def test_a_recording_has_the_queue_of_the_talk_it_began_in_and_everybody_who_came() -> None:
    cdr = transferred("601").only()
    (one,) = recorded(cdr)
    assert ([leg.agent for leg in one.legs], one.queue) == ([None, "anna", "ben"], "support")


def test_a_talk_for_which_nobody_waited_has_no_queue_though_the_call_waits_later(said: Lines) -> None:
    books = transferred("700")
    cdr = books.only()
    logged(books)
    assert (cdr.agent, cdr.queue, cdr.queue_ms) == ("anna", None, 9_000)
    assert [told(one, "agent", "queue", "waited_s") for one in said.of("answer")] == [("anna", None, None), ("ben", "sales", 9.0)]
    assert [one.queue for one in recorded(cdr)] == ["sales"]
    assert told(said.of("end")[0], "agent", "queue") == ("anna", None)


def test_a_talk_after_a_transfer_to_a_colleague_has_no_queue(said: Lines) -> None:
    books = transferred("601", ToAgent(agent="cleo"))
    cdr = books.only()
    logged(books)
    assert (cdr.agent, cdr.queue) == ("anna", "support")
    assert [told(one, "agent", "queue", "waited_s") for one in said.of("answer")] == [("anna", "support", 5.0), ("cleo", None, None)]


def test_who_dialled_out_and_sent_the_other_on_is_the_agent_of_the_first_talk(said: Lines) -> None:
    """It said ben, who came later."""
    books = two_queues(anna=Phone(answers_after_s=2.0), ben=Phone(answers_after_s=9.0), out=Phone(answers_after_s=4.0))
    books.shell.send(inp.Dial(agent="anna", call="c", number="+4930123456"))
    books.shell.run(30)
    books.shell.send(inp.Transfer(agent="anna", call="c", target=ToQueue(queue="sales")))
    books.shell.run(40)
    books.shell.send(inp.HangUp(agent="ben", call="c"))
    cdr = books.only()
    logged(books)
    assert (cdr.agent, cdr.queue) == ("anna", None)
    assert told(said.of("end")[0], "agent", "queue") == ("anna", None)
    assert told(said.of("answer")[-1], "agent", "queue", "waited_s") == ("ben", "sales", 9.0)
    assert [one.queue for one in recorded(cdr)] == ["sales"]


def test_a_talk_that_an_overflow_led_to_has_the_queue_and_no_wait_for_an_answer(said: Lines) -> None:
    books = two_queues(anna=Phone(answers_after_s=None), cleo=Phone(answers_after_s=3.0))
    books.shell.send(inp.GoNotReady(agent="anna", reason="break"))
    arrives(books.shell, "601")
    books.shell.run(60)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    logged(books)
    assert (cdr.agent, cdr.queue, cdr.queue_ms) == ("cleo", "support", 40_000)
    assert [told(one, "agent", "queue", "waited_s") for one in said.of("answer")] == [("cleo", "support", None)]


def test_where_nobody_talked_the_queue_is_the_one_waited_in_last(said: Lines) -> None:
    books = two_queues(anna=Phone(answers_after_s=None), cleo=Phone(answers_after_s=None))
    arrives(books.shell, "601")
    books.shell.run(30)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    logged(books)
    assert (cdr.agent, cdr.queue) == (None, "support")
    assert told(said.of("end")[0], "agent", "queue", "talk_s") == (None, "support", None)


def test_a_clock_that_is_set_moves_no_length_of_the_log(said: Lines) -> None:
    """docs/figures.md §1: an hour forward while the caller waits, another while they talk."""
    books = two_queues(anna=Phone(answers_after_s=5.0))
    arrives(books.shell, "601")
    for _ in range(2):
        books.shell.run(4)
        books.shell.now += 3_600
        books.shell.agenda = [(at + 3_600, ticket, fact) for at, ticket, fact in books.shell.agenda]
        books.shell.send(inp.ClockStepped(by_s=3_600.0))
        books.shell.run(6)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    logged(books)
    assert (cdr.duration_ms, cdr.queue_ms, cdr.talk_ms) == (20_000, 5_000, 15_000)
    assert told(said.of("answer")[0], "waited_s") == (5.0,)
    assert told(said.of("end")[0], "duration_s", "talk_s") == (20.0, 15.0)


# ---------------------------------------------------------------------- after a crash


def agrees(end: Any, cdr: Cdr) -> None:
    """What the end of a call in the log says is what the record says."""
    assert told(end, "agent", "queue", "cause") == (cdr.agent, cdr.queue, cdr.cause), cdr.id
    assert end.duration_s == pytest.approx(cdr.duration_ms / 1000, abs=NEAR_S), cdr.id
    assert (getattr(end, "talk_s", None) is None) == (cdr.answered_at is None), cdr.id
    assert getattr(end, "talk_s", 0.0) == pytest.approx(cdr.talk_ms / 1000, abs=NEAR_S), cdr.id
    assert getattr(end, "hold_s", 0.0) == pytest.approx(cdr.hold_ms / 1000, abs=NEAR_S), cdr.id


@pytest.mark.parametrize("from_snapshot", [False, True])
def test_after_a_crash_the_log_says_what_the_record_says(said: Lines, from_snapshot: bool) -> None:
    """Anna talks for 20 s, ben for 21 until the last sign of life; the service is away for 1,000 s, and another process comes back."""
    books = two_queues(anna=Phone(answers_after_s=5.0), ben=Phone(answers_after_s=9.0))
    shell = books.shell
    arrives(shell, "601", dialog=DIALOG)
    shell.run(25)
    shell.send(inp.Transfer(agent="anna", call="c", target=ToQueue(queue="sales")))
    shell.run(30)
    shell.send(inp.SignOfLife())
    books.close()
    log = CallLog("t")  # type: ignore[arg-type]
    if from_snapshot:
        ledger = Ledger("t")  # type: ignore[arg-type]
        ledger.restore(books.ledger.snapshot())
        log.take_up(restore(snapshot(shell.engine)).state, ledger)
    else:
        for entry in shell.journal:
            log.told(entry)
    read = len(shell.journal)
    shell.now += 1_000
    shell.send(inp.ServiceStarted())
    for entry in shell.journal[read:]:
        log.told(entry)
    books.close()
    (cdr,) = books.records
    (end,) = said.of("end")
    assert told(end, "agent", "queue", "cause", "trunk") == ("anna", "support", "restart", "pbx")
    assert told(end, "duration_s", "talk_s", "sip_call_id") == (55.0, 41.0, 'a b"@x')
    agrees(end, cdr)


def test_a_hold_that_a_crash_ends_and_a_caller_who_has_gone_are_known_to_the_next_process(said: Lines) -> None:
    """Ben's phone calls anna, ben sends her to cleo: the leg that called is gone when the crash comes. Cleo holds."""
    books = two_queues(anna=Phone(answers_after_s=5.0), cleo=Phone(answers_after_s=9.0))
    shell = books.shell
    shell.send(inp.CallArrived(call="c", leg="c-in", trunk=None, agent="ben", calling="22", called="700", dialog=DIALOG))
    shell.run(10)
    shell.send(inp.Transfer(agent="ben", call="c", target=ToAgent(agent="cleo")))
    shell.run(10)
    shell.send(inp.Hold(agent="cleo", call="c"))
    shell.run(7)
    shell.send(inp.SignOfLife())
    books.close()
    log = CallLog("t")  # type: ignore[arg-type]
    log.take_up(shell.engine.state, books.ledger)
    shell.now += 50
    shell.send(inp.ServiceStarted())
    log.told(shell.journal[-1])
    books.close()
    (cdr,) = books.records
    (end,) = said.of("end")
    assert told(end, "agent", "talk_s", "hold_s", "duration_s", "sip_call_id") == ("anna", 6.0, 7.0, 27.0, 'a b"@x')
    agrees(end, cdr)


# ---------------------------------------------------------------------- random conversations


def overflows_into_itself(entries: list[Entry]) -> bool:
    """Two stays in the same queue, one after the other, are one segment where the same caused them (docs/figures.md §3)."""
    stays = [event.queue for entry in entries for event in entry.events if isinstance(event, ev.Queued)]
    return any(before == after for before, after in pairwise(stays))


def waits(cdr: Cdr) -> list[tuple[str, float]]:
    """The stays in queues that ended with an answer."""
    return [(one.party, one.duration_ms / 1000) for one in cdr.segments if one.kind == "queue" and one.outcome == "answered"]


@pytest.mark.slow
def test_log_and_record_of_random_conversations_agree(said: Lines) -> None:
    """Agent, queue, talk, hold and length at the end; queue and wait of each answer. Crashes and transfers are among them."""
    log = CallLog("t")  # type: ignore[arg-type]
    seen = {"restart": 0, "transfer": 0, "second wait": 0}
    for seed in range(1_500):
        said.forget()
        one, ledger = story(seed), Ledger("t")  # type: ignore[arg-type]
        records: list[Cdr] = []
        for entry in one.entries:
            records += ledger.apply(entry).records
            log.told(entry)
        (cdr,) = [*records, *ledger.finish(one.call).records]
        agrees(said.of("end")[0], cdr)
        if said.of("answer"):
            assert told(said.of("answer")[0], "queue") == (cdr.queue,), seed
        answers = [told(line, "queue", "waited_s") for line in said.of("answer")]
        waited = [answer for answer in answers if answer[1] is not None]
        if overflows_into_itself(one.entries):
            continue
        assert [queue for queue, _ in waited] == [queue for queue, _ in waits(cdr)], seed
        assert [wait for _, wait in waited] == pytest.approx([wait for _, wait in waits(cdr)], abs=NEAR_S), seed
        seen["restart"] += cdr.cause == "restart"
        seen["transfer"] += bool(cdr.transferred_by)
        seen["second wait"] += len(answers) > 1 and answers[-1][1] is not None
    assert min(seen.values()) > 20, seen


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whenever_the_machine_stops_the_next_process_says_what_the_records_say(said: Lines, seed: int) -> None:
    """A new log each time, which knows the calls by snapshots alone."""
    storm = Storm(seed + 70)
    storm.mixed = 0.0
    storm.keep_journal = True
    storm.open()
    ledger = Ledger("storm")  # type: ignore[arg-type]
    records: dict[str, Cdr] = {}
    talked = 0

    def fold(entries: list[Entry]) -> None:
        for entry in entries:
            records.update({cdr.id: cdr for cdr in ledger.apply(entry).records})
        entries.clear()

    for _ in range(25):
        for _ in range(100):
            storm.draw()
        fold(storm.journal)
        log, kept = CallLog("storm"), Ledger("storm")  # type: ignore[arg-type]
        kept.restore(ledger.snapshot())
        log.take_up(restore(snapshot(storm.engine)).state, kept)
        said.forget()
        up = set(storm.engine.state.calls)
        storm.now += 500
        storm.give(inp.ServiceStarted())
        for entry in storm.journal:
            log.told(entry)
        fold(storm.journal)
        ends = {line.call: line for line in said.of("end")}
        assert ends.keys() == up
        for call, end in ends.items():
            agrees(end, records[call])
            talked += records[call].talk_ms > 0
    assert talked > 5


def test_what_lies_before_a_crash_is_no_part_of_the_next_ones_answer() -> None:
    """`so_far` changes nothing: the conversation goes on as if nobody had asked."""
    books = two_queues(anna=Phone(answers_after_s=5.0))
    arrives(books.shell, "601")
    books.shell.run(25)
    books.close()
    so_far = books.ledger.so_far("c")
    assert so_far is not None
    assert (so_far.agent, so_far.talk_ms, so_far.ended_at) == ("anna", 0, so_far.answered_at)
    assert books.ledger.so_far("none") is None
    books.shell.run(10)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert (cdr.cause, cdr.talk_ms, cdr.ended_at - cdr.began_at) == ("hang_up", 30_000, dt.timedelta(seconds=35))


def test_forwarded_outside_by_its_queue_a_call_is_the_queues(said: Lines) -> None:
    configuration = house(
        queues=(
            queue(greeting=(), announce_position=False, overflow=(Overflow(target=ToOutside(number="+4930123456"), max_wait_s=10.0),)),
        ),
        trunks=(Trunk(id="pbx", name="PBX"), Trunk(id="out", name="Carrier")),
    )
    books = Books(open_house(configuration, ready=False, out=Phone(answers_after_s=4.0)))
    arrives(books.shell, "601")
    books.shell.run(40)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    logged(books)
    assert (cdr.agent, cdr.queue, cdr.outcome) == (None, "support", "answered")
    assert told(said.of("end")[0], "agent", "queue") == (None, "support")
