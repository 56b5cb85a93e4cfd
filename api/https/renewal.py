"""When a certificate is asked for, and when again after it was refused (pure; RFC 8555 §6.6, RFC 9773)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_AGAIN_S: Final = 600.0
"""After the first refusal. Let's Encrypt takes five failed validations of a name within an hour."""
MOST_AGAIN_S: Final = 21_600.0
"""Four times a day: with a third of its life left, a certificate of six days has eight tries."""
PART: Final = 2 / 3
"""Of a certificate's life: then it is renewed, where the authority does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What came of asking; kept over a restart, lest a service that is started again and again asks each time."""

    asked: str = ""
    """What was asked for, of whom: another question is another matter."""
    failures: int = 0
    """One after the other."""
    failed_at: float = 0.0
    """Unix seconds."""

    def failed(self, asked: str, now: float) -> Tries:
        """It came to nothing again."""
        return Tries(asked, (self.failures if asked == self.asked else 0) + 1, now)

    def again_at(self, asked: str) -> float:
        """Before that nobody is asked; Unix seconds."""
        if asked != self.asked or not self.failures:
            return 0.0
        return self.failed_at + min(FIRST_AGAIN_S * 2.0 ** min(self.failures - 1, 16), MOST_AGAIN_S)


def renewed_at(begins_at: float, expires_at: float, suggested_at: float | None = None) -> float:
    """When a certificate is to be replaced by another; all in Unix seconds.

    Args:
        suggested_at: by the authority (RFC 9773 §4.2), which may be earlier, never so late that nothing is left.
    """
    usual = begins_at + (expires_at - begins_at) * PART
    return usual if suggested_at is None else min(suggested_at, expires_at - (expires_at - begins_at) / 10)
