"""Which plan, which row, what is refused, and the price told before the call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from billing_cdr import store
from billing_cdr.assemble import fold
from billing_cdr.charge import explain, recompute
from billing_cdr.errors import CurrencyMismatch, LedgerError
from billing_cdr.facts import LegEnded
from billing_cdr.house_plan import house_plan
from billing_cdr.quote import Quote, Refusal, tell
from billing_cdr.rating import PlanBook, quote, rate, rate_leg
from billing_cdr.tariff import Plan, parse_toml
from tests.billing_cdr.plans import HAND_PLAN, hand_plan
from tests.billing_cdr.stories import WEDNESDAY, answered_call, dialled_leg, forwarded_call, outbound_call

HOUSE = PlanBook(house=(house_plan(),))


def flat(plan_id: str, price: str, *, version: str = "1", valid_from: str = "2026-01-01T00:00:00+01:00", currency: str = "EUR") -> Plan:
    """A plan with one price for German landlines."""
    return parse_toml(f"""
        id = "{plan_id}"
        version = "{version}"
        currency = "{currency}"
        valid_from = {valid_from}
        vat_rate = "0.19"
        vat_included = false
        [[rate]]
        prefix = "49"
        name = "Landline"
        class = "geographic"
        per_minute = "{price}"
    """)


def test_an_inbound_call_costs_nothing_and_says_so():
    """R10: the record of an inbound call and its queue is rated 0.00."""
    charge = rate(answered_call().cdr(), HOUSE)
    assert charge.gross.amount == Decimal("0.00")
    assert [line.kind for line in charge.lines] == ["inbound", "own_phone"]
    assert "free" in explain(charge, "en")[0]
    assert "kostenfrei" in explain(charge, "de")[0]


def test_a_forward_is_charged_and_its_inbound_leg_is_not():
    """R12."""
    inbound, forward = rate(forwarded_call().cdr(), HOUSE).lines
    assert inbound.net == 0
    assert forward.net == Decimal("0.11")
    assert forward.payer == "acme"


def test_the_plan_of_the_own_trunk_beats_the_tenants_and_that_the_houses():
    """R15: a call over the own carrier costs the own plan, not the house plan."""
    book = PlanBook(
        house=(flat("house", "0.10"),),
        tenants={"acme": (flat("acme", "0.05"),)},
        trunks={("acme", "own"): (flat("own", "0.01"),)},
    )
    prices = {
        (tenant, trunk): rate_leg(dialled_leg("+493012345678", 60_000, trunk=trunk, payer=tenant), book).net
        for tenant in ("acme", "other")
        for trunk in ("own", "carrier")
    }
    assert prices == {
        ("acme", "own"): Decimal("0.01"),
        ("acme", "carrier"): Decimal("0.05"),
        ("other", "own"): Decimal("0.10"),
        ("other", "carrier"): Decimal("0.10"),
    }


def test_the_newest_version_in_force_is_taken():
    old, new = flat("house", "0.10"), flat("house", "0.20", version="2", valid_from="2026-06-10T00:00:00+02:00")
    change = datetime(2026, 6, 9, 22, tzinfo=UTC)
    for book in (PlanBook(house=(new, old)), PlanBook(house=(old, new))):
        before = rate_leg(dialled_leg("+493012345678", 1, answered_at=change - timedelta(milliseconds=1)), book)
        after = rate_leg(dialled_leg("+493012345678", 1, answered_at=change), book)
        assert (before.net, after.net) == (Decimal("0.10"), Decimal("0.20"))


def test_the_price_promised_before_the_call_holds_when_a_new_version_comes_into_force():
    old, new = flat("house", "0.10"), flat("house", "0.20", version="2", valid_from="2026-06-10T00:00:00+02:00")
    midnight = datetime(2026, 6, 9, 22, tzinfo=UTC)
    promised = quote("+493012345678", old, midnight - timedelta(seconds=1))
    assert isinstance(promised, Quote)
    leg = msgspec.structs.replace(dialled_leg("+493012345678", 60_000, answered_at=midnight), quote=promised)
    line = rate_leg(leg, PlanBook(house=(old, new)))
    assert (line.plan_version, line.net) == ("1", Decimal("0.10"))
    assert line.promised == line.fingerprint
    what_if = rate_leg(leg, PlanBook(house=(new,)))
    assert (what_if.plan_version, what_if.net) == ("2", Decimal("0.20"))
    assert what_if.promised != what_if.fingerprint


def test_the_price_promised_before_the_call_holds_in_whichever_place_it_stands():
    """docs/figures.md §9: quoted by the house; by the time it is rated, tenant and trunk have plans that are in force for it."""
    house, tenant, trunk = flat("house", "0.10"), flat("acme", "0.20"), flat("carrier", "0.30")
    promised = quote("+493012345678", house, WEDNESDAY)
    assert isinstance(promised, Quote)
    book = PlanBook(house=(house,), tenants={"acme": (tenant,)}, trunks={("acme", "carrier"): (trunk,)})
    leg = msgspec.structs.replace(dialled_leg("+493012345678", 60_000), trunk="carrier")
    assert rate_leg(leg, book).net == Decimal("0.30")
    assert rate_leg(msgspec.structs.replace(leg, quote=promised), book).net == Decimal("0.10")
    elsewhere = PlanBook(house=(tenant,), tenants={"other": (house,)})
    assert rate_leg(msgspec.structs.replace(leg, quote=promised), elsewhere).net == Decimal("0.20")


def test_over_the_tenants_own_carrier_the_house_prices_nothing():
    """R15: the plan for the trunk, else the tenant's; without either no price. What the house promised before, it keeps."""
    house, tenant, trunk = flat("house", "0.10"), flat("acme", "0.20"), flat("carrier", "0.30")
    own = frozenset({("acme", "carrier")})
    leg = msgspec.structs.replace(dialled_leg("+493012345678", 60_000), trunk="carrier")
    whole = PlanBook(house=(house,), tenants={"acme": (tenant,)}, trunks={("acme", "carrier"): (trunk,)}, own_carriers=own)
    assert rate_leg(leg, whole).net == Decimal("0.30")
    assert rate_leg(leg, msgspec.structs.replace(whole, trunks={})).net == Decimal("0.20")
    bare = PlanBook(house=(house,), own_carriers=own)
    assert rate_leg(leg, bare).kind == "unrated"
    assert rate_leg(msgspec.structs.replace(leg, trunk="other"), bare).net == Decimal("0.10")
    promised = quote("+493012345678", house, WEDNESDAY)
    assert isinstance(promised, Quote)
    assert rate_leg(msgspec.structs.replace(leg, quote=promised), bare).net == Decimal("0.10")
    assert rate_leg(dialled_leg("112", 60_000), bare).kind == "free_number"


