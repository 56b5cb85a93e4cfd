"""Phone numbers as they come from SIP, made one: E.164 with `+` (ITU-T E.164) through Google's metadata."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

from acd.wire_text import LONGEST_NUMBER, fit

SHORT = 6
"""Up to so many digits without a leading zero is an internal or service number (110, 11833, 600) and stays as dialled."""

EMERGENCY = frozenset({"110", "112", "+49110", "+49112"})
"""Police and fire brigade (TKG §164, NotrufV §1), as dialled and as `normalise` may be given them."""


def is_emergency(number: str) -> bool:
    """Whether somebody calls for help.

    >>> is_emergency("112"), is_emergency("+49110"), is_emergency("1120")
    (True, True, False)
    """
    return number in EMERGENCY


def normalise(number: str, region: str = "DE") -> str:
    """E.164 of a number as dialled in `region`; what is no phone number (a name, a short code) comes back unchanged, but bounded and
    without what nobody can see (`wire_text`): a stranger wrote it.

    >>> normalise("0761 8866-0"), normalise("0041 44 668 18 00"), normalise("601"), normalise("anna")
    ('+4976188660', '+41446681800', '601', 'anna')
    """
    return _normalise(number, region) if len(number) <= LONGEST_NUMBER else fit(number, LONGEST_NUMBER)


@lru_cache(maxsize=20_000)
def _normalise(number: str, region: str) -> str:
    dialled = "".join(character for character in number if character not in " -./()")
    digits = dialled.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        return fit(number, LONGEST_NUMBER)
    if dialled == digits and len(digits) <= SHORT and not digits.startswith("0"):
        return digits
    if dialled.startswith("+") and digits[:1] != "0" and 7 <= len(digits) <= 15:
        return dialled  # E.164 already, which is what carriers send; the library costs more than the rest of the call's numbers
    try:
        parsed = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException:
        return dialled
    if not phonenumbers.is_possible_number(parsed):
        return dialled
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def calling_number(user: str | None, region: str = "DE") -> str | None:
    """The caller's number from the user part of From or P-Asserted-Identity; None when withheld (RFC 3323: anonymous)."""
    if not user or user.lower() in {"anonymous", "unavailable", "unknown", "restricted"}:
        return None
    return normalise(user, region)


NEVER_SHOWN = ("+49110", "+49112", "+49118", "+49137", "+49900", "+490")
"""§ 120 (2) TKG: emergency numbers, directory enquiries, mass traffic and premium services are nobody's calling number; nor is what has the
national prefix 0 behind the country code, which is how `0110` is written when it is taken for a number."""


def is_private(number: str) -> bool:
    """Whether it is of a tenant's own numbering plan (600, 21), which no other tenant can be meant by."""
    return number.isascii() and number.isdigit() and len(number) <= SHORT and not number.startswith("0") and not _is_service(number)


def _is_service(number: str) -> bool:
    """110, 112, 115, 116xxx, 118xy: short numbers that are the public's (BNetzA, Nummernplan)."""
    return number in {"110", "112", "115"} or (number.startswith(("116", "118")) and len(number) >= 5)


@lru_cache(maxsize=20_000)
def may_be_shown(number: str) -> bool:
    """Whether a number may be a calling number at all: E.164, and no number that nobody can call from (§ 120 TKG), in any country."""
    if not number.startswith("+") or number.startswith(NEVER_SHOWN):
        return False
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    kind = phonenumbers.number_type(parsed)
    return phonenumbers.is_possible_number(parsed) and kind != phonenumbers.PhoneNumberType.PREMIUM_RATE
