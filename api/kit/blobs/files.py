"""Blobs on the disk (shell): written as they come, read in ranges, with bounded memory; a file appears whole or not at all.

Written to a draft, synced, renamed, and its directory synced, before the transaction that makes its row is committed: so a row has its
file. A file without a row (the transaction failed, or the process was killed in between) nobody can read, and it goes at the next sweep.
Deleting takes the row and with it the key, in the transaction; the file goes when that is committed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from acd.journal.writing import sync_directory, write_all
from api.config import Settings
from api.db import Databases, Unit, sealer_of, tenant_directory
from api.kit.blobs import store
from api.kit.blobs.container import (
    CHUNK,
    HEAD_OCTETS,
    KEY_OCTETS,
    PREFIX_OCTETS,
    TAG,
    Cipher,
    Cutting,
    Damaged,
    file_size,
    head,
    offset_of,
    span,
)
from api.kit.blobs.models import BlobRow
from api.kit.jobs import Done, Held, Jobs, Outcome, Outside
from api.quotas import MIB, LimitReached

log = logging.getLogger(__name__)

FOLDER = "blobs"
DRAFT = ".new"
SWEEP = "blobs.sweep"
SWEEP_EVERY_S = 86_400.0
ORPHAN_S = 86_400.0
"""A file without a row is left alone for so long: its transaction may still be going to be committed."""
PIECE = 16
"""Chunks that are read, or sealed, in one go in a thread: 1 MiB."""


class BlobMissing(LookupError):
    """There is no such blob."""


class TooLarge(LimitReached):
    """The tenant's blobs take as much as they may."""

    def __init__(self, limit_mib: int) -> None:
        super().__init__("blobs_mib", limit_mib, limit_mib)
        self.detail = f"Files of this tenant may take {limit_mib} MiB. Remove some, or ask the platform's operator for more."


