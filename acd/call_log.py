"""What the log says of calls: a line at the begin, when two parties are connected, and at the end; a fold over entries (house).

    > call=0f3c…-1 tenant=demo event=begin direction=inbound from=*010 to=600 trunk=demo sip_call_id=a84b4c76@192.0.2.9
    = call=0f3c…-1 tenant=demo event=answer queue=support agent=anna trunk=demo waited_s=8.2 sip_call_id=5f0e…
    x call=0f3c…-1 tenant=demo event=end cause=hang_up by=caller queue=support agent=anna trunk=demo duration_s=71.0 talk_s=62.8 sip_…

and one more, for an agent whom the service makes not ready because a call was not answered:

    = call=0f3c…-1 tenant=demo event=not_ready queue=support agent=anna reason=no_answer

and for a forward that leads back here outside, once a loop, however many rounds it made:

    ! call=0f3c…-1 tenant=demo event=loop number=*567 by=+4930555100 reason=number rounds=10

and for each party whose line is full, so that it is carried otherwise than usual (docs/operating.md#bandwidth):

    = call=0f3c…-1 tenant=demo event=degraded role=caller line=trunk:demo step=longer_ptime kbits=84 reserved_kbits=984 upload_kbits=1000

Names and their order are kept for whoever reads them with a program; what is not known is left out. `sip_call_id` is that of the caller's
dialog (`answer`: of the party that answered), so that its messages can be found in the trace. No key a caller pressed is ever written.

`answer` ends with what protects either side (`a` was there, `b` has answered), where something does: `a_audio=sdes a_signalling=tls
b_audio=dtls b_signalling=wss`.

Queue, agent, talk and length of the end are those of the record (docs/figures.md §4), queue and wait of an answer those of its talk.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from acd.core import events as ev
from acd.core.ids import VOICE, AgentId, CallId, ContactId, LegId, TenantId, channel_of
from acd.core.machines import leg as legs
from acd.core.replay import Entry
from acd.core.state.values import Call, State
from acd.core.steps.queueing import NOT_READY_REASON
from acd.ledger import Ledger, happened
from acd.switch.causes import telling
from sip.kept import call_id_of

log = logging.getLogger("acd.calls")
SHOWN = 3
"""Digits of a telephone number, characters of a name, that are written: enough to tell two calls apart, too few to call back."""
SHORT = 4
"""A number this short is an extension or a service, and nobody's."""
ORDINARY = frozenset({"hang_up", "cancelled"})
LONGEST = 128
"""Octets of a value; a Call-ID of the wire may be as long as its sender likes."""
_NUMBER = re.compile(r"[+0-9*#().\-\s]*[0-9][+0-9*#().\-\s]*")
"""What people dial, with the marks they write between its digits (RFC 3966 §5.1.1)."""
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
"""A value that needs no quotes: printable ASCII without space, quote, equals sign and backslash."""


def masked(party: str) -> str:
    """`+493023125010` -> `*010`, a name, `erika.muster`, by its beginning, `eri*`; what is short stays."""
    if len(party) <= SHORT:
        return party
    return f"*{party[-SHOWN:]}" if _NUMBER.fullmatch(party) else f"{party[:SHOWN]}*"


@dataclass(slots=True)
class _Leg:
    call: CallId
    role: str
    agent: str | None = None
    trunk: str | None = None
    number: str | None = None
    sip_call_id: str | None = None
    audio: str = "none"
    signalling: str | None = None
    """What protects it."""
    waits: bool = False
    """It arrived and was not answered yet."""


@dataclass(slots=True)
class _Call:
    """One that lives, as far as a log needs it."""

    began_at: float
    trunk: str | None = None
    agent: str | None = None
    queue: str | None = None
    """Both of the first talk; before it, who began the call and where it waited last."""
    waited_in: str | None = None
    """The queue of the talk that comes: where it waited last since the one before."""
    queued_at: float | None = None
    """As long as an agent of that queue may answer."""
    sip_call_id: str | None = None
    answered_at: float | None = None
    ended_by: str | None = None
    leg_cause: str | None = None
    """What became of the leg whose end ended the call, where it did not just hang up: `media_silent`, `timeout`, `transport`, ..."""
    status: int | None = None
    begins: ev.CallOffered | None = None
    """Said at the end of the entry, when its first leg is known."""
    legs: list[LegId] = field(default_factory=list)
    parties: list[LegId] = field(default_factory=list)
    """In conversation; of a consultation, those who are held too."""
    since: float = 0.0
    """When the present talk or hold of theirs began."""
    is_held: bool = False
    consults: bool = False
    """Somebody has left the others on hold to ask somebody else."""
    talk_s: float = 0.0
    hold_s: float = 0.0

    def count(self, now: float) -> None:
        """Add the stretch that ends: as in the record (docs/figures.md §3), ringing after a transfer is neither talk nor hold."""
        if self.parties:
            if self.is_held:
                self.hold_s += now - self.since
            else:
                self.talk_s += now - self.since
        self.since = now

    def move(self, by_s: float) -> None:
        """The clock was set: what lasts has lasted as long as before."""
        self.began_at += by_s
        self.since += by_s
        self.queued_at = None if self.queued_at is None else self.queued_at + by_s
        self.answered_at = None if self.answered_at is None else self.answered_at + by_s


