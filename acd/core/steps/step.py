"""What every room of the exchange works with while one input is decided: the state, the events so far, the effects so far (house).

Decide, emit, go on deciding on the new state: `emit` folds an event at once. Rooms depend on each other only downwards (clearing,
conversation, referral, treatment, reach, distribution, targets, then arrival, desk and house); the one way back up, `send_to`, is a
hook here.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from acd.core.configuration import Target
from acd.core.effects import Effect, PlaySounds, StopSounds
from acd.core.events import ChannelReserved, Event, Purpose, SoundsStarted, SoundsStopped
from acd.core.ids import LegId, PlayId, TenantId
from acd.core.inputs import Input
from acd.core.machines import leg as legs
from acd.core.routing.admission import Verdict
from acd.core.state import values as s
from acd.core.state.fold import Fold


class SendTo(Protocol):
    """Where a call goes next; see `acd.core.steps.targets`."""

    def __call__(self, x: Step, call: s.Call, target: Target, reason: str, by: str, supervisor: str | None = None) -> None: ...


class Step:
    """One tenant's exchange at one moment."""

    def __init__(self, tenant: TenantId, state: s.State, send_to: SendTo) -> None:
        self.tenant = tenant
        self.fold = Fold(state)
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
        self.do(PlaySounds(leg=leg.id, play=play, sounds=sounds, language=self.language(self.state.calls[leg.call]), loop=loop))

    def language(self, call: s.Call) -> str:
        """That of the number that was called (R23), unless the queue the call is in speaks the tenant's own."""
        queue = self.fold.index.queues.get(call.queue) if call.queue is not None else None
        return call.language if queue is None or queue.country_languages else self.fold.index.language

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
            )
        )
