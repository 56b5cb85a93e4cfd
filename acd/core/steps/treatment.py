"""What a caller hears and presses before somebody talks to it: menus, announcements, and the answer that precedes them (R6)."""

from __future__ import annotations

from acd.core import schedule, spoken_menu
from acd.core.configuration import Menu
from acd.core.effects import AnswerCaller
from acd.core.events import AnnouncementBegan, DigitReceived, LegConnected, MenuEntered, MenuLeft
from acd.core.ids import MenuId
from acd.core.state import values as s
from acd.core.steps import consultation, referral
from acd.core.steps.clearing import clear_call
from acd.core.steps.step import Step

RINGBACK = consultation.RINGBACK
UNAVAILABLE = ("unavailable",)


def answer_party(x: Step, call: s.Call) -> s.Leg | None:
    """Answer the party if it still waits for that; afterwards sounds may start.

    Returns: the party's leg, None when it is gone.
    """
    leg = x.party(call)
    if leg is not None and leg.arrived and not x.is_answered(leg):
        x.do(AnswerCaller(leg=leg.id))
        x.emit(LegConnected(leg=leg.id))
    return leg


def enter_menu(x: Step, call: s.Call, menu_id: MenuId) -> None:
    """Answer, speak the menu; keys work from the first moment."""
    menu = x.fold.index.menus.get(menu_id)
    if menu is None:
        unavailable(x, call, "not_found")
        return
    if not schedule.is_open(x.fold.index.schedule_of(menu), x.now):
        x.send_to(x, call, menu.closed, "closed", menu.id)
        return
    leg = answer_party(x, call)
    if leg is None:
        clear_call(x, call, "abandoned")
        return
    referral.reached(x, call)
    x.emit(MenuEntered(call=call.id, menu=menu.id))
    x.play(leg, _spoken(x, menu), "menu")


def _spoken(x: Step, menu: Menu) -> tuple[str, ...]:
    return spoken_menu.sounds_of(menu, x.fold.index.queues, x.fold.index.agents)


def announce(x: Step, call: s.Call, sounds: tuple[str, ...], cause: str) -> None:
    """Play sounds to the end, then clear the call with `cause`."""
    leg = answer_party(x, call)
    if leg is not None and not sounds and call.consultation is not None:
        consultation.given_back(x, call, cause)
        return
    if leg is None or not sounds:
        clear_call(x, call, cause)
        return
    if call.menu is not None:
        x.emit(MenuLeft(call=call.id, menu=call.menu, digit=None))
    referral.reached(x, call)
    x.emit(AnnouncementBegan(call=call.id, sounds=sounds, cause=cause))
    x.play(leg, sounds, "announcement")


def unavailable(x: Step, call: s.Call, cause: str) -> None:
    """Say so and end the call, unless whoever has sent it here, or asks here, is there to take it back."""
    if not consultation.given_back(x, call, cause):
        announce(x, call, UNAVAILABLE, cause)


def turn_away(x: Step, call: s.Call, cause: str) -> None:
    """The call goes nowhere: a caller not answered yet is refused with a status, one who is on the line is told.

    One that was sent here by somebody who waits for what comes of it goes back there.
    """
    if consultation.given_back(x, call, cause):
        return
    if x.is_answered(x.party(call)):
        announce(x, call, UNAVAILABLE, cause)
    else:
        clear_call(x, call, cause)


def digit(x: Step, call: s.Call, leg: s.Leg, key: str) -> None:
    """A key in a menu: the option, or the invalid-choice sounds and the menu again."""
    menu = x.fold.index.menus.get(call.menu) if call.menu is not None else None
    if menu is None:
        return
    x.emit(DigitReceived(call=call.id, leg=leg.id, digit=key))
    target = menu.options.get(key)
    if target is not None:
        x.emit(MenuLeft(call=call.id, menu=menu.id, digit=key, language=menu.languages.get(key)))
        x.send_to(x, call, target, "menu", menu.id)
    else:
        _again(x, call, leg, menu, (*menu.invalid_sounds, *_spoken(x, menu)))


def silence(x: Step, call: s.Call) -> None:
    """No key came after the menu was heard."""
    menu = x.fold.index.menus.get(call.menu) if call.menu is not None else None
    leg = x.party(call)
    if menu is None or leg is None:
        # The menu was taken out of the configuration under the caller.
        announce(x, call, UNAVAILABLE, "not_found")
        return
    _again(x, call, leg, menu, _spoken(x, menu))


def _again(x: Step, call: s.Call, leg: s.Leg, menu: Menu, sounds: tuple[str, ...]) -> None:
    if call.menu_plays <= menu.repeats:
        x.play(leg, sounds, "menu")
        return
    x.emit(MenuLeft(call=call.id, menu=menu.id, digit=None))
    x.send_to(x, call, menu.fallback, "menu", menu.id)
