"""What became true in the exchange, as clients are told of it: a kind each, told apart by `type`, in the past tense, after CSTA (ECMA-269).

These are the contract's words, and the journal's are the exchange's own: `FROM_JOURNAL` says which becomes which, and what does not leave.
A field that is what it usually is, as its default here says, is left out. Of a call `call` stands beside `contact`: that was its name until
0.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, cast, get_args, get_type_hints

import msgspec

from acd.core import events as ev
from api.contract.decision import Decision, call_of
from api.contract.kit import Named, Public, told
from api.contract.quote import Quote
from api.contract.words import (
    Direction,
    ForwardReason,
    LegRole,
    MissReason,
    OfferOutcome,
    PageLoss,
    Purpose,
    QuestionOutcome,
    QueueOutcome,
    Saving,
    SupervisionMode,
)


class _Event(Public, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all events: the class is its name."""


class MediaQuality(Public, frozen=True, kw_only=True):
    """What was measured on a leg until it closed; the receive side by the exchange, the send side from the peer's RTCP (RFC 3550 §6.4)."""

    packets_sent: int | None = None
    packets_received: int | None = None
    packets_lost: int | None = None
    """Received side, RFC 3550 A.3 cumulative number of packets lost (never below 0 here)."""
    packets_late_or_duplicate: int | None = None
    jitter_ms: float | None = None
    round_trip_ms: float | None = None
    remote_loss_fraction: float | None = None
    """Share of the packets sent that the far end reports lost, 0 to 1; null when it sent no RTCP."""
    mos: float | None = None
    """ITU-T G.107 R mapped to MOS, the codec with the exchange's concealment, receive side; 0.0 (off the scale) when no packet came, null
    for a codec that the scale has no figures of."""
    r_factor: float | None = None
    codec: str | None = None
    jitter_buffer_ms: float | None = None
    """What its audio waited in the jitter buffer on average, while it was mixed; relayed audio waits nowhere."""
    jitter_buffer_max_ms: float | None = None
    """The most that it waited."""
    concealed_frames: int | None = None
    """Times that its audio was made up because nothing had come, while it was mixed."""


class RequiredSkill(Public, frozen=True, kw_only=True, omit_defaults=True):
    """What a contact asks for."""

    skill: str
    level: int = 1
    """At least."""


# ---------------------------------------------------------------------- house


class Started(_Event, frozen=True, kw_only=True):
    """The service runs (again)."""

    down_s: float = 0.0
    """So long after the last sign of life; after-call work is due so much later. Programs that let it run out meanwhile said nothing."""
    kept: tuple[str, ...] = ()
    """Calls that went on meanwhile. Where there are any nothing is due later."""


class Stopping(_Event, frozen=True, kw_only=True):
    """The service stops in order."""


class SignOfLifeGiven(_Event, frozen=True, kw_only=True):
    """Calls are up, or somebody does after-call work. Bookkeeping: what a crash cuts has lasted until the last event before it."""


class ClockCorrected(_Event, frozen=True, kw_only=True):
    """Every instant the exchange holds was moved by so much: what lasts has lasted as long as before, what is due is due as soon."""

    by_s: float


# ---------------------------------------------------------------------- calls and legs


class CallOffered(_Event, frozen=True, kw_only=True):
    """A conversation began (CSTA Offered)."""

    call: str
    direction: Direction
    calling: str | None
    calling_name: str | None
    called: str
    trunk: str | None
    agent: str | None
    """The agent who dials, for outbound and internal calls."""
    number: str | None
    """The tenant's number that was reached."""
    country: str | None
    language: str
    quote: Quote | None = None
    """The price the agent was told before dialling."""
    supervisor: str | None = None
    """Who had the agent's phone dial, where it was not the agent."""


class LegInitiated(_Event, frozen=True, kw_only=True):
    """A party is being connected (CSTA Originated)."""

    leg: str
    call: str
    role: LegRole
    agent: str | None = None
    number: str | None = None
    """E.164 or short number of a party outside, or of an agent's phone behind a trunk."""
    trunk: str | None = None
    site: str | None = None
    forwarded_by: str | None = None
    """Who or what caused a `forward` leg."""
    arrived: bool = False
    """It came to the exchange; all others were originated."""
    internal: bool = False
    """Over the tenant's own line, which costs nothing."""
    offer: str | None = None
    """The offer it rings for."""
    replaces: str | None = None
    """The leg of the same agent whose place it is to take, since its page was lost."""


