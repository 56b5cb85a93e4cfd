"""What the user agent asks of whoever counts wrong passwords: two questions (pure; the answers are the application's).

RFC 3261 §26.3.2.4 leaves the defence against guessing to the implementation.
"""

from __future__ import annotations

from typing import Protocol


class Attempt(Protocol):
    """One set of credentials with a nonce that was issued to this very source."""

    @property
    def wait_s(self) -> int | None:
        """Seconds for which nothing may be computed; None: judge it, then say what came of it."""

    def failed(self, now: float) -> None:
        """They were wrong."""

    def abandoned(self, now: float) -> None:
        """Nothing was guessed."""

    def succeeded(self, now: float) -> None:
        """They were right."""


class Guard(Protocol):
    """Hosts are addresses as text; `now` is monotonic seconds."""

    def is_banned(self, host: str, now: float, *, is_challenged: bool) -> bool:
        """Whether a request from there gets no answer; `is_challenged`: it is one that a password has to prove."""

    def attempt(self, username: str, host: str, now: float, *, is_urgent: bool) -> Attempt:
        """Somebody at `host` wants to prove to be `username`; urgent for an emergency call."""
