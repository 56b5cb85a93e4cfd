"""What became true in the exchange: the journal's words, past tense, after CSTA (ECMA-269) where it has one.

Everything else is a fold over these: the state itself, CDRs and the conversation ledger, live figures, reports. An event carries
all a fold needs that an earlier event of the same call has not told already. The time of an event is that of its journal entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from acd.core.channel_costs import ChannelCosts, Saving
from acd.core.configuration import SkillRequirement, TenantConfiguration
from acd.core.configuration_changes import Change
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
    TrunkId,
)
from acd.core.inputs import AudioProtection, PageLoss, SupervisionMode
from acd.core.personal import CustomerQuote, CustomerText, StaffText

Direction = Literal["inbound", "outbound", "internal"]
LegRole = Literal["caller", "agent", "forward", "destination", "supervisor"]
OfferOutcome = Literal["answered", "no_answer", "declined", "failed", "answered_elsewhere", "abandoned", "withdrawn"]
MissReason = Literal["no_answer", "unreachable", "failed", "busy", "declined", "forwarded"]
"""Why an agent who was offered a contact did not take it: a limit each (`acd.core.configuration.MissLimits`)."""
Purpose = Literal["menu", "notice", "greeting", "position", "music", "ringback", "hold", "announcement", "pin", "aside", "party_notice"]
"""Why something plays; what follows when it was heard depends on it."""
ForwardReason = Literal[
    "always", "busy", "no_answer", "unregistered", "overflow", "menu", "number", "transfer", "closed", "exit", "redirected", "consult"
]
"""Why a call is sent on to another number."""
QueueOutcome = Literal["answered", "abandoned", "overflowed", "exited", "closed", "withdrawn"]
QuestionOutcome = Literal["answered", "unanswered", "withdrawn"]
"""What came of asking a page before an offer; `withdrawn`: the contact does not wait any more, or the exchange has started anew."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of all events: frozen, tagged by class name. Values hold no cycles: the collector need not look (`gc=False`)."""


# ---------------------------------------------------------------------- configuration, house


class ConfigurationChanged(_Event, frozen=True, kw_only=True):
    configuration: TenantConfiguration


class ConfigurationAltered(_Event, frozen=True, kw_only=True):
    """As ConfigurationChanged, told as what differs from the configuration before (ADR 0007)."""

    changes: tuple[Change, ...]


class Started(_Event, frozen=True, kw_only=True):
    """The service runs (again); what the time before is to what lasts: `acd.core.state.moved`."""

    down_s: float = 0.0
    """So long after the last sign of life; after-call work is due so much later. Programs that let it run out meanwhile said nothing."""
    kept: tuple[CallId, ...] = ()
    """Calls that went on meanwhile, heard and spoken (ADR 0024). Where there are any, the service counts as having been there: nothing is
    due later for its absence, and only what was cut has ended with the last sign of life."""


class Stopping(_Event, frozen=True, kw_only=True):
    pass


class SignOfLifeGiven(_Event, frozen=True, kw_only=True):
    """Calls are up, or somebody does after-call work. What a crash cuts has lasted until the last event before it."""


class ClockCorrected(_Event, frozen=True, kw_only=True):
    """Every instant the exchange holds was moved by so much: what lasts has lasted as long as before, what is due is due as soon."""

    by_s: float


# ---------------------------------------------------------------------- calls and legs


class CallOffered(_Event, frozen=True, kw_only=True):
    """A conversation began (CSTA Offered)."""

    call: CallId
    direction: Direction
    calling: CustomerText | None
    calling_name: CustomerText | None
    called: CustomerText
    trunk: TrunkId | None
    agent: AgentId | None
    """The agent who dials, for outbound and internal calls."""
    number: str | None
    """Our configured number that was reached."""
    country: str | None
    language: str
    quote: CustomerQuote | None = None
    """The price the agent was told before dialling, as `acd.core.inputs.Dial` brought it."""
    supervisor: StaffText | None = None
    """Who had the agent's phone dial, where it was not the agent."""


