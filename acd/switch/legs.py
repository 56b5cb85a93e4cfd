"""One party's connection as the switch holds it: SIP sessions on one side, a media leg on the other (house)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from acd.core.channel_costs import ChannelCosts, Saving
from acd.core.ids import AgentId, CallId, LegId, TenantId, TrunkId
from acd.switch.digits import Presses
from acd.switch.keyed import Keyed
from acd.switch.media_plan import MediaPlan
from acd.switch.pins import PinEntry
from media.control import LegOpened, Play
from media.transport.ice import Credentials
from sip.dtmf_info import InfoKey
from sip.events import ReInviteReceived
from sip.sdp.crypto import SrtpUse
from sip.sdp.description import SessionDescription
from sip.uri import Uri


class Phase(Enum):
    """Where the leg stands on the SIP side; the core has its own, richer machine."""

    ARRIVED = "arrived"
    ORIGINATING = "originating"
    ANSWERED = "answered"


@dataclass(slots=True, eq=False)
class SwitchLeg:
    leg: LegId
    call: CallId
    tenant: TenantId
    phase: Phase
    peer: str
    """Host of the far end's SIP side, for finding the local address that reaches it."""
    heard_at: frozenset[str] = frozenset()
    """Hosts that messages of the far end really came from; its audio may always go there."""
    denied_audio: str | None = None
    """The address in its description that audio was not sent to at once."""
    max_forwards: int | None = None
    """Hops its INVITE had left when it came (RFC 3261 §20.22); None: it did not say, or we called."""
    agent: AgentId | None = None
    trunk: TrunkId | None = None
    withheld: str | None = None
    """Number of a caller who shows it to nobody: passed on inside the trust domain alone."""
    session: str | None = None
    """The SIP session that carries the leg: the one that arrived, or the branch that answered."""
    branches: dict[str, bool] = field(default_factory=dict)
    """Sessions still trying, for a leg that rings several contacts -> whether it rang."""
    failures: dict[int, int] = field(default_factory=dict)
    """Of branches that failed: what their final status means -> the status itself."""
    contacts: dict[str, tuple[str, Uri]] = field(default_factory=dict)
    """Branch -> the address of record and the contact that it rings."""
    pages: set[str] = field(default_factory=set)
    """Sessions of `branches` that are pages."""
    is_page: bool = False
    """The far end is a browser: it is described as one, and never as anything else again."""
    ice: Credentials | None = None
    """Ours, for a leg whose far end is or may be a page."""
    to_page: SessionDescription | None = None
    """Our offer to those branches that are pages; `local` is that to the others."""
    srtp: SrtpUse = SrtpUse.ACCEPTED
    """What this side does with keys, as it was set up when the leg began."""
    protection: tuple[str, str | None, str | None] = ("none", None, None)
    """What the core was told of it last: audio, suite, signalling."""
    costs: ChannelCosts | None = None
    """What its channel costs as it was offered to us."""
    step: Saving | None = None
    """Its line is full: how its channel is made cheaper."""
    counted_kbits: int | None = None
    """What its channel was last told to cost; None: nobody counts it."""
    takes_ports: bool = False
    """A pair is counted for it among its tenant's."""
    media: LegOpened | None = None
    plan: MediaPlan | None = None
    """What was agreed on with the far end; None until then."""
    offer: SessionDescription | None = None
    """The far end's SDP offer, for a leg that arrived."""
    holding: bool = False
    """The far end put us on hold."""
    local: SessionDescription | None = None
    """Our last description, offer or answer."""
    sdp_session: int = 0
    """Session id of our o= lines; one a leg (RFC 8866 §5.2)."""
    playing: Play | None = None
    """What it is to hear: the last order of the core that has not ended."""
    speaks_early: bool = False
    """It was heard before it answered (or, of a leg that arrived, was told what it hears before it is answered)."""
    asked_to_answer: asyncio.Future[str | None] | None = None
    """Who waits to hear whether the phone took the call as it was asked to: None when it did, else what stood in the way."""
    is_confirmed: bool = False
    """The session stands (RFC 3261 §13.2.2.4): a change of it can be offered."""
    is_moving: bool = False
    """Its media worker ended, and the far end does not know its new ports yet; see `relocation`."""
    asked: ReInviteReceived | None = None
    """The far end's re-INVITE that we have not answered."""
    offered: SessionDescription | None = None
    """Our re-INVITE that is not answered."""
    asked_at: float | None = None
    """When it was asked last whether it is there, because nothing was heard of it."""
    presses: Presses = field(default_factory=Presses)
    """What keys it pressed lately."""
    keyed: Keyed = field(default_factory=Keyed)
    """What it has keyed of a command to the exchange."""
    pin: PinEntry | None = None
    """Set: what is keyed here is a PIN, and goes nowhere but to who judges it."""
    allows_info: bool = False
    """It lists INFO among its methods."""
    shows_info: bool = False
    """It told of a key by INFO itself."""
    refuses_info: bool = False
    """It did not take a key of ours by INFO."""
    info_keys: deque[InfoKey] = field(default_factory=deque)
    """Keys that were sent to it by INFO and are not answered."""
    was_poor: bool = False
    """It was heard badly of late, and the core knows."""
    losses: list[float] = field(default_factory=list)
    """When its workers ended, lately."""
    page_is_lost: bool = False
    """The browser's page behind it gave no sign of life when it was heard of last."""
    is_gone: bool = False
    """The leg is over for the switch; nothing is done with it any more."""
    _awaiting_media: list[Callable[[], None]] = field(default_factory=list)

    def when_media_is_open(self, act: Callable[[], None]) -> None:
        """Now, or in order as soon as the worker has bound the ports."""
        if self.media is not None and not self._awaiting_media:
            act()
        else:
            self._awaiting_media.append(act)

    def media_opened(self, opened: LegOpened) -> None:
        self.media = opened
        while self._awaiting_media and not self.is_gone:
            self._awaiting_media.pop(0)()
        self._awaiting_media.clear()
