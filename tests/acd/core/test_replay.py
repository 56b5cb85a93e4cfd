"""The journal is the truth: replay, snapshots, today's router on yesterday's inputs (U1, U2, U23)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.replay import Entry, decode, encode, fold, redrive, replay, restore, snapshot
from acd.core.routing.decision import winner
from tests.acd.core.day import Callers, elsewhere, hashes, live_hashes, write
from tests.acd.core.ledger import Ledger
from tests.acd.core.shell import Shell, call, house, open_house, queue


@pytest.fixture(scope="module")
def day() -> Shell:
    callers = Callers(seed=7, agents=20)
    callers.day(250, per_second=20 / 140)
    return callers


@pytest.mark.slow
def test_another_process_replays_the_day_with_equal_hashes_at_every_event(day: Shell, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(day.journal, path)
    here = live_hashes(day.journal)
    assert here[0] == len(day.events) > 5000
    assert elsewhere(path) == here


def test_the_books_of_a_day_close(day: Shell) -> None:
    ledger = Ledger()
    for event in day.events:
        ledger.note(event)
    ledger.closed()
    assert len(ledger.ended) == 250
    assert ledger.outcomes["answered"] > 150
    assert ledger.outcomes["offer no_answer"] > 0
    assert not ledger.recordings


def test_every_entry_survives_messagepack_and_json(day: Shell) -> None:
    entries = msgspec.json.Decoder(tuple[ev.Event, ...])
    for entry in day.journal:
        assert decode(encode(entry)) == entry
        assert entries.decode(msgspec.json.encode(entry.events)) == entry.events


def test_the_winner_of_every_offer_follows_from_its_record_alone(day: Shell) -> None:
    offers = day.of(ev.OfferMade)
    assert len(offers) > 150
    for offer in offers:
        assert winner(offer.decision) == offer.decision.chosen


def test_a_forged_record_is_found_out(day: Shell) -> None:
    decision = next(one.decision for one in day.of(ev.OfferMade) if len(one.decision.candidates) > 1)
    other = decision.candidates[1].agent
    forged = msgspec.structs.replace(decision, chosen=(other,))
    assert winner(forged) != forged.chosen
    with pytest.raises(ValueError, match="terms"):
        winner(msgspec.structs.replace(decision, term_names=("a", "b", "c")))
    with pytest.raises(ValueError, match="nobody"):
        winner(msgspec.structs.replace(decision, candidates=()))


def test_redriving_the_inputs_gives_the_same_decisions(day: Shell) -> None:
    assert redrive(day.journal, "demo") is None


def test_redriving_under_other_rules_names_the_first_difference() -> None:
    shell = open_house()
    call(shell, name="c")
    shell.run(3)
    changed = [
        Entry(one.seq, one.now, inp.Configured(configuration=house(queues=(queue(strategy="best_skill"),))), one.events)
        if isinstance(one.input, inp.Configured)
        else one
        for one in shell.journal
    ]
    difference = redrive(changed[2:], "demo", fold(changed[:1], "demo"))
    assert difference is not None
    difference = redrive(changed, "demo")
    assert difference is not None
    assert isinstance(difference.was, ev.ConfigurationChanged)


def test_a_snapshot_goes_on_where_the_engine_was(day: Shell) -> None:
    middle = len(day.journal) // 2
    first = fold(day.journal[:middle], "demo")
    again = restore(snapshot(first))
    assert again.state_hash() == first.state_hash()
    assert again.next_timeout() == first.next_timeout()
    assert redrive(day.journal[middle:], "demo", again) is None
    assert again.state_hash() == day.engine.state_hash()


def test_the_state_after_a_day_is_as_small_as_before() -> None:
    callers = Callers(seed=3, agents=5)
    before = len(snapshot(callers.engine))
    callers.day(60, per_second=0.05)
    assert len(snapshot(callers.engine)) < before + 6000
    assert {one.partition(" ")[0] for one in callers.engine.state.timers} <= {"binding"}


def test_hashes_differ_as_soon_as_one_event_does() -> None:
    shell = open_house()
    call(shell, name="c")
    shell.run(3)
    plain = list(replay(shell.journal, "demo"))
    late = [Entry(one.seq, one.now + (one.seq == 4) * 0.001, one.input, one.events) for one in shell.journal]
    assert hashes(late)[1] != hashes(shell.journal)[1]
    assert len(plain) == len(shell.events)


def test_live_figures_equal_the_report_folded_from_the_journal(day: Shell) -> None:
    """U14: one fold for both, so equality and not nearly."""
    from acd.core.state import statistics

    report = statistics.Statistics()
    for entry in day.journal:
        for event in entry.events:
            statistics.apply(report, event, entry.now)
    assert report == day.engine.state.statistics
    assert sum(tally.answered for tally in report.queues.values()) > 0 or report.day > 0


def test_whole_numbers_where_seconds_are_meant_do_not_make_another_state() -> None:
    configuration = house(queues=(queue(priority_s=60, ring_timeout_s=15, service_level_s=20, announce_every_s=30, after_call_work_s=5),))
    shell = open_house(configuration)
    shell.send(inp.DeviceRegistered(agent="anna", contact="sip:x", expires_at=1_850_000_000))
    call(shell, name="c")
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    again = fold([decode(encode(entry)) for entry in shell.journal], "demo")
    assert again.state_hash() == shell.engine.state_hash()


def test_time_never_goes_back() -> None:
    shell = open_house()
    call(shell, name="c")
    shell.engine.handle(inp.TimePassed(), shell.now - 3600)
    assert shell.engine.describe()["clock"] == shell.now