class LegInitiated(_Event, frozen=True, kw_only=True):
    leg: LegId
    call: CallId
    role: LegRole
    agent: AgentId | None = None
    number: CustomerText | None = None
    """E.164 or short number of a party outside, or of an agent's phone behind a trunk."""
    trunk: TrunkId | None = None
    site: SiteId | None = None
    forwarded_by: str | None = None
    """Who or what caused a `forward` leg."""
    arrived: bool = False
    """It came to us; all others were originated."""
    internal: bool = False
    """Over the tenant's own line, which costs nothing."""
    offer: OfferId | None = None
    """The offer it rings for."""
    dialog: CustomerText | None = None
    """How the shell ends the leg after a crash; the newest one holds."""
    replaces: LegId | None = None
    """The leg of the same agent whose place it is to take, since its page was lost."""


class LegAlerted(_Event, frozen=True, kw_only=True):
    leg: LegId
    dialog: CustomerText | None = None


class EarlyMediaPassed(_Event, frozen=True, kw_only=True):
    """The party that waits hears what the far end of this leg says before it answers: a carrier's announcement or its ring-back."""

    leg: LegId
    call: CallId


class LegConnected(_Event, frozen=True, kw_only=True):
    leg: LegId
    dialog: CustomerText | None = None


class LegProtected(_Event, frozen=True, kw_only=True):
    """What protects a leg from now on; as `acd.core.inputs.ProtectionAgreed` brought it."""

    leg: LegId
    call: CallId
    audio: AudioProtection
    suite: str | None
    signalling: str | None


class LegHeld(_Event, frozen=True, kw_only=True):
    """The connection of this leg is held; `by` is the agent at whose desk, or None when the party's own phone did."""

    leg: LegId
    by: AgentId | None = None
    supervisor: StaffText | None = None
    """Who acted at this agent's desk, where it was not the agent."""


class LegRetrieved(_Event, frozen=True, kw_only=True):
    """A hold of this leg is over: `by` is the agent at whose desk it was, or None for that of the phone (in words of version 1: either)."""

    leg: LegId
    by: AgentId | None = None
    still_held: bool = False
    """The other of the two, desk and phone, goes on holding."""
    supervisor: StaffText | None = None
    """Who acted at this agent's desk, where it was not the agent."""


class PartyLost(_Event, frozen=True, kw_only=True):
    """The browser's page of an agent died in a conversation: the leg counts as held by its phone (LegHeld follows) until PartyBack,
    LegReplaced or its end.
    """

    call: CallId
    leg: LegId
    agent: AgentId
    why: PageLoss
    until: float
    """Epoch seconds: then it is given up."""
    holds: bool = True
    """It did not hold by its phone before."""


class PartyBack(_Event, frozen=True, kw_only=True):
    """The page is there again by itself; LegRetrieved follows where it did not hold before."""

    call: CallId
    leg: LegId
    agent: AgentId


class LegReplaced(_Event, frozen=True, kw_only=True):
    """The agent has taken the call back: `leg` stands in the conversation in the place of `replaces`, which is cleared next."""

    call: CallId
    leg: LegId
    replaces: LegId
    agent: AgentId
    held: bool = False
    """Whoever was on hold at the agent's desk still is."""


class OneWayAudioFound(_Event, frozen=True, kw_only=True):
    """A party of a conversation is not heard, or hears nobody; the call goes on as it is."""

    call: CallId
    leg: LegId
    direction: Literal["unheard", "deaf"]


class LegCleared(_Event, frozen=True, kw_only=True):
    leg: LegId
    cause: str
    """A word of `acd.core.causes`."""
    status: int | None = None
    """What the far end said, where it speaks SIP; what we have said stands in `acd.switch.causes`."""
    by: Literal["party", "exchange"] = "exchange"
    detail: CustomerText | None = None
    q850: int | None = None
    """The cause of ITU-T Q.850 that the far end gave, or that was passed on to it; None: the one that `cause` has."""


class LegQuoted(_Event, frozen=True, kw_only=True):
    """The price was known before the leg was placed; `quote` as `acd.core.inputs.LegPriced` brought it."""

    leg: LegId
    quote: CustomerQuote


class CreditLimited(_Event, frozen=True, kw_only=True):
    """The leg's call ends at `at` for want of budget or balance, unless there is more before; `at` None: there is."""

    leg: LegId
    call: CallId
    at: float | None
    reason: str


