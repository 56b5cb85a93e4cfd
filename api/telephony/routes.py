"""Routes of telephony: the desk's commands, the live board, decision records, quotes. No call state is held here."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response, status

from acd.core import inputs as inp
from acd.core.configuration import Target
from acd.core.ids import AgentId
from acd.core.live import LiveState
from api.contract import board_of, quote_of
from api.errors import NotFound, responses
from api.identity import Access, Role
from api.kit.numbers import DialledNow
from api.telephony.desk import REFUSALS, AgentKey, CallKey, at_desk, carry_out, decisions_of, why_of
from api.telephony.errors import NoPhone, told
from api.telephony.permissions import ReadsCalls, ReadsQuotes, Supervises, WritesDesk
from api.telephony.rules import live_for
from api.telephony.schemas import (
    AnnounceGiven,
    ConsultGiven,
    Decisions,
    DialGiven,
    DispositionGiven,
    Done,
    LogOnGiven,
    NotReadyGiven,
    OfContact,
    QuoteTold,
    SuperviseGiven,
    TransferGiven,
    WhyWaiting,
)
from api.telephony_setup import must_have_sounds

router = APIRouter(prefix="/api/v1", tags=["telephony"])


@router.post("/agents/{agent}/log-on", operation_id="logOn", responses=REFUSALS)
async def log_on(access: WritesDesk, agent: AgentKey, given: LogOnGiven = LogOnGiven()) -> Done:  # noqa: B008 - frozen by use
    """Begin the shift."""
    return await carry_out(access, inp.LogOn(**at_desk(access, agent), ready=given.ready))


@router.post("/agents/{agent}/log-off", operation_id="logOff", responses=REFUSALS)
async def log_off(access: WritesDesk, agent: AgentKey) -> Done:
    """End the shift; during a call it holds after it."""
    return await carry_out(access, inp.LogOff(**at_desk(access, agent)))


@router.post("/agents/{agent}/ready", operation_id="goReady", responses=REFUSALS)
async def ready(access: WritesDesk, agent: AgentKey) -> Done:
    """Take calls from now on."""
    return await carry_out(access, inp.GoReady(**at_desk(access, agent)))


@router.post("/agents/{agent}/not-ready", operation_id="goNotReady", responses=REFUSALS)
async def not_ready(access: WritesDesk, agent: AgentKey, given: NotReadyGiven) -> Done:
    """Take no calls from now on; during a call it holds after it."""
    return await carry_out(access, inp.GoNotReady(**at_desk(access, agent), reason=given.reason))


@router.post("/agents/{agent}/end-after-call-work", operation_id="endAfterCallWork", responses=REFUSALS)
async def end_after_call_work(access: WritesDesk, agent: AgentKey, given: OfContact = OfContact()) -> Done:  # noqa: B008 - frozen by use
    """End after-call work before its time: that of one contact, or all there is."""
    return await carry_out(access, inp.EndAfterCallWork(**at_desk(access, agent), contact=given.meant))


@router.post("/agents/{agent}/end-acw", operation_id="endAcw", responses=REFUSALS, deprecated=True)
async def end_acw(access: WritesDesk, agent: AgentKey) -> Done:
    """The older name of `end-after-call-work`."""
    return await carry_out(access, inp.EndAfterCallWork(**at_desk(access, agent)))


@router.post("/agents/{agent}/dial", operation_id="dial", responses=REFUSALS)
async def dial(access: WritesDesk, agent: AgentKey, given: DialGiven) -> Done:
    """Click-to-dial: the agent's phone rings first, then the number. Outside numbers are priced before they are placed."""
    async with access.outside() as voice:
        call = voice.mint_call()
    return await carry_out(access, inp.Dial(**at_desk(access, agent), call=call, number=given.number), call=call)


@router.post("/agents/{agent}/answer", operation_id="answer", responses=REFUSALS)
async def answer(access: WritesDesk, agent: AgentKey, given: OfContact = OfContact()) -> Done:  # noqa: B008 - frozen by use
    """Take what is offered: `contact`, or the first. A message or callback is the agent's at once. Of a call the agent's phone is asked to
    take it; answered when it has. 409 `phone-refused` says what the phone said in its place.
    """
    return await carry_out(access, inp.Answer(**at_desk(access, agent), contact=given.meant))


@router.post("/agents/{agent}/decline", operation_id="decline", responses=REFUSALS)
async def decline(access: WritesDesk, agent: AgentKey, given: OfContact = OfContact()) -> Done:  # noqa: B008 - frozen by use
    """Do not take what is offered: `contact`, or the first; the customer keeps the place in the queue."""
    return await carry_out(access, inp.Decline(**at_desk(access, agent), contact=given.meant))


