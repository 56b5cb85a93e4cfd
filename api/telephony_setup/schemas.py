"""The configuration as clients write it: `acd.core.configuration` and `acd.service` with hours as `HH:MM` and numbers in any notation."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args
from zoneinfo import available_timezones

import holidays
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationInfo, WithJsonSchema, field_validator, model_validator

from acd.codecs import USUAL
from acd.core.channel_costs import DEFAULT_PLAN, Step
from acd.core.channel_kinds import CHANNELS
from acd.core.strategies import STRATEGIES
from acd.service import Signalling, Srtp
from api.kit.codecs import Codecs
from api.kit.ids import Slug, slug
from api.kit.languages import Language, Spoken
from api.kit.numbers import Callable_, Dialled, not_geographic
from api.kit.schema import Given, Name, Network, Short, Text, Told, is_stored, nearest
from billing_cdr.numbers import Format

Skill = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")]
Level = Annotated[int, Field(ge=1, le=10)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Sound = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,119}$")]
"""A name; whether the house or the tenant has such a sound is asked when it is stored (`service`)."""
Kbits = Annotated[int, Field(ge=0, le=100_000_000)]
Extension = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{1,5}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9*#]$")]


def _row_of(table: Iterable[str], what: str) -> tuple[AfterValidator, WithJsonSchema]:
    """One of the names of a table of the core, which the contract lists: who adds a row there has nothing to do here."""
    known = tuple(table)

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"there is no {what} {name[:40]!r}; {nearest(name, known)}")
        return name

    return AfterValidator(check), WithJsonSchema({"type": "string", "enum": list(known)})


Strategy = Annotated[str, *_row_of(STRATEGIES, "strategy")]
Channel = Annotated[str, *_row_of(CHANNELS, "channel")]
Sounds = Annotated[tuple[Sound, ...], Field(max_length=20)]

# ---------------------------------------------------------------------- where a call can go


class ToQueue(Given):
    to: Literal["queue"]
    queue: Slug


class ToMenu(Given):
    to: Literal["menu"]
    menu: Slug


class ToAgent(Given):
    to: Literal["agent"]
    agent: Slug


class ToOutside(Given):
    to: Literal["outside"]
    number: Dialled


class ToAnnouncement(Given):
    to: Literal["announcement"]
    sounds: Sounds


class ToHangUp(Given):
    to: Literal["hang_up"]


Target = Annotated[ToQueue | ToMenu | ToAgent | ToOutside | ToAnnouncement | ToHangUp, Field(discriminator="to")]


def _closed() -> Target:
    return ToAnnouncement(to="announcement", sounds=("closed",))


# ---------------------------------------------------------------------- hours


class Hours(Given):
    """`00:00` to `24:00`, local time of the schedule."""

    opens: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    closes: Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]

    @model_validator(mode="after")
    def _order(self) -> Hours:
        if self.opens >= self.closes:
            raise ValueError(f"opens at {self.opens} and closes at {self.closes}: hours over midnight are two entries")
        return self


class Opening(Hours):
    weekday: Annotated[int, Field(ge=0, le=6, description="0 Monday .. 6 Sunday")]


class ScheduleException(Given):
    date: date
    openings: Annotated[tuple[Hours, ...], Field(max_length=10)] = ()


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def _regions() -> frozenset[str]:
    countries = holidays.list_supported_countries(include_aliases=False)
    return frozenset(countries) | frozenset(f"{country}-{part}" for country, parts in countries.items() for part in parts)


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@cache
def _countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2, as the time zone database lists it, and Kosovo, which has no code there but a country code of the ITU, +383."""
    table = resources.files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line[:2] for line in table.splitlines() if line and not line.startswith("#")) | {"XK"}


def _known_country(code: str, info: ValidationInfo) -> str:
    if code not in _countries() and not is_stored(info):
        raise ValueError(f"{code} is no country of ISO 3166-1; write one like `DE`")
    return code


def _known_zone(name: str) -> str:
    if name not in _timezones():
        raise ValueError(f"{name} is no time zone; write one like `Europe/Berlin`")
    return name


def _known_region(name: str) -> str:
    if name not in _regions():
        raise ValueError(f"{name} is no holiday region; write a country or a part of it, `AT` or `DE-BY`")
    return name