class LegAlerted(_Event, frozen=True, kw_only=True):
    """Its phone rings (CSTA Delivered)."""

    leg: str


class EarlyMediaPassed(_Event, frozen=True, kw_only=True):
    """The party that waits hears what the far end of this leg says before it answers: a carrier's announcement or its ring-back."""

    leg: str
    call: str


class LegConnected(_Event, frozen=True, kw_only=True):
    """It has answered."""

    leg: str


class LegHeld(_Event, frozen=True, kw_only=True):
    """The connection of this leg is held; `by` is the agent at whose desk, or left out when the party's own phone did."""

    leg: str
    by: str | None = None
    supervisor: str | None = None
    """Who acted at this agent's desk, where it was not the agent."""


class LegRetrieved(_Event, frozen=True, kw_only=True):
    """A hold of this leg is over: `by` is the agent at whose desk it was, or left out for that of the phone."""

    leg: str
    by: str | None = None
    still_held: bool = False
    """The other of the two, desk and phone, goes on holding."""
    supervisor: str | None = None
    """Who acted at this agent's desk, where it was not the agent."""


class PartyLost(_Event, frozen=True, kw_only=True):
    """The browser's page of an agent died in a conversation: the leg counts as held by its phone (LegHeld follows) until PartyBack,
    LegReplaced or its end.
    """

    call: str
    leg: str
    agent: str
    why: PageLoss
    until: float
    """Epoch seconds: until then the agent may take the call back."""
    holds: bool = True
    """It did not hold by its phone before."""


class PartyBack(_Event, frozen=True, kw_only=True):
    """The page is there again by itself; LegRetrieved follows where it did not hold before."""

    call: str
    leg: str
    agent: str


class LegReplaced(_Event, frozen=True, kw_only=True):
    """The agent has taken the call back: `leg` stands in the conversation in the place of `replaces`, which is cleared next."""

    call: str
    leg: str
    replaces: str
    agent: str
    held: bool = False
    """Whoever was on hold at the agent's desk still is."""


class OneWayAudioFound(_Event, frozen=True, kw_only=True):
    """A party of a conversation is not heard (`unheard`), or hears nobody (`deaf`); the call goes on as it is."""

    call: str
    leg: str
    direction: Literal["unheard", "deaf"]


class LegCleared(_Event, frozen=True, kw_only=True):
    """The party is gone (CSTA Connection Cleared)."""

    leg: str
    cause: str
    """A word of docs/figures.md §6."""
    status: int | None = None
    """What the far end said, where it speaks SIP (RFC 3261 §21)."""
    by: Literal["party", "exchange"] = "exchange"
    detail: str | None = None
    q850: int | None = None
    """The cause of ITU-T Q.850 that the far end gave, or that was passed on to it; left out: the one that `cause` has."""


class LegQuoted(_Event, frozen=True, kw_only=True):
    """The price was known before the leg was placed."""

    leg: str
    quote: Quote


class CreditLimited(_Event, frozen=True, kw_only=True):
    """The leg's call ends at `at` for want of budget or balance, unless there is more before; `at` null: there is."""

    leg: str
    call: str
    at: float | None
    reason: str


class LegAnsweredLate(_Event, frozen=True, kw_only=True):
    """A leg that was over when its far end answered; follows the leg's and maybe the call's end."""

    leg: str
    call: str


class LegProtected(_Event, frozen=True, kw_only=True):
    """What protects a leg from now on. A leg of which nothing is told is not protected."""

    leg: str
    call: str
    audio: Literal["none", "sdes", "dtls"]
    """SRTP with keys in SDP (RFC 4568), or with those of a DTLS handshake (RFC 5764)."""
    suite: str | None
    """Of `sdes`."""
    signalling: str | None
    """The encrypted transport that SIP goes over: `tls`, `wss` (`ws` behind a proxy of the exchange's machine); null: in plain."""


class LegMeasured(_Event, frozen=True, kw_only=True):
    """Media quality of a leg; may follow the leg's and even the call's end."""

    leg: str
    call: str
    quality: MediaQuality


class CallEstablished(_Event, frozen=True, kw_only=True):
    """Two parties hear each other (CSTA Established). Comes again after a transfer, with the new pair."""

    call: str
    a: str
    b: str


