"""From the journal's events to the records of conversations: a pure fold (DESIGN.md §3; docs/figures.md §2 to §5).

Every leg is always in exactly one segment, so the ledger closes by construction; a change of segment ends one and begins the next at
the same instant. Two in conversation move together: whoever holds, both are on hold; of more, whoever holds is. A conversation that is over
is complete when its legs are measured and its recordings closed; whoever drives the ledger decides how long to wait for that.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from acd.core import events as ev
from acd.core.ids import VOICE, LegId, RecordingId, TenantId, channel_of
from acd.core.inputs import ClockStepped, ServiceStarted
from acd.core.replay import Entry
from acd.enders import ENDED_BY, REFUSALS, Ender
from acd.switch.causes import TELLINGS, telling
from billing_cdr import facts
from billing_cdr.assemble import Assembler, wrap_up
from billing_cdr.causes import RESTART
from billing_cdr.cdr import Cdr, LateAnswer, Segment
from billing_cdr.errors import LedgerError
from billing_cdr.quote import Quote
from sip.kept import call_id_of

CRASH, EXCHANGE, SUPERVISOR, CALLER, PARTY = "crash", "exchange", "supervisor", "caller", "party"
"""Originators (docs/figures.md §5). A leg that a supervisor ended has the word `supervisor` as its cause."""
ANONYMOUS = "anonymous"
_KIND_OF_FORWARDER: dict[str, str] = {
    "always": "agent", "busy": "agent", "no_answer": "agent", "unregistered": "agent", "transfer": "agent", "consult": "agent",
    "overflow": "queue", "exit": "queue", "closed": "queue", "menu": "menu", "number": "number",
}  # fmt: skip
"""Reason of a forwarding -> what has the name that caused it."""
_ENDED_BY_HAND = frozenset({"hang_up", "rejected", "declined"})


class _Leg(msgspec.Struct, kw_only=True):
    word: str
    """What it is called as an originator."""
    name: str
    """What it is called as somebody's party."""
    agent: str | None = None
    dialled: bool = False
    segment: str | None = None
    kind: str = ""
    party: str = ""
    by: str = ""
    supervises: str | None = None
    """The name of the agent whose conversation it hears, be it as a party."""
    barges: bool = False
    priced: bool = False
    answered: bool = False
    measured: bool = False


class _Holder(msgspec.Struct, kw_only=True):
    leg: str
    at_desk: bool
    by: str
    """An originator."""


class _Consultation(msgspec.Struct, kw_only=True):
    leg: str
    by: str
    """An originator."""
    to: str
    """Who is asked, in one word, as long as nobody has answered."""
    held: list[LegId]
    place: tuple[str, str] = ("ring", "")
    """Where it waits for that: kind and party of the segment that who was held will be in, if it takes that place."""
    alternated: bool = False


class _Conversation(msgspec.Struct, kw_only=True):
    call: str
    opener: str
    """Who began it: an originator."""
    sent_by: str
    """Who sent the served leg where it is."""
    served: str | None = None
    """The first leg; after a transfer, the one of the pair that stays."""
    legs: dict[str, _Leg] = {}
    parties: list[LegId] = []
    """In conversation; of a consultation, who consults and who was asked."""
    talk_by: str = ""
    """Who brought the talk about: an originator."""
    consultation: _Consultation | None = None
    holders: list[_Holder] = []
    """Who holds, in the order in which they began; a leg is held at the desk and by the phone apart."""
    offered: dict[str, str] = {}
    """Leg of an offer -> queue."""
    forward_reason: str | None = None
    segments: int = 0
    wraps: int = 0
    outcome: str = ""
    """Outcome of the queue or menu just left: how the served leg's segment ends."""
    recordings: dict[str, None] = {}
    """Those that run, in order: a set would be written differently each time."""
    gone_at: float = 0.0
    """When a leg went last."""
    gone_by: str = ""
    """Who ended the first that went at that instant by hand: an originator."""
    refused_by: str = ""
    """Who refused where the served leg was sent last: an originator."""
    transferred_by: list[str] = []
    over_at: float | None = None
    cause: str = ""
    ended_by: str = ""


class _Wrap(msgspec.Struct, kw_only=True):
    """After-call work that goes on."""

    call: str
    segment: str
    leg: str
    began_at: dt.datetime
    parts: int = 1
    """It is parted wherever the service was not there."""


class _Recording(msgspec.Struct, kw_only=True):
    """One that runs, or whose file is not closed."""

    call: str
    legs: tuple[str, ...]
    began_at: dt.datetime


class _Folded(msgspec.Struct, kw_only=True):
    conversations: dict[str, _Conversation] = {}
    recordings: dict[str, _Recording] = {}
    call_of: dict[str, str] = {}
    """Leg -> call."""
    wraps: dict[str, dict[str, _Wrap]] = {}
    """Agent -> call -> work; the conversation may be over and written."""
    alive_at: float = 0.0
    """Time of the last entry; every five seconds there is one while calls are up or are written up (`acd.exchange`)."""


