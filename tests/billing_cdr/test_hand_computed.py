"""What calls cost, worked out with pencil and paper from docs/figures.md §9: net, VAT and gross, with the plan in the row.

Each row says: number, answered at (local time in Germany; `A` and `B` are the first and the second 02 o'clock of the night on which the
clocks go back), milliseconds talked, what the plan says (else 60/60, 19 % VAT not included, cents, commercial), net, VAT, gross, and how.
VAT of a single call is for information: half up to the plan's precision.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from billing_cdr.charge import recompute_line
from billing_cdr.house_plan import house_plan
from billing_cdr.rating import PlanBook, rate_leg
from billing_cdr.tariff import Plan, parse_json
from tests.billing_cdr.stories import dialled_leg

BERLIN = ZoneInfo("Europe/Berlin")
M, H = 60_000, 3_600_000
WED = "2026-06-10 10:00:00"

LAND, MOBILE, SATELLITE = "+49 7531 123456", "+49 171 1234567", "+8816 12345678"
PREFIXES = {  # number -> the row's prefix and class
    LAND: ("49", "geographic"), MOBILE: ("4917", "mobile"), SATELLITE: ("8816", "satellite"),
    "032 221123456": ("4932", "national"), "0700 12345678": ("49700", "personal"), "0800 1234567": ("49800", "freephone"),
    "11833": ("49118", "directory"), "116111": ("49116", "harmonised"), "112": ("49", "geographic"),
    **{f"0180 {n} 123456": (f"49180{n}", "shared_cost") for n in range(1, 8)},
    **{f"0137 {n} 123456": (f"49137{n}", "mass") for n in range(1, 10)},
    **{f"0900 {n} 123456": (f"49900{n}", "premium") for n in range(9)},
}  # fmt: skip

HOLIDAYS = ["2026-05-01", "2027-01-01"]
OFFICE = {"rest_band": "night", "holidays": HOLIDAYS, "band": [
    {"name": "day", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"},
]}  # fmt: skip
WORKDAY = {"rest_band": "night", "holidays": HOLIDAYS, "band": [
    {"name": "day", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "00:00", "to": "24:00"},
]}  # fmt: skip
EARLY = {"rest_band": "night", "band": [{"name": "early", "days": ["sun"], "from": "02:00", "to": "03:30"}]}
D = OFFICE | {"per_minute": {"day": "0.06", "night": "0.03"}}
W = WORKDAY | {"per_minute": {"day": "0.06", "night": "0.03"}}
E = EARLY | {"per_minute": {"early": "0.01", "night": "0.03"}}
FINE = {"precision": "0.0001"}
VAT = {"vat_included": True}
PREMIUM = VAT | {"cap": "30.00", "cut_after_s": 3600}


def at(price: str, **more: Any) -> dict[str, Any]:
    return {"per_minute": price, **more}


# fmt: off
ROWS: list[tuple[str, str, int, dict[str, Any], str, str, str, str]] = [
    # started units
    (LAND, WED, 0, at("0.06"), "0.00", "0.00", "0.00", "0 ms began no unit"),
    (LAND, WED, 1, at("0.06"), "0.06", "0.01", "0.07", "1 x 0.06; VAT 0.0114"),
    (LAND, WED, 60_000, at("0.06"), "0.06", "0.01", "0.07", "1 x 0.06"),
    (LAND, WED, 60_001, at("0.06"), "0.12", "0.02", "0.14", "2 x 0.06; VAT 0.0228"),
    (LAND, WED, 1 * H, at("0.06"), "3.60", "0.68", "4.28", "60 x 0.06; VAT 0.684"),
    (LAND, WED, 61_000, at("0.06", increment="30/6"), "0.07", "0.01", "0.08", "30 s 0.03 + 6 x 6 s 0.006 = 0.066; VAT 0.0133"),
    (LAND, WED, 30_001, at("0.06", increment="30/6"), "0.04", "0.01", "0.05", "0.03 + 0.006 = 0.036; VAT 0.0076"),
    (LAND, WED, 61_000, at("0.019", increment="1/1"), "0.02", "0.00", "0.02", "61 x 0.019/60 = 0.01932; VAT 0.0038"),
    (LAND, WED, 61_000, at("0.10", increment="60/1"), "0.10", "0.02", "0.12", "0.10 + 0.00167 = 0.10167; VAT 0.019"),
    (LAND, WED, 91_000, at("0.10", increment="60/30"), "0.20", "0.04", "0.24", "0.10 + 2 x 0.05; VAT 0.038"),
    (LAND, WED, 25_000, at("0.07", increment="10/10"), "0.04", "0.01", "0.05", "3 x 10 s of 0.07/6 = 0.035; VAT 0.0076"),
    (LAND, WED, 120_500, at("0.06", increment="1/1"), "0.12", "0.02", "0.14", "121 x 0.001 = 0.121; VAT 0.0228"),
    (MOBILE, WED, 61_000, at("0.099", increment="30/6"), "0.11", "0.02", "0.13", "0.0495 + 6 x 0.0099 = 0.1089; VAT 0.0209"),
    (SATELLITE, WED, 24 * H, at("9.90"), "14256.00", "2708.64", "16964.64", "1440 x 9.90; VAT 2708.64"),
    # roundings, to the cent
    (LAND, WED, M, at("0.015"), "0.02", "0.00", "0.02", "half a cent goes up; VAT 0.0038"),
    (LAND, WED, M, at("0.0149"), "0.01", "0.00", "0.01", "below half; VAT 0.0019"),
    (LAND, WED, M, at("0.025", rounding="half_up"), "0.03", "0.01", "0.04", "0.025 up; VAT 0.0057"),
    (LAND, WED, M, at("0.025", rounding="half_even"), "0.02", "0.00", "0.02", "0.025 to the even 0.02; VAT 0.0038"),
    (LAND, WED, M, at("0.035", rounding="half_even"), "0.04", "0.01", "0.05", "0.035 to the even 0.04; VAT 0.0076"),
    (LAND, WED, M, at("0.0251", rounding="half_even"), "0.03", "0.01", "0.04", "above half"),
    (LAND, WED, M, at("0.0201", rounding="up"), "0.03", "0.01", "0.04", "the rest counts whole"),
    (LAND, WED, M, at("0.02", rounding="up"), "0.02", "0.00", "0.02", "there is no rest"),
    (LAND, WED, M, at("0.0299", rounding="down"), "0.02", "0.00", "0.02", "the rest is given away"),
    (LAND, WED, M, at("0.0099", rounding="down"), "0.00", "0.00", "0.00", "less than a cent is none"),
    (LAND, WED, M, at("0.1449", rounding="down", **VAT), "0.12", "0.02", "0.14", "0.14; 0.14/1.19 = 0.1176"),
    # precision of a hundredth of a cent
    (LAND, WED, M, at("0.015", **FINE), "0.0150", "0.0029", "0.0179", "0.015; VAT 0.00285"),
    (LAND, WED, M, at("0.01234", **FINE), "0.0123", "0.0023", "0.0146", "0.01234; VAT 0.002337"),
    (LAND, WED, M, at("0.01235", **FINE), "0.0124", "0.0024", "0.0148", "half of the last place goes up; VAT 0.002356"),
    (LAND, WED, M, at("0.01245", rounding="half_even", **FINE), "0.0124", "0.0024", "0.0148", "to the even 0.0124"),
    (LAND, WED, M, at("0.01241", rounding="up", **FINE), "0.0125", "0.0024", "0.0149", "0.0125; VAT 0.002375"),
    (LAND, WED, M, at("0.01249", rounding="down", **FINE), "0.0124", "0.0024", "0.0148", "0.0124; VAT 0.002356"),
    (LAND, WED, 1, at("0.019", increment="1/1", **FINE), "0.0003", "0.0001", "0.0004", "0.019/60 = 0.000317; VAT 0.000057"),
    (LAND, WED, 61_000, at("0.019", increment="1/1", **FINE), "0.0193", "0.0037", "0.0230", "0.019317; VAT 0.003667"),
    (LAND, WED, M, at("0.14", **VAT, **FINE), "0.1176", "0.0224", "0.1400", "0.14/1.19 = 0.117647"),
    (LAND, WED, 61_000, at("0.0001", setup="0.05", **FINE), "0.0502", "0.0095", "0.0597", "0.05 + 2 x 0.0001; VAT 0.009538"),
    (MOBILE, WED, 61_000, at("0.099", increment="30/6", **FINE), "0.1089", "0.0207", "0.1296", "0.1089; VAT 0.020691"),
    # set-up fee, minimum, cap
    (LAND, WED, 0, at("0.10", setup="0.05"), "0.05", "0.01", "0.06", "answered and gone: the fee; VAT 0.0095"),
    (LAND, WED, 1, at("0.10", setup="0.05"), "0.15", "0.03", "0.18", "0.05 + 0.10; VAT 0.0285"),
    (LAND, WED, 0, at("0.05", minimum="0.12"), "0.12", "0.02", "0.14", "at least 0.12; VAT 0.0228"),
    (LAND, WED, M, at("0.05", minimum="0.12"), "0.12", "0.02", "0.14", "0.05 is less than 0.12"),
    (LAND, WED, 120_001, at("0.05", minimum="0.12"), "0.15", "0.03", "0.18", "3 x 0.05; VAT 0.0285"),
    (LAND, WED, M, at("0.0001", minimum="0.005"), "0.01", "0.00", "0.01", "at least 0.005, rounded like any amount"),
    (LAND, WED, 5 * M, at("0.10", cap="0.50"), "0.50", "0.10", "0.60", "5 x 0.10; VAT 0.095"),
    (LAND, WED, 5 * M + 1, at("0.10", cap="0.50"), "0.50", "0.10", "0.60", "0.60, at most 0.50"),
    (LAND, WED, 4 * M, at("0.10", cap="0.333"), "0.33", "0.06", "0.39", "0.40, at most 0.333; VAT 0.0627"),
    (LAND, WED, 4 * M, at("0.10", cap="0.333", rounding="up"), "0.34", "0.06", "0.40", "0.333 up; VAT 0.0646"),
    # free seconds
    (LAND, WED, 5_000, at("0.06", setup="0.05", free_s=10), "0.05", "0.01", "0.06", "the fee alone"),
    ("0180 7 123456", WED, 29_000, at("0.14", free_s=30, **VAT), "0.00", "0.00", "0.00", "30 s are free"),
    ("0180 7 123456", WED, 30_000, at("0.14", free_s=30, **VAT), "0.00", "0.00", "0.00", "30 s are free"),
    ("0180 7 123456", WED, 30_001, at("0.14", free_s=30, **VAT), "0.12", "0.02", "0.14", "1 x 0.14; 0.14/1.19 = 0.1176"),
    ("0180 7 123456", WED, 90_000, at("0.14", free_s=30, **VAT), "0.12", "0.02", "0.14", "1 x 0.14"),
    ("0180 7 123456", WED, 90_001, at("0.14", free_s=30, **VAT), "0.24", "0.04", "0.28", "2 x 0.14; 0.28/1.19 = 0.2353"),
    # 0180 and 0137 (FACTS: BNetzA), VAT included
    ("0180 1 123456", WED, 61_000, at("0.039", **VAT), "0.07", "0.01", "0.08", "2 x 0.039 = 0.078; 0.08/1.19 = 0.0672"),
    ("0180 2 123456", WED, 10 * M, {"setup": "0.06", **VAT}, "0.05", "0.01", "0.06", "a call; 0.06/1.19 = 0.0504"),
    ("0180 3 123456", WED, 60_000, at("0.09", **VAT), "0.08", "0.01", "0.09", "0.09/1.19 = 0.0756"),
    ("0180 4 123456", WED, 1, {"setup": "0.20", **VAT}, "0.17", "0.03", "0.20", "a call; 0.20/1.19 = 0.1681"),
    ("0180 5 123456", WED, 61_000, at("0.14", **VAT), "0.24", "0.04", "0.28", "2 x 0.14; 0.2353"),
    ("0180 6 123456", WED, 3 * H, {"setup": "0.20", **VAT}, "0.17", "0.03", "0.20", "a call, of three hours too"),
    ("0137 1 123456", WED, 0, {"setup": "0.14", **VAT}, "0.12", "0.02", "0.14", "answered is a call"),
    ("0137 2 123456", WED, 61_000, at("0.14", **VAT), "0.24", "0.04", "0.28", "2 x 0.14"),
    ("0137 3 123456", WED, 60_001, at("0.14", **VAT), "0.24", "0.04", "0.28", "2 x 0.14"),
    ("0137 4 123456", WED, 60_000, at("0.14", **VAT), "0.12", "0.02", "0.14", "1 x 0.14"),
    ("0137 5 123456", WED, 1, {"setup": "0.14", **VAT}, "0.12", "0.02", "0.14", "a call"),
    ("0137 6 123456", WED, 20_000, {"setup": "0.25", **VAT}, "0.21", "0.04", "0.25", "0.25/1.19 = 0.2101"),
    ("0137 7 123456", WED, 5 * M, {"setup": "1.00", **VAT}, "0.84", "0.16", "1.00", "1/1.19 = 0.8403"),
    ("0137 8 123456", WED, 1, {"setup": "0.50", **VAT}, "0.42", "0.08", "0.50", "0.5/1.19 = 0.4202"),
    ("0137 9 123456", WED, 2 * H, {"setup": "0.50", **VAT}, "0.42", "0.08", "0.50", "a call, of two hours too"),
    # 0900: at most 30 EUR, ended after an hour
    ("0900 0 123456", WED, 60_000, at("0.49", **PREMIUM), "0.41", "0.08", "0.49", "0.49/1.19 = 0.4118"),
    ("0900 0 123456", WED, 1 * H, at("0.49", **PREMIUM), "24.71", "4.69", "29.40", "60 x 0.49; 29.40/1.19 = 24.7059"),
    ("0900 0 123456", WED, 1 * H + 5, at("0.49", **PREMIUM), "24.71", "4.69", "29.40", "the 61st minute is not charged: it is ended there"),
    ("0900 0 123456", WED, 90 * M, at("0.49", **PREMIUM), "24.71", "4.69", "29.40", "nor are the next thirty"),
    ("0900 0 123456", WED, 1 * H + 5, at("0.49", cap="30.00", **VAT), "25.12", "4.77", "29.89", "without an end: 61 x 0.49; 25.1176"),
    ("0900 1 123456", WED, 1 * H, at("0.69", **PREMIUM), "25.21", "4.79", "30.00", "41.40, at most 30; 30/1.19 = 25.2101"),
    ("0900 2 123456", WED, 61_000, at("0.99", **PREMIUM), "1.66", "0.32", "1.98", "2 x 0.99; 1.98/1.19 = 1.6639"),
    ("0900 3 123456", WED, 1, at("1.49", **PREMIUM), "1.25", "0.24", "1.49", "1.49/1.19 = 1.2521"),
    ("0900 4 123456", WED, 3 * M, at("1.69", **PREMIUM), "4.26", "0.81", "5.07", "3 x 1.69; 5.07/1.19 = 4.2605"),
    ("0900 6 123456", WED, 61_000, at("2.29", **PREMIUM), "3.85", "0.73", "4.58", "2 x 2.29; 4.58/1.19 = 3.8487"),
    ("0900 7 123456", WED, 12 * M, at("2.49", **PREMIUM), "25.11", "4.77", "29.88", "12 x 2.49; 29.88/1.19 = 25.1092"),
    ("0900 7 123456", WED, 12 * M + 1, at("2.49", **PREMIUM), "25.21", "4.79", "30.00", "32.37, at most 30"),
    ("0900 5 123456", WED, 121_000, at("1.99", **PREMIUM), "5.02", "0.95", "5.97", "3 x 1.99; 5.97/1.19 = 5.0168"),
    ("0900 8 123456", WED, 600_000, at("2.99", **PREMIUM), "25.13", "4.77", "29.90", "10 x 2.99; 25.1261"),
    ("0900 8 123456", WED, 600_001, at("2.99", **PREMIUM), "25.21", "4.79", "30.00", "32.89, at most 30"),
    (LAND, WED, 90_000, at("0.06", increment="1/1", cut_after_s=60), "0.06", "0.01", "0.07", "60 x 0.001, ended after a minute"),
    # 118xx, 032, 0700 and what is free
    ("11833", WED, 1, at("2.99", setup="1.99", cap="12.34", **VAT), "4.18", "0.80", "4.98", "1.99 + 2.99; 4.98/1.19 = 4.1849"),
    ("11833", WED, 180_001, at("2.99", setup="1.99", cap="12.34", **VAT), "10.37", "1.97", "12.34", "13.95, at most 12.34; 10.3697"),
    ("032 221123456", WED, 60_000, at("0.029"), "0.03", "0.01", "0.04", "0.029; VAT 0.0057"),
    ("032 221123456", WED, 120_001, at("0.029"), "0.09", "0.02", "0.11", "3 x 0.029 = 0.087; VAT 0.0171"),
    ("0700 12345678", WED, 61_000, at("0.09", **VAT), "0.15", "0.03", "0.18", "2 x 0.09; 0.18/1.19 = 0.1513"),
    ("0800 1234567", WED, 1 * H, {"free": True}, "0.00", "0.00", "0.00", "the called party pays"),
    ("116111", WED, 1 * H, {"free": True}, "0.00", "0.00", "0.00", "free by law"),
    ("112", WED, 1 * H, at("0.06"), "0.00", "0.00", "0.00", "free by law, whatever the plan says"),
    # a unit costs what the band costs in which it begins
    (LAND, "2026-06-10 17:59:30", 61_000, D, "0.09", "0.02", "0.11", "17:59:30 day 0.06 + 18:00:30 night 0.03; VAT 0.0171"),
    (LAND, "2026-06-10 17:59:00", 60_001, D, "0.09", "0.02", "0.11", "18:00:00 sharp is night"),
    (LAND, "2026-06-10 17:58:59.999", 60_001, D, "0.12", "0.02", "0.14", "17:59:59.999 is day: 2 x 0.06"),
    (LAND, "2026-06-10 07:59:00", 60_001, D, "0.09", "0.02", "0.11", "night 0.03 + 08:00:00 day 0.06"),
    (LAND, "2026-06-14 23:59:00", 482 * M, D, "14.49", "2.75", "17.24", "23:59 to 07:59: 481 x 0.03 + 08:00 0.06; VAT 2.7531"),
    (LAND, "2026-05-01 10:00:00", M, D, "0.03", "0.01", "0.04", "a holiday is night; VAT 0.0057"),
    # midnight, the ends of months and years
    (LAND, "2026-06-12 23:59:00", 120_000, D, "0.06", "0.01", "0.07", "Friday, Saturday: 2 x 0.03"),
    (LAND, "2026-06-14 23:59:00", 120_000, W, "0.09", "0.02", "0.11", "Sunday 0.03 + Monday 0.06"),
    (LAND, "2026-04-30 23:59:00", 120_000, W, "0.09", "0.02", "0.11", "Thursday 0.06 + 1 May 0.03"),
    (LAND, "2026-06-30 23:59:30", 61_000, W, "0.12", "0.02", "0.14", "Tuesday, Wednesday: a month's end changes nothing, 2 x 0.06"),
    (LAND, "2026-12-31 23:59:00", 120_000, W, "0.09", "0.02", "0.11", "Thursday 0.06 + New Year 0.03"),
    (LAND, "2028-02-29 23:59:59", 60_001, W, "0.12", "0.02", "0.14", "Tuesday, Wednesday of a leap year: 2 x 0.06"),
    # the nights on which the clocks change
    (LAND, "2026-03-29 01:59:00", 120_000, E, "0.04", "0.01", "0.05", "01:59 night 0.03, then it is 03:00: early 0.01; VAT 0.0076"),
    (LAND, "2026-03-29 01:00:00", 2 * H, E, "3.00", "0.57", "3.57", "60 x 0.03, 03:00-03:30 30 x 0.01, 30 x 0.03"),
    (LAND, "2026-03-29 00:00:00", 23 * H, at("0.03"), "41.40", "7.87", "49.27", "the day has 23 hours: 1380 x 0.03; VAT 7.866"),
    (LAND, "2026-10-25 01:30:00", 4 * H, E, "4.20", "0.80", "5.00", "30 x 0.03, 02 A and B 120 x 0.01, 30 x 0.01, 60 x 0.03"),
    (LAND, "2026-10-25 02:59:00 A", 60_001, E, "0.02", "0.00", "0.02", "02:59 and 02:00 again: 2 x 0.01"),
    (LAND, "2026-10-25 02:59:00 B", 60_001, E, "0.02", "0.00", "0.02", "02:59 and 03:00: 2 x 0.01"),
    (LAND, "2026-10-25 00:00:00", 25 * H, at("0.03"), "45.00", "8.55", "53.55", "the day has 25 hours: 1500 x 0.03"),
    # VAT rates
    (LAND, WED, M, at("0.10", vat_rate="0.07"), "0.10", "0.01", "0.11", "VAT 0.007"),
    (LAND, WED, M, at("0.10", vat_rate="0"), "0.10", "0.00", "0.10", "none"),
    (LAND, WED, M, at("1.00", vat_rate="0.081", currency="CHF", **VAT), "0.93", "0.07", "1.00", "1/1.081 = 0.9251"),
]
# fmt: on

TOP = frozenset({"currency", "vat_rate", "precision", "rounding", "rest_band", "band", "holidays"})
"""What a plan says once, and not in its rows."""


def plan_of(number: str, says: dict[str, Any]) -> Plan:
    """A plan with one row."""
    prefix, number_class = PREFIXES[number]
    head = {
        "id": "hand",
        "version": "1",
        "currency": "EUR",
        "valid_from": "2026-01-01T00:00:00+01:00",
        "vat_rate": "0.19",
        "vat_included": False,
        **{name: value for name, value in says.items() if name in TOP},
    }
    row = {"prefix": prefix, "class": number_class, "name": "x", **{name: value for name, value in says.items() if name not in TOP}}
    return parse_json(msgspec.json.encode(head | {"rate": [row]}))


def local(text: str) -> datetime:
    """`A` or nothing: the first time the clock says so; `B`: the second."""
    said = datetime.fromisoformat(text.removesuffix(" A").removesuffix(" B"))
    return said.replace(tzinfo=BERLIN, fold=int(text.endswith(" B")))


@pytest.mark.parametrize(("number", "answered", "duration_ms", "says", "net", "vat", "gross", "how"), ROWS)
def test_a_call_costs_what_the_pencil_says(number, answered, duration_ms, says, net, vat, gross, how):
    line = rate_leg(dialled_leg(number, duration_ms, answered_at=local(answered)), PlanBook(house=(plan_of(number, says),)))
    assert (str(line.net), str(line.vat), str(line.gross)) == (net, vat, gross), how
    assert line.kind in {"call", "free_number"}
    assert recompute_line(line).amount == Decimal(gross)


REGULATED = [row for row in ROWS if row[0].startswith(("0180", "0137")) or (row[0].startswith("0900") and "cut_after_s" in row[3])]


@pytest.mark.parametrize(("number", "answered", "duration_ms", "_says", "net", "vat", "gross", "how"), REGULATED)
def test_the_house_tariff_has_the_regulated_prices(number, answered, duration_ms, _says, net, vat, gross, how):
    """0180 since December 2021, 0137 since April 2022, 0900 since December 2024 (Vfg 72/2023): the same in all networks."""
    line = rate_leg(dialled_leg(number, duration_ms, answered_at=local(answered)), PlanBook(house=(house_plan(),)))
    assert (str(line.net), str(line.vat), str(line.gross)) == (net, vat, gross), how


def test_every_regulated_kind_of_number_is_among_them():
    assert {row[0][:6] for row in REGULATED} == {
        *(f"0180 {n}" for n in range(1, 8)), *(f"0137 {n}" for n in range(1, 10)), *(f"0900 {n}" for n in range(9)),
    }  # fmt: skip


def test_there_are_a_hundred_of_them_and_none_twice():
    told = [(number, answered, duration_ms, str(says)) for number, answered, duration_ms, says, *_ in ROWS]
    assert len(told) == len(set(told)) >= 100