class CallConsulted(_Event, frozen=True, kw_only=True):
    """A party has left its conversation, which it holds, to ask somebody else (CSTA Consultation Call): it is the one served now.

    `ConsultationEnded` follows, or the end of the call.
    """

    call: str
    leg: str
    """The consulting party's."""
    by: str
    to: str
    """As in CallTransferred."""
    supervisor: str | None = None
    """Who acted at this agent's desk, where it was not the agent."""


class ConsultationAlternated(_Event, frozen=True, kw_only=True):
    """The consulting party speaks with the other side now, and holds the one it spoke with (CSTA Alternate Call)."""

    call: str
    by: str
    supervisor: str | None = None


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

    call: str
    leg: str
    by: str
    then: Literal["returned", "conference", "handed_over", "handed_on", "deserted", "abandoned"]
    cause: str | None = None
    """A word of docs/figures.md §6: why who was asked cannot be had; left out: the consulting party, or who was held, wished it so."""
    supervisor: str | None = None


class SupervisionBegan(_Event, frozen=True, kw_only=True):
    """A supervisor comes to an agent's conversation: its phone is rung. LegConnected says that it is there, LegCleared that it has left."""

    call: str
    leg: str
    """The supervisor's."""
    by: str
    """Who supervises."""
    agent: str
    """Whose conversation."""
    mode: SupervisionMode


class SupervisionRequested(_Event, frozen=True, kw_only=True):
    """An agent has asked by its phone to hear another's conversation, once its line is free; `supervised` null: that is seen to."""

    agent: str
    supervised: str | None


class SupervisionChanged(_Event, frozen=True, kw_only=True):
    """As in `SupervisionBegan`, in another mode from now on."""

    call: str
    leg: str
    by: str
    agent: str
    mode: SupervisionMode


class CallHeld(_Event, frozen=True, kw_only=True):
    """The agent has put the others on hold (CSTA Held)."""

    call: str
    by: str


class CallRetrieved(_Event, frozen=True, kw_only=True):
    """The agent speaks with them again (CSTA Retrieved)."""

    call: str
    by: str


class CallTransferred(_Event, frozen=True, kw_only=True):
    """The part of the agent `by` is over, the other party is sent on."""

    call: str
    by: str
    to: str
    supervisor: str | None = None
    """Who acted at this agent's desk, where it was not the agent."""
    cause: str | None = None
    """A word of docs/figures.md §6: nobody has transferred it, the agent's part is over for this; left out: the agent did."""


class CallReferred(_Event, frozen=True, kw_only=True):
    """An agent's phone has asked for a blind transfer (REFER): the pair is parted, the other party is sent on, the phone waits on its line.

    Either CallTransferred follows, when the target has the call or the phone has hung up, or ReferralFailed, or the end of the call.
    """

    call: str
    leg: str
    """The phone's."""
    by: str
    to: str
    """As in CallTransferred."""


class ReferralFailed(_Event, frozen=True, kw_only=True):
    """The target of CallReferred could not be had; the phone that asked has the other party back (CallEstablished follows)."""

    call: str
    leg: str
    by: str
    cause: str
    """A word of docs/figures.md §6."""


class CallForwarded(_Event, frozen=True, kw_only=True):
    """The call goes to a number on somebody's account (CSTA Diverted): outside, or one of the tenant's own, which no leg is dialled for."""

    call: str
    number: str
    reason: ForwardReason
    by: str
    """Agent, queue, menu or number that forwards; or the trunk whose carrier does (3xx), on the account of who sent the call there."""
    supervisor: str | None = None
    """Who transferred it at the agent's desk, where it was not the agent: it is not on the agent's account then."""


class ForwardLoopFound(_Event, frozen=True, kw_only=True):
    """The call is not forwarded: the number outside leads back here, and has led the same caller round already."""

    call: str
    number: str
    reason: ForwardReason
    by: str
    rounds: tuple[str, ...]
    """The calls of the rounds before; they try no other trunk."""


class CallCleared(_Event, frozen=True, kw_only=True):
    """The conversation is over; no leg of it is left (CSTA Connection Cleared of the last one)."""

    call: str
    cause: str
    """`hang_up`, `abandoned`, `no_answer`, `busy`, `rejected`, `not_found`, `no_bandwidth`, `price_refused`, `closed`,
    `restart`, `shutdown`, `supervisor`, `time_limit`, ..."""


class DispositionSet(_Event, frozen=True, kw_only=True):
    """How the work ended, in the tenant's own codes."""

    contact: str
    call: str | None = None
    agent: str
    code: str


# ---------------------------------------------------------------------- treatment


