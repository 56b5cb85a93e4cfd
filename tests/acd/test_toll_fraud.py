"""A weekend of toll fraud in an hour of virtual time (U16): the engine, the brake, the ledger and the rating as they are.

Somebody has got hold of zoe's desk. Her forwarding leads to a number at 9.90 a minute, two hundred callers of the same somebody ring her at
once, and forty every five minutes, and her own phone holds one endless call there. Beside it the others take calls, dial and call 112.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from acd.brake import Brake
from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Forwarding, Number, ToAgent, Trunk
from acd.core.engine import Engine
from acd.core.replay import Entry
from acd.door import plain
from acd.errors import DialRefused
from acd.ledger import Ledger
from acd.service import AgentDialRules, DialRules
from billing_cdr.budget import units
from billing_cdr.charge import Charge
from billing_cdr.instant import from_epoch_ms
from billing_cdr.rating import Offer, PlanBook, offer, rate
from billing_cdr.tariff import parse_toml
from tests.acd.core.shell import Phone, Shell, agent, call, house, queue

BUDGET = Decimal("50.00")
DEAR, MOBILE = "+88161234567", "+4915112345678"
PLAN = parse_toml("""
id = "p"
version = "1"
currency = "EUR"
valid_from = 2020-01-01T00:00:00+01:00
vat_rate = "0.19"
vat_included = true

[[rate]]
prefix = "881"
name = "Satellite"
class = "satellite"
per_minute = "9.90"

