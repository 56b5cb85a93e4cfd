"""Which live events a person may see. Pure; a fold over the events themselves.

Supervisors and admins see everything of their tenant except screen pops meant for others. An agent sees agents' states, queue
movements without numbers, the calls the agent has a part in, and the messages and callbacks that it is offered or has. Who has the role of
an agent and is none (an API key, a user without an agent) has a part in none. That somebody supervises a conversation is for the supervisor
and for whose conversation it is, and not for the other agents in the same call.
"""

from __future__ import annotations

from typing import get_args, get_type_hints

import msgspec

from acd.core import events as ev
from acd.core.ids import AgentId, CallId, ContactId
from acd.core.live import LiveState
from acd.service import LiveEvent, ScreenPop
from api.contract import call_of, leaves, message_of, written

_PUBLIC = (
    ev.AgentLoggedOn,
    ev.AgentLoggedOff,
    ev.AgentReady,
    ev.AgentNotReady,
    ev.Queued,
    ev.QueueLeft,
    ev.Started,
    ev.Stopping,
)


_BEGINNINGS = (ev.CallOffered, ev.LegInitiated, ev.OfferMade, ev.WorkReserved)
"""By which an agent comes to have a part in a contact; after-call work tells of it when it may be over."""
_OF_CONTACTS = frozenset(kind for kind in get_args(ev.Event) if get_type_hints(kind).get("contact") is ContactId)
"""Events that say whom they are about in `contact`; that of a phone's registration is a SIP address."""


class AgentView:
    """What of the stream one agent may see."""

    def __init__(self, agent: AgentId | None) -> None:
        self._agent = agent
        self._contacts: set[ContactId] = set()
        """Those that the agent is offered or has; of calls those it had before, too, until they are over."""
        self._legs: dict[str, CallId] = {}
        self._supervised: dict[str, AgentId] = {}
        """The supervised agent, by the leg of another who supervises."""
        self._supervisors: dict[tuple[CallId, AgentId], AgentId] = {}
        """The same, by the call and who supervises, until that has ended its work there."""

    def begins_at(self, state: LiveState) -> None:
        """What the agent is in the middle of when its stream begins: what comes of it is its own."""
        for one in state.agents:
            if one.id == self._agent:
                self._contacts |= {work.contact for work in one.work}
        self._legs |= {party.leg: call.id for call in state.calls for party in call.parties}
        for call in state.calls:
            for party in call.parties:
                if party.agent is not None and party.supervises is not None:
                    self._note_supervision(call.id, party.leg, party.agent, party.supervises)

    def admits(self, live: LiveEvent) -> bool:
        """Whether the agent may see it; call it with every event, in order."""
        event = live.event
        if self._agent is None:
            return live.only_agent is None and isinstance(event, _PUBLIC)
        if live.only_agent is not None or isinstance(event, ScreenPop):
            return live.only_agent == self._agent
        if isinstance(event, ev.LegInitiated):
            self._legs[event.leg] = event.call
        elif isinstance(event, ev.SupervisionBegan):
            self._note_supervision(event.call, event.leg, event.by, event.agent)
        contact = self._about(event)
        if not isinstance(event, _PUBLIC) and self._is_supervision_of_others(event, contact):
            self._forget(event)
            return False
        is_own = self._is_own(event)
        if is_own and contact is not None and isinstance(event, _BEGINNINGS):
            self._contacts.add(contact)
        is_mine = is_own or contact in self._contacts
        self._forget(event)
        return is_mine or isinstance(event, _PUBLIC)

    def _about(self, event: ev.Event) -> ContactId | None:
        """The contact that the event is about."""
        if type(event) in _OF_CONTACTS:
            found: ContactId = getattr(event, "contact")  # noqa: B009 - of a union
            return found
        return getattr(event, "call", None) or self._legs.get(getattr(event, "leg", ""))

    def _note_supervision(self, call: CallId, leg: str, by: AgentId, agent: AgentId) -> None:
        if by != self._agent:
            self._supervised[leg] = self._supervisors[call, by] = agent

    def _is_supervision_of_others(self, event: ev.Event, contact: ContactId | None) -> bool:
        """Whether it tells of a supervisor in a call, and neither is this agent the one, nor is it the agent's conversation."""
        if isinstance(event, ev.LegInitiated) and event.role == "supervisor":
            return event.agent != self._agent  # whose conversation it is, is known a moment later: that is told then
        supervised = self._supervised.get(getattr(event, "leg", ""))
        who = getattr(event, "agent", None)
        if supervised is None and contact is not None and who is not None:
            supervised = self._supervisors.get((CallId(contact), who))
        return supervised is not None and supervised != self._agent

    def _is_own(self, event: ev.Event) -> bool:
        if isinstance(event, ev.OfferMade):
            return self._agent in event.decision.chosen
        return getattr(event, "agent", None) == self._agent

    def _forget(self, event: ev.Event) -> None:
        """What is over, and a message that has gone on to somebody else, which is no more this agent's to read."""
        match event:
            case ev.CallCleared(call=call):
                self._legs = {leg: of for leg, of in self._legs.items() if of != call}
                self._contacts.discard(call)
                self._supervised = {leg: of for leg, of in self._supervised.items() if leg in self._legs}
                self._supervisors = {key: of for key, of in self._supervisors.items() if key[0] != call}
            case ev.ContactClosed(contact=contact):
                self._contacts.discard(contact)
            case ev.WorkDone(contact=contact, agent=self._agent) if call_of(contact) is None:
                self._contacts.discard(contact)
            case _:
                pass


