"""Is the database away, or is the fault ours? Told by the codes of the databases: SQLSTATE, MariaDB's error codes, SQLite's result codes.

Classes of exceptions do not tell: to the drivers of MariaDB and SQLite an unknown column is an `OperationalError` as a full disk is.
"""

from __future__ import annotations

import errno
import re

from sqlalchemy import exc

from billing_cdr.errors import Outage, Unreachable

CONNECTION_SQLSTATES = ("08", "53", "57P", "58", "28", "3D", "25006")
"""Beginnings of SQLSTATEs (PostgreSQL, Appendix A): connection, resources, operator intervention, system, authorization, no such
database, read-only."""
MARIADB_CODES = frozenset(
    (
        *(3, 5, 9, 14, 20, 21, 23, 28, 29, 30),  # errors of files: the server's disk
        *(1005, 1016, 1021, 1024, 1026, 1030, 1036, 1114, 1290, 1836),  # the same by name: ER_DISK_FULL, ER_RECORD_FILE_FULL; read-only
        *(1040, 1041, 1042, 1043, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1226, 1927),  # connections: too many, cut, shutting down
        *(1044, 1045, 1049, 1698),  # not let in; no such database
        *range(2000, 2060),  # the client's own: cannot connect, server has gone away, lost connection
    )
)
SQLITE_CODES = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOTADB", "SQLITE_PERM")
SQLITE_READONLY = "SQLITE_READONLY"
WRITES_ONLY = ("53100", "25006", "M1021", "M1036", "M1114", "M1290", "M1836", "SQLITE_FULL", "SQLITE_READONLY")
"""Reading still works: an answer to a query does not say that it is over. (M before the numbers of MariaDB.)"""
OF_ONE_DATABASE = ("3D", "28", "M1044", "M1045", "M1049", "M1698")
"""The server is there, this database of it is not."""
DISK_ERRNOS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM))


def outage_of(error: BaseException) -> Outage | None:
    """What kind of outage an error speaks of; None: it is a fault of ours (or of the data)."""
    if isinstance(error, Unreachable):
        return error.outage
    if isinstance(error, exc.TimeoutError):
        return Outage(reason="no connection became free in time")
    if isinstance(error, exc.DBAPIError):
        found = outage_of(error.orig) if error.orig is not None else None
        # A driver's own words for a connection that died under it speak of the driver's insides.
        return found or (Outage(reason="the connection was lost") if error.connection_invalidated else None)
    code = _code(error)
    if code is not None:
        return Outage(reason=_line(error), writes_only=code.startswith(WRITES_ONLY), of_one_database=code.startswith(OF_ONE_DATABASE))
    if isinstance(error, OSError):
        return Outage(reason=_line(error), writes_only=error.errno in DISK_ERRNOS)
    return None


def _code(error: BaseException) -> str | None:
    """The code, where it is one of an outage."""
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return sqlstate if sqlstate.startswith(CONNECTION_SQLSTATES) else None
    result = getattr(error, "sqlite_errorname", None)
    if isinstance(result, str):
        return result if result.startswith((*SQLITE_CODES, SQLITE_READONLY)) else None
    number = error.args[0] if error.args and not isinstance(error, OSError) else None
    return f"M{number}" if isinstance(number, int) and number in MARIADB_CODES else None


def _line(error: BaseException) -> str:
    """The error's text without the name of its class and without its number, one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error.args[1]) if len(error.args) > 1 and isinstance(error.args[0], int) else str(error)
    text = re.sub(r"^<class '[^']*'>:? *", "", text).strip()
    if not text:
        return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return text.splitlines()[0]


__all__ = ["Outage", "Unreachable", "outage_of"]
