"""Heals what core, switch and media workers do not agree on, with a reason in the log and a metric (U6; `acd.comparison` says what)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from acd.comparison import WHATS, Difference, SwitchView, What, WorkerView, differences
from acd.core import inputs as inp
from acd.core.ids import CallId, LegId, TenantId
from acd.core.inputs import Input
from acd.core.state.values import State
from media.control import Held

log = logging.getLogger(__name__)

_SAYS: Mapping[What, str] = {
    "leg_not_held": "the exchange has a leg that the switch does not hold",
    "leg_unknown": "the switch holds a leg that is over for the exchange",
    "dialog_lost": "the dialog of a leg is over, and nobody was told",
    "answer_not_told": "a leg was answered, and the exchange was not told",
    "not_answered": "a caller was to be answered, and was not",
    "media_lost": "the media worker does not hold a leg that has ports",
    "media_unknown": "a media worker holds a leg that nobody has",
    "audio_differs": "who hears whom is not what was declared",
    "sounds_differ": "what was to play does not play",
}
_MISSING = frozenset({"leg_not_held", "dialog_lost"})
_DECLARED_AGAIN = frozenset({"not_answered", "audio_differs", "sounds_differ"})


class Switch(Protocol):
    """What of the switch is needed here."""

    def views(self, tenant: TenantId) -> dict[LegId, SwitchView]: ...
    def end_unknown(self, leg: LegId) -> None: ...
    def move(self, leg: LegId) -> None: ...
    def forget_audio(self, call: CallId) -> None: ...
    def close_unknown(self, legs: Iterable[str]) -> None: ...
    def is_held(self, leg: str) -> bool: ...


class Watchdog:
    """See the module.

    Args:
        report: hands a fact to a tenant's exchange.
    """

    def __init__(self, switch: Switch, report: Callable[[TenantId, Input], None]) -> None:
        self._switch = switch
        self._report = report
        self._seen: dict[TenantId, frozenset[Difference]] = {}
        self._strangers: frozenset[str] = frozenset()
        self.repairs: Counter[What] = Counter(dict.fromkeys(WHATS, 0))

    def look(self, states: Mapping[TenantId, State], held: Iterable[Held]) -> None:
        """Compare, and heal what was so a look ago already.

        Args:
            states: of the tenants whose decisions are all carried out.
            held: what every media worker holds, but for legs that nobody has claimed yet.
        """
        held = tuple(held)
        workers = WorkerView(
            {leg.leg: leg.play for one in held for leg in one.legs},
            {room.room: frozenset(room.hears) for one in held for room in one.rooms},
        )
        self._seen = {tenant: self._look_at(tenant, state, workers) for tenant, state in states.items()}
        self._look_at_strangers(workers)

    def _look_at(self, tenant: TenantId, state: State, workers: WorkerView) -> frozenset[Difference]:
        found = frozenset(differences(state, self._switch.views(tenant), workers))
        stands = sorted(found & self._seen.get(tenant, frozenset()))
        if stands:
            self._heal(tenant, state, stands)
        return found

    def _look_at_strangers(self, workers: WorkerView) -> None:
        found = frozenset(leg for leg in workers.plays if not self._switch.is_held(leg))
        stands = sorted(found & self._strangers)
        self._strangers = found
        for leg in stands:
            self._say("media_unknown", leg)
        self._switch.close_unknown(stands)

    def _heal(self, tenant: TenantId, state: State, stands: list[Difference]) -> None:
        for one in stands:
            self._say(one.what, one.leg or one.call)
            if one.leg is not None and one.what == "leg_unknown":
                self._switch.end_unknown(one.leg)
            elif one.leg is not None and one.what == "media_lost":
                self._switch.move(one.leg)
            elif one.leg is not None and one.what == "answer_not_told":
                self._report(tenant, inp.LegAnswered(leg=one.leg, dialog=state.legs[one.leg].dialog))
            elif one.what in _DECLARED_AGAIN:
                self._switch.forget_audio(one.call)
        missing = tuple(one.leg for one in stands if one.what in _MISSING and one.leg is not None)
        calls = tuple(dict.fromkeys(one.call for one in stands if one.what in _DECLARED_AGAIN))
        if missing or calls:
            reason = ", ".join(sorted({_SAYS[one.what] for one in stands}))
            self._report(tenant, inp.Reconciled(missing=missing, calls=calls, cause="error", reason=reason))

    def _say(self, what: What, where: str) -> None:
        self.repairs[what] += 1
        log.error("! %s: %s: healed", where, _SAYS[what])
