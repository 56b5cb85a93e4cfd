"""What happens to the exchange: telephony facts reported by the shell, and the requests of the desk (commands).

All times are the `now` given beside the input: seconds since the epoch in UTC, never going back, read by the shell. One input in,
then `Engine.handle` returns its events and effects. Inputs are journaled with their events, so that a day can be replayed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from acd.core.channel_costs import ChannelCosts, Cost
from acd.core.configuration import SkillRequirement, Target, TenantConfiguration
from acd.core.configuration_changes import Change
from acd.core.ids import AgentId, CallId, ContactId, LegId, OfferId, PlayId, QuestionId, QueueId, RecordingId, TrunkId
from acd.core.personal import CustomerQuote, CustomerText, StaffText


class _Input(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of all inputs: frozen, tagged by class name. Values hold no cycles: the collector need not look (`gc=False`)."""


PageLoss = Literal["suspect", "gone", "closed", "failed"]
"""How a page was lost: nothing came for a while, or for long; it said goodbye; its keys failed (`media.control.BrowserChanged`)."""
SupervisionMode = Literal["listen", "whisper", "barge"]
"""A supervisor hears the conversation; speaks to its agent, unheard by the others; takes part in it."""


AudioProtection = Literal["none", "sdes", "dtls"]
"""Audio is plain; SRTP with keys in SDP (RFC 4568); SRTP with those of a DTLS handshake (RFC 5764)."""


# ---------------------------------------------------------------------- the house itself


class Configured(_Input, frozen=True, kw_only=True):
    """A new configuration holds from now on. Calls in progress keep what they have, the next decision uses the new one."""

    configuration: TenantConfiguration


class Reconfigured(_Input, frozen=True, kw_only=True):
    """The configuration that holds is changed so far: as `Configured` with the whole one (ADR 0007).

    Without changes: business hours are looked at again. Programs did so after a restart, since they decided by the public holidays and time
    zones they knew then; today's are told of them as of any other change.
    """

    changes: tuple[Change, ...]


class ServiceStarted(_Input, frozen=True, kw_only=True):
    """The process runs (again). A call that the journal still shows as up and of which nothing is held was cut: it ends with cause
    `restart`, its parties are told. The others go on; `Reconciled` says next what of them is missing.

    What media workers that had outlived the process tell of its calls comes with it, so that the records of those calls hold it.
    """

    measured: tuple[QualityMeasured, ...] = ()
    recordings: tuple[RecordingEnded, ...] = ()
    held: tuple[LegId, ...] = ()
    """Legs whose audio a media worker has kept up, and whose dialogs were taken up again."""


class Reconciled(_Input, frozen=True, kw_only=True):
    """The shell has compared what it holds with what the exchange knows: after a start that took calls over, and whenever it finds later
    that the two do not agree (U6).
    """

    missing: tuple[LegId, ...] = ()
    """Legs that nobody holds: each ends with `cause`; whoever was to be reached by one that rang is offered the caller's place again."""
    calls: tuple[CallId, ...] = ()
    """What is in force in these is declared once more: orders that were decided on may not have been carried out."""
    cause: Literal["restart", "error"] = "restart"
    reason: str
    """What was found, for people."""


class ServiceStopping(_Input, frozen=True, kw_only=True):
    """The process ends in order: calls are cleared with cause `shutdown`, new ones refused."""


class TimePassed(_Input, frozen=True, kw_only=True):
    """A deadline of `Engine.next_timeout()` was reached."""


class SignOfLife(_Input, frozen=True, kw_only=True):
    """Something goes on (`Fold.is_at_work`) and nothing has happened for a while: what is said after a crash to have been alive ends here,
    not at the last event.
    """


class ClockStepped(_Input, frozen=True, kw_only=True):
    """The wall clock was set, or a journal was written by a clock that was ahead: `now` is on the clock that holds from here on."""

    by_s: float
    """Seconds from the clock before to this one; negative: it was ahead."""


# ---------------------------------------------------------------------- telephony facts

FailureCause = Literal[
    "busy",
    "no_answer",
    "rejected",
    "unregistered",
    "unreachable",
    "no_bandwidth",
    "price_refused",
    "budget",
    "not_allowed",
    "congestion",
    "not_found",
    "incomplete",
    "forbidden",
    "redirected",
    "unsupported_media",
    "routing_loop",
    "forwarded",
    "error",
]


UnknownAddress = Literal["nobody", "elsewhere"]
"""A name at our own domain that is nobody's, or any at another one."""


