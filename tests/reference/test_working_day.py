"""A day of 2,000 calls: board, records, charges, month and invoice, recomputed from the export alone (docs/figures.md)."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from acd.ledger import Ledger
from billing_cdr.charge import Charge
from billing_cdr.export import cdrs_to_csv, read_csv, to_json_lines
from billing_cdr.house_plan import house_plan
from billing_cdr.invoice import add_up, invoice
from billing_cdr.rating import PlanBook, rate
from tests.acd.test_ledger import closes
from tests.reference import rater
from tests.reference.working_day import NIGHT_BEFORE, OUTSIDE, WorkingDay

BERLIN = ZoneInfo("Europe/Berlin")
CLASSES = dict(
    zip(
        OUTSIDE,
        ("geographic", "mobile", "freephone", "international", "shared_cost", "international", "premium", "emergency"),
        strict=True,
    )
)
CALLS = 2_200

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("working_day")]


class Day:
    """What the product makes of the day, and the export that the recomputation has."""

    def __init__(self) -> None:
        day = WorkingDay(20, CALLS)
        day.run()
        self.boards = day.boards
        ledger = Ledger("demo")
        self.records, over = [], dict[str, None]()
        for entry in day.journal:
            told = ledger.apply(entry)
            assert told.stumbles == []
            self.records += told.records
            over |= dict.fromkeys(told.over)
        for call in over:
            self.records += ledger.finish(call).records
        self.charges: list[Charge] = [rate(cdr, PlanBook(house=(house_plan(),))) for cdr in self.records]
        self.exported: list[dict[str, Any]] = [json.loads(line) for line in to_json_lines(self.records)]


@pytest.fixture(scope="module")
def day() -> Day:
    return Day()


def ms(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


def segments(day: Day, kind: str) -> Iterator[dict[str, Any]]:
    for cdr in day.exported:
        for one in cdr["segments"]:
            if one["kind"] == kind:
                yield one | {"begins": ms(one["began_at"]), "ends": ms(one["ended_at"])}


def test_every_record_closes_and_all_topologies_are_there(day: Day) -> None:
    assert len(day.records) >= 2_000
    for cdr in day.records:
        closes(cdr)
    outcomes = Counter(cdr.outcome for cdr in day.records)
    assert {"answered", "abandoned", "overflowed", "busy", "failed"} <= outcomes.keys()
    assert sum(bool(cdr.transferred_by) for cdr in day.records) > 100
    assert sum(cdr.hold_ms > 0 for cdr in day.records) > 200
    assert {one.direction for one in day.records} == {"inbound", "outbound", "internal"}
    assert {leg.role for cdr in day.records for leg in cdr.legs} == {"caller", "agent", "forward", "destination"}


def test_the_board_at_each_hour_is_what_the_export_says(day: Day) -> None:
    """Midnight is the first hour: who arrived before it is counted on the day before, whatever becomes of it after."""
    queues = list(segments(day, "queue"))
    assert len(day.boards) == 10
    for hour, board in enumerate(day.boards, 1):
        now = int(NIGHT_BEFORE + hour * 3600) * 1000
        midnight = dt.datetime.fromtimestamp(now / 1000, BERLIN).replace(hour=0, minute=0, second=0)
        begin = round(midnight.timestamp() * 1000)
        for line in board.queues:
            mine = [one for one in queues if one["party"] == line.id and begin <= one["begins"] < now]
            over = [one for one in mine if one["ends"] < now]
            told = Counter(one["outcome"] for one in over)
            assert (line.offered_today, line.answered_today, line.abandoned_today, line.overflowed_today) == (
                len(mine),
                told["answered"],
                told["abandoned"],
                told["overflowed"],
            ), (hour, line.id)
            this_day = Counter(one["outcome"] for one in queues if one["party"] == line.id and begin <= one["ends"] < now)
            assert (line.answered_this_day, line.abandoned_this_day) == (this_day["answered"], this_day["abandoned"])
            assert line.waiting_count == len([one for one in queues if one["party"] == line.id and one["begins"] < now <= one["ends"]])
            if told["answered"]:
                mean = sum(one["ends"] - one["begins"] for one in over if one["outcome"] == "answered") / told["answered"] / 1000
                assert line.average_speed_of_answer_s == pytest.approx(mean, abs=0.002)
        talking = [one for kind in ("talk", "hold") for one in segments(day, kind) if one["begins"] < now <= one["ends"]]
        assert sum(call.state in {"established", "held"} for call in board.calls) == len({one["leg"] for one in talking}) / 2


def costs_of(day: Day) -> Iterator[dict[str, Any]]:
    """Each leg that costs something, by docs/figures.md §9, with its price by the reference."""
    document = rater_document()
    plan = rater.load_plan(document)
    names = {row["prefix"]: str(row["name"]) for row in document["rate"]}
    for cdr in day.exported:
        for leg in cdr["legs"]:
            if leg["role"] == "caller" or leg["internal"] or leg["trunk"] is None or leg["answered_at"] is None:
                continue
            kind = CLASSES[leg["number"]]
            found = rater.match(plan, leg["number"].removeprefix("+"), kind) if kind != "emergency" else None
            if found is None:
                assert kind == "emergency"
                continue
            net, vat, gross = rater.price(plan, found, ms(leg["answered_at"]), leg["billable_ms"])
            yield {
                "cdr": cdr,
                "leg": leg["leg"],
                "rate": found,
                "name": names[found.prefix],
                "net": net,
                "vat": vat,
                "gross": gross,
                "ms": leg["billable_ms"],
            }


def rater_document() -> dict[str, Any]:
    """The house tariff as it is written down."""
    return tomllib.loads((files("billing_cdr") / "house_plan.toml").read_text(encoding="utf-8"))


def test_every_charge_to_the_cent(day: Day) -> None:
    by_reference = {one["leg"]: (one["net"], one["vat"], one["gross"]) for one in costs_of(day)}
    by_product = {line.leg: (line.net, line.vat, line.gross) for charge in day.charges for line in charge.lines if line.gross}
    assert len(by_product) > 300
    assert {leg: price for leg, price in by_reference.items() if price[2]} == by_product
    assert {charge.status for charge in day.charges} == {"rated"}


@pytest.mark.parametrize("month", ["2026-12", "2027-01"])
def test_the_month_and_the_invoice_to_the_cent(day: Day, month: str) -> None:
    calls = [
        {
            "payer": "demo",
            "conversation": one["cdr"]["id"],
            "destination": one["name"],
            "plan": "house",
            "version": "1",
            "vat_rate": one["rate"].vat_rate,
            "vat_included": one["rate"].vat_included,
            "amount": one["gross"] if one["rate"].vat_included else one["net"],
            "duration_ms": one["ms"],
        }
        for one in costs_of(day)
        if one["gross"] and dt.datetime.fromisoformat(one["cdr"]["began_at"]).astimezone(BERLIN).strftime("%Y-%m") == month
    ]
    told = rater.month_sum(calls, "demo")
    bill = invoice("demo", month, day.charges)
    assert bill == add_up("demo", month, day.charges)
    assert sum(line.calls for line in bill.lines) == len(calls) > 20
    whole = told["whole"]
    assert (sum(one.net for one in bill.totals), sum(one.vat for one in bill.totals), sum(one.gross for one in bill.totals)) == (
        whole["net"],
        whole["vat"],
        whole["gross"],
    )
    assert whole["net"] > Decimal(1)


def test_the_csv_says_the_same(day: Day) -> None:
    rows = read_csv("".join(cdrs_to_csv(day.records)))
    assert len(rows) == len(day.records)
    for row, cdr in zip(rows, day.exported, strict=True):
        parts = [int(row[f"{name}_ms"]) for name in ("talk", "hold", "ring", "wait", "treatment", "setup")]
        assert sum(parts) == int(row["duration_ms"]) == cdr["duration_ms"]
        assert row["ended_by"] == cdr["ended_by"]