class LegAnsweredLate(_Event, frozen=True, kw_only=True):
    """A leg that was over when its far end answered; follows the leg's and maybe the call's end."""

    leg: LegId
    call: CallId


class LegMeasured(_Event, frozen=True, kw_only=True):
    """Media quality of a leg; may follow the leg's and even the call's end."""

    leg: LegId
    call: CallId
    quality: dict[str, float | int | str | None]


class CallEstablished(_Event, frozen=True, kw_only=True):
    """Two parties hear each other (CSTA Established). Comes again after a transfer, with the new pair."""

    call: CallId
    a: LegId
    b: LegId


class CallConsulted(_Event, frozen=True, kw_only=True):
    """A party has left its conversation, which it holds, to ask somebody else (CSTA Consultation Call): it is the one served now.

    `ConsultationEnded` follows, or the end of the call.
    """

    call: CallId
    leg: LegId
    """The consulting party's."""
    by: AgentId
    to: CustomerText
    """As in CallTransferred."""
    supervisor: StaffText | None = None
    """Who acted at this agent's desk, where it was not the agent."""


class ConsultationAlternated(_Event, frozen=True, kw_only=True):
    """The consulting party speaks with the other side now, and holds the one it spoke with (CSTA Alternate Call)."""

    call: CallId
    by: AgentId
    supervisor: StaffText | None = None


class ConsultationEnded(_Event, frozen=True, kw_only=True):
    """What has become of a consultation; who hears whom follows from it.

    | then | the conversation is |
    |---|---|
    | `returned` | what it was: the consulting party is back in it (CSTA Reconnect Call) |
    | `conference` | of all: those who were held, the consulting party, and who was asked (CSTA Conference Call) |
    | `handed_over` | of those who were held and who was asked; the consulting party leaves (CSTA Transfer Call) |
    | `handed_on` | still to come: who was held waits in the place of the consulting party, which stays until somebody takes the call |
    | `deserted` | of the consulting party and who was asked: nobody is held any more |
    | `abandoned` | of those who were held: the consulting party has left before anybody took its call |
    """

    call: CallId
    leg: LegId
    by: AgentId
    then: Literal["returned", "conference", "handed_over", "handed_on", "deserted", "abandoned"]
    cause: str | None = None
    """A row of `acd.core.causes`: why who was asked cannot be had; None: the consulting party, or who was held, wished it so."""
    supervisor: StaffText | None = None

    def parties(self, held: Sequence[LegId], asked: Sequence[LegId]) -> list[LegId]:
        """Who is in conversation then, in the order in which they came; nobody yet: `handed_on`."""
        stays = {
            "returned": (held, (self.leg,), ()),
            "conference": (held, (self.leg,), asked),
            "handed_over": (held, (), asked),
            "handed_on": ((), (), ()),
            "deserted": ((), (self.leg,), asked),
            "abandoned": (held, (), ()),
        }[self.then]
        return [one for some in stays for one in some]


class SupervisionBegan(_Event, frozen=True, kw_only=True):
    """A supervisor comes to an agent's conversation: its phone is rung. LegConnected says that it is there, LegCleared that it has left."""

    call: CallId
    leg: LegId
    """The supervisor's."""
    by: AgentId
    """Who supervises."""
    agent: AgentId
    """Whose conversation."""
    mode: SupervisionMode


class SupervisionRequested(_Event, frozen=True, kw_only=True):
    """An agent has asked by its phone to hear another's conversation, once its line is free; None: that is seen to."""

    agent: AgentId
    supervised: AgentId | None


class SupervisionChanged(_Event, frozen=True, kw_only=True):
    call: CallId
    leg: LegId
    by: AgentId
    agent: AgentId
    mode: SupervisionMode


class CallHeld(_Event, frozen=True, kw_only=True):
    call: CallId
    by: AgentId


class CallRetrieved(_Event, frozen=True, kw_only=True):
    call: CallId
    by: AgentId


class CallTransferred(_Event, frozen=True, kw_only=True):
    """The part of the agent `by` is over, the other party is sent on."""

    call: CallId
    by: AgentId
    to: CustomerText
    supervisor: StaffText | None = None
    """Who acted at this agent's desk, where it was not the agent."""
    cause: str | None = None
    """A row of `acd.core.causes`: nobody has transferred it, the agent's part is over for this; None: the agent did."""


