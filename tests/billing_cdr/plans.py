"""Plans to test with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from billing_cdr.budget import TENANT, Purse, Tariffed, amount
from billing_cdr.instant import epoch_ms
from billing_cdr.tariff import Plan, Rate, parse_toml

HAND_PLAN = """
id = "hand"
version = "1"
currency = "EUR"
valid_from = 2026-01-01T00:00:00+01:00
vat_rate = "0.19"
vat_included = false
rest_band = "night"
holidays = [2026-05-01, 2026-12-25]

[[band]]
name = "day"
days = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
to = "18:00"

[[band]]                       # touches both nights on which the clocks change
name = "early"
days = ["sun"]
from = "02:00"
to = "03:30"

[[rate]]
prefix = "49"
name = "Landline"
class = "geographic"
per_minute = { day = "0.06", night = "0.03", early = "0.01" }

[[rate]]
prefix = "4930"
name = "Berlin"
class = "geographic"
per_minute = { day = "0.06", night = "0.03", early = "0.01" }
increment = "30/6"

[[rate]]
prefix = "4989"
name = { de = "München", en = "Munich" }
class = "geographic"
per_minute = "0.019"
increment = "1/1"

[[rate]]
prefix = "4940"
name = "Hamburg"
class = "geographic"
per_minute = "0.01"
increment = "1/1"

[[rate]]
prefix = "4915"
name = "Mobile 015"
class = "mobile"
per_minute = "0.10"
increment = "60/1"
setup = "0.05"
minimum = "0.12"

[[rate]]
prefix = "4916"
name = "Mobile 016"
class = "mobile"
per_minute = "0.05"
minimum = "0.12"

[[rate]]
prefix = "4917"
name = "Mobile 017"
class = "mobile"
per_minute = "0.099"
increment = "30/6"

[[rate]]
prefix = "49118"
name = "Directory"
class = "directory"
per_minute = "2.99"
vat_included = true
cap = "12.34"
setup = "1.99"
"""


def hand_plan() -> Plan:
    """A small plan in which every sum can be done by hand."""
    return parse_toml(HAND_PLAN)


def reserved_in_the_end(plan: Plan, rate: Rate, answered_at: datetime, moments: Iterable[int]) -> Decimal:
    """What a purse has reserved for a call that was looked at in these moments (ms after the answer) and ended in the last of them."""
    purse, answered_ms = Purse(plan.currency), epoch_ms(answered_at)
    assert purse.reserve("leg", None, Tariffed(plan, rate), answered_ms) is None
    purse.answered("leg", answered_ms)
    last_ms = answered_ms
    for moment in sorted(moments):
        last_ms = answered_ms + moment
        before = purse.running_cost(TENANT)
        purse.look("leg", last_ms)
        assert purse.running_cost(TENANT) >= before
    purse.gone("leg", last_ms)
    return amount(purse.reserved(TENANT, answered_ms))
