"""Routes of own sounds."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response, status

from acd import sounds
from api import telephony_setup
from api.errors import Conflict, NotFound, Outdated, responses
from api.kit.paging import Page, Paged, paged
from api.kit.preconditions import IfVersion, tags, version_of
from api.sounds import service
from api.sounds.permissions import ReadsSounds, WritesSounds
from api.sounds.schemas import Folder, NewFolder, NewName, PackagedTold, SoundName, SoundTold
from api.telephony_setup import Author

router = APIRouter(prefix="/api/v1/sounds", tags=["sounds"])

MEDIA_TYPE = "audio/wav"
Sent = Annotated[bytes, Body(media_type=MEDIA_TYPE, description=f"{sounds.ACCEPTED[:1].upper()}{sounds.ACCEPTED[1:]}.")]
Normalise = Annotated[bool, Query(description="Bring it to the level of the packaged announcements (-20 dBFS).")]
_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has it: `If-None-Match` names it."},
}


def _shown(row: telephony_setup.Row, response: Response) -> SoundTold:
    response.headers["ETag"] = f'"{row.version}"'
    return service.told(row)


@router.get("", operation_id="listSounds")
async def list_sounds(access: ReadsSounds, page: Paged) -> Page[SoundTold]:
    """The tenant's own sounds, by language and name."""
    rows = await telephony_setup.some(access.session, service.KIND, page)
    items, following = paged([service.told(row) for row in rows], [row.id for row in rows], page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.get("/packaged", operation_id="listPackagedSounds")
async def list_packaged(_access: ReadsSounds) -> PackagedTold:
    """What everybody has: names that can be used everywhere, and replaced."""
    return PackagedTold(languages=list(sounds.LANGUAGES), names=list(sounds.packaged()))


@router.get("/{folder}/{sound}", operation_id="getSound", responses=responses(NotFound))
async def get_sound(access: ReadsSounds, folder: Folder, sound: SoundName, response: Response) -> SoundTold:
    """What is known of one."""
    row = await telephony_setup.one(access.session, service.KIND, f"{folder}/{sound}")
    return _shown(row, response)


@router.get("/{folder}/{sound}/audio", operation_id="getSoundAudio", response_class=Response, responses={**_AUDIO, **responses(NotFound)})
async def get_sound_audio(
    access: ReadsSounds,
    folder: Folder,
    sound: SoundName,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match", max_length=1000, description="ETag of what the client has.")] = None,
) -> Response:
    """One as callers hear it: A-law WAV, mono, 8 kHz."""
    row = await telephony_setup.one(access.session, service.KIND, f"{folder}/{sound}")
    etag = f'"{row.document["audio"]}"'
    if if_none_match is not None and etag in tags(if_none_match, strong=False):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    headers = {"ETag": etag, "Content-Disposition": f'attachment; filename="{folder}.{sound}.wav"'}
    return Response(await service.audio(Author.of(access), row), media_type=MEDIA_TYPE, headers=headers)


@router.post(
    "",
    operation_id="createSound",
    status_code=status.HTTP_201_CREATED,
    responses=responses(Conflict),
    max_body_size=service.SENT_OCTETS,
)
async def create_sound(
    access: WritesSounds, language: NewFolder, name: NewName, sent: Sent, response: Response, normalise: Normalise = False
) -> SoundTold:
    """Send a new sound; the body is the file. It is heard from the next play on."""
    row = await service.create(Author.of(access), f"{language}/{name}", sent, normalise=normalise)
    response.headers["Location"] = f"/api/v1/sounds/{row.id}"
    return _shown(row, response)


@router.put(
    "/{folder}/{sound}",
    operation_id="replaceSound",
    responses=responses(Conflict, NotFound, Outdated),
    max_body_size=service.SENT_OCTETS,
)
async def replace_sound(
    access: WritesSounds,
    folder: Folder,
    sound: SoundName,
    sent: Sent,
    response: Response,
    normalise: Normalise = False,
    if_match: IfVersion = None,
) -> SoundTold:
    """Send another in its place. It is heard from the next play on; what plays now goes on with the old one."""
    row = await service.replace(Author.of(access), f"{folder}/{sound}", sent, normalise=normalise, if_version=version_of(if_match))
    return _shown(row, response)


@router.delete(
    "/{folder}/{sound}",
    operation_id="deleteSound",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(NotFound, Conflict, Outdated),
)
async def delete_sound(access: WritesSounds, folder: Folder, sound: SoundName, if_match: IfVersion = None) -> None:
    """Delete one. What is packaged under its name is heard again; what would be silent without it is named (409)."""
    await service.delete(Author.of(access), f"{folder}/{sound}", version_of(if_match))
