"""The channels there are, a row each: what a contact comes by, and how much of it a person can do at once unless configured otherwise.

Behaviours (`acd.core.channels`) say what waiting, reached, withdrawn and taken mean; several channels may share one. Who adds a channel
adds a row here, and a module there if it is like none that exists.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class ChannelKind(NamedTuple):
    """A row of the table."""

    behaviour: str
    """Name of the module of `acd.core.channels` that says how it behaves."""
    at_once: int
    """So many contacts of it an agent has at once, where the configuration says nothing else: a person has one mouth, and can write to
    a few."""
    needs_phone: bool = False
    """Nobody is offered one whose phone cannot be rung."""
    most: int | None = None
    """No configuration says more; None: as many as it says."""
    not_for_mode: str | None = None
    """Agents of this mode (`Agent.mode`) are given none; None: of whatever mode, which speaks of calls."""


CHANNELS: Final[dict[str, ChannelKind]] = {
    "voice": ChannelKind("voice", at_once=1, needs_phone=True, most=1, not_for_mode="outbound"),  # a phone is off the hook once
    "callback": ChannelKind("callback", at_once=1, needs_phone=True, not_for_mode="inbound"),
    "message": ChannelKind("message", at_once=3),
    "chat": ChannelKind("message", at_once=3),
    "mail": ChannelKind("message", at_once=5),
}
"""Unless configured otherwise an agent who has work of one channel is given none of another: one call, or three chats, or five mails."""
