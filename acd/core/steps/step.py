"""The context of one decision: the state, the events so far, the effects so far, while one input is decided (house).

Decide, emit, go on deciding on the new state: `emit` folds an event at once. Rooms depend on each other only downwards (working,
queueing, clearing, conversation, referral, treatment, reach, targets, then channels, then intake); the two ways back up are hooks here:
`send_to`, and how a contact's channel behaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from acd.core.configuration import Agent, Queue, Target
from acd.core.effects import Effect, PlaySounds, StopSounds
from acd.core.events import ChannelReserved, Event, OfferOutcome, Purpose, SoundsStarted, SoundsStopped
from acd.core.ids import AgentId, LegId, PlayId, TenantId
from acd.core.inputs import Input
from acd.core.machines import leg as legs
from acd.core.routing.admission import Verdict
from acd.core.routing.rosters import Rosters
from acd.core.state import values as s
from acd.core.state.fold import Fold

TOLD_IN_QUEUES: Final = frozenset({"notice", "greeting", "position"})
"""Purposes of what whoever waits in a queue is told between its music."""


class Channel(Protocol):
    """What waiting, reached, withdrawn and taken mean for the contacts of a channel (`acd.core.channels`); queues know no more of it."""

    waits_when_closed: bool
    """It is let in outside the hours, and offered to whoever is ready."""

    def can_reach(self, x: Step, agent: s.Agent) -> bool:
        """Whether there is a way to the agent, who may have work."""

    def may_wait(self, x: Step, contact: s.Contact) -> bool:
        """Make it ready to stand in line; False: it is gone, and was seen to."""

    def waits(self, x: Step, contact: s.Contact, queue: Queue) -> None:
        """It stands in line from now on."""

    def reach(self, x: Step, contact: s.Contact, offer: s.Offer, agent: Agent, waited_s: float) -> None:
        """Let the agent know of the offer."""

    def reserved(self, x: Step, contact: s.Contact, offer: s.Offer, agents: Sequence[AgentId]) -> None:
        """They are kept for it from now on: a channel that asks nobody says here who has it (`queueing.taken`)."""

    def withdraw(self, x: Step, contact: s.Contact, offer: s.Offer, agent: AgentId, ending: Ending) -> None:
        """The agent's part of the offer is over without its having been taken: nothing of it is left."""

    def taken(self, x: Step, contact: s.Contact, agent: AgentId, queue: Queue | None) -> None:
        """The agent has it; it has left its queue."""

    def accept(self, x: Step, contact: s.Contact, offer: s.Offer | None, agent: AgentId) -> None:
        """The agent has said at the desk that it takes what it is offered."""

    def can_be_sent(self, x: Step, contact: s.Contact, target: Target) -> bool:
        """Whether its queue can send it there."""

    def send(self, x: Step, contact: s.Contact, target: Target, reason: str, by: str) -> None:
        """Its queue sends it elsewhere."""

    def turn_away(self, x: Step, contact: s.Contact, cause: str) -> None:
        """Its queue is not there."""


class Ending(NamedTuple):
    """How an agent's part of an offer ended."""

    outcome: OfferOutcome
    cause: str
    """A row of `acd.core.causes`, or `supervisor`: told to the agent's side."""
    is_gone: bool = False
    """The agent's side has ended it: nothing is left to be told there."""
    status: int | None = None
    """What that side said, if it has such a thing."""


class SendTo(Protocol):
    """Where a call goes next; see `acd.core.steps.targets`."""

    def __call__(self, x: Step, call: s.Call, target: Target, reason: str, by: str, supervisor: str | None = None) -> None: ...


class Step:
    """One tenant's exchange at one moment."""

    def __init__(self, tenant: TenantId, state: s.State, send_to: SendTo, channels: Mapping[str, Channel]) -> None:
        self.tenant = tenant
        self.fold = Fold(state)
        self.rosters = Rosters(self.fold)
        self.channels = channels
        self.state = state
        self.now = state.clock
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.silent = False
        """After a crash nothing is left to carry an effect out on, but what `EndDialog` ends."""
        self.dropped: Counter[str] = Counter()
        """Facts that came too late or for nothing, by kind; not part of the state."""
        self.send_to = send_to

    def emit(self, event: Event) -> None:
        """Something became true."""
        self.fold.apply(event, self.now)
        self.events.append(event)

    def do(self, effect: Effect) -> None:
        """The shell must do something."""
        if not self.silent:
            self.effects.append(effect)

    def drop(self, fact: Input) -> None:
        """A fact about something that is gone: two messages crossed."""
        self.dropped[type(fact).__name__] += 1

    # ------------------------------------------------------------------ small questions

    def contact(self, call: s.Call) -> s.Contact:
        """The contact that the call is a part of."""
        return self.state.contacts[call.id]

    def channel(self, contact: s.Contact) -> Channel:
        """How the contact's channel behaves."""
        return self.channels[contact.channel]

    def party(self, call: s.Call) -> s.Leg | None:
        """The leg that is being served."""
        return self.state.legs.get(call.party) if call.party is not None else None

    def is_answered(self, leg: s.Leg | None) -> bool:
        """The party is on the line, so sounds can be played to it."""
        return leg is not None and leg.state in legs.ANSWERED

    def next_leg(self, call: s.Call, offset: int = 0) -> LegId:
        """Name of the next leg we originate in a call."""
        return LegId(f"{call.id}.{call.legs_made + 1 + offset}")

    # ------------------------------------------------------------------ what several rooms do

    def play(self, leg: s.Leg, sounds: tuple[str, ...], purpose: Purpose, *, loop: bool = False) -> None:
        """Play to an answered leg, replacing what plays."""
        play = PlayId(f"{leg.id}/p{leg.plays + 1}")
        self.emit(SoundsStarted(leg=leg.id, play=play, sounds=sounds, loop=loop, purpose=purpose))
        self.do(self.playing(leg, play))

    def playing(self, leg: s.Leg, play: PlayId) -> PlaySounds:
        """What is to play to the leg, as the shell is told of it; who waits in a queue hears its music behind whatever it is told there."""
        contact = self.state.contacts[leg.call]
        queue = self.fold.index.queues.get(contact.queue) if contact.queue is not None else None
        return PlaySounds(
            leg=leg.id,
            play=play,
            sounds=leg.sounds,
            language=self.language(self.state.calls[leg.call]),
            loop=leg.loops,
            behind=(queue.music,) if queue is not None and leg.purpose in TOLD_IN_QUEUES else (),
        )

    def language(self, call: s.Call) -> str:
        """That of the number that was called (R23) or of a key in a menu, unless the queue the call is in speaks the tenant's own."""
        contact = self.state.contacts[call.id]
        queue = self.fold.index.queues.get(contact.queue) if contact.queue is not None else None
        return contact.language if queue is None or queue.country_languages else self.fold.index.language

    def silence(self, leg: s.Leg) -> None:
        """End what plays to the leg, if anything does."""
        if leg.play is not None:
            self.emit(SoundsStopped(leg=leg.id, play=leg.play))
            self.do(StopSounds(leg=leg.id))

    def reserve(self, leg: LegId, verdict: Verdict | None) -> None:
        """Enter an admitted channel in the ledger; lines without a limit are kept there too, so that the load is seen."""
        if verdict is None:
            return
        upload = verdict.upload_kbits
        self.emit(
            ChannelReserved(
                leg=leg,
                line=verdict.line,
                kbits=verdict.kbits,
                reserved_kbits=verdict.reserved_kbits + verdict.kbits,
                upload_kbits=upload if upload is not None else 0,
                shape=verdict.shape,
                step=verdict.step,
            )
        )
