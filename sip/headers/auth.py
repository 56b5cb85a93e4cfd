"""Digest and other authentication headers: RFC 3261 §20.7, §20.27, §20.44, §20.6; RFC 7616 §3.3-§3.5; RFC 8760; RFC 7235 §2.1 (token68)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import IS_TOKEN, LWS, QUOTED_STRING, SWS, TOKEN, quote, unquote

Pairs = tuple[tuple[str, str], ...]
"""(name, value without quotes), in order."""

# challenge           =  ("Digest" LWS digest-cln *(COMMA digest-cln)) / other-challenge
# other-challenge     =  auth-scheme LWS auth-param *(COMMA auth-param)
# auth-param          =  auth-param-name EQUAL ( token / quoted-string )
# Deviation: an unquoted value is any run without separators; several phones leave the digest URI unquoted.
_SCHEME: Final = re.compile(rf"({TOKEN})(?:{LWS}|\Z)").match
_AUTH_PARAM: Final = re.compile(rf'{SWS}({TOKEN}){SWS}={SWS}({QUOTED_STRING}|[^ \t,"=][^ \t,"]*+){SWS}(?:,|\Z)').match
# token68  =  1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
_IS_TOKEN68: Final = re.compile(r"[A-Za-z0-9\-._~+/]++=*+").fullmatch

# RFC 7616 §3.3: "the following parameters MUST be quoted: realm, domain, nonce, opaque, qop"; algorithm and stale must not be.
_QUOTED_IN_CHALLENGE: Final = frozenset(("realm", "domain", "nonce", "opaque", "qop"))
# RFC 7616 §3.4: username, realm, nonce, uri, response, cnonce, opaque are quoted; algorithm, qop, nc, userhash are not.
_QUOTED_IN_CREDENTIALS: Final = frozenset(("username", "realm", "nonce", "uri", "response", "cnonce", "opaque"))
# RFC 7616 §3.5: nextnonce, rspauth and cnonce are quoted; qop and nc are not.
_QUOTED_IN_INFO: Final = frozenset(("nextnonce", "rspauth", "cnonce"))


def _read_params(text: str, where: str) -> Pairs:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text)
    while at < end:
        match = _AUTH_PARAM(text, at)
        if match is None:
            raise ParseError(f"no auth-param: {text[at : at + 40]!r}", where=where)
        name = match[1]
        if any(known.lower() == name.lower() for known, _ in found):
            # RFC 7235 §2.1: "each parameter name MUST only occur once per challenge".
            raise ParseError(f"{name} more than once", where=where)
        found.append((name, unquote(match[2])))
        at = match.end()
        if at == end and text[at - 1] == ",":
            raise ParseError("ends with a comma", where=where)
    return tuple(found)


def _read(text: str, where: str) -> tuple[str, Pairs, str]:
    """Scheme, parameters, token68 (one of the last two is empty)."""
    match = _SCHEME(text)
    if match is None:
        raise ParseError(f"no auth-scheme: {text[:40]!r}", where=where)
    rest = text[match.end() :].strip(" \t")
    if rest and _IS_TOKEN68(rest) and not _AUTH_PARAM(rest) and match[1].lower() != "digest":
        return match[1], (), rest
    return match[1], _read_params(rest, where), ""


def _write(params: Pairs, quoted: frozenset[str]) -> str:
    """Quotes where RFC 7616 wants them, and wherever a value is no token."""
    return ", ".join(f"{name}={quote(value) if name.lower() in quoted or not IS_TOKEN(value) else value}" for name, value in params)


def _get(params: Pairs, name: str) -> str | None:
    for found, value in params:
        if found.lower() == name:
            return value
    return None


class AuthParams(msgspec.Struct, frozen=True):
    """A scheme and what follows it: parameters, or one token68 (Basic, Bearer)."""

    scheme: str
    params: Pairs = ()
    token68: str = ""

    def get(self, name: str) -> str | None:
        """The value of a parameter without its quotes; names are case-insensitive."""
        return _get(self.params, name.lower())

    @property
    def is_digest(self) -> bool:
        return self.scheme.lower() == "digest"

    @property
    def realm(self) -> str:
        return _get(self.params, "realm") or ""

    @property
    def nonce(self) -> str:
        return _get(self.params, "nonce") or ""

    @property
    def opaque(self) -> str | None:
        return _get(self.params, "opaque")

    @property
    def algorithm(self) -> str:
        """As it was written; MD5 where it is missing (RFC 7616 §3.3)."""
        return _get(self.params, "algorithm") or "MD5"

    def __str__(self) -> str:
        return f"{self.scheme} {self.token68 or _write(self.params, _QUOTED_IN_CREDENTIALS)}".rstrip()


class Challenge(AuthParams, frozen=True):
    """WWW-Authenticate or Proxy-Authenticate."""

    @property
    def qop(self) -> tuple[str, ...]:
        """The offered qualities in lower case; empty for a challenge after RFC 2069."""
        return tuple(option for part in (_get(self.params, "qop") or "").split(",") if (option := part.strip().lower()))

    @property
    def stale(self) -> bool:
        return (_get(self.params, "stale") or "").lower() == "true"

    def __str__(self) -> str:
        return f"{self.scheme} {self.token68 or _write(self.params, _QUOTED_IN_CHALLENGE)}".rstrip()


class Credentials(AuthParams, frozen=True):
    """Authorization or Proxy-Authorization."""

    @property
    def username(self) -> str:
        return _get(self.params, "username") or ""

    @property
    def uri(self) -> str:
        """The digest-uri as text: it goes into the hash octet by octet."""
        return _get(self.params, "uri") or ""

    @property
    def response(self) -> str:
        return _get(self.params, "response") or ""

    @property
    def cnonce(self) -> str | None:
        return _get(self.params, "cnonce")

    @property
    def qop(self) -> str | None:
        value = _get(self.params, "qop")
        return value.lower() if value else None

    @property
    def nc(self) -> str | None:
        """The nonce count as its eight hex digits: they go into the hash as they are."""
        return _get(self.params, "nc")


class AuthenticationInfo(msgspec.Struct, frozen=True):
    """Authentication-Info of a 2xx: the next nonce, and the server's own proof."""

    params: Pairs = ()

    def get(self, name: str) -> str | None:
        return _get(self.params, name.lower())

    @property
    def nextnonce(self) -> str | None:
        return _get(self.params, "nextnonce")

    def __str__(self) -> str:
        return _write(self.params, _QUOTED_IN_INFO)


def parse_challenge(text: str, where: str = "header WWW-Authenticate") -> Challenge:
    """Read one challenge. SIP puts each into a field of its own (RFC 3261 §7.3.1), so commas only separate parameters.

    Raises: ParseError: no scheme, or no parameters after it.
    """
    return Challenge(*_read(text, where))


def parse_credentials(text: str, where: str = "header Authorization") -> Credentials:
    """Read the credentials of any scheme; a scheme nobody knows is no error (RFC 4475 §3.3.7).

    Raises: ParseError: no scheme, or no parameters after it.
    """
    return Credentials(*_read(text, where))


def parse_authentication_info(text: str) -> AuthenticationInfo:
    """Read the value of Authentication-Info.

    Raises: ParseError: not a list of parameters.
    """
    return AuthenticationInfo(_read_params(text, "header Authentication-Info"))
