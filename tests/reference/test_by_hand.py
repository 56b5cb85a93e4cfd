"""Figures that were worked out by hand, against the two reference programs.

Written from docs/figures.md alone; nothing of the product is imported.
"""

import time
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tests.reference import ledger, rater

# --- prices ------------------------------------------------------------------------------------------------------------

HEAD = """
id = "hand"
version = "1"
currency = "EUR"
valid_from = 2026-01-01T00:00:00+01:00
zone = "Europe/Berlin"
vat_rate = "0.19"
vat_included = false
increment = "60/60"
rest_band = "rest"
holidays = [2026-05-01, 2026-12-25, 2027-01-01]
"""
BANDS = """
[[band]]
name = "day"
days = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
to = "18:00"
[[band]]
name = "two"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "02:00"
to = "03:00"
[[band]]
name = "eve"
days = ["wed", "thu", "fri"]
from = "18:00"
to = "24:00"
[[band]]
name = "feast"
days = ["holiday"]
from = "00:00"
to = "24:00"
"""
TABLE = 'per_minute = { day = "0.60", two = "1.20", eve = "0.12", feast = "0.24", rest = "0.06" }'


def ms(text: str) -> int:
    """Epoch milliseconds of a time that carries its own offset."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def plan_of(rate: str, head: str = "") -> rater.Plan:
    """A plan with one rate; lines of the plan itself go before the first table."""
    return rater.load_plan(tomllib.loads(f'{HEAD}{head}\n{BANDS}\n[[rate]]\nprefix = "49"\nclass = "geographic"\n{rate}\n'))


def minutes(count: int) -> int:
    return count * 60_000


NOON = "2026-03-03T12:00:00+01:00"  # a Tuesday, band day
FLAT = 'per_minute = "0.10"'
GROSS = "vat_included = true\n"
FINE = 'precision = "0.0001"'
P1 = 'per_minute = "0.015"'

# (rate, lines of the plan, answered at, length in ms, net, VAT, gross)
ROWS = [
    # started units 60/60 of 0.10; VAT 0.10 x 0.19 = 0.019 -> 0.02, 0.20 x 0.19 = 0.038 -> 0.04
    (FLAT, "", NOON, 0, "0.00", "0.00", "0.00"),  # no unit
    (FLAT, "", NOON, 1, "0.10", "0.02", "0.12"),  # one unit
    (FLAT, "", NOON, 60_000, "0.10", "0.02", "0.12"),  # still one
    (FLAT, "", NOON, 60_001, "0.20", "0.04", "0.24"),  # two
    # 30/6 of 0.099: the first unit 0.0495, every further one 0.0099
    ('per_minute = "0.099"\nincrement = "30/6"', FINE, NOON, 30_000, "0.0495", "0.0094", "0.0589"),  # VAT 0.009405
    ('per_minute = "0.099"\nincrement = "30/6"', FINE, NOON, 30_001, "0.0594", "0.0113", "0.0707"),  # + 0.0099; VAT 0.011286
    ('per_minute = "0.099"\nincrement = "30/6"', "", NOON, 61_000, "0.11", "0.02", "0.13"),  # 30 + 6 x 6 = 66 s: 0.1089; VAT 0.0209
    # 1/1 of 0.10: 61 s begun at 60.001 s = 0.101666..
    (FLAT + '\nincrement = "1/1"', FINE, NOON, 60_001, "0.1017", "0.0193", "0.1210"),  # VAT 0.019323
    # free seconds (0180-7): 30 s for nothing, then 0.14 a minute, VAT included: 0.14 / 1.19 = 0.11765, VAT 0.02235
    (GROSS + 'per_minute = "0.14"\nfree_s = 30', "", NOON, 30_000, "0.00", "0.00", "0.00"),
    (GROSS + 'per_minute = "0.14"\nfree_s = 30', "", NOON, 30_001, "0.12", "0.02", "0.14"),
    (GROSS + 'per_minute = "0.14"\nfree_s = 30', "", NOON, 90_000, "0.12", "0.02", "0.14"),
    (GROSS + 'per_minute = "0.14"\nfree_s = 30', "", NOON, 90_001, "0.24", "0.04", "0.28"),  # VAT 0.0447
    # a free unit begins nothing at 17:59:40: the first unit begins at 18:00:10, Tuesday has no eve: rest 0.06; VAT 0.0114
    (TABLE + "\nfree_s = 30", "", "2026-03-03T17:59:40+01:00", 31_000, "0.06", "0.01", "0.07"),
    # setup 0.20 a call, VAT included: 0.20 / 1.19 = 0.16807, VAT 0.03193
    (GROSS + 'setup = "0.20"', "", NOON, 1, "0.17", "0.03", "0.20"),
    (GROSS + 'setup = "0.20"', "", NOON, minutes(600), "0.17", "0.03", "0.20"),
    # setup 0.05 + 2 units of 0.10 = 0.25; VAT 0.0475
    ('setup = "0.05"\n' + FLAT, "", NOON, 61_000, "0.25", "0.05", "0.30"),
    # minimum 0.25: one unit of 0.10 is raised, four units of 0.10 are not; VAT 0.0475 and 0.076
    ('minimum = "0.25"\n' + FLAT, "", NOON, 1_000, "0.25", "0.05", "0.30"),
    ('minimum = "0.25"\n' + FLAT, "", NOON, minutes(4), "0.40", "0.08", "0.48"),
    # cap 1.00: 10 units are 1.00, 11 as well; VAT 0.19
    ('cap = "1.00"\n' + FLAT, "", NOON, minutes(10), "1.00", "0.19", "1.19"),
    ('cap = "1.00"\n' + FLAT, "", NOON, minutes(10) + 1, "1.00", "0.19", "1.19"),
    # 0900-0: 0.49 x 60 = 29.40, cut after an hour; 29.40 / 1.19 = 24.70588, VAT 4.69412
    (GROSS + 'per_minute = "0.49"\ncap = "30.00"\ncut_after_s = 3600', "", NOON, minutes(61), "24.71", "4.69", "29.40"),
    # 0900-8: 2.99 x 11 = 32.89, capped at 30.00; 30 / 1.19 = 25.21008, VAT 4.78992; 10 minutes are 29.90: 25.12605, VAT 4.77395
    (GROSS + 'per_minute = "2.99"\ncap = "30.00"\ncut_after_s = 3600', "", NOON, minutes(10), "25.13", "4.77", "29.90"),
    (GROSS + 'per_minute = "2.99"\ncap = "30.00"\ncut_after_s = 3600', "", NOON, minutes(10) + 1, "25.21", "4.79", "30.00"),
    # bands: 17:58:30 and 17:59:30 are day (0.60), 18:00:30 is rest (0.06): 1.26; VAT 0.2394
    (TABLE, "", "2026-03-03T17:58:30+01:00", minutes(3), "1.26", "0.24", "1.50"),
    # 17:59:59.999 is still day, 18:00:00.000 no more; VAT 0.114 and 0.0114
    (TABLE, "", "2026-03-03T17:59:59.999+01:00", minutes(1), "0.60", "0.11", "0.71"),
    (TABLE, "", "2026-03-03T18:00:00+01:00", minutes(1), "0.06", "0.01", "0.07"),
    # 07:59:30 rest, 08:00:30 day: 0.66; VAT 0.1254
    (TABLE, "", "2026-03-03T07:59:30+01:00", minutes(2), "0.66", "0.13", "0.79"),
    # midnight: Wednesday 23:59:30 is eve (0.12), Thursday 00:00:30 rest (0.06): 0.18; VAT 0.0342
    (TABLE, "", "2026-03-04T23:59:30+01:00", minutes(2), "0.18", "0.03", "0.21"),
    # month end: Friday 31 July 23:59:00 eve, Saturday 1 August 00:00 rest: 0.18
    (TABLE, "", "2026-07-31T23:59:00+02:00", minutes(2), "0.18", "0.03", "0.21"),
    # month end into a holiday: Thursday 30 April 23:59:00 eve 0.12, 1 May (a Friday) feast 0.24 twice: 0.60; VAT 0.114
    (TABLE, "", "2026-04-30T23:59:00+02:00", minutes(3), "0.60", "0.11", "0.71"),
    # 1 May at noon would be day on a Friday, it is feast: 0.24; VAT 0.0456
    (TABLE, "", "2026-05-01T12:00:00+02:00", minutes(1), "0.24", "0.05", "0.29"),
    # year end: Thursday 31 December 23:58:30, 23:59:30 eve, 1 January 00:00:30 feast: 0.48; VAT 0.0912
    (TABLE, "", "2026-12-31T23:58:30+01:00", minutes(3), "0.48", "0.09", "0.57"),
    # 29 March, 01:58 CET: the clock goes from 02:00 to 03:00, so 01:58 01:59 03:00 03:01 03:02, all rest: 0.30; VAT 0.057
    (TABLE, "", "2026-03-29T01:58:00+01:00", minutes(5), "0.30", "0.06", "0.36"),
    # a night of 23 hours from Saturday 28 March 20:00 to Sunday 08:00 is 11 h = 660 units of 0.06: 39.60; VAT 7.524
    (TABLE, "", "2026-03-28T20:00:00+01:00", minutes(660), "39.60", "7.52", "47.12"),
    # 25 October: 01:59 CEST rest, 02:00 and 02:01 CEST two: 0.06 + 2.40 = 2.46; VAT 0.4674
    (TABLE, "", "2026-10-25T01:59:00+02:00", minutes(3), "2.46", "0.47", "2.93"),
    # 02:59 CEST two, then 02:00 CET two again: 2.40; VAT 0.456
    (TABLE, "", "2026-10-25T02:59:00+02:00", minutes(2), "2.40", "0.46", "2.86"),
    # 02:59 CET two, 03:00 CET rest: 1.26
    (TABLE, "", "2026-10-25T02:59:00+01:00", minutes(2), "1.26", "0.24", "1.50"),
    # 01:59 CEST, both hours of 02, 03:00 CET: 0.06 + 120 x 1.20 + 0.06 = 144.12; VAT 27.3828
    (TABLE, "", "2026-10-25T01:59:00+02:00", minutes(122), "144.12", "27.38", "171.50"),
    # rounding of 0.015, 0.025 (one minute) in cents; VAT of 0.01, 0.02, 0.03: 0.0019, 0.0038, 0.0057
    (P1, "", NOON, 1, "0.02", "0.00", "0.02"),
    (P1, 'rounding = "half_even"', NOON, 1, "0.02", "0.00", "0.02"),
    (P1, 'rounding = "up"', NOON, 1, "0.02", "0.00", "0.02"),
    (P1, 'rounding = "down"', NOON, 1, "0.01", "0.00", "0.01"),
    ('per_minute = "0.025"', 'rounding = "half_up"', NOON, 1, "0.03", "0.01", "0.04"),
    ('per_minute = "0.025"', 'rounding = "half_even"', NOON, 1, "0.02", "0.00", "0.02"),
    ('per_minute = "0.021"', 'rounding = "up"', NOON, 1, "0.03", "0.01", "0.04"),
    ('per_minute = "0.021"', 'rounding = "half_up"', NOON, 1, "0.02", "0.00", "0.02"),
    ('per_minute = "0.029"', 'rounding = "down"', NOON, 1, "0.02", "0.00", "0.02"),
    ('per_minute = "0.02"', 'rounding = "up"', NOON, 1, "0.02", "0.00", "0.02"),  # nothing to round
    # in ten-thousandths: 0.015 as it is, VAT 0.00285 -> 0.0029 (half up, whatever the plan's rounding)
    (P1, FINE, NOON, 1, "0.0150", "0.0029", "0.0179"),
    (P1, FINE + '\nrounding = "down"', NOON, 1, "0.0150", "0.0029", "0.0179"),
    # 0.00125 a second of 1/1 from 0.075 a minute: half_up 0.0013, half_even 0.0012, up 0.0013, down 0.0012
    ('per_minute = "0.075"\nincrement = "1/1"', FINE, NOON, 1, "0.0013", "0.0002", "0.0015"),  # VAT 0.000247
    ('per_minute = "0.075"\nincrement = "1/1"', FINE + '\nrounding = "half_even"', NOON, 1, "0.0012", "0.0002", "0.0014"),
    ('per_minute = "0.075"\nincrement = "1/1"', FINE + '\nrounding = "up"', NOON, 1, "0.0013", "0.0002", "0.0015"),
    ('per_minute = "0.075"\nincrement = "1/1"', FINE + '\nrounding = "down"', NOON, 1, "0.0012", "0.0002", "0.0014"),
    # VAT included in ten-thousandths: 0.14 / 1.19 = 0.117647.., VAT 0.022352..
    (GROSS + 'per_minute = "0.14"', FINE, NOON, 1, "0.1176", "0.0224", "0.1400"),
    # another VAT rate on the rate: 0.10 at 7 %: 0.007 -> 0.01
    (FLAT + '\nvat_rate = "0.07"', "", NOON, 1, "0.10", "0.01", "0.11"),
    # nothing was begun, but it was answered: the setup fee and the minimum are due; VAT 0.0095 and 0.0475
    ('setup = "0.05"\n' + FLAT, "", NOON, 0, "0.05", "0.01", "0.06"),
    ('minimum = "0.25"\n' + FLAT, "", NOON, 0, "0.25", "0.05", "0.30"),
    # a minimum above the cap: the cap is applied last; VAT 0.038
    ('minimum = "0.25"\ncap = "0.20"\n' + FLAT, "", NOON, 1, "0.20", "0.04", "0.24"),
    # 0.03 with 20 % in it: exactly 0.025 + 0.005; the net is rounded (half up, whatever the plan's rounding) and the VAT is the rest
    (GROSS + 'vat_rate = "0.20"\nper_minute = "0.03"', "", NOON, 1, "0.03", "0.00", "0.03"),
    (GROSS + 'vat_rate = "0.20"\nper_minute = "0.03"', 'rounding = "down"', NOON, 1, "0.03", "0.00", "0.03"),
    # 0.14 at 7 %: 0.130841.. and the rest
    (GROSS + 'vat_rate = "0.07"\nper_minute = "0.14"', "", NOON, 1, "0.13", "0.01", "0.14"),
    # a call that ended within the free seconds was answered: setup fee and minimum; VAT 0.0095 and 0.0475
    ('setup = "0.05"\nfree_s = 30\n' + FLAT, "", NOON, 20_000, "0.05", "0.01", "0.06"),
    ('minimum = "0.25"\nfree_s = 30\n' + FLAT, "", NOON, 20_000, "0.25", "0.05", "0.30"),
    # the setup fee counts towards the minimum and the cap: 0.05 + 0.10 -> 0.25; 0.05 + 0.30 -> 0.20
    ('setup = "0.05"\nminimum = "0.25"\n' + FLAT, "", NOON, 1, "0.25", "0.05", "0.30"),
    ('setup = "0.05"\ncap = "0.20"\n' + FLAT, "", NOON, minutes(3), "0.20", "0.04", "0.24"),
    # minimum and cap are rounded like any other amount: 0.125 -> 0.13, 0.12; 0.015 -> 0.02, 0.01; VAT 0.0247, 0.0228, 0.0038, 0.0019
    ('minimum = "0.125"\n' + FLAT, "", NOON, 1, "0.13", "0.02", "0.15"),
    ('minimum = "0.125"\n' + FLAT, 'rounding = "half_even"', NOON, 1, "0.12", "0.02", "0.14"),
    ('cap = "0.015"\n' + FLAT, "", NOON, 1, "0.02", "0.00", "0.02"),
    ('cap = "0.015"\n' + FLAT, 'rounding = "down"', NOON, 1, "0.01", "0.00", "0.01"),
    # cut after 90 s: the unit at 60 s is charged in full, the one at 120 s never begins; VAT 0.038
    ("cut_after_s = 90\n" + FLAT, "", NOON, minutes(9), "0.20", "0.04", "0.24"),
    # cut after 60 s: the unit that would begin at that instant is not charged
    ("cut_after_s = 60\n" + FLAT, "", NOON, minutes(9), "0.10", "0.02", "0.12"),
    # free seconds are within the cut: units at 30 and 90, the cut is at 90
    ("cut_after_s = 90\nfree_s = 30\n" + FLAT, "", NOON, minutes(9), "0.10", "0.02", "0.12"),
    # cut while it is still free: no unit at all
    ("cut_after_s = 30\nfree_s = 30\n" + FLAT, "", NOON, minutes(9), "0.00", "0.00", "0.00"),
    # a cut after 0 s is none: 9 units; VAT 0.171
    ("cut_after_s = 0\n" + FLAT, "", NOON, minutes(9), "0.90", "0.17", "1.07"),
    # free is free, whatever the length and the setup fee
    ('free = true\nsetup = "0.05"\nminimum = "1.00"', "", NOON, minutes(5), "0.00", "0.00", "0.00"),
    # only increment and VAT are the plan's where a rate says none
    (FLAT, 'setup = "0.05"\nminimum = "1.00"\nfree_s = 30', NOON, 1, "0.10", "0.02", "0.12"),
]


@pytest.mark.parametrize("row", ROWS)
def test_prices(row: tuple[Any, ...]) -> None:
    rate, head, at, length, *expected = row
    plan = plan_of(rate, head)
    assert [str(part) for part in rater.price(plan, plan.rates[0], ms(at), length)] == expected


WORLD = """
[[rate]]
prefix = "49"
class = "geographic"
[[rate]]
prefix = "4915"
class = "mobile"
[[rate]]
prefix = "491801"
class = "shared_cost"
[[rate]]
prefix = "43"
class = "international"
regions = ["AT"]
[[rate]]
prefix = "43664"
class = "international"
regions = ["AT"]
[[rate]]
prefix = "1"
class = "international"
regions = ["US", "CA"]
"""


@pytest.mark.parametrize(
    ("digits", "number_class", "region", "prefix"),
    [
        ("4930123456", "geographic", None, "49"),
        ("4915112345678", "mobile", None, "4915"),
        ("4915112345678", "geographic", None, None),  # 4915 is of another class, and 49 never steps in
        ("4917112345678", "mobile", None, None),  # 49 is the longest and of another class
        ("4918012345", "shared_cost", None, "491801"),
        ("4918812345", "shared_cost", None, None),
        ("436641234567", "international", "AT", "43664"),
        ("4311234567", "international", "AT", "43"),
        ("12125550100", "international", "CA", "1"),
        ("18765550100", "international", "JM", None),  # Jamaica is not the region of the row
        ("99123", "international", None, None),
    ],
)
def test_match(digits: str, number_class: str, region: str | None, prefix: str | None) -> None:
    found = rater.match(rater.load_plan(tomllib.loads(HEAD + WORLD)), digits, number_class, region)
    assert (found.prefix if found else None) == prefix


def version(name: str, day: str) -> rater.Plan:
    head = HEAD.replace('version = "1"', f'version = "{name}"').replace("2026-01-01T", f"{day}T")
    return rater.load_plan(tomllib.loads(head))


def test_pick() -> None:
    nine, ten, later = version("2026-9", "2026-01-01"), version("2026-10", "2026-01-01"), version("2026-2", "2026-03-01")
    versions = [ten, later, nine]
    assert rater.pick(versions, ms("2025-12-31T23:59:59.999+01:00")) is None
    assert rater.pick(versions, ms("2026-01-01T00:00:00+01:00")) is ten
    assert rater.pick(versions, ms("2026-02-28T23:59:59.999+01:00")) is ten
    assert rater.pick(versions, ms("2026-03-01T00:00:00+01:00")) is later


def test_plan_of_a_leg() -> None:
    nine, ten, later = version("9", "2026-01-01"), version("10", "2026-01-01"), version("1", "2026-03-01")
    march, february = ms(NOON), ms("2026-02-01T00:00:00+01:00")
    assert rater.plan_for([[], [nine, ten], [later]], march) is ten
    assert rater.plan_for([[later], [nine, ten]], february) is ten  # none of the first place is in force yet
    assert rater.plan_for([[later], [nine, ten]], march) is later
    assert rater.plan_for([[nine, ten]], march, quoted=nine) is nine  # what was quoted holds
    assert rater.plan_for([[later], [nine, ten]], march, quoted=nine) is nine  # also where another place has one in force
    assert rater.plan_for([[ten]], march, quoted=nine) is ten  # unless it is not there
    assert rater.plan_for([[later], []], february) is None


def test_bands_that_are_refused() -> None:
    window = '[[band]]\nname = "{}"\ndays = ["{}"]\nfrom = "{}"\nto = "{}"\n'
    for first, second, fine in [
        (("x", "mon", "08:00", "12:00"), ("y", "mon", "12:00", "24:00"), True),
        (("x", "mon", "08:00", "12:01"), ("y", "mon", "12:00", "24:00"), False),
        (("x", "mon", "08:00", "12:01"), ("y", "tue", "12:00", "24:00"), True),
        (("x", "mon", "08:00", "12:00"), ("y", "tue", "22:00", "06:00"), False),
        (("x", "mon", "08:00", "12:00"), ("y", "tue", "22:00", "24:01"), False),
    ]:
        document = tomllib.loads(HEAD + window.format(*first) + window.format(*second))
        if fine:
            rater.load_plan(document)
        else:
            with pytest.raises(ValueError, match="band"):
                rater.load_plan(document)


# (rate, answered at, has lasted ms, the amount that is committed)
COMMITTED = [
    (FLAT, NOON, 0, "0.10"),
    (FLAT, NOON, 59_999, "0.10"),
    (FLAT, NOON, 60_000, "0.20"),  # the second unit has begun
    ('increment = "30/6"\nper_minute = "0.60"', NOON, 29_999, "0.30"),
    ('increment = "30/6"\nper_minute = "0.60"', NOON, 36_000, "0.42"),  # 30 + 6 + 6 s
    ("free_s = 30\n" + FLAT, NOON, 0, "0.10"),  # the first unit, already in the free seconds
    ("free_s = 30\n" + FLAT, NOON, 89_999, "0.10"),
    ("free_s = 30\n" + FLAT, NOON, 90_000, "0.20"),
    ('setup = "0.05"\nminimum = "0.25"\n' + FLAT, NOON, 0, "0.25"),
    ('cap = "0.25"\n' + FLAT, NOON, minutes(5), "0.25"),
    ("cut_after_s = 90\n" + FLAT, NOON, minutes(2), "0.20"),  # no unit begins after the cut
    (TABLE, "2026-03-03T17:59:30+01:00", 10_000, "0.60"),
    (TABLE, "2026-03-03T17:59:30+01:00", minutes(1), "0.66"),  # the running unit began at 18:00:30, in rest
    ("free = true", NOON, minutes(5), "0.00"),
]


@pytest.mark.parametrize(("rate", "at", "lasted", "expected"), COMMITTED)
def test_committed(rate: str, at: str, lasted: int, expected: str) -> None:
    plan = plan_of(rate)
    found = rater.committed(plan, plan.rates[0], ms(at), lasted)
    assert str(found[0]) == expected
    assert found[0] >= rater.price(plan, plan.rates[0], ms(at), lasted)[0]  # never less than what it has come to


def test_committed_attempt() -> None:
    for rate, expected in [
        (FLAT, "0.10"),
        ("free_s = 30\n" + FLAT, "0.10"),
        ('setup = "0.05"\n' + FLAT, "0.15"),
        ('minimum = "0.25"\n' + FLAT, "0.25"),
        ("free = true", "0.00"),
        ("cut_after_s = 30\nfree_s = 30\n" + FLAT, "0.00"),
    ]:
        plan = plan_of(rate)
        assert str(rater.committed_attempt(plan, plan.rates[0], ms(NOON))[0]) == expected
    # attempted at 17:59:40: after 30 free seconds the first unit begins at 18:00:10, in rest
    plan = plan_of(TABLE + "\nfree_s = 30")
    assert str(rater.committed_attempt(plan, plan.rates[0], ms("2026-03-03T17:59:40+01:00"))[0]) == "0.06"


def test_month() -> None:
    def call(amount: str | None, included: bool = False, destination: str = "D", payer: str = "t", rate: str = "0.19") -> dict[str, Any]:
        return {
            "payer": payer,
            "destination": destination,
            "plan": "p",
            "version": "1",
            "vat_rate": Decimal(rate),
            "vat_included": included,
            "amount": None if amount is None else Decimal(amount),
            "duration_ms": 1_000,
        }

    def vat(result: dict[str, Any]) -> list[tuple[str, str, str]]:
        return [(str(row["net"]), str(row["vat"]), str(row["gross"])) for row in result["totals"]]

    # the example of the page: 1,000 calls of 0.02 net
    found = rater.month_sum([call("0.02")] * 1000 + [call("9.99", payer="other")], "t")
    assert vat(found) == [("20.00", "3.80", "23.80")]
    assert [(row["calls"], row["duration_ms"], str(row["amount"])) for row in found["lines"]] == [(1000, 1_000_000, "20.00")]
    # a thousand of 0.0150 are 15.00; VAT 2.85
    assert vat(rater.month_sum([call("0.0150")] * 1000, "t")) == [("15.00", "2.85", "17.85")]
    # two lines of 0.0050 each are 0.01 + 0.01 = 0.02, not 0.01: lines are rounded; VAT 0.0038
    assert vat(rater.month_sum([call("0.0050"), call("0.0050", destination="E")], "t")) == [("0.02", "0.00", "0.02")]
    # 3 calls of 0.14 with VAT: 0.42 / 1.19 = 0.35294 -> 0.35, VAT 0.07; beside them 0.10 net: 0.02; apart, and 0.45 + 0.09 in all
    found = rater.month_sum([call("0.14", included=True)] * 3 + [call("0.10"), call(None)], "t")
    assert vat(found) == [("0.10", "0.02", "0.12"), ("0.35", "0.07", "0.42")]
    assert [str(found["whole"][name]) for name in ("net", "vat", "gross")] == ["0.45", "0.09", "0.54"]
    assert found["unpriced"] == 1
    # VAT once for all lines of a rate: 0.03 + 0.03 + 0.03 net: 0.09 x 0.19 = 0.0171 -> 0.02, line by line it would be 0.03
    assert vat(rater.month_sum([call("0.03", destination=name) for name in "DEF"], "t")) == [("0.09", "0.02", "0.11")]
    assert rater.month_sum([], "t")["whole"] == {"net": 0, "vat": 0, "gross": 0}
    # gross at 20 %: 0.03 - round(0.025) = 0.03 - 0.03
    assert vat(rater.month_sum([call("0.03", included=True, rate="0.20")], "t")) == [("0.03", "0.00", "0.03")]


def test_month_without_a_price() -> None:
    def call(amount: str | None, conversation: str, payer: str = "t") -> dict[str, Any]:
        return {
            "payer": payer,
            "destination": ("D", "D"),
            "plan": "p",
            "version": "1",
            "vat_rate": Decimal("0.19"),
            "vat_included": False,
            "amount": None if amount is None else Decimal(amount),
            "duration_ms": 1_000,
            "conversation": conversation,
        }

    # c1 has two legs without a price and one with: out of the sum whole, and one; c2 wants a price of another payer only
    calls = [call("0.10", "c1"), call(None, "c1"), call(None, "c1"), call("0.20", "c2"), call(None, "c2", "other"), call("0.40", "c3")]
    found = rater.month_sum(calls, "t")
    assert found["unpriced"] == 1
    assert [(row["calls"], str(row["amount"])) for row in found["lines"]] == [(2, "0.60")]
    assert rater.month_sum(calls, "other")["lines"] == []


def test_month_apart() -> None:
    def call(**other: Any) -> dict[str, Any]:
        return {
            "payer": "t",
            "destination": "D",
            "plan": "p",
            "version": "1",
            "content": "x",
            "currency": "EUR",
            "vat_rate": Decimal("0.19"),
            "vat_included": False,
            "amount": Decimal("0.005"),
            "duration_ms": 1_000,
            **other,
        }

    # two halves of a cent: one line of 0.01; two versions of one name (or two currencies, rates ...) are two lines of 0.01
    assert [str(row["amount"]) for row in rater.month_sum([call(), call()], "t")["lines"]] == ["0.01"]
    cases: list[tuple[dict[str, Any], int]] = [
        ({"content": "y"}, 1),
        ({"version": "2"}, 1),
        ({"currency": "CHF"}, 2),
        ({"vat_rate": Decimal("0.07")}, 2),
        ({"vat_included": True}, 2),
    ]
    for other, totals in cases:
        found = rater.month_sum([call(), call(**other)], "t")
        assert [str(row["amount"]) for row in found["lines"]] == ["0.01", "0.01"], other
        assert len(found["totals"]) == totals, other
    found = rater.month_sum([call(), call(currency="CHF")], "t")
    assert found["whole"] is None
    assert str(found["currencies"]["CHF"]["gross"]) == "0.01"


# --- conversations -----------------------------------------------------------------------------------------------------

NUMBER, B, C, CALLER, PARTY, QUEUE = "number:+4930", "agent:b", "agent:c", "caller", "party", "queue:q"


def begin(at: int, direction: str = "inbound") -> dict[str, Any]:
    return {"at": at, "what": "begin", "direction": direction}


def leg(at: int, name: str, role: str, dialled: bool, kind: str, by: str, party: str, own: str) -> dict[str, Any]:
    return {"at": at, "what": "leg", "leg": name, "role": role, "dialled": dialled, "as": kind, "by": by, "party": party, "is": own}


def one(at: int, what: str, name: str) -> dict[str, Any]:
    return {"at": at, "what": what, "leg": name, "by": "remote"}


def sent(at: int, kind: str, party: str, by: str) -> dict[str, Any]:
    return {"at": at, "what": "sent", "kind": kind, "party": party, "by": by}


def pair(at: int, a: str, b: str, by: str, a_party: str, b_party: str) -> dict[str, Any]:
    return {"at": at, "what": "pair", "a": a, "b": b, "by": by, "a_party": a_party, "b_party": b_party}


def end(at: int) -> dict[str, Any]:
    return {"at": at, "what": "end", "cause": "normal"}


def caller(at: int = 0) -> list[dict[str, Any]]:
    return [begin(at), leg(at, "A", "caller", False, "ring", CALLER, "+4930", CALLER)]


def agent(at: int, name: str, own: str, by: str = NUMBER, kind: str = "ring", party: str = CALLER) -> list[dict[str, Any]]:
    return [leg(at, name, "agent", True, kind, by, party, own), one(at, "alert", name)]


def taken(at: int, name: str, own: str) -> list[dict[str, Any]]:
    return [one(at, "answer", name), one(at, "answer", "A"), pair(at, "A", name, own, own, CALLER)]


def over(at: int, *names: str) -> list[dict[str, Any]]:
    return [one(at, "gone", name) for name in names] + [end(at)]


DIRECT = [*caller(), sent(0, "ring", B, NUMBER), *agent(0, "B", B)]
AT_ONCE = DIRECT + taken(0, "B", B)
QUEUED = [*caller(), sent(0, "queue", QUEUE, NUMBER)]
MOVED = [one(58, "transfer", "B"), one(58, "gone", "B"), sent(58, "ring", C, B), *agent(58, "C", C, B)]

# (events, talk, hold, ring, wait, treatment, setup, queue)
TOPOLOGIES = [
    (DIRECT + taken(5, "B", B) + over(65, "A", "B"), 60, 0, 5, 0, 0, 0, 0),
    (
        QUEUED
        + agent(10, "B", B, QUEUE, "offer")
        + [one(25, "gone", "B")]
        + agent(25, "C", C, QUEUE, "offer")
        + taken(30, "C", C)
        + over(90, "A", "C"),
        60,
        0,
        20,
        10,
        0,
        0,
        30,
    ),
    (
        QUEUED
        + agent(10, "B", B, QUEUE, "offer")
        + agent(10, "C", C, QUEUE, "offer")
        + taken(14, "B", B)
        + [one(14, "gone", "C")]
        + over(74, "A", "B"),
        60,
        0,
        4,
        10,
        0,
        0,
        14,
    ),
    (
        [
            *caller(),
            sent(0, "menu", "menu:m", NUMBER),
            sent(8, "queue", QUEUE, "menu:m"),
            *agent(20, "B", B, QUEUE, "offer"),
            *taken(23, "B", B),
            *over(83, "A", "B"),
        ],
        60,
        0,
        3,
        12,
        8,
        0,
        15,
    ),
    (
        [*AT_ONCE, one(10, "holds", "B"), one(15, "holds", "A"), one(20, "retrieves", "B"), one(30, "retrieves", "A"), *over(40, "A", "B")],
        20,
        20,
        0,
        0,
        0,
        0,
        0,
    ),
    (AT_ONCE + MOVED + taken(66, "C", C) + over(118, "A", "C"), 110, 0, 8, 0, 0, 0, 0),
    (AT_ONCE + MOVED + over(83, "A", "C"), 58, 0, 25, 0, 0, 0, 0),
    ([*AT_ONCE, one(40, "holds", "B"), *MOVED, *taken(66, "C", C), *over(118, "A", "C")], 92, 18, 8, 0, 0, 0, 0),
    (
        [
            *AT_ONCE,
            one(30, "transfer", "B"),
            one(30, "gone", "B"),
            sent(30, "forward", "+49171", B),
            leg(30, "X", "forward", True, "forward", B, CALLER, PARTY),
            one(31, "alert", "X"),
            one(40, "answer", "X"),
            pair(40, "A", "X", PARTY, "+49171", CALLER),
            *over(100, "A", "X"),
        ],
        90,
        0,
        10,
        0,
        0,
        0,
        0,
    ),
    (
        [
            *caller(),
            sent(0, "forward", "+49171", NUMBER),
            leg(0, "X", "forward", True, "forward", NUMBER, CALLER, PARTY),
            one(6, "answer", "X"),
            one(6, "answer", "A"),
            pair(6, "A", "X", PARTY, "+49171", CALLER),
            *over(66, "A", "X"),
        ],
        60,
        0,
        6,
        0,
        0,
        0,
        0,
    ),
    (
        [
            begin(0, "outbound"),
            leg(0, "B", "agent", True, "ring", B, "+49171", B),
            one(2, "answer", "B"),
            leg(2, "X", "destination", True, "ring", B, B, PARTY),
            one(3, "alert", "X"),
            one(12, "answer", "X"),
            pair(12, "B", "X", PARTY, "+49171", B),
            *over(72, "B", "X"),
        ],
        60,
        0,
        12,
        0,
        0,
        0,
        0,
    ),
    (
        [
            begin(0, "outbound"),
            leg(0, "B", "agent", False, "ring", B, "+49171", B),
            leg(0, "X", "destination", True, "ring", B, B, PARTY),
            one(0, "alert", "X"),
            one(10, "answer", "X"),
            one(10, "answer", "B"),
            pair(10, "B", "X", PARTY, "+49171", B),
            *over(70, "B", "X"),
        ],
        60,
        0,
        10,
        0,
        0,
        0,
        0,
    ),
]


def folded(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of a list in seconds, with what must hold of every record (section 4)."""
    record = ledger.fold([{**event, "at": 1_000_000 + event["at"] * 1_000} for event in events])
    parts = ("talk", "hold", "ring", "wait", "treatment", "setup")
    assert sum(record[f"{part}_ms"] for part in parts) == record["duration_ms"]
    assert record["queue_ms"] <= record["wait_ms"] + record["ring_ms"]
    for event in events:
        if event["what"] == "leg":
            segments = record["legs"][event["leg"]]["segments"]
            assert all(before[2] == after[1] for before, after in pairwise(segments))
    return record


