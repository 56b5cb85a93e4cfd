"""Names in commands and what they stand for; a name that stands for nothing is refused (HTTP 404)."""

from __future__ import annotations

from acd.core.errors import UnknownName
from acd.core.ids import AgentId, CallId, ContactId
from acd.core.state import values as s
from acd.core.steps.step import Step


def agent_of(x: Step, name: AgentId) -> s.Agent:
    """Somebody who is configured."""
    agent = x.state.agents.get(name)
    if agent is None or name not in x.fold.index.agents:
        raise UnknownName("agent", name)
    return agent


def call_of(x: Step, name: CallId) -> s.Call:
    """A call that is up."""
    call = x.state.calls.get(name)
    if call is None:
        raise UnknownName("call", name)
    return call


def contact_of(x: Step, name: ContactId) -> s.Contact:
    """A contact that is open, a call or not."""
    contact = x.state.contacts.get(name)
    if contact is None:
        raise UnknownName("contact", name)
    return contact
