"""A word of the journal is for ever: each version's vocabulary is written down, and every version reads in the next one."""

import json

import msgspec
import pytest

from acd.core.events import Event
from acd.core.ids import AgentId
from acd.core.inputs import GoReady
from acd.core.replay import Entry, encode
from acd.journal import words
from tests.releases.vectors import KINDS
from tests.releases.words import RELEASED, path_of, vocabulary


def of(version: int) -> dict:
    return json.loads(path_of(version).read_text())


def test_the_words_of_the_code_are_those_written_down_for_their_version():
    now, there = vocabulary(), of(words.WORDS)
    others = sorted(word for word in now.keys() | there.keys() if now.get(word) != there.get(word))
    assert not others, (
        f"tests/vectors/words/{words.WORDS}.json has {', '.join(others)} otherwise, or not at all: python -m tests.releases.words; "
        "if a release wrote it (RELEASED of tests/releases/words.py), first raise WORDS and add a step in acd/journal/words.py"
    )
    assert path_of(1).exists()


@pytest.mark.parametrize("version", range(1, words.WORDS))
def test_a_version_without_a_step_of_its_own_reads_as_it_is_in_the_next(version):
    """Then every word and field of it is there still, and what is new need not be."""
    if words.STEPS[version] is not words._as_it_is:
        return  # its step has a test of its own, on entries of that version
    before, after = of(version), of(version + 1)
    assert before.keys() <= after.keys()
    for word, fields in before.items():
        assert fields.keys() <= after[word].keys(), word
        assert not [name for name, field in after[word].items() if name not in fields and field["required"]], word


def test_each_release_s_words_are_known_as_released():
    """Whoever adds what a release left (tests/vectors/releases) says which version it wrote: nobody writes that one anew."""
    assert set(RELEASED.values()) == KINDS.keys(), "RELEASED of tests/releases/words.py and KINDS of tests/releases/vectors.py name others"
    assert max(RELEASED) <= words.WORDS


def test_every_version_has_its_step():
    assert sorted(words.STEPS) == list(range(1, words.WORDS))


def test_a_renamed_word_and_a_renamed_field_are_read_through_their_step(monkeypatch):
    """Two made-up versions ago it was called `AgentWilling`, with `person` for `agent`."""

    def rename_word(entry):
        if entry[2]["type"] == "AgentWilling":
            entry[2]["type"] = "GoReady"
        return entry

    def rename_field(entry):
        if entry[2]["type"] == "GoReady":
            entry[2]["agent"] = entry[2].pop("person")
        return entry

    now = words.WORDS
    monkeypatch.setattr(words, "WORDS", now + 2)
    monkeypatch.setattr(words, "STEPS", words.STEPS | {now: rename_word, now + 1: rename_field})
    old = msgspec.msgpack.encode([7, 1.5, {"type": "AgentWilling", "person": "anna"}, []])
    assert words.read(old, now) == Entry(7, 1.5, GoReady(agent=AgentId("anna")), ())
    assert words.read(encode(Entry(8, 2.5, GoReady(agent=AgentId("ben")), ())), now + 2).seq == 8


def test_a_field_that_nobody_knows_is_refused_and_not_silently_lost():
    payload = msgspec.msgpack.encode([7, 1.5, {"type": "GoReady", "agent": "anna", "mood": "good"}, []])
    with pytest.raises(msgspec.ValidationError, match="mood"):
        words.read(payload, words.WORDS)


def test_every_event_and_input_refuses_what_it_does_not_know():
    lenient = [kind.__name__ for kind in Event.__args__ if not kind.__struct_config__.forbid_unknown_fields]
    assert not lenient, f"acd/core/events.py: {', '.join(lenient)} take fields that nobody knows (forbid_unknown_fields)"
