"""What the shell must do, in this order, once the events beside it are on disk: house vocabulary over RFC 3261 and CSTA verbs.

The shell answers with facts (`acd.core.inputs`), never with a return value. An effect for a leg that is already gone is ignored
by the shell: the fact that it went is on its way.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from acd.core.channel_costs import Saving
from acd.core.ids import AgentId, CallId, ContactId, LegId, OfferId, PlayId, QuestionId, QueueId, RecordingId, TrunkId
from acd.core.inputs import FailureCause


class _Effect(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, gc=False):
    """Base of all effects: frozen, tagged by class name. Values hold no cycles: the collector need not look (`gc=False`)."""


class RingCaller(_Effect, frozen=True, kw_only=True):
    """Tell the arrived leg that it is being alerted (180)."""

    leg: LegId


class AnswerCaller(_Effect, frozen=True, kw_only=True):
    """Answer the arrived leg (200); `LegAnswered` follows when it is confirmed, sounds may start at once."""

    leg: LegId


class RefuseCaller(_Effect, frozen=True, kw_only=True):
    """Refuse an arrived leg before it was answered; how the cause is said is the shell's affair (`acd.switch.causes`)."""

    leg: LegId
    cause: str
    """A word of `acd.core.causes`."""
    reason: str
    """One English sentence."""


class OriginateToAgent(_Effect, frozen=True, kw_only=True):
    """Ring the agent's device. The shell reports LegAlerting, LegAnswered, LegFailed."""

    leg: LegId
    call: CallId
    agent: AgentId
    device: str
    offer: OfferId | None
    queue: QueueId | None
    calling: str | None
    calling_name: str | None
    called: str
    auto_answer: bool = False
    trunk: TrunkId | None = None
    """Set: the phone is behind this trunk and is called by `number`; unless the trunk is internal, priced as `OriginateToOutside` is."""
    number: str | None = None
    at: AgentId | None = None
    """Set: it sits at the phone of this agent, and that is rung."""
    kbits: int | None = None
    """What the channel was reckoned to take of its line: `LegShaped` says when it comes to something else. None: no line counts it."""
    step: Saving | None = None
    """The line is full: the channel is offered like this."""


class OriginateToOutside(_Effect, frozen=True, kw_only=True):
    """Call a number over a trunk. The shell prices it first and reports LegPriced, or LegFailed with `price_refused`, `budget`,
    `not_allowed`.
    """

    leg: LegId
    call: CallId
    number: str
    trunk: TrunkId
    caller_id: str | None
    on_account_of: AgentId | None = None
    """Who dials, forwards or transfers; None: a rule does."""
    forwarded_from: str | None = None
    """E.164 of the caller whose call is forwarded (P-Asserted-Identity, Diversion)."""
    kbits: int | None = None
    step: Saving | None = None
    """Both as of an agent's phone."""


class ShapeChannel(_Effect, frozen=True, kw_only=True):
    """The line of an arrived leg is full: it is answered like this, and stays so."""

    leg: LegId
    step: Saving


class ReleaseLeg(_Effect, frozen=True, kw_only=True):
    """End a leg whatever its state (CANCEL, BYE or refusal). No `LegReleased` follows."""

    leg: LegId
    cause: str
    """`answered_elsewhere` is told to the phone in a Reason header (RFC 3326), so that it counts no missed call."""
    q850: int | None = None
    """What the other party's network said, to be passed on in place of the cause's own number; None: nothing."""


class EndDialog(_Effect, frozen=True, kw_only=True):
    """End a leg that an earlier run of the shell has left behind: by what that one had told in `dialog`. No fact follows."""

    leg: LegId
    dialog: str
    cause: str
    trunk: TrunkId | None
    """Whose credentials may be asked for."""
    waits: bool = False
    """It arrived and was not answered yet: it is refused."""


class PlaySounds(_Effect, frozen=True, kw_only=True):
    """Play to one leg; names without language are looked up in `language`. Replaces what plays."""

    leg: LegId
    play: PlayId
    sounds: tuple[str, ...]
    language: str
    loop: bool = False
    behind: tuple[str, ...] = ()
    """What is heard behind it while nobody is there to decide what comes next (ADR 0024)."""


class JudgePin(_Effect, frozen=True, kw_only=True):
    """Have the PIN of `agent` judged: the one dialled behind the code, else what is keyed on this leg from now on, which is told to nobody.
    `PinJudged` follows.
    """

    leg: LegId
    agent: AgentId
    at: AgentId
    """Whose phone it is keyed on."""