def _overlaps(hours: Iterable[Hours]) -> tuple[Hours, Hours] | None:
    """The first two that hold at the same time; none when one ends where the next begins."""
    in_order = sorted(hours, key=lambda one: one.opens)
    return next(((one, following) for one, following in pairwise(in_order) if following.opens < one.closes), None)


class Schedule(Given):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "office",
                    "timezone": "Europe/Berlin",
                    "openings": [{"weekday": 0, "opens": "09:00", "closes": "17:00"}],
                    "holiday_region": "DE-BY",
                    "exceptions": [{"date": "2026-12-24", "openings": [{"opens": "09:00", "closes": "12:00"}]}],
                }
            ]
        }
    )

    id: Slug
    timezone: Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)] = "Europe/Berlin"
    openings: Annotated[tuple[Opening, ...], Field(max_length=100)] = ()
    holiday_region: Annotated[str, StringConstraints(max_length=16), AfterValidator(_known_region)] | None = None
    exceptions: Annotated[tuple[ScheduleException, ...], Field(max_length=500)] = ()

    @model_validator(mode="after")
    def _each_time_once(self, info: ValidationInfo) -> Schedule:
        if is_stored(info):
            return self
        days: dict[str, list[Hours]] = {}
        for opening in self.openings:
            days.setdefault(f"on {WEEKDAYS[opening.weekday]}", []).append(opening)
        for exception in self.exceptions:
            day = f"on {exception.date}"
            if day in days:
                raise ValueError(f"exceptions: {exception.date} is there twice; write all its hours into one")
            days[day] = list(exception.openings)
        for day, hours in days.items():
            if (found := _overlaps(hours)) is not None:
                one, other = found
                raise ValueError(f"{day} {one.opens}-{one.closes} and {other.opens}-{other.closes} overlap")
        return self


# ---------------------------------------------------------------------- people and places


SRTP = (
    "Encryption of audio (SRTP with keys in SDP, RFC 4568, or of a DTLS handshake, RFC 5763): `off` takes and offers none; `accepted` "
    "takes it where it is offered; `wished` offers it besides (RFC 8643); `required` takes and offers nothing else, and calls without "
    "it are refused (488); `dtls` is that, for who takes no offer but one of a handshake (`UDP/TLS/RTP/SAVP`)."
)
SIGNALLING = (
    "`encrypted`: SIP over TLS (from pages over wss) alone; registrations, calls and what belongs to them are refused in plain (403), but "
    "for calls to 110 and 112."
)


def _in_order(plan: tuple[Step, ...]) -> tuple[Step, ...]:
    for one in plan:
        if plan.count(one) > 1:
            raise ValueError(f"{one} is there twice")
    if "refuse" in plan[:-1]:
        raise ValueError("refuse comes last: nothing comes after it")
    return plan


Degrade = Annotated[
    tuple[Step, ...],
    AfterValidator(_in_order),
    Field(
        max_length=4,
        description="What is done, in this order, with a speech channel that does not fit as usual: `longer_ptime` packets of 40 ms; "
        "`opus`, where it is configured and the far end is known to have it; `other_leg` another agent or trunk where it fits as usual; "
        "`refuse`. When nothing fits it is refused, named or not.",
    ),
]
DegradeFrom = Annotated[
    Kbits | None,
    Field(description="Channels that would take the line beyond this go by `degrade` already; null: only those that do not fit."),
]


def _saves_in_time(from_kbits: int | None, upload_kbits: int | None) -> None:
    if from_kbits is not None and upload_kbits is None:
        raise ValueError("degrade_from_kbits without upload_kbits: what is not limited is never full")
    if from_kbits is not None and upload_kbits is not None and from_kbits > upload_kbits:
        raise ValueError(f"degrade_from_kbits {from_kbits} is more than the upload, {upload_kbits}")


