"""Plans: a mistake in the document is named with its place, and the content has one fingerprint."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from decimal import Decimal

import holidays
import msgspec
import pytest

from billing_cdr.errors import TariffError
from billing_cdr.house_plan import house_plan, house_plan_document
from billing_cdr.tariff import LIMITS, Plan, parse_json, parse_toml
from tests.billing_cdr.plans import HAND_PLAN, hand_plan


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('currency = "EUR"', 'currency = "XYZ"', "currency: 'XYZ' is none of"),
        ('vat_rate = "0.19"', 'vat_rate = "19"', "vat_rate: 19 is not a share below 1"),
        ('vat_rate = "0.19"', "", "vat_rate: missing"),
        ("vat_included = false", 'vat_included = "no"', "vat_included: expected true or false"),
        ("valid_from = 2026-01-01T00:00:00+01:00", "valid_from = 2026-01-01T00:00:00", "valid_from: .*names no time zone"),
        ("valid_from = 2026-01-01T00:00:00+01:00", 'valid_from = "soon"', "valid_from: 'soon' is not an instant"),
        ('id = "hand"', 'id = "hand"\nzone = "Europe/Bonn"', "zone: 'Europe/Bonn' is no time zone"),
        ('id = "hand"', 'id = "hand"\ncolour = "red"', "colour: nobody knows this key"),
        ('rest_band = "night"', "", "rest_band: a plan with bands names the rest"),
        ('rest_band = "night"', 'rest_band = "day"', "rest_band: 'day' has windows of its own"),
        ('days = ["sun"]', 'days = ["sunday"]', r"band\[2\]: days: 'sunday' is none of"),
        ('to = "18:00"', 'to = "24:01"', r"band\[1\]: to: '24:01' is not a time of day"),
        ('to = "18:00"', 'to = "07:00"', r"band\[1\]: to: a window ends after it begins"),
        ('days = ["sun"]', 'days = ["fri", "sun"]\n', None),
        ('from = "02:00"\nto = "03:30"', 'from = "02:00"\nto = "09:00"', None),
        (
            'days = ["sun"]\nfrom = "02:00"\nto = "03:30"',
            'days = ["fri"]\nfrom = "17:00"\nto = "20:00"',
            "fri: day and early both claim 17:00",
        ),
        ('prefix = "4930"', 'prefix = "030"', r"rate\[2\] \(prefix 030\): prefix: expected international digits"),
        ('prefix = "4930"', 'prefix = "49"', r"rate\[2\] \(prefix 49\): this prefix stands in the plan already"),
        (
            'name = "Berlin"\nclass = "geographic"',
            'name = "Berlin"\nclass = "city"',
            r"rate\[2\] \(prefix 4930\): class: 'city' is none of",
        ),
        ('name = "Berlin"\nclass = "geographic"', 'name = "Berlin"\nclass = "emergency"', "emergency numbers have no rate"),
        ('increment = "30/6"', 'increment = "30:6"', r"rate\[2\] \(prefix 4930\): increment: '30:6' is not of the form"),
        ('increment = "30/6"', 'increment = "61/61"', r"increment: 61/61 counts in more than 60 s \(§ 112 TKG\)"),
        ('per_minute = "0.019"', 'per_minute = "cheap"', r"rate\[3\] \(prefix 4989\): per_minute: 'cheap' is not an amount"),
        ('per_minute = "0.019"', 'per_minute = "-0.019"', "per_minute: -0.019 is not between 0 and"),
        ('per_minute = "0.019"', 'per_minute = "0.0190001"', "per_minute: 0.0190001 has more than six decimals"),
        ('per_minute = "0.019"', 'per_minute = "NaN"', "per_minute: NaN is not a finite amount"),
        ('per_minute = "0.019"', "per_minute = 0.019", None),
        ('per_minute = "0.019"', 'per_minute = "0"', r"rate\[3\] \(prefix 4989\): without any price"),
        ('per_minute = "0.019"', 'per_minute = "0.019"\nfree = true', "free, and yet with a price"),
        ('per_minute = "0.019"', 'per_minute = { day = "0.019" }', "expected one price for each of the bands day, early, night"),
        ('name = { de = "München", en = "Munich" }', 'name = { de = "München" }', "name: expected text, or a table with de and en"),
        ('setup = "0.05"', 'setup = "0.05"\ncap = "0.10"', "cap: below the minimum or the set-up fee"),
        ('per_minute = "2.99"', 'per_minute = "3.01"', r"per_minute: 3.01 with VAT exceeds 3.00 \(§ 112 TKG\)"),
        ('per_minute = "2.99"\nvat_included = true', 'per_minute = "2.53"', r"per_minute: 3.0107 with VAT exceeds 3.00"),
        ('cap = "12.34"', 'cap = "30.01"', "cap: expected a cap of at most 30.00"),
        ('cap = "12.34"\n', "", "cap: expected a cap of at most 30.00"),
    ],
)
def test_a_mistake_is_named_with_its_place(old, new, message):
    assert old in HAND_PLAN
    text = HAND_PLAN.replace(old, new, 1)
    if message is None:  # a change that is none
        assert isinstance(parse_toml(text), Plan)
        return
    with pytest.raises(TariffError, match=message):
        parse_toml(text)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('class = "shared_cost"\nprefix = "491805"\nper_minute = "0.15"', "exceeds 0.14"),
        ('class = "shared_cost"\nprefix = "491804"\nsetup = "0.21"', "may not cost more than 0.20"),
        ('class = "national"\nprefix = "4932"\nper_minute = "0.10"', "exceeds 0.09"),
        ('class = "personal"\nprefix = "49700"\nper_minute = "0.091"', "exceeds 0.09"),
        ('class = "premium"\nprefix = "499001"\nper_minute = "1"', "expected a cap"),
        ('class = "freephone"\nprefix = "49800"\nper_minute = "0.01"', "cost the caller nothing"),
        ('class = "harmonised"\nprefix = "49116"\nper_minute = "0.01"', "cost the caller nothing"),
        ('class = "international"\nprefix = "44"\nper_minute = "0.01"', "country code 44 is shared by GB, GG, IM, JE"),
        ('class = "mass"\nprefix = "491371"\nsetup = "0.14"\nextra = 1', "extra: nobody knows this key"),
    ],
)
def test_the_law_is_a_part_of_the_document(row, message):
    text = HAND_PLAN + f'\n[[rate]]\nname = "x"\nvat_included = true\n{row}\n'
    with pytest.raises(TariffError, match=message):
        parse_toml(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("= 1", "not a TOML document"), ("", "vat_rate|currency|missing"), ('rate = "x"', "missing|expected")],
)
def test_what_is_no_plan_is_refused(text, message):
    with pytest.raises(TariffError, match=message):
        parse_toml(text)
    with pytest.raises(TariffError, match="not a JSON document"):
        parse_json("{")
    with pytest.raises(TariffError, match="expected an object"):
        parse_json("[]")


def test_a_plan_without_rates_is_refused():
    text = HAND_PLAN[: HAND_PLAN.index("[[rate]]")]
    with pytest.raises(TariffError, match="at least one rate"):
        parse_toml(text)


def test_a_plan_in_json_is_the_same_plan():
    document = tomllib.loads(HAND_PLAN, parse_float=Decimal)
    as_json = json.dumps(document, default=str)
    assert parse_json(as_json).fingerprint() == hand_plan().fingerprint()


def test_the_fingerprint_names_the_content_and_nothing_else():
    plain = hand_plan().fingerprint()
    assert parse_toml(HAND_PLAN.replace('"0.10"', '"0.1000"').replace('"0.019"', "0.0190")).fingerprint() == plain
    head, *rates = HAND_PLAN.split("[[rate]]")
    assert parse_toml(head + "".join(f"[[rate]]{rate}\n" for rate in reversed(rates))).fingerprint() == plain
    assert parse_toml(HAND_PLAN.replace('"0.019"', '"0.018"')).fingerprint() != plain
    assert parse_toml(HAND_PLAN.replace("2026-12-25", "2026-12-24")).fingerprint() != plain
    assert parse_toml(HAND_PLAN.replace('version = "1"', 'version = "2"')).fingerprint() != plain


def test_the_fingerprint_survives_storage_and_is_the_same_everywhere():
    stored = msgspec.json.decode(msgspec.json.encode(hand_plan()), type=Plan)
    assert stored == hand_plan()
    assert stored.fingerprint() == hand_plan().fingerprint()
    # written down once; if this changes, every stored fingerprint has lost its meaning
    assert hand_plan().fingerprint() == "bce1090e618281f1bc7eb02134d50920577a9d91870dc4f7a7a04a649c563d28"


def test_the_house_plan_has_the_public_holidays_of_germany():
    german = holidays.country_holidays("DE", years=range(2026, 2031))
    assert set(house_plan().schedule.holidays) == {day for day in german if isinstance(day, date)}


def test_the_house_plan_has_the_regulated_prices():
    """FACTS: 0180 uniform since 2021-12-01, 0137 since 2022-04-01, 0900 since 2024-12-01 (Vfg 72/2023)."""
    index = house_plan().index
    minute = {"491801": "0.039", "491803": "0.09", "491805": "0.14", "491807": "0.14"}
    minute |= {f"49900{n}": price for n, price in enumerate(["0.49", "0.69", "0.99", "1.49", "1.69", "1.99", "2.29", "2.49", "2.99"])}
    minute |= dict.fromkeys(("491372", "491373", "491374"), "0.14")
    call = {"491802": "0.06", "491804": "0.20", "491806": "0.20"}
    call |= {"491371": "0.14", "491375": "0.14", "491376": "0.25", "491377": "1.00", "491378": "0.50", "491379": "0.50"}
    for prefix, price in minute.items():
        assert {band.per_minute for band in index[prefix].bands} == {Decimal(price)}, prefix
        assert index[prefix].setup == 0
    for prefix, price in call.items():
        assert index[prefix].setup == Decimal(price), prefix
        assert {band.per_minute for band in index[prefix].bands} == {0}
    assert all(index[prefix].vat_included for prefix in minute | call)
    assert index["491807"].increment.free_ms == 30_000
    assert all(rate.cap == 30 for rate in house_plan().rates if rate.number_class == "premium")


def test_every_limit_of_the_law_is_met_by_the_house_plan():
    for rate in house_plan().rates:
        limit = LIMITS.get(rate.number_class)
        if limit is not None:
            factor = 1 if rate.vat_included else 1 + rate.vat_rate
            assert max(band.per_minute for band in rate.bands) * factor <= limit.per_minute
        assert rate.increment.first_ms <= 60_000
        assert rate.increment.next_ms <= 60_000


def test_the_document_of_the_house_plan_says_what_it_leaves_out():
    assert "refused, never free" in house_plan_document()