class CallArrived(_Input, frozen=True, kw_only=True):
    """A new call stands at the door; its leg is not answered yet."""

    call: CallId
    leg: LegId
    trunk: TrunkId | None = None
    """It came over this trunk ..."""
    agent: AgentId | None = None
    """... or from this agent's own device."""
    calling: CustomerText | None = None
    """Caller's number, E.164 with `+` where it could be normalised; None withheld."""
    calling_name: CustomerText | None = None
    withheld: CustomerText | None = None
    """The number of a caller who shows it to nobody (§ 15 TDDDG): for lists of blocked callers alone. It stands in no event, so that what
    is made of events cannot show it."""
    called: CustomerText
    """Number that was dialled: E.164 with `+`, or as dialled when it is short."""
    colleague: AgentId | None = None
    """The address of this agent's phone was dialled; `called` is its extension, or the name where it has none."""
    unknown: UnknownAddress | None = None
    """What was dialled is no number but a name, and reaches nobody."""
    channel_kbits: int | None = None
    """Wire cost of the channel as offered, in what was written before there was `channel`; None: as configured."""
    channel: ChannelCosts | None = None
    """What the channel costs as offered, to us or by us, and what it could come to; None: an older program wrote this."""
    dialog: CustomerText | None = None
    """What it takes to end the leg after a crash, in the shell's own notation; without secrets. So too in the facts below."""
    has_pin: bool = False
    """A PIN was dialled behind what stands in `called`; the shell has it and tells it to nobody but who judges it."""


class LegAlerting(_Input, frozen=True, kw_only=True):
    """The far end of an originated leg rings (180/183)."""

    leg: LegId
    dialog: CustomerText | None = None


class EarlyMediaArrived(_Input, frozen=True, kw_only=True):
    """The far end of a leg over a trunk speaks before it answers (183 with a description), and its trunk lets that through; it alerts too.

    Told once a leg; that another branch of it speaks now (a forked INVITE) is the shell's affair.
    """

    leg: LegId
    dialog: CustomerText | None = None


class LegAnswered(_Input, frozen=True, kw_only=True):
    """The far end answered (2xx), or our answer to an arrived call was confirmed (ACK)."""

    leg: LegId
    dialog: CustomerText | None = None


class ProtectionAgreed(_Input, frozen=True, kw_only=True):
    """What protects a leg from now on; told when it is agreed on and when it changes. A leg of which nothing is told has no protection."""

    leg: LegId
    audio: AudioProtection = "none"
    suite: str | None = None
    """Of SRTP, as SDES names it (RFC 4568 §6.2); None: the audio is plain, or the handshake of DTLS chooses it."""
    signalling: str | None = None
    """The encrypted transport that SIP goes over: `tls`, `wss` (`ws` behind a proxy of this machine); None: in plain."""


class LegFailed(_Input, frozen=True, kw_only=True):
    """An originated leg did not come about."""

    leg: LegId
    cause: FailureCause
    status: int | None = None
    """SIP status, when there was one."""
    detail: CustomerText | None = None
    moved_to: CustomerText | None = None
    """The number that a `redirected` party is at now, E.164 with `+`; None: it is told as something else, or not at all."""
    q850: int | None = None
    """As `LegReleased.q850`."""


class LegShaped(_Input, frozen=True, kw_only=True):
    """What was agreed on makes the channel of a leg cost something else than was last reckoned: codec, keys, packet time or IP version are
    not those that were offered, or have changed in the call.
    """

    leg: LegId
    cost: Cost


class LegAnsweredLate(_Input, frozen=True, kw_only=True):
    """The far end answered a leg that was over here: the 2xx crossed our CANCEL. It was ended at once, and is owed all the same."""

    leg: LegId
    call: CallId


class LegReleased(_Input, frozen=True, kw_only=True):
    """The far end hung up (BYE, or CANCEL before the answer), or the leg died (session timeout, media silence)."""

    leg: LegId
    cause: Literal["hang_up", "cancelled", "timeout", "media_silent", "transport", "error"] = "hang_up"
    q850: int | None = None
    """The cause of ITU-T Q.850, 1..127, that the far end gave (Reason, RFC 3326); None: it gave none."""


class LegHeldByParty(_Input, frozen=True, kw_only=True):
    """The party put us on hold from its own phone (re-INVITE sendonly/inactive)."""

    leg: LegId


class LegRetrievedByParty(_Input, frozen=True, kw_only=True):
    leg: LegId


