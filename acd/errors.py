"""Errors of the voice service's shell: house tree.

- `VoiceServiceError`: root
  - `PriceRefused`: a number without a price, or one the tariff refuses (R13); carries the reason
  - `NoSuchNumber`: a number of the tenant's own plan that leads nowhere
  - `DialRefused`: the number is not allowed to whoever dials, or there is no budget left for it (U16); carries cause and reason
  - `PhoneRefused`: the phone that was to take a call did not (U8); carries what it said
  - `CheckRefused`: a line check cannot be made, or is not there; carries why
  - `StreamOverrun`: a reader of live events fell too far behind
  - `CannotStart`: something outside must be mended first
    - `DirectoryInUse`: another process works on the data directory
  - `JournalDamaged`: a journal file holds something that is neither an entry nor a torn tail, or something is missing
  - `JournalAhead`: the journal was written by a clock that was more than a day ahead of this machine's
  - `JournalStopped`: the journal cannot be written, so nothing is decided for this tenant
"""

from __future__ import annotations

from typing import Literal


class VoiceServiceError(Exception):
    """Root of the shell's errors."""


class PriceRefused(VoiceServiceError):
    """No price is known for the number, or the plan refuses it; the text says which prefix."""


class NoSuchNumber(VoiceServiceError):
    """An extension, as it looks, that nobody and nothing of the tenant has."""

    def __init__(self, number: str) -> None:
        super().__init__(f"The number {number} does not exist here.")
        self.number = number


class DialRefused(VoiceServiceError):
    """The text says what is allowed, or how the budget stands."""

    def __init__(self, cause: Literal["not_allowed", "budget"], reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


class PhoneRefused(VoiceServiceError):
    """The text says what the phone answered, or that it did not."""


class CheckRefused(VoiceServiceError):
    """The text says why a line is not checked."""


class StreamOverrun(VoiceServiceError):
    """The reader must fetch the live state again."""


class JournalDamaged(VoiceServiceError):
    """The text names file, offset and what was found, and entry and call where they can be known."""


class JournalAhead(VoiceServiceError):
    """The text says by how much, and the way out."""


class JournalStopped(VoiceServiceError):
    """The text names the tenant, the path and the reason."""


class CannotStart(VoiceServiceError):
    """The text is one sentence that names the file and what to do."""


class DirectoryInUse(CannotStart):
    """The text names the directory and, where it can be known, the process."""
