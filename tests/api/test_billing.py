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
from api.billing.service import parsed
from billing_cdr import store
from billing_cdr.cdr import Recording
from billing_cdr.export import CDR_COLUMNS, INVOICE_COLUMNS
from billing_cdr.house_plan import house_plan
from billing_cdr.quote import Quote
from billing_cdr.rating import PlanBook, quote, rate
from billing_cdr.tariff import parse_json
from tests.api.conftest import ACME, Service, add_tenant
from tests.api.records import outbound, talk, twice_recorded

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

    async def test_versions_are_listed_by_date_and_number_in_pages(self, staffed: Service) -> None:
        for version, valid_from in (("9", 2), ("10", 2), ("8", 3), ("100", 1)):
            dated = PLAN | {"version": version, "valid_from": f"2026-0{valid_from}-01T00:00:00+01:00"}
            await staffed.made("tariffs", {"document": dated}, "billing")
        seen, after = [], ""
        while True:
            page = await staffed.got(f"tariffs?limit=3{after}", "billing")
            seen += [one["version"] for one in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == ["100", "9", "10", "8"]
        assert (await staffed.call("GET", "tariffs?after=none", "billing")).status_code == 422

    async def test_precision_and_rounding_are_told(self, staffed: Service) -> None:
        fine = PLAN | {"precision": "0.0001", "rounding": "down"}
        created = await staffed.made("tariffs", {"document": fine}, "billing")
        plain = await staffed.made("tariffs", {"document": PLAN | {"version": "2026-2"}}, "billing")
        assert [(one["precision"], one["rounding"]) for one in (created, plain)] == [("0.0001", "down"), ("0.01", "half_up")]
        assert [one["precision"] for one in (await staffed.got("tariffs", "billing"))["items"]] == ["0.0001", "0.01"]
        (document, _) = staffed.voice.setups[ACME].plans
        assert json.loads(document)["precision"] == "0.0001"
        wrong = await staffed.call("POST", "tariffs", "billing", json={"document": PLAN | {"version": "3", "precision": "0.001"}})
        assert wrong.status_code == 422
        assert "precision" in wrong.json()["detail"]

    async def test_house_tariff_can_be_read(self, staffed: Service) -> None:
        told = await staffed.got("tariffs/house", "billing")
        assert (told["plan"], told["fingerprint"], told["precision"]) == ("house", house_plan().fingerprint(), "0.01")
        assert parse_json(json.dumps(told["document"])) == house_plan()

    async def test_rates_of_any_version_are_read_in_pages(self, staffed: Service) -> None:
        seen, after = [], ""
        while True:
            page = await staffed.got(f"tariffs/house/rates?limit=50{after}", "billing")
            seen += page["items"]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert [one["prefix"] for one in seen] == [rate.prefix for rate in house_plan().rates]
        premium = next(one for one in seen if one["prefix"] == "499008")
        assert premium == {
            "prefix": "499008", "name_de": "Premium-Dienst 0900-8", "name_en": "Premium number 0900-8", "number_class": "premium",
            "regions": [], "bands": [{"band": band, "per_minute": "2.99"} for band in ("day", "off-peak")],
            "increment": "60/60", "free_s": 0, "setup": "0", "minimum": "0", "cap": "30",
            "cut_after_s": 3600, "vat_rate": "0.19", "vat_included": True, "free": False,
        }  # fmt: skip
        await staffed.made("tariffs", {"document": PLAN}, "billing")
        (own,) = (await staffed.got("tariffs/-:acme:2026-1/rates", "billing"))["items"]
        assert (own["prefix"], own["bands"]) == ("49", [{"band": "always", "per_minute": "0.01"}])
        assert (await staffed.call("GET", "tariffs/none/rates", "billing")).status_code == 404


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

    async def test_a_transferred_call_is_found_by_each_of_its_agents_and_under_the_queue_of_the_first_talk(self, staffed: Service) -> None:
        async with staffed.databases.tenant(ACME).begin() as connection:
            await store.save(connection, [twice_recorded("call-1")], [], "test", 1)
        for query, calls in (("agent=anna", 1), ("agent=ben", 1), ("agent=nobody", 0), ("queue=support", 1), ("queue=sales", 0)):
            found = (await staffed.got(f"cdrs?{query}", "supervisor"))["items"]
            assert [(one["cdr"]["agent"], one["cdr"]["queue"]) for one in found] == [("anna", "support")] * calls, query

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
        # 2 x 0.11 = 0.22; 0.22 x 0.19 = 0.0418 -> 0.04
        assert march["sums"] == [{"currency": "EUR", "calls": 2, "net": "0.22", "vat": "0.04", "gross": "0.26"}]
        assert (await staffed.got("billing/months/2026-02", "billing"))["calls"] == 1

    async def test_december_ends_with_the_year(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+491711234567", 61, datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC))
        await talk(staffed, "call-2", "+491711234567", 61, datetime(2026, 12, 31, 23, tzinfo=UTC))
        assert [(await staffed.got(f"billing/months/{month}", "billing"))["calls"] for month in ("2026-12", "2027-01")] == [1, 1]

    async def test_vat_is_that_of_the_sum_and_not_the_sum_of_what_calls_show(
        self, staffed: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ten minutes at 0.019: 10 x 0.02 = 0.20 net, each showing VAT of 0.00; 0.20 x 0.19 = 0.038 -> 0.04."""
        monkeypatch.setattr("api.billing.service.ROWS_AT_ONCE", 3)
        for number in range(10):
            await talk(staffed, f"call-{number}", "+493012345678", 60, staffed.clock() + timedelta(minutes=number))
        march = await staffed.got("billing/months/2026-03", "billing")
        owed = {"currency": "EUR", "net": "0.20", "vat": "0.04", "gross": "0.24"}
        assert march["sums"] == [owed | {"calls": 10}]
        assert march["by_vat_rate"] == [owed | {"vat_rate": "0.19"}]
        assert march["payer"] == "acme"

    async def test_invoice_is_the_month_line_by_line(self, staffed: Service) -> None:
        """Landline 2 x 0.02 and mobile 0.11 without VAT, 0180-5 2 x 0.14 with it."""
        for call, to in (("a", "+493012345678"), ("b", "+494012345678"), ("c", "+491711234567"), ("d", "+491805123456")):
            await talk(staffed, call, to, 61 if to.startswith("+491") else 60)
        bill = await staffed.got("billing/invoices/2026-03", "billing")
        assert [(line["destination_en"], line["calls"], line["duration_ms"], line["amount"]) for line in bill["lines"]] == [
            ("Germany landline", 2, 120_000, "0.04"),
            ("Germany mobile", 1, 61_000, "0.11"),
            ("Service number 0180-5", 1, 61_000, "0.28"),
        ]
        # 0.15 x 0.19 = 0.0285 -> 0.03; 0.28 / 1.19 = 0.2353 -> 0.24, VAT 0.04
        assert bill["by_vat_rate"] == [{"currency": "EUR", "vat_rate": "0.19", "net": "0.39", "vat": "0.07", "gross": "0.46"}]
        march = await staffed.got("billing/months/2026-03", "billing")
        assert {name: march[name] for name in ("calls", "sums", "by_vat_rate")} == {
            name: bill[name] for name in ("calls", "sums", "by_vat_rate")
        }
        answer = await staffed.call("GET", "billing/invoices/2026-03/export?language=de", "billing")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert tuple(rows[0]) == INVOICE_COLUMNS
        assert [(row["row"], row["destination"], row["amount"] or row["gross"]) for row in rows] == [
            ("line", "Deutschland Festnetz", "0.04"),
            ("line", "Deutschland Mobilfunk", "0.11"),
            ("line", "Service-Dienst 0180-5", "0.28"),
            ("vat", "", "0.46"),
            ("sum", "", "0.46"),
        ]

    async def test_month_names_what_has_no_price_and_is_no_invoice(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+493012345678", 60)
        await talk(staffed, "call-2", "+499009123456", 60)  # 0900-9 has no rate
        await without_charge(staffed, "call-3")
        march = await staffed.got("billing/months/2026-03", "billing")
        assert (march["calls"], march["unrated"], sorted(march["unrated_first"])) == (3, 2, ["call-2", "call-3"])
        assert [one["net"] for one in march["sums"]] == ["0.02"]
        for path in ("billing/invoices/2026-03", "billing/invoices/2026-03/export"):
            refused = await staffed.call("GET", path, "billing")
            assert refused.status_code == 409
            assert "2 conversations" in refused.json()["detail"]

    async def test_a_month_without_a_call_is_an_empty_invoice(self, staffed: Service) -> None:
        assert await staffed.got("billing/invoices/2026-03", "billing") == {
            "month": "2026-03", "payer": "acme", "calls": 0, "lines": [], "by_vat_rate": [], "sums": [],
        }  # fmt: skip

    async def test_only_billing_sees_them(self, staffed: Service) -> None:
        for path in (
            "billing/months/2026-03",
            "billing/invoices/2026-03",
            "billing/invoices/2026-03/export",
            "tariffs/house",
            "tariffs/house/rates",
        ):
            for role in ("supervisor", "anna"):
                assert (await staffed.call("GET", path, role)).status_code == 403

    async def test_month_that_is_none_is_422(self, staffed: Service) -> None:
        for month in ("2026-13", "2026-00", "march"):
            for path in (f"billing/months/{month}", f"billing/invoices/{month}", f"billing/invoices/{month}/export"):
                assert (await staffed.call("GET", path, "billing")).status_code == 422


class TestRerating:
    """What was charged before stays; what was promised before the call holds."""

    async def test_a_call_without_a_price_gets_it_when_a_plan_has_one(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+499009123456", 61)  # 0900-9 is in no row of the house tariff
        await talk(staffed, "call-2", "+493012345678", 60)
        assert (await staffed.got("billing/months/2026-03", "billing"))["unrated"] == 1
        await staffed.made("tariffs", {"document": PLAN | {"rate": [*PLAN["rate"], PREMIUM]}}, "billing")

        looked = await rerate(staffed, unrated=True)
        assert (looked["carried_out"], looked["looked_at"], looked["changed"]) == (False, 1, 1)
        (change,) = looked["changes"]
        # two minutes at 1.99, VAT included: 3.98; 3.98 / 1.19 = 3.3445 -> 3.34
        after = {"currency": "EUR", "net": "3.34", "vat": "0.64", "gross": "3.98"}
        nothing = {"currency": "EUR", "net": "0.00", "vat": "0.00", "gross": "0.00"}
        assert (change["cdr"], change["revision"]) == ("call-1", 2)
        assert change["before"] == {"status": "unrated", "totals": [nothing]}
        assert change["after"] == {"status": "rated", "totals": [after]}
        assert (looked["before"], looked["after"]) == ([nothing], [after])
        assert (await staffed.got("billing/months/2026-03", "billing"))["unrated"] == 1, "a dry run changes nothing"

        done = await rerate(staffed, unrated=True, carry_out=looked["digest"])
        assert done == looked | {"carried_out": True}
        march = await staffed.got("billing/months/2026-03", "billing")
        assert (march["unrated"], march["sums"]) == (0, [{"currency": "EUR", "calls": 2, "net": "3.36", "vat": "0.64", "gross": "4.00"}])
        history = (await staffed.got("cdrs/call-1/charges", "billing"))["items"]
        assert [(one["revision"], one["charge"]["status"]) for one in history] == [(1, "unrated"), (2, "rated")]
        assert (await staffed.got("cdrs/call-1/charge", "billing"))["revision"] == 2

        again = await rerate(staffed, unrated=True, carry_out=looked["digest"])
        assert (again["carried_out"], again["changed"]) == (True, 0), "there is nothing left to be done"
        assert len((await staffed.got("cdrs/call-1/charges", "billing"))["items"]) == 2

    async def test_the_audit_holds_before_and_after(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+493012345678", 60)
        await staffed.made("tariffs", {"document": PLAN}, "billing")
        looked = await rerate(staffed, cdr="call-1")
        await rerate(staffed, cdr="call-1", carry_out=looked["digest"])
        (entry,) = [one for one in (await staffed.got("audit?kind=charge"))["items"] if one["act"] == "changed"]
        assert (entry["who"], entry["subject"], entry["details"]) == ("billing", "call-1", {"revision": 2})
        assert [entry[when]["totals"][0]["net"] for when in ("before", "after")] == ["0.02", "0.01"]

    async def test_a_period_is_of_what_began_in_it(self, staffed: Service) -> None:
        began = staffed.clock()
        for number in range(3):
            await talk(staffed, f"call-{number}", "+493012345678", 60, began + timedelta(hours=number))
        await staffed.made("tariffs", {"document": PLAN}, "billing")
        bounds = {"began_from": (began + timedelta(hours=1)).isoformat(), "began_before": (began + timedelta(hours=2)).isoformat()}
        looked = await rerate(staffed, **bounds)
        assert [one["cdr"] for one in looked["changes"]] == ["call-1"]

    async def test_the_price_that_was_promised_holds(self, staffed: Service) -> None:
        """Version 10 of the same day comes in after the calls: who was quoted version 9 before the call pays that, who was not pays 10."""
        nine = parse_json(json.dumps(PLAN | {"version": "9"}))
        told = quote("+493012345678", nine, staffed.clock())
        assert isinstance(told, Quote)
        cdr = outbound("call-1", "+493012345678", 60, staffed.clock())
        quoted = msgspec.structs.replace(cdr, id="call-2", legs=tuple(msgspec.structs.replace(leg, quote=told) for leg in cdr.legs))
        async with staffed.databases.tenant(ACME).begin() as connection:
            await store.save(connection, [cdr, quoted], [rate(one, PlanBook(house=(nine,))) for one in (cdr, quoted)], "test", 2)
        for version, price in (("10", "0.03"), ("9", "0.01")):
            rates = [PLAN["rate"][0] | {"per_minute": price}]
            await staffed.made("tariffs", {"document": PLAN | {"version": version, "rate": rates}}, "billing")
        looked = await rerate(staffed, began_from="2026-03-01T00:00:00Z", began_before="2026-04-01T00:00:00Z")
        assert [(one["cdr"], one["after"]["totals"][0]["net"]) for one in looked["changes"]] == [("call-1", "0.03")]

    async def test_over_an_own_carrier_the_house_has_no_price(self, staffed: Service) -> None:
        """R15: neither before the call nor when it is rated again; the plan for the trunk has one."""
        await staffed.made("trunks", {"id": "own", "name": "Own", "peer": "192.0.2.1", "own_carrier": True})
        cdr = outbound("call-1", "+493012345678", 60, staffed.clock())
        over = msgspec.structs.replace(
            cdr, legs=tuple(msgspec.structs.replace(leg, trunk="own" if leg.role == "destination" else None) for leg in cdr.legs)
        )
        async with staffed.databases.tenant(ACME).begin() as connection:
            await store.save(connection, [over], [rate(over, PlanBook(house=(house_plan(),)))], "test", 1)
        looked = await rerate(staffed, cdr="call-1")
        assert [one["after"]["status"] for one in looked["changes"]] == ["unrated"]
        await staffed.made("tariffs", {"document": PLAN, "trunk": "own"}, "billing")
        looked = await rerate(staffed, cdr="call-1")
        assert [(one["after"]["status"], one["after"]["totals"][0]["net"]) for one in looked["changes"]] == [("rated", "0.01")]

    async def test_what_a_dry_run_has_not_shown_is_not_carried_out(self, staffed: Service) -> None:
        await talk(staffed, "call-1", "+493012345678", 60)
        await staffed.made("tariffs", {"document": PLAN}, "billing")
        looked = await rerate(staffed, unrated=True) | await rerate(staffed, cdr="call-1")
        await staffed.made(
            "tariffs", {"document": PLAN | {"version": "2026-2", "rate": [PLAN["rate"][0] | {"per_minute": "0.05"}]}}, "billing"
        )
        refused = await staffed.call("POST", "billing/rerating", "billing", json={"cdr": "call-1", "carry_out": looked["digest"]})
        assert refused.status_code == 409
        assert len((await staffed.got("cdrs/call-1/charges", "billing"))["items"]) == 1

    async def test_more_than_one_request_changes_is_refused(self, staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service, "MOST_CHANGES", 1)
        for number in range(2):
            await talk(staffed, f"call-{number}", "+493012345678", 60)
        await staffed.made("tariffs", {"document": PLAN}, "billing")
        body = {"began_from": "2026-03-01T00:00:00Z", "began_before": "2026-04-01T00:00:00Z"}
        refused = await staffed.call("POST", "billing/rerating", "billing", json=body)
        assert refused.status_code == 409
        assert "shorter period" in refused.json()["detail"]

    async def test_record_without_any_charge_gets_one(self, staffed: Service) -> None:
        await without_charge(staffed, "call-1")
        looked = await rerate(staffed, unrated=True)
        assert [(one["before"], one["revision"], one["after"]["status"]) for one in looked["changes"]] == [(None, 1, "rated")]
        await rerate(staffed, unrated=True, carry_out=looked["digest"])
        assert (await staffed.got("cdrs/call-1/charge", "billing"))["revision"] == 1

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"began_from": "2026-03-01T00:00:00Z"},
            {"cdr": "call-1", "unrated": True},
            {"cdr": "call-1", "began_from": "2026-03-01T00:00:00Z"},
            {"unrated": True, "carry_out": "yes"},
            {"cdr": "call 1"},
            {"unrated": True, "dry_run": False},
        ],
    )
    async def test_what_is_no_choice_is_422(self, staffed: Service, body: dict[str, Any]) -> None:
        assert (await staffed.call("POST", "billing/rerating", "billing", json=body)).status_code == 422

    @pytest.mark.parametrize("path", ["cdrs", "cdrs/export", "recordings"])
    async def test_a_period_that_ends_before_it_begins_is_422_and_says_so(self, staffed: Service, path: str) -> None:
        bounds = {"began_from": "2026-04-01T00:00:00Z", "began_before": "2026-03-01T00:00:00Z"}
        said = "`began_from` (2026-04-01T00:00:00+00:00) is not before `began_before` (2026-03-01T00:00:00+00:00): nothing can lie between"
        answer = await staffed.call("GET", path, "admin", params=bounds)
        assert (answer.status_code, answer.json()["errors"][0]) == (422, {"detail": said, "parameter": "began_before"})
        answer = await staffed.call("POST", "billing/rerating", "billing", json=bounds)
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
        same = dict.fromkeys(bounds, "2026-03-01T00:00:00Z")
        assert (await staffed.call("GET", path, "admin", params=same)).status_code == 422
        assert (await staffed.call("GET", path, "admin", params={"began_from": bounds["began_from"]})).status_code == 200

    async def test_unknown_record_is_404_and_who_may_not_is_403(self, staffed: Service) -> None:
        assert (await staffed.call("POST", "billing/rerating", "billing", json={"cdr": "none"})).status_code == 404
        assert (await staffed.call("GET", "cdrs/none/charges", "billing")).status_code == 404
        for role in ("supervisor", "anna"):
            assert (await staffed.call("POST", "billing/rerating", role, json={"cdr": "none"})).status_code == 403


PREMIUM: dict[str, Any] = {
    "prefix": "499009",
    "name": "Premium 0900-9",
    "class": "premium",
    "vat_included": True,
    "per_minute": "1.99",
    "cap": "30.00",
    "cut_after_s": 3600,
}


async def rerate(staffed: Service, **body: Any) -> dict[str, Any]:
    answer = await staffed.call("POST", "billing/rerating", "billing", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def without_charge(staffed: Service, call: str) -> None:
    """A record that was saved without its charge."""
    async with staffed.databases.tenant(ACME).begin() as connection:
        await store.save(connection, [outbound(call, "+493012345678", 60, staffed.clock())], [], "test", 3)
