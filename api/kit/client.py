"""Who a request comes from: one place, so that a proxy in front can be believed here when the operator lists it (house)."""

from __future__ import annotations

from starlette.requests import HTTPConnection


def client_address(connection: HTTPConnection) -> str:
    """The address of the socket's peer; behind a reverse proxy that is the proxy's. Headers are not believed: anybody can write them."""
    return connection.client.host if connection.client is not None else ""
