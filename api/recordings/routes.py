"""Routes of recordings."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response, status
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from acd.core.ids import TenantId
from api.edge.answers import BODILESS
from api.errors import Conflict, Gone, NotFound, Outdated, RangeNotSatisfiable, responses
from api.identity import Access, Role, record_refused
from api.kit.ids import Slug
from api.kit.numbers import Callable_
from api.kit.paging import Page, Paged
from api.kit.period import Period
from api.metrics import Metrics
from api.recordings import files, rules, service
from api.recordings.errors import NotForAgents, RecordingUnknown
from api.recordings.permissions import ReadsRecordings, WritesRecordings
from api.recordings.rules import Span
from api.recordings.schemas import RecordingTold
from api.shared import shared, shared_of
from billing_cdr.recordings import Wanted

router = APIRouter(prefix="/api/v1/recordings", tags=["recordings"])

Key = Annotated[str, Path(max_length=150, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$")]
CallKey = Annotated[str | None, Query(max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$", description="The conversation.")]

_WAVE: dict[str, Any] = {service.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "content": _WAVE},
    206: {"description": "The octets that `Range` asks for.", "content": _WAVE},
    304: {"description": "The client has it: `If-None-Match` names it."},
}


async def _hearer(request: Request, access: ReadsRecordings) -> Access:
    """Agents only where the tenant lets them.

    Raises: NotForAgents
    """
    try:
        await service.require_hearer(access)
    except NotForAgents:
        await record_refused(request, access, service.KIND)
        raise
    return access


ForHearers = Annotated[Access, Depends(_hearer, scope="function")]


def _wanted(
    access: ForHearers,
    began: Period,
    agent: Annotated[Slug | None, Query(description="Was a party of it.")] = None,
    queue: Annotated[Slug | None, Query(description="Of the talk that it recorded.")] = None,
    number: Annotated[Callable_ | None, Query(description="Calling, called, or that of a party; in any notation.")] = None,
    call: CallKey = None,
) -> Wanted:
    own = access.principal.agent if access.principal.role is Role.AGENT else None
    agents = tuple(one for one in (agent, own) if one is not None)
    return Wanted(began_from=began.first, began_before=began.before, agents=agents, queue=queue, number=number, call=call)


@router.get("", operation_id="listRecordings")
async def list_recordings(access: ForHearers, wanted: Annotated[Wanted, Depends(_wanted)], page: Paged) -> Page[RecordingTold]:
    """Recordings that are not deleted, the newest first; an agent's own, where the tenant lets agents hear them."""
    items, following = await service.some(access, wanted, page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.get("/{recording}", operation_id="getRecording", responses=responses(NotFound, Conflict, Gone))
async def get_recording(request: Request, access: ForHearers, recording: Key) -> RecordingTold:
    """One recording."""
    try:
        return await service.one(access, recording)
    except RecordingUnknown:
        await _refused_to_agent(request, access)
        raise


@router.get(
    "/{recording}/audio",
    operation_id="getRecordingAudio",
    response_class=StreamingResponse,
    responses={**_AUDIO, **responses(NotFound, Conflict, Gone, Outdated, RangeNotSatisfiable)},
)
async def get_recording_audio(
    request: Request,
    access: ForHearers,
    recording: Key,
    asked: Annotated[
        str | None, Header(alias="Range", description="One range of octets, `bytes=0-999`; several are answered whole.")
    ] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", description="The ETag: another file is answered whole.")] = None,
) -> Response:
    """Its audio, one channel a party, as a stream."""
    del asked, if_range  # read from the request's headers, with the other conditions
    try:
        audio = await service.audio(access, recording)
    except RecordingUnknown:
        await _refused_to_agent(request, access)
        raise
    sound = audio.sound
    headers = {"ETag": sound.etag, "Accept-Ranges": "bytes", "Content-Disposition": rules.disposition(audio.name)}
    if rules.is_unchanged(request.headers, sound.etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    part = rules.span(request.headers, sound.etag, sound.octets)
    span = part or Span(0, sound.octets - 1)
    headers["Content-Length"] = str(span.octets)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{sound.octets}"
    most = access.services.settings.recordings.streams_per_tenant
    return _Audio(
        access.tenant, most, span, files.pieces(audio.folder, audio.name, span), headers, status.HTTP_206_PARTIAL_CONTENT if part else 200
    )


@router.delete(
    "/{recording}",
    operation_id="deleteRecording",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound, Conflict, Gone),
)
async def delete_recording(request: Request, access: WritesRecordings, recording: Key) -> None:
    """Delete a recording: the file goes, and it is in no list any more. Its call's record goes on saying that there was one."""
    await service.delete(access, recording)
    metrics = shared(request).metrics
    access.unit.then(lambda: _count_deleted(metrics, access.tenant))


async def _count_deleted(metrics: Metrics, tenant: TenantId) -> None:
    metrics.recordings_deleted.labels(tenant, "person").inc()


async def _refused_to_agent(request: Request, access: Access) -> None:
    """An agent is told of no recording but its own; that one asked for another stands in the audit, whether there is such a one or not."""
    if access.principal.role is Role.AGENT:
        await record_refused(request, access, service.KIND)


class _Audio(StreamingResponse):
    """A stream that takes one of its tenant's places for as long as it goes on, also when the client goes before it begins."""

    def __init__(
        self, tenant: TenantId, most: int, span: Span, stream: AsyncGenerator[bytes], headers: dict[str, str], status: int
    ) -> None:
        super().__init__(stream, status, headers, service.MEDIA_TYPE)
        self._stream = stream
        self._tenant = tenant
        self._most = most
        self._span = span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises: TooBusy: nothing was sent yet."""
        if scope.get(BODILESS):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        ours = shared_of(scope)
        metrics = ours.metrics
        with ours.turns.stream(self._tenant, "recordings", self._most):
            if self._span.first == 0:
                metrics.recordings_played.labels(self._tenant).inc()
            async with aclosing(self._counted(metrics)) as self.body_iterator:  # the file is closed now, not when somebody collects it
                await super().__call__(scope, receive, send)

    async def _counted(self, metrics: Metrics) -> AsyncGenerator[bytes]:
        async with aclosing(self._stream) as pieces:
            async for piece in pieces:
                yield piece
                metrics.recordings_sent.labels(self._tenant).inc(len(piece))
