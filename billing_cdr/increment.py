"""Increments: in which started units a call is counted (60/60, 30/6, 1/1; at most 60 s by § 112 TKG).

"30/6" means: the first 30 seconds are one unit, then every 6 seconds one. A unit that has begun is owed whole. A number whose
beginning is free of charge (0180-7: 30 s) starts its first unit after that.
"""

from __future__ import annotations

import re

from msgspec import Struct

_TEXT = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


class Increment(Struct, frozen=True, omit_defaults=True):
    """The grid of started units, in milliseconds from the answer."""

    first_ms: int
    next_ms: int
    free_ms: int = 0

    @classmethod
    def parse(cls, text: str, free_ms: int = 0) -> Increment:
        """Read `first/next` in seconds.

        Raises: ValueError: the text has another form.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not of the form first/next in seconds, such as 60/60")
        return cls(int(match[1]) * 1000, int(match[2]) * 1000, free_ms)

    def units(self, duration_ms: int) -> int:
        """Count the units begun within `duration_ms`: 0 ms none, 1 ms one, 60 000 ms one and 60 001 ms two of 60/60."""
        counted_ms = duration_ms - self.free_ms
        if counted_ms <= 0:
            return 0
        if counted_ms <= self.first_ms:
            return 1
        return 1 - (self.first_ms - counted_ms) // self.next_ms  # the floor of a negative number: a ceiling in whole numbers

    def billed_ms(self, duration_ms: int) -> int:
        """Add up the length of the units begun."""
        units = self.units(duration_ms)
        return 0 if units == 0 else self.first_ms + (units - 1) * self.next_ms

    def __str__(self) -> str:
        return f"{self.first_ms // 1000}/{self.next_ms // 1000}"
