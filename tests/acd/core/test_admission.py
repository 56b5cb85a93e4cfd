"""A line's plan: what is done with a speech channel that does not fit as it would usually be, step by step (R9, U10, ADR 0004)."""

from __future__ import annotations

import random
from itertools import permutations, product
from typing import Any

import msgspec
import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.channel_costs import ChannelCosts, Cost, Step, dearest, plan_problems
from acd.core.configuration import Number, Site, ToAgent, Trunk
from acd.core.routing.decision import winner
from acd.core.state.bandwidth import Limits, ways
from tests.acd.core.shell import Shell, agent, call, house, open_house

USUAL, LONGER, OPUS = 107, 91, 65
"""G.711 with GCM over IPv4; the same with packets of 40 ms; Opus at 32 kbit/s."""
GCM = ChannelCosts(
    kbits=USUAL,
    shape="PCMA 20 ms IPv4 SRTP GCM",
    degraded={
        "longer_ptime": Cost(kbits=LONGER, shape="PCMA 40 ms IPv4 SRTP GCM"),
        "opus": Cost(kbits=OPUS, shape="opus 20 ms IPv4 SRTP GCM"),
    },
)


def arrive(shell: Shell, name: str, costs: ChannelCosts | None = GCM, *, called: str = "601", **more: Any) -> list[ev.Event]:
    given = {"trunk": "pbx"} | more
    return shell.send(inp.CallArrived(call=name, leg=f"{name}.0", calling="+4989123", called=called, channel=costs, **given))


def on(upload: int | None, *plan: Step, **more: Any) -> Shell:
    return open_house(house(trunks=(Trunk(id="pbx", name="PBX", upload_kbits=upload, degrade=plan or ("refuse",), **more),)), ready=False)


def reserved(shell: Shell, line: str = "trunk:pbx") -> list[int]:
    return list(shell.engine.state.lines[line].channels.values())


# ---------------------------------------------------------------------- what arrives


def test_a_channel_is_reserved_at_what_it_costs_and_the_ledger_says_of_what_it_is_made() -> None:
    shell = on(1000)
    arrive(shell, "a")
    (made,) = shell.of(ev.ChannelReserved)
    assert (made.kbits, made.shape, made.step) == (USUAL, "PCMA 20 ms IPv4 SRTP GCM", None)
    (line,) = [one for one in shell.engine.live().lines if one.line == "trunk:pbx"]
    assert [(one.leg, one.kbits, one.shape, one.step) for one in line.reservations] == [("a.0", USUAL, "PCMA 20 ms IPv4 SRTP GCM", None)]


@pytest.mark.parametrize(
    ("plan", "taken"),
    [
        (("longer_ptime", "opus", "refuse"), [USUAL, USUAL, LONGER, None]),
        (("opus", "longer_ptime", "refuse"), [USUAL, USUAL, OPUS, None]),
        (("opus",), [USUAL, USUAL, OPUS, None]),
        (("refuse",), [USUAL, USUAL, None, None]),
        (("other_leg", "refuse"), [USUAL, USUAL, None, None]),
        (("other_leg", "longer_ptime"), [USUAL, USUAL, LONGER, None]),
    ],
)
def test_what_does_not_fit_as_usual_is_carried_by_the_first_step_that_fits(plan: tuple[Step, ...], taken: list[int | None]) -> None:
    """Two as usual leave 92 of 306: packets of 40 ms just fit. A caller that is there has no other leg, so that step is passed over."""
    shell = on(2 * USUAL + LONGER, *plan)
    for name in "abcd":
        arrive(shell, name)
    made = {one.leg: one for one in shell.of(ev.ChannelReserved)}
    assert [made[f"{name}.0"].kbits if f"{name}.0" in made else None for name in "abcd"] == taken
    steps = {USUAL: None, LONGER: "longer_ptime", OPUS: "opus"}
    assert [made[f"{name}.0"].step for name in "abcd" if f"{name}.0" in made] == [steps[kbits] for kbits in taken if kbits is not None]
    assert [(one.leg, one.step) for one in shell.done(ef.ShapeChannel)] == [(one.leg, one.step) for one in made.values() if one.step]


def test_the_refusal_says_what_would_have_been_needed_by_each_step() -> None:
    shell = on(USUAL + 10, "longer_ptime", "opus", "refuse")
    arrive(shell, "a")
    arrive(shell, "b")
    (refused,) = shell.of(ev.ChannelRefused)
    assert refused.reason == "trunk pbx: 107 of 117 kbit/s reserved, 107 needed, 91 by longer_ptime, 65 by opus"
    assert shell.done(ef.RefuseCaller)[0].cause == "no_bandwidth"


