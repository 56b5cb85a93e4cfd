"""Calls priced by hand: the arithmetic stands beside each, in the words of whoever did it (R10-R13, R15).

The amount is the one the tariff states: without VAT for ordinary numbers, with VAT for German special numbers.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from billing_cdr.charge import recompute_line
from billing_cdr.house_plan import house_plan
from billing_cdr.rating import PlanBook, rate_leg
from tests.billing_cdr.plans import hand_plan
from tests.billing_cdr.stories import dialled_leg

WED = "2026-06-10T10:00:00+02:00"  # a working day in summer
H, M = 3_600_000, 60_000

LANDLINE = "+49 7531 123456"  # 60/60; day 0.06, night 0.03, early 0.01 a minute
BERLIN = "+49 30 123456"  # 30/6 at the same prices: 30 s cost 0.03 by day, 6 s cost 0.006
MUNICH = "+49 89 123456"  # 1/1 at 0.019
HAMBURG = "+49 40 123456"  # 1/1 at 0.01
MOBILE_15 = "+49 1511 1234567"  # 60/1 at 0.10, 0.05 a call, at least 0.12
MOBILE_16 = "+49 162 1234567"  # 60/60 at 0.05, at least 0.12
MOBILE_17 = "+49 171 1234567"  # 30/6 at 0.099

# fmt: off
HAND = [  # number, answered at, milliseconds, price, arithmetic
    # started minutes and their edges
    (LANDLINE, WED, 0, "0.00", "no unit has begun"),
    (LANDLINE, WED, 1, "0.06", "1 ms begins a minute: 1 x 0.06"),
    (LANDLINE, WED, 59_999, "0.06", "still the first minute"),
    (LANDLINE, WED, 60_000, "0.06", "exactly one minute"),
    (LANDLINE, WED, 60_001, "0.12", "the second minute has begun: 2 x 0.06"),
    (LANDLINE, WED, 61_000, "0.12", "61 s on 60/60 cost two minutes"),
    (LANDLINE, WED, 1 * H, "3.60", "60 x 0.06"),
    (LANDLINE, WED, 1 * H + 1, "3.66", "61 x 0.06"),
    # the band changes during the call
    (LANDLINE, "2026-06-10T17:59:30+02:00", 60_000, "0.06", "the one unit begins by day"),
    (LANDLINE, "2026-06-10T17:59:30+02:00", 61_000, "0.09", "17:59:30 day 0.06 + 18:00:30 night 0.03"),
    (LANDLINE, "2026-06-10T17:59:00+02:00", 60_001, "0.09", "the second unit begins at 18:00:00 sharp: night. 0.06 + 0.03"),
    (LANDLINE, "2026-06-10T17:59:00.001+02:00", 60_001, "0.09", "18:00:00.001 is night as well"),
    (LANDLINE, "2026-06-10T17:58:59.999+02:00", 60_001, "0.12", "17:59:59.999 is still day: 2 x 0.06"),
    (LANDLINE, "2026-06-10T07:59:59.999+02:00", 120_000, "0.09", "night 0.03 + 08:00:59.999 day 0.06"),
    (LANDLINE, "2026-06-10T17:58:00+02:00", 300_000, "0.21", "17:58, 17:59 by day 0.12 + 18:00, 18:01, 18:02 by night 0.09"),
    (LANDLINE, "2026-06-10T07:00:00+02:00", 12 * H, "39.60", "60 min night 1.80 + 600 min day 36.00 + 60 min night 1.80"),
    (LANDLINE, "2026-06-13T12:00:00+02:00", 120_000, "0.06", "Samstag ist Nachttarif: 2 x 0,03"),
    (LANDLINE, "2026-06-12T23:59:00+02:00", 120_000, "0.06", "Freitag auf Samstag: 2 x 0,03"),
    (LANDLINE, "2026-06-12T15:59:00Z", 120_000, "0.09", "15:59 UTC ist 17:59 in Berlin: 0,06 + 0,03"),
    (LANDLINE, "2026-01-14T16:59:00Z", 120_000, "0.09", "im Winter ist 16:59 UTC 17:59: 0,06 + 0,03"),
    # Feiertage
    (LANDLINE, "2026-05-01T10:00:00+02:00", 60_000, "0.03", "1. Mai, ein Freitag: Feiertag ist Nachttarif"),
    (LANDLINE, "2026-04-30T10:00:00+02:00", 60_000, "0.06", "der Tag davor nicht"),
    (LANDLINE, "2026-12-25T08:00:00+01:00", 180_000, "0.09", "Weihnachten: 3 x 0,03"),
    # the nights on which the clocks change
    (LANDLINE, "2026-03-29T01:59:00+01:00", 120_000, "0.04", "01:59 night 0.03, then the clock says 03:00: early 0.01"),
    (LANDLINE, "2026-03-29T03:29:00+02:00", 120_000, "0.04", "03:29 early 0.01 + 03:30 night 0.03"),
    (LANDLINE, "2026-03-29T01:00:00+01:00", 2 * H, "3.00", "60 x 0.03 to 02:00 = 03:00, 30 x 0.01 to 03:30, 30 x 0.03 to 04:00"),
    (LANDLINE, "2026-10-25T01:30:00+02:00", 4 * H, "4.20", "30 x 0.03; 02-03 twice 120 x 0.01; 03:00-03:30 30 x 0.01; 60 x 0.03"),
    (LANDLINE, "2026-10-25T02:59:00+02:00", 60_001, "0.02", "02:59 und noch einmal 02:00: 2 x 0,01"),
    (LANDLINE, "2026-10-25T02:59:00+01:00", 60_001, "0.02", "02:59 zum zweiten Mal und 03:00: 2 x 0,01"),
    # 30/6
    (BERLIN, WED, 1, "0.03", "the first 30 s whole"),
    (BERLIN, WED, 30_000, "0.03", "exactly the first unit"),
    (BERLIN, WED, 30_001, "0.04", "0.03 + 0.006 = 0.036"),
    (BERLIN, WED, 36_000, "0.04", "0.03 + 0.006 = 0.036"),
    (BERLIN, WED, 61_000, "0.07", "0.03 + 6 x 0.006 = 0.066"),
    (BERLIN, WED, 600_000, "0.60", "0.03 + 95 x 0.006 = 0.60"),
    (BERLIN, "2026-06-10T17:59:30+02:00", 61_000, "0.05", "0.03 by day + 6 x 0.003 from 18:00:00 on = 0.048"),
    (BERLIN, "2026-06-10T17:59:24+02:00", 60_000, "0.05", "0.03 + 17:59:54 0.006 + 4 x 0.003 = 0.048"),
    # 1/1: rounded once, at the end
    (MUNICH, WED, 1, "0.00", "1 s: 0.019 / 60 = 0.0003"),
    (MUNICH, WED, 15_000, "0.00", "0.00475 is below half a cent"),
    (MUNICH, WED, 16_000, "0.01", "0.00507 is above"),
    (MUNICH, WED, 61_000, "0.02", "0.019 x 61 / 60 = 0.0193"),
    (MUNICH, WED, 3_599_000, "1.14", "0.019 x 3599 / 60 = 1.13968"),
    (MUNICH, WED, 1 * H, "1.14", "60 x 0.019"),
    (HAMBURG, WED, 29_000, "0.00", "0.00483"),
    (HAMBURG, WED, 30_000, "0.01", "0.005: half a cent goes up"),
    (HAMBURG, WED, 90_000, "0.02", "0.015: kaufmännisch auf, nicht zur geraden Ziffer (das wäre auch 0,02)"),
    (HAMBURG, WED, 150_000, "0.03", "0.025: kaufmännisch 0,03, zur geraden Ziffer wäre 0,02"),
    # set-up fee and minimum
    (MOBILE_15, WED, 0, "0.12", "answered and gone: 0.05, at least 0.12"),
    (MOBILE_15, WED, 1, "0.15", "0.10 + 0.05"),
    (MOBILE_15, WED, 61_000, "0.15", "0.10 + 0.00167 + 0.05 = 0.15167"),
    (MOBILE_15, WED, 119_000, "0.25", "0.10 + 59 x 0.10/60 + 0.05 = 0.24833"),
    (MOBILE_16, WED, 60_000, "0.12", "0.05 is less than the minimum"),
    (MOBILE_16, WED, 120_001, "0.15", "3 x 0.05"),
    (MOBILE_17, WED, 61_000, "0.11", "0.0495 + 6 x 0.0099 = 0.1089"),
    # fee, minute and cap together
    ("11833", WED, 1, "4.98", "1.99 + 2.99"),
    ("11833", WED, 180_001, "12.34", "1.99 + 4 x 2.99 = 13.95, capped"),
]

HOUSE = [
    # R11: ordinary numbers, without VAT
    ("+49 30 123456", WED, 10 * M, "0.19", "10 x 0.019"),
    ("+49 30 123456", "2026-06-13T12:00:00+02:00", 10 * M, "0.15", "Saturday: 10 x 0.015"),
    ("+49 30 123456", "2026-10-03T12:00:00+02:00", 10 * M, "0.15", "Tag der Deutschen Einheit: 10 x 0,015"),
    ("+49 160 1234567", WED, 61_000, "0.11", "0.0495 + 6 x 0.0099 = 0.1089"),
    ("+49 32 221123456", WED, 1 * M, "0.03", "0.029"),
    ("115", WED, 61_000, "0.04", "2 x 0.019 = 0.038"),
    ("+43 1 5123456", WED, 2 * M, "0.06", "2 x 0.029 = 0.058"),
    ("+43 664 1234567", WED, 1, "0.13", "0.129"),
    ("+41 44 8111234", WED, 61_000, "0.06", "2 x 0.029"),
    ("+41 79 1234567", WED, 3 * M, "0.72", "3 x 0.239 = 0.717"),
    ("+44 20 79460000", WED, 3 * M, "0.09", "3 x 0.029 = 0.087"),
    ("+1 415 5552671", WED, 1 * M, "0.03", "0.029"),
    ("+33 6 12345678", WED, 3 * M, "0.39", "3 x 0.129 = 0.387"),
    ("+8816 12345678", WED, 61_000, "17.98", "2 x 8.99"),
    # R13: 0180, mit USt.
    ("0180 1 123456", WED, 61_000, "0.08", "2 x 0,039 = 0,078"),
    ("0180 2 123456", WED, 10 * M, "0.06", "je Anruf"),
    ("0180 3 123456", WED, 60_000, "0.09", "1 x 0,09"),
    ("0180 4 123456", WED, 1, "0.20", "je Anruf"),
    ("0180 5 123456", WED, 61_000, "0.28", "2 x 0,14"),
    ("0180 6 123456", WED, 3 * H, "0.20", "je Anruf, auch nach drei Stunden"),
    ("0180 7 123456", WED, 29_000, "0.00", "die ersten 30 s sind frei"),
    ("0180 7 123456", WED, 30_000, "0.00", "genau 30 s: noch frei"),
    ("0180 7 123456", WED, 30_001, "0.14", "die erste Minute danach hat begonnen"),
    ("0180 7 123456", WED, 90_000, "0.14", "30 s frei + eine Minute"),
    ("0180 7 123456", WED, 90_001, "0.28", "30 s frei + zwei angefangene Minuten"),
    # 0137
    ("0137 1 123456", WED, 0, "0.14", "angenommen ist angenommen: je Anruf"),
    ("0137 2 123456", WED, 61_000, "0.28", "2 x 0,14"),
    ("0137 6 123456", WED, 20_000, "0.25", "je Anruf"),
    ("0137 7 123456", WED, 5 * M, "1.00", "je Anruf"),
    ("0137 9 123456", WED, 1, "0.50", "je Anruf"),
    # 0900 und der Deckel des § 112 TKG
    ("0900 0 123456", WED, 60_000, "0.49", "1 x 0,49"),
    ("0900 5 123456", WED, 121_000, "5.97", "3 x 1,99"),
    ("0900 8 123456", WED, 600_000, "29.90", "10 x 2,99"),
    ("0900 8 123456", WED, 600_001, "30.00", "11 x 2,99 = 32,89, höchstens 30,00 je Anruf"),
    ("0900 8 123456", WED, 1 * H, "30.00", "60 x 2,99 = 179,40, höchstens 30,00"),
    # 0700 and what is free
    ("0700 12345678", WED, 61_000, "0.18", "2 x 0.09"),
    ("0800 1234567", WED, 1 * H, "0.00", "free for the caller"),
    ("116111", WED, 1 * H, "0.00", "free for the caller"),
    ("110", WED, 1 * H, "0.00", "emergency"),
    ("112", WED, 1 * H, "0.00", "emergency"),
    ("116117", WED, 1 * H, "0.00", "medical standby"),
]
# fmt: on


@pytest.mark.parametrize(("number", "answered", "duration_ms", "price", "arithmetic"), HAND)
def test_price_equals_the_hand_calculation(number, answered, duration_ms, price, arithmetic):
    line = rate_leg(dialled_leg(number, duration_ms, answered_at=datetime.fromisoformat(answered)), PlanBook(house=(hand_plan(),)))
    assert line.amount == Decimal(price), arithmetic
    assert line.kind == "call"
    assert recompute_line(line).amount == line.gross


@pytest.mark.parametrize(("number", "answered", "duration_ms", "price", "arithmetic"), HOUSE)
def test_house_price_equals_the_hand_calculation(number, answered, duration_ms, price, arithmetic):
    line = rate_leg(dialled_leg(number, duration_ms, answered_at=datetime.fromisoformat(answered)), PlanBook(house=(house_plan(),)))
    assert line.amount == Decimal(price), arithmetic
    assert line.kind in {"call", "free_number"}
    assert recompute_line(line).amount == line.gross


def test_there_are_at_least_forty_of_them():
    assert len(HAND) + len(HOUSE) >= 40


@pytest.mark.parametrize(
    ("number", "duration_ms", "net", "vat", "gross"),
    [
        ("+49 30 123456", 10 * M, "0.19", "0.04", "0.23"),  # 0.19 x 0.19 = 0.0361 -> 0.04
        ("+49 160 1234567", 61_000, "0.11", "0.02", "0.13"),  # 0.11 x 0.19 = 0.0209
        ("0900 8 123456", 1 * H, "25.21", "4.79", "30.00"),  # 30 / 1.19 = 25.2101
        ("0180 5 123456", 1, "0.12", "0.02", "0.14"),  # 0.14 / 1.19 = 0.1176
    ],
)
def test_vat_is_added_or_taken_out_as_the_tariff_says(number, duration_ms, net, vat, gross):
    line = rate_leg(dialled_leg(number, duration_ms), PlanBook(house=(house_plan(),)))
    assert (line.net, line.vat, line.gross) == (Decimal(net), Decimal(vat), Decimal(gross))
