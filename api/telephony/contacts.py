"""Routes of contacts that are no calls, and of what supervisors do with those that wait. What they mean: `acd.core.channels`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response, status

from acd.core import inputs as inp
from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import SkillRequirement
from acd.core.errors import UnknownName
from acd.core.ids import AgentId, ContactId, QueueId, channel_of
from acd.core.live import WholeContact
from api.errors import NotFound, Unprocessable, responses
from api.identity import Access, Role
from api.telephony.desk import REFUSALS, AgentKey, ContactKey, at_desk, carry_out, decisions_of, why_of
from api.telephony.permissions import ReadsCalls, WritesDesk, WritesWaiting
from api.telephony.schemas import (
    AssignGiven,
    CallbackGiven,
    ContactStanding,
    Decisions,
    DispositionGiven,
    Done,
    MessageGiven,
    MessageStanding,
    MoveGiven,
    OfContact,
    PrioritiseGiven,
    ReskillGiven,
    WhyWaiting,
)

router = APIRouter(prefix="/api/v1", tags=["telephony"])

ForCustomer = Annotated[bool, Query(description="The customer takes it back: it counts as abandoned, and not as ended by a supervisor.")]


# ---------------------------------------------------------------------- messages and callbacks


async def _open(access: Access, response: Response, path: str, channel: str, **given: Any) -> Done:
    """Let it stand in its queue; the answer says where it can be read from now on."""
    async with access.outside() as voice:
        access.services.databases.quotas.ask_open(access.tenant, voice.open_contacts(access.tenant))
        contact = voice.mint_contact(channel)
    done = await carry_out(access, inp.OpenContact(contact=contact, channel=channel, **given), contact=contact)
    response.headers["Location"] = f"/api/v1/{path}/{contact}"
    return done


async def _found(access: Access, contact: ContactId, behaviour: str) -> WholeContact:
    """A contact that is open; for an agent, one that it is offered or has.

    Raises: NotFound
    """
    kind = CHANNELS.get(channel_of(contact))
    nothing = NotFound(f"There is no {behaviour} {contact}, or it is done with.")
    if kind is None or kind.behaviour != behaviour:
        raise nothing
    async with access.outside() as voice:
        try:
            found = voice.contact(access.tenant, contact)
        except UnknownName:
            raise nothing from None
    if access.principal.role == Role.AGENT and access.principal.agent not in found.contact.agents:
        raise nothing
    return found


def _standing(whole: WholeContact) -> dict[str, Any]:
    one = whole.contact
    return {
        "contact": one.id,
        "channel": one.channel,
        "customer": one.customer,
        "subject": one.subject,
        "language": one.language,
        "queue": one.queue,
        "personal": whole.personal,
        "priority_s": whole.priority_s,
        "state": one.state,
        "agents": list(one.agents),
        "opened_at": one.began_at,
    }


async def _withdraw(access: Access, contact: ContactId, behaviour: str, *, for_customer: bool) -> Done:
    await _found(access, contact, behaviour)
    by = None if for_customer else access.principal.name
    return await carry_out(access, inp.WithdrawContact(contact=contact, by=by))


@router.post("/messages", operation_id="createMessage", status_code=status.HTTP_201_CREATED, responses=REFUSALS)
async def create_message(access: WritesWaiting, response: Response, given: MessageGiven) -> Done:
    """Somebody has written: it waits in the queue, and is offered to agents as calls are."""
    return await _open(
        access,
        response,
        "messages",
        given.channel,
        queue=QueueId(given.queue),
        customer=given.customer,
        language=given.language,
        subject=given.subject or None,
        text=given.text or None,
        personal=AgentId(given.personal) if given.personal is not None else None,
        priority_s=given.priority_s,
    )


@router.get("/messages/{contact}", operation_id="getMessage", responses=responses(NotFound))
async def get_message(access: ReadsCalls, contact: ContactKey) -> MessageStanding:
    """What was written, and where it stands. Agents read those that they are offered or have; 404 when it is done with."""
    whole = await _found(access, contact, "message")
    return MessageStanding(**_standing(whole), text=whole.text)


@router.delete("/messages/{contact}", operation_id="deleteMessage", responses=REFUSALS)
async def delete_message(access: WritesWaiting, contact: ContactKey, for_customer: ForCustomer = False) -> Done:
    """Take it back, wherever it is: nobody waits for it, is offered it or works at it any more."""
    return await _withdraw(access, contact, "message", for_customer=for_customer)


@router.post("/callbacks", operation_id="createCallback", status_code=status.HTTP_201_CREATED, responses=REFUSALS)
async def create_callback(access: WritesWaiting, response: Response, given: CallbackGiven) -> Done:
    """Somebody wants to be called: it stands in line with those who wait on the telephone, and is offered to agents whose phone can be
    rung. Who takes it dials when it likes, whatever waits; agents who make no calls are not asked.
    """
    return await _open(
        access,
        response,
        "callbacks",
        "callback",
        queue=QueueId(given.queue),
        customer=given.number,
        language=given.language,
        subject=given.subject or None,
        personal=AgentId(given.personal) if given.personal is not None else None,
        since=_kept_since(access, given.since),
    )


LONGEST_KEPT = timedelta(days=7)
"""Nobody waits for a call that long; an older moment is a mistake of whoever wrote it."""


def _kept_since(access: Access, since: datetime | None) -> float | None:
    """Raises: Unprocessable"""
    if since is not None and since < access.services.clock() - LONGEST_KEPT:
        raise Unprocessable(f"since is {since.isoformat()}; a place is kept for {LONGEST_KEPT.days} days at most.")
    return since.timestamp() if since is not None else None


@router.get("/callbacks/{contact}", operation_id="getCallback", responses=responses(NotFound))
async def get_callback(access: ReadsCalls, contact: ContactKey) -> ContactStanding:
    """Who is to be called, and where it stands. Agents read those that they are offered or have; 404 when it is done with."""
    return ContactStanding(**_standing(await _found(access, contact, "callback")))


@router.delete("/callbacks/{contact}", operation_id="deleteCallback", responses=REFUSALS)
async def delete_callback(access: WritesWaiting, contact: ContactKey, for_customer: ForCustomer = False) -> Done:
    """Take it back, wherever it is: nobody is asked to call any more."""
    return await _withdraw(access, contact, "callback", for_customer=for_customer)


# ---------------------------------------------------------------------- at the desk


@router.post("/agents/{agent}/contacts/{contact}/close", operation_id="closeContact", responses=REFUSALS)
async def close_contact(access: WritesDesk, agent: AgentKey, contact: ContactKey) -> Done:
    """The agent has done with a contact that is no call; after-call work follows as its queue says."""
    return await carry_out(access, inp.CloseContact(**at_desk(access, agent), contact=contact))


@router.post("/agents/{agent}/contacts/{contact}/disposition", operation_id="setDispositionOfContact", responses=REFUSALS)
async def disposition_of_contact(access: WritesDesk, agent: AgentKey, contact: ContactKey, given: DispositionGiven) -> Done:
    """How the work ended, in the tenant's own codes; of a call or any other contact."""
    return await carry_out(access, inp.SetDisposition(**at_desk(access, agent), contact=contact, code=given.code))


