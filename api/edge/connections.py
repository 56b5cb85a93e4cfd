"""Whose the connections of HTTP are: a stranger's count against their address, a user's against the user (two hundred desks share a NAT).

A connection is a stranger's until a request on it has proved who it is, then the user's until it ends.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from starlette.requests import HTTPConnection

from acd.strangers import Network, Strangers
from api.errors import TooManyConnections, TooManyOfTenant

STATE = "lease"
"""Where the server's protocols put a connection's lease into the `state` of its requests."""


SOURCE_IS_FULL = "Too many connections from this address."
ALL_ARE_FULL = "Too many connections of clients that are not logged in, and no address has more of them than this one."
MADE_ROOM = "Too many connections of clients that are not logged in; this one made room for another address."


class Held(Protocol):
    """What a lease is for."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is being served."""

    def give_way(self) -> None:
        """Close, for somebody else, whatever is going on."""


class Connections:
    """All connections of a server."""

    def __init__(
        self, per_source: int, strangers: int, per_user: int, proxies: Iterable[Network] = (), per_tenant: int | None = None
    ) -> None:
        """Args:
        per_tenant: of all its users; None: as many as they may have.
        """
        self.strangers: Strangers[Lease] = Strangers(per_source, strangers, proxies)
        self.per_user = per_user
        self.per_tenant = math.inf if per_tenant is None else per_tenant
        self.open = 0
        self.tenants: Counter[str] = Counter()
        self.users: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """What ended connections early, by reason."""

    def figures(self) -> Mapping[str, float]:
        """For /metrics."""
        refused = {**self.refused, "source_is_full": self.strangers.refused, "all_are_full": self.strangers.refused_when_full}
        refused |= {"made_room": self.strangers.displaced}
        return {
            "fernamt_http_connections": self.open,
            "fernamt_http_strangers": len(self.strangers),
            **{f'fernamt_http_tenant_connections{{tenant="{tenant}"}}': count for tenant, count in self.tenants.items() if tenant},
            **{f'fernamt_http_connections_refused_total{{reason="{reason}"}}': count for reason, count in refused.items()},
        }


class Lease:
    """One connection from its begin to its end."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._is_open = False
        self.holder: Held | None = None
        """The protocol that speaks on it now."""
        self.user: str | None = None
        """Whose it is; None: a stranger's."""
        self.refusal = ""
        """Why there was no room, for whoever was refused."""
        self.source = ""
        """The address of the socket's peer, whoever sent the request."""
        self.is_encrypted = False
        """It goes by TLS, and we are its end."""

    def begin(self, holder: Held, host: str) -> bool:
        """A connection is open. Returns: False: there is no room, and it must be closed."""
        self.holder, self.source = holder, host
        connections = self._connections
        admitted, goes = connections.strangers.enter(self, host, lambda one: one.holder is not None and one.holder.is_idle)
        if goes is not None and goes.holder is not None:
            goes.holder.give_way()
        if admitted:
            self._is_open = True
            connections.open += 1
        else:
            self.refusal = SOURCE_IS_FULL if connections.strangers.is_full(host) else ALL_ARE_FULL
        return admitted

    @property
    def is_open(self) -> bool:
        """It has a place."""
        return self._is_open

    def pass_on(self, holder: Held) -> None:
        """The connection speaks another protocol from now on."""
        self.holder = holder

    def belongs_to(self, user: str) -> None:
        """A request has proved whose it is.

        Raises: TooManyConnections: of that user; TooManyOfTenant
        """
        if user == self.user or not self._is_open:
            return
        connections, tenant = self._connections, _tenant_of(user)
        if connections.users[user] >= connections.per_user:
            connections.refused["user_is_full"] += 1
            raise TooManyConnections
        is_more = self.user is None or _tenant_of(self.user) != tenant
        if is_more and tenant and connections.tenants[tenant] >= connections.per_tenant:
            connections.refused["tenant_is_full"] += 1
            raise TooManyOfTenant
        self._forget_user()
        connections.users[user] += 1
        connections.tenants[tenant] += 1
        self.user = user
        self._connections.strangers.leave(self)

    def end(self) -> None:
        """The connection is gone."""
        if not self._is_open:
            return
        self._is_open = False
        self._connections.open -= 1
        self._connections.strangers.leave(self)
        self._forget_user()

    def _forget_user(self) -> None:
        if self.user is None:
            return
        for counted, whose in ((self._connections.users, self.user), (self._connections.tenants, _tenant_of(self.user))):
            counted[whose] -= 1
            if not counted[whose]:
                del counted[whose]
        self.user = None


def _tenant_of(user: str) -> str:
    """A user is told with the tenant, `acme/anna`; of the platform's operators that is empty, and they are not counted together."""
    return user.partition("/")[0]


def counts_for(connection: HTTPConnection, user: str) -> None:
    """Note whose connection a request came on; where a server keeps no leases, nothing.

    Raises: TooManyConnections
    """
    lease = connection.scope.get("state", {}).get(STATE)
    if isinstance(lease, Lease):
        lease.belongs_to(user)
