"""Destinations: what a dialled number is, before anybody asks for its price (E.164; BNetzA numbering plan; NANP).

A German number is classed by the table below, a foreign one by the metadata of `phonenumbers`. The class protects the price: a rate
serves only numbers of its own class, so a premium number never slips through at the price of its country, known prefix or not.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from msgspec import Struct
from phonenumbers import PhoneNumberType

from billing_cdr.errors import NumberError
from billing_cdr.numbers import HOME, is_short_code, number_of


class NumberClass(StrEnum):
    """Kinds of numbers that are priced under rules of their own."""

    GEOGRAPHIC = "geographic"
    """A German landline."""
    MOBILE = "mobile"
    """A German mobile number: 015, 016, 017."""
    NATIONAL = "national"
    """032: subscriber numbers that move with their owner."""
    PERSONAL = "personal"
    """0700."""
    FREEPHONE = "freephone"
    """0800: the called party pays."""
    SHARED_COST = "shared_cost"
    """0180: service numbers."""
    MASS = "mass"
    """0137, 0138: votes and prize games."""
    PREMIUM = "premium"
    """0900."""
    DIRECTORY = "directory"
    """118xx: directory enquiries."""
    EMERGENCY = "emergency"
    """110, 112, and 116117 (medical standby): free, and connected always (§ 164 TKG)."""
    HARMONISED = "harmonised"
    """116xxx: European services of social value, free for the caller."""
    AUTHORITY = "authority"
    """115: the public authorities."""
    PAGER = "pager"
    """0164, 0168, 0169."""
    USER_GROUP = "user_group"
    """018x other than 0180: numbers of closed user groups."""
    NETWORK = "network"
    """012, 019: innovative and online services."""
    UNASSIGNED = "unassigned"
    """No German number begins like this."""
    INTERNATIONAL = "international"
    """A landline or mobile number of another country."""
    INTERNATIONAL_SPECIAL = "international_special"
    """A premium, shared-cost, freephone, personal or unlisted number of another country, or of a global service (+800, +979)."""
    SATELLITE = "satellite"
    """+870, +881 and the global networks +882, +883."""


class DialClass(StrEnum):
    """What a person may be allowed to dial (class of restriction); emergency numbers are in none and always allowed."""

    NATIONAL = "national"
    MOBILE = "mobile"
    INTERNATIONAL = "international"
    PREMIUM = "premium"
    SATELLITE = "satellite"


_DIAL_CLASSES = {
    NumberClass.GEOGRAPHIC: DialClass.NATIONAL,
    NumberClass.NATIONAL: DialClass.NATIONAL,
    NumberClass.FREEPHONE: DialClass.NATIONAL,
    NumberClass.HARMONISED: DialClass.NATIONAL,
    NumberClass.AUTHORITY: DialClass.NATIONAL,
    NumberClass.SHARED_COST: DialClass.NATIONAL,  # capped by § 112 TKG
    NumberClass.PERSONAL: DialClass.NATIONAL,
    NumberClass.USER_GROUP: DialClass.NATIONAL,
    NumberClass.MOBILE: DialClass.MOBILE,
    NumberClass.INTERNATIONAL: DialClass.INTERNATIONAL,
    NumberClass.SATELLITE: DialClass.SATELLITE,
    # Whatever its owner earns by: 0900, 0137, 118xx, 012, pagers, and the special and unlisted ranges of other countries (toll fraud).
    NumberClass.PREMIUM: DialClass.PREMIUM,
    NumberClass.MASS: DialClass.PREMIUM,
    NumberClass.DIRECTORY: DialClass.PREMIUM,
    NumberClass.NETWORK: DialClass.PREMIUM,
    NumberClass.PAGER: DialClass.PREMIUM,
    NumberClass.UNASSIGNED: DialClass.PREMIUM,
    NumberClass.INTERNATIONAL_SPECIAL: DialClass.PREMIUM,
}


def dial_class(number_class: NumberClass) -> DialClass | None:
    """What one must be allowed to dial for a number of this class; None: nothing, emergency numbers are dialled by everybody."""
    return None if number_class is NumberClass.EMERGENCY else _DIAL_CLASSES[number_class]


class Destination(Struct, frozen=True, gc=False):
    """A number as the rating sees it: international digits without plus, its class, its region (`001`: no country)."""

    digits: str
    number_class: NumberClass
    region: str


# fmt: off
_GERMAN: tuple[tuple[str, NumberClass], ...] = (  # (first digits of the national number, class); the longest match decides
    ("110", NumberClass.UNASSIGNED), ("112", NumberClass.UNASSIGNED), ("115", NumberClass.UNASSIGNED), ("116", NumberClass.UNASSIGNED),
    ("118", NumberClass.DIRECTORY),
    ("1", NumberClass.UNASSIGNED),
    ("12", NumberClass.NETWORK), ("19", NumberClass.NETWORK),
    ("137", NumberClass.MASS), ("138", NumberClass.MASS),
    ("15", NumberClass.MOBILE), ("16", NumberClass.MOBILE), ("17", NumberClass.MOBILE),
    ("161", NumberClass.UNASSIGNED), ("165", NumberClass.UNASSIGNED), ("166", NumberClass.UNASSIGNED), ("167", NumberClass.UNASSIGNED),
    ("164", NumberClass.PAGER), ("168", NumberClass.PAGER), ("169", NumberClass.PAGER),
    ("18", NumberClass.USER_GROUP), ("180", NumberClass.SHARED_COST),
    ("31", NumberClass.UNASSIGNED), ("32", NumberClass.NATIONAL),
    ("500", NumberClass.UNASSIGNED), ("501", NumberClass.USER_GROUP), ("600", NumberClass.UNASSIGNED), ("601", NumberClass.UNASSIGNED),
    ("700", NumberClass.PERSONAL), ("701", NumberClass.UNASSIGNED),
    ("800", NumberClass.FREEPHONE), ("801", NumberClass.UNASSIGNED),
    ("900", NumberClass.PREMIUM), ("901", NumberClass.UNASSIGNED), ("902", NumberClass.UNASSIGNED), ("903", NumberClass.UNASSIGNED),
    ("904", NumberClass.UNASSIGNED), ("905", NumberClass.UNASSIGNED),
    *((digit, NumberClass.GEOGRAPHIC) for digit in "23456789"),
    ("0", NumberClass.UNASSIGNED),
)
# fmt: on
_GERMAN_BY_PREFIX = dict(_GERMAN)
_WHOLE = {  # numbers that are meant as a whole, not as a beginning
    "110": NumberClass.EMERGENCY,
    "112": NumberClass.EMERGENCY,
    "116117": NumberClass.EMERGENCY,
    "115": NumberClass.AUTHORITY,
}
_HARMONISED = re.compile(r"116[0-9]{3}")
_DIRECTORY = re.compile(r"118[0-9]{2,3}")
_MIN_NATIONAL_DIGITS = 5  # shorter ones are service codes of a network, never a subscriber

_SATELLITE_CODES = ("870", "881", "882", "883")
_ORDINARY = frozenset(
    {PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.VOIP},
)


def normalise(number: str) -> str:
    """Turn what was dialled in Germany into international digits without plus.

    Args:
        number: E.164 (`+49 30 …`), with 00 or 0, or a German short code (110, 112, 115, 116xxx, 118xx).
    Raises: NumberError: anything else; a local number without its area code is not guessed at.
    """
    found = number_of(number)
    if found.startswith("+"):
        return found[1:]
    if not is_short_code(found):
        raise NumberError(f"{number!r} names neither country nor area")
    return HOME + found


def locate(number: str) -> Destination:
    """Class a dialled number.

    Raises: NumberError: it is no telephone number at all.
    """
    return classify(normalise(number))


def classify(digits: str) -> Destination:
    """Class international digits.

    Raises: NumberError: no country has such a code, or a number of such a length.
    """
    if digits.startswith(HOME):
        return Destination(digits, _german_class(digits[len(HOME) :]), "DE")
    return _foreign(digits)


def longest_prefix(digits: str, prefixes: frozenset[str] | dict[str, object]) -> str | None:
    """Find the longest beginning of `digits` that is among `prefixes`."""
    for length in range(len(digits), 0, -1):
        if digits[:length] in prefixes:
            return digits[:length]
    return None


def _german_class(national: str) -> NumberClass:
    whole = _WHOLE.get(national)
    if whole is not None:
        return whole
    if _HARMONISED.fullmatch(national):
        return NumberClass.HARMONISED
    if national.startswith("118"):
        return NumberClass.DIRECTORY if _DIRECTORY.fullmatch(national) else NumberClass.UNASSIGNED
    if len(national) < _MIN_NATIONAL_DIGITS:
        return NumberClass.UNASSIGNED
    for length in (3, 2, 1):
        found = _GERMAN_BY_PREFIX.get(national[:length])
        if found is not None:
            return found
    return NumberClass.UNASSIGNED


@lru_cache(maxsize=65_536)
def _foreign(digits: str) -> Destination:
    try:
        parsed = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException as error:
        raise NumberError(f"+{digits} is not an E.164 number: {error}") from error
    if digits.startswith(_SATELLITE_CODES):
        return Destination(digits, NumberClass.SATELLITE, "001")
    if not phonenumbers.is_possible_number(parsed):
        raise NumberError(f"+{digits} has a length no number of country code {parsed.country_code} has")
    region = phonenumbers.region_code_for_number(parsed) or "ZZ"
    # A number outside the known ranges of its country is no ordinary number: unallocated ranges are where toll fraud lives.
    ordinary = phonenumbers.number_type(parsed) in _ORDINARY
    return Destination(digits, NumberClass.INTERNATIONAL if ordinary else NumberClass.INTERNATIONAL_SPECIAL, region)


def regions_of(prefix: str) -> tuple[str, ...]:
    """List the regions that share the country code `prefix` (GB and its islands under 44); empty if it is no country code."""
    return tuple(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(prefix), ())) if prefix.isdigit() else ()
