"""The whole state of one tenant's exchange as values that msgspec can write and read: a fold over the journal (DESIGN.md §3).

Only `acd.core.state.fold` changes it. What can be computed from it (who is free, who stands where) is an index of the fold and not in here.
"""

from __future__ import annotations

import msgspec

from acd.core.channel_costs import ChannelCosts, Saving
from acd.core.configuration import SkillRequirement, TenantConfiguration
from acd.core.events import Direction, LegRole, MissReason, Purpose
from acd.core.ids import (
    AgentId,
    CallId,
    ContactId,
    EntryId,
    LegId,
    MenuId,
    OfferId,
    PlayId,
    QuestionId,
    QueueId,
    RecordingId,
    SiteId,
    TenantId,
    TrunkId,
)
from acd.core.inputs import SupervisionMode
from acd.core.machines import agent as agents
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import queue as queues
from acd.core.machines import queue_entry as entries
from acd.core.machines import work as works
from acd.core.state.statistics import Statistics


class _Part(msgspec.Struct, kw_only=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of the parts of the state: mutable, by keyword; written as arrays, every field always, so that equal states are equal octets.

    Names stand for other parts, so there are no cycles and the collector need not look (`gc=False`).
    """


class Lost(_Part, kw_only=True):
    """The page behind a leg is lost (`acd.core.steps.lost_page`)."""

    agent: AgentId
    why: str
    since: float
    until: float
    holds: bool
    """The hold of the phone is for this alone."""


class Leg(_Part, kw_only=True):
    """One party's connection."""

    id: LegId
    call: CallId
    role: LegRole
    since: float
    state: legs.State = legs.State.INITIATED
    connected_at: float | None = None
    arrived: bool = False
    agent: AgentId | None = None
    number: str | None = None
    trunk: TrunkId | None = None
    site: SiteId | None = None
    offer: OfferId | None = None
    play: PlayId | None = None
    purpose: Purpose | None = None
    sounds: tuple[str, ...] = ()
    """What `play` consists of; kept to be declared again (`acd.core.intake.reconciliation`)."""
    loops: bool = False
    plays: int = 0
    dialog: str | None = None
    """How the shell ends the leg after a crash: the newest it has told."""
    cut_after_s: float | None = None
    """So long after its answer the call is ended, as the quote says."""
    audio: str = "none"
    suite: str | None = None
    signalling: str | None = None
    """What protects it: see `acd.core.inputs.ProtectionAgreed`."""
    limits: dict[str, float] = {}
    """Cause -> the instant at which the call is ended for it; see `acd.core.state.limits`."""
    lost: Lost | None = None
    one_way: str | None = None
    """It was not heard, or heard nobody, when its conversation began."""
    replaces: LegId | None = None
    """The one whose place it is to take."""


class Forward(_Part, kw_only=True):
    """The call goes outside on somebody's account."""

    number: str
    reason: str
    by: str
    supervisor: str | None = None
    """Who acted at the desk of the agent `by`."""


class Referral(_Part, kw_only=True):
    """A transfer that an agent's phone has asked for, and that nothing has come of yet (`acd.core.steps.referral`)."""

    leg: LegId
    """The phone's, which waits for what comes of it."""
    by: AgentId
    to: str
    queue: QueueId | None = None
    """The queue that the call was answered from: it is so again if the phone gets it back."""
    asked: bool = True
    """The phone has asked for it (REFER) and is told how it goes; else its desk did, out of a consultation."""


class Consultation(_Part, kw_only=True):
    """A party of a conversation asks somebody else (`acd.core.steps.consultation`)."""

    leg: LegId
    """The consulting party's."""
    by: AgentId
    to: str
    held: list[LegId]
    """Who is held meanwhile; of several, they hear each other."""
    queue: QueueId | None = None
    """The queue that the call was answered from."""
    party: LegId | None = None
    """Who was served before."""
    alternated: bool = False
    """The consulting party speaks with those who were held, and who was asked is held."""


class Supervision(_Part, kw_only=True):
    """A supervisor's phone at an agent's conversation (`acd.core.steps.supervision`)."""

    by: AgentId
    agent: AgentId
    mode: SupervisionMode
    joined: bool = False
    """Its phone has been taken."""


class DeskLogIn(_Part, kw_only=True):
    """Somebody at a phone says to be an agent and has not proved it yet."""

    agent: AgentId
    at: AgentId
    """Whose phone it is."""


class Contact(_Part, kw_only=True):
    """Somebody's concern while it is open: what router, queues, offers and work know of it, whatever it came by."""

    id: ContactId
    channel: str
    customer: str | None
    """Where the customer can be answered; of a call the caller's number, None where it is withheld."""
    language: str
    began_at: float
    personal: AgentId | None = None
    """The agent whose customer it is."""
    priority_s: float | None = None
    """Its own, instead of the queue's."""
    requirements: tuple[SkillRequirement, ...] | None = None
    """Its own, instead of the queue's and its relaxations."""
    entry: EntryId | None = None
    queue: QueueId | None = None
    """The queue it waits in or was taken from."""
    entries_made: int = 0
    offers_made: int = 0
    hops: int = 0
    """Targets visited without a sign of life from the customer: ends circles in the configuration."""
    not_yet: bool = False
    """It cannot be offered at this moment: the customer is being told something that must come first (§ 201 StGB)."""
    subject: str | None = None
    text: str | None = None
    questions_made: int = 0
    waited_s: float = 0.0
    """In the queue that it was taken from."""


class Call(_Part, kw_only=True):
    """One conversation while it lives: what a voice contact has beside."""

    id: CallId
    direction: Direction
    began_at: float
    since: float
    state: calls.State = calls.State.OFFERED
    calling: str | None = None
    calling_name: str | None = None
    called: str
    trunk: TrunkId | None = None
    agent: AgentId | None = None
    number: str | None = None
    country: str | None = None
    party: LegId | None = None
    """The leg that is being served: it hears the menu, waits in the queue, is forwarded."""
    legs: list[LegId] = []
    parties: list[LegId] = []
    """Those in conversation, in the order in which they came; of a consultation, who consults and who was asked."""
    early: LegId | None = None
    """It is heard before it answers (RFC 3960 §2)."""
    legs_made: int = 0
    recordings_made: int = 0
    menu: MenuId | None = None
    menu_plays: int = 0
    notice_heard: bool = False
    """The recording notice was heard to its end (§ 201 StGB)."""
    told: list[LegId] = []
    """Who has heard it."""
    ending: str | None = None
    """It is told something and then cleared with this cause."""
    forward: Forward | None = None
    trunks_tried: list[TrunkId] = []
    looping: bool = False
    """Its forward was seen to lead back here: no other trunk is tried for it."""
    redirects: int = 0
    """How often a carrier has sent it on."""
    recording: RecordingId | None = None
    """The one that runs, or is paused."""
    recorded: list[LegId] = []
    """Who has a channel in it, in order."""
    recording_paused: bool = False
    referral: Referral | None = None
    consultation: Consultation | None = None
    supervisions: dict[LegId, Supervision] = {}
    """By the supervisor's leg."""
    supervision_told: bool = False
    """The caller has heard that somebody may listen."""
    desk_log_in: DeskLogIn | None = None


class Entry(_Part, kw_only=True):
    """One stay in one queue."""

    id: EntryId
    contact: ContactId
    channel: str
    queue: QueueId
    queued_at: float
    priority_s: float
    """The seconds of advantage it has, after the cap."""
    language: str | None = None
    """The one that its agent is to speak, or should; None: any."""
    skills: tuple[tuple[str, int], ...] | None = None
    """Asked for instead of what its queue says; None: that."""
    state: entries.State = entries.State.WAITING
    relaxation: int = 0
    wait_limit_at: float | None = None
    tried: dict[AgentId, float] = {}
    """Who did not take it, and when."""
    offer: OfferId | None = None
    question: QuestionId | None = None
    """The one that is asked of pages before it can be offered."""
    returned_at: float | None = None
    """It had been answered and has come back: the limits of its wait count from here."""


class Question(_Part, kw_only=True):
    """What is asked of pages before an offer (`acd.core.steps.asking`)."""

    id: QuestionId
    contact: ContactId
    entry: EntryId
    asked_at: float
    open: list[AgentId]
    """Whose page has not answered yet."""
    rule: str | None = None
    by: str | None = None


class Offer(_Part, kw_only=True):
    """One offer in flight."""

    id: OfferId
    contact: ContactId
    entry: EntryId
    queue: QueueId
    made_at: float
    open: list[AgentId]
    """Whose part has not ended."""
    width: int
    """How many were asked."""


class Work(_Part, kw_only=True):
    """One contact at one agent."""

    contact: ContactId
    channel: str
    kind: str
    queue: QueueId | None = None
    since: float
    state: works.State = works.State.RESERVED
    until: float | None = None


class Binding(_Part, kw_only=True):
    """A registered contact of a device."""

    contact: str
    expires_at: float
    flow: str = ""
    user_agent: str | None = None
    unreachable_since: float | None = None
    """Since when nobody answers there."""
    detail: str | None = None
    is_page: bool = False
    answered_at: float | None = None
    """When the code of a page has answered a question last."""
    answered_for: ContactId | None = None
    """And for which contact it had been asked."""
    channel: ChannelCosts | None = None
    """What a channel to it costs at worst."""


class PageLine(_Part, kw_only=True):
    """What was measured of the line of an agent's page (`acd.core.state.page_line`)."""

    figures: dict[str, float] = {}
    measured_at: dict[str, float] = {}
    bad: list[str] = []
    bad_since: float | None = None


class Agent(_Part, kw_only=True):
    """A person as the exchange sees it."""

    id: AgentId
    state: agents.State = agents.State.LOGGED_OFF
    since: float = 0.0
    reason: str | None = None
    leaving: bool = False
    idle_since: float = 0.0
    works: dict[ContactId, Work] = {}
    bindings: dict[str, Binding] = {}
    misses: dict[MissReason, int] = {}
    """Offers in a row that came to nothing, by why."""
    last_contact: ContactId | None = None
    """The last one it had taken."""
    wants_to_pick: bool = False
    """It has dialled the code for that, and its line is not free yet."""
    wants_to_supervise: AgentId | None = None
    """The same, with whose conversation it wants to hear."""
    at: AgentId | None = None
    """It sits at the phone of this one (hot desk); None: at its own."""
    question: QuestionId | None = None
    """Its page is asked for the contact of this one, which it is kept for."""
    line: PageLine | None = None


class Queue(_Part, kw_only=True):
    """A queue as it runs."""

    id: QueueId
    state: queues.State = queues.State.OPEN
    last_agent: AgentId | None = None
    """Round robin goes on after this one."""


class Line(_Part, kw_only=True):
    """The ledger of a site's or trunk's upload (R9)."""

    reserved_kbits: int = 0
    channels: dict[LegId, int] = {}
    shapes: dict[LegId, str] = {}
    """What each is made of, for people."""
    degraded: dict[LegId, Saving] = {}
    """Those that are not as usual, and by which step of the plan."""


class Trunk(_Part, kw_only=True):
    """Whether a trunk answers."""

    up: bool = True
    since: float = 0.0
    detail: str | None = None


class State(_Part, kw_only=True):
    """Everything."""

    tenant: TenantId
    configuration: TenantConfiguration | None = None
    clock: float = 0.0
    stopping: bool = False
    contacts: dict[ContactId, Contact] = {}
    calls: dict[CallId, Call] = {}
    legs: dict[LegId, Leg] = {}
    entries: dict[EntryId, Entry] = {}
    offers: dict[OfferId, Offer] = {}
    agents: dict[AgentId, Agent] = {}
    queues: dict[QueueId, Queue] = {}
    lines: dict[str, Line] = {}
    trunks: dict[TrunkId, Trunk] = {}
    recordings: dict[RecordingId, tuple[CallId, float]] = {}
    """Begun and not yet kept."""
    ended_legs: dict[LegId, tuple[CallId, float]] = {}
    """Legs that ended a short while ago: their quality still comes in."""
    timers: dict[str, float] = {}
    statistics: Statistics
    questions: dict[QuestionId, Question] = {}
