"""Screen pop of one offer (U25, house): the desk is told who it is before the phone rings, and the phone waits for neither for long.

A pair that is not in the table changes nothing: what was waited for came too late, or twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from acd.core.effects import PopScreen
from acd.core.ids import VOICE, AgentId, ContactId, TenantId, channel_of
from acd.core.machines.kit import Edge, to
from acd.service import ScreenContext, ScreenPop

PATIENCE_S = 0.25
"""How long a phone may wait for its screen pop: a slow database must not keep a caller waiting."""


class State(StrEnum):
    ASKED = "asked"
    """The pop is wanted, and who it is has been asked and not been told yet."""
    SHOWN = "shown"
    """The agent's desks are being told."""
    RELEASED = "released"
    """The phone may ring."""
    OVER = "over"


class Input(StrEnum):
    CONTEXT_KNOWN = "context_known"
    """It is told who it is, or nothing will be."""
    TOLD = "told"
    """Every desk of the agent knows, or there is none."""
    PATIENCE_OVER = "patience_over"
    OVER = "over"
    """The call is."""


class Do(StrEnum):
    SHOW = "show"
    RING = "ring"
    """Whoever wanted to ring the phone meanwhile does."""


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.ASKED: {
        Input.CONTEXT_KNOWN: to(State.SHOWN, Do.SHOW),
        Input.PATIENCE_OVER: to(State.RELEASED, Do.SHOW, Do.RING),
        Input.OVER:          to(State.OVER),
    },
    State.SHOWN: {
        Input.TOLD:          to(State.RELEASED, Do.RING),
        Input.PATIENCE_OVER: to(State.RELEASED, Do.RING),
        Input.OVER:          to(State.OVER),
    },
    State.RELEASED: {
        Input.OVER:          to(State.OVER),
    },
    State.OVER: {},
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Show:
    """Tell the agent's desks."""

    tenant: TenantId
    pop: ScreenPop


@dataclass(frozen=True, slots=True)
class Ring:
    """The agent's phone may ring for it from now on."""

    contact: ContactId
    agent: AgentId


Action = Show | Ring


@dataclass(slots=True)
class _Caller:
    """What was asked about a contact, once, however many agents it is offered to."""

    known: ScreenContext | None = None
    is_answered: bool = False


@dataclass(slots=True)
class _Pop:
    """One offer of a contact to an agent."""

    tenant: TenantId
    effect: PopScreen
    patience_until: float
    state: State = State.ASKED


class ScreenPops:
    """All pops that are on their way (pure): each call returns what is to be done, in order.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._callers: dict[ContactId, _Caller] = {}
        self._pops: dict[ContactId, dict[AgentId, _Pop]] = {}
        self._waiting: dict[tuple[ContactId, AgentId], _Pop] = {}
        """Those that are neither released nor over, in the order in which their patience ends."""

    def asked(self, contact: ContactId) -> None:
        """It was asked who this is: `known` will say."""
        self._callers[contact] = _Caller()

    def is_asked(self, contact: ContactId) -> bool:
        """Whether it was."""
        return contact in self._callers

    def known(self, contact: ContactId, context: ScreenContext | None) -> list[Action]:
        """It is known who this is; None: it cannot be told."""
        caller = self._callers.get(contact)
        if caller is None:  # it is over
            return []
        caller.known, caller.is_answered = context, True
        return [action for pop in tuple(self._pops.get(contact, {}).values()) for action in self._step(pop, Input.CONTEXT_KNOWN)]

    def wanted(self, tenant: TenantId, effect: PopScreen, now: float) -> list[Action]:
        """The contact is offered to an agent."""
        pop = _Pop(tenant, effect, now + PATIENCE_S)
        key = (effect.contact, effect.agent)
        self._pops.setdefault(effect.contact, {})[effect.agent] = pop
        self._waiting.pop(key, None)
        self._waiting[key] = pop
        caller = self._callers.get(effect.contact)
        is_known = caller is None or caller.is_answered  # who was not asked about is a stranger
        return self._step(pop, Input.CONTEXT_KNOWN) if is_known else []

    def told(self, tenant: TenantId, contact: ContactId, agent: AgentId) -> list[Action]:
        """The agent's desks know."""
        pop = self._pops.get(contact, {}).get(agent)
        return self._step(pop, Input.TOLD) if pop is not None and pop.tenant == tenant else []

    def may_ring(self, contact: ContactId, agent: AgentId) -> bool:
        """Whether the agent's phone may ring for it now; if not, a `Ring` will come."""
        pop = self._pops.get(contact, {}).get(agent)
        return pop is None or pop.state is State.RELEASED

    def over(self, contact: ContactId) -> None:
        """The call is over: nothing more is to be done."""
        for pop in tuple(self._pops.get(contact, {}).values()):
            self._step(pop, Input.OVER)
        self._pops.pop(contact, None)
        self._callers.pop(contact, None)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        return next((pop.patience_until for pop in self._waiting.values()), None)

    def handle_timeout(self, now: float) -> list[Action]:
        """Whose patience is over."""
        due = [pop for pop in self._waiting.values() if pop.patience_until <= now]
        return [action for pop in due for action in self._step(pop, Input.PATIENCE_OVER)]

    def _step(self, pop: _Pop, given: Input) -> list[Action]:
        edge = TRANSITIONS[pop.state].get(given)
        if edge is None:
            return []
        pop.state = edge.state
        if pop.state in {State.RELEASED, State.OVER}:
            self._waiting.pop((pop.effect.contact, pop.effect.agent), None)
        actions = [self._action(pop, do) for do in edge.actions]
        if pop.state is State.RELEASED and channel_of(pop.effect.contact) != VOICE:
            self.over(pop.effect.contact)  # no phone rings for it, and no leg will end it here
        return actions

    def _action(self, pop: _Pop, do: Do) -> Action:
        effect = pop.effect
        if do is Do.RING:
            return Ring(effect.contact, effect.agent)
        caller = self._callers.get(effect.contact)
        return Show(pop.tenant, ScreenPop.of(effect, (caller.known if caller is not None else None) or ScreenContext()))
