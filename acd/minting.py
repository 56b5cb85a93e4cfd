"""Ids of conversations: whoever begins one makes its id, here or on another node."""

from __future__ import annotations

import secrets

from acd.core.ids import CallId, ContactId


def mint(now: float) -> CallId:
    """A conversation id: sortable by time (seconds, 8 hexadecimal digits), unguessable behind it.

    Args:
        now: epoch seconds.
    """
    return CallId(ContactId(f"{int(now):08x}-{secrets.token_hex(6)}"))
