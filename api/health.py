"""Whether the service can do its work, for load balancers and operators: databases that answer, tenants that are open, disks with room.

Nothing here may wait for what hangs: each question runs as a task of its own, is given `PATIENCE_S`, and is not asked again before it is
answered.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from acd.bus import Unanswered
from acd.core.ids import TenantId
from api.db import control_url, tenant_directory, tenant_url
from api.https.told import CertificateTold
from api.outages import place, sentence
from api.services import Services

PATIENCE_S = 2.0
LEAST_FREE_OCTETS = 1 << 20
"""A disk with less room is full: the journal and SQLite need room for what is written next."""


class Readiness(BaseModel):
    """What /readyz tells."""

    status: str
    """`ready`; `starting`; `not ready`: something of the following is wrong."""
    troubles: list[str] = []
    """What concerns all tenants, one sentence each."""
    failed: dict[str, str] = {}
    """Tenants that are not served, or not wholly, and why."""
    open: list[str] = []
    """Tenants that are served."""
    certificate: CertificateTold | None = None
    """What HTTPS is served with, where it is served from here."""


class Health:
    """Asks, and remembers what is still being asked."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asked: dict[str, asyncio.Task[str | None]] = {}

    async def look(self) -> Readiness:
        """Ask everything at once; done within `PATIENCE_S` and a little."""
        services = self._services
        tenants = services.databases.opened
        data = services.settings.data
        questions = {
            "control": self._ask("control", lambda: _answers(services.databases.control, place(control_url(services.settings)))),
            "data": self._ask("data", lambda: asyncio.to_thread(disk_trouble, data)),
        }
        for tenant in tenants:
            questions[f"tenant {tenant}"] = self._ask(f"tenant {tenant}", partial(self._tenant, tenant))
        answers = dict(zip(questions, await asyncio.gather(*questions.values()), strict=True))
        failed = {str(tenant): found for tenant in tenants if (found := answers[f"tenant {tenant}"]) is not None}
        failed |= {str(tenant): failure.reason for tenant, failure in services.failed.items()}
        troubles = [found for name in ("control", "data") if (found := answers[name]) is not None]
        try:
            failed |= {str(tenant): reason for tenant, reason in (await services.voice.troubles()).items()}
        except Unanswered as error:
            troubles.append(f"the voice service gives no answer: {error}")
        if not failed and not troubles:
            return Readiness(status="ready")
        served = sorted(str(tenant) for tenant in tenants if tenant not in failed)
        return Readiness(status="not ready", troubles=troubles, failed=failed, open=served)

    async def close(self) -> None:
        """Ask nothing any more."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _tenant(self, tenant: TenantId) -> str | None:
        services = self._services
        url = tenant_url(services.settings, tenant)
        try:
            engine = services.databases.tenant(tenant)
        except LookupError:  # it was closed while we asked
            return None
        found = await _answers(engine, place(url)) or await asyncio.to_thread(disk_trouble, tenant_directory(services.settings, tenant))
        refused = services.databases.outages.reason(url)
        return found or (None if refused is None else f"{place(url)}: {refused}")

    async def _ask(self, name: str, question: Callable[[], Coroutine[None, None, str | None]]) -> str | None:
        task = self._asked.get(name)
        if task is None:
            task = self._asked[name] = asyncio.create_task(question(), name=f"health of {name}")
            task.add_done_callback(lambda _: self._asked.pop(name, None))
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        return task.result() if done else f"{name} gives no answer within {PATIENCE_S:g} s"


async def _answers(engine: AsyncEngine, where: str) -> str | None:
    """The table is read, not just a number: SQLite answers `SELECT 1` without its file."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))
    except Exception as error:
        told = sentence(error, where)
        if told is None:
            raise
        return told
    return None


def disk_trouble(directory: Path) -> str | None:
    """Why nothing can be written to a directory; None: something can. Blocks."""
    try:
        found = os.statvfs(directory)
    except OSError as error:
        return f"{directory}: {error.strerror}"
    if found.f_flag & os.ST_RDONLY:
        return f"{directory}: {os.strerror(errno.EROFS)}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"{directory}: {os.strerror(errno.EACCES)}"
    free = found.f_bavail * found.f_frsize
    return None if free >= LEAST_FREE_OCTETS else f"{directory}: the disk is full ({free} octets are free)"