def test_before_the_first_plan_there_is_no_price():
    line = rate_leg(dialled_leg("+493012345678", 60_000, answered_at=datetime(2025, 12, 31, tzinfo=UTC)), HOUSE)
    assert line.kind == "unrated"
    assert "no plan is in force" in line.refusal


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("0900 9 123456", "unknown_special_number"),
        ("0180 8 123456", "unknown_special_number"),
        ("11833", "unknown_special_number"),
        ("0190 123456", "unknown_special_number"),
        ("01012 345678", "unknown_special_number"),
        ("+44 9098790001", "unknown_special_number"),
        ("+882 1612345678", "unknown_special_number"),
        ("+1 876 5551234", "no_rate"),
        ("+53 5 1234567", "no_rate"),
        ("12345", "not_a_number"),
        ("*31#", "not_a_number"),
    ],
)
def test_what_has_no_rate_is_refused_and_never_free(number, reason):
    """R13: an unknown special prefix is refused, not rated 0."""
    refusal = quote(number, house_plan(), WEDNESDAY)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    charge = rate(outbound_call(number=number).cdr(), HOUSE)
    assert charge.status == "unrated"
    assert charge.lines[1].kind == "unrated"
    assert charge.lines[1].refusal == refusal.message
    assert refusal.message in explain(charge, "en")[1]


def test_a_shorter_prefix_never_steps_in_for_a_longer_one_of_another_class():
    plan = parse_toml(HAND_PLAN)
    assert isinstance(quote("0900 1 123456", plan, WEDNESDAY), Refusal)
    assert isinstance(quote("0180 5 123456", plan, WEDNESDAY), Refusal)


@pytest.mark.parametrize("number", ["110", "112", "116117", "+49110", "+49112"])
@pytest.mark.parametrize("plan", [None, house_plan(), hand_plan()])
def test_an_emergency_call_is_free_and_never_refused(number, plan):
    told = quote(number, plan, WEDNESDAY)
    assert isinstance(told, Quote)
    assert told.per_minute == told.setup == 0
    book = PlanBook(house=() if plan is None else (plan,))
    line = rate_leg(dialled_leg(number, 600_000), book)
    assert (line.kind, line.gross) == ("free_number", 0)


@pytest.mark.parametrize("number", ["+493012345678", "0900 5 123456", "0180 7 123456", "0137 7 123456", "+4366012345678", "0800 1234567"])
def test_what_was_quoted_is_what_is_charged(number):
    told = quote(number, house_plan(), WEDNESDAY)
    assert isinstance(told, Quote)
    line = rate_leg(dialled_leg(number, 125_000), HOUSE)
    assert (line.prefix, line.fingerprint, line.plan_version) == (told.prefix, told.fingerprint, told.plan_version)
    assert (line.increment, line.free_ms, line.setup, line.cap) == (told.increment, told.free_ms, told.setup, told.cap)
    assert {step.per_minute for step in line.steps} == {told.per_minute}
    assert (line.vat_rate, line.vat_included, line.number_class) == (told.vat_rate, told.vat_included, told.number_class)


