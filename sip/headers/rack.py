"""RSeq and RAck: the numbers of reliable provisional responses (RFC 3262 §7.1, §7.2)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import LWS, TOKEN, number
from sip.headers.cseq import MAX_SEQUENCE_NUMBER

# RAck          =  "RAck" HCOLON response-num LWS CSeq-num LWS Method
# response-num  =  1*DIGIT
_RACK: Final = re.compile(rf"([0-9]++){LWS}([0-9]++){LWS}({TOKEN})").fullmatch

MAX_RSEQ: Final = 2**32 - 1
"""RFC 3262 §7.1: "between 1 and 2**32 - 1"."""


class RAck(msgspec.Struct, frozen=True):
    rseq: int
    cseq: int
    method: str

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


def parse_rack(text: str) -> RAck:
    """Read the value of RAck.

    Raises: ParseError: not two numbers and a method.
    """
    match = _RACK(text)
    if match is None:
        raise ParseError(f"no RAck: {text[:40]!r}", where="header RAck")
    return RAck(number(match[1], "header RAck", MAX_RSEQ), number(match[2], "header RAck", MAX_SEQUENCE_NUMBER), match[3])


def parse_rseq(text: str) -> int:
    """Read the value of RSeq.

    Raises: ParseError: no number from 1 to 2^32 - 1.
    """
    value = number(text, "header RSeq", MAX_RSEQ)
    if not value:
        raise ParseError("0 is no response number", where="header RSeq")
    return value
