"""Which addresses a tenant's settings and messages may send us to: the operator's rule (pure; CWE-918, RFC 6890).

A tenant names the peers of its trunks, and whoever calls it writes addresses into Contact, Record-Route and SDP. Without a rule it could
let us knock at the loopback interface, at a cloud's metadata service, at ourselves, and read from "up" or "down" what runs there. So an
address that is only said is judged when it is used, and a name by the address it has at that moment: it may stand for another one by then.

One table decides, as with routes: the narrowest network that holds the address. Those of `allow` say yes, those of `deny`, the special ones
below and our own addresses say no; of two that are equally narrow `allow` wins. So whoever wants calls to this machine lists
127.0.0.0/8 itself, and 0.0.0.0/0 does not include it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

EVERYTHING = ("0.0.0.0/0", "::/0")
LOOPBACK = ("127.0.0.0/8", "::1/128")
"""What `--demo`, the self-test and load runs on one machine allow besides."""

SPECIAL = (
    "0.0.0.0/8",  # "this network" (RFC 791); the kernel takes 0.0.0.0 for itself
    "127.0.0.0/8",  # loopback (RFC 1122 §3.2.1.3)
    "169.254.0.0/16",  # link-local (RFC 3927), and the metadata services of most clouds
    "192.0.0.0/24",  # protocol assignments (RFC 6890); a metadata service in it too
    "100.100.100.200/32",  # metadata (Alibaba), in the middle of the shared space of carriers
    "168.63.129.16/32",  # the host below a virtual machine (Azure)
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved (RFC 1112 §4), and with it the limited broadcast address
    "::/96",  # unspecified, loopback, IPv4-compatible (RFC 4291 §2.5.5.1, deprecated)
    "64:ff9b:1::/48",  # local translation (RFC 8215): which IPv4 address is meant is not in it
    "100::/64",  # discard (RFC 6666)
    "2001::/32",  # Teredo (RFC 4380)
    "fd00:ec2::254/128",  # metadata (Amazon)
    "fd20:ce::254/128",  # metadata (Google)
    "fe80::/10",  # link-local
    "fec0::/10",  # site-local (RFC 3879, deprecated)
    "ff00::/8",  # multicast
)
"""Nobody's phone. Not in it: private ranges, where PBXs are, and documentation ones, where nobody is."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NUMBERS = re.compile(r"^(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}$")


def network(text: str) -> Network:
    """`10.0.0.0/8`, or one address.

    Raises: ValueError: neither.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no IP network; write one like `203.0.113.0/28`") from None


class Reach:
    """The rule. See the module.

    Args:
        is_own: whether packets to this address come to this machine; asked each time, since machines change their addresses.
    """

    def __init__(self, allow: Iterable[str], deny: Iterable[str] = (), is_own: Callable[[Address], bool] = lambda _address: False) -> None:
        self._allow = tuple(network(one) for one in allow)
        self._deny = tuple(network(one) for one in (*SPECIAL, *deny))
        self._is_own = is_own
        self._judged = lru_cache(maxsize=10_000)(self._judge)

    def allows(self, host: str) -> bool:
        """Whether requests and audio may go to this IP address; what is no address is no place to send to."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return all(self._allows(one) for one in forms(address))

    def allows_name(self, host: str) -> bool:
        """The same of a host as a setting names it, as far as that can be told without asking DNS."""
        name = host.strip("[]").rstrip(".").lower()
        if "%" in name:  # a zone (RFC 4007 §11): an interface of this machine, which is nobody's business but the operator's
            return False
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3: always the loopback address
            return any(self.allows(address) for address in ("127.0.0.1", "::1"))
        number = _as_number(name)
        return number is None or self.allows(number)

    def is_own(self, host: str) -> bool:
        """Whether packets to this IP address come to this machine, whatever is allowed."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(one.is_loopback or self._is_own(one) for one in forms(address))

    def allows_from_here(self, host: str) -> bool:
        """Whether a process on this machine may have audio sent there: to an address of ours that is no loopback address, as if it were not
        ours. It could send there by itself, and so can the neighbours in the network; what listens on loopback alone relies on neither.
        """
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        allowed, denied = self._judged(address)
        return not address.is_loopback and self._is_own(address) and allowed >= 0 and allowed >= denied

    def _allows(self, address: Address) -> bool:
        allowed, denied = self._judged(address)
        # Loopback addresses are this machine's too; whoever lists their network means them.
        if not address.is_loopback and denied < address.max_prefixlen and self._is_own(address):
            denied = address.max_prefixlen
        return allowed >= 0 and allowed >= denied

    def _judge(self, address: Address) -> tuple[int, int]:
        return _width(self._allow, address), _width(self._deny, address)


def _width(networks: tuple[Network, ...], address: Address) -> int:
    return max((one.prefixlen for one in networks if address in one), default=-1)


def forms(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address that a translator or tunnel makes of it (RFC 4291 §2.5.5.2, RFC 6052 §2.1, RFC 3056, RFC 4380)."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    address = ipaddress.IPv6Address(int(address))  # without its zone, with which it would be equal to no address of ours
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def _as_number(name: str) -> str | None:
    """The address that a resolver reads in this text, in any notation of inet_aton(3) (`127.1`, `0x7f000001`); None: it is a name."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _NUMBERS.match(name):
        return None
    try:
        parts = [int(part, 16 if part[:2] in {"0x", "0X"} else 8 if part.startswith("0") else 10) for part in name.split(".")]
    except ValueError:  # an octal number with an 8 in it
        return None
    *octets, rest = parts
    if any(octet > 255 for octet in octets) or rest >= 256 ** (4 - len(octets)):
        return None
    return str(ipaddress.IPv4Address(sum(octet << 8 * (3 - index) for index, octet in enumerate(octets)) + rest))
