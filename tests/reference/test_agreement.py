"""The product against the reference programs (docs/figures.md): random conversations and random calls, each figure of each.

`make storm` runs ten times as many.
"""

from __future__ import annotations

import datetime as dt
import random
import tomllib
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from acd.ledger import Ledger
from billing_cdr.cdr import Cdr, Segment, with_wrap_up
from billing_cdr.rating import price
from billing_cdr.tariff import Rate, parse_toml
from tests.reference import ledger, rater
from tests.reference.stories import Story, story

SUMS = ("duration_ms", "talk_ms", "hold_ms", "ring_ms", "wait_ms", "treatment_ms", "setup_ms", "queue_ms", "wrap_ms")
WHOSE = ("agent", "queue")
PARTS = 4
CONVERSATIONS, CALLS = 25_000, 25_000
"""Of each part; four parts are the 100,000 that the suite compares."""


def record_of(told: Story) -> Cdr:
    """What the product makes of it."""
    product = Ledger("t")  # type: ignore[arg-type]
    records: list[Cdr] = []
    late: list[Any] = []
    for entry in told.entries:
        done = product.apply(entry)
        assert done.stumbles == []
        records += done.records
        late += done.late
    last = product.finish(told.call)
    assert last.stumbles == []
    (cdr,) = [*records, *last.records]
    for call, wrap_up in late:
        assert call == cdr.id
        assert isinstance(wrap_up, Segment)
        cdr = with_wrap_up(with_wrap_up(cdr, wrap_up), wrap_up)
    return cdr


def ms(at: dt.datetime) -> int:
    return round(at.timestamp() * 1000)


def merged(segments: Iterable[tuple[str, int, int, str, str]]) -> list[tuple[str, int, int, str, str]]:
    """Segments as the page compares them: none of length 0, neighbours that say the same are one."""
    found: list[tuple[str, int, int, str, str]] = []
    for kind, begins, ends, by, party in segments:
        if begins == ends:
            continue
        if found and (found[-1][0], found[-1][3], found[-1][4]) == (kind, by, party):
            found[-1] = (kind, found[-1][1], ends, by, party)
            continue
        found.append((kind, begins, ends, by, party))
    return found


def compare(seed: int) -> str:
    """One conversation; returns its outcome."""
    told = story(seed)
    cdr, reference = record_of(told), ledger.fold(told.told)
    assert {name: getattr(cdr, name) for name in SUMS} == {name: reference[name] for name in SUMS}, seed
    assert {name: getattr(cdr, name) for name in WHOSE} == {name: reference[name] for name in WHOSE}, seed
    by_leg: dict[str, list[tuple[str, int, int, str, str]]] = {leg.leg: [] for leg in cdr.legs}
    for one in cdr.segments:
        by_leg[one.leg].append((one.kind, ms(one.began_at), ms(one.ended_at), one.caused_by, one.party))
    assert by_leg.keys() == reference["legs"].keys()
    for leg in cdr.legs:
        expected = reference["legs"][leg.leg]
        assert (leg.billable_ms, leg.alerting_ms) == (expected["billable_ms"], expected["alerting_ms"]), (seed, leg.leg)
        said = [(kind, begins, ends, by or "", party or "") for kind, begins, ends, by, party in expected["segments"]]
        if leg.leg in reference["wraps"]:
            said += merged([reference["wraps"][leg.leg]])
        assert merged(by_leg[leg.leg]) == said, (seed, leg.leg)
    return cdr.outcome


def conversations(first: int, count: int) -> Counter[str]:
    return Counter(compare(seed) for seed in range(first, first + count))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_ledger_and_reference_agree(part: int) -> None:
    told = conversations(part * CONVERSATIONS, CONVERSATIONS)
    assert {"answered", "abandoned", "no_answer", "overflowed", "cut"} <= told.keys()


@pytest.mark.storm
@pytest.mark.timeout(3600)
def test_ledger_and_reference_agree_on_a_million() -> None:
    assert conversations(10_000_000, 1_000_000).total() == 1_000_000


# ---------------------------------------------------------------------- calls and their price


