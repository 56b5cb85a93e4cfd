"""Session-Expires and Min-SE: how long a session lives without a refresh, and who refreshes (RFC 4028 §4, §5, §9)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

from sip.errors import ParseError
from sip.grammar import SWS, Params, param, params_text, parse_params, saturated_number

# Session-Expires  =  ("Session-Expires" / "x") HCOLON delta-seconds *(SEMI se-params)
# se-params        =  refresher-param / generic-param        refresher-param  =  "refresher" EQUAL  ("uas" / "uac")
# Min-SE           =  "Min-SE" HCOLON delta-seconds *(SEMI generic-param)
_INTERVAL: Final = re.compile(rf"([0-9]++){SWS}(?=;|\Z)").match

Refresher = Literal["uac", "uas"]

MAX_INTERVAL_S: Final = 86_400
"""House: more than a day is no supervision; a peer that asks for it is given this."""


class SessionInterval(msgspec.Struct, frozen=True):
    """Either header: seconds and parameters."""

    seconds: int
    params: Params = ()

    @property
    def refresher(self) -> Refresher | None:
        """Who refreshes; None where it is open or malformed."""
        value = (param(self.params, "refresher") or "").lower()
        return "uac" if value == "uac" else "uas" if value == "uas" else None

    def __str__(self) -> str:
        return f"{self.seconds}{params_text(self.params)}"


@lru_cache(maxsize=256)
def parse_session_interval(text: str, where: str = "header Session-Expires") -> SessionInterval:
    """Read the value of Session-Expires or Min-SE; overlarge seconds are cut down.

    Raises: ParseError: no delta-seconds.
    """
    match = _INTERVAL(text)
    if match is None:
        raise ParseError(f"no delta-seconds: {text[:40]!r}", where=where)
    rest = text[match.end() :]
    return SessionInterval(saturated_number(match[1], MAX_INTERVAL_S) or 0, parse_params(rest, where) if rest else ())
