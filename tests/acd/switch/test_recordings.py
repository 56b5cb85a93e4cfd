"""Recordings whose legs have no ports yet: every one that was begun is reported once, also when nothing was written."""

from collections import Counter

import pytest

from acd.config import VoiceSettings
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import CallId, LegId, RecordingId, TenantId
from acd.directory import Directory
from acd.switch.legs import Phase, SwitchLeg
from acd.switch.switch import Switch
from media.control import LegOpened, StartRecording, StopRecording

TENANT, LEGS = TenantId("demo"), (LegId("c.0"), LegId("c.1"))
RECORDING = RecordingId("c/r1")


class Plane:
    def __init__(self) -> None:
        self.orders: list[object] = []

    def send(self, _call, order) -> None:
        self.orders.append(order)


@pytest.fixture
def house(tmp_path):
    told: list[inp.Input] = []
    nobody = lambda *_: None  # noqa: E731
    made = Switch(
        VoiceSettings(data=tmp_path),
        Directory(),
        nobody,
        Plane(),
        report=lambda _tenant, fact: told.append(fact),
        fund=nobody,
        pop=nobody,
        lookup=None,
        silent=nobody,
        may_transfer=nobody,
    )
    for name in LEGS:
        made._new_leg(SwitchLeg(name, CallId("c"), TENANT, Phase.ANSWERED, peer="127.0.0.1"))
    made.carry_out(TENANT, ef.BeginRecording(recording=RECORDING, call=CallId("c"), legs=LEGS))
    return made, told


def open_legs(made: Switch) -> None:
    for port, name in enumerate(reversed(LEGS)):
        made._legs[name].media_opened(LegOpened(request=1, leg=name, address="127.0.0.1", rtp_port=2 * port, rtcp_port=2 * port + 1))


def test_a_recording_begins_when_the_last_of_its_legs_has_ports(house):
    made, told = house
    assert made._media.orders == []
    open_legs(made)
    made.carry_out(TENANT, ef.EndRecording(recording=RECORDING))
    assert Counter(map(type, made._media.orders)) == {StartRecording: 1, StopRecording: 1}
    assert told == []  # the worker reports its end


def test_a_recording_that_was_ended_before_its_legs_had_ports_is_reported_and_never_begun(house):
    made, told = house
    made.carry_out(TENANT, ef.EndRecording(recording=RECORDING))
    open_legs(made)
    assert made._media.orders == []
    assert [(one.recording, one.duration_ms, one.error) for one in told] == [(RECORDING, 0, "its legs never had ports")]
