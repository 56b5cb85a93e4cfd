"""Budgets and prepaid balances: what is owed never passes the limit, and what was reserved is in the end the price (U16)."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from billing_cdr.budget import BALANCE, MARGIN_MS, TENANT, Purse, Tariffed, agent_account, amount, units
from billing_cdr.instant import epoch_ms
from billing_cdr.money import Precision
from billing_cdr.rating import Offer, offer, price
from billing_cdr.tariff import Plan, parse_toml

NOON = epoch_ms(datetime(2026, 6, 10, 12, tzinfo=UTC))
MINUTE = 60_000
PLAN = """
id = "p"
version = "1"
currency = "EUR"
valid_from = 2026-01-01T00:00:00+01:00
vat_rate = "0.19"
vat_included = true
rest_band = "night"

[[band]]
name = "day"
days = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
to = "18:00"

[[rate]]
prefix = "881"
name = "Satellite"
class = "satellite"
per_minute = "9.90"

[[rate]]
prefix = "49900"
name = "Premium"
class = "premium"
per_minute = "3.00"
cap = "30.00"
cut_after_s = 3600

[[rate]]
prefix = "4930"
name = "Berlin"
class = "geographic"
per_minute = { day = "0.60", night = "0.06" }

[[rate]]
prefix = "4989"
name = "Munich"
class = "geographic"
per_minute = "0.60"
increment = "1/1"

[[rate]]
prefix = "49180"
name = "Service"
class = "shared_cost"
per_minute = "0.14"
setup = "0.20"
free_s = 30