class MenuEntered(_Event, frozen=True, kw_only=True):
    """The caller hears a menu."""

    call: str
    menu: str


class MenuLeft(_Event, frozen=True, kw_only=True):
    """The caller hears it no more."""

    call: str
    menu: str
    digit: str | None
    """The key that chose; null: fallback, closed or hang-up."""
    language: str | None = None
    """The caller speaks it from now on, as the key says."""


class DigitReceived(_Event, frozen=True, kw_only=True):
    """A key was pressed."""

    call: str
    leg: str
    digit: str


class SoundsStarted(_Event, frozen=True, kw_only=True):
    """A leg hears these sounds from now on."""

    leg: str
    play: str
    sounds: tuple[str, ...]
    loop: bool = False
    purpose: Purpose = "announcement"


class SoundsFinished(_Event, frozen=True, kw_only=True):
    """They were heard to their end."""

    leg: str
    play: str
    outcome: Literal["finished", "unknown_sound"] = "finished"
    left_out: tuple[str, ...] = ()
    """Sounds that were not there, of a play that was heard without them."""


class SoundsStopped(_Event, frozen=True, kw_only=True):
    """The exchange ended a play before it was heard, without connecting the leg anew (CallEstablished ends plays too)."""

    leg: str
    play: str


class AnnouncementBegan(_Event, frozen=True, kw_only=True):
    """Sounds before the end of the call."""

    call: str
    sounds: tuple[str, ...]
    cause: str = "announced"
    """What `CallCleared` will say when they were heard."""


# ---------------------------------------------------------------------- contacts of other channels than voice


class ContactOpened(_Event, frozen=True, kw_only=True):
    """Somebody's concern has come by another channel than a call (that of a call begins with CallOffered)."""

    contact: str
    channel: str
    """`message`, `chat`, `mail`, `callback`."""
    customer: str | None
    """Where the customer can be answered: a number, an address, a name."""
    language: str
    subject: str | None = None
    text: str | None = None
    personal: str | None = None
    """The agent whose customer it is: asked first, before language and strategy; where all are asked together it makes no difference."""
    priority_s: float | None = None
    """Instead of the queue's, below the queue's cap."""


class ContactClosed(_Event, frozen=True, kw_only=True):
    """It is done with: `handled` by an agent, `withdrawn` by its source, or ended by a `supervisor`."""

    contact: str
    cause: Literal["handled", "withdrawn", "supervisor"]
    by: str | None = None
    """Who closed or withdrew it, where it was not the agent who had it."""


class ContactMoved(_Event, frozen=True, kw_only=True):
    """It is taken out of its queue, or from its agent, and goes to another queue (Queued follows)."""

    contact: str
    call: str | None = None
    queue: str
    by: str


class ContactPrioritised(_Event, frozen=True, kw_only=True):
    """It counts as having waited so many seconds longer, instead of what its queue says; the queue's cap holds."""

    contact: str
    call: str | None = None
    priority_s: float
    by: str


class ContactReskilled(_Event, frozen=True, kw_only=True):
    """These skills are asked for instead of its queue's, whatever it has waited; null: its queue's again."""

    contact: str
    call: str | None = None
    requirements: tuple[RequiredSkill, ...] | None
    by: str


class PickRequested(_Event, frozen=True, kw_only=True):
    """The agent has dialled the code to pick: it gets the first contact that it could take when its line is free again."""

    agent: str


class PickEnded(_Event, frozen=True, kw_only=True):
    """Its line is free, or its shift is over: the wish is fulfilled if anybody waits (OfferMade follows), and forgotten if not."""

    agent: str


# ---------------------------------------------------------------------- queues and offers


class Queued(_Event, frozen=True, kw_only=True):
    """The contact stands in the queue (CSTA Queued)."""

    contact: str
    call: str | None = None
    entry: str
    queue: str
    position: int
    """1 is next."""
    since: float | None = None
    """It stands in line as if it had come at that instant (epoch seconds): a place that was kept; left out: now."""
    cause: str | None = None
    """A word of docs/figures.md §6: it had been answered from this queue and has come back, before all others; left out: it has not."""


class QueueLeft(_Event, frozen=True, kw_only=True):
    """The contact waits there no more."""

    contact: str
    call: str | None = None
    entry: str
    queue: str
    outcome: QueueOutcome
    detail: str | None = None


class RequirementsRelaxed(_Event, frozen=True, kw_only=True):
    """The contact waited long enough for so many relaxations of its queue to be in force."""

    entry: str
    relaxation: int