class Site(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "main", "upload_kbits": 10_000}]})

    id: Slug
    upload_kbits: Kbits
    probe_phones_every_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] | None = Field(
        default=None,
        description="How often its registered phones are asked whether they are there (OPTIONS); 0 never, null as the installation.",
    )
    probe_misses: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="So many of these without any answer, and a phone is not rung; null as the installation."
    )
    force_rport: bool | None = Field(
        default=None,
        description="Phones that ask for no `rport` (RFC 3581) are reached at the port they send from; null as the installation.",
    )
    srtp: Srtp | None = Field(
        default=None, description=f"Of phones at this site that say nothing themselves. {SRTP} Null: the tenant's (`general`)."
    )
    signalling: Signalling = Field(
        default="any", description=f"Of all phones at this site. {SIGNALLING} `any`: as the phone and the tenant say, the strictest holds."
    )
    degrade: Degrade = DEFAULT_PLAN
    degrade_from_kbits: DegradeFrom = None

    @model_validator(mode="after")
    def _possible(self) -> Site:
        _saves_in_time(self.degrade_from_kbits, self.upload_kbits)
        return self


class Forwarding(Given):
    always: Dialled | None = None
    busy: Dialled | None = None
    no_answer: Dialled | None = None
    unregistered: Dialled | None = None


class ChannelCapacity(Given):
    """How much of a channel an agent can have, and beside what. A channel that is not named is as the table in docs/tenants.md says."""

    channel: Channel
    at_once: Annotated[int, Field(ge=0, le=100)] = Field(description="So many contacts; 0: the agent is offered none.")
    not_during: Annotated[tuple[Channel, ...], Field(max_length=20)] | None = Field(
        default=None,
        description="Work of these channels, after-call work too, keeps the agent from this one; null: of every other channel.",
    )

    @model_validator(mode="after")
    def _possible(self) -> ChannelCapacity:
        most = CHANNELS[self.channel].most
        if most is not None and self.at_once > most:
            raise ValueError(f"at_once: of {self.channel} an agent has {most} at once, or none")
        beside = self.not_during or ()
        if self.channel in beside:
            raise ValueError(f"not_during names {self.channel} itself; how many there are beside each other is at_once")
        if len(set(beside)) < len(beside):
            twice = next(one for one in beside if beside.count(one) > 1)
            raise ValueError(f"not_during names {twice} twice")
        return self


def _each_channel_once(given: tuple[ChannelCapacity, ...]) -> tuple[ChannelCapacity, ...]:
    channels = [one.channel for one in given]
    for one in channels:
        if channels.count(one) > 1:
            raise ValueError(f"the channel {one} is there twice; say all of it in one")
    return given


Capacity = Annotated[tuple[ChannelCapacity, ...], Field(max_length=20), AfterValidator(_each_channel_once)]


def _without_default(schema: dict[str, Any]) -> None:
    """An empty id would be refused from whoever fills in what the document calls the default."""
    schema.pop("default", None)


class Named(Given):
    """A thing with an id that may be left to us: the name as a slug."""

    id: Slug = Field(default="", validate_default=True, description="Left out: made from the name.", json_schema_extra=_without_default)
    name: Name

    @model_validator(mode="before")
    @classmethod
    def _id_from_name(cls, given: Any) -> Any:
        if isinstance(given, dict) and "id" not in given and isinstance(given.get("name"), str):
            return {**given, "id": slug(given["name"])}
        return given


OF_THE_TENANT = "Left out: the tenant's language."


