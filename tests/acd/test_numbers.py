"""Numbers as callers and phones write them become E.164, or stay what they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.numbers import calling_number, is_emergency, is_private, may_be_shown, normalise
from acd.wire_text import fit, fit_lines
from billing_cdr import numbers
from tests.spellings import SPELLINGS


@pytest.mark.parametrize(
    ("dialled", "expected"),
    [
        ("+49 761 8866-0", "+4976188660"),
        ("0761/88660", "+4976188660"),
        ("004976188660", "+4976188660"),
        ("0041 44 668 18 00", "+41446681800"),
        ("01711234567", "+491711234567"),
        ("+12125551234", "+12125551234"),
        ("0900 5 123456", "+499005123456"),
        ("0180 2 123456", "+491802123456"),
        ("110", "110"),
        ("112", "112"),
        ("116117", "116117"),
        ("11833", "11833"),
        ("600", "600"),
        ("anna", "anna"),
        ("", ""),
        ("+", "+"),
    ],
)
def test_a_number_as_dialled_in_germany_is_normalised(dialled, expected):
    assert normalise(dialled) == expected


@pytest.mark.parametrize(("written", "number"), SPELLINGS)
def test_the_exchange_reads_the_whole_corpus_right_and_leaves_alone_what_is_no_number(written, number):
    assert normalise(written) == (number or fit(written, 40))


@pytest.mark.parametrize("user", [None, "", "anonymous", "Anonymous", "unavailable"])
def test_a_withheld_number_is_none(user):
    assert calling_number(user) is None


@pytest.mark.parametrize("number", ["600", "21", "123456"])
def test_a_short_number_is_of_a_tenants_own_numbering_plan(number):
    assert is_private(number)


@pytest.mark.parametrize(
    "number", ["110", "112", "115", "116117", "11833", "118000", "+49600", "0600", "1234567", "anna", "", "\u0661\u0662"]
)
def test_service_numbers_and_numbers_of_the_world_are_nobodys_own(number):
    assert not is_private(number)


@pytest.mark.parametrize("number", ["+493023125600", "+4915112345678", "+49800123456", "+442079460600", "+12125550160"])
def test_a_number_that_can_be_called_back_may_be_shown(number):
    assert may_be_shown(number)


@pytest.mark.parametrize(
    "number",
    [
        "110",
        "112",
        "+49110",
        "+49112",
        "11833",
        "+4911833",
        "+491371234567",
        "+499005123456",
        "+449098790001",
        "21",
        "anna",
        "+",
        "+49",
        "+490110",
        "+490112",
    ],
)
def test_110_112_118_0137_0900_and_premium_numbers_anywhere_are_never_shown(number):
    """§ 120 (2) TKG."""
    assert not may_be_shown(number)


def test_what_is_too_long_for_a_number_is_cut_and_never_remembered():
    before = numbers._read.cache_info().currsize
    assert normalise("9" * 3000) == "9" * 39 + "\u2026"
    assert calling_number("+" + "9" * 60_000) == "+" + "9" * 38 + "\u2026"
    assert numbers._read.cache_info().currsize == before


def test_what_nobody_can_see_is_no_part_of_a_number_and_is_not_left_out_either():
    """Left out, `60<NUL>1` would reach the queue of 601."""
    assert normalise("60\x001") == "60\ufffd1"
    assert calling_number("anna\u202e") == "anna\ufffd"


@given(st.text(), st.integers(1, 100))
def test_fit_text_is_a_line_of_bounded_length_that_can_be_written_as_utf_8(text, longest):
    found = fit(text, longest)
    assert len(found) <= longest
    assert len(found.splitlines()) <= 1
    found.encode()
    assert fit(found, longest) == found


@given(st.text(), st.integers(1, 100))
def test_what_a_customer_writes_keeps_its_lines_and_can_be_written_as_utf_8(text, longest):
    found = fit_lines(text, longest)
    assert len(found) <= longest
    found.encode()
    assert fit_lines(found, longest) == found
    assert found.count("\n") <= len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1
    assert [fit(line, longest) for line in found.replace("\t", " ").split("\n")] == found.replace("\t", " ").split("\n")


def test_line_ends_of_every_system_are_one_and_tabs_stay():
    assert fit_lines("a\r\nb\rc\n\td\x07", 80) == "a\nb\nc\n\td\ufffd"


@pytest.mark.parametrize("kept", ["Erika Müller", "د. سارة", "नमस्ते", "👩\u200d💻", "O'Neill & Söhne"])
def test_names_of_people_stay_as_they_are(kept):
    assert fit(kept, 80) == kept


@pytest.mark.parametrize("number", ["110", "112", "+49110", "+49112", "0112", "0110", "+49 112", "tel:112", "urn:service:sos"])
def test_police_and_fire_brigade_are_emergency_numbers(number):
    assert is_emergency(number)


@pytest.mark.parametrize("number", ["", "11", "1120", "115", "116117", "+491122", "00112", "1 12 0"])
def test_no_other_number_is(number):
    assert not is_emergency(number)
