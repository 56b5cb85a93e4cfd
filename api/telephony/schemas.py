"""What the desk sends."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from api.kit.ids import Slug
from api.kit.numbers import DialledNow
from api.kit.schema import Given, Told
from api.telephony_setup.schemas import Target

CallName = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$")]


class LogOnGiven(Given):
    ready: bool = False
    """Ready at once; else not ready with reason `logged_on`."""


class NotReadyGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "break"}]})

    reason: Slug


class DialGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "+4989123456"}]})

    number: DialledNow
    """In any notation, also pasted as `tel:` or `sip:`. Digits for after the answer (`,,12`, `ext. 12`) are left to who talks."""


class TransferGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"target": {"to": "queue", "queue": "sales"}}]})

    target: Target


class DispositionGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "sold"}]})

    code: Slug


class Done(Told):
    """What the command made true; each event carries its `type`."""

    events: list[dict[str, Any]] = Field(description="Events of the exchange, on disk when this answers.")
    call: str | None = None
    """The conversation, for `dial`."""


class WhyWaiting(Told):
    """Why a caller still waits."""

    call: str
    entry: str
    queue: str
    waited_s: float
    requirements: list[tuple[str, int]]
    """Skills and levels asked for now."""
    relaxation: int
    next_relaxation_at: float | None
    """Epoch seconds at which less is asked for."""
    removed: dict[str, list[str]]
    """Filter -> the agents it takes out."""
    ahead_count: int
    """Callers with a better score."""
    hears_notice: bool
    """The caller is still told that the conversation is recorded; it is offered to nobody before."""


class Decisions(Told):
    """Why each offer of a call went where it went."""

    call: str
    decisions: list[dict[str, Any]]


class QuoteTold(Told):
    """The price of a call, before it is placed."""

    number: str
    quote: dict[str, Any]
    """Empty for a number inside the house: nothing is charged."""
