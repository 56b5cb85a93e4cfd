"""Dialogs: RFC 3261 §12 (state, route set, requests within), §18.1.1 and RFC 3263 §4 in small (where they are sent).

The life of a dialog is the table below; a pair missing from it is dropped. Everything else in a dialog is plain values.
"""

import ipaddress
from collections.abc import Sequence
from enum import StrEnum, auto
from typing import Final

from sip.flow import Flow, TransportName, default_port
from sip.headers.name_addr import NameAddr
from sip.machine import Edge, to
from sip.message import MAX_FORWARDS, Request, Response
from sip.uri import Uri

DialogKey = tuple[str, str, str]
"""Call-ID, local tag, remote tag ("" for an RFC 2543 peer without one: §12.1.1)."""


KNOWN: Final = frozenset({"udp", "tcp", "tls"})
"""Transports that are left the flow's own for, where a URI asks for them."""


class State(StrEnum):
    """§12: "a dialog can be in early or confirmed state"."""

    EARLY = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Input(StrEnum):
    """What changes it."""

    FINAL_2XX = auto()
    FINAL_300_699 = auto()
    BYE = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, StrEnum]]] = {
    State.EARLY: {
        Input.FINAL_2XX:     to(State.CONFIRMED),
        Input.FINAL_300_699: to(State.TERMINATED),
        Input.BYE:           to(State.TERMINATED),
    },
    State.CONFIRMED: {
        Input.FINAL_2XX:     to(State.CONFIRMED),
        Input.BYE:           to(State.TERMINATED),
    },
    State.TERMINATED: {},
}
# fmt: on


EARLY, CONFIRMED = State.EARLY, State.CONFIRMED


