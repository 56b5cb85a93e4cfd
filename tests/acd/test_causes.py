"""One vocabulary: whatever core and switch can say of an end has its row in both tables (docs/figures.md §6)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.causes import CAUSES, sentence
from acd.enders import ENDED_BY, Ender
from acd.switch import causes
from billing_cdr.causes import CUTS, OUTCOMES, Outcome, outcome_of
from tests.acd.core.storm import Storm

CORE = Path(__file__).parents[2] / "acd" / "core"
SAYS = {"clear_call": 2, "clear_leg": 2, "end_leg": 2, "turn_away": 2, "announce": 3, "failed": 3, "party_left": 3, "withdraw_offer": 3}
"""Function -> place of the cause among its arguments."""


def _words(node: ast.expr) -> Iterator[str]:
    """Every text an argument may be."""
    match node:
        case ast.Constant(value=str(word)):
            yield word
        case ast.IfExp(body=body, orelse=orelse):
            yield from _words(body)
            yield from _words(orelse)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _words(value)
        case _:
            return


def said_in_the_core() -> set[str]:
    """Every cause that stands as a literal where a cause belongs."""
    found: set[str] = set()
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
            if name in SAYS and len(node.args) > SAYS[name]:
                found |= set(_words(node.args[SAYS[name]]))
            if name in SAYS or name in {"end_offer_part", "ReleaseLeg", "LegCleared", "CallCleared"}:
                found |= {word for keyword in node.keywords if keyword.arg in {"cause", "leg_cause"} for word in _words(keyword.value)}
    return found


def test_every_word_has_its_row_in_both_tables() -> None:
    said = said_in_the_core()
    assert {"restart", "supervisor", "closed", "busy", "answered_elsewhere", "transferred"} <= said
    assert said <= CAUSES.keys()
    assert set(get_args(inp.FailureCause)) <= CAUSES.keys()
    assert set(get_args(get_type_hints(inp.LegReleased)["cause"])) <= CAUSES.keys()
    assert CAUSES.keys() == OUTCOMES.keys()


def test_every_word_says_who_ended_the_conversation_and_the_page_says_it_too() -> None:
    """docs/figures.md §5: one table, of every cause, and it is the one of the code."""
    assert CAUSES.keys() == ENDED_BY.keys()
    page = (CORE.parents[1] / "docs" / "figures.md").read_text()
    (table,) = re.findall(r"\| Cause of the conversation \| Who ended it \|\n\|---\|---\|\n((?:\|.*\n)+)", page)
    told: list[set[str]] = [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table.splitlines()]
    assert sum(map(len, told)) == len(ENDED_BY)
    rows = [{cause for cause, one in ENDED_BY.items() if one is ender} for ender in Ender]
    assert sorted(told, key=sorted) == sorted(rows, key=sorted)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_is_a_sentence_and_is_said_by_a_status_and_a_number(cause: str) -> None:
    told = causes.TELLINGS[cause]
    assert causes.release_status(cause) == told.status
    assert 400 <= told.status < 700
    assert told.q850 in causes.Q850_TEXTS
    assert re.fullmatch(r"[A-Z].*\.", sentence(cause))


def test_the_core_says_no_number_of_sip() -> None:
    """What a cause is said by is the switch's; `errors` has what the API answers with."""
    for file in (file for file in CORE.rglob("*.py") if file.name != "errors.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            number = node.value if isinstance(node, ast.Constant) and type(node.value) is int else 0
            assert not 180 <= number < 700 or number in {300, 400}, f"{file}:{getattr(node, 'lineno', 0)} {number}"


def test_both_tables_have_the_same_words() -> None:
    assert CAUSES.keys() == causes.TELLINGS.keys()


def test_a_status_that_means_a_cause_is_a_cause() -> None:
    assert {causes.failure_cause(status) for status in range(300, 700)} <= CAUSES.keys()


def test_outcomes() -> None:
    assert set(OUTCOMES.values()) | {"answered"} == set(get_args(Outcome))
    assert {"restart"} == CUTS
    for cause in OUTCOMES:
        assert outcome_of(cause, talked=True) == ("cut" if cause == "restart" else "answered")
    assert outcome_of("announced", talked=False) == "overflowed"
    assert outcome_of("no_bandwidth", talked=False) == outcome_of("price_refused", talked=False) == "rejected"


@pytest.mark.slow
def test_a_storm_says_no_other_word() -> None:
    storm = Storm(7)
    storm.keep_journal = True
    storm.open()
    said: set[str] = set()
    for _ in range(4_000):
        storm.draw()
        said |= {event.cause for entry in storm.journal for event in entry.events if isinstance(event, ev.LegCleared | ev.CallCleared)}
        storm.journal.clear()
    assert len(said) > 12
    assert said <= CAUSES.keys()
