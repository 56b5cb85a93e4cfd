"""Content-Type and the elements of Accept: media types with parameters (RFC 3261 §20.15, §20.1, §25.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import SWS, TOKEN, Params, param, params_text, parse_params, split_list

# media-type  =  m-type SLASH m-subtype *(SEMI m-parameter)
_MEDIA_TYPE: Final = re.compile(rf"({TOKEN}){SWS}/{SWS}({TOKEN}){SWS}").match


class MediaType(msgspec.Struct, frozen=True):
    """Type and subtype in lower case (they are case-insensitive), parameters as they came."""

    type: str
    subtype: str
    params: Params = ()

    @property
    def essence(self) -> str:
        """`type/subtype`, what one compares with."""
        return f"{self.type}/{self.subtype}"

    def param(self, name: str) -> str | None:
        return param(self.params, name)

    def accepts(self, other: MediaType) -> bool:
        """Taken as a media range (`*/*`, `application/*`): does the other fall in it?"""
        return self.type in {"*", other.type} and self.subtype in {"*", other.subtype}

    def __str__(self) -> str:
        return self.essence + params_text(self.params)


@lru_cache(maxsize=256)
def parse_media_type(text: str, where: str = "header Content-Type") -> MediaType:
    """Read one media type or media range.

    Raises: ParseError: anything else.
    """
    match = _MEDIA_TYPE(text)
    if match is None:
        raise ParseError(f"no media type: {text[:60]!r}", where=where)
    rest = text[match.end() :]
    return MediaType(match[1].lower(), match[2].lower(), parse_params(rest, where) if rest else ())


@lru_cache(maxsize=256)
def parse_media_ranges(text: str) -> tuple[MediaType, ...]:
    """The elements of one Accept field; none where it is empty.

    Raises: ParseError: an element that is no media range.
    """
    return tuple([parse_media_type(element, "header Accept") for element in split_list(text, "header Accept")] if text else ())