@dataclass(frozen=True, slots=True)
class Opened:
    """A blob that can be read, also after the transaction in which it was opened."""

    id: str
    size: int
    sha256: str
    content_type: str
    tenant: str
    path: Path
    key: bytes = field(repr=False)

    async def read(self, first: int = 0, last: int | None = None) -> AsyncIterator[bytes]:
        """Octets `first` to `last`, both included; as many as there are. Memory holds 1 MiB of them.

        Raises: Damaged: what was read before it is as it was written, and there is more that is not.
        """
        last = self.size - 1 if last is None else min(last, self.size - 1)
        descriptor, cipher = await asyncio.to_thread(self._begin)
        try:
            if self.size == 0:
                await asyncio.to_thread(self._some, descriptor, cipher, 0, 0)
                return
            if first > last:
                return
            wanted = span(self.size, first, last)
            left, skip = wanted.octets, wanted.skip
            for begin in range(wanted.first, wanted.last + 1, PIECE):
                some = await asyncio.to_thread(self._some, descriptor, cipher, begin, min(begin + PIECE - 1, wanted.last))
                piece = some[skip : skip + left]
                left, skip = left - len(piece), 0
                yield piece
        finally:
            os.close(descriptor)

    def _begin(self) -> tuple[int, Cipher]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Damaged(f"blob {self.id} of tenant {self.tenant}: the file is missing") from None
        try:
            size = os.fstat(descriptor).st_size
            if size != file_size(self.size):
                raise Damaged(f"blob {self.id} of tenant {self.tenant}: {size} octets where {file_size(self.size)} were written")
            return descriptor, Cipher.of_file(self.key, self.tenant, self.id, os.pread(descriptor, HEAD_OCTETS, 0))
        except BaseException:
            os.close(descriptor)
            raise

    def _some(self, descriptor: int, cipher: Cipher, first: int, last: int) -> bytes:
        """Chunks `first` to `last`, opened."""
        end = (self.size - 1) // CHUNK if self.size else 0
        kept = os.pread(descriptor, (last - first + 1) * (CHUNK + TAG), offset_of(first))
        width = CHUNK + TAG
        pieces = [kept[index * width : (index + 1) * width] for index in range(last - first + 1)]
        return b"".join(cipher.open(first + index, piece, last=first + index == end) for index, piece in enumerate(pieces))


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is whole and on the disk, and has no row yet."""

    id: str
    size: int
    sha256: str
    content_type: str
    tenant: TenantId
    path: Path
    key: bytes = field(repr=False)


class _Draft:
    """A file that is being written; used in threads, one call at a time."""

    def __init__(self, path: Path, cipher: Cipher, prefix: bytes) -> None:
        self._is_first = not path.parent.exists()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._draft = path.with_name(path.name + DRAFT)
        self._cipher = cipher
        self._cutting = Cutting()
        self._sha256 = hashlib.sha256()
        self._descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size = 0
        write_all(self._descriptor, head(prefix))

    def add(self, octets: bytes) -> None:
        self._sha256.update(octets)
        self.size += len(octets)
        sealed = [self._cipher.seal(number, chunk, last=False) for number, chunk in self._cutting.feed(octets)]
        write_all(self._descriptor, b"".join(sealed))

    def finish(self) -> str:
        """The file is there, and survives a crash; returns the sum of what was given."""
        number, rest = self._cutting.rest()
        write_all(self._descriptor, self._cipher.seal(number, rest, last=True))
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._draft.rename(self._path)
        sync_directory(self._path.parent)
        if self._is_first:
            sync_directory(self._path.parent.parent)
            sync_directory(self._path.parent.parent.parent)
        return self._sha256.hexdigest()

    def give_up(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._draft.unlink(missing_ok=True)


class Blobs:
    """Of all tenants of one process."""

    def __init__(self, settings: Settings, databases: Databases, jobs: Jobs) -> None:
        self._settings = settings
        self._databases = databases
        self._jobs = jobs
        self.missing: dict[TenantId, int] = {}
        """Rows without a file, as the last sweep found."""
        jobs.define((Outside(SWEEP, type(None), self._sweep, limit_s=600.0, every_s=SWEEP_EVERY_S),))

    def _path(self, tenant: str, blob: str) -> Path:
        return tenant_directory(self._settings, TenantId(tenant)) / FOLDER / blob[:2] / blob

    async def write(self, tenant: TenantId, content: AsyncIterable[bytes], content_type: str) -> Written:
        """Put what comes on the disk. No transaction is held meanwhile: who sends it may be slow. Nobody can read it before `keep`, and
        what is not kept goes at a sweep.

        Raises: TooLarge; OSError: the disk.
        """
        async with self._databases.unit(tenant) as unit:
            room = await self._room(unit.session, tenant)
        blob, key, prefix = secrets.token_hex(16), secrets.token_bytes(KEY_OCTETS), secrets.token_bytes(PREFIX_OCTETS)
        path = self._path(tenant, blob)
        draft = await asyncio.to_thread(_Draft, path, Cipher(key, tenant, blob, prefix), prefix)
        try:
            async for octets in content:
                if draft.size + len(octets) > room:
                    raise self._too_large(tenant)
                await asyncio.to_thread(draft.add, octets)
            digest = await asyncio.to_thread(draft.finish)
        except BaseException:
            draft.give_up()
            raise
        return Written(blob, draft.size, digest, content_type[:100], tenant, path, key)

    async def keep(self, unit: Unit, written: Written) -> BlobRow:
        """It is there once the unit is committed, and leaves nothing if that fails.

        Raises: TooLarge, LimitReached
        """

        async def undo() -> None:
            await asyncio.to_thread(written.path.unlink, missing_ok=True)

        unit.otherwise(undo)
        session, blob = unit.session, written.id
        if written.size > await self._room(session, written.tenant):  # others were written meanwhile
            raise self._too_large(written.tenant)
        sealed = sealer_of(session).seal(written.key.hex(), BlobRow.__tablename__, blob, "key")
        what = {"size": written.size, "sha256": written.sha256, "content_type": written.content_type}
        row = BlobRow(id=blob, key=sealed, created_at=self._jobs.clock(), **what)
        session.add(row)
        await session.flush()
        return row

    async def _room(self, session: AsyncSession, tenant: TenantId) -> int:
        """Octets that may still come."""
        return self._databases.quotas.blobs_mib(tenant) * MIB - await store.octets(session)

    def _too_large(self, tenant: TenantId) -> TooLarge:
        self._databases.quotas.refused_blobs(tenant)
        return TooLarge(self._databases.quotas.blobs_mib(tenant))

    async def open(self, session: AsyncSession, tenant: TenantId, blob: str) -> Opened:
        """A blob to be read.

        Raises: BlobMissing, SealError
        """
        row = await store.get(session, blob)
        if row is None:
            raise BlobMissing(blob)
        key = bytes.fromhex(sealer_of(session).open(row.key, BlobRow.__tablename__, blob, "key"))
        return Opened(row.id, row.size, row.sha256, row.content_type, tenant, self._path(tenant, blob), key)

    async def delete(self, unit: Unit, tenant: TenantId, blob: str) -> None:
        """Destroy its key; the file goes when the unit is committed.

        Raises: BlobMissing
        """
        if await store.get(unit.session, blob) is None:
            raise BlobMissing(blob)
        unit.session.expunge_all()
        await store.remove(unit.session, blob)
        path = self._path(tenant, blob)

        async def unlink() -> None:
            await asyncio.to_thread(path.unlink, missing_ok=True)

        unit.then(unlink)

    async def _sweep(self, tenant: str, _argument: None, _held: Held) -> Outcome:
        folder = tenant_directory(self._settings, TenantId(tenant)) / FOLDER
        there = await asyncio.to_thread(_files, folder)  # first: what is written meanwhile has a row, or is young
        async with self._databases.unit(TenantId(tenant)) as unit:
            known = set(await store.known(unit.session))
        lost = known - {path.name for path in there} - {path.name for path in await asyncio.to_thread(_files, folder)}
        self.missing[TenantId(tenant)] = len(lost)
        if lost:
            log.error("! tenant %s: the files of %d blobs are missing, among them %s", tenant, len(lost), min(lost))
        gone = await asyncio.to_thread(_unlink_old, [path for path in there if path.name not in known])
        if gone:
            log.info("> tenant %s: %d files that nobody can read are gone", tenant, gone)
        return Done()

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        return {f'fernamt_blobs_missing{{tenant="{tenant}"}}': number for tenant, number in self.missing.items()}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*") if path.is_file()]


def _unlink_old(paths: list[Path]) -> int:
    gone, now = 0, time.time()
    for path in paths:
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime >= ORPHAN_S:
                path.unlink()
                gone += 1
    return gone
