"""Calls through a queue, from the caller's arrival to the agent's next call."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Overflow, Relaxation, Site, SkillRequirement, ToAnnouncement, ToHangUp, ToMenu, ToQueue
from acd.core.errors import UnknownName
from acd.switch.causes import telling
from tests.acd.core.shell import T0, Phone, agent, call, house, open_house, queue

NEVER = Phone(answers_after_s=None)


def kinds(events: list[ev.Event]) -> list[str]:
    return [type(one).__name__ for one in events]


def test_caller_reaches_the_free_agent_and_everything_is_given_back() -> None:
    shell = open_house()
    call(shell, name="c")
    assert kinds(shell.effects)[:4] == ["AnswerCaller", "PlaySounds", "PopScreen", "OriginateToAgent"]
    shell.run(2)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    assert kinds(shell.journal[-1].events) == [
        "LegCleared", "ChannelReleased", "LegCleared", "AfterCallWorkBegan", "CallCleared",
    ]  # fmt: skip
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="hang_up")]
    shell.run(10)
    assert shell.of(ev.WorkDone) == [ev.WorkDone(agent="anna", contact="c", outcome="handled")]
    assert not any((shell.engine.state.calls, shell.engine.state.lines))


def test_an_answer_cuts_the_greeting_at_once() -> None:
    shell = open_house(anna=Phone(answers_after_s=0.5))
    call(shell, name="c")
    shell.run(0.5)
    assert shell.bridges
    assert not shell.plays
    shell.run(10)
    assert shell.of(ev.SoundsFinished) == []


def test_who_waits_hears_greeting_position_music_and_the_position_again() -> None:
    shell = open_house(ready=False)
    call(shell, name="c")
    shell.run(45)
    assert [(one.purpose, one.loop) for one in shell.of(ev.SoundsStarted)] == [
        ("greeting", False), ("position", False), ("music", True), ("position", False), ("music", True),
    ]  # fmt: skip
    assert shell.of(ev.SoundsStarted)[1].sounds == ("queue.position", "number.1")


def test_a_freed_agent_gets_the_next_caller_in_the_same_step() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)))
    call(shell, name="c1")
    shell.run(3)
    call(shell, name="c2")
    events = shell.send(inp.LegReleased(leg="c1-in"))
    assert [one.contact for one in events if isinstance(one, ev.OfferMade)] == ["c2"]


def test_caller_who_hangs_up_while_agent_rings_is_counted_abandoned() -> None:
    shell = open_house(anna=NEVER)
    call(shell, name="c")
    shell.run(1)
    events = shell.send(inp.LegReleased(leg="c-in"))
    assert [one.outcome for one in events if isinstance(one, ev.QueueLeft | ev.OfferEnded | ev.WorkDone)] == ["abandoned"] * 3
    assert shell.done(ef.ReleaseLeg)[-1].leg == "c.1"
    assert shell.of(ev.CallCleared)[-1].cause == "abandoned"
    assert not shell.legs


def test_no_answer_makes_the_agent_not_ready_and_offers_the_caller_to_the_next_at_once() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=NEVER)
    call(shell, name="c1")
    shell.run(20)
    offers = shell.of(ev.OfferMade)
    assert [one.decision.chosen for one in offers] == [("anna",), ("ben",)]
    assert shell.journal[-1].now == T0 + 20
    assert shell.engine.state.agents["anna"].reason == "no_answer"
    assert shell.done(ef.ReleaseLeg)[0].cause == "no_answer"


def test_stay_ready_leaves_a_lone_agent_in_peace_for_five_seconds_before_it_rings_again() -> None:
    shell = open_house(house(queues=(queue(redirect_on_no_answer="stay_ready"),)), anna=NEVER)
    call(shell)
    shell.run(24.9)
    assert len(shell.of(ev.OfferMade)) == 1
    shell.run(0.2)
    assert len(shell.of(ev.OfferMade)) == 2
    assert shell.engine.state.agents["anna"].state == "ready"


def test_who_declined_is_not_tried_again_for_thirty_seconds_while_another_has_not_been() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=NEVER)
    shell.send(inp.Dial(agent="ben", call="d", number="+49301"))
    call(shell, name="c")
    shell.run(1)
    shell.send(inp.Decline(agent="anna"))
    shell.run(29.5)
    assert [one.decision.chosen for one in shell.of(ev.OfferMade)] == [("anna",)]
    shell.run(1)
    second = shell.of(ev.OfferMade)[1].decision
    assert second.chosen == ("anna",)
    assert second.removed["busy"] == ("ben",)


def test_declining_keeps_the_caller_s_place() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), ready=False, anna=NEVER, ben=NEVER)
    call(shell, name="c1")
    shell.run(1)
    call(shell, name="c2")
    shell.send(inp.LogOn(agent="anna", ready=True))
    shell.send(inp.Decline(agent="anna"))
    # Anna is left in peace by c1 and gets c2; whoever comes next gets c1, who is still first.
    shell.send(inp.LogOn(agent="ben", ready=True))
    assert [(one.contact, one.decision.chosen) for one in shell.of(ev.OfferMade)] == [
        ("c1", ("anna",)),
        ("c2", ("anna",)),
        ("c1", ("ben",)),
    ]
    assert [one.position for one in shell.engine.live().queues[0].waiting] == [1, 2]


@pytest.mark.parametrize(
    ("cause", "outcome", "reason"),
    [
        ("busy", "declined", None),
        ("rejected", "declined", None),
        ("unreachable", "failed", "unreachable"),
        ("unregistered", "failed", "unreachable"),
        ("unsupported_media", "failed", "device_failed"),
        ("forwarded", "declined", None),
        ("no_answer", "no_answer", "no_answer"),
    ],
)
def test_a_phone_that_fails_costs_the_caller_nothing(cause: str, outcome: str, reason: str | None) -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=Phone(fails=cause))
    call(shell)
    shell.run(3)
    assert [one.outcome for one in shell.of(ev.OfferEnded)] == [outcome, "answered"]
    assert shell.engine.state.agents["anna"].reason == reason
    assert shell.bridges


def test_nobody_overtakes_and_ties_go_by_arrival() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)), ready=False, anna=Phone(answers_after_s=0.0))
    for n in range(20):
        call(shell, name=f"c{n:02}")
        shell.run(0.001)
    shell.send(inp.LogOn(agent="anna", ready=True))
    for n in range(20):
        shell.run(1)
        shell.send(inp.LegReleased(leg=f"c{n:02}-in"))
    assert [one.call for one in shell.of(ev.CallEstablished)] == [f"c{n:02}" for n in range(20)]


def test_priority_is_worth_seconds_and_is_capped() -> None:
    queues = (queue("normal"), queue("vip", priority_s=60.0), queue("huge", priority_s=9999.0, priority_cap_s=100.0))
    shell = open_house(house(queues=queues), ready=False)
    call(shell, "601", "old")
    shell.run(101)
    call(shell, "602", "vip")
    call(shell, "603", "huge")
    call(shell, "601", "new")
    shell.send(inp.LogOn(agent="anna", ready=True))
    for expected in ("old", "huge", "vip", "new"):
        assert shell.of(ev.OfferMade)[-1].contact == expected
        shell.send(inp.LegReleased(leg=f"{expected}-in"))


def test_decision_says_who_was_removed_and_why() -> None:
    people = (
        agent("anna"),
        agent("ben", skills={"support": 2}),
        agent("clara", mode="outbound"),
        agent("dora"),
        agent("emil"),
        agent("fritz"),
        agent("gerd"),
    )
    shell = open_house(
        house(
            agents=people,
            queues=(
                queue(
                    requirements=(SkillRequirement(skill="support", level=3),), members=("anna", "ben", "clara", "dora", "fritz", "gerd")
                ),
            ),
        ),
        ready=False,
    )
    shell.send(inp.LogOn(agent="anna", ready=True), inp.LogOn(agent="dora"), inp.LogOn(agent="gerd", ready=True))
    shell.send(inp.DeviceUnregistered(agent="gerd", contact="sip:gerd@127.0.0.1"))
    call(shell)
    decision = shell.of(ev.OfferMade)[0].decision
    assert decision.removed == {
        "not_member": ("emil",), "skill": ("ben",), "mode": ("clara",),
        "logged_off": ("fritz",), "not_ready": ("dora",), "unregistered": ("gerd",),
    }  # fmt: skip
    assert decision.requirements == (("support", 3),)
    assert decision.chosen == ("anna",)


@pytest.mark.parametrize(
    ("strategy", "order"),
    [("longest_idle", "abc"), ("best_skill", "cba"), ("round_robin", "abc"), ("fewest_calls", "abc")],
)
def test_strategies(strategy: str, order: str) -> None:
    people = tuple(agent(name, skills={"support": level}) for name, level in (("a", 3), ("b", 5), ("c", 9)))
    quick = {name: Phone(answers_after_s=0.0) for name in "abc"}
    shell = open_house(house(agents=people, queues=(queue(strategy=strategy, after_call_work_s=0.0),)), ready=False, **quick)
    for name in "abc":
        shell.run(1)
        shell.send(inp.LogOn(agent=name, ready=True))
    for n in range(3):
        call(shell, name=f"c{n}")
        shell.run(1)
    assert "".join(one.decision.chosen[0] for one in shell.of(ev.OfferMade)) == order


def test_round_robin_goes_on_behind_the_last_one() -> None:
    people = tuple(agent(name) for name in "abc")
    shell = open_house(
        house(agents=people, queues=(queue(strategy="round_robin", after_call_work_s=0.0),)),
        **{n: Phone(answers_after_s=0.0) for n in "abc"},
    )
    for n in range(5):
        call(shell, name=f"c{n}")
        shell.run(1)
        shell.send(inp.LegReleased(leg=f"c{n}-in"))
    assert "".join(one.decision.chosen[0] for one in shell.of(ev.OfferMade)) == "abcab"


def test_ring_all_first_answer_wins_and_the_others_count_no_missed_call() -> None:
    people = tuple(agent(name) for name in "abc")
    shell = open_house(house(agents=people, queues=(queue(strategy="ring_all"),)), a=NEVER, b=Phone(answers_after_s=1.0), c=NEVER)
    call(shell, name="c")
    assert len(shell.done(ef.OriginateToAgent)) == 3
    shell.run(1)
    assert {(one.agent, one.outcome) for one in shell.of(ev.OfferEnded)} == {
        ("a", "answered_elsewhere"),
        ("b", "answered"),
        ("c", "answered_elsewhere"),
    }
    assert {one.cause for one in shell.done(ef.ReleaseLeg)} == {"answered_elsewhere"}
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


def test_answers_that_cross_are_released_and_never_connected_twice() -> None:
    people = tuple(agent(name) for name in "ab")
    shell = open_house(house(agents=people, queues=(queue(strategy="ring_all"),)), a=NEVER, b=NEVER)
    call(shell, name="c")
    shell.send(inp.LegAnswered(leg="c.1"))
    step = shell.engine.handle(inp.LegAnswered(leg="c.2"), shell.now)
    assert step.events == []
    assert step.effects == [ef.ReleaseLeg(leg="c.2", cause="answered_elsewhere")]
    assert len(shell.of(ev.CallEstablished)) == 1


def test_skills_relax_with_time_and_the_record_says_so() -> None:
    asked = (SkillRequirement(skill="support", level=9),)
    eased = (
        Relaxation(after_s=15.0, requirements=(SkillRequirement(skill="support", level=5),)),
        Relaxation(after_s=30.0, requirements=()),
    )
    shell = open_house(house(queues=(queue(requirements=asked, relaxations=eased),)))
    call(shell)
    shell.run(14.9)
    assert shell.of(ev.OfferMade) == []
    shell.run(0.2)
    decision = shell.of(ev.OfferMade)[0].decision
    assert decision.relaxation == 1
    assert decision.requirements == (("support", 5),)


def test_overflow_by_length_takes_only_the_newcomer() -> None:
    queues = (queue("small", overflow=(Overflow(target=ToQueue(queue="big"), max_length=1),)), queue("big"))
    shell = open_house(house(queues=queues), ready=False)
    call(shell, "601", "c1")
    assert shell.engine.state.queues["small"].state == "overflowing"
    call(shell, "601", "c2")
    assert [(one.contact, one.queue) for one in shell.of(ev.Queued)] == [("c1", "small"), ("c2", "small"), ("c2", "big")]
    assert shell.of(ev.QueueLeft)[0].detail == "max_length 1"
    shell.send(inp.LegReleased(leg="c1-in"))
    assert shell.engine.state.queues["small"].state == "open"


def test_overflow_by_waiting_time_stands_still_while_the_caller_is_offered() -> None:
    rule = Overflow(target=ToAnnouncement(sounds=("all_busy",)), max_wait_s=10.0)
    shell = open_house(house(queues=(queue(overflow=(rule,)),)), ready=False, anna=NEVER)
    call(shell, name="c")
    shell.run(5)
    shell.send(inp.LogOn(agent="anna", ready=True))
    shell.run(19)
    assert shell.of(ev.QueueLeft) == []
    shell.run(1.5)
    assert shell.of(ev.QueueLeft)[0].outcome == "overflowed"
    shell.run(5)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="announced")]


def test_nobody_logged_on_overflows_at_the_door_and_when_the_last_one_leaves() -> None:
    rule = Overflow(target=ToAnnouncement(sounds=("all_busy",)), no_agents=True)
    shell = open_house(house(queues=(queue(overflow=(rule,)),)), ready=False)
    call(shell, name="c1")
    assert shell.of(ev.QueueLeft)[0].detail == "no_agents"
    shell.send(inp.LogOn(agent="anna"))
    call(shell, name="c2")
    assert len(shell.of(ev.QueueLeft)) == 1
    shell.send(inp.LogOff(agent="anna"))
    assert [one.contact for one in shell.of(ev.QueueLeft)] == ["c1", "c2"]


def test_exit_key_leaves_the_queue_and_stops_the_phone_that_rings() -> None:
    shell = open_house(
        house(
            queues=(queue(exit_key="9", exit_target=ToQueue(queue="other")), queue("other", requirements=(SkillRequirement(skill="x"),)))
        ),
        anna=NEVER,
    )
    call(shell, name="c")
    shell.send(inp.DigitPressed(leg="c-in", digit="5"))
    assert shell.of(ev.DigitReceived) == []
    shell.send(inp.DigitPressed(leg="c-in", digit="9"))
    assert [(one.outcome, one.queue) for one in shell.of(ev.QueueLeft)] == [("exited", "support")]
    assert [one.outcome for one in shell.of(ev.OfferEnded)] == ["withdrawn"]
    assert shell.of(ev.Queued)[-1].queue == "other"


def test_a_circle_of_targets_ends() -> None:
    ring = (
        queue("a", overflow=(Overflow(target=ToQueue(queue="b"), max_length=0),)),
        queue("b", overflow=(Overflow(target=ToQueue(queue="a"), max_length=0),)),
    )
    shell = open_house(house(queues=ring))
    call(shell, name="c")
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="routing_loop")]
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == 482


def test_no_phone_rings_for_who_still_hears_the_recording_notice() -> None:
    """docs/figures.md §8: the notice lasts 2 s; nobody takes a call and waits for its rest."""
    shell = open_house(house(queues=(queue(record=True, service_level_s=2.4),)), anna=Phone(answers_after_s=0.5))
    call(shell, name="c")
    shell.run(1.9)
    assert shell.of(ev.OfferMade) == []
    (line,) = shell.engine.live_at(shell.now).queues
    assert [(one.state, one.waited_s) for one in line.waiting] == [("waiting", pytest.approx(1.9))]
    assert shell.engine.why_waiting("c", shell.now).hears_notice
    shell.run(0.2)
    assert [one.contact for one in shell.of(ev.OfferMade)] == ["c"]
    assert not shell.engine.why_waiting("c", shell.now).hears_notice
    shell.run(0.5)
    assert shell.bridges
    assert [type(one).__name__ for one in shell.effects[-2:]] == ["ArrangeAudio", "BeginRecording"]
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(1)
    assert shell.of(ev.RecordingKept)[0].call == "c"
    # The caller has waited from entering the queue, whatever was to be heard: 2.5 s, and not in time.
    tally = shell.engine.state.statistics.queues["support"]
    assert (tally.answer_wait_s, tally.answered_in_time) == (pytest.approx(2.5), 0)


def test_who_has_heard_the_notice_does_not_wait_for_those_who_are_still_told() -> None:
    """The one before is offered when it has heard it, at its old place."""
    plain = queue("plain", requirements=())
    shell = open_house(house(queues=(queue(record=True), plain)), anna=Phone(answers_after_s=0.5))
    call(shell, name="told")
    shell.run(1)
    call(shell, "602", name="plain")
    assert [one.contact for one in shell.of(ev.OfferMade)] == ["plain"]
    shell.run(1)
    call(shell, "602", name="behind")
    shell.send(inp.LegReleased(leg="plain-in"))
    shell.send(inp.EndAfterCallWork(agent="anna"))
    assert [one.contact for one in shell.of(ev.OfferMade)] == ["plain", "told"]


def test_who_leaves_during_the_notice_has_cost_nobody_anything() -> None:
    shell = open_house(house(queues=(queue(record=True),)))
    call(shell, name="c")
    shell.run(1.5)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(10)
    assert (shell.of(ev.OfferMade), shell.of(ev.RecordingBegan)) == ([], [])
    assert [one.outcome for one in shell.of(ev.QueueLeft)] == ["abandoned"]


def test_the_limit_of_a_wait_holds_during_the_notice() -> None:
    shell = open_house(house(queues=(queue(record=True, overflow=(Overflow(target=ToHangUp(), max_wait_s=1.0),)),)))
    call(shell, name="c")
    shell.run(3)
    assert shell.of(ev.OfferMade) == []
    assert [one.outcome for one in shell.of(ev.QueueLeft)] == ["overflowed"]


def test_a_notice_that_cannot_be_played_means_no_recording() -> None:
    shell = open_house(house(queues=(queue(record=True),)))
    call(shell, name="c")
    shell.send(inp.SoundsEnded(leg="c-in", play="c-in/p1", outcome="unknown_sound"))
    assert [one.contact for one in shell.of(ev.OfferMade)] == ["c"]
    shell.run(5)
    assert shell.bridges
    assert shell.done(ef.BeginRecording) == []


def test_a_phone_that_is_gone_while_it_rings_does_not_lose_the_caller() -> None:
    shell = open_house(anna=Phone(answers_after_s=None))
    call(shell, name="c")
    shell.run(1)
    shell.send(inp.LegReleased(leg="c.1"))
    assert "c" in shell.engine.state.calls
    assert shell.of(ev.OfferEnded)[0].outcome == "declined"
    shell.phones["anna"] = Phone(answers_after_s=0.5)
    shell.run(7)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


def test_the_eleventh_channel_of_a_site_is_not_offered() -> None:
    people = tuple(agent(f"a{n:02}", site="main") for n in range(12))
    shell = open_house(house(agents=people, sites=(Site(id="main", upload_kbits=1000),)))
    for n in range(11):
        call(shell, name=f"c{n}")
    assert len(shell.done(ef.OriginateToAgent)) == 10
    assert shell.engine.live().lines[0].reserved_kbits == 1000
    shell.run(3)
    events = shell.send(inp.LegReleased(leg="c0-in"))
    # Its channel is free again, so the eleventh caller is offered in the same step.
    assert [one.contact for one in events if isinstance(one, ev.OfferMade)] == ["c10"]


def test_a_site_with_999_kbits_carries_nine() -> None:
    people = tuple(agent(f"a{n:02}", site="main") for n in range(12))
    shell = open_house(house(agents=people, sites=(Site(id="main", upload_kbits=999),)))
    for n in range(11):
        call(shell, name=f"c{n}")
    assert len(shell.done(ef.OriginateToAgent)) == 9


def test_closed_and_hanging_up_targets_refuse_before_answering() -> None:
    shell = open_house(house(queues=(queue(overflow=(Overflow(target=ToHangUp(), max_length=0),)),)))
    call(shell)
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == 486
    assert shell.done(ef.AnswerCaller) == []


def test_unknown_menu_target_never_strands_a_caller() -> None:
    configuration = house()
    broken = configuration.numbers[0].__class__(number="700", target=ToMenu(menu="gone"))
    shell = open_house()
    changed = type(configuration)(
        **{name: getattr(configuration, name) for name in configuration.__struct_fields__} | {"numbers": (broken,)}
    )
    shell.send(inp.Configured(configuration=changed))
    call(shell, "700", "c")
    shell.run(5)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="not_found")]


def test_longest_idle_counts_from_the_end_of_the_last_work() -> None:
    people = (agent("a"), agent("b"))
    quick = Phone(answers_after_s=0.0)
    shell = open_house(house(agents=people, queues=(queue(after_call_work_s=2.0),)), ready=False, a=quick, b=quick)
    shell.send(inp.LogOn(agent="a", ready=True))
    shell.run(1)
    shell.send(inp.LogOn(agent="b", ready=True))
    for n in range(5):
        shell.run(5)
        call(shell, name=f"c{n}")
        shell.run(5)
        shell.send(inp.LegReleased(leg=f"c{n}-in"))
    assert "".join(one.decision.chosen[0] for one in shell.of(ev.OfferMade)) == "ababa"


def test_a_second_click_on_ready_does_not_cost_the_place_among_the_idle() -> None:
    shell = open_house(house(agents=(agent("a"), agent("b"))), ready=False)
    for name in "ab":
        shell.send(inp.LogOn(agent=name, ready=True))
        shell.run(1)
    shell.send(inp.GoReady(agent="a"))
    call(shell)
    assert shell.of(ev.OfferMade)[0].decision.chosen == ("a",)


def test_ring_all_that_nobody_answers_leaves_everybody_ready() -> None:
    people = tuple(agent(name) for name in "ab")
    shell = open_house(house(agents=people, queues=(queue(strategy="ring_all"),)), a=NEVER, b=NEVER)
    call(shell)
    shell.run(20)
    assert [one.outcome for one in shell.of(ev.OfferEnded)] == ["no_answer", "no_answer"]
    assert {one.state for one in shell.engine.state.agents.values()} == {"ready"}
    shell.run(5)
    assert [one.decision.chosen for one in shell.of(ev.OfferMade)] == [("a", "b"), ("a", "b")]


def test_who_has_been_tried_is_in_the_record() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=NEVER, ben=NEVER)
    call(shell)
    shell.send(inp.Decline(agent="anna"))
    assert shell.of(ev.OfferMade)[1].decision.removed == {"already_tried": ("anna",)}


def test_contacts_that_nobody_free_could_take_are_named_as_ahead() -> None:
    queues = (queue("hard", requirements=(SkillRequirement(skill="latin"),)), queue("easy"))
    shell = open_house(house(queues=queues), ready=False)
    for n in range(25):
        call(shell, "601", f"h{n:02}")
    shell.run(1)
    call(shell, "602", "e")
    shell.send(inp.LogOn(agent="anna", ready=True))
    decision = shell.of(ev.OfferMade)[0].decision
    assert (decision.ahead_count, decision.ahead[0], len(decision.ahead)) == (25, "h00/q1", 20)


def test_a_large_team_is_ranked_whole_but_written_short() -> None:
    people = tuple(agent(f"a{n:03}") for n in range(50))
    shell = open_house(house(agents=people))
    call(shell)
    decision = shell.of(ev.OfferMade)[0].decision
    assert (len(decision.candidates), len(decision.ranked_lower)) == (32, 18)
    assert {*(one.agent for one in decision.candidates), *decision.ranked_lower} == {one.id for one in people}


def test_why_still_waiting_is_answered_for_every_agent() -> None:
    people = (agent("anna"), agent("ben", skills={}), agent("clara"), agent("dora", site="s"), agent("emil"))
    eased = (Relaxation(after_s=60.0, requirements=()),)
    shell = open_house(
        house(agents=people, queues=(queue(relaxations=eased),), sites=(Site(id="s", upload_kbits=99),)),
        ready=False,
        emil=NEVER,
    )
    shell.send(inp.LogOn(agent="clara"), inp.LogOn(agent="dora", ready=True), inp.LogOn(agent="emil", ready=True))
    call(shell, name="c")
    shell.send(inp.Decline(agent="emil"))
    shell.run(2)
    why = shell.engine.why_waiting("c", shell.now)
    assert why.removed == {
        "skill": ("ben",),
        "logged_off": ("anna",),
        "not_ready": ("clara",),
        "already_tried": ("emil",),
        "no_bandwidth": ("dora",),
    }
    assert (why.waited_s, why.relaxation, why.next_relaxation_at) == (2.0, 0, T0 + 60)
    with pytest.raises(UnknownName):
        shell.engine.why_waiting("other", shell.now)


def test_a_call_nobody_took_is_queued_again_and_not_ringing() -> None:
    shell = open_house(anna=NEVER)
    call(shell, name="c")
    shell.run(1)
    assert shell.engine.live().calls[0].state == "alerting"
    shell.send(inp.Decline(agent="anna"))
    assert shell.engine.live().calls[0].state == "queued"


def test_who_says_again_to_be_ready_is_asked_again_at_once() -> None:
    shell = open_house(anna=NEVER)
    call(shell)
    shell.send(inp.Decline(agent="anna"))
    assert len(shell.of(ev.OfferMade)) == 1
    shell.send(inp.GoReady(agent="anna"))
    assert len(shell.of(ev.OfferMade)) == 2


def test_when_the_last_untried_agent_leaves_the_others_are_tried_again() -> None:
    """Found by the storm: the caller waited for somebody who had gone."""
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=NEVER)
    shell.send(inp.Dial(agent="ben", call="d", number="+49301"))
    call(shell, name="c")
    shell.send(inp.Decline(agent="anna"))
    shell.run(10)
    assert len(shell.of(ev.OfferMade)) == 1
    events = shell.send(inp.GoNotReady(agent="ben", reason="break"))
    assert [one.decision.chosen for one in events if isinstance(one, ev.OfferMade)] == [("anna",)]
