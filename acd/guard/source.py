"""What counts as one place: an IPv4 address, or an IPv6 /64, the smallest network there is (RFC 4291 §2.5.4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

PREFIX = 64
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=20_000)
def source_of(host: str) -> str:
    """The source a host belongs to.

    >>> source_of("192.0.2.7"), source_of("2001:db8::1:2"), source_of("::ffff:192.0.2.7"), source_of("testclient")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7', 'testclient')
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, PREFIX)))


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
