"""How a line of the log looks, for people or for machines: one form for the main process and for its media workers (house).

Text: `2026-11-28 09:00:00,123 INFO    acd.calls > call=...`, with what belongs to a line (a SIP message, a traceback) indented below it,
so that nothing a stranger sends can look like a line of ours. JSON: an object a line (RFC 8259): `at` in UTC (RFC 3339), `level`, `logger`,
`pid`, `message`, `trace` of an exception, and the fields of the line as members.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
from collections.abc import Callable
from typing import Any, Literal

import msgspec

Form = Literal["text", "json"]
_OWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
"""Attributes every record has; what else it holds was given as a field."""
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"} | {ord("\r"): ""}
_ENCODER = msgspec.json.Encoder(enc_hook=str)


def _as_it_is(text: str) -> str:
    return text


class LineFormatter(logging.Formatter):
    """Text or JSON.

    Args:
        clean: the last look at all that is written, tracebacks and fields included; it takes out what must not be read in a log.
    """

    def __init__(self, form: Form = "text", clean: Callable[[str], str] = _as_it_is) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")
        self._form = form
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """One record, as one line or as one with indented lines below it."""
        if self._form == "json":
            return _ENCODER.encode(self._members(record)).decode()
        return self._clean(super().format(record)).translate(_CONTROLS).replace("\n", "\n    ")

    def _members(self, record: logging.LogRecord) -> dict[str, Any]:
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        members: dict[str, Any] = {
            "at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": self._clean(record.getMessage()),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN and name not in members:
                members[name] = self._clean(value) if isinstance(value, str) else value
        if record.exc_info:
            members["trace"] = self._clean(self.formatException(record.exc_info))
        return members


def write_to_stderr(level: str, form: Form, clean: Callable[[str], str] = _as_it_is) -> bool:
    """Let the root logger write to stderr from `level` on; False: it writes somewhere already (as in a test), and that stays."""
    root = logging.getLogger()
    if root.handlers:
        return False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form, clean))
    root.addHandler(handler)
    root.setLevel(level)
    return True
