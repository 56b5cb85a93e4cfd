"""Identity: logging in and out, tokens, users, API keys, guessing passwords."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from api.config import Operator, Settings
from api.db import Databases
from api.identity import Passwords
from api.identity.errors import WrongExpiry
from api.identity.rules import expiry, tenant_of, token_hash, write_token
from api.shared import shared_in
from tests.api.conftest import ACME, PASSWORD, Clock, Service, add_tenant, started


class TestLogIn:
    async def test_token_opens_the_door_and_says_who_one_is(self, acme: Service) -> None:
        told = await acme.got("me")
        assert (told["tenant"], told["user"], told["role"]) == ("acme", "admin", "admin")

    @pytest.mark.parametrize(
        ("tenant", "username", "password"),
        [("acme", "admin", "wrong password"), ("acme", "nobody", PASSWORD), ("nowhere", "admin", PASSWORD), (None, "admin", PASSWORD)],
    )
    async def test_whatever_is_wrong_the_answer_is_the_same(self, acme: Service, tenant: str | None, username: str, password: str) -> None:
        body = {"tenant": tenant, "username": username, "password": password}
        answer = await acme.client.post("/api/v1/login", json=body)
        assert answer.status_code == 401
        assert answer.json()["detail"] == "Tenant, user name or password is wrong."
        assert answer.headers["www-authenticate"].startswith("Bearer")

    async def test_token_expires(self, acme: Service) -> None:
        acme.clock.turn(hours=11, minutes=59)
        assert (await acme.call("GET", "me")).status_code == 200
        acme.clock.turn(minutes=2)
        assert (await acme.call("GET", "me")).status_code == 401

    async def test_log_out_ends_this_token_only(self, acme: Service) -> None:
        acme.tokens["again"] = await acme.log_in("admin")
        assert (await acme.call("POST", "logout")).status_code == 204
        assert (await acme.call("GET", "me")).status_code == 401
        assert (await acme.call("GET", "me", "again")).status_code == 200

    async def test_only_the_hash_of_a_token_is_kept(self, acme: Service) -> None:
        async with acme.databases.tenant(ACME).connect() as connection:
            kept = [row[0] for row in await connection.execute(text("SELECT hash FROM access_token"))]
        assert kept == [token_hash(acme.tokens["admin"])]

    async def test_expired_tokens_are_swept_at_the_next_login(self, acme: Service) -> None:
        acme.clock.turn(days=1)
        await acme.log_in("admin")
        async with acme.databases.tenant(ACME).connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM access_token")) == 1

    @pytest.mark.parametrize("token", ["", "x", "fa1.acme.short", "fa1.acme." + "A" * 43, "fa1.nowhere." + "A" * 43, "fa1.-." + "A" * 43])
    async def test_tokens_of_nobody_are_401(self, acme: Service, token: str) -> None:
        answer = await acme.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


class TestTokenForm:
    def test_tenant_is_read_back(self) -> None:
        assert tenant_of(write_token(ACME, "A" * 43)) == (True, "acme")
        assert tenant_of(write_token(None, "A" * 43)) == (True, None)
        assert tenant_of("fa1.acme") == (False, None)


class TestUsers:
    async def test_password_is_drawn_and_told_once(self, acme: Service) -> None:
        created = await acme.made("users", {"id": "carl", "name": "Carl", "role": "agent"})
        assert await acme.log_in("carl", created["password"])
        assert "password" not in await acme.got("users/carl")

    async def test_name_is_taken(self, acme: Service) -> None:
        body = {"id": "admin", "name": "Another", "role": "admin"}
        assert (await acme.call("POST", "users", json=body)).status_code == 409

    async def test_one_agent_is_one_person(self, staffed: Service) -> None:
        body = {"id": "double", "name": "Double", "role": "agent", "agent": "anna"}
        assert (await staffed.call("POST", "users", json=body)).status_code == 409

    async def test_locked_user_is_out_at_once(self, staffed: Service) -> None:
        assert (await staffed.call("PATCH", "users/anna", json={"active": False})).status_code == 200
        assert (await staffed.call("GET", "me", "anna")).status_code == 401

    async def test_new_role_holds_at_once(self, staffed: Service) -> None:
        assert (await staffed.call("GET", "sites", "anna")).status_code == 403
        await staffed.call("PATCH", "users/anna", json={"role": "supervisor"})
        assert (await staffed.call("GET", "sites", "anna")).status_code == 200

    async def test_last_admin_can_neither_go_nor_be_locked_nor_stop_being_one(self, acme: Service) -> None:
        assert (await acme.call("DELETE", "users/admin")).status_code == 409
        for change in ({"active": False}, {"role": "agent"}):
            assert (await acme.call("PATCH", "users/admin", json=change)).status_code == 409

    async def test_deleted_user_is_out_at_once(self, staffed: Service) -> None:
        assert (await staffed.call("DELETE", "users/anna")).status_code == 204
        assert (await staffed.call("GET", "me", "anna")).status_code == 401
        assert (await staffed.call("GET", "users/anna")).status_code == 404

    async def test_list_goes_in_pages(self, staffed: Service) -> None:
        seen, after = [], ""
        while True:
            page = await staffed.got(f"users?limit=2{after}")
            seen += [user["id"] for user in page["items"]]
            assert len(page["items"]) <= 2
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == ["admin", "anna", "ben", "billing", "supervisor"]


class TestPassword:
    async def test_change_ends_the_other_logins(self, staffed: Service) -> None:
        staffed.tokens["elsewhere"] = await staffed.log_in("anna")
        answer = await staffed.call("POST", "me/password", "anna", json={"old": PASSWORD, "new": "a new password"})
        assert answer.status_code == 204
        assert (await staffed.call("GET", "me", "anna")).status_code == 200
        assert (await staffed.call("GET", "me", "elsewhere")).status_code == 401
        assert await staffed.log_in("anna", "a new password")

    async def test_change_ends_the_operators_other_logins_too(self, staffed: Service) -> None:
        staffed.tokens["elsewhere"] = await staffed.log_in("operator", tenant=None)
        answer = await staffed.call("POST", "me/password", "operator", json={"old": PASSWORD, "new": "a new password"})
        assert answer.status_code == 204
        assert (await staffed.call("GET", "tenants", "operator")).status_code == 200
        assert (await staffed.call("GET", "tenants", "elsewhere")).status_code == 401

    async def test_no_connection_is_held_while_a_hash_is_computed(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        """Strangers' log-ins at one tenant waited for a hash each with a connection of its database, and nobody else got one."""
        passwords = staffed.shared.part(Passwords)
        pool = staffed.databases.tenant(ACME).sync_engine.pool
        held: list[int] = []
        matches = passwords.matches

        async def watched(*given: Any) -> bool:
            held.append(pool.checkedout())
            return bool(await matches(*given))

        monkeypatch.setattr(passwords, "matches", watched)
        assert await staffed.log_in("anna")
        assert held == [0]

    async def test_old_one_must_be_right(self, acme: Service) -> None:
        answer = await acme.call("POST", "me/password", json={"old": "not it at all", "new": "a new password"})
        assert answer.status_code == 401


