"""Routes of telephony: the desk's commands, the live board, decision records, quotes. No call state is held here."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response, status

from acd.core import inputs
from acd.core.configuration import Target
from acd.core.events import shown
from acd.core.ids import AgentId, CallId
from acd.core.inputs import Command
from acd.core.live import LiveState
from api.errors import Conflict, NotFound, responses
from api.identity import Access, ForAll, ForDesk, ForSupervisors, Role
from api.kit.numbers import DialledNow
from api.telephony.errors import NoDesk, NotYourDesk, told
from api.telephony.rules import live_for
from api.telephony.schemas import (
    Decisions,
    DialGiven,
    DispositionGiven,
    Done,
    LogOnGiven,
    NotReadyGiven,
    QuoteTold,
    TransferGiven,
    WhyWaiting,
)

router = APIRouter(prefix="/api/v1", tags=["telephony"])

AgentKey = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="An agent, or `me`.")]
CallKey = Annotated[CallId, Path(max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$")]
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


def _at(access: Access, agent: str) -> dict[str, Any]:
    """The desk that is meant, and who acts there if that is not its agent: what every command at a desk begins with.

    Raises: NoDesk, NotYourDesk
    """
    whose = desk_of(access, agent)
    return {"agent": whose, "by": None if whose == access.principal.agent else access.principal.name}


async def _do(access: Access, command: Command, call: str | None = None) -> Done:
    with told():
        events = await access.house.voice.command(access.tenant, command)
    return Done(events=[msgspec.to_builtins(shown(event)) for event in events], call=call)


@router.post("/agents/{agent}/log-on", operation_id="logOn", responses=REFUSALS)
async def log_on(access: ForDesk, agent: AgentKey, given: LogOnGiven = LogOnGiven()) -> Done:  # noqa: B008 - frozen by use
    """Begin the shift."""
    return await _do(access, inputs.LogOn(**_at(access, agent), ready=given.ready))


@router.post("/agents/{agent}/log-off", operation_id="logOff", responses=REFUSALS)
async def log_off(access: ForDesk, agent: AgentKey) -> Done:
    """End the shift; during a call it holds after it."""
    return await _do(access, inputs.LogOff(**_at(access, agent)))


@router.post("/agents/{agent}/ready", operation_id="goReady", responses=REFUSALS)
async def ready(access: ForDesk, agent: AgentKey) -> Done:
    """Take calls from now on."""
    return await _do(access, inputs.GoReady(**_at(access, agent)))


@router.post("/agents/{agent}/not-ready", operation_id="goNotReady", responses=REFUSALS)
async def not_ready(access: ForDesk, agent: AgentKey, given: NotReadyGiven) -> Done:
    """Take no calls from now on; during a call it holds after it."""
    return await _do(access, inputs.GoNotReady(**_at(access, agent), reason=given.reason))


@router.post("/agents/{agent}/end-acw", operation_id="endAfterCallWork", responses=REFUSALS)
async def end_after_call_work(access: ForDesk, agent: AgentKey) -> Done:
    """End the after-call work before its time."""
    return await _do(access, inputs.EndAfterCallWork(**_at(access, agent)))


@router.post("/agents/{agent}/dial", operation_id="dial", responses=REFUSALS)
async def dial(access: ForDesk, agent: AgentKey, given: DialGiven) -> Done:
    """Click-to-dial: the agent's phone rings first, then the number. Outside numbers are priced before they are placed."""
    call = access.house.voice.mint_call()
    return await _do(access, inputs.Dial(**_at(access, agent), call=call, number=given.number), call)


@router.post("/agents/{agent}/answer", operation_id="answer", responses=REFUSALS)
async def answer(access: ForDesk, agent: AgentKey) -> Done:
    """Have the agent's phone take the offered call; answered when it has. 409 `phone-refused` says what the phone said in its place."""
    return await _do(access, inputs.Answer(**_at(access, agent)))


