"""Telephone numbers: E.164 through `phonenumbers` (DESIGN.md §5), short internal numbers and German short codes as they are."""

from __future__ import annotations

import re
from typing import Annotated

import phonenumbers
from phonenumbers import PhoneNumberType
from pydantic import AfterValidator, StringConstraints

from billing_cdr.destination import NumberClass, classify, is_short_code, locate

SHORT = re.compile(r"^[1-9][0-9]{1,5}$")
"""Internal numbers and service numbers (110, 112, 115, 116117, 11833): dialled as they are, as `acd.numbers` takes them."""
HOME = "DE"
LONGEST = 16
"""ITU-T E.164 §6: fifteen digits, and the plus."""


def e164(text: str, region: str = HOME) -> str | None:
    """`089 / 123 45-67` -> `+49891234567`; None when it is no number that can exist."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None  # "possible" to others includes what can only be dialled locally: 600 is not +49 600
    number = str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return number if len(number) <= LONGEST else None


_NO_PLACE = {
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.TOLL_FREE: "freephone",
    PhoneNumberType.PREMIUM_RATE: "premium",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "national",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "national",
    PhoneNumberType.VOICEMAIL: "national",
}
"""Of other countries' numbers. What the metadata do not know (numbers set aside for fiction) may be anything."""


def not_geographic(text: str) -> str | None:
    """What a number is that belongs to no place: a class of `billing_cdr.destination`, which has BNetzA's ranges for Germany.

    Returns: None: a geographic one, an internal one, or none that can exist.
    """
    if SHORT.fullmatch(text):
        if not is_short_code(text):
            return None
        number_class = locate(text).number_class
    else:
        number = e164(text)
        if number is None:
            return None
        if not number.startswith("+49"):
            return _NO_PLACE.get(phonenumbers.number_type(phonenumbers.parse(number)))
        number_class = classify(number.removeprefix("+")).number_class
    return None if number_class is NumberClass.GEOGRAPHIC else number_class.value


def _callable(text: str) -> str:
    if SHORT.fullmatch(text):
        return text
    number = e164(text)
    if number is None:
        raise ValueError(f"{text!r} is no telephone number; write it in E.164 like `+49891234567`")
    return number


def _e164(text: str) -> str:
    number = e164(text)
    if number is None:
        raise ValueError(f"{text!r} is no telephone number; write it in E.164 like `+49891234567`")
    return number


_Raw = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=32, pattern=r"^[0-9+()/ .*#-]+$")]

Callable_ = Annotated[_Raw, AfterValidator(_callable)]
"""E.164, or a short internal number."""
Dialled = Annotated[_Raw, AfterValidator(_callable)]
"""What somebody dials: E.164, a short internal number, or a short code (`112`, `11833`)."""
E164 = Annotated[_Raw, AfterValidator(_e164)]
"""A number of the outside world."""
