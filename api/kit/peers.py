"""Who asks: whether a request comes from this machine, by its socket (not by what it says of itself)."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""RFC 7239 and what was written before it, RFC 9110 §7.6.3: somebody asks for somebody else."""


def is_from_here(connection: HTTPConnection) -> bool:
    """Whether a program on this machine asks, for itself.

    A proxy on this machine asks for others, and says so. A page of somewhere else that lets its own name lead to 127.0.0.1 (DNS
    rebinding) has the browser here ask for it: that name stands in Host.
    """
    if connection.client is None or any(name in connection.headers for name in _FORWARDED):
        return False
    return is_loopback(connection.client.host) and is_loopback(connection.url.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether an address, or `localhost`, is this machine for itself (RFC 6890, RFC 6761 §6.3)."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
