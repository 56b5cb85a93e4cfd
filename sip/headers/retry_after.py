"""Retry-After: when to come back (RFC 3261 §20.33)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import SWS, Params, params_text, parse_params, saturated_number
from sip.headers.contact import MAX_EXPIRES_S

# Retry-After  =  "Retry-After" HCOLON delta-seconds [ comment ] *( SEMI retry-param )
# comment      =  LPAREN *(ctext / quoted-pair / comment) RPAREN: read without nesting, and dropped
_RETRY_AFTER: Final = re.compile(rf"([0-9]++){SWS}(?:\([^()]*+\){SWS})?+(?=;|\Z)").match


class RetryAfter(msgspec.Struct, frozen=True):
    seconds: int
    params: Params = ()

    def __str__(self) -> str:
        return f"{self.seconds}{params_text(self.params)}"


def parse_retry_after(text: str) -> RetryAfter:
    """Read the value; overlarge seconds are cut down (RFC 4475 §3.1.2.5).

    Raises: ParseError: no delta-seconds.
    """
    match = _RETRY_AFTER(text)
    if match is None:
        raise ParseError(f"no delta-seconds: {text[:40]!r}", where="header Retry-After")
    seconds = saturated_number(match[1], MAX_EXPIRES_S)
    assert seconds is not None  # the pattern takes digits only
    rest = text[match.end() :]
    return RetryAfter(seconds, parse_params(rest, "header Retry-After") if rest else ())
