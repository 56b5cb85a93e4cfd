"""One press, one digit: the ways in which a party may tell of a key (RFC 4733, INFO, a tone in band), and what its partner understands.

What a party presses is told by the media worker (events and tones: when a key goes down, and when it is up) and by SIP (INFO: once).

| what comes                                                     | is                                                                |
|----------------------------------------------------------------|-------------------------------------------------------------------|
| a key by one means                                             | a press                                                           |
| the same key by another means, the press lasts or is over for  | the same press: devices exist that send events and INFO, or INFO  |
| less than `WITHIN_S`, and that means has not told of it yet    | and a tone, for every key                                         |
| the same key by the same means again                           | another press, however soon                                       |

What is carried on to the partner (a press by events goes on as packets, a tone as audio, by the worker):

| the partner            | events                   | INFO                             | a tone               |
|------------------------|--------------------------|----------------------------------|----------------------|
| negotiated RFC 4733    | pass                     | become events                    | passes               |
| else takes INFO        | become INFO              | is sent on                       | passes               |
| else                   | become a tone            | becomes a tone                   | passes               |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Means = Literal["event", "tone", "info"]

WITHIN_S = 1.0
"""INFO goes through proxies and is repeated when lost (after 0.5 s); nobody presses one key by two means in turn."""
CARRY_AFTER_S = 0.2
"""So long a key that came by INFO waits: whether the worker hears it as well, and passes it on by itself, is known by then."""


@dataclass(slots=True, eq=False)
class Press:
    """One key press of one party."""

    key: str
    at: float
    """When it was heard of last, in monotonic seconds."""
    means: set[Means] = field(default_factory=set)
    is_down: bool = False
    is_told: bool = False
    """It has counted."""
    is_carried: bool = False
    """The partner was told of it by us."""

    def tell(self) -> bool:
        """Whether it counts now: once."""
        told, self.is_told = self.is_told, True
        return not told


class Presses:
    """The presses of one party. Every method takes `now` in monotonic seconds."""

    def __init__(self) -> None:
        self._recent: list[Press] = []
        self._down: dict[Means, Press] = {}

    def down(self, key: str, means: Means, now: float) -> Press:
        """A key went down."""
        press = self._heard(key, means, now)
        press.is_down = True
        self._down[means] = press
        return press

    def up(self, key: str, means: Means, now: float) -> Press:
        """A key is up; one whose beginning nobody told of is a press as well."""
        press = self._down.pop(means, None)
        if press is None or press.key != key:
            press = self._heard(key, means, now)
        press.at, press.is_down = now, False
        return press

    def info(self, key: str, now: float) -> Press:
        """A key was told of by signalling."""
        return self._heard(key, "info", now)

    def _heard(self, key: str, means: Means, now: float) -> Press:
        self._recent = [one for one in self._recent if one.is_down or now - one.at <= WITHIN_S]
        for press in self._recent:  # the oldest first: two presses by two means are paired in their order
            if press.key == key and means not in press.means:
                break
        else:
            press = Press(key, now)
            self._recent.append(press)
        press.means.add(means)
        press.at = now
        return press