def spoken(record: dict[str, Any], name: str) -> list[tuple[Any, ...]]:
    """The segments of a leg in seconds, as (kind, from, to, originator, party)."""
    return [(kind, (a - 1_000_000) / 1000, (b - 1_000_000) / 1000, by, to) for kind, a, b, by, to in record["legs"][name]["segments"]]


@pytest.mark.parametrize("row", range(len(TOPOLOGIES)))
def test_topologies(row: int) -> None:
    names = ("talk_ms", "hold_ms", "ring_ms", "wait_ms", "treatment_ms", "setup_ms", "queue_ms")
    events, *expected = TOPOLOGIES[row]
    record = folded(events)
    assert [record[name] / 1000 for name in names] == expected
    served = events[1]["leg"]  # the first leg; in these rows it is served all along
    for name in ("talk_ms", "hold_ms"):  # both sides agree
        assert record["legs"][served][name] == record[name]
        assert sum(figures[name] for key, figures in record["legs"].items() if key != served) == record[name]


def test_rows_in_detail() -> None:
    # row 2: B's phone rings in vain
    record = folded(TOPOLOGIES[1][0])
    assert spoken(record, "A") == [("queue", 0, 30, NUMBER, QUEUE), ("talk", 30, 90, C, C)]
    assert spoken(record, "B") == [("offer", 10, 25, QUEUE, CALLER)]
    assert record["legs"]["B"]["alerting_ms"] == 15_000
    assert record["legs"]["B"]["billable_ms"] == 0
    assert record["answered_at"] == 1_030_000
    # row 5: the hold is B's until 20, A's from 20; the talk after it is A's, who came back last
    record = folded(TOPOLOGIES[4][0])
    assert spoken(record, "A") == [("talk", 0, 10, B, B), ("hold", 10, 20, B, B), ("hold", 20, 30, CALLER, B), ("talk", 30, 40, CALLER, B)]
    assert [row[:4] for row in spoken(record, "B")] == [row[:4] for row in spoken(record, "A")]
    # row 6: B talked 58, C 52; A hears ringing between
    record = folded(TOPOLOGIES[5][0])
    assert (record["legs"]["B"]["talk_ms"], record["legs"]["C"]["talk_ms"]) == (58_000, 52_000)
    assert spoken(record, "A") == [("talk", 0, 58, B, B), ("ring", 58, 66, B, C), ("talk", 66, 118, C, C)]
    # row 8: B's hold ends with B
    assert spoken(folded(TOPOLOGIES[7][0]), "A")[1:3] == [("hold", 40, 58, B, B), ("ring", 58, 66, B, C)]
    # rows 9 and 10: X's leg costs 60
    for row in (8, 9):
        record = folded(TOPOLOGIES[row][0])
        assert record["legs"]["X"]["billable_ms"] == 60_000
    assert record["legs"]["X"]["alerting_ms"] == 0  # it never alerted
    # row 11: B's phone is off the hook from 2 and hears the ringing until 12
    record = folded(TOPOLOGIES[10][0])
    assert spoken(record, "B") == [("ring", 0, 12, B, "+49171"), ("talk", 12, 72, PARTY, "+49171")]
    assert (record["legs"]["X"]["ring_ms"], record["legs"]["X"]["alerting_ms"]) == (10_000, 9_000)
    assert record["legs"]["B"]["billable_ms"] == 70_000


