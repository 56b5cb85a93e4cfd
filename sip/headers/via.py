"""Via: the path a request took and its responses take back (RFC 3261 §20.42, §25.1; rport RFC 3581)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import HOST, LWS, PORT, SWS, TOKEN, Params, param, params_text, parse_params, split_list, split_plain_params, with_param

# via-parm          =  sent-protocol LWS sent-by *( SEMI via-params )
# sent-protocol     =  protocol-name SLASH protocol-version SLASH transport
# sent-by           =  host [ COLON port ]
_VIA: Final = re.compile(
    rf"{SWS}({TOKEN}){SWS}/{SWS}({TOKEN}){SWS}/{SWS}({TOKEN}){LWS}({HOST})(?:{SWS}:{SWS}({PORT})(?![0-9]))?+{SWS}(?=;|\Z)",
).match

# The form that nearly every Via has: single spaces, upper case, no quotes.
_PLAIN_VIA: Final = re.compile(
    r"SIP/2\.0/(UDP|TCP|TLS|WSS?) ([A-Za-z0-9.\-]++)(?::([1-9][0-9]{0,4}))?+((?:;[a-z]++(?:=[A-Za-z0-9.\-_]++)?+)*+)"
).fullmatch

BRANCH_COOKIE: Final = "z9hG4bK"
"""RFC 3261 §8.1.1.7: a branch that starts with it is unique across space and time."""


def is_rfc3261_branch(branch: str | None) -> bool:
    """True for the cookie with something behind it."""
    return branch is not None and len(branch) > len(BRANCH_COOKIE) and branch.startswith(BRANCH_COOKIE)


class Via(msgspec.Struct, frozen=True):
    """One hop.

    Attributes:
        transport: upper case: UDP, TCP, TLS, WS, WSS, SCTP or what the peer invented.
        host: sent-by, an IPv6 address without its brackets.
    """

    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    @property
    def branch(self) -> str | None:
        return param(self.params, "branch") or None

    @property
    def has_rfc3261_branch(self) -> bool:
        """True when the branch alone identifies the transaction; the bare cookie does not (RFC 4475 §3.2.1)."""
        return is_rfc3261_branch(self.branch)

    @property
    def received(self) -> str | None:
        """The source address as the next hop saw it, IPv6 without brackets (RFC 5118 §4.5: both spellings are about)."""
        value = param(self.params, "received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The source port as the next hop saw it; None when missing or still empty (ask `wants_rport`)."""
        value = param(self.params, "rport")
        return int(value) if value and len(value) < 6 and value.isascii() and value.isdigit() else None

    @property
    def wants_rport(self) -> bool:
        """RFC 3581 §3: the client put an empty rport and wants the response at the port it sent from."""
        return param(self.params, "rport") is not None

    def stamped(self, host: str, port: int) -> Via:
        """With the source address it was received from noted in it (RFC 3261 §18.2.1, RFC 3581 §4)."""
        params = self.params
        if param(params, "rport") is not None:
            params = with_param(params, "rport", str(port))
        elif self.host == host:
            return self
        return Via(self.transport, self.host, self.port, with_param(params, "received", host))

    @property
    def sent_by(self) -> str:
        """`host[:port]`, as transaction matching compares it (RFC 3261 §17.2.3)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def param(self, name: str) -> str | None:
        return param(self.params, name)

    def with_param(self, name: str, value: str | None) -> Via:
        return Via(self.transport, self.host, self.port, with_param(self.params, name, value))

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{params_text(self.params)}"


def parse_via(text: str) -> Via:
    """Read one via-parm.

    Raises: ParseError: no via-parm; status hint 505 for another SIP version.
    """
    return _plain_via(text) or _any_via(text)


def _plain_via(text: str) -> Via | None:
    match = _PLAIN_VIA(text)
    if match is None:
        return None
    transport, host, port, rest = match.groups()
    if port is not None and int(port) > 65535:
        return None
    return Via(transport, host, None if port is None else int(port), split_plain_params(rest, "header Via") if rest else ())


def _any_via(text: str) -> Via:
    match = _VIA(text)
    if match is None:
        raise ParseError(f"no via-parm: {text[:60]!r}", where="header Via")
    name, version, transport, host, port = match.groups()
    if name.upper() != "SIP" or version != "2.0":
        raise ParseError(f"version {name}/{version}", 505, "header Via")
    if port is not None and not 0 < int(port) < 65536:
        raise ParseError(f"port {port} is none", where="header Via")
    rest = text[match.end() :]
    bare = host[1:-1] if host[0] == "[" else host
    return Via(transport.upper(), bare, None if port is None else int(port), parse_params(rest, "header Via") if rest else ())


@lru_cache(maxsize=1024)
def parse_vias(text: str) -> tuple[Via, ...]:
    """All of one Via header field's value."""
    return tuple([parse_via(element) for element in split_list(text, "header Via")])