class CallLog:
    """Of one tenant; `told` is called with each entry that is on disk."""

    def __init__(self, tenant: TenantId, *, masks_numbers: bool = True) -> None:
        self._tenant = tenant
        self._shown: Callable[[str], str] = masked if masks_numbers else str
        self._calls: dict[CallId, _Call] = {}
        self._legs: dict[LegId, _Leg] = {}
        self._holding: set[LegId] = set()
        self._alive_at = 0.0
        self._missed: dict[AgentId, CallId] = {}
        """Of one entry: who did not take which call."""
        self._hears: dict[type, Callable[[Any, float], None]] = {
            ev.ClockCorrected: self._clock_corrected,
            ev.CallOffered: self._offered,
            ev.LegInitiated: self._initiated,
            ev.LegAlerted: self._dialog_known,
            ev.LegConnected: self._dialog_known,
            ev.LegProtected: self._protected,
            ev.LegCleared: self._leg_cleared,
            ev.Queued: self._queued,
            ev.QueueLeft: self._queue_left,
            ev.CallEstablished: self._established,
            ev.CallConsulted: self._consulted,
            ev.ConsultationAlternated: self._alternated,
            ev.ConsultationEnded: self._consultation_ended,
            ev.CallTransferred: self._transferred,
            ev.CallReferred: self._transferred,
            ev.LegHeld: self._hold_changed,
            ev.LegRetrieved: self._hold_changed,
            ev.CallCleared: self._cleared,
            ev.WorkDone: self._work_done,
            ev.AgentNotReady: self._made_not_ready,
            ev.ForwardLoopFound: self._loop_found,
        }

    def take_up(self, state: State, ledger: Ledger) -> None:
        """Know the calls that a restart finds: their ends are said too.

        Args:
            ledger: of the same journal up to the same entry. What was talked by whom is in no state of the core.
        """
        self._alive_at = ledger.alive_at
        self._holding.update([leg.id for leg in state.legs.values() if leg.state in legs.ON_HOLD])
        for leg in state.legs.values():
            waits = leg.arrived and leg.state not in legs.ANSWERED
            known = _Leg(leg.call, leg.role, leg.agent, leg.trunk, leg.number, call_id_of(leg.dialog), leg.audio, leg.signalling, waits)
            self._legs[leg.id] = known
        for call in state.calls.values():
            self._calls[call.id] = self._taken_up(state, call, ledger)

    def _taken_up(self, state: State, call: Call, ledger: Ledger) -> _Call:
        contact = state.contacts[call.id]
        entry = state.entries.get(contact.entry) if contact.entry is not None else None
        known = _Call(
            began_at=call.began_at,
            trunk=call.trunk,
            agent=call.agent,
            queue=contact.queue,
            waited_in=entry.queue if entry is not None else None,
            queued_at=entry.queued_at if entry is not None else None,
            sip_call_id=next((self._legs[leg].sip_call_id for leg in call.legs if state.legs[leg].arrived), None),
            legs=list(call.legs),
            parties=[*call.parties, *(call.consultation.held if call.consultation is not None else ())],
            since=ledger.alive_at,
        )
        known.is_held = self._is_held(known)
        if (so_far := ledger.so_far(call.id)) is not None:
            known.agent, known.queue = so_far.agent, so_far.queue
            known.answered_at = so_far.answered_at.timestamp() if so_far.answered_at is not None else None
            known.sip_call_id = known.sip_call_id or next((leg.sip_call_id for leg in so_far.legs if not leg.dialled), None)
            known.talk_s, known.hold_s = so_far.talk_ms / 1000, so_far.hold_ms / 1000
        return known

    def told(self, entry: Entry) -> None:
        """Say what this entry means for calls."""
        now, self._alive_at = happened(entry, self._alive_at)
        if not log.isEnabledFor(logging.INFO):
            return
        for event in entry.events:
            hears = self._hears.get(type(event))
            if hears is not None:
                hears(event, now)
        self._missed.clear()
        for event in entry.events:
            if type(event) is ev.CallOffered:
                self._begin(event.call)
            elif type(event) is ev.ChannelReserved and event.step is not None:
                self._degraded(event)

    # ------------------------------------------------------------------ events

    def _clock_corrected(self, event: ev.ClockCorrected, _now: float) -> None:
        for call in self._calls.values():
            call.move(event.by_s)

    def _offered(self, event: ev.CallOffered, now: float) -> None:
        self._calls[event.call] = _Call(began_at=now, trunk=event.trunk, agent=event.agent, begins=event)

    def _initiated(self, event: ev.LegInitiated, _now: float) -> None:
        call = self._calls.get(event.call)
        if call is None:
            return
        call.legs.append(event.leg)
        leg = _Leg(event.call, event.role, event.agent, event.trunk, event.number, call_id_of(event.dialog), waits=event.arrived)
        self._legs[event.leg] = leg
        if event.arrived:
            call.sip_call_id = leg.sip_call_id

    def _dialog_known(self, event: ev.LegAlerted | ev.LegConnected, _now: float) -> None:
        leg = self._legs.get(event.leg)
        if leg is not None and event.dialog is not None:
            leg.sip_call_id = call_id_of(event.dialog) or leg.sip_call_id
        if leg is not None and isinstance(event, ev.LegConnected):
            leg.waits = False

    def _protected(self, event: ev.LegProtected, _now: float) -> None:
        leg = self._legs.get(event.leg)
        if leg is not None:
            leg.audio, leg.signalling = event.audio, event.signalling

    def _call_of(self, contact: ContactId) -> _Call | None:
        return self._calls.get(CallId(contact))

    def _queued(self, event: ev.Queued, now: float) -> None:
        if (call := self._call_of(event.contact)) is not None:
            call.waited_in, call.queued_at = event.queue, now
            if call.answered_at is None:
                call.queue = event.queue

    def _queue_left(self, event: ev.QueueLeft, _now: float) -> None:
        """Whoever answers after that is not of this queue."""
        if event.outcome != "answered" and (call := self._call_of(event.contact)) is not None:
            call.queued_at = None

    def _hold_changed(self, event: ev.LegHeld | ev.LegRetrieved, now: float) -> None:
        if isinstance(event, ev.LegHeld):
            self._holding.add(event.leg)
        elif not event.still_held:
            self._holding.discard(event.leg)
        leg = self._legs.get(event.leg)
        call = self._calls.get(leg.call) if leg is not None else None
        if call is not None and call.parties:
            call.count(now)
            call.is_held = self._is_held(call)

    def _is_held(self, call: _Call) -> bool:
        """Fewer than two are there who do not hold, or somebody consults: what lasts of that is hold, as in the record."""
        return call.consults or (bool(call.parties) and len(call.parties) - len(self._holding.intersection(call.parties)) < 2)

    def _consulted(self, event: ev.CallConsulted, now: float) -> None:
        self._holding.discard(event.leg)
        if (call := self._calls.get(event.call)) is not None:
            call.count(now)
            call.consults = call.is_held = True

    def _alternated(self, event: ev.ConsultationAlternated, now: float) -> None:
        if (call := self._calls.get(event.call)) is not None:
            call.count(now)
            call.consults = not call.consults
            call.is_held = self._is_held(call)

    def _consultation_ended(self, event: ev.ConsultationEnded, now: float) -> None:
        if (call := self._calls.get(event.call)) is None:
            return
        call.count(now)
        call.consults = False
        if event.then == "handed_on":
            call.parties = []
        elif event.then in {"handed_over", "abandoned"} and event.leg in call.parties:
            call.parties.remove(event.leg)
        call.is_held = self._is_held(call)

    def _transferred(self, event: ev.CallTransferred | ev.CallReferred, now: float) -> None:
        if (call := self._calls.get(event.call)) is not None:
            call.count(now)
            call.parties = []

    def _leg_cleared(self, event: ev.LegCleared, now: float) -> None:
        self._holding.discard(event.leg)
        leg = self._legs.get(event.leg)
        call = self._calls.get(leg.call) if leg is not None else None
        if leg is None or call is None:
            return
        was_talking = event.leg in call.parties
        if was_talking:
            call.count(now)
            call.parties.remove(event.leg)
            call.parties = call.parties if len(call.parties) > 1 else []
            call.is_held = self._is_held(call)
        # An attempt that failed on the way (a trunk that was full, a phone that declined) has ended nothing.
        if event.by == "party" and call.ended_by is None and (was_talking or leg.role == "caller"):
            call.ended_by = leg.role
            call.leg_cause = event.cause if event.cause not in ORDINARY else None
        said = telling(event.cause).status if leg.waits and event.by == "exchange" else None
        call.status = event.status or said or call.status

    def _established(self, event: ev.CallEstablished, now: float) -> None:
        call, party = self._calls.get(event.call), self._legs.get(event.b)
        if call is None:
            return
        self._begin(event.call)
        queue, queued_at = call.waited_in, call.queued_at
        call.waited_in = call.queued_at = None
        call.count(now)
        if call.consults:
            call.parties.append(event.b)
        else:
            call.parties = [event.a, event.b]
        call.is_held = self._is_held(call)
        if call.answered_at is None:
            call.answered_at = now
            call.queue = queue
            call.agent = party.agent if party is not None and party.agent is not None else call.agent
        self._say(
            "=",
            event.call,
            "answer",
            queue=queue,
            agent=party.agent if party is not None else None,
            trunk=party.trunk if party is not None else None,
            number=party.number if party is not None and party.agent is None else None,
            waited_s=now - queued_at if queued_at is not None else None,
            sip_call_id=party.sip_call_id if party is not None else None,
            **_protection("a", self._legs.get(event.a)),
            **_protection("b", party),
        )

    def _cleared(self, event: ev.CallCleared, now: float) -> None:
        self._begin(event.call)
        call = self._calls.pop(event.call, None)
        if call is None:
            return
        for leg in call.legs:
            self._legs.pop(leg, None)
        self._say(
            "x",
            event.call,
            "end",
            cause=event.cause,
            by=call.ended_by,
            leg_cause=call.leg_cause,
            status=call.status,
            queue=call.queue,
            agent=call.agent,
            trunk=call.trunk,
            duration_s=now - call.began_at,
            talk_s=call.talk_s if call.answered_at is not None else None,
            hold_s=call.hold_s or None,
            sip_call_id=call.sip_call_id,
        )

    def _work_done(self, event: ev.WorkDone, _now: float) -> None:
        if event.outcome in {"no_answer", "declined", "failed"} and channel_of(event.contact) == VOICE:
            self._missed[event.agent] = CallId(event.contact)

    def _made_not_ready(self, event: ev.AgentNotReady, _now: float) -> None:
        """Only where a missed call is why: what people say of themselves is on the board, and no fault."""
        missed = self._missed.get(event.agent)
        if missed is None or event.reason not in NOT_READY_REASON.values():
            return
        call = self._calls.get(missed)
        self._say("=", missed, "not_ready", queue=call.waited_in if call is not None else None, agent=event.agent, reason=event.reason)

    def _degraded(self, event: ev.ChannelReserved) -> None:
        leg = self._legs.get(event.leg)
        if leg is not None:
            figures = {"kbits": event.kbits, "reserved_kbits": event.reserved_kbits, "upload_kbits": event.upload_kbits}
            self._say("=", leg.call, "degraded", role=leg.role, line=event.line, step=event.step, **figures)

    def _loop_found(self, event: ev.ForwardLoopFound, _now: float) -> None:
        self._begin(event.call)
        self._say("!", event.call, "loop", number=event.number, by=event.by, reason=event.reason, rounds=len(event.rounds))

    # ------------------------------------------------------------------ lines

    def _begin(self, name: CallId) -> None:
        call = self._calls.get(name)
        if call is None or call.begins is None:
            return
        begun, call.begins = call.begins, None
        self._say(
            ">",
            name,
            "begin",
            direction=begun.direction,
            number=begun.calling,
            to=begun.called,
            trunk=begun.trunk,
            agent=begun.agent,
            sip_call_id=call.sip_call_id,
        )

    def _say(self, glyph: str, call: CallId, event: str, **known: str | float | None) -> None:
        fields: dict[str, Any] = {"call": call, "tenant": self._tenant, "event": event}
        for name, value in known.items():
            if value is None:
                continue
            if name in {"number", "to"}:
                fields["from" if name == "number" and event == "begin" else name] = self._shown(str(value))
            else:
                fields[name] = round(value, 1) if isinstance(value, float) else value
        log.info("%s %s", glyph, " ".join([f"{name}={_value(value)}" for name, value in fields.items()]), extra=fields)


def _protection(side: str, leg: _Leg | None) -> dict[str, str | None]:
    """Of one side of a talk, as far as it has any."""
    if leg is None:
        return {}
    return {f"{side}_audio": leg.audio if leg.audio != "none" else None, f"{side}_signalling": leg.signalling}


def _value(value: object) -> str:
    text = str(value)[:LONGEST]
    return text if _PLAIN.fullmatch(text) else msgspec.json.encode(text).decode()