class CallReferred(_Event, frozen=True, kw_only=True):
    """An agent's phone has asked for a blind transfer (REFER): the pair is parted, the other party is sent on, the phone waits on its line.

    Either CallTransferred follows, when the target has the call or the phone has hung up, or ReferralFailed, or the end of the call.
    """

    call: CallId
    leg: LegId
    """The phone's."""
    by: AgentId
    to: CustomerText
    """As in CallTransferred."""


class ReferralFailed(_Event, frozen=True, kw_only=True):
    """The target of CallReferred could not be had; the phone that asked has the other party back (CallEstablished follows)."""

    call: CallId
    leg: LegId
    by: AgentId
    cause: str
    """A row of `acd.core.causes`."""


class CallForwarded(_Event, frozen=True, kw_only=True):
    """The call goes to a number on somebody's account (CSTA Diverted): outside, or to one of our own, which no leg is dialled for."""

    call: CallId
    number: CustomerText
    reason: ForwardReason
    by: str
    """Agent, queue, menu or number that forwards; or the trunk whose carrier does (3xx), on the account of who sent the call there."""
    supervisor: StaffText | None = None
    """Who transferred it at the agent's desk, where it was not the agent: it is not on the agent's account then."""


class ForwardLoopFound(_Event, frozen=True, kw_only=True):
    """The call is not forwarded: the number outside leads back here, and has led the same caller round already (`acd.core.steps.loops`)."""

    call: CallId
    number: CustomerText
    reason: ForwardReason
    by: str
    rounds: tuple[CallId, ...]
    """The calls of the rounds before; they try no other trunk."""


class CallCleared(_Event, frozen=True, kw_only=True):
    """The conversation is over; no leg of it is left (CSTA Connection Cleared of the last one)."""

    call: CallId
    cause: str
    """`hang_up`, `abandoned`, `no_answer`, `busy`, `rejected`, `not_found`, `no_bandwidth`, `price_refused`, `closed`,
    `restart`, `shutdown`, `supervisor`, `time_limit`, ..."""


class DispositionSet(_Event, frozen=True, kw_only=True):
    contact: ContactId
    agent: AgentId
    code: str


# ---------------------------------------------------------------------- treatment


class MenuEntered(_Event, frozen=True, kw_only=True):
    call: CallId
    menu: MenuId


class MenuLeft(_Event, frozen=True, kw_only=True):
    call: CallId
    menu: MenuId
    digit: CustomerText | None
    """The key that chose; None: fallback, closed or hang-up."""
    language: str | None = None
    """The caller speaks it from now on, as the key says."""


class DigitReceived(_Event, frozen=True, kw_only=True):
    call: CallId
    leg: LegId
    digit: CustomerText


class SoundsStarted(_Event, frozen=True, kw_only=True):
    leg: LegId
    play: PlayId
    sounds: tuple[str, ...]
    loop: bool = False
    purpose: Purpose = "announcement"


class SoundsFinished(_Event, frozen=True, kw_only=True):
    leg: LegId
    play: PlayId
    outcome: Literal["finished", "unknown_sound"] = "finished"
    left_out: tuple[str, ...] = ()
    """Sounds that were not there, of a play that was heard without them."""


class SoundsStopped(_Event, frozen=True, kw_only=True):
    """The exchange ended a play before it was heard, without connecting the leg anew (CallEstablished ends plays too)."""

    leg: LegId
    play: PlayId


class AnnouncementBegan(_Event, frozen=True, kw_only=True):
    """Sounds before the end of the call (`ToAnnouncement`)."""

    call: CallId
    sounds: tuple[str, ...]
    cause: str = "announced"
    """What `CallCleared` will say when they were heard."""


# ---------------------------------------------------------------------- contacts of other channels than voice


class ContactOpened(_Event, frozen=True, kw_only=True):
    """Somebody's concern has come by another channel than a call (that of a call begins with CallOffered)."""

    contact: ContactId
    channel: str
    """One of `acd.core.channel_kinds`."""
    customer: CustomerText | None
    """Where the customer can be answered: a number, an address, a name."""
    language: str
    subject: CustomerText | None = None
    text: CustomerText | None = None
    personal: AgentId | None = None
    """The agent whose customer it is: asked first, before language and strategy; where all are asked together it makes no difference."""
    priority_s: float | None = None
    """Instead of the queue's, below the queue's cap."""


