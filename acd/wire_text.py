"""Text that strangers send, made fit to be shown, kept and written into rows: cut, and without what nobody can see (house; CVE-2021-42574).

A caller writes its own name and number (RFC 3261 §20.10, RFC 3325), a phone its User-Agent, a peer its reason phrase. What stands in them
goes to boards, phones, journals, databases and spreadsheets, so it is bounded here, at the door, once.
"""

from __future__ import annotations

import re

LONGEST_NUMBER = 40
"""Fifteen digits (ITU-T E.164 §6.2.1), a prefix and the separators people write; what is longer is no number that can be called."""
LONGEST_NAME = 80
LONGEST_LINE = 200
"""What a device or a peer says of itself, or a customer as subject."""
LONGEST_TEXT = 4000
"""What a customer writes: some fifty lines; it lies in the memory and the journal until it is done with."""

UNFIT = (
    r"\x00-\x1f\x7f-\x9f"  # controls, C0 and C1: line ends, tabs and escapes among them
    r"\u2028\u2029"  # line and paragraph separators
    r"\u202a-\u202e\u2060-\u206f"  # overrides of the writing direction, and what else is invisible beside them
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # byte order mark, annotations, tags
    r"\ud800-\udfff"  # halves of surrogate pairs, which UTF-8 has not (RFC 3629 §3)
)
"""Characters of no text that is shown in a line, as a regular expression's class has them. Joiners and marks that scripts need are none."""

_UNFIT = re.compile(f"[{UNFIT}]")
_UNFIT_IN_LINES = re.compile(rf"(?![\t\n])[{UNFIT}]")


def fit(text: str, longest: int) -> str:
    """The text with U+FFFD for each character nobody can see, at most so long; what was cut ends with an ellipsis.

    >>> fit("Erika", 80), fit("9" * 3000, 8)
    ('Erika', '9999999…')
    """
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return _UNFIT.sub("\ufffd", text)


def fit_lines(text: str, longest: int) -> str:
    """The same for text of many lines: line ends, as LF, and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return _UNFIT_IN_LINES.sub("\ufffd", text)


def fit_or_none(text: str | None, longest: int) -> str | None:
    """The same; None for nothing, and for what is only blanks."""
    return fit(text, longest).strip() or None if text else None
