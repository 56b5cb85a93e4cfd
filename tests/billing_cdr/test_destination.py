"""What a number is: the guard between a dialled string and its price."""

from __future__ import annotations

import contextlib

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from billing_cdr.destination import NumberClass, locate, longest_prefix, normalise
from billing_cdr.errors import NumberError
from billing_cdr.house_plan import house_plan
from billing_cdr.numbers import is_short_code
from billing_cdr.quote import Quote, Refusal
from billing_cdr.rating import quote
from tests.billing_cdr.stories import WEDNESDAY
from tests.spellings import SPELLINGS


@pytest.mark.parametrize(
    ("dialled", "digits"),
    [
        ("+49 (89) 123-456", "4989123456"),
        ("0049 89/123456", "4989123456"),
        ("089 123456", "4989123456"),
        ("+1 415.555.2671", "14155552671"),
        ("112", "49112"),
        ("116117", "49116117"),
        ("11833", "4911833"),
        ("118000", "49118000"),
    ],
)
def test_a_dialled_number_becomes_e164(dialled, digits):
    assert normalise(dialled) == digits


@pytest.mark.parametrize(
    "dialled",
    [
        "",
        "+",
        "0",
        "00",
        "anna",
        "123456",
        "+49 089 123456",
        "0049089123456",
        "+0123456",
        "+1234567890123456",
        "+49 89 12a",
        "++4989",
        "٣٤٥",
    ],
)
def test_what_is_no_number_is_refused_and_not_guessed_at(dialled):
    with pytest.raises(NumberError):
        locate(dialled)


# fmt: off
CLASSES = [
    ("030 123456", "geographic"), ("0906 123456", "geographic"), ("0803 1123456", "geographic"), ("07021 12345", "geographic"),
    ("0151 12345678", "mobile"), ("0160 1234567", "mobile"), ("0179 1234567", "mobile"),
    ("0161 1234567", "unassigned"), ("0164 1234567", "pager"),
    ("0180 5 123456", "shared_cost"), ("0181 123456", "user_group"), ("0191 123456", "network"), ("012 123456", "network"),
    ("0137 1 123456", "mass"), ("0138 123456", "mass"),
    ("0900 1 123456", "premium"), ("0901 123456", "unassigned"), ("0190 123456", "network"),
    ("0700 12345678", "personal"), ("0701 2345678", "unassigned"), ("032 22112345", "national"), ("0310 12345", "unassigned"),
    ("0800 1234567", "freephone"), ("0801 1234567", "unassigned"),
    ("115", "authority"), ("+49 115", "authority"), ("+49 1151", "unassigned"),
    ("110", "emergency"), ("+49 112", "emergency"), ("116117", "emergency"), ("+49 1121", "unassigned"), ("0112 345678", "unassigned"),
    ("116116", "harmonised"), ("+49 116116 5", "unassigned"),
    ("11833", "directory"), ("118000", "directory"), ("+49 1180001", "unassigned"),
    ("01012 345678", "unassigned"),
    ("+43 1 5123456", "international"), ("+44 9098790001", "international_special"), ("+44 870 1234567", "international_special"),
    ("+43 900 123456", "international_special"), ("+41 900 123456", "international_special"),
    ("+800 12345678", "international_special"), ("+979 123456789", "international_special"),
    ("+881 612345678", "satellite"), ("+870 773123456", "satellite"),
]
# fmt: on


@pytest.mark.parametrize(("dialled", "number_class"), CLASSES)
def test_a_number_has_the_class_of_its_numbering_plan(dialled, number_class):
    assert locate(dialled).number_class == NumberClass(number_class)


def test_the_longest_prefix_wins():
    prefixes = frozenset({"49", "4989", "498"})
    assert longest_prefix("4989123", prefixes) == "4989"
    assert longest_prefix("4988123", prefixes) == "498"
    assert longest_prefix("4930123", prefixes) == "49"
    assert longest_prefix("43123", prefixes) is None


DIGITS = "0123456789"


@given(st.text(DIGITS, min_size=1, max_size=15), st.sets(st.text(DIGITS, min_size=1, max_size=6), max_size=20))
def test_longest_prefix_is_what_a_plain_search_finds(digits, prefixes):
    expected = max((prefix for prefix in prefixes if digits.startswith(prefix)), key=len, default=None)
    assert longest_prefix(digits, frozenset(prefixes)) == expected


SPECIAL_TYPES = [
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER,
    PhoneNumberType.UAN,
    PhoneNumberType.PAGER,
    PhoneNumberType.VOICEMAIL,
]


def special_examples():
    """An example of every special kind in every region that has one, after Google's metadata."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in SPECIAL_TYPES:
            example = phonenumbers.example_number_for_type(region, kind)
            if (region, kind) == ("DE", PhoneNumberType.VOICEMAIL):
                continue  # the mailbox of a German mobile number lies inside its range, and costs the same
            if example is not None and phonenumbers.number_type(example) == kind:
                yield phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)


def test_no_special_number_of_any_country_has_the_price_of_an_ordinary_one():
    """R13: a special number hits a rate of its own class, or is refused."""
    examples = list(special_examples())
    assert len(examples) > 200
    for number in examples:
        answer = quote(number, house_plan(), WEDNESDAY)
        if isinstance(answer, Quote):
            assert number.startswith("+49"), number
            assert answer.number_class not in {NumberClass.GEOGRAPHIC, NumberClass.MOBILE, NumberClass.INTERNATIONAL}, number


def test_ordinary_numbers_of_germany_are_not_taken_for_special_ones():
    for kind, number_class in ((PhoneNumberType.FIXED_LINE, NumberClass.GEOGRAPHIC), (PhoneNumberType.MOBILE, NumberClass.MOBILE)):
        example = phonenumbers.example_number_for_type("DE", kind)
        assert example is not None
        assert locate(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)).number_class is number_class


ISLANDS = ["+1 876 5551234", "+1 809 5551234", "+1 268 4601234", "+7 701 1234567", "+44 7781 123456", "+44 1534 123456"]


@pytest.mark.parametrize("number", ISLANDS)
def test_islands_behind_a_shared_country_code_do_not_get_the_price_of_the_mainland(number):
    """Jamaica is +1 and Jersey +44; fraud lives on the difference."""
    assert isinstance(quote(number, house_plan(), WEDNESDAY), Refusal)


@pytest.mark.parametrize(("written", "number"), SPELLINGS)
def test_what_the_corpus_calls_a_number_has_the_class_of_that_number_and_the_rest_has_none(written, number):
    if number.startswith("+") or is_short_code(number):
        assert locate(written) == locate(number)
    else:
        with pytest.raises(NumberError):
            locate(written)


@given(st.text(max_size=20))
def test_any_text_is_a_destination_or_a_number_error(text):
    with contextlib.suppress(NumberError):
        assert locate(text).digits.isdigit()