def test_holds() -> None:
    # A's phone holds in the queue (twice: counts once), so the pair begins in hold; B retrieves what is not held
    events = [*QUEUED, one(2, "holds", "A"), one(3, "holds", "A"), *agent(5, "B", B, QUEUE, "offer"), *taken(10, "B", B)]
    events += [one(12, "retrieves", "B"), one(15, "retrieves", "A"), *over(20, "A", "B")]
    record = folded(events)
    assert (record["talk_ms"], record["hold_ms"], record["answered_at"]) == (5_000, 5_000, 1_010_000)
    assert spoken(record, "B") == [("offer", 5, 10, QUEUE, CALLER), ("hold", 10, 15, CALLER, CALLER), ("talk", 15, 20, CALLER, CALLER)]
    # A's phone goes on holding over a transfer: the hold of the second pair is A's from its beginning
    events = [*AT_ONCE, one(50, "holds", "A"), *MOVED, *taken(66, "C", C), one(70, "retrieves", "A"), *over(80, "A", "C")]
    record = folded(events)
    assert (record["talk_ms"], record["hold_ms"], record["ring_ms"]) == (60_000, 12_000, 8_000)
    assert spoken(record, "C") == [("ring", 58, 66, B, CALLER), ("hold", 66, 70, CALLER, CALLER), ("talk", 70, 80, CALLER, CALLER)]
    # both hold; the second comes back first and holds again: the first is the originator all along
    events = [*AT_ONCE, one(10, "holds", "A"), one(12, "holds", "B"), one(14, "retrieves", "B"), one(16, "holds", "B")]
    record = folded([*events, one(20, "retrieves", "A"), one(25, "retrieves", "B"), *over(30, "A", "B")])
    assert spoken(record, "A")[1:] == [("hold", 10, 20, CALLER, B), ("hold", 20, 25, B, B), ("talk", 25, 30, B, B)]


