"""Recording a conversation: one file from its first talk to its end, a channel for each party, silence while nobody talks (house).

Through transfers, consultations and conferences it is the same recording: who comes gets a channel behind the others, who goes leaves one
that is silent, and so does who is on hold. § 201 StGB: the caller is told by the queue, agents know; a party outside that comes later is
told before it is recorded.
"""

from __future__ import annotations

from acd.core.effects import BeginRecording, RecordLeg, RecordParties
from acd.core.events import RecordingBegan, RecordingJoined, RecordingPaused, RecordingResumed
from acd.core.ids import LegId, RecordingId
from acd.core.state import values as s
from acd.core.steps import audio
from acd.core.steps.step import Step

PARTY_NOTICE = ("recording.notice",)


def begin(x: Step, call: s.Call) -> None:
    """Record those who are in conversation; a recording that is paused goes on."""
    if call.recording is not None:
        go_on(x, call)
        return
    recording = RecordingId(f"{call.id}/r{call.recordings_made + 1}")
    parties = tuple(one for one in call.parties if _may_be_recorded(x, one))
    if not parties:
        return
    x.emit(RecordingBegan(recording=recording, call=call.id, legs=parties))
    x.do(BeginRecording(recording=recording, call=call.id, legs=parties))
    if audio.talking(x.state, call) != parties:
        x.do(RecordParties(recording=recording, legs=audio.talking(x.state, call)))
    _tell_others(x, call)


def pause(x: Step, call: s.Call) -> None:
    """Nobody is in conversation for the time being."""
    if call.recording is not None and not call.recording_paused:
        x.emit(RecordingPaused(recording=call.recording, call=call.id))
        x.do(RecordParties(recording=call.recording))


def go_on(x: Step, call: s.Call) -> None:
    """Those who are in conversation now are recorded, if the conversation is."""
    if call.recording is None:
        return
    for one in call.parties:
        if one not in call.recorded and _may_be_recorded(x, one):
            _join(x, call, one)
    if call.recording_paused:
        x.emit(RecordingResumed(recording=call.recording, call=call.id))
        x.do(RecordParties(recording=call.recording, legs=audio.talking(x.state, call)))
    _tell_others(x, call)


def told(x: Step, call: s.Call, leg: s.Leg) -> None:
    """A party outside has heard to the end that the conversation is recorded."""
    if call.recording is not None and leg.id not in call.recorded and leg.id in call.parties:
        _join(x, call, leg.id)


def _join(x: Step, call: s.Call, leg: LegId) -> None:
    assert call.recording is not None
    x.emit(RecordingJoined(recording=call.recording, call=call.id, leg=leg))
    x.do(RecordLeg(recording=call.recording, leg=leg))
    if not call.recording_paused:
        x.do(RecordParties(recording=call.recording, legs=audio.talking(x.state, call)))


def _may_be_recorded(x: Step, one: LegId) -> bool:
    """Whoever knows: our own people, who was told by a queue or here, everybody where the tenant says that telling is not needed."""
    configuration = x.state.configuration
    told = one in x.state.calls[x.state.legs[one].call].told
    return told or x.state.legs[one].agent is not None or configuration is None or not configuration.recording_notice


def _tell_others(x: Step, call: s.Call) -> None:
    for one in call.parties:
        leg = x.state.legs[one]
        if one not in call.recorded and leg.play is None:
            x.play(leg, PARTY_NOTICE, "party_notice")
