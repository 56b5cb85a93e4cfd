"""What a tenant's exchange is set up to do, as one frozen value: an input of the core like any other (DESIGN.md §3).

The shell reads it from the database, resolves everything that needs a library (E.164, wire cost of a channel, time zones and public
holidays: `acd.resolve`) and hands it over whole; it takes effect at the next event. Identifiers refer to each other inside one
`TenantConfiguration`; `problems()` names every reference that leads nowhere.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import ClassVar, Literal

import msgspec

from acd.core.channel_costs import DEFAULT_PLAN, ChannelCosts, Step, plan_problems
from acd.core.channel_kinds import CHANNELS
from acd.core.ids import AgentId, MenuId, QueueId, ScheduleId, SiteId, TenantId, TrunkId
from acd.core.personal import StaffText
from acd.core.strategies import STRATEGIES


class _Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of configuration values: frozen, by keyword; no cycles, so the collector need not look (`gc=False`)."""


# ---------------------------------------------------------------------- where a call can go


class ToQueue(_Value, frozen=True, kw_only=True, tag="queue", tag_field="to"):
    queue: QueueId


class ToMenu(_Value, frozen=True, kw_only=True, tag="menu", tag_field="to"):
    menu: MenuId


class ToAgent(_Value, frozen=True, kw_only=True, tag="agent", tag_field="to"):
    agent: AgentId


class ToOutside(_Value, frozen=True, kw_only=True, tag="outside", tag_field="to"):
    """Forward to a number outside, E.164 with `+` (or a national short code as dialled); charged to this tenant (R12)."""

    number: str


class ToAnnouncement(_Value, frozen=True, kw_only=True, tag="announcement", tag_field="to"):
    """Play sounds, then clear the call."""

    sounds: tuple[str, ...]


class ToHangUp(_Value, frozen=True, kw_only=True, tag="hang_up", tag_field="to"):
    """Refuse the call (486 before it was answered, BYE after)."""


Target = ToQueue | ToMenu | ToAgent | ToOutside | ToAnnouncement | ToHangUp


# ---------------------------------------------------------------------- hours


class Opening(_Value, frozen=True, kw_only=True):
    """Open on `weekday` (0 Monday .. 6 Sunday) from `opens` to `closes`, minutes after local midnight; 0..1440, opens < closes."""

    weekday: int
    opens: int
    closes: int


class Exception_(_Value, frozen=True, kw_only=True):  # noqa: N801 - "Exception" is taken, and the field's word for it is exception
    """One civil date that differs: closed when `openings` is empty, else open at these (minutes from, minutes to)."""

    date: dt.date
    openings: tuple[tuple[int, int], ...] = ()


class Zone(_Value, frozen=True, kw_only=True):
    """A time zone as the shell resolved it (`acd.resolve`, ADR 0015): a replay needs no time zone database. Unresolved, it is UTC."""

    name: str = "UTC"
    """As the time zone database names it."""
    offsets: tuple[tuple[int, int], ...] = ((0, 0),)
    """(Seconds since the epoch from which it holds, seconds east of UTC), in order; the first holds before that too, the last goes on."""
    until: int = 0
    """What is said holds up to here, seconds since the epoch; the shell says more in time."""

    @property
    def since(self) -> int:
        """From when on it was resolved, seconds since the epoch."""
        return self.offsets[0][0]


class Schedule(_Value, frozen=True, kw_only=True, cache_hash=True):
    """Business hours in local time, DST and public holidays included (DESIGN.md §8). A holiday counts as closed.

    What is decided by are `zone` and `holidays`; `timezone` and `holiday_region` are what the shell resolves them from.
    """

    id: ScheduleId
    timezone: str = "Europe/Berlin"
    openings: tuple[Opening, ...] = ()
    holiday_region: str | None = None
    """As `holidays` names it: country or country-subdivision (`DE-BY`); None: no holidays."""
    exceptions: tuple[Exception_, ...] = ()
    zone: Zone = Zone()
    """What `timezone` comes to."""
    holidays: tuple[dt.date, ...] = ()
    """The public holidays of the region in order, for as long as `zone` is resolved."""


