"""Base of what comes in and goes out as JSON: house rules over pydantic."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints


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


SECRET_WORDS = ("password", "secret", "token", "key", "ha1")
"""A member with such a word in its name is not shown when an object is printed."""


class _Discreet(BaseModel):
    """Printed, in a log or a traceback, it shows no secret, and its errors show nothing that was given."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            is_secret = value is not None and any(word in (name or "").lower() for word in SECRET_WORDS)
            yield name, "***" if is_secret else value


class Given(_Discreet):
    """What a client sends: unknown members are errors, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Told(_Discreet):
    """What we answer."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, hide_input_in_errors=True)


Limit = Annotated[int, Field(ge=1, le=500, description="How many at most.")]
