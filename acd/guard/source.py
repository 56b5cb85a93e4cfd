"""Sources (`sip.source`) and the networks they lie in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from sip.source import PREFIX, Network, source_of

__all__ = ["PREFIX", "is_within", "networks", "source_of"]


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Raises: ValueError: one of them is no network."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def is_within(source: str, allowed: tuple[Network, ...]) -> bool:
    """Whether a source lies in one of the networks; a /64 does when any of it does."""
    try:
        own = ipaddress.ip_network(source)
    except ValueError:
        return False
    return any(own.version == network.version and own.overlaps(network) for network in allowed)
