"""SIP, SIPS, tel and any other absolute URI: RFC 3261 §19.1 and §25.1, comparison §19.1.4, IPv6 comparison RFC 5954 §4.2."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote as percent_encode
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec.structs import replace

from sip.errors import ParseError
from sip.grammar import HOST, PORT, Params, param, with_param

# SIP-URI          =  "sip:" [ userinfo ] hostport uri-parameters [ headers ]
# userinfo         =  ( user / telephone-subscriber ) [ ":" password ] "@"
# user             =  1*( unreserved / escaped / user-unreserved )
# unreserved       =  alphanum / mark
# mark             =  "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
# user-unreserved  =  "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
# password         =  *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
# uri-parameters   =  *( ";" uri-parameter)      paramchar = param-unreserved / unreserved / escaped
# param-unreserved =  "[" / "]" / "/" / ":" / "&" / "+" / "$"
# headers          =  "?" header *( "&" header )     header = hname "=" hvalue
# hnv-unreserved   =  "[" / "]" / "/" / "?" / ":" / "+" / "$"
# Deviation: "#" is let through in the user part; desk phones send service codes such as *21*...# unescaped. We write it escaped.
_ESCAPED: Final = r"%[0-9A-Fa-f]{2}"
_USER: Final = rf"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]|{_ESCAPED})++"
_PASSWORD: Final = rf"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|{_ESCAPED})*+"
_PARAM_TEXT: Final = rf"(?:[\[\]/:&+$A-Za-z0-9\-_.!~*'()]|{_ESCAPED})++"
_PARAMETER: Final = rf";{_PARAM_TEXT}(?:={_PARAM_TEXT})?+"
_HEADER_TEXT: Final = rf"(?:[\[\]/?:+$A-Za-z0-9\-_.!~*'()]|{_ESCAPED})"
_HEADER: Final = rf"{_HEADER_TEXT}++={_HEADER_TEXT}*+"
_SIP_URI: Final = re.compile(
    rf"([Ss][Ii][Pp][Ss]?):(?:({_USER})(?::({_PASSWORD}))?@)?({HOST})(?::({PORT}))?((?:{_PARAMETER})*+)(?:\?({_HEADER}(?:&{_HEADER})*+))?",
).fullmatch

# absoluteURI   =  scheme ":" ( hier-part / opaque-part )
# scheme        =  ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
# uric          =  reserved / unreserved / escaped        reserved = ";" / "/" / "?" / ":" / "@" / "&" / "=" / "+" / "$" / ","
# Brackets are RFC 3986's (IPv6 in an http URI); "#" a fragment's.
_ABSOLUTE_URI: Final = re.compile(rf"([A-Za-z][A-Za-z0-9+\-.]*+):((?:[;/?:@&=+$,A-Za-z0-9\-_.!~*'()\[\]#]|{_ESCAPED})++)").fullmatch

_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE: Final = "-_.!~*'()&=+$,"  # noqa: S105  # no secret
_PARAM_SAFE: Final = "[]/:&+$-_.!~*'()"
_HEADER_SAFE: Final = "[]/?:+$-_.!~*'()"

DEFAULT_PORTS: Final = {"sip": 5060, "sips": 5061}


def _unescape(text: str, what: str) -> str:
    """Percent escapes undone once, as UTF-8 (RFC 3261 §25.1: %41 inside an escaped % stays as it is).

    Octets that are no UTF-8 are refused: as text they could neither be compared, stored nor written back faithfully.
    """
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"{what} is not UTF-8 when unescaped", where="URI") from error


class Uri(msgspec.Struct, frozen=True, eq=False):
    """A URI taken apart; `str()` gives back the very text it was parsed from, or writes a new one for a URI made from parts.

    Attributes:
        scheme: lower case: sip, sips, tel, ...
        user: unescaped; None where the URI has no user part.
        password: unescaped.
        host: lower case, an IPv6 address without its brackets; "" for an opaque URI.
        params: unescaped (name, value or None for a flag), in order.
        headers: unescaped (name, value), in order: what follows the "?".
        opaque: everything behind the colon, for schemes other than sip and sips.
        source: the text it was parsed from; no part of its value.
    """

    scheme: str
    user: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = ()
    headers: tuple[tuple[str, str], ...] = ()
    password: str | None = None
    opaque: str | None = None
    source: str = ""

    @staticmethod
    def parse(text: str) -> Uri:
        """Read a URI.

        Raises: ParseError: not a URI; the status hint is 400.
        """
        return _parse(text)

    @property
    def is_sip(self) -> bool:
        """True for sip and sips, the schemes we can send to."""
        return self.opaque is None

    @property
    def host_port(self) -> str:
        """`host[:port]` as it is written in a URI and in Via."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def param(self, name: str) -> str | None:
        """The value of a URI parameter, "" for a flag, None where it is missing."""
        return param(self.params, name)

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case."""
        value = param(self.params, "transport")
        return value.lower() if value else None

    @property
    def is_loose_router(self) -> bool:
        """True when ;lr is there (RFC 3261 §19.1.1)."""
        return param(self.params, "lr") is not None

    def with_param(self, name: str, value: str | None) -> Uri:
        return self.replaced(params=with_param(self.params, name, value))

    def replaced(self, **changes: Any) -> Uri:
        """The same URI with other parts."""
        return replace(self, source="", **changes)

    def aor(self) -> Uri:
        """The address of record: scheme, user and host, nothing else (RFC 3261 §10.3 step 5)."""
        if self.opaque is not None:
            return self
        return Uri(scheme=self.scheme, user=self.user, host=self.host)

    def without_headers(self) -> Uri:
        """As it may stand in a request line, where headers are forbidden (RFC 3261 §19.1.1, Table 1)."""
        return self.replaced(headers=())

    def __str__(self) -> str:
        return self.source or _text(self)

    def _value(self) -> tuple[object, ...]:
        return (self.scheme, self.user, self.host, self.port, self.params, self.headers, self.password, self.opaque)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Uri) and self._value() == other._value())

    def __hash__(self) -> int:
        return hash(self._value())


def _text(uri: Uri) -> str:
    if uri.opaque is not None:
        return f"{uri.scheme}:{uri.opaque}"
    user = uri.user
    if user and not (uri.params or uri.headers) and uri.password is None and user.isascii() and user.lstrip("+").isalnum():
        return f"{uri.scheme}:{user}@{uri.host_port}"  # nearly every one we write: a number or a name, nothing to escape
    parts = [uri.scheme, ":"]
    if uri.user:  # an empty one cannot be written: user = 1*( ... )
        parts.append(percent_encode(uri.user, safe=_USER_SAFE))
        if uri.password is not None:
            parts += (":", percent_encode(uri.password, safe=_PASSWORD_SAFE))
        parts.append("@")
    parts.append(uri.host_port)
    for name, value in uri.params:
        parts += (";", percent_encode(name, safe=_PARAM_SAFE))
        if value is not None:
            parts += ("=", percent_encode(value, safe=_PARAM_SAFE))
    for index, (name, value) in enumerate(uri.headers):
        parts += ("&" if index else "?", percent_encode(name, safe=_HEADER_SAFE), "=", percent_encode(value, safe=_HEADER_SAFE))
    return "".join(parts)


# A call centre sees the same few URIs over and over; the memory is bounded by 2048 times the longest line we accept.
@lru_cache(maxsize=2048)
def _parse(text: str) -> Uri:
    match = _SIP_URI(text)
    if match is None:
        return _parse_absolute(text)
    scheme, user, password, host, port, params, headers = match.groups()
    if port is not None and not 0 < int(port) < 65536:
        raise ParseError(f"port {port} is none", where="URI")
    return Uri(
        scheme=scheme.lower(),
        user=None if user is None else _unescape(user, "user"),
        host=(host[1:-1] if host[0] == "[" else host).lower(),
        port=None if port is None else int(port),
        params=_uri_params(params) if params else (),
        headers=_uri_headers(headers) if headers else (),
        password=None if password is None else _unescape(password, "password"),
        source=text,
    )


def _parse_absolute(text: str) -> Uri:
    match = _ABSOLUTE_URI(text)
    if match is None:
        raise ParseError(f"no URI: {text[:60]!r}", where="URI")
    scheme, opaque = match.groups()
    if scheme.lower() in DEFAULT_PORTS:
        # RFC 5118 §4.2: an IPv6 address without brackets lands here, as does an empty or misspelt host.
        raise ParseError(f"no SIP URI: {text[:60]!r}", where="URI")
    return Uri(scheme=scheme.lower(), opaque=opaque, source=text)


def _uri_params(text: str) -> Params:
    found: list[tuple[str, str | None]] = []
    for piece in text[1:].split(";"):
        name, equal, value = piece.partition("=")
        found.append((_unescape(name, "parameter"), _unescape(value, "parameter") if equal else None))
    return tuple(found)


def _uri_headers(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for piece in text.split("&"):
        name, _, value = piece.partition("=")
        found.append((_unescape(name, "header"), _unescape(value, "header")))
    return tuple(found)


def _same_host(a: str, b: str) -> bool:
    """Hosts compared as RFC 3261 §19.1.4 (case-insensitive) and, for IPv6, as addresses and not as spellings (RFC 5954 §4.2)."""
    if a.lower() == b.lower():
        return True
    if ":" not in a or ":" not in b:
        return False
    try:
        return ipaddress.IPv6Address(a) == ipaddress.IPv6Address(b)
    except ValueError:
        return False  # the tolerated three colons: equal only to themselves


# RFC 3261 §19.1.4: "user, ttl, method and maddr: a URI that has it never equals one that has not"; transport is in the same list of
# parameters that must match when either has them.
_MUST_MATCH: Final = ("user", "ttl", "method", "maddr", "transport")


def equivalent(a: Uri, b: Uri) -> bool:
    """RFC 3261 §19.1.4: do both name the same resource?"""
    if a.scheme != b.scheme or a.opaque != b.opaque:
        return False
    if a.opaque is not None:
        return True
    if a.user != b.user or a.password != b.password or a.port != b.port or not _same_host(a.host, b.host):
        return False
    ours = {name.lower(): (value or "").lower() for name, value in a.params}
    theirs = {name.lower(): (value or "").lower() for name, value in b.params}
    if any(ours.get(name) != theirs.get(name) for name in _MUST_MATCH):
        return False
    if any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys()):
        return False
    return sorted((name.lower(), value) for name, value in a.headers) == sorted((name.lower(), value) for name, value in b.headers)