class Agent(Named):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "anna", "name": "Anna Amsel", "extension": "21", "skills": {"support": 8}, "languages": ["de", "en"]}]
        }
    )

    extension: Extension | None = None
    trunk: Slug | None = Field(
        default=None,
        description="The phone stands behind this trunk: an extension of a foreign PBX, or a number outside. It never registers.",
    )
    reached_at: Dialled | None = Field(default=None, description="What is dialled on that trunk; null: the extension.")
    skills: Annotated[dict[Skill, Level], Field(max_length=100)] = Field(default_factory=dict)
    site: Slug | None = None
    channel_kbits: Annotated[int, Field(ge=100, le=10_000)] = 100
    """Never below the floor of 100 kbit/s a speech channel."""
    languages: Annotated[tuple[Language, ...], Field(max_length=20)] | None = Field(default=None, description=OF_THE_TENANT)
    after_call_work_s: Seconds | None = None
    mode: Literal["inbound", "outbound", "blended"] = "blended"
    auto_answer: bool = False
    srtp: Srtp | None = Field(
        default=None, description=f"Of the agent's phone. {SRTP} Null: that of its site, then the tenant's (`general`)."
    )
    signalling: Signalling = Field(
        default="any", description=f"Of the agent's phone. {SIGNALLING} `any`: as its site and the tenant say, the strictest holds."
    )
    forwarding: Forwarding = Forwarding()
    outbound_caller_id: Callable_ | None = None
    capacity: Capacity = Field(default=(), description="Channels that are otherwise for this agent than for the tenant.")
    may_pick: bool = Field(
        default=False, description="May take a waiting contact out of its turn, of those that its skills and membership allow."
    )
    may_supervise: bool = Field(
        default=False, description="May hear the conversations of others from its phone (feature code `supervise`), in every mode."
    )

    @model_validator(mode="after")
    def _reached_somehow(self) -> Agent:
        if self.trunk is None and self.reached_at is not None:
            raise ValueError("reached_at needs the trunk on which it is dialled")
        if self.trunk is not None and self.reached_at is None and self.extension is None:
            raise ValueError("behind a trunk an agent needs an extension, or reached_at")
        return self


class AgentGiven(Agent):
    """An agent as created: with the user name and password of the device, or leaving both to us."""

    device_username: Slug | None = None
    """None: `<tenant>-<id>`."""
    device_password: Annotated[Text, StringConstraints(min_length=8, max_length=128)] | None = None
    """None: one is drawn, and told in this answer only."""


class DeviceGiven(Given):
    """New credentials for a device."""

    username: Slug | None = None
    password: Annotated[Text, StringConstraints(min_length=8, max_length=128)] | None = None


class PinGiven(Given):
    """A PIN, which is told to nobody again."""

    pin: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")] = Field(description="4 to 8 digits; not one digit, nor a row of them.")

    @field_validator("pin")
    @classmethod
    def _guessable(cls, pin: str) -> str:
        steps = {int(after) - int(before) for before, after in pairwise(pin)}
        if steps in ({0}, {1}, {-1}):
            raise ValueError("one digit again and again, or digits in a row, are what is guessed first")
        return pin


class DeviceTold(Told):
    """What is typed into the phone."""

    agent: str
    username: str
    login: str = Field(
        description="User name to log in with (authentication name), `user@domain`: it holds whatever domain the phone says. "
        "One whose password is older than the tenant's domain has only the short form."
    )
    realm: str
    domain: str = Field(
        description="The tenant's telephony domain. A phone that registers as `username@domain` may log in by the user name alone."
    )
    password: str | None = None
    """Only in the answer that sets it."""


# ---------------------------------------------------------------------- queues and menus


class SkillRequirement(Given):
    skill: Skill
    level: Level = 1


class Relaxation(Given):
    after_s: Seconds
    requirements: Annotated[tuple[SkillRequirement, ...], Field(max_length=20)]
    any_language: bool = Field(default=False, description="From then on the language does not matter any more.")


class Overflow(Given):
    target: Target
    max_length: Annotated[int, Field(ge=0, le=100_000)] | None = None
    max_wait_s: Seconds | None = None
    no_agents: bool = False

    @model_validator(mode="after")
    def _when(self) -> Overflow:
        if self.max_length is None and self.max_wait_s is None and not self.no_agents:
            raise ValueError("an overflow needs a reason: max_length, max_wait_s or no_agents")
        return self


Misses = Annotated[int, Field(ge=0, le=100)]


class MissLimits(Given):
    """After how many offers in a row that came to nothing, by what became of them, an agent is set not ready; 0 never."""

    no_answer: Misses = Field(default=1, description="It rang, and nobody took it.")
    unreachable: Misses = Field(default=1, description="The phone gave no sign of life.")
    failed: Misses = Field(default=1, description="The phone cannot take such calls, or they have no price.")
    busy: Misses = Field(default=0, description="486.")
    declined: Misses = Field(default=0, description="603, or declined at the desk.")
    forwarded: Misses = Field(default=0, description="3xx: the phone sends its calls elsewhere.")


