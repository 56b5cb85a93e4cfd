"""A blind transfer by an agent's phone: whatever it does then, and whatever the target does, the caller is with somebody or is told."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Forwarding, Menu, Number, ToAnnouncement, ToHangUp, ToMenu, ToOutside
from acd.switch.causes import telling
from acd.switch.referrals import PROGRESS
from tests.acd.core.shell import Phone, Shell, agent, call, house, open_house, queue

OUTSIDE = "+49301234567"


def talking(*, anna: Phone | None = None, ben: Phone | None = None, outside: Phone | None = None, **more) -> Shell:
    """`c` is from outside and talks to anna, whose phone is on leg c.1; ben has the extension 12, 602 leads to the queue for sales."""
    more.setdefault("queues", (queue(after_call_work_s=10.0), queue("sales", requirements=())))
    configuration = house(
        agents=(agent("anna", extension="11"), agent("ben", extension="12", skills={}, forwarding=more.pop("forwarding", Forwarding()))),
        menus=(Menu(id="main", sounds=("menu",), options={}),),
        numbers=(
            Number(number="700", target=ToMenu(menu="main")),
            Number(number="701", target=ToAnnouncement(sounds=("closed",))),
            Number(number="702", target=ToHangUp()),
            Number(number="703", target=ToOutside(number=OUTSIDE)),
        ),
        **more,
    )
    shell = open_house(configuration, anna=anna or Phone(answers_after_s=1.0), ben=ben or Phone(answers_after_s=3.0))
    shell.phones["pbx"] = outside or Phone(answers_after_s=3.0)
    call(shell, name="c")
    shell.run(2)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    return shell


def told(shell: Shell) -> list[tuple[int, bool]]:
    """What the phone that asked was told after its REFER was accepted: the status, and whether it is the last."""
    assert [one.refused for one in shell.done(ef.AnswerReferrer)] == [None]
    notified = shell.done(ef.NotifyReferrer)
    return [(PROGRESS.get(one.progress) or telling(one.cause).status, one.progress != "ringing") for one in notified]


def refer(shell: Shell, number: str, leg: str = "c.1") -> None:
    shell.send(inp.LegReferred(leg=leg, number=number))


def work_of(shell: Shell, name: str) -> str | None:
    work = shell.engine.state.agents[name].works.get("c")
    return None if work is None else str(work.state)


@pytest.mark.parametrize("number", ["12", OUTSIDE, "703"])
def test_the_phone_waits_until_the_target_answers_and_is_done_then(number):
    shell = talking()
    refer(shell, number)
    assert shell.bridges == set()
    shell.run(1)
    assert shell.plays["c-in"].sounds == ("tone/ringback",)
    assert told(shell) == [(180, False)]
    assert work_of(shell, "anna") == "connected"
    shell.run(3)
    assert told(shell) == [(180, False), (200, True)]
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    assert [one.leg for one in shell.done(ef.ReleaseLeg)] == ["c.1"]
    assert work_of(shell, "anna") == "after_call_work"
    assert [one.by for one in shell.of(ev.CallTransferred)] == ["anna"]


@pytest.mark.parametrize("number", ["602", "700", "701"])
def test_a_machine_of_ours_takes_the_call_at_once(number):
    shell = talking()
    refer(shell, number)
    assert told(shell) == [(200, True)]
    assert work_of(shell, "anna") == "after_call_work"
    assert "c-in" in shell.legs


@pytest.mark.parametrize("number", ["12", OUTSIDE])
@pytest.mark.parametrize("after_s", [0.0, 1.0])
def test_who_hangs_up_after_the_202_or_while_it_rings_does_not_lose_the_caller(number, after_s):
    shell = talking()
    refer(shell, number)
    shell.run(after_s)
    shell.send(inp.LegReleased(leg="c.1"))
    assert work_of(shell, "anna") == "after_call_work"
    shell.run(4)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    assert [one.by for one in shell.of(ev.CallTransferred)] == ["anna"]


@pytest.mark.parametrize(
    ("cause", "status"), [("busy", 486), ("rejected", 603), ("no_answer", 480), ("unreachable", 503), ("not_found", 404)]
)
@pytest.mark.parametrize("number", ["12", OUTSIDE])
def test_a_target_that_cannot_be_had_gives_the_caller_back(number, cause, status):
    lost = Phone(fails=cause, fails_after_s=1.0)
    shell = talking(ben=lost, outside=lost)
    refer(shell, number)
    shell.run(5)
    assert told(shell)[-1] == (status, True)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    assert work_of(shell, "anna") == "connected"
    assert shell.of(ev.CallTransferred) == []
    assert shell.engine.state.contacts["c"].queue == "support"
    shell.send(inp.LegReleased(leg="c-in"))
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["hang_up"]


def test_who_is_busy_at_once_never_rings_and_the_caller_is_back_in_the_same_step():
    shell = talking()
    refer(shell, "11")  # the very phone that asks
    assert told(shell) == [(486, True)]
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_a_target_that_does_not_answer_gives_the_caller_back_after_the_ringing_time():
    shell = talking(ben=Phone(answers_after_s=None))
    refer(shell, "12")
    shell.run(24)
    assert told(shell) == [(180, False)]
    shell.run(2)
    assert told(shell) == [(180, False), (480, True)]
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_a_number_that_leads_to_a_hang_up_hangs_up_on_nobody():
    shell = talking()
    refer(shell, "702")
    assert told(shell) == [(486, True)]
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_the_forwarding_of_the_target_is_followed_and_the_phone_hears_of_it():
    shell = talking(ben=Phone(fails="busy", fails_after_s=1.0), forwarding=Forwarding(busy="602"))
    refer(shell, "12")
    shell.run(2)
    assert told(shell) == [(200, True)]
    assert shell.engine.state.contacts["c"].queue == "sales"


@pytest.mark.parametrize("cause", ["busy", "no_answer"])
def test_a_target_that_cannot_be_had_after_the_phone_went_ends_as_the_desk_s_transfer(cause):
    shell = talking(ben=Phone(fails=cause, fails_after_s=2.0))
    refer(shell, "12")
    shell.send(inp.LegReleased(leg="c.1"))
    shell.run(3)
    assert shell.plays["c-in"].sounds == ("unavailable",)
    shell.run(5)
    assert [one.cause for one in shell.of(ev.CallCleared)] == [cause]


def test_the_caller_who_hangs_up_while_the_target_rings_ends_it_all_and_the_phone_is_told():
    shell = talking()
    refer(shell, "12")
    shell.run(1)
    shell.send(inp.LegReleased(leg="c-in"))
    assert told(shell) == [(180, False), (487, True)]
    assert shell.legs == {}
    assert work_of(shell, "anna") == "after_call_work"


@pytest.mark.parametrize("retrieved", [False, True])
def test_a_phone_that_holds_first_has_the_caller_on_hold_again_unless_it_took_it_back(retrieved):
    shell = talking(ben=Phone(fails="busy", fails_after_s=2.0))
    shell.send(inp.LegHeldByParty(leg="c.1"))
    assert work_of(shell, "anna") == "held"
    refer(shell, "12")
    shell.run(1)
    if retrieved:
        shell.send(inp.LegRetrievedByParty(leg="c.1"))
    shell.run(2)
    assert told(shell)[-1] == (486, True)
    assert work_of(shell, "anna") == ("connected" if retrieved else "held")
    assert shell.bridges == ({frozenset(("c-in", "c.1"))} if retrieved else set())
    if not retrieved:
        assert shell.plays["c-in"].sounds == ("music/default",)
        shell.send(inp.LegRetrievedByParty(leg="c.1"))
        assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_hanging_up_at_the_desk_while_the_target_rings_does_not_end_the_caller_s_call():
    shell = talking()
    refer(shell, "12")
    shell.send(inp.HangUp(agent="anna", call="c"))
    assert [one.leg for one in shell.done(ef.ReleaseLeg)] == ["c.1"]
    shell.run(4)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


def test_a_recording_pauses_with_the_referral_and_goes_on_when_the_caller_is_back():
    shell = talking(ben=Phone(fails="busy", fails_after_s=2.0), queues=(queue(record=True),), recording_notice=False)
    assert shell.recordings == {"c/r1"}
    refer(shell, "12")
    assert shell.recordings == shell.paused == {"c/r1"}
    shell.run(3)
    assert shell.recordings == {"c/r1"}
    assert shell.paused == set()


def test_what_an_agent_has_dialled_outside_can_be_sent_on_too():
    shell = talking()
    shell.send(inp.LegReleased(leg="c-in"))
    shell.send(inp.CallArrived(call="d", leg="d-in", agent="anna", calling="11", called=OUTSIDE))
    shell.run(5)
    refer(shell, "12", leg="d-in")
    shell.run(5)
    assert shell.bridges == {frozenset(("d.1", "d.2"))}
    assert "d-in" not in shell.legs


def test_a_carrier_s_party_may_not_transfer_and_the_call_goes_on():
    shell = talking()
    refer(shell, "12", leg="c-in")
    assert [one.refused for one in shell.done(ef.AnswerReferrer)] == ["not_an_agent"]
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_a_second_transfer_while_one_is_under_way_is_refused():
    shell = talking()
    refer(shell, "12")
    refer(shell, "602")
    assert [one.refused for one in shell.done(ef.AnswerReferrer)] == [None, "under_way"]
    shell.run(4)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


def test_who_talks_to_nobody_yet_can_transfer_nobody():
    shell = talking()
    shell.send(inp.LegReleased(leg="c-in"))
    shell.send(inp.CallArrived(call="d", leg="d-in", agent="anna", calling="11", called="12"))
    refer(shell, "602", leg="d-in")
    assert [one.refused for one in shell.done(ef.AnswerReferrer)] == ["nobody_there"]
    assert "d-in" in shell.legs


def test_a_referral_of_a_leg_that_is_gone_is_dropped():
    shell = talking()
    refer(shell, "12", leg="x.9")
    assert shell.done(ef.AnswerReferrer) == []
    assert shell.engine.describe()["dropped"]["LegReferred"] == 1