class TestKeys:
    async def test_key_works_until_it_is_revoked(self, acme: Service) -> None:
        created = await acme.made("api-keys", {"name": "CRM", "role": "supervisor"})
        acme.tokens["key"] = created["token"]
        told = await acme.got("me", "key")
        assert (told["role"], told["user"]) == ("supervisor", f"key:{created['id']}")
        assert (await acme.call("DELETE", f"api-keys/{created['id']}")).status_code == 204
        assert (await acme.call("GET", "me", "key")).status_code == 401

    async def test_key_expires(self, acme: Service) -> None:
        expires_at = acme.clock().replace(day=3).isoformat()
        created = await acme.made("api-keys", {"name": "CRM", "role": "billing", "expires_at": expires_at})
        acme.tokens["key"] = created["token"]
        assert (await acme.call("GET", "cdrs", "key")).status_code == 200
        acme.clock.turn(days=2)
        assert (await acme.call("GET", "cdrs", "key")).status_code == 401

    async def test_key_itself_is_never_listed(self, acme: Service) -> None:
        created = await acme.made("api-keys", {"name": "CRM", "role": "billing"})
        page = await acme.got("api-keys")
        assert [key["id"] for key in page["items"]] == [created["id"]]
        assert created["token"] not in str(page)

    async def test_key_goes_with_its_maker_and_one_of_the_tenant_stays(self, acme: Service) -> None:
        await acme.made("users", {"id": "carl", "name": "Carl", "role": "admin", "password": PASSWORD})
        acme.tokens["carl"] = await acme.log_in("carl")
        own = await acme.made("api-keys", {"name": "Carl's script", "role": "admin"}, "carl")
        tenants = await acme.made("api-keys", {"name": "CRM", "role": "supervisor", "for_tenant": True}, "carl")
        acme.tokens |= {"own": own["token"], "crm": tenants["token"]}
        daughter = await acme.made("api-keys", {"name": "What the script made", "role": "agent"}, "own")
        acme.tokens["daughter"] = daughter["token"]
        listed = {one["id"]: (one["made_by"], one["user"]) for one in (await acme.got("api-keys"))["items"]}
        assert listed == {own["id"]: ("carl", "carl"), tenants["id"]: ("carl", None), daughter["id"]: (f"key:{own['id']}", "carl")}
        assert (await acme.call("DELETE", "users/carl")).status_code == 204
        answers = [(await acme.call("GET", "me", who)).status_code for who in ("own", "daughter", "crm")]
        assert answers == [401, 401, 200]
        revoked = (await acme.got("audit?kind=key&act=deleted"))["items"]
        assert {one["subject"] for one in revoked} == {own["id"], daughter["id"]}
        assert {one["details"]["because"] for one in revoked} == {"carl was deleted"}

    async def test_key_rests_while_its_maker_is_locked_and_ends_with_the_role(self, acme: Service) -> None:
        await acme.made("users", {"id": "carl", "name": "Carl", "role": "admin", "password": PASSWORD})
        acme.tokens["carl"] = await acme.log_in("carl")
        acme.tokens["own"] = (await acme.made("api-keys", {"name": "Script", "role": "billing"}, "carl"))["token"]
        for change, status in (({"active": False}, 401), ({"active": True}, 200), ({"name": "C."}, 200), ({"role": "supervisor"}, 401)):
            assert (await acme.call("PATCH", "users/carl", json=change)).status_code == 200
            assert (await acme.call("GET", "me", "own")).status_code == status, change
        assert (await acme.call("PATCH", "users/carl", json={"role": "admin"})).status_code == 200
        assert (await acme.call("GET", "me", "own")).status_code == 401, "what was revoked does not come back"

    async def test_key_of_before_goes_on_and_its_maker_is_unknown(self, acme: Service) -> None:
        key = await acme.made("api-keys", {"name": "CRM", "role": "billing"})
        async with acme.databases.tenant(ACME).begin() as connection:  # as revision 0008 left it
            await connection.execute(text("UPDATE access_token SET user_id = NULL, made_by = NULL WHERE kind = 'key'"))
        (listed,) = (await acme.got("api-keys"))["items"]
        assert (listed["made_by"], listed["user"]) == (None, None)
        acme.tokens["key"] = key["token"]
        assert (await acme.call("GET", "me", "key")).status_code == 200

    async def test_key_that_logs_out_goes_on(self, acme: Service) -> None:
        """A program that ends its day with a log-out is not to lose what an administrator gave it."""
        acme.tokens["key"] = (await acme.made("api-keys", {"name": "CRM", "role": "supervisor"}))["token"]
        answer = await acme.call("POST", "logout", "key")
        assert answer.status_code == 409
        assert "API key" in answer.json()["detail"]
        assert (await acme.call("GET", "me", "key")).status_code == 200

    async def test_key_without_an_end_ends_after_a_year(self, acme: Service) -> None:
        created = await acme.made("api-keys", {"name": "CRM", "role": "billing"})
        assert created["expires_at"] == "2027-03-02T09:00:00Z"
        acme.tokens["key"] = created["token"]
        acme.clock.turn(days=366)
        assert (await acme.call("GET", "me", "key")).status_code == 401

    async def test_key_never_expires_where_that_is_asked_for(self, acme: Service) -> None:
        created = await acme.made("api-keys", {"name": "CRM", "role": "billing", "never_expires": True})
        assert created["expires_at"] is None
        acme.tokens["key"] = created["token"]
        acme.clock.turn(days=36_500)
        assert (await acme.call("GET", "me", "key")).status_code == 200

    @pytest.mark.parametrize(
        "given", [{"expires_at": "2026-03-02T08:59:59Z"}, {"expires_at": "2027-01-01T00:00:00Z", "never_expires": True}]
    )
    async def test_key_that_could_never_open_anything_is_refused(self, acme: Service, given: dict[str, object]) -> None:
        answer = await acme.call("POST", "api-keys", json={"name": "CRM", "role": "billing", **given})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/expires_at"

    def test_longest_a_key_may_hold_is_the_settings(self) -> None:
        now = datetime(2026, 3, 2, tzinfo=UTC)
        assert expiry(None, 365, 90, now, never=False) == now + timedelta(days=90)
        assert expiry(now + timedelta(days=90), 365, 90, now, never=False) == now + timedelta(days=90)
        for wanted, never in ((now + timedelta(days=91), False), (None, True)):
            with pytest.raises(WrongExpiry, match="90 days at most"):
                expiry(wanted, 365, 90, now, never=never)


