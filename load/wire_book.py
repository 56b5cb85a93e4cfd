"""A book of calls, kept at the phones from what they sent and heard and when: what an exchange's figures are compared with (house).

Nothing in it comes from the exchange. An instant is known as far as a phone can know it: what it caused happened after it sent that, and
before it saw what follows from it. The words of the events are those of docs/figures.md, which the reference ledger folds.
"""

from __future__ import annotations

from typing import Any

import msgspec

from load.phones import PhoneCall

MS = 1000.0


class WireLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One connection, as both ends of the wire know it: by its Call-ID (RFC 3261 §20.8)."""

    call_id: str
    role: str
    agent: str | None = None
    number: str | None = None
    """What was dialled at the carrier."""


class Wrap(msgspec.Struct, frozen=True, kw_only=True):
    """After-call work that the desk saw end: how long, and by how much that may be wrong."""

    leg: str
    ms: float
    unsure_ms: float


Span = tuple[float, float]
"""Between which two readings of the phones' clock something happened."""


class Page:
    """One conversation."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.legs: dict[str, WireLeg] = {}
        self.answered: set[str] = set()
        self.events: list[dict[str, Any]] = []
        self.unsure_ms = 0.0
        """By so much at most, all its figures together, the book may be wrong."""
        self.says: dict[str, Any] = {}
        """Fields of the record, and what they must be."""
        self.queues: list[tuple[str, str]] = []
        """Queues it stood in, with the outcome of each."""
        self.taken_by: list[str] = []
        """Agents who took it, in order."""
        self.wraps: list[Wrap] = []
        self._last_ms = 0

    def note(self, what: str, since: float, until: float | None = None, **more: object) -> None:
        """Something happened between two readings of the phones' clock, in seconds; nothing happens before what was noted before."""
        until = since if until is None else max(since, until)
        middle = (since + until) / 2 * MS
        at = max(round(middle), self._last_ms)
        self.unsure_ms += (until - since) / 2 * MS + at - middle + 1
        self._last_ms = at
        self.events.append({"at": at, "what": what, **more})

    def leg(
        self,
        call: PhoneCall,
        role: str,
        since: float,
        until: float | None = None,
        *,
        agent: str | None = None,
        number: str | None = None,
        alone: str = "ring",
    ) -> None:
        """A leg begins: one that the phone placed, or one that rings it."""
        self.legs[call.call_id] = WireLeg(call_id=call.call_id, role=role, agent=agent, number=number)
        dialled = call.is_incoming
        told = {"leg": call.call_id, "is": call.call_id, "dialled": dialled, "as": alone, "by": "", "party": ""}
        self.note("leg", since, call.invited_at if dialled else until, **told)

    def sent(self, kind: str, since: float, until: float | None = None) -> None:
        """Who is served goes on to a queue, a menu, a number outside."""
        self.note("sent", since, until, kind=kind, by="", party="")

    def answer(self, call: PhoneCall, since: float, until: float | None = None) -> None:
        """A leg was answered."""
        self.answered.add(call.call_id)
        self.note("answer", since, until, leg=call.call_id)

    def pair(self, a: PhoneCall, b: PhoneCall, since: float, until: float | None = None) -> None:
        """Two are connected."""
        self.note("pair", since, until, a=a.call_id, b=b.call_id, by="", a_party="", b_party="")

    def of_leg(self, what: str, call: PhoneCall, since: float, until: float | None = None) -> None:
        """A leg `holds`, `retrieves`, does a `transfer`, is `gone`."""
        self.note(what, since, until, leg=call.call_id)

    def end(self, since: float, until: float | None = None) -> None:
        """The last one is gone."""
        self.note("end", since, until)

    def wrap(self, call: PhoneCall, began: Span, done: Span) -> None:
        """After-call work of whose leg that was."""
        length = (sum(done) - sum(began)) / 2 * MS
        unsure = (done[1] - done[0] + began[1] - began[0]) / 2 * MS
        self.wraps.append(Wrap(leg=call.call_id, ms=length, unsure_ms=unsure))


class Book:
    """All of them."""

    def __init__(self) -> None:
        self.pages: list[Page] = []

    def page(self, kind: str) -> Page:
        """A new one."""
        self.pages.append(Page(kind))
        return self.pages[-1]


__all__ = ["Book", "Page", "Span", "WireLeg", "Wrap"]
