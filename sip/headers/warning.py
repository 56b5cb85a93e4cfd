"""Warning: why a request was refused, in a code and in words (RFC 3261 §20.43)."""

from __future__ import annotations

import msgspec

from sip.grammar import quote

# warning-value  =  warn-code SP warn-agent SP warn-text
# warn-code      =  3DIGIT
# warn-agent     =  hostport / pseudonym
# warn-text      =  quoted-string: it may hold what a peer wrote


class Warning(msgspec.Struct, frozen=True):  # noqa: A001  # the standard's word
    code: int
    agent: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"
