"""Every word of journal, snapshot and stream is read back as what was written: any value of its declared type, new words by themselves."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from acd import exchange, ledger
from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import TenantConfiguration
from acd.core.live import LiveState
from acd.core.replay import Entry, decode, encode
from acd.core.state.statistics import Statistics
from acd.core.state.values import State
from acd.service import LiveEvent
from billing_cdr import assemble, facts
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge
from billing_cdr.quote import Quote
from tests.strategies import BUILT_IN, values_of
from tests.words import same_when_read

WORDS: tuple[type, ...] = (
    *typing.get_args(inp.Input),
    *typing.get_args(ev.Event),
    *typing.get_args(ef.Effect),
    *typing.get_args(facts.Fact),
)
WHOLES: tuple[type, ...] = (
    TenantConfiguration,
    State,
    Statistics,
    LiveState,
    LiveEvent,
    ledger._Folded,
    assemble._State,
    exchange._Kept,
    Quote,
    Cdr,
    Charge,
)
FEW = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # a state is large: what is wrong with it is read faster than shrunk
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("word", [*WORDS, *WHOLES], ids=lambda word: word.__name__)
@FEW
@given(data=st.data())
def test_any_value_of_a_word_is_read_back(word: type, data: st.DataObject) -> None:
    same_when_read(data.draw(values_of(word)))


@FEW
@given(given=values_of(inp.Input), told=st.lists(values_of(ev.Event), max_size=3), seq=st.integers(0, 2**63), now=st.floats(0, 1e12))
def test_any_entry_is_read_back(given: Any, told: list[Any], seq: int, now: float) -> None:
    entry = Entry(seq, now, given, tuple(told))
    assert decode(encode(entry)) == entry
    same_when_read(entry)


@given(quote=st.dictionaries(st.text(st.characters(codec="utf-8")), BUILT_IN))
@FEW
def test_any_plain_price_is_read_back(quote: dict[str, Any]) -> None:
    same_when_read(inp.Dial(agent="anna", call="c", number="1", quote=quote))


def test_a_word_that_is_narrower_than_its_content_is_found_out() -> None:
    """A test that cannot fail proves nothing: the fault that once shut a tenant, and its kin."""

    class Told(msgspec.Struct, frozen=True):
        quote: dict[str, str] | None = None

    class Loose(msgspec.Struct, frozen=True):
        quote: Any
        seconds: float = 1.0

    with pytest.raises(msgspec.ValidationError, match=r"Expected `str`, got `array`"):
        same_when_read(Told({"bands": []}))
    for other in (Loose(("a", "b")), Loose(None, 20), Loose({1, 2}), Loose(float("nan"))):
        with pytest.raises(AssertionError):
            same_when_read(other)
    assert same_when_read(Loose(["a", "b"], 20.0)).quote == ["a", "b"]