class QueueOpened(_Event, frozen=True, kw_only=True):
    """Its business hours began."""

    queue: str


class QueueClosed(_Event, frozen=True, kw_only=True):
    """Its business hours ended; who waits is still served."""

    queue: str


class QueueFilled(_Event, frozen=True, kw_only=True):
    """As many wait as its smallest length limit allows: the next caller overflows."""

    queue: str


class QueueDrained(_Event, frozen=True, kw_only=True):
    """Fewer wait than the limit again."""

    queue: str


class PagesAsked(_Event, frozen=True, kw_only=True):
    """Before a contact is offered to agents whose phones are browsers' pages, these are asked whether they are there; the contact keeps its
    place and they are kept for it. `PageAskedEnded` follows for each.
    """

    question: str
    contact: str
    call: str | None = None
    entry: str
    queue: str
    agents: tuple[str, ...]
    until: float
    """Epoch seconds: who has not answered by then does not answer."""
    rule: str | None = None
    """Of a choice that a person made: the contact is offered to this agent if its page answers."""
    by: str | None = None
    """Who made it."""


class PageAskedEnded(_Event, frozen=True, kw_only=True):
    """One agent's part of a question is over."""

    question: str
    contact: str
    call: str | None = None
    agent: str
    outcome: QuestionOutcome
    page: str | None = None
    """The contact that has answered."""
    round_trip_ms: float | None = None


class OfferMade(_Event, frozen=True, kw_only=True):
    """A queued contact is offered to the agents that the decision has chosen."""

    offer: str
    contact: str
    call: str | None = None
    entry: str
    queue: str
    decision: Decision


class OfferEnded(_Event, frozen=True, kw_only=True):
    """One agent's part of an offer ended."""

    offer: str
    contact: str
    call: str | None = None
    agent: str
    outcome: OfferOutcome
    detail: str | None = None
    reason: MissReason | None = None
    """Of `no_answer`, `declined` and `failed`: what the phone, or the person, made of it."""


# ---------------------------------------------------------------------- agents


class AgentLoggedOn(_Event, frozen=True, kw_only=True):
    """The shift begins."""

    agent: str


class AgentLoggedOff(_Event, frozen=True, kw_only=True):
    """The shift is over; the phone of another at which the agent sat is that one's again."""

    agent: str


class PinAwaited(_Event, frozen=True, kw_only=True):
    """Somebody at the phone of `at` says to be `agent`, and is to prove it by `until` (epoch seconds)."""

    call: str
    leg: str
    agent: str
    at: str
    until: float


class HotDeskRefused(_Event, frozen=True, kw_only=True):
    """The phone stays whose it was."""

    call: str
    agent: str
    at: str
    why: Literal["wrong", "wait", "failed", "no_pin", "busy"]
    """Of the PIN: it is `wrong`, the next try has to `wait`, or its check has `failed`; `no_pin`: none came; `busy`: agent or phone was in
    a call by then."""


class HotDeskBegan(_Event, frozen=True, kw_only=True):
    """The phone of `at` is that of `agent` until it logs off, logs on at another phone, or HotDeskEnded; of its own phone: it is back."""

    agent: str
    at: str
    call: str
    leg: str
    """The phone's, which is the agent's from now on."""


class HotDeskEnded(_Event, frozen=True, kw_only=True):
    """The agent stays logged on and has its own phone again, if nobody sits there."""

    agent: str
    at: str
    why: Literal["taken", "removed"]
    """Another agent has logged on at this phone; or the phone's regular agent is configured no more."""


class AgentReady(_Event, frozen=True, kw_only=True):
    """The agent takes contacts from now on."""

    agent: str


class AgentNotReady(_Event, frozen=True, kw_only=True):
    """The agent takes none from now on, or when the work at hand is done."""

    agent: str
    reason: str
    leaving: bool = False
    """Asked to log off during a call: AgentLoggedOff follows when the work is done."""


class WorkReserved(_Event, frozen=True, kw_only=True):
    """A piece of work is at the agent: from now on the agent is busy."""

    agent: str
    contact: str
    call: str | None = None
    kind: Literal["queue", "direct", "outbound", "feature_code", "supervision"]
    queue: str | None = None


class WorkConnected(_Event, frozen=True, kw_only=True):
    """The agent has taken it."""

    agent: str
    contact: str
    call: str | None = None


