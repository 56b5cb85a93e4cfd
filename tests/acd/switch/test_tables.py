"""The switch has an answer to every effect of the core, and every SIP event has at most one taker."""

from typing import get_args, get_type_hints

from acd.config import VoiceSettings
from acd.core import effects as ef
from acd.directory import Directory
from acd.guard import Guard, GuardPolicy
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


def test_a_browser_that_is_no_more_is_asked_for_and_one_that_is_there_is_not():
    """Nobody holds this leg, so that asking ends at the look for it."""
    made, looked_for = switch(), []
    made._with = lambda leg, _: looked_for.append(leg)
    for state in get_args(get_type_hints(BrowserChanged)["state"]):
        made._of_media[BrowserChanged](BrowserChanged(leg=state, state=state))
        assert made.counters[f"browsers_{state}"] == 1
        assert f"fernamt_switch_browsers_{state}_total" in HELP
    assert looked_for == ["suspect", "gone", "closed", "failed"]


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
