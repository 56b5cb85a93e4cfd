"""One line of the security log: what fail2ban's filter in docs/fail2ban reads (pure).

`failed source=192.0.2.7 protocol=sip tenant=acme user="anna"`: the word and the address come first and the user's own text last, as a
JSON string in ASCII: no control character, quote or look-alike in a name can end it, or begin a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

NAME_LENGTH = 128
_MEMBER = re.compile(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|[^ ]*)')


def line(outcome: str, source: str, **more: str | int | None) -> str:
    """Members without a value are left out; texts of others go through `quoted`."""
    return " ".join([outcome, f"source={plain(source)}", *(f"{name}={value}" for name, value in more.items() if value is not None)])


def plain(text: str) -> str:
    """An address, a tenant: what was checked before has these letters only, and the rest is replaced."""
    return (
        "".join(letter if letter.isascii() and (letter.isalnum() or letter in ".:/_%@-") else "?" for letter in text[:NAME_LENGTH]) or "-"
    )


def quoted(text: str) -> str:
    """A name as somebody typed it."""
    return json.dumps(text[:NAME_LENGTH], ensure_ascii=True)


def read(text: str) -> Mapping[str, str]:
    """A line again, without what a log put before it: `outcome`, `source`, ...; `user` as it was typed.

    Raises: ValueError: that is no such line.
    """
    found = {name: json.loads(value) if value.startswith('"') else value for name, value in _MEMBER.findall(text)}
    if "source" not in found:
        raise ValueError(f"{text[:80]!r} is no line of the security log")
    return {"outcome": text.partition(" ")[0], **found}