@router.post("/agents/{agent}/calls/{call}/hold", operation_id="hold", responses=REFUSALS)
async def hold(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """Put the other party on hold."""
    return await carry_out(access, inp.Hold(**at_desk(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/retrieve", operation_id="retrieve", responses=REFUSALS)
async def retrieve(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """Speak with the held party again."""
    return await carry_out(access, inp.Retrieve(**at_desk(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/take-back", operation_id="takeBack", responses=REFUSALS)
async def take_back(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """Go on with a call in which the agent's page was lost: the phone is rung, which answers by itself."""
    return await carry_out(access, inp.TakeBack(**at_desk(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/hang-up", operation_id="hangUp", responses=REFUSALS)
async def hang_up(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """End the call."""
    return await carry_out(access, inp.HangUp(**at_desk(access, agent), call=call))


async def _target(access: Access, given: TransferGiven | ConsultGiven) -> Target:
    """Raises: NoSuchSound: of an announcement."""
    document = given.model_dump(mode="json")
    await must_have_sounds(access.session, document)
    target: Target = msgspec.convert(document["target"], Target)
    return target


@router.post("/agents/{agent}/calls/{call}/transfer", operation_id="transfer", responses=REFUSALS)
async def transfer(access: WritesDesk, agent: AgentKey, call: CallKey, given: TransferGiven) -> Done:
    """Blind transfer: the agent's part ends, the other party goes to the target."""
    target = await _target(access, given)
    return await carry_out(access, inp.Transfer(**at_desk(access, agent), call=call, target=target))


@router.post("/agents/{agent}/calls/{call}/consult", operation_id="consult", responses=REFUSALS)
async def consult(access: WritesDesk, agent: AgentKey, call: CallKey, given: ConsultGiven) -> Done:
    """Hold the others and ask somebody. The agent hears what a caller would, ring-back, a queue's music, a menu; whatever comes to nothing
    gives it back to those it holds.
    """
    target = await _target(access, given)
    return await carry_out(access, inp.Consult(**at_desk(access, agent), call=call, target=target))


@router.post("/agents/{agent}/calls/{call}/alternate", operation_id="alternate", responses=REFUSALS)
async def alternate(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """Speak with the other side of a consultation, and hold the one spoken with."""
    return await carry_out(access, inp.Alternate(**at_desk(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/reconnect", operation_id="reconnect", responses=REFUSALS)
async def reconnect(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """End a consultation, answered or not, and speak with who was held."""
    return await carry_out(access, inp.Reconnect(**at_desk(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/conference", operation_id="conference", responses=REFUSALS)
async def conference(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """Let all sides of a consultation hear each other; who was asked must have answered."""
    return await carry_out(access, inp.Conference(**at_desk(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/complete", operation_id="completeTransfer", responses=REFUSALS)
async def complete(access: WritesDesk, agent: AgentKey, call: CallKey) -> Done:
    """Leave a consultation to the others: who was held has who was asked. Not answered yet: who was held waits in the agent's place,
    and the agent has the call back if nobody takes it.
    """
    return await carry_out(access, inp.CompleteTransfer(**at_desk(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/announce", operation_id="announce", responses=REFUSALS)
async def announce(access: WritesDesk, agent: AgentKey, call: CallKey, given: AnnounceGiven) -> Done:
    """Let one side of the conversation hear sounds; the other side hears nothing of them, and who is on hold keeps its music."""
    await must_have_sounds(access.session, given.model_dump(mode="json"))
    return await carry_out(access, inp.Announce(**at_desk(access, agent), call=call, sounds=given.sounds, to=given.to))


@router.post("/agents/{agent}/calls/{call}/disposition", operation_id="setDisposition", responses=REFUSALS)
async def disposition(access: WritesDesk, agent: AgentKey, call: CallKey, given: DispositionGiven) -> Done:
    """How the work ended, in the tenant's own codes."""
    return await carry_out(access, inp.SetDisposition(**at_desk(access, agent), contact=call, code=given.code))


@router.post("/calls/{call}/supervise", operation_id="supervise", responses=REFUSALS)
async def supervise(access: Supervises, call: CallKey, given: SuperviseGiven = SuperviseGiven()) -> Done:  # noqa: B008 - frozen by use
    """Hear an agent's conversation: the phone of your own agent is rung. Once you are there, the same changes how you hear it. It ends with
    `hang-up` at your own desk, `decline` while the phone rings.
    """
    own = access.principal.agent
    if own is None:
        async with access.outside() as voice:
            if all(one.id != call for one in (await voice.live(access.tenant)).calls):
                raise NotFound(f"there is no call {call}")
        raise NoPhone
    supervised = AgentId(given.agent) if given.agent is not None else None
    return await carry_out(access, inp.Supervise(agent=own, call=call, supervised=supervised, mode=given.mode))


@router.delete("/calls/{call}", operation_id="clearCall", responses=REFUSALS)
async def clear_call(access: Supervises, call: CallKey) -> Done:
    """A supervisor ends a call."""
    return await carry_out(access, inp.ClearCall(call=call, by=access.principal.name))


_LIVE_SCHEMA: dict[int | str, dict[str, Any]] = {
    status.HTTP_200_OK: {
        "description": "Queues, agents, calls, lines and trunks at this moment.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LiveState"}}},
    }
}


@router.get("/live", operation_id="getLive", responses=_LIVE_SCHEMA, response_class=Response)
async def live(access: ReadsCalls) -> Response:
    """The live board. Agents see the numbers of their own calls only."""
    async with access.outside() as voice:
        state: LiveState = await voice.live(access.tenant)
    shown = live_for(state, access.principal.agent) if access.principal.role == Role.AGENT else state
    return Response(msgspec.json.encode(board_of(shown)), media_type="application/json")


@router.get("/calls/{call}/decisions", operation_id="getDecisions", responses=responses(NotFound))
async def decisions(access: ReadsCalls, call: CallKey) -> Decisions:
    """Why each offer of the call went to whom it went: candidates, filters, terms, tie-break."""
    return await decisions_of(access, call)


@router.get("/calls/{call}/why-waiting", operation_id="getWhyWaiting", responses=responses(NotFound))
async def why_waiting(access: ReadsCalls, call: CallKey) -> WhyWaiting:
    """What stands between a waiting caller and every agent at this moment; 404 when the call waits in no queue."""
    return await why_of(access, call)


@router.get("/quote", operation_id="getQuote", responses=REFUSALS)
async def quote(access: ReadsQuotes, number: Annotated[DialledNow, Query()]) -> QuoteTold:
    """The price of a call to a number from now, before it is placed."""
    async with access.outside() as voice:
        with told():
            found = await voice.quote(access.tenant, number)
    return QuoteTold(number=number, quote=quote_of(found))
