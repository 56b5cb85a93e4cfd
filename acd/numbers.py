"""Phone numbers as they come from SIP, made one: E.164 with `+` (ITU-T E.164) through Google's metadata."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

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


@lru_cache(maxsize=20_000)
def normalise(number: str, region: str = "DE") -> str:
    """E.164 of a number as dialled in `region`; what is no phone number (a name, a short code) comes back unchanged.

    >>> normalise("0761 8866-0"), normalise("0041 44 668 18 00"), normalise("601"), normalise("anna")
    ('+4976188660', '+41446681800', '601', 'anna')
    """
    dialled = "".join(character for character in number if character not in " -./()")
    digits = dialled.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        return number
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


@lru_cache(maxsize=20_000)
def calling_number(user: str | None, region: str = "DE") -> str | None:
    """The caller's number from the user part of From or P-Asserted-Identity; None when withheld (RFC 3323: anonymous)."""
    if not user or user.lower() in {"anonymous", "unavailable", "unknown", "restricted"}:
        return None
    return normalise(user, region)
