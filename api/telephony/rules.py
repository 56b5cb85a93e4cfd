"""Which live events a person may see. Pure; a fold over the events themselves, one for all people of a tenant.

Supervisors and admins see everything of their tenant except screen pops meant for others. An agent sees agents' states, queue
movements without numbers, the calls the agent has a part in, and the messages and callbacks that it is offered or has. Who has the role of
an agent and is none (an API key, a user without an agent) has a part in none. That somebody supervises a conversation is for the supervisor
and for whose conversation it is, and not for the other agents in the same call.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, get_args, get_type_hints

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


class Seen(NamedTuple):
    """Who may see an event."""

    public: bool
    """Everybody of the tenant; what follows says nothing then."""
    supervisors: bool
    """Whoever sees everything of the tenant."""
    agents: Collection[AgentId]


_NOBODY = Seen(public=False, supervisors=False, agents=())
_EVERYBODY = Seen(public=True, supervisors=True, agents=())


class Audience:
    """Who has a part in what, of a whole tenant."""

    def __init__(self) -> None:
        self._parts: dict[ContactId, set[AgentId]] = {}
        """Who is offered a contact or has it; of calls who had it before, too, until they are over."""
        self._legs: dict[str, CallId] = {}
        self._of_call: dict[CallId, set[str]] = {}
        """Their legs."""
        self._supervised: dict[str, tuple[AgentId, AgentId]] = {}
        """Who supervises, and whose conversation, by the supervisor's leg."""
        self._supervisors: dict[CallId, dict[AgentId, AgentId]] = {}
        """The supervised agent by who supervises, until that has ended its work there."""

    def begins_at(self, state: LiveState, parts: Mapping[CallId, Collection[AgentId]]) -> None:
        """What everybody is in the middle of when the stream begins: what comes of it is theirs.

        Args:
            parts: who has, or had, a part in the calls that are up, as their records will say; others than who has one now.
        """
        calls = {call.id for call in state.calls}
        open_now = {*calls, *(one.id for one in state.contacts)}
        for agent in state.agents:
            for work in agent.work:
                if work.contact in open_now:  # after-call work of what is over is told by events that name the agent
                    self._parts.setdefault(work.contact, set()).add(agent.id)
        for call in state.calls:
            had = self._parts.setdefault(call.id, set())
            had |= {*parts.get(call.id, ()), *(party.agent for party in call.parties if party.agent is not None)}
            for party in call.parties:
                self._note_leg(party.leg, call.id)
                if party.agent is not None and party.supervises is not None:
                    self._note_supervision(call.id, party.leg, party.agent, party.supervises)

    def of(self, live: LiveEvent) -> Seen:
        """Who may see it; call it with every event, in order."""
        event = live.event
        if live.only_agent is not None or isinstance(event, ScreenPop):
            return _NOBODY if live.only_agent is None else Seen(public=False, supervisors=False, agents=(live.only_agent,))
        if isinstance(event, ev.LegInitiated):
            self._note_leg(event.leg, event.call)
        elif isinstance(event, ev.SupervisionBegan):
            self._note_supervision(event.call, event.leg, event.by, event.agent)
        if isinstance(event, _PUBLIC):
            return _EVERYBODY
        if not leaves(event):
            return _NOBODY
        contact = self._about(event)
        own: Collection[AgentId] = event.decision.chosen if isinstance(event, ev.OfferMade) else _own(event)
        only = self._of_supervision(event, contact)
        if only is not None:
            own = [agent for agent in own if agent in only]
        if own and contact is not None and isinstance(event, _BEGINNINGS):
            self._parts.setdefault(contact, set()).update(own)
        agents = {*own, *self._parts.get(contact, ())} if contact is not None else set(own)
        if only is not None:
            agents &= only
        self._forget(event)
        return Seen(public=False, supervisors=True, agents=agents)

    def _about(self, event: ev.Event) -> ContactId | None:
        """The contact that the event is about."""
        if type(event) in _OF_CONTACTS:
            found: ContactId = getattr(event, "contact")  # noqa: B009 - of a union
            return found
        return getattr(event, "call", None) or self._legs.get(getattr(event, "leg", ""))

    def _note_leg(self, leg: str, call: CallId) -> None:
        self._legs[leg] = call
        self._of_call.setdefault(call, set()).add(leg)

    def _note_supervision(self, call: CallId, leg: str, by: AgentId, agent: AgentId) -> None:
        self._supervised[leg] = by, agent
        self._supervisors.setdefault(call, {})[by] = agent

    def _of_supervision(self, event: ev.Event, contact: ContactId | None) -> set[AgentId] | None:
        """What tells of a supervisor in a call is for the supervisor and for whose conversation it is; None: it tells of none."""
        if isinstance(event, ev.LegInitiated) and event.role == "supervisor":
            return set(_own(event))  # whose conversation it is, is known a moment later: that is told then
        pair = self._supervised.get(getattr(event, "leg", ""))
        if pair is not None:
            return set(pair)
        who: AgentId | None = getattr(event, "agent", None)
        if contact is None or who is None:
            return None
        supervised = self._supervisors.get(CallId(contact), {}).get(who)
        return None if supervised is None else {who, supervised}

    def _forget(self, event: ev.Event) -> None:
        """What is over, and a message that has gone on to somebody else, which is no more the first agent's to read."""
        match event:
            case ev.CallCleared(call=call):
                self._parts.pop(call, None)
                self._supervisors.pop(call, None)
                for leg in self._of_call.pop(call, ()):
                    self._legs.pop(leg, None)
                    self._supervised.pop(leg, None)
            case ev.ContactClosed(contact=contact):
                self._parts.pop(contact, None)
            case ev.WorkDone(contact=contact, agent=agent) if call_of(contact) is None:
                self._parts.get(contact, set()).discard(agent)
            case _:
                pass


def _own(event: ev.Event) -> tuple[AgentId, ...]:
    agent: AgentId | None = getattr(event, "agent", None)
    return () if agent is None else (agent,)


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