def document(rng: random.Random) -> dict[str, Any]:
    """The house tariff, with a precision and a rounding, and rates that are odd in every way a rate can be."""
    made = tomllib.loads((files("billing_cdr") / "house_plan.toml").read_text(encoding="utf-8"))
    made["precision"] = rng.choice(("0.01", "0.0001"))
    made["rounding"] = rng.choice(("half_up", "half_even", "up", "down"))
    for rate in made["rate"]:
        if rate["class"] not in {"geographic", "mobile", "international"} or rate.get("free"):
            continue
        cents = [f"{rng.choice((0.015, 0.0123, 0.029, 0.1, 1.0)) * rng.randint(1, 9):.6f}" for _ in range(2)]
        rate["per_minute"] = {"day": cents[0], "off-peak": cents[1]}
        rate["increment"] = rng.choice(("60/60", "30/6", "1/1", "60/1", "7/3"))
        for name, values in (("setup", ("0", "0.035", "0.1")), ("minimum", ("0", "0.05", "0.0333"))):
            rate[name] = rng.choice(values)
        if rng.random() < 0.3:
            rate["cap"] = "3.21"
        if rng.random() < 0.3:
            rate["free_s"] = rng.choice((1, 30))
        rate["vat_included"] = rng.random() < 0.5
    return made


NIGHTS = [dt.datetime(year, month, day, hour, tzinfo=dt.UTC) for year, month, day, hour in (
    (2026, 3, 29, 0), (2026, 10, 25, 0), (2026, 12, 31, 22), (2026, 5, 31, 21), (2027, 1, 1, 0),
)]  # fmt: skip
"""Around them clocks change, days, months and years end."""


def prices(seed: int, count: int) -> int:
    """Random calls under one random plan; returns how many cost something."""
    rng = random.Random(seed)
    made = document(rng)
    text = _toml(made)
    plan, reference = parse_toml(text), rater.load_plan(tomllib.loads(text))
    ours: dict[str, Rate] = {rate.prefix: rate for rate in plan.rates}
    theirs = {rate.prefix: rate for rate in reference.rates}
    assert ours.keys() == theirs.keys()
    prefixes, cost = sorted(ours), 0
    for _ in range(count):
        prefix = rng.choice(prefixes)
        night = rng.choice(NIGHTS)
        answered = ms(night) + rng.choice((rng.randint(-7_200_000, 14_400_000), rng.randint(0, 31_000_000_000), 0, 3_600_000))
        long = rng.choice((3_599_999, 3_600_000, 3_600_001, rng.randint(1, 20_000_000)))
        short = rng.choice((0, 1, 29_999, 59_999, 60_000, 60_001, rng.randint(1, 600_000)))
        duration = long if rng.random() < 0.02 else short
        ours_told = price(ours[prefix], plan.schedule, duration, answered, plan.finish)
        told = tuple(Decimal(value).scaleb(-plan.finish.decimals) for value in (ours_told.net, ours_told.vat, ours_told.gross))
        assert told == rater.price(reference, theirs[prefix], answered, duration), (seed, prefix, answered, duration)
        cost += told[2] > 0
    return cost


def _toml(made: dict[str, Any]) -> str:
    """Write a plan down again."""

    def value(one: Any) -> str:
        if isinstance(one, bool):
            return "true" if one else "false"
        if isinstance(one, dt.datetime | dt.date):
            return one.isoformat()
        if isinstance(one, list):
            return "[" + ", ".join(map(value, one)) + "]"
        if isinstance(one, dict):
            return "{ " + ", ".join(f'"{name}" = {value(inner)}' for name, inner in one.items()) + " }"
        return str(one) if isinstance(one, int) else f'"{one}"'

    lines = [f"{name} = {value(one)}" for name, one in made.items() if name not in {"band", "rate"}]
    for table in ("band", "rate"):
        for row in made[table]:
            lines += [f"[[{table}]]", *(f"{name} = {value(one)}" for name, one in row.items())]
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_rater_and_reference_agree(part: int) -> None:
    assert sum(prices(part * 1000 + plan, CALLS // 25) for plan in range(25)) > CALLS / 3


@pytest.mark.storm
@pytest.mark.timeout(3600)
def test_rater_and_reference_agree_on_a_million() -> None:
    assert sum(prices(1_000_000 + plan, 1_000) for plan in range(1_000)) > 300_000