def test_a_step_that_the_far_end_cannot_take_is_passed_over() -> None:
    shell = on(USUAL + OPUS, "longer_ptime", "opus")
    arrive(shell, "a")
    arrive(shell, "b", msgspec.structs.replace(GCM, degraded={"opus": GCM.degraded["opus"]}))
    assert [one.step for one in shell.of(ev.ChannelReserved)] == [None, "opus"]


def test_a_line_saves_before_it_is_full_where_its_plan_begins_earlier() -> None:
    """From 200 kbit/s on packets are longer: one call as usual, then two longer ones where only two as usual would fit, and at the end one
    more as usual is refused.
    """
    shell = on(300, "longer_ptime", "refuse", degrade_from_kbits=200)
    for name in "abcd":
        arrive(shell, name)
    assert reserved(shell) == [USUAL, LONGER, LONGER]
    plain = ChannelCosts(kbits=100)
    shell = on(300, "longer_ptime", "refuse", degrade_from_kbits=200)
    for name in "abcd":
        arrive(shell, name, plain)
    assert reserved(shell) == [100, 100, 100]  # nothing can be saved with these: the whole upload is theirs


def test_emergency_calls_are_never_refused_nor_made_cheaper() -> None:
    people = (agent("anna", site="here"),)
    shell = open_house(
        house(
            agents=people,
            sites=(Site(id="here", upload_kbits=50, degrade=("opus",)),),
            trunks=(Trunk(id="pbx", name="PBX", upload_kbits=50, degrade=("opus",), channel=GCM),),
        ),
    )
    arrive(shell, "help", called="112", trunk=None, agent="anna")
    assert [(one.line, one.kbits, one.step) for one in shell.of(ev.ChannelReserved)] == [
        ("site:here", USUAL, None),
        ("trunk:pbx", USUAL, None),
    ]
    assert shell.of(ev.ChannelRefused) == []
    assert [one.step for one in shell.done(ef.OriginateToOutside)] == [None]


# ---------------------------------------------------------------------- what was agreed on


def test_what_was_agreed_on_is_what_the_line_carries() -> None:
    shell = on(1000, "longer_ptime")
    arrive(shell, "a")
    events = shell.send(inp.LegShaped(leg="a.0", cost=Cost(kbits=100, shape="PCMA 20 ms IPv4")))
    assert events == [
        ev.ChannelAdjusted(leg="a.0", line="trunk:pbx", kbits=100, reserved_kbits=100, upload_kbits=1000, shape="PCMA 20 ms IPv4")
    ]
    assert shell.send(inp.LegShaped(leg="a.0", cost=Cost(kbits=64, shape="opus 20 ms IPv4"))) == []  # as usual never below the floor
    shell.send(inp.LegReleased(leg="a.0"))
    assert "trunk:pbx" not in shell.engine.state.lines


def test_a_correction_is_entered_beyond_the_upload_and_the_next_is_refused() -> None:
    shell = on(USUAL + LONGER, "longer_ptime")
    arrive(shell, "a")
    arrive(shell, "b")
    assert reserved(shell) == [USUAL, LONGER]
    shell.send(inp.LegShaped(leg="b.0", cost=Cost(kbits=USUAL, shape="PCMA 20 ms IPv4 SRTP GCM")))
    assert reserved(shell) == [USUAL, USUAL]
    arrive(shell, "c")
    assert shell.of(ev.ChannelRefused)[0].reserved_kbits == 2 * USUAL


def test_room_that_a_correction_gives_back_is_offered_in_the_same_step() -> None:
    people = (agent("anna", site="here", skills={"support": 5}), agent("ben", site="here", skills={"support": 5}))
    shell = open_house(house(agents=people, sites=(Site(id="here", upload_kbits=220),)), ready=False)
    for one in people:
        shell.send(
            inp.DeviceRegistered(agent=one.id, contact=f"sip:{one.id}@[::1]", expires_at=shell.now + 3600, channel=ChannelCosts(kbits=116))
        )
        shell.send(inp.LogOn(agent=one.id, ready=True))
    call(shell, name="a")
    call(shell, name="b")
    shell.run(3)
    assert len(shell.of(ev.OfferMade)) == 1  # 116 and 116 are more than 220
    (rung,) = shell.done(ef.OriginateToAgent)
    assert rung.kbits == 116
    events = shell.send(inp.LegShaped(leg=rung.leg, cost=Cost(kbits=100)))
    assert [type(one).__name__ for one in events[:2]] == ["ChannelAdjusted", "OfferMade"]
    assert [one.kbits for one in shell.done(ef.OriginateToAgent)] == [116, 116]  # 216 of 220


def test_a_correction_of_a_leg_that_is_gone_is_dropped() -> None:
    shell = on(1000)
    assert shell.send(inp.LegShaped(leg="never", cost=Cost(kbits=1))) == []


# ---------------------------------------------------------------------- phones of agents