def test_a_quote_tells_the_band_and_the_forced_end():
    day, night = (quote("+493012345678", house_plan(), at) for at in (WEDNESDAY, WEDNESDAY + timedelta(hours=12)))
    assert isinstance(day, Quote)
    assert isinstance(night, Quote)
    assert (day.band, day.per_minute) == ("day", Decimal("0.019"))
    assert (night.band, night.per_minute) == ("off-peak", Decimal("0.015"))
    premium = quote("0900 1 123456", house_plan(), WEDNESDAY)
    assert isinstance(premium, Quote)
    assert premium.cut_after_ms == 3_600_000


@pytest.mark.parametrize(
    ("number", "german", "english"),
    [
        (
            "030 123456",
            "Deutschland Festnetz: 0,019 EUR je Minute (60/60), zzgl. USt.",
            "Germany landline: 0.019 EUR a minute (60/60), plus VAT",
        ),
        ("0900 8 12345", "Premium-Dienst 0900-8: 2,99 EUR je Minute (60/60), höchstens 30,00 EUR, inkl. USt.", None),
        ("0180 7 12345", None, "Service number 0180-7: 0.14 EUR a minute (60/60), the first 30 s free, VAT included"),
        ("0137 7 12345", "Massenverkehr 0137-7: 1,00 EUR je Anruf, inkl. USt.", None),
        ("112", "Notruf: kostenfrei", "emergency: free of charge"),
        ("116117", "Ärztlicher Bereitschaftsdienst: kostenfrei", None),
    ],
)
def test_the_price_is_told_in_one_sentence(number, german, english):
    told = quote(number, house_plan(), WEDNESDAY)
    assert isinstance(told, Quote)
    assert german in {None, tell(told, "de")}
    assert english in {None, tell(told, "en")}


def test_a_record_that_does_not_close_has_no_price():
    """It is stored, so that no call is missing, and nobody is billed for it, whatever plans come later."""
    facts = [fact for fact in forwarded_call().facts if not (isinstance(fact, LegEnded) and fact.leg == "out")]
    with pytest.raises(LedgerError, match="leg out never ended") as caught:
        fold(facts)
    draft = caught.value.draft
    assert draft is not None
    charge = rate(draft, HOUSE)
    assert charge.status == "unrated"
    assert charge.gross.amount == 0
    assert all("leg out never ended" in line.refusal for line in charge.lines)
    assert rate(msgspec.structs.replace(draft, legs=()), HOUSE).status == "unrated"


def test_nobody_answered_nobody_pays():
    line = rate_leg(dialled_leg("0900 5 123456", 45_000, answered=False), HOUSE)
    assert (line.kind, line.gross) == ("unanswered", 0)


def test_an_agent_at_an_outside_number_costs_what_the_call_costs():
    leg = msgspec.structs.replace(dialled_leg("+4917112345678", 61_000), role="agent")
    assert rate_leg(leg, HOUSE).net == Decimal("0.11")
    assert rate_leg(msgspec.structs.replace(leg, trunk=None), HOUSE).kind == "own_phone"


@pytest.mark.parametrize("role", ["agent", "destination", "forward"])
def test_what_goes_over_the_tenants_own_line_costs_nothing_whatever_was_dialled(role):
    leg = msgspec.structs.replace(dialled_leg("21", 61_000), role=role, internal=True, quote=None)
    line = rate_leg(leg, HOUSE)
    assert (line.kind, line.gross, line.refusal) == ("own_line", 0, "")
    assert rate_leg(msgspec.structs.replace(leg, internal=False), HOUSE).kind == "unrated"


def test_a_dialled_number_without_trunk_is_still_priced():
    """Whoever forgets to report the trunk must not make calls free."""
    assert rate_leg(dialled_leg("+4917112345678", 61_000, trunk=None), HOUSE).net == Decimal("0.11")


def test_lines_in_two_currencies_have_two_totals_and_no_sum():
    book = PlanBook(house=(flat("house", "0.10"),), trunks={("acme", "swiss"): (flat("swiss", "0.20", currency="CHF"),)})
    cdr = outbound_call().cdr()
    second = msgspec.structs.replace(cdr.legs[1], leg="out2", trunk="swiss")
    charge = rate(msgspec.structs.replace(cdr, legs=(*cdr.legs, second)), book)
    assert [(total.currency, total.net) for total in charge.totals] == [("CHF", Decimal("0.40")), ("EUR", Decimal("0.20"))]
    with pytest.raises(CurrencyMismatch):
        _ = charge.gross
    with pytest.raises(CurrencyMismatch):
        recompute(charge)


