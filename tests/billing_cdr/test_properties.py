"""Properties of the price: three ways to the same cent, never falling, its own proof (U15)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_cdr.charge import Charge, recompute, recompute_line
from billing_cdr.house_plan import house_plan
from billing_cdr.increment import Increment
from billing_cdr.instant import epoch_ms
from billing_cdr.money import divide_half_up
from billing_cdr.quote import BandPrice
from billing_cdr.rating import PlanBook, price, rate, rate_leg
from billing_cdr.tariff import Plan, Rate
from billing_cdr.time_band import Schedule
from tests.billing_cdr.plans import hand_plan, reserved_in_the_end
from tests.billing_cdr.stories import dialled_leg, forwarded_call, outbound_call

PLANS = (hand_plan(), house_plan())
RATES = [(plan, rate) for plan in PLANS for rate in plan.rates]
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
DURATIONS = st.one_of(st.integers(0, 200_000), st.integers(0, 6 * 3_600_000))
CENTS = st.integers(0, 400_000).map(lambda micros: Decimal(micros).scaleb(-5))


@st.composite
def rates(draw) -> tuple[Rate, Schedule]:
    """Any rate, in a week with bands."""
    schedule = hand_plan().schedule
    minimum, setup = draw(CENTS), draw(CENTS)
    cap = draw(st.none() | CENTS.map(lambda above: max(minimum, setup) + above))
    increment = Increment(draw(st.integers(1, 60)) * 1000, draw(st.integers(1, 60)) * 1000, draw(st.sampled_from([0, 0, 30_000])))
    bands = tuple(BandPrice(name, draw(CENTS)) for name in schedule.names)
    kind = RATES[0][1].number_class
    vat_rate = draw(st.sampled_from([Decimal(0), Decimal("0.07"), Decimal("0.19"), Decimal("0.081")]))
    rate = Rate(
        prefix="49",
        name_de="x",
        name_en="x",
        number_class=kind,
        bands=bands,
        increment=increment,
        setup=setup,
        minimum=minimum,
        cap=cap,
        cut_after_ms=draw(st.sampled_from([None, None, 0, 1, 45_000, 3_600_000])),
        vat_rate=vat_rate,
        vat_included=draw(st.booleans()),
    )
    return rate, schedule


def naive_cents(rate: Rate, schedule: Schedule, duration_ms: int, answered_ms: int) -> int:
    """The stated price in cents, unit by unit: no runs, no jumping over hours."""
    micros_ms = rate.compiled.setup * 60_000
    start, unit = rate.increment.free_ms, rate.increment.first_ms
    while start < min(duration_ms, rate.cut_after_ms or duration_ms):
        band, _ = schedule.band_at(answered_ms + start)
        micros_ms += rate.compiled.micros[band] * unit
        start, unit = start + unit, rate.increment.next_ms
    micros_ms = max(micros_ms, rate.compiled.minimum * 60_000)
    if rate.compiled.cap is not None:
        micros_ms = min(micros_ms, rate.compiled.cap * 60_000)
    return divide_half_up(micros_ms, 60_000 * 10_000)


@given(rates(), st.integers(0, 3_000_000), INSTANTS)
@settings(max_examples=150, deadline=None)
def test_price_equals_the_sum_unit_by_unit(rate_and_schedule, duration_ms, answered_at):
    rate, schedule = rate_and_schedule
    priced = price(rate, schedule, duration_ms, epoch_ms(answered_at))
    stated = priced.gross if rate.vat_included else priced.net
    assert stated == naive_cents(rate, schedule, duration_ms, epoch_ms(answered_at))
    assert priced.net + priced.vat == priced.gross
    assert sum(step.units for step in priced.steps) == rate.increment.units(min(duration_ms, rate.cut_after_ms or duration_ms))


@given(rates(), DURATIONS, DURATIONS, INSTANTS)
@settings(max_examples=200, deadline=None)
def test_price_never_falls_as_the_duration_grows(rate_and_schedule, one, two, answered_at):
    rate, schedule = rate_and_schedule
    shorter, longer = sorted((one, two))
    first = price(rate, schedule, shorter, epoch_ms(answered_at))
    second = price(rate, schedule, longer, epoch_ms(answered_at))
    assert first.gross <= second.gross
    assert first.net <= second.net


@given(rates(), st.lists(DURATIONS, min_size=1, max_size=8), INSTANTS)
@settings(max_examples=200, deadline=None)
def test_what_was_reserved_piece_by_piece_is_the_price(rate_and_schedule, moments, answered_at):
    rate, schedule = rate_and_schedule
    plan = msgspec.structs.replace(hand_plan(), schedule=schedule, rates=(rate,))
    priced = price(rate, schedule, max(moments), epoch_ms(answered_at), plan.finish)
    assert reserved_in_the_end(plan, rate, answered_at, moments) == Decimal(priced.gross).scaleb(-plan.finish.decimals)


def random_number(rate: Rate, rng: random.Random) -> str:
    """A number that this rate serves, most of the time."""
    if rate.number_class == "authority":
        return "+49115"
    if rate.number_class == "harmonised":
        return f"+{rate.prefix}{rng.randrange(1000):03}"
    if rate.number_class == "directory":
        return f"+{rate.prefix}{rng.randrange(10, 100)}"
    return f"+{rate.prefix}{rng.randrange(10**6, 10**7)}"


GERMAN = [(plan, rate) for plan, rate in RATES if rate.prefix.startswith("49")]
POSTPAID = {plan.id: PlanBook(house=(plan,)) for plan in PLANS}
RE_RATING = {  # years later: the plan has had predecessors and successors since
    plan.id: PlanBook(
        house=(
            msgspec.structs.replace(plan, version="0", valid_from=datetime(2020, 1, 1, tzinfo=UTC), rates=plan.rates[:1]),
            plan,
            msgspec.structs.replace(plan, version="9", valid_from=datetime(2027, 1, 1, tzinfo=UTC), rates=plan.rates[:1]),
        ),
    )
    for plan in PLANS
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20260610, 20260611, 20260612, 20260613])
def test_prepaid_postpaid_and_re_rated_are_equal_on_a_hundred_thousand_calls(seed):
    """A quarter of them each: both plans, the whole year with its DST nights; and each charge is recomputed from its trace alone."""
    rng = random.Random(seed)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    differing, calls, units = [], 0, 0
    while calls < 25_000:
        plan, row = GERMAN[rng.randrange(len(GERMAN))]
        duration_ms = int(rng.expovariate(1 / 180_000)) if rng.random() < 0.98 else rng.randrange(8 * 3_600_000)
        answered_at = start + timedelta(milliseconds=rng.randrange(364 * 86_400_000))
        leg = dialled_leg(random_number(row, rng), duration_ms, answered_at=answered_at)
        postpaid = rate_leg(leg, POSTPAID[plan.id])
        served = plan.index.get(postpaid.prefix)
        if served is None:  # a range the plan leaves out, or 116117, which is no row of any plan
            assert postpaid.kind == "unrated" or postpaid.number == "49116117"
            continue
        calls += 1
        units += sum(step.units for step in postpaid.steps)
        moments = rng.randrange(duration_ms + 1), duration_ms
        prepaid = reserved_in_the_end(plan, served, answered_at, moments) if calls % 5 == 0 else postpaid.gross  # it is the slow one
        re_rated = rate_leg(leg, RE_RATING[plan.id])
        by_hand = recompute_line(postpaid).amount
        if not prepaid == postpaid.gross == by_hand or re_rated != postpaid:
            differing.append((leg, postpaid, prepaid, re_rated, by_hand))
    assert differing == []
    assert units > 100_000


@given(st.sampled_from([forwarded_call, outbound_call]), st.sampled_from(RATES), st.integers(0, 10_000_000), INSTANTS, st.randoms())
@settings(max_examples=150, deadline=None)
def test_a_charge_is_recomputed_from_its_trace_and_its_lines_add_up(make, plan_and_rate, talk_ms, at, rng):
    plan, row = plan_and_rate
    book = PlanBook(house=(plan,))
    cdr = make(number=random_number(row, rng), talk_ms=talk_ms, at=at).cdr()
    charge = rate(cdr, book)
    assert rate(cdr, book) == charge
    again = msgspec.json.decode(msgspec.json.encode(charge), type=Charge)
    assert again == charge
    assert recompute(again) == charge.gross
    assert sum(line.gross for line in charge.lines) == charge.gross.amount
    assert sum(line.net for line in charge.lines) == charge.net.amount
    assert charge.net + charge.vat == charge.gross


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_rounding_is_commercial(numerator, denominator):
    rounded = divide_half_up(numerator, denominator)
    twice = 2 * (abs(numerator) - abs(rounded) * denominator)
    assert -denominator <= twice < denominator
    assert rounded == -divide_half_up(-numerator, denominator)


def test_every_plan_in_these_tests_is_one():
    assert all(isinstance(plan, Plan) for plan in PLANS)
