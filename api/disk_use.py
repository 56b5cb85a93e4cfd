"""How many octets each tenant has on disk, for /metrics: looked up in turns beside the requests, never during one (house).

Recordings and journals have no limit of their own: they are what calls leave, and a disk that is full stops the tenant whose journal
cannot be written (docs/operating.md). Who fills it is told before.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from acd.core.ids import TenantId
from acd.data_modes import RECORDINGS, SOUNDS
from api.db import UnknownTenant, tenant_directory
from api.kit.blobs.files import FOLDER as BLOBS
from api.outages import say
from api.quotas import octets_of
from api.services import Services

log = logging.getLogger(__name__)

FIRST_S, EVERY_S = 5.0, 900.0
"""A while after the start; then every quarter of an hour: a million recordings are a few seconds of a thread's work."""


def octets_in(directory: Path) -> Counter[str]:
    """Octets by what they are: `recordings`, `sounds`, `blobs`, `journal`, and `database` where it is a file; a file that goes meanwhile
    counts nothing.
    """
    found = Counter({"recordings": 0, "sounds": 0, "blobs": 0, "journal": 0})
    recordings, sounds, database = str(directory / RECORDINGS) + os.sep, str(directory / SOUNDS) + os.sep, str(directory / "tenant.sqlite")
    blobs = str(directory / BLOBS) + os.sep
    for path, size in _files(str(directory)):
        if path.startswith(recordings):
            found["recordings"] += size
        elif path.startswith(sounds):
            found["sounds"] += size
        elif path.startswith(blobs):
            found["blobs"] += size
        elif path.startswith(database):
            found["database"] += size
        else:
            found["journal"] += size
    return found


def _files(directory: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        yield from _files(entry.path)
                    else:
                        yield entry.path, entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue
    except OSError:
        return


class DiskUse:
    """As it was last looked up."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._found: dict[TenantId, Counter[str]] = {}

    async def look(self) -> None:
        """Ask of every open tenant, one after the other."""
        databases = self._services.databases
        found: dict[TenantId, Counter[str]] = {}
        for tenant in databases.opened:
            octets = await asyncio.to_thread(octets_in, tenant_directory(self._services.settings, tenant))
            try:
                if "database" not in octets:
                    async with databases.tenant(tenant).connect() as connection:
                        octets["database"] = await connection.run_sync(octets_of)
            except UnknownTenant:  # closed meanwhile
                continue
            except Exception as error:
                say(log, error, "! the database of tenant %s does not tell how large it is", tenant)
            found[tenant] = octets
        self._found = found

    async def keep_looking(self) -> None:
        """Do so for ever."""
        wait_s = FIRST_S
        while True:
            await asyncio.sleep(wait_s)
            await self.look()
            wait_s = EVERY_S

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        return {
            f'fernamt_tenant_octets{{tenant="{tenant}",what="{what}"}}': octets
            for tenant, found in self._found.items()
            for what, octets in found.items()
        }