def test_a_forged_trace_does_not_recompute():
    charge = rate(outbound_call().cdr(), HOUSE)
    line = charge.lines[1]
    forged = msgspec.structs.replace(line, steps=(msgspec.structs.replace(line.steps[0], units=line.steps[0].units + 5),))
    assert recompute(msgspec.structs.replace(charge, lines=(charge.lines[0], forged))) != charge.gross


@pytest.mark.parametrize(
    ("answered_at", "told"),
    [
        (datetime(2026, 6, 10, 15, 59, 30, tzinfo=UTC), "2026-06-10T17:59:30+02:00 (Europe/Berlin)"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "2026-10-25T02:30:00+02:00 (Europe/Berlin)"),  # the hour that comes twice
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "2026-10-25T02:30:00+01:00 (Europe/Berlin)"),
    ],
)
def test_an_explanation_tells_its_instants_by_the_clock_of_the_plan(answered_at, told):
    """The clerk reads the bands in local time: 15:59:30 UTC looked like the day's price in the evening's hour."""
    charge = rate(outbound_call(at=answered_at).cdr(), HOUSE)
    assert charge.lines[1].zone == "Europe/Berlin"
    for language, before in (("en", "from"), ("de", "ab")):
        assert f"{before} {told}" in " ".join(explain(charge, language))


def test_a_charge_of_a_plan_that_is_gone_stays_and_is_counted():
    cdr = outbound_call().cdr()
    charge = rate(cdr, HOUSE)
    lost = msgspec.structs.replace(charge, lines=tuple(msgspec.structs.replace(line, fingerprint="0" * 64) for line in charge.lines))
    entries = [store.Entry(cdr=cdr, charge=one, revision=1) for one in (lost, charge)]
    assert store.rerated(entries, HOUSE) == ()
    assert store.of_lost_plans(entries, HOUSE) == 1


def test_a_charge_of_0_1_0_is_told_in_utc_and_is_not_changed_by_the_zone_alone():
    cdr = outbound_call().cdr()
    charge = rate(cdr, HOUSE)
    old = msgspec.structs.replace(charge, lines=tuple(msgspec.structs.replace(line, zone="") for line in charge.lines))
    assert "from 2026-06-10T08:00:00+00:00, tariff" in " ".join(explain(old, "en"))
    assert store.rerated([store.Entry(cdr=cdr, charge=old, revision=1)], HOUSE) == ()
    assert store.rerated([store.Entry(cdr=cdr, charge=charge, revision=1)], HOUSE) == ()
    other = msgspec.structs.replace(old, lines=(old.lines[0], msgspec.structs.replace(old.lines[1], duration_ms=1)))
    assert len(store.rerated([store.Entry(cdr=cdr, charge=other, revision=1)], HOUSE)) == 1


# fmt: off
STORIES = [
    ("+49 171 1234567", 61_000, "en", [
        "talked for 61 s", "prefix 4917", "tariff house version 2026-1", "30/6 seconds",
        "1 x 30 s at 0.099 EUR a minute (day) = 0.0495 EUR", "6 x 6 s at 0.099 EUR a minute (day) = 0.0594 EUR",
        "0.11 = 0.0495 + 0.0594", "with 19 % VAT 0.13 EUR",
    ]),
    ("0900 8 123456", 700_000, "de", ["12 x 60 s zu 2,99 EUR", "35,88 EUR", "höchstens 30,00 EUR", "30,00 = 30,00", "25,21 EUR ohne"]),
    ("0180 7 123456", 61_000, "de", ["Die ersten 30 s sind kostenfrei", "1 x 60 s zu 0,14 EUR", "0,14 = 0,14"]),
    ("0137 7 123456", 5_000, "en", ["Fee for the call: 1.00 EUR", "1.00 = 1.00"]),
    ("0800 1234567", 5_000, "de", ["kostenfrei"]),
    ("+49 30 123456", 0, "en", ["0.00 = 0, rounded"]),
]
# fmt: on


@pytest.mark.parametrize(("number", "duration_ms", "language", "said"), STORIES)
def test_a_clerk_can_read_why(number, duration_ms, language, said):
    charge = rate(outbound_call(number=number, talk_ms=duration_ms).cdr(), HOUSE)
    text = "\n".join(explain(charge, language))
    for words in said:
        assert words in text, text


def test_a_price_that_never_ends_in_decimals_is_told_as_a_fraction():
    charge = rate(outbound_call(number="+498912345678", talk_ms=1_000).cdr(), PlanBook(house=(hand_plan(),)))
    assert "= 19/60000 EUR" in "\n".join(explain(charge, "en"))
