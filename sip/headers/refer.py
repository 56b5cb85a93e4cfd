"""Refer-To and Refer-Sub: whom a REFER wants called, and whether its sender wants to know what comes of it (RFC 3515 §2.1, RFC 4488 §4)."""

from __future__ import annotations

from sip.errors import ParseError
from sip.grammar import parse_params
from sip.headers.name_addr import NameAddr, parse_name_addrs

# Refer-To   =  ("Refer-To" / "r") HCOLON ( name-addr / addr-spec ) * (SEMI generic-param)
# Refer-Sub  =  "Refer-Sub" HCOLON refer-sub-value *(SEMI exten)        refer-sub-value = "true" / "false"


def parse_refer_to(text: str) -> list[NameAddr]:
    """Every element of one field: that there is but one is for the reader of the REFER to see.

    Raises: ParseError: an element that is neither name-addr nor addr-spec.
    """
    return parse_name_addrs(text, "header Refer-To")


def parse_refer_sub(text: str) -> bool:
    """Whether a subscription is wanted.

    Raises: ParseError: neither true nor false.
    """
    value, semicolon, rest = text.partition(";")
    wanted = {"true": True, "false": False}.get(value.strip(" \t").lower())
    if wanted is None:
        raise ParseError(f"neither true nor false: {text[:40]!r}", where="header Refer-Sub")
    parse_params(semicolon + rest, "header Refer-Sub")
    return wanted
