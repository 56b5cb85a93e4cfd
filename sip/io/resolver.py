"""Host names to addresses in the shell: A and AAAA by getaddrinfo, remembered for a short while (RFC 3263 §4.2 without NAPTR and SRV)."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from functools import lru_cache

# getaddrinfo does not tell the record's TTL; half a minute follows a carrier's fail-over soon enough.
REMEMBER_S = 30.0
MAX_NAMES = 1024


@lru_cache(maxsize=4096)
def is_numeric(host: str) -> bool:
    """Whether the host is an IP address, so that nothing needs asking."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver:
    """Answers from memory at once, else asks in the background."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._known: dict[tuple[str, int], tuple[float, tuple[str, ...]]] = {}

    def lookup(self, host: str, family: int) -> tuple[str, ...] | None:
        """The addresses, best first, if the host is numeric or was resolved lately; None: `resolve` it first."""
        if is_numeric(host):
            return (host,)
        known = self._known.get((host, family))
        return known[1] if known is not None and known[0] > self._clock() else None

    async def resolve(self, host: str, family: int) -> tuple[str, ...]:
        """Ask.

        Raises: OSError: there is no such name, or no address of that family.
        """
        try:
            found = await self._loop.getaddrinfo(host, None, family=family, type=socket.SOCK_DGRAM)
        except ValueError as error:
            # No name at all (UnicodeError: RFC 1035 §2.3.4, a label has 1 to 63 octets; "a..b" in a Contact, a NUL in maddr).
            raise socket.gaierror(socket.EAI_NONAME, f"{host[:80]!r} is no name: {error}") from error
        if not found:
            raise OSError(f"no address for {host}")
        addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
        if len(self._known) > MAX_NAMES:
            self._known.clear()
        self._known[host, family] = (self._clock() + REMEMBER_S, addresses)
        return addresses
