"""Who hears whom, on its way from the core to the media worker: what is declared for a call holds for those of its legs that have ports.

A leg that gets ports, for the first time or at another worker, comes into its room by itself; the worker hears nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from acd.core.effects import ArrangeAudio
from acd.core.ids import CallId, LegId
from acd.switch.legs import SwitchLeg
from media import control
from media.client import MediaPlane

Hears = tuple[tuple[LegId, LegId], ...]
"""Pairs (listener, speaker)."""


class Rooms:
    """One a call.

    Args:
        legs: all that live.
    """

    def __init__(self, media: MediaPlane, legs: Mapping[LegId, SwitchLeg]) -> None:
        self._media = media
        self._legs = legs
        self._declared: dict[CallId, Hears] = {}
        self._told: dict[CallId, Hears] = {}
        """What the worker knows."""

    def declare(self, effect: ArrangeAudio) -> None:
        """From now on these hear each other."""
        call = CallId(effect.contact)
        self._declared[call] = effect.hears
        self.settle(call)

    def settle(self, call: CallId) -> None:
        """Tell the worker what it does not know yet."""
        hears = tuple([pair for pair in self._declared.get(call, ()) if all(self._has_ports(leg) for leg in pair)])
        if hears != self._told.get(call, ()):
            self._told[call] = hears
            self._media.send(call, control.ArrangeAudio(room=call, hears=hears))

    def _has_ports(self, name: LegId) -> bool:
        leg = self._legs.get(name)
        return leg is not None and not leg.is_gone and leg.media is not None

    def listeners(self, speaker: SwitchLeg) -> list[SwitchLeg]:
        """Who hears a leg."""
        pairs = self._declared.get(speaker.call, ())
        return [leg for listener, one in pairs if one == speaker.leg and (leg := self._legs.get(listener)) is not None and not leg.is_gone]

    def lost(self, call: CallId) -> None:
        """The worker is gone, and what it knew with it."""
        self._told.pop(call, None)

    def over(self, call: CallId) -> None:
        """The call has no leg any more."""
        self._declared.pop(call, None)
        self._told.pop(call, None)
