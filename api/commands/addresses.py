"""Addresses as people need them: what a browser opens and what a phone is told, from what is really listened on (house)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses nobody has (RFC 5737, RFC 3849): the way there is the default route. Nothing is sent to them."""

SIP_PORT = 5060
"""Need not be written in a URI (RFC 3261 §19.1.2)."""


def own_address(family: socket.AddressFamily) -> str | None:
    """The address of this machine as others see it: the one that packets leave from; None: there is no way out."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ELSEWHERE[family], 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def reachable_hosts(listening: str) -> tuple[str, ...]:
    """Hosts under which a socket that listens there can be reached, the nearest first, written as in a URL."""
    if not ipaddress.ip_address(listening).is_unspecified:
        return (_written(listening),)
    families = (socket.AF_INET,) if listening == "0.0.0.0" else (socket.AF_INET6, socket.AF_INET)
    found = [_written(address) for family in families if (address := own_address(family)) is not None]
    return ("localhost", *found)


def pages(host: str, port: int, scheme: str = "http") -> str:
    """What a browser opens: `http://localhost:8080/, from elsewhere http://192.0.2.7:8080/`."""
    near, *far = (f"{scheme}://{one}:{port}/" for one in reachable_hosts(host))
    return f"{near}, from elsewhere {' or '.join(far)}" if far else near


def phone_servers(listening: Iterable[tuple[str, str, int]]) -> str:
    """What a phone is told as its server: `192.0.2.7:5060 (UDP or TCP)`.

    Args:
        listening: transport, host, port of each socket.
    """
    transports: dict[tuple[str, int], list[str]] = {}
    for transport, host, port in listening:
        transports.setdefault((host, port), []).append(transport.upper())
    told = []
    for (host, port), names in transports.items():
        hosts = [one for one in reachable_hosts(host) if one != "localhost"] or [
            "127.0.0.1"
        ]  # a phone knows no other localhost than itself
        told += [f"{one}:{port} ({' or '.join(names)})" for one in hosts]
    return ", ".join(dict.fromkeys(told))


def to_dial(number: str, listening: Iterable[tuple[str, str, int]]) -> str | None:
    """What a phone on this machine dials unregistered: `sip:601@127.0.0.1:5070`; None: nothing listens where it would be let in.

    Calls come from the loopback address, for which the demonstration has a grant, only when they go to it.
    """
    for transport, host, port in listening:
        address = ipaddress.ip_address(host)
        if transport != "tls" and (address.is_loopback or address.is_unspecified):  # that a phone may not trust our certificate is no hint
            near = "[::1]" if address.version == 6 else "127.0.0.1"
            return f"sip:{number}@{near}{'' if port == SIP_PORT else f':{port}'}"
    return None


def how_to_call(listening: Iterable[tuple[str, str, int]]) -> list[str]:
    """The demonstration's numbers, the quickest first, and who has to register."""
    sockets = tuple(listening)
    support, menu = to_dial("601", sockets), to_dial("600", sockets)
    told = [
        f"dial {support or '601'} for support, the quickest; 602 is sales, 603 accounting; {menu or '600'} is the menu: press 1 for support"
    ]
    if support is None:
        told += ["phones must register"]
    elif only_here(sockets):
        told += ["a phone on this machine need not register for that"]
    else:
        told += ["a phone on this machine need not register for that; phones elsewhere in the network must"]
    return told


def only_here(listening: Iterable[tuple[str, str, int]]) -> bool:
    """Nobody but this machine can reach any of them."""
    return all(ipaddress.ip_address(host).is_loopback for _, host, _ in listening)


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