class TestAgentOfAUser:
    async def test_user_for_an_agent_that_is_not_there_is_refused(self, staffed: Service) -> None:
        body = {"id": "carl", "name": "Carl", "role": "agent", "agent": "nobody"}
        for answer in (
            await staffed.call("POST", "users", json=body),
            await staffed.call("PATCH", "users/billing", json={"agent": "nobody"}),
        ):
            assert answer.status_code == 422
            assert answer.json()["errors"] == [{"detail": "There is no agent nobody.", "pointer": "#/agent"}]

    async def test_agent_that_is_a_user_stays(self, staffed: Service) -> None:
        answer = await staffed.call("DELETE", "agents/anna")
        assert (answer.status_code, answer.json()["detail"]) == (409, "user anna is the agent anna")
        await staffed.call("PATCH", "users/anna", json={"agent": None})
        assert (await staffed.call("DELETE", "agents/anna")).status_code == 204

    async def test_whoever_comes_first_the_user_and_the_agent_fit(self, staffed: Service) -> None:
        """Made and deleted at once, twenty times: never a user of an agent who is gone."""
        for number in range(20):
            await staffed.made("agents", {"id": f"new{number}", "name": "New"})
            user = {"id": f"new{number}", "name": "New", "role": "agent", "agent": f"new{number}", "password": PASSWORD}
            made, deleted = await asyncio.gather(staffed.call("POST", "users", json=user), staffed.call("DELETE", f"agents/new{number}"))
            assert (made.status_code, deleted.status_code) in {(201, 409), (422, 204)}


