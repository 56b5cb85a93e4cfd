"""The log of the service: which loggers speak, in which form, and what is never written (house).

Our own rooms speak from the level that was asked for, libraries only from WARNING on, so that DEBUG shows SIP and not the database's
chatter. Every line, traceback and field passes `without_secrets` last, whoever wrote it.
"""

from __future__ import annotations

import logging
import re

import msgspec

from media.log_lines import Form, write_to_stderr
from sip import trace

ROOMS = ("acd", "api", "billing_cdr", "fernamt", "load", "media", "sip")
"""Loggers of ours: those of the rooms, and `fernamt` for what is not of one room."""
_NAMES = r"(?:access_|id_|refresh_)?(?:token|ticket|password|passwd|secret|api_?key|authorization)"
_QUERY = re.compile(rf"(?i)(?P<kept>[?&]{_NAMES}=)[^&\s\"'<>#]+")
"""A token in an address: browsers cannot send headers with a WebSocket."""
_ADDRESS = re.compile(r"(?P<kept>\b[a-zA-Z][a-zA-Z0-9+.-]{0,40}://[^\s:/@\"']{0,255}):[^\s/\"']{1,255}@")
"""RFC 3986 §3.2.1: `scheme://user:password@host`, as databases have it; up to the last `@` before the path."""
_MEMBER = re.compile(
    rf"(?i)(?P<kept>\b\w*(?:{_NAMES}|ha1(?:_\w+)?)(?:_hash)?[\"']?\s*[:=]\s*)(?P<quote>[\"'])(?P<value>(?:\\.|(?!(?P=quote)).)*+)(?P=quote)",
    re.DOTALL,
)
"""`password='...'` of a printed object, `"password": "..."` of a document. Already hidden ones stay as they are."""
_BEARER = re.compile(r"(?i)(?P<kept>\bbearer\s+)[\w.~+/-]{8,}=*")


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """What is written, and how."""

    level: str = "WARNING"
    form: Form = "text"
    masks_numbers: bool = True
    """Of a telephone number only the last three digits are written."""


def without_secrets(text: str) -> str:
    """The text with `***` for passwords, tokens and keys, in whatever form they came into it."""
    told = _QUERY.sub(rf"\g<kept>{trace.HIDDEN}", text)
    told = _ADDRESS.sub(rf"\g<kept>:{trace.HIDDEN}@", told)
    told = _MEMBER.sub(rf"\g<kept>\g<quote>{trace.HIDDEN}\g<quote>", told)
    told = _BEARER.sub(rf"\g<kept>{trace.HIDDEN}", told)
    return trace.without_secrets(told)


def set_up(wanted: Logging) -> None:
    """Write to stderr from now on, unless whoever runs us has seen to the log."""
    level = logging.getLevelNamesMapping()[wanted.level.upper()]
    if write_to_stderr(logging.getLevelName(max(level, logging.WARNING)), wanted.form, without_secrets):
        for room in ROOMS:
            logging.getLogger(room).setLevel(level)
