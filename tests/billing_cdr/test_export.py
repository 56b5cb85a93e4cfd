"""What leaves the house comes back the same, and no cell is a formula."""

from __future__ import annotations

import csv
import io
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_cdr.charge import Line
from billing_cdr.export import (
    CDR_COLUMNS,
    CHARGE_COLUMNS,
    cdrs_from_json_lines,
    cdrs_to_csv,
    charges_from_json_lines,
    charges_to_csv,
    guarded,
    read_csv,
    to_json_lines,
    unguarded,
)
from billing_cdr.house_plan import house_plan
from billing_cdr.rating import PlanBook, rate
from billing_cdr.tariff import parse_toml
from tests.billing_cdr.stories import answered_call, forwarded_call, outbound_call

CDRS = [answered_call().cdr(), forwarded_call().cdr(), outbound_call(number="0900 9 123456").cdr()]
CHARGES = [rate(cdr, PlanBook(house=(house_plan(),))) for cdr in CDRS]


def test_json_lines_come_back_whole():
    assert list(cdrs_from_json_lines(to_json_lines(CDRS))) == CDRS
    assert list(charges_from_json_lines(to_json_lines(CHARGES))) == CHARGES
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in to_json_lines(CDRS))


def test_csv_has_stable_columns_and_ends_its_lines_as_rfc_4180_says():
    text = "".join(cdrs_to_csv(CDRS))
    assert text.endswith("\r\n")
    assert text.splitlines()[0] == ",".join(CDR_COLUMNS)
    rows = read_csv(text)
    assert [row["id"] for row in rows] == [cdr.id for cdr in CDRS]
    first = rows[0]
    assert (first["calling"], first["queue"], first["agent"], first["talk_ms"]) == ("+4915112345678", "support", "anna", "61000")
    assert first["began_at"] == "2026-06-10T08:00:00.000Z"
    assert first["disposition"] == ""


def test_every_line_of_a_charge_is_a_row():
    text = "".join(charges_to_csv(CHARGES, "de"))
    assert text.splitlines()[0] == ",".join(CHARGE_COLUMNS)
    rows = read_csv(text)
    assert len(rows) == sum(len(charge.lines) for charge in CHARGES)
    forward = rows[3]
    assert (forward["destination"], forward["net"], forward["gross"], forward["units"]) == ("Deutschland Mobilfunk", "0.11", "0.13", "7")
    assert forward["fingerprint"] == house_plan().fingerprint()
    assert rows[5]["kind"] == "unrated"
    assert "premium" in rows[5]["refusal"]


def test_a_row_of_a_charge_holds_all_that_its_line_follows_from():
    """Whoever gets the CSV can work the price out again: it has each member of a line, the destination in one language."""
    assert set(Line.__struct_fields__) - {"destination_de", "destination_en"} <= set(CHARGE_COLUMNS)
    plan = parse_toml("""
id = "p"
version = "1"
currency = "EUR"
valid_from = 2020-01-01T00:00:00+01:00
vat_rate = "0.19"
vat_included = false
[[rate]]
prefix = "4917"
name = "Mobile"
class = "mobile"
per_minute = "0.10"
increment = "60/30"
setup = "0.05"
minimum = "0.40"
cap = "1.25"
free_s = 10
""")
    charge = rate(outbound_call(number="+4917112345678", talk_ms=181_000).cdr(), PlanBook(house=(plan,)))
    (row,) = [one for one in read_csv("".join(charges_to_csv([charge]))) if one["kind"] == "call"]
    steps = msgspec.json.decode(row["steps"])
    units = sum(Fraction(one["per_minute"]) * one["units"] * one["unit_ms"] / 60_000 for one in steps)
    exact = min(max(units + Fraction(row["setup"]), Fraction(row["minimum"])), Fraction(row["cap"]))
    assert (row["setup"], row["minimum"], row["cap"], row["free_ms"]) == ("0.05", "0.40", "1.25", "10000")
    assert Fraction(row["net"]) == exact
    assert row["units"] == str(sum(one["units"] for one in steps))
    assert (row["zone"], row["number_class"]) == ("Europe/Berlin", "mobile")


@pytest.mark.parametrize("evil", ["=1+1", "+1+1", "-1", "@SUM(A1)", "\uff1d1", "'=1", "=cmd|' /C calc'!A0", "+49+1", "+" + "4" * 16])
def test_no_cell_is_a_formula(evil):
    cdr = msgspec.structs.replace(CDRS[0], calling=evil)
    text = "".join(cdrs_to_csv([cdr]))
    cell = list(csv.reader(io.StringIO(text, newline="")))[1][CDR_COLUMNS.index("calling")]
    assert cell == "'" + evil
    assert read_csv(text)[0]["calling"] == evil


def test_a_telephone_number_stays_one():
    assert guarded("+498912345678") == "+498912345678"


@pytest.mark.parametrize("evil", ["\t=1", "\r=1", "\n=1", "a\r\nb", "a\x00b", "a\x85b", "a\u2028b", 'a"\n"b'])
def test_a_row_is_a_line_and_no_character_in_it_is_invisible(evil):
    cdr = msgspec.structs.replace(CDRS[0], calling=evil)
    text = "".join(cdrs_to_csv([cdr]))
    assert len(text.splitlines()) == 2
    assert text.isprintable() or set(filter(lambda letter: not letter.isprintable(), text)) == {"\r", "\n"}
    cell = read_csv(text)[0]["calling"]
    assert "\ufffd" in cell
    assert not cell.startswith(("=", "+", "-", "@"))
    assert next(cdrs_from_json_lines(to_json_lines([cdr]))).calling == evil


SEEN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]))


@given(SEEN)
def test_guarding_is_undone_by_reading(cell):
    assert unguarded(guarded(cell)) == cell


@given(st.lists(SEEN, min_size=3, max_size=3))
def test_any_text_survives_the_way_through_csv(cells):
    calling, called, cause = cells
    cdr = msgspec.structs.replace(CDRS[0], calling=calling, called=called, cause=cause)
    row = read_csv("".join(cdrs_to_csv([cdr])))[0]
    assert (row["calling"], row["called"], row["cause"]) == (calling, called, cause)
