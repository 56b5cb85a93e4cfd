"""Whether packets to an address come to this machine (shell): asked by whoever sends where somebody else says, be it calls or webhooks."""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Callable

from acd.networks import Address

OWN_S = 10.0
"""How long the answer whether an address is ours is believed."""


_GET_ROUTE, _NEW_ROUTE, _REQUEST, _DESTINATION = 26, 24, 1, 1
"""rtnetlink(7): RTM_GETROUTE, RTM_NEWROUTE, NLM_F_REQUEST, RTA_DST."""
_UNICAST = 1
"""RTN_UNICAST: the only kind of route that leads to somebody else; local, broadcast, anycast and multicast ones do not."""


class OwnAddresses:
    """Whether packets to an address come to this machine.

    The kernel's routing is asked, not the list of interfaces: it knows addresses that came a moment ago, whole networks that are local
    (`ip route add local 10.0.0.0/24 dev lo`, a wide network on the loopback interface), and broadcast addresses.
    """

    def __init__(self, advertised: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._advertised = advertised
        self._clock = clock
        self._known: dict[Address, tuple[float, bool]] = {}

    def __contains__(self, address: Address) -> bool:
        now = self._clock()
        known = self._known.get(address)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._known) >= 10_000:
            self._known.clear()
        found = self._is_advertised(address) or self._ask_kernel(address)
        self._known[address] = (now + OWN_S, found)
        return found

    def _is_advertised(self, address: Address) -> bool:
        try:
            return self._advertised is not None and ipaddress.ip_address(self._advertised) == address
        except ValueError:  # a name
            return False

    @classmethod
    def _ask_kernel(cls, address: Address) -> bool:
        try:
            return cls._ask_routes(address)
        except (OSError, AttributeError):  # no Linux, or a sandbox without AF_NETLINK
            return cls._ask_by_connecting(address)

    @staticmethod
    def _ask_routes(address: Address) -> bool:
        """The type of the route to it, by rtnetlink; without a route nothing can be sent there.

        Raises: OSError: it cannot be asked.
        """
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        packed = address.packed
        body = (
            struct.pack("=8BI", family, 8 * len(packed), 0, 0, 0, 0, 0, 0, 0) + struct.pack("=HH", 4 + len(packed), _DESTINATION) + packed
        )
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
            asking.settimeout(1.0)  # the kernel answers before send returns
            asking.send(struct.pack("=IHHII", 16 + len(body), _GET_ROUTE, _REQUEST, 1, 0) + body)
            answer = asking.recv(65_536)
        (kind,) = struct.unpack_from("=H", answer, 4)
        return kind == _NEW_ROUTE and answer[16 + 7] != _UNICAST

    @staticmethod
    def _ask_by_connecting(address: Address) -> bool:
        """The kernel sends from the very address it sends to, where that is one of its interfaces'."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((str(address), 9))
                return ipaddress.ip_address(probe.getsockname()[0]) == address
        except OSError:  # no route, or no such family: nothing can be sent there either
            return False