class Queue(Named):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "support",
                    "name": "Support",
                    "requirements": [{"skill": "support", "level": 5}],
                    "relaxations": [{"after_s": 60, "requirements": [{"skill": "support", "level": 1}]}],
                    "strategy": "longest_idle",
                }
            ]
        }
    )

    members: Annotated[tuple[Slug, ...], Field(max_length=5000)] | None = None
    requirements: Annotated[tuple[SkillRequirement, ...], Field(max_length=20)] = ()
    relaxations: Annotated[tuple[Relaxation, ...], Field(max_length=20)] = ()
    strategy: Strategy = "longest_idle"
    priority_s: Seconds = 0.0
    priority_cap_s: Seconds = 300.0
    ring_timeout_s: Annotated[float, Field(ge=1, le=300, allow_inf_nan=False)] = 20.0
    redirect_on_no_answer: Literal["not_ready", "stay_ready"] = Field(
        default="not_ready",
        description="`stay_ready`: `no_answer`, `unreachable` and `failed` set nobody not ready, whatever `miss_limits` say.",
    )
    miss_limits: MissLimits = MissLimits()
    after_call_work_s: Seconds = 10.0
    short_abandon_s: Seconds = 5.0
    service_level_s: Seconds = 20.0
    schedule: Slug | None = None
    closed: Target = Field(default_factory=_closed)
    overflow: Annotated[tuple[Overflow, ...], Field(max_length=20)] = ()
    greeting: Sounds = ("queue.greeting",)
    music: Sound = "music/default"
    announce_position: bool = True
    announce_every_s: Annotated[float, Field(ge=5, le=3600, allow_inf_nan=False)] = 30.0
    exit_key: Key | None = None
    exit_target: Target | None = None
    record: bool = False
    supervised: bool = Field(
        default=False,
        description="Callers hear `supervision.notice` before the greeting: somebody may listen. Who was not told is not listened to.",
    )
    country_languages: bool = True
    languages: Literal["ignored", "preferred", "required"] = Field(
        default="ignored",
        description="What the language of who waits means for who gets it: nothing; who speaks it comes first; nobody else is asked.",
    )
    worse_line_counts: bool = Field(
        default=False, description="Agents whose browser's page is on a worse line come behind the others, whatever the strategy."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Queue:
        after = [relaxation.after_s for relaxation in self.relaxations]
        if after != sorted(after):
            raise ValueError("relaxations stand in the order of after_s")
        if (self.exit_key is None) != (self.exit_target is None):
            raise ValueError("exit_key and exit_target belong together")
        return self


class Menu(Given):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "main",
                    "options": {"1": {"to": "queue", "queue": "support"}, "2": {"to": "queue", "queue": "support"}},
                    "labels": {"1": ["department.support"]},
                    "languages": {"2": "en"},
                }
            ]
        }
    )

    id: Slug
    sounds: Sounds = Field(default=(), description="What is said first. `menu` is that of the demonstration: it says three departments.")
    options: Annotated[dict[Key, Target], Field(max_length=12)]
    timeout_s: Annotated[float, Field(ge=0.5, le=120, allow_inf_nan=False)] = 6.0
    repeats: Annotated[int, Field(ge=0, le=20)] = 2
    invalid_sounds: Sounds = ("invalid_choice",)
    fallback: Target = Field(default_factory=lambda: ToHangUp(to="hang_up"))
    schedule: Slug | None = None
    closed: Target = Field(default_factory=_closed)
    languages: Annotated[dict[Key, Language], Field(max_length=12)] = Field(
        default_factory=dict,
        description="Key -> the language of who presses it. Announcements follow it where they are spoken in it, queues as they say.",
    )

    says_options: bool = Field(
        default=False,
        description="Behind `sounds` it says of each key what it leads to: for support, press 1. Left out: it does where `sounds` are left "
        "out, since a menu that says nothing is none.",
    )
    labels: Annotated[dict[Key, Annotated[Sounds, Field(min_length=1)]], Field(max_length=12)] = Field(
        default_factory=dict,
        description='Key -> the sounds that say what it leads to, as in "for *support*, press 1". Left out: its target\'s name, where '
        "it is a usual department or has an extension; else its number.",
    )

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, dict) and "says_options" not in given and not given.get("sounds") and not is_stored(info):
            return {**given, "says_options": True}
        return given

    @model_validator(mode="after")
    def _of_its_keys(self) -> Menu:
        for member, keys in (("languages", self.languages), ("labels", self.labels)):
            for key in keys:
                if key not in self.options:
                    raise ValueError(f"{member}: {key} is no key of the menu")
        return self