class StopSounds(_Effect, frozen=True, kw_only=True):
    leg: LegId


class WarnLeg(_Effect, frozen=True, kw_only=True):
    """Let one leg hear a short tone over whatever it hears, which goes on afterwards; no `SoundsEnded` follows.

    `warning`: before the end of a call that may last no longer (`acd.core.state.limits`); `supervised`: a supervisor hears, or is heard.
    """

    leg: LegId
    tone: Literal["warning", "supervised"] = "warning"


class ArrangeAudio(_Effect, frozen=True, kw_only=True):
    """Who hears whom in a conversation, as pairs (listener, speaker) in order; whoever is in none hears nobody and is not heard.

    Declared: what was arranged before and is not in here is over, the same again changes nothing. What plays to a leg stands over what it
    hears, which goes on beneath.
    """

    contact: ContactId
    hears: tuple[tuple[LegId, LegId], ...] = ()


class PassEarlyMedia(_Effect, frozen=True, kw_only=True):
    """`party` and a `leg` that has not answered yet are to hear each other (`ArrangeAudio` follows): one that was not answered is told so
    with 183 (RFC 3960 §2).
    """

    party: LegId
    leg: LegId


class BeginRecording(_Effect, frozen=True, kw_only=True):
    """Record these legs, a channel each. Not begun again on retrieve; the file runs through holds."""

    recording: RecordingId
    call: CallId
    legs: tuple[LegId, ...]


class RecordLeg(_Effect, frozen=True, kw_only=True):
    """Give a further leg a channel of its own in a recording that runs, behind the others."""

    recording: RecordingId
    leg: LegId


class RecordParties(_Effect, frozen=True, kw_only=True):
    """Of those who have a channel, these are recorded now; silence is written on the others'. Declared, as `ArrangeAudio` is."""

    recording: RecordingId
    legs: tuple[LegId, ...] = ()


class EndRecording(_Effect, frozen=True, kw_only=True):
    recording: RecordingId


class AskToAnswer(_Effect, frozen=True, kw_only=True):
    """Make the agent's ringing phone take the call (NOTIFY, Event: talk)."""

    leg: LegId


class AnswerReferrer(_Effect, frozen=True, kw_only=True):
    """Answer the transfer that a leg's phone asks for; `NotifyReferrer` follows an acceptance, and a refusal leaves the call as it is."""

    leg: LegId
    refused: Literal["not_an_agent", "under_way", "nobody_there", "conference"] | None = None
    """Why not: only agents' phones may; another one of this call is under way; there is nobody on the line; there are several."""


class NotifyReferrer(_Effect, frozen=True, kw_only=True):
    """Tell the phone whose transfer was accepted how it goes with its target: it rings; it has the call, or cannot be had, and nothing more
    will follow.
    """

    leg: LegId
    progress: Literal["ringing", "taken", "failed"]
    cause: str | None = None
    """Of `failed`: a word of `acd.core.causes`."""


class AskPage(_Effect, frozen=True, kw_only=True):
    """Ask the pages of an agent's phone whether their code runs: one that answers is enough. `PageAnswered` says so; nothing is to be said
    of who does not answer within the time.
    """

    question: QuestionId
    agent: AgentId
    within_s: float
    at: AgentId | None = None
    """Set: it sits at the phone of this agent, and its pages are asked."""


class PopScreen(_Effect, frozen=True, kw_only=True):
    """Show who it is to this agent, and to nobody else, before the phone rings: of a call always directly before its OriginateToAgent."""

    agent: AgentId
    contact: ContactId
    offer: OfferId | None
    queue: QueueId | None
    calling: str | None
    """The customer: E.164 of a caller, what else a customer can be reached at; None: unknown or withheld."""
    called: str
    """What was dialled; of other channels the subject."""
    waited_s: float


Effect = (
    RingCaller
    | AnswerCaller
    | RefuseCaller
    | OriginateToAgent
    | OriginateToOutside
    | ShapeChannel
    | ReleaseLeg
    | EndDialog
    | PlaySounds
    | JudgePin
    | StopSounds
    | WarnLeg
    | ArrangeAudio
    | PassEarlyMedia
    | BeginRecording
    | RecordLeg
    | RecordParties
    | EndRecording
    | AskToAnswer
    | AnswerReferrer
    | NotifyReferrer
    | AskPage
    | PopScreen
)

__all__ = ["Effect", "FailureCause"]