# ---------------------------------------------------------------------- people and places


class Site(_Value, frozen=True, kw_only=True):
    """A place with a measured or configured upload; its agents' lines are admitted against it (R9)."""

    id: SiteId
    upload_kbits: int
    """Guaranteed upload in kbit/s."""
    probe_phones_every_s: float | None = None
    """How often its registered phones are asked whether they are there (OPTIONS); 0 never, None as the installation does."""
    probe_misses: int | None = None
    """So many of these without any answer, one at once after the other, and a phone is not rung; None as the installation does."""
    force_rport: bool | None = None
    """Phones that ask for no `rport` (RFC 3581) are answered and reached at the port they send from; None as the installation does."""
    degrade: tuple[Step, ...] = DEFAULT_PLAN
    """What is done, in this order, with a channel that does not fit as it would usually be."""
    degrade_from_kbits: int | None = None
    """Channels that would take the line beyond this are made cheaper already; None: only those that do not fit."""


class Forwarding(_Value, frozen=True, kw_only=True):
    """Where calls to an agent go instead, by reason; a number outside each."""

    always: StaffText | None = None
    busy: StaffText | None = None
    no_answer: StaffText | None = None
    unregistered: StaffText | None = None


class ChannelCapacity(_Value, frozen=True, kw_only=True):
    """How much work of a channel an agent can have, and beside what."""

    channel: str
    """One of `acd.core.channel_kinds`."""
    at_once: int
    """0: the agent is offered none of it. Of voice never more than 1: a phone is in one call at a time."""
    not_during: tuple[str, ...] | None = None
    """Whoever has work of one of these channels, after-call work too, is offered none of this one; None: of any other channel.

    No chat during a call, and a mail waits until the call is over: `not_during` of chat and mail has `voice`. That calls come in while
    mails are open: `not_during` of voice does not have `mail`.
    """


class Agent(_Value, frozen=True, kw_only=True):
    """A person who takes calls, and contacts of other channels."""

    id: AgentId
    name: StaffText
    extension: str | None = None
    """Internal number of the person, dialled by colleagues and reachable by `ToAgent`."""
    device: str
    """AOR of the SIP device, `user@domain`."""
    trunk: TrunkId | None = None
    """The phone is no device of ours but stands behind this trunk: an extension of a foreign PBX, or a number outside. It never registers
    and can be rung while the trunk is up; its channel counts against the trunk's upload instead of the site's."""
    reached_at: StaffText | None = None
    """What is dialled on that trunk; None: the extension."""
    skills: dict[str, int] = {}
    """Skill -> level 1 (beginner) .. 10 (expert)."""
    site: SiteId | None = None
    channel_kbits: int = 100
    """A channel to this agent is never reckoned below this, nor below the floor of 100 kbit/s, whatever its phone is said to cost."""
    languages: tuple[str, ...] = ("de",)
    after_call_work_s: float | None = None
    """None: the queue's."""
    mode: Literal["inbound", "outbound", "blended"] = "blended"
    """Blended agents dial out only when no call is waiting that they could take (R16)."""
    auto_answer: bool = False
    forwarding: Forwarding = Forwarding()
    outbound_caller_id: str | None = None
    capacity: tuple[ChannelCapacity, ...] = ()
    """Of channels that are otherwise than the tenant's for this agent."""
    may_pick: bool = False
    """May take a waiting contact out of its turn, of those that the agent's skills and membership allow."""
    may_supervise: bool = False
    """May hear other agents' conversations, by its phone too."""

    @property
    def number_behind_trunk(self) -> str | None:
        """What the trunk is asked for; None for a device of ours."""
        return (self.reached_at or self.extension) if self.trunk is not None else None


# ---------------------------------------------------------------------- queues and menus


