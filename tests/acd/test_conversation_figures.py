"""What consultations, conferences and supervisors leave in the record: the rows of docs/figures.md §7, by hand."""

from __future__ import annotations

import msgspec
import pytest

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import ToAgent, ToOutside, ToQueue
from acd.core.errors import IllegalTransition
from billing_cdr.cdr import Cdr
from billing_cdr.recorded import recorded
from tests.acd.core.shell import Phone
from tests.acd.test_ledger import NEVER, Books, a_house, arrives, parts, said
from tests.acd.test_talk_of_whom import transferred

AT_ONCE = Phone(answers_after_s=0.0, alerts=False)
TO_CLEO = ToAgent(agent="cleo")
ASKS = [("consult", 5), ("consult", 15)]
"""While the phone rings, and from the answer on."""


def consults(cleo: Phone, target: ToAgent | ToOutside | ToQueue = TO_CLEO, **phones: Phone) -> Books:
    """A talks with anna from 0 on, who asks at 30."""
    books = a_house(**{"anna": AT_ONCE, "cleo": cleo} | phones)
    arrives(books.shell, "700")
    books.shell.run(30)
    books.shell.send(inp.Consult(agent="anna", call="c", target=target))
    return books


def lasted(cdr: Cdr, leg: int) -> list[tuple[str, float]]:
    return [(kind, seconds) for kind, seconds, _, _ in said(cdr, leg)]


@pytest.mark.parametrize(
    ("then", "caller", "anna", "cleo", "by"),
    [
        (inp.CompleteTransfer, [("talk", 30), ("hold", 20), ("talk", 40)], [("talk", 30), *ASKS],
         [("ring", 5), ("consult", 15), ("talk", 40)], ("agent:anna",)),
        (inp.Reconnect, [("talk", 30), ("hold", 20), ("talk", 40)], [("talk", 30), *ASKS, ("talk", 40)],
         [("ring", 5), ("consult", 15)], ()),
        (inp.Conference, [("talk", 30), ("hold", 20), ("talk", 20), ("talk", 20)], [("talk", 30), *ASKS, ("talk", 20)],
         [("ring", 5), ("consult", 15), ("talk", 20), ("talk", 20)], ()),
    ],
)  # fmt: skip
def test_answered_consultations_are_hold_of_the_conversation(
    then: type[inp.CompleteTransfer | inp.Reconnect | inp.Conference],
    caller: list[tuple[str, float]],
    anna: list[tuple[str, float]],
    cleo: list[tuple[str, float]],
    by: tuple[str, ...],
) -> None:
    """Answered at 35, decided at 50, anna leaves a conference at 70; over at 90."""
    books = consults(Phone(answers_after_s=5.0))
    shell = books.shell
    shell.run(20)
    shell.send(then(agent="anna", call="c"))
    shell.run(20)
    if then is inp.Conference:
        shell.send(inp.HangUp(agent="anna", call="c"))
    shell.run(20)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 70, "hold": 20}
    assert (lasted(cdr, 0), lasted(cdr, 1), lasted(cdr, 2)) == (caller, anna, cleo)
    assert (cdr.transferred_by, cdr.agent, cdr.outcome) == (by, "anna", "answered")


def test_semi_attended_the_wait_is_ringing_and_who_asked_stays_until_somebody_answers() -> None:
    books = consults(Phone(answers_after_s=18.0))
    shell = books.shell
    shell.run(10)
    shell.send(inp.CompleteTransfer(agent="anna", call="c"))
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 52, "hold": 10, "ring": 8}
    assert lasted(cdr, 0) == [("talk", 30), ("hold", 10), ("ring", 8), ("talk", 22)]
    assert lasted(cdr, 1) == [("talk", 30), ("consult", 10), ("ring", 8)]
    assert cdr.transferred_by == ("agent:anna",)