@router.post("/agents/{agent}/decline", operation_id="decline", responses=REFUSALS)
async def decline(access: ForDesk, agent: AgentKey) -> Done:
    """Do not take the offered call; the caller keeps the place in the queue."""
    return await _do(access, inputs.Decline(**_at(access, agent)))


@router.post("/agents/{agent}/calls/{call}/hold", operation_id="hold", responses=REFUSALS)
async def hold(access: ForDesk, agent: AgentKey, call: CallKey) -> Done:
    """Put the other party on hold."""
    return await _do(access, inputs.Hold(**_at(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/retrieve", operation_id="retrieve", responses=REFUSALS)
async def retrieve(access: ForDesk, agent: AgentKey, call: CallKey) -> Done:
    """Speak with the held party again."""
    return await _do(access, inputs.Retrieve(**_at(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/hang-up", operation_id="hangUp", responses=REFUSALS)
async def hang_up(access: ForDesk, agent: AgentKey, call: CallKey) -> Done:
    """End the call."""
    return await _do(access, inputs.HangUp(**_at(access, agent), call=call))


@router.post("/agents/{agent}/calls/{call}/transfer", operation_id="transfer", responses=REFUSALS)
async def transfer(access: ForDesk, agent: AgentKey, call: CallKey, given: TransferGiven) -> Done:
    """Blind transfer: the agent's part ends, the other party goes to the target."""
    target = msgspec.convert(given.target.model_dump(mode="json"), Target)
    return await _do(access, inputs.Transfer(**_at(access, agent), call=call, target=target))


@router.post("/agents/{agent}/calls/{call}/disposition", operation_id="setDisposition", responses=REFUSALS)
async def disposition(access: ForDesk, agent: AgentKey, call: CallKey, given: DispositionGiven) -> Done:
    """How the work ended, in the tenant's own codes."""
    return await _do(access, inputs.SetDisposition(**_at(access, agent), contact=call, code=given.code))


@router.delete("/calls/{call}", operation_id="clearCall", responses=REFUSALS)
async def clear_call(access: ForSupervisors, call: CallKey) -> Done:
    """A supervisor ends a call."""
    return await _do(access, inputs.ClearCall(call=call, by=access.principal.name))


_LIVE_SCHEMA: dict[int | str, dict[str, Any]] = {
    status.HTTP_200_OK: {
        "description": "Queues, agents, calls, lines and trunks at this moment.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LiveState"}}},
    }
}


@router.get("/live", operation_id="getLive", responses=_LIVE_SCHEMA, response_class=Response)
async def live(access: ForDesk) -> Response:
    """The live board. Agents see the numbers of their own calls only."""
    state: LiveState = access.house.voice.live(access.tenant)
    shown = live_for(state, access.principal.agent) if access.principal.role == Role.AGENT else state
    return Response(msgspec.json.encode(shown), media_type="application/json")


@router.get("/calls/{call}/decisions", operation_id="getDecisions", responses=responses(NotFound))
async def decisions(access: ForDesk, call: CallKey) -> Decisions:
    """Why each offer of the call went to whom it went: candidates, filters, terms, tie-break."""
    with told():
        found = await access.house.voice.decisions(access.tenant, call)
    if not found:
        raise NotFound(f"No offer of a call {call} is known.")
    return Decisions(call=call, decisions=msgspec.to_builtins(found))


@router.get("/calls/{call}/why-waiting", operation_id="getWhyWaiting", responses=responses(NotFound))
async def why_waiting(access: ForDesk, call: CallKey) -> WhyWaiting:
    """What stands between a waiting caller and every agent at this moment; 404 when the call waits in no queue."""
    with told():
        found = access.house.voice.why_waiting(access.tenant, call)
    return WhyWaiting(call=call, **found)


@router.get("/quote", operation_id="getQuote", responses=REFUSALS)
async def quote(access: ForAll, number: Annotated[DialledNow, Query()]) -> QuoteTold:
    """The price of a call to a number from now, before it is placed."""
    with told():
        found = await access.house.voice.quote(access.tenant, number)
    return QuoteTold(number=number, quote=msgspec.to_builtins(found, str_keys=True))