class Number(Given):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"number": "+49891234567", "target": {"to": "queue", "queue": "support"}, "language": "de", "country": "DE"}]
        }
    )

    number: Callable_
    target: Target
    language: Spoken | None = Field(default=None, description=OF_THE_TENANT)
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), AfterValidator(_known_country)] | None = None
    geographic: bool = Field(default=True, description="A landline number, without a surcharge. Left out: what the number itself says.")

    @model_validator(mode="before")
    @classmethod
    def _as_the_number_says(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, dict) and "geographic" not in given and isinstance(given.get("number"), str) and not is_stored(info):
            return {**given, "geographic": not_geographic(given["number"]) is None}
        return given

    @model_validator(mode="after")
    def _really(self, info: ValidationInfo) -> Number:
        found = not_geographic(self.number) if self.geographic and not is_stored(info) else None
        if found is not None:
            raise ValueError(f"geographic: {self.number} is of the class {found}, no number of a place")
        return self


# ---------------------------------------------------------------------- lines


def _host(text: str) -> str:
    _, bracket, rest = text.rpartition("]")
    port = rest.partition(":")[2]
    if port and not 1 <= int(port) <= 65535:
        raise ValueError(f"port {port} does not exist")
    if bracket:
        ipaddress.IPv6Address(text[1 : text.index("]")])
    return text


Host = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$",
        max_length=260,
    ),
    AfterValidator(_host),
]


def _no_port(text: str) -> str:
    if text.rpartition("]")[2].count(":") or (not text.endswith("]") and ":" in text):
        raise ValueError("a domain has no port")
    return text


def _identity(text: str) -> str:
    """In the form that certificates are compared in."""
    kind, colon, digits = text.partition(":")
    if colon:
        digest = digits.replace(":", "").lower()
        if kind.lower() != "sha256" or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError("a fingerprint is `sha256:` and 64 hexadecimal digits")
        return f"sha256:{digest}"
    name = text.lower().removesuffix(".")
    if not re.fullmatch(r"([a-z0-9_]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise ValueError(f"{text[:80]!r} is no domain, and no fingerprint; wildcards prove nothing (RFC 5922 §7.2)")
    return name


Identity = Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_identity)]


class TrunkRegistration(Given):
    registrar: Host
    outbound_proxy: Host | None = Field(
        default=None, description="What REGISTER and calls are sent to first; a Service-Route of the registrar follows behind it."
    )
    from_user: Annotated[Text, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="User part of From in calls, where a carrier wants its account there; the number stands in P-Preferred-Identity then.",
    )
    from_domain: Annotated[Host, AfterValidator(_no_port)] | None = Field(
        default=None, description="Domain of the account and of From in calls; null: the registrar's host."
    )
    username: Annotated[Text, StringConstraints(min_length=1, max_length=128)]
    password: Annotated[Text, StringConstraints(max_length=128)] | None = None
    """Written, never read: answers leave it out; without it a change keeps the old one."""
    auth_username: Short | None = None
    expires_s: Annotated[int, Field(ge=30, le=86_400)] = 300
    retry_s: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 30.0
    """After a refusal or silence it is tried again so much later, then in doubled steps up to ten minutes."""