@pytest.mark.parametrize("completes", [False, True])
@pytest.mark.parametrize("fails", ["busy", "rejected", "unreachable", "no_answer"])
def test_who_cannot_be_had_gives_the_conversation_back(fails: str, completes: bool) -> None:
    """Before or after the transfer was completed: A and anna talk on, and nobody was transferred."""
    books = consults(NEVER if fails == "no_answer" else Phone(fails=fails, fails_after_s=2.0))
    shell = books.shell
    if completes:
        shell.run(1)
        shell.send(inp.CompleteTransfer(agent="anna", call="c"))
    shell.run(59 if completes else 60)
    assert {shell.engine.state.legs[one].agent for one in shell.engine.state.calls["c"].parties} == {None, "anna"}
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert cdr.transferred_by == ()
    assert cdr.talk_ms + cdr.hold_ms + cdr.ring_ms == 90_000
    if not completes:
        assert cdr.ring_ms == 0
        assert [one.then for one in shell.of(ev.ConsultationEnded)] == ["returned"]


def test_caller_who_hangs_up_while_somebody_is_asked_ends_the_call_or_leaves_the_two() -> None:
    for answers, left in ((NEVER, 0), (Phone(answers_after_s=5.0), 2)):
        books = consults(answers)
        shell = books.shell
        shell.run(20)
        shell.send(inp.LegReleased(leg="c-in"))
        assert sum(len(call.parties) for call in shell.engine.state.calls.values()) == left
        if left:
            shell.run(10)
            shell.send(inp.HangUp(agent="anna", call="c"))
        cdr = books.only()
        assert parts(cdr) == ({"talk": 40, "hold": 20} if left else {"talk": 30, "hold": 20})


def test_number_outside_that_is_asked_costs_from_its_answer_to_its_end() -> None:
    books = consults(NEVER, ToOutside(number="+4930123456"), out=Phone(answers_after_s=5.0))
    shell = books.shell
    shell.run(20)
    shell.send(inp.CompleteTransfer(agent="anna", call="c"))
    shell.run(40)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 70, "hold": 20}
    assert (cdr.legs[2].role, cdr.legs[2].billable_ms, cdr.legs[2].forward_reason) == ("destination", 55_000, None)


def test_who_listens_changes_no_figure_of_the_conversation_and_none_of_its_own_day() -> None:
    books = a_house(anna=AT_ONCE, cleo=AT_ONCE)
    shell = books.shell
    arrives(shell, "700")
    shell.run(10)
    configuration = shell.engine.state.configuration
    assert configuration is not None
    shell.send(inp.Configured(configuration=msgspec.structs.replace(configuration, supervision_notice=False)))
    shell.send(inp.Supervise(agent="cleo", call="c", mode="listen"))
    shell.run(20)
    shell.send(inp.Supervise(agent="cleo", call="c", mode="whisper"))
    shell.run(10)
    shell.send(inp.HangUp(agent="cleo", call="c"))
    shell.run(20)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60}
    assert (lasted(cdr, 0), lasted(cdr, 1), lasted(cdr, 2)) == ([("talk", 60)], [("talk", 60)], [("supervise", 30)])
    assert cdr.legs[2].role == "supervisor"
    answered = {one.id: one.answered_today for one in shell.engine.live_at(shell.now).agents}
    assert answered["cleo"] == 0


def test_who_was_not_told_is_not_listened_to_whoever_brings_them_in() -> None:
    """The caller has heard the queue's notice; who is asked outside has not, be it in the consultation or in a conference."""
    books = a_house(anna=AT_ONCE, ben=NEVER, cleo=AT_ONCE, out=AT_ONCE)
    shell = books.shell
    configuration = shell.engine.state.configuration
    assert configuration is not None
    queues = tuple(msgspec.structs.replace(one, supervised=True) for one in configuration.queues)
    shell.send(inp.Configured(configuration=msgspec.structs.replace(configuration, queues=queues)))
    arrives(shell, "601")
    shell.run(30)
    shell.send(inp.Supervise(agent="cleo", call="c", mode="listen"))
    shell.run(1)
    caller, anna, listener = (
        "c-in",
        *(next(leg.id for leg in shell.engine.state.legs.values() if leg.agent == one) for one in ("anna", "cleo")),
    )
    assert shell.heard_by(listener) == {caller, anna}
    shell.send(inp.Consult(agent="anna", call="c", target=ToOutside(number="+4930123456")))
    shell.run(1)
    (outside,) = shell.engine.state.legs.keys() - {caller, anna, listener}
    assert (shell.heard_by(listener), shell.heard_by(anna)) == ({anna}, {outside})
    shell.send(inp.Conference(agent="anna", call="c"))
    assert (shell.heard_by(listener), shell.heard_by(anna)) == ({caller, anna}, {caller, outside})
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(1)
    assert shell.heard_by(listener) == {anna}