class SkillRequirement(_Value, frozen=True, kw_only=True):
    skill: str
    level: int = 1


class Relaxation(_Value, frozen=True, kw_only=True):
    """After `after_s` seconds of waiting these requirements hold instead."""

    after_s: float
    requirements: tuple[SkillRequirement, ...]
    any_language: bool = False
    """From then on the language does not matter any more (`Queue.languages`)."""


class Overflow(_Value, frozen=True, kw_only=True):
    """Where a caller goes who cannot or should not wait."""

    target: Target
    max_length: int | None = None
    """Enter only while fewer wait."""
    max_wait_s: float | None = None
    no_agents: bool = False
    """Also when nobody who could ever take the call is logged on."""


class MissLimits(_Value, frozen=True, kw_only=True):
    """After how many offers in a row that came to nothing, by what became of them, an agent is set not ready; 0: never.

    The count begins anew when the agent takes an offer, or says to be ready. Where several phones ring together nobody is counted.
    """

    no_answer: int = 1
    """It rang, and nobody took it."""
    unreachable: int = 1
    """The phone gave no sign of life, or is not registered any more."""
    failed: int = 1
    """The phone cannot take calls of this kind, or there is no price for it."""
    busy: int = 0
    """486: there is another call at the phone that the exchange knows nothing of."""
    declined: int = 0
    """603, or declined at the desk."""
    forwarded: int = 0
    """3xx: the phone sends its calls elsewhere."""