Late = str | Segment | LateAnswer


class Told(msgspec.Struct, kw_only=True):
    """What an entry led to."""

    records: list[Cdr] = []
    """Of conversations that are complete."""
    over: list[str] = []
    """Conversations that are over and wait to be complete."""
    late: list[tuple[str, Late]] = []
    """Of conversations that were over already: a disposition, or a wrap-up that is done."""
    stumbles: list[tuple[str, Exception]] = []
    """What did not fit, in words, and why."""


def instant(now: float) -> dt.datetime:
    """The civil instant of a journal time, cut to the millisecond."""
    return dt.datetime.fromtimestamp(int(now * 1000) / 1000, dt.UTC)


def happened(entry: Entry, alive_at: float) -> tuple[float, float]:
    """When the events of an entry happened, and the last sign of life from then on.

    A crash ended its calls when it happened, not when we came back: nobody talks, waits or pays in the time between.

    Args:
        alive_at: the sign of life before.
    """
    now = alive_at if type(entry.input) is ServiceStarted else entry.now
    return now, alive_at + entry.input.by_s if isinstance(entry.input, ClockStepped) else entry.now


class Ledger:
    """Fold of one tenant's journal into records."""

    KEPT: ClassVar = (_Folded, *Assembler.KEPT)
    """The types of what a snapshot holds."""

    def __init__(self, tenant: TenantId) -> None:
        self._tenant = tenant
        self._folded = _Folded()
        self._assembler = Assembler()
        self._told = Told()

    def snapshot(self) -> bytes:
        """The whole state."""
        return msgspec.msgpack.encode((self._folded, self._assembler.snapshot()))

    def restore(self, kept: bytes) -> None:
        """Take up the state of a snapshot."""
        self._folded, assembler = msgspec.msgpack.decode(kept, type=tuple[_Folded, bytes])
        self._assembler = Assembler.restore(assembler)

    def __contains__(self, call: str) -> bool:
        """Whether a conversation has no record yet."""
        return call in self._folded.conversations

    @property
    def alive_at(self) -> float:
        """The last sign of life."""
        return self._folded.alive_at

    def so_far(self, call: str) -> Cdr | None:
        """The record that a conversation would have if the last sign of life had been its last; None: there is no such conversation."""
        return self._assembler.so_far(call, instant(self._folded.alive_at))

    # ------------------------------------------------------------------ driving it

    def apply(self, entry: Entry) -> Told:
        """Fold one entry."""
        now, self._folded.alive_at = happened(entry, self._folded.alive_at)
        told = self._told = Told()
        if not entry.events:
            return told
        at = instant(now)
        for event in entry.events:
            step = self._FOLD.get(type(event))
            if step is None:
                continue
            try:
                step(self, event, now, at)
            except (LedgerError, msgspec.ValidationError) as error:  # the latter: a price of another version, which only this leg lacks
                told.stumbles.append((f"entry {entry.seq} does not fit into the ledger", error))
        return told

    def finish(self, call: str) -> Told:
        """Give the record of a conversation that is over as it stands: it was waited for long enough."""
        self._told = Told()
        conversation = self._folded.conversations.get(call)
        if conversation is not None and conversation.over_at is not None:
            self._finish(conversation)
        return self._told

    def _say(self, fact: facts.Fact) -> None:
        self._assembler.apply(fact)

    # ------------------------------------------------------------------ calls and legs

    def _clock_corrected(self, event: ev.ClockCorrected, _now: float, _at: dt.datetime) -> None:
        """Calls in progress have lasted as long as before; what is over and stored stays as it was written."""
        # Whole milliseconds, rounded down as `instant` does: no fact may come to lie before the one it followed.
        by = dt.timedelta(milliseconds=math.floor(event.by_s * 1000))
        self._assembler.move(by)
        for works in self._folded.wraps.values():
            for work in works.values():
                work.began_at += by
        for recording in self._folded.recordings.values():
            recording.began_at += by
        for conversation in self._folded.conversations.values():
            if conversation.over_at is not None:
                conversation.over_at += event.by_s

    def _call_offered(self, event: ev.CallOffered, _now: float, at: dt.datetime) -> None:
        who = CALLER if event.agent is None else f"agent:{event.agent}"
        opener = _acting(event.supervisor, who)
        sent_by = who if event.number is None else f"number:{event.number}"  # the number is called when the agent has taken the phone
        self._folded.conversations[event.call] = _Conversation(call=event.call, opener=opener, sent_by=sent_by)
        self._say(
            facts.ConversationBegan(
                conversation=event.call,
                at=at,
                tenant=self._tenant,
                direction=event.direction,
                calling=event.calling or ANONYMOUS,
                called=event.called,
                trunk=event.trunk,
                did=event.number,
                language=event.language,
            )
        )

    def _leg_initiated(self, event: ev.LegInitiated, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        self._folded.call_of[event.leg] = event.call
        leg = conversation.legs[event.leg] = _leg(event)
        conversation.refused_by = ""
        served = conversation.served
        queue = conversation.offered.get(event.offer) if event.offer is not None else None
        reason = conversation.forward_reason if event.role == "forward" else None
        self._say(
            facts.LegBegan(
                conversation=event.call,
                at=at,
                leg=event.leg,
                role=event.role,
                party=event.agent or event.number or ANONYMOUS,
                number=event.number if event.role != "caller" else None,
                trunk=event.trunk,
                site=event.site,
                internal=event.internal and event.role != "caller",
                agent=event.agent,
                dialled=leg.dialled,
                forward_reason=reason,
                sip_call_id=call_id_of(event.dialog),
            )
        )
        if event.replaces is not None:
            others = [one for one in conversation.parties if one != event.replaces]
            party = conversation.legs[others[0]].name if others else ""
            self._move(conversation, event.leg, "ring", party, leg.word, at)
            return
        if event.role == "supervisor":  # whose conversation it comes to is said next
            return
        if served is None:
            conversation.served = event.leg
            self._move(conversation, event.leg, "ring", "", conversation.opener, at)
            return
        kind = "offer" if queue is not None else "forward" if event.role == "forward" else "ring"
        by = conversation.sent_by if queue is None else f"queue:{queue}"
        waits = served if conversation.consultation is None else conversation.consultation.leg
        party = conversation.legs[waits].name if waits in conversation.legs else ""
        self._move(conversation, event.leg, kind, party, by, at)
        if queue is None:
            self._move_served(conversation, "forward" if event.role == "forward" else "ring", leg.name, at)

    def _move(self, conversation: _Conversation, leg_id: str, kind: Any, party: str, by: str, at: dt.datetime, outcome: str = "") -> None:
        """A leg goes on to its next segment, if that is another than the one it is in."""
        leg = conversation.legs[leg_id]
        if leg.segment is not None:
            if (leg.kind, leg.party, leg.by) == (kind, party, by):
                return
            self._say(facts.SegmentEnded(conversation=conversation.call, at=at, segment=leg.segment, outcome=outcome))
        conversation.segments += 1
        leg.segment = f"{conversation.call}/s{conversation.segments}"
        leg.kind, leg.party, leg.by = kind, party, by
        self._say(
            facts.SegmentBegan(conversation=conversation.call, at=at, segment=leg.segment, leg=leg_id, kind=kind, party=party, caused_by=by)
        )

    def _move_served(self, conversation: _Conversation, kind: str, party: str, at: dt.datetime) -> None:
        served = conversation.served
        if conversation.consultation is not None:
            conversation.consultation.place, conversation.outcome = (kind, party), ""
            return
        if served is not None and served in conversation.legs and conversation.legs[served].segment is not None:
            outcome, conversation.outcome = conversation.outcome, ""
            self._move(conversation, served, kind, party, conversation.sent_by, at, outcome)

    def _leg_alerted(self, event: ev.LegAlerted, _now: float, at: dt.datetime) -> None:
        call = self._folded.call_of.get(event.leg)
        if call is not None and not self._folded.conversations[call].legs[event.leg].answered:
            self._say(facts.LegAlerted(conversation=call, at=at, leg=event.leg, sip_call_id=_first_call_id(event.dialog)))

    def _leg_connected(self, event: ev.LegConnected, _now: float, at: dt.datetime) -> None:
        self._answered(event.leg, at, call_id_of(event.dialog))

    def _answered(self, leg_id: LegId, at: dt.datetime, sip_call_id: str | None = None) -> None:
        call = self._folded.call_of.get(leg_id)
        if call is None:
            return
        leg = self._folded.conversations[call].legs[leg_id]
        if not leg.answered and leg.segment is not None:
            leg.answered = True
            self._say(facts.LegAnswered(conversation=call, at=at, leg=leg_id, sip_call_id=sip_call_id))
            if leg.supervises is not None:
                self._take_place(self._folded.conversations[call], leg_id, at)

    def _answered_late(self, event: ev.LegAnsweredLate, _now: float, at: dt.datetime) -> None:
        self._told.late.append((event.call, LateAnswer(leg=event.leg, at=at)))

    def _leg_quoted(self, event: ev.LegQuoted, _now: float, at: dt.datetime) -> None:
        """A price that comes when the leg has answered was no promise, and there is one a leg."""
        call = self._folded.call_of.get(event.leg)
        leg = None if call is None else self._folded.conversations[call].legs[event.leg]
        if call is not None and leg is not None and leg.segment is not None and not (leg.answered or leg.priced):
            quote = msgspec.convert(event.quote, Quote)
            leg.priced = True
            self._say(facts.LegPriced(conversation=call, at=at, leg=event.leg, quote=quote))

    def _leg_cleared(self, event: ev.LegCleared, now: float, at: dt.datetime) -> None:
        call = self._folded.call_of.get(event.leg)
        if call is None:
            return
        conversation = self._folded.conversations[call]
        leg = conversation.legs[event.leg]
        if leg.segment is None:
            return
        was_party = event.leg in conversation.parties
        if was_party:
            conversation.parties.remove(event.leg)
        consultation = conversation.consultation
        was_held = consultation is not None and event.leg in consultation.held
        if consultation is not None and was_held:
            consultation.held.remove(event.leg)
        conversation.holders = [one for one in conversation.holders if one.leg != event.leg]
        outcome = conversation.outcome if event.leg == conversation.served and conversation.outcome else event.cause
        if leg.kind == "queue" and event.by == "party":
            outcome = "abandoned"  # the queue says so after the leg has gone
        self._say(facts.SegmentEnded(conversation=call, at=at, segment=leg.segment, outcome=outcome))
        leg.segment = None
        by_hand = event.by == "party" or (leg.agent is not None and event.cause in _ENDED_BY_HAND)
        if conversation.gone_at != now:
            conversation.gone_at, conversation.gone_by = now, ""
        conversation.gone_by = conversation.gone_by or (leg.word if by_hand else "")
        if event.cause == SUPERVISOR or (by_hand and event.cause in REFUSALS):
            conversation.refused_by = conversation.refused_by or _acting(event.cause == SUPERVISOR, leg.word)
        self._say(
            facts.LegEnded(
                conversation=call,
                at=at,
                leg=event.leg,
                cause=event.cause,
                sip_status=_status(event, leg),
                by=_who_ended(event),
                q850=event.q850 or (TELLINGS[event.cause].q850 if event.cause in TELLINGS else None),
            )
        )
        left_behind = len(conversation.parties) > 1 if consultation is None else conversation.legs[consultation.leg].segment is not None
        if (was_party if consultation is None else was_held) and left_behind:
            self._settle(conversation, at)

    # ------------------------------------------------------------------ where the served leg is

    def _menu_entered(self, event: ev.MenuEntered, _now: float, at: dt.datetime) -> None:
        self._move_served(self._folded.conversations[event.call], "menu", event.menu, at)

    def _menu_left(self, event: ev.MenuLeft, _now: float, _at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        conversation.outcome = event.digit or "fallback"
        _sent(conversation, f"menu:{event.menu}")

    def _queued(self, event: ev.Queued, _now: float, at: dt.datetime) -> None:
        if (conversation := self._folded.conversations.get(event.contact)) is not None:
            self._move_served(conversation, "queue", event.queue, at)

    def _queue_left(self, event: ev.QueueLeft, _now: float, _at: dt.datetime) -> None:
        conversation = self._folded.conversations.get(event.contact)
        if conversation is None:  # no call: there is no record of it here
            return
        conversation.outcome = event.outcome
        _sent(conversation, f"queue:{event.queue}")

    def _offer_made(self, event: ev.OfferMade, _now: float, _at: dt.datetime) -> None:
        if (conversation := self._folded.conversations.get(event.contact)) is not None:
            conversation.offered[event.offer] = event.queue

    def _announcement_began(self, event: ev.AnnouncementBegan, _now: float, at: dt.datetime) -> None:
        self._move_served(self._folded.conversations[event.call], "announcement", " ".join(event.sounds), at)

    def _call_forwarded(self, event: ev.CallForwarded, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        if event.reason != "redirected":  # a carrier says where the party is; who sent the call there, and pays, is who did before
            _sent(conversation, _acting(event.supervisor, f"{_KIND_OF_FORWARDER[event.reason]}:{event.by}"))
        conversation.forward_reason = event.reason
        self._move_served(conversation, "forward", event.number, at)

    def _call_transferred(self, event: ev.CallTransferred, _now: float, at: dt.datetime) -> None:
        """The pair is parted; the other party waits for whoever it is sent to. Ringing is neither talk nor hold."""
        conversation = self._folded.conversations[event.call]
        _sent(conversation, _acting(event.supervisor, f"agent:{event.by}"))
        if event.cause is None:
            conversation.transferred_by.append(conversation.sent_by)
        self._part_pair(conversation, event.by, at, event.cause or "transferred")

    def _call_referred(self, event: ev.CallReferred, _now: float, at: dt.datetime) -> None:
        """As above, but that the phone which asked waits on its line for what comes of it; it has transferred when it has done so."""
        conversation = self._folded.conversations[event.call]
        conversation.sent_by = f"agent:{event.by}"
        self._part_pair(conversation, event.by, at)
        self._move(conversation, event.leg, "ring", "", conversation.sent_by, at, "transferred")

    def _referral_failed(self, event: ev.ReferralFailed, _now: float, _at: dt.datetime) -> None:
        self._folded.conversations[event.call].outcome = event.cause

    def _part_pair(self, conversation: _Conversation, by: str, at: dt.datetime, outcome: str = "transferred") -> None:
        if not conversation.parties:
            return
        parties, conversation.parties = conversation.parties, []
        conversation.served = next((one for one in parties if conversation.legs[one].agent != by), parties[-1])
        conversation.outcome = outcome
        self._move_served(conversation, "ring", "", at)

    # ------------------------------------------------------------------ who is in conversation

    def _call_established(self, event: ev.CallEstablished, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        legs = conversation.legs
        if any(one not in legs or legs[one].segment is None for one in (event.a, event.b)):
            return
        conversation.parties = [event.a, event.b]
        for one in conversation.parties:
            self._answered(one, at)  # our 2xx was sent, its ACK may still be under way (RFC 3261 §13.3.1.4)
        who = event.a if event.b == conversation.served else event.b
        outcome, conversation.outcome = conversation.outcome or "answered", ""
        conversation.talk_by = legs[who].word
        self._settle(conversation, at, outcome)

    def _settle(self, conversation: _Conversation, at: dt.datetime, outcome: str = "") -> None:
        """Everybody in conversation, or held meanwhile, is in the segment that says so."""
        consultation = conversation.consultation
        if consultation is None:
            self._talk(conversation, conversation.parties, "talk", conversation.talk_by, at, outcome)
        elif consultation.alternated:
            asked = [one for one in conversation.parties if one != consultation.leg]
            self._talk(conversation, [consultation.leg, *consultation.held], "talk", consultation.by, at, outcome)
            self._hold(conversation, asked, consultation, at)
        else:
            self._hold(conversation, consultation.held, consultation, at)
            if conversation.parties:
                self._talk(conversation, conversation.parties, "consult", consultation.by, at, outcome)
            else:
                self._move(conversation, consultation.leg, "consult", consultation.to, consultation.by, at, outcome)

    def _hold(self, conversation: _Conversation, legs: Sequence[str], consultation: _Consultation, at: dt.datetime) -> None:
        """Held by who consults: alone, or among each other."""
        if len(legs) > 1:
            self._talk(conversation, legs, "talk", consultation.by, at)
            return
        for leg in legs:
            self._move(conversation, leg, "hold", conversation.legs[consultation.leg].name, consultation.by, at)

    def _talk(self, conversation: _Conversation, parties: Sequence[str], kind: Any, by: str, at: dt.datetime, outcome: str = "") -> None:
        """Of two, both are on hold as long as one of them holds; of more, those who hold, and who would talk alone. Whoever goes on as
        before does so by whom it was: that somebody else is back is no new talk.
        """
        holders = [one for one in conversation.holders if one.leg in parties]
        holding = {one.leg for one in holders}
        if holders and (len(parties) == 2 or len(parties) - len(holding) < 2):
            holding = set(parties)
        for leg in parties:
            others = ", ".join(conversation.legs[one].name for one in parties if one != leg)
            own = next((one for one in holders if one.leg == leg), None) if len(parties) > 2 else None
            holder = own or (holders[0] if holders else None)
            if leg in holding and holder is not None:
                self._move(conversation, leg, "hold", others, holder.by, at, outcome)
            elif (conversation.legs[leg].kind, conversation.legs[leg].party) != (kind, others):
                self._move(conversation, leg, kind, others, by, at, outcome)

    def _call_consulted(self, event: ev.CallConsulted, _now: float, at: dt.datetime) -> None:
        """The others are held, by who consults; where it waits for who is asked is nobody's wait but its own."""
        conversation = self._folded.conversations[event.call]
        by = _acting(event.supervisor, f"agent:{event.by}")
        held = [one for one in conversation.parties if one != event.leg]
        conversation.consultation = _Consultation(leg=event.leg, by=by, to=event.to, held=held)
        conversation.parties = []
        conversation.holders = [one for one in conversation.holders if one.leg != event.leg]
        _sent(conversation, by)
        self._settle(conversation, at)

    def _consultation_alternated(self, event: ev.ConsultationAlternated, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        if (consultation := conversation.consultation) is not None:
            consultation.alternated = not consultation.alternated
            self._settle(conversation, at)

    def _consultation_ended(self, event: ev.ConsultationEnded, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        consultation, conversation.consultation = conversation.consultation, None
        if consultation is None:
            return
        asked = [one for one in conversation.parties if one != consultation.leg]
        by = _acting(event.supervisor, f"agent:{event.by}")
        if event.then == "handed_on":
            self._hand_on(conversation, consultation, by, at)
            return
        conversation.parties = event.parties(consultation.held, asked)
        if conversation.served not in conversation.parties:
            conversation.served = conversation.parties[0]
        outcome = event.cause or conversation.outcome or event.then
        conversation.outcome = ""
        if event.then == "handed_over":
            conversation.transferred_by.append(by)
        conversation.talk_by = by
        self._settle(conversation, at, outcome)

    def _hand_on(self, conversation: _Conversation, consultation: _Consultation, by: str, at: dt.datetime) -> None:
        """Who was held waits where who consulted waited, which waits on its line for what comes of it."""
        kind, party = consultation.place
        conversation.served = consultation.held[0]
        conversation.outcome = ""
        _sent(conversation, by)
        self._move(conversation, conversation.served, kind, party, by, at, "transferred")
        self._move(conversation, consultation.leg, "ring", "", by, at, "transferred")

    def _supervision_began(self, event: ev.SupervisionBegan, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        leg = conversation.legs[event.leg]
        leg.supervises, leg.barges = str(event.agent), event.mode == "barge"
        self._move(conversation, event.leg, "ring", leg.supervises, f"agent:{event.by}", at)

    def _supervision_changed(self, event: ev.SupervisionChanged, _now: float, at: dt.datetime) -> None:
        """Who barges in is a party, who does no longer is none."""
        conversation = self._folded.conversations[event.call]
        leg = conversation.legs[event.leg]
        leg.barges = event.mode == "barge"
        if leg.answered:
            self._take_place(conversation, event.leg, at)

    def _take_place(self, conversation: _Conversation, leg_id: LegId, at: dt.datetime) -> None:
        """Who barges in is a party from now on, who only hears is none."""
        leg, consultation = conversation.legs[leg_id], conversation.consultation
        parties = conversation.parties if consultation is None else consultation.held
        if leg.barges and leg_id not in parties:
            parties.append(leg_id)
        elif not leg.barges:
            if leg_id in parties:
                parties.remove(leg_id)
            self._move(conversation, leg_id, "supervise", leg.supervises or "", leg.word, at)
        self._settle(conversation, at)

    def _leg_held(self, event: ev.LegHeld, _now: float, at: dt.datetime) -> None:
        conversation = self._conversation_of(event.leg)
        if conversation is None:
            return
        holders, at_desk = conversation.holders, event.by is not None
        if not any(one.leg == event.leg and one.at_desk == at_desk for one in holders):
            holders.append(_Holder(leg=event.leg, at_desk=at_desk, by=_acting(event.supervisor, conversation.legs[event.leg].word)))
            self._settle(conversation, at)

    def _leg_retrieved(self, event: ev.LegRetrieved, _now: float, at: dt.datetime) -> None:
        conversation = self._conversation_of(event.leg)
        if conversation is None or not any(one.leg == event.leg for one in conversation.holders):
            return
        at_desk = event.by is not None
        conversation.holders = [
            one for one in conversation.holders if one.leg != event.leg or (event.still_held and one.at_desk != at_desk)
        ]
        if event.leg in conversation.parties:  # who only listens brings no talk about
            conversation.talk_by = _acting(event.supervisor, conversation.legs[event.leg].word)
        self._settle(conversation, at)

    def _leg_replaced(self, event: ev.LegReplaced, _now: float, at: dt.datetime) -> None:
        """The agent is there by another leg: what it held at its desk it still does."""
        conversation = self._folded.conversations[event.call]

        def instead(one: str) -> LegId:
            return event.leg if one == event.replaces else LegId(one)

        conversation.parties = [instead(one) for one in conversation.parties]
        if conversation.served == event.replaces:
            conversation.served = event.leg
        if conversation.consultation is not None:
            conversation.consultation.leg = instead(conversation.consultation.leg)
            conversation.consultation.held = [instead(one) for one in conversation.consultation.held]
        kept = [one for one in conversation.holders if one.leg != event.replaces or (event.held and one.at_desk)]
        conversation.holders = [msgspec.structs.replace(one, leg=instead(one.leg)) for one in kept]
        self._settle(conversation, at, "answered")

    def _conversation_of(self, leg: str) -> _Conversation | None:
        call = self._folded.call_of.get(leg)
        return None if call is None else self._folded.conversations.get(call)

    # ------------------------------------------------------------------ what is told of it

    def _leg_protected(self, event: ev.LegProtected, _now: float, at: dt.datetime) -> None:
        self._say(
            facts.Protected(
                conversation=event.call, at=at, leg=event.leg, audio=event.audio, suite=event.suite, signalling=event.signalling
            )
        )

    def _leg_measured(self, event: ev.LegMeasured, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations.get(event.call)
        known = conversation.legs.get(event.leg) if conversation is not None else None
        if conversation is None or known is None or known.measured:
            return
        known.measured = True
        quality = event.quality
        if isinstance(codec := quality.get("codec"), str):
            self._say(facts.CodecUsed(conversation=event.call, at=at, leg=event.leg, codec=codec))
        received, lost = _number(quality, "packets_received"), _number(quality, "packets_lost")
        if not received:  # nothing was heard, so nothing can be said of how well
            self._finish_if_complete(conversation)
            return
        self._say(
            facts.QualityMeasured(
                conversation=event.call,
                at=at,
                leg=event.leg,
                mos=None if quality.get("mos") is None else _number(quality, "mos"),
                loss=lost / (received + lost) if received + lost else 0.0,
                jitter_ms=_number(quality, "jitter_ms"),
                round_trip_ms=None if quality.get("round_trip_ms") is None else _number(quality, "round_trip_ms"),
                packets_received=int(received),
                packets_sent=int(_number(quality, "packets_sent")),
                packets_lost=int(lost),
            )
        )
        self._finish_if_complete(conversation)

    def _recording_began(self, event: ev.RecordingBegan, _now: float, at: dt.datetime) -> None:
        self._folded.recordings[event.recording] = _Recording(call=event.call, legs=event.legs, began_at=at)
        self._folded.conversations[event.call].recordings[event.recording] = None

    def _recording_joined(self, event: ev.RecordingJoined, _now: float, _at: dt.datetime) -> None:
        recording = self._folded.recordings.get(event.recording)
        if recording is not None:
            recording.legs = (*recording.legs, event.leg)

    def _recording_kept(self, event: ev.RecordingKept, _now: float, at: dt.datetime) -> None:
        known = self._folded.recordings.pop(event.recording, None)
        conversation = self._folded.conversations.get(known.call if known is not None else event.call)
        if conversation is None:
            return
        conversation.recordings.pop(event.recording, None)
        if known is not None and known.legs and (event.error is None or event.duration_ms):  # one that broke off is one as far as it goes
            self._say(
                facts.RecordingMade(
                    conversation=known.call,
                    at=at,
                    legs=known.legs,
                    path=event.path,
                    duration_ms=event.duration_ms,
                    began_at=known.began_at,
                )
            )
        self._finish_if_complete(conversation)

    def _disposition_set(self, event: ev.DispositionSet, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations.get(event.contact)
        if conversation is not None and conversation.over_at is None:
            self._say(facts.Disposition(conversation=event.contact, at=at, code=event.code))
        elif channel_of(event.contact) == VOICE:
            self._told.late.append((event.contact, event.code))

    # ------------------------------------------------------------------ after-call work

    def _wrap_up_began(self, event: ev.AfterCallWorkBegan, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations.get(event.contact)
        mine = [leg for leg, one in conversation.legs.items() if one.agent == event.agent] if conversation is not None else []
        if conversation is None or not mine:
            return
        conversation.wraps += 1
        work = _Wrap(call=event.contact, segment=f"{event.contact}/w{conversation.wraps}", leg=mine[-1], began_at=at)
        self._folded.wraps.setdefault(event.agent, {})[event.contact] = work

    def _work_done(self, event: ev.WorkDone, _now: float, at: dt.datetime) -> None:
        works = self._folded.wraps.get(event.agent, {})
        work = works.pop(event.contact, None)
        if work is None:
            return
        if not works:
            del self._folded.wraps[event.agent]
        self._wrapped_up(work, event.agent, event.outcome, at)

    def _started(self, event: ev.Started, _now: float, at: dt.datetime) -> None:
        """Nobody wrapped up while the service was not there, as the board has it too: `at` is the last sign of life."""
        if event.kept:  # it counts as having been there
            return
        for agent, works in self._folded.wraps.items():
            for work in works.values():
                self._wrapped_up(work, agent, RESTART, at)
                work.parts += 1
                work.began_at = instant(self._folded.alive_at)

    def _wrapped_up(self, work: _Wrap, agent: str, outcome: str, at: dt.datetime) -> None:
        if at <= work.began_at:
            return
        done = facts.WrappedUp(
            conversation=work.call,
            at=at,
            segment=work.segment if work.parts == 1 else f"{work.segment}.{work.parts}",
            leg=work.leg,
            agent=agent,
            began_at=work.began_at,
            outcome=outcome,
        )
        if work.call in self._folded.conversations:
            self._say(done)
        else:
            self._told.late.append((work.call, wrap_up(done)))

    # ------------------------------------------------------------------ the end of a conversation

    def _call_cleared(self, event: ev.CallCleared, now: float, _at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        conversation.over_at = now
        conversation.cause = event.cause
        conversation.ended_by = _ender(conversation, event.cause, now)
        if not self._finish_if_complete(conversation):
            self._told.over.append(event.call)

    def _finish_if_complete(self, conversation: _Conversation) -> bool:
        if conversation.over_at is None:
            return False
        if conversation.cause != RESTART:  # what a crash has cut nobody measures any more
            if conversation.recordings:
                return False
            for leg in conversation.legs.values():
                if leg.answered and not leg.measured:
                    return False
        self._finish(conversation)
        return True

    def _finish(self, conversation: _Conversation) -> None:
        if self._folded.conversations.pop(conversation.call, None) is None or conversation.over_at is None:
            return
        for leg in conversation.legs:
            self._folded.call_of.pop(leg, None)
        for recording in conversation.recordings:
            self._folded.recordings.pop(RecordingId(recording), None)
        end = facts.ConversationEnded(
            conversation=conversation.call,
            at=instant(conversation.over_at),
            cause=conversation.cause,
            ended_by=conversation.ended_by,
            transferred_by=tuple(conversation.transferred_by),
        )
        try:
            cdr = self._assembler.apply(end)
        except LedgerError as error:
            self._told.stumbles.append((f"the ledger of {conversation.call} does not close", error))
            cdr = error.draft
        if cdr is not None:
            self._told.records.append(cdr)

    _FOLD: ClassVar[dict[type, Callable[[Ledger, Any, float, dt.datetime], None]]] = {
        ev.ClockCorrected: _clock_corrected,
        ev.CallOffered: _call_offered,
        ev.LegInitiated: _leg_initiated,
        ev.LegAlerted: _leg_alerted,
        ev.LegConnected: _leg_connected,
        ev.LegProtected: _leg_protected,
        ev.LegCleared: _leg_cleared,
        ev.LegQuoted: _leg_quoted,
        ev.LegAnsweredLate: _answered_late,
        ev.LegMeasured: _leg_measured,
        ev.MenuEntered: _menu_entered,
        ev.MenuLeft: _menu_left,
        ev.Queued: _queued,
        ev.QueueLeft: _queue_left,
        ev.OfferMade: _offer_made,
        ev.AnnouncementBegan: _announcement_began,
        ev.CallForwarded: _call_forwarded,
        ev.CallTransferred: _call_transferred,
        ev.CallReferred: _call_referred,
        ev.ReferralFailed: _referral_failed,
        ev.CallEstablished: _call_established,
        ev.CallConsulted: _call_consulted,
        ev.ConsultationAlternated: _consultation_alternated,
        ev.ConsultationEnded: _consultation_ended,
        ev.SupervisionBegan: _supervision_began,
        ev.SupervisionChanged: _supervision_changed,
        ev.LegReplaced: _leg_replaced,
        ev.LegHeld: _leg_held,
        ev.LegRetrieved: _leg_retrieved,
        ev.RecordingBegan: _recording_began,
        ev.RecordingJoined: _recording_joined,
        ev.RecordingKept: _recording_kept,
        ev.DispositionSet: _disposition_set,
        ev.Started: _started,
        ev.AfterCallWorkBegan: _wrap_up_began,
        ev.WorkDone: _work_done,
        ev.CallCleared: _call_cleared,
    }
    """Events that are not here say nothing to a record. (Who holds is told by the legs; `CallHeld` is the agent's work.)"""


def _leg(event: ev.LegInitiated) -> _Leg:
    if event.agent is not None:
        word, name = f"agent:{event.agent}", str(event.agent)
    elif event.role == "caller":
        word = name = CALLER
    else:
        word, name = PARTY, event.number or ANONYMOUS
    return _Leg(word=word, name=name, agent=event.agent, dialled=not event.arrived)


def _acting(supervisor: object, otherwise: str) -> str:
    """Whoever acted at an agent's desk, if that was not the agent: an originator."""
    return SUPERVISOR if supervisor else otherwise


def _sent(conversation: _Conversation, by: str) -> None:
    """The served leg is sent on: whoever refused it before has no part in what follows."""
    conversation.sent_by, conversation.refused_by = by, ""


def _first_call_id(dialog: str | None) -> str | None:
    """Of several phones that ring for a leg, the first one's: which of them answers is told with the answer."""
    return None if dialog is None else call_id_of(dialog.partition("\n")[0])


def _status(event: ev.LegCleared, leg: _Leg) -> int | None:
    """What the far end said, or what we have said to a caller who waited for an answer."""
    if event.status is None and event.by == "exchange" and not (leg.dialled or leg.answered):
        return telling(event.cause).status
    return event.status


def _who_ended(event: ev.LegCleared) -> facts.By:
    """Who ended a leg; the other ones of its call we release."""
    if event.cause == RESTART:
        return "crash"
    return _BY_ITSELF.get(event.cause, "remote") if event.by == "party" else "local"


_BY_ITSELF: Final[dict[str, facts.By]] = {"timeout": "timeout", "media_silent": "timeout", "transport": "transport"}
"""Causes of a leg that was found dead -> by what: nobody at its far end did anything."""


def _ender(conversation: _Conversation, cause: str, now: float) -> str:
    """Who ended the conversation; see `acd.enders`."""
    went = conversation.gone_by if conversation.gone_at == now else ""
    match ENDED_BY.get(cause, Ender.EXCHANGE):
        case Ender.CRASH:
            return CRASH
        case Ender.SUPERVISOR:
            return SUPERVISOR
        case Ender.SERVED:
            return conversation.legs[conversation.served].word if conversation.served in conversation.legs else EXCHANGE
        case Ender.WENT_FIRST:
            return went or EXCHANGE
        case Ender.HUNG_UP:
            return went or conversation.sent_by
        case Ender.REFUSED:
            return conversation.refused_by or EXCHANGE
        case Ender.RULE:
            return conversation.sent_by
        case Ender.EXCHANGE:
            return EXCHANGE


def _number(quality: dict[str, float | int | str | None], name: str) -> float:
    value = quality.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0
