"""Contact: where to reach a party; the star of de-registration (RFC 3261 §20.10, §10.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sip.errors import ParseError
from sip.grammar import saturated_number
from sip.headers.name_addr import NameAddr, parse_name_addrs

MALFORMED_EXPIRES_S: Final = 3600
"""RFC 3261 §10.2.1.1: "Malformed values SHOULD be treated as equivalent to 3600"."""

MAX_EXPIRES_S: Final = 2**32 - 1
"""RFC 3261 §20.19: "The value of this field is an integral number of seconds (in decimal) between 0 and (2**32)-1"."""

MAX_REG_ID: Final = 2**31 - 1
"""RFC 5626 §11: "reg-id [...] 1 to (2^31 - 1)"."""

MAX_INSTANCE: Final = 256
"""Octets of an instance that are told apart and kept; a URN of RFC 5626 §4.1 has 45."""


def parse_contacts(values: list[str]) -> tuple[tuple[NameAddr, ...], bool]:
    """All Contact fields of a message.

    Returns: the contacts, and whether the value is the star.
    Raises: ParseError: a malformed contact, or a star beside contacts (§10.3 step 6 answers 400).
    """
    if "*" in values:
        if len(values) > 1:
            raise ParseError("* beside other contacts", where="header Contact")
        return (), True
    if len(values) == 1:
        return _contacts(values[0]), False
    return tuple([contact for value in values for contact in _contacts(value)]), False


@lru_cache(maxsize=1024)
def _contacts(text: str) -> tuple[NameAddr, ...]:
    return tuple(parse_name_addrs(text, "header Contact"))


def contact_expires_s(contact: NameAddr) -> int | None:
    """The expires parameter of a contact: None where it is missing, cut down where it is overlarge, 3600 where it is malformed."""
    value = contact.param("expires")
    return None if value is None else parse_expires(value)


def parse_expires(text: str) -> int:
    """Seconds of Expires or of a contact's expires: cut down where they are overlarge, 3600 where they are malformed."""
    # Expires  =  "Expires" HCOLON delta-seconds
    seconds = saturated_number(text, MAX_EXPIRES_S)
    return MALFORMED_EXPIRES_S if seconds is None else seconds


def parse_min_expires(text: str) -> int:
    """Seconds of Min-Expires (RFC 3261 §20.23), cut down where they are overlarge.

    Raises: ParseError: no delta-seconds.
    """
    # Min-Expires  =  "Min-Expires" HCOLON delta-seconds
    seconds = saturated_number(text, MAX_EXPIRES_S)
    if seconds is None:
        raise ParseError(f"no delta-seconds: {text[:40]!r}", where="header Min-Expires")
    return seconds


def contact_q(contact: NameAddr) -> float:
    """The preference 0..1 among contacts, 1 where it is missing or malformed (RFC 3261 §20.10: `qvalue`)."""
    # qvalue  =  ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
    value = contact.param("q")
    if not value or len(value) > 5 or not value.isascii() or not value.replace(".", "", 1).isdigit():
        return 1.0
    return min(float(value), 1.0)


def contact_instance(contact: NameAddr) -> str | None:
    """The `+sip.instance` of a contact, without its quotes: which phone it is, whatever its address (RFC 5626 §4.1)."""
    # c-p-instance   =  "+sip.instance" EQUAL DQUOTE "<" instance-val ">" DQUOTE
    value = contact.param("+sip.instance")
    return value[:MAX_INSTANCE] if value else None


def contact_reg_id(contact: NameAddr) -> int | None:
    """The `reg-id` of a contact, 1 to 2**31 - 1 (RFC 5626 §4.2); None where it is missing, malformed or without an instance."""
    # c-p-reg        =  "reg-id" EQUAL 1*DIGIT ; 1 to (2^31 - 1)
    value = contact.param("reg-id")
    if not value or contact_instance(contact) is None:
        return None
    return saturated_number(value, MAX_REG_ID) or None