class Trunk(Named):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": "carrier", "name": "House carrier", "peer": "sip.example.net", "sources": ["203.0.113.0/28"], "upload_kbits": 10_000}
            ]
        }
    )

    peer: Host
    transport: Literal["udp", "tcp", "tls"] = Field(
        default="udp",
        description="`tls`: to port 5061 where `peer` names none; the certificate must be that of the name in `peer`, or of the outbound "
        "proxy where there is one (RFC 5922).",
    )
    sources: Annotated[tuple[Network, ...], Field(max_length=100)] = ()
    registration: TrunkRegistration | None = None
    probe_every_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 30.0
    answer_within_s: Annotated[float, Field(ge=0.5, le=32, allow_inf_nan=False)] = Field(
        default=4.0, description="No answer at all for so long, not even 100: the call goes to the next trunk."
    )
    caller_id: Callable_ | None = None
    codecs: Codecs = Field(
        default=USUAL,
        description="What calls over it are offered, in this order. What it offers is answered with the first of its own that stands here "
        "or is G.711, with another that the house knows only where the call would be refused else.",
    )
    numbers_in: Format = Field(
        default="auto",
        description="How the peer writes numbers of calls to us: `plus` +4989…, `e164` 4989…, `00` 004989…, `national` 089… (without the 0 "
        "too). `auto` reads all that can be told apart; `e164` and `national` say what bare digits are.",
    )
    numbers_out: Format = Field(
        default="auto", description="How it wants numbers in calls from us, called and shown ones alike; `auto`: with plus."
    )
    trusted: bool = Field(
        default=False,
        description="Of our trust domain (RFC 3325): numbers that callers withhold are passed on to it, marked `Privacy: id`. Others never "
        "see them.",
    )
    default_number: Callable_ | None = Field(
        default=None, description="The number of ours that a call means which names none of ours: for an account with a single number."
    )
    srtp: Srtp | None = Field(default=None, description=f"{SRTP} Null: the tenant's (`general`).")
    signalling: Signalling = Field(
        default="any", description=f"{SIGNALLING} `transport` is `tls` then. `any`: as the tenant says, the stricter holds."
    )
    tls_identity: Identity | None = Field(
        default=None,
        description="What the peer's certificate proves: a SIP domain (RFC 5922), or `sha256:` and the certificate's fingerprint. Calls "
        "that come to `sip.tls_carriers_listen` from whoever proves it are this trunk's, whatever their address; others are not, whatever "
        "theirs. `transport` is `tls` then.",
    )
    early_media: Literal["pass", "ringback"] = Field(
        default="pass",
        description="What the carrier says before a call is answered (183 with a description): the caller hears it, or our own ring-back.",
    )
    redirects: Annotated[int, Field(ge=0, le=5)] = Field(
        default=0,
        description="How often one call goes on to where this carrier says that its party is (3xx), priced anew each time; 0: the caller "
        "is told that nobody is there (480).",
    )
    upload_kbits: Kbits | None = None
    channel_kbits: Annotated[int, Field(ge=100, le=10_000)] = 100
    degrade: Degrade = DEFAULT_PLAN
    degrade_from_kbits: DegradeFrom = None
    own_carrier: bool = Field(
        default=False,
        description="The tenant's own contract: calls over it cost what the tenant's plan for this trunk says, else the tenant's plan, "
        "never what the house's says. Without either they have no price, and the next trunk is tried.",
    )
    order: Annotated[int, Field(ge=0, le=10_000)] = 0
    outbound: bool = True
    internal: bool = Field(default=False, description="The tenant's own PBX: what goes over it costs nothing and needs no price.")

    @model_validator(mode="after")
    def _saves(self) -> Trunk:
        _saves_in_time(self.degrade_from_kbits, self.upload_kbits)
        return self


DialClass = Literal["national", "mobile", "international", "premium", "satellite"]


def _each_once(classes: tuple[DialClass, ...]) -> tuple[DialClass, ...]:
    """In one order, so that what means the same is the same."""
    return tuple(sorted(set(classes)))


DialClasses = Annotated[tuple[DialClass, ...], AfterValidator(_each_once), Field(max_length=5)]
Euros = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=2, description="With VAT, in the currency of the house.")]


class AgentDialling(Given):
    """What differs for one agent; what is left out is the tenant's."""

    classes: DialClasses | None = None
    per_hour: Euros | None = None