def site_house(upload: int, *plan: Step, people: int = 2, **more: Any) -> Shell:
    staff = tuple(agent(f"a{n}", site="here", skills={"support": 5}) for n in range(people))
    shell = open_house(house(agents=staff, sites=(Site(id="here", upload_kbits=upload, degrade=plan or ("refuse",)),), **more), ready=False)
    for one in staff:
        bind(shell, one.id)
        shell.send(inp.LogOn(agent=one.id, ready=True))
        shell.run(1)
    return shell


def bind(shell: Shell, name: str, costs: ChannelCosts | None = GCM, contact: str = "") -> None:
    shell.send(inp.DeviceRegistered(agent=name, contact=contact or f"sip:{name}@127.0.0.1", expires_at=shell.now + 86400, channel=costs))


def test_a_phone_is_rung_by_the_plan_of_its_site_and_the_decision_says_so() -> None:
    shell = site_house(USUAL + LONGER, "longer_ptime")
    call(shell, name="a")
    call(shell, name="b")
    first, second = shell.of(ev.OfferMade)
    assert first.decision.degraded == {}
    assert second.decision.degraded == {"longer_ptime": second.decision.chosen}
    assert winner(second.decision) == second.decision.chosen
    assert [(one.step, one.kbits) for one in shell.done(ef.OriginateToAgent)] == [(None, USUAL), ("longer_ptime", LONGER)]


def test_a_site_that_looks_for_others_first_is_rung_last() -> None:
    there = (agent("a0", site="here", skills={"support": 5}), agent("far", skills={"support": 1}))
    sites = (Site(id="here", upload_kbits=LONGER, degrade=("other_leg", "longer_ptime")),)
    shell = open_house(house(agents=there, sites=sites), ready=False)
    for one in there:
        bind(shell, one.id)
        shell.send(inp.LogOn(agent=one.id, ready=True))
    call(shell, name="a")
    call(shell, name="b")
    first, second = shell.of(ev.OfferMade)
    assert (first.decision.chosen, first.decision.removed["no_bandwidth"], first.decision.degraded) == (("far",), ("a0",), {})
    assert (second.decision.chosen, second.decision.degraded) == (("a0",), {"longer_ptime": ("a0",)})


def test_the_worst_of_several_contacts_counts_and_only_what_all_can_save() -> None:
    shell = site_house(1000, "opus", "longer_ptime", people=1)
    bind(shell, "a0", ChannelCosts(kbits=116, shape="PCMA 20 ms IPv6 SRTP GCM", degraded={"longer_ptime": Cost(kbits=96)}), "sip:a0@[::1]")
    assert dearest([GCM, ChannelCosts(kbits=116, degraded={"longer_ptime": Cost(kbits=96)})]) == ChannelCosts(
        kbits=116, degraded={"longer_ptime": Cost(kbits=96)}
    )
    call(shell, name="a")
    shell.run(3)
    shell.send(inp.LegReleased(leg="a-in"), inp.DeviceUnregistered(agent="a0", contact="sip:a0@[::1]"), inp.EndAfterCallWork(agent="a0"))
    call(shell, name="b")
    assert [one.kbits for one in shell.done(ef.OriginateToAgent)] == [116, USUAL]


def test_who_is_called_directly_is_rung_by_the_plan_and_refused_by_it() -> None:
    numbers = (Number(number="700", target=ToAgent(agent="a0")), Number(number="701", target=ToAgent(agent="a1")))
    shell = site_house(LONGER, "other_leg", "longer_ptime", numbers=numbers)
    call(shell, "700", "a")
    assert [(one.agent, one.step) for one in shell.done(ef.OriginateToAgent)] == [("a0", "longer_ptime")]
    call(shell, "701", "b")
    assert (
        shell.of(ev.ChannelRefused)[0].reason
        == f"site here: {LONGER} of {LONGER} kbit/s reserved, {USUAL} needed, {LONGER} by longer_ptime"
    )


# ---------------------------------------------------------------------- trunks


def trunks(first: tuple[Step, ...], second: tuple[Step, ...], upload: int = LONGER) -> Shell:
    lines = tuple(
        Trunk(id=name, name=name, order=n, upload_kbits=limit, degrade=plan, channel=GCM)
        for n, (name, limit, plan) in enumerate((("one", upload, first), ("two", upload + 60, second)))
    )
    shell = open_house(
        house(trunks=(Trunk(id="pbx", name="PBX", outbound=False), *lines), agents=(agent("anna"), agent("ben"), agent("cleo")))
    )
    for name in ("anna", "ben", "cleo"):
        arrive(shell, name, None, called="+4930999", trunk=None, agent=name)
    return shell