[[rate]]
prefix = "4915"
name = "Mobile"
class = "mobile"
per_minute = "0.10"
""")


class Braked(Shell):
    """A shell that asks the brake before it places a call, as the switch does, and lets it look once a second, as the service does."""

    brake: Brake | None = None

    def brake_with(self, rules: DialRules) -> Brake:
        self.brake = Brake(rules, self.now, lambda fact: self.later(0.0, fact))
        return self.brake

    def write(self, entry: Entry) -> Entry:
        read = super().write(entry)
        if self.brake is not None:
            self.brake.heard(read)
        return read

    def _do(self, effect: ef.Effect) -> None:
        if not isinstance(effect, ef.OriginateToOutside) or self.brake is None:
            super()._do(effect)
            return
        found = offer(effect.number, PLAN, from_epoch_ms(round(self.now * 1000)))
        assert isinstance(found, Offer)
        try:
            self.brake.reserve(effect.leg, found, effect.on_account_of, self.now)
        except DialRefused as refusal:
            self.legs[effect.leg] = "ringing"
            self.later(0.0, inp.LegFailed(leg=effect.leg, cause=refusal.cause, detail=str(refusal)))
            return
        self.quotes[effect.number] = plain(found.quote)
        super()._do(effect)

    def minutes(self, count: int) -> None:
        for _ in range(count * 60):
            self.run(1)
            assert self.brake is not None
            self.brake.look(self.now)


def opened(rules: DialRules) -> Braked:
    people = (
        agent("zoe", extension="20", skills={}, forwarding=Forwarding(always=DEAR)),
        *(agent(f"a{n}", extension=str(30 + n), after_call_work_s=0.0) for n in range(6)),
    )
    trunks = (Trunk(id="in", name="In", outbound=False), Trunk(id="out", name="Carrier"))
    to_zoe = Number(number="700", target=ToAgent(agent="zoe"))
    configuration = house(agents=people, queues=(queue("support"),), trunks=trunks, numbers=(to_zoe,))
    shell = Braked(Engine("demo"), phones={DEAR: Phone(answers_after_s=3.0), MOBILE: Phone(answers_after_s=3.0)})
    shell.send(inp.ServiceStarted(), inp.Configured(configuration=configuration))
    for one in configuration.agents:
        contact = f"sip:{one.id}@10.0.0.1"
        shell.send(inp.DeviceRegistered(agent=one.id, contact=contact, expires_at=shell.now + 9e6), inp.LogOn(agent=one.id, ready=True))
    shell.brake_with(rules)
    return shell


def charges(shell: Shell) -> dict[str, tuple[Any, Charge]]:
    ledger, records, over = Ledger("demo"), [], dict[str, None]()
    for entry in shell.journal:
        told = ledger.apply(entry)
        records += told.records
        over |= dict.fromkeys(told.over)
    for one in over:
        records += ledger.finish(one).records
    return {cdr.id: (cdr, rate(cdr, PlanBook(house=(PLAN,)))) for cdr in records}


def spent(found: dict[str, tuple[Any, Charge]], number: str) -> Decimal:
    return sum((line.gross for _, charge in found.values() for line in charge.lines if line.number == number.lstrip("+")), Decimal(0))


def busy_hour(shell: Braked, *, fraud: bool) -> None:
    """Twelve times five minutes: callers for the queue, agents who dial, 112; and the fraud."""
    if fraud:
        shell.send(inp.CallArrived(call="endless", leg="endless-in", agent="zoe", calling="20", called=DEAR))
    for turn in range(12):
        for at in range((40 if turn else 200) if fraud else 0):
            call(shell, "700", f"f{turn}-{at}", trunk="in", calling=f"+4989{turn:03}{at:04.0f}")
        for at in range(4):
            call(shell, "601", f"q{turn}-{at}", trunk="in")
        shell.send(inp.CallArrived(call=f"d{turn}", leg=f"d{turn}-in", agent="a4", calling="34", called=MOBILE))
        shell.send(inp.CallArrived(call=f"e{turn}", leg=f"e{turn}-in", agent="zoe" if fraud else "a3", calling="33", called="112"))
        shell.minutes(4)
        for name in (*(f"q{turn}-{at}" for at in range(4)), f"d{turn}", f"e{turn}"):
            if f"{name}-in" in shell.legs:
                shell.send(inp.LegReleased(leg=f"{name}-in"))
        shell.minutes(1)


def outcomes(shell: Shell) -> Counter[str]:
    """Of the calls that are none of the fraud."""
    return Counter(f"{one.call[0]} {one.cause}" for one in shell.of(ev.CallCleared) if one.call[0] in "qde" and one.call != "endless")


def test_two_hundred_attempts_and_an_endless_call_stay_under_the_budget_and_nobody_else_notices() -> None:
    quiet, shell = opened(DialRules()), opened(DialRules(agents={"zoe": AgentDialRules(per_hour=BUDGET)}))
    busy_hour(quiet, fraud=False)
    busy_hour(shell, fraud=True)
    found = charges(shell)
    assert BUDGET - Decimal("9.90") < spent(found, DEAR) <= BUDGET
    assert found["endless"][0].cause == "budget"
    assert Counter(cdr.cause for name, (cdr, _) in found.items() if name[0] == "f")["budget"] >= 635  # of 200 and 11 x 40
    assert all(charge.status == "rated" for _, charge in found.values())
    # What the accounts say is what the charges say.
    assert shell.brake is not None
    account = {one.account: one for one in shell.brake.spending(shell.now).accounts}["agent:zoe"]
    assert (account.reserved, account.running) == (spent(found, DEAR), Decimal(0))
    # Nobody else notices.
    assert outcomes(shell) == outcomes(quiet)
    assert outcomes(shell).total() == 12 * (4 + 1 + 1)
    assert spent(found, MOBILE) == spent(charges(quiet), MOBILE) == 12 * Decimal("0.40")
    answered = [cdr for name, (cdr, _) in found.items() if name[0] == "e" and name != "endless"]
    assert [cdr.outcome for cdr in answered] == ["answered"] * 12


def test_a_clock_that_is_set_moves_the_end_and_costs_nobody_a_unit() -> None:
    shell = opened(DialRules(agents={"zoe": AgentDialRules(per_hour=Decimal(20))}))
    shell.send(inp.CallArrived(call="endless", leg="endless-in", agent="zoe", calling="20", called=DEAR))
    shell.minutes(1)
    shell.now += 7200
    shell.send(inp.ClockStepped(by_s=7200.0))
    shell.minutes(2)
    (cdr, charge) = charges(shell)["endless"]
    assert (cdr.cause, charge.gross.amount) == ("budget", Decimal("19.80"))  # two minutes, as before the clock was set


def test_without_a_budget_the_same_hour_costs_a_fortune() -> None:
    """So that the test above means something."""
    shell = opened(DialRules())
    busy_hour(shell, fraud=True)
    assert shell.brake is not None
    assert shell.brake.purse.running_cost("agent:zoe") > 100 * units(BUDGET)


def test_a_budget_of_the_tenant_holds_for_all_of_them_together_and_never_for_emergency_calls() -> None:
    shell = opened(DialRules(per_hour=BUDGET))
    busy_hour(shell, fraud=True)
    found = charges(shell)
    assert sum((charge.gross.amount for _, charge in found.values()), Decimal(0)) <= BUDGET
    assert Counter(cdr.outcome for name, (cdr, _) in found.items() if name[0] == "e" and name != "endless") == {"answered": 12}
