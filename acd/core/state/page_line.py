"""What a browser's page has measured of the line it is on, and whether it is good enough (house; pure; docs/pages.md).

A figure is bad beyond its limit, and good again only well within it, so that a line at the limit does not flutter. Figures that a
measurement has not are as they were: a call says nothing of the upload. What was measured holds until the next measurement, or the next
shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from acd.core.configuration import Pages
from acd.core.state import values as s

AGAIN: Final = {"upload_kbits": 1.2, "loss": 0.6}
"""What a limit is taken times for the way back."""
MOS_AGAIN: Final = 0.3
"""MOS is a scale from 1 to 4.5 without a zero: so much above the limit."""
GRADES: Final = (("upload_kbits", (200.0, 130.0)), ("loss", (0.01, 0.03)), ("mos", (4.0, 3.6)))
"""Figure -> from where on it is worse, and much worse. MOS: below 4.0 some users are dissatisfied, below 3.6 many (ITU-T G.107 Annex B)."""


def bad_figures(before: s.PageLine | None, measured: Mapping[str, float], limits: Pages) -> tuple[str, ...]:
    """Which figures are no good after a measurement."""
    was = frozenset(before.bad) if before is not None else frozenset()
    found = []
    for figure, limit in (("upload_kbits", limits.min_upload_kbits), ("loss", limits.max_loss), ("mos", limits.min_mos)):
        if limit <= 0:
            continue
        value = measured.get(figure)
        if figure in was if value is None else _is_bad(figure, value, limit, was_bad=figure in was):
            found.append(figure)
    return tuple(found)


def _is_bad(figure: str, value: float, limit: float, *, was_bad: bool) -> bool:
    if was_bad:
        limit = limit + MOS_AGAIN if figure == "mos" else limit * AGAIN[figure]
    return value > limit if figure == "loss" else value < limit


def grade(line: s.PageLine | None) -> float:
    """How bad the line is: 0 good, or nothing is known; 1 worse; 2 much worse."""
    if line is None:
        return 0.0
    worst = 0
    for figure, (worse, much_worse) in GRADES:
        value = line.figures.get(figure)
        if value is not None:
            beyond = [value > one if figure == "loss" else value < one for one in (worse, much_worse)]
            worst = max(worst, sum(beyond))
    return float(worst)
