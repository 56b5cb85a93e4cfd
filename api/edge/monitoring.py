"""Who sees the figures of /metrics and the details of /readyz: they name tenants, hosts and paths."""

from __future__ import annotations

import secrets

from starlette.requests import Request

from acd.strangers import is_within
from api.errors import Problem, Unauthenticated, unavailable
from api.identity import Role, principal_of
from api.shared import services

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""A request that was passed on is judged by its token alone: who it really comes from is a header's word."""


async def sees_details(request: Request) -> bool:
    """Whether a request comes from a network of `monitoring.sources`, bears `monitoring.token`, or is the operator's."""
    monitoring = services(request).settings.monitoring
    is_forwarded = any(name in request.headers for name in FORWARDED)
    if not is_forwarded and request.client is not None and is_within(request.client.host, monitoring.networks):
        return True
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return False
    if monitoring.token is not None and secrets.compare_digest(token.encode(), monitoring.token.get_secret_value().encode()):
        return True
    return await _is_operator(request, token)


async def _is_operator(request: Request, token: str) -> bool:
    try:
        return (await principal_of(request, token)).role == Role.OPERATOR
    except Problem:
        return False
    except Exception as error:
        if unavailable(error) is None:
            raise
        return False


async def require_details(request: Request) -> None:
    """For what strangers see nothing of.

    Raises: Unauthenticated
    """
    if not await sees_details(request):
        raise Unauthenticated("This needs the token of `monitoring.token`, the operator's log-in, or a network of `monitoring.sources`.")
