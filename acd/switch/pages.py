"""Whether browsers' pages are there: OPTIONS over their WebSocket (RFC 3261 §11, RFC 7118), which the page's own code answers.

A WebSocket that is up says little: a frozen tab, a blocked script, a half-open connection keep it. So each registered page is asked every
`sip.ping_pages_every_s`, for the board and for technically not ready, and once more right before a call is offered to it (`AskPage`),
whatever it has answered a moment ago: it may have died since. A page that is merely hidden answers. Whatever it answers, its code runs.

Pages are told from phones by their flow; `acd.switch.probes` asks the phones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from acd.config import VoiceSettings
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import AgentId, QuestionId, TenantId
from acd.core.inputs import Input
from acd.directory import Directory, device_aor
from acd.service import LineCheck
from media.control import LegQuality, Quality
from sip import events as sip_events
from sip.flow import Flow
from sip.registrar import Binding
from sip.uri import Uri

NO_ANSWER: Final = "the page's code does not answer"


LEAST_PACKETS: Final = 250
"""Of 20 ms each: five seconds. What was measured in less says nothing of the line."""


def line_of_check(agent: AgentId, check: LineCheck) -> inp.LineMeasured:
    """What a line check says of the line of an agent: its worst stream, since a call may be any of them."""
    streams = check.streams
    trips = [one.round_trip_ms for one in streams if one.round_trip_ms is not None]
    scores = [one.mos for one in streams if one.mos is not None]
    return inp.LineMeasured(
        agent=agent,
        source="check",
        upload_kbits=check.upload_kbits,
        loss=max((one.loss for one in streams), default=None),
        jitter_ms=max((one.jitter_ms for one in streams), default=None),
        round_trip_ms=max(trips, default=None),
        mos=min(scores, default=None),
    )


def line_of_call(agent: AgentId | None, quality: Quality) -> inp.LineMeasured | None:
    """What the media plane has measured of a page's leg, as a measurement of its line: what came from there. None: too little came."""
    packets = quality.packets_received + quality.packets_lost
    if agent is None or packets < LEAST_PACKETS:
        return None
    return inp.LineMeasured(
        agent=agent,
        source="call",
        loss=round(quality.packets_lost / packets, 4),
        jitter_ms=quality.jitter_ms,
        round_trip_ms=quality.round_trip_ms,
        mos=quality.mos,
    )


LEAST_OF_LATE: Final = 100
"""Two seconds of packets: of fewer a single one that is lost would be a bad line."""
POOR_LOSS, POOR_MOS = 0.01, 4.0
"""From where on callers hear it (ITU-T G.107 Annex B: below 4.0 some users are dissatisfied)."""


def line_of_late(agent: AgentId | None, told: LegQuality) -> inp.LineMeasured | None:
    """The same of the last seconds of a call that is up."""
    if agent is None or told.packets_expected < LEAST_OF_LATE:
        return None
    return inp.LineMeasured(
        agent=agent,
        source="call",
        loss=round(told.packets_lost / told.packets_expected, 4),
        jitter_ms=told.jitter_ms,
        round_trip_ms=told.round_trip_ms,
        mos=told.mos,
    )


def is_poor(measured: inp.LineMeasured) -> bool:
    """Whether it is worth a line in the journal every few seconds."""
    return (measured.loss or 0.0) > POOR_LOSS or (measured.mos is not None and measured.mos < POOR_MOS)


class Handle(Protocol):
    """Something that is due."""

    def cancel(self) -> None: ...


class Port(Protocol):
    """What of `SipPort` is needed."""

    def options(self, probe: str, target: Uri, flow: Flow, *, patience_s: float | None = None) -> None: ...
    def binding(self, aor: str, contact: Uri) -> Binding | None: ...
    def mark(self, aor: str, contact: Uri, *, is_unreachable: bool) -> None: ...


class Time(Protocol):
    """A clock that does not jump, and an alarm."""

    def time(self) -> float: ...
    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle: ...


class LoopTime:
    """That of the running loop."""

    def time(self) -> float:
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle:
        return asyncio.get_running_loop().call_later(delay, callback)


@dataclass(slots=True, eq=False)
class _Page:
    """One registered contact."""

    tenant: TenantId
    agent: AgentId
    """Whose device it is."""
    aor: str
    contact: Uri
    name: str
    misses: int = 0
    is_silent: bool = False
    answered_at: float | None = None
    is_pinged: bool = False
    timer: Handle | None = None


@dataclass(slots=True, eq=False)
class _Asked:
    """One question at one agent: the first of its pages that answers, answers it."""

    tenant: TenantId
    question: QuestionId
    agent: AgentId
    sent_at: float
    open: set[str] = field(default_factory=set)
    """Probes that have not come back."""