@router.post("/agents/{agent}/pick", operation_id="pick", responses=REFUSALS)
async def pick(access: WritesDesk, agent: AgentKey, given: OfContact = OfContact()) -> Done:  # noqa: B008 - frozen by use
    """Take a waiting contact out of its turn: `contact`, or the first that the agent could take; by an agent who may (`may_pick`), or by a
    supervisor at its desk.
    """
    return await carry_out(access, inp.Pick(**at_desk(access, agent), contact=given.meant))


# ---------------------------------------------------------------------- who waits


@router.get("/waiting/{contact}/why", operation_id="getWhyContactWaits", responses=responses(NotFound))
async def why_contact_waits(access: ReadsCalls, contact: ContactKey) -> WhyWaiting:
    """What stands between a waiting contact, a call too, and every agent at this moment; 404 when it waits in no queue."""
    return await why_of(access, contact)


@router.get("/waiting/{contact}/decisions", operation_id="getDecisionsOfContact", responses=responses(NotFound))
async def decisions_of_contact(access: ReadsCalls, contact: ContactKey) -> Decisions:
    """Why each offer of a contact, a call too, went to whom it went: candidates, filters, terms, tie-break."""
    return await decisions_of(access, contact)


@router.post("/waiting/{contact}/move", operation_id="moveContact", responses=REFUSALS)
async def move_contact(access: WritesWaiting, contact: ContactKey, given: MoveGiven) -> Done:
    """To another queue, where it stands as if it had come there when it came. Messages and callbacks go from their agent, too."""
    return await carry_out(access, inp.MoveContact(contact=contact, by=access.principal.name, queue=QueueId(given.queue)))


@router.post("/waiting/{contact}/prioritise", operation_id="prioritiseContact", responses=REFUSALS)
async def prioritise_contact(access: WritesWaiting, contact: ContactKey, given: PrioritiseGiven) -> Done:
    """Let it count as having waited longer, instead of what its queue says; the queue's cap holds."""
    return await carry_out(access, inp.PrioritiseContact(contact=contact, by=access.principal.name, priority_s=given.priority_s))


@router.post("/waiting/{contact}/reskill", operation_id="reskillContact", responses=REFUSALS)
async def reskill_contact(access: WritesWaiting, contact: ContactKey, given: ReskillGiven) -> Done:
    """Ask for other skills than its queue does, whatever it has waited."""
    requirements = None
    if given.requirements is not None:
        requirements = msgspec.convert([one.model_dump() for one in given.requirements], tuple[SkillRequirement, ...])
    return await carry_out(access, inp.ReskillContact(contact=contact, by=access.principal.name, requirements=requirements))


@router.post("/waiting/{contact}/assign", operation_id="assignContact", responses=REFUSALS)
async def assign_contact(access: WritesWaiting, contact: ContactKey, given: AssignGiven) -> Done:
    """Offer it to this agent now, out of its turn, whatever its skills; the agent must be logged on and have room for it."""
    return await carry_out(access, inp.AssignContact(contact=contact, by=access.principal.name, agent=AgentId(given.agent)))
