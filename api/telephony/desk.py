"""What every command at a desk begins and ends with: whose desk it is, who acts there, and what the exchange has answered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

from acd.core.ids import AgentId, CallId, ContactId
from acd.core.inputs import Command
from api.contract import call_of, decision_of, event_of
from api.errors import Conflict, NotFound, responses
from api.identity import Access, Role
from api.telephony.errors import NoDesk, NotYourDesk, told
from api.telephony.schemas import Decisions, Done, WhyWaiting

AgentKey = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="An agent, or `me`.")]
CallKey = Annotated[CallId, Path(max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$")]
ContactKey = Annotated[
    ContactId, Path(max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$", description="A message or callback, `<channel>:…`, or a call.")
]
REFUSALS = responses(NotFound, Conflict)


def desk_of(access: Access, agent: str) -> AgentId:
    """The agent who is meant.

    Raises: NoDesk, NotYourDesk
    """
    own = access.principal.agent
    if agent == "me":
        if own is None:
            raise NoDesk
        return own
    if access.principal.role == Role.AGENT and agent != own:
        raise NotYourDesk(agent)
    return AgentId(agent)


def at_desk(access: Access, agent: str) -> dict[str, Any]:
    """The desk that is meant, and who acts there if that is not its agent: what every command at a desk begins with.

    Raises: NoDesk, NotYourDesk
    """
    whose = desk_of(access, agent)
    return {"agent": whose, "by": None if whose == access.principal.agent else access.principal.name}


async def carry_out(access: Access, command: Command, *, call: str | None = None, contact: str | None = None) -> Done:
    """Let the exchange do it; returns when its events are on disk.

    Raises: the problems of `api.telephony.errors`
    """
    async with access.outside() as voice:
        with told():
            events = await voice.command(access.tenant, command)
    return Done(events=[event_of(event) for event in events], call=call, contact=contact)


async def decisions_of(access: Access, contact: ContactId) -> Decisions:
    """Why each offer of a contact went to whom it went.

    Raises: NotFound: none is known.
    """
    async with access.outside() as voice:
        with told():
            found = await voice.decisions(access.tenant, contact)
    if not found:
        raise NotFound(f"No offer of a {_kind(contact)} {contact} is known.")
    return Decisions(contact=contact, call=call_of(contact), decisions=[decision_of(one) for one in found])


async def why_of(access: Access, contact: ContactId) -> WhyWaiting:
    """What stands between a waiting contact and every agent.

    Raises: NotFound: it waits in no queue.
    """
    async with access.outside() as voice:
        with told():
            found = voice.why_waiting(access.tenant, contact)
    return WhyWaiting(contact=contact, call=call_of(contact), **found)


def _kind(contact: ContactId) -> str:
    return "contact" if call_of(contact) is None else "call"
