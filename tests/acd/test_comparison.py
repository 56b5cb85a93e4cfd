"""What core, switch and media workers must agree on, and what is done where they do not (U6)."""

from __future__ import annotations

import msgspec
import pytest

from acd.comparison import WHATS, Difference, SwitchView, WorkerView, differences
from acd.core import inputs as inp
from acd.watchdog import _SAYS, Watchdog
from media.control import Held, HeldLeg, HeldRoom
from tests.acd.core.shell import Phone, Shell, call, open_house

UP = SwitchView(call="c", is_answered=True, waits=False, has_session=True, has_ports=True)
RINGS = msgspec.structs.replace(UP, is_answered=False)


def talking() -> Shell:
    shell = open_house()
    call(shell, name="c")
    shell.run(10)
    return shell


def waiting() -> Shell:
    shell = open_house(ready=False)
    call(shell, name="c")
    shell.run(10)
    return shell


def held_by(shell: Shell) -> Held:
    """What a worker holds that did everything it was told."""
    legs = tuple(
        HeldLeg(
            leg=leg,
            address="127.0.0.1",
            rtp_port=1,
            rtcp_port=2,
            is_described=True,
            play=play.play if (play := shell.plays.get(leg)) else None,
        )
        for leg in shell.legs
    )
    rooms = tuple(HeldRoom(room=name, hears=tuple(sorted(hears))) for name, hears in shell.hears.items() if hears)
    return Held(request=0, legs=legs, rooms=rooms)


def workers(held: Held) -> WorkerView:
    return WorkerView({leg.leg: leg.play for leg in held.legs}, {room.room: frozenset(room.hears) for room in held.rooms})


def views(shell: Shell) -> dict[str, SwitchView]:
    return {leg: UP if state == "up" else RINGS for leg, state in shell.legs.items()}


@pytest.mark.parametrize("made", [talking, waiting])
def test_what_agrees_shows_no_difference(made):
    shell = made()
    assert list(differences(shell.engine.state, views(shell), workers(held_by(shell)))) == []


def lost_leg(switch, held):
    del switch["c.1"]
    return held


def lost_dialog(switch, held):
    switch["c.1"] = msgspec.structs.replace(UP, has_session=False)
    return held


def unknown_leg(switch, held):
    switch["c.7"] = UP
    return held


def untold_caller(switch, held):
    switch["c-in"] = msgspec.structs.replace(UP, is_answered=False, waits=True)
    return held


def lost_media(_switch, held):
    return msgspec.structs.replace(held, legs=tuple(leg for leg in held.legs if leg.leg != "c.1"))


def another_room(_switch, held):
    return msgspec.structs.replace(held, rooms=())


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lost_leg, [Difference("leg_not_held", "c", "c.1"), Difference("audio_differs", "c")]),
        (lost_dialog, [Difference("dialog_lost", "c", "c.1")]),
        (unknown_leg, [Difference("leg_unknown", "c", "c.7")]),
        (untold_caller, [Difference("not_answered", "c", "c-in")]),
        (lost_media, [Difference("media_lost", "c", "c.1"), Difference("audio_differs", "c")]),
        (another_room, [Difference("audio_differs", "c")]),
    ],
)
def test_each_difference_is_found(spoil, found):
    shell = talking()
    switch, held = views(shell), held_by(shell)
    held = spoil(switch, held)
    assert list(differences(shell.engine.state, switch, workers(held))) == found


def test_music_that_does_not_play_is_found():
    shell = waiting()
    held = held_by(shell)
    silent = msgspec.structs.replace(held, legs=tuple(msgspec.structs.replace(leg, play=None) for leg in held.legs))
    assert list(differences(shell.engine.state, views(shell), workers(silent))) == [Difference("sounds_differ", "c", "c-in")]


def test_an_answer_that_the_core_was_not_told_of_is_found():
    shell = open_house(anna=Phone(answers_after_s=60.0))
    call(shell, name="c")
    shell.run(5)
    switch = views(shell) | {"c.1": UP}
    assert list(differences(shell.engine.state, switch, workers(held_by(shell)))) == [Difference("answer_not_told", "c", "c.1")]


def test_every_difference_is_said_in_words():
    assert set(_SAYS) == set(WHATS)


class FakeSwitch:
    """Notes what it is asked to do."""

    def __init__(self, switch):
        self.switch = switch
        self.done = []

    def views(self, _tenant):
        return self.switch

    def end_unknown(self, leg):
        self.done.append(("end", leg))

    def move(self, leg):
        self.done.append(("move", leg))

    def forget_audio(self, name):
        self.done.append(("forget", name))

    def close_unknown(self, legs):
        self.done += [("close", leg) for leg in legs]

    def is_held(self, leg):
        return leg in self.switch


def watch(shell: Shell, switch, held: Held, *, looks: int = 2):
    """What comes of so many looks at the same."""
    told, fake = [], FakeSwitch(switch)
    dog = Watchdog(fake, lambda tenant, fact: told.append((tenant, fact)))
    for _ in range(looks):
        dog.look({"demo": shell.engine.state}, [held])
    return dog, fake, told


def test_a_single_look_heals_nothing():
    shell = talking()
    _, fake, told = watch(shell, {}, held_by(shell), looks=1)
    assert (fake.done, told) == ([], [])


def test_what_stands_is_healed_with_a_reason_and_counted():
    shell = talking()
    dog, fake, told = watch(shell, views(shell), another_room(None, held_by(shell)))
    assert fake.done == [("forget", "c")]
    ((tenant, fact),) = told
    assert (tenant, fact.calls, fact.missing, fact.cause) == ("demo", ("c",), (), "error")
    assert fact.reason == "who hears whom is not what was declared"
    assert dog.repairs["audio_differs"] == 1
    shell.send(fact)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_a_leg_that_nobody_holds_ends_and_its_partner_is_told():
    shell = talking()
    _, _, told = watch(shell, {"c-in": UP}, held_by(shell))
    assert [fact for _, fact in told] == [
        inp.Reconciled(
            missing=("c.1",),
            calls=("c",),
            cause="error",
            reason="the exchange has a leg that the switch does not hold, who hears whom is not what was declared",
        )
    ]
    shell.send(told[0][1])
    assert not shell.engine.state.calls


def test_a_leg_at_a_worker_that_nobody_has_is_closed():
    shell = talking()
    stranger = HeldLeg(leg="x.1", address="127.0.0.1", rtp_port=1, rtcp_port=2, is_described=False, play=None)
    held = held_by(shell)
    dog, fake, _ = watch(shell, views(shell), msgspec.structs.replace(held, legs=(*held.legs, stranger)))
    assert fake.done == [("close", "x.1")]
    assert dog.repairs["media_unknown"] == 1


def test_a_leg_whose_ports_are_gone_gets_others():
    shell = talking()
    _, fake, _ = watch(shell, views(shell), lost_media(None, held_by(shell)))
    assert ("move", "c.1") in fake.done