class ContactClosed(_Event, frozen=True, kw_only=True):
    """It is done with: `handled` by an agent, `withdrawn` by its source, or ended by a `supervisor`."""

    contact: ContactId
    cause: Literal["handled", "withdrawn", "supervisor"]
    by: StaffText | None = None
    """Who closed or withdrew it, where it was not the agent who had it."""


class ContactMoved(_Event, frozen=True, kw_only=True):
    """It is taken out of its queue, or from its agent, and goes to another queue (Queued follows)."""

    contact: ContactId
    queue: QueueId
    by: StaffText


class ContactPrioritised(_Event, frozen=True, kw_only=True):
    """It counts as having waited so many seconds longer, instead of what its queue says; the queue's cap holds."""

    contact: ContactId
    priority_s: float
    by: StaffText


class ContactReskilled(_Event, frozen=True, kw_only=True):
    """These skills are asked for instead of its queue's, whatever it has waited; None: its queue's again."""

    contact: ContactId
    requirements: tuple[SkillRequirement, ...] | None
    by: StaffText


class PickRequested(_Event, frozen=True, kw_only=True):
    """The agent has dialled the code to pick: it gets the first contact that it could take when its line is free again."""

    agent: AgentId


class PickEnded(_Event, frozen=True, kw_only=True):
    """Its line is free, or its shift is over: the wish is fulfilled if anybody waits (OfferMade follows), and forgotten if not."""

    agent: AgentId


# ---------------------------------------------------------------------- queues and offers


class Queued(_Event, frozen=True, kw_only=True):
    """The contact stands in the queue (CSTA Queued)."""

    contact: ContactId
    entry: EntryId
    queue: QueueId
    position: int
    """1 is next."""
    since: float | None = None
    """It stands in line as if it had come at that instant (epoch seconds): a place that was kept; None: now."""
    cause: str | None = None
    """A row of `acd.core.causes`: it had been answered from this queue and has come back, before all others; None: it has not."""


class QueueLeft(_Event, frozen=True, kw_only=True):
    contact: ContactId
    entry: EntryId
    queue: QueueId
    outcome: QueueOutcome
    detail: str | None = None


class RequirementsRelaxed(_Event, frozen=True, kw_only=True):
    """The contact waited long enough for so many relaxations of its queue to be in force."""

    entry: EntryId
    relaxation: int


class QueueOpened(_Event, frozen=True, kw_only=True):
    """Its business hours began."""

    queue: QueueId


class QueueClosed(_Event, frozen=True, kw_only=True):
    """Its business hours ended; who waits is still served."""

    queue: QueueId


class QueueFilled(_Event, frozen=True, kw_only=True):
    """As many wait as its smallest length limit allows: the next caller overflows."""

    queue: QueueId


