"""Reference ledger: the figures of a conversation from its events.

Written from docs/figures.md alone, sections 1 to 5; it imports nothing of the product.

The events are gone through once. After each of them the conversation is in one state until the next event; that slot of
time is put down for every leg that is there and for the conversation. A slot of length 0 says nothing and is left out.
"""

from dataclasses import dataclass, field
from typing import Any

Segment = tuple[str, int, int, str | None, str | None]
State = tuple[str, str | None, str | None]

PARTS = ("talk", "hold", "ring", "wait", "treatment", "setup")
PART_OF_KIND = {"queue": "wait", "menu": "treatment", "announcement": "treatment"}
RINGING = ("ring", "offer", "forward")


@dataclass
class Leg:
    """One connection to a party; sections 2 and 3."""

    name: str
    own: str  # itself in the words of section 5
    dialled: bool
    alone: State  # what it is in while it is in no pair: kind, originator, party
    alerted_at: int | None = None
    answered_at: int | None = None
    ended_at: int | None = None
    segments: list[Segment] = field(default_factory=list)

    def put_down(self, state: State, begin: int, end: int) -> None:
        """A slot; neighbours with the same kind, originator and party are one (section 3)."""
        kind, by, party = state
        if self.segments:
            last = self.segments[-1]
            if last[0] == kind and last[3] == by and last[4] == party:
                begin = self.segments.pop()[1]
        self.segments.append((kind, begin, end, by, party))

    def of(self, *kinds: str) -> int:
        """How long it was in segments of these kinds."""
        return sum(end - begin for kind, begin, end, _, _ in self.segments if kind in kinds)

    def figures(self) -> dict[str, Any]:
        """Sections 3 and 4: the figures of one leg, once it has ended."""
        end = self.ended_at or 0
        answer = end if self.answered_at is None else self.answered_at
        return {
            "billable_ms": end - answer,
            "alerting_ms": 0 if self.alerted_at is None else max(0, answer - self.alerted_at),
            "talk_ms": self.of("talk"),
            "hold_ms": self.of("hold"),
            "ring_ms": self.of(*RINGING),
            "segments": self.segments,
        }


@dataclass
class Pair:
    """Two legs that are connected with each other; section 2."""

    a: Leg
    b: Leg
    by: str  # who answered, and after a hold who retrieved last (section 5)
    a_party: str
    b_party: str

    def other(self, leg: Leg) -> Leg:
        """Whom this one of the two is connected with."""
        return self.b if leg is self.a else self.a


