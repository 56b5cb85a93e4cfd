"""Own sounds as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import Field

from api.kit.schema import Told

FOLDER = r"^([a-z]{2}|music)$"
NAME = r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$"
LONGEST_NAME = 58
"""With its folder it is a key of 64 letters, as all of the set-up have."""
Folder = Annotated[str, Path(pattern=FOLDER, description="The language; `music` for what has none.")]
SoundName = Annotated[str, Path(max_length=LONGEST_NAME, pattern=NAME)]
NewFolder = Annotated[str, Query(pattern=FOLDER, description="The language as ISO 639-1, `de`; `music` for what has none.")]
NewName = Annotated[
    str,
    Query(
        max_length=LONGEST_NAME,
        pattern=NAME,
        description="Of a packaged sound, `queue.greeting`, which it replaces for this tenant, or a new one.",
    ),
]
Warning_ = Literal["quiet", "loud", "clipped"]


class SoundTold(Told):
    id: str = Field(description="`de/queue.greeting`: language and name.")
    language: str = Field(description="`music`: it has none.")
    name: str
    duration_ms: int
    octets: int = Field(description="As it is stored: A-law WAV, mono, 8 kHz.")
    level_dbfs: float = Field(description="Level while there is something to hear, as stored; packaged announcements have -20.")
    peak_dbfs: float = Field(description="Highest peak of what was sent; 0 is full scale.")
    encoding: str = Field(description="Of what was sent, as the two that follow.")
    sample_rate: int
    channels: int
    normalised: bool = Field(description="It was brought to the level of the packaged announcements.")
    warnings: list[Warning_] = Field(
        description="`quiet`, `loud`: callers hear it at another level than the rest; `clipped`: it was recorded beyond full scale."
    )
    replaces_packaged: bool = Field(description="It is heard instead of a packaged sound of this language.")
    version: int = Field(description="Counts changes; also the ETag.")
    changed_at: datetime


class PackagedTold(Told):
    languages: list[str] = Field(description="The languages that everything packaged is spoken in.")
    names: list[str] = Field(description="Every packaged sound with its language; one of the same name of the tenant's is heard instead.")
