"""Warning: why a request was refused, in a code and in words (RFC 3261 §20.43)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import LWS, QUOTED_STRING, quote, split_list, unquote

# warning-value  =  warn-code SP warn-agent SP warn-text
# warn-code      =  3DIGIT
# warn-agent     =  hostport / pseudonym
# warn-text      =  quoted-string
_WARNING: Final = re.compile(rf'([0-9]{{3}}){LWS}([^ \t",]++){LWS}({QUOTED_STRING})').fullmatch


class Warning(msgspec.Struct, frozen=True):  # noqa: A001  # the standard's word
    code: int
    agent: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"


def parse_warnings(values: list[str]) -> tuple[Warning, ...]:
    """All Warning fields of a message.

    Raises: ParseError: an element that is no warning-value.
    """
    warnings = []
    for element in (element for value in values for element in split_list(value, "header Warning")):
        match = _WARNING(element)
        if match is None:
            raise ParseError(f"no warning-value: {element[:40]!r}", where="header Warning")
        warnings.append(Warning(int(match[1]), match[2], unquote(match[3])))
    return tuple(warnings)
