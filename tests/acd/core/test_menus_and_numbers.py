"""Numbers, menus, hours and announcements: what a caller meets before a person."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Menu, Number, Opening, Schedule, ToAgent, ToAnnouncement, ToHangUp, ToMenu, ToOutside, ToQueue, Trunk
from acd.core.engine import Engine
from acd.switch.causes import telling
from tests.acd.core.shell import T0, Phone, Shell, agent, call, house, open_house, queue

NEVER = Phone(answers_after_s=None)
MENU = Menu(
    id="main",
    sounds=("menu.main",),
    options={"1": ToQueue(queue="support"), "2": ToMenu(menu="main")},
    fallback=ToAnnouncement(sounds=("bye",)),
)


def with_menu(**more: object) -> Shell:
    return open_house(house(menus=(MENU,), numbers=(Number(number="600", target=ToMenu(menu="main")),), **more))


def test_a_key_while_the_menu_speaks_chooses() -> None:
    shell = with_menu()
    call(shell, "600", "c")
    shell.run(0.5)
    events = shell.send(inp.DigitPressed(leg="c-in", digit="1"))
    assert [type(one).__name__ for one in events][:3] == ["DigitReceived", "MenuLeft", "Queued"]
    assert shell.plays["c-in"].sounds == ("queue.greeting",)
    shell.run(5)
    assert shell.bridges


def test_silence_repeats_the_menu_and_then_falls_back() -> None:
    shell = with_menu()
    call(shell, "600", "c")
    shell.run(3 * (2 + 6) - 0.1)
    assert [one.purpose for one in shell.of(ev.SoundsStarted)] == ["menu"] * 3
    shell.run(3)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="announced")]
    assert shell.of(ev.MenuLeft) == [ev.MenuLeft(call="c", menu="main", digit=None)]


def test_an_invalid_key_is_told_so_and_counts_as_a_repeat() -> None:
    shell = with_menu()
    call(shell, "600", "c")
    for _ in range(2):
        shell.send(inp.DigitPressed(leg="c-in", digit="7"))
        assert shell.plays["c-in"].sounds == ("invalid_choice", "menu.main")
    shell.send(inp.DigitPressed(leg="c-in", digit="7"))
    assert shell.plays["c-in"].sounds == ("bye",)


def test_a_menu_says_what_each_key_leads_to_every_time_it_speaks() -> None:
    menu = msgspec.structs.replace(MENU, says_options=True, labels={"2": ("again",)})
    shell = open_house(house(menus=(menu,), numbers=(Number(number="600", target=ToMenu(menu="main")),)))
    said = (
        *("menu.main", "tone/pause", "menu.for", "department.support", "menu.press", "number.1"),
        *("tone/pause", "menu.for", "again", "menu.press", "number.2"),
    )
    call(shell, "600", "c")
    assert shell.plays["c-in"].sounds == said
    shell.send(inp.DigitPressed(leg="c-in", digit="7"))
    assert shell.plays["c-in"].sounds == ("invalid_choice", *said)
    shell.run(60)
    assert [one.sounds for one in shell.of(ev.SoundsStarted) if one.purpose == "menu"] == [said, ("invalid_choice", *said), said]


def test_a_play_without_one_of_its_sounds_goes_on_as_one_that_was_heard() -> None:
    shell = with_menu()
    call(shell, "600", "c")
    ended = inp.SoundsEnded(leg="c-in", play=shell.plays["c-in"].play, left_out=("menu.main",))
    assert shell.send(ended) == [ev.SoundsFinished(leg="c-in", play=ended.play, left_out=("menu.main",))]
    shell.run(6.1)
    assert len(shell.of(ev.SoundsStarted)) == 2


def test_a_notice_that_was_left_out_was_not_heard() -> None:
    """§ 201 StGB: nobody is recorded who was not told."""
    shell = open_house(house(queues=(queue("support", record=True),), recording_notice=True))
    call(shell, "601", "c")
    play = shell.plays["c-in"]
    assert play.sounds == ("recording.notice",)
    shell.send(inp.SoundsEnded(leg="c-in", play=play.play, left_out=("de/recording.notice",)))
    assert not shell.engine.state.calls["c"].notice_heard


def test_a_caller_may_walk_in_circles_as_long_as_keys_are_pressed() -> None:
    shell = with_menu()
    call(shell, "600", "c")
    for _ in range(100):
        shell.send(inp.DigitPressed(leg="c-in", digit="2"))
    assert "c" in shell.engine.state.calls


def test_a_menu_that_is_reconfigured_away_does_not_strand_its_caller() -> None:
    shell = with_menu()
    call(shell, "600", "c")
    shell.send(inp.Configured(configuration=house()))
    shell.run(60)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="not_found")]


def test_unknown_number_is_refused_with_404_and_still_written_down() -> None:
    shell = open_house()
    events = shell.send(inp.CallArrived(call="c", leg="c-in", trunk="pbx", calling=None, called="+4999"))
    assert shell.done(ef.RefuseCaller) == [ef.RefuseCaller(leg="c-in", reason="The number +4999 does not exist here.", cause="not_found")]
    assert [type(one).__name__ for one in events] == [
        "CallOffered",
        "LegInitiated",
        "ChannelReserved",
        "LegCleared",
        "ChannelReleased",
        "CallCleared",
    ]


def test_the_eleventh_channel_of_a_trunk_is_refused_with_the_figures() -> None:
    shell = open_house(house(trunks=(Trunk(id="pbx", name="PBX", upload_kbits=1000),)), ready=False)
    for n in range(10):
        call(shell, name=f"c{n}")
    assert shell.done(ef.RefuseCaller) == []
    call(shell, name="c10")
    refused = shell.done(ef.RefuseCaller)[0]
    assert (telling(refused.cause).status, refused.reason) == (503, "trunk pbx: 1000 of 1000 kbit/s reserved, 100 needed")
    assert shell.of(ev.ChannelRefused)[0].reserved_kbits == 1000
    shell.send(inp.LegReleased(leg="c3-in"))
    call(shell, name="c11")
    assert "c11" in shell.engine.state.calls


def test_a_trunk_with_999_kbits_refuses_the_tenth() -> None:
    shell = open_house(house(trunks=(Trunk(id="pbx", name="PBX", upload_kbits=999),)), ready=False)
    for n in range(10):
        call(shell, name=f"c{n}")
    assert [one.reserved_kbits for one in shell.of(ev.ChannelRefused)] == [900]


def test_a_channel_never_costs_less_than_the_floor_and_what_is_measured_above_it() -> None:
    shell = open_house(house(trunks=(Trunk(id="pbx", name="PBX", upload_kbits=1000),)), ready=False)
    call(shell, name="cheap", channel_kbits=30)
    call(shell, name="dear", channel_kbits=110)
    assert [one.kbits for one in shell.of(ev.ChannelReserved)] == [100, 110]


def test_country_and_language_come_from_the_number_that_was_called() -> None:
    numbers = (Number(number="+43720123456", target=ToQueue(queue="support"), language="en", country="AT"),)
    shell = open_house(house(numbers=numbers))
    call(shell, "+43720123456", "c")
    offered = shell.of(ev.CallOffered)[0]
    assert (offered.country, offered.language, offered.number) == ("AT", "en", "+43720123456")
    assert shell.plays["c-in"].language == "en"


def test_nothing_is_taken_in_before_configuration_or_while_shutting_down() -> None:
    shell = Shell(Engine("demo"))
    shell.send(inp.CallArrived(call="c", leg="c-in", trunk="pbx", called="601"))
    assert [(telling(one.cause).status, telling(one.cause).retry_after_s) for one in shell.done(ef.RefuseCaller)] == [(503, 10)]
    shell = open_house()
    shell.send(inp.ServiceStopping())
    call(shell, name="late")
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == 503
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="late", cause="shutdown")]


def moment(*when: int) -> float:
    from zoneinfo import ZoneInfo

    return dt.datetime(*when, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


OFFICE = Schedule(
    id="office", openings=tuple(Opening(weekday=day, opens=8 * 60, closes=18 * 60) for day in range(5)), holiday_region="DE-BY"
)


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ((2025, 6, 16, 7, 59, 59), False),
        ((2025, 6, 16, 8, 0, 0), True),
        ((2025, 6, 16, 17, 59, 59), True),
        ((2025, 6, 16, 18, 0, 0), False),
        ((2025, 6, 21, 12, 0, 0), False),
        ((2025, 6, 19, 12, 0, 0), False),  # Corpus Christi, a holiday in Bavaria
        ((2025, 3, 31, 8, 0, 0), True),  # the day after the clocks went forward
        ((2025, 10, 27, 8, 0, 0), True),
    ],
)
def test_queue_opens_and_closes_by_its_hours(when: tuple[int, ...], is_open: bool) -> None:
    shell = Shell(Engine("demo"), now=moment(*when))
    closed = queue(schedule="office", closed=ToAnnouncement(sounds=("closed",)))
    shell.send(inp.Configured(configuration=house(queues=(closed,), schedules=(OFFICE,))))
    call(shell, name="c")
    assert shell.of(ev.QueueLeft) == ([] if is_open else [ev.QueueLeft(contact="c", entry="c/q1", queue="support", outcome="closed")])


def test_hours_are_a_deadline_and_who_waits_at_closing_time_is_still_served() -> None:
    shell = Shell(Engine("demo"), now=moment(2025, 6, 16, 17, 59, 0))
    shell.send(inp.Configured(configuration=house(queues=(queue(schedule="office"),), schedules=(OFFICE,))))
    call(shell, name="c")
    shell.run(120)
    assert [type(one).__name__ for one in shell.events if isinstance(one, ev.QueueClosed | ev.QueueOpened)] == ["QueueClosed"]
    assert "c" in shell.engine.state.calls
    shell.run(until=moment(2025, 6, 17, 8, 0, 1))
    assert shell.of(ev.QueueOpened) == [ev.QueueOpened(queue="support")]


# ---------------------------------------------------------------------- agents' own phones and numbers outside


def test_a_number_that_leads_to_an_agent_rings_and_is_answered_when_she_answers() -> None:
    shell = open_house(house(numbers=(Number(number="610", target=ToAgent(agent="anna")),)))
    call(shell, "610", "c")
    shell.run(1)
    assert shell.done(ef.RingCaller)
    assert shell.done(ef.AnswerCaller) == []
    shell.run(2)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    assert [type(one).__name__ for one in shell.effects[-2:]] == ["AnswerCaller", "ArrangeAudio"]


@pytest.mark.parametrize(
    ("reason", "phone", "busy", "registered"),
    [("always", None, False, True), ("busy", None, True, True), ("no_answer", NEVER, False, True), ("unregistered", None, False, False)],
)
def test_forwarding_by_reason(reason: str, phone: Phone | None, busy: bool, registered: bool) -> None:
    from acd.core.configuration import Forwarding

    number = "+491701234567"
    people = (agent("anna", forwarding=Forwarding(**{reason: number})),)
    shell = open_house(
        house(agents=people, numbers=(Number(number="610", target=ToAgent(agent="anna")),)), **({"anna": phone} if phone else {})
    )
    if busy:
        call(shell, "601", "first")
        shell.run(3)
    if not registered:
        shell.send(inp.DeviceUnregistered(agent="anna", contact="sip:anna@127.0.0.1"))
    call(shell, "610", "c", calling="+4989555")
    shell.run(30)
    assert [(one.reason, one.by, one.number) for one in shell.of(ev.CallForwarded)] == [(reason, "anna", number)]
    placed = shell.done(ef.OriginateToOutside)[0]
    assert (placed.number, placed.forwarded_from) == (number, "+4989555")
    assert [one.role for one in shell.of(ev.LegInitiated) if one.number == number] == ["forward"]
    assert any("c-in" in bridge for bridge in shell.bridges)


def test_without_forwarding_a_busy_agent_is_busy() -> None:
    shell = open_house(house(numbers=(Number(number="610", target=ToAgent(agent="anna")),)))
    call(shell, "601", "first")
    shell.run(3)
    call(shell, "610", "c")
    assert shell.done(ef.RefuseCaller) == [ef.RefuseCaller(leg="c-in", reason="The called party is busy.", cause="busy")]


def test_a_queue_offer_never_follows_the_agent_s_forwarding() -> None:
    from acd.core.configuration import Forwarding

    shell = open_house(house(agents=(agent("anna", forwarding=Forwarding(always="+49170")),)))
    call(shell)
    shell.run(3)
    assert shell.of(ev.CallForwarded) == []
    assert shell.bridges


def test_outside_target_fails_over_to_the_next_trunk() -> None:
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="second", name="B", order=1))
    shell = open_house(
        house(trunks=trunks, numbers=(Number(number="620", target=ToOutside(number="+4930999")),)),
        pbx=Phone(fails="congestion"),
        second=Phone(),
    )
    call(shell, "620", "c")
    shell.run(3)
    assert [one.trunk for one in shell.done(ef.OriginateToOutside)] == ["pbx", "second"]
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    assert shell.of(ev.CallForwarded)[0].by == "620"


@pytest.mark.parametrize(("cause", "status"), [("busy", 486), ("no_answer", 480), ("not_found", 404)])
def test_a_number_s_own_failure_is_not_tried_again_elsewhere(cause: str, status: int) -> None:
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="second", name="B", order=1))
    shell = open_house(house(trunks=trunks, numbers=(Number(number="620", target=ToOutside(number="+4930999")),)), pbx=Phone(fails=cause))
    call(shell, "620", "c")
    shell.run(3)
    assert len(shell.done(ef.OriginateToOutside)) == 1
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == status
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause=cause)]


def test_a_number_without_a_price_on_one_trunk_is_called_over_the_next_that_has_one() -> None:
    """R15: every trunk has its own plan."""
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="second", name="B", order=1))
    configuration = house(trunks=trunks, numbers=(Number(number="620", target=ToOutside(number="+4930999")),))
    shell = open_house(configuration, pbx=Phone(fails="price_refused"))
    call(shell, "620", "c")
    shell.run(3)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    refused = open_house(configuration, pbx=Phone(fails="price_refused"), second=Phone(fails="price_refused"))
    call(refused, "620", "c")
    refused.run(3)
    assert telling(refused.done(ef.RefuseCaller)[0].cause).status == 403
    assert refused.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="price_refused")]


def test_price_refused_after_a_menu_is_told_and_cleared() -> None:
    menu = Menu(id="main", sounds=("menu.main",), options={"3": ToOutside(number="0900123")}, fallback=ToHangUp())
    shell = open_house(house(menus=(menu,), numbers=(Number(number="600", target=ToMenu(menu="main")),)), pbx=Phone(fails="price_refused"))
    call(shell, "600", "c")
    shell.send(inp.DigitPressed(leg="c-in", digit="3"))
    shell.run(1)
    assert shell.plays["c-in"].sounds == ("unavailable",)
    shell.run(3)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="price_refused")]


def test_a_trunk_that_is_down_is_not_tried() -> None:
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="second", name="B", order=1))
    shell = open_house(house(trunks=trunks, numbers=(Number(number="620", target=ToOutside(number="+4930999")),)))
    shell.send(inp.TrunkChanged(trunk="pbx", up=False, detail="no answer to OPTIONS"))
    call(shell, "620", "c")
    assert [one.trunk for one in shell.done(ef.OriginateToOutside)] == ["second"]
    assert [one.up for one in shell.engine.live().trunks] == [False, True]


def test_moment_helper_is_local() -> None:
    assert moment(2025, 6, 15, 17, 6, 40) == T0


def test_a_queue_may_speak_the_tenant_s_language_instead() -> None:
    numbers = (Number(number="+4420", target=ToQueue(queue="support"), language="en", country="GB"),)
    shell = open_house(house(numbers=numbers, queues=(queue(country_languages=False),)), ready=False)
    call(shell, "+4420", "c")
    assert shell.plays["c-in"].language == "de"


def test_a_closed_menu_goes_where_it_says() -> None:
    menu = Menu(id="main", sounds=("menu.main",), options={}, schedule="never", closed=ToAnnouncement(sounds=("closed",)))
    shell = open_house(
        house(menus=(menu,), schedules=(Schedule(id="never"),), numbers=(Number(number="600", target=ToMenu(menu="main")),)),
    )
    call(shell, "600", "c")
    assert shell.plays["c-in"].sounds == ("closed",)
    shell.run(3)
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="closed")]


def test_without_any_trunk_left_a_forward_is_refused_and_the_figures_are_told() -> None:
    numbers = (Number(number="620", target=ToOutside(number="+4930999")),)
    shell = open_house(
        house(trunks=(Trunk(id="in", name="I", outbound=False), Trunk(id="pbx", name="P", upload_kbits=99)), numbers=numbers)
    )
    call(shell, "620", "c", trunk="in")
    refused = shell.done(ef.RefuseCaller)[0]
    assert (telling(refused.cause).status, refused.reason) == (503, "trunk pbx: 0 of 99 kbit/s reserved, 100 needed")
    shell = open_house(house(trunks=(Trunk(id="in", name="I", outbound=False),), numbers=numbers))
    call(shell, "620", "c", trunk="in")
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="unreachable")]


def test_a_full_trunk_makes_way_for_the_next_one() -> None:
    trunks = (Trunk(id="pbx", name="A", upload_kbits=150), Trunk(id="b", name="B", order=1))
    shell = open_house(house(trunks=trunks, numbers=(Number(number="620", target=ToOutside(number="+4930999")),)))
    call(shell, "620", "c")
    assert [one.line for one in shell.of(ev.ChannelRefused)] == ["trunk:pbx"]
    assert [one.trunk for one in shell.done(ef.OriginateToOutside)] == ["b"]


def test_a_number_that_rings_for_ever_is_given_up() -> None:
    shell = open_house(house(numbers=(Number(number="620", target=ToOutside(number="+4930999")),)), pbx=NEVER)
    call(shell, "620", "c")
    shell.run(91)
    assert shell.done(ef.ReleaseLeg) == [ef.ReleaseLeg(leg="c.1", cause="no_answer")]
    assert telling(shell.done(ef.RefuseCaller)[0].cause).status == 480


def test_caller_who_hangs_up_while_the_number_outside_rings_leaves_nothing() -> None:
    shell = open_house(house(numbers=(Number(number="620", target=ToOutside(number="+4930999")),)), pbx=NEVER)
    call(shell, "620", "c")
    shell.run(1)
    shell.send(inp.LegReleased(leg="c-in", cause="cancelled"))
    assert not shell.legs
    assert shell.of(ev.CallCleared) == [ev.CallCleared(call="c", cause="abandoned")]
    assert not shell.engine.state.lines
