"""The audit: what is in it, what is not, that it is bounded, that nothing changes it and that no read depends on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from api.app import create_app
from api.audit import FailedLogIns
from api.audit.retention import AT_ONCE, forget_old
from api.audit.rules import NO_NAME, OTHERS, ROWS_A_DAY, ROWS_A_SOURCE, filter_of, without_secrets
from api.config import Audit, Settings
from api.slices import SLICES
from tests import slices as of_slices
from tests.api.conftest import ACME, CHEAP, PASSWORD, Service
from tests.api.records import recorded_talk, talk
from tests.api.sockets import Socket
from tests.api.test_access import _flat
from tests.api.voice import EngineVoice


async def trail(service: Service, query: str = "", who: str = "admin") -> list[dict[str, Any]]:
    path = "operator/audit" if who == "operator" else "audit"
    found: list[dict[str, Any]] = (await service.got(f"{path}?limit=500{query}", who))["items"]
    return found


def told(entries: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(one["who"], one["act"], one["kind"], one["subject"]) for one in entries]


class TestEveryRoute:
    def test_no_route_changes_the_audit(self) -> None:
        app = create_app(Settings(login=CHEAP), EngineVoice(lambda: 0.0).client)
        methods = {method for route in _flat(app.routes) if "audit" in route.path for method in route.methods or ()}
        assert methods <= {"GET", "HEAD"}

    @pytest.mark.parametrize("operation", sorted(SLICES.personal))
    async def test_what_is_declared_personal_is_recorded_when_it_was_read(self, staffed: Service, operation: str) -> None:
        route = next(one for one in _flat(staffed.app.routes) if one.operation_id == operation)
        names = await _things(staffed)
        if operation.startswith("getDecisions"):
            await staffed.voice.register(ACME, "anna")
            await staffed.made("agents/anna/log-on", {"ready": True}, "supervisor")
        names["call"] = await staffed.voice.arrive(ACME, "601", "+4989123456")
        names["contact"] = await _waiting(staffed, operation, names)
        before = len(await trail(staffed, f"&act=read&kind={SLICES.personal[operation]}"))
        answer = await staffed.call("GET", _filled(route, names))
        assert answer.status_code == 200, answer.text
        newest, *rest = await trail(staffed, f"&act=read&kind={SLICES.personal[operation]}")
        assert len(rest) + 1 > before or newest["times"] > 1
        assert (newest["who"], newest["source"]) == ("admin", "127.0.0.1")
        assert isinstance(newest["details"]["rows"], int)


def _all(found: Any) -> Any:
    for route in found:
        if hasattr(route, "original_router"):
            yield from _all(route.original_router.routes)
        else:
            yield route


async def _things(service: Service) -> dict[str, str]:
    """One of each, to be read."""
    contact = (await service.made("contacts", {"name": "Erika Muster", "numbers": ["+4989123456"]}))["id"]
    ticket = (await service.made("tickets", {"subject": "No dial tone"}))["number"]
    await talk(service, "call-1", "+4989123456", 61)
    await recorded_talk(service, "call-2")
    things = {"contact": contact, "number": str(ticket), "cdr": "call-1", "recording": "call-2-r1.wav"}
    for one in of_slices.all_of_them():
        if hasattr(one, "things"):
            things |= await one.things(service, things)
    return things


async def _waiting(service: Service, operation: str, names: dict[str, str]) -> str:
    """The contact that the route is asked for: of the CRM, or one that waits."""
    match operation:
        case "getMessage":
            return str((await service.made("messages", {"queue": "support", "customer": "erika@example.com"}))["contact"])
        case "getCallback":
            return str((await service.made("callbacks", {"queue": "support", "number": "089 123456"}))["contact"])
        case "getDecisionsOfContact" | "getWhyContactWaits":
            return names["call"]
        case _:
            return names["contact"]


def _filled(route: APIRoute, names: dict[str, str]) -> str:
    path = route.path
    for name, value in {**names, "user": "anna", "key": "anna"}.items():
        path = path.replace(f"{{{name}}}", value)
    return path


class TestReads:
    async def test_who_what_when_from_where_which_filter_and_how_many_rows(self, staffed: Service) -> None:
        for number in range(3):
            await staffed.made("contacts", {"name": f"Muster {number}", "numbers": ["+4989123456"]})
        await staffed.call("GET", "contacts?number=089%20123456&limit=2", "anna")
        (entry,) = await trail(staffed, "&kind=contact&act=read")
        assert entry["details"] == {"filter": {"limit": "2", "number": "089 123456"}, "rows": 2}
        assert (entry["who"], entry["source"], entry["times"]) == ("anna", "127.0.0.1", 1)
        assert entry["at"] == "2026-03-02T09:00:00Z"

    async def test_the_same_read_again_within_a_minute_is_counted(self, staffed: Service) -> None:
        for _ in range(5):
            await staffed.got("live", "supervisor")
            staffed.clock.turn(seconds=11)
        staffed.clock.turn(minutes=1)
        await staffed.got("live", "supervisor")
        assert [one["times"] for one in await trail(staffed, "&kind=live&who=supervisor")] == [1, 5]

    async def test_somebody_else_or_another_filter_is_another_entry(self, staffed: Service) -> None:
        await staffed.got("tickets", "anna")
        await staffed.got("tickets", "ben")
        await staffed.got("tickets?state=open", "ben")
        assert len(await trail(staffed, "&kind=ticket&act=read")) == 3

    async def test_what_nobody_asked_for_by_a_known_name_is_not_kept(self) -> None:
        given = {"number": "1" * 300, "password": "geheim", "nonsense": "x"}
        assert filter_of(given, frozenset({"number", "password"})) == {"number": "1" * 200}

    async def test_refused_and_empty_handed_reads_are_none(self, staffed: Service) -> None:
        assert (await staffed.call("GET", "contacts/nobody", "anna")).status_code == 404
        assert (await staffed.call("GET", "cdrs", "anna")).status_code == 403
        assert await trail(staffed, "&act=read&who=anna") == []

    async def test_an_export_says_at_its_end_how_much_went_out(self, staffed: Service) -> None:
        for number in range(3):
            await talk(staffed, f"call-{number}", "+4989123456", 61)
        answer = await staffed.call("GET", "cdrs/export?direction=outbound", "billing")
        assert answer.status_code == 200
        found = {one["act"]: one["details"] for one in await trail(staffed, "&kind=cdr&who=billing")}
        assert found == {"read": {"filter": {"direction": "outbound"}, "rows": 0}, "sent": {"rows": 3, "whole": True}}

    async def test_a_socket_is_recorded_when_it_opens(self, staffed: Service) -> None:
        async with Socket(staffed.app, "/api/v1/board", staffed.tokens["supervisor"]) as socket:
            await socket.receive()
        assert told(await trail(staffed, "&kind=live")) == [("supervisor", "read", "live", "/api/v1/board")]

    async def test_reading_the_audit_is_in_the_audit(self, acme: Service) -> None:
        await trail(acme)
        assert ("admin", "read", "audit", "") in told(await trail(acme))

    async def test_a_read_does_not_fail_when_it_cannot_be_recorded(self, staffed: Service) -> None:
        await staffed.made("contacts", {"name": "Erika Muster"})
        async with staffed.databases.tenant(ACME).begin() as connection:
            await connection.execute(text("ALTER TABLE audit RENAME TO audit_away"))
        assert len((await staffed.got("contacts", "anna"))["items"]) == 1
        metrics = (await staffed.call("GET", "/metrics")).text
        assert "fernamt_audit_failures_total 1.0" in metrics

    async def test_a_change_that_cannot_be_recorded_does_not_come_about(self, staffed: Service) -> None:
        async with staffed.databases.tenant(ACME).begin() as connection:
            await connection.execute(text("ALTER TABLE audit RENAME TO audit_away"))
        assert (await staffed.call("POST", "contacts", json={"name": "Erika Muster"})).status_code == 500
        async with staffed.databases.tenant(ACME).connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM contact")) == 0


class TestWritesThatChangeNothing:
    """They answer with the document, so they are reads."""

    async def test_are_reads_of_contacts_tickets_and_appointments(self, staffed: Service) -> None:
        things = await _things(staffed)
        contact, appointment = f"contacts/{things['contact']}", f"appointments/{things['appointment']}"
        same = {"name": "Erika Muster", "numbers": ["089 123456", "+4989123456"]}
        assert (await staffed.call("PUT", contact, "ben", json=same)).status_code == 200
        times = {"starts_at": "2026-03-03T10:00:00+01:00", "ends_at": "2026-03-03T10:00:00Z"}
        body = {"contact": things["contact"], "title": "Callback", **times}
        assert (await staffed.call("PUT", appointment, "ben", json=body)).status_code == 200
        assert (await staffed.call("PATCH", f"tickets/{things['number']}", "ben", json={"state": "open"})).status_code == 200
        entries = [one for one in await trail(staffed, "&who=ben") if one["kind"] != "session"]
        assert {(one["kind"], one["subject"], one["act"], one["details"]["operation"]) for one in entries} == {
            ("ticket", things["number"], "read", "changeTicket"),
            ("appointment", things["appointment"], "read", "replaceAppointment"),
            ("contact", things["contact"], "read", "replaceContact"),
        }

    async def test_are_reads_of_users_and_agents(self, staffed: Service) -> None:
        assert (await staffed.call("PATCH", "users/anna", json={"role": "agent"})).status_code == 200
        agent = {name: value for name, value in (await staffed.got("agents/anna")).items() if name not in {"version", "changed_at"}}
        assert (await staffed.call("PUT", "agents/anna", json=agent)).status_code == 200
        entries = [one for one in await trail(staffed, "&act=read") if "operation" in (one["details"] or {})]
        assert {(one["kind"], one["subject"], one["details"]["operation"]) for one in entries} == {
            ("agent", "anna", "replaceAgent"),
            ("user", "anna", "changeUser"),
        }

    async def test_a_dry_run_of_rating_again_reads_charges(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+4989123456", 61)
        answer = await staffed.call("POST", "billing/rerating", "billing", json={"cdr": "call-1"})
        assert answer.status_code == 200, answer.text
        assert ("billing", "read", "charge", "") in told(await trail(staffed, "&act=read"))

    async def test_one_that_cannot_be_recorded_answers_nothing(self, staffed: Service) -> None:
        ticket = (await staffed.made("tickets", {"subject": "No dial tone"}))["number"]
        async with staffed.databases.tenant(ACME).begin() as connection:
            await connection.execute(text("ALTER TABLE audit RENAME TO audit_away"))
        assert "dial tone" not in (await staffed.call("PATCH", f"tickets/{ticket}", "ben", json={"state": "open"})).text

    async def test_a_change_is_no_read_besides(self, staffed: Service) -> None:
        ticket = (await staffed.made("tickets", {"subject": "No dial tone"}))["number"]
        await staffed.call("PATCH", f"tickets/{ticket}", "ben", json={"state": "solved"})
        assert [one["act"] for one in await trail(staffed, "&who=ben&kind=ticket")] == ["changed"]


class TestChanges:
    async def test_users(self, acme: Service) -> None:
        await acme.made("users", {"id": "carl", "name": "Carl", "role": "agent", "password": PASSWORD})
        await acme.call("PATCH", "users/carl", json={"role": "supervisor"})
        await acme.call("PATCH", "users/carl", json={"active": False})
        await acme.call("PATCH", "users/carl", json={"password": "another password"})
        await acme.call("PATCH", "users/carl", json={"name": "Carl"})  # as it was: no change
        await acme.call("DELETE", "users/carl")
        entries = await trail(acme, "&kind=user&about=changes&subject=carl")
        assert [one["act"] for one in reversed(entries)] == ["created", "changed", "changed", "password_changed", "deleted"]
        role = entries[3]
        assert (role["before"]["role"], role["after"]["role"], role["who"], role["source"]) == ("agent", "supervisor", "admin", "127.0.0.1")

    async def test_keys_and_tariffs(self, acme: Service) -> None:
        key = await acme.made("api-keys", {"name": "CRM", "role": "billing"})
        await acme.call("DELETE", f"api-keys/{key['id']}")
        tariff = {
            "id": "own",
            "version": "1",
            "currency": "EUR",
            "valid_from": "2026-01-01T00:00:00+01:00",
            "vat_rate": "0.19",
            "vat_included": False,
            "rate": [{"prefix": "49", "name": {"de": "D", "en": "D"}, "class": "geographic", "per_minute": "0.01"}],
        }
        await acme.made("tariffs", {"document": tariff})
        assert told(await trail(acme, "&about=changes"))[:3] == [
            ("admin", "created", "tariff", "-:own:1"),
            ("admin", "deleted", "key", key["id"]),
            ("admin", "created", "key", key["id"]),
        ]

    async def test_contacts_tickets_and_appointments_without_what_is_in_them(self, staffed: Service) -> None:
        things = await _things(staffed)
        await staffed.call("PATCH", f"tickets/{things['number']}", "ben", json={"state": "solved"})
        entries = await trail(staffed, "&about=changes")
        assert ("ben", "changed", "ticket", things["number"]) in told(entries)
        assert ("admin", "created", "contact", things["contact"]) in told(entries)
        assert "Muster" not in json.dumps([one for one in entries if one["kind"] in {"contact", "ticket", "appointment"}])

    async def test_no_secret_is_in_it(self, staffed: Service) -> None:
        secrets = [PASSWORD, "geheim-geheim", "another password"]
        created = await staffed.made("api-keys", {"name": "CRM", "role": "billing"})
        secrets.append(created["token"])
        trunk = {"id": "own", "name": "Own", "peer": "sip.example.net", "registration": {"registrar": "sip.example.net", "username": "u"}}
        trunk["registration"]["password"] = "geheim-geheim"  # type: ignore[index]
        await staffed.made("trunks", trunk)
        await staffed.call("PUT", "agents/anna/device", json={"password": "another password"})
        await staffed.call("POST", "me/password", "anna", json={"old": PASSWORD, "new": "another password"})
        async with staffed.databases.tenant(ACME).connect() as connection:
            kept = str((await connection.execute(text("SELECT * FROM audit"))).all())
        assert not [one for one in secrets if one in kept]
        async with staffed.databases.tenant(ACME).connect() as connection:
            hashes = (await connection.execute(text("SELECT password_hash FROM user_account"))).scalars().all()
        assert not [one for one in hashes if one in kept]

    def test_secrets_are_taken_out_however_deep(self) -> None:
        document = {"registration": {"password": "x", "username": "u"}, "list": [{"token": "t", "name": "n"}]}
        assert without_secrets(document) == {"registration": {"password": None, "username": "u"}, "list": [{"token": None, "name": "n"}]}


class TestLogIns:
    async def test_who_came_in_and_went(self, acme: Service) -> None:
        acme.tokens["again"] = await acme.log_in("admin")
        await acme.call("POST", "logout", "again")
        gone, came, *_ = await trail(acme, "&kind=session")
        assert (gone["act"], came["act"], came["source"]) == ("logged_out", "logged_in", "127.0.0.1")

    async def test_failed_ones_with_address_and_count_also_of_nobody(self, acme: Service) -> None:
        for username in ("admin", "admin", "nobody", "Correct Horse Battery"):
            body = {"tenant": "acme", "username": username, "password": "wrong wrong"}
            assert (await acme.client.post("/api/v1/login", json=body)).status_code == 401
        failed = {one["subject"]: one for one in await trail(acme, "&act=refused")}
        assert {name: one["times"] for name, one in failed.items()} == {"admin": 2, "nobody": 1, NO_NAME: 1}
        assert failed["admin"]["source"] == "127.0.0.1"
        assert "Horse" not in json.dumps(await trail(acme))

    async def test_those_to_a_tenant_that_is_not_there_are_the_platforms(self, acme: Service) -> None:
        for tenant in ("nowhere", None):
            await acme.client.post("/api/v1/login", json={"tenant": tenant, "username": "admin", "password": "wrong wrong"})
        assert {one["subject"] for one in await trail(acme, "&act=refused", "operator")} == {"nowhere/admin", "admin"}
        assert await trail(acme, "&act=refused") == []

    def test_a_flood_becomes_a_bounded_number_of_rows(self) -> None:
        failed, began = FailedLogIns(), datetime(2026, 3, 2, tzinfo=UTC)
        places = {
            failed.place("acme", f"name{n}", f"2001:db8::{n:x}", began + timedelta(seconds=n * 0.8), is_user=is_user)
            for n in range(100_000)
            for is_user in (True, False)
        }
        assert len(places) <= 3 * ROWS_A_DAY + 24
        assert {name for _, name, _ in places} > {OTHERS}
        assert failed.place("acme", "anna", None, began + timedelta(days=1), is_user=True)[1] == "anna"
        assert failed.place("other", "anna", None, began + timedelta(days=1), is_user=True)[1] == "anna"

    def test_a_flood_from_one_address_hides_nobody_at_another(self) -> None:
        failed, began = FailedLogIns(), datetime(2026, 3, 2, tzinfo=UTC)
        flood = {failed.place("acme", f"name{n}", "192.0.2.1", began, is_user=False) for n in range(10_000)}
        assert len(flood) == ROWS_A_SOURCE + 1
        assert (began, OTHERS, "192.0.2.1") in flood
        for name, is_user in (("anna", True), ("nobody", False)):
            assert failed.place("acme", name, "198.51.100.7", began, is_user=is_user) == (began, name, "198.51.100.7")

    def test_nor_do_a_thousand_addresses_hide_whose_password_is_tried(self) -> None:
        failed, began = FailedLogIns(), datetime(2026, 3, 2, tzinfo=UTC)
        for n in range(5000):
            failed.place("acme", f"name{n}", f"2001:db8::{n:x}", began, is_user=False)
        late = began + timedelta(hours=3, minutes=7)
        assert failed.place("acme", "anna", "198.51.100.7", late, is_user=True) == (late, "anna", "198.51.100.7")
        for n in range(5000):  # they try a user, too
            failed.place("acme", "ben", f"2001:db8::{n:x}", began, is_user=True)
        assert failed.place("acme", "clara", "198.51.100.7", late, is_user=True) == (began + timedelta(hours=3), "clara", None)


class TestPlatform:
    async def test_what_operators_did(self, acme: Service) -> None:
        await acme.call("DELETE", "tenants/acme", "operator")
        entries = await trail(acme, "", "operator")
        assert [(one["act"], one["kind"], one["subject"]) for one in entries] == [
            ("closed", "tenant", "acme"),
            ("created", "tenant", "acme"),
            ("logged_in", "session", "operator"),
        ]
        assert {one["source"] for one in entries} == {"127.0.0.1"}

    async def test_a_tenants_administrator_does_not_see_it_nor_the_operator_the_tenants(self, acme: Service) -> None:
        assert (await acme.call("GET", "operator/audit")).status_code == 403
        assert (await acme.call("GET", "audit", "operator")).status_code == 403


class TestRetention:
    async def test_reads_and_log_ins_go_after_a_year_changes_after_ten(self, staffed: Service) -> None:
        await staffed.got("contacts", "anna")
        staffed.clock.turn(days=364)
        assert await forget_old(staffed.databases, Audit(), staffed.clock()) == 0
        staffed.clock.turn(days=2)
        changes = await _count(staffed, "act IN ('created', 'changed')")
        assert await forget_old(staffed.databases, Audit(), staffed.clock()) > 0
        assert await _count(staffed, "act IN ('read', 'logged_in')") == 0
        assert await _count(staffed, "act IN ('created', 'changed')") == changes
        staffed.clock.turn(days=3650)
        await forget_old(staffed.databases, Audit(), staffed.clock())
        assert await _count(staffed, "1 = 1") == 0

    async def test_nothing_goes_where_it_is_kept_for_ever(self, staffed: Service) -> None:
        staffed.clock.turn(days=30_000)
        assert await forget_old(staffed.databases, Audit(changes_days=0, access_days=0), staffed.clock()) == 0

    async def test_more_than_one_transaction_takes_goes_too(self, acme: Service) -> None:
        async with acme.databases.tenant(ACME).begin() as connection:
            await connection.execute(text("DELETE FROM audit"))
            insert = "INSERT INTO audit (id, at, who, act, kind, subject, version) VALUES (:id, '2020-01-01', 'a', 'read', 'live', '', 0)"
            await connection.execute(text(insert), [{"id": f"{n:015x}-x"} for n in range(AT_ONCE + 7)])
        await forget_old(acme.databases, Audit(), acme.clock())
        assert await _count(acme, "1 = 1") == 0


async def _count(service: Service, where: str) -> int:
    async with service.databases.tenant(ACME).connect() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM audit WHERE {where}")) or 0)
