"""Names of the packaged sounds, without reading one: for whoever lets somebody choose (what they are for: `media/prompts.py`)."""

from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
GENERATED: Final = frozenset({"tone/ringback", "tone/beep", "tone/silence", "tone/pause", "tone/supervised", "tone/warning"})
"""Made when asked for, without a file."""


@cache
def packaged() -> frozenset[str]:
    """Every name that can be played: `de/greeting`, `music/default`, `tone/beep`."""
    return GENERATED | {path.relative_to(FOLDER).as_posix().removesuffix(".wav") for path in FOLDER.rglob("*.wav")}


@cache
def languages() -> tuple[str, ...]:
    """The languages that announcements are spoken in, as ISO 639-1 codes."""
    folders = {name.partition("/")[0] for name in packaged()}
    return tuple(sorted(folder for folder in folders if len(folder) == 2))