def test_the_desk_and_the_phone_of_one_leg_hold_apart() -> None:
    at_desk = {"where": "desk"}
    events = [*AT_ONCE, one(10, "holds", "B"), one(15, "holds", "B") | at_desk, one(20, "retrieves", "B") | at_desk]
    record = folded([*events, one(25, "retrieves", "B") | at_desk, one(30, "retrieves", "B"), *over(40, "A", "B")])
    assert (record["talk_ms"], record["hold_ms"]) == (20_000, 20_000)
    assert spoken(record, "A") == [("talk", 0, 10, B, B), ("hold", 10, 30, B, B), ("talk", 30, 40, B, B)]
    # A's phone holds from 12 to 35: the hold is B's as long as the desk or the phone of B goes on
    events = [*AT_ONCE, one(10, "holds", "B") | at_desk, one(12, "holds", "A"), one(15, "holds", "B"), one(20, "retrieves", "B") | at_desk]
    record = folded([*events, one(30, "retrieves", "B"), one(35, "retrieves", "A"), *over(40, "A", "B")])
    assert spoken(record, "A")[1:3] == [("hold", 10, 20, B, B), ("hold", 20, 35, CALLER, B)]


def test_without_a_pair() -> None:
    # abandoned in the queue after 10 s, and a caller for whom nothing was decided for 3 s before the menu
    record = folded(QUEUED + over(10, "A"))
    assert (record["wait_ms"], record["queue_ms"], record["answered_at"]) == (10_000, 10_000, None)
    record = folded([*caller(), sent(3, "announcement", "closed", NUMBER), *over(9, "A")])
    assert (record["setup_ms"], record["treatment_ms"]) == (3_000, 6_000)
    assert spoken(record, "A") == [("ring", 0, 3, CALLER, "+4930"), ("announcement", 3, 9, NUMBER, "closed")]


