"""What the desk sends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from acd.core.channel_kinds import CHANNELS
from acd.core.ids import ContactId
from acd.core.inputs import SupervisionMode
from acd.numbers import is_emergency
from acd.wire_text import LONGEST_LINE, LONGEST_TEXT, fit, fit_lines
from api.contract import DecisionRecord, Event, NothingCharged, Quote
from api.kit.ids import Slug
from api.kit.languages import Language
from api.kit.numbers import DialledNow
from api.kit.schema import Given, Moment, Told
from api.telephony_setup.schemas import Seconds, SkillRequirement, Sounds, Target

ContactName = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$")]

WRITTEN = tuple(name for name, kind in CHANNELS.items() if kind.behaviour == "message")
"""Channels by which somebody writes."""


def _written(channel: str) -> str:
    if channel not in WRITTEN:
        raise ValueError(f"a message comes by {', '.join(WRITTEN)}")
    return channel


WrittenChannel = Annotated[str, AfterValidator(_written), Field(json_schema_extra={"enum": list(WRITTEN)})]


def _fit(text: str) -> str:
    return fit(text, LONGEST_LINE)


def _fit_lines(text: str) -> str:
    return fit_lines(text, LONGEST_TEXT)


StrangersLine = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_LINE), AfterValidator(_fit)]
"""What customers write is not refused for what cannot be seen in it, since they are not there to be told: U+FFFD stands for it."""
StrangersText = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_fit_lines)]


def _no_emergency(number: str) -> str:
    if is_emergency(number):
        raise ValueError("an emergency number is nobody's to be called back at")
    return number


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


class ConsultGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"target": {"to": "agent", "agent": "ben"}}]})

    target: Target
    """As of a transfer."""


class AnnounceGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "others", "sounds": ["hold.thanks"]}]})

    sounds: Annotated[Sounds, Field(min_length=1)]
    to: Literal["agent", "others"] = Field(default="others", description="The agent whose desk it is, or all whom the agent talks with.")


class SuperviseGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"agent": "anna", "mode": "listen"}]})

    agent: Slug | None = Field(default=None, description="Whose conversation. Left out: that of the one agent there is in the call.")
    mode: SupervisionMode = Field(
        default="listen", description="`listen`: nobody hears you; `whisper`: the agent alone does; `barge`: everybody does."
    )


class DispositionGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "sold"}]})

    code: Slug


class OfContact(Given):
    """Which one is meant, where there are several."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"contact": "message:demo-1"}]})

    contact: ContactName | None = Field(default=None, description="Left out: the first; of after-call work, all.")

    @property
    def meant(self) -> ContactId | None:
        """As the exchange takes it."""
        return ContactId(self.contact) if self.contact is not None else None


class MessageGiven(Given):
    """Somebody has written, and waits in a queue until an agent answers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"queue": "support", "customer": "erika@example.com", "subject": "My order", "text": "Where is it?"}]
        }
    )

    queue: Slug
    channel: WrittenChannel = "message"
    customer: Annotated[StrangersLine, Field(min_length=1)] = Field(
        description="Where the customer can be answered: an address, a number, a name."
    )
    language: Language | None = Field(default=None, description="Two letters, ISO 639-1. Left out: that of the tenant.")
    subject: StrangersLine | None = None
    text: StrangersText | None = None
    personal: Slug | None = Field(default=None, description="The agent whose customer it is: asked first.")
    priority_s: Seconds | None = Field(
        default=None, description="It counts as having waited so many seconds longer, below the queue's cap. Left out: what the queue says."
    )


class CallbackGiven(Given):
    """Somebody wants to be called instead of waiting by the telephone, and keeps the place in the queue."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"queue": "support", "number": "+4989123456"}]})

    queue: Slug
    number: Annotated[DialledNow, AfterValidator(_no_emergency)]
    """In any notation; normalised as numbers are that agents dial."""
    language: Language | None = Field(default=None, description="Two letters, ISO 639-1. Left out: that of the tenant.")
    subject: StrangersLine | None = None
    personal: Slug | None = Field(default=None, description="The agent whose customer it is: asked first.")
    since: Moment | None = Field(
        default=None, description="It has kept a place since then: nobody who came later is before it. Left out: now."
    )


class MoveGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"queue": "sales"}]})

    queue: Slug


class PrioritiseGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"priority_s": 300}]})

    priority_s: Seconds
    """It counts as having waited so many seconds longer, instead of what its queue says; the queue's cap holds."""


class ReskillGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"requirements": [{"skill": "billing", "level": 3}]}]})

    requirements: Annotated[tuple[SkillRequirement, ...], Field(max_length=20)] | None
    """Asked for from now on, whatever it has waited; null: what its queue asks for."""


class AssignGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"agent": "anna"}]})

    agent: Slug


class Done(Told):
    """What the command made true; each event carries its `type`."""

    events: list[Event] = Field(
        description="Events of the exchange, on disk when this answers. `call` is the older name of a `contact` that is one."
    )
    call: str | None = None
    """The conversation, for `dial`."""
    contact: str | None = None
    """What was opened, for `messages` and `callbacks`."""


class ContactStanding(Told):
    """A message or callback that is not done with, and where it stands."""

    contact: str
    channel: str
    customer: str | None
    subject: str | None
    language: str
    queue: str | None
    """The one it waits in or was taken from; null: it was left without one, and waits for a supervisor to move it."""
    personal: str | None
    priority_s: float | None
    state: str
    """waiting, offered, taken; open: it is in no queue."""
    agents: list[str]
    """Who is offered it, or has it."""
    opened_at: float
    """Epoch seconds."""


class MessageStanding(ContactStanding):
    """A message, with what was written."""

    text: str | None


class WhyTechnicallyNotReady(Told):
    """Why an agent cannot be asked though it wishes to be."""

    agent: str
    reason: Literal["page_not_answering", "line"]
    since: float
    """Epoch seconds."""
    bad: list[str] = Field(default_factory=list)
    """Of a line: the figures that are no good."""
    figures: dict[str, float] = Field(default_factory=dict)
    """What was measured last: upload_kbits, loss (0 to 1), jitter_ms, round_trip_ms, mos."""
    measured_at: dict[str, float] = Field(default_factory=dict)
    """And when: epoch seconds."""


class WhyWaiting(Told):
    """Why somebody still waits."""

    contact: str
    call: str | None
    """The same, of a call; else null."""
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
    """Contacts with a better score, in all queues."""
    hears_notice: bool
    """The caller is still told that the conversation is recorded; it is offered to nobody before."""
    technical: list[WhyTechnicallyNotReady] = Field(default_factory=list)
    """Of the first 32 that `technically_not_ready` removed."""


class Decisions(Told):
    """Why each offer of a contact went where it went."""

    contact: str
    call: str | None
    """The same, of a call; else null."""
    decisions: list[DecisionRecord]


class QuoteTold(Told):
    """The price of a call, before it is placed."""

    number: str
    quote: Quote | NothingCharged
    """Empty for a number inside the house: nothing is charged."""


class PhonePassTold(Told):
    """What a phone in a page logs in with."""

    uri: str = Field(examples=["sip:anna@acme.example"])
    """Address of record: what it registers, and calls from."""
    login: str = Field(examples=["anna.1790000000.0123456789abcdef"])
    """User name of the digest."""
    password: str
    realm: str
    expires_at: datetime
    """From then on it is refused; what is registered stays while the WebSocket does."""
    websocket: str = Field(examples=["/api/v1/sip"])
    """Path of the WebSocket that it is good for, once this user has opened it."""
