"""The measure itself: a journal that was doctored shows what was done to it, all of that and nothing else."""

from collections import Counter

import msgspec

from acd.core.events import LegMeasured, SignOfLifeGiven, Started
from acd.core.ids import TenantId
from acd.core.inputs import ServiceStarted
from acd.core.replay import redrive
from tests.releases.read_again import entries_of
from tests.releases.redriven import Kind, redriven
from tests.releases.vectors import Vector

VEREIN = TenantId("verein")
"""Killed in mid-call and started again."""


def doctored(entries, change):
    return [msgspec.structs.replace(entry, events=tuple(change(entry))) for entry in entries]


def verein(unpacked):
    return entries_of(Vector("0.2.0", "sqlite", "killed"), VEREIN, unpacked)


def test_every_event_that_is_not_in_the_journal_and_is_decided_now_is_found(unpacked):
    entries = verein(unpacked)
    times = Counter(type(entry.input).__name__ for entry in entries for event in entry.events if type(event) is LegMeasured)
    assert times.keys() == {"QualityMeasured", "ServiceStarted"}
    silent = doctored(entries, lambda entry: [one for one in entry.events if type(one) is not LegMeasured])
    found = list(redriven(silent, VEREIN))
    assert Counter(one.kind for one in found) == {Kind(word, None, "LegMeasured"): count for word, count in times.items()}
    assert redrive(silent, VEREIN).seq == found[0].seq  # which stops there


def test_an_event_that_nobody_decides_now_is_found_where_it_stands(unpacked):
    entries = verein(unpacked)
    longer = doctored(entries, lambda entry: [*entry.events, SignOfLifeGiven()] if entry is entries[4] else entry.events)
    (found,) = redriven(longer, VEREIN)
    assert (found.seq, found.kind) == (5, Kind(type(entries[4].input).__name__, "SignOfLifeGiven", None))


def test_an_event_that_says_something_else_now_is_found_with_what_it_says(unpacked):
    entries = verein(unpacked)
    (*_, last) = [entry for entry in entries if type(entry.input) is ServiceStarted]
    changed = doctored(entries, lambda entry: [Started() if type(one) is Started and entry is last else one for one in entry.events])
    (found,) = redriven(changed, VEREIN)
    assert (found.seq, found.kind) == (last.seq, Kind("ServiceStarted", "Started", "Started"))
    assert (found.was, found.is_now) == (Started(), last.events[0])
    assert len(found.fields) == 1
