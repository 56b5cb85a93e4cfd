"""Policy of the audit: which acts there are, what counts as alike, what is a secret, how many failed log-ins are rows. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, get_args

from api.kit.ids import timed_id

Act = Literal[
    "created",
    "changed",
    "deleted",
    "opened",
    "closed",
    "password_changed",
    "logged_in",
    "logged_out",
    "refused",
    "read",
    "sent",
    "granted",
    "claimed",
]
ACCESS: tuple[Act, ...] = ("logged_in", "logged_out", "refused", "read", "sent")
"""Acts that say what people did and looked at, not what became of the configuration: they are kept for a shorter time."""
CHANGES: tuple[Act, ...] = tuple(act for act in get_args(Act) if act not in ACCESS)

OTHERS = "(others)"
NO_NAME = "(no user name)"
"""What was typed can be no user name. It is not kept: often it is the password, typed into the wrong field."""
ROWS_A_DAY = 1000
"""So many rows a day of failed log-ins, of users that there are and of names that are nobody's each: about 300 kB, whoever tries however
often."""
ROWS_A_SOURCE = 100
"""So many of them for one address: it takes ten to use up those of all."""
SHOWN = 200
"""Letters of a filter's value that are kept."""

_USER_NAME = re.compile(r"^[a-z0-9][a-z0-9._@-]{0,63}$")
_SECRETS = frozenset({"password", "device_password", "password_hash", "token", "secret", "ha1", "ha1_md5", "ha1_sha256", "authorization"})


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and from where."""

    name: str
    """User name, `key:<id>`, or what acts by itself (`demo`)."""
    source: str | None = None
    """Address the request came from; None: no request."""
    of_platform: bool = False
    """An operator: what is recorded stands in the control database."""


def source_of(host: str | None) -> str | None:
    """An address as it fits its column."""
    return host[:64] if host else None


def oldest_id(since: datetime) -> str:
    """Every id of before sorts below this."""
    return timed_id(since, "")


def alike_id(at: datetime, *what: Any) -> str:
    """The id that all have in common who do the same within a minute."""
    minute = at.replace(second=0, microsecond=0)
    told = json.dumps(what, sort_keys=True, ensure_ascii=False, default=str)
    return timed_id(minute, hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:12])


def without_secrets(value: Any) -> Any:
    """A document with null where a secret stood, however deep."""
    if isinstance(value, Mapping):
        return {name: None if name in _SECRETS else without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value


def filter_of(given: Mapping[str, str], declared: frozenset[str]) -> dict[str, str]:
    """What a client asked for, by the parameters the route knows: whatever else stands in a query is nobody's filter."""
    return {name: value[:SHOWN] for name, value in sorted(given.items()) if name in declared and name not in _SECRETS}


Place = tuple[datetime, str, str | None]
"""Moment, name, address."""


class FailedLogIns:
    """How failed log-ins become rows: one a minute for a name and an address, as long as there is room for it.

    An address that has had its share has one an hour, whatever the names. Where all have had theirs, a user that there is has one an hour
    without an address, and what is left one together: nobody who makes a flood of them hides that somebody else tries a user's passwords.
    """

    def __init__(self) -> None:
        self._day: date | None = None
        self._seen: dict[tuple[str, str], set[Place]] = {}
        self._of_source: Counter[tuple[str, str | None]] = Counter()

    def place(self, where: str, name: str, source: str | None, now: datetime, *, is_user: bool) -> Place:
        """Moment, name and address under which a failure is counted.

        Args:
            where: the database it is written to.
            is_user: there is somebody of that name.
        """
        if self._day != now.date():
            self._day = now.date()
            self._seen.clear()
            self._of_source.clear()
        minute, hour = now.replace(second=0, microsecond=0), now.replace(minute=0, second=0, microsecond=0)
        seen = self._seen.setdefault((where, "users" if is_user else "nobody"), set())
        if (minute, name, source) in seen:
            return minute, name, source
        if self._of_source[where, source] >= ROWS_A_SOURCE:
            return hour, OTHERS, source
        if self._has_room(seen, (minute, name, source)):
            self._of_source[where, source] += 1
            return minute, name, source
        by_hour = self._seen.setdefault((where, "users by hour"), set())
        return (hour, name, None) if is_user and self._has_room(by_hour, (hour, name, None)) else (hour, OTHERS, None)

    @staticmethod
    def _has_room(seen: set[Place], place: Place) -> bool:
        if place in seen:
            return True
        if len(seen) >= ROWS_A_DAY:
            return False
        seen.add(place)
        return True


def shown_name(typed: str) -> str:
    """A user name as typed, where one could be called so."""
    return typed if _USER_NAME.fullmatch(typed) else NO_NAME