class TestOperator:
    async def test_operator_is_drawn_at_the_first_start_and_told_once(self, service: Service, clock: Clock) -> None:
        await service.databases.close()
        settings = service.settings.model_copy(update={"operator": Operator(username="root"), "data": service.settings.data / "fresh"})
        databases = Databases(settings)
        await databases.open()
        try:
            drawn = []
            for _ in range(2):
                app = create_app(settings, service.voice, databases, clock)
                async with app.router.lifespan_context(app):
                    drawn.append(shared_in(app).operator_password)
            assert drawn[0] is not None
            assert len(drawn[0]) == 16
            assert drawn[1] is None
        finally:
            await databases.close()

    async def test_lost_password_is_set_anew_by_the_settings_and_ends_who_is_logged_in(
        self, acme: Service, settings: Settings, clock: Clock, application: FastAPI
    ) -> None:
        async with started(settings.model_copy(update={"operator": Operator()}), clock, application) as kept:
            await kept.log_in("operator", tenant=None)  # without one in the settings it stays as it was
        anew = settings.model_copy(update={"operator": Operator(password=SecretStr("another horse battery"))})
        async with started(anew, clock, application) as service:
            service.tokens.update(acme.tokens)
            assert shared_in(application).operator_password is None
            assert (await service.call("GET", "tenants", "operator")).status_code == 401
            body = {"username": "operator", "password": PASSWORD}
            assert (await service.call("POST", "login", None, json=body)).status_code == 401
            service.tokens["operator"] = await service.log_in("operator", "another horse battery", tenant=None)
            entries = (await service.got("operator/audit", "operator"))["items"]
            assert [(one["act"], one["who"]) for one in entries if one["act"] == "password_changed"] == [("password_changed", "settings")]
        async with started(anew, clock, application) as again:  # the same once more ends nobody's
            again.tokens["operator"] = service.tokens["operator"]
            assert (await again.call("GET", "tenants", "operator")).status_code == 200

    async def test_operator_sees_nothing_inside_a_tenant(self, acme: Service) -> None:
        for path in ("users", "agents", "cdrs", "contacts", "live"):
            assert (await acme.call("GET", path, "operator")).status_code == 403


class TestIsolation:
    async def test_other_tenants_admin_sees_none_of_our_things(self, staffed: Service) -> None:
        await add_tenant(staffed, "other")
        await staffed.made("contacts", {"name": "Erika Muster"})
        for path in ("agents", "queues", "numbers", "contacts", "tickets", "appointments"):
            assert (await staffed.got(path, "other-admin"))["items"] == []
        assert (await staffed.call("GET", "agents/anna", "other-admin")).status_code == 404
        assert (await staffed.call("POST", "agents/anna/log-on", "other-admin", json={})).status_code == 404

    async def test_everything_is_there_after_a_restart(self, staffed: Service, clock: Clock, application: FastAPI) -> None:
        await staffed.databases.close()
        async with started(staffed.settings, clock, application) as again:
            again.tokens["admin"] = staffed.tokens["admin"]
            assert [agent["id"] for agent in (await again.got("agents"))["items"]] == ["anna", "ben"]
            assert [device.username for device in again.voice.setups[ACME].devices] == ["acme-anna", "acme-ben"]
