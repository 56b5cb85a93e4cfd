"""How much an agent can do at once: so many contacts of a channel, and none beside work that stands in its way (house).

| the rule                           | with the default                                                    |
|------------------------------------|---------------------------------------------------------------------|
| `at_once` of a channel             | one call, or three chats, or five mails                             |
| `not_during`: what stands in its way | work of any other channel; after-call work is work                |

The configuration says otherwise for the tenant, or for an agent (`acd.core.configuration.ChannelCapacity`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from acd.core.channel_kinds import CHANNELS
from acd.core.configuration import ChannelCapacity
from acd.core.state import values as s


class Capacity(msgspec.Struct, frozen=True):
    """The rule of one channel for one agent."""

    at_once: int
    not_during: frozenset[str]


Capacities = Mapping[str, Capacity]
"""Channel -> its rule."""


def _others(channel: str) -> frozenset[str]:
    return frozenset(CHANNELS.keys() - {channel})


DEFAULT: Capacities = {channel: Capacity(kind.at_once, _others(channel)) for channel, kind in CHANNELS.items()}


def capacities(configured: Iterable[ChannelCapacity], otherwise: Capacities = DEFAULT) -> Capacities:
    """The rules of everybody, or of one agent over those of everybody."""
    changed = {
        one.channel: Capacity(one.at_once, _others(one.channel) if one.not_during is None else frozenset(one.not_during) - {one.channel})
        for one in configured
    }
    return {**otherwise, **changed} if changed else otherwise


def is_shared(capacity: Capacity, channel: str) -> bool:
    """Whether it leaves room beside other work, of this channel or another."""
    return capacity.at_once > 1 or not capacity.not_during >= _others(channel)


def is_kept(capacity: Capacity, works: Iterable[s.Work], channel: str) -> bool:
    """Whether these works keep an agent from a contact of the channel that means it in person."""
    return any(work.channel == channel or work.channel in capacity.not_during for work in works)


def has_room(capacity: Capacity, works: Iterable[s.Work], channel: str) -> bool:
    """Whether an agent with these works can have one more of the channel."""
    left = capacity.at_once
    for work in works:
        if work.channel == channel:
            left -= 1
        elif work.channel in capacity.not_during:
            return False
    return left > 0
