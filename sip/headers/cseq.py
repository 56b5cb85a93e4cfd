"""CSeq: the order of requests in a dialog (RFC 3261 §20.16, §8.1.1.5)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import LWS, TOKEN, number

# CSeq  =  "CSeq" HCOLON 1*DIGIT LWS Method
_CSEQ: Final = re.compile(rf"([0-9]++){LWS}({TOKEN})").fullmatch

MAX_SEQUENCE_NUMBER: Final = 2**31 - 1
"""RFC 3261 §8.1.1.5: "MUST be expressible as a 32-bit unsigned integer and MUST be less than 2**31"."""


class CSeq(msgspec.Struct, frozen=True):
    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@lru_cache(maxsize=1024)
def parse_cseq(text: str) -> CSeq:
    """Read the value.

    Raises: ParseError: not a number and a method, or a number of 2^31 and above.
    """
    match = _CSEQ(text)
    if match is None:
        raise ParseError(f"no CSeq: {text[:60]!r}", where="header CSeq")
    return CSeq(number(match[1], "header CSeq", MAX_SEQUENCE_NUMBER), match[2])