class AfterCallWorkBegan(_Event, frozen=True, kw_only=True):
    """The contact is over for the agent, and its work is not."""

    agent: str
    contact: str
    call: str | None = None
    until: float | None
    """Epoch seconds; null: until the agent ends it."""


class WorkDone(_Event, frozen=True, kw_only=True):
    """The piece of work is over."""

    agent: str
    contact: str
    call: str | None = None
    outcome: Literal["handled", "no_answer", "declined", "failed", "answered_elsewhere", "abandoned", "withdrawn"]


# ---------------------------------------------------------------------- lines


class ChannelReserved(_Event, frozen=True, kw_only=True):
    """A speech channel was admitted against a site or trunk (R9)."""

    leg: str
    line: str
    """`site:<id>` or `trunk:<id>`."""
    kbits: int
    reserved_kbits: int
    """After this reservation."""
    upload_kbits: int
    shape: str = ""
    """What it is made of: codec, packet time, IP version, protection. Empty: not known."""
    step: Saving | None = None
    """By which step of the line's plan it fits; None: as usual."""


class ChannelAdjusted(_Event, frozen=True, kw_only=True):
    """A speech channel takes something else than was reserved, by what was agreed on or has changed in the call."""

    leg: str
    line: str
    kbits: int
    """From now on."""
    reserved_kbits: int
    """Of all, after it; it may be beyond the upload."""
    upload_kbits: int
    shape: str


class ChannelReleased(_Event, frozen=True, kw_only=True):
    """The speech channel is free again."""

    leg: str
    line: str
    kbits: int


class ChannelRefused(_Event, frozen=True, kw_only=True):
    """There is no bandwidth for a speech channel."""

    leg: str
    call: str
    line: str
    kbits: int
    reserved_kbits: int
    upload_kbits: int
    reason: str
    """One English sentence with the figures."""
    shape: str = ""
    """As of `ChannelReserved`."""


class Cost(Public, frozen=True, kw_only=True, omit_defaults=True):
    """One direction of a speech channel on the wire."""

    kbits: int
    shape: str = ""


class ChannelCosts(Public, frozen=True, kw_only=True, omit_defaults=True):
    """What a speech channel comes to at worst, and what it would by the steps of a full line's plan."""

    kbits: int
    shape: str = ""
    degraded: dict[Saving, Cost] = msgspec.field(default_factory=dict)


class DeviceBound(_Event, frozen=True, kw_only=True):
    """A phone of the agent has registered."""

    agent: str
    contact: str
    """Its SIP address: no contact of a customer."""
    expires_at: float
    flow: str
    user_agent: str | None = None
    is_page: bool = False
    """A browser's page is behind it."""
    channel: ChannelCosts | None = None
    """What a channel to it costs, where the phone stands at a site."""


class DeviceUnbound(_Event, frozen=True, kw_only=True):
    """It is registered no more."""

    agent: str
    contact: str
    why: str


class DeviceUnreachable(_Event, frozen=True, kw_only=True):
    """A registered contact gives no sign of life: it is not rung until DeviceReachable or DeviceBound."""

    agent: str
    contact: str
    detail: str | None = None


class DeviceReachable(_Event, frozen=True, kw_only=True):
    """It gives a sign of life again."""

    agent: str
    contact: str


class LineJudged(_Event, frozen=True, kw_only=True):
    """What was measured on the line of an agent's page, and which of the figures are no good from now on: with any the agent is technically
    not ready, where its phone is nothing but pages.
    """

    agent: str
    source: Literal["check", "call"]
    figures: dict[str, float]
    """upload_kbits, loss (0 to 1), jitter_ms, round_trip_ms, mos: those that were measured."""
    bad: tuple[str, ...] = ()
    """Of these, and of those measured before."""


class DeadlinePassed(_Event, frozen=True, kw_only=True):
    """A deadline of the exchange was reached and led to nothing else: it is crossed out. Bookkeeping."""

    timer: str


class TrunkUp(_Event, frozen=True, kw_only=True):
    """The carrier answers."""

    trunk: str


class TrunkDown(_Event, frozen=True, kw_only=True):
    """The carrier does not answer."""

    trunk: str
    detail: str | None = None


# ---------------------------------------------------------------------- recordings


class RecordingBegan(_Event, frozen=True, kw_only=True):
    """These legs are recorded from now on."""

    recording: str
    call: str
    legs: tuple[str, ...]


class RecordingJoined(_Event, frozen=True, kw_only=True):
    """A further party is recorded from now on, on a channel of its own behind the others."""

    recording: str
    call: str
    leg: str