class QueueDrained(_Event, frozen=True, kw_only=True):
    """Fewer wait than the limit again."""

    queue: QueueId


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One agent who could have been chosen, and the terms it was ordered by, most significant first, smaller wins."""

    agent: AgentId
    terms: tuple[float, ...]


class TechnicallyNotReady(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Why an agent could not be asked though it wished to be."""

    agent: AgentId
    reason: Literal["page_not_answering", "line"]
    since: float
    """Epoch seconds."""
    bad: tuple[str, ...] = ()
    """Of a line: the figures that are no good."""
    figures: dict[str, float] = {}
    """What was measured last: upload_kbits, loss, jitter_ms, round_trip_ms, mos."""
    measured_at: dict[str, float] = {}
    """And when: epoch seconds."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Why this contact went to this agent at this moment: enough to compute the winner again (U1)."""

    rule: str
    """Name and version of the rule, e.g. `longest_idle/1`."""
    term_names: tuple[str, ...]
    entry_terms: dict[str, float]
    """Order of the contact among those waiting: waited_s, priority_s, capped score ..."""
    ahead: tuple[EntryId, ...] = ()
    """Contacts with a better score that no free agent could take, or that hear the recording notice: the best twenty of `ahead_count`."""
    ahead_count: int = 0
    requirements: tuple[tuple[str, int], ...]
    """Skills and levels asked for at this moment (after relaxation)."""
    relaxation: int = 0
    """How many relaxations were in force."""
    candidates: tuple[Candidate, ...]
    """The best 32, best first."""
    ranked_lower: tuple[AgentId, ...] = ()
    """Candidates beyond those, best first."""
    removed: dict[str, tuple[AgentId, ...]]
    """Filter -> agents it removed, in the order of the filters: not_member, skill, language, mode, then logged_off, not_ready, busy,
    technically_not_ready (`technical` says why), unregistered, already_tried, awaited (kept free for a better contact of another channel),
    no_bandwidth. What can never change stands first: who lacks the skill is told so, logged on or not."""
    tie_break: str
    chosen: tuple[AgentId, ...]
    """One agent; several with ring_all."""
    by: str | None = None
    """Whoever chose, where no rule did: an agent who picked the contact (`agent:anna`), or the supervisor who gave it away."""
    technical: tuple[TechnicallyNotReady, ...] = ()
    """Of the first 32 that `technically_not_ready` removed."""
    degraded: dict[Saving, tuple[AgentId, ...]] = {}
    """Of those chosen: whose lines are too full for a channel as usual, by the step of the line's plan."""


class PagesAsked(_Event, frozen=True, kw_only=True):
    """Before a contact is offered to agents whose phones are pages alone, these are asked whether they are there; the contact keeps its
    place and they are kept for it. `PageAskedEnded` follows for each, then routing looks at the contact anew.
    """

    question: QuestionId
    contact: ContactId
    entry: EntryId
    queue: QueueId
    agents: tuple[AgentId, ...]
    until: float
    """Epoch seconds: who has not answered by then does not answer."""
    rule: str | None = None
    """Of a choice that a person made (`Decision.rule`): the contact is offered to this agent if its page answers."""
    by: StaffText | None = None
    """Who made it."""


class PageAskedEnded(_Event, frozen=True, kw_only=True):
    """One agent's part of a question is over."""

    question: QuestionId
    contact: ContactId
    agent: AgentId
    outcome: QuestionOutcome
    page: StaffText | None = None
    """The contact that has answered."""
    round_trip_ms: float | None = None


class OfferMade(_Event, frozen=True, kw_only=True):
    """A queued contact is offered to the agents that the decision has chosen."""

    offer: OfferId
    contact: ContactId
    entry: EntryId
    queue: QueueId
    decision: Decision


class OfferEnded(_Event, frozen=True, kw_only=True):
    """One agent's part of an offer ended."""

    offer: OfferId
    contact: ContactId
    agent: AgentId
    outcome: OfferOutcome
    detail: str | None = None
    reason: MissReason | None = None
    """Of `no_answer`, `declined` and `failed`: what the phone, or the person, made of it."""


# ---------------------------------------------------------------------- agents


class AgentLoggedOn(_Event, frozen=True, kw_only=True):
    agent: AgentId


class AgentLoggedOff(_Event, frozen=True, kw_only=True):
    """The shift is over; the phone of another at which the agent sat is that one's again."""

    agent: AgentId


class PinAwaited(_Event, frozen=True, kw_only=True):
    """Somebody at the phone of `at` says to be `agent`, and is to prove it by `until` (epoch seconds)."""

    call: CallId
    leg: LegId
    agent: AgentId
    at: AgentId
    until: float


class HotDeskRefused(_Event, frozen=True, kw_only=True):
    """The phone stays whose it was."""

    call: CallId
    agent: AgentId
    at: AgentId
    why: Literal["wrong", "wait", "failed", "no_pin", "busy"]
    """As in `PinJudged`; `no_pin`: none came; `busy`: agent or phone was in a call by then."""


class HotDeskBegan(_Event, frozen=True, kw_only=True):
    """The phone of `at` is that of `agent` until it logs off, logs on at another phone, or HotDeskEnded; of its own phone: it is back."""

    agent: AgentId
    at: AgentId
    call: CallId
    leg: LegId
    """The phone's, which is the agent's from now on."""


