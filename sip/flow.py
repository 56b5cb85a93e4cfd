"""One five-tuple a SIP message travels on: RFC 3261 §18 (transport), the word after RFC 5626 §2 ("flow")."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Final, Self

import msgspec

TransportName = str
"""`udp`, `tcp`, and whatever else stands in the registry of transports (`sip.io.registry`), in small letters."""
HostPort = tuple[str, int]
Way = tuple[HostPort, HostPort, TransportName]

DEFAULT_PORT = 5060
DEFAULT_PORTS: Final[Mapping[TransportName, int]] = {"tls": 5061, "ws": 80, "wss": 443}
"""RFC 3261 §18.2.1, RFC 7118 §5.2.3: 5060 for every other."""
PROTECTED: Final = frozenset({"tls", "wss"})
"""Over which a request with a SIPS URI may go (RFC 3261 §26.2.2)."""
WEBSOCKETS: Final = frozenset({"ws", "wss"})
"""RFC 7118: whoever is there is a page, whose audio goes by ICE and DTLS (RFC 8827 §6.5), and which only its own flow leads to."""

IdSource = Callable[[], str]
"""Gives an unpredictable token (letters and digits, at least 64 bits) at each call: for branch, tag, Call-ID, nonce (RFC 3261 §19.3)."""


class Flow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The way to one peer.

    `local` names the listening socket, also for TCP connections opened from here (their ephemeral port is nobody's business).
    `remote` is the peer's address; a host name is allowed and resolved by the shell.
    """

    transport: TransportName
    local: HostPort
    remote: HostPort
    said: bool = False
    """Nobody was heard there: a setting or a header names it (peer, Contact, Record-Route). The shell asks its rule before it sends a
    request there; where a message came from, it may always be answered."""
    behalf: str = ""
    """Who names it, as the application calls them: its rule may differ from one to the other."""
    id: str = ""
    """The token of a flow that its far end has opened (RFC 5626 §4.2.2): while it lives what goes to that peer goes over it. Empty: the
    addresses name it, and it can be opened from here."""
    opened_by: str = ""
    """Who has opened it, as the application calls them; empty: nobody has said so, and who sends over it must prove who that is."""
    sealed: bool = False
    """Whoever is there is spoken to under encryption or not at all: what is sent never leaves it for a way that is not `is_encrypted`."""
    proven: tuple[str, ...] = ()
    """What the far end's certificate has proved of it (`sip.domain_identity.proofs`), in order; empty: nothing."""

    @property
    def is_reliable(self) -> bool:
        """Whether the transport retransmits by itself, so that the transactions must not."""
        return self.transport != "udp"

    @property
    def is_protected(self) -> bool:
        """Whether nobody on the way to that peer reads along or puts in a word."""
        return self.transport in PROTECTED

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody outside of this machine reads along: a page's connection that a proxy here has taken the encryption off is so."""
        return self.is_protected or (self.transport == "ws" and _is_loopback(self.remote[0]))

    def sealed_as(self, other: Self) -> Self:
        """Under the same seal as the other flow."""
        return self if self.sealed == other.sealed else msgspec.structs.replace(self, sealed=other.sealed)

    @property
    def is_websocket(self) -> bool:
        """Whether a page is at the other end."""
        return self.transport in WEBSOCKETS

    @property
    def uri_transport(self) -> str:
        """What a URI's transport parameter calls it: `ws` whether or not TLS runs below (RFC 7118 §5.4)."""
        return "ws" if self.is_websocket else self.transport

    @property
    def way(self) -> Way:
        """The same for a flow that was said and one that was heard: a connection that we opened is lost like any other."""
        return self.remote, self.local, self.transport

    def leads_as(self, other: "Flow") -> bool:
        """Whether it leads to a peer as the other does. A WebSocket is this one or none: an earlier one with the same addresses is gone."""
        return self.way == other.way and (not self.is_websocket or self.id == other.id)

    def __str__(self) -> str:
        """`udp 10.0.0.1:5060>10.0.0.2:5060`, for logs."""
        return f"{self.transport} {format_host_port(self.local)}>{format_host_port(self.remote)}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_port(transport: TransportName) -> int:
    """The port where none is given (RFC 3261 §18.2.1, §19.1.2)."""
    return DEFAULT_PORTS.get(transport, DEFAULT_PORT)


def format_host_port(address: HostPort) -> str:
    """`host:port`, IPv6 in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
