"""Patterns made from the ABNF of RFC 3261 §25, each under the rule it implements, and the small scanners built on them.

All patterns work on decoded text whose folded lines were already joined (`sip.parser`), so LWS is a run of SP and HTAB here, and CR and LF
cannot occur. Every repetition is possessive or over disjoint alternatives: the time is linear in the length, whatever a peer sends.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from sip.errors import ParseError

# alphanum  =  ALPHA / DIGIT
# token     =  1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]++"  # noqa: S105  # no secret
IS_TOKEN: Final = re.compile(TOKEN).fullmatch

# LWS  =  [*WSP CRLF] 1*WSP ; linear whitespace          SWS  =  [LWS] ; sep whitespace
# Folding is gone before we look (RFC 3261 §7.3.1: any LWS may be replaced by a single SP).
SWS: Final = r"[ \t]*+"
LWS: Final = r"[ \t]++"

# quoted-string  =  SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
# qdtext         =  LWS / %x21 / %x23-5B / %x5D-7E / UTF8-NONASCII
# quoted-pair    =  "\" (%x00-09 / %x0B-0C / %x0E-7F)
QUOTED_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'

# hostport       =  host [ ":" port ]
# host           =  hostname / IPv4address / IPv6reference
# hostname       =  *( domainlabel "." ) toplabel [ "." ]
# IPv6reference  =  "[" IPv6address "]"
# port           =  1*DIGIT
# Deviation: "_" is let through in hostnames (container and Windows names carry it), and what stands in the brackets is any run of hex
# digits, colons and dots: RFC 5118 §4.10 wants the three colons of RFC 3261's faulty ABNF tolerated.
HOST: Final = r"(?:[A-Za-z0-9\-._]++|\[[0-9A-Fa-f:.]++\])"
PORT: Final = r"[0-9]{1,5}"

# generic-param  =  token [ EQUAL gen-value ]
# gen-value      =  token / host / quoted-string
# Deviation: an unquoted value is any run without separators; RFC 5118 §4.5 has `received=2001:db8::9:255`, and some phones leave URIs
# unquoted.
PARAM_VALUE: Final = rf'(?:{QUOTED_STRING}|[^ \t;,"<>=?]++)'
GENERIC_PARAM: Final = re.compile(rf"{SWS};{SWS}({TOKEN})(?:{SWS}={SWS}({PARAM_VALUE}))?+{SWS}")
# The form that nearly every message has: no quotes, no white space.
_PLAIN_PARAMS: Final = re.compile(r"(?:;[A-Za-z0-9\-.!%*_+`'~]++(?:=[^ \t;,\"<>=?]++)?+)++").fullmatch
# What we write without quotes: token / host.
IS_BARE_VALUE: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\[\]:]++").fullmatch

# SIP-Version    =  "SIP" "/" 1*DIGIT "." 1*DIGIT
IS_SIP_VERSION: Final = re.compile(r"[Ss][Ii][Pp]/([0-9]{1,5})\.([0-9]{1,5})").fullmatch

# Status-Line    =  SIP-Version SP Status-Code SP Reason-Phrase CRLF      Status-Code = ... / extension-code (3DIGIT)
# Deviation: the SP before an empty reason phrase may be missing; trunks of two vendors cut it off.
STATUS_LINE: Final = re.compile(r"([^ ]++) ([0-9]{3})(?: (.*+))?", re.DOTALL).fullmatch

# delta-seconds  =  1*DIGIT
IS_DIGITS: Final = re.compile(r"[0-9]++").fullmatch

# One element of a comma-separated list: commas inside quotes and inside < > do not separate.
LIST_ELEMENT: Final = re.compile(rf'(?:[^,"<]++|{QUOTED_STRING}|<[^>]*+>)*+')

MAX_DIGITS: Final = 20
"""A number with more digits than this is "overlarge" without looking at its value (2^64 has 20); int() of hostile length costs quadratic
time."""

MAX_ELEMENTS: Final = 256
"""Elements in one header field: as many as `sip.parser.Limits` allows fields, since both spellings mean the same (RFC 3261 §7.3.1)."""

MAX_PARAMS: Final = 64
"""Parameters of one element; a Contact with every media feature tag there is (RFC 3840) has about 25."""

Params = tuple[tuple[str, str | None], ...]
"""Parameters in their order: (name, value without quotes), value None for a flag such as ;lr."""


def split_list(text: str, where: str) -> list[str]:
    """The elements of `header = element *(COMMA element)`, stripped.

    Raises: ParseError: a quote or angle bracket is never closed, an element is empty, or there are too many.
    """
    if "," not in text:
        element = text.strip(" \t")
        if not element:
            raise ParseError("empty element in a list", where=where)
        return [element]
    elements: list[str] = []
    at, end = 0, len(text)
    while True:
        if len(elements) == MAX_ELEMENTS:
            raise ParseError("too many elements in a list", 513, where)
        match = LIST_ELEMENT.match(text, at)
        stop = match.end() if match else at
        elements.append(text[at:stop])
        if stop == end:
            break
        if text[stop] != ",":
            raise ParseError(f"unbalanced {text[stop]!r}", where=where)
        at = stop + 1
    stripped = [element.strip(" \t") for element in elements]
    if not all(stripped):
        raise ParseError("empty element in a list", where=where)
    return stripped


_LINE_BREAKS: Final = str.maketrans("\r\n", "  ")


def quote(text: str) -> str:
    """The quoted-string that stands for the text; CR and LF, which none can hold, become spaces (%0D in a URI brings them)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').translate(_LINE_BREAKS) + '"'