@pytest.mark.parametrize(
    ("first", "second", "went"),
    [
        (("refuse",), ("refuse",), [("two", None)]),
        (("longer_ptime",), ("refuse",), [("one", "longer_ptime"), ("two", None)]),
        (("other_leg", "longer_ptime"), ("refuse",), [("two", None), ("one", "longer_ptime")]),
        (("other_leg", "opus"), ("other_leg", "longer_ptime"), [("two", None), ("one", "opus")]),
    ],
)
def test_other_trunks_come_before_or_after_as_the_plan_says(first: tuple[Step, ...], second: tuple[Step, ...], went: list[Any]) -> None:
    shell = trunks(first, second)
    assert [(one.trunk, one.step) for one in shell.done(ef.OriginateToOutside)] == went


# ---------------------------------------------------------------------- all of it


@pytest.mark.parametrize("costs", [100, 107, 116])
def test_so_many_channels_fit_as_their_shape_says(costs: int) -> None:
    """G.711 over IPv4 takes 100, with GCM 107, with GCM over IPv6 116 (tests/media/test_wire_cost.py)."""
    fits = 1000 // costs
    for upload, most in ((1000, fits), (fits * costs, fits), (fits * costs - 1, fits - 1)):
        shell = on(upload)
        for n in range(12):
            arrive(shell, f"c{n}", ChannelCosts(kbits=costs))
        assert len(reserved(shell)) == most


def test_every_plan_keeps_every_line_within_its_upload_in_every_order() -> None:
    """Whatever comes and goes, what is reserved of a line is the sum of its living legs, and never more than it has; 112 alone may."""
    plans = [one for n in range(1, 4) for one in permutations(("longer_ptime", "opus", "other_leg"), n)]
    for seed, plan in enumerate(plans):
        rng = random.Random(seed)
        start = rng.choice((None, 300))
        shell = on(450, *plan, degrade_from_kbits=start)
        living: list[str] = []
        for n in range(120):
            if living and rng.random() < 0.4:
                shell.send(inp.LegReleased(leg=living.pop(rng.randrange(len(living)))))
            else:
                savings = rng.choice(({}, {"opus": Cost(kbits=58)}, {"longer_ptime": Cost(kbits=84), "opus": Cost(kbits=65)}))
                events = arrive(shell, f"c{n}", ChannelCosts(kbits=rng.choice((58, 100, 107, 116)), degraded=savings))
                living += [one.leg for one in events if isinstance(one, ev.ChannelReserved)]
            ledger = shell.engine.state.lines.get("trunk:pbx")
            assert set(ledger.channels if ledger is not None else ()) == set(living) == set(shell.engine.state.legs)
            assert (ledger.reserved_kbits if ledger is not None else 0) == sum(ledger.channels.values() if ledger is not None else ())
            assert ledger is None or (ledger.reserved_kbits <= 450 and set(ledger.degraded) <= set(living) == set(ledger.shapes))


def test_first_and_last_way_agree_where_nobody_else_is_looked_for() -> None:
    """`last` finds a way wherever `first` does, and the same; both stay within the upload, whatever is taken."""
    costs = ChannelCosts(kbits=107, degraded={"longer_ptime": Cost(kbits=91), "opus": Cost(kbits=65)})
    plans: list[tuple[Step, ...]] = [one for n in range(4) for one in permutations(("longer_ptime", "opus", "other_leg"), n)]
    for plan, taken, start in product(plans, range(0, 330, 7), (None, 0, 150, 300)):
        limits = Limits(300, plan, start)
        channel = ways(costs, 100, plan)
        first, last = channel.first(limits, taken), channel.last(limits, taken)
        assert first is None or first == last
        assert "other_leg" in plan or first == last
        assert last is None or taken + last.kbits <= 300
        assert last is not None or all(taken + one.kbits > 300 for one in (channel.usual, *channel.early, *channel.late))


def test_what_is_configured_above_the_floor_is_paid_by_a_cheaper_channel_too() -> None:
    channel = ways(GCM, 130, ("longer_ptime", "opus"))
    assert (channel.usual.kbits, [one.kbits for one in channel.early]) == (130, [LONGER + 30, OPUS + 30])


@pytest.mark.parametrize(
    ("plan", "start", "said"),
    [
        (("opus", "opus"), None, "site here has the step opus twice in its plan"),
        (("refuse", "opus"), None, "site here has steps behind refuse, which nothing comes after"),
        (("opus",), 101, "site here is to save from 101 kbit/s, and has 100"),
    ],
)
def test_a_plan_that_makes_no_sense_is_a_problem(plan: tuple[Step, ...], start: int | None, said: str) -> None:
    site = Site(id="here", upload_kbits=100, degrade=plan, degrade_from_kbits=start)
    assert msgspec.structs.replace(house(), sites=(site,)).problems() == [said]
    assert plan_problems("trunk x", (), 5, None) == ["trunk x is to save from 5 kbit/s, and is not limited"]
