"""HTTP to addresses that tenants name, under the operator's rule (shell; CWE-918, CWE-350).

A name is asked for once a request, every address it has must be allowed, and one of those is what is connected to: nothing that the name
stands for a moment later matters. TLS is checked by the name as ever. Redirects are not followed, no proxy of the environment is used, no
connection is kept, and the answer is read only so far.

Whoever's names hang keeps nobody else from asking: a look-up cannot be stopped, it holds its thread until the system gives up, so each
asker may have few that hang, and one of the same name waits for the one that is on its way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore

from acd.networks import Reach

RESOLVED_WITHIN_S = 5.0
CONNECTED_WITHIN_S = 5.0
MOST_OCTETS = 4096
"""Of the answer's body that are read."""
LOOKUPS_OF_ONE = 4
"""That hang at the same time, for one asker: a thread each, of some 100 KiB."""
LOOKUPS = 256
"""For all, beyond the first of each asker: nobody is kept from asking by others."""

PRIVATE = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
    "100.64.0.0/10",  # between carriers and customers (RFC 6598)
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),  # documentation (RFC 5737)
    "192.88.99.0/24",  # relays of 6to4 (RFC 7526, deprecated)
    "198.18.0.0/15",  # benchmarks (RFC 2544)
    "::/8",  # reserved (RFC 4291 §4), with it IPv4-translated `::ffff:0:0:0/96` (RFC 2765); IPv4-mapped is judged as the IPv4 it is
    "64:ff9b::/96",  # NAT64 (RFC 6052), which may lead into any of them; it lies in ::/8 and may be allowed alone
    "2001:2::/48",  # benchmarks (RFC 5180)
    "2001:10::/28",  # ORCHID (RFC 4843, deprecated)
    "2001:20::/28",  # ORCHIDv2 (RFC 7343): names, to which nothing is routed
    *("2001:db8::/32", "3fff::/20"),  # documentation (RFC 3849, RFC 9637)
    "5f00::/16",  # segments (RFC 9602)
    "fc00::/7",  # RFC 4193
)
"""What is not public, beside `acd.networks.SPECIAL` (IANA's registries of special-purpose addresses, RFC 6890). Whoever calls may be there;
who is sent what happens must be allowed to be."""


class NotReached(Exception):
    """There is no answer; the text is one sentence that repeats no address."""


class NotBegun(NotReached):
    """Nothing was tried: there was no room for it."""


