"""Which databases are away at the moment, and one log line when one goes and one when it is back (house; codes in `billing_cdr.outage`).

Every engine of the installation is listened to, so that it does not matter who asked: a request, the CDRs, the screen pop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.engine import Dialect, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from acd.errors import VoiceServiceError
from api.kit.sealing import SealError
from billing_cdr.outage import Outage, Unreachable, outage_of

log = logging.getLogger(__name__)


class TenantInUse(Exception):
    """Another process serves the tenant; the text is one sentence that names it as far as the server can tell."""


class DataMissing(Exception):
    """A tenant is known, and its database is not there; the text says where it should be."""


class DataLeft(Exception):
    """A tenant is not known, and data of one of its name is there; the text says where."""


QUIET_S = 60.0
"""A database that refused to write and answers queries counts as well again after so long without another refusal."""


def place(url: URL) -> str:
    """A database as people are told of it: the path of a SQLite file, else the address without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    port = f":{url.port}" if url.port is not None else ""
    return f"{url.get_backend_name()}://{url.host or 'localhost'}{port}/{url.database}"


def sentence(error: BaseException, where: str | None = None) -> str | None:
    """What an operator can mend, in one sentence without secrets; None: it was not foreseen, and the traceback is needed.

    Args:
        where: the database that was worked with, for errors that do not name it.
    """
    if isinstance(error, Unreachable | VoiceServiceError | TenantInUse | DataMissing | DataLeft | SealError):
        return str(error)
    outage = outage_of(error)
    if outage is None:
        return None
    return f"{where}: {outage.reason}" if where is not None and not isinstance(error, OSError) else outage.reason


def say(log: logging.Logger, error: BaseException, text: str, *args: object) -> None:
    """An error line: with the reason where it was foreseen (`sentence`), else with the traceback. For `except` blocks."""
    if (told := sentence(error)) is not None:
        log.error("%s: %s", text % args, told)
    else:
        log.error(text, *args, exc_info=error)


class _ToldAlready(logging.Filter):
    """Keeps the library's pool from writing a traceback for each connection that a server took with it when it went."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self.dialect = dialect

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Exception):
            return True
        return outage_of(error) is None and not self.dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]


def _keep_quiet(engine: AsyncEngine) -> None:
    """One filter a dialect: engines of one kind share their pools' logger."""
    log, dialect = logging.getLogger(f"{type(engine.pool).__module__}.{type(engine.pool).__name__}"), engine.dialect
    if not any(isinstance(one, _ToldAlready) and type(one.dialect) is type(dialect) for one in log.filters):
        log.addFilter(_ToldAlready(dialect))


def _server(where: str) -> str:
    return where.rpartition("/")[0] if "://" in where else where


@dataclass(slots=True)
class _Open:
    """An outage that is not over."""

    reason: str
    writes_only: bool
    since: float
    last: float


class Outages:
    """The outages of one process.

    A server that is away is one outage, however many databases it has; one of its databases that is refused is one of its own.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._open: dict[str, _Open] = {}

    def watch(self, engine: AsyncEngine, url: URL) -> None:
        """Listen to an engine; that no connection can be made leaves it as `Unreachable`, whatever the driver raised."""
        where = place(url)

        def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
            try:
                return dialect.connect(*arguments, **options)
            except Exception as error:
                outage = outage_of(error)
                if outage is None:
                    raise
                self.failed(where, outage)
                raise Unreachable(where, outage) from error

        def failed(context: ExceptionContext) -> None:
            if not isinstance(context.original_exception, Exception):
                return  # whoever asked was told to end in the middle of it: the connection goes with the question, the database is there
            # A connection that died while nobody needed it is only replaced: that is no outage yet.
            outage = None if context.is_pre_ping else outage_of(context.sqlalchemy_exception or context.original_exception)
            if outage is None and context.is_disconnect and not context.is_pre_ping:
                outage = Outage(reason="the connection was lost")
            if outage is not None:
                self.failed(where, outage)

        def worked(*_: Any) -> None:
            if self._open:
                self.worked(where)

        _keep_quiet(engine)
        event.listen(engine.sync_engine, "do_connect", connect)
        event.listen(engine.sync_engine, "handle_error", failed)
        event.listen(engine.sync_engine, "after_cursor_execute", worked)

    def failed(self, where: str, outage: Outage) -> None:
        """A database did not do what it was asked; the first time it is said."""
        key = where if outage.of_one_database or outage.writes_only else _server(where)
        now = self._now()
        known = self._open.get(key)
        if known is None:
            self._open[key] = _Open(outage.reason, outage.writes_only, now, now)
            log.error("! database %s is away: %s", where if key == where else f"{key} (asked for {where})", outage.reason)
        else:
            known.last = now

    def worked(self, where: str) -> None:
        """A database answered."""
        now = self._now()
        for key in {where, _server(where)}:
            known = self._open.get(key)
            if known is not None and not (known.writes_only and now - known.last < QUIET_S):
                del self._open[key]
                log.warning("= database %s is back after %.0f s", key, now - known.since)

    def reason(self, url: URL) -> str | None:
        """Why a database is away, as far as anybody noticed; None: it is there."""
        where = place(url)
        known = self._open.get(where) or self._open.get(_server(where))
        return None if known is None else known.reason

    def now(self) -> Mapping[str, str]:
        """Database or server -> reason, of all that are away."""
        return {key: known.reason for key, known in self._open.items()}
