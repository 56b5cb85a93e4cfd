"""Telephone numbers: read by `billing_cdr.numbers`; E.164, short internal numbers and German short codes as they are."""

from __future__ import annotations

import re
from typing import Annotated

import phonenumbers
from phonenumbers import PhoneNumberType
from pydantic import AfterValidator, StringConstraints, ValidationInfo

from api.kit.schema import is_stored
from billing_cdr.destination import NumberClass, classify, locate
from billing_cdr.errors import NumberError
from billing_cdr.numbers import LONGEST_TEXT, Reading, is_short_code, number_of, read

SHORT = re.compile(r"^[1-9][0-9]{1,5}$")
"""Internal numbers and service numbers (110, 112, 115, 116117, 11833): dialled as they are, as `acd.numbers` takes them."""


def e164(text: str) -> str | None:
    """`089 / 123 45-67` -> `+49891234567`; None when it is no number of the outside world, or cannot be read for certain."""
    try:
        number = number_of(text)
    except NumberError:
        return None
    if number.startswith("+"):
        return number
    return None


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


def _read(text: str) -> Reading:
    try:
        return read(text)
    except NumberError as error:
        raise ValueError(f"{error}; write it in E.164 like `+49891234567`") from error


def _callable(text: str, info: ValidationInfo) -> str:
    if is_stored(info):
        return text  # a tenant opens with what it has
    found = _read(text)
    if found.extension or found.post_dial:
        raise ValueError(f"{text!r} has digits to be dialled in the call, which nobody here would send; leave them out")
    return found.number


def _dialled_now(text: str) -> str:
    return _read(text).number


def _e164(text: str, info: ValidationInfo) -> str:
    if is_stored(info):
        return text
    found = _read(text)
    if not found.number.startswith("+"):
        raise ValueError(f"{text!r} is no telephone number of the outside world; write it in E.164 like `+49891234567`")
    return found.number


_Raw = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=LONGEST_TEXT)]

Callable_ = Annotated[_Raw, AfterValidator(_callable)]
"""E.164, or a short internal number."""
Dialled = Annotated[_Raw, AfterValidator(_callable)]
"""What a rule dials: E.164, a short internal number, or a short code (`112`, `11833`)."""
DialledNow = Annotated[_Raw, AfterValidator(_dialled_now)]
"""What somebody dials who is there: as pasted. Of an extension beside the number nothing is dialled; the person does that in the call."""
E164 = Annotated[_Raw, AfterValidator(_e164)]
"""A number of the outside world, with or without an extension beside it, which is left out."""
