"""Whether core, switch and media workers agree on a tenant's calls (U6; pure). Asked every second; see `acd.watchdog` for what comes of it.

Orders are on their way for some milliseconds, so that a single look may find what is no difference: one that is found in two looks is.

| what                 | core says           | switch says            | worker says          | then                                        |
|----------------------|---------------------|------------------------|----------------------|---------------------------------------------|
| `leg_not_held`       | a leg               | none                   |                      | the leg ends with cause `error`             |
| `leg_unknown`        | none                | a leg                  |                      | its far end is told, its ports are closed   |
| `dialog_lost`        | a leg               | its session is over    |                      | the leg ends with cause `error`             |
| `answer_not_told`    | it rings            | it was answered        |                      | the core is told so                         |
| `not_answered`       | it is answered      | it waits for an answer |                      | what is in force is declared again          |
| `media_lost`         |                     | a leg with ports       | none                 | it gets others, as after a worker's end     |
| `media_unknown`      |                     | none                   | a leg                | it is closed                                |
| `audio_differs`      | who hears whom      |                        | another matrix       | what is in force is declared again          |
| `sounds_differ`      | what plays          |                        | it does not play     | what is in force is declared again          |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from acd.core.ids import CallId, LegId
from acd.core.machines import leg as legs
from acd.core.state.values import State
from acd.core.steps import audio

What = Literal[
    "leg_not_held",
    "leg_unknown",
    "dialog_lost",
    "answer_not_told",
    "not_answered",
    "media_lost",
    "media_unknown",
    "audio_differs",
    "sounds_differ",
]
WHATS: Final[tuple[What, ...]] = What.__args__  # type: ignore[attr-defined]


class Difference(msgspec.Struct, frozen=True, order=True):
    """Where they do not agree."""

    what: What
    call: CallId
    leg: LegId | None = None


class SwitchView(msgspec.Struct, frozen=True, gc=False):
    """A leg as the switch has it."""

    call: CallId
    is_answered: bool
    """The far end, or we, have answered."""
    waits: bool
    """It arrived, and is not answered."""
    has_session: bool
    """Its SIP engine knows it, or it has none yet."""
    has_ports: bool


class WorkerView(msgspec.Struct, frozen=True, gc=False):
    """What the media workers hold."""

    plays: Mapping[str, str | None]
    """Leg -> what plays to it."""
    rooms: Mapping[str, frozenset[tuple[str, str]]]
    """Call -> who hears whom."""


def differences(state: State, switch: Mapping[LegId, SwitchView], workers: WorkerView) -> Iterator[Difference]:
    """Of one tenant.

    Args:
        switch: its legs.
        workers: of all tenants.
    """
    for leg in state.legs.values():
        view = switch.get(leg.id)
        if view is None:
            yield Difference("leg_not_held", leg.call, leg.id)
        elif not view.has_session:
            yield Difference("dialog_lost", leg.call, leg.id)
        elif view.is_answered and leg.state not in legs.ANSWERED and not leg.arrived:
            yield Difference("answer_not_told", leg.call, leg.id)
        elif view.waits and leg.state in legs.ANSWERED:
            yield Difference("not_answered", leg.call, leg.id)
        elif view.has_ports and leg.id not in workers.plays:
            yield Difference("media_lost", leg.call, leg.id)
        elif view.has_ports and leg.play is not None and workers.plays[leg.id] is None:
            yield Difference("sounds_differ", leg.call, leg.id)
    for name, view in switch.items():
        if name not in state.legs:
            yield Difference("leg_unknown", view.call, name)
    for call in state.calls.values():
        there = {leg for leg in call.legs if (view := switch.get(leg)) is not None and view.has_ports and leg in workers.plays}
        wanted = {pair for pair in audio.hears(state, call) if there.issuperset(pair)}
        if wanted != workers.rooms.get(call.id, frozenset()):
            yield Difference("audio_differs", call.id)
