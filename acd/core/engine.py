"""The exchange of one tenant: one input and `now` in, events and effects out (DESIGN.md §3). Pure: no clock, no chance, no I/O.

Drive rule: one input, then journal all its events, then carry out all its effects, then the next input. `next_timeout` says when to
come with `TimePassed`.

Order within a step: facts find the deadlines before them already met (a late `TimePassed` changes nothing in what is decided). A desk
command acts first and deadlines follow in the same step, so that a command which is refused has changed nothing at all; so
does `ServiceStarted`, because the deadlines of calls that a crash has cut must not ring phones, and `ClockStepped`, which moves them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from acd.core import channels
from acd.core import inputs as inp
from acd.core.channel_kinds import CHANNELS
from acd.core.effects import Effect
from acd.core.errors import BrokenHistory, CoreError, IllegalTransition, UnknownName
from acd.core.events import ClockCorrected, Event
from acd.core.ids import VOICE, AgentId, ContactId, TenantId, channel_of
from acd.core.inputs import Input
from acd.core.intake import arrival, contacts, deadlines, desk, facts, operation, reconciliation
from acd.core.live import LiveState, WholeContact, live, whole_contact
from acd.core.routing.pick import Waiting, explain
from acd.core.state import values as s
from acd.core.state.statistics import Statistics
from acd.core.state.values import State
from acd.core.steps import hot_desk, queueing, supervision, targets
from acd.core.steps.step import Step


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one input led to."""

    events: list[Event]
    effects: list[Effect]


class Engine:
    """One tenant's exchange."""

    def __init__(self, tenant: TenantId, state: State | None = None) -> None:
        self.tenant = tenant
        began = state if state is not None else s.State(tenant=tenant, statistics=Statistics())
        self._step = Step(tenant, began, targets.send_to, channels.BY_NAME)

    # ------------------------------------------------------------------ what comes in

    def handle(self, input: Input, now: float) -> Outcome:  # noqa: A002 - inputs are what comes in (DESIGN.md §3)
        """Decide one input.

        Raises: IllegalTransition, UnknownName: a desk command that does not fit; nothing changed. Facts never raise.
        """
        x, kind = self._step, type(input)
        if now > x.now or kind is inp.ClockStepped:
            x.now = float(now)
        x.events, x.effects, x.fold.somebody_left = [], [], False
        act = _ACT[kind]
        if kind not in _BEFORE_DEADLINES:
            self._meet_deadlines()
        act(x, input)
        if kind is not inp.ServiceStarted or not input.held:  # type: ignore[union-attr]  # what is cut ended earlier; what follows, now
            self._settle()
        return Outcome(x.events, x.effects)

    def next_timeout(self) -> float | None:
        """Epoch seconds at which `TimePassed` is due; None when nothing is awaited."""
        return self._step.fold.timers.next_timeout()

    def apply(self, event: Event, now: float) -> None:
        """Fold an event of the journal: recovery and replay. `handle` does so by itself with its own."""
        x = self._step
        x.now = float(now) if type(event) is ClockCorrected else max(float(now), x.now)
        x.fold.apply(event, x.now)

    # ------------------------------------------------------------------ looking in

    @property
    def state(self) -> State:
        """The state; to be read only."""
        return self._step.state

    @property
    def is_at_work(self) -> bool:
        """Whether a crash now would cut or interrupt something: a sign of life is worth an entry."""
        return self._step.fold.is_at_work

    def state_hash(self) -> str:
        """Sha256 over the canonical encoding of the whole state, timers included: the same in every process."""
        return self._step.fold.digest()

    def user_of_phone(self, owner: AgentId) -> AgentId:
        """Who uses an agent's phone: who has come to it (hot desk), else the agent."""
        return self._step.fold.index.user_of(owner)

    def live(self) -> LiveState:
        """The live board as of the last input."""
        return live(self._step.fold, self._step.now)

    def live_at(self, now: float) -> LiveState:
        """The live board at `now`: waiting times run on between inputs."""
        return live(self._step.fold, max(float(now), self._step.now))

    def contact(self, contact: ContactId) -> WholeContact:
        """A contact that is open.

        Raises: UnknownName
        """
        known = self.state.contacts.get(contact)
        if known is None:
            raise UnknownName("contact", contact)
        return whole_contact(self._step.fold, known)

    @property
    def open_contacts(self) -> int:
        """How many contacts are open that are no calls; every call is one, too."""
        return len(self.state.contacts) - len(self.state.calls)

    def waiting_by_channel(self) -> dict[str, int]:
        """How many stand in queues, offered or not, by what they came by."""
        found = dict.fromkeys(CHANNELS, 0)
        for entry in self.state.entries.values():
            found[entry.channel] += 1
        return found

    def why_waiting(self, contact: ContactId, now: float) -> Waiting:
        """What stands between a waiting contact and every single agent.

        Raises: UnknownName: the contact waits in no queue.
        """
        known = self.state.contacts.get(contact)
        entry = self.state.entries.get(known.entry) if known is not None and known.entry is not None else None
        if entry is None or entry.queue not in self._step.fold.index.queues:
            raise UnknownName("waiting call" if channel_of(contact) == VOICE else "waiting contact", contact)
        return explain(self._step.rosters, entry, max(float(now), self._step.now))

    def describe(self) -> dict[str, Any]:
        """Counts, deadlines and dropped facts, for /debug/state."""
        state, fold = self.state, self._step.fold
        return {
            "tenant": self.tenant,
            "clock": self._step.now,
            "calls": {call.id: {"state": call.state.value, "since": call.since, "legs": list(call.legs)} for call in state.calls.values()},
            "waiting": {queue: len(line) for queue, line in fold.order.items()},
            "offers": len(state.offers),
            "agents": {category: len(members) for category, members in fold.categories.items()},
            "timers": dict(sorted(state.timers.items(), key=lambda one: (one[1], one[0]))),
            "next_timeout": self.next_timeout(),
            "dropped": dict(self._step.dropped),
            "state_hash": self.state_hash(),
        }

    # ------------------------------------------------------------------ inside

    def _meet_deadlines(self) -> None:
        x = self._step
        while x.fold.timers.soonest <= x.now and (timer := x.fold.timers.due(x.now)) is not None:
            deadlines.deadline(x, timer)

    def _settle(self) -> None:
        """Until nothing is left to be done at this moment: deadlines that are due, queues that drained, contacts for free agents."""
        x, fold = self._step, self._step.fold
        self._meet_deadlines()
        if fold.somebody_left:
            queueing.overflow_unstaffed(x)
        if fold.overflowing:
            queueing.settle_queues(x)
        if fold.supervised:
            supervision.follow(x)
        if fold.pickers:
            queueing.serve_pickers(x)
        if fold.listeners:
            supervision.serve_requests(x)
        while fold.routing_needed:
            queueing.distribute(x)
            self._meet_deadlines()


