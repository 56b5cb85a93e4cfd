"""Who a request comes from: one place, of all routes (house)."""

from __future__ import annotations

from starlette.requests import HTTPConnection


def client_address(connection: HTTPConnection) -> str:
    """The address of the socket's peer, or the one that a proxy on `http.proxies` names (uvicorn has put it in its place by now).

    What others write into X-Forwarded-For is not believed.
    """
    return connection.client.host if connection.client is not None else ""
