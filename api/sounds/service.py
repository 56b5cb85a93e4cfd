"""Use cases of own sounds: what was sent is converted, stored under what it holds, and named by a row of the telephony setup."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from acd import sounds
from acd.core.ids import TenantId
from api import telephony_setup
from api.quotas import MIB
from api.services import Services
from api.sounds import files
from api.sounds.errors import AudioGone, NoRoom, NotPlayable
from api.sounds.schemas import SoundTold
from api.telephony_setup import Author, Row

log = logging.getLogger(__name__)

KIND = "sound"
SENT_OCTETS = 32 << 20
"""What may be sent: five minutes at 48 kHz, mono, 16 bit are 29 MB."""


async def create(author: Author, key: str, sent: bytes, *, normalise: bool) -> Row:
    """Store a new sound.

    Raises: NotPlayable, NoRoom, LimitReached, Exists
    """
    document = await _stored(author, key, sent, normalise=normalise)
    row = await telephony_setup.create(author, KIND, key, document)
    await telephony_setup.take_effect(author)
    return row


async def replace(author: Author, key: str, sent: bytes, *, normalise: bool, if_version: int | None) -> Row:
    """Store another sound in the place of one.

    Raises: NotPlayable, NoRoom, Unknown, VersionPassed
    """
    old = str((await telephony_setup.one(author.session, KIND, key)).document["audio"])
    document = await _stored(author, key, sent, normalise=normalise)
    row = await telephony_setup.replace(author, KIND, key, document, if_version)
    _keep_for_a_while(author, old)
    await telephony_setup.take_effect(author)
    return row


async def delete(author: Author, key: str, if_version: int | None) -> None:
    """Take a sound away; what is packaged under its name is heard again.

    Raises: Unknown, VersionPassed, StillInUse: something would be silent without it
    """
    await telephony_setup.hold(author)
    old = str((await telephony_setup.one(author.session, KIND, key)).document["audio"])
    await telephony_setup.delete(author, KIND, key, if_version)
    _keep_for_a_while(author, old)
    await telephony_setup.take_effect(author, deleting=True)


async def _stored(author: Author, key: str, sent: bytes, *, normalise: bool) -> dict[str, Any]:
    """The document of a sound whose file is on the disk; from then on the set-up is held.

    Raises: NotPlayable, NoRoom
    """
    limits = author.services.settings.sounds
    longest_s = limits.longest_music_s if key.startswith(f"{sounds.MUSIC}/") else limits.longest_s
    await author.unit.rest()
    try:
        async with author.services.converting:
            made = await asyncio.to_thread(sounds.convert, sent, longest_s=longest_s, normalise=normalise)
    except sounds.ParseError as error:
        raise NotPlayable(str(error)) from error
    await telephony_setup.hold(author)
    await _check_room(author, len(made.file))
    audio = await asyncio.to_thread(files.write, files.folder_of(author.services.settings, author.tenant), made.file)
    return _document(key, audio, made, normalised=normalise)


async def audio(author: Author, row: Row) -> bytes:
    """The file of a sound.

    Raises: AudioGone
    """
    await author.unit.rest()
    try:
        return await asyncio.to_thread(files.read, files.folder_of(author.services.settings, author.tenant), row.document["audio"])
    except FileNotFoundError as error:
        raise AudioGone(row.id) from error


def told(row: Row) -> SoundTold:
    """As clients see it."""
    known = {member: value for member, value in row.document.items() if member in SoundTold.model_fields}
    return SoundTold.model_validate(
        {**known, "replaces_packaged": sounds.is_packaged(row.id), "version": row.version, "changed_at": row.changed_at}
    )


def _document(key: str, audio: str, made: sounds.Converted, *, normalised: bool) -> dict[str, Any]:
    folder, _, name = key.partition("/")
    found = {"quiet": made.level_dbfs < sounds.QUIET_DBFS, "loud": made.level_dbfs > sounds.LOUD_DBFS, "clipped": made.clipped}
    return {
        "id": key,
        "language": folder,
        "name": name,
        "audio": audio,
        "duration_ms": made.duration_ms,
        "octets": len(made.file),
        "level_dbfs": made.level_dbfs,
        "peak_dbfs": made.peak_dbfs,
        "encoding": made.source.encoding,
        "sample_rate": made.source.rate,
        "channels": made.source.channels,
        "normalised": normalised,
        "warnings": [warning for warning, holds in found.items() if holds],
    }


async def _check_room(author: Author, more: int) -> None:
    """What the folder takes counts, so that what was replaced a moment ago counts until it is gone.

    Raises: NoRoom
    """
    quotas, where = author.services.databases.quotas, files.folder_of(author.services.settings, author.tenant)
    named = await _named(author)
    await author.unit.rest()
    await asyncio.to_thread(files.sweep, where, named, author.services.clock().timestamp() - files.KEPT_S)
    there = await asyncio.to_thread(files.octets, where)
    limit = quotas.sounds_mib(author.tenant)
    if there + more > limit * MIB:
        quotas.refused_sounds(author.tenant)
        raise NoRoom(limit)


async def _named(author: Author) -> set[str]:
    return {row.document["audio"] for row in await telephony_setup.rows(author.session, KIND)}


def _keep_for_a_while(author: Author, old: str) -> None:
    """The file that a row named stays after the row has changed, and goes later, when another is stored."""
    where = files.folder_of(author.services.settings, author.tenant)

    async def touch() -> None:
        await asyncio.to_thread(files.touch, where, old)

    author.unit.then(touch)


async def look(services: Services, tenant: TenantId, own: Mapping[str, str]) -> None:
    """When a tenant is opened: files that no row names go, and sounds whose file is not there are told."""
    where, named = files.folder_of(services.settings, tenant), set(own.values())
    await asyncio.to_thread(files.sweep, where, named, services.clock().timestamp() - files.KEPT_S)
    gone = set(await asyncio.to_thread(files.missing, where, named))
    for name in sorted(name for name, audio in own.items() if audio in gone):
        log.error("! tenant %s: the sound %s is not in %s; what is packaged is heard until it is sent again", tenant, name, where)
