"""Base of what comes in and goes out as JSON: house rules over pydantic."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv6Network
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from acd.strangers import network_of
from acd.wire_text import UNFIT

STORED = {"stored": True}
"""Context of a validation that reads what is kept: what breaks a younger rule is told as it is, and mended when it is changed."""


def is_stored(info: ValidationInfo) -> bool:
    """Whether the value was accepted before, so that a rule for what comes in is not for it."""
    return bool(info.context and info.context.get("stored"))


_UNFIT_IN_A_LINE = re.compile(f"[{UNFIT}]")
_UNFIT_IN_LINES = re.compile(rf"(?![\t\n\r])[{UNFIT}]")


def _line(text: str, info: ValidationInfo) -> str:
    """One line: control characters break rows and boards, overrides of the writing direction show what is not there."""
    return _checked(text, _UNFIT_IN_A_LINE, info)


def _lines(text: str, info: ValidationInfo) -> str:
    """Several lines: the same, but for line ends and tabs."""
    return _checked(text, _UNFIT_IN_LINES, info)


def _checked(text: str, unfit: re.Pattern[str], info: ValidationInfo) -> str:
    found = unfit.search(text)
    if found is not None and not is_stored(info):
        raise ValueError(f"character {found.start() + 1} is U+{ord(found[0]):04X}, which cannot be seen; leave it out")
    return text


Text = Annotated[str, AfterValidator(_line)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_line)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_line)]
Long = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_lines)]


def _storable(text: str) -> str:
    """PostgreSQL has no U+0000 in text and UTF-8 has no surrogates."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("U+0000 and lone surrogates cannot be kept")
    return text


Secret = Annotated[str, AfterValidator(_storable)]
"""What was chosen as a password before: it is right or wrong, and none of our business."""
Lines = Annotated[str, AfterValidator(_lines)]
"""Text of many lines, of any length the field allows."""


def _in_range(value: datetime) -> datetime:
    """Every database holds these years, and so does every conversion to UTC."""
    if not 1900 <= value.year <= 9998:
        raise ValueError("the year lies between 1900 and 9998")
    return value.astimezone(UTC)


_IPV4_WITHIN = (
    IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052 §2.1)
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215
    IPv6Network("2002::/16"),  # 6to4 (RFC 3056)
    IPv6Network("2001::/32"),  # Teredo (RFC 4380)
)
"""As a source they would be a second name of what another tenant may have."""


def _network(text: str) -> str:
    try:
        network = network_of(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP network; write one like `203.0.113.0/28`") from None
    if isinstance(network, IPv6Network) and any(network.subnet_of(one) for one in _IPV4_WITHIN):
        raise ValueError(f"{text!r} stands for IPv4 addresses that a translator or tunnel makes of it; write those, like `203.0.113.0/28`")
    return str(network)


Network = Annotated[str, StringConstraints(max_length=64), AfterValidator(_network)]
"""An IPv4 or IPv6 network; an address is one of a single host, and IPv4 written as IPv6 is IPv4."""

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


MOST_LETTERS = 60
"""So many of a name are compared, and shown."""
SPARE_MEMBERS = 20
"""So many members too many are told one by one."""


class Given(_Discreet):
    """What a client sends: unknown members are errors, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="wrap")
    @classmethod
    def _known(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Eighty thousand unknown members would be eighty thousand errors, and seconds of work; a few are told with what may be meant."""
        if isinstance(given, dict) and len(given) > len(cls.model_fields) + SPARE_MEMBERS:
            raise ValueError(f"there are {len(given)} members, and at most {len(cls.model_fields)} are known")
        try:
            return validate(given)
        except ValidationError as error:
            if not any(_is_spare(one) for one in error.errors(include_url=False, include_context=False, include_input=False)):
                raise
            raise ValidationError.from_exception_data(cls.__name__, _explained(error, tuple(cls.model_fields))) from None


class Change(Given):
    """What a PATCH sends: members that are left out, or null, stay as they are. One that says nothing changes nothing, and an answer with
    the whole object would be a way to read it (docs/security.md): it is refused.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    cleared_by_null: ClassVar[frozenset[str]] = frozenset()
    """Members of which null says something: that there is none any more."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None and name not in self.cleared_by_null for name in self.model_fields_set):
            raise ValueError(f"this says nothing; what can be changed is {', '.join(type(self).model_fields)}")
        return self


def _is_spare(error: Mapping[str, Any]) -> bool:
    """Whether it is a member too many of this very object; those of inner ones are told already."""
    return error["type"] == "extra_forbidden" and len(error["loc"]) == 1


def _explained(error: ValidationError, known: Sequence[str]) -> list[InitErrorDetails]:
    """The same errors; a member that is not known comes with those that are."""
    told = []
    for one in error.errors(include_url=False):
        message = f"there is no such member; {nearest(str(one['loc'][0]), known)}" if _is_spare(one) else one["msg"]
        kind = PydanticCustomError(one["type"], "{told}", {"told": message})
        told.append(InitErrorDetails(type=kind, loc=one["loc"], input=one["input"]))
    return told


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known, as the end of a sentence."""
    known = sorted(known)
    near = difflib.get_close_matches(name[:MOST_LETTERS], known, n=1, cutoff=0.5)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known are {', '.join(known)}" if known else "there is none here"


class Told(_Discreet):
    """What we answer: every field, always; where some are left out, the model says so itself."""

    model_config = ConfigDict(
        extra="forbid", from_attributes=True, hide_input_in_errors=True, json_schema_serialization_defaults_required=True
    )


Limit = Annotated[int, Field(ge=1, le=500, description="How many at most.")]
