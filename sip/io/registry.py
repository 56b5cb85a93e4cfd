"""The transports there are, by name, and those that a driver has open. A new transport is a file beside this one and a row here."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from sip.errors import LocalMisuse
from sip.flow import Flow, HostPort, TransportName
from sip.io import tcp, tls, udp, websocket
from sip.io.resolver import is_numeric
from sip.io.transport import Kind, Shell, Transport

TRANSPORTS: Final[Mapping[TransportName, Kind]] = {
    "udp": Kind(udp.open_udp),
    "tcp": Kind(tcp.open_tcp, tcp.FIGURES),
    "tls": Kind(tls.open_tls, tls.FIGURES),
    "ws": Kind(partial(websocket.open_websocket, "ws"), websocket.FIGURES),
    "wss": Kind(partial(websocket.open_websocket, "wss"), websocket.FIGURES),
}
"""The name is that of Via and, but for `wss`, of a URI's transport parameter, in small letters (RFC 3261 §20.42, §19.1.1; RFC 7118 §5)."""


class Transports:
    """What is listened on."""

    def __init__(self, kinds: Mapping[TransportName, Kind]) -> None:
        self._kinds = kinds
        self._open: dict[TransportName, dict[HostPort, Transport]] = {}

    async def open(self, name: TransportName, address: HostPort, shell: Shell) -> None:
        """Listen.

        Raises: OSError: the address cannot be bound. LocalMisuse: there is no such transport.
        """
        kind = self._kinds.get(name)
        if kind is None:
            raise LocalMisuse(f"no transport {name!r}; there are {', '.join(self._kinds)}")
        made = await kind.open(shell, address)
        self._open.setdefault(name, {})[made.address] = made

    def of(self, name: TransportName) -> Mapping[HostPort, Transport]:
        """Those of one name, by their address."""
        return self._open.get(name, {})

    def __iter__(self) -> Iterator[tuple[TransportName, Transport]]:
        return ((name, one) for name in self._kinds for one in self.of(name).values())

    def let_in(self, flow: Flow) -> None:
        """Somebody has registered, or been let in with a call, over this flow."""
        for one in self.of(flow.transport).values():
            one.let_in(flow)

    def figures(self) -> Mapping[str, float]:
        """What all of them have to tell, summed up by name."""
        sums: dict[str, float] = dict.fromkeys((name for kind in self._kinds.values() for name in kind.figures), 0)
        for _, one in self:
            for name, value in one.figures().items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def sender(self, flow: Flow, name: TransportName) -> Transport | None:
        """The one to send from under that name; None: nothing listens on it in the peer's family."""
        senders, (host, port), remote_host = self.of(name), flow.local, flow.remote[0]
        exact = senders.get(flow.local)
        if not is_numeric(remote_host):
            if exact is not None:
                return exact
            same_port = [one for address, one in senders.items() if address[1] == port]
            return next(iter((*same_port, *senders.values())), None)
        is_v6 = ":" in remote_host
        if exact is not None and (":" in host) == is_v6:
            return exact
        # The local address is a wildcard socket's (made concrete by the driver), or of the other family: same port first.
        fitting = [address for address in senders if (":" in address[0]) == is_v6]
        fitting.sort(key=lambda address: address[1] != port)
        return senders[fitting[0]] if fitting else None

    def stop_reading(self) -> None:
        """Read nothing more."""
        for _, one in self:
            one.stop_reading()

    async def leave(self, within_s: float) -> None:
        """Close every one when what is unsent has been taken."""
        await asyncio.gather(*[one.leave(within_s) for _, one in self])

    async def close(self) -> None:
        """Close every one."""
        for _, one in self:
            await one.close()
