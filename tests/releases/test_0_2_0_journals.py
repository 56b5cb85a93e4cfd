"""Journals that 0.2.0 wrote, read with today's code: they lead where they led, and every input is decided as it was.

DIFFERENCES against 0.2.0, each with its reason (DECIDED_OTHERWISE has the events):
1. A recording goes on through a transfer, silent while nobody talks; in 0.2.0 it ended there, and another began when somebody talked again.
2. A start begins no recording in the place of one that the crash has cut: there is nobody left to be recorded.
"""

import json
from collections import Counter

import pytest

from acd.core.ids import TenantId
from acd.core.replay import redrive
from tests.releases.read_again import calls_left_up, entries_of, journals, snapshots_in, state_after, tenants_in
from tests.releases.redriven import Kind, redriven
from tests.releases.vectors import HOUSES, vectors
from tests.releases.words import path_of

DECIDED_OTHERWISE = {
    "pruefstand": {
        Kind("Transfer", None, "RecordingPaused"): 2,
        Kind("LegReferred", None, "RecordingPaused"): 4,
        Kind("LegFailed", "RecordingBegan", None): 1,
        Kind("ServiceStarted", "RecordingBegan", None): 1,
    }
}
"""Tenant -> what it looks like, and how often."""
NEVER_TOLD = {(word, "dialog") for word in ("CallArrived", "EarlyMediaArrived", "LegAlerting", "LegAnswered")}
"""A dialog is written with the event, not with the input."""


@pytest.mark.parametrize(("vector", "tenant"), list(journals("0.2.0")))
def test_the_journal_is_read_whole_and_leads_to_the_state_it_led_to_then(vector, tenant, unpacked):
    assert state_after(entries_of(vector, tenant, unpacked), tenant) == vector.journals[tenant]["state"]


@pytest.mark.parametrize(("vector", "tenant"), list(journals("0.2.0")))
def test_every_input_is_decided_as_it_was(vector, tenant, unpacked):
    entries = entries_of(vector, tenant, unpacked)
    otherwise = DECIDED_OTHERWISE.get(tenant, {})
    assert Counter(one.kind for one in redriven(entries, TenantId(tenant))) == otherwise  # what differs, entry by entry
    if not otherwise:
        assert redrive(entries, TenantId(tenant)) is None  # and one engine that is never told what was decided comes to the same


@pytest.mark.parametrize("vector", vectors("0.2.0"), ids=str)
def test_a_vector_holds_what_its_readme_says(vector, unpacked):
    """Who takes an entry out of a vector by accident takes a word out of the tests."""
    data = unpacked(vector)
    assert tenants_in(data) == set(HOUSES["0.2.0"][vector.house]) == set(vector.journals)
    assert snapshots_in(data) == {"orderly": set(vector.tenants), "killed": {"hotel"}, "given": set()}[vector.house]
    assert calls_left_up(vector) == {"orderly": {}, "killed": {"cafe": 5, "hotel": 1}, "given": {"pruefstand": 4}}[vector.house]
    assert all(told["read_by_the_release"] for told in vector.journals.values())


def test_every_word_of_the_release_occurs_and_every_field_says_something_at_least_once():
    """Version 2 has 68 events and 42 inputs; with the values they hold (the configuration's, decisions) 144 kinds."""
    vocabulary = json.loads(path_of(2).read_text())
    journals_told = [told for vector in vectors("0.2.0") for told in vector.journals.values()]
    assert len({word for told in journals_told for word in told["events"]}) == 68
    assert len({word for told in journals_told for word in told["inputs"]}) == 42
    found = {word for told in journals_told for word in told["words"]}
    fields = {(word, field) for told in journals_told for word, fields in told["words"].items() for field in fields}
    assert found == vocabulary.keys()
    assert fields == {(word, field) for word, known in vocabulary.items() for field in known} - NEVER_TOLD
