"""From, To, Contact, Route and their kin: name-addr / addr-spec with header parameters (RFC 3261 §20.10, §25.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import (
    IS_TOKEN,
    QUOTED_STRING,
    Params,
    param,
    params_text,
    parse_params,
    quote,
    split_list,
    unquote,
    with_param,
)
from sip.uri import Uri

# name-addr     =  [ display-name ] LAQUOT addr-spec RAQUOT
# display-name  =  *(token LWS)/ quoted-string
# Deviation: an unquoted display name may hold any character that does not separate; many phones write umlauts without quotes. A comma does
# separate, so `Bell, Alexander <sip:...>` is refused (RFC 4475 §3.1.2.15), and no LWS is wanted before "<" (RFC 4475 §3.1.1.6).
_NAME_ADDR: Final = re.compile(rf'[ \t]*+(?:({QUOTED_STRING})|([^"<>,;:@\\]*+))[ \t]*+<([^<>"]++)>', re.DOTALL).match

# The form that nearly every From and To has.
_PLAIN_NAME_ADDR: Final = re.compile(r'<([^<>"]++)>(?:;tag=([A-Za-z0-9\-.]++))?+').fullmatch


class NameAddr(msgspec.Struct, frozen=True):
    """A display name, a URI, and the parameters of the header field (not of the URI)."""

    uri: Uri
    display_name: str = ""
    params: Params = ()

    @property
    def tag(self) -> str | None:
        """The tag parameter of From and To."""
        params = self.params
        if params and params[0][0] == "tag":  # as a rule the only one
            return params[0][1] or None
        return param(params, "tag") or None

    def param(self, name: str) -> str | None:
        """A header parameter, "" for a flag, None where it is missing."""
        return param(self.params, name)

    def with_param(self, name: str, value: str | None) -> NameAddr:
        return NameAddr(self.uri, self.display_name, with_param(self.params, name, value))

    def with_tag(self, tag: str) -> NameAddr:
        return NameAddr(self.uri, self.display_name, with_param(self.params, "tag", tag) if self.params else (("tag", tag),))

    def without_params(self) -> NameAddr:
        """Only name and URI, as a new request to the same party starts."""
        return NameAddr(self.uri, self.display_name)

    def __str__(self) -> str:
        # Always with brackets: RFC 3261 §20.10 demands them as soon as the URI has a comma, semicolon or question mark, and allows them
        # always.
        name, params = self.display_name, self.params
        shown = "" if not name else (f"{name} " if all(IS_TOKEN(word) for word in name.split(" ")) else f"{quote(name)} ")
        return f"{shown}<{self.uri}>{params_text(params) if params else ''}"


@lru_cache(maxsize=1024)
def parse_name_addr(text: str, where: str = "name-addr") -> NameAddr:
    """Read one `( name-addr / addr-spec ) *( SEMI generic-param )`.

    Raises: ParseError: neither form.
    """
    return _plain_name_addr(text) or _any_name_addr(text, where)


def _plain_name_addr(text: str) -> NameAddr | None:
    match = _PLAIN_NAME_ADDR(text)
    if match is None:
        return None
    uri, tag = match.groups()
    try:
        return NameAddr(Uri.parse(uri), "", (("tag", tag),) if tag else ())
    except ParseError:
        return None


def _any_name_addr(text: str, where: str) -> NameAddr:
    match = _NAME_ADDR(text)
    if match is not None:
        quoted, plain, uri = match.groups()
        rest = text[match.end() :]
        name = unquote(quoted) if quoted is not None else plain.strip(" \t")
    else:
        # RFC 3261 §20: without < >, everything from the first semicolon on belongs to the header; comma and question mark are forbidden.
        bare, semicolon, params = text.partition(";")
        uri, rest, name = bare.strip(" \t"), semicolon + params, ""
        if "<" in uri or '"' in uri or "?" in uri or "," in uri:
            raise ParseError(f"neither name-addr nor addr-spec: {text[:60]!r}", where=where)
    try:
        address = Uri.parse(uri)
    except ParseError as error:
        raise ParseError(str(error), where=where) from error
    return NameAddr(address, name, parse_params(rest, where) if rest else ())


def parse_name_addrs(text: str, where: str) -> list[NameAddr]:
    """A comma-separated list of them."""
    return [parse_name_addr(element, where) for element in split_list(text, where)]
