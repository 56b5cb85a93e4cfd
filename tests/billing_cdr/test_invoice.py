"""A tenant's month: sums that can be done by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_cdr.charge import Charge
from billing_cdr.errors import UnratedError
from billing_cdr.house_plan import house_plan
from billing_cdr.invoice import Owed, Tally, add_up, invoice, month_bounds, month_of
from billing_cdr.rating import PlanBook, rate
from billing_cdr.tariff import Plan, parse_toml
from tests.billing_cdr.stories import WEDNESDAY, answered_call, dialled_leg, forwarded_call, outbound_call

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


def test_the_month_sum_names_what_has_no_price_and_leaves_it_out():
    month = add_up("acme", "2026-06", charges_of(outbound_call("a", talk_ms=60_000), outbound_call("b", number="0900 9 123456")))
    assert (month.charges, month.unrated, month.unrated_first) == (2, 1, ("b",))
    # one minute by day: 0.019 -> 0.02; 0.02 x 0.19 = 0.0038 -> 0.00
    assert month.sums == (Owed(currency="EUR", calls=1, net=Decimal("0.02"), vat=Decimal("0.00"), gross=Decimal("0.02")),)
    tally = Tally("acme", "2026-06")
    tally.take_unpriced("c")
    assert (tally.invoice().charges, tally.invoice().unrated_first) == (1, ("c",))


def flat(per_minute: str, *, precision: str = "0.01", version: str = "1", vat_included: bool = False) -> Plan:
    return parse_toml(
        f"""
        id = "flat"
        version = "{version}"
        currency = "EUR"
        valid_from = 2026-01-01T00:00:00+01:00
        vat_rate = "0.19"
        vat_included = {str(vat_included).lower()}
        precision = "{precision}"
        [[rate]]
        prefix = "49"
        name = "Germany"
        class = "geographic"
        per_minute = "{per_minute}"
        """,
    )


def charges_under(plan: Plan, calls: int) -> list[Charge]:
    """So many calls of one minute."""
    cdr = outbound_call("a", talk_ms=60_000).cdr()
    charge = rate(cdr, PlanBook(house=(plan,)))
    return [msgspec.structs.replace(charge, cdr=f"c{number}") for number in range(calls)]


@pytest.mark.parametrize(
    ("plan", "net", "vat", "gross"),
    [
        (flat("0.02"), "20.00", "3.80", "23.80"),  # 1,000 x 0.02; 20.00 x 0.19 = 3.80, where each call shows 0.0038 -> 0.00
        (flat("0.015"), "20.00", "3.80", "23.80"),  # each is 0.015 -> 0.02
        (flat("0.015", precision="0.0001"), "15.00", "2.85", "17.85"),  # 1,000 x 0.0150; 15.00 x 0.19 = 2.85
        (flat("0.02", vat_included=True), "16.81", "3.19", "20.00"),  # 20.00 / 1.19 = 16.8067 -> 16.81; each call shows 0.02 / 1.19 -> 0.02
    ],
)
def test_vat_is_worked_out_once_on_the_sum_of_a_thousand_calls(plan, net, vat, gross):
    """docs/figures.md §9."""
    month = add_up("acme", "2026-06", charges_under(plan, 1000))
    (owed,) = month.sums
    assert (owed.calls, str(owed.net), str(owed.vat), str(owed.gross)) == (1000, net, vat, gross)
    assert invoice("acme", "2026-06", charges_under(plan, 1000)) == month


def test_a_line_is_rounded_and_vat_is_of_the_rounded_lines():
    """Two versions of a plan, 3 x 0.0150 = 0.045 -> 0.05 each: 0.10 net (not 0.09), and 0.10 x 0.19 = 0.019 -> 0.02."""
    charges = [charge for version in ("10", "9") for charge in charges_under(flat("0.015", precision="0.0001", version=version), 3)]
    month = add_up("acme", "2026-06", charges)
    assert [(line.plan_version, line.calls, str(line.amount)) for line in month.lines] == [("9", 3, "0.05"), ("10", 3, "0.05")]
    (total,) = month.totals
    assert (str(total.net), str(total.vat), str(total.gross)) == ("0.10", "0.02", "0.12")


def test_each_payer_has_the_own_month():
    """One conversation, two legs, two payers: each owes the own leg, and VAT on it."""
    cdr = outbound_call("a", talk_ms=600_000).cdr()
    other = msgspec.structs.replace(dialled_leg("+493012345678", 60_000, payer="other"), leg="out2")
    charge = rate(msgspec.structs.replace(cdr, legs=(*cdr.legs, other)), HOUSE)
    # 10 x 0.019 = 0.19, VAT 0.0361 -> 0.04; 0.019 -> 0.02, VAT 0.00
    assert [(owed.net, owed.vat) for owed in add_up("acme", "2026-06", [charge]).sums] == [(Decimal("0.19"), Decimal("0.04"))]
    assert [(owed.net, owed.vat) for owed in add_up("other", "2026-06", [charge]).sums] == [(Decimal("0.02"), Decimal("0.00"))]


def test_each_currency_has_the_own_sum():
    swiss = msgspec.structs.replace(flat("0.10"), currency="CHF")
    month = add_up("acme", "2026-06", [*charges_under(swiss, 1), *charges_under(flat("0.20"), 2)])
    assert [(owed.currency, owed.calls, str(owed.gross)) for owed in month.sums] == [("CHF", 1, "0.12"), ("EUR", 2, "0.48")]


def test_a_priced_call_for_nothing_is_a_line_and_a_free_number_is_none():
    """docs/figures.md §9: 1 min at 0.004 is 0.00, and so is a call of 0 ms; 0800 and who called in are counted, and are no line."""
    cheap = charges_under(flat("0.004"), 2)
    (nothing,) = charges_of(outbound_call("b", number="+493012345678", talk_ms=0))
    month = invoice("acme", "2026-06", [*cheap, nothing, *charges_of(outbound_call("c", number="0800 1234567"), answered_call("d"))])
    assert [(line.plan, line.calls, str(line.amount)) for line in month.lines] == [("flat", 2, "0.00"), ("house", 1, "0.00")]
    assert month.charges == 5
    assert [(owed.calls, str(owed.gross)) for owed in month.sums] == [(5, "0.00")]


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


AMOUNTS = st.tuples(
    st.sampled_from(["EUR", "CHF"]),
    st.sampled_from(["one", "two"]),  # destinations
    st.sampled_from(["9", "10"]),  # versions
    st.sampled_from(["0.19", "0.07", "0"]),
    st.booleans(),
    st.integers(0, 10**7).map(lambda units: Decimal(units).scaleb(-4)),
)


def half_up(amount: Fraction) -> Fraction:
    """To the cent, the way it is done on paper."""
    return Fraction((amount * 100 + Fraction(1, 2)).__floor__(), 100)


@given(st.lists(AMOUNTS, max_size=40), st.randoms())
def test_a_month_is_what_paper_and_fractions_make_of_it(amounts, rng):
    """Lines rounded, VAT once for each rate on their sum, apart for prices with and without VAT; in whatever order the charges come."""
    (template,) = charges_under(flat("0.10"), 1)
    line = template.lines[1]
    charges = []
    for number, (currency, name, version, vat_rate, included, amount) in enumerate(amounts):
        stated = {"gross": amount} if included else {"net": amount}
        named = {"currency": currency, "destination_de": name, "destination_en": name, "plan_version": version}
        one = msgspec.structs.replace(line, vat_rate=Decimal(vat_rate), vat_included=included, **named, **stated)
        charges.append(msgspec.structs.replace(template, cdr=f"c{number}", lines=(one,)))
    lines: dict[tuple, Fraction] = {}
    for *group, amount in amounts:
        lines[tuple(group)] = lines.get(tuple(group), Fraction(0)) + Fraction(amount)
    owed: dict[str, list[Fraction]] = {}
    for currency, vat_rate in {(group[0], group[3]) for group in lines}:
        for included in (False, True):
            of_rate = sum(
                (half_up(sum_) for group, sum_ in lines.items() if (group[0], *group[3:]) == (currency, vat_rate, included)), Fraction(0)
            )
            share = Fraction(vat_rate)
            net = half_up(of_rate / (1 + share)) if included else of_rate
            vat = of_rate - net if included else half_up(of_rate * share)
            sums = owed.setdefault(currency, [Fraction(0), Fraction(0)])
            sums[0], sums[1] = sums[0] + net, sums[1] + vat
    rng.shuffle(charges)
    month = add_up("acme", "2026-06", charges)
    assert {one.currency: [Fraction(one.net), Fraction(one.vat)] for one in month.sums} == owed
    assert all(one.net + one.vat == one.gross for one in (*month.sums, *month.totals))
    assert [one.plan_version for one in month.lines if one.currency == "EUR"] == sorted(
        [one.plan_version for one in month.lines if one.currency == "EUR"], key=int
    )
