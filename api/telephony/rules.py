"""Which live events a person may see. Pure; a fold over the events themselves.

Supervisors and admins see everything of their tenant except screen pops meant for others. An agent sees agents' states, queue
movements without numbers, and the calls the agent has a part in. Who has the role of an agent and is none (an API key, a user without an
agent) has a part in no call.
"""

from __future__ import annotations

from typing import Any

import msgspec

from acd.core import events as ev
from acd.core.ids import AgentId, CallId, ContactId
from acd.core.live import LiveState
from acd.service import LiveEvent, ScreenPop

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


class AgentView:
    """What of the stream one agent may see."""

    def __init__(self, agent: AgentId | None) -> None:
        self._agent = agent
        self._calls: set[CallId] = set()
        self._legs: dict[str, CallId] = {}

    def admits(self, live: LiveEvent) -> bool:
        """Whether the agent may see it; call it with every event, in order."""
        event = live.event
        if self._agent is None:
            return live.only_agent is None and isinstance(event, _PUBLIC)
        if live.only_agent is not None or isinstance(event, ScreenPop):
            return live.only_agent == self._agent
        if isinstance(event, ev.LegInitiated):
            self._legs[event.leg] = event.call
        call = getattr(event, "call", None) or self._legs.get(getattr(event, "leg", ""))
        if getattr(event, "agent", None) == self._agent:
            if call is not None:
                self._calls.add(call)
            return True
        if isinstance(event, ev.CallCleared):
            self._legs = {leg: of for leg, of in self._legs.items() if of != event.call}
            mine = event.call in self._calls
            self._calls.discard(event.call)
            return mine
        return isinstance(event, _PUBLIC) or call in self._calls


def for_everybody(live: LiveEvent) -> bool:
    """What a supervisor may see: all but private events."""
    return live.only_agent is None and not isinstance(live.event, (ScreenPop, ev.ConfigurationChanged, ev.ConfigurationAltered))


def encoded(message: Any) -> str:
    """JSON as the WebSocket sends it."""
    return msgspec.json.encode(message).decode()


def live_for(state: LiveState, agent: AgentId | None) -> LiveState:
    """The board as an agent may see it: numbers of the own calls only, registrations of the own device only."""
    own: set[ContactId] = set()
    if agent is not None:  # parties outside have no agent either
        own = {call.id for call in state.calls if any(party.agent == agent for party in call.parties)}
        own |= {work.contact for one in state.agents if one.id == agent for work in one.work}
    replace = msgspec.structs.replace
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
        registrations=tuple(one for one in state.registrations if one.agent == agent),
    )