class Pages:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange; never raises.
        now: tests have one of their own.
    """

    def __init__(
        self, settings: VoiceSettings, directory: Directory, report: Callable[[TenantId, Input], None], now: Time | None = None
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._report = report
        self._time: Time = now or LoopTime()
        self._pages: dict[tuple[str, str], _Page] = {}
        self._pings: dict[str, _Page] = {}
        """By the name of the probe."""
        self._asked: dict[str, tuple[_Asked, _Page]] = {}
        """The same of questions."""
        self._port: Port | None = None
        self._serial = 0
        self.pings = 0
        self.questions = 0
        """Asked of a page because a call was to be offered to it."""
        self.unanswered = 0
        """Of these, without an answer in time."""

    def attach(self, port: Port) -> None:
        self._port = port

    @property
    def _sip(self) -> Port:
        assert self._port is not None, "a page was to be asked before the SIP port was attached"
        return self._port

    @property
    def registered_now(self) -> int:
        return len(self._pages)

    @property
    def silent(self) -> int:
        """How many registered pages do not answer."""
        return sum(one.is_silent for one in self._pages.values())

    # ------------------------------------------------------------------ what happens to pages

    def registered(self, aor: str, contact: Uri) -> None:
        """A page was bound, or bound again: its code has just said so."""
        found = self._directory.device_at(aor)
        if found is None:
            return
        page = self._pages.get((aor, str(contact)))
        if page is None:
            self._serial += 1
            page = _Page(found[0], found[1].agent, aor, contact, f"page#{self._serial}")
            self._pages[aor, str(contact)] = self._pings[page.name] = page
        page.misses, page.is_silent = 0, False
        if page.timer is None and not page.is_pinged:
            self._later(page)

    def unregistered(self, aor: str, contact: Uri) -> None:
        """It is bound no longer: what was asked of it is answered by others, or by nobody."""
        page = self._pages.pop((aor, str(contact)), None)
        if page is None:
            return
        del self._pings[page.name]
        self._stop(page)
        for probe in [probe for probe, (_, asked) in self._asked.items() if asked is page]:
            self._not_answered(probe)

    # ------------------------------------------------------------------ pings

    def _later(self, page: _Page) -> None:
        self._stop(page)
        if self._settings.ping_pages_every_s:
            page.timer = self._time.call_later(self._settings.ping_pages_every_s, lambda: self._ping(page))

    @staticmethod
    def _stop(page: _Page) -> None:
        if page.timer is not None:
            page.timer.cancel()
            page.timer = None

    def _ping(self, page: _Page) -> None:
        page.timer = None
        binding = self._sip.binding(page.aor, page.contact)
        if binding is None:
            return
        self._later(page)  # whatever becomes of this one
        if page.is_pinged:
            return
        page.is_pinged = True
        self.pings += 1
        patience_s = min(self._settings.phone_answer_within_s, self._settings.ping_pages_every_s)
        self._sip.options(page.name, binding.contact, binding.flow, patience_s=patience_s)

    # ------------------------------------------------------------------ questions before offers

    def ask(self, tenant: TenantId, effect: ef.AskPage) -> None:
        """Ask every page of the phone; the first answer is told."""
        device = self._directory.device_of(tenant, effect.at or effect.agent)
        aor = device_aor(tenant, device.username) if device is not None else ""
        now = self._time.time()
        pages = [page for (name, _), page in self._pages.items() if name == aor]
        asked = _Asked(tenant, effect.question, effect.agent, now)
        for page in pages:
            binding = self._sip.binding(page.aor, page.contact)
            if binding is None:
                continue
            self._serial += 1
            probe = f"question#{self._serial}"
            self._asked[probe] = asked, page
            asked.open.add(probe)
            self.questions += 1
            self._sip.options(probe, binding.contact, binding.flow, patience_s=effect.within_s)
        if not asked.open:
            self._report(tenant, inp.PageAnswered(question=effect.question, agent=effect.agent, answered=False))

    def _tell(self, tenant: TenantId, question: QuestionId, agent: AgentId, page: _Page, *, round_trip_ms: float | None) -> None:
        self._report(
            tenant,
            inp.PageAnswered(question=question, agent=agent, answered=True, contact=str(page.contact), round_trip_ms=round_trip_ms),
        )

    # ------------------------------------------------------------------ answers

    def answered(self, event: sip_events.OptionsAnswered) -> None:
        """One of ours came back, or did not; others are not ours."""
        if event.probe in self._asked:
            if event.status is None:
                self._not_answered(event.probe)
            else:
                self._answered_question(event.probe)
            return
        page = self._pings.get(event.probe)
        if page is None:
            return
        page.is_pinged = False
        if event.status is None:
            self._missed(page, page.misses + 1)
        else:
            self._heard(page)

    def _answered_question(self, probe: str) -> None:
        asked, page = self._asked.pop(probe)
        asked.open.discard(probe)
        for other in asked.open:
            del self._asked[other]
        round_trip_ms = round(1000 * (self._time.time() - asked.sent_at), 1)
        self._heard(page)
        self._tell(asked.tenant, asked.question, asked.agent, page, round_trip_ms=round_trip_ms)

    def _not_answered(self, probe: str) -> None:
        """Of several pages the last one decides."""
        asked, page = self._asked.pop(probe)
        asked.open.discard(probe)
        self.unanswered += 1
        if not asked.open:
            self._report(asked.tenant, inp.PageAnswered(question=asked.question, agent=asked.agent, answered=False))
        if self._pages.get((page.aor, str(page.contact))) is page:
            self._missed(page, self._settings.ping_page_misses)

    def _heard(self, page: _Page) -> None:
        page.misses, page.answered_at = 0, self._time.time()
        if page.is_silent:
            self._say(page, answers=True)

    def _missed(self, page: _Page, misses: int) -> None:
        page.misses = misses
        if page.misses >= self._settings.ping_page_misses and not page.is_silent:
            self._say(page, answers=False)

    def _say(self, page: _Page, *, answers: bool) -> None:
        page.is_silent = not answers
        self._sip.mark(page.aor, page.contact, is_unreachable=not answers)
        detail = None if answers else NO_ANSWER
        self._report(page.tenant, inp.DeviceProbed(agent=page.agent, contact=str(page.contact), answers=answers, detail=detail))

    def close(self) -> None:
        """Ask nobody any more."""
        for page in self._pages.values():
            self._stop(page)
        self._pages.clear()
        self._pings.clear()
        self._asked.clear()
