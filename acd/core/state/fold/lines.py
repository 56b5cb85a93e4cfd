"""Lines, phones and trunks, recordings, and deadlines that were met."""

from __future__ import annotations

from acd.core import events as ev
from acd.core.ids import EntryId, LegId, QueueId, TrunkId
from acd.core.state import values as s
from acd.core.state.fold.kit import Handlers, Indexes
from acd.core.state.timers import Timer


def channel_reserved(fold: Indexes, event: ev.ChannelReserved, _now: float) -> None:
    line = fold.state.lines.get(event.line)
    if line is None:
        line = fold.state.lines[event.line] = s.Line()
    line.channels[event.leg] = event.kbits
    line.reserved_kbits += event.kbits
    line.shapes[event.leg] = event.shape
    if event.step is not None:
        line.degraded[event.leg] = event.step


def channel_adjusted(fold: Indexes, event: ev.ChannelAdjusted, _now: float) -> None:
    line = fold.state.lines[event.line]
    before = line.channels[event.leg]
    line.channels[event.leg] = event.kbits
    line.reserved_kbits += event.kbits - before
    line.shapes[event.leg] = event.shape
    fold.routing_needed = fold.routing_needed or event.kbits < before


def channel_released(fold: Indexes, event: ev.ChannelReleased, _now: float) -> None:
    line = fold.state.lines[event.line]
    line.reserved_kbits -= line.channels.pop(event.leg)
    line.shapes.pop(event.leg, None)
    line.degraded.pop(event.leg, None)
    if not line.channels:
        del fold.state.lines[event.line]
    fold.routing_needed = True


def device_bound(fold: Indexes, event: ev.DeviceBound, _now: float) -> None:
    agent = fold.state.agents[event.agent]
    agent.bindings[event.contact] = s.Binding(
        contact=event.contact,
        expires_at=float(event.expires_at),
        flow=event.flow,
        user_agent=event.user_agent,
        is_page=event.is_page,
        channel=event.channel,
    )
    fold.index.bound_otherwise(agent)
    fold.set_binding_timer(agent)


def device_unbound(fold: Indexes, event: ev.DeviceUnbound, _now: float) -> None:
    agent = fold.state.agents[event.agent]
    del agent.bindings[event.contact]
    fold.index.bound_otherwise(agent)
    fold.set_binding_timer(agent)


def device_unreachable(fold: Indexes, event: ev.DeviceUnreachable, now: float) -> None:
    agent = fold.state.agents[event.agent]
    binding = agent.bindings[event.contact]
    binding.unreachable_since, binding.detail = now, event.detail
    fold.categorise_users(agent)


def device_reachable(fold: Indexes, event: ev.DeviceReachable, _now: float) -> None:
    agent = fold.state.agents[event.agent]
    binding = agent.bindings[event.contact]
    binding.unreachable_since = binding.detail = None
    fold.categorise_users(agent)


def line_measured(fold: Indexes, event: ev.LineJudged, now: float) -> None:
    agent = fold.state.agents[event.agent]
    line = agent.line if agent.line is not None else s.PageLine()
    agent.line = line
    line.figures = line.figures | event.figures
    line.measured_at = line.measured_at | dict.fromkeys(event.figures, now)
    line.bad = list(event.bad)
    line.bad_since = (line.bad_since if line.bad_since is not None else now) if event.bad else None
    fold.categorise(agent)


def deadline_passed(fold: Indexes, event: ev.DeadlinePassed, now: float) -> None:
    fold.timers.stop(event.timer)
    kind, _, subject = event.timer.partition(" ")
    if kind == Timer.RETRY and EntryId(subject) in fold.state.entries:
        fold.set_retry(fold.state.entries[EntryId(subject)], now)
        fold.routing_needed = True
    elif kind == Timer.WARN and LegId(subject) in fold.state.legs:
        fold.set_warning(fold.state.legs[LegId(subject)], now)
    elif kind == Timer.HOURS and QueueId(subject) in fold.state.queues:
        fold.set_next_change(fold.state.queues[QueueId(subject)], now)


def trunk_up(fold: Indexes, event: ev.TrunkUp, now: float) -> None:
    fold.state.trunks[event.trunk] = s.Trunk(up=True, since=now)
    _categorise_behind(fold, event.trunk)


def trunk_down(fold: Indexes, event: ev.TrunkDown, now: float) -> None:
    fold.state.trunks[event.trunk] = s.Trunk(up=False, since=now, detail=event.detail)
    _categorise_behind(fold, event.trunk)


def _categorise_behind(fold: Indexes, trunk: TrunkId) -> None:
    for agent in fold.index.behind.get(trunk, ()):
        fold.categorise(fold.state.agents[agent])


def recording_began(fold: Indexes, event: ev.RecordingBegan, now: float) -> None:
    call = fold.state.calls[event.call]
    call.recording = event.recording
    call.recorded = list(event.legs)
    call.recording_paused = False
    call.recordings_made += 1
    fold.state.recordings[event.recording] = (event.call, now)


def recording_joined(fold: Indexes, event: ev.RecordingJoined, _now: float) -> None:
    fold.state.calls[event.call].recorded.append(event.leg)


def recording_paused(fold: Indexes, event: ev.RecordingPaused, _now: float) -> None:
    fold.state.calls[event.call].recording_paused = True


def recording_resumed(fold: Indexes, event: ev.RecordingResumed, _now: float) -> None:
    fold.state.calls[event.call].recording_paused = False


def recording_kept(fold: Indexes, event: ev.RecordingKept, _now: float) -> None:
    call_id, _ = fold.state.recordings.pop(event.recording)
    call = fold.state.calls.get(call_id)
    if call is not None and call.recording == event.recording:
        call.recording, call.recorded, call.recording_paused = None, [], False


HANDLERS: Handlers = {
    ev.ChannelReserved: channel_reserved,
    ev.ChannelAdjusted: channel_adjusted,
    ev.ChannelReleased: channel_released,
    ev.DeviceBound: device_bound,
    ev.DeviceUnbound: device_unbound,
    ev.DeviceUnreachable: device_unreachable,
    ev.DeviceReachable: device_reachable,
    ev.LineJudged: line_measured,
    ev.DeadlinePassed: deadline_passed,
    ev.TrunkUp: trunk_up,
    ev.TrunkDown: trunk_down,
    ev.RecordingBegan: recording_began,
    ev.RecordingJoined: recording_joined,
    ev.RecordingPaused: recording_paused,
    ev.RecordingResumed: recording_resumed,
    ev.RecordingKept: recording_kept,
}