class LegReferred(_Input, frozen=True, kw_only=True):
    """The party's phone asks us to send the other party elsewhere (REFER within the dialog, RFC 3515). Answered by `AnswerReferrer`."""

    leg: LegId
    number: CustomerText
    """Where to, as `CallArrived.called`; its price was looked at, as for `Transfer`."""
    colleague: AgentId | None = None
    """As `CallArrived.colleague`."""


class DigitPressed(_Input, frozen=True, kw_only=True):
    leg: LegId
    digit: CustomerText


class KeysPressed(_Input, frozen=True, kw_only=True):
    """An agent in conversation has keyed a command to the exchange (`acd.core.steps.keys`): the configured prefix, and these."""

    leg: LegId
    keys: CustomerText


class PinJudged(_Input, frozen=True, kw_only=True):
    """What became of the PIN that `JudgePin` asked for; the PIN itself stands nowhere."""

    leg: LegId
    agent: AgentId
    outcome: Literal["right", "wrong", "wait", "failed"]
    """`wait`: too many wrong ones came before, so it was not looked at; `failed`: nobody could tell, a database is away."""


class SoundsEnded(_Input, frozen=True, kw_only=True):
    """A play was heard to its end, or none of its sounds is there (`unknown_sound`). Not reported for plays the core itself stopped."""

    leg: LegId
    play: PlayId
    outcome: Literal["finished", "unknown_sound"] = "finished"
    left_out: tuple[str, ...] = ()
    """Sounds of it that are not there: what was heard was the rest."""


class LegPriced(_Input, frozen=True, kw_only=True):
    """The price of an outside leg, known before it is placed."""

    leg: LegId
    quote: CustomerQuote
    """A `billing_cdr.quote.Quote` as MessagePack reads it: tariff, version, prefix, destination, price a minute, set-up fee, currency.

    Amounts are text, rows are lists (a tuple would come back as a list: the entry read would not be the entry written).
    """


class CreditEnds(_Input, frozen=True, kw_only=True):
    """What a running leg may still cost is used up at an instant, and the call must end then; told anew whenever that changes.

    The final units of RFC 8506 §5.6.
    """

    leg: LegId
    at: float | None
    """Epoch seconds; None: there is more again."""
    reason: str
    """One English sentence with the figures."""


class RecordingEnded(_Input, frozen=True, kw_only=True):
    recording: RecordingId
    path: str
    duration_ms: int
    error: str | None = None
    broke_off: bool = False
    """Its media worker ended; nobody had asked for the end of the recording. What was written until then is kept."""


class QualityMeasured(_Input, frozen=True, kw_only=True):
    """What the media plane measured on a leg that ended; figures as in `media.control.Quality`."""

    leg: LegId
    quality: dict[str, float | int | str | None]


class DeviceRegistered(_Input, frozen=True, kw_only=True):
    """A contact of the agent's device is registered until `expires_at` (epoch seconds)."""

    agent: AgentId
    contact: StaffText
    expires_at: float
    flow: StaffText = ""
    """Where requests to this contact are sent, in the shell's own notation: kept so that registrations survive a restart."""
    user_agent: StaffText | None = None
    is_page: bool = False
    """A browser's page is behind it (its flow is a WebSocket): it is asked whether it is there before a call is offered to it."""
    channel: ChannelCosts | None = None
    """What a channel that we offer to this contact costs at worst."""


class DeviceUnregistered(_Input, frozen=True, kw_only=True):
    agent: AgentId
    contact: StaffText
    why: Literal["removed", "expired"] = "removed"


class DeviceProbed(_Input, frozen=True, kw_only=True):
    """A registered contact answers, or does not answer any more; told when it changes."""

    agent: AgentId
    contact: StaffText
    answers: bool
    detail: StaffText | None = None


class PageAnswered(_Input, frozen=True, kw_only=True):
    """What came of `AskPage` at one agent: the code of one of its pages has answered, or none can be asked any more.

    That nothing was heard in time need not be told: the exchange has a deadline of its own. An answer that comes later than that still
    says that the page is there.
    """

    question: QuestionId
    agent: AgentId
    answered: bool
    contact: StaffText | None = None
    """The contact whose page has answered."""
    round_trip_ms: float | None = None


class PageLost(_Input, frozen=True, kw_only=True):
    """The browser's page behind an answered leg of an agent gives no sign of life; told again as it gets worse."""

    leg: LegId
    why: PageLoss


class PageBack(_Input, frozen=True, kw_only=True):
    """It does again."""

    leg: LegId


class OneWayAudio(_Input, frozen=True, kw_only=True):
    """Somebody in conversation is not heard: nothing has come from the leg for the first seconds of it."""

    leg: LegId
    direction: Literal["unheard", "deaf"] = "unheard"
    """Nothing comes from it; or, by its own reports, nothing reaches it."""


