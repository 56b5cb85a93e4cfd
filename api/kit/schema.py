"""Base of what comes in and goes out as JSON: house rules over pydantic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator


def _storable(text: str) -> str:
    """PostgreSQL has no U+0000 in text and UTF-8 has no surrogates."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("U+0000 and lone surrogates cannot be kept")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_storable)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_storable)]
Long = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_storable)]


def _in_range(value: datetime) -> datetime:
    """Every database holds these years, and so does every conversion to UTC."""
    if not 1900 <= value.year <= 9998:
        raise ValueError("the year lies between 1900 and 9998")
    return value.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
"""A time with its zone; kept and answered as UTC."""


SPARE_MEMBERS = 20
"""So many members too many are told one by one."""


class Given(BaseModel):
    """What a client sends: unknown members are errors, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, given: Any) -> Any:
        """Eighty thousand unknown members would be eighty thousand errors, and seconds of work."""
        if isinstance(given, dict) and len(given) > len(cls.model_fields) + SPARE_MEMBERS:
            raise ValueError(f"there are {len(given)} members, and at most {len(cls.model_fields)} are known")
        return given


class Told(BaseModel):
    """What we answer."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


Limit = Annotated[int, Field(ge=1, le=500, description="How many at most.")]
