"""Routes that check the line of a page: streams as in calls, echoed for ten seconds and counted by the service (U7)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, status
from pydantic import ConfigDict, Field, StringConstraints

from acd.core.state.bandwidth import FLOOR_KBITS
from acd.service import MOST_STREAMS
from api.kit.schema import Given, Told
from api.telephony.desk import REFUSALS, AgentKey, desk_of
from api.telephony.errors import told
from api.telephony.permissions import WritesDesk

router = APIRouter(prefix="/api/v1", tags=["telephony"])

Description = Annotated[str, StringConstraints(min_length=1, max_length=16_384)]


class LineCheckGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"offers": ["v=0\r\n…"]}]})

    offers: list[Description] = Field(min_length=1, max_length=MOST_STREAMS)
    """SDP offers of as many connections (`RTCPeerConnection.createOffer`), each with one audio track that sends: one for each call that the
    line is to carry at the same time."""


class LineCheckStarted(Told):
    check: str
    answers: list[str]
    """SDP answers, in the order of the offers, for `setRemoteDescription`."""
    lasts_s: float
    """How long is counted, from when all connections are up; keep them open so long."""


class LineCheckStream(Told):
    upload_kbits: float
    """What came from the page, as it is on the wire with SRTP and RTCP."""
    loss: float
    """Of the packets sent from the page, 0 to 1."""
    download_loss: float | None
    """Of the packets sent to the page, as it reports."""
    jitter_ms: float
    round_trip_ms: float | None
    mos: float | None
    """Of what came from the page, 1 to 4.5 (ITU-T G.107)."""


class LineCheckTold(Told):
    check: str
    failure: str | None
    """Why the check did not come to its end."""
    upload_kbits: float | None
    """What each stream had at least; 0 where some never came up; none where nothing can be said about the line."""
    needed_kbits: int
    """What each speech channel needs (R9)."""
    streams: list[LineCheckStream]


@router.post("/agents/{agent}/line-check", operation_id="beginLineCheck", status_code=status.HTTP_201_CREATED, responses=REFUSALS)
async def begin(access: WritesDesk, agent: AgentKey, given: LineCheckGiven) -> LineCheckStarted:
    """Check what the line of this page bears: each stream is PCMA over SRTP as in a call, counted as it comes in, and echoed. A check takes
    ten seconds, and takes line from calls that are up meanwhile.
    """
    whose, offers = desk_of(access, agent), tuple(offer.encode() for offer in given.offers)
    async with access.outside() as voice:
        with told():
            begun = await voice.begin_line_check(access.tenant, whose, access.source or "127.0.0.1", offers)
    return LineCheckStarted(check=begun.check, answers=[answer.decode() for answer in begun.answers], lasts_s=begun.lasts_s)


@router.get("/agents/{agent}/line-check", operation_id="getLineCheck", responses=REFUSALS)
async def outcome(access: WritesDesk, agent: AgentKey) -> LineCheckTold | None:
    """What came of the latest check of this agent: answered when it is over, `null` when none was begun in the last two minutes."""
    whose = desk_of(access, agent)
    async with access.outside() as voice:
        with told():
            found = await voice.line_check(access.tenant, whose)
    if found is None:
        return None
    return LineCheckTold(
        check=found.check,
        failure=found.failure,
        upload_kbits=found.upload_kbits,
        needed_kbits=FLOOR_KBITS,
        streams=[LineCheckStream.model_validate(one) for one in found.streams],
    )
