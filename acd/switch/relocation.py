"""A media worker ended: its legs open ports at another one, and their far ends are told by re-INVITE (RFC 3261 §14.1, RFC 3264 §8.3.1).

    worker lost -> ports asked for -> ports open: described, in its room, played to again -> re-INVITE -> 2xx: the far end is there
                        |                                                                     |
                        no worker is up: wait for the next          491: a little later; refused: the leg is lost

What we send needs no answer: it goes to where the far end is as soon as the ports are open; with the keys that it knows, from another
source (SSRC), until it has answered the new ones. What the far end sends comes again when it
knows the new ports, from our re-INVITE, or from our answer to one of its own. The core hears of all this only if a leg is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Protocol

from acd.switch import media_plan
from acd.switch.addresses import LocalAddresses
from acd.switch.channel_costs import ptime_of
from acd.switch.legs import SwitchLeg
from acd.switch.rooms import Rooms
from acd.switch.sip_port import SipPort
from media import control
from media.client import MediaPlane
from media.errors import MediaError, WorkerGone
from sip.events import ReInviteAnswered
from sip.sdp import webrtc
from sip.sdp.crypto import KeySource

log = logging.getLogger(__name__)

WORKER_PATIENCE_S = 10.0
"""A worker starts in half a second; who has waited so long in silence has hung up."""
GLARE_S = 0.25
"""After a 491 from our own side: another change of the session is under way, and mostly done by then. (After one of the far end, RFC 3261
§14.1 says how long; the session waits by itself.)"""
MOST_LOSSES, LOSSES_WITHIN_S = 10, 60.0
"""A call that takes worker after worker down with it must not go on to the next for ever."""


class Hands(Protocol):
    """What of the switch is needed here."""

    @property
    def sip(self) -> SipPort: ...
    @property
    def rooms(self) -> Rooms: ...
    def describe_media(self, leg: SwitchLeg) -> None: ...
    def note(self, leg: SwitchLeg) -> None: ...
    def told(self, opened: control.LegOpened) -> control.LegOpened: ...
    def to_page(self, leg: SwitchLeg) -> webrtc.Ours | None: ...
    def adopt(self, leg: SwitchLeg, plan: media_plan.MediaPlan) -> None: ...
    def lose(self, leg: SwitchLeg, cause: str) -> None: ...
    def without_media(self, leg: SwitchLeg, reason: str) -> None: ...


class Relocation:
    """Opens the media of legs, the first time and after every loss. See the module.

    Args:
        draw: keys of ours, for legs that have some.
    """

    def __init__(self, media: MediaPlane, addresses: LocalAddresses, counters: Counter[str], hands: Hands, draw: KeySource) -> None:
        self._draw = draw
        self._media = media
        self._addresses = addresses
        self._counters = counters
        self._hands = hands
        self._waiting: list[SwitchLeg] = []
        self._patience: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ ports

    def open(self, leg: SwitchLeg) -> None:
        """Ask for ports. A worker that ends meanwhile is not the caller's fault: the next one is asked."""

        def on_answer(answer: control.LegOpened | MediaError) -> None:
            if isinstance(answer, control.LegOpened):
                if leg.is_gone:
                    self._media.send(leg.call, control.CloseLeg(leg=leg.leg))
                else:
                    leg.media_opened(self._hands.told(answer))
                    self._resume(leg)
            elif leg.is_gone:
                return
            elif isinstance(answer, WorkerGone):
                self._open_again(leg)
            else:
                self._give_up(leg, str(answer))

        at = self._addresses.leaving(leg.peer) if leg.ice is None else self._addresses.of_page(leg.peer)
        self._media.request_leg(leg.call, leg.leg, at, on_answer, ice=leg.ice)

    def _open_again(self, leg: SwitchLeg) -> None:
        now = asyncio.get_running_loop().time()
        leg.losses = [at for at in leg.losses if at > now - LOSSES_WITHIN_S] + [now]
        if len(leg.losses) > MOST_LOSSES:
            self._give_up(leg, f"{len(leg.losses)} media workers ended under it")
        elif self._media.is_up:
            self.open(leg)
        else:
            self._waiting.append(leg)
            if self._patience is None:
                self._patience = asyncio.get_running_loop().call_later(WORKER_PATIENCE_S, self._out_of_patience)

    def worker_restarted(self) -> None:
        """Whoever waited for a worker asks again."""
        for leg in self._stop_waiting():
            self.open(leg)

    def _out_of_patience(self) -> None:
        for leg in self._stop_waiting():
            self._give_up(leg, f"no media worker for {WORKER_PATIENCE_S:.0f} s")

    def _stop_waiting(self) -> list[SwitchLeg]:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        waiting, self._waiting = self._waiting, []
        return [leg for leg in waiting if not leg.is_gone]

    def _give_up(self, leg: SwitchLeg, reason: str) -> None:
        log.warning("! %s: no media: %s", leg.leg, reason)
        self._counters["media_refused"] += 1
        if leg.is_moving:
            self._counters["legs_move_failed"] += 1
        self._hands.without_media(leg, reason)

    # ------------------------------------------------------------------ moving

    def move(self, leg: SwitchLeg) -> None:
        """Its worker has ended."""
        log.info("= %s: its media worker ended, it moves", leg.leg)
        leg.is_moving = True
        leg.media = None
        if leg.ice is not None:
            leg.ice = media_plan.draw_ice(self._draw)  # a page is to notice that there is somebody else
        self._hands.rooms.lost(leg.call)
        self._open_again(leg)

    def _resume(self, leg: SwitchLeg) -> None:
        """The ports are open: what is in force begins, or goes on."""
        if leg.is_gone:
            return
        if leg.is_moving and leg.plan is not None:
            self._hands.describe_media(leg)
        self._hands.rooms.settle(leg.call)
        self._replay(leg)
        self.settle(leg)
        self._hands.note(leg)

    def go_on(self, leg: SwitchLeg) -> None:
        """A leg of an earlier run has its ports: it may have been on its way to them."""
        assert leg.media is not None
        if leg.local is not None and not media_plan.names(leg.local, leg.media):
            leg.is_moving = True
            self.settle(leg)
        self._hands.note(leg)

    def _replay(self, leg: SwitchLeg) -> None:
        if leg.playing is not None:
            self._media.send(leg.call, leg.playing)

    def settle(self, leg: SwitchLeg) -> None:
        """Look where a moving leg stands: the far end knows the new ports (or never knew others), or it must be told.

        To be called after every description of ours that the far end has accepted, and when it can be told.
        """
        if not leg.is_moving or leg.media is None or leg.is_gone:
            return
        if leg.local is None or media_plan.names(leg.local, leg.media):
            leg.is_moving = False
            self._counters["legs_moved"] += 1
            log.info("= %s: moved to port %d", leg.leg, leg.media.rtp_port)
            if leg.plan is not None:
                self._hands.describe_media(leg)  # now its silence would mean something
        elif leg.is_confirmed and leg.offered is None:
            assert leg.session is not None
            assert leg.plan is not None
            leg.offered = media_plan.moved(
                leg.local,
                leg.media,
                leg.plan.codec,
                agreed=leg.plan.audio.srtp,
                draw=self._draw,
                shaken=leg.plan.audio.dtls,
                dtls=self._hands.to_page(leg),
                ptime_ms=ptime_of(leg.step),
            )
            self._hands.sip.reinvite(leg.session, leg.offered.to_bytes())

    def answered(self, leg: SwitchLeg, event: ReInviteAnswered) -> None:
        """Our re-INVITE was answered."""
        offered, leg.offered = leg.offered, None
        assert offered is not None
        if event.status == 491:
            asyncio.get_running_loop().call_later(GLARE_S, self.settle, leg)
            return
        if event.status < 300:
            try:
                plan = media_plan.agreed(offered, event.sdp, is_protected=leg.plan is not None and leg.plan.is_protected)
            except media_plan.NoCommonMedia as error:
                self._refused(leg, str(error))
                return
            leg.local = offered
            self._hands.adopt(leg, plan)
            self.settle(leg)
        elif event.status in {408, 481}:  # the dialog is dead (§12.2.1.2): SessionEnded follows
            self._counters["legs_move_failed"] += 1
        else:
            self._refused(leg, str(event.status))

    def _refused(self, leg: SwitchLeg, answer: str) -> None:
        log.warning("! %s: cannot be moved to another media worker: the answer to our re-INVITE was %s", leg.leg, answer)
        self._counters["legs_move_failed"] += 1
        self._hands.lose(leg, "error")
