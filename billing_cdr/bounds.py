"""How large and how deep the document of a plan may be, looked at before anything expensive is done with it (house).

`tomllib` takes time that grows with the square of the parts of a dotted key, and both it and `json` go down a level of Python's stack
with every level of a document: a megabyte of `a.a.a…` stands for twenty minutes. A price list needs none of that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from billing_cdr.errors import TariffError

__all__ = ["MAX_DEPTH", "MAX_KEY_PARTS", "MAX_LINES", "MAX_LINE_LETTERS", "MAX_MARKS", "MAX_VALUES", "check_document", "check_toml"]

MAX_KEY_PARTS: Final = 20
"""Parts of a dotted key or a header; a plan has three at most (`rate.per_minute.day`)."""
MAX_DEPTH: Final = 50
"""Arrays and tables within each other; a plan has four levels."""
MAX_LINE_LETTERS: Final = 10_000
"""Letters of a line of TOML; a rate on a single line has some three hundred."""
MAX_LINES: Final = 100_000
"""Lines of TOML: ten thousand rates of ten lines."""
MAX_VALUES: Final = 100_000
"""Keys and items of a document, all levels together: ten thousand rates of ten values. More breakouts than any carrier sells."""
MAX_MARKS: Final = 200_000
"""Dots, commas and equals signs of TOML outside of texts: each stands for a value or a table that is made before anybody can count it."""

# Every text has an end here, if only that of the line or of the document: one that had none would be looked for again at each mark in it.
_TOKEN: Final = re.compile(
    r"""
      (?P<text>
          \"{3}(?:[^"\\]++|\\.|\"{1,2}(?!\"))*+(?:\"{3,5}|\\?\Z)   # over several lines; up to two quotation marks may stand before its end
        | '{3}(?:[^']++|'{1,2}(?!'))*+(?:'{3,5}|\Z)
        | "(?:[^"\\\n]++|\\[^\n])*+(?:"|\\?(?=\n)|\\?\Z)
        | '[^'\n]*+(?:'|(?=\n)|\Z)
      )
    | (?P<comment>\#[^\n]*+)
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<dot>\.)
    | (?P<mark>[,=])
    | (?P<line>\n)
    """,
    re.VERBOSE | re.DOTALL,
)


def check_toml(text: str) -> None:
    """Bound what parsing costs, in a single pass that understands no more of TOML than where texts and comments end.

    Raises: TariffError: names the line
    """
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise TariffError(f"line {MAX_LINES + 1}", f"a plan has at most {MAX_LINES} lines")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_LETTERS:
            raise TariffError(f"line {number}", f"a line has at most {MAX_LINE_LETTERS} letters")
    depth = dots = marks = 0
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind in {"dot", "mark"}:
            marks += 1
        if kind == "dot":
            dots += 1
        elif kind == "open":
            depth, dots = depth + 1, 0
        elif kind == "close":
            depth, dots = max(depth - 1, 0), 0
        elif kind in {"mark", "line"}:
            dots = 0
        if what := _too_much(depth, dots, marks):
            raise TariffError(f"line {text.count(chr(10), 0, found.start()) + 1}", what)


def _too_much(depth: int, dots: int, marks: int) -> str:
    if dots >= MAX_KEY_PARTS:
        return f"a key has at most {MAX_KEY_PARTS} parts"
    if depth > MAX_DEPTH:
        return f"at most {MAX_DEPTH} brackets stand within each other"
    return f"a plan has at most {MAX_MARKS} dots, commas and equals signs" if marks > MAX_MARKS else ""


def check_document(document: Any) -> None:
    """Bound what goes through a document costs: without recursion, and no further than the bound.

    Raises: TariffError: names the key that is one too many, or too deep
    """
    values = 0
    left: list[tuple[Any, str, int]] = [(document, "", 0)]
    while left:
        value, place, depth = left.pop()
        if isinstance(value, Mapping):
            inner = [(one, str(key)) for key, one in value.items()]
        elif isinstance(value, list | tuple):
            inner = [(one, f"[{number}]") for number, one in enumerate(value, 1)]
        else:
            continue
        values += len(inner)
        if values > MAX_VALUES:
            raise TariffError(place, f"a plan has at most {MAX_VALUES} keys and items")
        if depth >= MAX_DEPTH:
            raise TariffError(place, f"at most {MAX_DEPTH} tables and lists stand within each other")
        left += [(one, place or name[:60], depth + 1) for one, name in inner if isinstance(one, Mapping | list | tuple)]
