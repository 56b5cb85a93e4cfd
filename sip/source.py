"""What counts as one place: an IPv4 address, or an IPv6 /64, which is the smallest network there is (RFC 4291 §2.5.4). Pure."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

PREFIX = 64
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""RFC 4291 §2.5.5.2."""


@lru_cache(maxsize=20_000)
def source_of(host: str) -> str:
    """The source a host belongs to; what is no address is itself.

    >>> source_of("192.0.2.7"), source_of("2001:db8::1:2"), source_of("::ffff:192.0.2.7"), source_of("testclient")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7', 'testclient')
    """
    address = address_of(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, PREFIX)))
    return host if address is None else str(address)


def address_of(host: str) -> Address | None:
    """The address without its zone, IPv4 in IPv6 (RFC 4291 §2.5.5.2) as IPv4; None: a name, or nothing."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(host: str, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    address = address_of(host)
    return address is not None and any(address in network for network in networks)


def network_of(text: str) -> Network:
    """`203.0.113.0/28`, host bits or not. IPv4 written as IPv6 is IPv4: a packet's sender is told like that too (`address_of`).

    >>> network_of("203.0.113.9/28"), network_of("::ffff:203.0.113.0/124")
    (IPv4Network('203.0.113.0/28'), IPv4Network('203.0.113.0/28'))

    Raises: ValueError: it is none.
    """
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - _MAPPED.prefixlen))
    return network
