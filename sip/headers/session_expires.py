"""Session-Expires and Min-SE: how long a session lives without a refresh, and who refreshes (RFC 4028 §4, §5, §9)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import SWS, Params, number, param, params_text, parse_params

# Session-Expires  =  ("Session-Expires" / "x") HCOLON delta-seconds *(SEMI se-params)
# se-params        =  refresher-param / generic-param        refresher-param  =  "refresher" EQUAL  ("uas" / "uac")
# Min-SE           =  "Min-SE" HCOLON delta-seconds *(SEMI generic-param)
_INTERVAL: Final = re.compile(rf"([0-9]++){SWS}(?=;|\Z)").match

MAX_INTERVAL_S: Final = 2**31 - 1
"""RFC 4028 names no bound; a signed 32-bit timer is what everybody can hold."""


class SessionInterval(msgspec.Struct, frozen=True):
    """Either header: seconds and parameters."""

    seconds: int
    params: Params = ()

    @property
    def refresher(self) -> str | None:
        """Who refreshes, uac or uas; None where it is open or malformed."""
        value = (param(self.params, "refresher") or "").lower()
        return value if value in {"uac", "uas"} else None

    def __str__(self) -> str:
        return f"{self.seconds}{params_text(self.params)}"


def parse_session_interval(text: str, where: str = "header Session-Expires") -> SessionInterval:
    """Read the value of Session-Expires or Min-SE.

    Raises: ParseError: no delta-seconds.
    """
    match = _INTERVAL(text)
    if match is None:
        raise ParseError(f"no delta-seconds: {text[:40]!r}", where=where)
    rest = text[match.end() :]
    return SessionInterval(number(match[1], where, MAX_INTERVAL_S), parse_params(rest, where) if rest else ())
