"""Languages, as ISO 639-1 has them, and those that announcements are spoken in."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints, ValidationInfo

from acd import sounds
from api.kit.schema import is_stored

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]


def _is_spoken(language: str, info: ValidationInfo) -> str:
    if language not in sounds.LANGUAGES and not is_stored(info):
        raise ValueError(f"announcements are spoken in {', '.join(sounds.LANGUAGES)}")
    return language


Spoken = Annotated[Language, AfterValidator(_is_spoken)]
"""Somebody is spoken to in it."""