class Queue(_Value, frozen=True, kw_only=True):
    id: QueueId
    name: str
    members: tuple[AgentId, ...] | None = None
    """None: whoever has the skills; else only these, and they need the skills too."""
    requirements: tuple[SkillRequirement, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    """In order of `after_s`."""
    strategy: str = "longest_idle"
    """A row of `acd.core.strategies`."""
    priority_s: float = 0.0
    """A caller here counts as having waited so many seconds longer; capped by `priority_cap_s` so that nobody starves."""
    priority_cap_s: float = 300.0
    ring_timeout_s: float = 20.0
    """Redirect on no answer (RONA)."""
    redirect_on_no_answer: Literal["not_ready", "stay_ready"] = "not_ready"
    """What becomes of the agent who did not answer; `stay_ready`: no `no_answer`, `unreachable` or `failed` counts, however many."""
    miss_limits: MissLimits = MissLimits()
    after_call_work_s: float = 10.0
    short_abandon_s: float = 5.0
    service_level_s: float = 20.0
    schedule: ScheduleId | None = None
    closed: Target = ToAnnouncement(sounds=("closed",))
    overflow: tuple[Overflow, ...] = ()
    greeting: tuple[str, ...] = ("queue.greeting",)
    music: str = "music/default"
    announce_position: bool = True
    announce_every_s: float = 30.0
    exit_key: str | None = None
    exit_target: Target | None = None
    record: bool = False
    supervised: bool = False
    """Its callers are told before the greeting that somebody may listen; who was not told is not listened to."""
    country_languages: bool = True
    """Speak the language of the number that was called (R23)."""
    languages: Literal["ignored", "preferred", "required"] = "ignored"
    """What the contact's language means for who gets it: nothing; who speaks it comes first; who does not speak it is not asked."""
    worse_line_counts: bool = False
    """Agents whose pages are on a worse line come behind the others, before all else that the strategy orders by."""


class Menu(_Value, frozen=True, kw_only=True):
    id: MenuId
    sounds: tuple[str, ...]
    options: dict[str, Target]
    """Digit `0`-`9`, `*`, `#` -> target."""
    timeout_s: float = 6.0
    """Silence after the sounds before they are repeated."""
    repeats: int = 2
    invalid_sounds: tuple[str, ...] = ("invalid_choice",)
    fallback: Target = ToHangUp()
    """After the last repeat without a valid choice."""
    schedule: ScheduleId | None = None
    closed: Target = ToAnnouncement(sounds=("closed",))
    languages: dict[str, str] = {}
    """Key -> the language that a caller who presses it speaks (`en`): it is spoken to in it, and takes part in routing by it."""
    says_options: bool = False
    """Behind `sounds` it is said of each key what it leads to (`acd.core.spoken_menu`)."""
    labels: dict[str, tuple[str, ...]] = {}
    """Key -> the sounds that say what it leads to: "support", as in "for support, press 1"; without them its target says it."""


class Number(_Value, frozen=True, kw_only=True):
    """A number that can be called: a DID in E.164 (`+49…`), or a short internal number (`600`)."""

    number: str
    target: Target
    language: str = "de"
    country: str | None = None
    geographic: bool = True
    """A landline number: no surcharge to the caller (R31)."""


class Trunk(_Value, frozen=True, kw_only=True):
    """A line to a carrier or a foreign PBX (R1, R5). Addresses and credentials stay in the shell."""

    id: TrunkId
    name: str
    upload_kbits: int | None = None
    """None: not limited here."""
    channel_kbits: int = 100
    """A channel over it, to an agent's phone behind it too (not the agent's own), is never reckoned below this, nor below the floor."""
    channel: ChannelCosts | None = None
    """What a channel that we offer over it costs at worst; computed by the shell from its peer, codecs and protection."""
    degrade: tuple[Step, ...] = DEFAULT_PLAN
    """As of a site."""
    degrade_from_kbits: int | None = None
    own_carrier: bool = False
    """The tenant's own contract: rated by the tenant's plan for it, else by the tenant's, never by the house's (R15)."""
    order: int = 0
    """Outbound calls try trunks in ascending order."""
    outbound: bool = True
    internal: bool = False
    """The tenant's own PBX: what goes over it costs nothing here and needs no price."""
    redirects: int = 0
    """How often one call is sent on because this carrier says that its party is elsewhere (3xx); 0: it has not been reached then."""


class Reason(_Value, frozen=True, kw_only=True):
    """A not-ready reason."""

    code: str
    name: str


class FeatureCodes(_Value, frozen=True, kw_only=True):
    """What an agent's phone dials for what a desk has buttons for (`acd.core.steps.feature_codes`); empty: there is no such code.

    A star and two digits, as most systems have it; each has them otherwise. Digits may follow where something is chosen.
    """

    WITH_DIGITS: ClassVar = frozenset({"not_ready", "tag", "hot_desk", "supervise"})

    ready: str = "*20"
    """Logged on if need be, after-call work is over."""
    not_ready: str = "*21"
    """With the code of a reason, or its place in the list."""
    log_on_or_off: str = "*22"
    tag: str = "*23"
    """With a disposition code, for the call that is going on or was the last."""
    waiting: str = "*24"
    """Hear how many wait, and how long."""
    hot_desk: str = "*25"
    """With one's own extension: this phone is mine from now on (`acd.core.steps.hot_desk`); alone: who has come to this phone leaves it."""

    pick: str = "*26"
    """Have the first of those who wait and whom the agent could take, whoever's turn it is."""

    supervise: str = "*27"
    """With the extension of an agent: hear the agent's conversation (`acd.core.steps.supervision`)."""

    def dialled(self) -> dict[str, str]:
        """Name -> code, of those that there are."""
        return {name: code for name in self.__struct_fields__ if (code := getattr(self, name))}


class Pages(_Value, frozen=True, kw_only=True):
    """What the exchange expects of phones that are browsers' pages (docs/pages.md)."""

    answer_within_s: float = 0.8
    """A page that is asked before an offer, and whose code has not answered within this time, is offered nothing; 0: none is asked."""
    take_back_s: float = 20.0
    """So long an agent whose page died in a call may take the call back."""
    min_upload_kbits: float = 100.0
    """With less upload than one channel takes an agent is technically not ready; so with the limits that follow. 0: whatever it is."""
    max_loss: float = 0.05
    """Share of the packets, 0 to 1."""
    min_mos: float = 3.1
    """Below it nearly all users are dissatisfied (ITU-T G.107 Annex B)."""


class TenantConfiguration(_Value, frozen=True, kw_only=True):
    tenant: TenantId
    agents: tuple[Agent, ...] = ()
    queues: tuple[Queue, ...] = ()
    menus: tuple[Menu, ...] = ()
    numbers: tuple[Number, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    sites: tuple[Site, ...] = ()
    trunks: tuple[Trunk, ...] = ()
    reasons: tuple[Reason, ...] = ()
    language: str = "de"
    recording_notice: bool = True
    """Play `recording.notice` before a recorded queue's greeting (§ 201 StGB)."""
    supervision_notice: bool = True
    """Callers who were not told (`Queue.supervised`) are not listened to (§ 201 (2) StGB)."""
    supervision_tone: bool = True
    """An agent hears a tone when somebody begins to listen or whisper."""
    feature_codes: FeatureCodes = FeatureCodes()
    conversation_keys: str = "**"
    """What an agent keys in a conversation before a command (`acd.core.steps.keys`); empty: keys are commands to nobody here."""
    capacity: tuple[ChannelCapacity, ...] = ()
    """Of channels that are otherwise than `acd.core.channel_kinds` has them."""
    zone: Zone = Zone()
    """Its midnights divide the figures of the days."""
    pages: Pages = Pages()

    def problems(self, people: tuple[Agent, ...] | None = None) -> list[str]:
        """Every reference that leads nowhere and every figure out of range, one sentence each; empty when all is well.

        Whether time zones and regions are known is for the shell to say: `acd.resolve`.

        Args:
            people: the agents whose own particulars are looked at; None: all.
        """
        return list(_problems(self, self.agents if people is None else people))


def _targets(configuration: TenantConfiguration) -> list[tuple[str, Target]]:
    found: list[tuple[str, Target]] = [(f"number {n.number}", n.target) for n in configuration.numbers]
    for queue in configuration.queues:
        found.append((f"queue {queue.id} closed", queue.closed))
        found.extend((f"queue {queue.id} overflow", overflow.target) for overflow in queue.overflow)
        if queue.exit_target is not None:
            found.append((f"queue {queue.id} exit", queue.exit_target))
    for menu in configuration.menus:
        found.extend((f"menu {menu.id} key {digit}", target) for digit, target in menu.options.items())
        found.append((f"menu {menu.id} fallback", menu.fallback))
        found.append((f"menu {menu.id} closed", menu.closed))
    return found


def _problems(configuration: TenantConfiguration, people: tuple[Agent, ...]) -> list[str]:
    problems: list[str] = []
    queues = {queue.id for queue in configuration.queues}
    menus = {menu.id for menu in configuration.menus}
    agents = {agent.id for agent in configuration.agents}
    schedules = {schedule.id for schedule in configuration.schedules}
    for where, target in _targets(configuration):
        match target:
            case ToQueue(queue=queue) if queue not in queues:
                problems.append(f"{where} leads to the unknown queue {queue}")
            case ToMenu(menu=menu) if menu not in menus:
                problems.append(f"{where} leads to the unknown menu {menu}")
            case ToAgent(agent=agent) if agent not in agents:
                problems.append(f"{where} leads to the unknown agent {agent}")
            case _:
                pass
    kept = [(f"queue {one.id}", one.schedule) for one in configuration.queues] + [
        (f"menu {one.id}", one.schedule) for one in configuration.menus
    ]
    problems.extend(f"{where} keeps the unknown schedule {schedule}" for where, schedule in kept if schedule and schedule not in schedules)
    for line in configuration.queues:
        if line.members and not agents.issuperset(line.members):
            problems.extend(f"queue {line.id} has the unknown member {member}" for member in line.members if member not in agents)
    problems.extend(capacity_problems("the tenant", configuration.capacity))
    problems.extend(page_problems(configuration.pages))
    for kind, limited in (("site", configuration.sites), ("trunk", configuration.trunks)):
        for one in limited:
            problems.extend(plan_problems(f"{kind} {one.id}", one.degrade, one.degrade_from_kbits, one.upload_kbits))
    problems.extend(problems_of_people(configuration, people))
    problems.extend(problems_of_names(configuration))
    problems.extend(feature_code_problems(configuration))
    problems.extend(problem for line in configuration.queues for problem in _queue_problems(line))
    problems.extend(problem for schedule in configuration.schedules for problem in _schedule_problems(schedule))
    problems.extend(
        f"menu {menu.id} has the key {key}; keys are 0 to 9, * and #"
        for menu in configuration.menus
        for key in menu.options
        if len(key) != 1 or key not in "0123456789*#"
    )
    problems.extend(
        f"menu {menu.id} has a {what} for the key {key}, which it has not"
        for menu in configuration.menus
        for what, keys in (("language", menu.languages), ("label", menu.labels))
        for key in keys
        if key not in menu.options
    )
    return problems


def page_problems(pages: Pages) -> list[str]:
    """What is wrong with what is expected of pages."""
    limits = {"answer_within_s": 5.0, "take_back_s": 600.0, "min_upload_kbits": 10_000.0, "max_loss": 1.0, "min_mos": 4.0}
    return [
        f"pages.{name} is {value:g}; it is 0 to {most:g}"
        for name, most in limits.items()
        if not 0 <= (value := getattr(pages, name)) <= most
    ]


def problems_of_people(configuration: TenantConfiguration, people: Iterable[Agent]) -> list[str]:
    """What is wrong with the particulars of these agents."""
    problems: list[str] = []
    sites = {site.id for site in configuration.sites}
    trunks = {trunk.id for trunk in configuration.trunks}
    for person in people:
        if person.site is not None and person.site not in sites:
            problems.append(f"agent {person.id} sits at the unknown site {person.site}")
        if person.trunk is not None and person.trunk not in trunks:
            problems.append(f"agent {person.id} is behind the unknown trunk {person.trunk}")
        if person.trunk is not None and not person.number_behind_trunk:
            problems.append(f"agent {person.id} is behind trunk {person.trunk} without an extension or a number to be reached at")
        if person.trunk is None and person.reached_at is not None:
            problems.append(f"agent {person.id} is to be reached at {person.reached_at} without a trunk")
        problems.extend(
            f"agent {person.id} has level {level} in {skill}; levels are 1 to 10"
            for skill, level in person.skills.items()
            if not 1 <= level <= 10
        )
        if person.capacity:  # few have one, and thousands are looked at
            problems.extend(capacity_problems(f"agent {person.id}", person.capacity))
    return problems


def capacity_problems(whose: str, capacity: tuple[ChannelCapacity, ...]) -> list[str]:
    """What is wrong with how much the tenant's agents, or one of them, can have at once."""
    problems: list[str] = []
    for one in capacity:
        problems.extend(
            f"{whose} has a capacity for the unknown channel {channel}"
            for channel in (one.channel, *(one.not_during or ()))
            if channel not in CHANNELS
        )
        if one.at_once < 0:
            problems.append(f"{whose} has the capacity {one.at_once} for {one.channel}; it cannot be less than nothing")
        most = CHANNELS[one.channel].most if one.channel in CHANNELS else None
        if most is not None and one.at_once > most:
            problems.append(f"{whose} has the capacity {one.at_once} for {one.channel}; nobody has more than {most} at once")
    times = Counter(one.channel for one in capacity)
    problems.extend(f"{whose} has two capacities for {channel}" for channel, found in sorted(times.items()) if found > 1)
    return problems


def problems_of_names(configuration: TenantConfiguration) -> list[str]:
    """Every name that stands for more than one."""
    problems: list[str] = []
    for kind, values, called in (
        ("agent", configuration.agents, "id"),
        ("device", configuration.agents, "device"),
        ("extension", configuration.agents, "extension"),
        ("queue", configuration.queues, "id"),
        ("menu", configuration.menus, "id"),
        ("schedule", configuration.schedules, "id"),
        ("site", configuration.sites, "id"),
        ("trunk", configuration.trunks, "id"),
        ("number", configuration.numbers, "number"),
        ("reason", configuration.reasons, "code"),
    ):
        names = list(map(attrgetter(called), values))
        if called == "extension":  # not everybody has one
            names = list(filter(None, names))
        if len(set(names)) < len(names):
            problems.extend(f"the {kind} {one} is there twice" for one, times in sorted(Counter(names).items()) if times > 1)
    numbers = {number.number for number in configuration.numbers}
    if not numbers.isdisjoint(map(attrgetter("extension"), configuration.agents)):
        problems.extend(
            f"extension {agent.extension} of agent {agent.id} is also a number"
            for agent in configuration.agents
            if agent.extension in numbers
        )
    return problems


def feature_code_problems(configuration: TenantConfiguration) -> list[str]:
    """What is wrong with the feature codes, by themselves and beside numbers and extensions."""
    codes = configuration.feature_codes.dialled()
    taken = {one.number for one in configuration.numbers} | {one.extension for one in configuration.agents}
    problems = [
        f"the feature code {name} is {code}; codes begin with * or # and have 1 to 7 digits"
        for name, code in codes.items()
        if not (code[0] in "*#" and 2 <= len(code) <= 8 and code[1:].isascii() and code[1:].isdigit())
    ]
    problems += [
        f"the feature code {name} is {code}, which is also a number or an extension" for name, code in codes.items() if code in taken
    ]
    problems += [f"the feature code {code} is there twice" for code, times in sorted(Counter(codes.values()).items()) if times > 1]
    prefix = configuration.conversation_keys
    if prefix and not (2 <= len(prefix) <= 4 and set(prefix) <= set("*#")):
        problems.append(f"conversation_keys is {prefix!r}; it is two to four of * and #, or empty")
    return problems


def _queue_problems(queue: Queue) -> list[str]:
    problems = []
    if (queue.exit_key is None) != (queue.exit_target is None):
        problems.append(f"queue {queue.id} has an exit key without a target or a target without a key")
    if queue.strategy not in STRATEGIES:
        problems.append(f"queue {queue.id} has the unknown strategy {queue.strategy}")
    moments = [relaxation.after_s for relaxation in queue.relaxations]
    if moments != sorted(moments) or any(moment < 0 for moment in moments):
        problems.append(f"queue {queue.id} has relaxations that are not in order of after_s")
    problems.extend(
        f"queue {queue.id} has {name} {value:g}; it cannot be less than nothing"
        for name, value in (
            ("priority_s", queue.priority_s),
            ("priority_cap_s", queue.priority_cap_s),
            ("after_call_work_s", queue.after_call_work_s),
            *((f"miss_limits.{name}", getattr(queue.miss_limits, name)) for name in MissLimits.__struct_fields__),
        )
        if value < 0
    )
    if queue.ring_timeout_s <= 0:
        problems.append(f"queue {queue.id} has ring_timeout_s {queue.ring_timeout_s:g}; phones must ring for some time")
    if any(rule.max_length is None and rule.max_wait_s is None and not rule.no_agents for rule in queue.overflow):
        problems.append(f"queue {queue.id} has an overflow without a condition")
    return problems


def _schedule_problems(schedule: Schedule) -> list[str]:
    spans = [(one.opens, one.closes) for one in schedule.openings] + [span for one in schedule.exceptions for span in one.openings]
    problems = [
        f"schedule {schedule.id} opens from minute {opens} to {closes}; a day has 0 to 1440"
        for opens, closes in spans
        if not 0 <= opens < closes <= 1440
    ]
    problems.extend(
        f"schedule {schedule.id} opens on weekday {one.weekday}; 0 is Monday, 6 Sunday"
        for one in schedule.openings
        if not 0 <= one.weekday <= 6
    )
    return problems
