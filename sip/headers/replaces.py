"""Replaces: the dialog a new call takes the place of, the end of an attended transfer (RFC 3891 §6.1)."""

from __future__ import annotations

import msgspec

from sip.errors import ParseError
from sip.grammar import IS_TOKEN, Params, param, params_text, parse_params

# Replaces       =  "Replaces" HCOLON callid *(SEMI replaces-param)
# replaces-param =  to-tag / from-tag / early-flag / generic-param
_WHERE = "header Replaces"


class Replaces(msgspec.Struct, frozen=True):
    """Tags as the receiver of the header sees them: to-tag is its own, from-tag the peer's (RFC 3891 §3)."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __str__(self) -> str:
        params: Params = (("to-tag", self.to_tag), ("from-tag", self.from_tag))
        return f"{self.call_id}{params_text(params)}{';early-only' if self.early_only else ''}"


def parse_replaces(text: str) -> Replaces:
    """Read the value of Replaces.

    Raises: ParseError: no Call-ID, or a tag missing or there twice (RFC 3891 §3: 400).
    """
    call_id, semicolon, rest = text.partition(";")
    call_id = call_id.strip(" \t")
    if not call_id or " " in call_id or "\t" in call_id:
        raise ParseError(f"no callid: {call_id[:40]!r}", where=_WHERE)
    params = parse_params(semicolon + rest, _WHERE) if semicolon else ()
    tags = {}
    for name in ("to-tag", "from-tag"):
        value = param(params, name)
        if not value or not IS_TOKEN(value) or sum(found.lower() == name for found, _ in params) > 1:
            raise ParseError(f"{name} must be there once", where=_WHERE)
        tags[name] = value
    return Replaces(call_id, tags["to-tag"], tags["from-tag"], param(params, "early-only") is not None)
