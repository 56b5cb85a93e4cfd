"""Billing: tariffs as versioned documents, records, charges with their trace, exports, a month."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from api.billing import service
from api.billing.schemas import TariffGiven
from api.billing.service import month_bounds, parsed
from billing_cdr import store
from billing_cdr.cdr import Recording
from billing_cdr.export import CDR_COLUMNS
from billing_cdr.house import house_plan
from billing_cdr.rating import PlanBook, rate
from tests.api.conftest import ACME, Service, add_tenant
from tests.api.records import talk

PLAN: dict[str, Any] = {
    "id": "acme",
    "version": "2026-1",
    "currency": "EUR",
    "valid_from": "2026-01-01T00:00:00+01:00",
    "vat_rate": "0.19",
    "vat_included": False,
    "rate": [{"prefix": "49", "name": {"de": "Deutschland", "en": "Germany"}, "class": "geographic", "per_minute": "0.01"}],
}


class TestTariffs:
    async def test_new_version_reaches_the_exchange(self, staffed: Service) -> None:
        created = await staffed.made("tariffs", {"document": PLAN}, "billing")
        assert created["key"] == "-:acme:2026-1"
        (document,) = staffed.voice.setups[ACME].plans
        assert json.loads(document)["rate"][0]["per_minute"] == "0.01"
        assert (await staffed.got(f"tariffs/{created['key']}", "billing"))["document"] == PLAN

    async def test_toml_is_taken_too(self, staffed: Service) -> None:
        text = """
            id = "acme"
            version = "2026-2"
            currency = "EUR"
            valid_from = 2026-02-01T00:00:00+01:00
            vat_rate = 0.19
            vat_included = false
            [[rate]]
            prefix = "49"
            name = { de = "Deutschland", en = "Germany" }
            class = "geographic"
            per_minute = 0.019
        """
        created = await staffed.made("tariffs", {"toml": text}, "billing")
        whole = await staffed.got(f"tariffs/{created['key']}", "billing")
        assert whole["document"]["rate"][0]["per_minute"] == "0.019"
        assert whole["valid_from"] == "2026-01-31T23:00:00Z"

    async def test_version_never_changes(self, staffed: Service) -> None:
        await staffed.made("tariffs", {"document": PLAN}, "billing")
        dearer = {**PLAN, "rate": [{**PLAN["rate"][0], "per_minute": "0.02"}]}
        assert (await staffed.call("POST", "tariffs", "billing", json={"document": dearer})).status_code == 409
        assert (await staffed.call("DELETE", "tariffs/-:acme:2026-1", "billing")).status_code == 405

    async def test_plan_for_an_own_carrier(self, staffed: Service) -> None:
        """R15: a call over the own trunk costs the tenant's plan for it."""
        assert (await staffed.call("POST", "tariffs", "billing", json={"document": PLAN, "trunk": "own"})).status_code == 422
        await staffed.made("trunks", {"id": "own", "name": "Own", "peer": "192.0.2.1", "own_carrier": True})
        await staffed.made("tariffs", {"document": PLAN, "trunk": "own"}, "billing")
        setup = staffed.voice.setups[ACME]
        assert (setup.plans, list(setup.trunk_plans)) == ((), ["own"])
        assert (await staffed.call("DELETE", "trunks/own")).status_code == 409

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"currency": "XXX"}, "currency"),
            ({"vat_rate": "1.9"}, "vat_rate"),
            ({"rate": []}, "rate"),
            ({"rate": [{**PLAN["rate"][0], "per_minute": 0.01}]}, "rate[1].per_minute"),
            ({"rate": [{**PLAN["rate"][0], "prise": "0.01"}]}, "prise"),
            ({"valid_from": "2026-01-01"}, "valid_from"),
        ],
    )
    async def test_wrong_document_is_422_and_names_the_place(self, staffed: Service, change: dict[str, Any], words: str) -> None:
        answer = await staffed.call("POST", "tariffs", "billing", json={"document": {**PLAN, **change}})
        assert answer.status_code == 422
        assert words in answer.json()["detail"]

    async def test_toml_that_is_none_is_422(self, staffed: Service) -> None:
        assert (await staffed.call("POST", "tariffs", "billing", json={"toml": "["})).status_code == 422

    @pytest.mark.parametrize(
        "given",
        [
            {"toml": "a." * 450_000 + "a=1"},
            {"toml": ".".join(["a"] * 4000) + "=1"},
            {"toml": "a=" + "[" * 2000},
            {"toml": "a=" + "{a=" * 1000},
            {"toml": "a=" + "9" * 5000},
            {"document": {str(number): "" for number in range(100_001)}},
            {"document": {"rate": [{}] * 100_001}},
            {"document": {"a": json.loads("[" * 200 + "]" * 200)}},
        ],
        ids=["dots", "deep_key", "deep_array", "deep_table", "digits", "keys", "rates", "deep_document"],
    )
    async def test_document_that_costs_more_than_a_plan_is_422_and_names_the_place(self, staffed: Service, given: dict[str, Any]) -> None:
        answer = await staffed.call("POST", "tariffs", "billing", json=given)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] in {"#/toml", "#/document"}
        assert len(answer.content) < 2000

    @pytest.mark.parametrize("depth", [300, 900, 100_000])
    async def test_body_that_is_too_deep_is_no_fault_of_ours(self, staffed: Service, depth: int) -> None:
        for field in ("document", "toml", "trunk"):
            body = f'{{"{field}": {"[" * depth}{"]" * depth}}}'
            answer = await staffed.call("POST", "tariffs", "billing", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 422}

    async def test_plan_is_read_beside_the_loop(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever reads it waits for the loop here: on the loop itself, neither would ever go on."""
        loop, passed = asyncio.get_running_loop(), threading.Event()

        def waits(given: TariffGiven) -> Any:
            loop.call_soon_threadsafe(passed.set)
            assert passed.wait(10), "the loop stood still"
            return parsed(given)

        monkeypatch.setattr(service, "parsed", waits)
        await staffed.made("tariffs", {"document": PLAN}, "billing")

    async def test_either_toml_or_document(self, staffed: Service) -> None:
        for body in ({}, {"toml": "", "document": PLAN}):
            assert (await staffed.call("POST", "tariffs", "billing", json=body)).status_code == 422


class TestRecords:
    async def test_newest_first_in_pages(self, staffed: Service) -> None:
        for number in range(5):
            await talk(staffed, f"call-{number}", "+491711234567", 61, staffed.clock() + timedelta(minutes=number))
        seen, after = [], ""
        while True:
            page = await staffed.got(f"cdrs?limit=2{after}", "supervisor")
            seen += [one["cdr"]["id"] for one in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == ["call-4", "call-3", "call-2", "call-1", "call-0"]

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ({"number": "0171 1234567"}, 1),
            ({"number": "+4930123"}, 0),
            ({"direction": "outbound"}, 2),
            ({"direction": "inbound"}, 0),
            ({"status": "rated"}, 2),
            ({"agent": "anna"}, 2),
            ({"began_from": "2026-03-02T10:30:00+01:00"}, 1),
            ({"began_before": "2026-03-02T09:30:00Z"}, 1),
        ],
    )
    async def test_filters(self, staffed: Service, query: dict[str, str], count: int) -> None:
        await talk(staffed, "call-1", "+491711234567", 61)
        await talk(staffed, "call-2", "+493012345678", 61, staffed.clock() + timedelta(hours=1))
        answer = await staffed.call("GET", "cdrs", "billing", params=query)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["items"]) == count

    async def test_wrong_cursor_is_422(self, staffed: Service) -> None:
        for after in ("x", "MjAyNi0wMy0wMnxh", "é", "AAAA"):
            assert (await staffed.call("GET", "cdrs", "billing", params={"after": after})).status_code == 422

    async def test_one_record_whole(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+491711234567", 61)
        told = await staffed.got("cdrs/call-1", "supervisor")
        assert [leg["role"] for leg in told["cdr"]["legs"]] == ["agent", "destination"]
        assert (await staffed.call("GET", "cdrs/none", "billing")).status_code == 404

    async def test_other_tenant_sees_none(self, staffed: Service) -> None:
        await add_tenant(staffed, "other")
        await talk(staffed, "call-1", "+491711234567", 61)
        assert (await staffed.got("cdrs", "other-admin"))["items"] == []
        assert (await staffed.call("GET", "cdrs/call-1", "other-admin")).status_code == 404


class TestRecordings:
    """Where the server keeps its files is nobody's business: a recording is called by its name wherever it is told of."""

    async def test_no_answer_and_no_export_has_a_path_of_the_server_of_old_records_too(self, staffed: Service) -> None:
        path = "/srv/fernamt/tenants/acme/recordings/call-1-r1.wav"
        plain = await talk(staffed, "call-0", "+4989123456", 61)
        cdr = msgspec.structs.replace(plain, id="call-1", recordings=(Recording(legs=("call-1.1",), path=path, duration_ms=61_000),))
        async with staffed.databases.tenant(ACME).begin() as connection:
            await store.save(connection, [cdr], [rate(cdr, PlanBook(house=(house_plan(),)))], "test", 1)
        said = [(await staffed.call("GET", path)).text for path in ("cdrs", "cdrs/call-1", "cdrs/export", "cdrs/export?format=json")]
        assert all("call-1-r1.wav" in one and "/srv" not in one for one in said)
        async with staffed.databases.tenant(ACME).connect() as connection:
            kept = await store.get(connection, "call-1")
        assert kept is not None
        assert kept.cdr.recordings[0].path == path


class TestCharges:
    async def test_61_seconds_on_30_6_to_a_mobile_and_why(self, staffed: Service) -> None:
        """0.099 a minute, 30/6: 66 s billed, 0.1089, rounded 0.11."""
        await talk(staffed, "call-1", "+491711234567", 61)
        for language, word in (("de", "Mobilfunk"), ("en", "mobile")):
            told = await staffed.got(f"cdrs/call-1/charge?language={language}", "billing")
            assert told["charge"]["totals"] == [{"currency": "EUR", "net": "0.11", "vat": "0.02", "gross": "0.13"}]
            assert any(word in sentence for sentence in told["sentences"])

    async def test_unknown_conversation_is_404(self, staffed: Service) -> None:
        assert (await staffed.call("GET", "cdrs/none/charge", "billing")).status_code == 404


class TestExports:
    async def test_csv_of_more_than_a_page_has_one_header(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.billing.service.ROWS_AT_ONCE", 2)
        for number in range(5):
            await talk(staffed, f"call-{number}", "+491711234567", 61, staffed.clock() + timedelta(minutes=number))
        answer = await staffed.call("GET", "cdrs/export", "billing")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert tuple(rows[0]) == CDR_COLUMNS
        assert [row["id"] for row in rows] == [f"call-{number}" for number in (4, 3, 2, 1, 0)]

    async def test_json_lines(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+491711234567", 61)
        for path, member in (("cdrs/export", "id"), ("charges/export", "cdr")):
            answer = await staffed.call("GET", f"{path}?format=json", "billing")
            assert [json.loads(line)[member] for line in answer.text.splitlines()] == ["call-1"]

    async def test_charges_as_csv_in_german(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+491711234567", 61)
        answer = await staffed.call("GET", "charges/export?language=de", "billing")
        assert "Deutschland Mobilfunk" in answer.text

    async def test_nothing_is_a_header_only(self, staffed: Service) -> None:
        answer = await staffed.call("GET", "charges/export", "billing")
        assert len(answer.text.splitlines()) == 1


class TestMonth:
    async def test_conversations_count_where_they_began_in_local_time(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+491711234567", 61)
        await talk(staffed, "call-2", "+491711234567", 61, datetime(2026, 2, 28, 22, 59, tzinfo=UTC))
        await talk(staffed, "call-3", "+491711234567", 61, datetime(2026, 2, 28, 23, 0, tzinfo=UTC))
        march = await staffed.got("billing/months/2026-03", "billing")
        assert (march["calls"], march["unrated"]) == (2, 0)
        assert march["sums"] == [{"currency": "EUR", "calls": 2, "net": "0.22", "vat": "0.04", "gross": "0.26"}]
        assert (await staffed.got("billing/months/2026-02", "billing"))["calls"] == 1

    def test_december_ends_with_the_year(self) -> None:
        first, following = month_bounds(2026, 12)
        assert (first.isoformat(), following.isoformat()) == ("2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00")

    async def test_month_that_is_none_is_422(self, staffed: Service) -> None:
        for month in ("2026-13", "2026-00", "march"):
            assert (await staffed.call("GET", f"billing/months/{month}", "billing")).status_code == 422