def _nothing(_x: Step, _input: Input) -> None:
    """That it came is all there is to it."""


_COMMANDS: dict[type, Callable[[Step, Any], None]] = {
    inp.LogOn: desk.log_on,
    inp.LogOff: desk.log_off,
    inp.GoReady: desk.go_ready,
    inp.GoNotReady: desk.go_not_ready,
    inp.EndAfterCallWork: desk.end_after_call_work,
    inp.Dial: desk.dial,
    inp.Answer: desk.answer,
    inp.Decline: desk.decline,
    inp.Hold: desk.hold,
    inp.Retrieve: desk.retrieve,
    inp.TakeBack: desk.take_back,
    inp.HangUp: desk.hang_up,
    inp.Transfer: desk.transfer,
    inp.Consult: desk.consult,
    inp.Alternate: desk.alternate,
    inp.Reconnect: desk.reconnect,
    inp.Conference: desk.conference,
    inp.CompleteTransfer: desk.complete_transfer,
    inp.Supervise: desk.supervise,
    inp.Announce: desk.announce,
    inp.SetDisposition: desk.set_disposition,
    inp.ClearCall: desk.clear,
    inp.OpenContact: contacts.open_contact,
    inp.WithdrawContact: contacts.withdraw_contact,
    inp.CloseContact: contacts.close_contact,
    inp.Pick: contacts.pick,
    inp.MoveContact: contacts.move_contact,
    inp.PrioritiseContact: contacts.prioritise_contact,
    inp.ReskillContact: contacts.reskill_contact,
    inp.AssignContact: contacts.assign_contact,
}
_FACTS: dict[type, Callable[[Step, Any], None]] = {
    inp.Configured: operation.configured,
    inp.Reconfigured: operation.reconfigured,
    inp.ServiceStarted: operation.started,
    inp.Reconciled: reconciliation.reconciled,
    inp.ServiceStopping: operation.stopping,
    inp.TimePassed: _nothing,
    inp.SignOfLife: operation.sign_of_life,
    inp.ClockStepped: operation.clock_stepped,
    inp.CallArrived: arrival.arrived,
    inp.LegAlerting: facts.leg_alerting,
    inp.EarlyMediaArrived: facts.early_media_arrived,
    inp.LegAnswered: facts.leg_answered,
    inp.ProtectionAgreed: facts.protection_agreed,
    inp.LegFailed: facts.leg_failed,
    inp.LegReleased: facts.leg_released,
    inp.LegHeldByParty: facts.leg_held,
    inp.LegRetrievedByParty: facts.leg_retrieved,
    inp.LegReferred: facts.leg_referred,
    inp.DigitPressed: facts.digit_pressed,
    inp.KeysPressed: facts.keys_pressed,
    inp.PinJudged: hot_desk.judged,
    inp.SoundsEnded: facts.sounds_ended,
    inp.LegPriced: facts.leg_priced,
    inp.CreditEnds: facts.credit_ends,
    inp.LegAnsweredLate: facts.leg_answered_late,
    inp.LegShaped: facts.leg_shaped,
    inp.RecordingEnded: facts.recording_ended,
    inp.QualityMeasured: facts.quality_measured,
    inp.DeviceRegistered: operation.device_registered,
    inp.DeviceUnregistered: operation.device_unregistered,
    inp.DeviceProbed: operation.device_probed,
    inp.PageAnswered: operation.page_answered,
    inp.PageLost: facts.page_lost,
    inp.PageBack: facts.page_back,
    inp.LineMeasured: operation.line_measured,
    inp.OneWayAudio: facts.one_way_audio,
    inp.TrunkChanged: operation.trunk_changed,
}
_ACT = _COMMANDS | _FACTS
_BEFORE_DEADLINES = frozenset({*_COMMANDS, inp.ServiceStarted, inp.ClockStepped})

__all__ = ["BrokenHistory", "CoreError", "Engine", "IllegalTransition", "Outcome", "State", "UnknownName"]