UNQUOTE_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


def unquote(text: str) -> str:
    """The text that a quoted-string stands for; any other text is returned as it is."""
    if text[:1] != '"':
        return text
    inner = text[1:-1]
    return UNQUOTE_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def parse_params(text: str, where: str) -> Params:
    """The parameters in `*( SEMI generic-param )`; the text starts at the first semicolon.

    Raises: ParseError: an empty parameter (";;"), anything that is no parameter, or too many.
    """
    return split_plain_params(text, where) if _PLAIN_PARAMS(text) else _any_params(text, where)


def _any_params(text: str, where: str) -> Params:
    found: list[tuple[str, str | None]] = []
    at, end = 0, len(text)
    while at < end:
        match = GENERIC_PARAM.match(text, at)
        if match is None:
            if not text[at:].strip(" \t"):
                break
            raise ParseError(f"no parameter: {text[at : at + 40]!r}", where=where)
        if len(found) == MAX_PARAMS:
            raise ParseError("too many parameters", 513, where)
        name, value = match.groups()
        found.append((name, unquote(value) if value is not None else None))
        at = match.end()
    return tuple(found)


def split_plain_params(text: str, where: str) -> Params:
    """The parameters of a text that is known to be of the plain form: no quotes, no white space, none empty.

    Raises: ParseError: too many.
    """
    found: list[tuple[str, str | None]] = []
    for piece in text[1:].split(";"):
        name, equal, value = piece.partition("=")
        found.append((name, value if equal else None))
    if len(found) > MAX_PARAMS:
        raise ParseError("too many parameters", 513, where)
    return tuple(found)


@lru_cache(maxsize=1024)
def _is_bare(value: str) -> bool:
    return IS_BARE_VALUE(value) is not None


def params_text(params: Params) -> str:
    """The inverse of `parse_params`: quotes exactly the values that need them."""
    text = ""
    for name, value in params:
        if value is None:
            text += f";{name}"
        elif (value.isalnum() and value.isascii()) or _is_bare(value):
            text += f";{name}={value}"
        else:
            text += f";{name}={quote(value)}"
    return text


def param(params: Params, name: str) -> str | None:
    """The value of the first parameter of that name, "" for a flag, None where there is none (names are case-insensitive)."""
    for found, value in params:
        if found == name or found.lower() == name:
            return "" if value is None else value
    return None


def with_param(params: Params, name: str, value: str | None) -> Params:
    """The same parameters with this one replaced in its place, or appended."""
    replaced = False
    out: list[tuple[str, str | None]] = []
    wanted = name.lower()
    for pair in params:
        if pair[0].lower() == wanted:
            if not replaced:
                out.append((name, value))
                replaced = True
        else:
            out.append(pair)
    if not replaced:
        out.append((name, value))
    return tuple(out)


def number(text: str, where: str, maximum: int) -> int:
    """A run of digits not above the maximum.

    Raises: ParseError: no digits, or overlarge (RFC 4475 §3.1.2.4 and §3.1.2.5 must not wrap round).
    """
    if len(text) < MAX_DIGITS and text.isascii() and text.isdigit() and (value := int(text)) <= maximum:
        return value
    if not IS_DIGITS(text):
        raise ParseError(f"no number: {text[:40]!r}", where=where)
    significant = text.lstrip("0") or "0"
    if len(significant) > MAX_DIGITS or (value := int(significant)) > maximum:
        raise ParseError(f"number above {maximum}", where=where)
    return value


def saturated_number(text: str, maximum: int) -> int | None:
    """A run of digits, cut down to the maximum; None for anything else."""
    if len(text) < MAX_DIGITS and text.isascii() and text.isdigit():
        return min(int(text), maximum)
    if not IS_DIGITS(text):
        return None
    significant = text.lstrip("0") or "0"
    return maximum if len(significant) > MAX_DIGITS else min(int(significant), maximum)