class Dialog:
    """One dialog as this side sees it."""

    __slots__ = (
        "call_id", "flow", "has_lost_connection", "is_nat", "is_opened_here", "local", "local_sequence_number", "local_tag", "remote",
        "remote_sequence_number", "remote_tag", "remote_target", "route_set", "send_flow", "state",
    )  # fmt: skip

    def __init__(
        self,
        *,
        call_id: str,
        local: NameAddr,
        remote: NameAddr,
        local_sequence_number: int,
        remote_sequence_number: int | None,
        remote_target: Uri,
        route_set: tuple[NameAddr, ...],
        flow: Flow,
        is_nat: bool,
        state: State,
        is_opened_here: bool = False,
    ) -> None:
        """Args:
        is_opened_here: where the flow leads somebody listens, since we called there: a connection that is gone is opened once more.
        """
        self.call_id = call_id
        self.local = str(local)
        self.local_tag = local.tag or ""
        self.remote = str(remote)
        self.remote_tag = remote.tag or ""
        self.local_sequence_number = local_sequence_number
        self.remote_sequence_number = remote_sequence_number
        self.remote_target = remote_target
        self.route_set = route_set
        self.flow = flow
        self.is_nat = is_nat
        self.state = state
        self.is_opened_here = is_opened_here
        self.has_lost_connection = False
        """The connection that the peer opened is gone: nobody listens at the port it came from."""
        self.send_flow = self._choose_flow()

    @property
    def is_sips(self) -> bool:
        """Whether requests of it have a SIPS URI for their target or first hop: our Contact in them is one then (RFC 3261 §8.1.1.8)."""
        first = self.route_set[0].uri if self.route_set else self.remote_target
        return "sips" in {first.scheme, self.remote_target.scheme}

    @property
    def key(self) -> DialogKey:
        """What requests within are matched by."""
        return (self.call_id, self.local_tag, self.remote_tag)

    def fire(self, event: Input) -> None:
        """Follow the table."""
        edge = TRANSITIONS[self.state].get(event)
        if edge is not None:
            self.state = edge.state

    # --- §12.2.1: requests we send

    def request(
        self,
        method: str,
        via: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
        sequence_number: int | None = None,
    ) -> Request:
        """Build a request within the dialog; it goes to `send_flow`.

        Args:
            sequence_number: for ACK, that of its INVITE; otherwise the next one is drawn.
        """
        if sequence_number is None:
            self.local_sequence_number += 1
            sequence_number = self.local_sequence_number
        fields = [
            ("Via", via),
            ("Max-Forwards", str(MAX_FORWARDS)),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{sequence_number} {method}"),
        ]
        request_uri = self.remote_target
        if self.route_set:
            request_uri, routes = self._request_uri_and_routes()
            fields += [("Route", route) for route in routes]
        fields += headers
        return Request.build(method, request_uri, fields, body, content_type)

    def _request_uri_and_routes(self) -> tuple[Uri, list[str]]:
        first = self.route_set[0].uri
        if first.is_loose_router:
            return self.remote_target, [str(route) for route in self.route_set]
        # §12.2.1.1, strict router: "place the first URI from the route set into the Request-URI, stripping any parameters that are not
        # allowed in a Request-URI [...] place the remote target URI into the Route header field as the last value".
        return first.without_headers(), [*(str(route) for route in self.route_set[1:]), f"<{self.remote_target}>"]

    # --- §12.2.2: requests we receive

    def takes(self, request: Request) -> bool:
        """Check and note the order; False means 500 (§12.2.2: "If the remote sequence number was not empty, but [...] lower")."""
        number = request.cseq.number
        if self.remote_sequence_number is not None and number < self.remote_sequence_number:
            return False
        self.remote_sequence_number = number
        return True

    def refresh_target(self, message: Request | Response) -> None:
        """§12.2.1.2, §12.2.2: a target refresh request or its 2xx replaces the remote target, never the route set."""
        contacts = message.contacts
        if contacts and contacts[0].uri.is_sip and contacts[0].uri is not self.remote_target:
            self.remote_target = contacts[0].uri
            self.send_flow = self._choose_flow()

    def confirm(self, response: Response) -> None:
        """§13.2.2.4: the 2xx has come: the early dialog "MUST be transitioned to the 'confirmed' state", its route set computed anew."""
        self.fire(Input.FINAL_2XX)
        routes = tuple(reversed(response.record_routes))
        if routes != self.route_set:
            self.route_set = routes
            self.send_flow = self._choose_flow()
        self.refresh_target(response)

    def move(self, before: Flow, after: Flow) -> bool:
        """The peer is reached over another flow now: requests that went over the one go over the other (RFC 5626 §5.3, RFC 5923 §8).

        The remote target stays: who reads the Request-URI is the peer, which knows its dialog by Call-ID and tags.
        Returns: whether that concerns this dialog; one with a route set goes by its first route.
        """
        if self.route_set or before.way not in {self.send_flow.way, self.flow.way}:
            return False
        self.flow = self.send_flow = after.sealed_as(self.flow)
        self.is_opened_here = self.has_lost_connection = False
        return True

    def lose_connection(self, gone: Flow) -> bool:
        """The connection is closed. One that the peer opened cannot be opened from here: requests go where the dialog says from now on,
        to the first route or the remote target (§12.2.1.1, §18.1.1), over a new one.

        Returns: whether that concerned this dialog.
        """
        if self.is_opened_here or self.has_lost_connection or not gone.is_reliable or gone.way != self.flow.way:
            return False
        self.leave_connection()
        return True

    def leave_connection(self) -> None:
        """A request could not be sent over it, whoever opened it: the next goes where the dialog says."""
        self.is_opened_here = False
        self.has_lost_connection = True
        self.send_flow = self._choose_flow()

    def _choose_flow(self) -> Flow:
        """Where requests of this dialog go: the first route, else the remote target, else (NAT, living connections) back over the flow."""
        if self.route_set:
            to, flow = flow_to(self.route_set[0].uri, self.flow), self.flow
            # Deviation: RFC 5923 §5 wants `alias` in Via before a connection of theirs is used so. A proxy that names itself by address has
            # no certificate of that, and could not be connected to; this is the connection it speaks over.
            is_theirs = flow.is_protected and flow.transport == to.transport and flow.remote[0] == to.remote[0]
            return flow if is_theirs and not self.has_lost_connection else to
        goes_back = not self.has_lost_connection if self.flow.is_reliable else self.is_nat
        if (goes_back and self._may_go(self.flow)) or not self.remote_target.is_sip:
            return self.flow
        return flow_to(self.remote_target, self.flow)

    def _may_go(self, flow: Flow) -> bool:
        """RFC 3261 §26.2.2: over every hop a request with a SIPS URI is under the protection of TLS."""
        return flow.is_protected or self.remote_target.scheme != "sips"


