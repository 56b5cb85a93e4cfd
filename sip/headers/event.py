"""Event: what a NOTIFY is about (RFC 6665 §8.2.1)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import SWS, TOKEN, Params, params_text, parse_params

# Event               =  ( "Event" / "o" ) HCOLON event-type *( SEMI event-param )
# event-type          =  event-package *( "." event-template )
_EVENT_TYPE: Final = re.compile(rf"({TOKEN}){SWS}(?=;|\Z)").match
_WHERE: Final = "header Event"


class Event(msgspec.Struct, frozen=True):
    """The event package with its templates, in lower case: phones are not agreed on how to spell `talk`."""

    package: str
    params: Params = ()

    def __str__(self) -> str:
        return self.package + params_text(self.params)


def parse_event(text: str) -> Event:
    """Read the value.

    Raises: ParseError: no event-type.
    """
    match = _EVENT_TYPE(text)
    if match is None:
        raise ParseError(f"no event-type: {text[:40]!r}", where=_WHERE)
    rest = text[match.end() :]
    return Event(match[1].lower(), parse_params(rest, _WHERE) if rest else ())