class LineMeasured(_Input, frozen=True, kw_only=True):
    """What was measured on the line of an agent's page: by a check that the page runs, or in a call. None: it says nothing of that."""

    agent: AgentId
    source: Literal["check", "call"]
    upload_kbits: float | None = None
    """What the line has for a channel."""
    loss: float | None = None
    """Share of the packets from there, 0 to 1."""
    jitter_ms: float | None = None
    round_trip_ms: float | None = None
    mos: float | None = None


class TrunkChanged(_Input, frozen=True, kw_only=True):
    """A trunk answers its probes or its registration holds, or not."""

    trunk: TrunkId
    up: bool
    detail: str | None = None


# ---------------------------------------------------------------------- the desk


class _AtDesk(_Input, frozen=True, kw_only=True):
    """Base of what is done at an agent's desk."""

    agent: AgentId
    by: StaffText | None = None
    """Who acted, where it was not the agent: a supervisor's name, or that of a program's key."""


class LogOn(_AtDesk, frozen=True, kw_only=True):
    """The agent's shift begins: NOT_READY with reason `logged_on`, unless `ready`."""

    ready: bool = False


class LogOff(_AtDesk, frozen=True, kw_only=True):
    pass


class GoReady(_AtDesk, frozen=True, kw_only=True):
    pass


class GoNotReady(_AtDesk, frozen=True, kw_only=True):
    """May be given during a call: it holds after it."""

    reason: str


class EndAfterCallWork(_AtDesk, frozen=True, kw_only=True):
    contact: ContactId | None = None
    """The work it follows; None: all that there is."""


class Dial(_AtDesk, frozen=True, kw_only=True):
    """Click-to-dial: the agent's device rings first, then the destination (R2). `call` is minted by the shell."""

    call: CallId
    number: CustomerText
    quote: CustomerQuote | None = None
    """The price told to the agent, as in `LegPriced`; None for numbers inside the house."""


class Answer(_AtDesk, frozen=True, kw_only=True):
    """Take what is offered: a call has the agent's device asked to answer (RFC-less `talk` event), a message is taken at once."""

    contact: ContactId | None = None
    """Which, where several are offered; None: the first."""


class Decline(_AtDesk, frozen=True, kw_only=True):
    """The agent does not want the offered call; the caller keeps its place."""

    contact: ContactId | None = None
    """Which, where several are offered; None: the first."""


class Hold(_AtDesk, frozen=True, kw_only=True):
    call: CallId


class Retrieve(_AtDesk, frozen=True, kw_only=True):
    call: CallId


class TakeBack(_AtDesk, frozen=True, kw_only=True):
    """After its page was lost in the call, and is there again: ring the agent's phone, and go on where it was."""

    call: CallId


class HangUp(_AtDesk, frozen=True, kw_only=True):
    call: CallId


class Transfer(_AtDesk, frozen=True, kw_only=True):
    """Blind transfer: the agent's part ends, the other party goes to the target."""

    call: CallId
    target: Target


class Consult(_AtDesk, frozen=True, kw_only=True):
    """Hold the others and ask somebody (CSTA Consultation Call): an agent, a queue, a menu, a number."""

    call: CallId
    target: Target


class Alternate(_AtDesk, frozen=True, kw_only=True):
    """Speak with the other side of a consultation, and hold the one spoken with."""

    call: CallId


class Reconnect(_AtDesk, frozen=True, kw_only=True):
    """End a consultation, whether who is asked has answered or not, and speak with who was held (CSTA Reconnect Call)."""

    call: CallId


class Conference(_AtDesk, frozen=True, kw_only=True):
    """Let all sides of a consultation hear each other (CSTA Conference Call)."""

    call: CallId


class CompleteTransfer(_AtDesk, frozen=True, kw_only=True):
    """Leave a consultation so that who was held has who was asked (CSTA Transfer Call); not answered yet: waits in the agent's place."""

    call: CallId


class Supervise(_AtDesk, frozen=True, kw_only=True):
    """Have this agent's phone rung and, when it is taken, hear a conversation; or, of a conversation that it hears, hear it otherwise."""

    call: CallId
    supervised: AgentId | None = None
    """Whose conversation, of several agents in the call; None: the one agent's that there is."""
    mode: SupervisionMode = "listen"


class Announce(_AtDesk, frozen=True, kw_only=True):
    """Let one side of the agent's conversation hear sounds; the other side hears nothing of them."""

    call: CallId
    sounds: tuple[str, ...]
    to: Literal["agent", "others"] = "others"


