"""How much a tenant may store: nobody fills the disk and the database of all."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text

from acd.core.ids import TenantId
from api import quotas
from api.assignments.schemas import LimitsGiven
from api.config import Limits
from api.db import tenant_directory
from api.kit.columns import TenantBase
from api.quotas import MIB, Quotas
from api.slices import SLICES
from tests.api.conftest import ACME, PASSWORD, Service, add_tenant

CONTACT = {"name": "Erika Muster", "numbers": ["+49891234567"]}


async def allow(service: Service, **limits: int) -> None:
    answer = await service.call("PUT", "tenants/acme/assignments", "operator", json={"limits": limits})
    assert answer.status_code == 200, answer.text


MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "contacts": ("contacts", CONTACT),
    "tickets": ("tickets", {"subject": "Help", "text": "Please"}),
    "users": ("users", {"id": "new", "name": "New", "role": "supervisor", "password": PASSWORD}),
    "api_keys": ("api-keys", {"name": "CRM", "role": "supervisor"}),
    "agents": ("agents", {"id": "new", "name": "New"}),
    "queues": ("queues", {"id": "new", "name": "New"}),
    "numbers": ("numbers", {"number": "699", "target": {"to": "hang_up"}}),
    "sites": ("sites", {"id": "new", "upload_kbits": 1000}),
    "trunks": ("trunks", {"id": "new", "name": "New", "peer": "203.0.113.5"}),
    "reasons": ("reasons", {"code": "new", "name": "New"}),
}
"""Limit -> where a kind is made, and with what."""


def test_every_table_of_a_tenant_has_a_limit_or_a_reason_for_none() -> None:
    """Or it is no table at all; each limit of rows is one table's, and a setting that limits nothing is found."""
    with pytest.raises(TypeError, match=r"Forgetful: say either `limit` or `unlimited`"):
        type("Forgetful", (TenantBase,), {"__module__": "tests", "__abstract__": True})
    assert SLICES
    limits = [mapper.class_.limit for mapper in TenantBase.registry.mappers if mapper.class_.limit is not None]
    assert len(limits) == len(set(limits)) > 10
    known = {*limits, quotas.OTHERS, quotas.OPEN_CONTACTS, quotas.DATABASE, quotas.SOUNDS, quotas.BLOBS}
    settings, own = Limits.model_fields.keys(), LimitsGiven.model_fields.keys()
    assert not settings - known, f"Limits of api/config.py has {', '.join(sorted(settings - known))}, which no table says as its `limit`"
    assert not settings ^ own, f"Limits of api/config.py and LimitsGiven differ in {', '.join(sorted(settings ^ own))}"


def test_a_kind_without_a_setting_shares_the_number_of_others() -> None:
    quota = Quotas(Limits(others=3)).limits({"others": 2})
    assert (quota.get("notes"), quota[quotas.OTHERS]) == (None, 2)


