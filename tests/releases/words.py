"""The journal's vocabulary written down, a file a version: `python -m tests.releases.words` writes that of the code as it is.

A version that was released is never written anew: `WORDS` is raised instead, and `acd.journal.words.STEPS` gets its step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from acd.core.events import Event
from acd.core.inputs import Input
from acd.journal.words import WORDS
from acd.shapes import shapes

RELEASED = {1: "0.1.0", 2: "0.2.0"}
"""Version -> the release that first wrote journals in it: there are some now, and it is as it is. What is not here may still change."""
FOLDER = Path(__file__).parents[1] / "vectors" / "words"


def path_of(version: int) -> Path:
    return FOLDER / f"{version}.json"


def vocabulary() -> dict[str, Any]:
    """Every input and event, and what they hold."""
    return shapes(Input, Event)


if __name__ == "__main__":
    if WORDS in RELEASED:
        raise SystemExit(
            f"version {WORDS} was released with {RELEASED[WORDS]}: raise WORDS in acd/journal/words.py, add the step from {WORDS} to STEPS"
        )
    path_of(WORDS).write_text(json.dumps(vocabulary(), indent=1, sort_keys=True) + "\n")
