"""Every route of the application's own table: who gets in and who does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.app import create_app
from api.config import Settings
from api.identity import EVERYBODY, Role, needed_by
from api.slices import SLICES
from tests.api.conftest import CHEAP, Service
from tests.api.voice import EngineVoice

PUBLIC = {
    *(operation for one in SLICES.slices for operation in one.public),
    *("docs", "begin", "part", "sockets_document", "sockets"),  # the page over OpenAPI, which is no slice
}
"""What a slice says needs no log-in."""
WHO = {Role.AGENT: "anna", Role.SUPERVISOR: "supervisor", Role.BILLING: "billing", Role.ADMIN: "admin", Role.OPERATOR: "operator"}


def routes() -> Iterator[tuple[str, str, str, frozenset[Role] | None]]:
    """Method, path, operation, roles (None: public), read from the routes themselves."""
    app = create_app(Settings(login=CHEAP), EngineVoice(lambda: 0.0))
    for route in _flat(app.routes):
        needed = needed_by(route.dependant)
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, route.path, route.operation_id or route.name, None if needed is None else needed.roles


def _flat(found: Any) -> Iterator[APIRoute]:
    """Routes of the application and of the routers in it."""
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from _flat(route.original_router.routes)


TABLE = sorted(routes(), key=lambda one: one[:3])
GUARDED = [(method, path, roles) for method, path, _, roles in TABLE if roles is not None]


def filled(path: str) -> str:
    """A path with names in it that exist nowhere: whoever gets as far as 404 was let in."""
    for name, value in {"number": "999999", "month": "2026-03", "key": "nobody", "agent": "nobody", "call": "none"}.items():
        path = path.replace(f"{{{name}}}", value)
    return path.replace("{", "").replace("}", "")


def test_table_is_whole() -> None:
    """Somebody who adds a public route has to say so in its slice."""
    assert {operation for _, _, operation, roles in TABLE if roles is None} == PUBLIC
    assert len(GUARDED) > 80


async def test_nobody_gets_in_without_a_token(service: Service) -> None:
    for method, path, _ in GUARDED:
        answer = await service.client.request(method, filled(path))
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"]


@pytest.mark.parametrize("role", list(Role))
async def test_role_gets_in_where_it_may_and_nowhere_else(staffed: Service, role: Role) -> None:
    assert (await staffed.call("PUT", "setup", json={"agents_hear_recordings": True})).status_code == 200
    for method, path, roles in GUARDED:
        if path == "/api/v1/logout":  # it would end the token we test with
            continue
        answer = await staffed.call(method, filled(path), WHO[role], json={} if method in {"POST", "PUT", "PATCH"} else None)
        if role in roles:
            own_desk_only = answer.status_code == 403 and "desk" in answer.json()["detail"]
            assert answer.status_code != 401, (method, path)
            assert answer.status_code != 403 or own_desk_only, (method, path, answer.text)
            assert answer.status_code < 500, (method, path, answer.text)
        else:
            assert answer.status_code == 403, (method, path, answer.status_code)


def test_admin_is_let_in_wherever_any_role_of_the_tenant_is() -> None:
    for method, path, roles in GUARDED:
        if roles & set(EVERYBODY):
            assert Role.ADMIN in roles, (method, path)
