"""What a carrier says before it answers, and where it says that its party is (3xx): decided without SIP."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Menu, Number, ToHangUp, ToMenu, ToOutside, Trunk
from acd.switch.causes import telling
from tests.acd.core.shell import Phone, Shell, call, house, open_house

SILENT = Phone(alerts=False, answers_after_s=None)
MOVED = "+4930111222"


def opened(*, redirects: int = 0, **phones: Phone) -> Shell:
    trunks = (Trunk(id="pbx", name="A", redirects=redirects), Trunk(id="second", name="B", order=1))
    menu = Menu(id="main", sounds=("menu.main",), options={"3": ToOutside(number="+4930999")}, fallback=ToHangUp())
    numbers = (Number(number="620", target=ToOutside(number="+4930999")), Number(number="600", target=ToMenu(menu="main")))
    return open_house(house(trunks=trunks, menus=(menu,), numbers=numbers), **({"pbx": SILENT} | phones))


def test_a_caller_that_was_not_answered_hears_the_carrier_and_no_180_is_sent() -> None:
    shell = opened()
    call(shell, "620", "c")
    shell.send(inp.EarlyMediaArrived(leg="c.1"))
    assert shell.done(ef.PassEarlyMedia) == [ef.PassEarlyMedia(party="c-in", leg="c.1")]
    assert shell.done(ef.RingCaller) == []
    assert [type(event) for event in shell.of(ev.LegAlerted) + shell.of(ev.EarlyMediaPassed)] == [ev.LegAlerted, ev.EarlyMediaPassed]
    shell.send(inp.LegAnswered(leg="c.1"))
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_early_media_behind_a_180_takes_the_place_of_the_ring_back() -> None:
    shell = opened()
    call(shell, "600", "c")
    shell.send(inp.DigitPressed(leg="c-in", digit="3"))
    shell.send(inp.LegAlerting(leg="c.1"))
    assert shell.plays["c-in"].sounds == ("tone/ringback",)
    shell.send(inp.EarlyMediaArrived(leg="c.1"))
    assert len(shell.of(ev.LegAlerted)) == 1
    assert shell.of(ev.SoundsStopped)[-1].leg == "c-in"
    assert shell.done(ef.PassEarlyMedia) == [ef.PassEarlyMedia(party="c-in", leg="c.1")]


def test_early_media_of_a_leg_that_answered_or_is_gone_comes_too_late() -> None:
    shell = opened()
    call(shell, "620", "c")
    shell.send(inp.LegAnswered(leg="c.1"))
    for leg in ("c.1", "nobody"):
        shell.send(inp.EarlyMediaArrived(leg=leg))
    assert shell.done(ef.PassEarlyMedia) == []


@pytest.mark.parametrize("redirects", [0, 1, 3])
def test_a_moved_party_is_followed_so_often_and_then_nobody_is_there(redirects: int) -> None:
    shell = opened(redirects=redirects)
    call(shell, "620", "c")
    for turn in range(redirects + 1):
        shell.send(inp.LegFailed(leg=f"c.{turn + 1}", cause="redirected", status=302, moved_to=f"{MOVED}{turn}"))
    assert [one.number for one in shell.done(ef.OriginateToOutside)] == ["+4930999", *[f"{MOVED}{turn}" for turn in range(redirects)]]
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == 480
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="redirected")]


def test_a_moved_call_is_on_the_same_account_as_before() -> None:
    shell = opened(redirects=1)
    call(shell, "620", "c")
    shell.send(inp.LegFailed(leg="c.1", cause="redirected", status=302, moved_to=MOVED))
    first, second = shell.of(ev.LegInitiated)[-2:]
    assert (second.role, second.forwarded_by) == (first.role, first.forwarded_by) == ("forward", "620")
    before, after = shell.done(ef.OriginateToOutside)
    assert (after.on_account_of, after.caller_id, after.forwarded_from) == (before.on_account_of, before.caller_id, before.forwarded_from)


@pytest.mark.parametrize("number", [None, "+4930999", "112", "110"])
def test_where_nobody_is_to_be_called_is_not_followed(number: str | None) -> None:
    """Not said, the number just called, an emergency number."""
    shell = opened(redirects=5)
    call(shell, "620", "c")
    shell.send(inp.LegFailed(leg="c.1", cause="redirected", status=302, moved_to=number))
    assert len(shell.done(ef.OriginateToOutside)) == 1
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == 480


@pytest.mark.parametrize(("cause", "status"), [("incomplete", 484), ("forbidden", 403), ("redirected", 480)])
def test_what_a_carrier_says_of_the_number_ends_the_attempt(cause: str, status: int) -> None:
    shell = opened(pbx=Phone(fails=cause))
    call(shell, "620", "c")
    shell.run(3)
    assert len(shell.done(ef.OriginateToOutside)) == 1
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == status
