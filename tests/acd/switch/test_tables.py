"""The switch has an answer to every effect of the core, and every SIP event has at most one taker."""

from typing import get_args, get_type_hints

from acd.config import VoiceSettings
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.inputs import Input
from acd.directory import Directory
from acd.guard import Guard, GuardPolicy
from acd.switch.legs import Phase, SwitchLeg
from acd.switch.lines import Lines
from acd.switch.phones import Phones
from acd.switch.switch import Switch
from api.metric_words import HELP
from media.client import PlaneReport
from media.control import BrowserChanged
from sip import events as sip_events


def switch() -> Switch:
    told = lambda *_: None  # noqa: E731
    return Switch(VoiceSettings(), Directory(), told, None, report=told, fund=told, pop=told, lookup=None, silent=told)


def test_every_effect_is_carried_out():
    made = switch()
    assert set(made._of_tenant) | set(made._of_leg) == set(get_args(ef.Effect))
    assert not set(made._of_tenant) & set(made._of_leg)


def test_every_effect_of_a_leg_names_it():
    assert all("leg" in kind.__struct_fields__ for kind in switch()._of_leg)


def test_every_report_of_the_media_plane_is_taken():
    assert set(switch()._of_media) == set(get_args(PlaneReport))


BROWSERS = get_args(get_type_hints(BrowserChanged)["state"])


def changed(agent: str | None, *states: str) -> tuple[list[Input], list[SwitchLeg], Switch]:
    """What is told to the core, and which legs are asked whether they are there."""
    made, told, asked = switch(), [], []
    leg = SwitchLeg("c.1", "c", "demo", Phase.ANSWERED, peer="127.0.0.1", agent=agent)
    made._legs[leg.leg] = leg
    made._report = lambda _tenant, fact: told.append(fact)
    made._ask_whether_there = asked.append
    for state in states:
        made._of_media[BrowserChanged](BrowserChanged(leg="c.1", state=state))
    return told, asked, made


def test_a_page_of_an_agent_that_is_no_more_is_told_to_the_core_and_so_is_its_return():
    told, asked, made = changed("anna", "connected", "suspect", "gone", "connected", "closed", "failed")
    assert told == [
        inp.PageLost(leg="c.1", why="suspect"),
        inp.PageLost(leg="c.1", why="gone"),
        inp.PageBack(leg="c.1"),
        inp.PageLost(leg="c.1", why="closed"),
        inp.PageLost(leg="c.1", why="failed"),
    ]
    assert asked == []
    for state in BROWSERS:
        assert made.counters[f"browsers_{state}"] == (2 if state == "connected" else 1)
        assert f"fernamt_switch_browsers_{state}_total" in HELP


def test_a_browser_of_somebody_else_that_is_no_more_is_asked_for_and_one_that_is_there_is_not():
    told, asked, _ = changed(None, *BROWSERS)
    assert told == []
    assert len(asked) == 4


def test_every_sip_event_has_one_taker_at_most():
    told = lambda *_: None  # noqa: E731
    takers = [
        switch().hears,
        Lines(VoiceSettings(), Directory(), told, b"").hears,
        Phones(VoiceSettings(), Directory(), told, told, Guard(GuardPolicy())).hears,
    ]
    kinds = [kind for taker in takers for kind in taker]
    assert len(kinds) == len(set(kinds))
    untaken = set(get_args(sip_events.Event)) - set(kinds)
    of_phones = {
        sip_events.TalkRequested,
        sip_events.ReferAnswered,
        sip_events.ReferProgress,
    }  # what only a phone is told; ours are in load/
    assert untaken == of_phones | {sip_events.MessageDropped}