[[rate]]
prefix = "49800"
name = "Free"
class = "freephone"
free = true
"""


def plan(**others: object) -> Plan:
    return msgspec.structs.replace(parse_toml(PLAN), **others)


def tariffed(number: str, of: Plan | None = None, at_ms: int = NOON) -> Tariffed:
    found = offer(number, of or plan(), datetime.fromtimestamp(at_ms / 1000, UTC))
    assert isinstance(found, Offer)
    assert found.plan is not None
    assert found.rate is not None
    return Tariffed(found.plan, found.rate)


NUMBERS = ("+88161234567", "+493012345", "+498912345", "+4918012345", "+498001234567", "+499001234567")
SATELLITE, BERLIN, MUNICH, SERVICE, FREE, PREMIUM = map(tariffed, NUMBERS)


def purse(**limits: str) -> Purse:
    made = Purse()
    made.limits = {
        (agent_account(name[6:]) if name.startswith("agent_") else name): units(Decimal(value)) for name, value in limits.items()
    }
    return made


def test_two_hundred_attempts_at_once_reserve_no_more_than_the_budget():
    one = purse(tenant="50")
    let = [leg for leg in range(200) if one.reserve(str(leg), "zoe", SATELLITE, NOON) is None]
    assert len(let) == 5  # 5 x 9.90 = 49.50, the sixth would make 59.40
    assert amount(one.reserved(TENANT, NOON)) == Decimal("49.50")


def test_an_endless_call_ends_before_the_unit_that_would_pass_the_budget():
    one = purse(tenant="50")
    assert one.reserve("a", None, SATELLITE, NOON) is None
    outlook = one.answered("a", NOON)
    while outlook.ends_ms is None:
        outlook = one.look("a", outlook.look_again_ms)
    # 5 units of a minute are 49.50; it is told in the fifth, twelve seconds before its end
    assert outlook.ends_ms == NOON + 5 * MINUTE - MARGIN_MS
    assert outlook.short_of.account == TENANT
    one.gone("a", outlook.ends_ms)
    assert amount(one.reserved(TENANT, outlook.ends_ms)) == Decimal("49.50")


def test_the_first_look_says_the_end_of_a_call_that_has_money_for_one_unit():
    one = purse(tenant="10")
    one.reserve("a", None, SATELLITE, NOON)
    outlook = one.answered("a", NOON)
    assert (outlook.ends_ms, outlook.look_again_ms) == (None, NOON + 48_000)  # for 24 seconds it has enough
    assert one.look("a", NOON + 48_000).ends_ms == NOON + MINUTE - MARGIN_MS


def test_what_is_given_back_lets_a_running_call_go_on():
    one = purse(tenant="15")
    one.reserve("a", None, SATELLITE, NOON)
    one.answered("a", NOON)
    assert one.reserve("b", None, SATELLITE, NOON) is not None
    one.limits = {TENANT: units(Decimal(20))}
    assert one.reserve("b", None, SATELLITE, NOON) is None
    assert one.look("a", NOON + 48_000).ends_ms is not None
    one.gone("b", NOON + 49_000)  # nobody answered there
    assert one.look("a", NOON + 49_000).ends_ms is None


def test_the_budget_of_one_agent_leaves_the_others_alone():
    one = purse(agent_zoe="10", tenant="100")
    assert one.reserve("a", "zoe", SATELLITE, NOON) is None
    short = one.reserve("b", "zoe", SATELLITE, NOON)
    assert short.account == "agent:zoe"
    assert str(short) == "The budget of agent zoe is used up: 9.90 of 10.00 EUR in the last hour, and this call needs 9.90."
    assert one.reserve("c", "ben", SATELLITE, NOON) is None
    assert one.reserve("d", None, SATELLITE, NOON) is None


def test_the_hour_slides_so_that_a_full_hour_does_not_let_the_double_through():
    one = purse(tenant="50")
    at = NOON - 30_000
    for leg in range(5):
        one.reserve(str(leg), None, SATELLITE, at)
        one.answered(str(leg), at)
        one.gone(str(leg), at + 1000)
    assert one.reserve("x", None, SATELLITE, NOON + 1000) is not None  # half a minute into the next full hour
    assert one.reserve("x", None, SATELLITE, at + 59 * MINUTE) is not None
    assert one.reserve("x", None, SATELLITE, at + 61 * MINUTE) is None


def test_a_balance_does_not_come_back_with_the_hour():
    one = purse(balance="10")
    one.reserve("a", None, SATELLITE, NOON)
    one.answered("a", NOON)
    one.gone("a", NOON + 1000)
    short = one.reserve("b", None, SATELLITE, NOON + 600 * MINUTE)
    assert short.account == BALANCE
    assert str(short) == "The prepaid balance has 0.10 EUR left; this call needs 9.90."
    one.limits = {BALANCE: units(Decimal(20))}  # paid in
    assert one.reserve("b", None, SATELLITE, NOON + 600 * MINUTE) is None


def test_an_attempt_that_nobody_answers_costs_nothing():
    one = purse(tenant="10")
    one.reserve("a", None, SATELLITE, NOON)
    one.gone("a", NOON + 30_000)
    assert one.reserved(TENANT, NOON + 30_000) == 0
    assert one.running == 0


def test_an_attempt_reserves_the_dearer_band_that_may_begin_while_it_rings():
    before_eight = epoch_ms(datetime(2026, 6, 10, 5, 59, tzinfo=UTC))  # 07:59 in Berlin, 0.06 a minute; 0.60 from 08:00
    one = purse(tenant="0.50")
    assert one.reserve("a", None, BERLIN, before_eight).needed == units(Decimal("0.60"))


def test_a_first_unit_in_free_seconds_reserves_what_follows_them():
    one = purse(tenant="0.33")
    assert one.reserve("a", None, SERVICE, NOON).needed == units(Decimal("0.34"))  # 0.20 a call and the first minute after 30 s
    one.limits = {TENANT: units(Decimal("0.34"))}
    assert one.reserve("a", None, SERVICE, NOON) is None
    assert one.answered("a", NOON).ends_ms is None
    assert one.look("a", NOON + 78_000).ends_ms == NOON + 90_000 - MARGIN_MS


def test_seconds_are_reserved_as_far_as_the_money_goes():
    one = purse(tenant="0.05")
    one.reserve("a", None, MUNICH, NOON)
    assert one.answered("a", NOON).ends_ms == NOON + 5_000 - MARGIN_MS  # 0.01 a second
    one.limits = {}
    assert one.look("a", NOON + 1_000).ends_ms is None


def test_a_call_that_would_have_to_end_with_its_answer_is_not_begun():
    one = purse(tenant="0.01")  # one second, and a call ends one second before its money does
    assert one.reserve("a", None, MUNICH, NOON).needed == units(Decimal("0.02"))
    one.limits = {TENANT: units(Decimal("0.02"))}
    assert one.reserve("a", None, MUNICH, NOON) is None
    assert one.answered("a", NOON).ends_ms == NOON + 1_000


def test_an_answer_that_crosses_the_end_of_an_attempt_is_owed_whenever_it_comes():
    one = purse(tenant="50")
    for leg in range(5):
        one.reserve(str(leg), None, SATELLITE, NOON)
        one.gone(str(leg), NOON, taken_back=True)
    assert one.reserve("x", None, SATELLITE, NOON) is not None  # nobody knows yet
    one.answered_late("0", NOON + 100)
    one.let_go(NOON + 5_000)
    assert amount(one.reserved(TENANT, NOON)) == Decimal("9.90")
    one.answered_late("1", NOON + 30_000)
    assert amount(one.reserved(TENANT, NOON)) == Decimal("19.80")
    one.let_go(NOON + 60_000)
    one.reserve("y", None, SATELLITE, NOON + 60_000)
    one.gone("y", NOON + 60_000, taken_back=True)
    one.move(-3_600_000)  # a clock that is set back must not keep it reserved for an hour
    one.let_go(NOON + 65_000 - 3_600_000)
    assert one.running == 0
    one.move(3_600_000)
    one.answered_late("2", NOON + 60_001)  # RFC 3261 §9.1: nobody waits any more
    assert amount(one.reserved(TENANT, NOON)) == Decimal("19.80")


def test_what_has_ended_is_told_by_the_records_and_what_runs_keeps_its_own():
    one = purse(tenant="50")
    for leg in ("a", "b"):
        one.reserve(leg, "zoe", SATELLITE, NOON)
        one.answered(leg, NOON)
    one.gone("a", NOON + 1_000)
    one.forget_ended()
    one.take_over([])  # its record is not written yet
    assert amount(one.reserved(TENANT, NOON)) == Decimal("19.80")
    one.settled(["a", "unknown"])
    one.forget_ended()
    one.take_over([(TENANT, NOON, units(Decimal("1.00")))])  # it was rated again
    assert amount(one.reserved(TENANT, NOON)) == Decimal("10.90")
    assert amount(one.reserved("agent:zoe", NOON)) == Decimal("9.90")


def test_what_is_free_is_never_refused():
    one = purse(tenant="0")
    assert one.reserve("a", None, FREE, NOON) is None
    assert one.answered("a", NOON).ends_ms is None
    assert one.reserve("b", None, BERLIN, NOON) is not None


def test_a_call_in_another_currency_is_refused_where_there_is_a_limit_and_counts_nowhere_else():
    francs = tariffed("+493012345", plan(currency="CHF"))
    assert str(purse(tenant="50").reserve("a", None, francs, NOON)) == "The budget is in EUR, and this call costs CHF."
    one = purse()
    assert one.reserve("a", None, francs, NOON) is None
    assert one.answered("a", NOON) is None
    assert list(one.accounts()) == [TENANT]


def test_what_was_spent_before_a_restart_counts():
    one = purse(tenant="50")
    one.take_over([(TENANT, NOON - 10 * MINUTE, units(Decimal(20))), (TENANT, NOON - 10 * MINUTE, units(Decimal(25)))])
    assert one.reserve("a", None, SATELLITE, NOON) is not None
    assert one.reserve("a", None, SATELLITE, NOON + 51 * MINUTE) is None
    one.take_over([])
    assert one.reserved(TENANT, NOON + 51 * MINUTE) == units(Decimal("9.90"))  # the attempt that runs


def test_beyond_the_forced_end_nothing_more_is_reserved():
    one = purse()
    one.reserve("a", None, PREMIUM, NOON)
    outlook = one.answered("a", NOON)
    looked = 0
    while outlook.look_again_ms is not None:
        outlook = one.look("a", outlook.look_again_ms)
        looked += 1
    assert looked == 59
    assert amount(one.reserved(TENANT, NOON)) == Decimal("30.00")  # the cap


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("seed", range(4))
def test_random_calls_never_owe_more_than_a_limit_and_cost_in_the_end_what_the_rating_says(seed: int, precision: Precision):
    """Dialling, ringing, talking and looking in any order; two agents and a rule on one budget, a balance, and a budget of an agent."""
    rng = random.Random(seed)
    of = plan(precision=precision)
    numbers = [tariffed(number, of) for number in NUMBERS]
    one = purse(tenant="30", agent_zoe="12", balance="120")
    now = NOON
    began: dict[str, tuple[Tariffed, str | None, int | None]] = {}
    owed: list[tuple[int, str | None, int]] = []
    refused = cut = 0
    for step in range(3_000):
        now += rng.randrange(0, 4_000)
        for leg, due in list(one.due_ms.items()):
            if due <= now:
                one.look(leg, due)
        ended = [leg for leg in began if (ends := one._legs[leg].ends_ms) is not None and ends <= now]
        cut += len(ended)
        act = rng.random()
        if act < 0.3:
            agent, chosen = rng.choice(["zoe", "ben", None]), rng.choice(numbers)
            if one.reserve(str(step), agent, chosen, now) is None:
                began[str(step)] = chosen, agent, None
            else:
                refused += 1
        elif act < 0.6 and began:
            leg = rng.choice(list(began))
            if began[leg][2] is None:
                one.answered(leg, now)
                began[leg] = (*began[leg][:2], now)
        elif act < 0.8 and began:
            ended.append(rng.choice(list(began)))
        for leg in dict.fromkeys(ended):
            chosen, agent, answered = began.pop(leg)
            ends = one._legs[leg].ends_ms
            at = now if ends is None else min(now, ends + MARGIN_MS)  # as late as it may be told
            if answered is not None:
                gross = price(chosen.rate, of.schedule, max(at - answered, 0), answered, of.finish).gross
                owed.append((at, agent, gross * 10 ** (4 - of.finish.decimals)))
            one.gone(leg, at)
        assert one.reserved(TENANT, now) <= one.limits[TENANT]
        assert one.reserved("agent:zoe", now) <= one.limits["agent:zoe"]
        assert one.reserved(BALANCE, now) <= one.limits[BALANCE]
    for leg in list(began):
        one.gone(leg, now)
        chosen, agent, answered = began.pop(leg)
        if answered is not None:
            gross = price(chosen.rate, of.schedule, now - answered, answered, of.finish).gross
            owed.append((now, agent, gross * 10 ** (4 - of.finish.decimals)))
    assert one.reserved(BALANCE, now) == sum(cost for _, _, cost in owed)
    assert refused > 100
    assert cut > 2


@pytest.mark.parametrize("lasted_ms", [1, 47_000, 48_000, 60_001, 125_000, 3_599_000])
def test_a_leg_that_goes_on_over_a_restart_has_reserved_what_it_would_have_without(lasted_ms: int):
    price_of = SATELLITE
    before, after = purse(), purse()
    assert before.reserve("a", "anna", price_of, NOON) is None
    before.answered("a", NOON)
    for at_ms in range(0, lasted_ms, 1_000):
        before.look("a", NOON + at_ms)
    before.look("a", NOON + lasted_ms)
    after.take_up("a", "anna", price_of, NOON, NOON + lasted_ms)
    for account in (TENANT, agent_account("anna")):
        assert after.reserved(account, NOON + lasted_ms) == before.reserved(account, NOON + lasted_ms)
    for one in (before, after):
        one.gone("a", NOON + lasted_ms)
    assert after.reserved(TENANT, NOON + lasted_ms) == before.reserved(TENANT, NOON + lasted_ms) == price_of.cost(lasted_ms, NOON)


def test_a_leg_that_goes_on_over_a_restart_ends_where_its_money_does():
    price_of = SATELLITE
    one = purse(tenant="0.01")
    outlook = one.take_up("a", None, price_of, NOON, NOON + 90_000)
    assert outlook.ends_ms is None  # the minute that runs is owed in any case
    assert one.look("a", outlook.look_again_ms).ends_ms == NOON + 2 * MINUTE - MARGIN_MS


def test_an_attempt_that_goes_on_over_a_restart_owes_as_soon_as_it_is_answered():
    price_of = SATELLITE
    one = purse()
    assert one.take_up("a", None, price_of, None, NOON) is None
    assert one.reserved(TENANT, NOON) == one.first_cost(price_of, NOON)
    assert one.answered("a", NOON + 5_000) is not None
