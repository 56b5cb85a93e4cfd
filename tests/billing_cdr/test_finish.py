"""Precision and rounding are the plan's; what was written before plans said so is read as it was meant: to the cent, commercially."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_cdr.budget import BALANCE, MARGIN_MS, Purse, Tariffed, units
from billing_cdr.charge import Charge, Line, explain, recompute
from billing_cdr.errors import TariffError
from billing_cdr.export import charges_from_json_lines, charges_to_csv, to_json_lines
from billing_cdr.house_plan import house_plan
from billing_cdr.instant import epoch_ms
from billing_cdr.money import Finish, Precision, Rounding, finish
from billing_cdr.quote import Quote
from billing_cdr.rating import PlanBook, quote, rate, rate_leg
from billing_cdr.tariff import Plan, parse_json, parse_toml, version_order
from tests.billing_cdr.plans import HAND_PLAN, hand_plan, reserved_in_the_end
from tests.billing_cdr.stories import WEDNESDAY, dialled_leg, outbound_call

FINE, CENT = Precision.HUNDREDTH_OF_A_CENT, Precision.CENT
FINISHES = [finish(precision, rounding) for precision in Precision for rounding in Rounding]


def flat(per_minute: str, extra: str = "", version: str = "1") -> Plan:
    """One price a minute for Germany, started minutes."""
    return parse_toml(
        f"""
        id = "flat"
        version = "{version}"
        currency = "EUR"
        valid_from = 2026-01-01T00:00:00+01:00
        vat_rate = "0.19"
        vat_included = false
        {extra}
        [[rate]]
        prefix = "49"
        name = "Germany"
        class = "geographic"
        per_minute = "{per_minute}"
        """,
    )


def charged(plan: Plan, duration_ms: int = 60_000) -> Line:
    return rate_leg(dialled_leg("+4930123456", duration_ms), PlanBook(house=(plan,)))


# ---------------------------------------------------------------------- old writings


def test_fingerprints_of_plans_that_say_nothing_of_it_are_what_they_were():
    """Written down with 0.1.0: they stand in every charge since."""
    assert hand_plan().fingerprint() == "bce1090e618281f1bc7eb02134d50920577a9d91870dc4f7a7a04a649c563d28"
    assert house_plan().fingerprint() == "1579608cd323f355aef5c8ca5225554c6d31f21dd9a37ef0d6929efbe32d27b3"
    said = parse_toml('precision = "0.01"\nrounding = "half_up"\n' + HAND_PLAN)
    assert (said, said.fingerprint()) == (hand_plan(), hand_plan().fingerprint())


def test_a_stored_plan_of_before_is_to_the_cent_and_commercial():
    stored = msgspec.json.encode(hand_plan())
    assert b"precision" not in stored
    assert b"rounding" not in stored
    read = msgspec.json.decode(stored, type=Plan)
    assert (read.precision, read.rounding) == (Precision.CENT, Rounding.HALF_UP)


def test_a_stored_charge_of_before_is_the_charge_of_today():
    """0.1.0 wrote `half_up_cent_once` and no precision; rated again, nothing of it changes."""
    charge = rate(outbound_call().cdr(), PlanBook(house=(house_plan(),)))
    old = msgspec.to_builtins(charge)
    for line in old["lines"]:
        del line["precision"], line["cut_ms"]
        line["rounding"] = "half_up_cent_once"
    read = msgspec.convert(old, Charge)
    assert read == charge
    assert recompute(read) == charge.gross
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**old, "lines": [{**old["lines"][1], "rounding": "half_down"}]}, Charge)


# ---------------------------------------------------------------------- the document


@pytest.mark.parametrize("stated", ['"0.0001"', "0.0001", '"0.00010"'])
def test_a_plan_states_its_precision_and_rounding(stated):
    plan = flat("0.015", f'precision = {stated}\nrounding = "down"')
    assert (plan.precision, plan.rounding) == (FINE, Rounding.DOWN)
    stored = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    assert stored == plan
    assert stored.fingerprint() == plan.fingerprint() != flat("0.015").fingerprint()


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        ('precision = "0.001"', "precision"),
        ('precision = "1"', "precision"),
        ("precision = true", "precision"),
        ('rounding = "half_down"', "rounding"),
        ('rounding = "half_up_cent_once"', "rounding"),
        ("rounding = 1", "rounding"),
    ],
)
def test_what_is_no_precision_and_no_rounding_is_named(extra, place):
    with pytest.raises(TariffError) as caught:
        flat("0.015", extra)
    assert caught.value.place == place


def test_json_takes_the_same_words():
    document = {
        "id": "flat",
        "version": "1",
        "currency": "EUR",
        "valid_from": "2026-01-01T00:00:00+01:00",
        "vat_rate": "0.19",
        "vat_included": False,
        "precision": "0.0001",
        "rounding": "half_even",
        "rate": [{"prefix": "49", "name": "Germany", "class": "geographic", "per_minute": "0.015"}],
    }
    assert parse_json(msgspec.json.encode(document)) == flat("0.015", 'precision = "0.0001"\nrounding = "half_even"')


# ---------------------------------------------------------------------- the amount


def test_a_minute_at_one_and_a_half_cents_costs_what_the_plan_makes_of_it():
    """docs/figures.md §9: 0.02 in one plan, 0.0150 in the other."""
    assert str(charged(flat("0.015")).net) == "0.02"
    fine = charged(flat("0.015", 'precision = "0.0001"'))
    # VAT for information: 0.0150 x 0.19 = 0.00285 -> 0.0029
    assert (str(fine.net), str(fine.vat), str(fine.gross)) == ("0.0150", "0.0029", "0.0179")


@pytest.mark.parametrize(
    ("rounding", "of_half", "of_more", "of_odd_half"),
    [
        # 0.025, 0.0251 and 0.035: exact halves of a cent on an even and on an odd one, and a little more
        ("half_up", "0.03", "0.03", "0.04"),
        ("half_even", "0.02", "0.03", "0.04"),
        ("up", "0.03", "0.03", "0.04"),
        ("down", "0.02", "0.02", "0.03"),
    ],
)
def test_each_rounding_does_what_it_is_called(rounding, of_half, of_more, of_odd_half):
    for price, expected in (("0.025", of_half), ("0.0251", of_more), ("0.035", of_odd_half), ("0.02", "0.02")):
        assert str(charged(flat(price, f'rounding = "{rounding}"')).net) == expected


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.sampled_from(FINISHES))
def test_a_division_is_that_of_exact_fractions(numerator, denominator, how: Finish):
    exact = Fraction(numerator, denominator)
    expected = {
        Rounding.HALF_UP: (exact + Fraction(1, 2)).__floor__(),
        Rounding.HALF_EVEN: round(exact),
        Rounding.UP: exact.__ceil__(),
        Rounding.DOWN: exact.__floor__(),
    }[how.rounding]
    assert how.divide(numerator, denominator) == expected
    if how.rounding is not Rounding.HALF_EVEN:
        assert how.divide(-numerator, denominator) == -expected


# ---------------------------------------------------------------------- everywhere it is said


@given(st.sampled_from(FINISHES), st.integers(0, 99_999), st.integers(0, 600_000), st.booleans())
def test_a_charge_of_any_plan_proves_itself_and_is_read_back(how: Finish, price, talk_ms, included):
    extra = f'precision = "{how.precision}"\nrounding = "{how.rounding}"'
    plan = flat(str(Decimal(price).scaleb(-5)) if price else "0.01", extra)
    rates = tuple(msgspec.structs.replace(rate, vat_included=included) for rate in plan.rates)
    charge = rate(outbound_call(talk_ms=talk_ms).cdr(), PlanBook(house=(msgspec.structs.replace(plan, rates=rates),)))
    line = charge.lines[1]
    assert (line.precision, line.rounding) == (how.precision, how.rounding)
    assert recompute(charge) == charge.gross
    assert charge.net + charge.vat == charge.gross
    assert -line.net.as_tuple().exponent == how.decimals
    assert list(charges_from_json_lines(to_json_lines([charge]))) == [charge]


@pytest.mark.parametrize(
    ("extra", "german", "english"),
    [
        ("", "0,02 = 0,015, kaufmännisch auf den Cent gerundet", "0.02 = 0.015, rounded commercially to the cent; with 19 % VAT 0.02 EUR"),
        (
            'precision = "0.0001"',
            "0,0150 = 0,015, kaufmännisch auf ein Hundertstel Cent gerundet; mit 19 % USt. 0,0179 EUR",
            "0.0150 = 0.015, rounded commercially to a hundredth of a cent",
        ),
        ('rounding = "down"', "0,01 = 0,015, auf den Cent abgerundet", "0.01 = 0.015, rounded down to the cent"),
        (
            'rounding = "half_even"',
            "0,02 = 0,015, auf den Cent gerundet, die Hälfte zur geraden Ziffer",
            "0.02 = 0.015, rounded to the cent, half to the even digit",
        ),
        ('rounding = "up"', "0,02 = 0,015, auf den Cent aufgerundet", "0.02 = 0.015, rounded up to the cent"),
    ],
)
def test_a_charge_says_how_it_was_rounded_with_as_many_decimals_as_it_has(extra, german, english):
    charge = rate(outbound_call(talk_ms=60_000).cdr(), PlanBook(house=(flat("0.015", extra),)))
    assert german in " ".join(explain(charge, "de"))
    assert english in " ".join(explain(charge, "en"))


def test_the_total_has_the_decimals_too():
    charge = rate(outbound_call(talk_ms=60_000).cdr(), PlanBook(house=(flat("0.01", 'precision = "0.0001"'),)))
    assert explain(charge, "de")[-1] == "Summe 0,0100 EUR netto + 0,0019 USt. = 0,0119 EUR."
    assert explain(charge, "en")[-1] == "Total 0.0100 EUR net + 0.0019 VAT = 0.0119 EUR."
    assert str(charge.gross) == "0.0119 EUR"


def test_lines_of_both_precisions_stand_in_one_total():
    """Two legs over two carriers: 0.02 + 0.0150 = 0.0350, exactly."""
    cdr = outbound_call(talk_ms=60_000).cdr()
    second = msgspec.structs.replace(cdr.legs[1], leg="out2", trunk="own")
    fine = flat("0.015", 'precision = "0.0001"')
    charge = rate(
        msgspec.structs.replace(cdr, legs=(*cdr.legs, second)), PlanBook(house=(flat("0.015"),), trunks={("acme", "own"): (fine,)})
    )
    assert str(charge.net) == "0.0350 EUR"
    assert recompute(charge) == charge.gross


def test_csv_has_the_decimals_and_says_how():
    charge = rate(outbound_call(talk_ms=60_000).cdr(), PlanBook(house=(flat("0.01", 'precision = "0.0001"\nrounding = "up"'),)))
    row = list(csv.DictReader(io.StringIO("".join(charges_to_csv([charge])), newline="")))[1]
    assert (row["net"], row["vat"], row["gross"], row["precision"], row["rounding"]) == ("0.0100", "0.0019", "0.0119", "0.0001", "up")


def test_a_quote_tells_it():
    told = quote("+4930123456", flat("0.015", 'precision = "0.0001"\nrounding = "down"'), WEDNESDAY)
    assert isinstance(told, Quote)
    assert (told.precision, told.rounding) == ("0.0001", "down")
    old = msgspec.to_builtins(told)
    del old["precision"], old["rounding"]
    assert msgspec.convert(old, Quote).precision is Precision.CENT


@given(st.sampled_from(FINISHES), st.lists(st.integers(0, 600_000), min_size=1, max_size=6))
def test_prepaid_pieces_add_up_to_the_postpaid_price_in_any_precision(how: Finish, moments):
    plan = flat("0.01511", f'precision = "{how.precision}"\nrounding = "{how.rounding}"\nincrement = "1/1"')
    assert reserved_in_the_end(plan, plan.rates[0], WEDNESDAY, moments) == charged(plan, max(moments)).gross


def test_a_balance_finer_than_the_plan_pays_as_long_as_it_lasts():
    plan = flat("0.01", 'precision = "0.0001"\nincrement = "1/1"')  # a second costs 0.000167 net
    purse = Purse()
    purse.limits = {BALANCE: units(Decimal("0.0119"))}  # one minute: 0.0100 + 0.0019
    purse.reserve("leg", None, Tariffed(plan, plan.rates[0]), epoch_ms(WEDNESDAY))
    outlook = purse.answered("leg", epoch_ms(WEDNESDAY))
    while outlook.ends_ms is None:
        outlook = purse.look("leg", outlook.look_again_ms)
    paid_ms = outlook.ends_ms + MARGIN_MS - epoch_ms(WEDNESDAY)
    assert charged(plan, paid_ms).gross <= Decimal("0.0119") < charged(plan, paid_ms + 1).gross


# ---------------------------------------------------------------------- the order of versions


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("9", "10"),
        ("2026-9", "2026-10"),
        ("v9b", "v10a"),
        ("1.2", "1.10"),
        ("99", "100"),
        ("a", "b"),
        ("1", "1a"),
        ("2025-12", "2026-1"),
        ("01", "1"),
        ("9" * 5000, "1" + "0" * 5000),
    ],
)
def test_runs_of_digits_compare_as_numbers(lower, higher):
    assert version_order(lower) < version_order(higher)


@given(st.lists(st.text(alphabet="019a-", max_size=6), unique=True))
def test_versions_have_one_order(versions):
    ordered = sorted(versions, key=version_order)
    other_way_round = list(reversed(versions))
    assert sorted(other_way_round, key=version_order) == ordered


@pytest.mark.parametrize("order", [("9", "10"), ("10", "9")])
def test_version_10_of_a_day_holds_over_version_9(order):
    book = PlanBook(house=tuple(flat("0.01", version=version) for version in order))
    picked = book.pick("acme", None, WEDNESDAY)
    assert picked is not None
    assert picked.version == "10"
