"""Errors of the voice service's shell: house tree.

- `VoiceServiceError`: root
  - `PriceRefused`: a number without a price, or one the tariff refuses (R13); carries the reason
  - `StreamOverrun`: a reader of live events fell too far behind
  - `CannotStart`: something outside must be mended first
  - `JournalDamaged`: a journal file holds something that is neither an entry nor a torn tail
"""

from __future__ import annotations


class VoiceServiceError(Exception):
    """Root of the shell's errors."""


class PriceRefused(VoiceServiceError):
    """No price is known for the number, or the plan refuses it; the text says which prefix."""


class StreamOverrun(VoiceServiceError):
    """The reader must fetch the live state again."""


class JournalDamaged(VoiceServiceError):
    """The text names file, offset and what was found."""


class CannotStart(VoiceServiceError):
    """The text is one sentence that names the file and what to do."""