def test_the_one_that_stays() -> None:
    # B dials X (answers at 5), transfers X at 30 to C, who answers at 40; between, X is served and waits: for 2 s nowhere, then queued
    own = [begin(0, "outbound"), leg(0, "B", "agent", False, "ring", B, "+49171", B)]
    own += [leg(0, "X", "destination", True, "ring", B, B, PARTY), one(5, "answer", "X"), one(5, "answer", "B")]
    own += [pair(5, "B", "X", PARTY, "+49171", B), one(30, "transfer", "B"), one(30, "gone", "B"), sent(32, "queue", QUEUE, B)]
    own += [*agent(36, "C", C, QUEUE, "offer", "+49171"), one(40, "answer", "C"), pair(40, "X", "C", C, C, "+49171"), *over(50, "X", "C")]
    record = folded(own)
    parts = [record[f"{part}_ms"] // 1000 for part in ("talk", "hold", "ring", "wait", "treatment", "setup", "queue")]
    assert parts == [35, 0, 9, 4, 0, 2, 8]
    assert spoken(record, "X") == [
        ("ring", 0, 5, B, B),
        ("talk", 5, 30, PARTY, B),
        ("ring", 30, 32, B, ""),
        ("queue", 32, 40, B, QUEUE),
        ("talk", 40, 50, C, C),
    ]
    assert spoken(record, "B") == [("ring", 0, 5, B, "+49171"), ("talk", 5, 30, PARTY, "+49171")]
    assert record["legs"]["X"]["billable_ms"] == 45_000
    # the first leg transfers: our own phone A called B, moves B to C; B stays
    events = [*AT_ONCE, one(10, "transfer", "A"), one(10, "gone", "A"), sent(10, "queue", QUEUE, CALLER), *over(15, "B")]
    record = folded(events)
    assert (record["talk_ms"], record["wait_ms"], record["queue_ms"]) == (10_000, 5_000, 5_000)
    assert spoken(record, "B") == [("talk", 0, 10, B, CALLER), ("queue", 10, 15, CALLER, QUEUE)]


def test_transferred_and_not_yet_sent() -> None:
    # what A was sent to before the pair is not what holds after it
    events = QUEUED + agent(0, "B", B, QUEUE, "offer") + taken(5, "B", B) + [one(9, "transfer", "B"), one(9, "gone", "B")] + over(12, "A")
    record = folded(events)
    assert spoken(record, "A") == [("queue", 0, 5, NUMBER, QUEUE), ("talk", 5, 9, B, B), ("ring", 9, 12, B, "")]
    assert (record["setup_ms"], record["wait_ms"], record["ring_ms"], record["queue_ms"]) == (3_000, 0, 5_000, 5_000)


def test_speed() -> None:
    events = [event | {"at": event["at"] * 1000} for event in TOPOLOGIES[7][0]]
    began = time.process_time()
    for _ in range(2_000):
        ledger.fold(events)
    assert time.process_time() - began < 0.6
