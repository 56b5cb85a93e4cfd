"""A tenant's month: sums that can be done by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_cdr.errors import UnratedError
from billing_cdr.house import house_plan
from billing_cdr.invoice import invoice, month_bounds, month_of
from billing_cdr.rating import PlanBook, rate
from tests.billing_cdr.stories import WEDNESDAY, answered_call, forwarded_call, outbound_call

HOUSE = PlanBook(house=(house_plan(),))


def charges_of(*stories):
    return [rate(story.cdr(), HOUSE) for story in stories]


def test_a_month_is_added_up_by_destination():
    charges = charges_of(
        answered_call("a"),
        outbound_call("b", number="+493012345678", talk_ms=60_000),  # 0.02
        outbound_call("c", number="+493012345678", talk_ms=600_000),  # 0.19
        forwarded_call("d"),  # mobile, 61 s: 0.11
        outbound_call("e", number="0180 5 123456", talk_ms=61_000),  # 0.28 with VAT
    )
    bill = invoice("acme", "2026-06", charges)
    assert [(line.destination_en, line.calls, line.duration_ms, line.amount) for line in bill.lines] == [
        ("Germany landline", 2, 660_000, Decimal("0.21")),
        ("Germany mobile", 1, 61_000, Decimal("0.11")),
        ("Service number 0180-5", 1, 61_000, Decimal("0.28")),
    ]
    assert bill.charges == 5
    (total,) = bill.totals
    # net 0.32 stated, VAT 0.0608 -> 0.06; gross 0.28 stated, net 0.2353 -> 0.24, VAT 0.04
    assert (total.net, total.vat, total.gross) == (Decimal("0.56"), Decimal("0.10"), Decimal("0.66"))


def test_a_month_is_a_german_month():
    june = datetime(2026, 5, 31, 22, tzinfo=UTC)  # midnight in Berlin
    assert month_of(june) == "2026-06"
    assert month_of(june - timedelta(milliseconds=1)) == "2026-05"
    assert month_bounds("2026-06")[0] == june
    assert month_bounds("2026-12")[1] == datetime(2026, 12, 31, 23, tzinfo=UTC)
    charges = charges_of(outbound_call("a", at=june + timedelta(seconds=8)), outbound_call("b", at=june + timedelta(seconds=7)))
    assert invoice("acme", "2026-06", charges).charges == 1
    assert invoice("acme", "2026-05", charges).charges == 1
    assert invoice("acme", "2026-07", charges).lines == ()


@pytest.mark.parametrize("month", ["2026-13", "june", "2026-6", ""])
def test_what_is_no_month_is_refused(month):
    with pytest.raises(ValueError, match=r".+"):
        month_bounds(month)


def test_lines_others_pay_are_left_out():
    charges = charges_of(outbound_call("a", tenant="acme"), outbound_call("b", tenant="other"))
    assert invoice("acme", "2026-06", charges).lines[0].calls == 1
    assert invoice("nobody", "2026-06", charges).totals == ()


def test_nobody_is_sent_half_an_invoice():
    charges = charges_of(outbound_call("a"), outbound_call("b", number="0900 9 123456"))
    with pytest.raises(UnratedError, match="1 conversations of acme in 2026-06 have no price yet: b"):
        invoice("acme", "2026-06", charges)


@given(
    st.lists(
        st.tuples(st.sampled_from(["+493012345678", "+4917112345678", "0180 5 123456", "+43664123456"]), st.integers(0, 900_000)),
        max_size=25,
    )
)
@settings(max_examples=40, deadline=None)
def test_an_invoice_adds_up(calls):
    charges = charges_of(*(outbound_call(f"c{n}", number=number, talk_ms=ms, at=WEDNESDAY) for n, (number, ms) in enumerate(calls)))
    bill = invoice("acme", "2026-06", charges)
    assert sum(line.amount for line in bill.lines) == sum(line.amount for charge in charges for line in charge.lines)
    assert sum(line.calls for line in bill.lines) == len(calls)
    for total in bill.totals:
        assert total.net + total.vat == total.gross
        by_call = sum(charge.gross.amount for charge in charges)
        assert abs(total.gross - by_call) <= Decimal("0.005") * (len(calls) + 1)