class Conversation:
    """The state of a conversation between two events, and what has been put down so far."""

    def __init__(self) -> None:
        self.legs: dict[str, Leg] = {}
        self.there: dict[str, Leg] = {}  # those that have not ended
        self.served: Leg | None = None
        self.pair: Pair | None = None
        self.holding: dict[tuple[str, str], Leg] = {}  # leg, and where it holds: desk or phone; the first to begin stands first
        self.answered_at: int | None = None
        self.length = dict.fromkeys(PARTS, 0)
        self.queue_ms = 0
        self.agent: str | None = None
        self.queue: str | None = None

    def take(self, event: dict[str, Any]) -> None:
        """What an event changes."""
        what = event["what"]
        if what == "leg":
            self._leg(event)
        elif what == "sent":
            if self.served:
                self.served.alone = event["kind"], event["by"], event["party"]
            if event["kind"] == "queue" and self.answered_at is None:
                self.queue = event["party"]
        elif what == "pair":
            self._pair(event)
        elif event.get("leg") in self.there:
            self._of_leg(what, self.there[event["leg"]], event["at"], event.get("where", "phone"))

    def _leg(self, event: dict[str, Any]) -> None:
        """Section 2: the first leg of the conversation is the served leg."""
        leg = Leg(event["leg"], event["is"], bool(event["dialled"]), (event["as"], event["by"], event["party"]))
        self.legs[leg.name] = self.there[leg.name] = leg
        if self.served is None:
            self.served = leg
            self.agent = agent_in(leg.own)

    def _pair(self, event: dict[str, Any]) -> None:
        """Section 4: `answered_at` of the record is the beginning of the first pair; its agent is the one who was reached."""
        self.pair = Pair(self.legs[event["a"]], self.legs[event["b"]], event["by"], event["a_party"], event["b_party"])
        if self.answered_at is None:
            self.answered_at = event["at"]
            reached = self.pair.b if self.pair.a is self.served else self.pair.a
            self.agent = agent_in(reached.own) or self.agent

    def _of_leg(self, what: str, leg: Leg, at: int, where: str) -> None:
        """What happens to one leg that is there. Holding what is held there, and retrieving what is not, changes nothing (section 3)."""
        if what == "alert" and leg.alerted_at is None:
            leg.alerted_at = at
        elif what == "answer" and leg.answered_at is None:
            leg.answered_at = at
        elif what == "holds":
            self.holding.setdefault((leg.name, where), leg)
        elif what == "retrieves":
            if self.holding.pop((leg.name, where), None) and self.pair and leg in (self.pair.a, self.pair.b):
                self.pair.by = leg.own
        elif what == "transfer":
            self._transfer(leg)
        elif what == "gone":
            leg.ended_at = at
            del self.there[leg.name]
            for place in [place for place in self.holding if place[0] == leg.name]:
                del self.holding[place]
            self._part(leg)

    def _transfer(self, leg: Leg) -> None:
        """Sections 2 and 3: the one that stays is served, and in `ring` until it is sent somewhere."""
        if self.pair and leg in (self.pair.a, self.pair.b):
            self.served = self.pair.other(leg)
        self._part(leg)
        if self.served:
            self.served.alone = "ring", leg.own, ""

    def _part(self, leg: Leg) -> None:
        """The pair of this leg is over: neither of the two was sent anywhere yet."""
        if self.pair and leg in (self.pair.a, self.pair.b):
            self.pair.a.alone = self.pair.b.alone = "ring", leg.own, ""
            self.pair = None

    def _in_pair(self, pair: Pair) -> tuple[str, str]:
        """Kind and originator of what both are in; of two that hold, who began first (sections 3 and 5)."""
        for leg in self.holding.values():
            if leg is pair.a or leg is pair.b:
                return "hold", leg.own
        return "talk", pair.by

    def _part_without_pair(self) -> str:
        """The parts of section 4 from `ring` on."""
        if any(leg.dialled and leg.answered_at is None for leg in self.there.values()):
            return "ring"
        if self.served and self.served.name in self.there:
            return PART_OF_KIND.get(self.served.alone[0], "setup")
        return "setup"

    def last(self, begin: int, end: int) -> None:
        """Put down that everything stays as it is from `begin` to `end`."""
        pair = self.pair
        if pair:
            part, by = self._in_pair(pair)
            pair.a.put_down((part, by, pair.a_party), begin, end)
            pair.b.put_down((part, by, pair.b_party), begin, end)
        else:
            part = self._part_without_pair()
        self.length[part] += end - begin
        for leg in self.there.values():
            if pair is None or (leg is not pair.a and leg is not pair.b):
                leg.put_down(leg.alone, begin, end)
                if leg is self.served and leg.alone[0] == "queue":
                    self.queue_ms += end - begin


def agent_in(word: str) -> str | None:
    """Section 5: `agent:<id>` is an agent."""
    kind, _, name = word.partition(":")
    return name if kind == "agent" else None


def wrap_ups(events: list[dict[str, Any]]) -> dict[str, Segment]:
    """The wrap-up of each leg; section 3: behind the end of the leg, also when the conversation is over."""
    owner = {event["leg"]: event["is"] for event in events if event["what"] == "leg"}
    ended = {event["leg"]: event["at"] for event in events if event["what"] == "gone"}
    done = {event["leg"]: event["at"] for event in events if event["what"] == "wrapped"}
    return {leg: ("wrap", ended[leg], at, owner[leg], "") for leg, at in done.items()}


def fold(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of a conversation and of its legs; sections 3 and 4."""
    conversation = Conversation()
    before = began_at = events[0]["at"]
    for event in events:
        if event["at"] > before:
            conversation.last(before, event["at"])
            before = event["at"]
        if event["what"] == "end":
            break
        conversation.take(event)
    wraps = wrap_ups(events)
    for leg in conversation.there.values():
        leg.ended_at = before
    return {
        "duration_ms": before - began_at,
        **{f"{part}_ms": conversation.length[part] for part in PARTS},
        "answered_at": conversation.answered_at,
        "legs": {name: leg.figures() for name, leg in conversation.legs.items()},
        "queue_ms": conversation.queue_ms,
        "agent": conversation.agent,
        "queue": conversation.queue,
        "wraps": wraps,
        "wrap_ms": sum(end - begin for _, begin, end, _, _ in wraps.values()),
    }
