"""Headers that list tokens: Require, Supported, Allow (RFC 3261 §20.32, §20.37, §20.5)."""

from __future__ import annotations

from functools import lru_cache

from sip.errors import ParseError
from sip.grammar import IS_TOKEN, split_list

# Require    =  "Require" HCOLON option-tag *(COMMA option-tag)
# Supported  =  ( "Supported" / "k" ) HCOLON [option-tag *(COMMA option-tag)]
# Allow      =  "Allow" HCOLON [Method *(COMMA Method)]


@lru_cache(maxsize=1024)
def parse_tokens(text: str, header: str) -> tuple[str, ...]:
    """The elements of one field; none where it is empty.

    Raises: ParseError: an element that is no token.
    """
    where = f"header {header}"
    found = split_list(text, where) if text else []
    for element in found:
        if not IS_TOKEN(element):
            raise ParseError(f"no token: {element[:40]!r}", where=where)
    return tuple(found)