class TestRows:
    @pytest.mark.parametrize("kind", MADE)
    async def test_the_next_one_is_refused_in_plain_words(self, staffed: Service, kind: str) -> None:
        path, document = MADE[kind]
        page = await staffed.got(f"{path}?limit=100")
        there = len(page["items"])
        await allow(staffed, **{kind: there + 1})
        await staffed.made(path, document)
        other = {name: f"{value}2" if name in {"id", "number", "code"} else value for name, value in document.items()}
        answer = await staffed.call("POST", path, json=other)
        word = kind.replace("_", " ")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:fernamt:problem:limit-reached")
        assert answer.json()["detail"] == (
            f"This tenant may have {there + 1} {word}, and there are {there + 1}. Remove some, or ask the platform's operator for more."
        )
        assert len((await staffed.got(f"{path}?limit=100"))["items"]) == there + 1
        await allow(staffed)  # the operator: as the settings say
        assert (await staffed.call("POST", path, json=other)).status_code == 201

    async def test_what_is_removed_makes_room_and_what_fails_takes_none(self, acme: Service) -> None:
        await allow(acme, sites=2)
        site = {"id": "one", "upload_kbits": 1000}
        await acme.made("sites", site)
        for _ in range(5):
            assert (await acme.call("POST", "sites", json=site)).status_code == 409
        await acme.made("sites", {**site, "id": "two"})
        assert (await acme.call("POST", "sites", json={**site, "id": "three"})).status_code == 409
        assert (await acme.call("DELETE", "sites/one")).status_code == 204
        await acme.made("sites", {**site, "id": "three"})

    async def test_a_transaction_that_fails_after_its_rows_gives_them_back(self, acme: Service) -> None:
        await allow(acme, numbers=1)
        for _ in range(3):
            answer = await acme.call("POST", "numbers", json={"number": "600", "target": {"to": "queue", "queue": "nowhere"}})
            assert answer.status_code == 422
        await acme.made("numbers", {"number": "600", "target": {"to": "hang_up"}})

    async def test_what_the_database_removes_itself_is_noticed_before_anybody_is_refused(self, acme: Service, monkeypatch: Any) -> None:
        """Appointments go with their contact; so they are counted again, and once a minute at most where nothing was removed."""
        ledger, now = acme.databases.quotas, [0.0]
        monkeypatch.setattr(ledger, "_now", lambda: now[0])
        await allow(acme, appointments=2)
        contact = (await acme.made("contacts", CONTACT))["id"]
        other = (await acme.made("contacts", CONTACT))["id"]
        day = {"title": "Talk", "starts_at": "2026-03-02T09:00:00Z", "ends_at": "2026-03-02T10:00:00Z"}
        for _ in range(2):
            await acme.made("appointments", {**day, "contact": contact})
        assert (await acme.call("DELETE", f"contacts/{contact}")).status_code == 204
        for _ in range(2):
            await acme.made("appointments", {**day, "contact": other})
        async with acme.databases.unit(ACME) as unit:
            await unit.session.execute(text("DELETE FROM appointment"))  # by whom we do not see
        assert (await acme.call("POST", "appointments", json={**day, "contact": other})).status_code == 409
        now[0] += 60
        await acme.made("appointments", {**day, "contact": other})

    async def test_what_a_statement_removes_makes_room_at_once_and_what_is_rolled_back_does_not(self, acme: Service) -> None:
        hook = {"url": "https://crm.example.org/", "events": ["*"]}
        await allow(acme, webhooks=1)
        for _ in range(3):
            made = await acme.made("webhooks", hook)
            assert (await acme.call("POST", "webhooks", json=hook)).status_code == 409
            refused = await acme.call("DELETE", f"webhooks/{made['id']}", headers={"If-Match": '"other"'})
            assert (refused.status_code, (await acme.call("POST", "webhooks", json=hook)).status_code) == (412, 409)
            assert (await acme.call("DELETE", f"webhooks/{made['id']}")).status_code == 204

    async def test_one_tenant_at_its_limit_is_nothing_to_another(self, acme: Service) -> None:
        await add_tenant(acme, "other")
        await allow(acme, contacts=1)
        await acme.made("contacts", CONTACT)
        assert (await acme.call("POST", "contacts", json=CONTACT)).status_code == 409
        for _ in range(2):
            await acme.made("contacts", CONTACT, "other-admin")

    async def test_rows_are_counted_once_and_not_for_each_new_one(self, acme: Service) -> None:
        engine, counts = acme.databases.tenant(ACME), []
        asked = "count(*) AS count_1 \nFROM contact"
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: counts.append(given[2]) if asked in given[2] else None)
        for _ in range(5):
            await acme.made("contacts", CONTACT)
        assert len(counts) == 1

    async def test_log_ins_are_no_api_keys_and_the_oldest_of_a_user_end(self, acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.identity.service.SESSIONS_PER_USER", 3)
        await allow(acme, api_keys=1)
        tokens = []
        for _ in range(5):
            acme.clock.turn(seconds=1)
            tokens.append(await acme.log_in("admin"))
        held = []
        for token in tokens:
            acme.tokens["one"] = token
            held.append((await acme.call("GET", "me", "one")).status_code == 200)
        assert held == [False, False, True, True, True]
        acme.tokens["admin"] = tokens[-1]
        await acme.made("api-keys", {"name": "CRM", "role": "supervisor"})

    async def test_the_operator_says_and_the_tenant_reads_how_many_it_may_have(self, acme: Service) -> None:
        await allow(acme, contacts=5)
        told = (await acme.got("assignments"))["limits"]
        assert (told["contacts"], told["trunks"], told["database_mib"]) == (5, Limits().trunks, Limits().database_mib)
        for wrong in ({"contacts": 0}, {"houses": 1}):
            answer = await acme.call("PUT", "tenants/acme/assignments", "operator", json={"limits": wrong})
            assert answer.status_code == 422


class TestOctets:
    async def test_a_full_database_takes_nothing_more_of_people_and_goes_on_to_be_read_and_emptied(
        self, acme: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is changed grows it too: the audit keeps both versions."""
        now, size = [0.0], [1]
        ledger = acme.databases.quotas
        monkeypatch.setattr(ledger, "_now", lambda: now[0])
        monkeypatch.setattr(quotas, "octets_of", lambda _connection: size[0] * MIB)
        await allow(acme, database_mib=10)
        contact = (await acme.made("contacts", CONTACT))["id"]
        size[0] = 12
        await acme.made("contacts", CONTACT)  # it is looked up every ten seconds, or when enough was written
        now[0] += 10
        for method, path in (("POST", "contacts"), ("PUT", f"contacts/{contact}")):
            answer = await acme.call(method, path, json={**CONTACT, "note": "longer"})
            assert answer.status_code == 409
            assert answer.json()["detail"].startswith("This tenant may have 10 MiB in the database, and 12 are in use.")
        assert (await acme.call("GET", f"contacts/{contact}")).status_code == 200
        assert (await acme.call("DELETE", f"contacts/{contact}")).status_code == 204
        assert await acme.log_in("admin")
        figures = ledger.figures()
        assert figures['fernamt_tenant_limit_refusals_total{tenant="acme",kind="database_mib"}'] == 2
        assert figures['fernamt_tenant_rows{tenant="acme",kind="contacts"}'] == 1

    async def test_who_writes_fast_has_no_more_beyond_the_limit_than_who_writes_slowly(
        self, acme: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No second passes between the first contact and the one that is refused."""
        monkeypatch.setattr(acme.databases.quotas, "_now", lambda: 0.0)
        await allow(acme, database_mib=4)
        statuses = []
        for _ in range(400):
            statuses.append((await acme.call("POST", "contacts", json={**CONTACT, "note": "ü" * 20_000})).status_code)
            if statuses[-1] != 201:
                break
        async with acme.databases.tenant(ACME).connect() as connection:
            there = await connection.run_sync(quotas.octets_of)
        assert statuses[-1] == 409
        assert 3 * MIB < there < 4 * MIB + quotas.OCTETS_UNSEEN

    async def test_octets_are_those_of_the_database_without_what_is_free(self, acme: Service) -> None:
        async def octets() -> int:
            async with acme.databases.tenant(ACME).connect() as connection:
                return await connection.run_sync(quotas.octets_of)

        before = await octets()
        made = [(await acme.made("contacts", {**CONTACT, "note": "x" * 20_000}))["id"] for _ in range(10)]
        full = await octets()
        assert full - before > 200_000
        for contact in made:
            await acme.call("DELETE", f"contacts/{contact}")
        assert await octets() < full - 150_000


def test_the_operators_word_knows_only_what_there_is() -> None:
    ledger = Quotas(Limits())
    ledger.set(TenantId("acme"), {"contacts": 7, "gone-in-a-later-release": 1})
    assert ledger.limits({"contacts": 7, "gone-in-a-later-release": 1}) == {**Limits().model_dump(), "contacts": 7}


async def test_the_octets_of_each_tenant_on_disk_are_a_metric(acme: Service) -> None:
    directory = tenant_directory(acme.settings, ACME)
    (directory / "recordings" / "2026").mkdir(parents=True)
    (directory / "recordings" / "2026" / "one.wav").write_bytes(bytes(1000))
    (directory / "journal-0.log").write_bytes(bytes(300))
    await acme.shared.disk_use.look()
    told = (await acme.call("GET", "/metrics", "operator")).text
    assert 'fernamt_tenant_octets{tenant="acme",what="recordings"} 1000.0' in told
    assert 'fernamt_tenant_octets{tenant="acme",what="journal"} 300.0' in told
    assert 'fernamt_tenant_octets{tenant="acme",what="database"}' in told
