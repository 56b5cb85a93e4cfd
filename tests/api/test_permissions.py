"""Who may do what is one table: what routes ask for, what the docs show, and what an API key is restricted to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.app import create_app
from api.config import Settings
from api.identity import Role, needed_by
from api.kit.permissions import as_markdown, missing, of_role, permission, table
from api.slices import NAMES, SLICES
from tests.api.conftest import CHEAP, Service
from tests.api.sockets import Socket
from tests.api.voice import EngineVoice

PERMISSION_ROW = re.compile(r"\| `[a-z-]+:[a-z]+` \|")
SECURITY = Path(__file__).resolve().parents[2] / "docs/security.md"


def operations() -> list[tuple[str, APIRoute]]:
    return [
        (name, route)
        for name, one in zip(NAMES, SLICES.slices, strict=True)
        for router in one.routers
        for route in router.routes
        if isinstance(route, APIRoute)
    ]


def differences(text: str, table_now: str) -> Iterator[str]:
    """What the table in the docs has otherwise than the code."""
    there, wanted = ([row for row in one.splitlines() if PERMISSION_ROW.match(row)] for one in (text, table_now))
    yield from (f"is missing: {row}" for row in wanted if row not in there)
    yield from (f"the code has not: {row}" for row in there if row not in wanted)
    if sorted(there) == sorted(wanted):
        yield from [f"is in another place: {is_row}" for is_row, row in zip(there, wanted, strict=True) if is_row != row][:1]


class TestTable:
    def test_it_stands_in_the_docs_as_it_is(self) -> None:
        wrong = list(differences(SECURITY.read_text(encoding="utf-8"), as_markdown(SLICES.permissions)))
        assert not wrong, "docs/security.md, Who may do what (python -m api.slices writes the table):\n" + "\n".join(wrong)

    def test_a_row_too_few_and_one_too_many_are_named(self) -> None:
        table_now = as_markdown(SLICES.permissions)
        first, second = [row for row in table_now.splitlines() if PERMISSION_ROW.match(row)][:2]
        assert list(differences(table_now, table_now)) == []
        assert list(differences(table_now.replace(f"{first}\n", ""), table_now)) == [f"is missing: {first}"]
        assert list(differences(table_now, table_now.replace(f"{first}\n", ""))) == [f"the code has not: {first}"]
        swapped = table_now.replace(f"{first}\n{second}", f"{second}\n{first}")
        assert list(differences(swapped, table_now)) == [f"is in another place: {second}"]

    def test_every_operation_that_is_not_public_needs_one_of_its_own_slice(self) -> None:
        wrong = []
        for name, route in operations():
            of, needed = SLICES.slices[NAMES.index(name)], needed_by(route.dependant)
            if needed is None and route.operation_id not in of.public:
                wrong.append(f"api/{name}: {route.operation_id} needs no permission, and is not among `public` of the slice")
            if needed is not None and needed not in of.permissions:
                wrong.append(f"api/{name}: {route.operation_id} needs {needed.name}, which is not among `permissions` of the slice")
        assert not wrong, "\n".join(wrong)

    def test_what_only_reads_is_enough_for_no_change_and_each_is_used(self) -> None:
        used: dict[str, set[str]] = {}
        for _, route in operations():
            if (needed := needed_by(route.dependant)) is not None:
                used.setdefault(needed.name, set()).update(route.methods)
        wrong = [
            f"{name} is needed by no route: take it out of `permissions` of its slice" for name in SLICES.permissions if name not in used
        ]
        wrong += [f"{name} is needed by a route, and no slice has it in `permissions`" for name in used if name not in SLICES.permissions]
        for name, methods in used.items():
            if name.endswith(":read") != (methods == {"GET"}):
                wrong.append(f"{name} is enough for {', '.join(sorted(methods))}: what is called `read` is for GET alone, and only that is")
        assert not wrong, "\n".join(wrong)

    def test_operators_and_tenants_share_only_what_is_about_oneself(self) -> None:
        shared = of_role(SLICES.permissions, Role.OPERATOR) & of_role(SLICES.permissions, Role.ADMIN)
        assert shared == {"me:read", "me:write"}

    def test_admin_has_what_any_role_of_the_tenant_has(self) -> None:
        assert permission("a:read", "A.", Role.AGENT).roles == {Role.AGENT, Role.ADMIN}
        assert permission("a:read", "A.", Role.OPERATOR).roles == {Role.OPERATOR}

    def test_a_name_is_what_and_how_and_one_slice_s(self) -> None:
        with pytest.raises(ValueError, match="contacts is no permission"):
            permission("contacts", "No.", Role.AGENT)
        one = permission("a:read", "A.", Role.AGENT)
        with pytest.raises(ValueError, match="two slices say who has a:read"):
            table([one, permission("a:read", "B.", Role.ADMIN)])

    def test_a_refusal_names_what_is_missing(self) -> None:
        one = permission("a:write", "A.", Role.SUPERVISOR)
        assert missing(Role.AGENT, None, one) == "This needs the permission a:write, which is for admin, supervisor; you are agent."
        assert missing(Role.ADMIN, frozenset({"b:read"}), one) == "This needs the permission a:write, and this API key has only: b:read."
        assert missing(Role.ADMIN, frozenset({"a:write"}), one) is None


def test_openapi_says_what_each_operation_needs() -> None:
    document = create_app(Settings(login=CHEAP), EngineVoice(lambda: 0.0)).openapi()
    create = document["paths"]["/api/v1/contacts"]["post"]
    assert (create["x-permission"], create["security"]) == ("contacts:write", [{"HTTPBearer": ["contacts:write"]}])
    assert create["description"].endswith("Needs `contacts:write`: agent, supervisor, admin.")
    told = {one["x-permission"] for some in document["paths"].values() for one in some.values() if "x-permission" in one}
    assert told == SLICES.permissions.keys()
    assert not [one for some in document["paths"].values() for one in some.values() if ("security" in one) != ("x-permission" in one)]


class TestKeys:
    async def key(self, service: Service, permissions: list[str] | None, role: str = "admin", who: str = "admin") -> dict[str, Any]:
        made = await service.made("api-keys", {"name": "CRM", "role": role, "permissions": permissions}, who)
        service.tokens["key"] = made["token"]
        return made

    async def test_one_that_reads_changes_nothing(self, staffed: Service) -> None:
        await self.key(staffed, ["contacts:read", "me:read"])
        assert (await staffed.call("GET", "contacts", "key")).status_code == 200
        assert (await staffed.call("GET", "me", "key")).status_code == 200
        for method, path, body in (("POST", "contacts", {"name": "Erika"}), ("GET", "tickets", None), ("GET", "users", None)):
            refused = await staffed.call(method, path, "key", json=body)
            assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
        refused = await staffed.call("POST", "contacts", "key", json={"name": "Erika"})
        assert refused.json()["detail"] == ("This needs the permission contacts:write, and this API key has only: contacts:read me:read.")
        assert (await staffed.got("contacts"))["items"] == []

    async def test_listings_and_the_audit_show_what_it_is_restricted_to(self, staffed: Service) -> None:
        made = await self.key(staffed, ["me:read", "contacts:read", "me:read"])
        assert made["permissions"] == ["contacts:read", "me:read"]
        assert [one["permissions"] for one in (await staffed.got("api-keys"))["items"]] == [["contacts:read", "me:read"]]
        (entry,) = (await staffed.got(f"audit?kind=key&subject={made['id']}"))["items"]
        assert entry["after"]["permissions"] == ["contacts:read", "me:read"]

    async def test_one_without_restrictions_has_all_of_its_role(self, staffed: Service) -> None:
        """As all have that were made before there were permissions."""
        made = await self.key(staffed, None, "supervisor")
        assert made["permissions"] is None
        assert (await staffed.call("POST", "contacts", "key", json={"name": "Erika"})).status_code == 201
        refused = await staffed.call("GET", "users", "key")
        assert refused.json()["detail"] == "This needs the permission users:read, which is for admin; you are supervisor."

    async def test_it_has_nothing_that_its_role_has_not(self, staffed: Service) -> None:
        for role, name in (("agent", "users:read"), ("admin", "tenants:read"), ("admin", "cats:read")):
            refused = await staffed.call("POST", "api-keys", json={"name": "x", "role": role, "permissions": ["me:read", name]})
            assert refused.status_code == 422
            assert refused.json()["errors"] == [{"detail": f"The role {role} has no permission {name}.", "pointer": "#/permissions"}]

    async def test_nobody_gets_more_by_a_restricted_one(self, staffed: Service) -> None:
        """Neither another key, nor a user with a password, nor one's password."""
        await self.key(staffed, ["keys:write", "users:write", "users:read", "me:read"])
        for method, path, body in (
            ("POST", "api-keys", {"name": "x", "role": "admin"}),
            ("POST", "api-keys", {"name": "x", "role": "agent", "permissions": ["contacts:read"]}),
            ("POST", "users", {"id": "eve", "name": "Eve", "role": "agent"}),
            ("PATCH", "users/admin", {"password": "four words that do not belong"}),
            ("PATCH", "users/anna", {"role": "admin"}),
        ):
            refused = await staffed.call(method, path, "key", json=body)
            assert refused.status_code == 403, (method, path, refused.text)
            assert "nobody made with it may do more" in refused.json()["detail"]
        made = await staffed.made("api-keys", {"name": "x", "role": "admin", "permissions": ["users:read"]}, "key")
        assert made["permissions"] == ["users:read"]

    @pytest.mark.parametrize("permissions", [None, ["keys:write", "keys:read"]])
    async def test_none_that_it_makes_holds_longer_than_it(self, staffed: Service, permissions: list[str] | None) -> None:
        """Nor is one the tenant's that is made with one of a user's."""
        ends = staffed.clock() + timedelta(minutes=30)
        body = {"name": "CRM", "role": "admin", "permissions": permissions}
        staffed.tokens["key"] = (await staffed.made("api-keys", {**body, "expires_at": ends.isoformat()}))["token"]
        for more, pointer in (
            ({"never_expires": True}, "#/never_expires"),
            ({"never_expires": True, "for_tenant": True}, "#/never_expires"),
            ({}, "#/expires_at"),
            ({"expires_at": (ends + timedelta(seconds=1)).isoformat()}, "#/expires_at"),
            ({"expires_at": ends.isoformat(), "for_tenant": True}, "#/for_tenant"),
        ):
            refused = await staffed.call("POST", "api-keys", "key", json={**body, **more})
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:fernamt:problem:forbidden"), (more, refused.text)
            assert refused.json()["errors"][0]["pointer"] == pointer, more
            if pointer != "#/for_tenant":
                assert f"ends at {ends.isoformat()}" in refused.json()["detail"]
        child = await staffed.made("api-keys", {**body, "expires_at": ends.isoformat()}, "key")
        assert (child["user"], child["expires_at"]) == ("admin", ends.isoformat().replace("+00:00", "Z"))
        staffed.clock.turn(minutes=31)
        staffed.tokens["child"] = child["token"]
        assert [(await staffed.call("GET", "api-keys", who)).status_code for who in ("key", "child", "admin")] == [401, 401, 200]

    async def test_one_of_the_tenant_makes_such_and_one_without_an_end_makes_any(self, staffed: Service) -> None:
        body = {"name": "CRM", "role": "admin", "never_expires": True}
        staffed.tokens["key"] = (await staffed.made("api-keys", {**body, "for_tenant": True}))["token"]
        for for_tenant in (True, False):
            child = await staffed.made("api-keys", {**body, "for_tenant": for_tenant}, "key")
            assert (child["user"], child["expires_at"]) == (None, None)

    async def test_what_one_has_made_is_found_when_it_is_gone(self, staffed: Service) -> None:
        """As docs/security.md says to the administrator: it goes on."""
        parent = await self.key(staffed, None)
        child = await staffed.made("api-keys", {"name": "x", "role": "agent"}, "key")
        await staffed.made("users", {"id": "eve", "name": "Eve", "role": "agent"}, "key")
        assert (await staffed.call("DELETE", f"api-keys/{parent['id']}")).status_code == 204
        staffed.tokens["child"] = child["token"]
        assert (await staffed.call("GET", "me", "child")).status_code == 200
        assert [one["id"] for one in (await staffed.got("api-keys"))["items"] if one["made_by"] == f"key:{parent['id']}"] == [child["id"]]
        made = (await staffed.got(f"audit?who=key:{parent['id']}&about=changes"))["items"]
        assert [(one["act"], one["kind"], one["subject"]) for one in made] == [("created", "user", "eve"), ("created", "key", child["id"])]

    async def test_one_that_writes_has_nothing_read_to_it_by_saying_nothing(self, staffed: Service) -> None:
        """An answer shows what was written to; that is no way of reading."""
        ticket = (await staffed.made("tickets", {"subject": "No dial tone"}))["number"]
        await self.key(staffed, ["tickets:write", *sorted(of_role(SLICES.permissions, Role.AGENT)), "users:write"])
        for path in (f"tickets/{ticket}", "users/anna"):
            for nothing in ({}, {"name" if path == "users/anna" else "text": None}):
                refused = await staffed.call("PATCH", path, "key", json=nothing)
                assert refused.status_code == 422, (path, nothing, refused.text)
                assert "this says nothing; what can be changed is " in refused.json()["detail"]
                assert "dial" not in refused.text
        assert (await staffed.call("PATCH", f"tickets/{ticket}", "key", json={"contact": None})).status_code == 200
        assert (await staffed.call("PATCH", "users/anna", "key", json={"agent": None})).status_code == 200

    async def test_a_restricted_one_removes_nobody_who_has_more(self, staffed: Service) -> None:
        """And itself, and whoever has no more than it."""
        whole = await self.key(staffed, None)
        await staffed.made("users", {"id": "second", "name": "Second", "role": "admin"})
        less = await self.key(staffed, ["me:read"])
        as_much = await self.key(staffed, ["keys:read", "keys:write", "me:read"])
        others = await self.key(staffed, ["keys:write", "contacts:read"])
        own = await self.key(staffed, ["keys:read", "keys:write", "users:read", "users:write", "me:read"])
        for path in (f"api-keys/{whole['id']}", f"api-keys/{others['id']}", "users/second", "users/anna"):
            refused = await staffed.call("DELETE", path, "key")
            assert refused.status_code == 403, (path, refused.text)
            assert "This API key is restricted, and nobody made with it may do more" in refused.json()["detail"]
        assert "contacts:read" in (await staffed.call("DELETE", f"api-keys/{others['id']}", "key")).json()["detail"]
        for one in (less, as_much, own):
            assert (await staffed.call("DELETE", f"api-keys/{one['id']}", "key")).status_code == 204
        assert (await staffed.call("GET", "me", "key")).status_code == 401
        assert {one["id"] for one in (await staffed.got("api-keys"))["items"]} == {whole["id"], others["id"]}
        assert (await staffed.got("users/second"))["active"]

    async def test_a_restricted_one_with_all_that_an_agent_has_removes_agents(self, staffed: Service) -> None:
        await self.key(staffed, sorted(of_role(SLICES.permissions, Role.AGENT) | {"users:write"}))
        assert (await staffed.call("DELETE", "users/anna", "key")).status_code == 204
        assert (await staffed.call("DELETE", "users/supervisor", "key")).status_code == 403

    async def test_me_tells_what_it_may_do(self, staffed: Service) -> None:
        await self.key(staffed, ["me:read", "contacts:read"])
        assert (await staffed.got("me", "key"))["permissions"] == ["contacts:read", "me:read"]
        for who in ("anna", "supervisor", "admin", "operator"):
            told = await staffed.got("me", who)
            assert told["permissions"] == sorted(of_role(SLICES.permissions, Role(told["role"])))
        await self.key(staffed, None, "supervisor")
        assert (await staffed.got("me", "key"))["permissions"] == (await staffed.got("me", "supervisor"))["permissions"]

    async def test_sockets_need_one_too(self, staffed: Service) -> None:
        await self.key(staffed, ["contacts:read"])
        for path in ("/api/v1/events", "/api/v1/board"):
            async with Socket(staffed.app, path, staffed.tokens["key"]) as socket:
                assert (await socket.closing())[0] == 4403

    async def test_the_board_has_budgets_for_those_who_may_see_them(self, staffed: Service) -> None:
        await self.key(staffed, ["calls:read"])
        for who, sees in (("key", False), ("admin", True)):
            async with Socket(staffed.app, "/api/v1/board", staffed.tokens[who]) as socket:
                assert ("spending" in await socket.receive()) is sees