class HotDeskEnded(_Event, frozen=True, kw_only=True):
    """The agent stays logged on and has its own phone again, if nobody sits there."""

    agent: AgentId
    at: AgentId
    why: Literal["taken", "removed"]
    """Another agent has logged on at this phone; or the phone's regular agent is configured no more."""


class AgentReady(_Event, frozen=True, kw_only=True):
    agent: AgentId


class AgentNotReady(_Event, frozen=True, kw_only=True):
    agent: AgentId
    reason: str
    leaving: bool = False
    """Asked to log off during a call: AgentLoggedOff follows when the work is done."""


class WorkReserved(_Event, frozen=True, kw_only=True):
    """A piece of work is at the agent: from now on the agent is busy."""

    agent: AgentId
    contact: ContactId
    kind: Literal["queue", "direct", "outbound", "feature_code", "supervision"]
    queue: QueueId | None = None


class WorkConnected(_Event, frozen=True, kw_only=True):
    agent: AgentId
    contact: ContactId


class AfterCallWorkBegan(_Event, frozen=True, kw_only=True):
    agent: AgentId
    contact: ContactId
    until: float | None
    """Epoch seconds; None: until the agent ends it."""


class WorkDone(_Event, frozen=True, kw_only=True):
    agent: AgentId
    contact: ContactId
    outcome: Literal["handled", "no_answer", "declined", "failed", "answered_elsewhere", "abandoned", "withdrawn"]


# ---------------------------------------------------------------------- lines


class ChannelReserved(_Event, frozen=True, kw_only=True):
    """A speech channel was admitted against a site or trunk (R9)."""

    leg: LegId
    line: str
    """`site:<id>` or `trunk:<id>`."""
    kbits: int
    reserved_kbits: int
    """After this reservation."""
    upload_kbits: int
    """0: not limited."""
    shape: str = ""
    """What it is made of: codec, packet time, IP version, protection."""
    step: Saving | None = None
    """By which step of the line's plan it fits; None: as usual."""


class ChannelAdjusted(_Event, frozen=True, kw_only=True):
    """What was agreed on, or changed in the call, takes something else of the line than was reserved. It is entered as it is, also beyond
    the upload: the packets are on the line.
    """

    leg: LegId
    line: str
    kbits: int
    """From now on."""
    reserved_kbits: int
    """Of all, after it."""
    upload_kbits: int
    shape: str


class ChannelReleased(_Event, frozen=True, kw_only=True):
    leg: LegId
    line: str
    kbits: int


class ChannelRefused(_Event, frozen=True, kw_only=True):
    leg: LegId
    call: CallId
    line: str
    kbits: int
    reserved_kbits: int
    upload_kbits: int
    reason: str
    """One English sentence with the figures."""
    shape: str = ""


class DeviceBound(_Event, frozen=True, kw_only=True):
    agent: AgentId
    contact: StaffText
    expires_at: float
    flow: StaffText
    user_agent: StaffText | None = None
    is_page: bool = False
    """A browser's page is behind it."""
    channel: ChannelCosts | None = None
    """What a channel to it costs at worst."""


class DeviceUnbound(_Event, frozen=True, kw_only=True):
    agent: AgentId
    contact: StaffText
    why: str


class DeviceUnreachable(_Event, frozen=True, kw_only=True):
    """A registered contact gives no sign of life: it is not rung until DeviceReachable or DeviceBound."""

    agent: AgentId
    contact: StaffText
    detail: StaffText | None = None


class DeviceReachable(_Event, frozen=True, kw_only=True):
    agent: AgentId
    contact: StaffText


class LineJudged(_Event, frozen=True, kw_only=True):
    """What was measured on the line of an agent's page, and which of the figures are no good from now on: with any the agent is technically
    not ready, where its phone is nothing but pages.
    """

    agent: AgentId
    source: Literal["check", "call"]
    figures: dict[str, float]
    """upload_kbits, loss (0 to 1), jitter_ms, round_trip_ms, mos: those that were measured."""
    bad: tuple[str, ...] = ()
    """Of these, and of those measured before."""


class DeadlinePassed(_Event, frozen=True, kw_only=True):
    """A deadline of the exchange was reached and led to nothing else: it is crossed out."""

    timer: str


class TrunkUp(_Event, frozen=True, kw_only=True):
    trunk: TrunkId