class NotAllowed(NotReached):
    """The operator's rule forbids one of the addresses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    """Its beginning."""
    duration_ms: int


class Lookups:
    """Asks the system's resolver for names, each on a thread of its own that nobody waits for at the end."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str, int], asyncio.Future[list[str]]] = {}

    async def addresses(self, by: str, host: str, port: int) -> list[str]:
        """Every address of a name.

        Args:
            by: who asks.
        Raises: NotBegun: too many look-ups hang; NotReached: there is no address, or no answer in time.
        """
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        asked = self._running.get((by, host, port)) or self._begin(by, host, port)
        try:
            async with asyncio.timeout(RESOLVED_WITHIN_S):
                return await asyncio.shield(asked)
        except TimeoutError as error:
            raise NotReached(f"The name service did not answer within {RESOLVED_WITHIN_S:.0f} s.") from error
        except socket.gaierror as error:
            away = error.errno == socket.EAI_AGAIN
            raise NotReached("The name service does not answer." if away else "The name has no address.") from error
        except (OSError, UnicodeError) as error:
            raise NotReached("The name has no address.") from error

    def _begin(self, by: str, host: str, port: int) -> asyncio.Future[list[str]]:
        number = sum(one[0] == by for one in self._running)
        if number >= LOOKUPS_OF_ONE or (number and len(self._running) >= LOOKUPS):
            raise NotBegun("Too many other names wait for the name service.")
        loop, key = asyncio.get_running_loop(), (by, host, port)
        asked: asyncio.Future[list[str]] = loop.create_future()
        self._running[key] = asked

        def end(found: list[str] | None, error: Exception | None) -> None:
            self._running.pop(key, None)
            if asked.cancelled():
                return
            if error is None:
                asked.set_result(found or [])
            else:
                asked.set_exception(error)
                asked.exception()  # nobody may be waiting any more

        def ask() -> None:
            found, failed = None, None
            try:
                found = _addresses(host, port)
            except Exception as error:
                failed = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end, found, failed)

        try:
            threading.Thread(target=ask, name="name", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            self._running.pop(key)
            raise NotBegun("There is no thread to ask the name service on.") from error
        return asked


class _Network(httpcore.AsyncNetworkBackend):
    """Connects to what the rule allows, for one asker."""

    def __init__(self, rule: Reach, lookups: Lookups, by: str) -> None:
        self._rule = rule
        self._lookups = lookups
        self._by = by
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's protocol
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: Exception | None = None
        for address in await self._allowed(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise NotReached("The connection was refused, or nothing answered.") from failed

    async def _allowed(self, host: str, port: int) -> Sequence[str]:
        """Every address of a name.

        Raises: NotAllowed: the rule forbids one of them; NotBegun, NotReached: see `Lookups`.
        """
        if not self._rule.allows_name(host):
            raise NotAllowed("The operator does not allow this address.")
        found = await self._lookups.addresses(self._by, host, port)
        if not all(self._rule.allows(address) for address in found):
            raise NotAllowed("The name has an address that the operator does not allow.")
        return found

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _addresses(host: str, port: int) -> list[str]:
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


class Reaching:
    """Posts to foreign servers.

    Args:
        rule: the operator's.
        tls: None: the certificates this system trusts (`SSL_CERT_FILE` names others).
    """

    def __init__(self, rule: Reach, tls: ssl.SSLContext | None = None) -> None:
        self.rule = rule
        self._tls = tls
        self._reading = asyncio.Lock()
        self._lookups = Lookups()

    async def _pool(self, by: str) -> httpcore.AsyncConnectionPool:
        """Of one request: nothing of it is another's, and nobody waits in it."""
        async with self._reading:
            if self._tls is None:
                self._tls = await asyncio.to_thread(ssl.create_default_context)  # reads all certificates of the system
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=1,
            max_keepalive_connections=0,
            http1=True,
            http2=False,
            retries=0,
            network_backend=_Network(self.rule, self._lookups, by),
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes, within_s: float, by: str = "") -> Answer:
        """Send it once.

        Args:
            within_s: for everything, name service included.
            by: for whom; how many may be on their way at once, whoever calls this decides.
        Raises: NotAllowed, NotBegun, NotReached
        """
        one, began = await self._pool(by), time.monotonic()
        extensions = {"timeout": {"connect": CONNECTED_WITHIN_S, "read": within_s, "write": within_s, "pool": within_s}}
        try:
            async with (
                asyncio.timeout(within_s),
                one as pool,
                pool.stream("POST", url, headers=list(headers.items()), content=body, extensions=extensions) as response,
            ):
                got = bytearray()
                async for part in response.aiter_stream():
                    got += part[: MOST_OCTETS - len(got)]
                    if len(got) >= MOST_OCTETS:
                        break
                told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                return Answer(response.status, told, bytes(got), round((time.monotonic() - began) * 1000))
        except TimeoutError as error:
            raise NotReached(f"There was no whole answer within {within_s:.0f} s.") from error
        except httpcore.TimeoutException as error:
            raise NotReached(f"There was no answer in time ({type(error).__name__}).") from error
        except httpcore.ConnectError as error:  # TLS: the connection itself was made
            raise NotReached(f"TLS could not be agreed on: {error}") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise NotReached(f"The connection was cut, or what came is no HTTP ({type(error).__name__}).") from error
