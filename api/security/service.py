"""Use cases of security: the guard's policy from the settings, its log file, and keeping over a restart what it must not forget."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from acd.errors import CannotStart
from acd.guard import Ban, GuardPolicy, KnownRow
from acd.guard.guard import LOG, Changes
from api.config import Settings
from api.outages import sentence
from api.security import repository
from api.security.models import BanRow, KnownSource
from api.services import Services

log = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
"""What changed is written together, so often at most; a crash loses no more."""
FORGET_EVERY_S = 3600.0
LOG_FORMAT = "%(asctime)s %(name)s %(message)s"
MODE = 0o600


def policy_of(settings: Settings) -> GuardPolicy:
    """The guard's bounds, where the settings say something."""
    login, security = settings.login, settings.security
    return GuardPolicy(
        failures=login.failures,
        window_s=login.window_s,
        ban_users=security.ban_users,
        ban_attempts=security.ban_attempts,
        ban_s=security.ban_minutes * 60,
        allow=security.allow,
    )


@contextmanager
def open_log(path: Path | None) -> Iterator[None]:
    """The security log in a file of its own; logrotate may move it away, a new one is then begun.

    Raises: CannotStart: it cannot be written.
    """
    if path is None:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, MODE))
        handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise CannotStart(f"the security log {path} cannot be written: {error.strerror}") from error
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()


def _moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


class Keeper:
    """Writes bans and known sources down a moment after they came about, beside the requests; reads them at the start."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = asyncio.Event()
        self._is_due = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what was kept."""
        services = self._services
        ended, seen = self._too_old()
        async with services.databases.unit(None) as unit:
            rows, sources = await repository.bans(unit.session), await repository.known(unit.session)
            bans = [_ban(row) for row in rows if row.until >= ended]
            known = [KnownRow(user=row.user, source=row.source, seen_at=row.seen_at.timestamp()) for row in sources if row.seen_at >= seen]
            if len(bans) < len(rows) or len(known) < len(sources):
                await repository.forget_before(unit.session, ended, seen)
        services.guard.restore(bans, known)
        services.guard.on_change = self._change
        self._task = asyncio.create_task(self._keep(), name="security")

    def _change(self) -> None:
        self._is_due = True

    async def close(self) -> None:
        """Write what is left."""
        if self._task is None:
            return
        self._stopping.set()
        await self._task
        if self._is_due:
            await self._write()
        self._services.guard.tell_sums()

    async def _keep(self) -> None:
        """Not to be cancelled: it ends between two writings."""
        loop = asyncio.get_running_loop()
        forgotten_at = loop.time()
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITE_EVERY_S):
                    await self._stopping.wait()
            self._services.guard.tell_sums()
            if self._is_due:
                await self._write()
            if loop.time() - forgotten_at > FORGET_EVERY_S:
                forgotten_at = loop.time()
                with suppress(Exception):  # said by `api.outages`; what is too old is not taken up at the next start either
                    await self._forget()

    async def _write(self) -> None:
        self._is_due = False
        changes = self._services.guard.changes()
        try:
            await self._put(changes)
        except Exception as error:
            self._services.guard.unwritten(changes)
            self._is_due = True
            if sentence(error) is None:  # an outage is told by `api.outages`
                log.exception("! bans could not be written")

    async def _put(self, changes: Changes) -> None:
        async with self._services.databases.unit(None) as unit:
            for ban in changes.bans:
                await repository.put_ban(unit.session, _row(ban))
            for source in changes.lifted:
                await repository.delete_ban(unit.session, source)
            for one in changes.known:
                await repository.put_known(unit.session, KnownSource(user=one.user, source=one.source, seen_at=_moment(one.seen_at)))

    async def _forget(self) -> None:
        async with self._services.databases.unit(None) as unit:
            await repository.forget_before(unit.session, *self._too_old())

    def _too_old(self) -> tuple[datetime, datetime]:
        """Bans that ended and sources that were seen before these moments are forgotten."""
        policy, now = self._services.guard.policy, _moment(self._services.guard.epoch())
        return now - timedelta(seconds=policy.ban_memory_s), now - timedelta(seconds=policy.known_s)


def _row(ban: Ban) -> BanRow:
    return BanRow(source=ban.source, since=_moment(ban.since), until=_moment(ban.until), count=ban.count, why=ban.why)


def _ban(row: BanRow) -> Ban:
    return Ban(source=row.source, since=row.since.timestamp(), until=row.until.timestamp(), count=row.count, why=row.why)
