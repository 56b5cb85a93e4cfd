"""One party's connection as the switch holds it: SIP sessions on one side, a media leg on the other (house)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from acd.core.ids import AgentId, CallId, LegId, RecordingId, TenantId, TrunkId
from acd.switch.media_plan import MediaPlan
from media.control import LegOpened
from sip.sdp.description import SessionDescription


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
    agent: AgentId | None = None
    trunk: TrunkId | None = None
    session: str | None = None
    """The SIP session that carries the leg: the one that arrived, or the branch that answered."""
    branches: dict[str, bool] = field(default_factory=dict)
    """Sessions still trying, for a leg that rings several contacts -> whether it rang."""
    failures: list[int] = field(default_factory=list)
    """Final statuses of branches that failed."""
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


@dataclass(slots=True)
class Recording:
    tenant: TenantId
    recording: RecordingId
    call: CallId
