"""Numbers as callers and phones write them become E.164, or stay what they are."""

import pytest

from acd.numbers import calling_number, is_emergency, normalise


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


@pytest.mark.parametrize("user", [None, "", "anonymous", "Anonymous", "unavailable"])
def test_a_withheld_number_is_none(user):
    assert calling_number(user) is None


@pytest.mark.parametrize("number", ["110", "112", "+49110", "+49112"])
def test_police_and_fire_brigade_are_emergency_numbers(number):
    assert is_emergency(number)


@pytest.mark.parametrize("number", ["", "11", "1120", "115", "116117", "+491122", "0112"])
def test_no_other_number_is(number):
    assert not is_emergency(number)