class Dialling(Given):
    """Who may dial what, and for how much: for calls, forwards and transfers alike. Emergency numbers are dialled by everybody."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "classes": ["national", "mobile"],
                    "per_hour": "200.00",
                    "agent_per_hour": "20.00",
                    "agents": {"anna": {"classes": ["national", "mobile", "international"], "per_hour": "50.00"}},
                }
            ]
        }
    )

    classes: DialClasses = tuple(sorted(get_args(DialClass)))
    per_hour: Euros | None = Field(default=None, description="What all calls together may cost within sixty minutes; null: no limit.")
    agent_per_hour: Euros | None = Field(default=None, description="The same for each agent.")
    agents: Annotated[dict[Slug, AgentDialling], Field(max_length=10_000)] = Field(default_factory=dict)


class Reason(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "break", "name": "Pause"}]})

    code: Slug
    name: Name


Code = Annotated[str, StringConstraints(pattern=r"^([*#][0-9]{1,7})?$")]


class FeatureCodes(Given):
    """What agents' phones dial for what a desk has buttons for; a code left empty is not there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ready": "*20", "not_ready": "*21", "waiting": ""}]})

    ready: Code = Field(default="*20", description="Ready; logs on if need be and ends after-call work.")
    not_ready: Code = Field(default="*21", description="Not ready; the code of a reason may follow, or its place in the list.")
    log_on_or_off: Code = "*22"
    tag: Code = Field(default="*23", description="Followed by the digits of a disposition, for the present or the last call.")
    waiting: Code = Field(default="*24", description="Hear how many callers wait, and how many minutes the first has waited.")
    hot_desk: Code = Field(
        default="*25", description="Followed by one's extension, and a PIN: this phone is mine until I log off; alone: leave it."
    )
    pick: Code = Field(default="*26", description="Of an agent who `may_pick`: have the first of those who wait and whom it could take.")
    supervise: Code = Field(
        default="*27", description="Of an agent who `may_supervise`, followed by an agent's extension: hear that agent's conversation."
    )


ConversationKeys = Annotated[str, StringConstraints(pattern=r"^([*#]{2,4})?$")]


class Pages(Given):
    """What is expected of phones that are browsers' pages."""

    answer_within_s: float = Field(
        default=0.8,
        ge=0,
        le=5,
        allow_inf_nan=False,
        description="A page is asked whether it is there before a call is offered to it; without an answer in this time the call goes to "
        "the next agent. 0: none is asked.",
    )
    take_back_s: float = Field(
        default=20.0,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="So long an agent whose page died in a call may take the call back; then the caller is first in the queue.",
    )
    min_upload_kbits: float = Field(
        default=100.0,
        ge=0,
        le=10_000,
        allow_inf_nan=False,
        description="With less upload for a channel an agent is technically not ready; 0: whatever it is, as of the limits that follow.",
    )
    max_loss: float = Field(default=0.05, ge=0, le=1, allow_inf_nan=False, description="The same with a larger share of lost packets.")
    min_mos: float = Field(default=3.1, ge=0, le=4, allow_inf_nan=False, description="The same with a lower MOS.")


class General(Given):
    """What belongs to no kind."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "language": "de",
                    "capacity": [
                        {"channel": "voice", "at_once": 1, "not_during": ["chat", "message"]},
                        {"channel": "chat", "at_once": 3, "not_during": ["voice", "callback", "mail"]},
                        {"channel": "mail", "at_once": 5, "not_during": ["voice"]},
                    ],
                }
            ]
        }
    )

    language: Spoken | None = Field(default=None, description="Left out: it stays as it is.")
    srtp: Srtp = Field(default="accepted", description=f"Of trunks and phones that say nothing else. {SRTP}")
    signalling: Signalling = Field(default="any", description=f"Of all trunks and phones. {SIGNALLING}")
    recording_notice: bool = True
    """Play `recording.notice` before a recorded queue's greeting (§ 201 StGB)."""
    supervision_notice: bool = Field(
        default=True, description="Callers who were not told (`supervised` of the queue) are not listened to (§ 201 (2) StGB)."
    )
    supervision_tone: bool = Field(default=True, description="An agent hears a tone when somebody begins to listen or whisper.")
    conversation_keys: ConversationKeys = Field(
        default="**", description="What an agent keys in a conversation before a command: consult, conference, ...; empty: keys are none."
    )
    agents_hear_recordings: bool = Field(default=False, description="Agents list and hear the recordings they were a party of.")
    feature_codes: FeatureCodes = Field(default_factory=FeatureCodes)
    pages: Pages = Field(default_factory=Pages)
    capacity: Capacity = Field(default=(), description="Channels of which agents can have more or less than what holds otherwise.")
