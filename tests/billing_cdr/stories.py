"""Conversations to test with: a script of facts, written down as a person would tell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from billing_cdr.assemble import fold
from billing_cdr.cdr import Cdr, CdrLeg
from billing_cdr.facts import (
    ConversationBegan,
    ConversationEnded,
    Fact,
    LegAnswered,
    LegBegan,
    LegEnded,
    SegmentBegan,
    SegmentEnded,
)

WEDNESDAY = datetime(2026, 6, 10, 8, 0, tzinfo=UTC)
"""10:00 in Berlin, in the day band."""


class Story:
    """Tells a conversation: `t` is milliseconds from its beginning, a leg moves from one segment to the next without a gap."""

    def __init__(
        self, conversation: str = "c1", *, tenant: str = "acme", direction: str = "inbound", at: datetime = WEDNESDAY, **began: Any
    ) -> None:
        self.conversation = conversation
        self.start = at
        self.facts: list[Fact] = []
        self._now: dict[str, str] = {}
        self._count = 0
        defaults = {"calling": "+4915112345678", "called": "+4989123456", "trunk": "carrier", "did": "+4989123456"}
        self._say(ConversationBegan, 0, tenant=tenant, direction=direction, **(defaults | began))

    def _say(self, fact: Any, t: int, /, **fields: Any) -> None:
        self.facts.append(fact(conversation=self.conversation, at=self.start + timedelta(milliseconds=t), **fields))

    def leg(self, t: int, leg: str, role: str, kind: str, *, with_: str = "", by: str = "", **fields: Any) -> Story:
        """A leg begins, in its first segment."""
        party = fields.pop("party", leg)
        fields = {"agent": party if role == "agent" else None, "dialled": role != "caller"} | fields
        self._say(LegBegan, t, leg=leg, role=role, party=party, **fields)
        return self.moves(t, leg, kind, with_=with_, by=by)

    def moves(self, t: int, leg: str, kind: str, *, with_: str = "", by: str = "") -> Story:
        """A leg goes on to its next segment."""
        if leg in self._now:
            self._say(SegmentEnded, t, segment=self._now.pop(leg))
        self._count += 1
        self._now[leg] = f"s{self._count}"
        self._say(SegmentBegan, t, segment=self._now[leg], leg=leg, kind=kind, party=with_, caused_by=by)
        return self

    def answers(self, t: int, leg: str, kind: str | None = None, **fields: Any) -> Story:
        """A leg answers, and goes on to `kind` if one is named."""
        self._say(LegAnswered, t, leg=leg)
        return self if kind is None else self.moves(t, leg, kind, **fields)

    def ends(self, t: int, leg: str, cause: str = "normal", status: int | None = None, by: str = "remote") -> Story:
        """A leg is gone."""
        if leg in self._now:
            self._say(SegmentEnded, t, segment=self._now.pop(leg), outcome=cause)
        self._say(LegEnded, t, leg=leg, cause=cause, sip_status=status, by=by)
        return self

    def tells(self, t: int, fact: Any, /, **fields: Any) -> Story:
        """Any other fact."""
        self._say(fact, t, **fields)
        return self

    def over(self, t: int, cause: str = "normal") -> Story:
        """The conversation ends."""
        self._say(ConversationEnded, t, cause=cause)
        return self

    def cdr(self) -> Cdr:
        """Fold it."""
        return fold(self.facts)


def answered_call(conversation: str = "c1", *, at: datetime = WEDNESDAY, talk_ms: int = 61_000, tenant: str = "acme") -> Story:
    """A caller passes menu and queue, talks to an agent, hangs up."""
    end = 8_000 + talk_ms
    return (
        Story(conversation, at=at, tenant=tenant)
        .leg(0, "in", "caller", "menu", with_="main", number="+4915112345678", trunk="carrier", party="+4915112345678")
        .answers(200, "in")
        .moves(2_000, "in", "queue", with_="support", by="menu:main")
        .leg(5_000, "a1", "agent", "offer", with_="caller", by="queue:support", party="anna")
        .answers(8_000, "a1", "talk", with_="caller", by="agent:anna")
        .moves(8_000, "in", "talk", with_="anna", by="agent:anna")
        .ends(end, "in")
        .ends(end, "a1", by="local")
        .over(end)
    )


def forwarded_call(
    conversation: str = "c2", *, number: str = "+4917112345678", talk_ms: int = 61_000, at: datetime = WEDNESDAY, tenant: str = "acme"
) -> Story:
    """A caller is forwarded to an outside number."""
    end = 5_000 + talk_ms
    return (
        Story(conversation, at=at, tenant=tenant)
        .leg(0, "in", "caller", "forward", with_="rule", number="+4915112345678", trunk="carrier")
        .leg(500, "out", "forward", "forward", by="rule", number=number, trunk="carrier")
        .answers(5_000, "out", "talk", with_="in")
        .answers(5_000, "in", "talk", with_="out")
        .ends(end, "in")
        .ends(end, "out", by="local")
        .over(end)
    )


def outbound_call(
    conversation: str = "c3",
    *,
    number: str = "+493012345678",
    talk_ms: int = 61_000,
    at: datetime = WEDNESDAY,
    tenant: str = "acme",
    trunk: str = "carrier",
) -> Story:
    """An agent dials by click: her phone first, then the number."""
    end = 8_000 + talk_ms
    return (
        Story(conversation, at=at - timedelta(milliseconds=8_000), tenant=tenant, direction="outbound", calling="200", called=number)
        .leg(0, "a1", "agent", "offer", party="anna")
        .answers(2_000, "a1", "ring")
        .leg(2_000, "out", "destination", "ring", number=number, trunk=trunk, party=number)
        .answers(8_000, "out", "talk", with_="a1")
        .moves(8_000, "a1", "talk", with_="out")
        .ends(end, "out")
        .ends(end, "a1", by="local")
        .over(end)
    )


def dialled_leg(
    number: str,
    duration_ms: int,
    *,
    answered_at: datetime = WEDNESDAY,
    trunk: str | None = "carrier",
    payer: str = "acme",
    answered: bool = True,
) -> CdrLeg:
    """One leg to an outside number, answered at `answered_at`."""
    return CdrLeg(
        leg="out",
        role="destination",
        party=number,
        number=number,
        trunk=trunk,
        site=None,
        payer=payer,
        began_at=answered_at,
        answered_at=answered_at if answered else None,
        ended_at=answered_at + timedelta(milliseconds=duration_ms),
        billable_ms=duration_ms if answered else 0,
        cause="normal",
        sip_status=None,
        ended_by="remote",
    )
