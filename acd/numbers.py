"""Phone numbers as they come from SIP: read by `billing_cdr.numbers`, and what the exchange may do with them."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

from acd.wire_text import LONGEST_NUMBER, fit
from billing_cdr.errors import NumberError
from billing_cdr.numbers import SHORT, Format, number_of

SHORTEST = 3
"""Digits of 110."""
EMERGENCY = frozenset({"110", "112", "+49110", "+49112"})
"""Police and fire brigade (TKG §164, NotrufV §1), as dialled, and with the country code as a journal of before may hold them."""
HEARS_WHO_CALLS = EMERGENCY | {"116117", "124124"}


def is_emergency(number: str) -> bool:
    """Whether somebody calls for help, in whatever spelling.

    >>> is_emergency("112"), is_emergency("+49110"), is_emergency("0112"), is_emergency("1120")
    (True, True, True, False)
    """
    return number in EMERGENCY or (len(number) > SHORTEST and normalise(number) in EMERGENCY)


def hears_who_calls(number: str) -> bool:
    """Whether a call there never hides its number: police, fire brigade, medical standby, telephone counselling (§ 15 (1) TDDDG)."""
    return number in HEARS_WHO_CALLS


def normalise(number: str, form: Format = "auto") -> str:
    """The number of the house for what a peer or a person wrote (`billing_cdr.numbers`); what is no number (a name, a service code) comes
    back unchanged, but bounded and without what nobody can see (`wire_text`): a stranger wrote it.

    >>> normalise("0761 8866-0"), normalise("0041 44 668 18 00"), normalise("601"), normalise("anna")
    ('+4976188660', '+41446681800', '601', 'anna')
    """
    try:
        return number_of(number, form)
    except NumberError:
        return fit(number, LONGEST_NUMBER)


WITHHELD = frozenset({"anonymous", "unavailable", "unknown", "restricted", "private", "withheld"})
"""User parts of who does not say a number (RFC 3323 §4.1.1.3), and what networks put there that were told none."""


def calling_number(user: str | None, form: Format = "auto") -> str | None:
    """The caller's number from what an identity header has for it; None when there is none (RFC 3323: anonymous)."""
    if not user or user.lower() in WITHHELD:
        return None
    return normalise(user, form)


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
