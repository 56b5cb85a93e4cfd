"""Reason: why a request was sent: the SIP or Q.850 cause behind a BYE or CANCEL (RFC 3326 §2)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import SWS, TOKEN, Params, param, parse_params, quote, saturated_number, split_list

# Reason         =  "Reason" HCOLON reason-value *(COMMA reason-value)
# reason-value   =  protocol *(SEMI reason-params)
# reason-params  =  protocol-cause / reason-text / reason-extension
# protocol-cause =  "cause" EQUAL cause        reason-text = "text" EQUAL quoted-string
_PROTOCOL: Final = re.compile(rf"({TOKEN}){SWS}(?=;|\Z)").match
_WHERE: Final = "header Reason"


class Reason(msgspec.Struct, frozen=True):
    """Protocol as written (SIP, Q.850, preemption), the cause where it is a number, and the text."""

    protocol: str
    cause: int | None = None
    text: str = ""

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        return f"{self.protocol}{cause}{f';text={quote(self.text)}' if self.text else ''}"


def parse_reasons(values: list[str]) -> tuple[Reason, ...]:
    """All Reason fields of a message.

    Raises: ParseError: an element that does not start with a protocol.
    """
    reasons = []
    for element in (element for value in values for element in split_list(value, _WHERE)):
        match = _PROTOCOL(element)
        if match is None:
            raise ParseError(f"no protocol: {element[:40]!r}", where=_WHERE)
        params: Params = parse_params(element[match.end() :], _WHERE)
        reasons.append(Reason(match[1], saturated_number(param(params, "cause") or "", 999_999), param(params, "text") or ""))
    return tuple(reasons)
