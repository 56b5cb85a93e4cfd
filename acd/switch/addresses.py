"""Which of our addresses a peer sees, and host:port as operators write it (RFC 3261 §25.1 hostport)."""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache

from acd.config import VoiceSettings
from acd.networks import Reach
from acd.own_addresses import OwnAddresses
from sip.io.resolver import is_numeric


def host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]` or `[v6]:port`.

    Raises: ValueError: the port is no number from 1 to 65535.
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port:
        return host, None
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
    return host, int(port)


ELSEWHERE = "192.0.2.1"
"""An address nobody has (RFC 5737): the way there is the default route. Nothing is ever sent to it."""


class LocalAddresses:
    """The address of ours that packets to a peer leave from; asked of the kernel's routing, without a packet being sent.

    Args:
        advertised: what peers are told instead.
        page_addresses: IP addresses that browsers are told instead, best first (ICE candidates).
    """

    def __init__(self, advertised: str | None, page_addresses: tuple[str, ...] = ()) -> None:
        self._advertised = advertised
        self.page_addresses = page_addresses or ((advertised,) if advertised is not None and is_numeric(advertised) else ())
        """Those that pages are told; none: where their legs are bound."""
        self._reaching = lru_cache(maxsize=10_000)(self._ask_kernel)

    def reaching(self, host: str) -> str:
        """A host given by name is reached as the world at large is; where there is no route at all, the loopback address is left."""
        return self._advertised or self._reaching(host)

    def leaving(self, host: str) -> str:
        """The address of this machine that packets to a peer leave from, whatever it is told: a socket can be bound to that one."""
        return self._reaching(host)

    def of_page(self, host: str) -> str:
        """The same towards a page. A browser on this machine sends to no loopback address, unless it was told to: it is met where the
        default route begins.
        """
        found = self._reaching(host)
        if not _is_loopback(found) or any(map(_is_loopback, self.page_addresses)):
            return found
        return self._reaching(ELSEWHERE)

    def told(self, address: str) -> str:
        """What a peer is told of a socket that is bound to this address."""
        return self._advertised or address

    @staticmethod
    def _ask_kernel(host: str) -> str:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.inet_pton(family, host)
        except OSError:
            # A name is not resolved here, that would block. Packets to a carrier leave by the default route.
            host = "127.0.0.1" if host.lower() == "localhost" else ELSEWHERE
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((host, 9))
                address: str = probe.getsockname()[0]
                return address
        except OSError:
            return "127.0.0.1"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def reach(settings: VoiceSettings) -> Reach:
    """The operator's rule for addresses that are only said."""
    own = OwnAddresses(settings.advertised_address)
    return Reach(settings.reach_allow, settings.reach_deny, own.__contains__)