class SetDisposition(_AtDesk, frozen=True, kw_only=True):
    """How the work ended, in the tenant's own codes; while it is worked on or in after-call work."""

    contact: ContactId
    code: str


class CloseContact(_AtDesk, frozen=True, kw_only=True):
    """The agent has done with a contact that is no call; after-call work follows as its queue says."""

    contact: ContactId


class Pick(_AtDesk, frozen=True, kw_only=True):
    """Take a waiting contact out of its turn, by an agent who may (`Agent.may_pick`)."""

    contact: ContactId | None = None
    """None: the first of those that the agent could take."""


class OpenContact(_Input, frozen=True, kw_only=True):
    """A contact that is no call has come in, and goes to a queue. `contact` is minted by the shell: `<channel>:...`."""

    contact: ContactId
    channel: str
    queue: QueueId
    customer: CustomerText | None = None
    language: str | None = None
    """None: the tenant's."""
    subject: CustomerText | None = None
    text: CustomerText | None = None
    personal: AgentId | None = None
    priority_s: float | None = None
    since: float | None = None
    """It has kept a place since that instant: nobody who came later is before it. None: it comes now."""


class WithdrawContact(_Input, frozen=True, kw_only=True):
    """The customer does not want it any more, or a supervisor (`by`) ends it: a contact that is no call."""

    contact: ContactId
    by: StaffText | None = None


class _BySupervisor(_Input, frozen=True, kw_only=True):
    """Base of what a supervisor does with a contact that waits; `by` is the supervisor."""

    contact: ContactId
    by: StaffText


class MoveContact(_BySupervisor, frozen=True, kw_only=True):
    """To another queue, where it stands as if it had come there when it came. Contacts that are no calls go from their agent, too."""

    queue: QueueId


class PrioritiseContact(_BySupervisor, frozen=True, kw_only=True):
    priority_s: float
    """It counts as having waited so many seconds longer, instead of what its queue says; the queue's cap holds."""


class ReskillContact(_BySupervisor, frozen=True, kw_only=True):
    requirements: tuple[SkillRequirement, ...] | None
    """Asked for from now on, whatever it has waited; None: what its queue asks for."""


class AssignContact(_BySupervisor, frozen=True, kw_only=True):
    """It is offered to this agent now, out of its turn, whatever its skills; the agent must be free for it."""

    agent: AgentId


class ClearCall(_Input, frozen=True, kw_only=True):
    """A supervisor ends a call."""

    call: CallId
    by: StaffText


_HAS_DIALOG = frozenset((CallArrived, LegAlerting, EarlyMediaArrived, LegAnswered))


def to_journal(given: Input) -> Input:
    """The input as it is journalled: a dialog decides nothing and stands in the event beside it, so that it is written once."""
    return msgspec.structs.replace(given, dialog=None) if type(given) in _HAS_DIALOG else given


Fact = (
    Configured
    | Reconfigured
    | ServiceStarted
    | Reconciled
    | ServiceStopping
    | TimePassed
    | SignOfLife
    | ClockStepped
    | CallArrived
    | LegAlerting
    | EarlyMediaArrived
    | LegAnswered
    | ProtectionAgreed
    | LegFailed
    | LegAnsweredLate
    | LegShaped
    | LegReleased
    | LegHeldByParty
    | LegRetrievedByParty
    | LegReferred
    | DigitPressed
    | KeysPressed
    | PinJudged
    | SoundsEnded
    | LegPriced
    | CreditEnds
    | RecordingEnded
    | QualityMeasured
    | DeviceRegistered
    | DeviceUnregistered
    | DeviceProbed
    | PageAnswered
    | PageLost
    | PageBack
    | LineMeasured
    | OneWayAudio
    | TrunkChanged
)
Command = (
    LogOn
    | LogOff
    | GoReady
    | GoNotReady
    | EndAfterCallWork
    | Dial
    | Answer
    | Decline
    | Hold
    | Retrieve
    | TakeBack
    | HangUp
    | Transfer
    | Consult
    | Alternate
    | Reconnect
    | Conference
    | CompleteTransfer
    | Supervise
    | Announce
    | SetDisposition
    | ClearCall
    | OpenContact
    | WithdrawContact
    | CloseContact
    | Pick
    | MoveContact
    | PrioritiseContact
    | ReskillContact
    | AssignContact
)
Input = Fact | Command

__all__ = ["Command", "Fact", "Input", "OfferId"]