def flow_to(uri: Uri, base: Flow) -> Flow:
    """The flow for a URI (RFC 3263 §4 without SRV: its transport, its port or that transport's own), from the same listening socket.

    A private address announced by a peer that we see under a public one is unreachable, and an address that every machine gives to itself
    (loopback, link-local) is the peer's, not ours: then the flow we know is kept. Another host than that flow's is only said. A sealed flow
    is left for no way in plain, whatever the URI asks for.
    """
    host, transport = uri.host, _transport_to(uri, base)
    port = uri.port or default_port(transport)
    if uri.params:
        host = (uri.param("maddr") or host).strip("[]")  # RFC 3261 §25.1: maddr=host, so that IPv6 stands in brackets
    if transport == base.transport and (host, port) == base.remote:
        return base
    seen = base.remote[0]
    is_other = host != seen
    if is_other and any(is_such(host) and not is_such(seen) for is_such in (_is_of_the_machine, _is_private)):
        return base
    way = Flow(transport, base.local, (host, port), said=base.said or is_other, behalf=base.behalf, sealed=base.sealed)
    return base if base.sealed and not way.is_encrypted else way


def _transport_to(uri: Uri, base: Flow) -> TransportName:
    """What a URI asks for, as far as we know it."""
    if base.is_websocket:  # RFC 7118 §5: whoever is behind one is reached over it, or not at all; its host is `.invalid`
        return base.transport
    if uri.scheme == "sips":  # RFC 5630 §3.1.3, §3.1.4: TLS, whatever runs below it and whether ;transport=tcp says so or not
        return base.transport if base.is_protected else "tls"
    named = uri.transport
    if named is None:
        # Deviation: RFC 3263 §4.1 has UDP where nothing is named. Whom we speak to under protection must ask for less in so many words.
        return base.transport if base.is_protected else "udp"
    return named if named in KNOWN or named == base.transport else "udp"


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _is_of_the_machine(host: str) -> bool:
    """RFC 1122 §3.2.1.3, RFC 3927, RFC 4291 §2.5: an address that says nothing beyond its own machine or wire, or is nobody's."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast


def is_behind_nat(request: Request, flow: Flow) -> bool:
    """Whether the sender's own idea of its address differs from where the packet came from (compare RFC 3581 §4)."""
    via = request.top_via
    try:
        same = via.host == flow.remote[0] or ipaddress.ip_address(via.host) == ipaddress.ip_address(flow.remote[0])
    except ValueError:
        return False  # a host name: no statement
    return not same or (via.port or default_port(flow.transport)) != flow.remote[1]


def uas_dialog(request: Request, local_tag: str, flow: Flow) -> Dialog:
    """§12.1.1: the dialog that our tagged response to an INVITE makes."""
    contacts = request.contacts
    return Dialog(
        call_id=request.call_id,
        local=request.to.with_tag(local_tag),
        remote=request.from_,
        local_sequence_number=0,
        remote_sequence_number=request.cseq.number,
        remote_target=contacts[0].uri if contacts else request.from_.uri,
        route_set=request.record_routes,
        flow=flow,
        # Through a proxy (Record-Route) the top Via is the proxy's; what the flow says of NAT is its affair.
        is_nat=not request.record_routes and len(request.vias) == 1 and is_behind_nat(request, flow),
        state=EARLY,
    )


def uac_dialog(request: Request, response: Response, flow: Flow) -> Dialog:
    """§12.1.2: the dialog that a tagged response to our INVITE makes."""
    contacts = response.contacts
    target = contacts[0].uri if contacts and contacts[0].uri.is_sip else request.uri
    return Dialog(
        call_id=request.call_id,
        local=request.from_,
        remote=response.to,
        local_sequence_number=request.cseq.number,
        remote_sequence_number=None,
        remote_target=target,
        route_set=tuple(reversed(response.record_routes)),
        flow=flow,
        # A contact that we reached over a flow leading elsewhere (a phone's registration) is reached that way again.
        is_nat=target.host != flow.remote[0] and (target.host, target.port) == (request.uri.host, request.uri.port) and not request.routes,
        state=CONFIRMED if response.status >= 200 else EARLY,
        is_opened_here=True,
    )