class TrunkDown(_Event, frozen=True, kw_only=True):
    trunk: TrunkId
    detail: str | None = None


# ---------------------------------------------------------------------- recordings


class RecordingBegan(_Event, frozen=True, kw_only=True):
    recording: RecordingId
    call: CallId
    legs: tuple[LegId, ...]


class RecordingJoined(_Event, frozen=True, kw_only=True):
    """A further party is recorded from now on, on a channel of its own behind the others."""

    recording: RecordingId
    call: CallId
    leg: LegId


class RecordingPaused(_Event, frozen=True, kw_only=True):
    """Nobody talks whose talk is to be recorded: silence is written until `RecordingResumed`."""

    recording: RecordingId
    call: CallId


class RecordingResumed(_Event, frozen=True, kw_only=True):
    recording: RecordingId
    call: CallId


class RecordingKept(_Event, frozen=True, kw_only=True):
    recording: RecordingId
    call: CallId
    path: str
    duration_ms: int
    error: str | None = None


def recording_name(path: str) -> str:
    """What a recording is called outside: the last part of its path, whichever system wrote that. The folders are the server's business."""
    return path.replace("\\", "/").rpartition("/")[2]


def shown(event: Event) -> Event:
    """The event as it leaves the house: without what ends a dialog (`without_dialog`), and a recording by its name."""
    if type(event) is not RecordingKept:
        return without_dialog(event)
    name = recording_name(event.path)
    error = event.error.replace(event.path, name) if event.error is not None else None
    return msgspec.structs.replace(event, path=name, error=error)


_HAS_DIALOG = frozenset((LegInitiated, LegAlerted, LegConnected))


def without_dialog(event: Event) -> Event:
    """The event as it may be shown and compared: whoever knows a dialog can end it from outside, and nothing is decided by it."""
    return msgspec.structs.replace(event, dialog=None) if type(event) in _HAS_DIALOG else event


Event = (
    ConfigurationChanged
    | ConfigurationAltered
    | Started
    | Stopping
    | SignOfLifeGiven
    | ClockCorrected
    | CallOffered
    | LegInitiated
    | LegAlerted
    | EarlyMediaPassed
    | LegConnected
    | LegProtected
    | LegHeld
    | LegRetrieved
    | PartyLost
    | PartyBack
    | LegReplaced
    | OneWayAudioFound
    | LegCleared
    | LegQuoted
    | CreditLimited
    | LegAnsweredLate
    | LegMeasured
    | CallEstablished
    | CallConsulted
    | ConsultationAlternated
    | ConsultationEnded
    | SupervisionRequested
    | SupervisionBegan
    | SupervisionChanged
    | CallHeld
    | CallRetrieved
    | CallTransferred
    | CallReferred
    | ReferralFailed
    | CallForwarded
    | ForwardLoopFound
    | CallCleared
    | DispositionSet
    | MenuEntered
    | MenuLeft
    | DigitReceived
    | SoundsStarted
    | SoundsFinished
    | SoundsStopped
    | AnnouncementBegan
    | ContactOpened
    | ContactClosed
    | ContactMoved
    | ContactPrioritised
    | ContactReskilled
    | PickRequested
    | PickEnded
    | Queued
    | QueueLeft
    | RequirementsRelaxed
    | QueueOpened
    | QueueClosed
    | QueueFilled
    | QueueDrained
    | PagesAsked
    | PageAskedEnded
    | OfferMade
    | OfferEnded
    | AgentLoggedOn
    | AgentLoggedOff
    | PinAwaited
    | HotDeskRefused
    | HotDeskBegan
    | HotDeskEnded
    | AgentReady
    | AgentNotReady
    | WorkReserved
    | WorkConnected
    | AfterCallWorkBegan
    | WorkDone
    | ChannelReserved
    | ChannelAdjusted
    | ChannelReleased
    | ChannelRefused
    | DeviceBound
    | DeviceUnbound
    | DeviceUnreachable
    | DeviceReachable
    | LineJudged
    | DeadlinePassed
    | TrunkUp
    | TrunkDown
    | RecordingBegan
    | RecordingJoined
    | RecordingPaused
    | RecordingResumed
    | RecordingKept
)