def test_agent_who_asks_a_queue_hears_its_notice_and_the_caller_was_told_nothing() -> None:
    books = a_house(anna=AT_ONCE, cleo=AT_ONCE, ben=AT_ONCE)
    shell = books.shell
    configuration = shell.engine.state.configuration
    assert configuration is not None
    queues = tuple(msgspec.structs.replace(one, supervised=True) for one in configuration.queues)
    shell.send(inp.Configured(configuration=msgspec.structs.replace(configuration, queues=queues)))
    arrives(shell, "700")
    shell.run(10)
    shell.send(inp.Consult(agent="anna", call="c", target=ToQueue(queue="support")))
    shell.run(30)
    assert {shell.engine.state.legs[one].agent for one in shell.engine.state.calls["c"].parties} == {"anna", "ben"}
    shell.send(inp.CompleteTransfer(agent="anna", call="c"))
    with pytest.raises(IllegalTransition, match="the caller was not told"):
        shell.send(inp.Supervise(agent="cleo", call="c", mode="listen"))


def test_recording_that_goes_through_a_transfer_began_with_the_first_talk() -> None:
    cdr = transferred("601").only()
    (one,) = recorded(cdr)
    assert one.began_at == cdr.answered_at


def test_who_barges_in_talks_and_who_hangs_up_leaves_the_others() -> None:
    books = a_house(anna=AT_ONCE, cleo=AT_ONCE)
    shell = books.shell
    arrives(shell, "700")
    shell.run(10)
    shell.send(inp.Supervise(agent="cleo", call="c", mode="barge"))
    shell.run(20)
    shell.send(inp.HangUp(agent="anna", call="c"))
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60}
    assert sum(seconds for kind, seconds in lasted(cdr, 2) if kind == "talk") == 50
    assert {kind for kind, _ in lasted(cdr, 2)} == {"talk"}


def test_who_only_listens_and_holds_by_the_own_phone_cuts_nobody_elses_talk() -> None:
    books = a_house(anna=AT_ONCE, cleo=AT_ONCE)
    shell = books.shell
    configuration = shell.engine.state.configuration
    assert configuration is not None
    shell.send(inp.Configured(configuration=msgspec.structs.replace(configuration, supervision_notice=False)))
    arrives(shell, "700")
    shell.run(10)
    shell.send(inp.Supervise(agent="cleo", call="c"))
    shell.run(10)
    shell.send(inp.LegHeldByParty(leg="c.2"))
    shell.run(10)
    shell.send(inp.LegRetrievedByParty(leg="c.2"))
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert (lasted(cdr, 0), lasted(cdr, 1), lasted(cdr, 2)) == ([("talk", 60)], [("talk", 60)], [("supervise", 50)])


def test_one_of_three_who_holds_and_is_back_cuts_nobody_elses_talk() -> None:
    books = consults(AT_ONCE)
    shell = books.shell
    shell.run(10)
    shell.send(inp.Conference(agent="anna", call="c"))
    shell.run(10)
    shell.send(inp.LegHeldByParty(leg="c.2"))
    shell.run(10)
    shell.send(inp.LegRetrievedByParty(leg="c.2"))
    shell.run(10)
    shell.send(inp.LegReleased(leg="c.2"))
    shell.run(10)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert lasted(cdr, 0) == [("talk", 30), ("hold", 10), ("talk", 30), ("talk", 10)]
    assert lasted(cdr, 2) == [("consult", 10), ("talk", 10), ("hold", 10), ("talk", 10)]
    assert parts(cdr) == {"talk": 70, "hold": 10}