class RecordingPaused(_Event, frozen=True, kw_only=True):
    """Nobody talks whose talk is to be recorded: silence is written until `RecordingResumed`."""

    recording: str
    call: str


class RecordingResumed(_Event, frozen=True, kw_only=True):
    """Somebody talks again."""

    recording: str
    call: str


class RecordingKept(_Event, frozen=True, kw_only=True):
    """It is over, and its file is there."""

    recording: str
    call: str
    path: str
    """Its name, by which `/api/v1/recordings/{name}` has it."""
    duration_ms: int
    error: str | None = None
    """Why the file is not what it should be."""


_Kinds = (
    Started
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
    | SupervisionBegan
    | SupervisionRequested
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
Event = Annotated[_Kinds, Named("Event")]
"""Any of them."""
KINDS: Final[Mapping[str, type[Public]]] = {kind.__name__: kind for kind in get_args(_Kinds)}


# ---------------------------------------------------------------------- from the journal's words

FROM_JOURNAL: Final[Mapping[type[ev.Event], type[Public] | None]] = {
    ev.ConfigurationChanged: None,  # the setup has routes of its own, and its secrets stay there
    ev.ConfigurationAltered: None,
    ev.Started: Started,
    ev.Stopping: Stopping,
    ev.SignOfLifeGiven: SignOfLifeGiven,
    ev.ClockCorrected: ClockCorrected,
    ev.CallOffered: CallOffered,
    ev.LegInitiated: LegInitiated,
    ev.LegAlerted: LegAlerted,
    ev.EarlyMediaPassed: EarlyMediaPassed,
    ev.LegConnected: LegConnected,
    ev.LegProtected: LegProtected,
    ev.LegHeld: LegHeld,
    ev.LegRetrieved: LegRetrieved,
    ev.PartyLost: PartyLost,
    ev.PartyBack: PartyBack,
    ev.LegReplaced: LegReplaced,
    ev.OneWayAudioFound: OneWayAudioFound,
    ev.LegCleared: LegCleared,
    ev.LegQuoted: LegQuoted,
    ev.CreditLimited: CreditLimited,
    ev.LegAnsweredLate: LegAnsweredLate,
    ev.LegMeasured: LegMeasured,
    ev.CallEstablished: CallEstablished,
    ev.CallConsulted: CallConsulted,
    ev.ConsultationAlternated: ConsultationAlternated,
    ev.ConsultationEnded: ConsultationEnded,
    ev.SupervisionBegan: SupervisionBegan,
    ev.SupervisionRequested: SupervisionRequested,
    ev.SupervisionChanged: SupervisionChanged,
    ev.CallHeld: CallHeld,
    ev.CallRetrieved: CallRetrieved,
    ev.CallTransferred: CallTransferred,
    ev.CallReferred: CallReferred,
    ev.ReferralFailed: ReferralFailed,
    ev.CallForwarded: CallForwarded,
    ev.ForwardLoopFound: ForwardLoopFound,
    ev.CallCleared: CallCleared,
    ev.DispositionSet: DispositionSet,
    ev.MenuEntered: MenuEntered,
    ev.MenuLeft: MenuLeft,
    ev.DigitReceived: DigitReceived,
    ev.SoundsStarted: SoundsStarted,
    ev.SoundsFinished: SoundsFinished,
    ev.SoundsStopped: SoundsStopped,
    ev.AnnouncementBegan: AnnouncementBegan,
    ev.ContactOpened: ContactOpened,
    ev.ContactClosed: ContactClosed,
    ev.ContactMoved: ContactMoved,
    ev.ContactPrioritised: ContactPrioritised,
    ev.ContactReskilled: ContactReskilled,
    ev.PickRequested: PickRequested,
    ev.PickEnded: PickEnded,
    ev.Queued: Queued,
    ev.QueueLeft: QueueLeft,
    ev.RequirementsRelaxed: RequirementsRelaxed,
    ev.QueueOpened: QueueOpened,
    ev.QueueClosed: QueueClosed,
    ev.QueueFilled: QueueFilled,
    ev.QueueDrained: QueueDrained,
    ev.PagesAsked: PagesAsked,
    ev.PageAskedEnded: PageAskedEnded,
    ev.OfferMade: OfferMade,
    ev.OfferEnded: OfferEnded,
    ev.AgentLoggedOn: AgentLoggedOn,
    ev.AgentLoggedOff: AgentLoggedOff,
    ev.PinAwaited: PinAwaited,
    ev.HotDeskRefused: HotDeskRefused,
    ev.HotDeskBegan: HotDeskBegan,
    ev.HotDeskEnded: HotDeskEnded,
    ev.AgentReady: AgentReady,
    ev.AgentNotReady: AgentNotReady,
    ev.WorkReserved: WorkReserved,
    ev.WorkConnected: WorkConnected,
    ev.AfterCallWorkBegan: AfterCallWorkBegan,
    ev.WorkDone: WorkDone,
    ev.ChannelReserved: ChannelReserved,
    ev.ChannelAdjusted: ChannelAdjusted,
    ev.ChannelReleased: ChannelReleased,
    ev.ChannelRefused: ChannelRefused,
    ev.DeviceBound: DeviceBound,
    ev.DeviceUnbound: DeviceUnbound,
    ev.DeviceUnreachable: DeviceUnreachable,
    ev.DeviceReachable: DeviceReachable,
    ev.LineJudged: LineJudged,
    ev.DeadlinePassed: DeadlinePassed,
    ev.TrunkUp: TrunkUp,
    ev.TrunkDown: TrunkDown,
    ev.RecordingBegan: RecordingBegan,
    ev.RecordingJoined: RecordingJoined,
    ev.RecordingPaused: RecordingPaused,
    ev.RecordingResumed: RecordingResumed,
    ev.RecordingKept: RecordingKept,
}
"""Each word of the journal, and what it is outside; None: it does not leave."""
STAYS: Final[Mapping[type[ev.Event], frozenset[str]]] = {
    ev.LegInitiated: frozenset({"dialog"}),  # whoever knows a dialog can end it from outside
    ev.LegAlerted: frozenset({"dialog"}),
    ev.LegConnected: frozenset({"dialog"}),
}
"""Fields that do not leave with their word."""
OUR_NAMES: Final[Mapping[type[ev.Event], Mapping[str, str]]] = {}
"""Of a word that was changed since version 1 began: public field -> what ours is called now. None was yet."""
_OF_CONTACTS = frozenset(kind for kind in KINDS.values() if {"contact", "call"} <= set(kind.__struct_fields__))


def _holds_documents(hint: Any) -> bool:
    """Whether a field of this type holds types of the contract, which ours have to be made into."""
    return hint is Public or (isinstance(hint, type) and issubclass(hint, Public)) or any(map(_holds_documents, get_args(hint)))


def maker(word: type[Any], kind: type[Public], ours: Mapping[str, str] = MappingProxyType({})) -> Callable[[Any], Any]:
    """What makes the one of the other: fields of the kind alone, each from the one of its name, or of the name that `ours` says.

    Flat kinds are copied: an event is told for each of thousands of calls.
    Raises: TypeError: a field that must be there comes from nowhere.
    """
    fields = {one.name: (ours.get(one.name, one.name), one.default) for one in msgspec.structs.fields(kind)}
    missing = [one.name for one in msgspec.structs.fields(kind) if one.required and fields[one.name][0] not in word.__struct_fields__]
    if missing:
        raise TypeError(f"nothing in {word.__name__} says what {', '.join(missing)} of {kind.__name__} is")
    usual = {name: row for name, row in fields.items() if row[0] in word.__struct_fields__}

    def values(event: Any) -> dict[str, Any]:  # msgspec leaves out a default by its identity, and 0.0 may be another one
        return {name: value for name, (our, default) in usual.items() if (value := getattr(event, our)) != default}

    if any(map(_holds_documents, get_type_hints(kind).values())):
        return lambda event: told(kind, values(event))
    return lambda event: kind(**values(event))


_MAKERS: Final = {word: maker(word, kind, OUR_NAMES.get(word, {})) for word, kind in FROM_JOURNAL.items() if kind is not None}


def leaves(event: ev.Event) -> bool:
    """Whether anybody outside is told of it."""
    return type(event) in _MAKERS


def event_of(event: ev.Event) -> Event:
    """A word of the journal as it is told.

    Raises: ValueError: it does not leave.
    """
    make = _MAKERS.get(type(event))
    if make is None:
        raise ValueError(f"{type(event).__name__} does not leave")
    found = make(ev.shown(event))
    if type(found) in _OF_CONTACTS and (call := call_of(found.contact)) is not None:
        found = msgspec.structs.replace(found, call=call)
    return cast("Event", found)
