"""Keeps the notes of legs at their media workers as new as what they tell of: written once for all that happens at one moment (`notes`)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from acd.core.ids import LegId
from acd.switch.legs import SwitchLeg
from acd.switch.notes import note_of
from acd.switch.sip_port import SipPort
from media.client import MediaPlane


class Hands(Protocol):
    """What of the switch is needed here."""

    @property
    def sip(self) -> SipPort: ...


class Noting:
    """See the module."""

    def __init__(self, media: MediaPlane, hands: Hands) -> None:
        self._media = media
        self._hands = hands
        self._due: dict[LegId, SwitchLeg] = {}

    def note(self, leg: SwitchLeg) -> None:
        """Something of it has changed; a leg without ports is noted when it has some."""
        if leg.is_gone or leg.media is None:
            return
        if not self._due:
            asyncio.get_running_loop().call_soon(self.write)
        self._due[leg.leg] = leg

    def write(self) -> None:
        """Write what is due."""
        due, self._due = self._due, {}
        for leg in due.values():
            if leg.is_gone or leg.media is None:
                continue
            sessions = (leg.session,) if leg.session is not None else tuple(leg.branches)
            kept = {session: octets for session in sessions if (octets := self._hands.sip.keep_living(session)) is not None}
            self._media.note(leg.call, leg.leg, note_of(leg, kept))