def for_everybody(live: LiveEvent) -> bool:
    """What a supervisor may see: all but private events."""
    return live.only_agent is None and not isinstance(live.event, ScreenPop) and leaves(live.event)


# ---------------------------------------------------------------------- as it is told


def told_live(live: LiveEvent) -> str:
    """An event as the WebSocket sends it."""
    return written(message_of(live))


# ---------------------------------------------------------------------- the board


def live_for(state: LiveState, agent: AgentId | None) -> LiveState:
    """The board as an agent may see it: customers of the own calls and contacts only, registrations of the own device only."""
    own: set[ContactId] = set()
    if agent is not None:  # parties outside have no agent either
        own = {call.id for call in state.calls if any(party.agent == agent for party in call.parties)}
        own |= {work.contact for one in state.agents if one.id == agent for work in one.work}
    replace = msgspec.structs.replace
    hidden = {
        (call.id, party.agent)
        for call in state.calls
        for party in call.parties
        if party.supervises is not None and agent not in (party.agent, party.supervises)
    }
    state = _without(state, hidden) if hidden else state
    return replace(
        state,
        queues=tuple(
            replace(queue, waiting=tuple(entry if entry.contact in own else replace(entry, calling=None) for entry in queue.waiting))
            for queue in state.queues
        ),
        calls=tuple(
            call
            if call.id in own
            else replace(
                call,
                calling=None,
                called=call.called if call.direction == "inbound" else "",
                parties=tuple(replace(party, number=None) for party in call.parties),
            )
            for call in state.calls
        ),
        contacts=tuple(one if one.id in own else replace(one, customer=None, subject=None) for one in state.contacts),
        registrations=tuple(one for one in state.registrations if one.agent == agent),
    )


def _without(state: LiveState, hidden: set[tuple[CallId, AgentId | None]]) -> LiveState:
    """The board without these supervisors at these calls; that they are busy is seen."""
    replace = msgspec.structs.replace
    return replace(
        state,
        agents=tuple(
            replace(one, work=tuple(work for work in one.work if (work.call, one.id) not in hidden)) if one.work else one
            for one in state.agents
        ),
        calls=tuple(
            replace(
                call, parties=tuple(party for party in call.parties if party.supervises is None or (call.id, party.agent) not in hidden)
            )
            for call in state.calls
        ),
    )
