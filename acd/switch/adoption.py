"""After a start: legs whose audio the media workers have kept up are taken up again with their sessions (ADR 0024).

| the journal knows it | its worker holds it | its note can be read | then |
|---|---|---|---|
| yes | yes | yes | it goes on: sessions resumed, ports claimed |
| no  | yes | yes | it was over, and its far end may not know: its sessions are resumed to be ended, its ports closed |
| yes | yes | no  | its ports are closed; the core ends it by what the journal has of its dialog |
| no  | yes | no  | its ports are closed: nothing says who is at its far end |
| yes | no  | -   | the core ends it likewise |

Before anything is received: a request in a dialog that is not known yet would be answered 481, and its phone would hang up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from acd.core.ids import LegId, TenantId
from acd.core.state.values import Leg
from acd.directory import Directory
from acd.switch import causes, notes
from acd.switch.legs import Phase, SwitchLeg
from acd.switch.lines import credentials
from acd.switch.sip_port import SipPort
from media.client import HeldAt, MediaPlane
from media.control import LegOpened
from sip.errors import LocalMisuse, ParseError

log = logging.getLogger(__name__)


class Hands(Protocol):
    """What of the switch is needed here."""

    @property
    def sip(self) -> SipPort: ...
    def enter_again(self, leg: SwitchLeg) -> None: ...
    def await_quality(self, leg: SwitchLeg) -> None: ...
    def told(self, opened: LegOpened) -> LegOpened: ...


class Adoption:
    """See the module."""

    def __init__(self, media: MediaPlane, directory: Directory, counters: Counter[str], hands: Hands) -> None:
        self._media = media
        self._directory = directory
        self._counters = counters
        self._hands = hands

    def tenants(self) -> frozenset[TenantId]:
        """Whose legs the workers held as we began."""
        return frozenset(note.tenant for held in self._media.held if (note := _read(held)) is not None)

    def take_up(self, tenant: TenantId, known: Mapping[LegId, Leg]) -> tuple[LegId, ...]:
        """Of one tenant, whose trunks and phones are in the directory and whose bindings the registrar has.

        Args:
            known: the legs of its journal.
        Returns: those that go on.
        """
        unclaimed = set(self._media.unclaimed())
        found = [(held, note) for held in self._media.held if held.leg in unclaimed and (note := _read(held)) is not None]
        taken: list[LegId] = []
        for held, note in found:
            if note.tenant != tenant:
                continue
            leg = self._resumed(held, note)
            if leg is not None and note.leg in known:
                self._hands.enter_again(leg)
                taken.append(note.leg)
                self._counters["legs_adopted"] += 1
            else:
                self._let_go(held, leg)
        return tuple(taken)

    def _resumed(self, held: HeldAt, note: notes.LegNote) -> SwitchLeg | None:
        """The leg with its sessions and its ports; None: it cannot be had."""
        try:
            leg = notes.leg_of(note)
        except (ParseError, ValueError) as error:
            log.error("! %s: what was noted of it cannot be read: %s", held.leg, error)  # noqa: TRY400 - expected kinds
            return None
        line = self._directory.trunk(note.tenant, note.trunk) if note.trunk is not None else None
        proof = credentials(line) if line is not None else None
        for one in note.sessions:
            try:
                self._hands.sip.resume(one.session, one.kept, credentials=proof)
            except (ParseError, LocalMisuse) as error:
                log.error("! %s: session %s cannot be taken up: %s", held.leg, one.session, error)  # noqa: TRY400 - expected kinds
                leg.branches.pop(one.session, None)
                leg.session = None if leg.session == one.session else leg.session
        if leg.session is None and not leg.branches:
            return None
        opened = self._media.claim(note.call, note.leg)
        if opened is None:
            return None
        leg.media = self._hands.told(opened)
        return leg

    def _let_go(self, held: HeldAt, leg: SwitchLeg | None) -> None:
        """It is over for the journal, or nothing can be done with it: the far end is told, the ports are closed."""
        self._counters["legs_not_adopted"] += 1
        if leg is None:
            self._media.abandon(held.leg)
            return
        log.warning("! %s: its worker held it, and it is over: its far end is told", held.leg)
        for session in [leg.session] if leg.session is not None else list(leg.branches):
            if leg.phase is Phase.ARRIVED:
                self._hands.sip.reject(session, causes.release_status("restart"))
            else:
                self._hands.sip.cancel_or_bye(session, reason_header=causes.reason_header("restart"))
        self._hands.await_quality(leg)


def _read(held: HeldAt) -> notes.LegNote | None:
    try:
        return notes.read(held.note)
    except ParseError:
        return None  # it stays unclaimed, and is closed with those that nobody comes for
