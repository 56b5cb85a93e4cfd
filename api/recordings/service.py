"""Use cases of recordings: the list, one of them, its octets, its deletion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from acd.core.ids import TenantId
from api.audit import record
from api.identity import Access, Role
from api.kit.paging import Cut
from api.recordings import files, rules
from api.recordings.errors import Deleted, FileGone, NotErased, NotForAgents, NotYet, RecordingUnknown, WrongCursor
from api.recordings.rules import Sound
from api.recordings.schemas import PartyTold, RecordingTold
from api.services import Services
from api.telephony_setup import agents_hear_recordings
from billing_cdr import recordings
from billing_cdr.recordings import Kept, Wanted

log = logging.getLogger(__name__)

KIND = "recording"
"""Of entries in the audit."""
MEDIA_TYPE = "audio/wav"
"""RFC 2361 registers `audio/vnd.wave`, which no browser plays; WHATWG MIME Sniffing §6.2 knows RIFF/WAVE by this."""


@dataclass(frozen=True, slots=True)
class Audio:
    """What can be sent."""

    folder: Path
    name: str
    sound: Sound


async def require_hearer(access: Access) -> None:
    """Agents hear where the tenant's setting says so.

    Raises: NotForAgents
    """
    if access.principal.role is Role.AGENT and (access.principal.agent is None or not await agents_hear_recordings(access.session)):
        raise NotForAgents


async def some(access: Access, wanted: Wanted, page: Cut) -> tuple[list[RecordingTold], str | None]:
    """A page of those that are not deleted, the newest first; an agent's own.

    Raises: WrongCursor
    """
    try:
        after = None if page.after is None else rules.place(page.after)
    except ValueError as error:
        raise WrongCursor(str(page.after)) from error
    found = await recordings.find(await access.session.connection(), wanted, page.limit + 1, after)
    shown = found[: page.limit]
    following = rules.cursor(shown[-1].began_at, shown[-1].name) if len(found) > page.limit else None
    return await _told(access, shown), following


async def one(access: Access, name: str) -> RecordingTold:
    """One recording.

    Raises: RecordingUnknown, NotYet, Deleted
    """
    return (await _told(access, [await _kept(access, name)]))[0]


async def audio(access: Access, name: str) -> Audio:
    """Its file.

    Raises: RecordingUnknown, NotYet, Deleted, FileGone
    """
    await _kept(access, name)
    folder = _folder(access)
    await access.rest()
    found = await asyncio.to_thread(files.look, folder, name)
    if found is None:
        raise FileGone(name)
    return Audio(folder, name, found)


async def delete(access: Access, name: str) -> None:
    """Delete a recording: first that it is so is written down, with who did it, then the file goes. Where it does not go at once, the list
    and the audio have it no more either way, and `retention` goes on trying.

    Raises: RecordingUnknown, NotYet, Deleted; NotErased: once it is committed
    """
    conn = await access.session.connection()
    found = await recordings.get(conn, name)
    await access.rest()
    sound = await asyncio.to_thread(files.look, _folder(access), name)
    octets = None if sound is None else sound.octets
    if found is None and (sound is None or access.now - sound.touched_at < rules.ABANDONED_AFTER):
        raise RecordingUnknown(name) if sound is None else NotYet(name)
    conn = await access.session.connection()
    if found is not None and not await recordings.mark_deleted(conn, name, access.principal.name, access.now):
        raise _deleted(await recordings.get(conn, name) or found)
    record(access.session, access.now, access.by, "deleted", KIND, name, details=details(found, octets))
    access.unit.then(lambda: _erase(access.services, access.tenant, name, access.now))


def details(found: Kept | None, octets: int | None) -> dict[str, Any]:
    """What the audit says of one that is deleted."""
    if found is None:
        return {"octets": octets, "call": None}
    return {"octets": octets, "call": found.cdr, "began_at": found.began_at.isoformat(), "duration_ms": found.duration_ms}


async def _erase(services: Services, tenant: TenantId, name: str, now: datetime) -> None:
    try:
        await erase(services, tenant, name, now)
    except OSError as error:
        log.error("! %s: the file of %s, which was deleted, stays for now: %s", tenant, name, error.strerror)  # noqa: TRY400
        raise NotErased(name) from error


async def erase(services: Services, tenant: TenantId, name: str, now: datetime) -> None:
    """Remove the file of one that is marked as deleted, and note that it is gone.

    Raises: OSError
    """
    await asyncio.to_thread(files.erase, files.folder_of(services.settings, tenant), name)
    async with services.databases.unit(tenant) as unit:
        await recordings.mark_erased(await unit.session.connection(), name, now)


async def _kept(access: Access, name: str) -> Kept:
    found = await recordings.get(await access.session.connection(), name)
    if found is None:
        await access.rest()
        is_there = await asyncio.to_thread(files.look, _folder(access), name) is not None
        # Whose it is, only its record will say: until then it is no agent's.
        raise NotYet(name) if is_there and access.principal.role is not Role.AGENT else RecordingUnknown(name)
    if not _may_hear(access, found):
        raise RecordingUnknown(name)
    if found.deleted_at is not None:
        raise _deleted(found)
    return found


def _may_hear(access: Access, found: Kept) -> bool:
    agent = access.principal.agent
    return access.principal.role is not Role.AGENT or any(one.role == "agent" and one.party == agent for one in found.parties)


def _deleted(found: Kept) -> Deleted:
    return Deleted(found.name, found.deleted_at or found.began_at, found.deleted_by)


def _folder(access: Access) -> Path:
    return files.folder_of(access.services.settings, access.tenant)


async def _told(access: Access, some: Sequence[Kept]) -> list[RecordingTold]:
    await access.rest()
    sounds = await asyncio.to_thread(files.looks, _folder(access), [one.name for one in some])
    return [_one_told(one, sounds.get(one.name)) for one in some]


def _one_told(one: Kept, sound: Sound | None) -> RecordingTold:
    return RecordingTold(
        name=one.name,
        call=one.cdr,
        direction=one.direction,
        calling=one.calling,
        called=one.called,
        queue=one.queue,
        parties=[PartyTold.model_validate(party) for party in one.parties],
        began_at=one.began_at,
        duration_ms=one.duration_ms,
        media_type=MEDIA_TYPE,
        octets=None if sound is None else sound.octets,
        channels=None if sound is None else sound.channels,
        sample_rate=None if sound is None else sound.sample_rate,
        bits=None if sound is None else sound.bits,
    )
