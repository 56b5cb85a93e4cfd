"""A number is read in one way wherever it comes in, and never guessed at: the corpus, and what holds for any text."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_cdr import numbers
from billing_cdr.errors import NumberError
from billing_cdr.numbers import Reading, number_of, read, write
from tests.spellings import READABLE, SOURCES, SPELLINGS


def test_the_corpus_has_more_than_two_hundred_spellings_each_group_with_its_source_and_none_twice():
    assert len(SPELLINGS) > 200
    assert all(SOURCES.values())
    assert len({written for written, _ in SPELLINGS}) == len(SPELLINGS)


@pytest.mark.parametrize(("written", "number"), SPELLINGS)
def test_what_is_written_is_read_right_or_refused(written, number):
    if number:
        assert number_of(written) == number
    else:
        with pytest.raises(NumberError):
            number_of(written)


@pytest.mark.parametrize("number", sorted({number for _, number in READABLE}))
@pytest.mark.parametrize("form", ["auto", "plus", "e164", "00", "national"])
def test_what_is_written_for_a_peer_is_read_back_from_one_of_that_form(number, form):
    assert number_of(write(number, form), form) == number


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("auto", ("+4989123456", "+41446681800", "112")),
        ("plus", ("+4989123456", "+41446681800", "112")),
        ("e164", ("4989123456", "41446681800", "112")),
        ("00", ("004989123456", "0041446681800", "112")),
        ("national", ("089123456", "0041446681800", "112")),
    ],
)
def test_each_form_writes_home_abroad_and_short_numbers_its_own_way(form, written):
    assert tuple(write(number, form) for number in ("+4989123456", "+41446681800", "112")) == written


def test_bare_digits_mean_what_the_form_of_the_peer_says():
    assert number_of("41446681800", "e164") == "+41446681800"
    assert number_of("1711234567", "national") == "+491711234567"
    with pytest.raises(NumberError):
        number_of("41446681800")


def test_an_extension_and_digits_for_later_are_told_beside_the_number():
    assert read("+1 212 555 1234 ext. 99") == Reading("+12125551234", "99")
    assert read("tel:+49891234567;ext=12") == Reading("+49891234567", "12")
    assert read("+4930555101,,45#") == Reading("+4930555101", None, ",,45#")


@given(st.text(alphabet="0123456789+()/ .*#-,;pwx:@<>=\u00a0\uff11\u202a%", max_size=40))
def test_any_text_is_an_e164_number_a_short_one_or_an_error(text):
    try:
        number = number_of(text)
    except NumberError:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{3,14}|[1-9][0-9]{0,5}", number), (text, number)
    assert number_of(number) == number


def test_a_text_that_is_longer_than_any_number_is_not_looked_at():
    with pytest.raises(NumberError, match="too long"):
        number_of("0" * 1_000_000)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("filling", [" ", "\t", "%20", "-", "(", ",", "p", ";", "x1", "ext ", "<", '"', "+", "a=", ";a", "dw"])
def test_no_filling_makes_the_reader_try_every_way_to_divide_it(filling):
    """Strangers write them: hundreds of the longest texts, each of another ending, so that none is remembered."""
    text = "1" + filling * (numbers.LONGEST_TEXT // len(filling) - 1)
    for number in range(100):
        with contextlib.suppress(NumberError):
            assert len(number_of(f"{text[:-4]}{number:03d}a")) <= numbers.MAX_DIGITS + 1
